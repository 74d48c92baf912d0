//! Shards in one process, the bounded channels between them, and what a driver does for its connections. Every event is a
//! method; which one comes next is the scheduler's choice. Mirrors the production driver: one send in flight for each
//! connection, parcels that found a full channel wait with their sender in order, an index is free only when nothing is in flight.

use std::collections::VecDeque;
use std::sync::Arc;

use corevault::base::rng::Rng;
use corevault::commands::session::Process;
use corevault::config::Config;
use corevault::persist::ledger::Ledger;
use corevault::shard::mesh::ShardMessage;
use corevault::shard::{Arrival, ClientRef, Shard, slots_of};
use corevault::store::keyspace::Keyspace;

use crate::disk::Ticket;
use crate::socket::{Behaviour, Socket};
use crate::storage::Storage;

/// When every simulation begins, Unix milliseconds.
pub const START_MS: i64 = 1_700_000_000_000;

/// One read of a driver, bytes.
pub const READ_BYTES_MAX: usize = 16 * 1024;

/// What can be made to go wrong, to see that it is noticed. Each happens once, at a random moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A message never arrives.
    LoseMessage,
    /// A client does not get a part of its replies.
    LoseReplyBytes,
    /// A shard gets a part of a client's input twice.
    RepeatInput,
    /// Two lines of a client's replies change places.
    ReverseReplies,
}

/// See the module.
pub struct Cluster {
    pub shards: Vec<Shard>,
    /// By sender and receiver: what was delivered and not yet taken, with the number of the moment.
    channels: Vec<Vec<VecDeque<(u64, ShardMessage)>>>,
    /// By sender and receiver: what found its channel full.
    undelivered: Vec<Vec<VecDeque<ShardMessage>>>,
    channel_messages_max: usize,
    pub sockets: Vec<Socket>,
    /// Which socket is at which index of a shard.
    places: Vec<Vec<Option<usize>>>,
    pub now_ms: i64,
    /// What the process keeps on disk, if anything.
    pub storage: Option<Storage>,
    /// Shards that had nothing to do but wait when they last worked.
    is_idle: Vec<bool>,
    /// Counts moments at which something was sent.
    moment: u64,
    last_client_id: u64,
    /// What is to go wrong, and how many opportunities pass before it does.
    fault: Option<(Fault, u64)>,
}

impl Cluster {
    /// `shards` empty shards whose channels hold a few messages.
    pub fn new(shards: usize, config: &Config, rng: &mut Rng, fault: Option<Fault>) -> Cluster {
        let count = shards as u16;
        let process = Arc::new(Process::default());
        let ledger = Arc::new(Ledger::new(count));
        let shards = (0..count).map(|n| {
            let (process, keys) = (Arc::clone(&process), Keyspace::recording(slots_of(n, count)));
            let ledger = Arc::clone(&ledger);
            Shard::with_keyspace(n, count, process, config.clone(), rng.next_u64(), keys, ledger)
        });
        Cluster::of(shards.collect(), START_MS, rng, fault)
    }

    /// Over these shards, which keep nothing unless `storage` is set.
    pub fn of(shards: Vec<Shard>, now_ms: i64, rng: &mut Rng, fault: Option<Fault>) -> Cluster {
        let count = shards.len();
        Cluster {
            shards,
            channels: (0..count).map(|_| (0..count).map(|_| VecDeque::new()).collect()).collect(),
            undelivered: (0..count).map(|_| (0..count).map(|_| VecDeque::new()).collect()).collect(),
            channel_messages_max: 1 + rng.below(4) as usize,
            sockets: Vec::new(),
            places: vec![Vec::new(); count],
            now_ms,
            storage: None,
            is_idle: vec![false; count],
            moment: 0,
            last_client_id: 0,
            fault: fault.map(|fault| (fault, rng.below(20))),
        }
    }

    /// Whether the fault happens now, at an opportunity for `fault`.
    fn goes_wrong(&mut self, fault: Fault) -> bool {
        match &mut self.fault {
            Some((planned, 0)) if *planned == fault => {
                self.fault = None;
                true
            }
            Some((planned, left)) if *planned == fault => {
                *left -= 1;
                false
            }
            _ => false,
        }
    }

    // Events ------------------------------------------------------------------------------------------------------

    /// A client connects; returns its socket's number. Its id is that number plus one.
    pub fn connect(&mut self, shard: usize, behaviour: Behaviour) -> usize {
        self.last_client_id += 1;
        let arrival = Arrival { id: self.last_client_id, ..Arrival::default() };
        let client = self.shards[shard].connect(arrival, self.now_ms);
        let index = client.index as usize;
        let places = &mut self.places[shard];
        if places.len() <= index {
            places.resize(index + 1, None);
        }
        assert_eq!(places[index], None, "two connections at one index");
        places[index] = Some(self.sockets.len());
        self.sockets.push(Socket::new(behaviour, shard, client));
        self.sockets.len() - 1
    }

