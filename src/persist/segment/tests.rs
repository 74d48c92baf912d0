//! Tests of segments: the golden file, each line of the verdicts, crashes and flipped bits against what was written.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::base::limits::RECORD_PAYLOAD_BYTES_MAX;
use crate::persist::record::{HEADER_BYTES, append, append_group};

const HEADER: SegmentHeader = SegmentHeader {
    shards: 4,
    shard: 1,
    generation: 7,
    number: 3,
    first_seq: 100,
    created_ms: 1_700_000_000_000,
    seed: 0xC0FF_EE11,
};

/// A group as it was written.
#[derive(Clone, Debug, PartialEq)]
struct Written {
    first_seq: u64,
    last_seq: u64,
    at: usize,
    end: usize,
    part: Option<PartHead>,
    payload: Vec<u8>,
}

/// A segment that is being written, and what a reader must find in it.
#[derive(Clone, Debug)]
struct Writer {
    bytes: Vec<u8>,
    seq: u64,
    durable: u64,
    groups: Vec<Written>,
    /// Offset, sequence number and span of each record.
    records: Vec<(usize, u64, usize)>,
}

impl Writer {
    fn new() -> Writer {
        let (bytes, first) = (HEADER.encode().to_vec(), HEADER.first_seq);
        Writer { bytes, seq: first, durable: first - 1, groups: Vec::new(), records: Vec::new() }
    }

    fn record(&mut self, kind: Kind, payload: &[u8]) {
        let at = self.bytes.len();
        append(&mut self.bytes, HEADER.seed, self.seq, self.durable, kind, payload);
        self.records.push((at, self.seq, self.bytes.len() - at));
        self.seq += 1;
    }

    /// A group of as many records as there are payloads, which is a part of the transaction if there is one.
    fn group(&mut self, payloads: &[&[u8]], transaction: Option<u64>) {
        let (first_seq, at) = (self.seq, self.bytes.len());
        let part = transaction.map(|id| PartHead { id, shards: vec![0, HEADER.shard, 3] });
        for (index, payload) in payloads.iter().enumerate() {
            let mut bytes = Vec::new();
            if let (0, Some(part)) = (index, &part) {
                part.encode(&mut bytes);
            }
            bytes.extend_from_slice(payload);
            let last = if part.is_some() { Kind::Part } else { Kind::Effects };
            self.record(if index + 1 < payloads.len() { Kind::More } else { last }, &bytes);
        }
        let (last_seq, end, payload) = (self.seq - 1, self.bytes.len(), payloads.concat());
        self.groups.push(Written { first_seq, last_seq, at, end, part, payload });
    }

    fn sync(&mut self) {
        self.durable = self.seq - 1;
    }

    fn end(&mut self) {
        self.sync();
        self.record(Kind::End, &[]);
    }

    fn scan(&self) -> Scan {
        scan(&self.bytes, &HEADER)
    }
}

/// The groups that a scan found, checked against what it says itself.
fn found(bytes: &[u8], scan: &Scan) -> Vec<Written> {
    let mut first_seq = HEADER.first_seq;
    let found: Vec<Written> = Groups::new(bytes, scan.end)
        .map(|group| {
            let group = group.expect("the range was found valid");
            let written = Written {
                first_seq,
                last_seq: group.last_seq,
                at: group.at,
                end: group.end,
                part: group.part,
                payload: group.payload.into_owned(),
            };
            first_seq = group.last_seq + 1;
            written
        })
        .collect();
    let last = found.last().map_or(HEADER.first_seq - 1, |group| group.last_seq);
    assert_eq!(scan.groups, found.len() as u64);
    assert_eq!(scan.next_seq, last + 1 + u64::from(scan.tail == Tail::Closed));
    assert!(scan.missing_seq >= scan.next_seq);
    assert!(scan.durable < scan.missing_seq, "nobody knows more than there is");
    let parts = found.iter().filter_map(|group| {
        let part = group.part.clone()?;
        Some(PartAt { seq: group.last_seq, id: part.id, shards: part.shards })
    });
    assert!(parts.eq(scan.parts.iter().cloned()));
    for group in &found {
        let mut from_there = Groups::starting_at(bytes, group.at, scan.end);
        let again = from_there.next().expect("the group").expect("the range was found valid");
        assert_eq!((again.last_seq, &again.payload[..]), (group.last_seq, &group.payload[..]));
        assert_eq!(Groups::new(bytes, scan.end).offset_behind(group.last_seq), group.end);
        assert_eq!(Groups::new(bytes, scan.end).offset_behind(group.first_seq - 1), group.at);
    }
    found
}

