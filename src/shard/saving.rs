//! Saves: how shard 0 leads one through its steps, how each shard makes the cut and then writes what its keys were, and who waits for the
//! end. Files are the keeper's (`persist::control` has the steps between them). Never touches a file.
//!
//! The cut is a transaction that claims everything on all shards, begun by a client that is nobody (`begin_cut`). Behind it keys may change
//! at once: the keyspace archives the old state of what a command is about to change (`store::keyspace::saving`). What is not touched is
//! archived in steps, whenever the driver has nothing more urgent (`work`).

use std::collections::VecDeque;
use std::mem::take;
use std::sync::atomic::Ordering;

use crate::base::limits::{
    SAVE_BUFFER_BYTES_MAX, SAVE_CHECK_MS, SAVE_CHUNK_BYTES, SAVE_RETRY_MS, SAVE_STEP_BYTES, SAVE_SYNC_BYTES,
    SAVE_WRITES_MAX,
};
use crate::metrics::persistence::Purpose;
use crate::persist::control::{Archived, FromKeeper, SaveFiles, ToKeeper};
use crate::persist::keeper;
use crate::persist::log::{DiskDone, DiskOp, OpenFile};
use crate::persist::snapshot::{ARCHIVE_ALIGN_BYTES, ArchiveAt};
use crate::shard::client::Client;
use crate::shard::execute::Core;
use crate::shard::flight::{self, packed};
use crate::shard::mesh::{Call, Message, Stage};
use crate::shard::{ClientRef, DiskSlot, Shard};
use crate::store::keyspace::saving::SavedArchive;

/// A save as one shard takes part in it.
pub(super) struct Save {
    id: u64,
    files: SaveFiles,
    /// The cut has been made.
    is_cut: bool,
    /// All keys of the cut have been archived.
    is_archived: bool,
    archived: Archived,
    /// The segment and the first sequence number behind the cut.
    log: Option<(u64, u64)>,
    /// Archives that wait to be written.
    pending: VecDeque<SavedArchive>,
    pending_bytes: usize,
    /// Archives that are written together, and where in `chunk` each begins.
    chunk: Vec<u8>,
    placed: Vec<ArchiveAt>,
    /// Writes under way: bytes to be written, those written, and where.
    writes: Vec<Option<Write>>,
    /// Bytes written since the last sync began, and whether one is under way: the disk works while keys are archived, so that little is
    /// left to be synced in the end.
    unsynced_bytes: usize,
    is_syncing: bool,
    /// The keeper has been told how it went here.
    is_reported: bool,
    error: Option<String>,
}

struct Write {
    at: u64,
    from: usize,
}

/// What shard 0 knows of the save that it leads.
#[derive(Default)]
pub(super) struct Leading {
    /// The save under way.
    save: Option<u64>,
    /// Effects are logged from its cut on.
    is_logged: bool,
    /// The client that is nobody, for cuts.
    nobody: Option<ClientRef>,
    /// The process ends when the save has ended.
    pub ends: Option<Ending>,
    /// Not with the save under way, which began before that was known, but with the next.
    pub ends_after_next: bool,
}

/// That a save is to be followed by the end of the process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending {
    /// Also if it fails.
    pub force: bool,
    /// The shard and client that are told if it does not, and whether it wants to know.
    pub asker: Option<(u16, ClientRef, bool)>,
}

impl Core {
    /// Whether so many archives wait for the disk, made by changes, that no more may come.
    #[inline]
    pub fn is_save_behind(&self) -> bool {
        self.save.as_ref().is_some_and(|save| {
            save.pending_bytes + save.chunk.len() + self.keys.archived_bytes() > SAVE_BUFFER_BYTES_MAX
        })
    }

    /// The cut of a save, at its place among the transactions. The save may have failed elsewhere before that place has come.
    pub fn cut(&mut self, id: u64, now_ms: i64) {
        self.commit(now_ms);
        let Some(save) = self.save.as_mut().filter(|save| save.id == id) else { return };
        let log = &mut self.logging.log;
        if let Some(next) = save.files.next.take() {
            let segment = next.header.number;
            let first_seq = log.begin_segment(next, save.files.is_fresh, now_ms);
            save.log = Some((segment, first_seq));
            save.archived.first_seq = Some(first_seq);
            self.keys.record_effects(true);
        }
        save.is_cut = true;
        save.archived.cut_ms = now_ms;
        self.keys.begin_save();
        let persistence = &self.server.process.persistence;
        persistence.shard(self.server.shard).changes.set(self.keys.counts.changes);
        persistence.note_cut(self.keys.counts.changes);
    }
}

impl Shard {
    // Beginning ---------------------------------------------------------------------------------------------------

