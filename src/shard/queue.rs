//! This shard as an owner of keys: runs the calls that other shards, and its own clients, send it, each when its turn has come.
//! Keeps places for transactions and holds their claims until they are over. Never decides what a transaction does (`flight`).
//!
//! # The order of transactions
//!
//! A transaction over several shards gets its *id* from a counter that the whole process shares. Each owner keeps a place for it
//! and proposes a position: the id, or, if somebody whom it conflicts with has a place with a larger position, a new number from the
//! counter. The largest proposal is the final position, on every owner. So no owner ever refuses, and nothing is tried again.
//!
//! A transaction runs as soon as its position is final and no smaller one conflicts with it (`intents`). Keeping a place never
//! waits, so positions always become final; the smallest final one never waits; so there is no deadlock.
//!
//! # When a claim ends
//!
//! What a transaction has done may be seen only once nothing that comes later can be ordered before it. If it had to wait for
//! nobody on any owner, it has its place everywhere before it runs anywhere, and so has, by the same rule, all that it has seen: its
//! claim ends with its calls. If it had to wait, that which it waited for may still be without a place elsewhere: then every claim
//! stays until all owners have run (`Release`), and by then those before it have run everywhere too.
//!
//! Commands on one shard alone run at once unless they meet a claim. Then they take a number too, and wait behind it.

use std::collections::HashMap;

use crate::commands::session::Server;
use crate::shard::execute::{self, Core};
use crate::shard::intents::{Claim, Intents};
use crate::shard::mesh::{Calls, Message, Proposal};
use crate::shard::{Fault, Shard};

/// What is scheduled on this shard.
#[derive(Default)]
pub(super) struct Queue {
    pub intents: Intents,
    waiting: HashMap<u64, Place, foldhash::fast::FixedState>,
    /// How many have a final position and have not run: only if there are any, may the end of another let one run.
    blocked: usize,
    /// Used again: who may have waited for what has just ended.
    successors: Vec<u64>,
}

/// The place of one transaction.
struct Place {
    position: u64,
    is_final: bool,
    claim: Claim,
    /// The first step, until it runs.
    calls: Option<Box<Calls>>,
}

impl Queue {
    /// Transactions and commands that hold a claim or wait for one.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Keys claimed, each once for each that claims it.
    #[cfg(test)]
    pub fn claimed(&self) -> usize {
        self.waiting.values().map(|place| place.claim.keys.len()).sum()
    }

    fn insert(&mut self, id: u64, mut place: Place) {
        self.intents.insert(&mut place.claim, id);
        self.blocked += usize::from(place.is_final && place.calls.is_some());
        let before = self.waiting.insert(id, place);
        assert!(before.is_none(), "an id is given once");
    }
}

/// A number that no transaction has had.
pub(super) fn next_id(server: &Server) -> u64 {
    server.process.transaction_ids.next()
}

/// Calls to run: on their own as soon as they meet no claim, or as the next step of a transaction that holds its claim.
pub(super) fn run(shard: &mut Shard, mut calls: Box<Calls>, now_ms: i64) {
    let Core { queue, server, .. } = &mut shard.core;
    if calls.turn.transaction != 0 {
        return step(shard, calls, now_ms);
    }
    if queue.intents.is_empty() || !queue.intents.conflicts(&calls.claim) {
        execute::run_calls(&mut shard.core, &mut calls, now_ms);
        return answer(shard, calls, now_ms);
    }
    let id = next_id(server);
    calls.turn.transaction = id;
    calls.turn.concludes = true;
    let claim = std::mem::take(&mut calls.claim);
    queue.insert(id, Place { position: id, is_final: true, claim, calls: Some(calls) });
}

/// Sends calls home that have run. Clients that they ended leave before that: what follows must find them gone.
fn answer(shard: &mut Shard, mut calls: Box<Calls>, now_ms: i64) {
    shard.close_killed();
    shard.core.note_answer(&mut calls, now_ms);
    shard.send(calls.home, Message::Replies(calls));
}

