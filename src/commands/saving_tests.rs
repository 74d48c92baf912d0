//! What is saved while random commands go on is the state at the cut, and what is restored from that and the effects since is the
//! state of today, however it is touched on the way. The commands are those of `replay_tests`.

use crate::base::rng::Rng;
use crate::base::slot::SLOTS;
use crate::commands::replay_tests::commands_or;
use crate::commands::replay_tests::families::{Generator, Step, Words, family};
use crate::commands::testing::Bench;
use crate::resp::read;
use crate::store::effect::decode_all;
use crate::store::keyspace::memory::Memory;
use crate::store::keyspace::{Key, Keyspace};
use crate::store::scan::scan;

const SEEDS: std::ops::Range<u64> = 0..2;
/// For each seed.
const COMMANDS: usize = 1000;
const DBS: u16 = 3;

#[test]
fn lists_are_saved_and_restored() {
    run("lists");
}

#[test]
fn hashes_are_saved_and_restored() {
    run("hashes");
}

#[test]
fn expiring_fields_are_saved_and_restored() {
    run("field_expiry");
}

#[test]
fn sets_are_saved_and_restored() {
    run("sets");
}

#[test]
fn sorted_sets_are_saved_and_restored() {
    run("sorted_sets");
}

#[test]
fn streams_are_saved_and_restored() {
    run("streams");
}

#[test]
fn bitmaps_are_saved_and_restored() {
    run("bitmaps");
}

fn run(name: &str) {
    let commands = commands_or(COMMANDS);
    for seed in SEEDS {
        let mut run = Run::new(name, seed);
        run.go(commands);
        assert!(run.saves > 3 && run.restores > 2, "{} saves, {} restores", run.saves, run.restores);
    }
}

/// A save of the live keyspace, or of a copy, under way.
struct Saving {
    digest: u64,
    archived: Memory,
    /// Commands that go on before the background step begins.
    delay: u64,
}

struct Run {
    bench: Bench,
    generator: Generator,
    rng: Rng,
    saving: Option<Saving>,
    /// Restored, and follows the effects of the live one.
    copy: Option<Keyspace>,
    copy_saving: Option<Saving>,
    saves: usize,
    restores: usize,
}

fn counts(keys: &Keyspace) -> Vec<(usize, usize)> {
    (0..DBS).map(|db| (keys.len(db), keys.volatile_len(db))).collect()
}

impl Run {
    fn new(name: &str, seed: u64) -> Run {
        Run {
            bench: Bench::default(),
            generator: Generator::new(seed, family(name).expect("a family of this name")),
            rng: Rng::new(seed),
            saving: None,
            copy: None,
            copy_saving: None,
            saves: 0,
            restores: 0,
        }
    }

    fn go(&mut self, commands: usize) {
        for _ in 0..commands {
            for words in self.step() {
                self.call(words);
            }
            match self.rng.below(400) {
                0 => self.bench.now_ms += self.rng.below(20_000_000_000) as i64,
                1 => self.call(words("FLUSHDB")),
                2 => {
                    let (a, b) = (self.rng.below(DBS.into()), self.rng.below(DBS.into()));
                    self.call(words(&format!("SWAPDB {a} {b}")));
                }
                3 => self.call(words("INCR {key}counter")),
                4..20 => {
                    let db = self.rng.below(DBS.into());
                    self.call(words(&format!("SELECT {db}")));
                }
                _ => {}
            }
            self.follow();
            self.save();
            self.touch();
        }
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
        if words[0].eq_ignore_ascii_case(b"DUMP")
            && let Some(dump) = read::bulk(&reply)
        {
            self.generator.take_dump(dump);
        }
    }

    /// The effects of the last commands go to where they are wanted.
    fn follow(&mut self) {
        let effects = self.bench.keys.take_effects();
        if let Some(saving) = &mut self.saving {
            saving.archived.logs[0].1.extend_from_slice(&effects);
        }
        if let Some(saving) = &mut self.copy_saving {
            saving.archived.logs[0].1.extend_from_slice(&effects);
        }
        if let Some(copy) = &mut self.copy {
            for effect in decode_all(&effects) {
                let (db, effect) = effect.expect("an effect");
                copy.apply(db, &effect);
            }
        }
    }

