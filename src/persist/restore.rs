//! From what recovery found to what each shard restores: which archives and which effects of the log make up each of its tables. Reads the
//! log once for each shard that its streams concern; copies nothing that can be looked up again. Never changes a file.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use crate::persist::recovery::{Recovered, RecoveredSegment};
use crate::persist::snapshot::Snapshot;
use crate::store::effect::{Effect, decode_all};
use crate::store::keyspace::dormant::{Dormant, Source};

/// Bits of a position that say where in its piece an effect is; the others number the piece.
const OFFSET_BITS: u32 = 40;

/// What is to be restored, for all shards.
pub struct Restore {
    snapshot: Option<Snapshot>,
    snapshot_path: String,
    /// Streams with records, in the order in which they are replayed.
    streams: Vec<Stream>,
    /// All segments, as positions number them.
    segments: Vec<(RecoveredSegment, String)>,
    /// Payloads that lie scattered over several records, put together: behind the segments. Each is made by the first shard that reads it.
    gathered: Vec<OnceLock<Box<[u8]>>>,
}

struct Stream {
    /// The slots of the shard that wrote it.
    slots: Range<usize>,
    /// Its segments.
    segments: Range<usize>,
    /// Where its scattered payloads begin among all.
    gathered: usize,
}

impl Restore {
    /// Takes over what was found. `slots_of` tells the slots of a shard among so many; `path_of` a file's name as messages show it.
    pub fn new(
        recovered: Recovered,
        slots_of: impl Fn(u16, u16) -> Range<usize>,
        path_of: impl Fn(&str) -> String,
    ) -> Restore {
        let snapshot_path = recovered.snapshot.as_ref().map(|snapshot| {
            let id = snapshot.header().id;
            path_of(&crate::persist::directory::Name::Snapshot { id }.to_string())
        });
        let mut restore = Restore {
            snapshot: recovered.snapshot,
            snapshot_path: snapshot_path.unwrap_or_default(),
            streams: Vec::new(),
            segments: Vec::new(),
            gathered: Vec::new(),
        };
        for generation in recovered.generations {
            for (shard, stream) in (0..).zip(generation.streams) {
                let (first, gathered) = (restore.segments.len(), restore.gathered.len());
                for segment in stream {
                    let scattered = segment
                        .groups()
                        .flatten()
                        .filter(|group| matches!(group.payload, Cow::Owned(_)))
                        .count();
                    let all = restore.gathered.len() + scattered;
                    restore.gathered.resize_with(all, OnceLock::new);
                    let path = path_of(&crate::persist::directory::Name::Segment(segment.name).to_string());
                    restore.segments.push((segment, path));
                }
                let segments = first..restore.segments.len();
                if !segments.is_empty() {
                    let slots = slots_of(shard, generation.shards);
                    restore.streams.push(Stream { slots, segments, gathered });
                }
            }
        }
        restore
    }

    /// What a shard with these slots restores. `clock` is the access clock of keys that the log changes. Fails with the place of
    /// something that cannot be read.
    pub fn dormant(self: &Arc<Restore>, slots: Range<usize>, clock: u32) -> Result<(Dormant, u64), String> {
        let mut dormant = Dormant::new(Arc::clone(self) as Arc<dyn Source>, slots.clone(), clock);
        for (id, archive) in (0..).zip(self.snapshot.iter().flat_map(Snapshot::archives)) {
            dormant.add_archive(archive.db, archive.slot, id, archive.keys, archive.volatile);
        }
        let mut records = 0;
        for stream in &self.streams {
            if stream.slots.start < slots.end && slots.start < stream.slots.end {
                records += self.index(stream, &mut dormant)?;
            }
        }
        Ok((dormant, records))
    }

    fn index(&self, stream: &Stream, dormant: &mut Dormant) -> Result<u64, String> {
        let (mut groups, mut gathered) = (0, stream.gathered);
        for number in stream.segments.clone() {
            let (segment, path) = &self.segments[number];
            let bytes = segment.bytes();
            for group in segment.groups() {
                let group = group.map_err(|(at, bad)| format!("{path}: byte {at}: {bad}"))?;
                groups += 1;
                let (piece, payload, start) = match group.payload {
                    Cow::Borrowed(payload) => {
                        (number, payload, payload.as_ptr().addr() - bytes.as_ptr().addr())
                    }
                    Cow::Owned(payload) => {
                        let place = &self.gathered[gathered];
                        gathered += 1;
                        let payload = place.get_or_init(|| payload.into_boxed_slice());
                        (self.segments.len() + gathered - 1, &payload[..], 0)
                    }
                };
                let mut effects = decode_all(payload);
                loop {
                    let offset = effects.offset();
                    let Some(effect) = effects.next() else { break };
                    let (db, effect) = effect.map_err(|bad| format!("{path}: byte {}: {bad}", group.at))?;
                    let position = (piece as u64) << OFFSET_BITS | (start + offset) as u64;
                    dormant.add_effect(&stream.slots, db, &effect, position);
                }
            }
        }
        Ok(groups)
    }

    /// The bytes in which a position lies, and where.
    fn piece(&self, position: u64) -> (&[u8], usize) {
        let (piece, offset) = ((position >> OFFSET_BITS) as usize, position & ((1 << OFFSET_BITS) - 1));
        let bytes = match self.segments.get(piece) {
            Some((segment, _)) => segment.bytes(),
            None => {
                self.gathered[piece - self.segments.len()].get().expect("it was put together to be indexed")
            }
        };
        (bytes, offset as usize)
    }
}

impl Source for Restore {
    fn archive(&self, id: u32) -> Result<&[u8], String> {
        let snapshot = self.snapshot.as_ref().expect("archives are in a snapshot");
        snapshot
            .bytes_of(&snapshot.archives()[id as usize])
            .map_err(|bad| format!("{}: {bad}", self.snapshot_path))
    }

    fn effect(&self, position: u64) -> Result<(u16, Effect<'_>), String> {
        let (bytes, offset) = self.piece(position);
        match decode_all(&bytes[offset..]).next() {
            Some(Ok(effect)) => Ok(effect),
            _ => Err(format!(
                "{}: the effect there has changed since the server started",
                self.effect_place(position)
            )),
        }
    }

    fn archive_place(&self, id: u32) -> String {
        let offset = self.snapshot.as_ref().map_or(0, |snapshot| snapshot.archives()[id as usize].offset);
        format!("{}, byte {offset}", self.snapshot_path)
    }

    fn effect_place(&self, position: u64) -> String {
        let (piece, offset) = ((position >> OFFSET_BITS) as usize, position & ((1 << OFFSET_BITS) - 1));
        match self.segments.get(piece) {
            Some((_, path)) => format!("{path}, byte {offset}"),
            None => "a group of several records in the append-only file".into(),
        }
    }
}
