//! Any bytes as a segment of the append-only file, and as a header and a part's head: never a panic, groups that are whole, and the
//! same ones when the segment is cut where the scan says.
//! The first byte says how many records get a checksum that holds: without one, the fuzzer would never get behind the first.

#![no_main]

use corevault::persist::record::{HEADER_BYTES, PartHead};
use corevault::persist::segment::{Groups, SegmentHeader, Tail, scan};
use libfuzzer_sys::fuzz_target;

const HEADER: SegmentHeader =
    SegmentHeader { shards: 4, shard: 1, generation: 1, number: 1, first_seq: 1, created_ms: 0, seed: 7 };

/// Gives the first records checksums that hold, as far as their lengths lead.
fn repair(bytes: &mut [u8], records: u8) {
    let mut at = HEADER.encode().len();
    for _ in 0..records {
        let Some(header) = bytes.get(at..at + HEADER_BYTES) else { return };
        let length = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
        let end = at + HEADER_BYTES + length;
        let Some(covered) = bytes.get(at + 4..end) else { return };
        let mut hasher = crc32fast::Hasher::new_with_initial(HEADER.seed);
        hasher.update(covered);
        bytes[at..at + 4].copy_from_slice(&hasher.finalize().to_le_bytes());
        at = end.next_multiple_of(8);
    }
}

fuzz_target!(|data: &[u8]| {
    let _ = SegmentHeader::decode(data);
    let _ = PartHead::decode(data);
    Groups::starting_at(data, 0, data.len()).for_each(drop);

    let Some((&records, data)) = data.split_first() else { return };
    let mut bytes = HEADER.encode().to_vec();
    bytes.extend_from_slice(data);
    repair(&mut bytes, records);
    let first = scan(&bytes, &HEADER);
    let groups: Vec<_> = Groups::new(&bytes, first.end).map(|group| group.expect("a valid range")).collect();
    assert_eq!(groups.len() as u64, first.groups);
    assert_eq!(groups.iter().filter(|group| group.part.is_some()).count(), first.parts.len());

    let again = scan(&bytes[..first.end], &HEADER);
    assert!(matches!(again.tail, Tail::Open | Tail::Closed), "{:?}", again.tail);
    assert_eq!((again.end, again.next_seq, again.groups), (first.end, first.next_seq, first.groups));
    assert_eq!(again.parts, first.parts);
});
