//! `corevault check-aof FILE|DIRECTORY [--repair]`: says what the append-only file holds and what is wrong with it, as a start would find
//! it, and repairs what a start refuses. Without `--repair` it changes nothing and asks for no lock, so it may run beside a server, whose
//! last records can then look torn.
//!
//! A repair gives up as little as leaves a consistent state: the damaged stream from the bad place on, the parts of transactions that
//! lack their fellows then, and all that was logged by later starts, which built on what is gone. Nothing is deleted: a file that is cut
//! is copied to `FILE.bak` before, and a file that is given up as a whole goes to a directory `set-aside-<time>`. A manifest that is
//! missing or damaged is made again from the files' own headers.

use std::path::{Path, PathBuf};

use crate::persist::directory::{LOCK, MANIFEST, Name};
use crate::persist::disk::{Disk, DiskError, OpenError, ROOT, RealDisk};
use crate::persist::keeper::{remove_if_there, write_file, write_manifest};
use crate::persist::manifest::{End, Manifest};
use crate::persist::rebuild::rebuilt;
use crate::persist::recovery::{RecoveryError, begin_setting_aside, clear, finish, kept, open_snapshot};
use crate::persist::segment::{SegmentHeader, Tail, scan};
use crate::persist::survey::{Content, Cut, Damage, Stream, Survey, Verdict};

/// What was found, and done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// A line for each thing worth telling.
    pub lines: Vec<String>,
    /// Whether a start would refuse, or the file cannot be used as it is.
    pub is_damaged: bool,
}

/// Why nothing could be checked or repaired.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// There is nothing to check.
    #[error(
        "{0} is neither a file nor a directory\n  Name a segment of an append-only file (aof-*.cvl), or the data directory."
    )]
    NoSuchPath(String),
    /// The directory cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The files do not fit together, and no repair can tell which of them are right.
    #[error("{0}")]
    BeyondRepair(String),
}

impl From<RecoveryError> for CheckError {
    fn from(error: RecoveryError) -> CheckError {
        match error {
            RecoveryError::Disk(error) => CheckError::Disk(error),
            other => CheckError::BeyondRepair(other.to_string()),
        }
    }
}

/// Checks the append-only file in a data directory, or one segment of it; repairs it if asked to. `now_ms` names what is set aside.
pub fn check_aof(path: &Path, is_repair: bool, now_ms: i64) -> Result<Outcome, CheckError> {
    let (directory, file) = if path.is_dir() {
        (path.to_owned(), None)
    } else {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let name = path.file_name().and_then(|name| name.to_str()).filter(|_| path.is_file());
        let name = name.ok_or_else(|| CheckError::NoSuchPath(path.display().to_string()))?;
        (parent.map_or(PathBuf::from("."), Path::to_owned), Some(name.to_owned()))
    };
    let is_data = directory.join(MANIFEST).exists() || directory.join(LOCK).exists();
    // Somebody's copy of a segment, elsewhere, is nobody else's business.
    let mut disk = if is_repair && (is_data || file.is_none()) {
        RealDisk::open(&directory)?
    } else {
        RealDisk::look(&directory)?
    };
    match (file, is_repair) {
        (None, false) => check_directory(&mut disk, None),
        (None, true) => repair_directory(&mut disk, None, now_ms),
        (Some(name), _) if listed(&mut disk, &name)?.is_none() => {
            check_alone(&mut disk, &name, is_repair, now_ms)
        }
        (Some(name), false) => check_directory(&mut disk, Some(&name)),
        (Some(name), true) => repair_directory(&mut disk, Some(&name), now_ms),
    }
}

/// The manifest, if it is whole and lists this file.
fn listed(disk: &mut dyn Disk, name: &str) -> Result<Option<Manifest>, DiskError> {
    if !disk.list()?.iter().any(|name| name == MANIFEST) {
        return Ok(None);
    }
    let manifest = Manifest::decode(&disk.read(MANIFEST)?).ok();
    let name = Name::parse(name);
    Ok(manifest
        .filter(|manifest| manifest.segments.iter().any(|listed| Some(Name::Segment(listed.name)) == name)))
}

