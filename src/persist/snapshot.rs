//! A snapshot: one file with all keys as they were at one cut. Owns its layout and what is refused of it; `store/archive` owns what
//! an archive in it is. Never decides when to save, where the file is, or what follows from a bad one.
//!
//! ```text
//! snapshot:  header, 64 bytes | archives ... | directory | trailer, 64 bytes
//!
//! header:    "CVSNAPSH" | version u32 | shards u16 | 2 zeros | id u64 | created i64, Unix ms | 28 zeros | crc u32
//! archive:   rkyv archive (`store/archive`) of one slot of one database, or of a part of it
//! directory: rkyv archive of { archives: [archive at], logs: [log at] }
//!   archive at: db u16 | slot u16 | offset u64 | length u32 | crc u32 | keys u32 | volatile u32
//!   log at:     generation u64 | shard u16 | segment u64
//! trailer:   "CVSNAPND" | directory offset u64 | directory bytes u64 | keys u64 | archives u64 | id u64 | 8 zeros
//!            | crc of the directory u32 | crc u32
//! ```
//!
//! Little-endian. Archives, directory and trailer begin at multiples of 16, with zeros between; shards write into one file, each at
//! the ranges it has reserved, so archives stand in any order. Checksums are CRC-32 (IEEE); those of header and trailer are over the 60
//! bytes before them. The directory has the archives by database and slot; those of one slot are to be applied in its order. `keys` are
//! those that begin in the archive, `volatile` those of them that expire. The logs say where each stream of the append-only file goes on.
//!
//! Another layout gets another version; the magic, the version and the header's checksum stay where they are.
//!
//! # What is checked when
//!
//! [`Snapshot::open`] reads header, trailer and directory, so it takes time with the number of archives, not of keys. An archive's
//! checksum is compared whenever its bytes are asked for, and `store/archive` looks at everything in it before it is used. [`check`]
//! does all of that at once, and looks for what would only be odd.

use std::ops::Range;

use rkyv::rancor::Failure;
use rkyv::{Archive, Serialize};

use crate::base::limits::{DATABASES, SHARDS_MAX};
use crate::base::slot::SLOTS;
use crate::sys::mapping::Mapping;

pub use check::{CheckError, Report, check, check_snapshot};

mod check;
#[cfg(test)]
mod tests;

/// Bytes before the first archive.
pub const SNAPSHOT_HEADER_BYTES: usize = 64;
/// Bytes behind the directory.
pub const SNAPSHOT_TRAILER_BYTES: usize = 64;
/// Archives begin at multiples of this many bytes.
pub const ARCHIVE_ALIGN_BYTES: u64 = 16;
/// The version written, and the only one read.
pub const SNAPSHOT_VERSION: u32 = 1;

const MAGIC: &[u8; 8] = b"CVSNAPSH";
const TRAILER_MAGIC: &[u8; 8] = b"CVSNAPND";
const CHECKED_BYTES: usize = 60;

/// What to do where the bytes are not what was written.
const REMEDY: &str = "restore a copy of the file; or start without it (--restore-snapshot no, and --restore-aof no if an append-only \
                      file goes on from it), which sets it aside";

/// How a snapshot begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotHeader {
    /// Its id, which its name and the manifest say too.
    pub id: u64,
    /// When its cut was, Unix milliseconds.
    pub created_ms: i64,
    /// How many shards wrote it.
    pub shards: u16,
}

/// Where an archive is, and what the directory says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Serialize)]
pub struct ArchiveAt {
    /// The database of its keys.
    pub db: u16,
    /// Their slot.
    pub slot: u16,
    /// Where it begins in the file, a multiple of `ARCHIVE_ALIGN_BYTES`.
    pub offset: u64,
    /// Its bytes.
    pub length: u32,
    /// Their checksum, as [`checksum`] computes it.
    pub crc: u32,
    /// Keys that begin in it.
    pub keys: u32,
    /// Keys that begin in it and expire.
    pub volatile: u32,
}

/// Where a stream of the append-only file goes on behind the cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Serialize)]
pub struct LogAt {
    /// The generation that was running.
    pub generation: u64,
    /// The shard whose stream it is.
    pub shard: u16,
    /// The number of the segment that begins at the cut.
    pub segment: u64,
}

#[derive(Archive, Serialize)]
struct Directory {
    archives: Vec<ArchiveAt>,
    logs: Vec<LogAt>,
}

