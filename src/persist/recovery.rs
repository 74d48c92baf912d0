//! What a start makes of the data directory: reads the manifest, opens the snapshot, has the log surveyed, and either refuses with the
//! file, the place and what to do, or brings the directory in order and hands out what is to be restored. Never decides what a record
//! means, and never deletes what somebody might want: that goes to a directory `set-aside-<time>`.
//!
//! | found | done |
//! |---|---|
//! | no manifest, and no data of ours | begin with nothing |
//! | no manifest, and data of ours | refuse: nobody can say which files belong together |
//! | a manifest that is not whole | refuse |
//! | a listed file that is missing; a snapshot that does not open; a damaged stream (`survey`) | refuse |
//! | a torn stream; parts of a transaction that other streams lack | cut off and synced, later segments of the stream removed, reported |
//! | a segment that no start has finished | cut to its valid bytes, synced, and listed as finished |
//! | generations without any record | no longer listed, removed |
//! | temporary files; empty or older files of ours that are not listed | removed |
//! | other files of ours that are not listed | set aside, reported |
//! | what the operator does not want restored | set aside with a copy of the manifest |
//!
//! Done again after a crash at any point, it ends in the same state: cuts come before the manifest that tells of them, and files move
//! only once a manifest without them is durable. That manifest says that files are being set aside, so the next start goes on with it.

use std::collections::BTreeSet;

use crate::persist::directory::{MANIFEST, Name, SegmentName, set_aside};
use crate::persist::disk::{Bytes, Disk, DiskError, ROOT};
use crate::persist::keeper::{ReplaceError, files_of, write_file, write_manifest};
use crate::persist::manifest::{BadManifest, Listed, Manifest};
use crate::persist::segment::Groups;
use crate::persist::snapshot::{BadSnapshot, LogAt, Snapshot};
use crate::persist::survey::{Content, Cut, Damage, Generation, Stream, Survey, Surveyed, Torn, Verdict};

/// What an operator may choose at a start.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether the log is restored.
    pub restore_aof: bool,
    /// Whether the snapshot is restored.
    pub restore_snapshot: bool,
    /// Now, Unix milliseconds: names the directory of what is set aside.
    pub now_ms: i64,
}

/// What is to be restored, and how the directory stands.
pub struct Recovered {
    /// What is in the directory, for `Keeper::start`.
    pub manifest: Manifest,
    /// The base.
    pub snapshot: Option<Snapshot>,
    /// What was logged since, in the order in which it is to be applied. Every segment is whole.
    pub generations: Vec<RecoveredGeneration>,
    /// What was done and an operator should know of, a line each.
    pub report: Vec<String>,
    /// How much there is.
    pub totals: Totals,
}

/// What one start of the process logged.
pub struct RecoveredGeneration {
    /// Which.
    pub generation: u64,
    /// Its shards: what its streams' effects on slots were divided by.
    pub shards: u16,
    /// Their streams, by shard.
    pub streams: Vec<Vec<RecoveredSegment>>,
}

/// A segment that is whole and has records.
pub struct RecoveredSegment {
    /// Which.
    pub name: SegmentName,
    /// Sequence number of its first record.
    pub first_seq: u64,
    /// Its groups of records; at least one.
    pub group_count: u64,
    bytes: Bytes,
    end: usize,
}

impl RecoveredSegment {
    /// A segment up to where it was cut; none if no group is left.
    fn of(segment: Surveyed, cut: Cut) -> Option<RecoveredSegment> {
        let Surveyed { listed, bytes, content } = segment;
        let Content::Records { first_seq, .. } = content else { return None };
        let end = cut.end.bytes as usize;
        (cut.groups > 0).then_some(RecoveredSegment {
            name: listed.name,
            first_seq,
            group_count: cut.groups,
            bytes,
            end,
        })
    }

    /// Its bytes, header included. What was cut off is not among them.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.end]
    }

    /// Its groups.
    pub fn groups(&self) -> Groups<'_> {
        Groups::new(&self.bytes, self.end)
    }

    /// The groups from the one at this offset on, which is `Group::at` of one of them.
    pub fn groups_from(&self, at: usize) -> Groups<'_> {
        Groups::starting_at(&self.bytes, at, self.end)
    }
}

/// How much there is to be restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Keys in the snapshot.
    pub snapshot_keys: u64,
    /// Bytes of the snapshot.
    pub snapshot_bytes: u64,
    /// Segments with records.
    pub segments: u64,
    /// Groups of records in them.
    pub groups: u64,
    /// Bytes of these segments.
    pub log_bytes: u64,
}

