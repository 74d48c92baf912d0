//! The same commands to Corevault and to a Redis server, and the same replies expected, byte for byte.
//!
//! `COREVAULT_DIFFERENTIAL_SEEDS` (such as `5,100..120`) replaces the fixed seeds; `types` has more such variables.

mod conversations;
mod dumps;
mod exceptions;
mod families;
mod generator;
mod replies;
mod scripts;
mod tally;
mod transactions;
mod types;
mod watching;
mod written;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::harness::Server;
use crate::programs::{Redis, find};
use crate::wire::{Wire, command, lossy, scanned};

use corevault::base::rng::Rng;

use exceptions::{Comparison, are_equal_clients, are_equal_encodings, are_equal_errors, comparison};
use generator::{Generator, Step, Words, words};

const SEEDS: &str = "1,2,3,4";
const STEPS: usize = 5000;
/// Differences shown, each of another command.
const SHOWN_MAX: usize = 12;
/// Earlier commands on the same keys shown with a difference.
const HISTORY_SHOWN_MAX: usize = 6;

#[test]
fn one_shard_answers_like_redis() {
    compare("one_shard_answers_like_redis", 1);
}

#[test]
fn three_shards_answer_like_redis() {
    compare("three_shards_answer_like_redis", 3);
}

#[test]
fn broken_requests_are_answered_like_redis() {
    let Some(program) = find("broken_requests_are_answered_like_redis", "redis-server") else { return };
    let (redis, server) = (Redis::start(&program), Server::with_shards(3));
    let long = conversations::long_conversations();
    let all = conversations::CONVERSATIONS.iter().copied().chain(long.iter().map(Vec::as_slice));
    let mut report = String::new();
    for sent in all {
        let hear = |mut wire: Wire| {
            // The server may have closed already, which is its right.
            let _ = std::io::Write::write_all(&mut wire.socket(), sent);
            let _ = wire.socket().shutdown(std::net::Shutdown::Write);
            wire.read_to_end()
        };
        let (ours, theirs) = (hear(server.wire()), hear(redis.wire()));
        if ours != theirs {
            let (sent, ours, theirs) = (lossy(sent), lossy(&ours), lossy(&theirs));
            let _ = writeln!(report, "{sent}\n  corevault: {ours}\n  redis:     {theirs}");
        }
    }
    assert!(report.is_empty(), "different answers to\n{report}");
    server.stop();
}

fn compare(test: &str, shards: usize) {
    let Some(program) = find(test, "redis-server") else { return };
    let (redis, server) = (Redis::start(&program), Server::with_shards(shards));
    for seed in seeds() {
        println!("seed {seed}, {shards} shards");
        let mut pair =
            Pair { ours: server.wire(), theirs: redis.wire(), asked: Vec::new(), differences: Vec::new() };
        pair.run(seed);
        assert!(
            pair.differences.is_empty(),
            "seed {seed}, {shards} shards:\n{}",
            pair.differences.join("\n")
        );
    }
    server.stop();
}

fn seeds() -> Vec<u64> {
    seeds_or(SEEDS)
}

/// The seeds that are asked for, or else these.
fn seeds_or(fixed: &str) -> Vec<u64> {
    let text = std::env::var("COREVAULT_DIFFERENTIAL_SEEDS").unwrap_or_else(|_| fixed.to_owned());
    let number = |text: &str| text.trim().parse::<u64>().expect("seeds look like 5,100..120");
    let range = |part: &str| match part.split_once("..") {
        Some((first, end)) => number(first)..number(end),
        None => number(part)..number(part) + 1,
    };
    text.split(',').flat_map(range).collect()
}

/// One connection to each server.
struct Pair {
    ours: Wire,
    theirs: Wire,
    /// Every command so far.
    asked: Vec<Words>,
    differences: Vec<String>,
}

impl Pair {
    fn run(&mut self, seed: u64) {
        self.reset();
        let mut generator = Generator::new(seed);
        let mut steps = 0;
        while steps < STEPS && self.differences.len() < SHOWN_MAX {
            let mut batch = Vec::new();
            for _ in 0..generator.batch() {
                steps += 1;
                match generator.step() {
                    Step::Commands { commands, replies } => batch.push((commands, replies)),
                    Step::Scan(options) => {
                        self.exchange(&std::mem::take(&mut batch));
                        self.scan(&options);
                    }
                }
            }
            self.exchange(&batch);
        }
        self.compare_all_keys();
    }

    /// Both connections and both servers as new.
    fn reset(&mut self) {
        for wire in [&mut self.ours, &mut self.theirs] {
            wire.expect("RESET", "+RESET\r\n");
            wire.expect("FLUSHALL", "+OK\r\n");
        }
    }

