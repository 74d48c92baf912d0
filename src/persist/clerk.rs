//! What becomes of the shards' messages about saves: makes the files of one, publishes it once every shard has written its part, gives it
//! up if one could not, and says what each shard is to be told. Blocks in the disk's calls; has no thread and no clock (`net::keeper`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::persist::control::{Archived, FromKeeper, SaveFiles, ToKeeper};
use crate::persist::disk::Disk;
use crate::persist::keeper::{ARCHIVES_AT, Keeper, Log, Prepared, Saved};
use crate::persist::log::OpenFile;

/// See the module. One for each process.
pub struct Clerk {
    keeper: Keeper,
    shards: u16,
    save: Option<Save>,
}

/// A save under way.
struct Save {
    id: u64,
    place: Arc<AtomicU64>,
    parts: Vec<Option<Archived>>,
}

impl Clerk {
    /// For so many shards.
    pub fn new(keeper: Keeper, shards: u16) -> Clerk {
        Clerk { keeper, shards, save: None }
    }

    /// Does what a message asks for. `tell` gets what is to be told to shards, in this order.
    pub fn handle(
        &mut self,
        disk: &mut dyn Disk,
        message: ToKeeper,
        now_ms: i64,
        mut tell: impl FnMut(u16, FromKeeper),
    ) {
        match message {
            ToKeeper::Prepare { save: id, log } => match self.prepare(disk, log, now_ms) {
                Ok((place, files)) => {
                    let parts = files.iter().map(|_| None).collect();
                    self.save = Some(Save { id, place, parts });
                    // The first shard, which goes on with it, is told last: then everybody has its files.
                    for (shard, files) in (0..self.shards).zip(files).rev() {
                        tell(shard, FromKeeper::Prepared { save: id, result: Ok(files) });
                    }
                }
                Err(error) => {
                    // Any shard may have a client that waits for it.
                    for shard in (0..self.shards).rev() {
                        tell(shard, FromKeeper::Prepared { save: id, result: Err(error.clone()) });
                    }
                }
            },
            ToKeeper::Archived { save: id, shard, result } => {
                let Some(current) = self.save.as_mut().filter(|save| save.id == id) else { return };
                let result = match result {
                    Err(error) => Err(error),
                    Ok(archived) => {
                        current.parts[usize::from(shard)] = Some(archived);
                        if current.parts.iter().any(Option::is_none) {
                            return;
                        }
                        publish(disk, &mut self.keeper, current)
                    }
                };
                self.save = None;
                if result.is_err()
                    && let Err(error) = self.keeper.abandon(disk, true)
                {
                    tracing::warn!("after a save that failed: {error}");
                }
                // The first shard first: who hears of it elsewhere finds it over.
                for shard in 0..self.shards {
                    tell(shard, FromKeeper::Concluded { save: id, result: result.clone() });
                }
            }
        }
    }

    /// The files of a save, for each shard.
    fn prepare(
        &mut self,
        disk: &mut dyn Disk,
        log: Log,
        now_ms: i64,
    ) -> Result<(Arc<AtomicU64>, Vec<SaveFiles>), String> {
        let Prepared { snapshot, segments, .. } =
            self.keeper.prepare_save(disk, log, now_ms).map_err(|error| error.to_string())?;
        let place = Arc::new(AtomicU64::new(ARCHIVES_AT));
        let snapshot: OpenFile = Arc::new(snapshot);
        let mut segments = segments.into_iter();
        let files = (0..self.shards).map(|_| SaveFiles {
            snapshot: Arc::clone(&snapshot),
            place: Arc::clone(&place),
            next: segments.next().map(|segment| segment.into_next(0)),
            is_fresh: log == Log::Begins,
        });
        let files = files.collect();
        Ok((place, files))
    }
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