/// Why the data cannot be restored.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The manifest is not what was written.
    #[error(
        "{path} is damaged: {bad}\n  It lists which files belong to the data. Put back a copy of it; or rebuild it from the files with \
         `corevault check-aof {directory} --repair`; or start with nothing by --restore-aof no --restore-snapshot no, which sets all files aside."
    )]
    Manifest {
        /// The file.
        path: String,
        /// Its directory.
        directory: String,
        /// What is wrong.
        bad: BadManifest,
    },
    /// There are data, and nothing says which belong together.
    #[error(
        "{directory} has {file}{}, but no MANIFEST\n  It lists which files belong to the data. Put back a copy of it; or rebuild it from \
         the files with `corevault check-aof {directory} --repair`; or start with nothing by --restore-aof no --restore-snapshot no, \
         which sets all files aside.", and_more(*more)
    )]
    NoManifest {
        /// The directory.
        directory: String,
        /// A file in it.
        file: String,
        /// How many more there are.
        more: usize,
    },
    /// The snapshot is listed and not there.
    #[error(
        "{path} is missing: MANIFEST lists it as the snapshot that everything builds on\n  Put back a copy of the file; or start with \
         nothing by --restore-aof no --restore-snapshot no, which sets all other files aside."
    )]
    SnapshotMissing {
        /// The file.
        path: String,
    },
    /// The snapshot does not open.
    #[error("{path} cannot be restored: {bad}")]
    Snapshot {
        /// The file.
        path: String,
        /// What is wrong.
        bad: BadSnapshot,
    },
    /// The snapshot and the manifest do not come from the same time.
    #[error(
        "{path} does not belong to this MANIFEST: {what}\n  Put back the files that were there together; or start with nothing by \
         --restore-aof no --restore-snapshot no, which sets all files aside."
    )]
    Mismatch {
        /// The snapshot.
        path: String,
        /// How it differs.
        what: String,
    },
    /// A part of the log is not what was written.
    #[error(
        "{path} is damaged at byte {}: {}{}\n  Put back a copy of the file; or cut it there with `corevault check-aof {path} --repair`, \
         which gives up what comes after and keeps a copy; or start without the log by --restore-aof no, which sets it aside.",
        .damage.at, .damage.what, and_more(*more)
    )]
    Damaged {
        /// The segment.
        path: String,
        /// The place.
        damage: Box<Damage>,
        /// How many more streams are damaged.
        more: usize,
    },
    /// The log is wanted without what it builds on.
    #[error(
        "the append-only file goes on where {path} ends, so it cannot be restored without it\n  Drop --restore-snapshot no, or add \
         --restore-aof no to set both aside."
    )]
    LogNeedsSnapshot {
        /// The snapshot.
        path: String,
    },
}

fn and_more(more: usize) -> String {
    if more == 0 { String::new() } else { format!(" (and {more} more)") }
}

impl From<ReplaceError> for RecoveryError {
    fn from(replace: ReplaceError) -> RecoveryError {
        RecoveryError::Disk(replace.error)
    }
}

/// Brings the directory in order and opens what is to be restored. The caller holds the lock.
pub fn recover(disk: &mut dyn Disk, options: Options) -> Result<Recovered, RecoveryError> {
    let mut report = Vec::new();
    let mut manifest = chosen(disk, options, &mut report)?;
    let snapshot = manifest.snapshot.map(|id| open_snapshot(disk, id, &manifest)).transpose()?;
    let survey = Survey::read(disk, &manifest)?;
    let cuts: Vec<Vec<Option<Cut>>> = survey.generations.iter().map(Generation::cuts).collect();
    refuse_damaged(disk, &survey, &cuts)?;
    // From here on files change.
    let mut finished = Manifest { segments: Vec::new(), ..manifest.clone() };
    let mut generations = Vec::new();
    for (generation, cuts) in survey.generations.into_iter().zip(cuts) {
        finish(disk, &generation, &cuts, &mut report)?;
        let (listed, recovered) = kept(generation, &cuts);
        if recovered.streams.iter().any(|stream| !stream.is_empty()) {
            finished.segments.extend(listed);
            generations.push(recovered);
        }
    }
    if finished != manifest {
        manifest = finished;
        write_manifest(disk, &manifest)?;
    }
    clear(disk, &mut manifest, options.now_ms, &mut report)?;
    let totals = totals(snapshot.as_ref(), &generations);
    Ok(Recovered { manifest, snapshot, generations, report, totals })
}

