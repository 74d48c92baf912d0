//! Sends each command of a client where it belongs: runs it here, packs it for the shard of its keys, or spreads it over several,
//! and notes what it will touch there. Works on one call at a time; batches, waiting and what follows are others' business
//! (`route`, `multi`, `flight`).

use std::collections::VecDeque;

use crate::base::args::{Args, OwnedArgs};
use crate::base::slot::{Slot, key_slot};
use crate::commands::blocking::{Blocking, Wait};
use crate::commands::cx::Caller;
use crate::commands::error::CommandError;
use crate::commands::gather::Gather;
use crate::commands::merge::Merge;
use crate::commands::session::{ReplyMode, Session};
use crate::commands::table::{Command, Keys, Reach, Spread, Verb};
use crate::commands::transactions::ABORTED_BECAUSE;
use crate::metrics::persistence::Trouble;
use crate::resp::write::Writer;
use crate::shard::blocked::Blocked;
use crate::shard::client::Client;
use crate::shard::deliver;
use crate::shard::execute::{self, Core};
use crate::shard::flight::{Flight, Gathering, Merged, Piece, packed};
use crate::shard::intents::{Claim, Intent};
use crate::shard::mesh::{Call, Calls, ShardMessage, Stage};
use crate::shard::multi::Multi;
use crate::shard::route::REFUSED;
use crate::shard::{ClientRef, Shard, queue};
use crate::store::keyspace::Key;
use crate::store::scan::{cursor_slot, parse_cursor};
use crate::store::table::hash_key;

/// Stands for configuration, pauses and counters among the keys that commands claim.
const SETTINGS: Intent = Intent::new(0x5e77_1465_c0f1_6000, true);

/// Sends each command where it belongs.
pub(super) struct Router<'a> {
    pub core: &'a mut Core,
    pub client: ClientRef,
    pub multi: &'a mut Multi,
    pub packing: &'a mut Vec<Option<Box<Calls>>>,
    pub spare_calls: &'a mut Vec<Box<Calls>>,
    pub spare_flights: &'a mut Vec<Box<Flight>>,
    pub outbox: &'a mut VecDeque<(u16, ShardMessage)>,
    pub flight: &'a mut Option<Box<Flight>>,
    pub out: &'a mut Vec<u8>,
    /// Replies that the driver took and has not reported as sent.
    unsent: usize,
    pub now_ms: i64,
    /// A reply has passed the hard limit: the client must go.
    pub is_over_limit: bool,
    /// The commands are those of an `EXEC`: none of them waits.
    is_exec: bool,
    /// The command that has just run waits from now on.
    pub blocked: Option<Box<Blocked>>,
    /// The disk cannot take more: commands that write have to wait.
    pub must_wait_for_disk: bool,
    /// The disk fails: commands that write are refused.
    trouble: Trouble,
}

