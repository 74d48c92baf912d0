//! One client's conversation over a real socket, and the record of it: when each command was sent, when and how it was answered.
//! Never judges an answer.

use std::io::{Read as _, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::Duration;

use corevault::base::rng::Rng;

use crate::harness::Server;
use crate::histories::history::{History, Operation, encode, reply_end};
use crate::histories::model::Words;
use crate::histories::workloads::Client;
use crate::wire::Wire;

/// Longest pause between sending and leaving.
const LEAVE_MICROS_MAX: u64 = 300;

/// A client with its connection.
pub struct Talk<'a> {
    /// None once it has left.
    wire: Option<Wire>,
    /// Counts what all clients of a plan do. A count taken after another, on whatever thread, is larger.
    clock: &'a AtomicU64,
    rng: Rng,
    /// Of this client only.
    record: History,
    unanswered: usize,
    /// What arrived and is no whole reply yet.
    received: Vec<u8>,
    replies: Vec<Vec<u8>>,
}

impl<'a> Talk<'a> {
    /// Connects, and makes sure that the server knows.
    pub fn new(server: &Server, clock: &'a AtomicU64, rng: &mut Rng) -> Talk<'a> {
        let mut wire = server.wire();
        wire.expect("PING", "+PONG\r\n");
        Talk {
            wire: Some(wire),
            clock,
            rng: Rng::new(rng.next_u64()),
            record: History::new(1),
            unanswered: 0,
            received: Vec::new(),
            replies: Vec::new(),
        }
    }

    /// Says all that the client wants to say, until it is done or leaves.
    pub fn converse(&mut self, mut client: Client, rounds: &Rounds) -> Result<(), String> {
        let _leaves = LeavesRounds(rounds);
        let mut bytes_left = client.vanishes_after.unwrap_or(usize::MAX);
        while let Some(batch) = client.next(&self.replies) {
            rounds.wait();
            self.say(batch, &mut bytes_left)?;
            if bytes_left == 0 {
                return self.leave();
            }
            self.hear(false)?;
        }
        Ok(())
    }

    /// Says these commands at once and hears the replies.
    pub fn say_all(&mut self, batch: Vec<Words>) -> Result<(), String> {
        self.say(batch, &mut { usize::MAX })?;
        self.hear(false)
    }

    /// Hangs up. What there is to tell of it.
    pub fn end(mut self) -> Vec<Operation> {
        self.record.clients.remove(0)
    }

    fn now(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Sends commands, in one write or in two, and no more than so many bytes.
    fn say(&mut self, batch: Vec<Words>, bytes_left: &mut usize) -> Result<(), String> {
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for words in &batch {
            encode(words, &mut bytes);
            ends.push(bytes.len());
        }
        bytes.truncate(*bytes_left);
        *bytes_left -= bytes.len();
        let cut = if self.rng.below(4) == 0 { self.rng.below(bytes.len() as u64 + 1) as usize } else { 0 };
        let mut commands = batch.into_iter().zip(ends).peekable();
        for (from, to) in [(0, cut), (cut, bytes.len())] {
            // No server can run a command before its last byte, so that is when it begins.
            let now = self.now();
            while let Some((words, _)) = commands.next_if(|(_, end)| *end <= to) {
                self.record.invoke(0, words, now);
                self.unanswered += 1;
            }
            let mut socket = self.wire.as_ref().expect("it has not left").socket();
            socket
                .write_all(&bytes[from..to])
                .map_err(|error| format!("the server does not take what is sent: {error}"))?;
            thread::yield_now();
        }
        Ok(())
    }

    /// Reads until everything is answered; or until the server has nothing more to say, by which time everything must be.
    fn hear(&mut self, until_end: bool) -> Result<(), String> {
        let mut buffer = [0; 16 * 1024];
        while until_end || self.unanswered > 0 {
            let wire = self.wire.as_mut().expect("it has not left");
            let read = wire.reader().read(&mut buffer);
            let now = self.now();
            let missing = self.unanswered;
            match read {
                Ok(0) if until_end && missing == 0 => break,
                Ok(0) => return Err(format!("the server closes; {missing} replies are missing")),
                Ok(bytes) => self.received.extend_from_slice(&buffer[..bytes]),
                Err(error) => return Err(format!("{missing} replies do not come: {error}")),
            }
            while let Some(end) = reply_end(&self.received) {
                let reply: Vec<u8> = self.received.drain(..end).collect();
                if !self.record.complete(0, reply.clone(), now) {
                    return Err(format!("unasked, the server says {}", reply.escape_ascii()));
                }
                self.unanswered -= 1;
                self.replies.push(reply);
            }
        }
        Ok(())
    }

    /// Leaves in the middle: with a word and after the last reply, without a word, or by a reset.
    fn leave(&mut self) -> Result<(), String> {
        let manner = self.rng.below(3);
        if manner == 0 {
            self.wire.as_ref().expect("it has not left").finish_sending();
            return self.hear(true);
        }
        thread::sleep(Duration::from_micros(self.rng.below(LEAVE_MICROS_MAX)));
        let wire = self.wire.take().expect("it has not left");
        if manner == 1 {
            wire.socket().set_linger(Some(Duration::ZERO)).expect("a socket that can be reset");
        }
        Ok(())
    }
}

/// Where clients wait for each other, so that they speak at the same time, until they leave.
pub struct Rounds {
    /// How many times they do.
    rounds_max: u64,
    state: Mutex<State>,
    begins: Condvar,
}

struct State {
    clients: usize,
    waiting: usize,
    round: u64,
}

impl Rounds {
    pub fn new(clients: usize, rounds_max: u64) -> Rounds {
        let state = Mutex::new(State { clients, waiting: 0, round: 0 });
        Rounds { rounds_max, state, begins: Condvar::new() }
    }

    fn wait(&self) {
        let mut state = self.state.lock().expect("nobody panics here");
        if state.round == self.rounds_max {
            return;
        }
        state.waiting += 1;
        let round = state.round;
        self.begin_if_all_wait(&mut state);
        drop(self.begins.wait_while(state, |state| state.round == round).expect("nobody panics here"));
    }

    fn begin_if_all_wait(&self, state: &mut State) {
        if state.waiting == state.clients {
            state.waiting = 0;
            state.round += 1;
            self.begins.notify_all();
        }
    }
}

/// The others need not wait for a client that has left, however it left.
struct LeavesRounds<'a>(&'a Rounds);

impl Drop for LeavesRounds<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock().expect("nobody panics here");
        state.clients -= 1;
        self.0.begin_if_all_wait(&mut state);
    }
}
