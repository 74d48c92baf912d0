//! Owns the manifest of a running server and the steps that change which files belong to the data: beginning a generation, preparing,
//! publishing and giving up a save. Blocks in the disk's calls; has no thread, no clock and no dice of its own, and never writes an
//! archive or a record: shards do that, into the files it hands them.
//!
//! The steps stand in an order that a crash may end between any two:
//!
//! - `start`, `prepare_save`: create segments; sync the directory; replace the manifest. A restart finds empty segments that are not
//!   listed, or listed ones without records.
//! - `publish`: write the snapshot's ends, sync it, rename it; sync the directory; replace the manifest; remove what is no longer listed. A
//!   restart finds the old list with all its files, and perhaps a snapshot too many; or the new list, and perhaps files too many.
//! - `abandon`: replace the manifest if it lists what was never used; remove. A restart finds files too many.
//!
//! A file is removed only after a manifest without it is durable. The manifest is replaced by writing another file, syncing it, renaming
//! it, and syncing the directory. If one of the last two fails, nobody knows which of the two manifests a restart will find: then
//! nothing is removed until a later replacement has succeeded.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use crate::base::rng::Rng;
use crate::persist::directory::{MANIFEST, MANIFEST_TEMPORARY, Name, SegmentName};
use crate::persist::disk::{Disk, DiskError, Handle, ROOT};
use crate::persist::log::NextSegment;
use crate::persist::manifest::{Listed, Manifest};
use crate::persist::segment::SegmentHeader;
use crate::persist::snapshot::{ArchiveAt, LogAt, SNAPSHOT_HEADER_BYTES, SnapshotHeader, ending};
use crate::persist::survey::header_of;

/// What happens to the log at a save's cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Log {
    /// Nothing is logged. Once the snapshot is published no log belongs to the data.
    Off,
    /// It goes on unbroken: each shard ends its segment and uses the new one from the cut on. Without the new snapshot the old one and
    /// all segments, the new ones included, are the data.
    Continues,
    /// It begins here: what came before was not logged, or may not all be there. The new segments belong to the data when the snapshot
    /// is published and not before, so until then nobody may be told that a record in them is durable. The first record should leave out a
    /// sequence number, so that nobody ever takes it for the next one of the segment before.
    Begins,
}

/// A segment that was made for a shard: an empty file. Its writer puts the header before its first record, in the same write.
#[derive(Debug)]
pub struct NewSegment {
    /// What the manifest says, or will say.
    pub listed: Listed,
    /// When it was made, Unix milliseconds.
    pub created_ms: i64,
    /// The file.
    pub file: Handle,
}

impl NewSegment {
    /// Its header if `first_seq` will be its first record.
    pub fn header(&self, first_seq: u64) -> SegmentHeader {
        header_of(&self.listed, first_seq, self.created_ms)
    }

    /// The same for the shard that writes it.
    pub fn into_next(self, first_seq: u64) -> NextSegment {
        let header = self.header(first_seq);
        NextSegment { file: Arc::new(self.file), header }
    }
}

/// What a save needs before its cut.
#[derive(Debug)]
pub struct Prepared {
    /// The snapshot's id.
    pub id: u64,
    /// The snapshot's file. Archives go to offsets from [`ARCHIVES_AT`] on.
    pub snapshot: Handle,
    /// A new segment for each shard, unless nothing is logged.
    pub segments: Vec<NewSegment>,
}

/// Where the first archive of a snapshot can begin.
pub const ARCHIVES_AT: u64 = SNAPSHOT_HEADER_BYTES as u64;

/// What the shards have written.
#[derive(Clone, Copy, Debug)]
pub struct Saved<'a> {
    /// All archives, those of one (database, slot) in order.
    pub archives: &'a [ArchiveAt],
    /// Offset behind the last archive.
    pub end: u64,
    /// When the cut was, Unix milliseconds.
    pub cut_ms: i64,
    /// The sequence number of the first record behind the cut, by shard; empty if nothing is logged.
    pub first_seqs: &'a [u64],
}

/// A save that is in force.
#[derive(Debug)]
pub struct Published {
    /// The snapshot's id.
    pub id: u64,
    /// The snapshot's bytes.
    pub bytes: u64,
    /// A file that is no longer needed and could not be removed. It is tried again later, and at the next start.
    pub leftover: Option<DiskError>,
}

/// The manifest's keeper. One for each process.
#[derive(Debug)]
pub struct Keeper {
    manifest: Manifest,
    shards: u16,
    /// The last number that segments of this generation have, the same for all shards.
    number: u64,
    /// The last id that a snapshot was given.
    snapshot: u64,
    saving: Option<Saving>,
    /// Files that may exist and that our manifest does not list.
    unlisted: BTreeSet<Name>,
    /// Whether the manifest on disk may be another one than ours: one that was to replace it.
    is_doubtful: bool,
    seeds: Rng,
}