    /// A save has been begun (`Persistence::begin_save`); shard 0 leads it.
    pub(super) fn request_save(&mut self, purpose: Purpose) {
        self.send(0, Message::Save { purpose });
    }

    /// Shard 0: a save that was begun is carried out.
    pub(super) fn lead_save(&mut self, purpose: Purpose) {
        let persistence = &self.core.server.process.persistence;
        let state = persistence.state();
        let id = state.saving.expect("it has been begun").id;
        self.leading.save = Some(id);
        let log = if !self.core.server.config.append_only {
            keeper::Log::Off
        } else if !state.is_logging || !state.broken_logs.is_empty() {
            keeper::Log::Begins
        } else {
            keeper::Log::Continues
        };
        self.leading.is_logged = log != keeper::Log::Off;
        tracing::info!(save = id, ?purpose, "saving");
        self.to_keeper.push_back(ToKeeper::Prepare { save: id, log });
    }

    /// A message from the keeper has arrived.
    pub fn keeper_says(&mut self, message: FromKeeper, now_ms: i64) {
        match message {
            FromKeeper::Prepared { save, result: Ok(files) } => {
                self.core.save = Some(Save {
                    id: save,
                    files,
                    is_cut: false,
                    is_archived: false,
                    archived: Archived::default(),
                    log: None,
                    pending: VecDeque::new(),
                    pending_bytes: 0,
                    chunk: Vec::new(),
                    placed: Vec::new(),
                    writes: Vec::new(),
                    unsynced_bytes: 0,
                    is_syncing: false,
                    is_reported: false,
                    error: None,
                });
                if self.leading.save == Some(save) {
                    self.begin_cut(save, now_ms);
                }
            }
            FromKeeper::Prepared { save, result: Err(error) } => self.conclude_save(save, Err(error), now_ms),
            FromKeeper::Concluded { save, result } => self.conclude_save(save, result, now_ms),
        }
        self.after_commands(now_ms);
    }

    /// Has every shard make its cut at the same place in the order of transactions.
    fn begin_cut(&mut self, save: u64, now_ms: i64) {
        let id = save.to_le_bytes();
        // The cut before may still be on its way home, if an inbox is full, while its save has ended.
        let nobody = self.leading.nobody;
        let nobody = match nobody.filter(|nobody| self.client(*nobody).is_some_and(|c| c.flight.is_none())) {
            Some(nobody) => nobody,
            None => {
                let nobody = ClientRef { index: self.clients.len() as u32, generation: 0 };
                self.clients.push(Some(Client::new(0)));
                self.generations.push(0);
                self.leading.nobody = Some(nobody);
                nobody
            }
        };
        let mut flight = self.spare_flights.pop().unwrap_or_default();
        flight.is_whole = true;
        for shard in 0..self.core.server.shards {
            let calls = packed(&mut self.packing, &mut self.spare_calls, shard);
            calls.claim.claim_everything(true);
            calls.push(Call::of_stage(Stage::Cut), [&id[..]].into_iter());
        }
        flight::depart(self, nobody, flight, now_ms);
    }

    /// Whether a client is the one that is nobody.
    pub(super) fn is_nobody(&self, client: ClientRef) -> bool {
        self.leading.nobody == Some(client)
    }

    // Archiving ---------------------------------------------------------------------------------------------------

    /// Does a little of what is not urgent: archives keys for a save, restores keys that lie dormant. Whether there is more that could
    /// be done at once.
    pub fn work(&mut self, now_ms: i64) -> bool {
        let goes_on = self.archive_step(now_ms);
        let restores = self.restore_step(now_ms);
        goes_on || restores
    }

    fn archive_step(&mut self, now_ms: i64) -> bool {
        let Some(save) = &mut self.core.save else { return false };
        if !save.is_cut || save.is_reported {
            return false;
        }
        let mut goes_on = false;
        if !save.is_archived && save.error.is_none() && save.writes.iter().flatten().count() < SAVE_WRITES_MAX
        {
            goes_on = self.core.keys.save_step(SAVE_STEP_BYTES);
            save.is_archived = !goes_on;
        }
        self.write_archives();
        self.report_archived();
        self.note_behind();
        self.release_writers(now_ms);
        goes_on
    }

