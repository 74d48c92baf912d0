//! The sans-IO shard: events in (bytes from clients, messages from shards, time), outputs out (bytes to send, messages, closings).
//! Owns the clients' protocol state, routing, execution and the assembly of replies. A driver performs what it asks for:
//! the io_uring driver in `net`, the seeded scheduler in the tests. Never does I/O, reads a clock or waits.
//!
//! # One read, from bytes to replies
//!
//! `Shard::receive` → `route` parses the buffer in batches and locates keys → prefetch → `execute` runs what is local, straight
//! into the client's reply buffer; calls for other shards are packed into one message a target → `Shard::message` on the
//! target (`queue`) runs them and sends the same object back → `deliver` puts the replies in order. Commands on several shards are
//! transactions, which `flight` coordinates.

mod blocked;
mod client;
mod deliver;
mod disk;
mod execute;
mod flight;
mod intents;
mod logging;
pub mod mesh;
mod multi;
mod queue;
mod route;
mod router;
mod saving;
#[cfg(test)]
mod tests;
mod waiters;

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use crate::base::limits::{DISCARD_STEP, HELD_QUERY_BYTES_MAX, INLINE_SEND_BYTES_MAX, SAVE_CHECK_MS};
use crate::base::rng::Rng;
use crate::base::slot::{SLOTS, Slot};
use crate::commands::session::{Process, Request, Server, Session, Sessions};
use crate::commands::table::Table;
use crate::config::Config;
use crate::metrics::Stats;
use crate::persist::control::ToKeeper;
use crate::persist::ledger::Ledger;
use crate::persist::log::{DiskOp, Log};
use crate::resp::write::Writer;
use crate::shard::blocked::End;
use crate::shard::client::{Client, Closing};
pub use crate::shard::disk::DiskSlot;
use crate::shard::disk::DiskWaiters;
use crate::shard::execute::Core;
use crate::shard::flight::Flight;
use crate::shard::logging::Logging;
use crate::shard::mesh::{Calls, Message, ShardMessage};
use crate::shard::queue::Queue;
use crate::shard::route::Batch;
use crate::shard::saving::Leading;
use crate::shard::waiters::Waiters;
use crate::store::keyspace::Keyspace;

/// A client of a shard: an index that is used again, and the generation that tells its users apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientRef {
    /// Index of the connection.
    pub index: u32,
    /// How many clients had the index before.
    pub generation: u32,
}

/// What a new connection brings.
#[derive(Clone, Debug, Default)]
pub struct Arrival {
    /// The client's id, unique in the process.
    pub id: u64,
    /// Remote address as clients see it.
    pub address: String,
    /// Local address as clients see it.
    pub local_address: String,
    /// File descriptor.
    pub descriptor: i32,
    /// Through the Unix socket.
    pub is_unix: bool,
}

/// What a driver must do for a client that `take_touched` named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wants {
    /// Replies wait to be sent.
    pub send: bool,
    /// No more input is taken at the moment.
    pub stop_reading: bool,
    /// Close now; nothing more will be sent.
    pub close: bool,
}

/// A part of the transaction protocol that a test breaks, to see that it is noticed. Release builds have no such parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Owners run their calls as they arrive, without a place in the common order.
    SkipSchedule,
    /// The claim of a transaction of several steps ends with the first.
    ReleaseEarly,
    /// A transaction does not wait for conflicting ones before it.
    OutOfOrder,
    /// The transaction of a client that disappears is forgotten, and holds its claims.
    LoseRelease,
    /// When one who waits has tried in vain or leaves, nobody looks whether those behind it can be served.
    LoseWakeup,
    /// One who waits and runs out of time is answered without asking the owner of its keys.
    LeaveUnasked,
    /// Replies leave before what they tell of is durable.
    ReplyEarly,
    /// Replies do not wait for the logs of other shards.
    TrustOthers,
    /// A log is relied on as far as it is durable, whatever other shards lack of its transactions.
    TrustParts,
    /// The parts of a transaction become records that know nothing of each other.
    SplitParts,
}