#[derive(Debug)]
struct Saving {
    id: u64,
    file: Handle,
    log: Log,
    segments: Vec<Listed>,
}

impl Keeper {
    /// Begins the next generation of what recovery found, with so many shards, and makes each a segment if they log. `seed` must be
    /// random: no two processes may write records that verify in each other's files.
    pub fn start(
        disk: &mut dyn Disk,
        found: Manifest,
        shards: u16,
        is_logging: bool,
        now_ms: i64,
        seed: u64,
    ) -> Result<(Keeper, Vec<NewSegment>), DiskError> {
        let snapshot = found.snapshot.unwrap_or(0);
        let mut manifest = Manifest { generation: found.generation + 1, ..found };
        let mut keeper = Keeper {
            manifest: manifest.clone(),
            shards,
            number: 0,
            snapshot,
            saving: None,
            unlisted: BTreeSet::new(),
            is_doubtful: false,
            seeds: Rng::new(seed),
        };
        let segments = if is_logging { keeper.create_segments(disk, Some(1), now_ms)? } else { Vec::new() };
        manifest.segments.extend(segments.iter().map(|segment| segment.listed));
        keeper.replace(disk, manifest)?;
        Ok((keeper, segments))
    }

    /// What belongs to the data now.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Whether a save was prepared and is neither published nor given up.
    pub fn is_saving(&self) -> bool {
        self.saving.is_some()
    }

    /// Makes the files of a save. After an error there is no save; nothing has changed but for files too many.
    ///
    /// # Panics
    ///
    /// If a save is under way, or the log is to continue and this generation has none.
    pub fn prepare_save(
        &mut self,
        disk: &mut dyn Disk,
        log: Log,
        now_ms: i64,
    ) -> Result<Prepared, DiskError> {
        assert!(!self.is_saving(), "one save at a time");
        let is_logging = self.manifest.of_generation(self.manifest.generation).next().is_some();
        assert!(log != Log::Continues || is_logging, "a log that does not exist cannot continue");
        self.snapshot += 1;
        let id = self.snapshot;
        let prepared = self.create_save(disk, id, log, now_ms);
        if prepared.is_err() {
            // The error that counts is the one that we have.
            let _ = self.prune(disk);
        }
        prepared
    }

    fn create_save(
        &mut self,
        disk: &mut dyn Disk,
        id: u64,
        log: Log,
        now_ms: i64,
    ) -> Result<Prepared, DiskError> {
        let name = Name::SnapshotTemporary { id };
        self.unlisted.insert(name);
        let snapshot = disk.create(&name.to_string())?;
        let file = snapshot
            .share()
            .map_err(|cause| DiskError::new("share", disk.path_of(snapshot.name()), cause))?;
        let segments = if log == Log::Off { Vec::new() } else { self.create_segments(disk, None, now_ms)? };
        let listed: Vec<Listed> = segments.iter().map(|segment| segment.listed).collect();
        if log == Log::Continues {
            let mut manifest = self.manifest.clone();
            manifest.segments.extend(&listed);
            manifest.segments.sort_unstable_by_key(|listed| listed.name);
            self.replace(disk, manifest)?;
        }
        self.saving = Some(Saving { id, file, log, segments: listed });
        Ok(Prepared { id, snapshot, segments })
    }

    /// An empty segment for each shard, its name durable.
    fn create_segments(
        &mut self,
        disk: &mut dyn Disk,
        first_seq: Option<u64>,
        now_ms: i64,
    ) -> Result<Vec<NewSegment>, DiskError> {
        self.number += 1;
        let mut segments = Vec::new();
        for shard in 0..self.shards {
            let name = SegmentName { generation: self.manifest.generation, shard, number: self.number };
            let seed = self.seeds.next_u64() as u32;
            let listed = Listed { name, shards: self.shards, seed, first_seq, end: None };
            self.unlisted.insert(Name::Segment(name));
            let file = disk.create(&Name::Segment(name).to_string())?;
            segments.push(NewSegment { listed, created_ms: now_ms, file });
        }
        disk.sync_directory(ROOT)?;
        Ok(segments)
    }

