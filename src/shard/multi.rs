//! MULTI, EXEC, DISCARD, WATCH on the connection's shard: queues commands, and has them run as one when EXEC comes.
//! Knows which shards have been told to watch keys, never which keys have changed: their owners know.
//!
//! Commands that all concern one shard are sent to it whole, the check of watched keys included. Otherwise they are a transaction
//! like any read over several shards (`flight`); with watched keys its first step is the check.

use std::collections::VecDeque;

use crate::base::args::Args;
use crate::commands::merge;
use crate::commands::table::{Command, Flag, Spread, Verb};
use crate::commands::transactions::{ABORTED, INSIDE_MULTI};
use crate::shard::execute::Core;
use crate::shard::flight::{Aborted, Rest, packed};
use crate::shard::intents::Intent;
use crate::shard::mesh::{Call, Calls, Message, ShardMessage, Stage};
use crate::shard::route::REFUSED;
use crate::shard::router::Router;
use crate::store::keyspace::Key;

/// A client's transaction state.
#[derive(Default)]
pub(super) struct Multi {
    /// Commands since `MULTI`.
    pub queue: Option<Box<Queued>>,
    /// Watched keys: owner and hash.
    pub watched: Vec<(u16, u64)>,
    /// Bytes of their names.
    watched_bytes: usize,
}

impl Multi {
    /// Memory that the client occupies with it, here and on the owners of watched keys, bytes.
    pub fn bytes(&self) -> usize {
        let queued = self.queue.as_ref().map_or(0, |queued| {
            queued.calls.buffer.len()
                + size_of_val(&queued.calls.spans[..])
                + size_of_val(&queued.calls.calls[..])
        });
        queued + self.watched_bytes + size_of_val(&self.watched[..])
    }

    /// Watched keys: owner and hash. There is none from now on.
    fn take_watched(&mut self) -> Vec<(u16, u64)> {
        self.watched_bytes = 0;
        std::mem::take(&mut self.watched)
    }

    /// Tells the owners of watched keys that the client watches none any more.
    pub fn unwatch(&mut self, client_id: u64, core: &mut Core, outbox: &mut VecDeque<(u16, ShardMessage)>) {
        let mut owners: Vec<u16> = self.take_watched().into_iter().map(|(owner, _)| owner).collect();
        owners.sort_unstable();
        owners.dedup();
        for owner in owners {
            if owner == core.server.shard {
                core.keys.forget_watch(client_id);
            } else {
                core.server.stats.mesh_messages += 1;
                outbox.push_back((owner, ShardMessage(Message::Unwatch { client_id })));
            }
        }
    }

    /// Whether `EXEC` would change data.
    pub fn has_write(&self) -> bool {
        self.queue.as_ref().is_some_and(|queued| queued.has_write)
    }
}

/// Commands queued since `MULTI`.
#[derive(Default)]
pub(super) struct Queued {
    pub calls: Calls,
    /// One could not be queued: `EXEC` will refuse all.
    pub is_refused: bool,
    has_write: bool,
}

