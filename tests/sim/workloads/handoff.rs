//! Queues that clients wait for: producers push, movers move from queue to queue, consumers take, and some of them give up, are told to, or
//! vanish. Every item must come out once or still be there, and nobody may wait for a queue that has an item.

use std::collections::BTreeMap;

use corevault::base::rng::Rng;
use corevault::shard::Fault;
use corevault::store::keyspace::Key;
use corevault::store::list::List;

use crate::cluster::{Cluster, START_MS};
use crate::scheduler;
use crate::script::Script;
use crate::seeds::Verdict;
use crate::socket::Behaviour;
use crate::workloads::{config, shard_count};

const QUEUES: [&str; 4] = ["jobs", "mail", "work", "todo"];
const STAGE: &str = "stage";

/// The most items that one command takes.
const ITEMS_EACH_MAX: usize = 2;

/// What a client is there for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Producer,
    Mover,
    Consumer,
    Operator,
}

pub fn run(seed: u64, fault: Option<Fault>) -> Verdict {
    let mut rng = Rng::new(seed);
    let (shards, config) = (shard_count(&mut rng), config(&mut rng));
    let mut cluster = Cluster::new(shards, &config, &mut rng, None);
    for shard in &mut cluster.shards {
        fault.into_iter().for_each(|fault| shard.plant(fault));
    }
    let clients = 3 + rng.below(8);
    let mut pushed = 0;
    let mut roles = Vec::new();
    let mut sent = Vec::new();
    for n in 0..clients {
        let role = match n {
            0 => Role::Producer,
            1 => Role::Consumer,
            _ => [Role::Producer, Role::Mover, Role::Consumer, Role::Consumer, Role::Operator]
                [rng.below(5) as usize],
        };
        let script = match role {
            Role::Producer => producer(&mut rng, &mut pushed),
            Role::Mover => waiting(&mut rng, mover),
            Role::Consumer => waiting(&mut rng, consumer),
            Role::Operator => operator(&mut rng, clients),
        };
        let mut behaviour = Behaviour::new(script.bytes.clone());
        if role == Role::Consumer && rng.below(4) == 0 {
            behaviour.vanishes_after = Some(rng.below(script.bytes.len() as u64 + 1) as usize);
        }
        sent.push(behaviour.vanishes_after.map_or(0, |at| script.commands_within(at)));
        roles.push(role);
        cluster.connect(rng.below(shards as u64) as usize, behaviour);
    }
    scheduler::run(&mut cluster, &mut rng, |_, _| Ok(()))?;
    check(&mut cluster, pushed, &roles, &sent)
}

fn check(cluster: &mut Cluster, pushed: usize, roles: &[Role], sent: &[usize]) -> Verdict {
    let mut seen: BTreeMap<usize, usize> = BTreeMap::new();
    let mut may_be_lost = 0;
    for (n, role) in roles.iter().enumerate() {
        let socket = &cluster.sockets[n];
        if *role == Role::Consumer {
            let items = items(&socket.received);
            // One that vanished may have been served and not have heard of it.
            may_be_lost += (ITEMS_EACH_MAX * sent[n]).saturating_sub(items.len());
            items.into_iter().for_each(|item| *seen.entry(item).or_default() += 1);
        }
    }
    for queue in QUEUES.into_iter().chain([STAGE]) {
        let key = Key::new(queue.as_bytes());
        for shard in &mut cluster.shards {
            if !shard.keys().slots().contains(&key.slot.index()) {
                continue;
            }
            let mut left = Vec::new();
            if let Some(list) = shard.keys().peek_view::<List>(0, &key, START_MS).expect("it is a list") {
                left.extend(list.iter().flat_map(|item| items(&item.to_vec())));
            }
            let waiters = shard.keys().awaited().line(0, key.bytes).len();
            if !left.is_empty() && waiters > 0 {
                return Err(format!("{waiters} clients wait for {queue}, which has {} items", left.len()));
            }
            left.into_iter().for_each(|item| *seen.entry(item).or_default() += 1);
        }
    }
    if let Some((item, times)) = seen.iter().find(|(_, times)| **times > 1) {
        return Err(format!("item {item} came out {times} times"));
    }
    let lost = pushed - seen.len();
    if lost > may_be_lost {
        return Err(format!("{lost} of {pushed} items are lost, and {may_be_lost} may be"));
    }
    let scheduled: usize = cluster.shards.iter().map(corevault::shard::Shard::scheduled).sum();
    if scheduled > 0 { Err(format!("{scheduled} claims are left")) } else { Ok(()) }
}