    /// Completes the snapshot and makes it the base of the data, and the segments from the cut on its log. All archives must have been
    /// written, but need not be synced. After an error the save is still under way, and to be given up.
    ///
    /// # Panics
    ///
    /// If no save is under way, or the shards' sequence numbers are not those of a save that logs.
    pub fn publish(&mut self, disk: &mut dyn Disk, saved: Saved<'_>) -> Result<Published, DiskError> {
        let saving = self.saving.as_ref().expect("a save was prepared");
        assert_eq!(
            saving.segments.len(),
            saved.first_seqs.len(),
            "one sequence number for each shard that logs"
        );
        let id = saving.id;
        let header = SnapshotHeader { id, created_ms: saved.cut_ms, shards: self.shards };
        let log_at = |listed: &Listed| {
            let SegmentName { generation, shard, number } = listed.name;
            LogAt { generation, shard, segment: number }
        };
        let logs: Vec<LogAt> = saving.segments.iter().map(log_at).collect();
        let rest = ending(&header, saved.archives, &logs, saved.end);
        disk.write_at(&saving.file, &header.encode(), 0)?;
        disk.write_at(&saving.file, &rest, saved.end)?;
        disk.sync(&saving.file)?;
        let first_seqs = saving.segments.iter().zip(saved.first_seqs);
        let segments = first_seqs.map(|(listed, seq)| Listed { first_seq: Some(*seq), ..*listed }).collect();
        self.unlisted.insert(Name::Snapshot { id });
        disk.rename(&Name::SnapshotTemporary { id }.to_string(), &Name::Snapshot { id }.to_string())?;
        disk.sync_directory(ROOT)?;
        let manifest = Manifest { snapshot: Some(id), segments, ..self.manifest.clone() };
        self.replace(disk, manifest)?;
        self.saving = None;
        let leftover = self.prune(disk).err();
        Ok(Published { id, bytes: saved.end + rest.len() as u64, leftover })
    }

    /// Gives up the save that is under way, and removes its files. `is_cut` says whether the shards have begun to use its segments; those
    /// of a log that continues then remain part of the data. After an error some of the files are left, and tried again later.
    ///
    /// # Panics
    ///
    /// If no save is under way.
    pub fn abandon(&mut self, disk: &mut dyn Disk, is_cut: bool) -> Result<(), DiskError> {
        let saving = self.saving.take().expect("a save was prepared");
        if saving.log == Log::Continues && !is_cut {
            let mut manifest = self.manifest.clone();
            manifest.segments.retain(|listed| !saving.segments.contains(listed));
            self.replace(disk, manifest)?;
        }
        self.prune(disk)
    }

    /// Makes this the manifest, on disk and here.
    fn replace(&mut self, disk: &mut dyn Disk, manifest: Manifest) -> Result<(), DiskError> {
        match write_manifest(disk, &manifest) {
            Ok(()) => {
                let before = files_of(&self.manifest);
                self.unlisted.extend(before);
                for name in files_of(&manifest) {
                    self.unlisted.remove(&name);
                }
                self.manifest = manifest;
                self.is_doubtful = false;
                Ok(())
            }
            Err(ReplaceError { error, is_doubtful }) => {
                self.is_doubtful |= is_doubtful;
                Err(error)
            }
        }
    }

    /// Removes what belongs to nothing, if we know what does. Tries all files; fails with the first error.
    fn prune(&mut self, disk: &mut dyn Disk) -> Result<(), DiskError> {
        if self.is_doubtful {
            return Ok(());
        }
        let mut first_error = None;
        self.unlisted.retain(|name| match remove_if_there(disk, &name.to_string()) {
            Ok(()) => false,
            Err(error) => {
                first_error.get_or_insert(error);
                true
            }
        });
        first_error.map_or(Ok(()), Err)
    }
}

/// The files that a manifest lists.
pub fn files_of(manifest: &Manifest) -> BTreeSet<Name> {
    let segments = manifest.segments.iter().map(|listed| Name::Segment(listed.name));
    segments.chain(manifest.snapshot.map(|id| Name::Snapshot { id })).collect()
}

/// Why the manifest was not replaced.
#[derive(Debug)]
pub struct ReplaceError {
    /// What the disk said.
    pub error: DiskError,
    /// Whether it may have been replaced nevertheless, now or after a crash.
    pub is_doubtful: bool,
}

/// Makes this the manifest on disk, in one step and durably.
pub fn write_manifest(disk: &mut dyn Disk, manifest: &Manifest) -> Result<(), ReplaceError> {
    let written = remove_if_there(disk, MANIFEST_TEMPORARY)
        .and_then(|()| write_file(disk, MANIFEST_TEMPORARY, &manifest.encode()));
    if let Err(error) = written {
        // It would only be in the way, and take space where there may be none.
        let _ = remove_if_there(disk, MANIFEST_TEMPORARY);
        return Err(ReplaceError { error, is_doubtful: false });
    }
    let replaced = disk.rename(MANIFEST_TEMPORARY, MANIFEST).and_then(|()| disk.sync_directory(ROOT));
    replaced.map_err(|error| ReplaceError { error, is_doubtful: true })
}

/// A new file with this content, which is durable; its name is not yet.
pub fn write_file(disk: &mut dyn Disk, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
    let file = disk.create(name)?;
    disk.write_at(&file, bytes, 0)?;
    disk.sync(&file)
}

/// Removes a file if there is one of that name.
pub fn remove_if_there(disk: &mut dyn Disk, name: &str) -> Result<(), DiskError> {
    match disk.remove(name) {
        Err(error) if error.cause.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