impl Router<'_> {
    /// Whether a call that comes after `MULTI` waits for `EXEC`.
    pub fn is_queued(&self, call: &Call) -> bool {
        call.row == REFUSED
            || match self.core.table.row(call.row).spread {
                Spread::Connection(verb) => verb == Verb::Unwatch,
                _ => true,
            }
    }

    /// Whether a call, or what `EXEC` would run, changes data.
    pub fn is_write(&self, call: &Call) -> bool {
        call.row != REFUSED && {
            let row = self.core.table.row(call.row);
            row.is_write || matches!(row.spread, Spread::Connection(Verb::Exec)) && self.multi.has_write()
        }
    }

    /// Whether a call must not share its flight with what came before it: it depends on watched keys, or may wait,
    /// so that its reply comes later.
    pub fn needs_flight_of_its_own(&self, call: &Call) -> bool {
        if call.row != REFUSED
            && self.multi.queue.is_none()
            && matches!(self.core.table.row(call.row).spread, Spread::Block(_) | Spread::Disk)
        {
            return true;
        }
        // An EXEC with too many words is refused, and ends the watching too.
        !self.multi.watched.is_empty()
            && (call.row == REFUSED
                || matches!(self.core.table.row(call.row).spread, Spread::Connection(verb) if verb != Verb::Watch))
    }

    /// Queues a call, or says why not.
    pub fn enqueue(&mut self, call: Call, args: &Args<'_>, is_wanted: bool) {
        let queued = self.multi.queue.as_mut().expect("MULTI has made it");
        if call.row == REFUSED {
            queued.is_refused = true;
            return self.refuse(&call, args, is_wanted);
        }
        let row = self.core.table.row(call.row);
        if row.has(Flag::NoMulti) {
            queued.is_refused = true;
            return self.reply_error(&call, "ERR Command not allowed inside a transaction", is_wanted);
        }
        if !queued.is_refused {
            queued.has_write |= row.is_write;
            queued.calls.push_whole(call, args);
            let count = queued.calls.calls.len();
            self.session().queued = Some(count);
        }
        if is_wanted {
            self.writer(&call).simple("QUEUED");
        }
    }

    /// Runs a command about the connection.
    pub fn connection(&mut self, verb: Verb, call: Call, args: &Args<'_>, is_wanted: bool) {
        match verb {
            Verb::Multi => {
                self.here(&call, args, is_wanted);
                self.multi.queue.get_or_insert_default();
            }
            Verb::Exec => match self.multi.queue.take() {
                Some(queued) => self.exec(&call, queued, is_wanted),
                None => self.here(&call, args, is_wanted),
            },
            Verb::Discard => {
                self.here(&call, args, is_wanted);
                if self.multi.queue.is_some() {
                    self.discard();
                }
            }
            Verb::Watch if self.multi.queue.is_some() => self.reply_error(&call, INSIDE_MULTI, is_wanted),
            Verb::Watch => self.watch(call, args, is_wanted),
            Verb::Unwatch => {
                self.here(&call, args, is_wanted);
                self.unwatch();
            }
            Verb::Reset => {
                self.here(&call, args, is_wanted);
                self.discard();
            }
            Verb::Quit => self.here(&call, args, is_wanted),
        }
    }

    fn watch(&mut self, call: Call, args: &Args<'_>, is_wanted: bool) {
        let &Command { keys, .. } = self.core.table.row(call.row);
        for word in keys.indices(args) {
            let key = Key::new(args.get(word));
            self.multi.watched.push((self.core.owner(key.slot), key.hash));
            self.multi.watched_bytes += key.bytes.len();
        }
        self.spread_keys(keys, call, args, merge::same, is_wanted);
    }

    fn unwatch(&mut self) {
        let client_id = self.session().id;
        self.multi.unwatch(client_id, self.core, self.outbox);
    }

    /// Forgets what was queued and watched.
    pub fn discard(&mut self) {
        self.multi.queue = None;
        self.session().queued = None;
        self.unwatch();
    }

    fn exec(&mut self, call: &Call, queued: Box<Queued>, is_wanted: bool) {
        if queued.is_refused {
            self.discard();
            return self.reply_error(call, ABORTED, is_wanted);
        }
        let here = self.core.server.shard;
        let mut watched = self.multi.take_watched();
        watched.sort_unstable();
        watched.dedup();
        let intents = &self.core.queue.intents;
        let mut is_free = !watched.iter().any(|(_, key)| intents.conflicts_on(*key, false));
        let mut shards: Vec<u16> = watched.iter().map(|(shard, _)| *shard).collect();
        let mut has_home = false;
        for later in &queued.calls.calls {
            let (args, before) = (queued.calls.args(later), shards.len());
            self.for_each_shard(later, &args, |shard| shards.push(shard));
            has_home |= shards.len() == before;
            is_free = is_free && self.is_free(later, &args);
        }
        shards.sort_unstable();
        shards.dedup();
        let aborted = Aborted { protocol: call.protocol, is_wanted };
        let rest = Rest { queued, done: 0 };
        if is_free && self.flight.is_none() && shards.iter().all(|&shard| shard == here) {
            let client_id = self.session().id;
            if !watched.is_empty() && self.core.keys.end_watch(client_id, self.now_ms) {
                self.session().queued = None;
                return aborted.write(self.out);
            }
        } else {
            self.flight().is_whole = true;
            if !watched.is_empty() {
                self.check_watched(call, &watched);
                let flight = self.flight();
                flight.aborted = Some(aborted);
                flight.is_last = true;
                if shards.len() > 1 || has_home {
                    // All must have checked before any may go on, this shard for the connection's own commands included.
                    self.reply_count(call, &rest, is_wanted);
                    self.claim_rest(&rest);
                    self.flight().rest = Some(rest);
                    return;
                }
            }
        }
        self.reply_count(call, &rest, is_wanted);
        self.continue_exec(rest);
    }

    fn reply_count(&mut self, call: &Call, rest: &Rest, is_wanted: bool) {
        if is_wanted {
            self.writer(call).array(rest.queued.calls.calls.len());
        }
    }

    /// Has the owners of watched keys look whether those have changed, before anything else they do.
    fn check_watched(&mut self, call: &Call, watched: &[(u16, u64)]) {
        for &(shard, key) in watched {
            let calls = packed(self.packing, self.spare_calls, shard);
            if calls.calls.is_empty() {
                let check = Call { stage: Stage::CheckWatched, slot: u16::MAX, ..*call };
                calls.push(check, std::iter::empty());
            }
            calls.claim.keys.push(Intent::new(key, false));
        }
    }

    /// Runs or sends queued commands, up to one that those after it depend on; the rest follows when that has come back.
    pub fn continue_exec(&mut self, mut rest: Rest) {
        while let Some(&call) = rest.queued.calls.calls.get(rest.done) {
            rest.done += 1;
            self.run_queued(call, &rest.queued.calls.args(&call));
            if self.flight.as_ref().is_some_and(|flight| flight.ends_step) && !rest.is_done() {
                self.claim_rest(&rest);
                self.flight().rest = Some(rest);
                return;
            }
        }
        self.session().queued = None;
    }

    /// Claims what commands of later steps will touch.
    fn claim_rest(&mut self, rest: &Rest) {
        let calls = &rest.queued.calls;
        calls.calls[rest.done..].iter().for_each(|call| self.claim(call, &calls.args(call)));
    }
}

