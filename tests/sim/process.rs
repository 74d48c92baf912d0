//! A whole simulated process over a disk: its start, wired as `server` wires one, and what the start found.

use std::sync::Arc;

use corevault::base::rng::Rng;
use corevault::base::slot::SLOTS;
use corevault::commands::session::Process;
use corevault::config::persistence::Fsync;
use corevault::config::{Config, Start};
use corevault::metrics::persistence::Persistence;
use corevault::persist::clerk::Clerk;
use corevault::persist::disk::Disk;
use corevault::persist::keeper::Keeper;
use corevault::persist::ledger::Ledger;
use corevault::persist::log::NextSegment;
use corevault::persist::recovery::{Options, Recovered, recover};
use corevault::persist::restore::Restore;
use corevault::shard::{Shard, slots_of};
use corevault::store::keyspace::Keyspace;

use crate::cluster::Cluster;
use crate::disk::SimDisk;
use crate::storage::Storage;

/// The parameters of a process that logs.
pub fn config(strategy: Fsync) -> Config {
    let start = Start { keeps: true, ..Start::default() };
    Config { append_only: true, append_fsync: strategy, start, ..Config::default() }
}

/// What is in the directory of a disk, as a start finds it.
pub fn open(disk: &SimDisk, now_ms: i64) -> Result<Recovered, String> {
    let options = Options { restore_aof: true, restore_snapshot: true, now_ms };
    recover(&mut disk.clone(), options).map_err(|error| error.to_string())
}

/// What a start found, to be laid into the keyspaces of any number of shards.
pub struct Found {
    restore: Arc<Restore>,
    log_bytes: u64,
    manifest: corevault::persist::manifest::Manifest,
}

impl Found {
    pub fn new(disk: &SimDisk, recovered: Recovered) -> Found {
        let (manifest, log_bytes) = (recovered.manifest.clone(), recovered.totals.log_bytes);
        let restore = Restore::new(recovered, slots_of, |name| disk.path_of(name));
        Found { restore: Arc::new(restore), log_bytes, manifest }
    }

    /// The keys of one shard of so many, dormant.
    pub fn keys(&self, shard: u16, shards: u16) -> Result<Keyspace, String> {
        let mut keys = Keyspace::new(slots_of(shard, shards));
        let (dormant, _) = self.restore.dormant(keys.slots(), 0)?;
        keys.lay_dormant(dormant);
        Ok(keys)
    }

    /// All keys, dormant.
    pub fn all_keys(&self) -> Result<Keyspace, String> {
        let keys = self.keys(0, 1)?;
        assert_eq!(keys.slots(), 0..SLOTS);
        Ok(keys)
    }

    /// Begins a generation with so many shards. Returns it with its number.
    pub fn start(
        &self,
        disk: &SimDisk,
        shards: u16,
        config: &Config,
        now_ms: i64,
        rng: &mut Rng,
    ) -> Result<(Cluster, u64), String> {
        let process = Arc::new(Process {
            persistence: Persistence::new(shards),
            started_ms: now_ms,
            ..Process::default()
        });
        process.persistence.set_logging(true);
        let manifest = self.manifest.clone();
        let (keeper, segments) =
            Keeper::start(&mut disk.clone(), manifest, shards, true, now_ms, rng.next_u64())
                .map_err(|error| error.to_string())?;
        let generation = keeper.manifest().generation;
        let ledger = Arc::new(Ledger::new(shards));
        let mut all = Vec::new();
        for (number, segment) in (0..shards).zip(segments) {
            let keys = self.keys(number, shards)?;
            let (process, ledger) = (Arc::clone(&process), Arc::clone(&ledger));
            let mut shard =
                Shard::with_keyspace(number, shards, process, config.clone(), rng.next_u64(), keys, ledger);
            shard.log().listen();
            let header = segment.header(1);
            let earlier_bytes = if number == 0 { self.log_bytes } else { 0 };
            shard.begin_log(NextSegment { file: Arc::new(segment.file), header }, earlier_bytes, now_ms);
            all.push(shard);
        }
        let mut cluster = Cluster::of(all, now_ms, rng, None);
        cluster.storage = Some(Storage::new(disk.clone(), Clerk::new(keeper, shards), shards.into()));
        Ok((cluster, generation))
    }
}