/// Keeps a place for a transaction; whether nobody whom it conflicts with has one.
pub(super) fn schedule(shard: &mut Shard, mut calls: Box<Calls>, now_ms: i64) -> bool {
    let id = calls.turn.transaction;
    let proposal = propose(&shard.core, &calls.claim, id, calls.turn.now_ms.max(now_ms));
    let Proposal { position, is_free, now_ms } = proposal;
    if calls.turn.decides && (is_free || shard.core.has_fault(Fault::OutOfOrder)) {
        (calls.turn.position, calls.turn.now_ms) = (position, now_ms);
        execute::run_calls(&mut shard.core, &mut calls, now_ms);
        if !calls.turn.concludes {
            let claim = std::mem::take(&mut calls.claim);
            shard.core.queue.insert(id, Place { position, is_final: true, claim, calls: None });
        }
        answer(shard, calls, now_ms);
        return is_free;
    }
    let is_final = std::mem::take(&mut calls.turn.decides);
    calls.turn.concludes = false;
    calls.turn.now_ms = now_ms;
    let (home, client) = (calls.home, calls.client.expect("a transaction has a client"));
    let claim = std::mem::take(&mut calls.claim);
    shard.core.queue.insert(id, Place { position, is_final, claim, calls: Some(calls) });
    shard.send(home, Message::Scheduled { client, id, proposal });
    is_free
}

fn propose(core: &Core, claim: &Claim, id: u64, now_ms: i64) -> Proposal {
    let Queue { intents, waiting, .. } = &core.queue;
    match intents.last_met(claim, |id| waiting[&id].position) {
        None => Proposal { position: id, is_free: true, now_ms },
        Some(last) if last < id => Proposal { position: id, is_free: false, now_ms },
        Some(_) => Proposal { position: next_id(&core.server), is_free: false, now_ms },
    }
}

/// The position of a transaction is final.
pub(super) fn execute(shard: &mut Shard, id: u64, position: u64, at_ms: i64, concludes: bool, now_ms: i64) {
    let Queue { intents, waiting, successors, blocked, .. } = &mut shard.core.queue;
    let place = waiting.get_mut(&id).expect("only what was scheduled is executed");
    place.is_final = true;
    let calls = place.calls.as_mut().expect("it has not run yet");
    (calls.turn.now_ms, calls.turn.concludes) = (at_ms, concludes);
    *blocked += 1;
    if std::mem::replace(&mut place.position, position) != position && *blocked > 1 {
        // Others that it stood before may now stand before it.
        intents.successors(&waiting[&id].claim, successors, |id| waiting[&id].position);
    }
    successors.push(id);
    run_successors(shard, now_ms);
}

/// A transaction that holds its claim is over.
pub(super) fn release(shard: &mut Shard, id: u64, now_ms: i64) {
    conclude(&mut shard.core.queue, id);
    run_successors(shard, now_ms);
}

/// A later step of a transaction.
fn step(shard: &mut Shard, mut calls: Box<Calls>, now_ms: i64) {
    let (id, concludes) = (calls.turn.transaction, calls.turn.concludes);
    execute::run_calls(&mut shard.core, &mut calls, now_ms);
    answer(shard, calls, now_ms);
    if concludes {
        release(shard, id, now_ms);
    }
}

/// Gives up a transaction's claim, and notes who may have waited for it.
fn conclude(queue: &mut Queue, id: u64) -> Claim {
    let Queue { intents, waiting, successors, blocked, .. } = queue;
    let place = waiting.remove(&id).expect("a transaction ends once");
    intents.remove(&place.claim, id);
    if *blocked > 0 {
        intents.successors(&place.claim, successors, |id| waiting[&id].position);
    }
    place.claim
}

/// Runs what need not wait any longer, and what that lets run.
fn run_successors(shard: &mut Shard, now_ms: i64) {
    while let Some(id) = shard.core.queue.successors.pop() {
        let Some(place) = shard.core.queue.waiting.get(&id) else { continue };
        if !place.is_final
            || place.calls.is_none()
            || must_wait(&shard.core, &place.claim, place.position, id)
        {
            continue;
        }
        let Core { queue, .. } = &mut shard.core;
        let place = queue.waiting.get_mut(&id).expect("it was found");
        let mut calls = place.calls.take().expect("it has not run yet");
        queue.blocked -= 1;
        execute::run_calls(&mut shard.core, &mut calls, now_ms);
        if calls.turn.concludes {
            // The object goes home with all its buffers.
            calls.claim = conclude(&mut shard.core.queue, id);
        } else if shard.core.has_fault(Fault::ReleaseEarly) {
            let Queue { intents, waiting, .. } = &mut shard.core.queue;
            intents.remove(&waiting[&id].claim, id);
        }
        answer(shard, calls, now_ms);
    }
}

fn must_wait(core: &Core, claim: &Claim, position: u64, id: u64) -> bool {
    let Queue { intents, waiting, .. } = &core.queue;
    !intents.is_empty()
        && intents.must_wait(claim, position, id, |id| waiting[&id].position)
        && !core.has_fault(Fault::OutOfOrder)
}
