//! Queues that clients wait for: producers push, movers move from queue to queue, consumers take, and some of them give up, are told to,
//! vanish or are killed. Every item must come out once or still be there, and nobody may wait for a queue that has an item. There are
//! also streams, which consumers read as one group: every entry must be given to one of them, once.

use std::collections::{BTreeMap, BTreeSet};

use corevault::base::rng::Rng;
use corevault::shard::{Fault, Shard};
use corevault::store::keyspace::Key;
use corevault::store::list::List;
use corevault::store::stream::{Stream, StreamId};

use crate::cluster::{Cluster, START_MS};
use crate::scheduler;
use crate::script::Script;
use crate::seeds::Verdict;
use crate::socket::Behaviour;
use crate::workloads::{config, shard_count};

const QUEUES: [&str; 4] = ["jobs", "mail", "work", "todo"];
const STAGE: &str = "stage";
/// Movers move to it too; now and then it is no queue, and they must leave the item where it is.
const BROKEN: &str = "broken";
const FEEDS: [&str; 2] = ["feed", "news"];
const GROUP: &str = "crew";

/// The most items that one command takes, and the most entries, of each stream.
const ITEMS_EACH_MAX: usize = 2;
const ENTRIES_EACH_MAX: usize = 3;

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
    let clients = 3 + rng.below(8) as usize;
    // Too many who may have been served unheard would hide what is lost for other reasons.
    let kills = rng.below(4) == 0;
    let mut roles = vec![Role::Producer, Role::Consumer];
    while roles.len() < clients {
        let others = [Role::Producer, Role::Mover, Role::Consumer, Role::Consumer, Role::Operator];
        roles.push(others[rng.below(5) as usize]);
    }
    let mut pushed = Pushed::default();
    let mut scripts = Vec::new();
    for &role in &roles {
        let script = match role {
            Role::Producer => producer(&mut rng, &mut pushed),
            Role::Mover => waiting(&mut rng, mover),
            Role::Consumer => waiting(&mut rng, consumer),
            Role::Operator => operator(&mut rng, &roles, kills),
        };
        let mut behaviour = Behaviour::new(script.bytes.clone());
        if role == Role::Consumer && rng.below(4) == 0 {
            behaviour.vanishes_after = Some(rng.below(script.bytes.len() as u64 + 1) as usize);
        }
        scripts.push(script);
        cluster.connect(rng.below(shards as u64) as usize, behaviour);
    }
    scheduler::run(&mut cluster, &mut rng, |_, _| Ok(()))?;
    let may_be_lost = may_be_lost(&cluster, &scripts);
    check_items(&mut cluster, pushed.items, &roles, may_be_lost.items)?;
    check_entries(&mut cluster, pushed.entries, may_be_lost.entries)?;
    let scheduled: usize = cluster.shards.iter().map(Shard::scheduled).sum();
    if scheduled > 0 { Err(format!("{scheduled} claims are left")) } else { Ok(()) }
}

/// How many there are of each.
#[derive(Default)]
struct Pushed {
    items: usize,
    entries: usize,
}

/// What may have been given to clients that vanished or were killed, and have not heard of it.
fn may_be_lost(cluster: &Cluster, scripts: &[Script]) -> Pushed {
    let mut lost = Pushed::default();
    for (socket, script) in cluster.sockets.iter().zip(scripts) {
        if !socket.has_vanished() && !socket.is_closing {
            continue;
        }
        let sent = &script.commands[..script.commands_within(socket.delivered)];
        let (reads, others): (Vec<_>, Vec<_>) = sent.iter().partition(|command| command[0] == b"XREADGROUP");
        let heard = numbers(&socket.received, "entry:").len();
        lost.entries += (ENTRIES_EACH_MAX * FEEDS.len() * reads.len()).saturating_sub(heard);
        let heard = numbers(&socket.received, "item:").len();
        lost.items += (ITEMS_EACH_MAX * others.len()).saturating_sub(heard);
    }
    lost
}

