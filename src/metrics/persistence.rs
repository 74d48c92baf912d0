//! What the process knows of its own persistence: how far the restore is, which save runs, how the last ones ended, how the log fares.
//! Shared by the shards and by whoever writes the files. Decides nothing and touches no file; times are handed in.
//!
//! What a shard changes often is in its own `ShardGauges`, which nobody else writes. The rest changes a few times for each save and is
//! behind one lock, so that a reader finds it consistent.

use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Persistence of the process. The default is that of a process that keeps nothing: it has no gauges.
#[derive(Debug, Default)]
pub struct Persistence {
    shards: Box<[ShardGauges]>,
    state: Mutex<State>,
    /// A `Trouble`, in a form that writes can afford to look at.
    trouble: AtomicU8,
    /// Shards whose log or save cannot take more for now.
    behind: AtomicUsize,
}

/// A number that one thread writes and any may read.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// The number as it is.
    #[inline]
    pub fn get(&self) -> u64 {
        // Numbers stand alone: no other memory is read because of one.
        self.0.load(Ordering::Relaxed)
    }

    /// Replaces the number.
    #[inline]
    pub fn set(&self, number: u64) {
        self.0.store(number, Ordering::Relaxed);
    }

    /// Adds to the number. Only for its one writer: two at once would lose one addition.
    #[inline]
    pub fn add(&self, more: u64) {
        self.set(self.get() + more);
    }
}

/// What one shard reports. On cache lines of its own: its shard writes it often.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct ShardGauges {
    /// Changes of keys since start.
    pub changes: Gauge,
    /// Tables, one for each database and slot with keys in the snapshot or the log, that were to be restored.
    pub tables_total: Gauge,
    /// Those of them that are not in memory yet.
    pub tables_left: Gauge,
    /// Keys in the tables that are left, by the snapshot's count.
    pub keys_left: Gauge,
    /// Records of the log that are applied: at start, or with their tables.
    pub log_records: Gauge,
    /// Bytes in the segments that follow the base.
    pub log_bytes: Gauge,
    /// Bytes of records that are not written yet.
    pub buffer_bytes: Gauge,
    /// Bytes of records that are not known to be durable, those not written included.
    pub unsynced_bytes: Gauge,
    /// Syncs under way.
    pub syncs_pending: Gauge,
    /// Syncs that came late because the one before them took too long.
    pub syncs_delayed: Gauge,
}

/// The sums of the shards' gauges, by the same names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // `ShardGauges` documents them.
pub struct GaugeTotals {
    pub changes: u64,
    pub tables_total: u64,
    pub tables_left: u64,
    pub keys_left: u64,
    pub log_records: u64,
    pub log_bytes: u64,
    pub buffer_bytes: u64,
    pub unsynced_bytes: u64,
    pub syncs_pending: u64,
    pub syncs_delayed: u64,
}

/// What a new base is written for. The work is the same; Redis counts it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// `SAVE`, `BGSAVE`, a save point, or the end of the process.
    Snapshot,
    /// `BGREWRITEAOF`, a log that has grown, or `appendonly` turned on.
    Rewrite,
}

/// A save under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saving {
    /// Which one: numbered from 1 on since start.
    pub id: u64,
    /// What for.
    pub purpose: Purpose,
    /// Since when, Unix milliseconds.
    pub started_ms: i64,
    /// Changes of all shards at its cut; nothing before the cut.
    pub changes: Option<u64>,
}

/// How the last one of a purpose ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Last {
    /// Why it failed, if it did.
    pub error: Option<String>,
    /// How long it took, milliseconds; nothing if there was none.
    pub duration_ms: Option<u64>,
    /// Those that succeeded since start.
    pub count: u64,
}

/// What is behind the lock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The save under way.
    pub saving: Option<Saving>,
    /// Saves begun since start.
    pub saves_begun: u64,
    /// What is to be saved when that one has ended.
    pub scheduled: Option<Purpose>,
    /// The last one for `Purpose::Snapshot`.
    pub snapshot: Last,
    /// The last one for `Purpose::Rewrite`.
    pub rewrite: Last,
    /// When the base in force was complete, Unix milliseconds; nothing if there is none.
    pub saved_ms: Option<i64>,
    /// When the last save that failed did so, Unix milliseconds; nothing once one has succeeded.
    pub failed_ms: Option<i64>,
    /// Changes of all shards at the cut of the last save of this process.
    pub changes_saved: u64,
    /// Whether effects are being logged.
    pub is_logging: bool,
    /// Bytes of the base in force.
    pub base_bytes: u64,
    /// Why logs cannot be written: shards and their reasons.
    pub log_errors: Vec<(u16, String)>,
    /// Those of them whose logs only a new base can mend.
    pub broken_logs: Vec<u16>,
}

