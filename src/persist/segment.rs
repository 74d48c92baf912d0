//! One file of the append-only file: its header, how far its records are valid, and the groups in them. Looks at bytes and never at
//! files; what to do about a bad place is said here, and done by who has the file.
//!
//! ```text
//! segment: header, 64 bytes | record ... | zeros
//!
//! header:  "CVAOFSEG" | version u32 | shards u16 | shard u16 | generation u64 | number u64 | first seq u64
//!          | created i64, Unix ms | seed u32 | 8 zeros | crc u32
//! ```
//!
//! Little-endian. The header's checksum is CRC-32 (IEEE) over the 60 bytes before it. Another layout of what follows the header gets
//! another version; magic, version and checksum stay where they are. Records are in `persist/record`. Zeros behind the last one say
//! that nothing more was written: a file may have more space than it uses.
//!
//! # What a bad place means
//!
//! A place is bad where a record must follow and none does: [`BadRecord`] has the reasons. Bytes that were never synced may be there
//! after a crash, or not, or in part, and in any order. So what counts is not whether something follows, but what it says:
//!
//! | behind the bad place | verdict |
//! |---|---|
//! | a record that verifies and knows the missing one to be durable | [`Tail::Corrupt`]: the disk lost what it had |
//! | records that verify and do not know it, or none | [`Tail::Torn`]: a crash, and nothing that anybody was told of |
//!
//! Two more cases need no look ahead. A record whose checksum holds and which cannot be there was written so: `Corrupt`. A group
//! without its last record is `Torn`.
//!
//! Only this segment is looked at. A later segment of the stream whose [`Scan::durable`] is at least this one's
//! [`Scan::missing_seq`] makes corruption of a torn tail, and also of an open one.
//!
//! The seed keeps this safe and fast: bytes of a value that look like records do not verify, since nobody who could send them
//! knows it; and a look ahead sums up each byte once, however many places look like headers.

use std::borrow::Cow;

use crate::base::limits::SHARDS_MAX;
use crate::persist::record::{self, ALIGN_BYTES, BadRecord, Header, Kind, PartHead, Record};
use crate::persist::whole::PartAt;

/// Bytes before the first record.
pub const SEGMENT_HEADER_BYTES: usize = 64;
/// The version written, and the only one read.
pub const SEGMENT_VERSION: u32 = 1;
const MAGIC: &[u8; 8] = b"CVAOFSEG";
/// Between two sums that a look ahead keeps, bytes: 4 bytes of memory for so many of the file.
const SUM_STEP_BYTES: usize = 512;

/// How a segment begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// How many shards the generation has, and so streams.
    pub shards: u16,
    /// Whose stream this is.
    pub shard: u16,
    /// Which start of the process wrote it.
    pub generation: u64,
    /// Which segment of the stream this is.
    pub number: u64,
    /// The sequence number of its first record, from 1 on.
    pub first_seq: u64,
    /// When it was created, Unix milliseconds. Nothing depends on it.
    pub created_ms: i64,
    /// What its checksums begin with: random, and another one for each segment.
    pub seed: u32,
}

/// Why bytes are no header of a segment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHeader {
    /// The file is too short to have one.
    #[error(
        "{left} bytes, where a segment of the append-only file begins with a header of {SEGMENT_HEADER_BYTES}"
    )]
    Short { left: usize },
    /// Another kind of file.
    #[error("no segment of an append-only file: it does not begin with {}", MAGIC.escape_ascii())]
    Magic,
    /// The checksum does not hold.
    #[error("the segment's header is damaged: its checksum is {found:08x} and should be {computed:08x}")]
    Checksum { found: u32, computed: u32 },
    /// Another version wrote it.
    #[error("a segment of version {found}, where this program reads version {SEGMENT_VERSION}")]
    Version { found: u32 },
    /// The checksum holds, yet no such segment can be.
    #[error("the segment's header is whole and says what none can: {0}")]
    Foreign(&'static str),
}

