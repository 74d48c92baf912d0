//! From a client's bytes to commands on the right shards: parses batches, locates keys, runs what is local and packs the rest.
//! Decides per batch, works per command. Never runs a command itself (`execute`) and never waits for another shard (`flight`).

use crate::base::args::{Args, OwnedArgs, Span};
use crate::base::limits::{FLIGHT_CALLS_MAX, PREFETCH_BATCH};
use crate::base::slot::{Slot, key_slot};
use crate::commands::cx::Caller;
use crate::commands::error::CommandError;
use crate::commands::gather::Gather;
use crate::commands::merge::Merge;
use crate::commands::session::ReplyMode;
use crate::commands::table::{Command, Keys, Spread};
use crate::resp::parse::{Parser, ProtocolError, Step};
use crate::resp::write::{Protocol, Writer};
use crate::shard::client::{Client, Closing};
use crate::shard::execute::{self, Core};
use crate::shard::flight::{self, Flight, Gathering, Merged, Piece, packed};
use crate::shard::mesh::{Call, Calls, Stage, words_of};
use crate::shard::{ClientRef, Shard};
use crate::store::keyspace::Key;
use crate::store::scan::{cursor_slot, parse_cursor};

/// Row index of a call that was refused before it had one.
const REFUSED: u16 = u16::MAX;
/// An argument of which more than this is missing gets its whole space at once, when as much has arrived, bytes. A header alone
/// reserves nothing: even untouched, the space would cost a huge page, for thirty bytes of its sender's.
const BIG_ARGUMENT_BYTES: usize = 32 * 1024;
/// A read longer than this holds a pipeline, which has a prefetch of its own, bytes.
const ANNOUNCED_BYTES_MAX: usize = 512;
/// A query buffer larger than this is given back when it is empty, bytes.
const QUERY_BYTES_KEPT_MAX: usize = 64 * 1024;

/// A batch of parsed commands; used again and again.
#[derive(Default)]
pub(super) struct Batch {
    spans: Vec<Span>,
    calls: Vec<Call>,
    /// Where each command ends in the buffer.
    ends: Vec<usize>,
}

/// Why no further command of this read can run.
enum Stop {
    /// All complete commands have run; so many bytes of the next one are missing at least.
    Incomplete(usize),
    /// The client must wait; what is left of the input is kept.
    Held,
    /// The client is on its way out; what is left of the input is dropped.
    Closing,
    /// The input is no RESP.
    Malformed(ProtocolError),
}

/// Runs what has arrived, and keeps what cannot run yet.
pub(super) fn receive(shard: &mut Shard, client: ClientRef, data: &mut [u8], now_ms: i64) {
    let Some(c) = shard.client_mut(client) else { return };
    if c.query.is_empty() && !c.held.any() {
        let (used, stop) = process(shard, client, data, now_ms);
        keep(shard, client, &data[used..], stop);
        shard.touch(client.index);
        return;
    }
    c.query.extend_from_slice(data);
    if c.held.any() {
        check_query_limit(shard, client);
        shard.touch(client.index);
    } else {
        resume(shard, client, now_ms);
        shard.touch(client.index);
    }
}

/// Fetches the cells where the search for the first key of `data` will begin.
///
/// With one command a read, which is how most clients talk, a batch has nothing to overlap; but one turn serves many clients.
pub(super) fn announce(shard: &mut Shard, client: ClientRef, data: &mut [u8]) {
    let Some(c) = shard.client(client) else { return };
    // Parsing an inline command would unescape it in place; what waits already is not worth guessing at.
    if !c.query.is_empty() || c.held.any() || data.first() != Some(&b'*') || data.len() > ANNOUNCED_BYTES_MAX
    {
        return;
    }
    let core = &shard.core;
    let spans = &mut shard.batch.spans;
    spans.clear();
    let Ok(Step::Command) = Parser::default().step(data, core.server.config.bulk_bytes_max, spans) else {
        return;
    };
    if spans.is_empty() {
        return;
    }
    let args = Args::new(data, spans);
    let Ok(row) = core.table.resolve(&args) else { return };
    let Keys::At { first, .. } = core.table.row(row).keys else { return };
    let Some(session) = core.server.sessions.get(client.index) else { return };
    let key = Key::new(args.get(usize::from(first)));
    if core.owner(key.slot) == core.server.shard {
        core.keys.prefetch_table(session.db, &key);
        shard.announced.push((session.db, key.slot, key.hash));
    }
}