// ----------------------------------------------------------------------------------------------------------
// The manifest, and what of it is wanted
// ----------------------------------------------------------------------------------------------------------

/// The manifest of what is to be restored; on disk it is in force.
fn chosen(
    disk: &mut dyn Disk,
    options: Options,
    report: &mut Vec<String>,
) -> Result<Manifest, RecoveryError> {
    let names = disk.list()?;
    let wants_nothing = !options.restore_aof && !options.restore_snapshot;
    let text = if names.iter().any(|name| name == MANIFEST) { Some(disk.read(MANIFEST)?) } else { None };
    let found = match text.as_deref().map(Manifest::decode) {
        Some(Ok(manifest)) => manifest,
        Some(Err(bad)) if !wants_nothing => {
            let (path, directory) = (disk.path_of(MANIFEST), disk.path_of(ROOT));
            return Err(RecoveryError::Manifest { path, directory, bad });
        }
        None | Some(Err(_)) => {
            let data = data_files(disk, &names)?;
            match data.first() {
                None if text.is_none() => return Ok(Manifest::default()),
                Some(file) if !wants_nothing => {
                    let (directory, file) = (disk.path_of(ROOT), file.to_string());
                    return Err(RecoveryError::NoManifest { directory, file, more: data.len() - 1 });
                }
                _ => Manifest { generation: last_generation(&names), ..Manifest::default() },
            }
        }
    };
    let mut wanted = found.clone();
    if !options.restore_aof {
        wanted.segments.clear();
    }
    if !options.restore_snapshot
        && let Some(id) = wanted.snapshot
    {
        if !wanted.segments.is_empty() {
            let path = disk.path_of(&Name::Snapshot { id }.to_string());
            return Err(RecoveryError::LogNeedsSnapshot { path });
        }
        wanted.snapshot = None;
    }
    let is_whole = text.as_deref().is_some_and(|text| *text == found.encode());
    if wanted != found || !is_whole {
        // The copy makes the directory a whole one again, should somebody want to restore it after all.
        begin_setting_aside(disk, &mut wanted, text.as_deref(), options.now_ms)?;
        let directory = disk.path_of(&set_aside(wanted.set_aside_ms.unwrap_or_default()));
        report.push(format!("set aside what is not to be restored, in {directory}"));
    }
    Ok(wanted)
}

/// The files of ours that have data in them and no reason to be without a manifest: one is there before anything is written.
fn data_files(disk: &mut dyn Disk, names: &[String]) -> Result<Vec<Name>, DiskError> {
    let mut data = Vec::new();
    for name in names.iter().filter_map(|name| Name::parse(name)) {
        if matches!(name, Name::Snapshot { .. } | Name::Segment(_)) && disk.length(&name.to_string())? > 0 {
            data.push(name);
        }
    }
    Ok(data)
}

/// The last generation that names tell of.
fn last_generation(names: &[String]) -> u64 {
    let generation = |name: &String| match Name::parse(name) {
        Some(Name::Segment(segment)) => Some(segment.generation),
        _ => None,
    };
    // One that cannot be followed is none of ours.
    names.iter().filter_map(generation).filter(|&generation| generation < u64::MAX).max().unwrap_or(0)
}

/// Makes the directory that files go to, with a copy of the manifest as it was, and puts this manifest in force, which says so.
pub(super) fn begin_setting_aside(
    disk: &mut dyn Disk,
    manifest: &mut Manifest,
    before: Option<&[u8]>,
    now_ms: i64,
) -> Result<(), RecoveryError> {
    let names = disk.list()?;
    let mut ms = now_ms;
    while names.contains(&set_aside(ms)) {
        ms += 1;
    }
    let directory = set_aside(ms);
    disk.create_directory(&directory)?;
    if let Some(text) = before {
        write_file(disk, &format!("{directory}/{MANIFEST}"), text)?;
        disk.sync_directory(&directory)?;
    }
    disk.sync_directory(ROOT)?;
    manifest.set_aside_ms = Some(ms);
    Ok(write_manifest(disk, manifest)?)
}

// ----------------------------------------------------------------------------------------------------------
// Files that are not listed
// ----------------------------------------------------------------------------------------------------------