impl SegmentHeader {
    /// As bytes.
    pub fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        bytes[0..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&SEGMENT_VERSION.to_le_bytes());
        bytes[12..14].copy_from_slice(&self.shards.to_le_bytes());
        bytes[14..16].copy_from_slice(&self.shard.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.generation.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.number.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.first_seq.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.created_ms.to_le_bytes());
        bytes[48..52].copy_from_slice(&self.seed.to_le_bytes());
        let crc = record::checksum(0, &bytes[..60]);
        bytes[60..64].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header at the beginning of a segment's bytes.
    pub fn decode(bytes: &[u8]) -> Result<SegmentHeader, BadHeader> {
        let Some((bytes, _)) = bytes.split_first_chunk::<SEGMENT_HEADER_BYTES>() else {
            return Err(BadHeader::Short { left: bytes.len() });
        };
        if &bytes[..8] != MAGIC {
            return Err(BadHeader::Magic);
        }
        let u16_at = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let u32_at = |at: usize| u32::from(u16_at(at)) | u32::from(u16_at(at + 2)) << 16;
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        let (found, computed) = (u32_at(60), record::checksum(0, &bytes[..60]));
        if found != computed {
            return Err(BadHeader::Checksum { found, computed });
        }
        // After the checksum, which is in the same place in all versions: a flipped bit does not pass for another version.
        if u32_at(8) != SEGMENT_VERSION {
            return Err(BadHeader::Version { found: u32_at(8) });
        }
        let header = SegmentHeader {
            shards: u16_at(12),
            shard: u16_at(14),
            generation: u64_at(16),
            number: u64_at(24),
            first_seq: u64_at(32),
            created_ms: u64_at(40) as i64,
            seed: u32_at(48),
        };
        if header.shard >= header.shards || usize::from(header.shards) > SHARDS_MAX {
            return Err(BadHeader::Foreign("a shard that there cannot be"));
        }
        // Half of all numbers: whatever follows, counting on from there cannot overflow.
        if header.first_seq == 0 || header.first_seq > u64::MAX / 2 {
            return Err(BadHeader::Foreign("a number of its first record that there cannot be"));
        }
        if u64_at(52) != 0 {
            return Err(BadHeader::Foreign("something where this version has zeros"));
        }
        Ok(header)
    }
}

/// What a segment holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    /// Offset behind the last whole group, and behind `End` if there is one: where to cut.
    pub end: usize,
    /// The sequence number of what would be written there.
    pub next_seq: u64,
    /// The sequence number of the first record that is not there: `next_seq`, or more if the last group is unfinished.
    pub missing_seq: u64,
    /// The largest sequence number that its valid records know to be durable, in this segment or before it; 0 if they know nothing.
    pub durable: u64,
    /// The parts of transactions among its groups, in order.
    pub parts: Vec<PartAt>,
    /// How many whole groups there are.
    pub groups: u64,
    /// What comes behind them.
    pub tail: Tail,
}

/// What comes behind the last whole group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tail {
    /// Nothing, and nothing was to come: the segment ended with `End`.
    Closed,
    /// The end of the file, or zeros up to it.
    Open,
    /// What a crash leaves of writes that were not durable: to be cut off at `Scan::end`. `at` is the offset of the bad place.
    Torn { at: usize, why: BadRecord },
    /// What no crash leaves. The record at `proof_at`, with sequence number `proof_seq`, knows better; it is at the bad place itself
    /// if that has a record whose checksum holds.
    Corrupt { at: usize, why: BadRecord, proof_at: usize, proof_seq: u64 },
}

/// Reads a segment to its end, header included in `bytes`: offsets are those in the file.
///
/// # Panics
///
/// If `bytes` are shorter than a header, which has been read from them.
pub fn scan(bytes: &[u8], header: &SegmentHeader) -> Scan {
    assert!(bytes.len() >= SEGMENT_HEADER_BYTES, "{} bytes with a header in them", bytes.len());
    let mut scan = Scan {
        end: SEGMENT_HEADER_BYTES,
        next_seq: header.first_seq,
        missing_seq: header.first_seq,
        durable: 0,
        parts: Vec::new(),
        groups: 0,
        tail: Tail::Open,
    };
    let mut at = SEGMENT_HEADER_BYTES;
    // The first record of a group that goes on: what its payload begins with.
    let mut beginning: Option<&[u8]> = None;
    scan.tail = loop {
        let expected = scan.missing_seq;
        let record = match next(&bytes[at..], header.seed, expected) {
            Ok(Some(record)) => record,
            Ok(None) if beginning.is_some() => {
                break Tail::Torn { at: scan.end, why: BadRecord::Unfinished { expected } };
            }
            Ok(None) => break Tail::Open,
            Err(why) => break verdict(bytes, header.seed, at, expected, why),
        };
        let head = beginning.get_or_insert(record.payload);
        let part = match record.kind {
            Kind::Effects | Kind::More => None,
            Kind::Part => match part_of(head, header) {
                Ok(head) => Some(head),
                Err(why) => break Tail::Corrupt { at, why, proof_at: at, proof_seq: expected },
            },
            Kind::End if scan.next_seq != expected => {
                let why = BadRecord::Foreign("the end of a segment within a group");
                break Tail::Corrupt { at, why, proof_at: at, proof_seq: expected };
            }
            Kind::End => None,
        };
        at += record.span;
        scan.missing_seq = expected + 1;
        scan.durable = scan.durable.max(record.durable);
        if record.kind == Kind::More {
            continue;
        }
        (scan.end, scan.next_seq, beginning) = (at, scan.missing_seq, None);
        if record.kind == Kind::End {
            // Nothing may follow; garbage is none of ours, but records that somebody counted on are.
            break match proof(bytes, header.seed, at, scan.next_seq) {
                Some((proof_at, proof_seq)) => {
                    let why = BadRecord::Foreign("the end of a segment that goes on");
                    Tail::Corrupt { at, why, proof_at, proof_seq }
                }
                None => Tail::Closed,
            };
        }
        scan.groups += 1;
        scan.parts.extend(part.map(|PartHead { id, shards }| PartAt { seq: expected, id, shards }));
    };
    scan
}

