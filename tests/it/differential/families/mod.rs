//! Random commands of every data type: a table of patterns for each family, and what their arguments may be.
//! Never talks to a server: `types` compares two servers with these commands, and the unit test `commands/replay_tests` replays
//! their effects. The same seed and the same dumps give the same commands.

mod bitmaps;
mod field_expiry;
mod geo;
mod grammar;
mod hashes;
mod hyperloglogs;
mod keys;
mod lists;
mod sets;
mod sorted_sets;
mod sorting;
mod streams;

use super::Rng;

/// The words of one command.
pub type Words = Vec<Vec<u8>>;

/// A family of commands.
pub struct Family {
    /// Its name in tests and reports.
    pub name: &'static str,
    /// How many keys it works on: few, so that commands meet.
    pub keys: &'static [&'static str],
    /// How often a command is drawn, and its pattern; `grammar` says how patterns are written.
    pub patterns: &'static [(u32, &'static str)],
    /// Arguments that only this family has; none for those of all families.
    pub argument: fn(&mut Generator, &str) -> Option<Vec<u8>>,
}

/// Every family.
pub const FAMILIES: &[&Family] = &[
    &lists::FAMILY,
    &hashes::FAMILY,
    &sets::FAMILY,
    &sorted_sets::FAMILY,
    &streams::FAMILY,
    &bitmaps::FAMILY,
    &hyperloglogs::FAMILY,
    &geo::FAMILY,
    &sorting::FAMILY,
];

/// Families that Redis 7.2 does not have.
const LATER_FAMILIES: &[&Family] = &[&field_expiry::FAMILY];

/// The family of this name.
pub fn family(name: &str) -> Option<&'static Family> {
    FAMILIES.iter().chain(LATER_FAMILIES).copied().find(|family| family.name == name)
}

/// What both servers are asked.
#[derive(Debug)]
pub enum Step {
    /// Commands one after the other.
    Commands(Vec<Words>),
    /// The same within MULTI and EXEC.
    Transaction(Vec<Words>),
    /// A command that replies with elements of a collection chosen at random, and one that lists them all.
    Random { choose: Words, all: Words },
    /// SPOP, which removes what it chooses at random.
    Pop(Words),
    /// A whole iteration: what stands before the cursor, and the options.
    Scan { before: Words, options: Words },
    /// DUMP of a key, for RESTORE commands to come.
    Dump(Words),
    /// Everything about a key.
    Inspect(Vec<u8>),
}

/// Of a hundred commands of a family's run: those about keys of any type, and those of other families.
const ABOUT_KEYS: u64 = 13;
const OF_OTHERS: u64 = 3;
/// Of a hundred commands, how many have a mistake in them.
const MISTAKES: u64 = 8;
/// Of a thousand steps.
const TRANSACTIONS: u64 = 25;
const INSPECTIONS: u64 = 4;
const PROTOCOL_CHANGES: u64 = 3;

/// Most dumps that are kept for RESTORE.
const DUMPS_MAX: usize = 12;

/// These may wait, and one that waits for ever ends the run: outside of transactions they are taken as written.
const BLOCKING: &[&[u8]] = &[
    b"BLPOP",
    b"BRPOP",
    b"BLMOVE",
    b"BRPOPLPUSH",
    b"BLMPOP",
    b"BZPOPMIN",
    b"BZPOPMAX",
    b"BZMPOP",
    b"XREAD",
    b"XREADGROUP",
];

/// Words that any argument may be replaced with. No small positive number, which would be a short time to live.
#[rustfmt::skip]
const WRONG_WORDS: &[&[u8]] = &[
    b"", b"x", b"-1", b"0", b"+5", b"-0", b"00", b" 1", b"1 ", b"1.5", b"1e9", b"1e400", b"-1e400", b"0x10", b"\xff\xfe", b"\0", b"nan",
    b"inf", b"-inf", b"9223372036854775807", b"9223372036854775808", b"-9223372036854775808", b"-9223372036854775809",
    b"18446744073709551616", b"NX", b"LIMIT", b"COUNT", b"WITHSCORES", b"STORE", b"GET", b"*", b"$", b"+", b"-", b"(", b"[a",
];

