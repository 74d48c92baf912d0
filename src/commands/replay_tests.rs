//! What every command leaves in the journal rebuilds the state: the random commands that `tests/it/differential` sends to two servers,
//! run on one keyspace in this process, with their effects replayed into another one all along.

use crate::base::rng::Rng;
use crate::base::slot::SLOTS;
use crate::commands::testing::Bench;
use crate::resp::read;
use crate::store::effect::decode_all;
use crate::store::keyspace::Keyspace;

/// The generators. The integration tests use more of them.
#[allow(dead_code)]
#[path = "../../tests/it/differential/families/mod.rs"]
pub(super) mod families;

use families::{Generator, Step, Words, family};

const SEEDS: std::ops::Range<u64> = 0..2;
/// For each seed.
const COMMANDS: usize = 3000;
/// Commands between two comparisons, which cost as much as the keyspace is large.
const CHECK_EVERY: usize = 100;
/// How far the clock goes now and then, milliseconds: times to live are from eleven days to thirty years.
const PAUSE_MS: i64 = 20_000_000_000;

#[test]
fn the_effects_of_lists_rebuild_them() {
    replay("lists");
}

#[test]
fn the_effects_of_hashes_rebuild_them() {
    replay("hashes");
}

#[test]
fn the_effects_of_expiring_fields_rebuild_them() {
    replay("field_expiry");
}

#[test]
fn the_effects_of_sets_rebuild_them() {
    replay("sets");
}

#[test]
fn the_effects_of_sorted_sets_rebuild_them() {
    replay("sorted_sets");
}

#[test]
fn the_effects_of_streams_rebuild_them() {
    replay("streams");
}

#[test]
fn the_effects_of_bitmaps_rebuild_them() {
    replay("bitmaps");
}

#[test]
fn the_effects_of_hyperloglogs_rebuild_them() {
    replay("hyperloglogs");
}

#[test]
fn the_effects_of_geo_rebuild_it() {
    replay("geo");
}

#[test]
fn the_effects_of_sorting_rebuild_its_results() {
    replay("sorting");
}

/// How many commands a test runs: `COREVAULT_REPLAY_COMMANDS=1000000` goes on for longer.
pub(super) fn commands_or(usual: usize) -> usize {
    std::env::var("COREVAULT_REPLAY_COMMANDS").map_or(usual, |text| text.parse().expect("a number"))
}

fn replay(name: &str) {
    let commands = commands_or(COMMANDS);
    for seed in SEEDS {
        if Replay::new(name, seed).run(commands, CHECK_EVERY).is_err() {
            // Once more, to find the very command.
            let found = Replay::new(name, seed).run(commands, 1);
            panic!("{name}, seed {seed}: {}", found.expect_err("it fails as before"));
        }
    }
}

struct Replay {
    bench: Bench,
    copy: Keyspace,
    generator: Generator,
    /// The commands since the last comparison, and a few before.
    said: Vec<Words>,
}

impl Replay {
    fn new(name: &str, seed: u64) -> Replay {
        let family = family(name).expect("a family of this name");
        Replay {
            bench: Bench::default(),
            copy: Keyspace::new(0..SLOTS),
            generator: Generator::new(seed, family),
            said: Vec::new(),
        }
    }

    /// Runs so many commands and compares after every `check_every`; the error names the last ones.
    fn run(&mut self, commands: usize, check_every: usize) -> Result<(), String> {
        let (mut count, mut checked) = (0, 0);
        while count < commands {
            for words in self.step() {
                self.call(words);
                count += 1;
                if count - checked >= check_every {
                    checked = count;
                    self.check()?;
                }
            }
            if self.generator.below(400) == 0 {
                self.bench.now_ms += self.generator.below(PAUSE_MS as u64) as i64;
            }
        }
        self.check()
    }

    fn step(&mut self) -> Vec<Words> {
        let about = |name: &[u8], key: &[u8]| vec![name.to_vec(), key.to_vec()];
        match self.generator.step() {
            Step::Commands(commands) | Step::Transaction(commands) => commands,
            Step::Random { choose, all } => vec![choose, all],
            Step::Pop(command) | Step::Dump(command) => vec![command],
            Step::Scan { before, options } => vec![[before, vec![b"0".to_vec()], options].concat()],
            Step::Inspect(key) => vec![about(b"TYPE", &key), about(b"DUMP", &key)],
        }
    }

    fn call(&mut self, words: Words) {
        let reply = self.bench.call(&words);
        assert_eq!(
            read::reply_len(&reply),
            Some(reply.len()),
            "{} gives no single whole reply",
            shown(&words)
        );
        if words[0].eq_ignore_ascii_case(b"DUMP")
            && let Some(dump) = read::bulk(&reply)
        {
            self.generator.take_dump(dump);
        }
        self.said.push(words);
    }

    fn check(&mut self) -> Result<(), String> {
        for effect in decode_all(&self.bench.keys.take_effects()) {
            let (db, effect) = effect.expect("an effect");
            self.copy.apply(db, &effect);
        }
        if self.copy.digest() != self.bench.keys.digest() {
            let said: Vec<String> = self.said.iter().map(shown).collect();
            return Err(format!(
                "the effects of the last of these do not rebuild the state\n{}",
                said.join("\n")
            ));
        }
        let old = self.said.len().saturating_sub(10);
        self.said.drain(..old);
        Ok(())
    }
}

fn shown(words: &Words) -> String {
    let mut text = words.iter().map(|word| word.escape_ascii().to_string()).collect::<Vec<_>>().join(" ");
    text.truncate(300);
    text
}
