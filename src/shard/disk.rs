//! The shard's side of the disk: what it wants done with files, how that went, what it tells the keeper, and the clients that wait for any
//! of it. Also the orderly end of the process, and the restore of keys that lie dormant. Never touches a file.

use std::mem::take;

use crate::base::limits::{DATABASES, LOG_WAIT_CHECK_MS, RESTORE_STEP_KEYS, SAVE_CHECK_MS};
use crate::commands::session::Asker;
use crate::metrics::persistence::{Purpose, Trouble};
use crate::persist::control::ToKeeper;
use crate::persist::log::{DiskDone, DiskOp};
use crate::resp::write::Writer;
use crate::shard::execute::Core;
use crate::shard::mesh::Message;
use crate::shard::saving::Ending;
use crate::shard::{ClientRef, Shard};

/// Which of a shard's operations on files one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskSlot {
    /// Of its log: at most one write and one sync at a time.
    Log,
    /// Of the space that its log makes ahead: one operation at a time.
    Fill,
    /// A write of a snapshot.
    Save {
        /// The save.
        id: u64,
        /// Which of its writes.
        slot: u32,
    },
}

/// Clients of this shard that wait for the disk.
#[derive(Default)]
pub(super) struct DiskWaiters {
    /// For the end of a save: which one, and whether they want a reply.
    saves: Vec<(u64, ClientRef, bool)>,
    logs: Vec<LogWaiter>,
}

/// A client in WAITAOF.
struct LogWaiter {
    client: ClientRef,
    is_wanted: bool,
    /// The records of all shards that must be durable.
    seqs: Vec<u64>,
    until_ms: Option<i64>,
}

impl Shard {
    // For the driver ----------------------------------------------------------------------------------------------

    /// The next operation on a file. Its end is reported through `disk_done`.
    pub fn take_disk_op(&mut self, now_ms: i64) -> Option<(DiskSlot, DiskOp)> {
        if let Some(op) = self.disk_ops.pop_front() {
            return Some(op);
        }
        if let Some(op) = self.core.logging.log.take_fill() {
            return Some((DiskSlot::Fill, op));
        }
        let op = self.core.logging.log.take_op(now_ms);
        if op.is_none() && self.core.logging.log.is_on() {
            self.next_tick_ms = self.next_tick_ms.min(self.core.logging.log.next_tick_ms());
        }
        op.map(|op| (DiskSlot::Log, op))
    }

    /// An operation on a file has ended.
    pub fn disk_done(&mut self, slot: DiskSlot, done: DiskDone, now_ms: i64) {
        match slot {
            DiskSlot::Log => self.log_done(done, now_ms),
            DiskSlot::Fill => {
                self.seal_before(&done, now_ms);
                let error = self.core.logging.log.error().map(str::to_owned);
                if let Some(rest) = self.core.logging.log.fill_done(done) {
                    self.disk_ops.push_back((DiskSlot::Fill, rest));
                }
                self.after_log(error, now_ms);
            }
            DiskSlot::Save { id, slot } => self.save_done(id, slot, done, now_ms),
        }
        self.after_commands(now_ms);
    }

    /// The next message for the keeper.
    pub fn take_to_keeper(&mut self) -> Option<ToKeeper> {
        self.to_keeper.pop_front()
    }

    /// Why the server cannot go on, if it cannot: what it was restored from is damaged.
    pub fn take_damage(&mut self) -> Option<String> {
        self.core.keys.take_damage()
    }

    /// The process is about to end: no command of a client runs any more. Transactions under way are carried to their ends.
    pub fn begin_end(&mut self) {
        self.is_ending = true;
    }

    /// Whether nothing is under way that other shards take part in.
    pub fn is_quiet(&self) -> bool {
        self.core.queue.len() == 0
            && self
                .clients
                .iter()
                .flatten()
                .all(|client| client.flight.as_ref().is_none_or(|f| f.waiting == 0))
    }

    /// The process is about to end: the log ends cleanly once `is_settled`.
    pub fn finish_log(&mut self, now_ms: i64) {
        self.core.commit(now_ms);
        self.core.logging.log.finish(now_ms);
    }

    /// Whether nothing is left to be written and synced.
    pub fn is_settled(&self) -> bool {
        self.core.logging.log.is_settled()
    }