/// Fetches the entries that the announced keys will be found at.
pub(super) fn end_of_announcements(shard: &mut Shard) {
    for (db, slot, hash) in shard.announced.drain(..) {
        shard.core.keys.prefetch_entry(db, &Key { bytes: b"", slot, hash });
    }
}

/// Runs what is in the query buffer.
pub(super) fn resume(shard: &mut Shard, client: ClientRef, now_ms: i64) {
    let Some(c) = shard.client_mut(client) else { return };
    if c.query.is_empty() || c.held.any() || c.closing == Closing::Now {
        return;
    }
    let mut query = std::mem::take(&mut c.query);
    let (used, stop) = process(shard, client, &mut query, now_ms);
    let Some(c) = shard.client_mut(client) else { return };
    query.drain(..used);
    if !query.is_empty() || query.capacity() <= QUERY_BYTES_KEPT_MAX {
        c.query = query;
    }
    keep(shard, client, &[], stop);
}

/// Stores the unused end of the input and acts on why the batch stopped.
fn keep(shard: &mut Shard, client: ClientRef, rest: &[u8], stop: Stop) {
    let Some(c) = shard.client_mut(client) else { return };
    match stop {
        Stop::Incomplete(missing) => {
            let arrived = c.query.len() + rest.len();
            let is_big = missing > BIG_ARGUMENT_BYTES && arrived >= BIG_ARGUMENT_BYTES;
            if is_big && c.query.capacity() < arrived + missing {
                // Reserved, not touched: the pages come with the data.
                if c.query.try_reserve_exact(rest.len() + missing).is_err() {
                    return shard.refuse(client, "ERR out of memory for an argument of this size");
                }
            }
            c.query.extend_from_slice(rest);
            check_query_limit(shard, client);
        }
        Stop::Held => c.query.extend_from_slice(rest),
        Stop::Closing => c.query = Vec::new(),
        Stop::Malformed(error) => {
            c.query = Vec::new();
            shard.refuse(client, &format!("ERR {error}"));
        }
    }
    shard.note_buffers(client);
}

fn check_query_limit(shard: &mut Shard, client: ClientRef) {
    let limit = shard.core.server.config.query_bytes_max;
    if let Some(c) = shard.client_mut(client)
        && c.query.len() > limit
    {
        tracing::warn!(limit, "client's query buffer passes client-query-buffer-limit: disconnected");
        c.closing = Closing::Now;
        c.query = Vec::new();
        shard.core.server.stats.query_limit_disconnects += 1;
        shard.touch(client.index);
    }
}

/// Parses and runs the commands of `buffer`; returns how many bytes were used and why it stopped.
fn process(shard: &mut Shard, client: ClientRef, buffer: &mut [u8], now_ms: i64) -> (usize, Stop) {
    let mut batch = std::mem::take(&mut shard.batch);
    let mut flight = None;
    let (used, stop) = loop {
        let core = &mut shard.core;
        let c = shard.clients[client.index as usize].as_mut().expect("the caller found the client");
        let parsed = parse(core, c, &mut batch, buffer);
        let ran = if batch.calls.is_empty() {
            Ok(())
        } else {
            let db = core.server.sessions.get(client.index).map_or(0, |session| session.db);
            locate(core, buffer, &mut batch, db);
            run_batch(shard, client, &batch, buffer, &mut flight, now_ms)
        };
        let c = shard.clients[client.index as usize].as_mut().expect("commands do not remove clients");
        match ran {
            Err((done, stop)) => {
                // What was parsed and not run is parsed again when its time comes.
                c.parser.unread(buffer, batch.ends[done]);
                break (batch.ends[done], stop);
            }
            Ok(()) => match parsed {
                Ok(None) => {}
                Ok(Some(missing)) => break (c.parser.kept_from(), Stop::Incomplete(missing)),
                Err(error) => break (c.parser.kept_from(), Stop::Malformed(error)),
            },
        }
    };
    let c = shard.clients[client.index as usize].as_mut().expect("commands do not remove clients");
    c.parser.rebase(used);
    shard.batch = batch;
    if let Some(flight) = flight {
        flight::depart(shard, client, flight);
    }
    (used, stop)
}

