//! What shards and the keeper, who has the data directory, say to each other: the shape of a save. Never carries any of it.
//!
//! ```text
//! shard 0                      keeper                       every shard
//!   | Prepare ------------------>|                              |
//!   |                            | makes the files              |
//!   |                            |-- Prepared ----------------->|  (shard 0 is told last)
//!   | the cut: a transaction on all shards ------------------->|
//!   |                            |<-------------- Archived -----|  as each has written its part
//!   |                            | publishes                    |
//!   |                            |-- Concluded ---------------->|
//! ```

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::persist::keeper::Log;
use crate::persist::log::{NextSegment, OpenFile};
use crate::persist::snapshot::ArchiveAt;

/// From a shard to the keeper.
#[derive(Debug)]
pub enum ToKeeper {
    /// Make the files of save `save` ready. `log` says what becomes of the log at its cut.
    Prepare { save: u64, log: Log },
    /// A shard has written all its keys of the cut, or could not.
    Archived { save: u64, shard: u16, result: Result<Archived, String> },
}

/// What a shard wrote for a save.
#[derive(Debug, Default)]
pub struct Archived {
    /// Where its archives are, in order.
    pub archives: Vec<ArchiveAt>,
    /// The first record behind the cut, if effects are logged.
    pub first_seq: Option<u64>,
    /// When the cut was, Unix milliseconds.
    pub cut_ms: i64,
}

/// From the keeper to a shard.
#[derive(Debug)]
pub enum FromKeeper {
    /// The files are ready, or could not be made.
    Prepared { save: u64, result: Result<SaveFiles, String> },
    /// The save is over: how many bytes the base has, or why there is none.
    Concluded { save: u64, result: Result<u64, String> },
}

/// The files of a save, for one shard.
#[derive(Debug)]
pub struct SaveFiles {
    /// The snapshot being written, by all shards.
    pub snapshot: OpenFile,
    /// Where in it the next one may write: taken with `fetch_add`.
    pub place: Arc<AtomicU64>,
    /// The segment that the shard's log goes on in.
    pub next: Option<NextSegment>,
    /// That segment means nothing before the save is published.
    pub is_fresh: bool,
}
