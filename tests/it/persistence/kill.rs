//! The kill loop: a server under load is ended with SIGKILL at any moment, again and again, and each time the next server must
//! have what the strategy promises. `COREVAULT_KILL_ROUNDS` says how many rounds, `COREVAULT_KILL_SEED` which ones.
//!
//! The kernel keeps what a killed process has written, so this does not show whether anything was synced: `tests/sim` does.
//! It shows that nothing is acknowledged before it is written, that recovery finds all of it, and that transactions stay whole.

use std::env;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use corevault::base::rng::Rng;

use super::Home;
use super::writer::{Promise, Tally, Writer};
use crate::harness::{Guarded, Server};
use crate::wire::Wire;

const CLIENTS: usize = 6;
const ROUNDS: u64 = 5;
const SHARDS_MAX: u64 = 4;
const LOAD_MS_MIN: u64 = 40;
const LOAD_MS_MAX: u64 = 400;
/// Long enough for a sync of the log that comes every second.
const LOAD_EVERYSEC_MS_MAX: u64 = 1500;

#[test]
fn nothing_acknowledged_is_lost_to_a_kill_under_always() {
    let test = "nothing_acknowledged_is_lost_to_a_kill_under_always";
    let tally = kill_again_and_again(test, "always", Promise::Everything);
    assert_eq!(tally.lost, 0);
}

#[test]
fn a_kill_under_everysec_loses_ends_of_logs_and_nothing_that_was_waited_for() {
    let test = "a_kill_under_everysec_loses_ends_of_logs_and_nothing_that_was_waited_for";
    kill_again_and_again(test, "everysec", Promise::WhatWasWaitedFor);
}

fn number_from(variable: &str, default: u64) -> u64 {
    env::var(variable).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}")))
}

fn kill_again_and_again(test: &str, strategy: &str, promise: Promise) -> Tally {
    let Some(home) = Home::new(test) else { return Tally::default() };
    let rounds = number_from("COREVAULT_KILL_ROUNDS", ROUNDS);
    let seed = number_from("COREVAULT_KILL_SEED", 1);
    let mut rng = Rng::new(seed);
    let mut writers: Vec<Writer> = (0..CLIENTS).map(|client| Writer::new(client, rng.next_u64())).collect();
    let mut all = Tally::default();
    let mut shards_before = 1;
    for round in 1..=rounds {
        let shards = 1 + rng.below(SHARDS_MAX) as u16;
        let count = shards.to_string();
        let arguments = ["--shards", &count, "--append-only", "yes", "--aof-sync-strategy", strategy];
        let killed_starts =
            if rng.below(3) == 0 { kill_while_starting(&home, &arguments, &mut rng) } else { 0 };
        let server = home.start(&arguments);
        let mut round_tally = Tally::default();
        let mut wire = server.wire();
        for writer in &mut writers {
            round_tally.add(writer.check(&mut wire, promise, shards_before));
        }
        println!(
            "{strategy} seed {seed}, round {round} of {rounds}: {} acknowledged ({} transactions), {} kept besides, {} lost; \
             now {shards} shards after {killed_starts} killed starts",
            round_tally.acknowledged, round_tally.transactions, round_tally.kept_besides, round_tally.lost
        );
        all.add(round_tally);
        load_and_kill(server, &mut writers, promise, &mut rng);
        shards_before = shards;
    }
    let server = home.start(&["--shards", "2"]);
    let mut wire = server.wire();
    for writer in &mut writers {
        all.add(writer.check(&mut wire, promise, shards_before));
    }
    server.stop();
    println!(
        "{strategy} seed {seed}, {rounds} rounds: {} acknowledged ({} transactions), {} kept besides, {} lost",
        all.acknowledged, all.transactions, all.kept_besides, all.lost
    );
    assert!(all.acknowledged > 0, "no change was ever acknowledged");
    all
}

impl Tally {
    fn add(&mut self, other: Tally) {
        self.acknowledged += other.acknowledged;
        self.transactions += other.transactions;
        self.kept_besides += other.kept_besides;
        self.lost += other.lost;
    }
}

/// Kills servers that are still at recovery, or have just begun to serve.
fn kill_while_starting(home: &Home, arguments: &[&str], rng: &mut Rng) -> u64 {
    let count = 1 + rng.below(3);
    for _ in 0..count {
        let mut command = home.command(arguments);
        command.args(["--port", "0"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let server = Guarded(command.spawn().expect("the server starts"));
        thread::sleep(Duration::from_micros(rng.below(60_000)));
        drop(server);
    }
    count
}

fn load_and_kill(server: Server, writers: &mut [Writer], promise: Promise, rng: &mut Rng) {
    let load_ms_max = if promise == Promise::Everything { LOAD_MS_MAX } else { LOAD_EVERYSEC_MS_MAX };
    let load = Duration::from_millis(LOAD_MS_MIN + rng.below(load_ms_max - LOAD_MS_MIN));
    let command = ["BGSAVE", "BGREWRITEAOF", "PING"][rng.below(3) as usize];
    let command_after = load.mul_f64(rng.below(100) as f64 / 100.0);
    let address = server.address();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for writer in writers {
            scope.spawn(|| writer.write(address, promise));
        }
        scope.spawn(|| save_now_and_then(address, command, command_after, &is_over));
        thread::sleep(load);
        is_over.store(true, Ordering::Relaxed);
        server.kill();
    });
}

/// A save or a rewrite that the kill may interrupt.
fn save_now_and_then(address: std::net::SocketAddr, command: &str, after: Duration, is_over: &AtomicBool) {
    let mut wire = Wire::tcp(address);
    let begun = Instant::now();
    while begun.elapsed() < after && !is_over.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(1));
    }
    if !is_over.load(Ordering::Relaxed) {
        // Whatever it says: the server may be gone before it answers.
        wire.send(format!("{command}\r\n").as_bytes());
        wire.read_to_end();
    }
}