    /// Sends commands together and compares the replies to those that are answered: the last ones of each step.
    fn exchange(&mut self, batch: &[(Vec<Words>, usize)]) {
        let bytes = |words: &Words| command(&words.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let sent: Vec<u8> = batch.iter().flat_map(|(commands, _)| commands.iter().flat_map(bytes)).collect();
        self.ours.send(&sent);
        self.theirs.send(&sent);
        let mut has_difference = false;
        for (commands, replies) in batch {
            let first_answered = commands.len() - replies;
            for (i, words) in commands.iter().enumerate() {
                self.asked.push(words.clone());
                if i >= first_answered {
                    let (ours, theirs) = (self.ours.reply(), self.theirs.reply());
                    // What follows in the batch may differ for the same reason.
                    if !has_difference && !are_equal(words, &ours, &theirs) {
                        has_difference = true;
                        self.note(&ours, &theirs);
                    }
                }
            }
        }
        if has_difference {
            self.reset();
        }
    }

    /// Iterates over both servers' keys.
    fn scan(&mut self, options: &Words) {
        let iterate = |wire: &mut Wire| {
            let mut found = BTreeSet::new();
            let mut cursor = b"0".to_vec();
            loop {
                let mut words = vec![b"SCAN".as_slice(), &cursor];
                words.extend(options.iter().map(Vec::as_slice));
                let reply = wire.call(&words);
                if reply[0] == b'-' {
                    return Err(reply);
                }
                let (next, keys) = scanned(&reply);
                found.extend(keys);
                cursor = next;
                if cursor == b"0" {
                    return Ok(found);
                }
            }
        };
        let (ours, theirs) = (iterate(&mut self.ours), iterate(&mut self.theirs));
        self.asked.push([words(&["SCAN", "0"]), options.clone()].concat());
        if ours != theirs {
            self.note(format!("{ours:?}").as_bytes(), format!("{theirs:?}").as_bytes());
            self.reset();
        }
    }

    /// Compares what is left: the values, encodings and times to live of all keys of the databases used.
    fn compare_all_keys(&mut self) {
        for db in ["0", "1", "2"] {
            self.exchange(&[(vec![words(&["SELECT", db])], 1), (vec![words(&["KEYS", "*"])], 1)]);
            for key in Generator::keys() {
                let about = |name: &[&str]| (vec![[words(name), vec![key.to_vec()]].concat()], 1);
                self.exchange(&[about(&["GET"]), about(&["OBJECT", "ENCODING"]), about(&["PTTL"])]);
            }
        }
    }

    /// Records that the last command was answered differently, unless one of its name was already.
    fn note(&mut self, ours: &[u8], theirs: &[u8]) {
        let (last, before) = self.asked.split_last().expect("something was asked");
        let name = String::from_utf8_lossy(&last[0]).to_ascii_uppercase();
        let heading = format!("{name} differs");
        if self.differences.iter().any(|difference| difference.starts_with(&heading)) {
            return;
        }
        let mut text = format!("{heading}, command {}: {}\n", before.len() + 1, shown(last));
        let _ = writeln!(text, "  corevault: {}\n  redis:     {}", lossy(ours), lossy(theirs));
        let concerns = |words: &&Words| {
            let is_key = |word: &Vec<u8>| Generator::keys().any(|key| key == word);
            words[1..].iter().any(|word| is_key(word) && last.contains(word))
                || words[0].starts_with(b"FLUSH")
        };
        let history: Vec<&Words> = before.iter().rev().filter(concerns).take(HISTORY_SHOWN_MAX).collect();
        for words in history.iter().rev() {
            let _ = writeln!(text, "  earlier:   {}", shown(words));
        }
        self.differences.push(text);
    }
}

fn shown(words: &Words) -> String {
    words.iter().map(|word| format!("\"{}\"", lossy(word))).collect::<Vec<_>>().join(" ")
}

fn are_equal(words: &Words, ours: &[u8], theirs: &[u8]) -> bool {
    if ours == theirs || ours[0] != theirs[0] {
        return ours == theirs;
    }
    if ours[0] == b'-' {
        return are_equal_errors(words, ours, theirs);
    }
    let number = |reply: &[u8]| std::str::from_utf8(&reply[1..reply.len() - 2]).ok()?.parse::<i64>().ok();
    match comparison(words) {
        Comparison::Exact => false,
        Comparison::Kind => true,
        Comparison::Client => are_equal_clients(ours, theirs),
        Comparison::Unordered => replies::are_equal_unordered(ours, theirs, 1),
        Comparison::Pairs => replies::are_equal_unordered(ours, theirs, 2),
        Comparison::Length => replies::are_as_long(ours, theirs),
        Comparison::Doubles => replies::are_equal_doubles(ours, theirs),
        Comparison::Pending => replies::are_equal_pending(ours, theirs),
        Comparison::StreamFields => replies::are_equal_fields(
            ours,
            theirs,
            exceptions::STREAM_FIELDS_NEW,
            exceptions::STREAM_FIELDS_NEAR,
            exceptions::STREAM_FIELDS_OPEN,
        ),
        Comparison::Encoding => are_equal_encodings(None, ours, theirs),
        // A negative number says that there is no time to live, or no key.
        Comparison::Near(distance) => match (number(ours), number(theirs)) {
            (Some(ours), Some(theirs)) => ours >= 0 && theirs >= 0 && (ours - theirs).abs() <= distance,
            _ => false,
        },
    }
}
