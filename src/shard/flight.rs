//! Commands of one read that are under way: what was sent, what came back, and what follows from it. This is the shard at home, as
//! the coordinator of its clients' transactions; `queue` is the other end, `deliver` puts the replies in order. A client has at
//! most one flight; its next read waits for it, which bounds memory and keeps commands in order.
//!
//! # Steps and hops
//!
//! If the commands touch keys of one shard, they are one message to it: one hop, and no transaction. If they touch keys of several,
//! they are one transaction, so that they take effect together, and in order for every observer:
//!
//! 1. *Schedule*: every owner gets the calls of the first step and keeps a place.
//! 2. *Execute*: every owner runs the calls when the transaction's turn has come. If there are two owners and one is this shard,
//!    whose place costs no message, the other one decides on the position and may run at once: then there is no such hop. If some
//!    owner had to let it wait, claims are kept until all have run, and end with a *Release* that nobody waits for.
//! 3. A command that decides from what it has read (`commands::gather`), and `EXEC` with watched keys, take one more step, which is
//!    one more hop, for each decision. The last step gives up the claims.
//!
//! A flight belongs to its transaction, not to its client: if the client goes, it is carried to its end for nobody.

use crate::base::args::OwnedArgs;
use crate::commands::gather::{Decision, Gather, Next, Part, Write};
use crate::commands::merge::Merge;
use crate::metrics::Stats;
use crate::resp::write::{Protocol, Writer};
use crate::shard::blocked::{self, Blocked};
use crate::shard::client::Closing;
use crate::shard::logging::Extent;
use crate::shard::mesh::{Call, Calls, Message, Proposal, Stage, Turn};
use crate::shard::multi::Queued;
use crate::shard::router::Router;
use crate::shard::{ClientRef, Fault, Shard, deliver, queue};
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
    /// This shard's reply, if it was made at once.
    pub local: Option<Vec<u8>>,
    /// The shards that took part.
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
    /// The shards that read keys in this step, one for each key.
    pub asked: Vec<u16>,
    /// What earlier steps read.
    pub parts: Vec<Part>,
}

/// Queued commands that later steps run.
pub(super) struct Rest {
    pub queued: Box<Queued>,
    /// How many were sent.
    pub done: usize,
}

impl Rest {
    pub fn is_done(&self) -> bool {
        self.done == self.queued.calls.calls.len()
    }
}

/// The reply of an `EXEC` whose watched keys have changed.
#[derive(Clone, Copy)]
pub(super) struct Aborted {
    pub protocol: Protocol,
    pub is_wanted: bool,
}

impl Aborted {
    pub fn write(self, out: &mut Vec<u8>) {
        if self.is_wanted {
            Writer::new(out, self.protocol).null_array();
        }
    }
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
    /// No other command may join.
    pub is_last: bool,
    /// What follows must find this step done.
    pub ends_step: bool,
    /// Its calls are run all or nothing even if they are no transaction: `EXEC` on one shard.
    pub is_whole: bool,
    /// A reply made here has passed the hard limit.
    pub is_over_limit: bool,
    /// What to reply if the check of watched keys, which is in its first step, finds a change.
    pub aborted: Option<Aborted>,
    pub gathering: Option<Box<Gathering>>,
    pub rest: Option<Rest>,
    /// It is one command that may wait, or waits, with this number; 0 for all others.
    pub ticket: u64,
    /// What the client would wait with, if that begins with this flight.
    pub blocked: Option<Box<Blocked>>,
    /// Its transaction; 0 for none.
    id: u64,
    /// The largest position that an owner gave it.
    position: u64,
    /// The owners that keep a place, and those that have not said so yet.
    participants: Vec<u16>,
    /// Those on which earlier steps have changed something that waits to become a record; and, while a step is sent, all that have a part
    /// in the log.
    fellows: Vec<u16>,
    unscheduled: usize,
    /// When it runs, everywhere: the latest time that an owner gave it, Unix milliseconds.
    now_ms: i64,
    /// It had to wait for nobody on any owner.
    is_free: bool,
    /// The owner that decides on the position.
    decider: Option<u16>,
    /// Its claims end with the step that was sent last.
    is_concluded: bool,
    /// Messages that have not come back.
    pub waiting: usize,
    /// What came back, one object for each target.
    pub arrived: Vec<Box<Calls>>,
    /// Pieces written to the client.
    pub written: usize,
    /// Bytes of `local` written to the client.
    pub written_local: usize,
}

