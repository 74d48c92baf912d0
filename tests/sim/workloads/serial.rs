//! Clients that share keys, on several shards: what each was told must have one explanation, an order of all commands that respects
//! real time and every client's own order. Afterwards nothing is left behind: whoever stays has all replies, and from every
//! shard every key can be written.

use std::cell::Cell;
use std::collections::VecDeque;

use corevault::base::rng::Rng;
use corevault::shard::Fault;

use crate::cluster::Cluster;
use crate::histories::checker::{self, check};
use crate::histories::history::{History, encode, reply_end};
use crate::histories::model::Words;
use crate::histories::workloads::{Client, Plan, Workload};
use crate::scheduler;
use crate::seeds::Verdict;
use crate::socket::Behaviour;
use crate::workloads::{all_finished, config};

/// Commands that the search for an explanation may try.
const STEPS_MAX: usize = 300_000;

/// Runs whose history was too hard to explain or to refute. They prove nothing.
#[derive(Default)]
pub struct Tally {
    runs: Cell<u64>,
    unknown: Cell<u64>,
}

impl Tally {
    /// Fails when more than one run in a hundred proved nothing.
    pub fn conclude(&self, workload: Workload) {
        let (runs, unknown) = (self.runs.get(), self.unknown.get());
        println!("{workload:?}: {runs} histories, {unknown} of them neither explained nor refuted");
        assert!(unknown * 100 <= runs, "{unknown} of {runs} histories of {workload:?} prove nothing");
    }
}

/// A run on so many shards, or on one to eight.
pub fn run(
    seed: u64,
    workload: Workload,
    shards: Option<usize>,
    fault: Option<Fault>,
    tally: &Tally,
) -> Verdict {
    let mut rng = Rng::new(seed);
    let (any, config) = (1 + rng.below(8) as usize, config(&mut rng));
    let shards = shards.unwrap_or(any);
    let mut cluster = Cluster::new(shards, &config, &mut rng, None);
    if let Some(fault) = fault {
        cluster.shards.iter_mut().for_each(|shard| shard.plant(fault));
    }
    let plan = Plan::new(workload, &mut rng);
    let mut stage = Stage::new(plan.clients.len() + 1);

    // Client 0 prepares, and looks at the end.
    let whole = |words: Vec<Words>| Speaker::Once(Some(words));
    stage.enter(&mut cluster, &mut rng, 0, whole(plan.setup));
    stage.play(&mut cluster, &mut rng)?;
    for (n, client) in plan.clients.into_iter().enumerate() {
        stage.enter(&mut cluster, &mut rng, n + 1, Speaker::Client(client));
    }
    stage.play(&mut cluster, &mut rng)?;
    let command = |name: &[u8]| vec![name.to_vec()];
    let reads = [command(b"MGET"), plan.keys.clone()].concat();
    let look = vec![reads.clone(), command(b"DBSIZE"), vec![b"SELECT".to_vec(), b"1".to_vec()], reads];
    stage.enter(&mut cluster, &mut rng, 0, whole(look));
    stage.play(&mut cluster, &mut rng)?;
    // What never came back would be excused as a client that left: it is not.
    stage.all_answered(&cluster)?;
    tally.runs.set(tally.runs.get() + 1);
    match check(&stage.history, STEPS_MAX) {
        checker::Verdict::Serialisable => {}
        checker::Verdict::Violation(why) => return Err(format!("{workload:?} on {shards} shards: {why}")),
        checker::Verdict::Unknown => tally.unknown.set(tally.unknown.get() + 1),
    }
    nothing_is_left(&mut cluster, &mut rng, &plan.keys)
}

/// From every shard at once: writes every key alone, all together, and empties the store.
fn nothing_is_left(cluster: &mut Cluster, rng: &mut Rng, keys: &[Vec<u8>]) -> Verdict {
    let first = cluster.sockets.len();
    let pair = |key: &Vec<u8>| [key.clone(), b"probe".to_vec()];
    let mset: Words = [b"MSET".to_vec()].into_iter().chain(keys.iter().flat_map(pair)).collect();
    let mut commands: Vec<Words> =
        keys.iter().map(|key| [vec![b"SET".to_vec()], pair(key).to_vec()].concat()).collect();
    commands.extend([mset, vec![b"FLUSHALL".to_vec()]]);
    let mut input = Vec::new();
    commands.iter().for_each(|words| encode(words, &mut input));
    for shard in 0..cluster.shards.len() {
        cluster.connect(shard, Behaviour::new(input.clone()));
    }
    scheduler::run(cluster, rng, |_, _| Ok(()))?;
    all_finished(cluster)?;
    let expected = b"+OK\r\n".repeat(commands.len());
    match cluster.sockets[first..].iter().find(|socket| socket.received != expected) {
        None => Ok(()),
        Some(socket) => Err(format!(
            "a client that comes to shard {} afterwards is told {} instead of {} times OK",
            socket.shard,
            socket.received.escape_ascii(),
            commands.len()
        )),
    }
}

