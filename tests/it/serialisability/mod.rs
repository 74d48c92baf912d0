//! Clients that share keys, each on a socket and a thread of its own: what all of them were told must have one explanation, an
//! order of all commands that respects real time and each client's own order. `tests/sim` proves more, and can repeat it; here
//! the sockets, the rings, the threads and the clock are real.
//!
//! Plan after plan is played on one server, which is emptied before each; `COREVAULT_IT_PLANS=N` plays so many of each workload
//! (and takes the time they need). Threads interleave as they like, so a failure shows its whole history.

mod overlap;
mod talk;

use std::env;
use std::iter;
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::{Duration, Instant};

use corevault::base::rng::Rng;

use crate::harness::{GUARD, Server};
use crate::histories::checker::{Verdict, check};
use crate::histories::history::History;
use crate::histories::model::Words;
use crate::histories::workloads::{Plan, Workload};
use crate::wire::{Wire, bulk, command};
use talk::{Rounds, Talk};

/// Plans of each workload, unless `COREVAULT_IT_PLANS` says otherwise.
const PLANS: u64 = 100;

/// No further plans are begun after so long, unless `COREVAULT_IT_PLANS` is set: a slow machine proves less.
const BUDGET: Duration = Duration::from_secs(10);

/// Commands that the search for an explanation may try.
const STEPS_MAX: usize = 300_000;

#[test]
fn one_shard_is_serialisable() {
    plans_are_serialisable(1);
}

#[test]
fn two_shards_are_serialisable() {
    plans_are_serialisable(2);
}

#[test]
fn four_shards_are_serialisable() {
    plans_are_serialisable(4);
}

/// What was played of a workload.
#[derive(Default)]
struct Tally {
    plans: u64,
    commands: usize,
    /// Pairs of commands of different clients that were under way at once and whose order matters.
    overlaps: usize,
    /// Histories too hard to explain or to refute. They prove nothing.
    unknown: u64,
}

fn plans_are_serialisable(shards: usize) {
    let wanted: Option<u64> =
        env::var("COREVAULT_IT_PLANS").ok().map(|plans| plans.parse().expect("a number of plans"));
    let server = Server::with_shards(shards);
    let mut tallies = Workload::ALL.map(|_| Tally::default());
    let begun = Instant::now();
    for seed in 0..wanted.unwrap_or(PLANS) {
        for (workload, tally) in Workload::ALL.into_iter().zip(&mut tallies) {
            if let Err(wrong) = play(&server, shards, workload, seed, tally) {
                panic!("{workload:?}, plan {seed}, on {shards} shards: {wrong}");
            }
        }
        if wanted.is_none() && begun.elapsed() > BUDGET {
            break;
        }
    }
    server.stop();
    for (workload, Tally { plans, commands, overlaps, unknown }) in Workload::ALL.iter().zip(&tallies) {
        println!(
            "{shards} shards, {workload:?}: {plans} plans, {commands} commands, {overlaps} overlaps, \
             {unknown} plans neither explained nor refuted"
        );
    }
    let sum = |count: fn(&Tally) -> u64| tallies.iter().map(count).sum::<u64>();
    assert!(sum(|tally| tally.overlaps as u64) > 0, "the clients never met");
    let (plans, unknown) = (sum(|tally| tally.plans), sum(|tally| tally.unknown));
    assert!(unknown * 100 <= plans, "{unknown} of {plans} histories prove nothing");
}

/// Plays one plan on an empty store; says in words what was wrong.
fn play(
    server: &Server,
    shards: usize,
    workload: Workload,
    seed: u64,
    tally: &mut Tally,
) -> Result<(), String> {
    let mut rng = Rng::new(seed);
    let plan = Plan::new(workload, &mut rng);
    let keys = plan.keys.clone();
    let mut control = server.wire();
    control.expect("FLUSHALL", "+OK\r\n");
    let history = perform(server, &mut control, plan, &mut rng)?;
    tally.plans += 1;
    tally.commands += history.clients.iter().map(Vec::len).sum::<usize>();
    tally.overlaps += overlap::count(&history, &keys);
    match check(&history, STEPS_MAX) {
        Verdict::Serialisable => {}
        Verdict::Violation(why) => return Err(why),
        Verdict::Unknown => tally.unknown += 1,
    }
    only_clients(&mut control, 1);
    nothing_is_left(server, control, shards, &keys);
    Ok(())
}