impl Flight {
    /// Adds a piece, after the local replies written so far.
    pub fn push(&mut self, piece: Piece) {
        self.cover_local();
        self.pieces.push(piece);
    }

    /// Appends a reply of this shard behind everything that is under way.
    pub fn append(&mut self, reply: &[u8]) {
        self.local.extend_from_slice(reply);
        self.cover_local();
    }

    fn cover_local(&mut self) {
        if self.local.len() > self.covered {
            self.covered = self.local.len();
            self.pieces.push(Piece::Local(self.covered));
        }
    }

    /// Memory it would keep.
    pub fn capacity_bytes(&self) -> usize {
        self.local.capacity() + self.pieces.capacity() * size_of::<Piece>()
    }

    /// Makes it as new, but for its memory.
    pub fn clear(&mut self) {
        let Flight { mut pieces, mut local, mut participants, mut fellows, mut arrived, .. } =
            std::mem::take(self);
        fellows.clear();
        pieces.clear();
        local.clear();
        participants.clear();
        arrived.clear();
        *self = Flight { pieces, local, participants, fellows, arrived, ..Flight::default() };
    }

    /// Whether no decision follows from what is under way.
    fn is_last_step(&self) -> bool {
        self.gathering.is_none() && self.rest.is_none()
    }

    /// Gives up replies that are too long for anybody to get.
    pub fn drop_replies(&mut self) {
        self.is_over_limit = true;
        self.pieces = Vec::new();
        self.local = Vec::new();
        self.covered = 0;
    }

    /// Replaces all replies by that of an `EXEC` that did nothing.
    fn abort(&mut self) {
        let aborted = self.aborted.expect("an EXEC that checks watched keys is alone in its flight");
        self.rest = None;
        self.pieces.clear();
        self.local.clear();
        self.covered = 0;
        aborted.write(&mut self.local);
        self.cover_local();
    }
}

/// The object in which calls for `target` are being packed.
pub(super) fn packed<'a>(
    packing: &'a mut [Option<Box<Calls>>],
    spare: &mut Vec<Box<Calls>>,
    target: u16,
) -> &'a mut Calls {
    packing[usize::from(target)].get_or_insert_with(|| spare.pop().unwrap_or_default())
}

/// Sends what was packed, and holds the client until all of it has come back.
pub(super) fn depart(shard: &mut Shard, client: ClientRef, mut flight: Box<Flight>, now_ms: i64) {
    flight.cover_local();
    let here = shard.core.server.shard;
    let mut targets = std::mem::take(&mut flight.participants);
    targets.extend(packed_targets(shard, here));
    let claims = shard.packing.iter().flatten().filter(|calls| !calls.claim.is_empty()).count();
    let is_transaction = (claims > 1 || !flight.is_last_step()) && !shard.core.has_fault(Fault::SkipSchedule);
    let extent = match (is_transaction, flight.is_last_step()) {
        (false, _) => Extent::Whole,
        (true, false) => Extent::Begun,
        (true, true) => Extent::Last,
    };
    // Whoever may write has a part, be it empty.
    let writes = |target: &u16| {
        shard.packing[usize::from(*target)].as_ref().is_some_and(|calls| calls.claim.may_write())
    };
    let mut fellows = std::mem::take(&mut flight.fellows);
    if extent == Extent::Last && !shard.is_nobody(client) {
        fellows.extend(targets.iter().copied().filter(writes));
        fellows.sort_unstable();
    }
    if is_transaction {
        flight.id = queue::next_id(&shard.core.server);
        flight.unscheduled = targets.len();
        flight.is_free = true;
        flight.now_ms = now_ms;
        flight.decider = if targets.len() == 2 && targets[0] == here { Some(targets[1]) } else { None };
    }
    flight.waiting = targets.len();
    let client_id = shard.client_id(client);
    for &target in &targets {
        let mut calls = shard.packing[usize::from(target)].take().expect("it was found");
        calls.address(here, target, Some(client), client_id);
        calls.is_whole = flight.is_whole || is_transaction;
        calls.ticket = flight.ticket;
        calls.extent = extent;
        calls.fellows.clone_from(&fellows);
        if !is_transaction {
            shard.send(target, Message::Run(calls));
            continue;
        }
        (calls.turn.transaction, calls.turn.now_ms) = (flight.id, now_ms);
        if target == here {
            // First, and at once: who decides on the position relies on this shard's proposal, which is the id, since that is the
            // newest number there is.
            flight.is_free = queue::schedule(shard, calls, now_ms);
        } else {
            calls.turn.decides = flight.decider == Some(target);
            calls.turn.concludes = calls.turn.decides && flight.is_free && flight.is_last_step();
            shard.send(target, Message::Schedule(calls));
        }
    }
    flight.fellows = fellows;
    flight.fellows.clear();
    flight.participants = targets;
    if !is_transaction {
        flight.participants.clear();
    }
    let c = shard.flying_client(client).expect("its read has just been run");
    if flight.waiting == 0 {
        // Nothing was packed: an EXEC over several shards whose commands were all refused here.
        return deliver::deliver(shard, client, flight, now_ms);
    }
    c.flight = Some(flight);
    c.held.flight = true;
}

