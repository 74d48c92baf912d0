//! Random conversations of two or three clients with both servers, with transactions and watched keys among their commands.
//! One command, or one pipeline, at a time: nobody speaks before all replies to the last one are there.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use super::exceptions::are_equal_clients;
use super::generator::{Generator, Words, words};
use super::{Pair, SHOWN_MAX, are_equal, seeds, shown};
use crate::harness::Server;
use crate::programs::{Redis, find};
use crate::wire::{Wire, command, content, lossy, parts};

const COMMANDS: usize = 1500;
/// Earlier commands shown with a difference.
const HISTORY_SHOWN_MAX: usize = 24;

/// A key that lives so long, milliseconds, is gone after the pause.
const LIFE_MS_MAX: u64 = 20;
const PAUSE_MS: u64 = 30;
/// A key that lives so long, milliseconds, is still there when it is watched, if both take less than the time given; else nothing is
/// known and nothing compared.
const WATCHED_LIFE_MS: u64 = 60;
const WATCHED_WITHIN_MS: u128 = 40;

#[test]
fn transactions_on_one_shard_are_those_of_redis() {
    compare("transactions_on_one_shard_are_those_of_redis", 1);
}

#[test]
fn transactions_on_three_shards_are_those_of_redis() {
    compare("transactions_on_three_shards_are_those_of_redis", 3);
}

fn compare(test: &str, shards: usize) {
    let Some(program) = find(test, "redis-server") else { return };
    let (redis, server) = (Redis::start(&program), Server::with_shards(shards));
    compare_transactions(&|| server.wire(), &|| redis.wire());
    server.stop();
}

/// Makes a connection to one of the servers.
pub type Connect<'a> = &'a dyn Fn() -> Wire;

fn compare_transactions(ours: Connect<'_>, theirs: Connect<'_>) {
    for seed in seeds() {
        let mut talk = Talk::new(seed, ours, theirs);
        talk.run();
        println!("seed {seed}: {:?}", talk.ends);
        assert!(talk.differences.is_empty(), "seed {seed}:\n{}", talk.differences.join("\n"));
        // Where nothing is executed, or nothing fails, little was compared.
        let is_complete = End::ALL.iter().all(|end| talk.ends.contains_key(end));
        assert!(is_complete, "seed {seed} has no end of some kind: {:?}", talk.ends);
    }
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Executed,
    ExecutedWithKeysWatched,
    WatchedKeyChanged,
    Aborted,
    Discarded,
}

impl End {
    const ALL: [End; 5] =
        [End::Executed, End::ExecutedWithKeysWatched, End::WatchedKeyChanged, End::Aborted, End::Discarded];
}

/// A client of both servers.
struct Client {
    ours: Wire,
    theirs: Wire,
    /// For CLIENT LIST ID.
    our_id: String,
    their_id: String,
    /// The commands that wait for EXEC, while there is a transaction.
    queued: Option<Vec<Words>>,
    is_watching: bool,
}

impl Client {
    fn new(ours: Connect<'_>, theirs: Connect<'_>) -> Client {
        let (mut ours, mut theirs) = (ours(), theirs());
        let id =
            |wire: &mut Wire| String::from_utf8_lossy(content(&wire.call(&[b"CLIENT", b"ID"]))).into_owned();
        Client {
            our_id: id(&mut ours),
            their_id: id(&mut theirs),
            ours,
            theirs,
            queued: None,
            is_watching: false,
        }
    }

    /// The transaction is over, and so is what was watched for it.
    fn forget(&mut self) {
        self.queued = None;
        self.is_watching = false;
    }
}

struct Talk<'a> {
    ours: Connect<'a>,
    theirs: Connect<'a>,
    generator: Generator,
    clients: Vec<Client>,
    /// Asks about the others.
    observer: Client,
    count: usize,
    ends: BTreeMap<End, usize>,
    history: VecDeque<String>,
    differences: Vec<String>,
}

