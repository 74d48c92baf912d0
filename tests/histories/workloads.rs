//! What clients that share a few keys do: for a seed, a plan for each client. A plan is a conversation: what comes next may
//! depend on what was replied. Never sends anything: `next` says what to write, whoever calls it does, and calls again when all
//! replies are there.

use std::collections::VecDeque;
use std::sync::Arc;

use corevault::base::rng::Rng;

use super::model::Words;

/// What the clients of a run have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// Transfers between accounts, and readers of all balances.
    Bank,
    /// Values that grow inside transactions, which read other keys too.
    Lists,
    /// Compare-and-set with WATCH, and writers who disturb it.
    Registers,
    /// Writes and reads of several keys by one command.
    Pairs,
    /// Keys that change their names, and who looks for them.
    Renames,
    /// All keys at once, and some.
    Flushes,
    /// Pipelines over several keys, and readers who look in the other order.
    Pipelines,
    /// Everything, with many clients who leave in the middle.
    Mixture,
}

impl Workload {
    /// All of them.
    pub const ALL: [Workload; 8] = [
        Workload::Bank,
        Workload::Lists,
        Workload::Registers,
        Workload::Pairs,
        Workload::Renames,
        Workload::Flushes,
        Workload::Pipelines,
        Workload::Mixture,
    ];
}

/// Who does what in a run.
pub struct Plan {
    /// The keys that will be used.
    pub keys: Vec<Vec<u8>>,
    /// What is done before the clients come.
    pub setup: Vec<Words>,
    pub clients: Vec<Client>,
}

impl Plan {
    /// The plan of a seed's generator.
    pub fn new(workload: Workload, rng: &mut Rng) -> Plan {
        let count = match workload {
            Workload::Bank => 3 + rng.below(3),
            Workload::Registers => 1 + rng.below(2),
            _ => 2 + rng.below(4),
        };
        let keys: Arc<[Vec<u8>]> = (0..count).map(|n| key(rng, n)).collect();
        let every = |value: &str| -> Words {
            let pairs = keys.iter().flat_map(|key| [key.clone(), value.into()]);
            [b"MSET".to_vec()].into_iter().chain(pairs).collect()
        };
        let setup = match workload {
            Workload::Bank => vec![every("10")],
            Workload::Renames => vec![words(&["SET"], &[&keys[0], b"first"])],
            Workload::Mixture if rng.below(2) == 0 => vec![every("10")],
            _ => Vec::new(),
        };
        let count = 3 + rng.below(3) as usize;
        let clients = (0..count).map(|n| Client::new(workload, rng, &keys, n)).collect();
        Plan { keys: keys.to_vec(), setup, clients }
    }
}

/// A client and what it has in mind. Can be sent to a thread of its own.
pub struct Client {
    workload: Workload,
    /// Half of the clients mostly write, half mostly read.
    writes: bool,
    rng: Rng,
    keys: Arc<[Vec<u8>]>,
    /// Begins the values it writes, so that readers can tell whose they are.
    name: char,
    written: u32,
    steps_left: u64,
    batches: VecDeque<Vec<Words>>,
    /// The key that the last batch reads, to be written with the next number.
    raises: Option<Vec<u8>>,
    /// It leaves, without a word, when it has written so many bytes; if it ever comes to that.
    pub vanishes_after: Option<usize>,
}

impl Client {
    fn new(workload: Workload, rng: &mut Rng, keys: &Arc<[Vec<u8>]>, n: usize) -> Client {
        let vanishes = rng.below(100) < if workload == Workload::Mixture { 40 } else { 10 };
        let vanishes_after = vanishes.then(|| 1 + rng.below(500) as usize);
        let mut client = Client {
            workload,
            writes: n.is_multiple_of(2),
            rng: Rng::new(rng.next_u64()),
            keys: keys.clone(),
            name: char::from(b'a' + n as u8),
            written: 0,
            steps_left: 1 + rng.below(3),
            batches: VecDeque::new(),
            raises: None,
            vanishes_after,
        };
        if matches!(workload, Workload::Flushes | Workload::Mixture) && rng.below(5) == 0 {
            client.batches.push_back(vec![words(&["SELECT", "1"], &[])]);
        }
        client
    }

    /// What the client writes at once, after all replies so far; `None` when it has nothing more to say.
    pub fn next(&mut self, replies: &[Vec<u8>]) -> Option<Vec<Words>> {
        loop {
            if let Some(batch) = self.batches.pop_front() {
                return Some(batch);
            }
            if let Some(key) = self.raises.take() {
                let next = replies.last().map_or(0, |reply| bulk_number(reply)) + 1;
                self.transaction(vec![words(&["SET"], &[&key, next.to_string().as_bytes()])]);
            } else if self.steps_left > 0 {
                self.steps_left -= 1;
                self.step(self.workload);
            } else {
                return None;
            }
        }
    }

