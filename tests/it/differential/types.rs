//! Every data type against a Redis server: random commands of a family, sent in batches to both, reply by reply; now and then,
//! and at the end, everything about a key.
//!
//! By hand, for long runs:
//!
//! * `COREVAULT_DIFFERENTIAL_SEEDS=1..4`: other seeds
//! * `COREVAULT_DIFFERENTIAL_COMMANDS=1000000`: so many commands for each seed and number of shards, with progress on standard error
//! * `COREVAULT_DIFFERENTIAL_REHEARSAL=1`: two Redis servers, which proves that the commands and the exceptions are sound
//! * `COREVAULT_DIFFERENTIAL_KNOWN=1`: only commands that the server knows
//! * `COREVAULT_DIFFERENTIAL_TRACE=path`: the last commands before each difference, in a file `path.NAME`, as `redis-cli` reads them
//! * `COREVAULT_DIFFERENTIAL_REPORT=1`: how often each pattern was accepted and refused

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::path::Path;

use super::exceptions::{are_equal_encodings, are_equal_scanned, is_newer};
use super::families::{Generator, Step, Words, family};
use super::generator::words;
use super::replies::{Reply, is_null};
use super::tally::Tally;
use super::transactions::{Connect, are_equal_with_queued};
use super::{SHOWN_MAX, are_equal, dumps, shown};
use crate::harness::Server;
use crate::programs::{Redis, find};
use crate::wire::{Wire, command, content, lossy, scanned};

const SEEDS: &str = "1,2";
/// For each seed and number of shards.
const COMMANDS: u64 = 6000;
/// From so many commands on, every pattern and every option must have been accepted.
const COMPLETE_FROM: u64 = 100_000;
const PROGRESS_EVERY: u64 = 50_000;
/// Steps sent together, at most.
const BATCH_MAX: u64 = 100;
/// Earlier commands kept, and those on the same keys shown with a difference.
const HISTORY_MAX: usize = 4000;
const HISTORY_SHOWN_MAX: usize = 10;

macro_rules! families {
    ($($name:ident),*) => {$(
        mod $name {
            #[test]
            fn on_one_shard_are_those_of_redis() {
                super::compare(stringify!($name), 1);
            }

            #[test]
            fn on_three_shards_are_those_of_redis() {
                super::compare(stringify!($name), 3);
            }
        }
    )*};
}

families!(lists, hashes, sets, sorted_sets, streams, bitmaps, hyperloglogs, geo, sorting);

fn variable(name: &str) -> Option<String> {
    std::env::var(format!("COREVAULT_DIFFERENTIAL_{name}")).ok()
}

fn compare(name: &str, shards: usize) {
    let Some(program) = find(&format!("{name} on {shards} shards"), "redis-server") else { return };
    let redis = Redis::start(&program);
    if variable("REHEARSAL").is_some() {
        return compare_with(name, 0, &rehearsal(&program), &|| redis.wire());
    }
    let server = Server::with_shards(shards);
    compare_with(name, shards, &|| server.wire(), &|| redis.wire());
    server.stop();
}

/// Connections to another Redis server, which lives as long as what makes them.
fn rehearsal(program: &Path) -> impl Fn() -> Wire + use<> {
    let other = Redis::start(program);
    move || other.wire()
}

fn compare_with(name: &str, shards: usize, ours: Connect<'_>, theirs: Connect<'_>) {
    let commands = variable("COMMANDS").map_or(COMMANDS, |text| text.parse().expect("a number"));
    let family = family(name).expect("a family of this name");
    let mut tally = Tally::default();
    let mut sent = 0;
    for seed in super::seeds_or(SEEDS) {
        let mut generator = Generator::new(seed, family);
        if variable("KNOWN").is_some() {
            generator.leave_out(&unknown(&mut ours()));
        }
        let title = format!("{name}, seed {seed}, {shards} shards");
        let mut run = Run {
            ours: ours(),
            theirs: theirs(),
            generator,
            tally: &mut tally,
            title,
            count: 0,
            asked: VecDeque::new(),
            differences: BTreeMap::new(),
        };
        run.run(commands);
        sent += run.count;
        let differences: Vec<&str> = run.differences.values().map(String::as_str).collect();
        assert!(differences.is_empty(), "{}:\n{}", run.title, differences.join("\n"));
    }
    if variable("REPORT").is_some() {
        eprintln!("{name}, {shards} shards\n{}", tally.report(family));
    }
    let missing = tally.missing(family);
    assert!(
        sent < COMPLETE_FROM || missing.is_empty(),
        "{name} compares too little:\n{}",
        missing.join("\n")
    );
}