/// What is wrong with the disk, as far as writes are concerned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing.
    #[default]
    None,
    /// The last save failed.
    Save,
    /// The log cannot be written or made durable; it outweighs a save that failed.
    Log,
}

impl Persistence {
    /// That of a process that keeps its data, with so many shards.
    pub fn new(shards: u16) -> Persistence {
        let shards = (0..shards).map(|_| ShardGauges::default()).collect();
        Persistence { shards, ..Persistence::default() }
    }

    /// The gauges that shard `shard`, and nobody else, writes. Panics where nothing is kept.
    #[inline]
    pub fn shard(&self, shard: u16) -> &ShardGauges {
        &self.shards[usize::from(shard)]
    }

    /// The sums over all shards.
    pub fn totals(&self) -> GaugeTotals {
        let sum =
            |gauge: fn(&ShardGauges) -> &Gauge| self.shards.iter().map(|shard| gauge(shard).get()).sum();
        GaugeTotals {
            changes: sum(|shard| &shard.changes),
            tables_total: sum(|shard| &shard.tables_total),
            tables_left: sum(|shard| &shard.tables_left),
            keys_left: sum(|shard| &shard.keys_left),
            log_records: sum(|shard| &shard.log_records),
            log_bytes: sum(|shard| &shard.log_bytes),
            buffer_bytes: sum(|shard| &shard.buffer_bytes),
            unsynced_bytes: sum(|shard| &shard.unsynced_bytes),
            syncs_pending: sum(|shard| &shard.syncs_pending),
            syncs_delayed: sum(|shard| &shard.syncs_delayed),
        }
    }

    /// The state as it is now.
    pub fn state(&self) -> State {
        self.lock().clone()
    }

    /// What writes must know. One load.
    #[inline]
    pub fn trouble(&self) -> Trouble {
        match self.trouble.load(Ordering::Relaxed) {
            0 => Trouble::None,
            1 => Trouble::Save,
            _ => Trouble::Log,
        }
    }

    /// Whether who would write has to wait, since some shard's log or save cannot take more. One load.
    #[inline]
    pub fn is_behind(&self) -> bool {
        self.behind.load(Ordering::Relaxed) > 0
    }