#[cfg(test)]
mod tests {
    use crate::shard::tests::check;

    const REFUSED: &str = "EXECABORT Transaction discarded because of previous errors.";

    #[test]
    fn queues_and_runs() {
        check(
            "MULTI | SET a 1 | SET b 2 | MGET a b | EXEC | GET a",
            "OK | QUEUED | QUEUED | QUEUED | [OK, OK, [1, 2]] | 1",
        );
        check("MULTI | EXEC | MULTI | PING | EXEC", "OK | [] | OK | QUEUED | [PONG]");
        check("MULTI | SET a 1 | DISCARD | GET a | EXEC", "OK | QUEUED | OK | nil | ERR EXEC without MULTI");
        check(
            "MULTI | SELECT 1 | SET a 1 | SELECT 0 | GET a | EXEC | SELECT 1 | GET a",
            "OK | QUEUED | QUEUED | QUEUED | QUEUED | [OK, OK, OK, nil] | OK | 1",
        );
    }

    #[test]
    fn an_error_while_running_is_the_reply_of_its_command() {
        check(
            "SET a x | MULTI | INCR a | SET b 1 | COPY a a | EXEC | MGET a b",
            "OK | OK | QUEUED | QUEUED | QUEUED | \
             [ERR value is not an integer or out of range, OK, ERR source and destination objects are the same] | [x, 1]",
        );
    }

