//! Who sends what to a process that will crash, and what they were told.
//!
//! A client with databases of its own writes there what nobody else touches, so it knows what must be there. Clients that share keys move
//! things between them in transactions, so that nothing is made or lost, and count upwards, so that whoever has seen a number knows that
//! there were as many. One client has the data saved.

use corevault::base::rng::Rng;

use crate::cluster::Cluster;
use crate::histories::history::{encode, reply_end};
use crate::oracle::Oracle;
use crate::script::{Command, words};
use crate::seeds::Verdict;
use crate::socket::Behaviour;
use crate::workloads::crash::record::Past;

/// The database of shared keys.
pub const SHARED_DB: usize = 15;
pub const COUNTERS: usize = 4;
pub const ACCOUNTS: u64 = 5;
/// Databases that each client has for itself.
pub const DBS_EACH: usize = 2;

/// What all lives of a run have in common.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// Clients with databases of their own.
    pub owners: usize,
    /// Clients that share keys.
    pub sharers: usize,
    /// One client may touch all databases: it is alone.
    pub is_alone: bool,
    /// The disk fails now and then.
    pub is_faulty: bool,
    pub saves: bool,
    /// Files are filled with zeros ahead.
    pub fills: bool,
    pub rewrite_bytes_min: u64,
    commands: u64,
}

impl Habits {
    pub fn any(rng: &mut Rng) -> Habits {
        let is_alone = rng.below(6) == 0;
        Habits {
            owners: if is_alone { 1 } else { rng.below(4) as usize },
            sharers: if is_alone { 0 } else { 1 + rng.below(4) as usize },
            is_alone,
            is_faulty: rng.below(3) == 0,
            saves: rng.below(3) > 0,
            fills: rng.below(8) == 0,
            rewrite_bytes_min: [u64::MAX, 2000, 20_000][rng.below(3) as usize],
            commands: [5, 20, 60][rng.below(3) as usize],
        }
    }
}

/// What a client is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Owns the databases from this one on.
    Owner(usize),
    Sharer,
    Saver,
}

/// One client and its conversation.
pub struct Client {
    role: Role,
    socket: usize,
    /// All that it will say.
    commands: Vec<Command>,
    /// How many it has said, and how many it says before it waits for all replies.
    said: usize,
    batch: usize,
    /// Where in its input each of them ends.
    ends: Vec<usize>,
    heard: usize,
    pub replies: Vec<Vec<u8>>,
    /// How many have reached the process.
    sent: usize,
}

/// All clients of a life.
pub struct Clients(Vec<Client>);

impl Clients {
    /// They connect.
    pub fn enter(
        cluster: &mut Cluster,
        rng: &mut Rng,
        habits: Habits,
        past: &mut Past,
        values: &mut u64,
    ) -> Result<Clients, String> {
        let mut roles: Vec<Role> = (0..habits.owners).map(|n| Role::Owner(DBS_EACH * n)).collect();
        roles.extend((0..habits.sharers).map(|_| Role::Sharer));
        roles.extend(habits.saves.then_some(Role::Saver));
        let mut clients = Vec::new();
        let mut is_set_up = habits.sharers == 0 || {
            let mut oracle = Oracle::over(past.keys(), 1);
            let onlooker = oracle.onlooker(SHARED_DB);
            oracle.ask(onlooker, &words("EXISTS ready")) == b":1\r\n"
        };
        for role in roles {
            let mut commands = match role {
                Role::Owner(db) => vec![words(&format!("SELECT {db}"))],
                Role::Sharer => vec![words(&format!("SELECT {SHARED_DB}"))],
                Role::Saver => Vec::new(),
            };
            if role == Role::Sharer && !is_set_up {
                is_set_up = true;
                commands.extend(set_up());
            }
            let count = 1 + rng.below(habits.commands);
            for _ in 0..count {
                match role {
                    Role::Owner(db) => own(rng, db, habits.is_alone, values, &mut commands),
                    Role::Sharer => shared(rng, &mut commands),
                    Role::Saver => commands.push(words(save(rng))),
                }
            }
            if role == Role::Saver {
                commands.truncate(1 + rng.below(8) as usize);
            }
            // Whoever must know what was refused waits for each reply.
            let batch = if habits.is_faulty { 1 } else { [1, 5, usize::MAX][rng.below(3) as usize] };
            let shard = rng.below(cluster.shards.len() as u64) as usize;
            let socket = cluster.connect(shard, Behaviour::conversing());
            let (said, ends, heard, replies, sent) = (0, Vec::new(), 0, Vec::new(), 0);
            clients.push(Client { role, socket, commands, said, batch, ends, heard, replies, sent });
        }
        let mut clients = Clients(clients);
        clients.listen(cluster, rng)?;
        Ok(clients)
    }