fn check_items(cluster: &mut Cluster, pushed: usize, roles: &[Role], may_be_lost: usize) -> Verdict {
    let mut seen: BTreeMap<usize, usize> = BTreeMap::new();
    for (socket, _) in cluster.sockets.iter().zip(roles).filter(|(_, role)| **role == Role::Consumer) {
        numbers(&socket.received, "item:").into_iter().for_each(|item| *seen.entry(item).or_default() += 1);
    }
    for queue in QUEUES.into_iter().chain([STAGE, BROKEN]) {
        let key = Key::new(queue.as_bytes());
        let keys = owner(cluster, &key).keys();
        let mut left = Vec::new();
        match keys.peek_view::<List>(0, &key, START_MS) {
            Ok(Some(list)) => left.extend(list.iter().flat_map(|item| numbers(&item.to_vec(), "item:"))),
            Ok(None) => {}
            Err(_) => assert_eq!(queue, BROKEN, "the others are lists"),
        }
        let waiters = keys.awaited().line(0, key.bytes).len();
        if !left.is_empty() && waiters > 0 {
            return Err(format!("{waiters} clients wait for {queue}, which has {} items", left.len()));
        }
        left.into_iter().for_each(|item| *seen.entry(item).or_default() += 1);
    }
    if let Some((item, times)) = seen.iter().find(|(_, times)| **times > 1) {
        return Err(format!("item {item} came out {times} times"));
    }
    let lost = pushed - seen.len();
    if lost > may_be_lost {
        return Err(format!("{lost} of {pushed} items are lost, and {may_be_lost} may be"));
    }
    Ok(())
}

/// What was given to a consumer is pending, for nobody acknowledges anything.
fn check_entries(cluster: &mut Cluster, pushed: usize, may_be_lost: usize) -> Verdict {
    let mut heard = BTreeSet::new();
    for socket in &cluster.sockets {
        for entry in numbers(&socket.received, "entry:") {
            if !heard.insert(entry) {
                return Err(format!("entry {entry} was given to two"));
            }
        }
    }
    let (mut given, mut left) = (BTreeSet::new(), 0);
    for feed in FEEDS {
        let key = Key::new(feed.as_bytes());
        let keys = owner(cluster, &key).keys();
        let Some(stream) = keys.peek_view::<Stream>(0, &key, START_MS).expect("it is a stream") else {
            continue;
        };
        let group = stream.group(GROUP.as_bytes());
        let before = left;
        for entry in stream.range(StreamId::MIN, StreamId::MAX) {
            let text: Vec<u8> = entry.fields.flat_map(|(_, value)| value.to_vec()).collect();
            let is_given = group.is_some_and(|group| group.pending(entry.id).is_some());
            if is_given != group.is_some_and(|group| entry.id <= group.last_id) {
                return Err(format!(
                    "the group is behind {} of {feed}, which is pending: {is_given}",
                    entry.id
                ));
            }
            if is_given {
                given.extend(numbers(&text, "entry:"));
            } else {
                left += 1;
            }
        }
        let waiters = keys.awaited().line(0, key.bytes).len();
        if left > before && waiters > 0 {
            return Err(format!("{waiters} clients wait for {feed}, which has {} entries", left - before));
        }
    }
    if given.len() + left != pushed {
        return Err(format!("of {pushed} entries, {} are given and {left} are left", given.len()));
    }
    if let Some(entry) = heard.difference(&given).next() {
        return Err(format!("entry {entry} was given to nobody, who yet has it"));
    }
    let lost = given.len() - heard.len();
    if lost > may_be_lost {
        return Err(format!("{lost} entries were given to nobody who heard of it, and {may_be_lost} may be"));
    }
    Ok(())
}

fn owner<'a>(cluster: &'a mut Cluster, key: &Key<'_>) -> &'a mut Shard {
    let slot = key.slot.index();
    let owner = cluster.shards.iter_mut().find_map(|shard| {
        let is_owner = shard.keys().slots().contains(&slot);
        is_owner.then_some(shard)
    });
    owner.expect("every slot has an owner")
}

/// The numbers of the items or entries in a text, but for one that is cut off: its reader has vanished.
fn numbers(text: &[u8], what: &str) -> Vec<usize> {
    let text = String::from_utf8_lossy(text);
    let whole = text.split(what).skip(1).filter_map(|rest| rest.split_once(';'));
    whole.map(|(number, _)| number.parse().expect("a number")).collect()
}

