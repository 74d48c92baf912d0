//! A segment as it is written, then damaged: what is found is a beginning of what was written, and what is missing was either not known
//! to be durable by any record that is left behind it, or it is called corruption.
//! Input: three bytes for each group (how many records, how long, whether a sync follows), a zero, and three for each damaged byte.

#![no_main]

use corevault::persist::record::{Kind, PartHead, append, read};
use corevault::persist::segment::{Groups, SegmentHeader, Tail, scan};
use libfuzzer_sys::fuzz_target;

const HEADER: SegmentHeader =
    SegmentHeader { shards: 4, shard: 1, generation: 1, number: 1, first_seq: 50, created_ms: 0, seed: 7 };

fuzz_target!(|data: &[u8]| {
    let mut bytes = HEADER.encode().to_vec();
    let (mut seq, mut durable) = (HEADER.first_seq, HEADER.first_seq - 1);
    let mut input = data;
    // Last sequence number and payload of each group; offset, sequence number and what it knows of each record.
    let (mut groups, mut records) = (Vec::new(), Vec::new());
    while let [count @ 1..=255, length, sync, rest @ ..] = input {
        input = rest;
        let (mut all, last) = (Vec::new(), count % 4);
        for index in 0..=last {
            let mut payload = Vec::new();
            let kind = match index < last {
                true => Kind::More,
                false if count & 4 == 0 => Kind::Effects,
                false => Kind::Part,
            };
            if index == 0 && count & 4 != 0 {
                PartHead { id: seq, shards: vec![1, 2] }.encode(&mut payload);
            }
            // Payloads of bytes that were written before look like records.
            let from = bytes.len().saturating_sub(usize::from(*length)) / 8 * 8;
            let effects =
                if count & 8 == 0 { vec![*length; usize::from(*length)] } else { bytes[from..].to_vec() };
            payload.extend_from_slice(&effects);
            all.extend_from_slice(&effects);
            records.push((bytes.len(), seq, durable));
            append(&mut bytes, HEADER.seed, seq, durable, kind, &payload);
            seq += 1;
        }
        groups.push((seq - 1, all));
        durable += u64::from(*sync).min(seq - 1 - durable);
    }
    let written = bytes.clone();
    for damage in input.get(1..).unwrap_or_default().chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([damage[0], damage[1]])) + 64;
        if at < bytes.len() {
            bytes[at] ^= damage[2];
        }
    }

    let found = scan(&bytes, &HEADER);
    let mut count = 0;
    for (group, (last_seq, payload)) in Groups::new(&bytes, found.end).zip(&groups) {
        let group = group.expect("a valid range");
        assert_eq!((group.last_seq, &group.payload[..]), (*last_seq, &payload[..]));
        count += 1;
    }
    assert_eq!(count, found.groups, "nothing that was never written");
    let known = (records.iter())
        .filter(|(at, _, _)| read(&bytes[*at..], HEADER.seed) == read(&written[*at..], HEADER.seed))
        .map(|(_, _, durable)| *durable)
        .max()
        .unwrap_or(0);
    match found.tail {
        // The proof may be the copy of a record in a payload: what it says is true all the same.
        Tail::Corrupt { proof_seq, .. } => {
            assert!(
                records.iter().any(|(_, seq, durable)| *seq == proof_seq && *durable >= found.missing_seq)
            );
        }
        Tail::Torn { .. } | Tail::Open => assert!(known < found.missing_seq, "{known} was known, {found:?}"),
        Tail::Closed => panic!("never ended"),
    }
});