    /// Whether `work` may have something to do.
    #[inline]
    pub fn has_work(&self) -> bool {
        self.core.save.is_some() || self.core.keys.is_dormant()
    }

    pub(super) fn restore_step(&mut self, now_ms: i64) -> bool {
        if !self.core.keys.is_dormant() {
            return false;
        }
        let goes_on = self.core.keys.hydrate_step(RESTORE_STEP_KEYS);
        if !goes_on {
            tracing::info!(
                keys = (0..DATABASES as u16).map(|db| self.core.keys.len(db)).sum::<usize>(),
                "restored"
            );
        }
        if !goes_on || now_ms >= self.restore_noted_ms + SAVE_CHECK_MS {
            self.restore_noted_ms = now_ms;
            self.note_restore();
        }
        goes_on
    }

    /// Tells all shards how much of this one is restored.
    pub fn note_restore(&mut self) {
        let Core { server, keys, .. } = &self.core;
        let gauges = server.process.persistence.shard(server.shard);
        gauges.keys_left.set(keys.dormant_keys() as u64);
        gauges.tables_left.set(keys.dormant_tables() as u64);
        self.is_restoring = keys.is_dormant();
    }

    // The log's troubles ------------------------------------------------------------------------------------------

    pub(super) fn report_log_error(&mut self, now_ms: i64) {
        let error = self.core.logging.log.error().map(str::to_owned);
        let is_broken = self.core.logging.log.is_broken();
        match &error {
            None => tracing::info!("the append-only file can be written again: writes are accepted"),
            Some(error) if is_broken => tracing::error!(
                "append-only file: {error}; writes are refused until a new base has been written, which is tried now and every few seconds"
            ),
            Some(error) => tracing::error!(
                "append-only file: {error}; writes are refused until there is space, which is looked for ten times a second"
            ),
        }
        let Core { server, .. } = &self.core;
        server.process.persistence.set_log_error(server.shard, error, is_broken);
        if is_broken {
            self.save_check_ms = now_ms;
            self.tick_within(now_ms, 0);
        }
    }

    /// `appendonly` has been changed: on, effects are logged from a new base on; off, all logs end.
    pub(super) fn turn_log(&mut self, is_on: bool, now_ms: i64) {
        if is_on {
            if self.core.server.process.persistence.state().saving.is_some() {
                // That one's cut may be behind us; the next one's is not.
                return self.core.server.process.persistence.schedule_save(Purpose::Rewrite);
            }
            return self.begin_save(Purpose::Rewrite, now_ms);
        }
        for shard in 0..self.core.server.shards {
            self.send(shard, Message::EndLog);
        }
    }

    /// Nothing is logged any more.
    pub(super) fn end_log(&mut self, now_ms: i64) {
        self.core.logging.forget_open();
        if self.core.logging.log.error().is_some() || self.core.logging.log.needs_base() {
            // There is nothing to end cleanly, and nothing that anybody could wait for any longer.
            self.core.logging.log.turn_off();
            self.report_log_error(now_ms);
            self.rely(self.core.server.shard, self.core.logging.log.appended());
        } else {
            self.finish_log(now_ms);
        }
        self.core.keys.record_effects(false);
        self.core.server.process.persistence.set_logging(false);
    }

    // Who waits ---------------------------------------------------------------------------------------------------

    /// The client gets its reply when the save that it has just begun has ended.
    pub(super) fn wait_for_save(&mut self, asker: Asker) {
        if let Some(client) = self.hold_for_disk(asker) {
            let saving = self.core.server.process.persistence.state().saving;
            let id = saving.expect("nobody can have ended it yet").id;
            self.disk_waiters.saves.push((id, client, asker.is_wanted));
        }
    }

    /// The client gets its reply when all logs are durable as they are now.
    pub(super) fn wait_for_logs(&mut self, asker: Asker, until_ms: Option<i64>, now_ms: i64) {
        self.end_turn(now_ms);
        let Some(client) = self.hold_for_disk(asker) else { return };
        let seqs = self.core.logging.ledger.appended();
        self.disk_waiters.logs.push(LogWaiter { client, is_wanted: asker.is_wanted, seqs, until_ms });
        self.check_log_waiters(now_ms);
    }