    fn step(&mut self, workload: Workload) {
        match workload {
            Workload::Bank => self.bank(),
            Workload::Lists => self.lists(),
            Workload::Registers => self.registers(),
            Workload::Pairs => self.pipeline(3, Client::pairs),
            Workload::Renames => self.pipeline(3, Client::renames),
            Workload::Flushes => self.pipeline(3, Client::flushes),
            Workload::Pipelines => self.ordered(),
            Workload::Mixture => {
                let others = &Workload::ALL[..Workload::ALL.len() - 1];
                let other = others[self.rng.below(others.len() as u64) as usize];
                self.step(other);
            }
        }
    }

    /// A transfer, or a look at all accounts.
    fn bank(&mut self) {
        if self.writes {
            let amount = (1 + self.rng.below(9)).to_string();
            let (from, to) = self.two_keys();
            let take = words(&["DECRBY"], &[&from, amount.as_bytes()]);
            let give = words(&["INCRBY"], &[&to, amount.as_bytes()]);
            self.transaction(vec![take, give]);
        } else if self.rng.below(2) == 0 {
            let all = self.all_keys("MGET");
            self.batches.push_back(vec![all]);
        } else {
            let keys = self.keys.clone();
            self.transaction(keys.iter().take(4).map(|key| words(&["GET"], &[key])).collect());
        }
    }

    fn lists(&mut self) {
        let commands = (0..2 + self.rng.below(3)).map(|_| self.append_or_get()).collect();
        if self.rng.below(4) == 0 {
            self.batches.push_back(commands);
        } else {
            self.transaction(commands);
        }
    }

    fn append_or_get(&mut self) -> Words {
        let key = self.key();
        match self.rng.below(2) {
            0 => words(&["APPEND"], &[&key, self.value().as_bytes()]),
            _ => words(&["GET"], &[&key]),
        }
    }

    fn registers(&mut self) {
        let key = self.key();
        if self.rng.below(if self.writes { 4 } else { 2 }) > 0 {
            let watches =
                if self.rng.below(4) == 0 { self.all_keys("WATCH") } else { words(&["WATCH"], &[&key]) };
            let reads = words(&["GET"], &[&key]);
            if self.rng.below(2) == 0 {
                self.batches.push_back(vec![watches, reads]);
            } else {
                self.batches.extend([vec![watches], vec![reads]]);
            }
            if self.rng.below(10) == 0 {
                self.batches.push_back(vec![words(&["UNWATCH"], &[]), words(&["GET"], &[&key])]);
            }
            self.raises = Some(key);
            return;
        }
        let number = (100 + self.rng.below(900)).to_string();
        let command = match self.rng.below(5) {
            0 => words(&["SET"], &[&key, number.as_bytes()]),
            1 => words(&["INCR"], &[&key]),
            2 => words(&["DEL"], &[&key]),
            3 => self.all_keys("MGET"),
            _ => words(&["GET"], &[&key]),
        };
        self.batches.push_back(vec![command]);
    }

    fn pairs(&mut self) -> Words {
        match (self.writes, self.rng.below(6)) {
            (true, 0..=2) | (false, 0) => self.write_several("MSET"),
            (true, 3) | (false, 1) => self.write_several("MSETNX"),
            (true, 4) => self.several_keys("DEL"),
            (_, 5) => self.several_keys("EXISTS"),
            _ => self.several_keys("MGET"),
        }
    }

    fn renames(&mut self) -> Words {
        let (from, to) = self.two_keys();
        match (self.writes, self.rng.below(8)) {
            (true, 0..=2) | (false, 0) => words(&["RENAME"], &[&from, &to]),
            (true, 3) => words(&["RENAMENX"], &[&from, &to]),
            (true, 4) => words(&["COPY"], &[&from, &to]),
            (true, 5) => words(&["COPY"], &[&from, &to, b"REPLACE"]),
            (_, 6) => words(&["SET"], &[&from, self.value().as_bytes()]),
            (false, 1) => words(&["GET"], &[&from]),
            (_, 7) => self.all_keys("EXISTS"),
            _ => self.all_keys("MGET"),
        }
    }