/// One shard of the process.
pub struct Shard {
    core: Core,
    clients: Vec<Option<Client>>,
    /// Generation that the next client at an index gets.
    generations: Vec<u32>,
    free: Vec<u32>,
    touched: Vec<u32>,
    outbox: VecDeque<(u16, ShardMessage)>,
    /// Messages of this shard to itself: it is one of the owners of its clients' keys.
    to_self: VecDeque<Message>,
    /// Calls being packed, by target, and arrived ones while a reply is assembled.
    packing: Vec<Option<Box<Calls>>>,
    /// Used again, so that a steady state allocates nothing.
    spare_calls: Vec<Box<Calls>>,
    spare_flights: Vec<Box<Flight>>,
    batch: Batch,
    /// Keys announced in this turn: database, slot and hash.
    announced: Vec<(u16, Slot, u64)>,
    /// Clients that `CLIENT PAUSE` holds.
    paused: Vec<ClientRef>,
    /// Clients whose commands wait for keys, by when their time is up and their ticket.
    deadlines: BTreeMap<(i64, u64), ClientRef>,
    next_tick_ms: i64,
    wants_shutdown: bool,
    /// Clients whose input goes on once it is done what their last command asked for.
    to_resume: Vec<ClientRef>,
    /// Clients whose replies wait for logs.
    sealed: Vec<ClientRef>,
    /// Clients that would write, and wait until the disk can take more.
    held_writers: Vec<ClientRef>,
    /// The process ends: no command of a client runs any more.
    is_ending: bool,
    /// This shard's log or save is what they wait for.
    is_behind: bool,
    /// Clients whose commands wait for the disk.
    disk_waiters: DiskWaiters,
    /// What is to be done with files, besides what the log wants.
    disk_ops: VecDeque<(DiskSlot, DiskOp)>,
    to_keeper: VecDeque<ToKeeper>,
    /// Of the save that this shard leads.
    leading: Leading,
    /// When to look next whether a save is due.
    save_check_ms: i64,
    /// When how much is restored was last noted.
    restore_noted_ms: i64,
    /// Tables were dormant then.
    is_restoring: bool,
    /// Changes that such a look is due for.
    changes_seen: u64,
}

/// The slots of shard `shard` of `shards`: contiguous, and as even as whole slots allow.
pub fn slots_of(shard: u16, shards: u16) -> Range<usize> {
    let at = |n: usize| n * SLOTS / usize::from(shards);
    at(usize::from(shard))..at(usize::from(shard) + 1)
}

impl Shard {
    /// Shard `shard` of `shards`, empty. `seed` is for its random choices.
    pub fn new(shard: u16, shards: u16, process: Arc<Process>, config: Config, seed: u64) -> Shard {
        let ledger = Arc::new(Ledger::new(shards));
        let keys = Keyspace::new(slots_of(shard, shards));
        Shard::with_keyspace(shard, shards, process, config, seed, keys, ledger)
    }

    /// As `new`, over a given keyspace, with what the logs of all shards have in common.
    pub fn with_keyspace(
        shard: u16,
        shards: u16,
        process: Arc<Process>,
        config: Config,
        seed: u64,
        keys: Keyspace,
        ledger: Arc<Ledger>,
    ) -> Shard {
        assert!(shard < shards);
        let table = Table::new();
        let stats = Stats::new(table.rows().len());
        let server = Server {
            shard,
            shards,
            process,
            config,
            stats,
            sessions: Sessions::default(),
            pause: None,
            rng: Rng::new(seed),
            requests: Vec::new(),
            wait: None,
        };
        let mut owners = Vec::with_capacity(SLOTS);
        for owner in 0..shards {
            owners.resize(slots_of(owner, shards).end, owner);
        }
        Shard {
            core: Core {
                table,
                keys,
                server,
                owners,
                queue: Queue::default(),
                waiters: Waiters::default(),
                passed_over: Vec::new(),
                logging: Logging::new(shards, ledger),
                save: None,
                fault: None,
            },
            clients: Vec::new(),
            generations: Vec::new(),
            free: Vec::new(),
            touched: Vec::new(),
            outbox: VecDeque::new(),
            to_self: VecDeque::new(),
            packing: (0..shards).map(|_| None).collect(),
            spare_calls: Vec::new(),
            spare_flights: Vec::new(),
            batch: Batch::default(),
            announced: Vec::new(),
            paused: Vec::new(),
            deadlines: BTreeMap::new(),
            next_tick_ms: i64::MAX,
            wants_shutdown: false,
            to_resume: Vec::new(),
            sealed: Vec::new(),
            held_writers: Vec::new(),
            is_ending: false,
            is_behind: false,
            disk_waiters: DiskWaiters::default(),
            disk_ops: VecDeque::new(),
            to_keeper: VecDeque::new(),
            leading: Leading::default(),
            save_check_ms: i64::MAX,
            restore_noted_ms: 0,
            is_restoring: false,
            changes_seen: 0,
        }
    }