/// Removes or sets aside the files of ours that `manifest`, which is in force, does not list.
pub(super) fn clear(
    disk: &mut dyn Disk,
    manifest: &mut Manifest,
    now_ms: i64,
    report: &mut Vec<String>,
) -> Result<(), RecoveryError> {
    let listed = files_of(manifest);
    let names: BTreeSet<Name> = disk.list()?.iter().filter_map(|name| Name::parse(name)).collect();
    let mut wanted = Vec::new();
    for &name in names.difference(&listed) {
        match name {
            Name::Lock | Name::Manifest => {}
            Name::ManifestTemporary | Name::SnapshotTemporary { .. } => disk.remove(&name.to_string())?,
            Name::Snapshot { .. } | Name::Segment(_) => {
                let is_setting_aside = manifest.set_aside_ms.is_some();
                let length = disk.length(&name.to_string())?;
                if length == 0 || (!is_setting_aside && is_obsolete(name, manifest)) {
                    disk.remove(&name.to_string())?;
                } else {
                    wanted.push(name);
                }
            }
        }
    }
    if !wanted.is_empty() && manifest.set_aside_ms.is_none() {
        begin_setting_aside(disk, manifest, None, now_ms)?;
    }
    let Some(ms) = manifest.set_aside_ms else { return Ok(()) };
    let directory = set_aside(ms);
    if !disk.list()?.contains(&directory) {
        // The manifest tells of it only once it is durable, so somebody has removed it.
        disk.create_directory(&directory)?;
    }
    for name in wanted {
        let name = name.to_string();
        disk.rename(&name, &format!("{directory}/{name}"))?;
        report.push(format!("set aside {name}, in {}", disk.path_of(&directory)));
    }
    disk.sync_directory(&directory)?;
    disk.sync_directory(ROOT)?;
    manifest.set_aside_ms = None;
    Ok(write_manifest(disk, manifest)?)
}

/// Whether a file that is not listed is what a crash leaves after a newer one was published: nobody needs it.
fn is_obsolete(name: Name, manifest: &Manifest) -> bool {
    match name {
        Name::Snapshot { id } => manifest.snapshot.is_some_and(|current| id < current),
        Name::Segment(segment) => segment.generation <= manifest.generation,
        _ => false,
    }
}

// ----------------------------------------------------------------------------------------------------------
// The snapshot
// ----------------------------------------------------------------------------------------------------------

pub(super) fn open_snapshot(
    disk: &mut dyn Disk,
    id: u64,
    manifest: &Manifest,
) -> Result<Snapshot, RecoveryError> {
    let name = Name::Snapshot { id }.to_string();
    let path = disk.path_of(&name);
    let bytes = match disk.read(&name) {
        Ok(bytes) => bytes,
        Err(error) if error.cause.kind() == std::io::ErrorKind::NotFound => {
            return Err(RecoveryError::SnapshotMissing { path });
        }
        Err(error) => return Err(error.into()),
    };
    let snapshot =
        Snapshot::open(bytes).map_err(|bad| RecoveryError::Snapshot { path: path.clone(), bad })?;
    match mismatch(&snapshot, id, manifest) {
        Some(what) => Err(RecoveryError::Mismatch { path, what }),
        None => Ok(snapshot),
    }
}

/// How a snapshot does not fit what is listed.
fn mismatch(snapshot: &Snapshot, id: u64, manifest: &Manifest) -> Option<String> {
    let its_id = snapshot.header().id;
    if its_id != id {
        return Some(format!("the file says that it is snapshot {its_id}"));
    }
    for &LogAt { generation, shard, segment } in snapshot.logs() {
        let name = SegmentName { generation, shard, number: segment };
        let first =
            manifest.of_generation(generation).map(|listed| listed.name).find(|name| name.shard == shard);
        // Generations without records are dropped.
        let is_listed = first == Some(name) || manifest.of_generation(generation).next().is_none();
        if !is_listed {
            let found = first.map_or("nothing".to_owned(), |name| name.to_string());
            return Some(format!("the log goes on with {name} behind it, and MANIFEST lists {found}"));
        }
        let early = manifest.segments.first().map(|listed| listed.name);
        if let Some(early) = early.filter(|early| early.generation < generation) {
            return Some(format!(
                "the log goes on with {name} behind it, and MANIFEST lists {early} besides"
            ));
        }
    }
    None
}

// ----------------------------------------------------------------------------------------------------------
// The log
// ----------------------------------------------------------------------------------------------------------

fn refuse_damaged(disk: &dyn Disk, survey: &Survey, cuts: &[Vec<Option<Cut>>]) -> Result<(), RecoveryError> {
    let mut damages: Vec<Damage> = survey.damages().cloned().collect();
    if damages.is_empty() {
        damages
            .extend(survey.generations.iter().zip(cuts).filter_map(|(one, cuts)| one.torn_transaction(cuts)));
    }
    let more = damages.len().saturating_sub(1);
    match damages.into_iter().next() {
        None => Ok(()),
        Some(damage) => {
            let path = disk.path_of(&Name::Segment(damage.name).to_string());
            Err(RecoveryError::Damaged { path, damage: Box::new(damage), more })
        }
    }
}

