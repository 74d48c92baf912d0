//! Sends each command of a client where it belongs: runs it here, packs it for another shard, or spreads it over several.
//! Works on one call at a time; batches, waiting and what follows a flight are others' business (`route`, `flight`).

use crate::base::args::{Args, OwnedArgs};
use crate::base::slot::{Slot, key_slot};
use crate::commands::cx::Caller;
use crate::commands::error::CommandError;
use crate::commands::gather::Gather;
use crate::commands::merge::Merge;
use crate::commands::session::ReplyMode;
use crate::commands::table::{Command, Keys, Spread};
use crate::resp::write::Writer;
use crate::shard::ClientRef;
use crate::shard::execute::{self, Core};
use crate::shard::flight::{self, Flight, Gathering, Merged, Piece, packed};
use crate::shard::mesh::{Call, Calls, Stage};
use crate::shard::route::REFUSED;
use crate::store::keyspace::Key;
use crate::store::scan::{cursor_slot, parse_cursor};

/// Sends each command where it belongs.
pub(super) struct Router<'a> {
    pub core: &'a mut Core,
    pub client: ClientRef,
    pub packing: &'a mut Vec<Option<Box<Calls>>>,
    pub spare_calls: &'a mut Vec<Box<Calls>>,
    pub flight: &'a mut Option<Box<Flight>>,
    pub out: &'a mut Vec<u8>,
    pub now_ms: i64,
    /// A reply has passed the hard limit: the client must go.
    pub is_over_limit: bool,
}