// ----------------------------------------------------------------------------------------------------------
// Check
// ----------------------------------------------------------------------------------------------------------

/// Checks all that the manifest lists; tells of one file only, if one is named.
pub fn check_directory(disk: &mut dyn Disk, only: Option<&str>) -> Result<Outcome, CheckError> {
    let mut outcome = Outcome::default();
    let path = disk.path_of(MANIFEST);
    if !disk.list()?.iter().any(|name| name == MANIFEST) {
        outcome
            .damaged(format!("{path}: missing; --repair makes it again from the headers of the other files"));
        return Ok(outcome);
    }
    let manifest = match Manifest::decode(&disk.read(MANIFEST)?) {
        Ok(manifest) => manifest,
        Err(bad) => {
            let remedy = "--repair makes it again from the headers of the other files";
            outcome.damaged(format!("{path}: DAMAGED: {bad}; {remedy}"));
            return Ok(outcome);
        }
    };
    if only.is_none() {
        let Manifest { generation, segments, .. } = &manifest;
        outcome.lines.push(format!("{path}: whole: generation {generation}, {} segments", segments.len()));
    }
    if let (None, Some(id)) = (only, manifest.snapshot) {
        match open_snapshot(disk, id, &manifest) {
            Ok(snapshot) => {
                let path = disk.path_of(&Name::Snapshot { id }.to_string());
                outcome.lines.push(format!(
                    "{path}: opens: {} keys, {} bytes; check-snapshot looks at all of it",
                    snapshot.keys(),
                    snapshot.file_bytes()
                ));
            }
            Err(RecoveryError::Disk(error)) => return Err(error.into()),
            Err(error) => outcome.damaged(error.to_string()),
        }
    }
    let survey = Survey::read(disk, &manifest)?;
    for generation in &survey.generations {
        let cuts = generation.cuts();
        for (stream, cut) in generation.streams.iter().zip(&cuts) {
            tell(disk, stream, *cut, only, &mut outcome);
        }
        if let (Some(damage), None) = (generation.torn_transaction(&cuts), survey.damages().next()) {
            outcome.tell_damage(disk, &damage, only);
        }
    }
    Ok(outcome)
}

/// A line for each segment of a stream, or for the one that is named.
fn tell(disk: &dyn Disk, stream: &Stream, cut: Option<Cut>, only: Option<&str>, outcome: &mut Outcome) {
    let torn_at = match &stream.verdict {
        Verdict::Torn(torn) => Some((torn.cut.segment, format!("torn at byte {}: {}", torn.at, torn.why))),
        Verdict::Whole | Verdict::Damaged(_) => None,
    };
    let damage = match &stream.verdict {
        Verdict::Damaged(damage) => Some(damage),
        Verdict::Whole | Verdict::Torn(_) => None,
    };
    for (i, segment) in stream.segments.iter().enumerate() {
        let name = Name::Segment(segment.listed.name).to_string();
        if only.is_some_and(|only| only != name) {
            continue;
        }
        let path = disk.path_of(&name);
        if let Some(damage) = damage.filter(|damage| damage.name == segment.listed.name) {
            outcome.tell_damage(disk, damage, only);
            continue;
        }
        let cut = cut.map_or(stream.end_of(i), |cut| if cut.segment == i { cut } else { stream.end_of(i) });
        let is_behind = torn_at.as_ref().is_some_and(|(torn, _)| i > *torn);
        let holds = match segment.scan() {
            Some(_) => format!(
                "{} groups, {} bytes, up to record {}",
                cut.groups,
                cut.end.bytes,
                cut.end.next_seq - 1
            ),
            None => "no record".to_owned(),
        };
        outcome.lines.push(match &torn_at {
            Some((torn, why)) if *torn == i => {
                format!("{path}: {why}; a start cuts it there and keeps {holds}")
            }
            Some(_) if is_behind => format!("{path}: goes on behind a torn segment; a start removes it"),
            _ if cut != stream.end_of(i) => {
                let what = "then comes a part of a transaction that other shards lack; a start cuts it there";
                format!("{path}: {holds}; {what}")
            }
            _ => format!("{path}: whole: {holds}"),
        });
    }
}

