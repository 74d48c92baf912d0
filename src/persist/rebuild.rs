//! A manifest made again from the files themselves, for a directory that has lost it. Only reads; says what is missing rather than
//! guesses: which files belong together follows from the snapshot's list of logs and from the segments' headers and names.
//!
//! What it cannot know is where the manifest said that finished generations end. Their tails are then judged like those of the last one.

use std::collections::BTreeMap;

use crate::persist::directory::{Name, SegmentName};
use crate::persist::disk::{Disk, DiskError};
use crate::persist::manifest::{Listed, Manifest};
use crate::persist::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::persist::snapshot::Snapshot;

/// A segment's file: its header, or none if nothing was written into it.
type Segments = BTreeMap<SegmentName, Option<SegmentHeader>>;

/// The manifest of the newest snapshot that opens and of the segments that go on from it; or why there is none.
pub fn rebuilt(disk: &mut dyn Disk) -> Result<Result<Manifest, String>, DiskError> {
    let names: Vec<Name> = disk.list()?.iter().filter_map(|name| Name::parse(name)).collect();
    let base = newest_snapshot(disk, &names)?;
    let segments = match segments(disk, &names, base.as_ref())? {
        Ok(segments) => segments,
        Err(why) => return Ok(Err(why)),
    };
    Ok(manifest(disk, base.as_ref(), &segments))
}

fn newest_snapshot(disk: &mut dyn Disk, names: &[Name]) -> Result<Option<Snapshot>, DiskError> {
    let mut ids: Vec<u64> = Vec::new();
    ids.extend(
        names.iter().filter_map(|name| if let Name::Snapshot { id } = name { Some(*id) } else { None }),
    );
    ids.sort_unstable();
    for &id in ids.iter().rev() {
        let bytes = disk.read(&Name::Snapshot { id }.to_string())?;
        if let Ok(snapshot) = Snapshot::open(bytes)
            && snapshot.header().id == id
        {
            return Ok(Some(snapshot));
        }
    }
    Ok(None)
}

/// The segments behind the snapshot; or which one nobody can place.
fn segments(
    disk: &mut dyn Disk,
    names: &[Name],
    base: Option<&Snapshot>,
) -> Result<Result<Segments, String>, DiskError> {
    let mut segments = Segments::new();
    for name in names {
        let Name::Segment(segment) = *name else { continue };
        let bytes = disk.read(&name.to_string())?;
        let beginning = &bytes[..bytes.len().min(SEGMENT_HEADER_BYTES)];
        let is_unused = beginning.iter().all(|&byte| byte == 0);
        let header = match SegmentHeader::decode(&bytes) {
            Ok(header) => Some(header),
            Err(_) if is_unused => None,
            Err(_) => {
                return Ok(Err(format!(
                    "{} has no whole header, and there is no whole MANIFEST that lists it\n  Put back a copy of either, or move the file away.",
                    disk.path_of(&name.to_string())
                )));
            }
        };
        if base.is_none_or(|base| is_behind(base, segment, header.as_ref())) {
            segments.insert(segment, header);
        }
    }
    Ok(Ok(segments))
}

/// Whether a segment was begun at a snapshot's cut or later.
fn is_behind(base: &Snapshot, name: SegmentName, header: Option<&SegmentHeader>) -> bool {
    let Some(first) = base.logs().first() else {
        // Nothing was logged then: the times must do.
        return header.is_none_or(|header| header.created_ms >= base.header().created_ms);
    };
    let at_cut = base.logs().iter().find(|log| (log.generation, log.shard) == (name.generation, name.shard));
    name.generation >= first.generation && at_cut.is_none_or(|log| name.number >= log.segment)
}

fn manifest(disk: &dyn Disk, base: Option<&Snapshot>, segments: &Segments) -> Result<Manifest, String> {
    let logs = base.map_or(&[][..], Snapshot::logs);
    let mut streams: BTreeMap<(u64, u16), Vec<SegmentName>> = BTreeMap::new();
    for name in segments.keys() {
        streams.entry((name.generation, name.shard)).or_default().push(*name);
    }
    let mut listed = Vec::new();
    for generation in generations(segments) {
        let headers = segments.iter().filter(|(name, _)| name.generation == generation);
        let headers: Vec<&SegmentHeader> = headers.filter_map(|(_, header)| header.as_ref()).collect();
        // A generation of which nothing was written has nothing to be listed.
        let Some(shards) = headers.first().map(|header| header.shards) else { continue };
        for shard in 0..shards {
            let log = logs.iter().find(|log| (log.generation, log.shard) == (generation, shard));
            let first = SegmentName { generation, shard, number: log.map_or(1, |log| log.segment) };
            let stream = streams.get(&(generation, shard)).map_or(&[][..], Vec::as_slice);
            if stream.first() != Some(&first) {
                return Err(format!(
                    "{} is missing: the files beside it go on from it, and no snapshot that opens takes its place\n  Put back a copy of it, or of the snapshot.",
                    disk.path_of(&Name::Segment(first).to_string())
                ));
            }
            listed.extend(stream_of(stream, segments, shards));
        }
    }
    let last = segments.keys().map(|name| name.generation).chain(logs.iter().map(|log| log.generation)).max();
    let snapshot = base.map(|base| base.header().id);
    let manifest = Manifest { generation: last.unwrap_or(0), snapshot, set_aside_ms: None, segments: listed };
    // What cannot be listed in order does not belong together.
    let checked = Manifest::decode(&manifest.encode());
    checked
        .map_err(|bad| format!("the segments do not belong together: {bad}\n  Put back a copy of MANIFEST."))
}

fn generations(segments: &Segments) -> Vec<u64> {
    let mut generations: Vec<u64> = segments.keys().map(|name| name.generation).collect();
    generations.dedup();
    generations
}

/// A stream's segments as they are listed. One that was never used has no seed that anybody could miss.
fn stream_of(stream: &[SegmentName], segments: &Segments, shards: u16) -> Vec<Listed> {
    let header = |name: &SegmentName| segments.get(name).and_then(Option::as_ref);
    let first_seq = stream.iter().find_map(header).map_or(1, |header| header.first_seq);
    let listed = |(i, name): (usize, &SegmentName)| {
        let header = header(name);
        Listed {
            name: *name,
            shards: header.map_or(shards, |header| header.shards),
            seed: header.map_or(0, |header| header.seed),
            first_seq: (i == 0).then_some(first_seq),
            end: None,
        }
    };
    stream.iter().enumerate().map(listed).collect()
}
