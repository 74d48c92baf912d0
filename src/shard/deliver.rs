//! The replies of a flight, from the objects in which they came back to the client's buffer, in the order of the commands. Stops at
//! the soft limit and goes on when the client has read. Never runs a command.

use crate::base::limits::{SPARE_CALLS_BYTES_MAX, SPARE_CALLS_MAX};
use crate::commands::merge::Parts;
use crate::resp::read::is_error;
use crate::resp::write::Writer;
use crate::shard::client::{Client, Closing};
use crate::shard::flight::{Flight, Merged, Piece};
use crate::shard::mesh::{Calls, Message};
use crate::shard::{ClientRef, Shard, blocked};

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
pub(super) fn deliver(shard: &mut Shard, client: ClientRef, mut flight: Box<Flight>, now_ms: i64) {
    for calls in flight.arrived.drain(..) {
        let target = usize::from(calls.target);
        shard.packing[target] = Some(calls);
    }
    let (pause, limit) =
        (shard.core.server.config.reply_bytes_pause, shard.core.server.config.reply_bytes_max);
    let written = match shard.client_mut(client) {
        Some(c) if c.closing != Closing::Now => {
            let mut packing = std::mem::take(&mut shard.packing);
            let c = shard.client_mut(client).expect("it was found");
            let written = write_pieces(c, &mut flight, &mut packing, pause, limit);
            shard.packing = packing;
            written
        }
        // Gone or going: nobody wants the replies.
        _ => Written::All,
    };
    if written == Written::Part {
        flight.arrived.extend(shard.packing.iter_mut().filter_map(Option::take));
        let Some(c) = shard.client_mut(client) else { return };
        c.flight = Some(flight);
        if c.reply_bytes() > pause / 2 {
            shard.hold_for_output(client, now_ms);
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
    if shard.spare_flights.len() < SPARE_CALLS_MAX && flight.capacity_bytes() <= SPARE_CALLS_BYTES_MAX {
        flight.clear();
        shard.spare_flights.push(flight);
    }
    if written == Written::OverLimit {
        shard.disconnect_over_output_limit(client);
    }
    let Some(c) = shard.client_mut(client) else { return shard.forget(client) };
    c.held.flight = false;
    // What came from other shards counts as what was made here.
    if c.reply_bytes() > pause {
        shard.hold_for_output(client, now_ms);
    }
    blocked::is_entered(shard, client, now_ms);
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
            // Only what is no transaction stops half way; it takes its turn again.
            calls.forget_replies();
            calls.turn.transaction = 0;
            flight.waiting += 1;
            shard.send(calls.target, Message::Run(calls));
        }
    }
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
    if flight.is_over_limit || arrived.iter().flatten().any(|calls| calls.is_over_limit) {
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
    Written::All
}

fn next_reply(arrived: &mut [Option<Box<Calls>>], target: u16) -> &[u8] {
    let calls = arrived[usize::from(target)].as_mut().expect("every target has answered");
    let range = calls.next_reply();
    &calls.replies[range]
}

/// Merges one command's parts. The first error among them is the whole reply. Whether it stays within `limit`.
pub(super) fn write_merged(
    merged: &Merged,
    arrived: &mut [Option<Box<Calls>>],
    out: &mut Vec<u8>,
    limit: usize,
) -> bool {
    let mut replies: Vec<&[u8]> = Vec::with_capacity(1 + merged.targets.len());
    replies.extend(merged.local.as_deref());
    // A part is its target's next reply. All are advanced first, and then read together.
    let mut ranges = Vec::with_capacity(merged.targets.len());
    for &target in &merged.targets {
        ranges.push(arrived[usize::from(target)].as_mut().expect("every target has answered").next_reply());
    }
    for (&target, range) in merged.targets.iter().zip(ranges) {
        replies
            .push(&arrived[usize::from(target)].as_ref().expect("every target has answered").replies[range]);
    }
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

pub(super) fn recycle(shard: &mut Shard, mut calls: Box<Calls>) {
    // An object that once carried something large is not worth keeping.
    if shard.spare_calls.len() < SPARE_CALLS_MAX && calls.capacity_bytes() <= SPARE_CALLS_BYTES_MAX {
        calls.clear();
        shard.spare_calls.push(calls);
    }
}
