//! Owns the map from a key to its hash slot: CRC16/XMODEM modulo 16384, with hash tags.
//! Never knows which shard or node serves a slot; that is the router's table.

/// Number of hash slots; fixed by the Redis Cluster specification.
pub const SLOTS: usize = 16384;

const _: () = assert!(SLOTS.is_power_of_two() && SLOTS <= 1 << 16);

/// A hash slot, always below [`SLOTS`]. Holding one is proof that the range was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u16);

impl Slot {
    /// The slot with this number, or `None` from 16384 up.
    pub const fn new(index: u16) -> Option<Slot> {
        if (index as usize) < SLOTS { Some(Slot(index)) } else { None }
    }

    /// The slot's number, for indexing a table of [`SLOTS`] entries.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    const fn from_crc(crc: u16) -> Slot {
        Slot(crc & (SLOTS as u16 - 1))
    }
}

/// The slot of a key. Source: Redis Cluster specification, "Key distribution model" and "Hash tags".
///
/// If the key has a `{` and the first `}` after the first `{` encloses at least one byte, only the enclosed
/// bytes are hashed; otherwise the whole key is.
///
/// The search for `{` rides along in the words the CRC loads anyway. Few keys carry a tag, so those pay a
/// second pass rather than every key a search.
pub fn key_slot(key: &[u8]) -> Slot {
    let (crc, has_open_brace) = crc16_noting_open_brace(key);
    if has_open_brace { Slot::from_crc(crc16(hashed_part(key))) } else { Slot::from_crc(crc) }
}

/// CRC16/XMODEM: polynomial 0x1021, initial value 0, not reflected, no final xor.
/// Source: Redis Cluster specification, appendix A.
pub fn crc16(bytes: &[u8]) -> u16 {
    crc16_noting_open_brace(bytes).0
}

/// The bytes of the key that decide its slot: the hash tag, or all of them.
fn hashed_part(key: &[u8]) -> &[u8] {
    let tag = || {
        let after_open = &key[memchr::memchr(b'{', key)? + 1..];
        let tag = &after_open[..memchr::memchr(b'}', after_open)?];
        (!tag.is_empty()).then_some(tag)
    };
    tag().unwrap_or(key)
}

// # Slicing by eight, odd bytes first
//
// Row `r` of the table holds the CRC of each byte followed by `r` zero bytes. A CRC is linear, so the CRC of
// eight bytes is the xor of eight lookups, one a row, none waiting for another; the running CRC is folded
// into the first two bytes. Only that fold ties one word to the next.
//
// The initial value is 0, and zero bytes leave a CRC of 0 as it is. So the bytes that do not fill a word go
// first, padded with zeros in front, and cost one word instead of up to seven dependent bytewise steps.

const WORD_BYTES: usize = 8;

static CRC_ROWS: [[u16; 256]; WORD_BYTES] = crc_rows();

const fn crc_rows() -> [[u16; 256]; WORD_BYTES] {
    let mut rows = [[0u16; 256]; WORD_BYTES];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut row = 0;
        while row < WORD_BYTES {
            let mut bit = 0;
            while bit < 8 {
                crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
                bit += 1;
            }
            rows[row][byte] = crc;
            row += 1;
        }
        byte += 1;
    }
    rows
}

#[inline]
fn crc16_noting_open_brace(bytes: &[u8]) -> (u16, bool) {
    let (head, words) = bytes.split_at(bytes.len() % WORD_BYTES);
    let mut crc = 0;
    let mut open_brace_marks = 0;
    if !head.is_empty() {
        let word = match bytes.first_chunk() {
            Some(first) => u64::from_be_bytes(*first) >> (8 * (WORD_BYTES - head.len())),
            None => right_aligned(head),
        };
        crc = crc16_word(0, word);
        open_brace_marks = mark_open_braces(word);
    }
    for word in words.as_chunks().0 {
        let word = u64::from_be_bytes(*word);
        crc = crc16_word(crc, word);
        open_brace_marks |= mark_open_braces(word);
    }
    (crc, open_brace_marks != 0)
}

/// One to seven bytes, big-endian, zeros in front. The loads overlap rather than loop; where two of them
/// cover the same byte, they place it alike.
#[inline]
fn right_aligned(bytes: &[u8]) -> u64 {
    let last = bytes.len() - 1;
    match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(front), Some(back)) => {
            u64::from(u32::from_be_bytes(*front)) << (8 * (last - 3)) | u64::from(u32::from_be_bytes(*back))
        }
        _ => {
            let middle = bytes.len() / 2;
            u64::from(bytes[0]) << (8 * last)
                | u64::from(bytes[middle]) << (8 * (last - middle))
                | u64::from(bytes[last])
        }
    }
}