    /// Some of a client's bytes arrive.
    pub fn deliver_input(&mut self, socket: usize, bytes: usize) {
        let again = bytes > 3 && self.goes_wrong(Fault::RepeatInput);
        let s = &mut self.sockets[socket];
        let mut data = s.behaviour.input[s.delivered..s.delivered + bytes].to_vec();
        s.delivered += bytes;
        // What had arrived when receiving was stopped comes in one last read.
        s.late_bytes = 0;
        s.reads_in_turn += 1;
        self.shards[s.shard].announce(s.client, &mut data);
        self.shards[s.shard].end_of_announcements();
        if again {
            self.shards[s.shard].receive(s.client, &mut data.clone(), self.now_ms);
        }
        self.shards[s.shard].receive(s.client, &mut data, self.now_ms);
    }

    /// A client has closed its side; one that is gone may also show as a broken connection.
    pub fn end_input(&mut self, socket: usize, is_broken: bool) {
        let s = &mut self.sockets[socket];
        s.is_ended = true;
        s.is_receiving = false;
        if is_broken {
            self.shards[s.shard].disconnected(s.client, self.now_ms);
        } else {
            self.shards[s.shard].end_of_input(s.client, self.now_ms);
        }
    }

    /// The kernel reports on a send: so many bytes are gone, or it has failed because an end is closed.
    pub fn report_send(&mut self, socket: usize, bytes: usize) {
        let (loses, reverses) =
            (self.goes_wrong(Fault::LoseReplyBytes), self.goes_wrong(Fault::ReverseReplies));
        let s = &mut self.sockets[socket];
        let (replies, gone) = s.sending.take().expect("a send is in flight");
        if s.has_vanished() || s.is_closing {
            self.shards[s.shard].disconnected(s.client, self.now_ms);
        } else {
            let end = gone + bytes;
            if !loses {
                s.received.extend_from_slice(&replies[gone..end]);
            }
            if reverses {
                reverse_lines(&mut s.received);
            }
            if end < replies.len() {
                s.sending = Some((replies, end));
            }
            self.shards[s.shard].sent(s.client, bytes, self.now_ms);
        }
        let (shard, client) = (s.shard, s.client);
        self.settle(shard, client);
    }

    /// A shard takes the next message of a channel.
    pub fn deliver_message(&mut self, from: usize, to: usize) {
        let (_, message) = self.channels[from][to].pop_front().expect("the channel holds a message");
        if !self.goes_wrong(Fault::LoseMessage) {
            self.shards[to].message(message, self.now_ms);
        }
    }

    /// A request to the disk ends.
    pub fn complete(&mut self, ticket: Ticket) {
        let storage = self.storage.as_mut().expect("who has requests has a disk");
        if let Some((shard, slot, done)) = storage.complete(ticket) {
            self.shards[shard].disk_done(slot, done, self.now_ms);
        }
    }

    /// The keeper does what its next message asks for.
    pub fn keep(&mut self) {
        self.moment += 1;
        self.storage.as_mut().expect("there is a keeper").keep(self.now_ms, self.moment);
    }

    /// A shard hears from the keeper.
    pub fn hear_keeper(&mut self, shard: usize) {
        let message = self.storage.as_mut().expect("there is a keeper").take_from_keeper(shard);
        self.shards[shard].keeper_says(message, self.now_ms);
    }

    /// A shard does a little of what is not urgent.
    pub fn work(&mut self, shard: usize) {
        self.is_idle[shard] = !self.shards[shard].work(self.now_ms);
    }

    /// Something has happened to a shard: there may be something to work on again.
    pub fn rouse(&mut self, shard: usize) {
        self.is_idle[shard] = false;
    }

    /// Time passes for a shard.
    pub fn tick(&mut self, shard: usize) {
        self.shards[shard].tick(self.now_ms);
    }

