//! Commands of one read that are under way on other shards: what was sent, what came back, and the replies in the order of the
//! commands. A client has at most one flight; its next read waits for it, which bounds memory and keeps commands in order.
//!
//! A gathering command (`commands::gather`) is the last of its flight: its parts are read with the flight's other calls, the
//! decision is made when all have arrived, and the changes are a second hop.

use crate::base::args::OwnedArgs;
use crate::base::limits::{SPARE_CALLS_BYTES_MAX, SPARE_CALLS_MAX};
use crate::commands::gather::{Decision, Gather, Part, Write};
use crate::commands::merge::{Merge, Parts};
use crate::metrics::Stats;
use crate::resp::read::is_error;
use crate::resp::write::{Protocol, Writer};
use crate::shard::client::{Client, Closing};
use crate::shard::execute;
use crate::shard::mesh::{Call, Calls, Message, Stage};
use crate::shard::{ClientRef, Shard};
use crate::store::keyspace::Key;

/// One reply, or run of replies, in the order of the commands.
pub(super) enum Piece {
    /// Replies of this shard, up to this length of `Flight::local`.
    Local(usize),
    /// The next reply of a shard.
    Remote(u16),
    /// The next reply of a shard, which the client does not want (`CLIENT REPLY`).
    Unwanted(u16),
    /// The next replies of several shards, merged.
    Merged(Box<Merged>),
}

/// A command that several shards ran.
pub(super) struct Merged {
    pub args: OwnedArgs,
    pub merge: Merge,
    pub protocol: Protocol,
    pub is_wanted: bool,
    /// This shard's reply, if it took part.
    pub local: Option<Vec<u8>>,
    /// The other shards that took part.
    pub targets: Vec<u16>,
    /// As `Parts::order`.
    pub order: Vec<u16>,
    /// As `Parts::seed`.
    pub seed: u64,
}

/// A gathering command over several shards.
pub(super) struct Gathering {
    pub call: Call,
    pub args: OwnedArgs,
    pub gather: &'static Gather,
    pub is_wanted: bool,
    /// For each key word: the part, if it was read here, and the shard that reads it.
    pub keys: Vec<(u16, Option<Part>)>,
    /// Set once the decision is made.
    pub reply: Option<Vec<u8>>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Flight {
    pub pieces: Vec<Piece>,
    /// Replies of this shard since the first call left it.
    pub local: Vec<u8>,
    /// How much of `local` the pieces cover.
    pub covered: usize,
    /// Calls sent, of all targets.
    pub calls: usize,
    /// Messages that the first shard sends in our name (`Stage::FanOut`).
    pub fanned_out: usize,
    /// No other command may be in this flight: its targets answer in an order of their own.
    pub is_alone: bool,
    /// Messages that have not come back.
    waiting: usize,
    arrived: Vec<Box<Calls>>,
    /// Pieces written to the client.
    written: usize,
    /// Bytes of `local` written to the client.
    written_local: usize,
    pub gathering: Option<Box<Gathering>>,
}

impl Flight {
    /// Adds a piece, after the local replies written so far.
    pub fn push(&mut self, piece: Piece) {
        self.cover_local();
        self.pieces.push(piece);
    }

    /// Appends a reply of this shard behind everything that is under way.
    pub fn append(&mut self, reply: &[u8]) {
        assert!(self.gathering.is_none(), "a gathering command's reply is the last of its flight");
        self.local.extend_from_slice(reply);
        self.cover_local();
    }

