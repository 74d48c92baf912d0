//! One record of the append-only file: how it is written, and whether bytes are one. Never looks at what the effects in it mean,
//! and knows nothing of files.
//!
//! ```text
//! record: crc u32 | length u32 | seq u64 | unsynced u32 | kind u8 | 0 0 0 | payload ... | zeros up to a multiple of 8
//! ```
//!
//! Little-endian.
//!
//! | field | content |
//! |---|---|
//! | crc | CRC-32 (IEEE) from `length` to the end of the payload, begun with the segment's seed instead of 0 |
//! | length | bytes of payload, at most `RECORD_PAYLOAD_BYTES_MAX` |
//! | seq | 1 more than that of the record before, over all segments of a stream; from 1 on |
//! | unsynced | `seq` minus the largest sequence number known to be durable when this was written; 2^32 - 1 says that nobody knows |
//! | kind | see [`Kind`] |
//!
//! The seed is why a record that another segment left on the disk never verifies. `unsynced` is what tells a torn tail from damage: a
//! record that is there proves which of those before it must be there too.
//! The zeros behind the payload are not covered by the checksum and not looked at.
//!
//! # Groups
//!
//! A *group* takes effect as a whole or not at all: records of kind `More`, and one of kind `Effects` or `Part` that completes it. Its
//! payload is theirs, one after the other. That of a group which `Part` completes begins with a [`PartHead`], which lies in the
//! first record; behind it, and in any other group, are effects as `store::effect::encode` writes them.

use serde::Serialize;

use crate::base::limits::{RECORD_PAYLOAD_BYTES_MAX, SHARDS_MAX};

/// Bytes before the payload.
pub const HEADER_BYTES: usize = 24;
/// Records begin at multiples of this, bytes.
pub const ALIGN_BYTES: usize = 8;
/// `unsynced` of a record that proves nothing.
const UNSYNCED_UNKNOWN: u32 = u32::MAX;

/// What a record is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Effects; the group is complete.
    Effects = 1,
    /// The group goes on in the next record.
    More = 2,
    /// The group is complete, and is this shard's part of a transaction over several.
    Part = 3,
    /// Nothing follows in this segment, and everything before is durable. No payload, and no part of a group.
    End = 4,
}

impl Kind {
    fn of(byte: u8) -> Option<Kind> {
        [Kind::Effects, Kind::More, Kind::Part, Kind::End].into_iter().find(|&kind| kind as u8 == byte)
    }
}

/// Which transaction a group is part of, and who else has a part: how its payload begins, in postcard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartHead {
    /// The transaction, unique within a generation.
    pub id: u64,
    /// All shards that write a part, this one included, ascending. One that changes nothing may write a part without effects.
    pub shards: Vec<u16>,
}

impl PartHead {
    /// Appends it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        debug_assert!(self.shards.is_sorted_by(|a, b| a < b), "shards that do not ascend");
        *out = postcard::to_extend(self, std::mem::take(out)).expect("a vector takes any bytes");
    }

    /// The head at the beginning of these bytes, and what follows it. Checks that the shards ascend and that there is one, but not
    /// which there can be.
    pub fn decode(bytes: &[u8]) -> Result<(PartHead, &[u8]), BadRecord> {
        let bad = |_| BadRecord::Foreign("the head of a transaction's part does not hold together");
        // Number by number: postcard would make space for as many as the count promises.
        let ((id, count), mut rest) = postcard::take_from_bytes::<(u64, u64)>(bytes).map_err(bad)?;
        if count == 0 || count > SHARDS_MAX as u64 {
            return Err(BadRecord::Foreign("a transaction over no number of shards that there can be"));
        }
        let mut shards = Vec::new();
        for _ in 0..count {
            let (shard, behind) = postcard::take_from_bytes::<u16>(rest).map_err(bad)?;
            shards.push(shard);
            rest = behind;
        }
        if !shards.is_sorted_by(|a, b| a < b) {
            return Err(BadRecord::Foreign("a transaction whose shards do not ascend"));
        }
        Ok((PartHead { id, shards }, rest))
    }
}

/// A record that was read. Its checksum holds where [`read`] says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its sequence number.
    pub seq: u64,
    /// The largest sequence number that it knows to be durable; 0 if it proves nothing.
    pub durable: u64,
    /// What it is for.
    pub kind: Kind,
    /// The payload.
    pub payload: &'a [u8],
    /// All its bytes, those up to the next record included.
    pub span: usize,
}