/// The names of commands that the server does not know.
fn unknown(wire: &mut Wire) -> Vec<String> {
    let mut is_unknown = |name: &str| wire.call(&[b"COMMAND", b"INFO", name.as_bytes()]).ends_with(b"-1\r\n");
    Generator::names().filter(|name| is_unknown(name)).map(str::to_owned).collect()
}

/// A conversation with both servers.
struct Run<'a> {
    ours: Wire,
    theirs: Wire,
    generator: Generator,
    tally: &'a mut Tally,
    title: String,
    count: u64,
    /// The last commands.
    asked: VecDeque<Words>,
    /// By the name of the command.
    differences: BTreeMap<String, String>,
}

/// A command of a batch.
struct Asked {
    words: Words,
    /// For the tally.
    pattern: &'static str,
    /// In place of the usual comparison.
    queued: Option<Vec<Words>>,
}

impl From<Words> for Asked {
    fn from(words: Words) -> Asked {
        Asked { words, pattern: "", queued: None }
    }
}

impl Run<'_> {
    fn run(&mut self, commands: u64) {
        self.reset();
        let mut shown = 0;
        while self.count < commands && self.differences.len() < SHOWN_MAX {
            self.batch();
            if self.count / PROGRESS_EVERY > shown {
                shown = self.count / PROGRESS_EVERY;
                eprintln!("{}: {} commands", self.title, self.count);
            }
        }
        for db in ["0", "1"] {
            self.exchange(vec![words(&["SELECT", db]).into()]);
            for key in Generator::keys() {
                self.inspect(key.as_bytes());
                self.transplant(key.as_bytes());
            }
        }
    }

    /// Both connections and both servers as new.
    fn reset(&mut self) {
        for wire in [&mut self.ours, &mut self.theirs] {
            wire.expect("RESET", "+RESET\r\n");
            wire.expect("FLUSHALL", "+OK\r\n");
        }
        self.asked.clear();
    }

    fn batch(&mut self) {
        let mut batch: Vec<Asked> = Vec::new();
        for _ in 0..1 + self.generator.below(BATCH_MAX) {
            let step = self.generator.step();
            match step {
                Step::Commands(commands) if commands.iter().any(|words| is_newer(words)) => {}
                Step::Commands(commands) => {
                    let pattern = self.generator.pattern();
                    batch.extend(commands.into_iter().map(Asked::from));
                    batch.last_mut().expect("a step has commands").pattern = pattern;
                }
                Step::Dump(words) => batch.push(Asked { pattern: self.generator.pattern(), ..words.into() }),
                Step::Transaction(mut commands) => {
                    commands.retain(|words| !is_newer(words));
                    batch.push(words(&["MULTI"]).into());
                    batch.extend(commands.iter().cloned().map(Asked::from));
                    batch.push(Asked { queued: Some(commands), ..words(&["EXEC"]).into() });
                }
                Step::Random { choose, all } => {
                    let pattern = self.generator.pattern();
                    self.exchange(std::mem::take(&mut batch));
                    self.random(choose, all, pattern);
                }
                Step::Pop(words) => {
                    let pattern = self.generator.pattern();
                    self.exchange(std::mem::take(&mut batch));
                    self.pop(words, pattern);
                }
                Step::Scan { before, options } => {
                    let pattern = self.generator.pattern();
                    self.exchange(std::mem::take(&mut batch));
                    self.scan(before, options, pattern);
                }
                Step::Inspect(key) => {
                    self.exchange(std::mem::take(&mut batch));
                    self.inspect(&key);
                }
            }
        }
        self.exchange(batch);
    }

    fn remember(&mut self, words: Words) {
        self.count += 1;
        if self.asked.len() == HISTORY_MAX {
            self.asked.pop_front();
        }
        self.asked.push_back(words);
    }

    /// Sends commands together and compares the replies.
    fn exchange(&mut self, batch: Vec<Asked>) {
        let bytes = |asked: &Asked| command(&asked.words.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let sent: Vec<u8> = batch.iter().flat_map(bytes).collect();
        self.ours.send(&sent);
        self.theirs.send(&sent);
        let mut has_difference = false;
        let mut queued = Vec::new();
        for asked in batch {
            self.remember(asked.words.clone());
            let (ours, theirs) = (self.ours.reply(), self.theirs.reply());
            let words = &asked.words;
            if theirs == b"+QUEUED\r\n" {
                queued.push(words.clone());
            }
            let is_same = match &asked.queued {
                Some(_) => are_equal_with_queued(words, Some(&queued), &ours, &theirs),
                None => are_equal(words, &ours, &theirs),
            };
            if asked.queued.is_some() {
                queued.clear();
            }
            self.tally.add(asked.pattern, words, theirs[0] == b'-');
            // What follows in the batch may differ for the same reason.
            if !is_same && !has_difference {
                has_difference = true;
                self.note(words[0].clone(), &ours, &theirs);
            }
            if words[0].eq_ignore_ascii_case(b"DUMP") && theirs[0] == b'$' && !is_null(&theirs) {
                for dump in [&ours, &theirs].into_iter().filter_map(|reply| dumps::for_all(content(reply))) {
                    self.generator.take_dump(&dump);
                }
            }
        }
        if has_difference {
            self.reset();
        }
    }

    fn call(&mut self, words: &Words) -> (Vec<u8>, Vec<u8>) {
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        (self.ours.call(&words), self.theirs.call(&words))
    }

    /// What is chosen at random is of the collection, as many elements on both servers, and none twice unless that was asked for.
    fn random(&mut self, choose: Words, all: Words, pattern: &'static str) {
        let (our_all, their_all) = self.call(&all);
        self.remember(choose.clone());
        let (ours, theirs) = self.call(&choose);
        self.tally.add(pattern, &choose, theirs[0] == b'-');
        let name = choose[0].to_ascii_uppercase();
        let has_pairs = choose.len() > 3;
        let is_allowed = |reply: &[u8], all: &[u8]| {
            let width = if has_pairs { 2 } else { 1 };
            let all = Reply::new(all).leaves();
            let all = all.chunks(if name == b"SRANDMEMBER" { 1 } else { 2 });
            let all: BTreeSet<&[Vec<u8>]> = all.map(|one| &one[..width.min(one.len())]).collect();
            let chosen = Reply::new(reply).leaves();
            let chosen: Vec<&[Vec<u8>]> = chosen.chunks(width).collect();
            let is_negative = choose.get(2).is_some_and(|count| count.starts_with(b"-"));
            let are_different = chosen.iter().collect::<BTreeSet<_>>().len() == chosen.len();
            (is_negative || are_different) && chosen.iter().all(|one| all.contains(one))
        };
        let is_fine = match (ours[0], theirs[0]) {
            (b'-', _) | (_, b'-') => are_equal(&choose, &ours, &theirs),
            _ if is_null(&ours) || is_null(&theirs) => ours == theirs,
            _ => {
                are_equal(&choose, &ours, &theirs)
                    && is_allowed(&ours, &our_all)
                    && is_allowed(&theirs, &their_all)
            }
        };
        if !is_fine {
            self.note(choose[0].clone(), &ours, &theirs);
            self.reset();
        }
    }

    /// Has each server remove what the other one popped.
    fn pop(&mut self, words: Words, pattern: &'static str) {
        self.remember(words.clone());
        let (ours, theirs) = self.call(&words);
        self.tally.add(pattern, &words, theirs[0] == b'-');
        let is_popped = |reply: &[u8]| matches!(reply[0], b'*' | b'~' | b'$') && !is_null(reply);
        if is_popped(&ours) && is_popped(&theirs) && super::replies::are_as_long(&ours, &theirs) {
            let (our_members, their_members) = (Reply::new(&ours).leaves(), Reply::new(&theirs).leaves());
            for (wire, gone) in [(&mut self.ours, their_members), (&mut self.theirs, our_members)] {
                if !gone.is_empty() {
                    let mut remove: Vec<&[u8]> = vec![b"SREM", &words[1]];
                    remove.extend(gone.iter().map(Vec::as_slice));
                    wire.call(&remove);
                }
            }
        } else if !are_equal(&words, &ours, &theirs) {
            self.note(words[0].clone(), &ours, &theirs);
            self.reset();
        }
    }

    /// Iterates over a collection on both servers.
    fn scan(&mut self, before: Words, options: Words, pattern: &'static str) {
        let whole = [before.clone(), words(&["0"]), options.clone()].concat();
        self.remember(whole.clone());
        let has_pairs = [b"HSCAN", b"ZSCAN"].iter().any(|name| before[0].eq_ignore_ascii_case(*name));
        let width = if has_pairs { 2 } else { 1 };
        let iterate = |wire: &mut Wire| {
            let mut found: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
            let mut cursor = b"0".to_vec();
            loop {
                let mut words: Vec<&[u8]> = before.iter().map(Vec::as_slice).collect();
                words.push(&cursor);
                words.extend(options.iter().map(Vec::as_slice));
                let reply = wire.call(&words);
                if reply[0] == b'-' {
                    return Err(reply);
                }
                let (next, parts) = scanned(&reply);
                found.extend(parts.chunks(width).map(|part| (part[0].clone(), part[1..].concat())));
                cursor = next;
                if cursor == b"0" {
                    return Ok(found);
                }
            }
        };
        let (ours, theirs) = (iterate(&mut self.ours), iterate(&mut self.theirs));
        self.tally.add(pattern, &whole, theirs.is_err());
        let is_same = match (&ours, &theirs) {
            (Ok(ours), Ok(theirs)) => {
                ours.len() == theirs.len()
                    && ours.iter().zip(theirs).all(|((our_name, our_value), (their_name, their_value))| {
                        our_name == their_name && are_equal_scanned(&before[0], our_value, their_value)
                    })
            }
            (Err(ours), Err(theirs)) => are_equal(&whole, ours, theirs),
            _ => false,
        };
        if !is_same {
            self.note(before[0].clone(), format!("{ours:?}").as_bytes(), format!("{theirs:?}").as_bytes());
            self.reset();
        }
    }

    /// Compares everything about a key: type, encoding, time to live, digest, and all that is in it. What is packed keeps its order.
    fn inspect(&mut self, key: &[u8]) {
        let about =
            |before: &[&str], after: &[&str]| [words(before), vec![key.to_vec()], words(after)].concat();
        let (ours, theirs) = self.call(&about(&["TYPE"], &[]));
        if ours != theirs {
            self.remember(about(&["TYPE"], &[]));
            self.note(b"inspected TYPE".to_vec(), &ours, &theirs);
            return self.reset();
        }
        let kind = content(&ours).to_vec();
        if kind == b"none" {
            return;
        }
        let encoding = about(&["OBJECT", "ENCODING"], &[]);
        let (ours, theirs) = self.call(&encoding);
        // Where SORT is asked, what it read may have another encoding.
        let encoded = if self.title.starts_with("sorting") { None } else { Some(kind.as_slice()) };
        if !are_equal_encodings(encoded, &ours, &theirs) {
            self.remember(encoding);
            self.note([b"inspected ENCODING of ", kind.as_slice()].concat(), &ours, &theirs);
            return self.reset();
        }
        let are_packed = [&ours, &theirs]
            .iter()
            .all(|name| ["listpack", "intset"].iter().any(|p| content(name) == p.as_bytes()));
        let mut reads = vec![about(&["PTTL"], &[])];
        match kind.as_slice() {
            b"string" => reads.push(about(&["GET"], &[])),
            b"list" => reads.push(about(&["LRANGE"], &["0", "-1"])),
            b"set" => reads.push(about(&["SMEMBERS"], &[])),
            b"hash" => reads.push(about(&["HGETALL"], &[])),
            b"zset" => reads.push(about(&["ZRANGE"], &["0", "-1", "WITHSCORES"])),
            _ => {
                reads.push(about(&["XRANGE"], &["-", "+"]));
                reads.push(about(&["XINFO", "STREAM"], &["FULL", "COUNT", "0"]));
                reads.push(about(&["XINFO", "GROUPS"], &[]));
            }
        }
        let mut are_all_equal = true;
        for read in reads {
            let (ours, theirs) = self.call(&read);
            are_all_equal &= ours == theirs;
            let is_ordered = are_packed && matches!(kind.as_slice(), b"set" | b"hash");
            if !are_equal(&read, &ours, &theirs) || (is_ordered && read[0] != b"PTTL" && ours != theirs) {
                self.remember(read.clone());
                self.note([b"inspected ", read[0].as_slice()].concat(), &ours, &theirs);
                return self.reset();
            }
        }
        let digest = about(&["DEBUG", "DIGEST-VALUE"], &[]);
        let (ours, theirs) = self.call(&digest);
        // Scores are digested as they are written, which differs like the replies.
        if ours[0] == b'*' && ours != theirs && (are_all_equal || kind != b"zset") {
            self.remember(digest);
            self.note([b"inspected DIGEST of ", kind.as_slice()].concat(), &ours, &theirs);
            self.reset();
        }
    }

    /// Restores on both what each of them dumps, and compares.
    fn transplant(&mut self, key: &[u8]) {
        let dump = [words(&["DUMP"]), vec![key.to_vec()]].concat();
        let (ours, theirs) = self.call(&dump);
        if ours.starts_with(b"-ERR unknown command") && variable("KNOWN").is_some() {
            return;
        }
        if !are_equal(&dump, &ours, &theirs) {
            self.remember(dump);
            return self.note(b"DUMP".to_vec(), &ours, &theirs);
        }
        if is_null(&ours) || ours[0] != b'$' || theirs[0] != b'$' {
            return;
        }
        for (name, dump) in [("from:ours", &ours), ("from:theirs", &theirs)] {
            let Some(dump) = dumps::for_all(content(dump)) else { continue };
            let restore = [words(&["RESTORE", name, "0"]), vec![dump], words(&["REPLACE"])].concat();
            self.exchange(vec![restore.into()]);
            self.inspect(name.as_bytes());
        }
    }

    /// Records that the last command was answered differently, unless one of its name was already.
    fn note(&mut self, name: Vec<u8>, ours: &[u8], theirs: &[u8]) {
        let name = String::from_utf8_lossy(&name).to_ascii_uppercase();
        if self.differences.contains_key(&name) {
            return;
        }
        let last = self.asked.back().expect("something was asked");
        let mut text = format!("{name} differs, command {}: {}\n", self.count, shown(last));
        if last[0] == b"EXEC" {
            let transaction = self.asked.iter().rev().skip(1).take_while(|words| words[0] != b"MULTI");
            for words in transaction.collect::<Vec<_>>().iter().rev() {
                let _ = writeln!(text, "  in it:     {}", shown(words));
            }
        }
        let _ =
            writeln!(text, "  corevault: {}\n  redis:     {}", around(ours, theirs), around(theirs, ours));
        let concerns = |words: &&Words| {
            let is_key = |word: &Vec<u8>| Generator::keys().any(|key| key.as_bytes() == word);
            words[0].starts_with(b"FLUSH")
                || words[1..].iter().any(|word| is_key(word) && last.contains(word))
        };
        let earlier = self.asked.iter().rev().skip(1).filter(concerns).take(HISTORY_SHOWN_MAX);
        for words in earlier.collect::<Vec<_>>().iter().rev() {
            let _ = writeln!(text, "  earlier:   {}", shown(words));
        }
        if let Some(path) = variable("TRACE") {
            let trace: String = self.asked.iter().map(|words| shown_whole(words) + "\n").collect();
            std::fs::write(format!("{path}.{name}"), trace).expect("a file for the trace");
        }
        self.differences.insert(name, text);
    }
}

/// A reply that never comes ends the run where it is awaited.
impl Drop for Run<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let last = self.asked.iter().rev().take(HISTORY_SHOWN_MAX).map(shown);
            eprintln!(
                "{}: said last, the latest first:\n{}",
                self.title,
                last.collect::<Vec<_>>().join("\n")
            );
        }
    }
}

fn shown_whole(words: &Words) -> String {
    words.iter().map(|word| format!("\"{}\"", word.escape_ascii())).collect::<Vec<_>>().join(" ")
}

/// A reply from where it differs on, if it is long.
fn around(reply: &[u8], other: &[u8]) -> String {
    const SHORT: usize = 250;
    if reply.len() <= SHORT {
        return lossy(reply);
    }
    let at = reply.iter().zip(other).take_while(|(a, b)| a == b).count();
    let from = at.saturating_sub(100).min(reply.len());
    format!("({} bytes, different from {at} on) ...{}", reply.len(), lossy(&reply[from..]))
}