    /// Takes what has been archived and writes it in chunks.
    fn write_archives(&mut self) {
        let Some(save) = &mut self.core.save else { return };
        let keys = &mut self.core.keys;
        if !save.is_cut || save.error.is_some() {
            return;
        }
        for archive in keys.take_archives() {
            save.pending_bytes += archive.bytes.len();
            save.pending.push_back(archive);
        }
        loop {
            if save.writes.iter().flatten().count() >= SAVE_WRITES_MAX {
                return;
            }
            while save.chunk.len() < SAVE_CHUNK_BYTES
                && let Some(archive) = save.pending.pop_front()
            {
                save.pending_bytes -= archive.bytes.len();
                save.placed.push(archive_at(&archive, save.chunk.len()));
                save.chunk.extend_from_slice(&archive.bytes);
                let length = save.chunk.len().next_multiple_of(ARCHIVE_ALIGN_BYTES as usize);
                save.chunk.resize(length, 0);
            }
            let is_last = save.is_archived && save.pending.is_empty();
            if save.chunk.is_empty() || (save.chunk.len() < SAVE_CHUNK_BYTES && !is_last) {
                return;
            }
            let bytes = take(&mut save.chunk);
            let at = save.files.place.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            for mut placed in save.placed.drain(..) {
                placed.offset += at;
                save.archived.archives.push(placed);
            }
            let slot = save.writes.iter().position(Option::is_none).unwrap_or_else(|| {
                save.writes.push(None);
                save.writes.len() - 1
            });
            save.writes[slot] = Some(Write { at, from: 0 });
            let file = OpenFile::clone(&save.files.snapshot);
            let op = DiskOp::Write { file, at, bytes, from: 0, is_durable: false };
            self.disk_ops.push_back((DiskSlot::Save { id: save.id, slot: slot as u32 }, op));
        }
    }

    /// A write of the snapshot has ended.
    pub(super) fn save_done(&mut self, id: u64, slot: u32, done: DiskDone, now_ms: i64) {
        let Some(save) = self.core.save.as_mut().filter(|save| save.id == id) else { return };
        let (result, bytes) = match done {
            DiskDone::Written { result, bytes } => (result, bytes),
            DiskDone::Synced { result } => {
                save.is_syncing = false;
                if let Err(error) = result {
                    let name = save.files.snapshot.name();
                    save.error.get_or_insert_with(|| format!("cannot sync {name}: {error}"));
                }
                return self.report_archived();
            }
        };
        let write = save.writes[slot as usize].as_mut().expect("it is under way");
        match result {
            Ok(written) if written > 0 => {
                write.from += written;
                save.unsynced_bytes += written;
                if write.from < bytes.len() {
                    let (at, from) = (write.at + write.from as u64, write.from);
                    let file = OpenFile::clone(&save.files.snapshot);
                    let op = DiskOp::Write { file, at, bytes, from, is_durable: false };
                    return self.disk_ops.push_back((DiskSlot::Save { id, slot }, op));
                }
            }
            Ok(_) => save.error = Some("the file system takes no more bytes".into()),
            Err(error) => save.error = Some(format!("cannot write {}: {error}", save.files.snapshot.name())),
        }
        save.writes[slot as usize] = None;
        if save.unsynced_bytes >= SAVE_SYNC_BYTES && !save.is_syncing && save.error.is_none() {
            (save.unsynced_bytes, save.is_syncing) = (0, true);
            let op = DiskOp::Sync { file: OpenFile::clone(&save.files.snapshot) };
            self.disk_ops.push_back((DiskSlot::Save { id, slot }, op));
        }
        self.write_archives();
        self.report_archived();
        self.note_behind();
        self.release_writers(now_ms);
    }

    /// Tells the keeper once this shard's part of the save is written, or cannot be.
    fn report_archived(&mut self) {
        let Some(save) = &mut self.core.save else { return };
        let keys = &self.core.keys;
        let is_written = save.is_archived
            && keys.archived_bytes() == 0
            && save.pending.is_empty()
            && !save.is_syncing
            && save.chunk.is_empty()
            && save.writes.iter().all(Option::is_none);
        if !save.is_cut || save.is_reported || !(is_written || save.error.is_some()) {
            return;
        }
        save.is_reported = true;
        self.core.keys.end_save();
        let result = match &save.error {
            Some(error) => Err(error.clone()),
            None => Ok(take(&mut save.archived)),
        };
        let (save, shard) = (save.id, self.core.server.shard);
        self.to_keeper.push_back(ToKeeper::Archived { save, shard, result });
    }

    // The end -----------------------------------------------------------------------------------------------------

    fn conclude_save(&mut self, id: u64, result: Result<u64, String>, now_ms: i64) {
        if let Some(save) = self.core.save.take_if(|save| save.id == id) {
            self.core.keys.end_save();
            if result.is_err() && save.is_cut && save.files.is_fresh {
                let error = self.core.logging.log.error().map(str::to_owned);
                self.core.logging.log.base_failed();
                self.after_log(error, now_ms);
            }
            if let (Ok(_), Some((segment, first_seq))) = (&result, save.log) {
                let error = self.core.logging.log.error().map(str::to_owned);
                self.core.logging.log.base_published(first_seq, segment);
                self.after_log(error, now_ms);
            }
        }
        self.answer_savers(id, &result, now_ms);
        self.note_behind();
        self.release_writers(now_ms);
        if self.leading.save.take_if(|save| *save == id).is_some() {
            self.conclude_leading(result, now_ms);
        }
    }