    // Events ------------------------------------------------------------------------------------------------------

    /// A client has connected. The driver keeps its socket at the index returned.
    pub fn connect(&mut self, arrival: Arrival, now_ms: i64) -> ClientRef {
        let index = self.free.pop().unwrap_or_else(|| {
            self.clients.push(None);
            self.generations.push(0);
            (self.clients.len() - 1) as u32
        });
        let generation = self.generations[index as usize];
        self.clients[index as usize] = Some(Client::new(generation));
        self.core.server.stats.connections += 1;
        let Arrival { id, address, local_address, descriptor, is_unix } = arrival;
        let times = Session { connected_ms: now_ms, active_ms: now_ms, ..Session::default() };
        self.core
            .server
            .sessions
            .insert(index, Session { id, address, local_address, descriptor, is_unix, ..times });
        if self.core.server.config.idle_seconds_max > 0 {
            self.tick_within(now_ms, 1000);
        }
        ClientRef { index, generation }
    }

    /// Bytes have arrived from a client. They are parsed where they lie; only what cannot run yet is copied.
    pub fn receive(&mut self, client: ClientRef, data: &mut [u8], now_ms: i64) {
        if self.client(client).is_none_or(|c| c.closing != Closing::Open) {
            return;
        }
        self.core.server.stats.bytes_in += data.len() as u64;
        if let Some(session) = self.core.server.sessions.get_mut(client.index) {
            session.bytes_in += data.len() as u64;
        }
        route::receive(self, client, data, now_ms);
        self.after_commands(now_ms);
    }

    /// The driver is about to `receive` these bytes, after others: the first key in them is fetched meanwhile. Changes nothing.
    pub fn announce(&mut self, client: ClientRef, data: &mut [u8]) {
        route::announce(self, client, data);
    }

    /// All of a turn's input was announced: what the searches for the keys will find is fetched too.
    pub fn end_of_announcements(&mut self) {
        route::end_of_announcements(self);
    }

    /// The client's replies up to `bytes` were accepted by the kernel.
    pub fn sent(&mut self, client: ClientRef, bytes: usize, now_ms: i64) {
        let pause = self.core.server.config.reply_bytes_pause;
        let Some(c) = self.client_mut(client) else { return };
        c.unsent -= bytes;
        c.progress_ms = now_ms;
        let resumes = c.held.output && c.reply_bytes() <= pause / 2;
        if resumes {
            c.held.output = false;
        }
        self.core.server.stats.bytes_out += bytes as u64;
        if let Some(session) = self.core.server.sessions.get_mut(client.index) {
            session.bytes_out += bytes as u64;
        }
        self.note_buffers(client);
        if resumes {
            self.resume(client, now_ms);
            self.after_commands(now_ms);
        }
        self.touch(client.index);
    }

    /// The connection has ended or broken: nothing can be sent any more.
    pub fn disconnected(&mut self, client: ClientRef, now_ms: i64) {
        if let Some(c) = self.client_mut(client) {
            c.closing = Closing::Now;
            self.touch(client.index);
            blocked::give_up(self, client);
            self.after_commands(now_ms);
        }
    }

    /// The peer will send nothing more, but may still read: what has arrived is answered first.
    pub fn end_of_input(&mut self, client: ClientRef, now_ms: i64) {
        if let Some(c) = self.client_mut(client)
            && c.closing == Closing::Open
        {
            c.closing = Closing::AfterReplies;
            self.touch(client.index);
            blocked::give_up(self, client);
            self.after_commands(now_ms);
        }
    }

