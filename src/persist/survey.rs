//! What the segments that the manifest lists hold, and what is wrong with them: the decision table of a restart. Reads, and never changes
//! a file; what follows from a verdict is for `recovery` and `check`.
//!
//! A *stream* is what one shard of one generation wrote: its segments, one after the other. A stream is judged from its beginning, and
//! the first trouble in it decides. A segment that the manifest says has ended is *finished*: a start has read and synced it.
//!
//! | trouble | verdict |
//! |---|---|
//! | a segment is missing, is another one than its name says, or has another version | damaged |
//! | trouble in a finished segment, or one that does not end where the manifest says | damaged |
//! | a bad record, and a later one that verifies knows it to be durable, in this segment or a later one of the stream | damaged |
//! | a bad record, and none knows it | torn: the stream ends before it |
//! | a bad header, likewise | the same |
//! | nothing in a segment, as after a crash between making and using it | whole: the stream goes on in the next one |
//! | a segment begins with a later record than must follow, and the missing ones were durable or the segment before it closed | damaged |
//! | the same, and nobody knows | torn: the stream ends before it |
//! | a segment begins with an earlier record than must follow | damaged |
//!
//! A crash leaves a torn stream, and nobody was told of what is cut off. No crash leaves a damaged one.

use std::io;

use crate::persist::directory::{Name, SegmentName};
use crate::persist::disk::{Bytes, Disk, DiskError};
use crate::persist::manifest::{End, Listed, Manifest};
use crate::persist::segment::{BadHeader, Groups, SEGMENT_HEADER_BYTES, Scan, SegmentHeader, Tail, scan};
use crate::persist::whole::{Stream as Parts, whole};

/// All segments listed, by generation.
pub struct Survey {
    /// The generations that have segments, in the order in which they are replayed.
    pub generations: Vec<Generation>,
}

/// What one start of the process wrote.
pub struct Generation {
    /// Which.
    pub generation: u64,
    /// Its shards.
    pub shards: u16,
    /// Their streams, by shard. One without segments is empty.
    pub streams: Vec<Stream>,
}

/// What one shard of one generation wrote.
#[derive(Default)]
pub struct Stream {
    /// Its segments, in order.
    pub segments: Vec<Surveyed>,
    /// What they are worth.
    pub verdict: Verdict,
}

/// A listed segment, read.
pub struct Surveyed {
    /// What the manifest says about it.
    pub listed: Listed,
    /// The file.
    pub bytes: Bytes,
    /// What is in it.
    pub content: Content,
}

/// What is in a segment's file.
pub enum Content {
    /// There is no file.
    Missing,
    /// Nothing: it was made, and nothing written into it, or nothing of it kept.
    Unused,
    /// A header that is the one expected, and records up to somewhere.
    Records {
        /// The sequence number that the header says its first record has.
        first_seq: u64,
        /// How far they go.
        scan: Scan,
    },
    /// No header. Records may follow, which were read with what the manifest knows.
    Headless {
        /// What is wrong with the header.
        why: BadHeader,
        /// What follows it.
        scan: Option<Scan>,
    },
    /// A header whose checksum holds, of something else than what is listed.
    Foreign(String),
}

/// What a stream is worth.
#[derive(Default)]
pub enum Verdict {
    /// All of it.
    #[default]
    Whole,
    /// What comes before a place.
    Torn(Torn),
    /// Nothing that we may decide on.
    Damaged(Damage),
}

/// Where a crash has torn a stream.
pub struct Torn {
    /// Where the stream is to end.
    pub cut: Cut,
    /// Offset of the bad place in that segment.
    pub at: u64,
    /// What is there.
    pub why: String,
}

/// A place at which a stream can end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Index of the segment in its stream.
    pub segment: usize,
    /// Where that segment ends.
    pub end: End,
    /// Whole groups in that segment before it.
    pub groups: u64,
}