/// Parses up to a batch of commands. `Ok(Some(n))`: the input ended, and `n` bytes are missing at least.
fn parse(
    core: &Core,
    c: &mut Client,
    batch: &mut Batch,
    buffer: &mut [u8],
) -> Result<Option<usize>, ProtocolError> {
    batch.spans.clear();
    batch.calls.clear();
    batch.ends.clear();
    // ends[n] is where call n begins, ends[n + 1] where it ends.
    batch.ends.push(c.parser.kept_from());
    while batch.calls.len() < PREFETCH_BATCH {
        let first = batch.spans.len();
        match c.parser.step(buffer, core.server.config.bulk_bytes_max, &mut batch.spans)? {
            Step::Incomplete { at_least } => return Ok(Some(at_least)),
            Step::Command => {
                let words = batch.spans.len() - first;
                if words == 0 {
                    // An empty line asks for nothing; it belongs to the command before it.
                    *batch.ends.last_mut().expect("there is a first") = c.parser.position();
                    continue;
                }
                batch.calls.push(Call {
                    row: REFUSED,
                    db: 0,
                    first: first as u32,
                    words: words as u32,
                    slot: u16::MAX,
                    stage: Stage::Run,
                    protocol: Protocol::Resp2,
                    no_touch: false,
                    hash: 0,
                });
                batch.ends.push(c.parser.position());
            }
        }
    }
    Ok(None)
}

/// Finds each call's row, slot and hash, and fetches what the local ones will touch.
fn locate(core: &Core, buffer: &[u8], batch: &mut Batch, db: u16) {
    // A pipeline mostly repeats its command, spelt the same: then the row is known.
    let mut previous: Option<(&[u8], u16)> = None;
    for call in &mut batch.calls {
        let args = words_of(buffer, &batch.spans, call);
        let row = match previous {
            Some((name, row)) if name == args.get(0) && core.table.row(row).accepts(args.len()) => row,
            _ => match core.table.resolve(&args) {
                Ok(row) => row,
                Err(_) => continue,
            },
        };
        // The row of a subcommand depends on a second word.
        let named_alone =
            core.table.row(row).name.len() == args.get(0).len() && !core.table.row(row).is_container;
        previous = named_alone.then(|| (args.get(0), row));
        call.row = row;
        call.db = db;
        if let Keys::At { first, .. } = core.table.row(row).keys {
            let key = Key::new(args.get(usize::from(first)));
            call.slot = key.slot.index() as u16;
            call.hash = key.hash;
        }
    }
    if batch.calls.len() > 1 {
        let here = core.server.shard;
        let local = batch.calls.iter().filter(|call| {
            call.row != REFUSED && Slot::new(call.slot).is_some_and(|slot| core.owner(slot) == here)
        });
        execute::prefetch(core, buffer, &batch.spans, local);
    }
}