/// The record at the beginning of `rest`, which must be the expected one; `None` if there is nothing more.
fn next(rest: &[u8], seed: u32, expected: u64) -> Result<Option<Record<'_>>, BadRecord> {
    if rest.iter().take(record::HEADER_BYTES).all(|&byte| byte == 0) {
        return if is_zeros(rest) { Ok(None) } else { Err(BadRecord::Zeros { expected }) };
    }
    let record = record::read(rest, seed)?;
    if record.seq != expected {
        return Err(BadRecord::Sequence { found: record.seq, expected });
    }
    Ok(Some(record))
}

fn is_zeros(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<64>();
    words.iter().all(|word| *word == [0; 64]) && rest.iter().all(|&byte| byte == 0)
}

/// The head of a part whose group begins with this payload.
fn part_of(payload: &[u8], header: &SegmentHeader) -> Result<PartHead, BadRecord> {
    let (head, _) = PartHead::decode(payload)?;
    if head.shards.last().is_none_or(|&last| last >= header.shards) || !head.shards.contains(&header.shard) {
        return Err(BadRecord::Foreign("a transaction over shards that there are not, or not over its own"));
    }
    Ok(head)
}

/// What the bad place at `at` means, where the record `expected` must follow.
fn verdict(bytes: &[u8], seed: u32, at: usize, expected: u64, why: BadRecord) -> Tail {
    if let BadRecord::Foreign(_) = why {
        return Tail::Corrupt { at, why, proof_at: at, proof_seq: expected };
    }
    match proof(bytes, seed, at, expected) {
        Some((proof_at, proof_seq)) => Tail::Corrupt { at, why, proof_at, proof_seq },
        None => Tail::Torn { at, why },
    }
}

/// Offset and sequence number of the first record from `from` on that verifies and knows the record `missing` to be durable.
fn proof(bytes: &[u8], seed: u32, from: usize, missing: u64) -> Option<(usize, u64)> {
    // Made when the first place looks like a header: mostly none does.
    let mut sums = None;
    let (words, _) = bytes[from..].as_chunks::<ALIGN_BYTES>();
    for (index, window) in words.windows(record::HEADER_BYTES / ALIGN_BYTES).enumerate() {
        let header = Header::of(window.as_flattened().first_chunk().expect("a window is a header"));
        let at = from + index * ALIGN_BYTES;
        if header.plausible(bytes.len() - at).is_none() || header.durable() < missing {
            continue;
        }
        let sums = sums.get_or_insert_with(|| Sums::new(&bytes[from..]));
        if sums.checksum(seed, at - from + 4, at - from + header.end()) == header.crc {
            return Some((at, header.seq));
        }
    }
    None
}

/// Checksums of all beginnings of some bytes, at steps, from which that of any range follows. Without them, bytes that look like the
/// headers of long records everywhere would be summed up once for each.
struct Sums<'a> {
    bytes: &'a [u8],
    /// Of the first `index * SUM_STEP_BYTES` bytes.
    beginnings: Vec<u32>,
}