    /// A driver ends its turn: does what its shard wants.
    pub fn carry_out(&mut self, shard: usize) {
        self.sockets
            .iter_mut()
            .filter(|socket| socket.shard == shard)
            .for_each(|socket| socket.reads_in_turn = 0);
        self.shards[shard].end_turn(self.now_ms);
        if let Some(damage) = self.shards[shard].take_damage() {
            panic!("shard {shard} finds damage: {damage}");
        }
        while let Some(client) = self.shards[shard].take_touched() {
            self.settle(shard, client);
        }
        while let Some((target, message)) = self.shards[shard].take_message() {
            assert_ne!(usize::from(target), shard, "a shard does not write to itself");
            self.undelivered[shard][usize::from(target)].push_back(message);
        }
        for target in 0..self.shards.len() {
            let (waiting, channel) =
                (&mut self.undelivered[shard][target], &mut self.channels[shard][target]);
            while channel.len() < self.channel_messages_max
                && let Some(message) = waiting.pop_front()
            {
                self.moment += 1;
                channel.push_back((self.moment, message));
            }
        }
        if let Some(storage) = &mut self.storage {
            storage.take_wishes(shard, &mut self.shards[shard], self.now_ms);
        }
    }

    fn settle(&mut self, shard: usize, client: ClientRef) {
        let Some(socket) = self.places[shard].get(client.index as usize).copied().flatten() else { return };
        let s = &mut self.sockets[socket];
        if s.client != client {
            return;
        }
        let shard_of = &mut self.shards[shard];
        let wants = shard_of.wants(client);
        if wants.send && s.sending.is_none() && !s.is_closing {
            let replies = shard_of.take_replies(client, Vec::new());
            assert!(!replies.is_empty(), "the shard wants to send nothing");
            s.sending = Some((replies, 0));
        }
        if wants.close {
            s.is_closing = true;
        } else if s.is_receiving && wants.stop_reading {
            s.is_receiving = false;
            s.late_bytes = READ_BYTES_MAX;
        } else if !s.is_receiving && !wants.stop_reading && !s.is_ended {
            s.is_receiving = true;
        }
        if s.is_closing && s.sending.is_none() {
            s.is_closed = true;
            shard_of.closed(client);
            self.places[shard][client.index as usize] = None;
            self.poke_stale(shard, client);
        }
    }

    /// Nothing that comes too late for a client may do anything.
    fn poke_stale(&mut self, shard: usize, client: ClientRef) {
        let shard = &mut self.shards[shard];
        let sessions = shard.server().sessions.len();
        shard.receive(client, &mut b"SET stale 1\r\n".to_vec(), self.now_ms);
        shard.sent(client, 100, self.now_ms);
        shard.end_of_input(client, self.now_ms);
        shard.disconnected(client, self.now_ms);
        shard.closed(client);
        assert!(shard.take_replies(client, Vec::new()).is_empty());
        let wants = shard.wants(client);
        assert!(!wants.send && wants.stop_reading && !wants.close, "a closed client wants nothing");
        assert_eq!(shard.server().sessions.len(), sessions);
    }

    // Questions ---------------------------------------------------------------------------------------------------

    /// Channels that hold a message which may be taken: what the keeper sent before, to the same inbox, comes before it.
    pub fn ready_channels(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let pairs = (0..self.shards.len()).flat_map(|from| (0..self.shards.len()).map(move |to| (from, to)));
        let from_keeper = |to| self.storage.as_ref().and_then(|storage| storage.sent_to(to));
        pairs.filter(move |&(from, to)| {
            let front = self.channels[from][to].front();
            front.is_some_and(|(sent, _)| from_keeper(to).is_none_or(|earlier| *sent < earlier))
        })
    }

    /// Shards that could do a little of what is not urgent.
    pub fn workers(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.shards.len()).filter(|&shard| !self.is_idle[shard] && self.shards[shard].has_work())
    }

    /// The shard whose request it is.
    pub fn shard_of(&self, ticket: Ticket) -> usize {
        self.storage.as_ref().expect("who has requests has a disk").shard_of(ticket)
    }

    /// Whether the process has ended in the middle of what it did.
    pub fn has_ended(&self) -> bool {
        self.storage.as_ref().is_some_and(Storage::has_ended)
    }

    /// How many places a shard has ever had for connections.
    pub fn places(&self, shard: usize) -> usize {
        self.places[shard].len()
    }

    /// Messages that wait with a sender because its channel is full.
    pub fn has_undelivered(&self) -> bool {
        self.undelivered.iter().flatten().any(|waiting| !waiting.is_empty())
    }

    /// The earliest time at which a shard wants to be called.
    pub fn next_tick_ms(&self) -> i64 {
        self.shards.iter().map(Shard::next_tick_ms).min().expect("there is a shard")
    }
}

/// The last two whole lines change places.
fn reverse_lines(bytes: &mut Vec<u8>) {
    let mut lines: Vec<Vec<u8>> = bytes.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
    let last = lines.len();
    if last >= 2 {
        lines.swap(last - 1, last - 2);
    }
    *bytes = lines.concat();
}