    /// The driver has closed the socket and nothing of it is in flight: the index is free.
    pub fn closed(&mut self, client: ClientRef) {
        let loses = self.core.has_fault(Fault::LoseRelease);
        let Some(c) = self.client_mut(client) else { return };
        c.closing = Closing::Now;
        c.is_gone = true;
        self.paused.retain(|paused| *paused != client);
        self.held_writers.retain(|held| *held != client);
        let c = self.clients[client.index as usize].as_ref().expect("it was found");
        if loses || c.flight.as_ref().is_none_or(|flight| flight.waiting == 0) {
            self.forget(client);
        }
    }

    /// A message from another shard has arrived.
    pub fn message(&mut self, message: ShardMessage, now_ms: i64) {
        self.handle(message.0, now_ms);
        self.after_commands(now_ms);
    }

    /// Time has passed: ends pauses, disconnects idle and stalled clients, frees what was flushed.
    pub fn tick(&mut self, now_ms: i64) {
        self.next_tick_ms = i64::MAX;
        if let Some(pause) = self.core.server.pause {
            if pause.until_ms <= now_ms {
                self.core.server.pause = None;
                self.core.server.requests.push(Request::Resume);
            } else {
                self.next_tick_ms = pause.until_ms;
            }
        }
        self.after_commands(now_ms);
        if self.core.keys.free_discarded(DISCARD_STEP) {
            self.next_tick_ms = now_ms;
        }
        blocked::tick(self, now_ms);
        self.check_saves(now_ms);
        self.check_log_waiters(now_ms);
        self.release_writers(now_ms);
        self.after_commands(now_ms);
        self.next_tick_ms = self.next_tick_ms.min(self.core.logging.log.next_tick_ms());
        self.disconnect_idle_and_stalled(now_ms);
    }

    // Outputs -----------------------------------------------------------------------------------------------------

    /// When `tick` wants to be called next, Unix milliseconds; `i64::MAX` when nothing waits for time to pass.
    pub fn next_tick_ms(&self) -> i64 {
        self.next_tick_ms
    }

    /// The next client whose wants may have changed.
    pub fn take_touched(&mut self) -> Option<ClientRef> {
        loop {
            let index = self.touched.pop()?;
            if self.core.logging.log.is_on() {
                self.seal(index);
            }
            if let Some(client) = &mut self.clients[index as usize]
                && !client.is_gone
            {
                client.is_touched = false;
                return Some(ClientRef { index, generation: client.generation });
            }
        }
    }

    /// Something has happened to a client's connection: `take_touched` names it at the end of the turn.
    pub fn touched(&mut self, client: ClientRef) {
        if self.client(client).is_some() {
            self.touch(client.index);
        }
    }

    /// What the driver must do for a client.
    pub fn wants(&self, client: ClientRef) -> Wants {
        let Some(c) = self.client(client) else {
            return Wants { send: false, stop_reading: true, close: false };
        };
        let drained = c.out.is_empty() && c.unsent == 0 && c.sealed_bytes() == 0;
        let answered = drained
            && !c.held.disk
            && c.flight.is_none()
            && (c.query.is_empty() || !c.held.any() || c.held.blocked);
        // What a flight will soon bring can leave in the same send.
        let is_flying = c.flight.as_ref().is_some_and(|flight| flight.waiting > 0);
        let to_send = c.sealed.as_ref().map_or(&c.out, |sealed| &sealed.ready);
        let waits = is_flying && to_send.len() <= INLINE_SEND_BYTES_MAX;
        Wants {
            send: !to_send.is_empty() && !waits && c.closing != Closing::Now,
            stop_reading: c.closing != Closing::Open
                || (c.held.any() && c.query.len() > HELD_QUERY_BYTES_MAX),
            close: match c.closing {
                Closing::Open => false,
                Closing::AfterReplies => answered,
                Closing::Now => true,
            },
        }
    }

