//! What commands leave in the log: when effects become records, how a transaction's effects stay together, and which replies wait until
//! what they tell of is durable. Never decides what is written when (`persist::log`).
//!
//! # Records
//!
//! The keyspace records effects as they happen. Between two commands, at the latest at the end of a turn, what has gathered becomes one
//! record (`Core::commit`), so that no command is split. What a transaction over several shards does here is kept apart until its last
//! call has run here, and becomes one record, this shard's *part*; other commands may come in between, but none on the same keys.
//!
//! # Replies under `appendfsync always`
//!
//! Nobody may be told what a crash could take back: neither who made a change nor who saw it. So at the end of a turn the replies of
//! each client are *sealed*, with what they need: this shard's log up to here, and those of the shards whose calls came back. They
//! leave when all of it may be relied on (`persist::ledger`). Meanwhile the client's next commands run, and their replies are sealed
//! in turn. Of other shards a shard knows by their messages, one for each sync at most.
//!
//! While the log fails, writes are refused. Then what was acknowledged to nobody still waits, but a reply that comes after the failure,
//! which is an error or what was read, does not: clients must hear of the failure, and those who read would wait for an operator.

use std::collections::HashMap;
use std::mem::take;
use std::sync::Arc;

use crate::base::limits::{BEHIND_CHECK_MS, LOG_GROUP_BYTES};
use crate::metrics::persistence::Trouble;
use crate::persist::ledger::Ledger;
use crate::persist::log::{DiskDone, Log, NextSegment};
use crate::persist::record::{Kind, PartHead};
use crate::persist::whole::PartAt;
use crate::shard::execute::Core;
use crate::shard::mesh::{Calls, Message};
use crate::shard::{ClientRef, Fault, Shard};

/// A shard's log, and what it knows of those of others.
pub(super) struct Logging {
    pub log: Log,
    pub ledger: Arc<Ledger>,
    /// Effects of transactions that have more to do here, by their ids.
    open: HashMap<u64, Vec<u8>, foldhash::fast::FixedState>,
    /// How far the logs of all shards may be relied on, as far as is known here.
    reliable: Vec<u64>,
    /// The last record that each shard was told of before it could be relied on, and how far each has been told to rely since.
    told: Vec<(u64, u64)>,
    /// How far this log was durable when that was last looked at.
    durable: u64,
    /// It failed when the turn before ended, and has failed since before this turn: what runs now was not refused by chance.
    was_failing: bool,
    is_failing: bool,
}

/// What a transaction does with the calls of one step on one shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Extent {
    /// They are all of it: it concerns this shard alone.
    #[default]
    Whole,
    /// More is to come, or may come.
    Begun,
    /// They are the last ones here. `Calls::fellows` says which shards have a part in the log.
    Last,
}

/// Replies that wait for logs.
#[derive(Default)]
pub(super) struct Sealed {
    /// May leave.
    pub ready: Vec<u8>,
    /// Wait for `needs`.
    waiting: Vec<u8>,
    /// Shards, and the record of each that must be reliable.
    needs: Vec<(u16, u64)>,
    /// What replies that were made since need besides this shard's log.
    next_needs: Vec<(u16, u64)>,
}

impl Sealed {
    /// Replies in it, bytes.
    pub fn bytes(&self) -> usize {
        self.ready.len() + self.waiting.len()
    }
}

impl Logging {
    pub fn new(shards: u16, ledger: Arc<Ledger>) -> Logging {
        Logging {
            log: Log::off(),
            ledger,
            open: HashMap::default(),
            reliable: vec![0; shards.into()],
            told: vec![(0, 0); shards.into()],
            durable: 0,
            was_failing: false,
            is_failing: false,
        }
    }

    /// Forgets what transactions have begun: nothing is logged any more.
    pub fn forget_open(&mut self) {
        self.open.clear();
    }

    fn is_reliable(&self, (shard, seq): (u16, u64)) -> bool {
        self.reliable[usize::from(shard)] >= seq
    }
}

impl Core {
    /// Makes a record of what commands have done since the last one.
    #[inline]
    pub fn commit(&mut self, now_ms: i64) {
        if !self.logging.log.is_on() {
            return;
        }
        let Some(effects) = self.keys.effects() else { return };
        if !effects.is_empty() {
            self.logging.log.append(Kind::Effects, &[effects], now_ms);
            effects.clear();
            effects.shrink_to(LOG_GROUP_BYTES);
        }
    }

    /// As `commit`, if much has gathered. Between commands only.
    #[inline]
    pub fn commit_if_large(&mut self, now_ms: i64) {
        if self.keys.effects().is_some_and(|effects| effects.len() > LOG_GROUP_BYTES) {
            self.commit(now_ms);
        }
    }

