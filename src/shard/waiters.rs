//! This shard as an owner of keys that clients wait for: who they are, and what happens when such a key has changed. The lines, by key, are
//! in `store/awaited`; the other end is `blocked`, on the shard of each client.
//!
//! # Who is served
//!
//! After every command, or transaction, the keys that it touched and somebody waits for are looked at, those who wait for one in order of
//! arrival. One whose keys are all on this shard is served here: its command runs again, before any other client's, or, if it meets a
//! claim, in its turn. So nothing else decides about it, and it is served once: its own shard must ask before it may go
//! (`Leave`). One with keys on several shards is told that it may try again (`Ready`), as a transaction over all its keys, and nobody
//! behind it is served until it has.

use std::collections::{HashMap, VecDeque};

use crate::base::args::{Args, OwnedArgs};
use crate::commands::blocking::Blocking;
use crate::commands::table::{Spread, Table};
use crate::shard::execute::Core;
use crate::shard::intents::Intent;
use crate::shard::mesh::{Call, Calls, Message, Stage};
use crate::shard::{ClientRef, Fault, Shard, queue};
use crate::store::awaited::Name;
use crate::store::keyspace::{Key, Keyspace};
use crate::store::object;
use crate::store::table::hash_key;

/// Those who wait, by their tickets.
pub(super) type Waiters = HashMap<u64, Waiter, foldhash::fast::FixedState>;

/// A client that waits for keys of this shard.
pub(super) struct Waiter {
    home: u16,
    client: ClientRef,
    client_id: u64,
    call: Call,
    words: OwnedArgs,
    /// All its keys are on this shard.
    is_lone: bool,
    /// It is trying again.
    pub is_called: bool,
    /// A key has changed since it was called.
    is_behind: bool,
    /// It was not tried when it came, for something was promised to others. It is tried once they are done, whatever they leave at that
    /// key: there may be something at another.
    is_withheld: bool,
}

impl Core {
    /// How a command waits that may.
    pub fn blocking(&self, row: u16) -> &'static Blocking {
        blocking_of(&self.table, row)
    }

    /// The client waits for those keys of its command that are here.
    #[allow(clippy::too_many_arguments)] // What a waiter is.
    pub fn enter_waiter(
        &mut self,
        ticket: u64,
        home: u16,
        client: ClientRef,
        client_id: u64,
        call: &Call,
        words: OwnedArgs,
        is_lone: bool,
    ) {
        let is_withheld = is_lone && self.is_any_promised(call, &words.args());
        for key in self.names_here(call.row, &words.args()) {
            self.keys.awaited().insert(call.db, &key, ticket);
        }
        let call = Call { stage: Stage::Run, first: 0, ..*call };
        let (is_called, is_behind) = (false, false);
        let waiter =
            Waiter { home, client, client_id, call, words, is_lone, is_called, is_behind, is_withheld };
        self.waiters.insert(ticket, waiter);
    }

    /// Takes a waiter out of all lines.
    pub fn remove_waiter(&mut self, ticket: u64) -> Option<Waiter> {
        if let Some(place) = self.passed_over.iter().position(|other| *other == ticket) {
            self.passed_over.swap_remove(place);
            self.touch_waiter(ticket);
        }
        let waiter = self.waiters.remove(&ticket)?;
        for key in self.names_here(waiter.call.row, &waiter.words.args()) {
            self.keys.awaited().remove(waiter.call.db, &key, ticket);
        }
        Some(waiter)
    }

    /// Has the keys of a waiter looked at as if they had changed.
    pub fn touch_waiter(&mut self, ticket: u64) {
        self.names_of(ticket).iter().for_each(|(db, key)| self.keys.awaited().touch(*db, key));
    }

    /// The keys of this shard that a waiter waits for.
    fn names_of(&self, ticket: u64) -> Vec<Name> {
        let waiter = &self.waiters[&ticket];
        let keys = self.names_here(waiter.call.row, &waiter.words.args());
        keys.into_iter().map(|key| (waiter.call.db, key.into())).collect()
    }

    /// The keys of this shard that a call waits for.
    fn names_here(&self, row: u16, args: &Args<'_>) -> Vec<Vec<u8>> {
        let words = self.blocking(row).waits_for.indices(args).map(|word| args.get(word));
        words.filter(|key| self.owner(Key::new(key).slot) == self.server.shard).map(<[u8]>::to_vec).collect()
    }

    /// Whether somebody who came earlier is about to take what is at any of the keys that a call waits for.
    pub fn is_any_promised(&mut self, call: &Call, args: &Args<'_>) -> bool {
        !self.waiters.is_empty()
            && self.names_here(call.row, args).iter().any(|key| self.is_promised(call, key))
    }

    /// Whether somebody who came earlier is about to take what is at a key.
    pub fn is_promised(&mut self, call: &Call, key: &[u8]) -> bool {
        let Core { keys, waiters, table, .. } = self;
        let line = keys.awaited().line(call.db, key);
        let is_taken = |ticket: &u64| {
            let waiter = &waiters[ticket];
            waiter.is_called && blocking_of(table, waiter.call.row).consumes
        };
        line.iter().any(is_taken) && blocking_of(table, call.row).consumes
    }
}

fn blocking_of(table: &Table, row: u16) -> &'static Blocking {
    match table.row(row).spread {
        Spread::Block(blocking) => blocking,
        _ => unreachable!("only commands that may wait do"),
    }
}