/// The shards for which calls are packed, this one first.
fn packed_targets(shard: &Shard, here: u16) -> impl Iterator<Item = u16> {
    let others = (0..shard.packing.len() as u16).filter(move |target| *target != here);
    std::iter::once(here).chain(others).filter(|target| shard.packing[usize::from(*target)].is_some())
}

/// An owner has kept a place for a transaction.
pub(super) fn scheduled(shard: &mut Shard, client: ClientRef, id: u64, proposal: Proposal) {
    let Some(mut flight) = shard.flying_client(client).and_then(|c| c.flight.take()) else { return };
    if flight.id == id {
        note_place(shard, &mut flight, proposal);
    }
    shard.flying_client(client).expect("it was found").flight = Some(flight);
}

/// One more owner has its place; the last one's makes the position final.
fn note_place(shard: &mut Shard, flight: &mut Flight, proposal: Proposal) {
    flight.position = flight.position.max(proposal.position);
    flight.now_ms = flight.now_ms.max(proposal.now_ms);
    flight.is_free &= proposal.is_free;
    flight.unscheduled -= 1;
    if flight.unscheduled > 0 {
        return;
    }
    flight.is_concluded = flight.is_free && flight.is_last_step();
    let Flight { id, position, now_ms, is_concluded: concludes, .. } = *flight;
    // Who decided knows.
    for &owner in flight.participants.iter().filter(|owner| flight.decider != Some(**owner)) {
        shard.send(owner, Message::Execute { id, position, now_ms, concludes });
    }
}

/// Replies have come back.
pub(super) fn arrive(shard: &mut Shard, mut calls: Box<Calls>, now_ms: i64) {
    let client = calls.client.expect("calls travel in a client's name");
    if calls.is_again {
        // Its flight, if it is still there, waits to be read.
        return blocked::answered(shard, calls, now_ms);
    }
    let Some(mut flight) = shard.flying_client(client).and_then(|c| c.flight.take()) else {
        // The client has gone meanwhile.
        return deliver::recycle(shard, calls);
    };
    if calls.turn.decides {
        let Turn { position, now_ms, .. } = calls.turn;
        note_place(shard, &mut flight, Proposal { position, now_ms, is_free: true });
    }
    if calls.is_waiting {
        let blocked = flight.blocked.take().expect("the flight is the command's first try");
        blocked::enter(shard, client, blocked, now_ms);
    }
    flight.waiting -= 1;
    shard.need(client, calls.target, calls.log_seq);
    if calls.has_effects && !flight.fellows.contains(&calls.target) {
        flight.fellows.push(calls.target);
    }
    match flight.arrived.iter_mut().find(|earlier| earlier.target == calls.target) {
        Some(earlier) => {
            earlier.append_answers(&mut calls, shard.core.server.config.reply_bytes_max);
            deliver::recycle(shard, calls);
        }
        None => flight.arrived.push(calls),
    }
    if flight.waiting == 0 {
        return advance(shard, client, flight, now_ms);
    }
    shard.flying_client(client).expect("it was found").flight = Some(flight);
}