/// The checksum of an archive's bytes.
pub fn checksum(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

/// How far in the file an archive of `length` bytes takes: what to reserve for it.
pub fn reserved_bytes(length: usize) -> u64 {
    (length as u64).next_multiple_of(ARCHIVE_ALIGN_BYTES)
}

// ----------------------------------------------------------------------------------------------------------
// Writing
// ----------------------------------------------------------------------------------------------------------

impl SnapshotHeader {
    /// The first bytes of the file.
    pub fn encode(&self) -> [u8; SNAPSHOT_HEADER_BYTES] {
        let mut out = Block::default();
        out.put(MAGIC);
        out.put(&SNAPSHOT_VERSION.to_le_bytes());
        out.put(&self.shards.to_le_bytes());
        out.put(&[0; 2]);
        out.put(&self.id.to_le_bytes());
        out.put(&self.created_ms.to_le_bytes());
        out.sealed()
    }
}

/// The end of a snapshot: what is to be written from offset `at` on, which is behind all archives: directory and trailer, with
/// padding. `archives` are in any order, but for those of one slot.
pub fn ending(header: &SnapshotHeader, archives: &[ArchiveAt], logs: &[LogAt], at: u64) -> Vec<u8> {
    let mut archives = archives.to_vec();
    // Stable: the archives of one slot stay in order.
    archives.sort_by_key(|archive| (archive.db, archive.slot));
    let (keys, count) = (totals(&archives).0, archives.len() as u64);
    let directory = Directory { archives, logs: logs.to_vec() };
    let directory_at = at.next_multiple_of(ARCHIVE_ALIGN_BYTES);
    let mut out = vec![0; (directory_at - at) as usize];
    let encoded = rkyv::to_bytes::<Failure>(&directory)
        .expect("a directory is shorter than a relative pointer reaches");
    out.extend_from_slice(&encoded);
    out.resize(out.len().next_multiple_of(ARCHIVE_ALIGN_BYTES as usize), 0);
    let mut trailer = Block::default();
    trailer.put(TRAILER_MAGIC);
    for number in [directory_at, encoded.len() as u64, keys, count, header.id] {
        trailer.put(&number.to_le_bytes());
    }
    trailer.put(&[0; 8]);
    trailer.put(&checksum(&encoded).to_le_bytes());
    out.extend_from_slice(&trailer.sealed());
    out
}

/// Keys and volatile keys of these archives.
fn totals(archives: &[ArchiveAt]) -> (u64, u64) {
    archives.iter().fold((0, 0), |(keys, volatile), archive| {
        (keys + u64::from(archive.keys), volatile + u64::from(archive.volatile))
    })
}

/// A header or a trailer while it is put together.
struct Block {
    bytes: [u8; 64],
    at: usize,
}

impl Default for Block {
    fn default() -> Block {
        Block { bytes: [0; 64], at: 0 }
    }
}

impl Block {
    fn put(&mut self, bytes: &[u8]) {
        self.bytes[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    fn sealed(mut self) -> [u8; 64] {
        let (checked, crc) = self.bytes.split_at_mut(CHECKED_BYTES);
        crc.copy_from_slice(&checksum(checked).to_le_bytes());
        self.bytes
    }
}

// ----------------------------------------------------------------------------------------------------------
// Reading
// ----------------------------------------------------------------------------------------------------------

/// Why a file is not taken for a snapshot. The file's name is the caller's to say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSnapshot {
    /// Some other file.
    #[error(
        "at byte 0: no snapshot of Corevault: \"{begins}\" and not \"CVSNAPSH\"; put back the file that belongs there"
    )]
    Foreign {
        /// Its first bytes, as text.
        begins: String,
    },
    /// It comes from a later version.
    #[error(
        "at byte 8: a snapshot in format {version}, and this version of Corevault reads {SNAPSHOT_VERSION} only; \
         start the version that wrote it, or a later one"
    )]
    Version {
        /// The version of its format.
        version: u32,
    },
    /// It does not end as snapshots do.
    #[error(
        "at byte {length}: the file ends here, and not with the end of a snapshot: it was cut off, or its end overwritten; {REMEDY}"
    )]
    CutOff {
        /// Its length, bytes.
        length: u64,
    },
    /// Something in it is not what was written.
    #[error("at byte {at}: {why}; {REMEDY}")]
    Damaged {
        /// The offset in the file, bytes.
        at: u64,
        /// What is wrong there.
        why: &'static str,
    },
}

/// An archive that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "at byte {}: the archive of slot {} of database {} ({} bytes, {} keys) has the checksum {found:08x} and not {:08x}; {REMEDY}",
    .at.offset, .at.slot, .at.db, .at.length, .at.keys, .at.crc
)]
pub struct BadArchive {
    /// Which one.
    pub at: ArchiveAt,
    /// The checksum that its bytes have now.
    pub found: u32,
}

/// The bytes of a snapshot.
pub enum Bytes {
    /// A file, mapped.
    Mapped(Mapping),
    /// In memory, for tests.
    Owned(Vec<u8>),
}