fn producer(rng: &mut Rng, pushed: &mut Pushed) -> Script {
    let mut script = Script::default();
    for feed in FEEDS {
        // From the first entry on: some may be there before the group is.
        script.push_words(rng, &format!("XGROUP CREATE {feed} {GROUP} 0 MKSTREAM"));
    }
    for _ in 0..1 + rng.below(20) {
        let mut item = || {
            pushed.items += 1;
            format!("item:{};", pushed.items)
        };
        let queue = QUEUES[rng.below(4) as usize];
        match rng.below(8) {
            0 | 1 => script.push_words(rng, &format!("RPUSH {queue} {}", item())),
            2 => script.push_words(rng, &format!("LPUSH {queue} {} {}", item(), item())),
            3 => {
                let other = QUEUES[rng.below(4) as usize];
                script.push_words(rng, "MULTI");
                script.push_words(rng, &format!("RPUSH {queue} {}", item()));
                script.push_words(rng, &format!("LPUSH {other} {}", item()));
                script.push_words(rng, "EXEC");
            }
            4 => {
                script.push_words(rng, &format!("RPUSH {STAGE} {}", item()));
                script.push_words(rng, &format!("RPOPLPUSH {STAGE} {queue}"));
            }
            // Neither does anything to a queue.
            5 => script.push_words(rng, &format!("SET {BROKEN} x NX")),
            6 => script.push_words(rng, &format!("GETDEL {BROKEN}")),
            _ => {
                let feeds = [&FEEDS[..1], &FEEDS[1..], &FEEDS][rng.below(3) as usize];
                let is_whole = rng.below(2) == 0;
                if is_whole {
                    script.push_words(rng, "MULTI");
                }
                for feed in feeds {
                    pushed.entries += 1;
                    script.push_words(rng, &format!("XADD {feed} * text entry:{};", pushed.entries));
                }
                if is_whole {
                    script.push_words(rng, "EXEC");
                }
            }
        }
    }
    script
}

fn waiting(rng: &mut Rng, command: fn(&mut Rng) -> String) -> Script {
    let mut script = Script::default();
    for _ in 0..1 + rng.below(12) {
        if rng.below(6) == 0 {
            // Often in one read with a command that waits, which must not take itself for one of the transaction.
            script.push_words(rng, "MULTI");
            let queue = QUEUES[rng.below(4) as usize];
            script.push_words(rng, &format!("LLEN {queue}"));
            script.push_words(rng, "EXEC");
        }
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
    match rng.below(5) {
        0 => format!("BRPOP {keys} {timeout}"),
        1 => format!("BLMPOP {timeout} {count} {keys} LEFT COUNT {ITEMS_EACH_MAX}"),
        2 => format!("LPOP {}", QUEUES[first]),
        3 => reader(rng),
        _ => format!("BLPOP {keys} {timeout}"),
    }
}

fn reader(rng: &mut Rng) -> String {
    let (ms, count) = ([0, 1, 10, 2000][rng.below(4) as usize], 1 + rng.below(ENTRIES_EACH_MAX as u64));
    let (feeds, ids) = [("feed", ">"), ("news", ">"), ("news feed", "> >")][rng.below(3) as usize];
    let consumer = rng.below(2);
    format!("XREADGROUP GROUP {GROUP} consumer{consumer} COUNT {count} BLOCK {ms} STREAMS {feeds} {ids}")
}

fn mover(rng: &mut Rng) -> String {
    let from = QUEUES[rng.below(4) as usize];
    let to = if rng.below(5) == 0 { BROKEN } else { QUEUES[rng.below(4) as usize] };
    match rng.below(3) {
        0 => format!("BRPOPLPUSH {from} {to} {}", timeout(rng)),
        1 => format!("LMOVE {from} {to} LEFT LEFT"),
        _ => format!("BLMOVE {from} {to} LEFT RIGHT {}", timeout(rng)),
    }
}

fn operator(rng: &mut Rng, roles: &[Role], kills: bool) -> Script {
    let mut script = Script::default();
    for _ in 0..1 + rng.below(30) {
        let how = ["", " TIMEOUT", " ERROR"][rng.below(3) as usize];
        let n = rng.below(roles.len() as u64) as usize;
        let id = n + 1;
        // Not a producer: what it has not sent yet counts as pushed.
        if kills && roles[n] != Role::Producer && rng.below(10) == 0 {
            script.push_words(rng, &format!("CLIENT KILL ID {id}"));
        } else {
            script.push_words(rng, &format!("CLIENT UNBLOCK {id}{how}"));
        }
    }
    script
}

fn timeout(rng: &mut Rng) -> &'static str {
    ["0", "0.001", "0.01", "0.1", "2"][rng.below(5) as usize]
}
