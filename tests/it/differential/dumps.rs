//! Makes what one server dumped readable for another version, and says where it cannot be. A dump ends with two bytes of version and
//! eight of a checksum, both the low byte first; the checksum is CRC-64 with the polynomial of Jones (Redis, `crc64.c`).

/// The newest version that Redis 7.0 reads, and the types that came after it: small sets, and streams that know when consumers were active.
const VERSION_MAX: u16 = 10;
const TYPES_UNKNOWN_TO_7_0: &[u8] = &[20, 21];

const FOOTER_BYTES: usize = 10;
/// The polynomial 0xad93d23594c935a9, its bits reversed.
const POLYNOMIAL: u64 = 0x95ac_9329_ac4b_c9b5;

/// The dump for any server; none if one of them does not know its type.
pub fn for_all(dump: &[u8]) -> Option<Vec<u8>> {
    if dump.len() <= FOOTER_BYTES || TYPES_UNKNOWN_TO_7_0.contains(&dump[0]) {
        return None;
    }
    let mut dump = dump.to_vec();
    let end = dump.len() - FOOTER_BYTES;
    let version = u16::from_le_bytes([dump[end], dump[end + 1]]);
    if version > VERSION_MAX {
        dump[end..end + 2].copy_from_slice(&VERSION_MAX.to_le_bytes());
        let sum = checksum(&dump[..end + 2]);
        dump[end + 2..].copy_from_slice(&sum.to_le_bytes());
    }
    Some(dump)
}

fn checksum(bytes: &[u8]) -> u64 {
    let step = |sum: u64| if sum & 1 == 1 { (sum >> 1) ^ POLYNOMIAL } else { sum >> 1 };
    bytes.iter().fold(0, |sum, &byte| (0..8).fold(sum ^ u64::from(byte), |sum, _| step(sum)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value that `crc64.c` of Redis names.
    #[test]
    fn the_checksum_is_that_of_redis() {
        assert_eq!(checksum(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
    }
}