/// A step has come back from everywhere: takes the next one, or tells the client.
fn advance(shard: &mut Shard, client: ClientRef, mut flight: Box<Flight>, now_ms: i64) {
    flight.ends_step = false;
    if flight.arrived.iter().any(|calls| calls.is_dirty) {
        flight.abort();
        if let Some(session) = shard.core.server.sessions.get_mut(client.index) {
            session.queued = None;
        }
    }
    if let Some(gathering) = flight.gathering.take() {
        decide(shard, client, &mut flight, gathering, now_ms);
    }
    if flight.gathering.is_none()
        && let Some(rest) = flight.rest.take()
    {
        flight = continue_exec(shard, client, flight, rest);
    }
    flight.cover_local();
    if flight.local.len() > shard.core.server.config.reply_bytes_max {
        flight.drop_replies();
    }
    send_step(shard, client, &mut flight);
    if flight.waiting == 0 {
        return deliver::deliver(shard, client, flight, now_ms);
    }
    shard.flying_client(client).expect("its flight was under way").flight = Some(flight);
}

/// Sends what was packed for the next step; the last step also releases those for whom nothing was packed.
fn send_step(shard: &mut Shard, client: ClientRef, flight: &mut Flight) {
    let concludes = flight.is_last_step() && !flight.is_concluded;
    let (here, client_id) = (shard.core.server.shard, shard.client_id(client));
    let mut fellows = std::mem::take(&mut flight.fellows);
    if concludes {
        for &target in &fellows {
            // Nothing more to run, but what was changed becomes a record.
            packed(&mut shard.packing, &mut shard.spare_calls, target);
        }
        for (target, calls) in (0..).zip(&shard.packing) {
            let may_write = calls.as_ref().is_some_and(|calls| calls.may_write(&shard.core.table));
            if may_write && flight.participants.contains(&target) && !fellows.contains(&target) {
                fellows.push(target);
            }
        }
        fellows.sort_unstable();
    }
    for target in 0..shard.packing.len() as u16 {
        let is_participant = flight.participants.contains(&target);
        if let Some(mut calls) = shard.packing[usize::from(target)].take() {
            calls.address(here, target, Some(client), client_id);
            calls.is_whole = true;
            if is_participant {
                calls.extent = if flight.is_last_step() { Extent::Last } else { Extent::Begun };
                calls.fellows.clone_from(&fellows);
            }
            calls.ticket = flight.ticket;
            calls.turn.now_ms = flight.now_ms;
            calls.turn.transaction = if is_participant { flight.id } else { 0 };
            calls.turn.concludes = concludes && is_participant;
            flight.waiting += 1;
            shard.send(target, Message::Run(calls));
        } else if concludes && is_participant {
            shard.send(target, Message::Release { id: flight.id });
        }
    }
    if !concludes {
        flight.fellows = fellows;
    }
    flight.is_concluded |= concludes;
}

/// Puts the parts of a gathering command in order, makes the decision, and packs what follows from it.
fn decide(
    shard: &mut Shard,
    client: ClientRef,
    flight: &mut Flight,
    mut gathering: Box<Gathering>,
    now_ms: i64,
) {
    // In the order of the keys: every call of stage `Read` in this step was this command's.
    let mut found: Vec<_> =
        flight.arrived.iter_mut().map(|calls| (calls.target, calls.parts.drain(..))).collect();
    for owner in gathering.asked.drain(..) {
        let (_, parts) =
            found.iter_mut().find(|(target, _)| *target == owner).expect("the owner has answered");
        gathering.parts.push(parts.next().expect("a part for each key"));
    }
    drop(found);
    let (call, bulk_bytes_max) = (gathering.call, shard.core.server.config.bulk_bytes_max);
    let mut reply = Vec::new();
    let next = if flight.ticket != 0 && is_going(shard, client, flight) {
        // What it would take, nobody would get.
        Next::WAIT
    } else {
        ask(
            &mut gathering,
            Decision {
                db: call.db,
                now_ms: flight.now_ms,
                bulk_bytes_max,
                encoding: shard.core.keys.encoding,
            },
            &mut reply,
            &mut shard.core.server.stats,
        )
    };
    match next {
        Next::Wait { words, writes } => {
            writes.into_iter().for_each(|write| pack_write(shard, call, write));
            wait(shard, client, flight, &gathering, words, &reply, now_ms);
        }
        Next::Write(writes) => {
            if flight.ticket != 0 && flight.blocked.is_none() {
                blocked::served(shard, client);
            }
            writes.into_iter().for_each(|write| pack_write(shard, call, write));
            if gathering.is_wanted {
                flight.append(&reply);
            }
        }
        Next::Read(keys) => {
            assert!(gathering.gather.reads_undeclared, "a command that declares its keys reads no others");
            for key in &keys {
                let owner = shard.core.owner(Key::new(key).slot);
                let name = gathering.args.args().get(0).to_vec();
                let call = Call { stage: Stage::Read(1), slot: u16::MAX, ..call };
                packed(&mut shard.packing, &mut shard.spare_calls, owner)
                    .push(call, [&name[..], key].into_iter());
                gathering.asked.push(owner);
            }
            flight.gathering = Some(gathering);
        }
    }
}

