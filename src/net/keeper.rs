//! The thread that has the data directory while the server runs: makes files for saves, publishes them, and tells the shards. It blocks
//! in the file system so that no shard has to. What is done, and in which order, is `persist::keeper`'s.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::Receiver;

use crate::net::clock::now_ms;
use crate::net::mesh::{Mesh, Parcel};
use crate::persist::control::{Archived, FromKeeper, SaveFiles, ToKeeper};
use crate::persist::disk::{Disk, Handle};
use crate::persist::keeper::{ARCHIVES_AT, Keeper, Log, Prepared, Saved};
use crate::persist::log::{NextSegment, OpenFile};

/// A save under way.
struct Save {
    id: u64,
    place: Arc<AtomicU64>,
    parts: Vec<Option<Archived>>,
}

/// Serves the shards until all of them are gone.
pub fn keep<D: Disk>(mut disk: D, mut keeper: Keeper, inbox: &Receiver<ToKeeper>, mesh: &Mesh) {
    let mut save = None;
    for message in inbox {
        match message {
            ToKeeper::Prepare { save: id, log } => {
                match prepare(&mut disk, &mut keeper, log, mesh.shards()) {
                    Ok((place, files)) => {
                        let parts = files.iter().map(|_| None).collect();
                        save = Some(Save { id, place, parts });
                        // The first shard, which goes on with it, is told last: then everybody has its files.
                        for (shard, files) in (0..mesh.shards()).zip(files).rev() {
                            tell(mesh, shard, FromKeeper::Prepared { save: id, result: Ok(files) });
                        }
                    }
                    Err(error) => {
                        for shard in 0..mesh.shards() {
                            tell(mesh, shard, FromKeeper::Concluded { save: id, result: Err(error.clone()) });
                        }
                    }
                }
            }
            ToKeeper::Archived { save: id, shard, result } => {
                let Some(current) = save.as_mut().filter(|save| save.id == id) else { continue };
                let result = match result {
                    Err(error) => Err(error),
                    Ok(archived) => {
                        current.parts[usize::from(shard)] = Some(archived);
                        if current.parts.iter().any(Option::is_none) {
                            continue;
                        }
                        publish(&mut disk, &mut keeper, current)
                    }
                };
                save = None;
                if result.is_err()
                    && let Err(error) = keeper.abandon(&mut disk, true)
                {
                    tracing::warn!("after a save that failed: {error}");
                }
                for shard in 0..mesh.shards() {
                    tell(mesh, shard, FromKeeper::Concluded { save: id, result: result.clone() });
                }
            }
        }
    }
}

fn tell(mesh: &Mesh, shard: u16, message: FromKeeper) {
    mesh.deliver_from_outside(shard, Parcel::Keeper(message));
}

/// The files of a save, for each shard.
fn prepare(
    disk: &mut dyn Disk,
    keeper: &mut Keeper,
    log: Log,
    shards: u16,
) -> Result<(Arc<AtomicU64>, Vec<SaveFiles>), String> {
    let Prepared { snapshot, segments, .. } =
        keeper.prepare_save(disk, log, now_ms()).map_err(|error| error.to_string())?;
    let place = Arc::new(AtomicU64::new(ARCHIVES_AT));
    let snapshot: OpenFile = Arc::new(snapshot);
    let mut segments = segments.into_iter();
    let files = (0..shards).map(|_| SaveFiles {
        snapshot: Arc::clone(&snapshot),
        place: Arc::clone(&place),
        next: segments.next().map(|segment| {
            let header = segment.header(0);
            NextSegment { file: shared(segment.file), header }
        }),
        is_fresh: log == Log::Begins,
    });
    let files = files.collect();
    Ok((place, files))
}

/// A file as shards hold it.
pub fn shared(file: Handle) -> OpenFile {
    Arc::new(file)
}

fn publish(disk: &mut dyn Disk, keeper: &mut Keeper, save: &Save) -> Result<u64, String> {
    let parts: Vec<&Archived> = save.parts.iter().flatten().collect();
    let archives: Vec<_> = parts.iter().flat_map(|part| part.archives.iter().copied()).collect();
    let first_seqs: Vec<u64> = parts.iter().filter_map(|part| part.first_seq).collect();
    let cut_ms = parts.iter().map(|part| part.cut_ms).max().expect("there is a shard");
    let end = save.place.load(Ordering::Acquire);
    let saved = Saved { archives: &archives, end, cut_ms, first_seqs: &first_seqs };
    let published = keeper.publish(disk, saved).map_err(|error| error.to_string())?;
    if let Some(error) = published.leftover {
        tracing::warn!("after a save: {error}");
    }
    Ok(published.bytes)
}