impl Router<'_> {
    /// Runs or sends one call.
    pub fn run(&mut self, mut call: Call, args: &Args<'_>) {
        let server = &mut self.core.server;
        let session = server.sessions.get_mut(self.client.index).expect("a client has a session");
        call.db = session.db;
        call.protocol = session.protocol;
        call.no_touch = session.no_touch;
        session.active_ms = self.now_ms;
        let mode = session.reply_mode;
        if mode == ReplyMode::SkipNext {
            session.reply_mode = ReplyMode::Skip;
        }
        let is_wanted = mode == ReplyMode::On;
        if call.row == REFUSED {
            self.refuse(&call, args, is_wanted);
        } else {
            session.last_command = Some(call.row);
            // Counted here, where a command is one, not where its parts run.
            server.stats.commands += 1;
            server.stats.per_command[usize::from(call.row)].calls += 1;
            self.dispatch(call, args, is_wanted);
        }
        if mode == ReplyMode::SkipNext {
            let session =
                self.core.server.sessions.get_mut(self.client.index).expect("a client has a session");
            if session.reply_mode == ReplyMode::Skip {
                session.reply_mode = ReplyMode::On;
            }
        }
    }

    fn dispatch(&mut self, call: Call, args: &Args<'_>, is_wanted: bool) {
        let &Command { spread, keys, .. } = self.core.table.row(call.row);
        let first_owner = Slot::new(call.slot).map(|slot| self.core.owner(slot));
        match spread {
            Spread::Home => self.here(&call, args, is_wanted),
            Spread::Key => self.at(first_owner.expect("the row has a key"), &call, args, is_wanted),
            Spread::Keys(merge) => match self.common_owner(keys, args, first_owner) {
                Some(owner) => self.at(owner, &call, args, is_wanted),
                None => self.spread_keys(keys, call, args, merge, is_wanted),
            },
            Spread::Gather(gather) => match self.common_owner(keys, args, first_owner) {
                Some(owner) => self.at(owner, &call, args, is_wanted),
                None => self.gather(keys, call, args, gather, is_wanted),
            },
            Spread::Shards(merge) => self.spread_shards(call, args, merge, is_wanted),
            Spread::Ordered(merge) => self.spread_in_order(call, args, merge, is_wanted),
            Spread::Cursor => {
                let owner = args_cursor(args).map_or(self.core.server.shard, |slot| self.core.owner(slot));
                self.at(owner, &call, args, is_wanted);
            }
        }
    }

    /// Runs a call whose keys are all on one shard.
    #[inline]
    fn at(&mut self, owner: u16, call: &Call, args: &Args<'_>, is_wanted: bool) {
        if owner == self.core.server.shard {
            return self.here(call, args, is_wanted);
        }
        self.pack(owner, *call, args.iter_from(0));
        self.flight().push(if is_wanted { Piece::Remote(owner) } else { Piece::Unwanted(owner) });
    }

    #[inline]
    fn here(&mut self, call: &Call, args: &Args<'_>, is_wanted: bool) {
        let caller = self.caller(call);
        let out = reply_buffer(self.flight, self.out);
        let before = out.len();
        self.is_over_limit |= !execute::run(self.core, call, args, out, caller, self.now_ms);
        if !is_wanted && !reply_turned_on(self.core, self.client) {
            out.truncate(before);
        }
    }

    fn refuse(&mut self, call: &Call, args: &Args<'_>, is_wanted: bool) {
        let Err(error) = self.core.table.resolve(args) else { unreachable!("the call was refused before") };
        let text = error.to_string();
        let stats = &mut self.core.server.stats;
        stats.count_error(&text);
        // A name that is no command, or no subcommand, belongs to no row.
        if let CommandError::Arity(name) = &error
            && let Some(row) = self.core.table.find(name.as_bytes())
        {
            stats.per_command[usize::from(row)].rejected += 1;
        }
        if is_wanted {
            let out = reply_buffer(self.flight, self.out);
            Writer::new(out, call.protocol).error(&text);
        }
    }

    /// The shard that owns all keys of a call; nothing if they are spread.
    fn common_owner(&self, keys: Keys, args: &Args<'_>, first: Option<u16>) -> Option<u16> {
        let first = first.expect("the row has a key");
        if self.core.server.shards == 1 {
            return Some(first);
        }
        let mut others = keys.indices(args.len()).skip(1);
        others.all(|i| self.core.owner(key_slot(args.get(i))) == first).then_some(first)
    }

    /// Every shard runs the command on the key groups it owns.
    fn spread_keys(&mut self, keys: Keys, call: Call, args: &Args<'_>, merge: Merge, is_wanted: bool) {
        let Keys::At { first, step, .. } = keys else { unreachable!("the row has keys") };
        if !(args.len() - usize::from(first)).is_multiple_of(usize::from(step)) {
            // A key without its value: the command's own check finds the words.
            return self.here(&call, args, is_wanted);
        }
        let here = self.core.server.shard;
        let mut targets: Vec<u16> = Vec::new();
        let mut order = Vec::new();
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for key in keys.indices(args.len()) {
            let owner = self.core.owner(key_slot(args.get(key)));
            let part = targets.iter().position(|&target| target == owner).unwrap_or_else(|| {
                // This shard's part comes first, where `Parts` wants it.
                targets.push(owner);
                groups.push(Vec::new());
                targets.len() - 1
            });
            groups[part].push(key);
            order.push(part as u16);
        }
        let local_part = targets.iter().position(|&target| target == here);
        let words = |group: &[usize]| {
            let mut words = vec![args.get(0)];
            words.extend(group.iter().flat_map(|&key| (key..key + usize::from(step)).map(|i| args.get(i))));
            words
        };
        let mut local = None;
        for (part, &target) in targets.iter().enumerate() {
            let words = words(&groups[part]);
            let key = Key::new(words[usize::from(first)]);
            let call = Call { slot: key.slot.index() as u16, hash: key.hash, ..call };
            if target == here {
                let owned = OwnedArgs::new(words);
                let mut reply = Vec::new();
                let caller = self.caller(&call);
                let fits = execute::run(self.core, &call, &owned.args(), &mut reply, caller, self.now_ms);
                self.is_over_limit |= !fits;
                local = Some(reply);
            } else {
                self.pack(target, call, words.into_iter());
            }
        }
        // `Parts` has this shard's reply first, so parts before it move up by one.
        if let Some(at) = local_part {
            let at = at as u16;
            for part in &mut order {
                *part = if *part == at { 0 } else { *part + u16::from(*part < at) };
            }
            targets.remove(usize::from(at));
        }
        // The words are with the parts; merging by keys needs none.
        self.push_merged(call, OwnedArgs::default(), merge, is_wanted, local, targets, order);
    }

    /// Every shard runs the command.
    fn spread_shards(&mut self, call: Call, args: &Args<'_>, merge: Merge, is_wanted: bool) {
        let here = self.core.server.shard;
        let mut reply = Vec::new();
        let caller = self.caller(&call);
        self.is_over_limit |= !execute::run(self.core, &call, args, &mut reply, caller, self.now_ms);
        let targets: Vec<u16> = (0..self.core.server.shards).filter(|&shard| shard != here).collect();
        for &target in &targets {
            self.pack(target, call, args.iter_from(0));
        }
        let args = OwnedArgs::new(args.iter_from(0));
        self.push_merged(call, args, merge, is_wanted, Some(reply), targets, Vec::new());
    }

    /// Every shard runs the command, in the order in which the first shard ran it and others of its kind: the first shard sends it
    /// on to the others, and what it sends to one of them arrives there in order.
    fn spread_in_order(&mut self, call: Call, args: &Args<'_>, merge: Merge, is_wanted: bool) {
        let (shard, shards) = (self.core.server.shard, self.core.server.shards);
        if shard == 0 {
            self.spread_shards(call, args, merge, is_wanted);
        } else {
            self.pack(0, Call { stage: Stage::FanOut, ..call }, args.iter_from(0));
            let args = OwnedArgs::new(args.iter_from(0));
            self.push_merged(call, args, merge, is_wanted, None, (0..shards).collect(), Vec::new());
            self.flight().fanned_out = usize::from(shards) - 1;
        }
        if let Some(flight) = self.flight {
            flight.is_alone = true;
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
            self.is_over_limit |= !flight::write_merged(&merged, &mut [], out, limit);
            if !is_wanted {
                out.truncate(before);
            }
            return;
        }
        self.flight().push(Piece::Merged(Box::new(merged)));
    }

    /// Reads all keys; the decision follows when the flight has come back.
    fn gather(&mut self, keys: Keys, call: Call, args: &Args<'_>, gather: &'static Gather, is_wanted: bool) {
        let here = self.core.server.shard;
        let mut parts = Vec::new();
        for word in keys.indices(args.len()) {
            let key = Key::new(args.get(word));
            let owner = self.core.owner(key.slot);
            let part = if owner == here {
                // The slot and hash in a call are those of its first key word alone.
                let call = Call { slot: u16::MAX, ..call };
                Some(execute::read_part(self.core, &call, args, word, self.now_ms))
            } else {
                if gather.reads_key_alone {
                    let call = Call { stage: Stage::Read(1), slot: u16::MAX, ..call };
                    self.pack(owner, call, [args.get(0), args.get(word)].into_iter());
                } else {
                    let call = Call { stage: Stage::Read(word as u32), slot: u16::MAX, ..call };
                    self.pack(owner, call, args.iter_from(0));
                }
                None
            };
            parts.push((owner, part));
        }
        let gathering = Gathering {
            call,
            args: OwnedArgs::new(args.iter_from(0)),
            gather,
            is_wanted,
            keys: parts,
            reply: None,
        };
        self.flight().gathering = Some(Box::new(gathering));
    }

    fn pack<'w>(&mut self, target: u16, call: Call, words: impl Iterator<Item = &'w [u8]>) {
        packed(self.packing, self.spare_calls, target).push(call, words);
        self.flight().calls += 1;
    }

    /// The flight of this read, begun if need be.
    fn flight(&mut self) -> &mut Flight {
        self.flight.get_or_insert_default()
    }

    fn caller(&self, call: &Call) -> Caller {
        let id = self.core.server.sessions.get(self.client.index).map_or(0, |session| session.id);
        Caller { id, session: Some(self.client.index), no_touch: call.no_touch }
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

/// The slot that a `SCAN` cursor has reached; nothing for a word that is no cursor, which the command refuses.
fn args_cursor(args: &Args<'_>) -> Option<Slot> {
    cursor_slot(parse_cursor(args.get(1))?)
}