    /// After calls of a transaction over several shards have run, and `commit` before them: keeps their effects together.
    pub fn log_step(&mut self, calls: &mut Calls, now_ms: i64) {
        if !self.logging.log.is_on() {
            return;
        }
        let id = calls.turn.transaction;
        let Some(recorded) = self.keys.effects() else { return };
        let mut effects = take(recorded);
        if let Some(mut earlier) = self.logging.open.remove(&id) {
            earlier.append(&mut effects);
            effects = earlier;
        }
        if calls.extent == Extent::Begun {
            calls.has_effects = !effects.is_empty();
            if calls.has_effects {
                self.logging.open.insert(id, effects);
            }
            return;
        }
        let splits = self.has_fault(Fault::SplitParts);
        let Logging { log, ledger, .. } = &mut self.logging;
        let is_part = calls.fellows.len() > 1 && calls.fellows.contains(&self.server.shard);
        if is_part && log.is_recording() && !splits {
            let head = PartHead { id, shards: calls.fellows.clone() };
            let mut start = Vec::new();
            head.encode(&mut start);
            log.append(Kind::Part, &[&start, &effects], now_ms);
            if log.may_hold_replies() {
                ledger.note_part(self.server.shard, PartAt { seq: log.appended(), id, shards: head.shards });
            }
        } else if !effects.is_empty() {
            log.append(Kind::Effects, &[&effects], now_ms);
        }
        // The buffer is used again.
        effects.clear();
        *self.keys.effects().expect("it records") = effects;
    }

    /// The record that what `calls` tell of must wait for, noted for the shard that they go home to.
    pub fn note_answer(&mut self, calls: &mut Calls, now_ms: i64) {
        calls.log_seq = 0;
        let log = &self.logging.log;
        if !log.holds_replies() || (log.error().is_some() && !calls.may_write(&self.table)) {
            return;
        }
        if self.has_fault(Fault::TrustOthers) && calls.home != self.server.shard {
            return;
        }
        self.commit(now_ms);
        let seq = self.logging.log.appended();
        if !self.logging.is_reliable((self.server.shard, seq)) {
            calls.log_seq = seq;
            self.logging.told[usize::from(calls.home)].0 = seq;
        }
    }
}

impl Shard {
    /// From now on effects are logged to this segment; the shard has just been made.
    /// `earlier_bytes`: of segments of earlier generations that are still needed, for the decision when to write a new base.
    pub fn begin_log(&mut self, segment: NextSegment, earlier_bytes: u64, now_ms: i64) {
        self.core.keys.record_effects(true);
        self.core.logging.log.set_strategy(self.core.server.config.append_fsync);
        self.core.logging.log.begin_segment(segment, false, now_ms);
        self.core.logging.log.add_earlier(earlier_bytes);
    }

    /// The driver's turn ends: what was done in it becomes a record. To be called before `take_touched`.
    pub fn end_turn(&mut self, now_ms: i64) {
        if !self.core.logging.log.is_on() {
            return;
        }
        self.core.commit(now_ms);
        self.note_behind();
        let Core { logging, server, .. } = &mut self.core;
        let fails = logging.log.error().is_some();
        logging.is_failing = fails && logging.was_failing;
        logging.was_failing = fails;
        logging.log.set_strategy(server.config.append_fsync);
        logging.ledger.note_appended(server.shard, logging.log.appended());
        self.next_tick_ms = self.next_tick_ms.min(self.core.logging.log.next_tick_ms());
    }

    /// Seals what a client is to be told, if it must wait, and takes out what need not wait any longer.
    pub(super) fn seal(&mut self, index: u32) {
        let is_early = self.core.has_fault(Fault::ReplyEarly);
        let Core { logging, server, .. } = &mut self.core;
        let Some(c) = self.clients[index as usize].as_mut() else { return };
        let holds = logging.log.holds_replies() && !is_early;
        if c.sealed.is_none() {
            if !holds {
                return;
            }
            let here = (server.shard, logging.log.appended());
            if c.out.is_empty() || logging.is_reliable(here) || logging.is_failing {
                return;
            }
            c.sealed = Some(Box::default());
        }
        let sealed = c.sealed.as_mut().expect("it is there");
        sealed.needs.retain(|need| !logging.is_reliable(*need));
        if sealed.needs.is_empty() {
            sealed.ready.append(&mut sealed.waiting);
            if !c.out.is_empty() {
                sealed.needs.append(&mut sealed.next_needs);
                if holds && !logging.is_failing {
                    sealed.needs.push((server.shard, logging.log.appended()));
                }
                sealed.needs.retain(|need| !logging.is_reliable(*need));
                let to = if sealed.needs.is_empty() { &mut sealed.ready } else { &mut sealed.waiting };
                to.append(&mut c.out);
            }
        }
        let is_empty = sealed.bytes() == 0 && c.out.is_empty() && sealed.next_needs.is_empty();
        if is_empty {
            c.sealed = None;
        } else if !c.is_sealed {
            c.is_sealed = true;
            self.sealed.push(ClientRef { index, generation: c.generation });
        }
    }