/// Bytes that are not what was written, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The segment.
    pub name: SegmentName,
    /// Offset in the file.
    pub at: u64,
    /// What is there, and how we know that it was something else.
    pub what: String,
    /// Where the stream would end if all from the bad place on were given up. None where that is not the stream's fault.
    pub cut: Option<Cut>,
}

impl Survey {
    /// Reads all segments that `manifest` lists.
    pub fn read(disk: &mut dyn Disk, manifest: &Manifest) -> Result<Survey, DiskError> {
        let mut generations = Vec::new();
        for generation in manifest.generations() {
            let listed: Vec<Listed> = manifest.of_generation(generation).copied().collect();
            let shards = listed.first().map_or(0, |listed| listed.shards);
            let mut streams: Vec<Stream> = (0..shards).map(|_| Stream::default()).collect();
            for listed in listed.chunk_by(|a, b| a.name.shard == b.name.shard) {
                streams[usize::from(listed[0].name.shard)] = Stream::read(disk, listed)?;
            }
            generations.push(Generation { generation, shards, streams });
        }
        Ok(Survey { generations })
    }

    /// What is damaged, in order.
    pub fn damages(&self) -> impl Iterator<Item = &Damage> {
        self.generations.iter().flat_map(Generation::damages)
    }
}

impl Generation {
    /// What is damaged, by shard.
    pub fn damages(&self) -> impl Iterator<Item = &Damage> {
        self.streams.iter().filter_map(|stream| match &stream.verdict {
            Verdict::Damaged(damage) => Some(damage),
            Verdict::Whole | Verdict::Torn(_) => None,
        })
    }

    /// What was finished and yet is to be cut: a start has left every transaction whole.
    pub fn torn_transaction(&self, cuts: &[Option<Cut>]) -> Option<Damage> {
        self.streams.iter().zip(cuts).find_map(|(stream, cut)| {
            let cut = (*cut)?;
            let segment = &stream.segments[cut.segment].listed;
            let is_last = cut.segment + 1 == stream.segments.len();
            (segment.end.is_some() && !(is_last && segment.end == Some(cut.end))).then(|| Damage {
                name: segment.name,
                at: cut.end.bytes,
                what: "a part of a transaction of which other shards lack theirs, and the manifest says that the log is finished"
                    .to_owned(),
                cut: Some(cut),
            })
        })
    }

    /// Where each stream is to end so that every transaction is there as a whole or not at all, by shard; none for a stream without
    /// segments. A damaged stream counts up to its bad place.
    pub fn cuts(&self) -> Vec<Option<Cut>> {
        let ends: Vec<Option<Cut>> = self.streams.iter().map(Stream::end).collect();
        let mut parts: Vec<Parts> =
            self.streams.iter().zip(&ends).map(|(stream, end)| stream.parts(*end)).collect();
        let before: Vec<u64> = parts.iter().map(|stream| stream.kept).collect();
        whole(&mut parts);
        let kept = parts.iter().zip(before).zip(&self.streams).zip(ends);
        kept.map(
            |(((parts, before), stream), end)| {
                if parts.kept == before { end } else { stream.cut_behind(parts.kept) }
            },
        )
        .collect()
    }
}

impl Stream {
    fn read(disk: &mut dyn Disk, listed: &[Listed]) -> Result<Stream, DiskError> {
        let mut segments: Vec<Surveyed> = Vec::new();
        // The manifest has the first one's: its decoder sees to that.
        let mut expected_seq = listed.first().and_then(|first| first.first_seq).unwrap_or(1);
        for &listed in listed {
            let segment = match disk.read(&Name::Segment(listed.name).to_string()) {
                Ok(bytes) => {
                    let content = Content::of(&listed, &bytes, expected_seq);
                    Surveyed { listed, bytes, content }
                }
                Err(error) if error.cause.kind() == io::ErrorKind::NotFound => {
                    Surveyed { listed, bytes: Vec::new().into(), content: Content::Missing }
                }
                Err(error) => return Err(error),
            };
            if let Content::Records { scan, .. } = &segment.content {
                expected_seq = scan.missing_seq;
            }
            segments.push(segment);
        }
        let verdict = judge(&segments);
        Ok(Stream { segments, verdict })
    }

