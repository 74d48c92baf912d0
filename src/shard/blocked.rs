//! Clients of this shard that wait for keys: how one begins to wait, is tried again, and ends it, served or not. The keys' owners are the
//! other end (`waiters`).

use crate::base::args::{Args, OwnedArgs};
use crate::commands::table::Spread;
use crate::resp::write::Writer;
use crate::shard::client::Closing;
use crate::shard::flight::{self, Flight};
use crate::shard::mesh::{Call, Calls, Message};
use crate::shard::router::Router;
use crate::shard::{ClientRef, Fault, Shard, deliver};
use crate::store::keyspace::Key;

/// How a wait ends without being served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Its time is up, or `CLIENT UNBLOCK` says so.
    TimedOut,
    /// `CLIENT UNBLOCK ... ERROR`.
    Error,
}

/// A command that waits.
pub(super) struct Blocked {
    /// Its number as a waiter.
    pub ticket: u64,
    pub call: Call,
    pub words: OwnedArgs,
    /// The shards of the keys that it waits for.
    pub owners: Vec<u16>,
    /// All its keys are on one shard, which decides whether it is served.
    pub is_lone: bool,
    /// When its time is up, Unix milliseconds.
    pub until_ms: Option<i64>,
    pub is_wanted: bool,
    /// It is being tried again, by this shard.
    pub is_trying: bool,
    /// An owner has said that it may be tried, before all owners had it in their lines.
    pub is_ready: bool,
    /// It ends as soon as it is known that it was not served.
    pub end: Option<End>,
}

impl Blocked {
    /// Whether these words name the keys that it waits for on `shard`.
    pub fn waits_on(shard: &Shard, call: &Call, args: &Args<'_>) -> Vec<u16> {
        let Spread::Block(blocking) = shard.core.table.row(call.row).spread else {
            unreachable!("only commands that may wait do")
        };
        let words = blocking.waits_for.indices(args);
        let mut owners: Vec<u16> =
            words.map(|word| shard.core.owner(Key::new(args.get(word)).slot)).collect();
        owners.sort_unstable();
        owners.dedup();
        owners
    }
}

/// The client waits from now on.
pub(super) fn enter(shard: &mut Shard, client: ClientRef, blocked: Box<Blocked>, now_ms: i64) {
    let (ticket, until_ms) = (blocked.ticket, blocked.until_ms);
    let c = shard.flying_client(client).expect("its command has just been tried");
    c.blocked = Some(blocked);
    c.held.blocked = true;
    if let Some(session) = shard.core.server.sessions.get_mut(client.index) {
        session.is_blocked = true;
    }
    if let Some(until_ms) = until_ms {
        shard.deadlines.insert((until_ms, ticket), client);
        shard.tick_within(now_ms, until_ms.saturating_sub(now_ms).max(0));
    }
}

/// The client waits no longer.
fn leave(shard: &mut Shard, client: ClientRef) -> Option<Box<Blocked>> {
    let c = shard.flying_client(client)?;
    let blocked = c.blocked.take()?;
    c.held.blocked = false;
    if let Some(session) = shard.core.server.sessions.get_mut(client.index) {
        session.is_blocked = false;
    }
    if let Some(until_ms) = blocked.until_ms {
        shard.deadlines.remove(&(until_ms, blocked.ticket));
    }
    Some(blocked)
}

/// The ticket of a client that waits.
fn ticket_of(shard: &mut Shard, client: ClientRef) -> Option<u64> {
    shard.flying_client(client)?.blocked.as_ref().map(|blocked| blocked.ticket)
}

/// The owner of all its keys has tried a waiter's command.
pub(super) fn answered(shard: &mut Shard, mut calls: Box<Calls>, now_ms: i64) {
    let client = calls.client.expect("calls travel in a client's name");
    if calls.is_waiting || ticket_of(shard, client) != Some(calls.ticket) {
        // Not served; or nobody is there to hear of it.
        return deliver::recycle(shard, calls);
    }
    let blocked = leave(shard, client).expect("it waits");
    shard.need(client, calls.target, calls.log_seq);
    let is_over_limit = calls.is_over_limit;
    if let Some(c) = shard.client_mut(client)
        && blocked.is_wanted
    {
        c.out.append(&mut calls.replies);
    }
    deliver::recycle(shard, calls);
    if is_over_limit {
        shard.disconnect_over_output_limit(client);
    }
    shard.resume(client, now_ms);
}

/// A key has changed for which the client waits: the command is tried again over all its keys.
pub(super) fn ready(shard: &mut Shard, client: ClientRef, ticket: u64, now_ms: i64) {
    if ticket_of(shard, client) != Some(ticket) || shard.client(client).is_none() {
        return;
    }
    let c = shard.flying_client(client).expect("it was found");
    let blocked = c.blocked.as_mut().expect("it waits");
    if blocked.is_trying {
        // The owners look again once this try is over.
        return;
    }
    if c.flight.is_some() {
        blocked.is_ready = true;
        return;
    }
    let mut blocked = c.blocked.take().expect("it waits");
    (blocked.is_trying, blocked.is_ready) = (true, false);
    let mut flight: Option<Box<Flight>> = None;
    let mut router = Router::new(shard, client, &mut flight, now_ms);
    router.try_again(&blocked);
    shard.flying_client(client).expect("it was found").blocked = Some(blocked);
    flight::depart(shard, client, flight.expect("a try over several shards is a flight"), now_ms);
}