impl Outcome {
    fn damaged(&mut self, line: String) {
        self.lines.push(line);
        self.is_damaged = true;
    }

    fn tell_damage(&mut self, disk: &dyn Disk, damage: &Damage, only: Option<&str>) {
        let Damage { name, at, what, cut } = damage;
        let name = Name::Segment(*name).to_string();
        if only.is_some_and(|only| only != name) {
            return;
        }
        let path = disk.path_of(&name);
        let remedy = match cut {
            Some(_) => "put back a copy of the file, or cut it there with --repair",
            None => "put the right file there; no repair can make it",
        };
        self.damaged(format!("{path}: DAMAGED at byte {at}: {what}; {remedy}"));
    }
}

/// Checks a segment that no manifest lists, by what it says itself; cuts it at the bad place if asked to.
pub fn check_alone(
    disk: &mut dyn Disk,
    name: &str,
    is_repair: bool,
    now_ms: i64,
) -> Result<Outcome, CheckError> {
    let mut outcome = Outcome::default();
    let path = disk.path_of(name);
    let bytes = disk.read(name)?;
    let header = match SegmentHeader::decode(&bytes) {
        Ok(header) => header,
        Err(why) => {
            outcome.damaged(format!(
                "{path}: DAMAGED at byte 0: {why}; no repair without a manifest that lists it"
            ));
            return Ok(outcome);
        }
    };
    let found = scan(&bytes, &header);
    let (groups, end, last_seq) = (found.groups, found.end, found.next_seq - 1);
    let holds = format!("{groups} groups, {end} bytes, up to record {last_seq}");
    let remedy = if is_repair { "cut there" } else { "--repair cuts it there" };
    match found.tail {
        Tail::Closed | Tail::Open => outcome.lines.push(format!("{path}: whole: {holds}")),
        Tail::Torn { at, why } => outcome.damaged(format!("{path}: torn at byte {at}: {why}; {remedy}, {holds}")),
        Tail::Corrupt { at, why, proof_at, proof_seq } => outcome.damaged(format!(
            "{path}: DAMAGED at byte {at}: {why}, and record {proof_seq} at byte {proof_at} knows better; {remedy}, {holds}"
        )),
    }
    if is_repair && outcome.is_damaged {
        let copy = back_up(disk, name, now_ms)?;
        let file = disk.open(name)?;
        disk.truncate(&file, end as u64)?;
        disk.sync(&file)?;
        outcome.lines.push(format!("{path}: repaired; the file as it was is {copy}"));
        outcome.is_damaged = false;
    }
    Ok(outcome)
}

// ----------------------------------------------------------------------------------------------------------
// Repair
// ----------------------------------------------------------------------------------------------------------

/// Makes the directory one that a start takes. If a file is named, and is not what is damaged, changes nothing.
pub fn repair_directory(disk: &mut dyn Disk, only: Option<&str>, now_ms: i64) -> Result<Outcome, CheckError> {
    let mut outcome = Outcome::default();
    let mut manifest = repaired_manifest(disk, now_ms, &mut outcome)?;
    let survey = Survey::read(disk, &manifest)?;
    let named = |damage: &&Damage| only.is_none_or(|only| Name::Segment(damage.name).to_string() == only);
    let damages: Vec<&Damage> = survey.damages().collect();
    if let Some(damage) = damages.iter().find(|damage| damage.cut.is_none()) {
        let path = disk.path_of(&Name::Segment(damage.name).to_string());
        return Err(CheckError::BeyondRepair(format!(
            "{path}: {}\n  Put the right file there; no repair can make it.",
            damage.what
        )));
    }
    let mut segments = Vec::new();
    let mut is_given_up = false;
    for generation in survey.generations {
        let cuts = generation.cuts();
        let is_damaged =
            generation.streams.iter().any(|stream| matches!(stream.verdict, Verdict::Damaged(_)))
                || generation.torn_transaction(&cuts).is_some();
        let is_named = generation.damages().any(|damage| named(&damage));
        if is_given_up {
            let count = generation.streams.iter().map(|stream| stream.segments.len()).sum::<usize>();
            outcome.lines.push(format!(
                "generation {}: set aside its {count} segments, which build on what is given up",
                generation.generation
            ));
            continue;
        }
        if !is_damaged || (only.is_some() && !is_named) {
            let listed = generation.streams.iter().flat_map(|stream| &stream.segments);
            segments.extend(listed.map(|segment| segment.listed));
            continue;
        }
        is_given_up = true;
        for (stream, cut) in generation.streams.iter().zip(&cuts) {
            prepare(disk, stream, *cut, now_ms, &mut outcome)?;
        }
        let mut cut_lines = Vec::new();
        finish(disk, &generation, &cuts, &mut cut_lines)?;
        segments.extend(kept(generation, &cuts).0);
    }
    if is_given_up {
        let before = disk.read(MANIFEST)?.to_vec();
        manifest.segments = segments;
        begin_setting_aside(disk, &mut manifest, Some(&before), now_ms)?;
        clear(disk, &mut manifest, now_ms, &mut outcome.lines)?;
    }
    let after = check_directory(disk, only)?;
    outcome.lines.extend(after.lines);
    outcome.is_damaged = after.is_damaged;
    Ok(outcome)
}