/// Whether a client whose command may wait will not hear of what it takes. One that has ended only its input still gets the reply of
/// a first try.
fn is_going(shard: &Shard, client: ClientRef, flight: &Flight) -> bool {
    match shard.client(client) {
        None => true,
        Some(c) => c.closing == Closing::Now || (c.closing != Closing::Open && flight.blocked.is_none()),
    }
}

/// A command that may wait has found nothing: it begins to wait, or goes on, or ends.
fn wait(
    shard: &mut Shard,
    client: ClientRef,
    flight: &mut Flight,
    gathering: &Gathering,
    words: Option<OwnedArgs>,
    nothing: &[u8],
    now_ms: i64,
) {
    if flight.ticket == 0 {
        if gathering.is_wanted {
            flight.append(nothing);
        }
        return;
    }
    let call = gathering.call;
    let end = match flight.blocked.take() {
        Some(mut blocked) => {
            blocked.words = words.unwrap_or(std::mem::take(&mut blocked.words));
            blocked.owners = Blocked::waits_on(shard, &call, &blocked.words.args());
            for &owner in &blocked.owners {
                let call = Call { stage: Stage::Await, ..call };
                let calls = packed(&mut shard.packing, &mut shard.spare_calls, owner);
                calls.push_whole(call, &blocked.words.args());
                calls.is_withheld =
                    flight.arrived.iter().any(|read| read.target == owner && read.is_withheld);
            }
            blocked::enter(shard, client, blocked, now_ms);
            None
        }
        None => blocked::tried_in_vain(shard, client),
    };
    if let Some(end) = end
        && gathering.is_wanted
    {
        let mut reply = Vec::new();
        blocked::write_end(shard, end, &call, &mut reply);
        flight.append(&reply);
    }
}

/// Makes the decision; a refusal becomes its reply.
fn ask(gathering: &mut Gathering, at: Decision, reply: &mut Vec<u8>, stats: &mut Stats) -> Next {
    let mut writer = Writer::new(reply, gathering.call.protocol);
    let decided = (gathering.gather.decide)(at, &gathering.args.args(), &mut gathering.parts, &mut writer);
    decided.unwrap_or_else(|error| {
        writer.truncate(0);
        let text = error.to_string();
        stats.count_failure(gathering.call.row, &text);
        writer.error(&text);
        Next::Write(Vec::new())
    })
}

fn pack_write(shard: &mut Shard, call: Call, write: Write) {
    let owner = shard.core.owner(Key::new(&write.key).slot);
    let calls = packed(&mut shard.packing, &mut shard.spare_calls, owner);
    let stage = Stage::Apply(calls.writes.len() as u32);
    calls.writes.push(write);
    calls.push(Call { stage, slot: u16::MAX, ..call }, std::iter::empty());
}

/// Goes on with the queued commands of an `EXEC`.
fn continue_exec(shard: &mut Shard, client: ClientRef, flight: Box<Flight>, rest: Rest) -> Box<Flight> {
    let now_ms = flight.now_ms;
    let mut flight = Some(flight);
    let mut router = Router::new(shard, client, &mut flight, now_ms);
    router.continue_exec(rest);
    let is_over_limit = router.is_over_limit;
    let mut flight = flight.expect("it stays");
    flight.is_over_limit |= is_over_limit;
    flight
}