    /// Takes the replies that wait, leaving `empty` to collect the next ones. The driver reports them through `sent`.
    pub fn take_replies(&mut self, client: ClientRef, empty: Vec<u8>) -> Vec<u8> {
        debug_assert!(empty.is_empty());
        match self.client_mut(client) {
            Some(c) => {
                let out = c.sealed.as_mut().map_or(&mut c.out, |sealed| &mut sealed.ready);
                c.unsent += out.len();
                std::mem::replace(out, empty)
            }
            None => empty,
        }
    }

    /// Transactions, and commands of other shards, that have a claim on this shard's keys or wait for one.
    pub fn scheduled(&self) -> usize {
        self.core.queue.len()
    }

    /// Breaks a part of the transaction protocol, in a debug build.
    #[doc(hidden)]
    pub fn plant(&mut self, fault: Fault) {
        self.core.fault = Some(fault);
    }

    /// The next message for another shard.
    pub fn take_message(&mut self) -> Option<(u16, ShardMessage)> {
        self.outbox.pop_front()
    }

    /// Whether a client asked the server to stop since the last call.
    pub fn take_shutdown(&mut self) -> bool {
        std::mem::take(&mut self.wants_shutdown)
    }

    /// This shard's log, for tests.
    #[doc(hidden)]
    pub fn log(&mut self) -> &mut Log {
        &mut self.core.logging.log
    }

    /// This shard's keys, for tests and embedding.
    pub fn keys(&mut self) -> &mut Keyspace {
        &mut self.core.keys
    }

    /// Configuration, counters and sessions.
    pub fn server(&mut self) -> &mut Server {
        &mut self.core.server
    }

    // Inside ------------------------------------------------------------------------------------------------------

    fn client(&self, client: ClientRef) -> Option<&Client> {
        let c = self.clients.get(client.index as usize)?.as_ref()?;
        (c.generation == client.generation && !c.is_gone).then_some(c)
    }

    fn client_mut(&mut self, client: ClientRef) -> Option<&mut Client> {
        self.flying_client(client).filter(|c| !c.is_gone)
    }

    /// A client, be it gone, whose flight may be under way.
    fn flying_client(&mut self, client: ClientRef) -> Option<&mut Client> {
        self.clients.get_mut(client.index as usize)?.as_mut().filter(|c| c.generation == client.generation)
    }

    fn client_id(&self, client: ClientRef) -> u64 {
        self.core.server.sessions.get(client.index).map_or(0, |session| session.id)
    }

    /// Ends a client that is gone and has nothing under way: its index is free.
    fn forget(&mut self, client: ClientRef) {
        let Some(c) = self.flying_client(client).filter(|c| c.is_gone) else { return };
        let mut multi = std::mem::take(&mut c.multi);
        blocked::served(self, client);
        multi.unwatch(self.client_id(client), &mut self.core, &mut self.outbox);
        self.clients[client.index as usize] = None;
        self.core.server.sessions.remove(client.index);
        self.generations[client.index as usize] = client.generation.wrapping_add(1);
        self.free.push(client.index);
    }

    fn send(&mut self, target: u16, message: Message) {
        if target == self.core.server.shard {
            return self.to_self.push_back(message);
        }
        self.core.server.stats.mesh_messages += 1;
        self.outbox.push_back((target, ShardMessage(message)));
    }

    fn handle(&mut self, message: Message, now_ms: i64) {
        match message {
            Message::Run(calls) => queue::run(self, calls, now_ms),
            Message::Schedule(calls) => {
                queue::schedule(self, calls, now_ms);
            }
            Message::Scheduled { client, id, proposal } => flight::scheduled(self, client, id, proposal),
            Message::Execute { id, position, now_ms: at_ms, concludes } => {
                queue::execute(self, id, position, at_ms, concludes, now_ms);
            }
            Message::Release { id } => queue::release(self, id, now_ms),
            Message::Replies(calls) => flight::arrive(self, calls, now_ms),
            Message::Unwatch { client_id } => self.core.keys.forget_watch(client_id),
            Message::Ready { client, ticket } => blocked::ready(self, client, ticket, now_ms),
            Message::Again { ticket } => waiters::again(self, ticket, now_ms),
            Message::Leave { ticket, client } => waiters::leave(self, ticket, client, now_ms),
            Message::Left { client, ticket } => blocked::left(self, client, ticket, now_ms),
            Message::Settled { seq } => self.rely(self.core.server.shard, seq),
            Message::Reliable { shard, seq } => self.rely(shard, seq),
            Message::Save { purpose } => self.lead_save(purpose),
            Message::SaveAndEnd(ending) => self.save_and_end(ending, now_ms),
            Message::EndLog => self.end_log(now_ms),
            Message::NotEnding { client, is_wanted } => self.not_ending(client, is_wanted, now_ms),
        }
    }

