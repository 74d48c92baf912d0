//! This shard as an owner of keys: runs the calls that other shards, and its own clients, send it, each when its turn has come.
//! Keeps places for transactions and holds their claims until they are over. Never decides what a transaction does (`flight`).
//!
//! # The order of transactions
//!
//! A transaction over several shards gets its *id* from a counter that the whole process shares. Each owner keeps a place for it
//! and answers with a position: the id, or, where it has run a transaction with a larger position already, a new number from
//! the counter. The largest answer is the final position, the same on every shard. So no owner ever refuses, nothing is tried
//! again, and a transaction that begins after another one has been answered gets a larger position.
//!
//! A transaction runs as soon as its position is final and no smaller one conflicts with it (`intents`). Keeping a place never
//! waits, so positions always become final; the smallest final one never waits; so there is no deadlock.
//!
//! Commands on one shard alone run at once unless they meet a claim. Then they take a number too, and wait behind it.

use std::collections::HashMap;

use crate::commands::session::Server;
use crate::shard::execute::{self, Core};
use crate::shard::intents::{Claim, Intents};
use crate::shard::mesh::{Calls, Message};
use crate::shard::{Fault, Shard};

/// What is scheduled on this shard.
#[derive(Default)]
pub(super) struct Queue {
    pub intents: Intents,
    waiting: HashMap<u64, Place, foldhash::fast::FixedState>,
    /// Largest position of a transaction that has begun to run here.
    begun_max: u64,
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

    fn insert(&mut self, id: u64, place: Place) {
        self.intents.insert(&place.claim, id);
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
    if calls.transaction != 0 {
        return step(shard, calls, now_ms);
    }
    if queue.intents.is_empty() || !queue.intents.conflicts(&calls.claim) {
        execute::run_calls(&mut shard.core, &mut calls, now_ms);
        return shard.send(calls.home, Message::Replies(calls));
    }
    let id = next_id(server);
    calls.transaction = id;
    calls.concludes = true;
    let claim = std::mem::take(&mut calls.claim);
    queue.insert(id, Place { position: id, is_final: true, claim, calls: Some(calls) });
}

/// Keeps a place for a transaction.
pub(super) fn schedule(shard: &mut Shard, mut calls: Box<Calls>, now_ms: i64) {
    let Core { queue, server, .. } = &mut shard.core;
    let id = calls.transaction;
    let position = if id > queue.begun_max { id } else { next_id(server) };
    if calls.decides && !must_wait(&shard.core, &calls.claim, position, id) {
        calls.position = position;
        shard.core.queue.begun_max = position.max(shard.core.queue.begun_max);
        execute::run_calls(&mut shard.core, &mut calls, now_ms);
        if !calls.concludes {
            let claim = std::mem::take(&mut calls.claim);
            shard.core.queue.insert(id, Place { position, is_final: true, claim, calls: None });
        }
        return shard.send(calls.home, Message::Replies(calls));
    }
    let is_final = std::mem::take(&mut calls.decides);
    let (home, client) = (calls.home, calls.client.expect("a transaction has a client"));
    let claim = std::mem::take(&mut calls.claim);
    shard.core.queue.insert(id, Place { position, is_final, claim, calls: Some(calls) });
    shard.send(home, Message::Scheduled { client, id, position });
}

/// The position of a transaction is final.
pub(super) fn execute(shard: &mut Shard, id: u64, position: u64, now_ms: i64) {
    let Queue { intents, waiting, successors, blocked, .. } = &mut shard.core.queue;
    let place = waiting.get_mut(&id).expect("only what was scheduled is executed");
    place.is_final = true;
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
    let (id, concludes) = (calls.transaction, calls.concludes);
    execute::run_calls(&mut shard.core, &mut calls, now_ms);
    shard.send(calls.home, Message::Replies(calls));
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
        let position = place.position;
        let mut calls = place.calls.take().expect("it has not run yet");
        queue.blocked -= 1;
        queue.begun_max = queue.begun_max.max(position);
        execute::run_calls(&mut shard.core, &mut calls, now_ms);
        if calls.concludes {
            // The object goes home with all its buffers.
            calls.claim = conclude(&mut shard.core.queue, id);
        } else if shard.core.has_fault(Fault::ReleaseEarly) {
            let Queue { intents, waiting, .. } = &mut shard.core.queue;
            intents.remove(&waiting[&id].claim, id);
        }
        shard.send(calls.home, Message::Replies(calls));
    }
}

fn must_wait(core: &Core, claim: &Claim, position: u64, id: u64) -> bool {
    let Queue { intents, waiting, .. } = &core.queue;
    !intents.is_empty()
        && intents.must_wait(claim, position, id, |id| waiting[&id].position)
        && !core.has_fault(Fault::OutOfOrder)
}