    fn cover_local(&mut self) {
        if self.local.len() > self.covered {
            self.covered = self.local.len();
            self.pieces.push(Piece::Local(self.covered));
        }
    }
}

/// Sends what was packed for other shards, and holds the client until all of it has come back.
pub(super) fn depart(shard: &mut Shard, client: ClientRef, mut flight: Box<Flight>) {
    flight.cover_local();
    flight.waiting = send_packed(shard, client) + flight.fanned_out;
    assert!(flight.waiting > 0, "a flight begins with a packed call");
    let Some(c) = shard.client_mut(client) else { return };
    c.flight = Some(flight);
    c.held.flight = true;
}

/// Moves all packed calls to the outbox and returns how many messages they are.
fn send_packed(shard: &mut Shard, client: ClientRef) -> usize {
    let client_id = shard.core.server.sessions.get(client.index).map_or(0, |session| session.id);
    let home = shard.core.server.shard;
    let mut sent = 0;
    for target in 0..shard.packing.len() {
        if let Some(mut calls) = shard.packing[target].take() {
            calls.address(home, target as u16, Some(client), client_id);
            shard.outbox.push_back((target as u16, Message::Calls(calls)));
            shard.core.server.stats.mesh_messages += 1;
            sent += 1;
        }
    }
    sent
}

/// Replies have come back.
pub(super) fn arrive(shard: &mut Shard, calls: Box<Calls>, now_ms: i64) {
    let client = calls.client.expect("calls travel in a client's name");
    let Some(flight) = shard.client_mut(client).and_then(|c| c.flight.as_mut()) else {
        // The client has gone meanwhile.
        return recycle(shard, calls);
    };
    flight.waiting -= 1;
    flight.arrived.push(calls);
    if flight.waiting == 0 {
        advance(shard, client, now_ms);
    }
}

/// All messages of a hop have come back: decides and sends the next hop, or writes the replies.
fn advance(shard: &mut Shard, client: ClientRef, now_ms: i64) {
    let Some(mut flight) = shard.client_mut(client).and_then(|c| c.flight.take()) else { return };
    // A target that stopped at a reply limit has not read its parts.
    let is_complete = flight.arrived.iter().all(|calls| calls.is_done() && !calls.is_over_limit);
    if let Some(gathering) = &mut flight.gathering
        && gathering.reply.is_none()
        && is_complete
    {
        let bulk_bytes_max = shard.core.server.config.bulk_bytes_max;
        let decision = Decision { db: gathering.call.db, now_ms, bulk_bytes_max };
        let writes = decide(gathering, &mut flight.arrived, decision, &mut shard.core.server.stats);
        let call = gathering.call;
        for write in writes {
            let owner = shard.core.owner(Key::new(&write.key).slot);
            if owner == shard.core.server.shard {
                execute::apply(&mut shard.core, &call, &write, now_ms);
            } else {
                pack_write(shard, owner, call, write);
            }
        }
        flight.waiting = send_packed(shard, client);
        if flight.waiting > 0 {
            if let Some(c) = shard.client_mut(client) {
                c.flight = Some(flight);
            }
            return;
        }
    }
    deliver(shard, client, flight, now_ms);
}

fn pack_write(shard: &mut Shard, owner: u16, call: Call, write: Write) {
    let calls = packed(&mut shard.packing, &mut shard.spare_calls, owner);
    let stage = Stage::Apply(calls.writes.len() as u32);
    calls.writes.push(write);
    calls.push(Call { stage, slot: u16::MAX, ..call }, std::iter::empty());
}

/// The object in which calls for `target` are being packed.
pub(super) fn packed<'a>(
    packing: &'a mut [Option<Box<Calls>>],
    spare: &mut Vec<Box<Calls>>,
    target: u16,
) -> &'a mut Calls {
    packing[usize::from(target)].get_or_insert_with(|| spare.pop().unwrap_or_default())
}