    fn hold_for_disk(&mut self, asker: Asker) -> Option<ClientRef> {
        let c = self.clients[asker.index as usize].as_mut()?;
        c.held.disk = true;
        Some(ClientRef { index: asker.index, generation: c.generation })
    }

    fn answer_waiter(
        &mut self,
        client: ClientRef,
        is_wanted: bool,
        now_ms: i64,
        write: impl FnOnce(&mut Writer<'_>),
    ) {
        let protocol = self.core.server.sessions.get(client.index).map(|session| session.protocol);
        let Some(c) = self.client_mut(client) else { return };
        c.held.disk = false;
        if is_wanted {
            write(&mut Writer::new(&mut c.out, protocol.unwrap_or_default()));
        }
        self.resume(client, now_ms);
    }

    pub(super) fn answer_savers(&mut self, id: u64, result: &Result<u64, String>, now_ms: i64) {
        // Others may have begun the next one before this shard hears of the end of the last.
        let (served, rest) = take(&mut self.disk_waiters.saves).into_iter().partition(|(of, ..)| *of == id);
        self.disk_waiters.saves = rest;
        let served: Vec<_> = served;
        for (_, client, is_wanted) in served {
            self.answer_waiter(client, is_wanted, now_ms, |writer| match result {
                Ok(_) => writer.simple("OK"),
                Err(error) => writer.error(&format!("ERR {}", error.replace(['\r', '\n'], " "))),
            });
        }
    }

    /// Answers those in WAITAOF whose logs are durable, or whose time is up.
    pub(super) fn check_log_waiters(&mut self, now_ms: i64) {
        if self.disk_waiters.logs.is_empty() {
            return;
        }
        let waiters = take(&mut self.disk_waiters.logs);
        let mut still = Vec::new();
        for waiter in waiters {
            let is_durable = self.core.logging.ledger.are_durable(&waiter.seqs);
            if is_durable || waiter.until_ms.is_some_and(|until_ms| until_ms <= now_ms) {
                self.answer_waiter(waiter.client, waiter.is_wanted, now_ms, |writer| {
                    writer.array(2);
                    writer.integer(is_durable.into());
                    writer.integer(0);
                });
            } else if self.client(waiter.client).is_some() {
                still.push(waiter);
            }
        }
        self.disk_waiters.logs.append(&mut still);
        if !self.disk_waiters.logs.is_empty() {
            self.tick_within(now_ms, LOG_WAIT_CHECK_MS);
        }
    }

    // The end -----------------------------------------------------------------------------------------------------

    /// `SHUTDOWN`, or a signal (no `asker`): ends the process, after a save if one is wanted.
    pub fn shut_down(&mut self, asker: Option<Asker>, save: Option<bool>, force: bool, now_ms: i64) {
        let config = &self.core.server.config;
        // With a log there is nothing that only a save would keep.
        let is_failing = self.core.server.process.persistence.trouble() == Trouble::Log;
        let wants = is_failing || (!config.save_points.is_empty() && !config.append_only);
        let saves = config.start.keeps && save.unwrap_or(wants);
        if !saves {
            self.wants_shutdown = true;
            return;
        }
        let asker = asker.and_then(|asker| Some((self.hold_for_disk(asker)?, asker.is_wanted)));
        let ending = Ending {
            force,
            asker: asker.map(|(client, is_wanted)| (self.core.server.shard, client, is_wanted)),
        };
        self.send(0, Message::SaveAndEnd(ending));
        self.after_commands(now_ms);
    }

    /// The save before the end has failed: the process goes on.
    pub(super) fn not_ending(&mut self, client: ClientRef, is_wanted: bool, now_ms: i64) {
        self.answer_waiter(client, is_wanted, now_ms, |writer| {
            writer.error("ERR Errors trying to SHUTDOWN. Check logs.");
        });
    }

    /// Shard 0: saves once more, then ends the process.
    pub(super) fn save_and_end(&mut self, ending: Ending, now_ms: i64) {
        self.leading.ends = Some(ending);
        let persistence = &self.core.server.process.persistence;
        if persistence.begin_save(Purpose::Snapshot, now_ms).is_err() {
            // That one began too early to hold everything.
            persistence.schedule_save(Purpose::Snapshot);
            self.leading.ends_after_next = true;
            return;
        }
        self.request_save(Purpose::Snapshot);
    }
}