    #[test]
    fn a_command_that_cannot_be_queued_refuses_all() {
        for (wrong, error) in [
            ("NOSUCH", "ERR unknown command 'NOSUCH', with args beginning with: "),
            ("GET", "ERR wrong number of arguments for 'get' command"),
            ("SHUTDOWN", "ERR Command not allowed inside a transaction"),
        ] {
            check(
                &format!("MULTI | SET a 1 | {wrong} | EXEC | GET a"),
                &format!("OK | QUEUED | {error} | {REFUSED} | nil"),
            );
        }
    }

    #[test]
    fn an_exec_with_other_words_ends_the_transaction() {
        let refused =
            "EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command";
        check(
            "EXEC now | MULTI | SET a 1 | EXEC now | EXEC | GET a",
            &format!("{refused} | OK | QUEUED | {refused} | ERR EXEC without MULTI | nil"),
        );
        check(
            "WATCH a | SET a 1 | EXEC now | MULTI | PING | EXEC",
            &format!("OK | OK | {refused} | OK | QUEUED | [PONG]"),
        );
    }

    #[test]
    fn the_connections_own_commands_wait_for_the_check() {
        check(
            "WATCH a | SET a 1 | MULTI | SELECT 3 | CLIENT SETNAME me | EXEC | CLIENT GETNAME | GET a",
            "OK | OK | OK | QUEUED | QUEUED | nil | nil | 1",
        );
    }

    #[test]
    fn some_commands_are_never_queued() {
        check(
            "MULTI | MULTI | WATCH a | SET a 1 | EXEC",
            "OK | ERR MULTI calls can not be nested | ERR WATCH inside MULTI is not allowed | QUEUED | [OK]",
        );
        check("MULTI | SET a 1 | RESET | GET a | EXEC", "OK | QUEUED | RESET | nil | ERR EXEC without MULTI");
        check("MULTI | SET a 1 | UNWATCH | EXEC", "OK | QUEUED | QUEUED | [OK, OK]");
    }

    #[test]
    fn steps_that_depend_on_others_run_in_order() {
        check(
            "SET a 1 | MULTI | RENAME a b | GET b | RENAMENX b d | MGET a b d | MSETNX a 5 b 6 | MGET a b d | EXEC",
            "OK | OK | QUEUED | QUEUED | QUEUED | QUEUED | QUEUED | QUEUED | [OK, 1, 1, [nil, nil, 1], 1, [5, 6, 1]]",
        );
        check(
            "MSET a 1 b 2 | MULTI | RENAME nope b | RENAME a c | SET a 9 | DBSIZE | FLUSHALL | DBSIZE | EXEC",
            "OK | OK | QUEUED | QUEUED | QUEUED | QUEUED | QUEUED | QUEUED | [ERR no such key, OK, OK, 3, OK, 0]",
        );
    }

    #[test]
    fn watched_keys_decide() {
        for change in
            ["SET a 2", "DEL a", "APPEND a x", "FLUSHALL", "EXPIRE a 100", "RENAME a c", "SWAPDB 0 5"]
        {
            check(
                &format!(
                    "SET a 1 | WATCH a b | {change} | MULTI | SET d 1 | EXEC | MULTI | PING | EXEC | EXISTS d"
                ),
                &format!(
                    "OK | OK | {} | OK | QUEUED | nil | OK | QUEUED | [PONG] | 0",
                    if matches!(change, "DEL a" | "EXPIRE a 100") {
                        "1"
                    } else if change == "APPEND a x" {
                        "2"
                    } else {
                        "OK"
                    }
                ),
            );
        }
        check("WATCH a b | SET c 1 | MULTI | SET d 1 | EXEC", "OK | OK | OK | QUEUED | [OK]");
        check("WATCH a b | FLUSHALL | MULTI | PING | EXEC", "OK | OK | OK | QUEUED | [PONG]");
        check("WATCH a b | SET a 1 | UNWATCH | MULTI | PING | EXEC", "OK | OK | OK | OK | QUEUED | [PONG]");
        check(
            "WATCH a b | SET a 1 | MULTI | DISCARD | MULTI | PING | EXEC",
            "OK | OK | OK | OK | OK | QUEUED | [PONG]",
        );
    }
}