impl From<Mapping> for Bytes {
    fn from(mapping: Mapping) -> Bytes {
        Bytes::Mapped(mapping)
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Bytes {
        Bytes::Owned(bytes)
    }
}

impl std::ops::Deref for Bytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Bytes::Mapped(mapping) => mapping,
            Bytes::Owned(bytes) => bytes,
        }
    }
}

/// A snapshot that was opened: its directory holds together.
pub struct Snapshot {
    bytes: Bytes,
    header: SnapshotHeader,
    archives: Vec<ArchiveAt>,
    logs: Vec<LogAt>,
}

/// What a snapshot has of one slot of one database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableAt {
    /// The database.
    pub db: u16,
    /// The slot.
    pub slot: u16,
    /// Which of the archives, in order: indices into `Snapshot::archives`.
    pub archives: Range<usize>,
    /// Its keys.
    pub keys: u64,
    /// Those that expire.
    pub volatile: u64,
}

impl Snapshot {
    /// Opens the snapshot in `bytes`: checks all but the archives themselves.
    pub fn open(bytes: impl Into<Bytes>) -> Result<Snapshot, BadSnapshot> {
        let bytes = bytes.into();
        let header = SnapshotHeader::decode(&bytes)?;
        let (archives, logs) = directory(&bytes, header.id)?;
        Ok(Snapshot { bytes, header, archives, logs })
    }

    /// Its header.
    pub fn header(&self) -> &SnapshotHeader {
        &self.header
    }

    /// Its archives, by database and slot, those of one slot in the order in which they are to be applied.
    pub fn archives(&self) -> &[ArchiveAt] {
        &self.archives
    }

    /// Where the streams of the append-only file go on behind it.
    pub fn logs(&self) -> &[LogAt] {
        &self.logs
    }

    /// Its tables, by database and slot.
    pub fn tables(&self) -> impl Iterator<Item = TableAt> {
        let mut at = 0;
        self.archives.chunk_by(|one, next| (one.db, one.slot) == (next.db, next.slot)).map(move |parts| {
            let archives = at..at + parts.len();
            at = archives.end;
            let (keys, volatile) = totals(parts);
            TableAt { db: parts[0].db, slot: parts[0].slot, archives, keys, volatile }
        })
    }

    /// The archives of one slot of one database: indices into `archives`. Takes time with the logarithm of their number.
    pub fn archives_of(&self, db: u16, slot: u16) -> Range<usize> {
        let start = self.archives.partition_point(|archive| (archive.db, archive.slot) < (db, slot));
        let parts =
            self.archives[start..].partition_point(|archive| (archive.db, archive.slot) == (db, slot));
        start..start + parts
    }

    /// Keys in all archives.
    pub fn keys(&self) -> u64 {
        totals(&self.archives).0
    }

    /// Keys in all archives that expire.
    pub fn volatile(&self) -> u64 {
        totals(&self.archives).1
    }

    /// How long the file is, bytes.
    pub fn file_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The bytes of one of its archives, if they are still what was written.
    pub fn bytes_of(&self, archive: &ArchiveAt) -> Result<&[u8], BadArchive> {
        let bytes = &self.bytes[range_of(archive)];
        let found = checksum(bytes);
        if found == archive.crc { Ok(bytes) } else { Err(BadArchive { at: *archive, found }) }
    }

    /// Asks the kernel to begin to read these archives.
    pub fn prefetch(&self, archives: Range<usize>) {
        if let Bytes::Mapped(mapping) = &self.bytes {
            self.archives[archives].iter().for_each(|archive| mapping.prefetch(range_of(archive)));
        }
    }

    /// Lets go of the memory that the file takes in this process. What is asked for again is read again.
    pub fn release(&self) {
        if let Bytes::Mapped(mapping) = &self.bytes {
            mapping.release(0..mapping.len());
        }
    }
}

/// The archive's place in a snapshot whose directory was checked.
fn range_of(archive: &ArchiveAt) -> Range<usize> {
    let start = archive.offset as usize;
    start..start + archive.length as usize
}

impl SnapshotHeader {
    /// The header of the snapshot that begins with `bytes`.
    pub fn decode(bytes: &[u8]) -> Result<SnapshotHeader, BadSnapshot> {
        let begins = &bytes[..bytes.len().min(MAGIC.len())];
        if !MAGIC.starts_with(begins) {
            return Err(BadSnapshot::Foreign { begins: begins.escape_ascii().to_string() });
        }
        let Some(header) = bytes.first_chunk::<SNAPSHOT_HEADER_BYTES>() else {
            return Err(BadSnapshot::CutOff { length: bytes.len() as u64 });
        };
        let damaged = |why| BadSnapshot::Damaged { at: 0, why };
        if !is_sealed(header) {
            return Err(damaged("the header has another checksum than it says"));
        }
        let version = u32::from_le_bytes(field(header, 8));
        if version != SNAPSHOT_VERSION {
            return Err(BadSnapshot::Version { version });
        }
        let decoded = SnapshotHeader {
            shards: u16::from_le_bytes(field(header, 12)),
            id: u64::from_le_bytes(field(header, 16)),
            created_ms: i64::from_le_bytes(field(header, 24)),
        };
        if !(1..=SHARDS_MAX).contains(&usize::from(decoded.shards)) {
            return Err(damaged("the header says a number of shards that cannot be"));
        }
        Ok(decoded)
    }
}