    /// Notes what each has been told, and lets those speak who have heard everything.
    pub fn listen(&mut self, cluster: &mut Cluster, rng: &mut Rng) -> Verdict {
        for client in &mut self.0 {
            let socket = &mut cluster.sockets[client.socket];
            while let Some(bytes) = reply_end(&socket.received[client.heard..]) {
                client.replies.push(socket.received[client.heard..client.heard + bytes].to_vec());
                client.heard += bytes;
            }
            if client.replies.len() > client.said {
                return Err("a client is told something unasked".into());
            }
            if client.replies.len() < client.said || !socket.behaviour.says_more {
                continue;
            }
            let rest = client.commands.len() - client.said;
            if rest == 0 {
                socket.behaviour.says_more = false;
                continue;
            }
            let count = rest.min(1 + rng.below(client.batch.min(rest) as u64) as usize);
            for command in &client.commands[client.said..client.said + count] {
                encode(command, &mut socket.behaviour.input);
                client.ends.push(socket.behaviour.input.len());
            }
            client.said += count;
        }
        Ok(())
    }

    pub fn all_answered(&self, cluster: &Cluster) -> Verdict {
        match self.0.iter().find(|client| client.replies.len() < client.commands.len()) {
            None => Ok(()),
            Some(client) => Err(format!(
                "a client ({:?}, socket {} on shard {} of {}) waits for ever: it has {} of {} replies, the next to {}",
                client.role,
                client.socket,
                cluster.sockets[client.socket].shard,
                cluster.shards.len(),
                client.replies.len(),
                client.said,
                client.commands[client.replies.len()].join(&b' ').escape_ascii(),
            )),
        }
    }

    /// The process has ended: what of the clients' words has reached it is known.
    pub fn conclude(&mut self, cluster: &Cluster) -> Verdict {
        for client in &mut self.0 {
            let delivered = cluster.sockets[client.socket].delivered;
            client.sent = client.ends.partition_point(|&end| end <= delivered);
        }
        Ok(())
    }

    /// The clients with databases of their own, and the first of these.
    pub fn owners(&self) -> impl Iterator<Item = (usize, &Client)> {
        self.0.iter().filter_map(|client| match client.role {
            Role::Owner(db) => Some((db, client)),
            _ => None,
        })
    }

    /// The largest number of each counter that anybody was told.
    pub fn counters_seen(&self) -> [i64; COUNTERS] {
        let mut seen = [0; COUNTERS];
        for client in self.0.iter().filter(|client| client.role == Role::Sharer) {
            for (command, reply) in client.commands.iter().zip(&client.replies) {
                let name = |word: &Vec<u8>| {
                    let name = std::str::from_utf8(word).ok()?.strip_prefix("count")?;
                    name.parse::<usize>().ok()
                };
                let counters: Vec<usize> = command.iter().filter_map(name).collect();
                let numbers = match reply[0] {
                    b'-' => Vec::new(),
                    // A queued command has no number yet.
                    b'+' => Vec::new(),
                    _ => numbers(reply),
                };
                for (counter, number) in counters.into_iter().zip(numbers) {
                    seen[counter] = seen[counter].max(number);
                }
            }
        }
        seen
    }
}

impl Client {
    /// What it said that reached the process, with the replies that came back.
    pub fn heard(&self) -> impl Iterator<Item = (&Command, Option<&Vec<u8>>)> {
        let replies = self.replies.iter().map(Some).chain(std::iter::repeat(None));
        self.commands[..self.sent].iter().zip(replies)
    }
}

/// The numbers in a reply: those of an array, or the one; 0 for nil.
fn numbers(reply: &[u8]) -> Vec<i64> {
    let text = String::from_utf8_lossy(reply);
    let mut lines = text.split("\r\n");
    let mut numbers = Vec::new();
    while let Some(line) = lines.next() {
        match line.as_bytes().first() {
            Some(b':') => numbers.extend(line[1..].parse::<i64>()),
            Some(b'$') if line == "$-1" => numbers.push(0),
            Some(b'$') => numbers.extend(lines.next().and_then(|line| line.parse::<i64>().ok())),
            _ => {}
        }
    }
    numbers
}

fn save(rng: &mut Rng) -> &'static str {
    ["BGSAVE", "BGREWRITEAOF", "BGSAVE SCHEDULE", "SAVE", "DBSIZE", "WAITAOF 1 0 50", "INFO persistence"]
        [rng.below(7) as usize]
}

fn set_up() -> Vec<Command> {
    ["MULTI", "SADD tokens0 a b c d e", "RPUSH queue0 1 2 3 4 5 6", "SET ready 1", "SET crown here", "EXEC"]
        .map(words)
        .to_vec()
}