    /// What a client is told from now on depends on the log of another shard.
    pub(super) fn need(&mut self, client: ClientRef, target: u16, seq: u64) {
        if seq == 0 || self.core.logging.is_reliable((target, seq)) {
            return;
        }
        if let Some(c) = self.client_mut(client) {
            let needs = &mut c.sealed.get_or_insert_default().next_needs;
            match needs.iter_mut().find(|(shard, _)| *shard == target) {
                Some((_, known)) => *known = (*known).max(seq),
                None => needs.push((target, seq)),
            }
            self.touch(client.index);
        }
    }

    /// An operation on the log has ended.
    pub(super) fn log_done(&mut self, done: DiskDone, now_ms: i64) {
        self.seal_before(&done, now_ms);
        let before = self.core.logging.log.error().map(str::to_owned);
        if let Some(rest) = self.core.logging.log.done(done, now_ms) {
            self.disk_ops.push_back((super::DiskSlot::Log, rest));
        }
        self.after_log(before, now_ms);
    }

    /// If this is the first failure: what has been done so far in this turn waits for the log, like what was done before it.
    pub(super) fn seal_before(&mut self, done: &DiskDone, now_ms: i64) {
        if done.is_failure() && self.core.logging.log.error().is_none() {
            self.core.commit(now_ms);
            for index in self.touched.clone() {
                self.seal(index);
            }
        }
    }

    /// Tells everybody concerned how the log stands now.
    pub(super) fn after_log(&mut self, error_before: Option<String>, now_ms: i64) {
        let Logging { log, .. } = &self.core.logging;
        if log.error() != error_before.as_deref() {
            self.report_log_error(now_ms);
        }
        let here = self.core.server.shard;
        let trusts = self.core.has_fault(Fault::TrustParts);
        let Logging { log, ledger, durable, .. } = &mut self.core.logging;
        let durable_now = log.durable();
        if durable_now > *durable {
            *durable = durable_now;
            let mut advanced = Vec::new();
            if (log.holds_replies() || ledger.is_in_doubt(here)) && !trusts {
                ledger.note_durable(here, durable_now, |shard, seq| advanced.push((shard, seq)));
            } else {
                ledger.note_durable_alone(here, durable_now);
                advanced.push((here, durable_now));
            }
            for (shard, seq) in advanced {
                if shard == here {
                    self.rely(here, seq);
                } else {
                    self.send(shard, Message::Settled { seq });
                }
            }
        }
        self.note_behind();
        self.release_writers(now_ms);
        self.next_tick_ms = self.next_tick_ms.min(self.core.logging.log.next_tick_ms());
    }

    /// The log of a shard may be relied on up to here.
    pub(super) fn rely(&mut self, shard: u16, seq: u64) {
        let here = self.core.server.shard;
        let reliable = &mut self.core.logging.reliable[usize::from(shard)];
        if seq <= *reliable {
            return;
        }
        *reliable = seq;
        for client in take(&mut self.sealed) {
            if let Some(c) = self.client_mut(client) {
                c.is_sealed = false;
                // Its next look (`take_touched`) seals it again if need be.
                self.touch(client.index);
            }
        }
        if shard != here {
            return;
        }
        for home in 0..self.core.logging.told.len() {
            let (last, known) = &mut self.core.logging.told[home];
            if *known < *last && home != usize::from(here) {
                *known = seq;
                self.send(home as u16, Message::Reliable { shard: here, seq });
            }
        }
    }

    /// Tells all shards whether this one's log and save can take more.
    pub(super) fn note_behind(&mut self) {
        let is_behind = self.core.logging.log.is_full() || self.core.is_save_behind();
        if is_behind != self.is_behind {
            self.is_behind = is_behind;
            self.core.server.process.persistence.set_behind(is_behind);
        }
    }

    /// Lets those go on who waited until all shards could take more.
    pub(super) fn release_writers(&mut self, now_ms: i64) {
        if self.held_writers.is_empty() {
            return;
        }
        let persistence = &self.core.server.process.persistence;
        // While the disk fails they are let go on to hear so.
        if persistence.is_behind() && persistence.trouble() == Trouble::None {
            // It may be another shard that says when.
            return self.tick_within(now_ms, BEHIND_CHECK_MS);
        }
        for client in take(&mut self.held_writers) {
            if let Some(c) = self.client_mut(client) {
                c.held.disk = false;
                self.resume(client, now_ms);
            }
        }
    }
}