/// The `N` bytes at `at` of a header or trailer.
fn field<const N: usize>(block: &[u8; 64], at: usize) -> [u8; N] {
    *block[at..].first_chunk().expect("fields are inside their block")
}

fn is_sealed(block: &[u8; 64]) -> bool {
    checksum(&block[..CHECKED_BYTES]) == u32::from_le_bytes(field(block, CHECKED_BYTES))
}

/// The directory of a snapshot of this id, once trailer and directory were found to hold together.
fn directory(bytes: &[u8], id: u64) -> Result<(Vec<ArchiveAt>, Vec<LogAt>), BadSnapshot> {
    let cut_off = BadSnapshot::CutOff { length: bytes.len() as u64 };
    let Some((before, trailer)) = bytes.split_last_chunk::<SNAPSHOT_TRAILER_BYTES>() else {
        return Err(cut_off);
    };
    let trailer_at = before.len() as u64;
    if !trailer.starts_with(TRAILER_MAGIC) {
        return Err(cut_off);
    }
    let damaged = |why| BadSnapshot::Damaged { at: trailer_at, why };
    if !is_sealed(trailer) {
        return Err(damaged("the trailer has another checksum than it says"));
    }
    let [at, length, keys, count, its_id] =
        [8, 16, 24, 32, 40].map(|offset| u64::from_le_bytes(field(trailer, offset)));
    if its_id != id {
        return Err(damaged("the trailer is that of another snapshot than the header"));
    }
    let end = at
        .checked_add(length)
        .filter(|end| end.checked_next_multiple_of(ARCHIVE_ALIGN_BYTES) == Some(trailer_at));
    let Some(end) = end.filter(|_| at >= SNAPSHOT_HEADER_BYTES as u64) else {
        return Err(damaged("the trailer says a place for the directory where it cannot be"));
    };
    let encoded = &before[at as usize..end as usize];
    let damaged = |why| BadSnapshot::Damaged { at, why };
    if checksum(encoded) != u32::from_le_bytes(field(trailer, 56)) {
        return Err(damaged("the directory has another checksum than the trailer says"));
    }
    let directory = rkyv::access::<ArchivedDirectory, Failure>(encoded)
        .map_err(|_| damaged("the directory is no archive"))?;
    let archives: Vec<ArchiveAt> = directory.archives.iter().map(ArchivedArchiveAt::native).collect();
    let logs: Vec<LogAt> = directory.logs.iter().map(ArchivedLogAt::native).collect();
    if archives.len() as u64 != count || totals(&archives).0 != keys {
        return Err(damaged("the directory has other totals than the trailer says"));
    }
    if !archives.is_sorted_by_key(|archive| (archive.db, archive.slot)) {
        return Err(damaged("the directory is not in order"));
    }
    for archive in &archives {
        let end = archive.offset.checked_add(u64::from(archive.length));
        let is_inside = archive.offset >= SNAPSHOT_HEADER_BYTES as u64 && end.is_some_and(|end| end <= at);
        if !is_inside || archive.offset % ARCHIVE_ALIGN_BYTES != 0 {
            return Err(damaged("the directory says a place for an archive where it cannot be"));
        }
        if usize::from(archive.db) >= DATABASES || usize::from(archive.slot) >= SLOTS {
            return Err(damaged("the directory names a database or a slot that does not exist"));
        }
        if archive.volatile > archive.keys {
            return Err(damaged("the directory says that more keys expire than there are"));
        }
    }
    Ok((archives, logs))
}

impl ArchivedArchiveAt {
    fn native(&self) -> ArchiveAt {
        ArchiveAt {
            db: self.db.to_native(),
            slot: self.slot.to_native(),
            offset: self.offset.to_native(),
            length: self.length.to_native(),
            crc: self.crc.to_native(),
            keys: self.keys.to_native(),
            volatile: self.volatile.to_native(),
        }
    }
}

impl ArchivedLogAt {
    fn native(&self) -> LogAt {
        LogAt {
            generation: self.generation.to_native(),
            shard: self.shard.to_native(),
            segment: self.segment.to_native(),
        }
    }
}