// ----------------------------------------------------------------------------------------------------------
// Layout
// ----------------------------------------------------------------------------------------------------------

/// One of each kind of record, and space that was never used.
fn golden() -> Writer {
    let mut writer = Writer::new();
    writer.group(&[b"effects"], None);
    writer.sync();
    writer.group(&[b"a group", b"of three", b"records"], None);
    writer.group(&[b"its effects"], Some(300));
    writer.end();
    writer.bytes.resize(384, 0);
    writer
}

#[test]
fn golden_file() {
    let golden = golden();
    let file = include_bytes!("golden-1.cvl");
    assert_eq!(golden.bytes.escape_ascii().to_string(), file.escape_ascii().to_string());
    assert_eq!(SegmentHeader::decode(file), Ok(HEADER));
    let scan = scan(file, &HEADER);
    assert_eq!((&scan.tail, scan.next_seq, scan.durable), (&Tail::Closed, 106, 104));
    assert_eq!(found(file, &scan), golden.groups);
}

#[test]
fn a_header_that_is_none_says_why() {
    let bytes = HEADER.encode();
    let text = |bytes: &[u8]| SegmentHeader::decode(bytes).expect_err("no header").to_string();
    let refreshed = |at: usize, with: &[u8]| {
        let mut bytes = bytes;
        bytes[at..at + with.len()].copy_from_slice(with);
        let crc = record::checksum(0, &bytes[..60]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        bytes
    };
    assert_eq!(text(&[]), "0 bytes, where a segment of the append-only file begins with a header of 64");
    assert_eq!(
        text(&bytes[..63]),
        "63 bytes, where a segment of the append-only file begins with a header of 64"
    );
    assert_eq!(text(&[0; 64]), "no segment of an append-only file: it does not begin with CVAOFSEG");
    assert_eq!(text(&refreshed(8, &[2])), "a segment of version 2, where this program reads version 1");
    let foreign = |what: &str| format!("the segment's header is whole and says what none can: {what}");
    assert_eq!(text(&refreshed(14, &[4])), foreign("a shard that there cannot be"));
    assert_eq!(text(&refreshed(12, &[1, 4])), foreign("a shard that there cannot be"));
    assert_eq!(text(&refreshed(32, &[0])), foreign("a number of its first record that there cannot be"));
    assert_eq!(text(&refreshed(39, &[0x80])), foreign("a number of its first record that there cannot be"));
    assert_eq!(text(&refreshed(56, &[1])), foreign("something where this version has zeros"));
    for bit in 64..bytes.len() * 8 {
        let mut bytes = bytes;
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(matches!(SegmentHeader::decode(&bytes), Err(BadHeader::Checksum { .. })), "bit {bit}");
    }
}

#[test]
fn a_group_larger_than_a_record_becomes_several() {
    let (large, small) = (vec![b'x'; RECORD_PAYLOAD_BYTES_MAX - 3], b"123456789".repeat(2));
    let mut writer = Writer::new();
    let head = PartHead { id: u64::MAX, shards: vec![1, 2] };
    let mut head_bytes = Vec::new();
    head.encode(&mut head_bytes);
    append_group(&mut writer.bytes, HEADER.seed, &mut writer.seq, 99, Kind::Effects, &[]);
    append_group(
        &mut writer.bytes,
        HEADER.seed,
        &mut writer.seq,
        99,
        Kind::Part,
        &[&head_bytes, &large, &[], &small],
    );
    append_group(&mut writer.bytes, HEADER.seed, &mut writer.seq, 99, Kind::Effects, &[&large, b"123"]);
    assert_eq!(writer.seq, 104, "one record, two, and one that is full");
    let scan = writer.scan();
    let groups = found(&writer.bytes, &scan);
    assert_eq!(scan.tail, Tail::Open);
    assert_eq!(groups.iter().map(|group| group.last_seq).collect::<Vec<_>>(), [100, 102, 103]);
    assert_eq!(groups[1].part, Some(head));
    assert!(groups[0].payload.is_empty());
    assert!(groups[1].payload == [&large[..], &small].concat());
    assert!(groups[2].payload == [&large[..], b"123"].concat());
}

#[test]
fn a_distance_that_does_not_fit_proves_nothing() {
    let durable_of = |seq: u64, durable: u64| {
        let mut bytes = Vec::new();
        append(&mut bytes, 1, seq, durable, Kind::Effects, b"x");
        record::read(&bytes, 1).expect("a record").durable
    };
    let far = u64::from(u32::MAX);
    assert_eq!(durable_of(far + 10, 11), 11);
    assert_eq!(durable_of(far + 10, 10), 0);
    assert_eq!(durable_of(far + 10, 9), 0);
    assert_eq!(durable_of(1, 0), 0);
}

#[test]
fn the_head_of_a_part_is_taken_apart_with_care() {
    let text = |bytes: &'static [u8]| PartHead::decode(bytes).map_err(|why| why.to_string());
    let whole = |why: &str| Err(format!("{why}, in a record whose checksum holds"));
    assert_eq!(
        text(&[5, 2, 1, 3, b'r', b'e']),
        Ok((PartHead { id: 5, shards: vec![1, 3] }, &b"re"[..])),
        "what follows is handed back"
    );
    assert_eq!(text(&[5, 2, 1]), whole("the head of a transaction's part does not hold together"));
    assert_eq!(text(&[5, 0]), whole("a transaction over no number of shards that there can be"));
    assert_eq!(
        text(&[5, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F, 1]),
        whole("a transaction over no number of shards that there can be")
    );
    assert_eq!(text(&[5, 2, 3, 3]), whole("a transaction whose shards do not ascend"));
}

// ----------------------------------------------------------------------------------------------------------
// Verdicts
// ----------------------------------------------------------------------------------------------------------

/// Three groups of one record each, of which the first was durable when the last was written.
fn three() -> Writer {
    let mut writer = Writer::new();
    writer.group(&[b"first"], None);
    writer.sync();
    writer.group(&[b"second"], None);
    writer.group(&[b"third"], None);
    writer
}

#[test]
fn nothing_more_is_the_end_of_the_file_or_zeros() {
    let mut writer = three();
    assert_eq!(writer.scan().tail, Tail::Open);
    writer.bytes.resize(writer.bytes.len() + 5, 0);
    assert_eq!(writer.scan().tail, Tail::Open);
    writer.bytes.resize(writer.bytes.len() + 5000, 0);
    let scan = writer.scan();
    assert_eq!(
        scan,
        Scan {
            end: scan.end,
            next_seq: 103,
            missing_seq: 103,
            durable: 100,
            parts: vec![],
            groups: 3,
            tail: Tail::Open
        }
    );
    assert_eq!(found(&writer.bytes, &scan), writer.groups);

    let empty = Writer::new();
    assert_eq!((empty.scan().tail, empty.scan().durable, empty.scan().end), (Tail::Open, 0, 64));
}

#[test]
fn a_file_that_was_cut_is_torn() {
    let writer = three();
    let last = writer.groups[2].at;
    for length in last + 1..writer.bytes.len() {
        let scan = scan(&writer.bytes[..length], &HEADER);
        let left = length - last;
        let why = if left < HEADER_BYTES {
            BadRecord::HeaderCut { left }
        } else {
            BadRecord::PayloadCut { span: 32, left }
        };
        assert_eq!((scan.tail, scan.end, scan.next_seq), (Tail::Torn { at: last, why }, last, 102));
    }
    assert_eq!(scan(&writer.bytes[..last], &HEADER).tail, Tail::Open, "at a record's end nobody can tell");
}

#[test]
fn a_bad_record_is_torn_if_nobody_knows_that_it_was_durable() {
    for (group, bit) in [(1, 0), (1, 40), (1, 20 * 8), (1, 24 * 8), (2, 26 * 8 + 3)] {
        let mut writer = three();
        let at = writer.groups[group].at;
        writer.bytes[at + bit / 8] ^= 1 << (bit % 8);
        let scan = writer.scan();
        assert!(matches!(scan.tail, Tail::Torn { at: bad, .. } if bad == at), "{:?}", scan.tail);
        assert_eq!(found(&writer.bytes, &scan), writer.groups[..group]);
    }
}

#[test]
fn a_bad_record_that_a_later_one_knows_to_be_durable_is_corruption() {
    let mut writer = three();
    let (at, proof_at) = (writer.groups[0].at, writer.groups[1].at);
    writer.bytes[at + 25] ^= 4;
    let scan = writer.scan();
    let Tail::Corrupt { why: why @ BadRecord::Checksum { .. }, .. } = scan.tail.clone() else {
        panic!("{:?}", scan.tail);
    };
    assert_eq!(scan.tail, Tail::Corrupt { at, why, proof_at, proof_seq: 101 });
    assert_eq!((scan.end, scan.next_seq), (64, 100));
}

#[test]
fn zeros_before_records_are_a_bad_place_like_any_other() {
    let mut writer = three();
    let (at, end) = (writer.groups[1].at, writer.groups[1].end);
    writer.bytes[at..end].fill(0);
    assert_eq!(writer.scan().tail, Tail::Torn { at, why: BadRecord::Zeros { expected: 101 } });
    writer.sync();
    writer.group(&[b"fourth"], None);
    let proof_at = writer.groups[3].at;
    let why = BadRecord::Zeros { expected: 101 };
    assert_eq!(writer.scan().tail, Tail::Corrupt { at, why, proof_at, proof_seq: 103 });
}

#[test]
fn a_record_in_the_wrong_place_does_not_count() {
    let mut writer = three();
    let (first, second) = (writer.groups[0].clone(), writer.groups[1].clone());
    writer.bytes.copy_within(first.at..first.end, second.at);
    let scan = writer.scan();
    assert_eq!(
        scan.tail,
        Tail::Torn { at: second.at, why: BadRecord::Sequence { found: 100, expected: 101 } }
    );

    // A whole record was taken out of the middle: the one in its place knows of it.
    let mut writer = three();
    writer.sync();
    writer.group(&[b"fourth"], None);
    writer.bytes.drain(writer.groups[1].at..writer.groups[2].end);
    let (at, why) = (second.at, BadRecord::Sequence { found: 103, expected: 101 });
    assert_eq!(writer.scan().tail, Tail::Corrupt { at, why, proof_at: at, proof_seq: 103 });
}

#[test]
fn what_another_segment_left_behind_the_end_does_not_count() {
    let mut writer = three();
    let (at, left) = (writer.bytes.len(), 1000);
    for seq in 103..110 {
        append(&mut writer.bytes, HEADER.seed ^ 1, seq, seq - 1, Kind::Effects, b"of another segment");
    }
    writer.bytes.resize(at + left, 0);
    let scan = writer.scan();
    assert!(matches!(scan.tail, Tail::Torn { at: bad, why: BadRecord::Checksum { .. } } if bad == at));
    assert_eq!(found(&writer.bytes, &scan), writer.groups);
}

#[test]
fn a_group_without_its_last_record_is_torn() {
    let mut writer = three();
    let at = writer.bytes.len();
    writer.group(&[b"begins", b"goes on", b"ends"], None);
    let last = writer.records.last().expect("the last").0;
    writer.bytes.truncate(last);
    let scan = writer.scan();
    assert_eq!(scan.tail, Tail::Torn { at, why: BadRecord::Unfinished { expected: 105 } });
    assert_eq!((scan.end, scan.next_seq, scan.missing_seq), (at, 103, 105));
    writer.groups.pop();
    assert_eq!(found(&writer.bytes, &scan), writer.groups);
}

#[test]
fn an_end_proves_all_before_it() {
    let mut writer = three();
    writer.end();
    let scan = writer.scan();
    assert_eq!((&scan.tail, scan.durable, scan.next_seq), (&Tail::Closed, 102, 104));
    assert_eq!(scan.end, writer.bytes.len());

    let (at, proof_at) = (writer.groups[2].at, writer.groups[2].end);
    let mut flipped = writer.clone();
    flipped.bytes[at] ^= 1;
    assert!(matches!(
        flipped.scan().tail,
        Tail::Corrupt { at: bad, proof_at: proof, proof_seq: 103, .. } if (bad, proof) == (at, proof_at)
    ));
    let mut flipped = writer.clone();
    flipped.bytes[proof_at] ^= 1;
    let scan = flipped.scan();
    assert!(matches!(scan.tail, Tail::Torn { at: bad, .. } if bad == proof_at));
    assert_eq!(found(&flipped.bytes, &scan), writer.groups, "an end that is lost loses nothing else");
}

#[test]
fn only_records_matter_behind_an_end() {
    let mut writer = three();
    writer.end();
    writer.bytes.extend_from_slice(b"something else, longer than a header");
    assert_eq!(writer.scan().tail, Tail::Closed);
    writer.bytes.truncate(writer.records[3].0 + writer.records[3].2);
    writer.sync();
    let proof_at = writer.bytes.len();
    writer.group(&[b"another"], None);
    assert_eq!(writer.scan().tail, Tail::Closed, "nobody counts on it yet");
    writer.end();
    let Tail::Corrupt { at, proof_at: end_at, proof_seq: 105, why } = writer.scan().tail else { panic!() };
    assert_eq!((at, end_at > proof_at), (proof_at, true));
    assert_eq!(why.to_string(), "the end of a segment that goes on, in a record whose checksum holds");
}

#[test]
fn a_whole_record_that_cannot_be_is_corruption() {
    let check = |writer: &Writer, text: &str| {
        let at = writer.records.last().expect("a record").0;
        match writer.scan().tail {
            Tail::Corrupt { at: bad, proof_at, why, .. } => {
                assert_eq!((bad, proof_at), (at, at));
                assert_eq!(why.to_string(), format!("{text}, in a record whose checksum holds"));
            }
            tail => panic!("{tail:?}"),
        }
    };
    let part = |shards: &[u16]| {
        let mut writer = three();
        let mut payload = Vec::new();
        PartHead { id: 1, shards: shards.to_vec() }.encode(&mut payload);
        writer.record(Kind::Part, &payload);
        writer
    };
    check(&part(&[1, 4]), "a transaction over shards that there are not, or not over its own");
    check(&part(&[0, 2]), "a transaction over shards that there are not, or not over its own");
    assert_eq!(part(&[1]).scan().tail, Tail::Open);

    let mut writer = three();
    writer.record(Kind::Part, &[5]);
    check(&writer, "the head of a transaction's part does not hold together");

    let mut writer = three();
    writer.record(Kind::More, b"begins");
    writer.end();
    check(&writer, "the end of a segment within a group");

    // A kind that a later version might have, and one that says it was durable before it was written.
    for (at, byte) in [(20, 5), (21, 1), (16, 0)] {
        let mut writer = three();
        writer.sync();
        writer.record(Kind::Effects, b"x");
        let record = writer.records[3].0;
        writer.bytes[record + at] = byte;
        let crc = record::checksum(HEADER.seed, &writer.bytes[record + 4..record + 25]);
        writer.bytes[record..record + 4].copy_from_slice(&crc.to_le_bytes());
        check(&writer, "a kind or a sequence number that there cannot be");
    }
}

#[test]
fn groups_that_have_changed_since_end_in_an_error() {
    let mut writer = three();
    let end = writer.scan().end;
    let at = writer.groups[1].at;
    writer.bytes[at + 4] = 0xFF;
    let mut groups = Groups::new(&writer.bytes, end);
    assert!(groups.next().is_some_and(|group| group.is_ok()));
    assert!(matches!(groups.next(), Some(Err((bad, BadRecord::PayloadCut { .. }))) if bad == at));
    assert!(groups.next().is_none());
    assert_eq!(Groups::new(&writer.bytes, end).offset_behind(u64::MAX), at);
}

// ----------------------------------------------------------------------------------------------------------
// Crashes and flipped bits
// ----------------------------------------------------------------------------------------------------------

/// Where a written segment may be damaged, and what comes of it, whatever was written.
fn writers() -> impl Strategy<Value = Writer> {
    let payload = prop_oneof![
        vec(any::<u8>(), 0..60).prop_map(Payload::Bytes),
        (0..300usize).prop_map(Payload::Zeros),
        (any::<Index>(), 0..200usize).prop_map(|(from, length)| Payload::Copy(from, length)),
    ];
    let step = prop_oneof![
        4 => (vec(payload, 1..4), proptest::option::of(0..9u64)).prop_map(|(payloads, id)| Step::Group(payloads, id)),
        1 => Just(Step::Sync),
        1 => any::<Index>().prop_map(Step::SyncPart),
    ];
    (vec(step, 0..20), any::<bool>(), 0..100usize).prop_map(|(steps, ends, unused)| {
        let mut writer = Writer::new();
        for step in steps {
            match step {
                Step::Group(payloads, id) => {
                    let payloads: Vec<Vec<u8>> =
                        payloads.iter().map(|payload| payload.bytes(&writer.bytes)).collect();
                    writer.group(&payloads.iter().map(Vec::as_slice).collect::<Vec<_>>(), id);
                }
                Step::Sync => writer.sync(),
                Step::SyncPart(to) => {
                    let unsynced = (writer.seq - writer.durable) as usize;
                    writer.durable += to.index(unsynced) as u64;
                }
            }
        }
        if ends {
            writer.end();
        }
        writer.bytes.resize(writer.bytes.len() + unused, 0);
        writer
    })
}

#[derive(Clone, Debug)]
enum Step {
    Group(Vec<Payload>, Option<u64>),
    Sync,
    SyncPart(Index),
}

#[derive(Clone, Debug)]
enum Payload {
    Bytes(Vec<u8>),
    Zeros(usize),
    /// What was written before, records and all, as a client may have it that can read the file.
    Copy(Index, usize),
}

impl Payload {
    fn bytes(&self, written: &[u8]) -> Vec<u8> {
        match self {
            Payload::Bytes(bytes) => bytes.clone(),
            Payload::Zeros(length) => vec![0; *length],
            Payload::Copy(from, length) => {
                // Aligned as records are, behind a header of 24 bytes.
                let start = from.index(written.len()) / 8 * 8;
                written[start..written.len().min(start + length)].to_vec()
            }
        }
    }
}

/// `proof`, each place summed up by itself.
fn naive_proof(bytes: &[u8], from: usize, missing: u64) -> Option<(usize, u64)> {
    (from..bytes.len()).step_by(8).find_map(|at| {
        let record = record::read(&bytes[at..], HEADER.seed).ok()?;
        (record.durable >= missing).then_some((at, record.seq))
    })
}

/// What must hold of a segment in which everything up to `intact_seq` is as it was written.
fn check_prefix(writer: &Writer, bytes: &[u8], scan: &Scan, intact_seq: u64) -> Result<(), TestCaseError> {
    let found = found(bytes, scan);
    prop_assert!(found.len() <= writer.groups.len());
    prop_assert_eq!(&found[..], &writer.groups[..found.len()], "what was written, and nothing else");
    let intact = writer.groups.iter().filter(|group| group.last_seq <= intact_seq).count();
    prop_assert!(found.len() >= intact, "{} of {intact} intact groups", found.len());
    Ok(())
}

proptest! {
    #[test]
    fn what_is_written_is_read(writer in writers()) {
        let scan = writer.scan();
        let closed = writer.records.len() > writer.groups.iter().map(|g| (g.last_seq - g.first_seq + 1) as usize).sum();
        prop_assert_eq!(&scan.tail, if closed { &Tail::Closed } else { &Tail::Open });
        prop_assert_eq!(scan.missing_seq, writer.seq);
        check_prefix(&writer, &writer.bytes, &scan, u64::MAX)?;
    }

    /// Blocks that were not durable may be there or not, in any order, in sectors or in words: all that was durable is found, and nobody
    /// calls it corruption.
    #[test]
    fn a_crash_loses_only_what_was_not_durable(
        writer in writers(),
        durable in any::<Index>(),
        fates in vec(0..4u8, 64),
        block in prop_oneof![Just(8usize), Just(64), Just(512)],
        stale in any::<u8>(),
        cut in any::<Index>(),
    ) {
        // Anything from what the last record knew on may have been durable.
        let unsure = writer.records.iter().filter(|record| record.1 > writer.durable).count();
        let durable = writer.durable + durable.index(unsure + 1) as u64;
        let start = writer.records.iter().find(|record| record.1 > durable).map_or(writer.bytes.len(), |record| record.0);
        let mut bytes = writer.bytes.clone();
        for at in start..bytes.len() {
            match fates[at / block % fates.len()] {
                0 => bytes[at] = 0,
                1 => bytes[at] = stale,
                _ => {}
            }
        }
        bytes.truncate(start + cut.index(bytes.len() - start + 1));
        let scan = scan(&bytes, &HEADER);
        prop_assert!(!matches!(scan.tail, Tail::Corrupt { .. }), "{:?}", scan.tail);
        check_prefix(&writer, &bytes, &scan, durable)?;
    }

    /// One bit: the same groups as before, or corruption, or the loss of what nobody knew to be durable.
    #[test]
    fn a_flipped_bit_never_loses_durable_groups_silently(writer in writers(), bit in any::<Index>()) {
        prop_assume!(writer.bytes.len() > SEGMENT_HEADER_BYTES);
        let bit = SEGMENT_HEADER_BYTES * 8 + bit.index((writer.bytes.len() - SEGMENT_HEADER_BYTES) * 8);
        let mut bytes = writer.bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let scan = scan(&bytes, &HEADER);
        let hit = writer.records.iter().find(|record| record.0 + record.2 > bit / 8);
        match scan.tail {
            Tail::Corrupt { at, proof_at, .. } => {
                prop_assert_eq!(Some(at), hit.map(|record| record.0));
                prop_assert!(proof_at > at);
                check_prefix(&writer, &bytes, &scan, hit.map_or(0, |record| record.1 - 1))?;
            }
            // What later records knew does not reach it.
            Tail::Torn { .. } => {
                let known = hit.map_or(u64::MAX, |record| record.1);
                let mut later = writer.records.iter().filter(|record| record.1 > known);
                let durable = |record: &(usize, u64, usize)| {
                    record::read(&writer.bytes[record.0..], HEADER.seed).expect("as written").durable
                };
                prop_assert!(later.all(|record| durable(record) < known));
                check_prefix(&writer, &bytes, &scan, known - 1)?;
            }
            Tail::Open | Tail::Closed => check_prefix(&writer, &bytes, &scan, u64::MAX)?,
        }
    }

    #[test]
    fn a_look_ahead_finds_what_a_naive_one_finds(
        writer in writers(),
        flips in vec(any::<Index>(), 0..3),
        from in any::<Index>(),
        missing in 95..130u64,
    ) {
        let mut bytes = writer.bytes;
        for flip in flips {
            let bit = flip.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        let from = (SEGMENT_HEADER_BYTES + from.index(bytes.len()) / 8 * 8).min(bytes.len());
        prop_assert_eq!(proof(&bytes, HEADER.seed, from, missing), naive_proof(&bytes, from, missing));
    }

    #[test]
    fn sums_are_checksums(
        bytes in vec(any::<u8>(), 1..3000),
        seed in any::<u32>(),
        start in any::<Index>(),
        end in any::<Index>(),
    ) {
        let start = start.index(bytes.len());
        let end = start + 1 + end.index(bytes.len() - start);
        prop_assert_eq!(Sums::new(&bytes).checksum(seed, start, end), record::checksum(seed, &bytes[start..end]));
    }

    #[test]
    fn any_bytes_are_read_without_harm(mut bytes in vec(prop_oneof![Just(0u8), 1..5u8, any::<u8>()], 0..400)) {
        let _ = SegmentHeader::decode(&bytes);
        let _ = PartHead::decode(&bytes);
        let _ = record::read_verified(&bytes);
        bytes.splice(0..0, HEADER.encode());
        let scan = scan(&bytes, &HEADER);
        found(&bytes, &scan);
        for at in 0..bytes.len() {
            Groups::starting_at(&bytes, at, bytes.len()).for_each(drop);
        }
    }
}