/// Draws commands of a family, and remembers what later commands refer to.
pub struct Generator {
    rng: Rng,
    family: &'static Family,
    /// Whether a command is being drawn for a transaction.
    is_in_transaction: bool,
    /// Whether many arguments of a kind are being drawn, which should differ.
    is_wide: bool,
    /// How many times the last counted group was repeated.
    repeated: u64,
    /// Rises with every new stream entry.
    ticks: u64,
    dumps: Vec<Vec<u8>>,
    /// The pattern that the last command came from.
    pattern: &'static str,
    /// Commands that are not drawn, in upper case.
    left_out: Vec<String>,
}

impl Generator {
    /// A generator of commands mostly of `family`.
    pub fn new(seed: u64, family: &'static Family) -> Generator {
        let salt = family.name.bytes().fold(0, |salt: u64, byte| salt.wrapping_mul(257) + u64::from(byte));
        Generator {
            rng: Rng::new(seed.wrapping_mul(0x9E37_79B9) ^ salt),
            family,
            is_in_transaction: false,
            is_wide: false,
            repeated: 0,
            ticks: 0,
            dumps: Vec::new(),
            pattern: "",
            left_out: Vec::new(),
        }
    }

    /// Draws no commands of these names, in upper case.
    pub fn leave_out(&mut self, names: &[String]) {
        self.left_out = names.to_vec();
    }