impl<'a> Router<'a> {
    /// A router for commands of `client`, which join `flight` if there is one.
    pub fn new(
        shard: &'a mut Shard,
        client: ClientRef,
        flight: &'a mut Option<Box<Flight>>,
        now_ms: i64,
    ) -> Router<'a> {
        let persistence = &shard.core.server.process.persistence;
        let (must_wait_for_disk, trouble) = (persistence.is_behind(), persistence.trouble());
        let Shard { core, clients, packing, spare_calls, spare_flights, outbox, .. } = shard;
        let Client { multi, out, unsent, .. } = clients[client.index as usize].as_mut().expect("it is there");
        Router {
            core,
            client,
            multi,
            packing,
            spare_calls,
            spare_flights,
            outbox,
            flight,
            out,
            unsent: *unsent,
            now_ms,
            is_over_limit: false,
            is_exec: false,
            blocked: None,
            must_wait_for_disk,
            trouble,
        }
    }

    /// Runs, sends or queues one call.
    pub fn run(&mut self, call: Call, args: &Args<'_>) {
        let (call, mode) = self.complete(call);
        let session = self.session();
        if call.row != REFUSED {
            session.last_command = Some(call.row);
        }
        if mode == ReplyMode::SkipNext {
            session.reply_mode = ReplyMode::Skip;
        }
        let is_wanted = mode == ReplyMode::On;
        if self.trouble != Trouble::None
            && self.is_write(&call)
            && let Some(error) = self.core.server.write_refusal()
        {
            self.refuse_write(&call, error, is_wanted);
        } else if self.multi.queue.is_some() && self.is_queued(&call) {
            self.enqueue(call, args, is_wanted);
        } else if call.row == REFUSED {
            self.refuse(&call, args, is_wanted);
        } else {
            self.dispatch(call, args, is_wanted);
        }
        if mode == ReplyMode::SkipNext {
            let session = self.session();
            if session.reply_mode == ReplyMode::Skip {
                session.reply_mode = ReplyMode::On;
            }
        }
    }

    /// Runs or sends one call that `EXEC` takes from the queue.
    pub fn run_queued(&mut self, call: Call, args: &Args<'_>) {
        let (call, mode) = self.complete(call);
        self.is_exec = true;
        // A reply that is to be skipped is the next one after EXEC's.
        self.dispatch(call, args, matches!(mode, ReplyMode::On | ReplyMode::SkipNext));
        // What follows EXEC in the same read may wait.
        self.is_exec = false;
    }

    /// A call with what the session says of it.
    #[inline]
    fn complete(&mut self, mut call: Call) -> (Call, ReplyMode) {
        let now_ms = self.now_ms;
        let session = self.session();
        call.db = session.db;
        call.protocol = session.protocol;
        call.no_touch = session.no_touch;
        session.active_ms = now_ms;
        (call, session.reply_mode)
    }

    /// Replies that wait for the client, bytes.
    pub fn reply_bytes(&self) -> usize {
        self.out.len() + self.unsent + self.flight.as_ref().map_or(0, |flight| flight.local.len())
    }

    pub fn session(&mut self) -> &mut Session {
        self.core.server.sessions.get_mut(self.client.index).expect("a client has a session")
    }

    fn dispatch(&mut self, call: Call, args: &Args<'_>, is_wanted: bool) {
        // Counted here, where a command is one, not where its parts run.
        let stats = &mut self.core.server.stats;
        stats.commands += 1;
        stats.per_command[usize::from(call.row)].calls += 1;
        let &Command { spread, keys, .. } = self.core.table.row(call.row);
        match spread {
            Spread::Home | Spread::Disk => self.here(&call, args, is_wanted),
            Spread::Connection(verb) => self.connection(verb, call, args, is_wanted),
            Spread::Key | Spread::Keys(_) | Spread::Gather(_) | Spread::Block(_) if call.slot == u16::MAX => {
                // Its words do not name its keys as they should: it runs to say so.
                self.here(&call, args, is_wanted);
            }
            Spread::Key => {
                let slot = Slot::new(call.slot).expect("the call has a key");
                self.at(self.core.owner(slot), &call, args, is_wanted);
            }
            Spread::Keys(merge) => self.spread_keys(keys, call, args, merge, is_wanted),
            Spread::Gather(gather) => match self.common_owner(keys, &call, args) {
                Some(owner) if !gather.reads_undeclared || self.core.server.shards == 1 => {
                    self.at(owner, &call, args, is_wanted);
                }
                _ => self.gather(keys, call, args, gather, is_wanted),
            },
            Spread::Block(blocking) => self.block(keys, call, args, blocking, is_wanted),
            Spread::Shards(reach, merge) => self.spread_shards(reach, call, args, merge, is_wanted),
            Spread::Cursor => self.at(self.cursor_owner(args), &call, args, is_wanted),
        }
    }

    /// Runs a call whose keys are all on one shard.
    #[inline]
    fn at(&mut self, owner: u16, call: &Call, args: &Args<'_>, is_wanted: bool) {
        if owner == self.core.server.shard && self.flight.is_none() && self.is_free(call, args) {
            return self.here(call, args, is_wanted);
        }
        self.pack_whole(owner, *call, args);
        let row = self.core.table.row(call.row);
        if matches!(row.spread, Spread::Key) {
            // The common case, without a second look at the key.
            let intent = Intent::new(call.hash, row.is_write);
            packed(self.packing, self.spare_calls, owner).claim.keys.push(intent);
        } else {
            self.claim(call, args);
        }
        self.flight().push(if is_wanted { Piece::Remote(owner) } else { Piece::Unwanted(owner) });
    }

    #[inline]
    pub fn here(&mut self, call: &Call, args: &Args<'_>, is_wanted: bool) {
        let caller = self.caller(call);
        let out = reply_buffer(self.flight, self.out);
        let before = out.len();
        self.is_over_limit |= !execute::run(self.core, call, args, out, caller, self.now_ms);
        if !is_wanted && !reply_turned_on(self.core, self.client) {
            out.truncate(before);
        }
    }

    fn caller(&mut self, call: &Call) -> Caller {
        Caller {
            id: self.session().id,
            session: Some(self.client.index),
            no_touch: call.no_touch,
            is_exec: self.is_exec,
        }
    }

    pub fn refuse(&mut self, call: &Call, args: &Args<'_>, is_wanted: bool) {
        let Err(error) = self.core.table.resolve(args) else { unreachable!("the call was refused before") };
        let mut text = error.to_string();
        // A name that is no command, or no subcommand, belongs to no row.
        let row = match &error {
            CommandError::Arity(name) => self.core.table.find(name.as_bytes()),
            _ => None,
        };
        self.session().last_command = row;
        if let Some(row) = row {
            self.core.server.stats.per_command[usize::from(row)].rejected += 1;
            if matches!(self.core.table.row(row).spread, Spread::Connection(Verb::Exec)) {
                text = format!("{ABORTED_BECAUSE} {}", text.trim_start_matches("ERR "));
                self.discard();
            }
        }
        self.reply_error(call, &text, is_wanted);
    }

    /// Refuses a command that would write, since the disk fails; a transaction that it was to be part of, or is, fails with it.
    #[cold]
    fn refuse_write(&mut self, call: &Call, error: CommandError, is_wanted: bool) {
        let text = error.to_string();
        self.core.server.stats.per_command[usize::from(call.row)].rejected += 1;
        if matches!(self.core.table.row(call.row).spread, Spread::Connection(Verb::Exec)) {
            self.discard();
            return self.reply_error(call, &format!("{ABORTED_BECAUSE} {text}"), is_wanted);
        }
        if let Some(queued) = &mut self.multi.queue {
            queued.is_refused = true;
        }
        self.reply_error(call, &text, is_wanted);
    }

    /// Replies with an error that no command's function made.
    pub fn reply_error(&mut self, call: &Call, text: &str, is_wanted: bool) {
        self.core.server.stats.count_error(text);
        if is_wanted {
            self.writer(call).error(text);
        }
    }

    /// Where this shard replies to a call.
    pub fn writer(&mut self, call: &Call) -> Writer<'_> {
        Writer::new(reply_buffer(self.flight, self.out), call.protocol)
    }

    // Several keys, several shards --------------------------------------------------------------------------------

    /// The shard that owns all keys of a call; nothing if they are spread.
    fn common_owner(&self, keys: Keys, call: &Call, args: &Args<'_>) -> Option<u16> {
        let first = self.core.owner(Slot::new(call.slot).expect("the row has a key"));
        if self.core.server.shards == 1 {
            return Some(first);
        }
        let mut others = keys.indices(args).skip(1);
        others.all(|i| self.core.owner(key_slot(args.get(i))) == first).then_some(first)
    }

    /// Every shard runs the command on the key groups it owns; one that owns all runs it whole.
    pub fn spread_keys(&mut self, keys: Keys, call: Call, args: &Args<'_>, merge: Merge, is_wanted: bool) {
        let Keys::At { first, step, .. } = keys else { unreachable!("the row has keys") };
        let (first, step) = (usize::from(first), usize::from(step));
        if let Some(owner) = self.common_owner(keys, &call, args) {
            return self.at(owner, &call, args, is_wanted);
        }
        if !(args.len() - first).is_multiple_of(step) {
            // A key without its value: the command's own check finds the words.
            return self.here(&call, args, is_wanted);
        }
        let mut targets: Vec<u16> = Vec::new();
        let mut order: Vec<u16> = Vec::with_capacity((args.len() - first) / step);
        for key in keys.indices(args) {
            let owner = self.core.owner(key_slot(args.get(key)));
            let part = targets.iter().position(|&target| target == owner).unwrap_or_else(|| {
                targets.push(owner);
                targets.len() - 1
            });
            order.push(part as u16);
        }
        let is_write = self.core.table.row(call.row).is_write;
        for (part, &target) in targets.iter().enumerate() {
            let of_part = || keys.indices(args).zip(&order).filter(|(_, to)| usize::from(**to) == part);
            let calls = packed(self.packing, self.spare_calls, target);
            let groups = of_part().flat_map(|(key, _)| (key..key + step).map(|i| args.get(i)));
            calls.push(Call { slot: u16::MAX, ..call }, (0..first).map(|i| args.get(i)).chain(groups));
            let intents = of_part().map(|(key, _)| Intent::new(hash_key(args.get(key)), is_write));
            calls.claim.keys.extend(intents);
        }
        self.flight().calls += targets.len();
        // The words are with the parts; merging by keys needs none.
        self.push_merged(call, OwnedArgs::default(), merge, is_wanted, None, targets, order);
    }

    /// Every shard runs the command.
    fn spread_shards(&mut self, reach: Reach, call: Call, args: &Args<'_>, merge: Merge, is_wanted: bool) {
        let (here, shards) = (self.core.server.shard, self.core.server.shards);
        let words = OwnedArgs::new(args.iter_from(0));
        // What reaches nothing of others, or has no others to consider, needs no turn; but it comes after what came before.
        let is_apart = reach == Reach::Nothing && self.flight.is_none();
        let local = (is_apart || shards == 1).then(|| {
            let caller = self.caller(&call);
            let mut reply = Vec::new();
            self.is_over_limit |= !execute::run(self.core, &call, args, &mut reply, caller, self.now_ms);
            reply
        });
        let targets: Vec<u16> = (0..shards).filter(|&shard| local.is_none() || shard != here).collect();
        for &target in &targets {
            self.pack_whole(target, call, args);
        }
        if shards > 1 {
            self.claim(&call, args);
        }
        self.push_merged(call, words, merge, is_wanted, local, targets, Vec::new());
        if reach != Reach::Keyspace
            && let Some(flight) = self.flight
        {
            // What follows must find the settings changed, and the clients gone.
            flight.ends_step = true;
        }
    }

    #[allow(clippy::too_many_arguments)] // The fields of a `Merged`.
    fn push_merged(
        &mut self,
        call: Call,
        args: OwnedArgs,
        merge: Merge,
        is_wanted: bool,
        local: Option<Vec<u8>>,
        targets: Vec<u16>,
        order: Vec<u16>,
    ) {
        let seed = self.core.server.rng.next_u64();
        let merged = Merged { args, merge, protocol: call.protocol, is_wanted, local, targets, order, seed };
        if merged.targets.is_empty() {
            let out = reply_buffer(self.flight, self.out);
            let before = out.len();
            let limit = self.core.server.config.reply_bytes_max;
            self.is_over_limit |= !deliver::write_merged(&merged, &mut [], out, limit);
            if !is_wanted {
                out.truncate(before);
            }
            return;
        }
        self.flight().push(Piece::Merged(Box::new(merged)));
    }

    /// Reads all keys; the decision follows when the flight has come back.
    fn gather(&mut self, keys: Keys, call: Call, args: &Args<'_>, gather: &'static Gather, is_wanted: bool) {
        let mut asked = Vec::new();
        // Where the words stand in what goes to each owner: all its reads share them.
        let mut shared: Vec<(u16, u32)> = Vec::new();
        for word in keys.indices(args) {
            let owner = self.core.owner(key_slot(args.get(word)));
            // The slot and hash in a call are those of its first key word alone.
            if gather.reads_key_alone {
                let call = Call { stage: Stage::Read(1), slot: u16::MAX, ..call };
                self.pack(owner, call, [args.get(0), args.get(word)].into_iter());
            } else {
                let call = Call { stage: Stage::Read(word as u32), slot: u16::MAX, ..call };
                let calls = packed(self.packing, self.spare_calls, owner);
                match shared.iter().find(|(with, _)| *with == owner) {
                    Some(&(_, first)) => calls.calls.push(Call { first, words: args.len() as u32, ..call }),
                    None => {
                        shared.push((owner, calls.spans.len() as u32));
                        calls.push_whole(call, args);
                    }
                }
                self.flight().calls += 1;
            }
            asked.push(owner);
        }
        self.claim(&call, args);
        let args = OwnedArgs::new(args.iter_from(0));
        let gathering = Gathering { call, args, gather, is_wanted, asked, parts: Vec::new() };
        let flight = self.flight();
        flight.ends_step = true;
        flight.gathering = Some(Box::new(gathering));
    }

    // Waiting -----------------------------------------------------------------------------------------------------

    /// Tries a command that may wait.
    fn block(
        &mut self,
        keys: Keys,
        call: Call,
        args: &Args<'_>,
        blocking: &'static Blocking,
        is_wanted: bool,
    ) {
        let owner = self.common_owner(keys, &call, args);
        let timeout_ms = (blocking.timeout_ms)(args).ok().flatten().filter(|_| !self.is_exec);
        let Some(timeout_ms) = timeout_ms else {
            // Also for words that are wrong, which its run reports.
            return match owner {
                Some(owner) => self.at(owner, &call, args, is_wanted),
                None => self.gather(keys, call, args, &blocking.gather, is_wanted),
            };
        };
        assert!(self.flight.is_none(), "a command that may wait has a flight of its own");
        let now_ms = self.now_ms;
        let mut blocked = Box::new(Blocked {
            ticket: queue::next_id(&self.core.server),
            call,
            words: OwnedArgs::default(),
            owners: owner.into_iter().collect(),
            is_lone: owner.is_some(),
            until_ms: (timeout_ms > 0).then(|| now_ms.saturating_add_unsigned(timeout_ms)),
            is_wanted,
            is_trying: false,
            is_ready: false,
            end: None,
        });
        let is_here = owner == Some(self.core.server.shard);
        if is_here && self.is_free(&call, args) {
            let before = self.out.len();
            self.core.server.wait = None;
            if self.core.is_any_promised(&call, args) {
                self.core.server.wait = Some(Wait::default());
            } else {
                self.here(&call, args, is_wanted);
            }
            if let Some(wait) = self.core.server.wait.take() {
                self.out.truncate(before);
                let words = wait.words.unwrap_or_else(|| OwnedArgs::new(args.iter_from(0)));
                let (home, client, client_id) = (self.core.server.shard, self.client, self.session().id);
                self.core.enter_waiter(blocked.ticket, home, client, client_id, &call, words, true);
                self.blocked = Some(blocked);
            }
            return;
        }
        match owner {
            Some(owner) => self.at(owner, &call, args, is_wanted),
            None => {
                blocked.words = OwnedArgs::new(args.iter_from(0));
                self.gather(keys, call, args, &blocking.gather, is_wanted);
            }
        }
        let flight = self.flight();
        flight.is_last = true;
        flight.ticket = blocked.ticket;
        flight.blocked = Some(blocked);
    }

    /// Tries a command that waits with keys on several shards.
    pub fn try_again(&mut self, blocked: &Blocked) {
        let &Command { spread, keys, .. } = self.core.table.row(blocked.call.row);
        let Spread::Block(blocking) = spread else { unreachable!("only commands that may wait do") };
        self.gather(keys, blocked.call, &blocked.words.args(), &blocking.gather, blocked.is_wanted);
        self.flight().ticket = blocked.ticket;
    }

    #[inline]
    fn pack_whole(&mut self, target: u16, call: Call, args: &Args<'_>) {
        packed(self.packing, self.spare_calls, target).push_whole(call, args);
        self.flight().calls += 1;
    }

    fn pack<'w>(&mut self, target: u16, call: Call, words: impl Iterator<Item = &'w [u8]>) {
        packed(self.packing, self.spare_calls, target).push(call, words);
        self.flight().calls += 1;
    }

    /// The flight of this read, begun if need be.
    pub fn flight(&mut self) -> &mut Flight {
        self.flight.get_or_insert_with(|| self.spare_flights.pop().unwrap_or_default())
    }

    fn cursor_owner(&self, args: &Args<'_>) -> u16 {
        // A word that is no cursor is refused by the command, wherever it runs.
        let slot = parse_cursor(args.get(1)).and_then(cursor_slot);
        slot.map_or(self.core.server.shard, |slot| self.core.owner(slot))
    }

    // What commands touch -----------------------------------------------------------------------------------------

    /// Whether a call whose keys are all here meets no transaction.
    #[inline]
    pub fn is_free(&self, call: &Call, args: &Args<'_>) -> bool {
        self.core.queue.intents.is_empty() || self.meets_nothing(call, args)
    }

    #[inline(never)]
    fn meets_nothing(&self, call: &Call, args: &Args<'_>) -> bool {
        let row = self.core.table.row(call.row);
        if matches!(row.spread, Spread::Key) {
            return !self.core.queue.intents.conflicts_on(call.hash, row.is_write);
        }
        let mut claim = Claim::default();
        let here = self.core.server.shard;
        self.for_each_claim(call, args, |owner, claimed| {
            if owner == here {
                claimed.add_to(&mut claim);
            }
        });
        !self.core.queue.intents.conflicts(&claim)
    }

    /// Notes with each owner what a call will touch there.
    pub fn claim(&mut self, call: &Call, args: &Args<'_>) {
        let mut claims = Vec::new();
        self.for_each_claim(call, args, |owner, claimed| claims.push((owner, claimed)));
        for (owner, claimed) in claims {
            claimed.add_to(&mut packed(self.packing, self.spare_calls, owner).claim);
        }
    }

    /// Tells `visit` what a call will touch, and on which shard.
    fn for_each_claim(&self, call: &Call, args: &Args<'_>, mut visit: impl FnMut(u16, Claimed)) {
        let row = self.core.table.row(call.row);
        let is_write = row.is_write;
        let all = 0..self.core.server.shards;
        for word in row.keys.indices(args) {
            let key = Key::new(args.get(word));
            visit(self.core.owner(key.slot), Claimed::Key(Intent::new(key.hash, is_write)));
        }
        match row.spread {
            Spread::Gather(gather) if gather.reads_undeclared => {
                all.for_each(|shard| visit(shard, Claimed::Everything(is_write)));
            }
            Spread::Shards(Reach::Keyspace, _) => {
                all.for_each(|shard| visit(shard, Claimed::Everything(is_write)));
            }
            Spread::Shards(Reach::Settings, _) => all.for_each(|shard| visit(shard, Claimed::Key(SETTINGS))),
            Spread::Cursor => visit(self.cursor_owner(args), Claimed::Everything(is_write)),
            _ => {}
        }
    }

    /// The shards that a call concerns, each perhaps several times; for one that runs at home, none.
    pub fn for_each_shard(&self, call: &Call, args: &Args<'_>, mut visit: impl FnMut(u16)) {
        self.for_each_claim(call, args, |shard, _| visit(shard));
        if matches!(self.core.table.row(call.row).spread, Spread::Shards(Reach::Nothing, _)) {
            (0..self.core.server.shards).for_each(visit);
        }
    }
}

/// Something that a call touches on one shard.
#[derive(Clone, Copy)]
enum Claimed {
    Key(Intent),
    Everything(bool),
}

impl Claimed {
    fn add_to(self, claim: &mut Claim) {
        match self {
            Claimed::Key(intent) => claim.keys.push(intent),
            Claimed::Everything(is_write) => claim.claim_everything(is_write),
        }
    }
}

/// Where a reply of this shard goes: behind what other shards are still to answer, or straight to the client.
#[inline]
fn reply_buffer<'a>(flight: &'a mut Option<Box<Flight>>, out: &'a mut Vec<u8>) -> &'a mut Vec<u8> {
    match flight {
        Some(flight) => &mut flight.local,
        None => out,
    }
}

/// `CLIENT REPLY ON` is answered although replies were off when it came.
fn reply_turned_on(core: &Core, client: ClientRef) -> bool {
    core.server.sessions.get(client.index).is_some_and(|session| session.reply_mode == ReplyMode::On)
}