/// Why bytes are no record that can stand where they stand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRecord {
    /// Fewer bytes are left than a header has.
    #[error("{left} bytes at the end of the file, where a record has {HEADER_BYTES} before its payload")]
    HeaderCut { left: usize },
    /// The header asks for more payload than a record has.
    #[error(
        "a record that would have {length} bytes of payload, where {RECORD_PAYLOAD_BYTES_MAX} are the most"
    )]
    TooLong { length: u32 },
    /// The record would end behind the end of the file.
    #[error("a record of {span} bytes of which the file has only {left}")]
    PayloadCut { span: usize, left: usize },
    /// The checksum does not hold.
    #[error("a record whose checksum is {found:08x} and should be {computed:08x}")]
    Checksum { found: u32, computed: u32 },
    /// A record, but not the one that must follow.
    #[error("record {found} where record {expected} must follow")]
    Sequence { found: u64, expected: u64 },
    /// Zeros, as behind the last record, but something else follows.
    #[error("zeros where record {expected} must follow, and something behind them")]
    Zeros { expected: u64 },
    /// The last group lacks its last record.
    #[error("a group of records that begins here and lacks its last one, record {expected}")]
    Unfinished { expected: u64 },
    /// The checksum holds, yet no version of the program that this one knows writes such a record.
    #[error("{0}, in a record whose checksum holds")]
    Foreign(&'static str),
}

/// Appends one record. `durable` is the largest sequence number known to be durable.
///
/// # Panics
///
/// If the payload is longer than `RECORD_PAYLOAD_BYTES_MAX`; if `durable` is not below `seq`; if an `End` has a payload or comes
/// before everything else is durable.
pub fn append(out: &mut Vec<u8>, seed: u32, seq: u64, durable: u64, kind: Kind, payload: &[u8]) {
    let start = open(out, seq, durable, kind, payload.len());
    out.extend_from_slice(payload);
    close(out, seed, start);
}

/// Appends one group whose payload is these pieces, one after the other: as many records as it needs, the last of this kind, the
/// others `More`. `seq` is the first one's sequence number, and afterwards the next free one.
///
/// # Panics
///
/// If the kind completes no group, or `durable` is not below `seq`.
pub fn append_group(
    out: &mut Vec<u8>,
    seed: u32,
    seq: &mut u64,
    durable: u64,
    kind: Kind,
    payload: &[&[u8]],
) {
    assert!(matches!(kind, Kind::Effects | Kind::Part), "{kind:?} completes no group");
    let mut left: usize = payload.iter().map(|piece| piece.len()).sum();
    let mut pieces = payload.iter().copied();
    let mut piece: &[u8] = &[];
    out.reserve(left + (left / RECORD_PAYLOAD_BYTES_MAX + 1) * (HEADER_BYTES + ALIGN_BYTES));
    loop {
        let length = left.min(RECORD_PAYLOAD_BYTES_MAX);
        left -= length;
        let start = open(out, *seq, durable, if left == 0 { kind } else { Kind::More }, length);
        let mut missing = length;
        while missing > 0 {
            if piece.is_empty() {
                piece = pieces.next().expect("`left` counts what the pieces have");
            }
            let (now, later) = piece.split_at(missing.min(piece.len()));
            out.extend_from_slice(now);
            (piece, missing) = (later, missing - now.len());
        }
        close(out, seed, start);
        *seq += 1;
        if left == 0 {
            return;
        }
    }
}

/// Appends a header that lacks its checksum. Returns where the record begins.
fn open(out: &mut Vec<u8>, seq: u64, durable: u64, kind: Kind, length: usize) -> usize {
    assert!(length <= RECORD_PAYLOAD_BYTES_MAX, "{length} bytes of payload");
    assert!(durable < seq, "record {seq} cannot be durable before it is written, as {durable} says");
    if kind == Kind::End {
        assert!(length == 0 && durable == seq - 1, "an end with {length} bytes, or before {durable} is all");
    }
    let start = out.len();
    // A distance that does not fit says that it is unknown; so does the largest that would.
    let unsynced = u32::try_from(seq - durable).unwrap_or(UNSYNCED_UNKNOWN);
    let mut header = [0; HEADER_BYTES];
    header[4..8].copy_from_slice(&(length as u32).to_le_bytes());
    header[8..16].copy_from_slice(&seq.to_le_bytes());
    header[16..20].copy_from_slice(&unsynced.to_le_bytes());
    header[20] = kind as u8;
    out.extend_from_slice(&header);
    start
}