    /// Where one of its segments ends by itself; an unused one with nothing.
    pub fn end_of(&self, segment: usize) -> Cut {
        end_of(&self.segments, segment)
    }

    /// Where the stream ends by itself.
    fn end(&self) -> Option<Cut> {
        match &self.verdict {
            Verdict::Whole => Some(self.end_of(self.segments.len().checked_sub(1)?)),
            Verdict::Torn(torn) => Some(torn.cut),
            Verdict::Damaged(damage) => damage.cut,
        }
    }

    /// The parts of transactions before `end`.
    fn parts(&self, end: Option<Cut>) -> Parts {
        let Some(end) = end else { return Parts::default() };
        let scans = self.segments[..=end.segment].iter().filter_map(Surveyed::scan);
        Parts {
            kept: end.end.next_seq - 1,
            parts: scans.flat_map(|scan| scan.parts.iter().cloned()).collect(),
        }
    }

    /// The end of the last group up to this sequence number.
    fn cut_behind(&self, kept_seq: u64) -> Option<Cut> {
        let holds =
            |(_, segment): &(usize, &Surveyed)| segment.scan().is_some_and(|scan| scan.next_seq > kept_seq);
        let (segment, surveyed) = self.segments.iter().enumerate().find(holds)?;
        let Content::Records { first_seq, scan } = &surveyed.content else { return None };
        if scan.next_seq - 1 == kept_seq {
            return Some(self.end_of(segment));
        }
        let (mut bytes, mut next_seq, mut groups) = (SEGMENT_HEADER_BYTES, *first_seq, 0);
        let valid = Groups::new(&surveyed.bytes, scan.end).map_while(Result::ok);
        for group in valid.take_while(|group| group.last_seq <= kept_seq) {
            (bytes, next_seq, groups) = (group.end, group.last_seq + 1, groups + 1);
        }
        Some(Cut { segment, end: End { bytes: bytes as u64, next_seq }, groups })
    }
}

impl Surveyed {
    /// How far its records go, if it has any and is the one expected.
    pub fn scan(&self) -> Option<&Scan> {
        match &self.content {
            Content::Records { scan, .. } => Some(scan),
            _ => None,
        }
    }

    /// Whether its file has something behind `end` that is not just reserved space.
    pub fn has_bytes_behind(&self, end: u64) -> bool {
        let behind = usize::try_from(end).ok().and_then(|end| self.bytes.get(end..));
        behind.is_some_and(|behind| behind.iter().any(|&byte| byte != 0))
    }
}

impl Content {
    /// What is in `bytes`, where the segment `listed` is expected, and record `expected_seq` first.
    pub fn of(listed: &Listed, bytes: &[u8], expected_seq: u64) -> Content {
        let beginning = &bytes[..bytes.len().min(SEGMENT_HEADER_BYTES)];
        if beginning.iter().all(|&byte| byte == 0) && bytes.iter().all(|&byte| byte == 0) {
            return Content::Unused;
        }
        match SegmentHeader::decode(bytes) {
            Ok(header) => match mismatch(listed, &header) {
                Some(what) => Content::Foreign(what),
                None => Content::Records { first_seq: header.first_seq, scan: scan(bytes, &header) },
            },
            Err(why @ (BadHeader::Version { .. } | BadHeader::Foreign(_))) => {
                Content::Foreign(why.to_string())
            }
            Err(why @ (BadHeader::Short { .. } | BadHeader::Magic | BadHeader::Checksum { .. })) => {
                let assumed = header_of(listed, expected_seq, 0);
                let is_long = bytes.len() >= SEGMENT_HEADER_BYTES;
                let scan = is_long.then(|| scan(bytes, &assumed));
                // A crash leaves zeros where it loses something. Other bytes, and nothing of ours behind them, are somebody else's file.
                let is_ours = scan.as_ref().is_some_and(|scan| scan.groups > 0 || scan.durable > 0);
                if matches!(why, BadHeader::Magic) && beginning[..8] != [0; 8] && !is_ours {
                    return Content::Foreign(why.to_string());
                }
                Content::Headless { why, scan }
            }
        }
    }
}

