//! From a client's bytes to commands on the right shards: parses batches, locates keys, runs what is local and packs the rest.
//! Decides per batch, works per command. Never runs a command itself (`execute`) and never waits for another shard (`flight`).

use crate::base::args::{Args, Span};
use crate::base::limits::{
    ANNOUNCED_BYTES_MAX, BATCH_SPANS_KEPT_MAX, BEHIND_CHECK_MS, BIG_ARGUMENT_BYTES, FLIGHT_CALLS_MAX,
    PREFETCH_BATCH, QUERY_BYTES_KEPT_MAX,
};
use crate::base::slot::Slot;
use crate::resp::parse::{Parser, ProtocolError, Step};
use crate::resp::write::Protocol;
use crate::shard::client::{Client, Closing};
use crate::shard::execute::{self, Core};
use crate::shard::flight::{self, Flight};
use crate::shard::mesh::{Call, Stage, words_of};
use crate::shard::router::Router;
use crate::shard::{ClientRef, Shard, blocked, waiters};
use crate::store::keyspace::Key;

/// Row index of a call that was refused before it had one.
pub(super) const REFUSED: u16 = u16::MAX;

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
    /// The command asked something of the shard, which is done before the next one runs.
    Asked,
    /// As `Held`, until the client has read.
    Output,
    /// The replies pass the hard limit.
    OverOutputLimit,
    /// What the client queued passes the limit of its input.
    OverQueryLimit,
    /// The client is on its way out; what is left of the input is dropped.
    Closing,
    /// The input is no RESP.
    Malformed(ProtocolError),
}

/// Runs what has arrived, and keeps what cannot run yet.
pub(super) fn receive(shard: &mut Shard, client: ClientRef, data: &mut [u8], now_ms: i64) {
    let is_ending = shard.is_ending;
    let Some(c) = shard.client_mut(client) else { return };
    if is_ending {
        return;
    }
    if c.query.is_empty() && !c.held.any() {
        let (used, stop) = process(shard, client, data, now_ms);
        keep(shard, client, &data[used..], stop);
        shard.touch(client.index);
        return;
    }
    c.query.extend_from_slice(data);
    if c.held.any() {
        check_query_limit(shard, client);
    } else {
        resume(shard, client, now_ms);
    }
    shard.touch(client.index);
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
    let Some(first) = core.table.row(row).keys.first(&args) else { return };
    let Some(session) = core.server.sessions.get(client.index) else { return };
    let key = Key::new(args.get(first));
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
    let is_ending = shard.is_ending;
    let Some(c) = shard.client_mut(client) else { return };
    if is_ending || c.query.is_empty() || c.held.any() || c.closing == Closing::Now {
        return;
    }
    let mut query = std::mem::take(&mut c.query);
    if shard.core.server.sessions.get(client.index).is_none_or(|session| session.is_closing) {
        // It ended its connection, or somebody did, while commands were under way.
        return;
    }
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
        Stop::Held | Stop::Asked | Stop::Output => c.query.extend_from_slice(rest),
        Stop::Closing | Stop::OverOutputLimit | Stop::OverQueryLimit => c.query = Vec::new(),
        Stop::Malformed(error) => {
            c.query = Vec::new();
            shard.refuse(client, &format!("ERR {error}"));
        }
    }
    shard.note_buffers(client);
}

fn check_query_limit(shard: &mut Shard, client: ClientRef) {
    let limit = shard.core.server.config.query_bytes_max;
    if shard.client(client).is_some_and(|c| c.query.len() > limit) {
        shard.disconnect_over_query_limit(client);
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
        flight::depart(shard, client, flight, now_ms);
    }
    match stop {
        Stop::Asked => shard.to_resume.push(client),
        Stop::Output => shard.hold_for_output(client, now_ms),
        Stop::OverOutputLimit => shard.disconnect_over_output_limit(client),
        Stop::OverQueryLimit => shard.disconnect_over_query_limit(client),
        _ => {}
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
    // A command of very many words is rare; its space is not kept for the others.
    batch.spans.shrink_to(BATCH_SPANS_KEPT_MAX);
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
        if let Some(first) = core.table.row(row).keys.first(&args) {
            let key = Key::new(args.get(first));
            call.slot = key.slot.index() as u16;
            call.hash = key.hash;
        }
    }
    if batch.calls.len() > 1 {
        let here = core.server.shard;
        // From the first one for another shard on, calls run later, and what they need is fetched then.
        let is_local = |call: &&Call| Slot::new(call.slot).is_none_or(|slot| core.owner(slot) == here);
        let local = batch.calls.iter().take_while(is_local).filter(|call| call.row != REFUSED);
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
    let mut router = Router::new(shard, client, flight, now_ms);
    for (n, call) in batch.calls.iter().enumerate() {
        let args = words_of(buffer, &batch.spans, call);
        if let Some(pause) = router.core.server.pause
            && pause.until_ms > now_ms
            && (!pause.writes_only || router.is_write(call))
        {
            let c = shard.client_mut(client).expect("commands do not remove clients");
            c.held.pause = true;
            shard.paused.push(client);
            return Err((n, Stop::Held));
        }
        if (router.must_wait_for_disk || router.core.is_save_behind())
            && router.is_write(call)
            && router.core.server.write_refusal().is_none()
        {
            let c = shard.client_mut(client).expect("commands do not remove clients");
            c.held.disk = true;
            shard.held_writers.push(client);
            shard.tick_within(now_ms, BEHIND_CHECK_MS);
            return Err((n, Stop::Held));
        }
        if router.flight.is_some() && router.needs_flight_of_its_own(call) {
            // What is under way comes back first.
            return Err((n, Stop::Held));
        }
        router.run(*call, &args);
        if let Some(blocked) = router.blocked.take() {
            blocked::enter(shard, client, blocked, now_ms);
            return Err((n + 1, Stop::Held));
        }
        if let Some(stop) = stop_after(&mut router) {
            return Err((n + 1, stop));
        }
        if router.core.keys.awaited().has_touched() {
            // Before the client's next command: that one must not find what belongs to those who wait.
            waiters::serve(shard, now_ms);
            router = Router::new(shard, client, flight, now_ms);
        }
    }
    shard.core.commit_if_large(now_ms);
    Ok(())
}

/// Whether no further command of the read may run now, and why.
#[inline]
fn stop_after(router: &mut Router<'_>) -> Option<Stop> {
    let waiting = router.reply_bytes();
    let config = &router.core.server.config;
    if router.is_over_limit || waiting > config.reply_bytes_max {
        return Some(Stop::OverOutputLimit);
    }
    if router.multi.bytes() > config.query_bytes_max {
        return Some(Stop::OverQueryLimit);
    }
    let must_read = waiting > config.reply_bytes_pause;
    if router.session().is_closing {
        return Some(Stop::Closing);
    }
    if must_read {
        return Some(Stop::Output);
    }
    let is_last = |flight: &Flight| flight.is_last || flight.ends_step || flight.calls >= FLIGHT_CALLS_MAX;
    if router.flight.as_deref().is_some_and(is_last) {
        return Some(Stop::Held);
    }
    (!router.core.server.requests.is_empty()).then_some(Stop::Asked)
}