    fn touch(&mut self, index: u32) {
        if let Some(client) = &mut self.clients[index as usize]
            && !client.is_touched
            && !client.is_gone
        {
            client.is_touched = true;
            self.touched.push(index);
        }
    }

    fn tick_within(&mut self, now_ms: i64, ms: i64) {
        self.next_tick_ms = self.next_tick_ms.min(now_ms.saturating_add(ms));
    }

    /// Runs what a client sent while it could not be served.
    fn resume(&mut self, client: ClientRef, now_ms: i64) {
        deliver::proceed(self, client, now_ms);
        route::resume(self, client, now_ms);
        self.note_buffers(client);
        self.touch(client.index);
    }

    /// Tells a client's session, which commands can see, how full its buffers are.
    fn note_buffers(&mut self, client: ClientRef) {
        let Some((query_bytes, reply_bytes)) = self.client(client).map(|c| (c.query.len(), c.reply_bytes()))
        else {
            return;
        };
        if let Some(session) = self.core.server.sessions.get_mut(client.index) {
            (session.query_bytes, session.reply_bytes) = (query_bytes, reply_bytes);
        }
    }

    /// Does what the commands that just ran asked of the shard.
    fn after_commands(&mut self, now_ms: i64) {
        loop {
            while let Some(message) = self.to_self.pop_front() {
                self.handle(message, now_ms);
            }
            if self.close_killed() {
                // They leave their lines before anybody is served.
                continue;
            }
            if self.core.keys.awaited().has_touched() || !self.core.passed_over.is_empty() {
                waiters::serve(self, now_ms);
                continue;
            }
            let Some(request) = self.core.server.requests.pop() else {
                let Some(client) = self.to_resume.pop() else { break };
                self.resume(client, now_ms);
                continue;
            };
            match request {
                Request::Kill(_) | Request::Leave(_) => unreachable!("they have been closed"),
                Request::Shutdown { asker, save, force } => self.shut_down(Some(asker), save, force, now_ms),
                Request::Save { waiting, purpose } => {
                    if let Some(asker) = waiting {
                        self.wait_for_save(asker);
                    }
                    self.request_save(purpose);
                }
                Request::WaitAof { asker, until_ms } => self.wait_for_logs(asker, until_ms, now_ms),
                Request::AppendOnly(is_on) => self.turn_log(is_on, now_ms),
                Request::Unblock { index, with_error } => {
                    if let Some(c) = &self.clients[index as usize] {
                        let client = ClientRef { index, generation: c.generation };
                        let how = if with_error { End::Error } else { End::TimedOut };
                        blocked::end(self, client, how, now_ms);
                    }
                }
                Request::Resume => {
                    for client in std::mem::take(&mut self.paused) {
                        if let Some(c) = self.client_mut(client) {
                            c.held.pause = false;
                            self.resume(client, now_ms);
                        }
                    }
                }
            }
        }
        if let Some(pause) = self.core.server.pause {
            self.next_tick_ms = self.next_tick_ms.min(pause.until_ms);
        }
        if self.core.keys.has_discarded() {
            self.tick_within(now_ms, 0);
        }
        if self.is_restoring && !self.core.keys.is_dormant() {
            // Commands have woken what was left.
            self.note_restore();
        }
        if self.core.server.config.start.keeps && self.core.keys.counts.changes != self.changes_seen {
            self.changes_seen = self.core.keys.counts.changes;
            self.save_check_ms = self.save_check_ms.min(now_ms + SAVE_CHECK_MS);
            self.next_tick_ms = self.next_tick_ms.min(self.save_check_ms);
        }
        if self.core.server.config.idle_seconds_max > 0 && !self.core.server.sessions.is_empty() {
            self.tick_within(now_ms, 1000);
        }
    }