/// The header of a listed segment whose first record is `first_seq`.
pub fn header_of(listed: &Listed, first_seq: u64, created_ms: i64) -> SegmentHeader {
    let Listed { name: SegmentName { generation, shard, number }, shards, seed, .. } = *listed;
    SegmentHeader { shards, shard, generation, number, first_seq, created_ms, seed }
}

/// How a header differs from that of the segment that is listed.
fn mismatch(listed: &Listed, header: &SegmentHeader) -> Option<String> {
    let same = SegmentHeader { seed: header.seed, ..header_of(listed, header.first_seq, header.created_ms) };
    if *header != same {
        let SegmentHeader { shards, shard, generation, number, .. } = header;
        return Some(format!(
            "the header is that of another segment: generation {generation}, shard {shard} of {shards}, number {number}"
        ));
    }
    (header.seed != listed.seed).then(|| {
        let (found, expected) = (header.seed, listed.seed);
        format!("the header is that of a segment of other data: seed {found:08x}, where the manifest says {expected:08x}")
    })
}

/// A place that is not as it must be, and which record is missing there.
struct Trouble {
    segment: usize,
    at: u64,
    /// Where the stream can end, if it is this file that went bad.
    cut: Option<Cut>,
    missing_seq: u64,
    why: String,
    /// How we know that no crash explains it, from the place itself.
    proof: Option<String>,
    /// The first segment that may know better.
    later: usize,
}

/// The verdict on a stream.
fn judge(segments: &[Surveyed]) -> Verdict {
    let Some(trouble) = trouble(segments) else { return Verdict::Whole };
    let Trouble { segment, at, cut, missing_seq, why, proof, later } = trouble;
    let proof = proof.or_else(|| proof_in(segments, later, missing_seq));
    match (proof, cut) {
        (None, Some(cut)) => Verdict::Torn(Torn { cut, at, why }),
        (proof, cut) => {
            let name = segments[segment].listed.name;
            let what = [Some(why), proof].into_iter().flatten().collect::<Vec<_>>().join("; ");
            Verdict::Damaged(Damage { name, at, what, cut })
        }
    }
}

/// Why record `missing_seq` must have been durable, from the segments from `later` on.
fn proof_in(segments: &[Surveyed], later: usize, missing_seq: u64) -> Option<String> {
    segments[later..].iter().find_map(|segment| {
        let name = Name::Segment(segment.listed.name);
        if segment.listed.end.is_some() {
            return Some(format!("{name}, which comes after it, is finished"));
        }
        let scan = segment.scan()?;
        let knows = scan.durable >= missing_seq || matches!(scan.tail, Tail::Corrupt { .. });
        knows.then(|| format!("{name}, which comes after it, knows that record {missing_seq} was durable"))
    })
}