    fn save(&mut self) {
        if self.saving.is_none() && self.rng.below(40) == 0 {
            let digest = self.bench.keys.digest();
            self.saving = Some(Saving::begin(&mut self.bench.keys, digest, &mut self.rng));
        }
        if let Some(done) = step_save(&mut self.saving, &mut self.bench.keys, &mut self.rng) {
            self.saves += 1;
            done.check();
            if self.copy.is_none() {
                self.copy = Some(done.archived.asleep(0..SLOTS));
            }
        }
        if let Some(copy) = &mut self.copy
            && let Some(done) = step_save(&mut self.copy_saving, copy, &mut self.rng)
        {
            self.saves += 1;
            done.check();
        }
    }

    /// Touches the restored keyspace in one way or another.
    fn touch(&mut self) {
        let Some(copy) = &mut self.copy else { return };
        let db = self.rng.below(DBS.into()) as u16;
        match self.rng.below(60) {
            0..20 => drop(copy.exists(db, &Key::new(self.rng.below(40).to_string().as_bytes()), i64::MIN)),
            20..30 => drop(copy.hydrate_step(self.rng.below(10) as usize)),
            30 => drop(scan(copy, db, self.rng.next_u64() >> 16, 3, |_| ())),
            31 => drop(copy.random_key(db, &mut self.rng, i64::MIN)),
            32 => {
                copy.settle_counts(db);
                let live = (self.bench.keys.len(db), self.bench.keys.volatile_len(db));
                assert_eq!((copy.len(db), copy.volatile_len(db)), live);
            }
            33 if self.copy_saving.is_none() => {
                let digest = self.bench.keys.digest();
                self.copy_saving = Some(Saving::begin(copy, digest, &mut self.rng));
            }
            34 => {
                copy.end_save();
                self.copy_saving = None;
                assert_eq!(copy.digest(), self.bench.keys.digest());
                assert_eq!(counts(copy), counts(&self.bench.keys));
                assert_eq!(copy.take_damage(), None);
                assert!(copy.counts.changes > 0 || copy.take_effects().is_empty());
                while copy.free_discarded(3) {}
                self.copy = None;
                self.restores += 1;
            }
            _ => {}
        }
    }
}

impl Saving {
    fn begin(keys: &mut Keyspace, digest: u64, rng: &mut Rng) -> Saving {
        keys.begin_save();
        let archived = Memory { archives: Vec::new(), logs: vec![(keys.slots(), Vec::new())] };
        Saving { digest, archived, delay: rng.below(30) }
    }

    /// Restores what was saved, on two shards that come to life, and without what happened since.
    fn check(&self) {
        let mut at_cut = self.archived.clone();
        at_cut.logs.clear();
        let mut digest = 0u64;
        let mut sums = vec![(0, 0); DBS.into()];
        for slots in [0..5000, 5000..SLOTS] {
            let mut keys = at_cut.awake(slots);
            digest = digest.wrapping_add(keys.digest());
            for (sum, count) in sums.iter_mut().zip(counts(&keys)) {
                *sum = (sum.0 + count.0, sum.1 + count.1);
            }
        }
        assert_eq!(digest, self.digest, "what was saved is not what was there");
        for (db, sum) in sums.into_iter().enumerate() {
            let of_db = self.archived.archives.iter().filter(|archive| usize::from(archive.db) == db);
            let counted = of_db.fold((0, 0), |(keys, volatile), archive| {
                (keys + archive.keys as usize, volatile + archive.volatile as usize)
            });
            assert_eq!(counted, sum, "database {db}");
        }
    }
}

/// Goes on with a save; what it has saved once that is all.
fn step_save(saving: &mut Option<Saving>, keys: &mut Keyspace, rng: &mut Rng) -> Option<Saving> {
    let under_way = saving.as_mut()?;
    if under_way.delay > 0 {
        under_way.delay -= 1;
        return None;
    }
    let is_more = keys.save_step(rng.below(2000) as usize);
    under_way.archived.archives.extend(keys.take_archives());
    assert_eq!(keys.archived_bytes(), 0);
    if is_more {
        return None;
    }
    keys.end_save();
    while keys.free_discarded(5) {}
    saving.take()
}

fn words(line: &str) -> Words {
    line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}