    fn conclude_leading(&mut self, result: Result<u64, String>, now_ms: i64) {
        match &result {
            Ok(bytes) => tracing::info!(bytes, "saved"),
            Err(error) => tracing::error!("the save failed: {error}"),
        }
        let persistence = &self.core.server.process.persistence;
        if result.is_ok() {
            persistence.set_logging(self.leading.is_logged);
        }
        persistence.end_save(result.clone(), now_ms);
        if !take(&mut self.leading.ends_after_next)
            && let Some(ending) = self.leading.ends.take()
        {
            if result.is_ok() || ending.force {
                self.wants_shutdown = true;
            } else if let Some((shard, client, is_wanted)) = ending.asker {
                self.send(shard, Message::NotEnding { client, is_wanted });
            }
            return;
        }
        if let Some(purpose) = self.core.server.process.persistence.take_scheduled() {
            self.begin_save(purpose, now_ms);
        }
    }

    /// Begins a save unless one is under way.
    pub(super) fn begin_save(&mut self, purpose: Purpose, now_ms: i64) {
        if self.core.server.process.persistence.begin_save(purpose, now_ms).is_ok() {
            self.request_save(purpose);
        }
    }

    // By themselves -----------------------------------------------------------------------------------------------

    /// Looks, now and then, whether a save is due, and publishes this shard's gauges.
    pub(super) fn check_saves(&mut self, now_ms: i64) {
        let Core { server, keys, logging, .. } = &mut self.core;
        if !server.config.start.keeps || now_ms < self.save_check_ms {
            if server.config.start.keeps {
                self.next_tick_ms = self.next_tick_ms.min(self.save_check_ms);
            }
            return;
        }
        let process = &server.process;
        let gauges = process.persistence.shard(server.shard);
        let has_changed = gauges.changes.get() != keys.counts.changes;
        gauges.changes.set(keys.counts.changes);
        gauges.log_bytes.set(logging.log.bytes());
        gauges.buffer_bytes.set(logging.log.buffer_bytes() as u64);
        gauges.unsynced_bytes.set(logging.log.unsynced_bytes() as u64);
        gauges.syncs_delayed.set(logging.log.syncs_delayed());
        gauges.syncs_pending.set(u64::from(logging.log.is_syncing()));
        let totals = process.persistence.totals();
        let state = process.persistence.state();
        let changes = totals.changes - state.changes_saved.min(totals.changes);
        let since_ms = state.saved_ms.unwrap_or(0).max(process.started_ms).max(state.failed_ms.unwrap_or(0));
        let elapsed_ms = now_ms.saturating_sub(since_ms).max(0) as u64;
        let config = &server.config;
        let points = config.save_points.iter();
        let is_due = changes > 0 && points.clone().any(|point| point.is_due(changes, elapsed_ms));
        let grown_bytes = state.base_bytes / 100 * config.rewrite_growth_percent;
        let is_large = config.rewrite_growth_percent > 0
            && config.append_only
            && logging.log.is_recording()
            && totals.log_bytes > grown_bytes
            && totals.log_bytes + state.base_bytes >= config.rewrite_bytes_min;
        // After a failure, not at once again.
        let may_retry = state.failed_ms.is_none_or(|at| now_ms - at >= SAVE_RETRY_MS);
        let needs_base = logging.log.needs_base();
        // The next look: soon while changes come, and when a save point could be due.
        let in_ms = if has_changed || needs_base {
            SAVE_CHECK_MS
        } else if changes > 0 {
            points
                .filter(|point| changes >= point.changes)
                .map(|point| {
                    point.seconds.saturating_mul(1000).saturating_sub(elapsed_ms).max(SAVE_CHECK_MS as u64)
                        as i64
                })
                .min()
                .unwrap_or(i64::MAX)
        } else {
            i64::MAX
        };
        self.save_check_ms = now_ms.saturating_add(in_ms);
        self.next_tick_ms = self.next_tick_ms.min(self.save_check_ms);
        if state.saving.is_none() && may_retry {
            if needs_base || is_large {
                self.begin_save(Purpose::Rewrite, now_ms);
            } else if is_due {
                self.begin_save(Purpose::Snapshot, now_ms);
            }
        }
    }
}

fn archive_at(archive: &SavedArchive, offset: usize) -> ArchiveAt {
    let SavedArchive { db, slot, keys, volatile, ref bytes } = *archive;
    let (length, crc) = (bytes.len() as u32, crc32fast::hash(bytes));
    ArchiveAt { db, slot, offset: offset as u64, length, crc, keys, volatile }
}