impl<'a> Sums<'a> {
    fn new(bytes: &'a [u8]) -> Sums<'a> {
        let mut beginnings = Vec::with_capacity(bytes.len() / SUM_STEP_BYTES + 1);
        let mut sum = 0;
        for step in bytes.chunks(SUM_STEP_BYTES) {
            beginnings.push(sum);
            sum = record::checksum(sum, step);
        }
        Sums { bytes, beginnings }
    }

    /// Of the bytes before `end`.
    fn beginning(&self, end: usize) -> u32 {
        let step = end.saturating_sub(1) / SUM_STEP_BYTES;
        record::checksum(self.beginnings[step], &self.bytes[step * SUM_STEP_BYTES..end])
    }

    /// What `record::checksum` says of the bytes from `start` to `end`, at least one, begun with this seed.
    fn checksum(&self, seed: u32, start: usize, end: usize) -> u32 {
        debug_assert!(start < end, "an empty range");
        // The sum of a beginning is that of its first bytes, moved on by the others' length, and with the others' own sum added.
        // Adding is XOR: what the first bytes gave goes out, and what the seed gives comes in.
        let mut sum = crc32fast::Hasher::new_with_initial(self.beginning(start) ^ seed);
        let length = (end - start) as u64;
        sum.combine(&crc32fast::Hasher::new_with_initial_len(self.beginning(end), length));
        sum.finalize()
    }
}

/// One group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group<'a> {
    /// Sequence number of the record that completes it.
    pub last_seq: u64,
    /// Offset of its first record.
    pub at: usize,
    /// Offset of the record behind it.
    pub end: usize,
    /// Which transaction it is part of, if over several shards.
    pub part: Option<PartHead>,
    /// Its effects, without the part's head. Borrowed if it is one record.
    pub payload: Cow<'a, [u8]>,
}

/// The groups in a range that [`scan`] found valid: nothing is summed up again. Bytes that have changed since end in an error, once.
#[derive(Clone, Debug)]
pub struct Groups<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Groups<'a> {
    /// The groups of a segment from its first record to `end`, as `Scan` has it. `bytes` are the file's.
    pub fn new(bytes: &'a [u8], end: usize) -> Groups<'a> {
        Groups::starting_at(bytes, SEGMENT_HEADER_BYTES, end)
    }

    /// The same from the record at this offset on: [`Group::at`] of one of them.
    ///
    /// # Panics
    ///
    /// If `end` is behind the end of the bytes.
    pub fn starting_at(bytes: &'a [u8], at: usize, end: usize) -> Groups<'a> {
        Groups { bytes: &bytes[..end], at }
    }

    /// Where to cut, so that what is left are the groups up to this sequence number: the offset behind the last of them. No further
    /// than where bytes have changed.
    pub fn offset_behind(mut self, seq: u64) -> usize {
        let mut end = self.at;
        while let Some(Ok(group)) = self.next() {
            if group.last_seq > seq {
                break;
            }
            end = group.end;
        }
        end
    }

    fn group(&mut self) -> Result<Option<Group<'a>>, BadRecord> {
        let start = self.at;
        let mut payload = Cow::Borrowed(&[][..]);
        while self.at < self.bytes.len() {
            let record = record::read_verified(&self.bytes[self.at..])?;
            if record.kind == Kind::End {
                break;
            }
            if self.at == start {
                payload = Cow::Borrowed(record.payload);
            } else {
                payload.to_mut().extend_from_slice(record.payload);
            }
            self.at += record.span;
            let part = match record.kind {
                Kind::Part => {
                    let (head, effects) = PartHead::decode(&payload)?;
                    let head_bytes = payload.len() - effects.len();
                    match &mut payload {
                        Cow::Borrowed(payload) => *payload = &payload[head_bytes..],
                        Cow::Owned(payload) => drop(payload.drain(..head_bytes)),
                    }
                    Some(head)
                }
                Kind::Effects => None,
                Kind::More | Kind::End => continue,
            };
            return Ok(Some(Group { last_seq: record.seq, at: start, end: self.at, part, payload }));
        }
        Ok(None)
    }
}

impl<'a> Iterator for Groups<'a> {
    /// A group; or the offset of what was valid and no longer is, and why.
    type Item = Result<Group<'a>, (usize, BadRecord)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.group().transpose().map(|group| {
            group.map_err(|why| {
                let at = self.at;
                self.at = self.bytes.len();
                (at, why)
            })
        })
    }
}

#[cfg(test)]
mod tests;