/// Runs the calls of a batch in order; an error says which call could not run, and why.
fn run_batch(
    shard: &mut Shard,
    client: ClientRef,
    batch: &Batch,
    buffer: &[u8],
    flight: &mut Option<Box<Flight>>,
    now_ms: i64,
) -> Result<(), (usize, Stop)> {
    let Shard { core, clients, packing, spare_calls, paused, .. } = shard;
    let c = clients[client.index as usize].as_mut().expect("the caller found the client");
    let mut router = Router { core, client, packing, spare_calls, flight, out: &mut c.out, now_ms };
    for (n, call) in batch.calls.iter().enumerate() {
        let args = words_of(buffer, &batch.spans, call);
        if let Some(pause) = router.core.server.pause
            && pause.until_ms > now_ms
            && (!pause.writes_only || (call.row != REFUSED && router.core.table.row(call.row).is_write()))
        {
            c.held.pause = true;
            paused.push(client);
            return Err((n, Stop::Held));
        }
        router.run(*call, &args);
        let is_closing =
            router.core.server.sessions.get(client.index).is_none_or(|session| session.is_closing);
        let waiting =
            router.out.len() + c.unsent + router.flight.as_ref().map_or(0, |flight| flight.local.len());
        if is_closing {
            return Err((n + 1, Stop::Closing));
        }
        if waiting > router.core.server.config.reply_bytes_pause {
            if waiting > router.core.server.config.reply_bytes_max {
                tracing::warn!("client's replies pass client-output-buffer-limit normal: disconnected");
                router.core.server.stats.output_limit_disconnects += 1;
                c.closing = Closing::Now;
                return Err((n + 1, Stop::Closing));
            }
            c.held.output = true;
            c.progress_ms = now_ms;
            shard.next_tick_ms = shard.next_tick_ms.min(now_ms + 1000);
            return Err((n + 1, Stop::Held));
        }
        if router.flight.as_ref().is_some_and(|f| f.gathering.is_some() || f.calls >= FLIGHT_CALLS_MAX) {
            return Err((n + 1, Stop::Held));
        }
    }
    Ok(())
}

/// Sends each command where it belongs.
struct Router<'a> {
    core: &'a mut Core,
    client: ClientRef,
    packing: &'a mut Vec<Option<Box<Calls>>>,
    spare_calls: &'a mut Vec<Box<Calls>>,
    flight: &'a mut Option<Box<Flight>>,
    out: &'a mut Vec<u8>,
    now_ms: i64,
}

