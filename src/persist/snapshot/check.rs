//! A snapshot looked at as a whole, for `corevault check-snapshot`: every archive, every key, and what would only be odd.
//! Never repairs anything: a snapshot is whole or it is not.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::{self, Display};
use std::fs::File;
use std::io;
use std::path::Path;

use crate::base::slot::key_slot;
use crate::persist::snapshot::{
    ArchiveAt, BadSnapshot, REMEDY, SNAPSHOT_VERSION, Snapshot, SnapshotHeader, TableAt,
};
use crate::store::archive::{self, Content, Item};
use crate::store::object::Kind;
use crate::sys::mapping::Mapping;

/// Why there is nothing to report. The file's name is the caller's to say.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    /// Header, directory or trailer are bad, so nothing else can be found.
    #[error("{0}")]
    Snapshot(#[from] BadSnapshot),
}

/// What is in a snapshot.
#[derive(Debug)]
pub struct Report {
    /// Its header.
    pub header: SnapshotHeader,
    /// How long the file is, bytes.
    pub file_bytes: u64,
    /// Archives in it.
    pub archives: usize,
    /// Bytes of them.
    pub archive_bytes: u64,
    /// Slots of databases that have keys in it.
    pub tables: usize,
    /// Keys of each database that has any, as the archives have them.
    pub keys: BTreeMap<u16, u64>,
    /// Keys that expire.
    pub volatile: u64,
    /// Keys of each type that there is, as `TYPE` names it.
    pub kinds: BTreeMap<&'static str, u64>,
    /// Streams of the append-only file that go on from it.
    pub logs: usize,
    /// What is wrong, each with its place.
    pub damage: Vec<String>,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_whole(&self) -> bool {
        self.damage.is_empty()
    }
}

impl Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SnapshotHeader { id, created_ms, shards } = &self.header;
        writeln!(
            out,
            "snapshot {id}, format {SNAPSHOT_VERSION}, by {shards} shards at {created_ms} (Unix ms)"
        )?;
        writeln!(out, "{} bytes; {} in {} archives", self.file_bytes, self.archive_bytes, self.archives)?;
        let keys: u64 = self.keys.values().sum();
        writeln!(out, "{keys} keys in {} tables, {} of them expire", self.tables, self.volatile)?;
        for (db, keys) in &self.keys {
            writeln!(out, "  database {db}: {keys}")?;
        }
        for (kind, keys) in &self.kinds {
            writeln!(out, "  {kind}: {keys}")?;
        }
        match self.logs {
            0 => writeln!(out, "no append-only file goes on from it")?,
            logs => writeln!(out, "an append-only file of {logs} streams goes on from it")?,
        }
        if self.is_whole() {
            return write!(out, "whole");
        }
        for what in &self.damage {
            writeln!(out, "DAMAGED {what}")?;
        }
        write!(out, "to do: {REMEDY}")
    }
}

/// Looks at everything in the snapshot at `path`.
pub fn check(path: &Path) -> Result<Report, CheckError> {
    let mapping = Mapping::of_file(&File::open(path)?)?;
    Ok(check_snapshot(&Snapshot::open(mapping)?))
}

/// Looks at everything in a snapshot that could be opened.
pub fn check_snapshot(snapshot: &Snapshot) -> Report {
    let mut report = Report {
        header: snapshot.header().clone(),
        file_bytes: snapshot.file_bytes(),
        archives: snapshot.archives().len(),
        archive_bytes: snapshot.archives().iter().map(|archive| u64::from(archive.length)).sum(),
        tables: 0,
        keys: BTreeMap::new(),
        volatile: 0,
        kinds: BTreeMap::new(),
        logs: snapshot.logs().len(),
        damage: Vec::new(),
    };
    check_overlaps(snapshot.archives(), &mut report);
    for at in snapshot.tables() {
        report.tables += 1;
        check_table(snapshot, &at, &mut report);
    }
    report
}