fn shared(rng: &mut Rng, commands: &mut Vec<Command>) {
    let mut below = |n| rng.below(n);
    let line = match below(12) {
        0..=2 => format!("INCR count{}", below(COUNTERS as u64)),
        3 => format!("GET count{}", below(COUNTERS as u64)),
        4 => "MGET count3 count1 count0 count2".to_owned(),
        5 => format!(
            "SMOVE tokens{} tokens{} {}",
            below(3),
            below(3),
            ["a", "b", "c", "d", "e"][below(5) as usize]
        ),
        6 => format!("LMOVE queue{} queue{} LEFT RIGHT", below(3), below(3)),
        7 => format!("RPOPLPUSH queue{} queue{}", below(3), below(3)),
        8 => {
            let (from, to, sum) = (below(ACCOUNTS), below(ACCOUNTS), below(100));
            commands.push(words("MULTI"));
            commands.push(words(&format!("INCRBY account{from} {sum}")));
            if below(3) == 0 {
                commands.push(words(&format!("SMOVE tokens{} tokens{} c", below(3), below(3))));
            }
            commands.push(words(&format!("DECRBY account{to} {sum}")));
            "EXEC".to_owned()
        }
        9 => {
            // A pair that always agrees.
            let n = below(1_000_000);
            format!("MSET twin0 {n} twin1 {n} twin2 {n}")
        }
        10 => format!(
            "RENAME crown{} crown{}",
            ["", "1", "2"][below(3) as usize],
            ["", "1", "2"][below(3) as usize]
        ),
        _ => format!("MGET account0 count{} account1", below(COUNTERS as u64)).replace("account0 ", ""),
    };
    commands.push(words(&line));
}

/// A command of a client with databases of its own, or a transaction.
fn own(rng: &mut Rng, db: usize, is_alone: bool, values: &mut u64, commands: &mut Vec<Command>) {
    if rng.below(6) > 0 {
        let line = own_line(rng, db, is_alone, values);
        return commands.push(words(&line));
    }
    commands.push(words("MULTI"));
    for _ in 0..1 + rng.below(4) {
        let line = own_line(rng, db, is_alone, values);
        commands.push(words(&line));
    }
    commands.push(words(if rng.below(8) == 0 { "DISCARD" } else { "EXEC" }));
}

fn own_line(rng: &mut Rng, db: usize, is_alone: bool, values: &mut u64) -> String {
    *values += 1;
    let value = match rng.below(12) {
        0 => format!("v{values}{}", "x".repeat(3000)),
        _ => format!("v{values}"),
    };
    let mut below = |n| rng.below(n);
    let (s, t, l, h, z) = (below(STRINGS), below(3), below(3), below(2), below(2));
    let (s2, t2, l2, z2) = (below(STRINGS), below(3), below(3), below(2));
    let member = ["m1", "m2", "m3", "m4"][below(4) as usize];
    match below(40) {
        0..=7 => format!("SET s{s} {value}"),
        8 => format!("APPEND s{s} {value}"),
        9..=12 => format!("MSET s{s} {value} s{s2} {value}b s{} {value}c", below(STRINGS)),
        13 => format!("DEL s{s} s{s2} t{t}"),
        14..=16 => format!("RENAME s{s} s{s2}"),
        17 => format!("RENAME t{t} t{t2}"),
        18 => format!("COPY s{s} s{s2} REPLACE"),
        19 => format!("COPY l{l} l{l2} DB {} REPLACE", db + below(2) as usize),
        20..=21 => format!("SADD t{t} {member} {value}"),
        22..=23 => format!("SMOVE t{t} t{t2} {member}"),
        24 => format!("SUNIONSTORE t{t} t{t2} t{}", below(3)),
        25..=26 => format!("RPUSH l{l} {value}"),
        27..=28 => format!("LMOVE l{l} l{l2} LEFT RIGHT"),
        29 => format!("HSET h{h} {member} {value}"),
        30 => format!("ZADD z{z} {values} {value}"),
        31 => format!("ZUNIONSTORE z{z} 2 z{z2} t{t}"),
        32 => format!("MSETNX s{s} {value} s{s2} {value}d"),
        33 => format!("SETRANGE s{s} {} {value}", below(20)),
        34 => format!("MOVE s{s} {}", db + below(2) as usize),
        35 => format!("SELECT {}", db + below(2) as usize),
        36 if below(3) == 0 => "FLUSHDB".to_owned(),
        37 if below(2) == 0 => format!("SWAPDB {db} {}", db + 1),
        38 if is_alone && below(2) == 0 => "FLUSHALL".to_owned(),
        36..=37 => format!("MGET s{s} s{s2}"),
        _ => format!("GET s{s}"),
    }
}

const STRINGS: u64 = 8;

/// All keys that `own` may write.
pub fn own_keys() -> Vec<String> {
    let names = [("s", STRINGS), ("t", 3), ("l", 3), ("h", 2), ("z", 2)];
    names.iter().flat_map(|(name, count)| (0..*count).map(move |n| format!("{name}{n}"))).collect()
}