    /// Sends the clients on their way out that commands have ended. Whether there were any.
    fn close_killed(&mut self) -> bool {
        let mut killed = Vec::new();
        self.core.server.requests.retain(|request| {
            killed.extend(match *request {
                Request::Kill(index) => Some((index, Closing::Now)),
                Request::Leave(index) => Some((index, Closing::AfterReplies)),
                _ => return true,
            });
            false
        });
        killed.iter().for_each(|(index, closing)| self.close(*index, *closing));
        !killed.is_empty()
    }

    /// Sends a client on its way out, never back from a shorter way to a longer one.
    fn close(&mut self, index: u32, closing: Closing) {
        if let Some(client) = &mut self.clients[index as usize] {
            if client.closing != Closing::Now {
                client.closing = closing;
            }
            let client = ClientRef { index, generation: client.generation };
            self.touch(index);
            blocked::give_up(self, client);
        }
    }

    fn disconnect_idle_and_stalled(&mut self, now_ms: i64) {
        let (idle_max, stall_max) = (
            self.core.server.config.idle_seconds_max as i64,
            self.core.server.config.reply_stall_seconds_max as i64,
        );
        for index in 0..self.clients.len() {
            let Some(client) = self.clients[index].as_mut().filter(|client| !client.is_gone) else {
                continue;
            };
            let Some(session) = self.core.server.sessions.get(index as u32) else { continue };
            let is_stalled = client.held.output && now_ms - client.progress_ms > stall_max * 1000;
            let is_idle = idle_max > 0
                && now_ms - session.active_ms > idle_max * 1000
                && client.flight.is_none()
                && !client.held.disk
                && !client.held.blocked;
            if is_stalled || is_idle {
                if is_stalled {
                    self.core.server.stats.output_limit_disconnects += 1;
                    tracing::warn!(client = session.id, address = %session.address, seconds = stall_max,
                        "client does not read its replies: disconnected (client-output-buffer-limit normal)");
                } else {
                    tracing::debug!(client = session.id, address = %session.address, "client idle: disconnected");
                }
                client.closing = Closing::Now;
                self.touch(index as u32);
            } else if client.held.output || idle_max > 0 {
                self.next_tick_ms = self.next_tick_ms.min(now_ms + 1000);
            }
        }
    }

    /// A client's commands wait until it has taken half of the replies that may wait for it.
    fn hold_for_output(&mut self, client: ClientRef, now_ms: i64) {
        if let Some(c) = self.client_mut(client) {
            c.held.output = true;
            c.progress_ms = now_ms;
            self.touch(client.index);
            self.tick_within(now_ms, 1000);
        }
    }

    fn disconnect_over_output_limit(&mut self, client: ClientRef) {
        if let Some(c) = self.client_mut(client) {
            c.closing = Closing::Now;
            self.core.server.stats.output_limit_disconnects += 1;
            tracing::warn!("client's replies pass client-output-buffer-limit normal: disconnected");
            self.touch(client.index);
        }
    }

    fn disconnect_over_query_limit(&mut self, client: ClientRef) {
        let limit = self.core.server.config.query_bytes_max;
        if let Some(c) = self.client_mut(client) {
            c.closing = Closing::Now;
            c.query = Vec::new();
            self.core.server.stats.query_limit_disconnects += 1;
            tracing::warn!(limit, "client's query buffer passes client-query-buffer-limit: disconnected");
            self.touch(client.index);
        }
    }

    /// Replies with an error and disconnects once it is sent.
    fn refuse(&mut self, client: ClientRef, text: &str) {
        if let Some(c) = self.client_mut(client) {
            let mut reply = Vec::new();
            Writer::new(&mut reply, Default::default()).error(text);
            match &mut c.flight {
                Some(flight) => flight.append(&reply),
                None => c.out.extend_from_slice(&reply),
            }
            c.closing = Closing::AfterReplies;
            self.touch(client.index);
        }
    }
}