/// Completes the record that begins at `start` and whose payload has been appended.
fn close(out: &mut Vec<u8>, seed: u32, start: usize) {
    let crc = checksum(seed, &out[start + 4..]);
    out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
    let length = out.len() - start;
    out.resize(start + length.next_multiple_of(ALIGN_BYTES), 0);
}

/// CRC-32 of the bytes, begun with this seed.
pub(super) fn checksum(seed: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(seed);
    hasher.update(bytes);
    hasher.finalize()
}

/// The record at the beginning of `bytes`, which go on to the end of the segment. Everything about it is checked but its place: that
/// its sequence number follows is for the caller to see.
pub fn read(bytes: &[u8], seed: u32) -> Result<Record<'_>, BadRecord> {
    let (header, covered) = frame(bytes)?;
    let computed = checksum(seed, covered);
    if header.crc != computed {
        return Err(BadRecord::Checksum { found: header.crc, computed });
    }
    header.record(covered)
}

/// As [`read`], but for bytes whose checksum is known to hold: a mapped file that was read once.
pub fn read_verified(bytes: &[u8]) -> Result<Record<'_>, BadRecord> {
    let (header, covered) = frame(bytes)?;
    header.record(covered)
}

/// The header at the beginning of `bytes`, and the bytes that its checksum covers.
fn frame(bytes: &[u8]) -> Result<(Header, &[u8]), BadRecord> {
    let Some((header, _)) = bytes.split_first_chunk() else {
        return Err(BadRecord::HeaderCut { left: bytes.len() });
    };
    let header = Header::of(header);
    if header.length as usize > RECORD_PAYLOAD_BYTES_MAX {
        return Err(BadRecord::TooLong { length: header.length });
    }
    if header.span() > bytes.len() {
        return Err(BadRecord::PayloadCut { span: header.span(), left: bytes.len() });
    }
    Ok((header, &bytes[4..header.end()]))
}

/// The fields of a header, as they are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub crc: u32,
    length: u32,
    pub seq: u64,
    unsynced: u32,
    /// Kind, and three bytes that are zero.
    kind: u32,
}

impl Header {
    pub fn of(bytes: &[u8; HEADER_BYTES]) -> Header {
        let u32_at = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        Header {
            crc: u32_at(0),
            length: u32_at(4),
            seq: u64::from(u32_at(8)) | u64::from(u32_at(12)) << 32,
            unsynced: u32_at(16),
            kind: u32_at(20),
        }
    }

    /// Where the payload ends, counted from the record's beginning.
    pub fn end(&self) -> usize {
        HEADER_BYTES + self.length as usize
    }

    /// Where the next record begins.
    fn span(&self) -> usize {
        self.end().next_multiple_of(ALIGN_BYTES)
    }

    /// The kind, if its fields fit together as in a record, of which there are this many bytes at most.
    pub fn plausible(&self, bytes_max: usize) -> Option<Kind> {
        let kind = u8::try_from(self.kind).ok().and_then(Kind::of)?;
        let fits = self.length as usize <= RECORD_PAYLOAD_BYTES_MAX && self.span() <= bytes_max;
        // It cannot have been durable before it was written, and nothing comes before the first.
        let possible = self.seq > 0
            && (self.unsynced == UNSYNCED_UNKNOWN || (1..=self.seq).contains(&self.unsynced.into()));
        let ends = self.length == 0 && self.unsynced == 1;
        (fits && possible && (kind != Kind::End || ends)).then_some(kind)
    }

    /// The largest sequence number that the record knows to be durable; 0 if it proves nothing. For plausible headers.
    pub fn durable(&self) -> u64 {
        if self.unsynced == UNSYNCED_UNKNOWN { 0 } else { self.seq - u64::from(self.unsynced) }
    }

    /// The record with this header and with these bytes from `length` on.
    fn record<'a>(&self, covered: &'a [u8]) -> Result<Record<'a>, BadRecord> {
        let Some(kind) = self.plausible(self.span()) else {
            return Err(BadRecord::Foreign("a kind or a sequence number that there cannot be"));
        };
        let payload = &covered[HEADER_BYTES - 4..];
        Ok(Record { seq: self.seq, durable: self.durable(), kind, payload, span: self.span() })
    }
}
