//! Opens the data directory for a server: lock → recovery → a new generation → what each shard restores and logs to. Wires `persist`
//! together; the thread that keeps the directory afterwards is `net::keeper`.

use std::sync::Arc;

use crate::base::rng::Rng;
use crate::metrics::persistence::Persistence;
use crate::net::clock::now_ms;
use crate::persist::disk::{Disk, OpenError, RealDisk};
use crate::persist::keeper::Keeper;
use crate::persist::log::NextSegment;
use crate::persist::recovery::{self, RecoveryError, recover};
use crate::persist::restore::Restore;
use crate::server::Keep;
use crate::shard::slots_of;
use crate::sys::process;

/// Why the data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// It cannot be opened, or another process has it.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// What is in it cannot be restored.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// It cannot be written.
    #[error(transparent)]
    Disk(#[from] crate::persist::disk::DiskError),
}

/// An open data directory.
pub(super) struct Data {
    pub disk: RealDisk,
    pub keeper: Keeper,
    pub shards: Vec<ShardData>,
}

/// What one shard gets of it.
pub(super) struct ShardData {
    pub restore: Arc<Restore>,
    /// What it logs to.
    pub segment: Option<NextSegment>,
    /// Bytes of logs that are there already and still needed, counted for one shard.
    pub earlier_bytes: u64,
}

/// Opens the directory and restores from it, for so many shards.
pub(super) fn open(keep: &Keep, shards: u16, persistence: &Persistence) -> Result<Data, DataError> {
    let mut disk = RealDisk::open(&keep.directory)?;
    let options = recovery::Options {
        restore_aof: keep.restores_log,
        restore_snapshot: keep.restores_snapshot,
        now_ms: now_ms(),
    };
    let recovered = recover(&mut disk, options)?;
    for line in &recovered.report {
        tracing::warn!("{line}");
    }
    let totals = recovered.totals;
    if let Some(snapshot) = &recovered.snapshot {
        persistence.note_base(totals.snapshot_bytes, snapshot.header().created_ms);
    }
    tracing::info!(
        directory = %keep.directory.display(),
        snapshot_keys = totals.snapshot_keys,
        log_bytes = totals.log_bytes,
        "restoring"
    );
    persistence.set_logging(keep.append_only);
    let mut seed = Rng::new(process::random_u64());
    let manifest = recovered.manifest.clone();
    let (keeper, segments) =
        Keeper::start(&mut disk, manifest, shards, keep.append_only, now_ms(), seed.next_u64())?;
    let restore = Arc::new(Restore::new(recovered, slots_of, |name| disk.path_of(name)));
    let mut segments = segments.into_iter();
    let shards = (0..shards).map(|shard| ShardData {
        earlier_bytes: if shard == 0 { totals.log_bytes } else { 0 },
        restore: Arc::clone(&restore),
        segment: segments.next().map(|segment| segment.into_next(1)),
    });
    let shards = shards.collect();
    Ok(Data { disk, keeper, shards })
}