/// Who decides what a client says.
enum Speaker {
    /// Says it all at once.
    Once(Option<Vec<Words>>),
    Client(Client),
}

impl Speaker {
    fn next(&mut self, replies: &[Vec<u8>]) -> Option<Vec<Words>> {
        match self {
            Speaker::Once(words) => words.take(),
            Speaker::Client(client) => client.next(replies),
        }
    }
}

/// A client's conversation over its socket.
struct Conversation {
    number: usize,
    socket: usize,
    speaker: Speaker,
    /// Commands said whose last byte has not arrived, and where that is in the input.
    said: VecDeque<(usize, Words)>,
    /// Commands said and not answered.
    unanswered: usize,
    /// How much of what it received was cut into replies.
    heard: usize,
    replies: Vec<Vec<u8>>,
    has_ended: bool,
}

/// All conversations of a run and what is recorded of them.
struct Stage {
    conversations: Vec<Conversation>,
    history: History,
    /// Counts events.
    now: u64,
}

impl Stage {
    fn new(clients: usize) -> Stage {
        Stage { conversations: Vec::new(), history: History::new(clients), now: 0 }
    }

    /// A client connects to some shard.
    fn enter(&mut self, cluster: &mut Cluster, rng: &mut Rng, number: usize, speaker: Speaker) {
        let mut behaviour = Behaviour::conversing();
        if let Speaker::Client(client) = &speaker {
            behaviour.vanishes_after = client.vanishes_after;
            behaviour.half_closes = rng.below(8) == 0;
        }
        let shard = rng.below(cluster.shards.len() as u64) as usize;
        self.conversations.push(Conversation {
            number,
            socket: cluster.connect(shard, behaviour),
            speaker,
            said: VecDeque::new(),
            unanswered: 0,
            heard: 0,
            replies: Vec::new(),
            has_ended: false,
        });
    }

    /// Lets all of them speak until they have nothing more to say and nothing more can happen.
    fn play(&mut self, cluster: &mut Cluster, rng: &mut Rng) -> Verdict {
        self.listen(cluster)?;
        scheduler::run(cluster, rng, |cluster, _| self.listen(cluster))?;
        all_finished(cluster)
    }

    /// Notes what the last event did for each client, and lets those speak who have heard everything.
    fn listen(&mut self, cluster: &mut Cluster) -> Verdict {
        self.now += 1;
        for c in self.conversations.iter_mut().filter(|c| !c.has_ended || c.unanswered > 0) {
            let socket = &mut cluster.sockets[c.socket];
            // No server can run a command before its last byte, so that is when it begins.
            while c.said.front().is_some_and(|(end, _)| *end <= socket.delivered) {
                let (_, words) = c.said.pop_front().expect("it is there");
                self.history.invoke(c.number, words, self.now);
            }
            while let Some(bytes) = reply_end(&socket.received[c.heard..]) {
                let reply = socket.received[c.heard..c.heard + bytes].to_vec();
                if !self.history.complete(c.number, reply.clone(), self.now) {
                    return Err(format!("client {} is told {} unasked", c.number, reply.escape_ascii()));
                }
                c.replies.push(reply);
                c.heard += bytes;
                c.unanswered -= 1;
            }
            if c.unanswered > 0 || c.has_ended {
                continue;
            }
            match c.speaker.next(&c.replies) {
                None => {
                    c.has_ended = true;
                    socket.behaviour.says_more = false;
                }
                Some(batch) => {
                    c.unanswered = batch.len();
                    for words in batch {
                        encode(&words, &mut socket.behaviour.input);
                        c.said.push_back((socket.behaviour.input.len(), words));
                    }
                }
            }
        }
        Ok(())
    }

    /// Whoever did not leave without a word must have all replies.
    fn all_answered(&self, cluster: &Cluster) -> Verdict {
        let waits = |c: &&Conversation| c.unanswered > 0 && !cluster.sockets[c.socket].has_vanished();
        match self.conversations.iter().find(waits) {
            None => Ok(()),
            Some(c) => Err(format!(
                "client {} waits for {} replies for ever\n{}",
                c.number, c.unanswered, self.history
            )),
        }
    }
}