#[inline]
fn crc16_word(crc: u16, word: u64) -> u16 {
    let bytes = word.to_be_bytes();
    let row = |row: usize, fold: u8| CRC_ROWS[row][usize::from(bytes[WORD_BYTES - 1 - row] ^ fold)];
    // The running CRC joins last, so that the other six lookups need not wait for it.
    let [high, low] = crc.to_be_bytes();
    let others = row(5, 0) ^ row(4, 0) ^ row(3, 0) ^ row(2, 0) ^ row(1, 0) ^ row(0, 0);
    others ^ (row(7, high) ^ row(6, low))
}

/// Non-zero exactly when a byte of the word is `{`: the classic test for a zero byte, after an xor.
#[inline]
fn mark_open_braces(word: u64) -> u64 {
    let zero_where_brace = word ^ u64::from_ne_bytes([b'{'; WORD_BYTES]);
    zero_where_brace.wrapping_sub(0x0101_0101_0101_0101) & !zero_where_brace & 0x8080_8080_8080_8080
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, one bit at a time.
    fn crc16_bitwise(bytes: &[u8]) -> u16 {
        let mut crc = 0u16;
        for byte in bytes {
            crc ^= u16::from(*byte) << 8;
            for _ in 0..8 {
                crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
            }
        }
        crc
    }

    fn key_slot_bitwise(key: &[u8]) -> u16 {
        let part = match key.iter().position(|byte| *byte == b'{') {
            None => key,
            Some(open) => match key[open + 1..].iter().position(|byte| *byte == b'}') {
                None | Some(0) => key,
                Some(length) => &key[open + 1..open + 1 + length],
            },
        };
        crc16_bitwise(part) % 16384
    }

    #[test]
    fn crc_of_the_check_string() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(crc16(b""), 0);
    }

    #[test]
    fn slots_agree_with_redis() {
        for (key, slot) in RECORDED_SLOTS {
            assert_eq!(key_slot(key).index(), *slot, "{}", key.escape_ascii());
        }
    }

    /// Recorded from CLUSTER KEYSLOT of redis-server 7.0.15.
    const RECORDED_SLOTS: &[(&[u8], usize)] = &[
        (b"", 0),
        (b"foo", 12182),
        (b"bar", 5061),
        (b"hello", 866),
        (b"user:1000", 1649),
        (b"123456789", 12739),
        (b"{user1000}.following", 3443),
        (b"{user1000}.followers", 3443),
        (b"foo{}{bar}", 8363),
        (b"foo{{bar}}zap", 4015),
        (b"foo{bar}{zap}", 5061),
        (b"{bar}", 5061),
        (b"bar}", 6624),
        (b"{bar", 4015),
        (b"}{bar}", 5061),
        (b"{}", 15257),
        (b"a{b}", 3300),
        (b"\x00\xff\x80{", 6919),
    ];

    #[test]
    fn every_length_and_every_byte() {
        let bytes: Vec<u8> = (0..=255u8).chain(0..=255).collect();
        for from in 0..256 {
            for length in 0..=64 {
                let part = &bytes[from..from + length];
                assert_eq!(crc16(part), crc16_bitwise(part), "{from} {length}");
            }
        }
    }

    #[test]
    fn a_brace_is_seen_at_every_position_of_every_length() {
        for length in 1..=40 {
            for open in 0..length {
                let mut key = vec![b'z'; length];
                key[open] = b'{';
                assert!(crc16_noting_open_brace(&key).1, "{length} {open}");
                assert_eq!(usize::from(key_slot_bitwise(&key)), key_slot(&key).index());
            }
            // The neighbours of '{', and bytes that differ from it in one bit, are not braces.
            for byte in (0..=255).filter(|byte| *byte != b'{') {
                assert!(!crc16_noting_open_brace(&vec![byte; length]).1, "{length} {byte}");
            }
        }
    }

    #[test]
    fn a_slot_is_below_the_limit() {
        assert_eq!(Slot::new(16383).map(Slot::index), Some(16383));
        assert_eq!(Slot::new(16384), None);
        assert_eq!(Slot::new(u16::MAX), None);
    }

    proptest! {
        #[test]
        fn crc_equals_the_bitwise_definition(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(crc16(&bytes), crc16_bitwise(&bytes));
        }

        #[test]
        fn slot_equals_the_definition(key in "[ab{}|z]{0,40}") {
            prop_assert_eq!(key_slot(key.as_bytes()).index(), usize::from(key_slot_bitwise(key.as_bytes())));
        }
    }
}