/// The items named in a text, but for one that is cut off: its reader has vanished.
fn items(text: &[u8]) -> Vec<usize> {
    let text = String::from_utf8_lossy(text);
    let whole = text.split("item:").skip(1).filter_map(|rest| rest.split_once(';'));
    whole.map(|(number, _)| number.parse().expect("a number")).collect()
}

fn producer(rng: &mut Rng, pushed: &mut usize) -> Script {
    let mut script = Script::default();
    for _ in 0..1 + rng.below(20) {
        let mut item = || {
            *pushed += 1;
            format!("item:{pushed};")
        };
        let queue = QUEUES[rng.below(4) as usize];
        match rng.below(5) {
            0 | 1 => script.push_words(rng, &format!("RPUSH {queue} {}", item())),
            2 => script.push_words(rng, &format!("LPUSH {queue} {} {}", item(), item())),
            3 => {
                let other = QUEUES[rng.below(4) as usize];
                script.push_words(rng, "MULTI");
                script.push_words(rng, &format!("RPUSH {queue} {}", item()));
                script.push_words(rng, &format!("LPUSH {other} {}", item()));
                script.push_words(rng, "EXEC");
            }
            _ => {
                script.push_words(rng, &format!("RPUSH {STAGE} {}", item()));
                script.push_words(rng, &format!("RPOPLPUSH {STAGE} {queue}"));
            }
        }
    }
    script
}

fn waiting(rng: &mut Rng, command: fn(&mut Rng) -> String) -> Script {
    let mut script = Script::default();
    for _ in 0..1 + rng.below(12) {
        let line = command(rng);
        script.push_words(rng, &line);
    }
    script
}

fn consumer(rng: &mut Rng) -> String {
    let first = rng.below(4) as usize;
    let keys: Vec<&str> =
        (0..1 + rng.below(3) as usize).map(|n| QUEUES[(first + n) % QUEUES.len()]).collect();
    let (count, keys, timeout) = (keys.len(), keys.join(" "), timeout(rng));
    match rng.below(4) {
        0 => format!("BRPOP {keys} {timeout}"),
        1 => format!("BLMPOP {timeout} {count} {keys} LEFT COUNT {ITEMS_EACH_MAX}"),
        2 => format!("LPOP {}", QUEUES[first]),
        _ => format!("BLPOP {keys} {timeout}"),
    }
}

fn mover(rng: &mut Rng) -> String {
    let (from, to) = (QUEUES[rng.below(4) as usize], QUEUES[rng.below(4) as usize]);
    match rng.below(3) {
        0 => format!("BRPOPLPUSH {from} {to} {}", timeout(rng)),
        1 => format!("LMOVE {from} {to} LEFT LEFT"),
        _ => format!("BLMOVE {from} {to} LEFT RIGHT {}", timeout(rng)),
    }
}

fn operator(rng: &mut Rng, clients: u64) -> Script {
    let mut script = Script::default();
    for _ in 0..1 + rng.below(30) {
        let how = ["", " TIMEOUT", " ERROR"][rng.below(3) as usize];
        let id = 1 + rng.below(clients);
        script.push_words(rng, &format!("CLIENT UNBLOCK {id}{how}"));
    }
    script
}

fn timeout(rng: &mut Rng) -> &'static str {
    ["0", "0.001", "0.01", "0.1", "2"][rng.below(5) as usize]
}