/// Puts the parts in order and makes the decision.
fn decide(
    gathering: &mut Gathering,
    arrived: &mut [Box<Calls>],
    decision: Decision,
    stats: &mut Stats,
) -> Vec<Write> {
    let mut parts = Vec::with_capacity(gathering.keys.len());
    for calls in &mut *arrived {
        calls.parts.reverse();
    }
    for (owner, local) in &mut gathering.keys {
        parts.push(match local.take() {
            Some(part) => part,
            None => {
                let calls =
                    arrived.iter_mut().find(|calls| calls.target == *owner).expect("the owner has answered");
                // In the order of the key words: every call of stage `Read` in this flight is this command's.
                calls.parts.pop().expect("a part for each key word")
            }
        });
    }
    let mut reply = Vec::new();
    let mut writer = Writer::new(&mut reply, gathering.call.protocol);
    let writes = (gathering.gather.decide)(decision, &gathering.args.args(), parts, &mut writer)
        .unwrap_or_else(|error| {
            writer.truncate(0);
            let text = error.to_string();
            stats.count_failure(gathering.call.row, &text);
            writer.error(&text);
            Vec::new()
        });
    gathering.reply = Some(reply);
    writes
}

/// How far the replies of a flight could be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    /// All of them.
    All,
    /// Up to the soft limit, or up to a call that its target has not run: the client must read first.
    Part,
    /// The client cannot be answered within its hard limit.
    OverLimit,
}

/// Writes the replies in order, as far as they may go, and then lets the client go on.
fn deliver(shard: &mut Shard, client: ClientRef, mut flight: Box<Flight>, now_ms: i64) {
    for calls in flight.arrived.drain(..) {
        // A gathering command's second hop answers with a second object of the same target, which has no replies.
        let place = &mut shard.packing[usize::from(calls.target)];
        if place.is_none() || calls.has_reply() || calls.is_over_limit {
            *place = Some(calls);
        }
    }
    let (pause, limit) =
        (shard.core.server.config.reply_bytes_pause, shard.core.server.config.reply_bytes_max);
    let written = match &mut shard.clients[client.index as usize] {
        Some(c) if c.generation == client.generation && c.closing != Closing::Now => {
            write_pieces(c, &mut flight, &mut shard.packing, pause, limit)
        }
        // Gone or going: nobody wants the replies.
        _ => Written::All,
    };
    if written == Written::Part {
        flight.arrived.extend(shard.packing.iter_mut().filter_map(Option::take));
        let Some(c) = shard.client_mut(client) else { return };
        c.flight = Some(flight);
        c.held.output = c.reply_bytes() > pause / 2;
        c.progress_ms = now_ms;
        let must_read = c.held.output;
        shard.touch(client.index);
        if must_read {
            shard.tick_within(now_ms, 1000);
        } else {
            // What was skipped was unwanted: nothing waits to be read.
            proceed(shard, client, now_ms);
        }
        return;
    }
    for place in 0..shard.packing.len() {
        if let Some(calls) = shard.packing[place].take() {
            recycle(shard, calls);
        }
    }
    if written == Written::OverLimit {
        shard.core.server.stats.output_limit_disconnects += 1;
        tracing::warn!("client's replies pass client-output-buffer-limit normal: disconnected");
    }
    if let Some(c) = shard.client_mut(client) {
        c.held.flight = false;
        if written == Written::OverLimit {
            c.closing = Closing::Now;
        }
        // What came from other shards counts as what was made here.
        if c.reply_bytes() > pause {
            c.held.output = true;
            c.progress_ms = now_ms;
            shard.tick_within(now_ms, 1000);
        }
    }
    shard.resume(client, now_ms);
}

/// Goes on with a flight that stopped because its client had to read: targets whose replies are used up run the calls that are
/// left.
pub(super) fn proceed(shard: &mut Shard, client: ClientRef, now_ms: i64) {
    let Some(c) = shard.client_mut(client) else { return };
    if c.held.output || c.flight.as_ref().is_none_or(|flight| flight.waiting > 0) {
        return;
    }
    let Some(mut flight) = c.flight.take() else { return };
    for mut calls in std::mem::take(&mut flight.arrived) {
        if calls.is_done() || calls.has_reply() {
            flight.arrived.push(calls);
        } else {
            calls.forget_replies();
            let target = usize::from(calls.target);
            shard.packing[target] = Some(calls);
        }
    }
    flight.waiting = send_packed(shard, client);
    if flight.waiting == 0 {
        return deliver(shard, client, flight, now_ms);
    }
    if let Some(c) = shard.client_mut(client) {
        c.flight = Some(flight);
    }
}