/// Cuts off what is behind each stream's end, and makes durable what is before it.
pub(super) fn finish(
    disk: &mut dyn Disk,
    generation: &Generation,
    cuts: &[Option<Cut>],
    report: &mut Vec<String>,
) -> Result<(), RecoveryError> {
    for (stream, cut) in generation.streams.iter().zip(cuts) {
        let Some(cut) = cut else { continue };
        // Before anything is cut: a mapped byte that is gone must not be looked at.
        report.extend(told(disk, stream, *cut));
        for (i, segment) in stream.segments.iter().enumerate().take(cut.segment + 1) {
            let end = if i < cut.segment { stream.end_of(i).end } else { cut.end };
            if segment.listed.end == Some(end) {
                continue;
            }
            let name = Name::Segment(segment.listed.name).to_string();
            let file = disk.open(&name)?;
            if segment.bytes.len() as u64 > end.bytes {
                disk.truncate(&file, end.bytes)?;
            }
            // Until now its last records may be in the kernel's memory only; from now on they are counted on.
            disk.sync(&file)?;
        }
    }
    Ok(())
}

/// What an operator should know of a cut.
fn told(disk: &dyn Disk, stream: &Stream, cut: Cut) -> Option<String> {
    let Stream { segments, verdict } = stream;
    let segment = &segments[cut.segment];
    let path = disk.path_of(&Name::Segment(segment.listed.name).to_string());
    let behind = segments[cut.segment + 1..].iter().filter(|later| later.has_bytes_behind(0)).count();
    let has_bytes = segment.has_bytes_behind(cut.end.bytes) && segment.listed.end != Some(cut.end);
    if !has_bytes && behind == 0 {
        return None;
    }
    let bytes = (segment.bytes.len() as u64).saturating_sub(cut.end.bytes);
    let groups: u64 = segments[cut.segment..].iter().filter_map(Surveyed::scan).map(|scan| scan.groups).sum();
    let whole_lost = groups - cut.groups;
    let why = match (verdict, whole_lost) {
        (Verdict::Torn(Torn { why, .. }), 0) => format!("a write that was not complete ({why})"),
        (Verdict::Torn(Torn { why, .. }), lost) => format!(
            "a write that was not complete ({why}), and {lost} changes that build on it or on parts of transactions that other shards lack"
        ),
        (_, lost) => {
            format!("{lost} changes: parts of transactions that other shards lack, and what builds on them")
        }
    };
    let later =
        if behind == 0 { String::new() } else { format!(", and {behind} later segments of that shard") };
    Some(format!("cut {path} at byte {}: {bytes} bytes{later} after a crash: {why}", cut.end.bytes))
}

/// What a finished generation leaves in the manifest, and to restore.
pub(super) fn kept(generation: Generation, cuts: &[Option<Cut>]) -> (Vec<Listed>, RecoveredGeneration) {
    let mut listed = Vec::new();
    let mut streams = Vec::new();
    for (stream, cut) in generation.streams.into_iter().zip(cuts) {
        let segments = cut.map_or(0, |cut| cut.segment + 1);
        let mut ends: Vec<Cut> = (0..segments).map(|i| stream.end_of(i)).collect();
        if let (Some(last), Some(cut)) = (ends.last_mut(), cut) {
            *last = *cut;
        }
        let mut recovered = Vec::new();
        for (segment, cut) in stream.segments.into_iter().zip(ends) {
            listed.push(Listed { end: Some(cut.end), ..segment.listed });
            recovered.extend(RecoveredSegment::of(segment, cut));
        }
        streams.push(recovered);
    }
    let Generation { generation, shards, .. } = generation;
    (listed, RecoveredGeneration { generation, shards, streams })
}

fn totals(snapshot: Option<&Snapshot>, generations: &[RecoveredGeneration]) -> Totals {
    let mut totals = Totals {
        snapshot_keys: snapshot.map_or(0, Snapshot::keys),
        snapshot_bytes: snapshot.map_or(0, Snapshot::file_bytes),
        ..Totals::default()
    };
    for segment in generations.iter().flat_map(|generation| &generation.streams).flatten() {
        totals.segments += 1;
        totals.groups += segment.group_count;
        totals.log_bytes += segment.end as u64;
    }
    totals
}

#[cfg(test)]
mod tests;