/// Looks at the keys that have changed.
pub(super) fn serve(shard: &mut Shard, now_ms: i64) {
    let mut names: VecDeque<Name> = shard.core.keys.awaited().take_touched().into();
    loop {
        // First, while all of them still stand where they stood.
        if let Some(ticket) = shard.core.passed_over.pop() {
            for name in shard.core.names_of(ticket) {
                let line = shard.core.keys.awaited().line(name.0, &name.1);
                let place = line.iter().position(|other| *other == ticket).expect("it stands in the line");
                serve_line(shard, &name, place + 1, now_ms);
            }
        } else if let Some(name) = names.pop_front() {
            serve_line(shard, &name, 0, now_ms);
        } else {
            return;
        }
        names.extend(shard.core.keys.awaited().take_touched());
    }
}

/// Looks at those who wait for a key, from this place in its line on.
fn serve_line(shard: &mut Shard, (db, key): &Name, from: usize, now_ms: i64) {
    let mut at = from;
    while let Some(&ticket) = shard.core.keys.awaited().line(*db, key).get(at) {
        at += 1;
        let waiter = &shard.core.waiters[&ticket];
        let (is_lone, is_called, call) = (waiter.is_lone, waiter.is_called, waiter.call);
        let is_withheld = waiter.is_withheld;
        let blocking = shard.core.blocking(call.row);
        let kind = kind_at(&mut shard.core.keys, *db, key, now_ms);
        if kind != Some(blocking.kind) && !blocking.minds_loss && !is_withheld {
            continue;
        }
        if is_called {
            let waiter = shard.core.waiters.get_mut(&ticket).expect("it stands in the line");
            waiter.is_behind = true;
        } else {
            if is_lone {
                call_again(shard, ticket, now_ms);
            } else {
                call_home(shard, ticket);
            }
        }
        match shard.core.waiters.get(&ticket) {
            // Served, and out of the line: the next one stands in its place.
            None => at -= 1,
            // What is there may be its.
            Some(waiter) if waiter.is_called && blocking.consumes => return,
            Some(_) => {}
        }
    }
}

/// Tells a waiter with keys on several shards that it may try.
fn call_home(shard: &mut Shard, ticket: u64) {
    let waiter = shard.core.waiters.get_mut(&ticket).expect("it stands in a line");
    waiter.is_called = true;
    let (home, client) = (waiter.home, waiter.client);
    shard.send(home, Message::Ready { client, ticket });
}

fn kind_at(keys: &mut Keyspace, db: u16, key: &[u8], now_ms: i64) -> Option<object::Kind> {
    keys.peek(db, &Key::new(key), now_ms).map(object::kind)
}

/// Tries the command of a waiter whose keys are all here: at once, or behind the claims that it meets.
fn call_again(shard: &mut Shard, ticket: u64, now_ms: i64) {
    let mut calls = shard.spare_calls.pop().unwrap_or_default();
    let waiter = shard.core.waiters.get_mut(&ticket).expect("it stands in the line");
    (waiter.is_called, waiter.is_withheld) = (true, false);
    calls.address(waiter.home, shard.core.server.shard, Some(waiter.client), waiter.client_id);
    (calls.ticket, calls.is_again) = (ticket, true);
    calls.push_whole(waiter.call, &waiter.words.args());
    claim(&shard.core, &mut calls);
    queue::run(shard, calls, now_ms);
}

/// Notes what the one call touches.
fn claim(core: &Core, calls: &mut Calls) {
    let call = calls.calls[0];
    let row = core.table.row(call.row);
    let args = calls.args(&call);
    let keys: Vec<Intent> =
        row.keys.indices(&args).map(|word| Intent::new(hash_key(args.get(word)), row.is_write)).collect();
    calls.claim.keys.extend(keys);
}

/// A waiter with keys on several shards has tried in vain. If something has changed since it was called, it is called again. If not,
/// those behind it are looked at, whom it kept from that, but never itself: it would be called for what it has just found wanting.
pub(super) fn again(shard: &mut Shard, ticket: u64, now_ms: i64) {
    let Some(waiter) = shard.core.waiters.get_mut(&ticket) else { return };
    waiter.is_called = false;
    let (is_behind, call) = (std::mem::take(&mut waiter.is_behind), waiter.call);
    if shard.core.has_fault(Fault::LoseWakeup) {
        return;
    }
    let blocking = shard.core.blocking(call.row);
    let names = shard.core.names_of(ticket);
    let mut is_there = |(db, key): &Name| {
        blocking.minds_loss || kind_at(&mut shard.core.keys, *db, key, now_ms) == Some(blocking.kind)
    };
    if is_behind && names.iter().any(&mut is_there) {
        return call_home(shard, ticket);
    }
    if blocking.consumes {
        shard.core.passed_over.push(ticket);
        serve(shard, now_ms);
    }
}

/// A waiter leaves.
pub(super) fn leave(shard: &mut Shard, ticket: u64, client: Option<ClientRef>, now_ms: i64) {
    let Some(waiter) = shard.core.waiters.get(&ticket) else {
        // It was served, and its shard will hear of it.
        return;
    };
    // Nobody was kept from anything by one who was not called.
    if waiter.is_called && !shard.core.has_fault(Fault::LoseWakeup) {
        shard.core.touch_waiter(ticket);
    }
    let waiter = shard.core.remove_waiter(ticket).expect("it was found");
    if let Some(client) = client {
        shard.send(waiter.home, Message::Left { client, ticket });
    }
    serve(shard, now_ms);
}

#[cfg(test)]
impl Core {
    /// The type of value that serves a waiter.
    pub fn kind_of_waiter(&self, ticket: u64) -> object::Kind {
        self.blocking(self.waiters[&ticket].call.row).kind
    }

    /// The words with which a waiter is tried again.
    pub fn words_of_waiter(&self, ticket: u64) -> Vec<String> {
        let words = &self.waiters[&ticket].words;
        words.args().iter_from(0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
    }
}