/// Writes what the pieces of a flight reply, from where the last call of this function stopped.
fn write_pieces(
    c: &mut Client,
    flight: &mut Flight,
    arrived: &mut [Option<Box<Calls>>],
    pause: usize,
    limit: usize,
) -> Written {
    if arrived.iter().flatten().any(|calls| calls.is_over_limit) {
        return Written::OverLimit;
    }
    while let Some(piece) = flight.pieces.get(flight.written) {
        let has_reply =
            |target: &u16| arrived[usize::from(*target)].as_ref().is_some_and(|calls| calls.has_reply());
        let is_there = match piece {
            Piece::Local(_) => true,
            Piece::Remote(target) | Piece::Unwanted(target) => has_reply(target),
            Piece::Merged(merged) => merged.targets.iter().all(has_reply),
        };
        if !is_there || c.reply_bytes() > pause {
            return Written::Part;
        }
        match piece {
            Piece::Local(to) => {
                c.out.extend_from_slice(&flight.local[flight.written_local..*to]);
                flight.written_local = *to;
            }
            Piece::Remote(target) => c.out.extend_from_slice(next_reply(arrived, *target)),
            Piece::Unwanted(target) => {
                next_reply(arrived, *target);
            }
            Piece::Merged(merged) => {
                let before = c.out.len();
                if !write_merged(merged, arrived, &mut c.out, limit) {
                    return Written::OverLimit;
                }
                if !merged.is_wanted {
                    c.out.truncate(before);
                }
            }
        }
        flight.written += 1;
        if c.reply_bytes() > limit {
            return Written::OverLimit;
        }
    }
    if let Some(gathering) = &flight.gathering {
        let Some(reply) = &gathering.reply else {
            // Some target has not read its parts yet.
            return Written::Part;
        };
        if gathering.is_wanted {
            c.out.extend_from_slice(reply);
        }
    }
    if c.reply_bytes() > limit { Written::OverLimit } else { Written::All }
}

fn next_reply(arrived: &mut [Option<Box<Calls>>], target: u16) -> &[u8] {
    arrived[usize::from(target)].as_mut().expect("every target has answered").next_reply()
}

/// Merges one command's parts. The first error among them is the whole reply. Whether it stays within `limit`.
pub(super) fn write_merged(
    merged: &Merged,
    arrived: &mut [Option<Box<Calls>>],
    out: &mut Vec<u8>,
    limit: usize,
) -> bool {
    // A part's place is its target's next reply; taken one by one, since each advances its own object.
    let remote: Vec<Vec<u8>> =
        merged.targets.iter().map(|&target| next_reply(arrived, target).to_vec()).collect();
    let replies: Vec<&[u8]> =
        merged.local.iter().map(Vec::as_slice).chain(remote.iter().map(Vec::as_slice)).collect();
    let mut writer = Writer::new(out, merged.protocol).bounded(limit);
    match replies.iter().find(|reply| is_error(reply)) {
        Some(error) => writer.raw(error),
        None => (merged.merge)(
            &Parts { args: merged.args.args(), replies: &replies, order: &merged.order, seed: merged.seed },
            &mut writer,
        ),
    }
    !writer.is_over()
}

fn recycle(shard: &mut Shard, mut calls: Box<Calls>) {
    // An object that once carried something large is not worth keeping.
    if shard.spare_calls.len() < SPARE_CALLS_MAX
        && calls.buffer.capacity() + calls.replies.capacity() <= SPARE_CALLS_BYTES_MAX
    {
        calls.clear();
        shard.spare_calls.push(calls);
    }
}