/// Client 0 prepares, all others talk at once, and client 0 looks at the end.
fn perform(server: &Server, control: &mut Wire, plan: Plan, rng: &mut Rng) -> Result<History, String> {
    let Plan { keys, setup, clients } = plan;
    let clock = AtomicU64::new(0);
    // Either all begin every round together, or just the first.
    let rounds = &Rounds::new(clients.len(), if rng.below(4) == 0 { 1 } else { u64::MAX });
    let mut first = Talk::new(server, &clock, rng);
    first.say_all(setup)?;
    let talks: Vec<Talk<'_>> = clients.iter().map(|_| Talk::new(server, &clock, rng)).collect();
    let ends: Vec<(Result<(), String>, Talk<'_>)> = thread::scope(|scope| {
        let pairs = talks.into_iter().zip(clients);
        let threads: Vec<_> = pairs
            .map(|(mut talk, client)| scope.spawn(move || (talk.converse(client, rounds), talk)))
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("clients do not panic")).collect()
    });

    let mut history = History::new(1);
    let mut wrong = None;
    for (n, (end, talk)) in (1..).zip(ends) {
        history.clients.push(talk.end());
        wrong = wrong.or(end.err().map(|why| format!("client {n}: {why}")));
    }
    if wrong.is_none() {
        // Who left without a word may have commands under way; they end before the connection is forgotten.
        only_clients(control, 2);
        wrong = first.say_all(look_at(&keys)).err();
    }
    history.clients[0] = first.end();
    match wrong {
        None => Ok(history),
        Some(wrong) => Err(format!("{wrong}\n{history}")),
    }
}

/// Reads everything there is.
fn look_at(keys: &[Vec<u8>]) -> Vec<Words> {
    let words = |line: &str| line.split(' ').map(|word| word.as_bytes().to_vec()).collect::<Words>();
    let reads = [words("MGET"), keys.to_vec()].concat();
    vec![reads.clone(), words("DBSIZE"), words("SELECT 1"), reads]
}

/// Waits until the server has so many clients, the one that asks among them.
fn only_clients(asking: &mut Wire, count: usize) {
    let line = format!("connected_clients:{count}\r\n");
    let deadline = Instant::now() + GUARD;
    while !asking.ask("INFO clients").contains(&line) {
        assert!(Instant::now() < deadline, "clients that left are not forgotten");
        thread::sleep(Duration::from_micros(200));
    }
}

/// From every shard: every key can be written and read, alone and with all the others, and removed.
fn nothing_is_left(server: &Server, control: Wire, shards: usize, keys: &[Vec<u8>]) {
    // Connections are dealt out evenly.
    let mut wires: Vec<Wire> = iter::once(control).chain((1..shards).map(|_| server.wire())).collect();
    for wire in &mut wires {
        let keys = || keys.iter().map(Vec::as_slice);
        let with_all = |name: &[u8], rest: &[&[u8]]| command(&[&[name], rest].concat());
        let pairs: Vec<&[u8]> = keys().flat_map(|key| [key, b"probe"]).collect();
        let names: Vec<&[u8]> = keys().collect();
        let (mut sent, mut expected) = (Vec::new(), Vec::new());
        for key in keys() {
            sent.extend([command(&[b"SET", key, key]), command(&[b"GET", key])].concat());
            expected.extend([b"+OK\r\n".to_vec(), bulk(key)].concat());
        }
        sent.extend(
            [with_all(b"MSET", &pairs), with_all(b"MGET", &names), with_all(b"DEL", &names)].concat(),
        );
        let count = names.len();
        expected
            .extend(format!("+OK\r\n*{count}\r\n{}:{count}\r\n", "$5\r\nprobe\r\n".repeat(count)).bytes());
        wire.send(&sent);
        wire.expect_bytes(&expected);
    }
}