/// The first trouble of a stream.
fn trouble(segments: &[Surveyed]) -> Option<Trouble> {
    let mut expected_seq = segments.first()?.listed.first_seq.unwrap_or(1);
    for (i, segment) in segments.iter().enumerate() {
        let finished = segment.listed.end;
        // By default the stream ends with nothing of this segment, and there is no doubt about it.
        let nothing = Cut { segment: i, end: End { bytes: 0, next_seq: expected_seq }, groups: 0 };
        let certain = |why: String, proof: &str| Trouble {
            segment: i,
            at: 0,
            cut: Some(nothing),
            missing_seq: expected_seq,
            why,
            proof: Some(proof.to_owned()),
            later: i + 1,
        };
        match &segment.content {
            Content::Missing => return Some(certain("the file is missing".into(), LISTED)),
            Content::Foreign(what) => return Some(Trouble { cut: None, ..certain(what.clone(), LISTED) }),
            Content::Unused => {
                if finished.is_some_and(|end| end.bytes > 0) {
                    return Some(certain("the file is empty".into(), FINISHED));
                }
                continue;
            }
            Content::Headless { why, scan } => {
                let knows = scan.as_ref().is_some_and(|scan| {
                    scan.durable >= expected_seq || matches!(scan.tail, Tail::Corrupt { .. })
                });
                let proof = finished
                    .map(|_| FINISHED)
                    .or(knows.then_some("a record in it knows that it was durable"));
                let trouble = certain(why.to_string(), "");
                return Some(Trouble { proof: proof.map(str::to_owned), ..trouble });
            }
            Content::Records { first_seq, scan } => {
                if *first_seq != expected_seq
                    || segment.listed.first_seq.is_some_and(|listed| listed != *first_seq)
                {
                    let trouble = discontinuity(segments, i, expected_seq, *first_seq);
                    return Some(trouble.unwrap_or_else(|| {
                        let why = format!(
                            "the first record is {first_seq}, where record {expected_seq} must follow"
                        );
                        certain(why, "no crash puts it there")
                    }));
                }
                let cut = end_of(segments, i);
                if let Some(trouble) = trouble_within(i, scan, cut, finished) {
                    return Some(trouble);
                }
                expected_seq = scan.next_seq;
            }
        }
    }
    None
}

const LISTED: &str = "the manifest lists a segment of that name";
const FINISHED: &str = "the manifest says that it is finished";

/// Trouble with segment `i` beginning later than the stream ended: records are missing between them. None if it begins earlier.
fn discontinuity(segments: &[Surveyed], i: usize, expected_seq: u64, first_seq: u64) -> Option<Trouble> {
    let before = i.checked_sub(1).filter(|_| first_seq > expected_seq)?;
    let cut = end_of(segments, before);
    let is_closed = segments[before].scan().is_some_and(|scan| scan.tail == Tail::Closed);
    let name = Name::Segment(segments[i].listed.name);
    Some(Trouble {
        segment: before,
        at: cut.end.bytes,
        cut: Some(cut),
        missing_seq: expected_seq,
        why: format!(
            "nothing where record {expected_seq} must follow, and {name} goes on with record {first_seq}"
        ),
        proof: is_closed.then(|| "the segment was closed".to_owned()),
        later: i,
    })
}

/// Trouble with the records of segment `i`, which ends at `cut`.
fn trouble_within(i: usize, scan: &Scan, cut: Cut, finished: Option<End>) -> Option<Trouble> {
    let (at, why, proof) = match &scan.tail {
        Tail::Closed | Tail::Open => {
            let end = finished.filter(|end| *end != cut.end)?;
            let why = format!(
                "the records end here with record {}, where the manifest says byte {} and record {}",
                cut.end.next_seq - 1,
                end.bytes,
                end.next_seq - 1
            );
            (cut.end.bytes, why, Some(FINISHED.to_owned()))
        }
        Tail::Torn { at, why } => (*at as u64, why.to_string(), finished.map(|_| FINISHED.to_owned())),
        Tail::Corrupt { at, why, proof_at, proof_seq } => {
            let proof = if proof_at == at {
                format!("the checksum of record {proof_seq} holds")
            } else {
                format!(
                    "record {proof_seq} at byte {proof_at} knows that record {} was durable",
                    scan.missing_seq
                )
            };
            (*at as u64, why.to_string(), Some(proof))
        }
    };
    Some(Trouble { segment: i, at, cut: Some(cut), missing_seq: scan.missing_seq, why, proof, later: i + 1 })
}

/// See [`Stream::end_of`].
fn end_of(segments: &[Surveyed], i: usize) -> Cut {
    let before = segments[..i].iter().rev().find_map(Surveyed::scan).map(|scan| scan.next_seq);
    let (end, groups) = match segments[i].scan() {
        Some(scan) => (End { bytes: scan.end as u64, next_seq: scan.next_seq }, scan.groups),
        None => {
            let first_seq = before.or(segments[0].listed.first_seq).unwrap_or(1);
            (End { bytes: 0, next_seq: first_seq }, 0)
        }
    };
    Cut { segment: i, end, groups }
}