fn check_overlaps(archives: &[ArchiveAt], report: &mut Report) {
    let mut places: Vec<(u64, u64)> =
        archives.iter().map(|archive| (archive.offset, archive.offset + u64::from(archive.length))).collect();
    places.sort_unstable();
    for pair in places.windows(2) {
        if pair[1].0 < pair[0].1 {
            report.damage.push(format!(
                "at byte {}: an archive begins here inside the one at byte {}",
                pair[1].0, pair[0].0
            ));
        }
    }
}

/// What was seen of one table so far.
#[derive(Default)]
struct Table<'a> {
    keys: HashSet<&'a [u8]>,
    /// Values whose last run of effects is yet to come.
    open: HashMap<&'a [u8], Option<Kind>>,
    volatile: u64,
}

fn check_table(snapshot: &Snapshot, at: &TableAt, report: &mut Report) {
    let mut table = Table::default();
    for archive in &snapshot.archives()[at.archives.clone()] {
        let place =
            format!("at byte {}: the archive of slot {} of database {}", archive.offset, at.slot, at.db);
        let bytes = match snapshot.bytes_of(archive) {
            Ok(bytes) => bytes,
            Err(bad) => {
                report
                    .damage
                    .push(format!("{place} has the checksum {:08x} and not {:08x}", bad.found, archive.crc));
                continue;
            }
        };
        let items = match archive::read(bytes) {
            Ok(items) => items,
            Err(bad) => {
                report.damage.push(format!("{place} says what cannot be: {bad}"));
                continue;
            }
        };
        let (keys, volatile) = (table.keys.len(), table.volatile);
        for item in items {
            if let Some(what) = table.add(at.slot, &item, report) {
                report.damage.push(format!("{place} has {what} (key \"{}\")", item.key.escape_ascii()));
            }
        }
        let (keys, volatile) = ((table.keys.len() - keys) as u64, table.volatile - volatile);
        if (keys, volatile) != (u64::from(archive.keys), u64::from(archive.volatile)) {
            report.damage.push(format!(
                "{place} has {keys} keys of which {volatile} expire, and the directory says {} and {}",
                archive.keys, archive.volatile
            ));
        }
    }
    if !table.open.is_empty() {
        let (slot, db, open) = (at.slot, at.db, table.open.len());
        report
            .damage
            .push(format!("slot {slot} of database {db}: the end of {open} large values is missing"));
    }
    *report.keys.entry(at.db).or_default() += table.keys.len() as u64;
    report.volatile += table.volatile;
}

impl<'a> Table<'a> {
    /// Takes one entry. Returns what is odd about it.
    fn add(&mut self, slot: u16, item: &Item<'a>, report: &mut Report) -> Option<&'static str> {
        if key_slot(item.key).index() != usize::from(slot) {
            return Some("a key of another slot");
        }
        let (kind, is_first, is_last) = match item.content {
            Content::String(_) | Content::Integer(_) => (Some(Kind::String), true, true),
            Content::Packed(packing, _) => (Some(packing.kind()), true, true),
            Content::Effects { kind, is_first, is_last, .. } => (kind, is_first, is_last),
        };
        if is_first {
            if !self.keys.insert(item.key) {
                return Some("a key for the second time");
            }
            self.volatile += u64::from(item.expire_at_ms.is_some());
            if let Some(kind) = kind {
                *report.kinds.entry(kind.name()).or_default() += 1;
            }
        }
        let before = if is_first { None } else { Some(self.open.remove(item.key)) };
        let kind = match before {
            None => kind,
            Some(None) => return Some("a later part of a value whose beginning is missing"),
            Some(Some(before)) if before.is_some() && kind.is_some() && before != kind => {
                return Some("a part of a value that has another type than the part before");
            }
            Some(Some(before)) => before.or(kind),
        };
        if !is_last {
            self.open.insert(item.key, kind);
        } else if kind.is_none() {
            return Some("a value that nothing builds");
        }
        None
    }
}