/// Before a stream is cut: copies what will be, and makes an empty file where one is missing.
fn prepare(
    disk: &mut dyn Disk,
    stream: &Stream,
    cut: Option<Cut>,
    now_ms: i64,
    outcome: &mut Outcome,
) -> Result<(), CheckError> {
    let Some(cut) = cut else { return Ok(()) };
    let segment = &stream.segments[cut.segment];
    let name = Name::Segment(segment.listed.name).to_string();
    let path = disk.path_of(&name);
    if matches!(segment.content, Content::Missing) {
        write_file(disk, &name, b"")?;
        disk.sync_directory(ROOT)?;
        outcome.lines.push(format!("{path}: made an empty file in its place"));
    } else if segment.has_bytes_behind(cut.end.bytes) {
        let copy = back_up(disk, &name, now_ms)?;
        let End { bytes, next_seq } = cut.end;
        outcome.lines.push(format!(
            "{path}: cut at byte {bytes}, behind record {}; the file as it was is {copy}",
            next_seq - 1
        ));
    }
    Ok(())
}

/// Copies a file to `NAME.bak`, or to another name if an earlier repair has used that one. Returns the copy's path.
fn back_up(disk: &mut dyn Disk, name: &str, now_ms: i64) -> Result<String, DiskError> {
    let names = disk.list()?;
    let mut copy = format!("{name}.bak");
    let mut ms = now_ms;
    while names.contains(&copy) {
        copy = format!("{name}.bak-{ms}");
        ms += 1;
    }
    let bytes = disk.read(name)?;
    if let Err(error) = write_file(disk, &copy, &bytes) {
        // Half a copy is worse than none.
        let _ = remove_if_there(disk, &copy);
        return Err(error);
    }
    disk.sync_directory(ROOT)?;
    Ok(disk.path_of(&copy))
}

/// The manifest; made again if it is missing or damaged.
fn repaired_manifest(
    disk: &mut dyn Disk,
    now_ms: i64,
    outcome: &mut Outcome,
) -> Result<Manifest, CheckError> {
    let is_there = disk.list()?.iter().any(|name| name == MANIFEST);
    if is_there {
        let bytes = disk.read(MANIFEST)?;
        if let Ok(manifest) = Manifest::decode(&bytes) {
            return Ok(manifest);
        }
    }
    let manifest = rebuilt(disk)?.map_err(CheckError::BeyondRepair)?;
    let path = disk.path_of(MANIFEST);
    if is_there {
        let copy = back_up(disk, MANIFEST, now_ms)?;
        outcome.lines.push(format!("{path}: the file as it was is {copy}"));
    }
    write_manifest(disk, &manifest).map_err(RecoveryError::from)?;
    let snapshot = manifest.snapshot.map_or("no snapshot".to_owned(), |id| format!("snapshot {id}"));
    outcome.lines.push(format!(
        "{path}: made again from the headers of the other files: {snapshot}, {} segments",
        manifest.segments.len()
    ));
    Ok(manifest)
}

#[cfg(test)]
mod tests;