impl Router<'_> {
    fn run(&mut self, mut call: Call, args: &Args<'_>) {
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
        let row = *self.core.table.row(call.row);
        let first_owner = Slot::new(call.slot).map(|slot| self.core.owner(slot));
        match row.spread {
            Spread::Home => self.here(&call, args, is_wanted),
            Spread::Key => self.at(first_owner.expect("the row has a key"), &call, args, is_wanted),
            Spread::Keys(merge) => match self.common_owner(&row, args, first_owner) {
                Some(owner) => self.at(owner, &call, args, is_wanted),
                None => self.spread_keys(&row, call, args, merge, is_wanted),
            },
            Spread::Gather(gather) => match self.common_owner(&row, args, first_owner) {
                Some(owner) => self.at(owner, &call, args, is_wanted),
                None => self.gather(&row, call, args, gather, is_wanted),
            },
            Spread::Shards(merge) => self.spread_shards(call, args, merge, is_wanted),
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
        let out = match self.flight {
            Some(flight) => &mut flight.local,
            None => &mut *self.out,
        };
        let before = out.len();
        execute::run(self.core, call, args, out, caller, self.now_ms);
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
            let out = match self.flight {
                Some(flight) => &mut flight.local,
                None => &mut *self.out,
            };
            Writer::new(out, call.protocol).error(&text);
        }
    }

    /// The shard that owns all keys of a call; nothing if they are spread.
    fn common_owner(&self, row: &Command, args: &Args<'_>, first: Option<u16>) -> Option<u16> {
        let first = first.expect("the row has a key");
        if self.core.server.shards == 1 {
            return Some(first);
        }
        let mut others = row.keys.indices(args.len()).skip(1);
        others.all(|i| self.core.owner(key_slot(args.get(i))) == first).then_some(first)
    }

    /// Every shard runs the command on the key groups it owns.
    fn spread_keys(&mut self, row: &Command, call: Call, args: &Args<'_>, merge: Merge, is_wanted: bool) {
        let Keys::At { first, step, .. } = row.keys else { unreachable!("the row has keys") };
        if !(args.len() - usize::from(first)).is_multiple_of(usize::from(step)) {
            // A key without its value: the command's own check finds the words.
            return self.here(&call, args, is_wanted);
        }
        let here = self.core.server.shard;
        let mut targets: Vec<u16> = Vec::new();
        let mut order = Vec::new();
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for key in row.keys.indices(args.len()) {
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
                execute::run(self.core, &call, &owned.args(), &mut reply, caller, self.now_ms);
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
        self.push_merged(call, args, merge, is_wanted, local, targets, order);
    }

    /// Every shard runs the command.
    fn spread_shards(&mut self, call: Call, args: &Args<'_>, merge: Merge, is_wanted: bool) {
        let here = self.core.server.shard;
        let mut reply = Vec::new();
        let caller = self.caller(&call);
        execute::run(self.core, &call, args, &mut reply, caller, self.now_ms);
        let targets: Vec<u16> = (0..self.core.server.shards).filter(|&shard| shard != here).collect();
        for &target in &targets {
            self.pack(target, call, args.iter_from(0));
        }
        self.push_merged(call, args, merge, is_wanted, Some(reply), targets, Vec::new());
    }

    #[allow(clippy::too_many_arguments)] // The fields of a `Merged`.
    fn push_merged(
        &mut self,
        call: Call,
        args: &Args<'_>,
        merge: Merge,
        is_wanted: bool,
        local: Option<Vec<u8>>,
        targets: Vec<u16>,
        order: Vec<u16>,
    ) {
        let args = OwnedArgs::new(args.iter_from(0));
        let seed = self.core.server.rng.next_u64();
        let merged = Merged { args, merge, protocol: call.protocol, is_wanted, local, targets, order, seed };
        if merged.targets.is_empty() {
            let out = match self.flight {
                Some(flight) => &mut flight.local,
                None => &mut *self.out,
            };
            let before = out.len();
            flight::write_merged(&merged, &mut [], out);
            if !is_wanted {
                out.truncate(before);
            }
            return;
        }
        self.flight().push(Piece::Merged(Box::new(merged)));
    }

    /// Reads all keys; the decision follows when the flight has come back.
    fn gather(
        &mut self,
        row: &Command,
        call: Call,
        args: &Args<'_>,
        gather: &'static Gather,
        is_wanted: bool,
    ) {
        let here = self.core.server.shard;
        let mut keys = Vec::new();
        for word in row.keys.indices(args.len()) {
            let key = Key::new(args.get(word));
            let owner = self.core.owner(key.slot);
            let part = if owner == here {
                // The slot and hash in a call are those of its first key word alone.
                let call = Call { slot: u16::MAX, ..call };
                Some(execute::read_part(self.core, &call, args, word, self.now_ms))
            } else {
                let call = Call { stage: Stage::Read(word as u32), slot: u16::MAX, ..call };
                self.pack_read(owner, call, args);
                None
            };
            keys.push((owner, part));
        }
        let gathering =
            Gathering { call, args: OwnedArgs::new(args.iter_from(0)), gather, is_wanted, keys, reply: None };
        self.flight().gathering = Some(Box::new(gathering));
    }

    fn pack<'w>(&mut self, target: u16, call: Call, words: impl Iterator<Item = &'w [u8]>) {
        packed(self.packing, self.spare_calls, target).push(call, words);
        self.flight().calls += 1;
    }

    /// Packs the reading of one key. All keys of a command that one shard reads share one copy of its words.
    fn pack_read(&mut self, target: u16, call: Call, args: &Args<'_>) {
        let calls = packed(self.packing, self.spare_calls, target);
        match calls.calls.last() {
            Some(&Call { stage: Stage::Read(_), first, words, .. }) => {
                calls.calls.push(Call { first, words, ..call })
            }
            _ => calls.push(call, args.iter_from(0)),
        }
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

/// `CLIENT REPLY ON` is answered although replies were off when it came.
fn reply_turned_on(core: &Core, client: ClientRef) -> bool {
    core.server.sessions.get(client.index).is_some_and(|session| session.reply_mode == ReplyMode::On)
}

/// The slot that a `SCAN` cursor has reached; nothing for a word that is no cursor, which the command refuses.
fn args_cursor(args: &Args<'_>) -> Option<Slot> {
    cursor_slot(parse_cursor(args.get(1))?)
}