    fn flushes(&mut self) -> Words {
        match self.rng.below(7) {
            0 if self.writes => words(&["FLUSHALL"], &[]),
            1 => words(&["DBSIZE"], &[]),
            2 | 3 => self.write_several("MSET"),
            4 => {
                let key = self.key();
                words(&["SET"], &[&key, self.value().as_bytes()])
            }
            _ => self.all_keys("MGET"),
        }
    }

    /// Commands of one key each over several keys; who reads looks at them in the other order.
    fn ordered(&mut self) {
        let mut keys: Vec<Vec<u8>> = self.keys.to_vec();
        if !self.writes {
            keys.reverse();
        }
        let count = 2 + self.rng.below(5) as usize;
        let first = self.rng.below(keys.len() as u64) as usize;
        let mut batch = Vec::new();
        for key in keys.iter().cycle().skip(first).take(count) {
            let command = match (self.writes, self.rng.below(8)) {
                (true, 0..=3) => words(&["SET"], &[key, self.value().as_bytes()]),
                (true, 4) => words(&["APPEND"], &[key, self.value().as_bytes()]),
                (true, 5) => words(&["DEL"], &[key]),
                (false, 0) => self.all_keys("MGET"),
                _ => words(&["GET"], &[key]),
            };
            batch.push(command);
        }
        self.batches.push_back(batch);
    }

    /// One to `commands_max` commands at once.
    fn pipeline(&mut self, commands_max: u64, mut command: impl FnMut(&mut Client) -> Words) {
        let batch = (0..1 + self.rng.below(commands_max)).map(|_| command(self)).collect();
        self.batches.push_back(batch);
    }

    /// The commands as a transaction: in one write or in several, and seldom taken back.
    fn transaction(&mut self, commands: Vec<Words>) {
        let end = if self.rng.below(12) == 0 { "DISCARD" } else { "EXEC" };
        let mut whole = vec![words(&["MULTI"], &[])];
        whole.extend(commands);
        whole.push(words(&[end], &[]));
        if self.rng.below(3) == 0 {
            let rest = whole.split_off(1 + self.rng.below(whole.len() as u64 - 1) as usize);
            self.batches.extend([whole, rest]);
        } else {
            self.batches.push_back(whole);
        }
    }

    fn key(&mut self) -> Vec<u8> {
        self.keys[self.rng.below(self.keys.len() as u64) as usize].clone()
    }

    /// Two different keys, if there are two.
    fn two_keys(&mut self) -> (Vec<u8>, Vec<u8>) {
        let count = self.keys.len() as u64;
        let first = self.rng.below(count);
        let second = (first + 1 + self.rng.below(count.saturating_sub(1).max(1))) % count;
        (self.keys[first as usize].clone(), self.keys[second as usize].clone())
    }

    fn all_keys(&self, command: &str) -> Words {
        [command.as_bytes().to_vec()].into_iter().chain(self.keys.iter().cloned()).collect()
    }

    /// Two to four different keys in any order.
    fn some_keys(&mut self) -> Vec<Vec<u8>> {
        let mut keys = self.keys.to_vec();
        for n in (1..keys.len()).rev() {
            keys.swap(n, self.rng.below(n as u64 + 1) as usize);
        }
        keys.truncate(2 + self.rng.below(3) as usize);
        keys
    }

    fn several_keys(&mut self, command: &str) -> Words {
        [command.as_bytes().to_vec()].into_iter().chain(self.some_keys()).collect()
    }

    fn write_several(&mut self, command: &str) -> Words {
        let value = self.value().into_bytes();
        let pairs = self.some_keys().into_iter().flat_map(|key| [key, value.clone()]);
        [command.as_bytes().to_vec()].into_iter().chain(pairs).collect()
    }

    /// A value that nobody has written before.
    fn value(&mut self) -> String {
        self.written += 1;
        format!("{}{}", self.name, self.written)
    }
}

/// A key's name: anywhere, or in the slot that some keys of every run share.
fn key(rng: &mut Rng, n: u64) -> Vec<u8> {
    match rng.below(4) {
        0 => format!("{{t}}{n}").into_bytes(),
        _ => format!("k{n}{}", rng.below(1000)).into_bytes(),
    }
}

fn words(texts: &[&str], values: &[&[u8]]) -> Words {
    texts.iter().map(|text| text.as_bytes()).chain(values.iter().copied()).map(<[u8]>::to_vec).collect()
}

/// The number in a bulk reply; 0 for anything else.
fn bulk_number(reply: &[u8]) -> i64 {
    let text = String::from_utf8_lossy(reply);
    text.lines().nth(1).and_then(|digits| digits.parse().ok()).unwrap_or(0)
}