/// The client is on its way out: it takes nothing any more, and what it sent behind the command that waits is not run.
pub(super) fn give_up(shard: &mut Shard, client: ClientRef) {
    let Some(c) = shard.client_mut(client) else { return };
    // A try is carried to its end; `is_entered` comes here again then.
    if c.blocked.as_ref().is_some_and(|blocked| !blocked.is_trying) {
        c.query = Vec::new();
        served(shard, client);
    }
}

/// All owners have the client in their lines, or a try is over.
pub(super) fn is_entered(shard: &mut Shard, client: ClientRef, now_ms: i64) {
    let Some(c) = shard.client(client) else { return };
    if c.closing != Closing::Open {
        return give_up(shard, client);
    }
    if let Some(blocked) = c.blocked.as_ref().filter(|blocked| blocked.is_ready) {
        ready(shard, client, blocked.ticket, now_ms);
    }
}

/// A try over several shards has found nothing. What is to be replied, if the wait is over all the same.
pub(super) fn tried_in_vain(shard: &mut Shard, client: ClientRef) -> Option<End> {
    let c = shard.flying_client(client).expect("its flight is under way");
    let blocked = c.blocked.as_mut().expect("it waits");
    blocked.is_trying = false;
    let (end, ticket, owners) = (blocked.end, blocked.ticket, blocked.owners.clone());
    match end {
        Some(_) => {
            served(shard, client);
        }
        None => owners.into_iter().for_each(|owner| shard.send(owner, Message::Again { ticket })),
    }
    end
}

/// A try over several shards has found something, or the wait is over for another reason.
pub(super) fn served(shard: &mut Shard, client: ClientRef) {
    if let Some(blocked) = leave(shard, client) {
        let Blocked { ticket, owners, .. } = *blocked;
        owners.into_iter().for_each(|owner| shard.send(owner, Message::Leave { ticket, client: None }));
    }
}

/// Ends a client's wait, unless it turns out to have been served.
pub(super) fn end(shard: &mut Shard, client: ClientRef, end: End, now_ms: i64) {
    let Some(c) = shard.client_mut(client) else { return };
    let Some(blocked) = &mut c.blocked else { return };
    if blocked.end.is_some() {
        return;
    }
    blocked.end = Some(end);
    let is_asked = !shard.core.has_fault(Fault::LeaveUnasked);
    let blocked = shard.flying_client(client).and_then(|c| c.blocked.as_ref()).expect("it was found");
    if blocked.is_lone && is_asked {
        let (owner, ticket) = (blocked.owners[0], blocked.ticket);
        return shard.send(owner, Message::Leave { ticket, client: Some(client) });
    }
    if !blocked.is_trying {
        finish(shard, client, now_ms);
    }
}

/// A waiter has left, unserved.
pub(super) fn left(shard: &mut Shard, client: ClientRef, ticket: u64, now_ms: i64) {
    if ticket_of(shard, client) == Some(ticket) {
        finish(shard, client, now_ms);
    }
}

/// Replies that the wait was in vain.
fn finish(shard: &mut Shard, client: ClientRef, now_ms: i64) {
    let Some(blocked) = shard.flying_client(client).and_then(|c| c.blocked.as_ref()) else { return };
    let (call, is_wanted) = (blocked.call, blocked.is_wanted);
    let end = blocked.end.expect("it was ended");
    let mut reply = Vec::new();
    write_end(shard, end, &call, &mut reply);
    served(shard, client);
    if let Some(c) = shard.client_mut(client)
        && is_wanted
    {
        c.out.extend_from_slice(&reply);
    }
    shard.resume(client, now_ms);
}

/// The reply of a command that has waited in vain.
pub(super) fn write_end(shard: &mut Shard, end: End, call: &Call, reply: &mut Vec<u8>) {
    let mut writer = Writer::new(reply, call.protocol);
    match end {
        // Also for commands that reply with one element.
        End::TimedOut => writer.null_array(),
        End::Error => {
            let text = "UNBLOCKED client unblocked via CLIENT UNBLOCK";
            shard.core.server.stats.count_error(text);
            writer.error(text);
        }
    }
}

/// Ends the waits whose time is up.
pub(super) fn tick(shard: &mut Shard, now_ms: i64) {
    while let Some((&(until_ms, ticket), &client)) = shard.deadlines.first_key_value() {
        if until_ms > now_ms {
            shard.next_tick_ms = shard.next_tick_ms.min(until_ms);
            return;
        }
        shard.deadlines.remove(&(until_ms, ticket));
        end(shard, client, End::TimedOut, now_ms);
    }
}