impl<'a> Talk<'a> {
    fn new(seed: u64, ours: Connect<'a>, theirs: Connect<'a>) -> Talk<'a> {
        let mut generator = Generator::with_transactions(seed);
        let clients = (0..2 + generator.below(2)).map(|_| Client::new(ours, theirs)).collect();
        let mut talk = Talk {
            ours,
            theirs,
            generator,
            clients,
            observer: Client::new(ours, theirs),
            count: 0,
            ends: BTreeMap::new(),
            history: VecDeque::new(),
            differences: Vec::new(),
        };
        talk.start_afresh();
        talk
    }

    fn run(&mut self) {
        while self.count < COMMANDS && self.differences.len() < SHOWN_MAX {
            self.turn();
        }
        let (ours, theirs) = ((self.ours)(), (self.theirs)());
        let mut pair = Pair { ours, theirs, asked: Vec::new(), differences: Vec::new() };
        pair.compare_all_keys();
        self.differences.append(&mut pair.differences);
    }

    /// New clients, no keys.
    fn start_afresh(&mut self) {
        self.observer.ours.expect("FLUSHALL", "+OK\r\n");
        self.observer.theirs.expect("FLUSHALL", "+OK\r\n");
        self.clients.iter_mut().for_each(|client| *client = Client::new(self.ours, self.theirs));
        self.history.clear();
    }

    /// One of the clients does something.
    fn turn(&mut self) {
        let who = self.generator.below(self.clients.len() as u64) as usize;
        let is_in_transaction = self.clients[who].queued.is_some();
        match self.generator.below(1000) {
            0..5 => self.leave(who),
            5..8 => self.ask(who, &[words(&["QUIT"])]),
            8..14 if !is_in_transaction => self.let_a_key_expire(who),
            14..18 if !is_in_transaction => self.let_a_watched_key_expire(who),
            18..80 => {
                let transaction = self.whole_transaction();
                self.ask(who, &transaction);
            }
            80..200 => {
                let count = 2 + self.generator.below(5);
                let pipeline: Vec<Words> =
                    (0..count).map(|_| self.generator.command_of_client(is_in_transaction)).collect();
                self.ask(who, &pipeline);
            }
            _ => {
                let command = self.generator.command_of_client(is_in_transaction);
                self.ask(who, &[command]);
            }
        }
        if self.generator.chance(15) {
            self.observe(who);
        }
    }

    /// MULTI to EXEC, to be sent together.
    fn whole_transaction(&mut self) -> Vec<Words> {
        let count = self.generator.below(6);
        let mut commands = vec![words(&["MULTI"])];
        commands.extend((0..count).map(|_| self.generator.queued_command()));
        let end = if self.generator.chance(90) { "EXEC" } else { "DISCARD" };
        commands.push(words(&[end]));
        commands
    }

    /// The client goes without a word, and another one comes.
    fn leave(&mut self, who: usize) {
        self.remember(who, "leaves");
        self.clients[who] = Client::new(self.ours, self.theirs);
    }

    fn let_a_key_expire(&mut self, who: usize) {
        let set = self.generator.short_lived(1, LIFE_MS_MAX);
        self.ask(who, &[set]);
        thread::sleep(Duration::from_millis(PAUSE_MS));
    }

    fn let_a_watched_key_expire(&mut self, who: usize) {
        let set = self.generator.short_lived(WATCHED_LIFE_MS, WATCHED_LIFE_MS);
        let about_key = |name: &[u8]| vec![name.to_vec(), set[1].clone()];
        let (watch, exists) = (about_key(b"WATCH"), about_key(b"EXISTS"));
        let begun = Instant::now();
        self.ask(who, &[set, watch]);
        if begun.elapsed().as_millis() > WATCHED_WITHIN_MS {
            return self.start_afresh();
        }
        thread::sleep(Duration::from_millis(WATCHED_LIFE_MS + PAUSE_MS - LIFE_MS_MAX));
        // Redis shows in CLIENT LIST that the key is gone once somebody has found it so, and nobody knows when it does itself.
        self.ask(who, &[exists]);
    }

    /// Sends commands together and compares the replies.
    fn ask(&mut self, who: usize, commands: &[Words]) {
        let bytes = |words: &Words| command(&words.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let sent: Vec<u8> = commands.iter().flat_map(bytes).collect();
        let client = &mut self.clients[who];
        client.ours.send(&sent);
        client.theirs.send(&sent);
        let mut has_difference = false;
        for words in commands {
            self.count += 1;
            self.remember(who, &shown(words));
            let client = &mut self.clients[who];
            let (ours, theirs) = (client.ours.reply(), client.theirs.reply());
            let are_equal = are_equal_with_queued(words, client.queued.as_deref(), &ours, &theirs);
            if !are_equal && !has_difference {
                has_difference = true;
                self.note(&words[0], &ours, &theirs);
            }
            self.follow(who, words, &theirs);
        }
        if has_difference {
            self.start_afresh();
        }
    }

    /// What a reply says about the client's transaction.
    fn follow(&mut self, who: usize, words: &Words, reply: &[u8]) {
        let client = &mut self.clients[who];
        let name = words[0].to_ascii_uppercase();
        match (name.as_slice(), reply) {
            (_, b"+QUEUED\r\n") => client.queued.as_mut().expect("a transaction").push(words.clone()),
            (b"MULTI", b"+OK\r\n") => client.queued = Some(Vec::new()),
            (b"WATCH", b"+OK\r\n") => {
                client.is_watching = true;
                self.generator.favour(&words[1..]);
            }
            (b"UNWATCH", b"+OK\r\n") => client.is_watching = false,
            (b"DISCARD", b"+OK\r\n") => self.end(who, End::Discarded),
            // Whatever it replies.
            (b"EXEC", _) if client.queued.is_some() => {
                let end = match reply {
                    b"*-1\r\n" | b"_\r\n" => End::WatchedKeyChanged,
                    [b'-', ..] => End::Aborted,
                    _ if client.is_watching => End::ExecutedWithKeysWatched,
                    _ => End::Executed,
                };
                self.end(who, end);
            }
            (b"RESET", b"+RESET\r\n") => client.forget(),
            (b"QUIT", b"+OK\r\n") => {
                let rest = (client.ours.read_to_end(), client.theirs.read_to_end());
                assert_eq!(rest, (Vec::new(), Vec::new()), "after QUIT nothing comes but the end");
                *client = Client::new(self.ours, self.theirs);
            }
            _ => {}
        }
    }

    fn end(&mut self, who: usize, end: End) {
        self.clients[who].forget();
        *self.ends.entry(end).or_default() += 1;
    }

    /// Compares what CLIENT LIST says about a client.
    fn observe(&mut self, who: usize) {
        let client = &self.clients[who];
        let ask = |wire: &mut Wire, id: &str| wire.call(&[b"CLIENT", b"LIST", b"ID", id.as_bytes()]);
        let ours = ask(&mut self.observer.ours, &client.our_id);
        let theirs = ask(&mut self.observer.theirs, &client.their_id);
        if !are_equal_clients(&ours, &theirs) {
            self.remember(who, "is looked at");
            self.note(b"CLIENT LIST", &ours, &theirs);
            self.start_afresh();
        }
    }

    fn remember(&mut self, who: usize, what: &str) {
        if self.history.len() == HISTORY_SHOWN_MAX {
            self.history.pop_front();
        }
        let name = ["a", "b", "c"][who];
        self.history.push_back(format!("{name}: {what}"));
    }

    /// Records that the last command was answered differently, unless one of its name was already.
    fn note(&mut self, name: &[u8], ours: &[u8], theirs: &[u8]) {
        let heading = format!("{} differs", String::from_utf8_lossy(name).to_ascii_uppercase());
        if self.differences.iter().any(|difference| difference.starts_with(&heading)) {
            return;
        }
        let mut text = format!("{heading}, command {}\n", self.count);
        let _ = writeln!(text, "  corevault: {}\n  redis:     {}", lossy(ours), lossy(theirs));
        for line in &self.history {
            let _ = writeln!(text, "    {line}");
        }
        self.differences.push(text);
    }
}

/// A reply that never comes ends the test where it is awaited.
impl Drop for Talk<'_> {
    fn drop(&mut self) {
        if thread::panicking() && self.differences.is_empty() {
            let history = self.history.make_contiguous().join("\n    ");
            eprintln!("said last:\n    {history}");
        }
    }
}

/// As `are_equal`. The reply to an EXEC that executes is compared part by part, each as the reply to its command.
pub fn are_equal_with_queued(words: &Words, queued: Option<&[Words]>, ours: &[u8], theirs: &[u8]) -> bool {
    let is_executed = |reply: &[u8], queued: &[Words]| reply[0] == b'*' && parts(reply).len() == queued.len();
    match queued {
        Some(queued)
            if words[0].eq_ignore_ascii_case(b"EXEC")
                && is_executed(ours, queued)
                && is_executed(theirs, queued) =>
        {
            let both = parts(ours).into_iter().zip(parts(theirs));
            queued.iter().zip(both).all(|(words, (ours, theirs))| are_equal(words, ours, theirs))
        }
        _ => are_equal(words, ours, theirs),
    }
}