    /// The names of all commands.
    pub fn names() -> impl Iterator<Item = &'static str> {
        let families = FAMILIES.iter().copied().chain([&keys::FAMILY]);
        let patterns = families.flat_map(|family| family.patterns.iter());
        patterns.filter_map(|(_, pattern)| pattern.trim_start_matches('!').split(' ').next())
    }

    /// All keys that commands use.
    pub fn keys() -> impl Iterator<Item = &'static str> {
        FAMILIES.iter().flat_map(|family| family.keys.iter().copied())
    }

    /// What DUMP replied, for RESTORE.
    pub fn take_dump(&mut self, dump: &[u8]) {
        if self.dumps.len() == DUMPS_MAX {
            let at = self.below(DUMPS_MAX as u64) as usize;
            self.dumps.swap_remove(at);
        }
        self.dumps.push(dump.to_vec());
    }

    /// The pattern that the last command came from, unless that had a mistake.
    pub fn pattern(&self) -> &'static str {
        self.pattern
    }

    /// What to ask next.
    pub fn step(&mut self) -> Step {
        let draw = self.below(1000);
        if draw < TRANSACTIONS {
            self.is_in_transaction = true;
            let count = 1 + self.below(6);
            let commands = (0..count).flat_map(|_| self.commands()).collect();
            self.is_in_transaction = false;
            return Step::Transaction(commands);
        }
        if draw < TRANSACTIONS + INSPECTIONS {
            return Step::Inspect(self.key());
        }
        if draw < TRANSACTIONS + INSPECTIONS + PROTOCOL_CHANGES {
            let version = *self.pick(&["2", "3"]);
            return Step::Commands(vec![words(&["HELLO", version])]);
        }
        let mut commands = self.commands();
        if commands.len() > 1 {
            return Step::Commands(commands);
        }
        let command = commands.remove(0);
        let all = |read: &[&str]| {
            let (name, rest) = read.split_first().expect("a name");
            let mut all = vec![name.as_bytes().to_vec(), command.get(1).cloned().unwrap_or_default()];
            all.extend(rest.iter().map(|word| word.as_bytes().to_vec()));
            all
        };
        match command[0].to_ascii_uppercase().as_slice() {
            b"SPOP" => Step::Pop(command),
            b"DUMP" => Step::Dump(command),
            b"SRANDMEMBER" => Step::Random { all: all(&["SMEMBERS"]), choose: command },
            b"HRANDFIELD" => Step::Random { all: all(&["HGETALL"]), choose: command },
            b"ZRANDMEMBER" => {
                Step::Random { all: all(&["ZRANGE", "0", "-1", "WITHSCORES"]), choose: command }
            }
            b"SCAN" if command.get(1).is_some_and(|cursor| cursor == b"0") => {
                Step::Scan { before: command[..1].to_vec(), options: command[2..].to_vec() }
            }
            b"SSCAN" | b"HSCAN" | b"ZSCAN" if command.get(2).is_some_and(|cursor| cursor == b"0") => {
                Step::Scan { before: command[..2].to_vec(), options: command[3..].to_vec() }
            }
            _ => Step::Commands(vec![command]),
        }
    }

    /// Commands that belong together, mostly one.
    fn commands(&mut self) -> Vec<Words> {
        let draw = self.below(100);
        let family = if draw < ABOUT_KEYS {
            &keys::FAMILY
        } else if draw < ABOUT_KEYS + OF_OTHERS {
            // SORT changes encodings in Redis, which is expected in its own run only.
            let (_, others) = FAMILIES.split_last().expect("SORT is the last");
            *self.pick(others)
        } else {
            self.family
        };
        let own = self.family;
        if draw >= ABOUT_KEYS {
            self.family = family;
        }
        let (mut pattern, mut words) = self.draw(family);
        // What waits takes time.
        while pattern.contains(" timeout") && !self.is_in_transaction && self.chance(80) {
            (pattern, words) = self.draw(family);
        }
        if self.left_out.iter().any(|name| words[0].eq_ignore_ascii_case(name.as_bytes())) {
            (pattern, words) = ("", vec![b"TYPE".to_vec(), self.any_key()]);
        }
        self.pattern = pattern;
        let may_block = BLOCKING.iter().any(|name| words[0].eq_ignore_ascii_case(name));
        // A mistake could give one name another score than the others have.
        let is_taken_as_written = (may_block && !self.is_in_transaction) || pattern.contains("lexical");
        if !is_taken_as_written && self.chance(MISTAKES) {
            self.spoil(&mut words);
            self.pattern = "";
        }
        if self.is_in_transaction && words[0].eq_ignore_ascii_case(b"SPOP") {
            // What it chooses cannot be put right before the next command: it takes all.
            words.truncate(2);
            words.push(b"1000000".to_vec());
        }
        if self.chance(10) {
            words[0].make_ascii_lowercase();
        }
        let mut commands = streams::preparations(self, &words);
        commands.extend(sorting::preparations(&words));
        self.family = own;
        commands.push(words);
        commands
    }

    fn draw(&mut self, family: &'static Family) -> (&'static str, Words) {
        let odds: u32 = family.patterns.iter().map(|(odds, _)| odds).sum();
        let mut draw = self.below(u64::from(odds)) as u32;
        let found = family.patterns.iter().find(|(odds, _)| {
            let is_it = draw < *odds;
            draw = draw.wrapping_sub(*odds);
            is_it
        });
        let (_, pattern) = found.expect("a draw below the sum of the odds");
        (pattern, self.expand(pattern))
    }

    /// Makes a mistake.
    fn spoil(&mut self, words: &mut Words) {
        let at = 1 + self.below(words.len().max(2) as u64 - 1) as usize;
        match self.below(5) {
            0 => words.truncate(at.max(1)),
            1 => words.push(self.pick(WRONG_WORDS).to_vec()),
            2 if at < words.len() => words.insert(at, self.pick(WRONG_WORDS).to_vec()),
            3 if at + 1 < words.len() => words.swap(at, at + 1),
            _ if at < words.len() => words[at] = self.pick(WRONG_WORDS).to_vec(),
            _ => words.push(self.pick(WRONG_WORDS).to_vec()),
        }
    }

    /// One argument of the kind that `kind` names.
    fn argument(&mut self, kind: &str) -> Vec<u8> {
        if let Some(word) = (self.family.argument)(self, kind) {
            return word;
        }
        match kind {
            "key" => self.key(),
            "any" => self.any_key(),
            "member" => self.member(),
            "value" => self.value(),
            "integer" => self.integer(),
            "index" => self.small(24, 60),
            "count" => self.small(3, 12),
            // Minus so many elements may be repeated, and Redis takes its time for all that 63 bits can say.
            "sample" if self.chance(10) => self
                .pick(&["0", "1000", "-9223372036854775808", "9223372036854775807", "x", ""])
                .as_bytes()
                .to_vec(),
            "sample" => (self.below(60) as i64 - 25).to_string().into_bytes(),
            "positive" => (1 + self.below(12)).to_string().into_bytes(),
            "float" => self.float(),
            "timeout" => {
                let all: &[&str] = if self.is_in_transaction {
                    &["0", "0.01", "1", "1000000", "-1", "x", "nan", "1e400", "inf", " 1", "0x1"]
                } else {
                    &["0.003", "0.005", "0.008", "-1", "x", "nan"]
                };
                self.pick(all).as_bytes().to_vec()
            }
            "glob" => self.pick(&["*", "m*", "?1*", "*[0-4]", "nosuch", "", "[", "1*"]).as_bytes().to_vec(),
            "names" => self.pick(&["*:1", "{t}*", "set*", "nosuch", "[a-l]*"]).as_bytes().to_vec(),
            "type" => {
                let all = &["string", "list", "hash", "set", "zset", "stream", "HASH", "nosuch"];
                self.pick(all).as_bytes().to_vec()
            }
            "cursor" if self.chance(85) => b"0".to_vec(),
            "cursor" => self.pick(&["7", "x", "-1", "18446744073709551616", " 0"]).as_bytes().to_vec(),
            "seconds" => (1_000_000 + self.below(1_000_000_000)).to_string().into_bytes(),
            // Redis counts them in 24 bits.
            "idle-seconds" => (1_000_000 + self.below(10_000_000)).to_string().into_bytes(),
            "ms" => (1_000_000_000 + self.below(1_000_000_000_000)).to_string().into_bytes(),
            "unix" => (5_000_000_000 + self.below(4_000_000_000)).to_string().into_bytes(),
            "unix-ms" => (5_000_000_000_000 + self.below(4_000_000_000_000)).to_string().into_bytes(),
            "db" => self.pick(&["0", "0", "0", "1", "1", "99"]).as_bytes().to_vec(),
            "dump" => self.dump(),
            _ => unreachable!("nothing is known about the argument {kind}"),
        }
    }

    /// Mostly one of the family, else one of another family or one that nobody writes.
    fn key(&mut self) -> Vec<u8> {
        match self.below(40) {
            0 => b"nosuch".to_vec(),
            1 => self.any_key(),
            _ => self.pick(self.family.keys).as_bytes().to_vec(),
        }
    }

    fn any_key(&mut self) -> Vec<u8> {
        let family = *self.pick(FAMILIES);
        self.pick(family.keys).as_bytes().to_vec()
    }

    /// A key of another family.
    fn key_of(&mut self, name: &str) -> Vec<u8> {
        let family = family(name).expect("the name of a family");
        self.pick(family.keys).as_bytes().to_vec()
    }

    /// An element, field or member: few, so that they meet, unless many are drawn at once.
    fn member(&mut self) -> Vec<u8> {
        let bound = if self.is_wide { 500 } else { 24 };
        match self.below(100) {
            0..60 => format!("m{}", self.below(bound)).into_bytes(),
            60..90 => (self.below(bound) as i64 - 5).to_string().into_bytes(),
            90 => b"".to_vec(),
            // Around the length at which Redis changes the encoding.
            91 => vec![b'L'; 62 + self.below(5) as usize],
            92 if self.chance(5) => vec![b'H'; 3000 + self.below(3) as usize],
            93 => self.pick(WRONG_WORDS).to_vec(),
            94 => (i64::MIN + self.below(3) as i64).to_string().into_bytes(),
            95 => (32766 + self.below(4)).to_string().into_bytes(),
            96 => (2_147_483_646 + self.below(4)).to_string().into_bytes(),
            97 => self.bytes(12),
            _ => format!("m{}", self.below(500)).into_bytes(),
        }
    }

    /// The value of a field, or an element of a list.
    fn value(&mut self) -> Vec<u8> {
        match self.below(12) {
            0..4 => self.integer(),
            4 => self.float(),
            5 if self.chance(20) => self.bytes(200),
            _ => self.member(),
        }
    }

    fn integer(&mut self) -> Vec<u8> {
        match self.below(30) {
            0 => self.pick(WRONG_WORDS).to_vec(),
            1 => {
                self.pick(&["9223372036854775807", "-9223372036854775808", "4294967296"]).as_bytes().to_vec()
            }
            _ => (self.below(60) as i64 - 20).to_string().into_bytes(),
        }
    }

    /// Numbers from a few below zero to `bound`, now and then up to a larger one or none.
    fn small(&mut self, bound: u64, seldom: u64) -> Vec<u8> {
        match self.below(50) {
            0 => self.pick(WRONG_WORDS).to_vec(),
            1 => {
                self.pick(&["1000000", "-1000000", "4294967296", "-9223372036854775808"]).as_bytes().to_vec()
            }
            2..8 => (self.below(2 * seldom) as i64 - seldom as i64).to_string().into_bytes(),
            8..18 => (-1 - self.below(4) as i64).to_string().into_bytes(),
            _ => self.below(bound).to_string().into_bytes(),
        }
    }

    pub fn float(&mut self) -> Vec<u8> {
        #[rustfmt::skip]
        const EDGES: &[&str] = &[
            "0", "-0", "0.1", "0.30000000000000004", "1e3", "1e-7", "5.0e+3", "1.5e300", "-2.5e-300", "1e400", "-1e400", "1e-400", "5e-324",
            "inf", "-inf", "+inf", "Infinity", "nan", "-nan", "0x1p3", "0x10", ".5", "1.", "+1", "1e", "1.1.1", " 1", "1 ", "",
            "12345678901234567890", "9007199254740993", "1e17", "123456789012345680", "3.14159265358979", "1e21", "99999999999999999999",
        ];
        match self.below(20) {
            0..2 => self.pick(EDGES).as_bytes().to_vec(),
            2..8 => format!("{}.{}", self.below(40) as i64 - 10, self.below(1000)).into_bytes(),
            8 => format!("{:e}", (self.below(1 << 53) as f64) / 3.0).into_bytes(),
            _ => (self.below(30) as i64 - 8).to_string().into_bytes(),
        }
    }

    /// What RESTORE is given: what some server dumped before, now and then damaged.
    fn dump(&mut self) -> Vec<u8> {
        if self.dumps.is_empty() || self.chance(4) {
            return self.bytes(20);
        }
        let at = self.below(self.dumps.len() as u64) as usize;
        let mut dump = self.dumps[at].clone();
        if self.chance(6) {
            let at = self.below(dump.len() as u64) as usize;
            dump[at] ^= 1 << self.below(8);
        }
        dump
    }

    fn bytes(&mut self, length_max: u64) -> Vec<u8> {
        let length = self.below(length_max + 1);
        (0..length).map(|_| self.rng.next_u64() as u8).collect()
    }

    /// A number in `0..bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.rng.below(bound)
    }

    /// True in so many cases of a hundred.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }
}

/// A command of plain words.
fn words(plain: &[&str]) -> Words {
    plain.iter().map(|word| word.as_bytes().to_vec()).collect()
}