    /// One more shard is behind, or one fewer.
    pub fn set_behind(&self, is_behind: bool) {
        if is_behind {
            self.behind.fetch_add(1, Ordering::Relaxed);
        } else {
            self.behind.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// A save begins, of which there is one at a time: says which one is under way already, if one is.
    pub fn begin_save(&self, purpose: Purpose, now_ms: i64) -> Result<(), Purpose> {
        let mut state = self.lock();
        match state.saving {
            Some(saving) => Err(saving.purpose),
            None => {
                state.saves_begun += 1;
                let id = state.saves_begun;
                state.saving = Some(Saving { id, purpose, started_ms: now_ms, changes: None });
                Ok(())
            }
        }
    }

    /// One more is to follow the save under way. Of two purposes a rewrite remains, since it does what a snapshot does.
    pub fn schedule_save(&self, purpose: Purpose) {
        let mut state = self.lock();
        if state.scheduled != Some(Purpose::Rewrite) {
            state.scheduled = Some(purpose);
        }
    }

    /// What was to follow, once no save is under way.
    pub fn take_scheduled(&self) -> Option<Purpose> {
        let mut state = self.lock();
        if state.saving.is_some() { None } else { state.scheduled.take() }
    }

    /// One more shard has made the cut of the save under way, at which it had counted `changes`.
    pub fn note_cut(&self, changes: u64) {
        if let Some(saving) = &mut self.lock().saving {
            saving.changes = Some(saving.changes.unwrap_or(0) + changes);
        }
    }

    /// The save under way has ended: with a base of so many bytes in force, or with the reason why there is none.
    pub fn end_save(&self, result: Result<u64, String>, now_ms: i64) {
        let mut state = self.lock();
        let saving = state.saving.take().expect("a save that ends has begun");
        let last = match saving.purpose {
            Purpose::Snapshot => &mut state.snapshot,
            Purpose::Rewrite => &mut state.rewrite,
        };
        last.duration_ms = Some(now_ms.abs_diff(saving.started_ms));
        match result {
            Ok(base_bytes) => {
                last.error = None;
                last.count += 1;
                // Whatever it was for, there is a base again.
                state.snapshot.error = None;
                state.base_bytes = base_bytes;
                state.saved_ms = Some(now_ms);
                state.failed_ms = None;
                if let Some(changes) = saving.changes {
                    state.changes_saved = changes;
                }
            }
            Err(error) => {
                last.error = Some(error);
                state.failed_ms = Some(now_ms);
            }
        }
        self.note_trouble(&state);
    }

    /// A base was found at start: of so many bytes, complete since then.
    pub fn note_base(&self, base_bytes: u64, saved_ms: i64) {
        let mut state = self.lock();
        state.base_bytes = base_bytes;
        state.saved_ms = Some(saved_ms);
    }

    /// Effects are being logged from now on, or no more.
    pub fn set_logging(&self, is_logging: bool) {
        self.lock().is_logging = is_logging;
    }

    /// The log of a shard cannot be written or made durable, for this reason; or it can again.
    /// `is_broken`: only a new base can mend it.
    pub fn set_log_error(&self, shard: u16, error: Option<String>, is_broken: bool) {
        let mut state = self.lock();
        state.broken_logs.retain(|of| *of != shard);
        state.broken_logs.extend(is_broken.then_some(shard));
        state.log_errors.retain(|(of, _)| *of != shard);
        state.log_errors.extend(error.map(|error| (shard, error)));
        self.note_trouble(&state);
    }

    fn note_trouble(&self, state: &State) {
        let trouble = match (state.log_errors.is_empty(), &state.snapshot.error) {
            (false, _) => 2,
            (true, Some(_)) => 1,
            (true, None) => 0,
        };
        self.trouble.store(trouble, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is whole before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_save_at_a_time() {
        let persistence = Persistence::new(2);
        assert_eq!(persistence.begin_save(Purpose::Snapshot, 100), Ok(()));
        assert_eq!(persistence.begin_save(Purpose::Rewrite, 101), Err(Purpose::Snapshot));
        persistence.schedule_save(Purpose::Rewrite);
        persistence.schedule_save(Purpose::Snapshot);
        assert_eq!(persistence.take_scheduled(), None);
        persistence.note_cut(7);
        persistence.end_save(Ok(4096), 350);
        let state = persistence.state();
        assert_eq!((state.saved_ms, state.changes_saved, state.base_bytes), (Some(350), 7, 4096));
        assert_eq!(state.snapshot, Last { error: None, duration_ms: Some(250), count: 1 });
        assert_eq!(persistence.take_scheduled(), Some(Purpose::Rewrite));
        assert_eq!(persistence.take_scheduled(), None);
    }

    #[test]
    fn trouble_lasts_until_a_base_is_written() {
        let persistence = Persistence::new(1);
        persistence.begin_save(Purpose::Snapshot, 0).expect("none runs");
        persistence.note_cut(5);
        persistence.end_save(Err("no space".into()), 10);
        assert_eq!(persistence.trouble(), Trouble::Save);
        assert_eq!((persistence.state().changes_saved, persistence.state().failed_ms), (0, Some(10)));
        persistence.set_log_error(1, Some("EIO".into()), true);
        assert_eq!(persistence.trouble(), Trouble::Log);
        persistence.begin_save(Purpose::Rewrite, 20).expect("none runs");
        persistence.end_save(Ok(1), 30);
        assert_eq!(persistence.trouble(), Trouble::Log, "who writes the log says when it is well");
        persistence.set_log_error(0, None, false);
        assert_eq!(persistence.trouble(), Trouble::Log);
        persistence.set_log_error(1, None, false);
        assert_eq!(persistence.trouble(), Trouble::None);
    }

    #[test]
    fn a_failed_rewrite_is_no_reason_to_refuse_writes() {
        let persistence = Persistence::new(1);
        persistence.begin_save(Purpose::Rewrite, 0).expect("none runs");
        persistence.end_save(Err("no space".into()), 10);
        assert_eq!(persistence.trouble(), Trouble::None);
        assert_eq!(persistence.state().rewrite.error.as_deref(), Some("no space"));
    }

    #[test]
    fn gauges_add_up() {
        let persistence = Persistence::new(2);
        persistence.shard(0).changes.set(3);
        persistence.shard(1).changes.add(4);
        persistence.shard(1).log_bytes.set(9);
        let totals = persistence.totals();
        assert_eq!((totals.changes, totals.log_bytes, totals.tables_left), (7, 9, 0));
        assert_eq!(Persistence::default().totals(), GaugeTotals::default());
    }
}
