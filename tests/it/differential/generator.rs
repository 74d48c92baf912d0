//! Random commands from a grammar: mostly sensible ones on few keys, and some with wrong words or too many or too few.
//! The same seed gives the same commands. Times to live are long or past: what time does to keys is tested elsewhere.

use corevault::base::rng::Rng;

/// The words of one command.
pub type Words = Vec<Vec<u8>>;

/// What both servers are asked at once.
pub enum Step {
    /// Commands of which only the last `replies` are answered.
    Commands { commands: Vec<Words>, replies: usize },
    /// A whole iteration with these options of `SCAN`.
    Scan(Words),
}

/// Lower-case words stand for kinds of arguments (see `Generator::argument`), others for themselves. `[a|b]` means none to two of
/// the alternatives, `{a b}` one to four repetitions.
const STRINGS: &[&str] = &[
    "GET key",
    "SET key value",
    "SET key value [EX seconds|PX ms|EXAT unix|PXAT unix-ms|KEEPTTL|NX|XX|GET]",
    "SETNX key value",
    "SETEX key seconds value",
    "PSETEX key ms value",
    "GETSET key value",
    "GETDEL key",
    "GETEX key [EX seconds|PX ms|EXAT unix|PXAT unix-ms|PERSIST]",
    "MGET {key}",
    "MSET {key value}",
    "MSETNX {key value}",
    "APPEND key value",
    "STRLEN key",
    "GETRANGE key offset offset",
    "SUBSTR key offset offset",
    "SETRANGE key offset value",
    "INCR key",
    "DECR key",
    "INCRBY key integer",
    "DECRBY key integer",
    "INCRBYFLOAT key float",
    "LCS key key [LEN|IDX|WITHMATCHLEN|MINMATCHLEN integer]",
];

const KEYS: &[&str] = &[
    "DEL {key}",
    "UNLINK {key}",
    "EXISTS {key}",
    "TOUCH {key}",
    "TYPE key",
    "RENAME key key",
    "RENAMENX key key",
    "COPY key key [DB db|REPLACE]",
    "MOVE key db",
    "KEYS pattern",
    "OBJECT ENCODING key",
    "OBJECT REFCOUNT key",
    "OBJECT FREQ key",
    "OBJECT IDLETIME key",
    "OBJECT HELP",
    "OBJECT word key",
    "RANDOMKEY",
    "SCAN cursor [MATCH pattern|COUNT integer|TYPE type]",
];

const EXPIRY: &[&str] = &[
    "EXPIRE key seconds [NX|XX|GT|LT]",
    "PEXPIRE key ms [NX|XX|GT|LT]",
    "EXPIREAT key unix [NX|XX|GT|LT]",
    "PEXPIREAT key unix-ms [NX|XX|GT|LT]",
    "TTL key",
    "PTTL key",
    "EXPIRETIME key",
    "PEXPIRETIME key",
    "PERSIST key",
];

const CONNECTION: &[&str] = &[
    "PING",
    "PING value",
    "ECHO value",
    "SELECT db",
    "RESET",
    "HELLO",
    "HELLO 2",
    "HELLO 3",
    "HELLO integer [AUTH word word|SETNAME word]",
    "AUTH word",
    "AUTH word word",
    "CLIENT ID",
    "CLIENT GETNAME",
    "CLIENT SETNAME word",
    "CLIENT INFO",
    "CLIENT LIST",
    "CLIENT LIST TYPE word",
    "CLIENT LIST ID word",
    "CLIENT KILL ID 999999",
    "CLIENT KILL ID word",
    "CLIENT KILL ADDR 1.2.3.4:5 [TYPE NORMAL|USER default|SKIPME YES]",
    "CLIENT KILL 1.2.3.4:5",
    "CLIENT KILL word word",
    "CLIENT NO-EVICT word",
    "CLIENT NO-EVICT ON",
    "CLIENT PAUSE x",
    "CLIENT PAUSE -1",
    "CLIENT PAUSE 0 word",
    "CLIENT UNPAUSE",
    "CLIENT REPLY ON",
    "CLIENT REPLY word",
    "CLIENT word",
    "CONFIG GET nosuch",
    "CONFIG GET databases",
    "CONFIG SET nosuch 1",
    "CONFIG SET maxclients word",
    "CONFIG SET timeout -1",
    "CONFIG SET timeout 0 timeout 0",
    "CONFIG GET appendfsync",
    "CONFIG GET auto-aof-rewrite-percentage",
    "CONFIG GET auto-aof-rewrite-min-size",
    "CONFIG GET stop-writes-on-bgsave-error",
    "CONFIG SET appendonly word",
    "CONFIG SET appendfsync word",
    "CONFIG SET save 10",
    "CONFIG SET auto-aof-rewrite-percentage -1",
    "CONFIG SET auto-aof-rewrite-min-size 1x",
    "CONFIG SET stop-writes-on-bgsave-error word",
    "LASTSAVE",
    "CONFIG word",
    "COMMAND INFO nosuch",
    "COMMAND GETKEYS MSET {key value}",
    "COMMAND GETKEYS PING value value",
    "COMMAND GETKEYS word word value",
    "word",
    "word value {word}",
];

const RARE: &[&str] = &["FLUSHDB [ASYNC|SYNC]", "FLUSHALL [ASYNC|SYNC]", "SWAPDB db db"];

/// How often each family is drawn, of a hundred; the rest are steps with a form of their own.
const FAMILIES: &[(u64, &[&str])] = &[(45, STRINGS), (22, KEYS), (16, EXPIRY), (11, CONNECTION), (1, RARE)];

/// What makes a transaction, outside of one and inside. A few keys of many are watched, so that other clients hit some and miss some.
#[rustfmt::skip]
const OUTSIDE: &[&str] = &[
    "WATCH {key}", "WATCH {key}", "WATCH {key}", "WATCH {key}", "MULTI", "MULTI", "MULTI", "MULTI", "UNWATCH", "EXEC", "DISCARD",
    "SELECT db",
];
#[rustfmt::skip]
const INSIDE: &[&str] = &[
    "EXEC", "EXEC", "EXEC", "EXEC", "EXEC", "EXEC", "DISCARD", "MULTI", "WATCH {key}", "UNWATCH", "SELECT db", "SELECT db",
];

/// As `FAMILIES`, where several clients talk. What changes whole databases is drawn more often: it meets what is watched.
const FAMILIES_OUTSIDE: &[(u64, &[&str])] =
    &[(36, OUTSIDE), (30, STRINGS), (16, KEYS), (11, EXPIRY), (4, CONNECTION), (3, RARE)];
const FAMILIES_INSIDE: &[(u64, &[&str])] =
    &[(22, INSIDE), (40, STRINGS), (19, KEYS), (10, EXPIRY), (6, CONNECTION), (3, RARE)];

/// How many commands of a hundred have a mistake in them. In a transaction most mistakes spoil all of it.
const MISTAKES: u64 = 12;
const MISTAKES_IN_TRANSACTIONS: u64 = 4;

/// How many keys of a hundred are favourites, if there are any.
const FAVOURITES: u64 = 40;

/// In these a wrong word could pause or disconnect the connection that compares.
const TAKEN_AS_WRITTEN: &[&[u8]] = &[b"CLIENT", b"CONFIG"];

/// Few, so that commands meet; some share a slot, and some are no text.
#[rustfmt::skip]
const KEY_NAMES: &[&[u8]] = &[
    b"a", b"b", b"c", b"d", b"e", b"key:1", b"key:2", b"key:3", b"{t}1", b"{t}2", b"{}x", b"",
    b"\0\xff\r\n", b"*[?",
];

/// Words that numbers, options and names may be replaced with. No small positive number, which would be a short time to live.
#[rustfmt::skip]
const WRONG_WORDS: &[&[u8]] = &[
    b"", b"x", b"-1", b"0", b"+5", b"-0", b"00", b" 1", b"1 ", b"1.5", b"1e9", b"0x10", b"\xff\xfe", b"nan", b"inf",
    b"9223372036854775807", b"9223372036854775808", b"-9223372036854775808", b"-9223372036854775809",
    b"18446744073709551616", b"4294967296000", b"EX", b"NX", b"LIMIT", b"async",
    b"a\r\nb", b"'quoted\"", b"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz\
                                abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz",
];

#[rustfmt::skip]
const FLOATS: &[&str] = &[
    "0", "1", "-1", "0.1", "-0.1", "3.14", "1e3", "1e-7", "5.0e+3", "1.5e300", "-2.5e-300", "1e4932",
    "1e5000", "inf", "-inf", "+inf", "nan", "0x1p3", ".5", "1.", "+1", "1e", "e1", "1.1.1",
    "12345678901234567890", "0.30000000000000004",
];

#[rustfmt::skip]
const NUMBERS: &[&str] = &[
    "0", "-0", "007", "+1", "-1", "9223372036854775807", "9223372036854775806", "-9223372036854775808",
    "-9223372036854775807", "9223372036854775808", "18446744073709551615", "99999999999999999999", "9999",
    "10000",
];

#[rustfmt::skip]
const PATTERNS: &[&str] = &[
    "*", "?", "key:*", "key:[12]", "key:[^1]", "{t}?", "\\*[?", "[a-c]", "[c-a]", "*:*", "", "nosuch", "[",
    "a\\", "**?*",
];

pub struct Generator {
    rng: Rng,
    mistakes: u64,
    /// Keys drawn more often than others.
    favourites: Words,
}

impl Generator {
    pub fn new(seed: u64) -> Generator {
        Generator { rng: Rng::new(seed), mistakes: MISTAKES, favourites: Words::new() }
    }

    /// For conversations with transactions.
    pub fn with_transactions(seed: u64) -> Generator {
        Generator { mistakes: MISTAKES_IN_TRANSACTIONS, ..Generator::new(seed) }
    }

    /// All keys that commands use.
    pub fn keys() -> impl Iterator<Item = &'static [u8]> {
        KEY_NAMES.iter().copied()
    }

    pub fn step(&mut self) -> Step {
        let draw = self.below(100);
        if let Some(command) = self.of_families(FAMILIES, draw) {
            return Step::Commands { commands: vec![command], replies: 1 };
        }
        let drawn: u64 = FAMILIES.iter().map(|(odds, _)| odds).sum();
        match draw - drawn {
            // Counting expired keys or not is a matter of taste until somebody touches them.
            0 | 1 => Step::Commands { commands: vec![touch_all(), words(&["DBSIZE"])], replies: 2 },
            2 | 3 => {
                let mut commands = vec![words(&["CLIENT", "REPLY", "OFF"])];
                commands.extend((0..1 + self.below(3)).map(|_| self.command(STRINGS)));
                commands.push(words(&["CLIENT", "REPLY", "ON"]));
                Step::Commands { commands, replies: 1 }
            }
            _ => Step::Scan(self.options("MATCH pattern|COUNT count|TYPE type")),
        }
    }

    /// From now on these keys are drawn more often.
    pub fn favour(&mut self, keys: &[Vec<u8>]) {
        self.favourites = keys.to_vec();
    }

    /// A command of a client that is in a transaction, or is not.
    pub fn command_of_client(&mut self, is_in_transaction: bool) -> Words {
        let families = if is_in_transaction { FAMILIES_INSIDE } else { FAMILIES_OUTSIDE };
        let draw = self.below(100);
        self.of_families(families, draw).expect("the odds of the families are a hundred")
    }

    /// A command for within a transaction, that neither ends it nor begins one.
    pub fn queued_command(&mut self) -> Words {
        let (_, all_but_inside) = FAMILIES_INSIDE.split_first().expect("there are families");
        let draw = self.below(all_but_inside.iter().map(|(odds, _)| odds).sum());
        self.of_families(all_but_inside, draw).expect("a draw below the sum of the odds")
    }

    /// Stores a key that is gone in a few milliseconds.
    pub fn short_lived(&mut self, ms_first: u64, ms_last: u64) -> Words {
        let ms = (ms_first + self.below(ms_last - ms_first + 1)).to_string();
        vec![b"SET".to_vec(), self.argument("key"), self.value(), b"PX".to_vec(), ms.into_bytes()]
    }

    /// The command that `draw`, a number below a hundred, stands for; none if it is beyond all families.
    fn of_families(&mut self, families: &[(u64, &[&str])], mut draw: u64) -> Option<Words> {
        for (odds, family) in families {
            if draw < *odds {
                return Some(self.command(family));
            }
            draw -= odds;
        }
        None
    }

    /// How many steps to send together.
    pub fn batch(&mut self) -> u64 {
        if self.chance(50) { 1 } else { 2 + self.below(40) }
    }

    fn command(&mut self, family: &[&str]) -> Words {
        let pattern = *self.pick(family);
        let mut words = self.expand(pattern);
        if self.chance(self.mistakes) {
            self.spoil(&mut words);
        }
        if self.chance(20) {
            words[0].make_ascii_lowercase();
        }
        words
    }

    /// Makes a mistake.
    fn spoil(&mut self, words: &mut Words) {
        let is_fixed = TAKEN_AS_WRITTEN.contains(&words[0].as_slice());
        let at = self.below(words.len() as u64) as usize;
        match self.below(4) {
            0 if words.len() > 1 => _ = words.pop(),
            1 => words.push(self.pick(WRONG_WORDS).to_vec()),
            _ if is_fixed || at == 0 => words.truncate(1),
            2 => words[at] = self.pick(WRONG_WORDS).to_vec(),
            _ => words.insert(at, self.pick(WRONG_WORDS).to_vec()),
        }
    }

    fn expand(&mut self, pattern: &str) -> Words {
        if let Some((before, rest)) = pattern.split_once(['[', '{']) {
            let mut words = self.expand(before);
            let (group, after) = rest.split_once([']', '}']).expect("a group ends");
            if pattern.as_bytes()[before.len()] == b'[' {
                words.extend(self.options(group));
            } else {
                let count = 1 + self.below(4);
                words.extend((0..count).flat_map(|_| self.expand(group)).collect::<Words>());
            }
            words.extend(self.expand(after));
            return words;
        }
        pattern.split_whitespace().map(|word| self.argument(word)).collect()
    }

    /// None to two of the alternatives, which may contradict each other.
    fn options(&mut self, alternatives: &str) -> Words {
        let alternatives: Vec<&str> = alternatives.split('|').collect();
        let count = [0, 1, 1, 1, 2][self.below(5) as usize];
        let mut words: Words = (0..count)
            .flat_map(|_| {
                let alternative = *self.pick(&alternatives);
                self.expand(alternative)
            })
            .collect();
        if self.chance(10) {
            words.iter_mut().for_each(|word| word.make_ascii_lowercase());
        }
        words
    }

    /// One argument of the kind that `kind` names, or the word itself.
    fn argument(&mut self, kind: &str) -> Vec<u8> {
        match kind {
            "key" if !self.favourites.is_empty() && self.chance(FAVOURITES) => {
                let at = self.below(self.favourites.len() as u64) as usize;
                self.favourites[at].clone()
            }
            "key" => self.pick(KEY_NAMES).to_vec(),
            "value" => self.value(),
            "integer" => self.integer(),
            "offset" => self.offset(),
            "float" => self.pick(FLOATS).as_bytes().to_vec(),
            // Every draw is different, so that it never matters which of two moments was later.
            "seconds" => self.time(1_000_000, 1_000_000_000),
            "ms" => self.time(1_000_000_000, 1_000_000_000_000),
            "unix" => self.time(5_000_000_000, 9_000_000_000),
            "unix-ms" => self.time(5_000_000_000_000, 9_000_000_000_000),
            "pattern" => self.pick(PATTERNS).as_bytes().to_vec(),
            "cursor" if self.chance(70) => b"0".to_vec(),
            "db" if self.chance(90) => self.below(3).to_string().into_bytes(),
            "count" => (1 + self.below(30)).to_string().into_bytes(),
            "type" => self.pick(&["string", "STRING", "hash", "zset"]).as_bytes().to_vec(),
            "word" | "cursor" | "db" => self.pick(WRONG_WORDS).to_vec(),
            literal => literal.as_bytes().to_vec(),
        }
    }

    fn value(&mut self) -> Vec<u8> {
        match self.below(20) {
            0..=6 => (self.below(20_000) as i64 - 5_000).to_string().into_bytes(),
            7..=8 => self.pick(NUMBERS).as_bytes().to_vec(),
            9..=10 => self.pick(FLOATS).as_bytes().to_vec(),
            11..=14 => [b"abcab", self.pick(KEY_NAMES) as &[u8], b"cabba"].concat(),
            15 => self.pick(WRONG_WORDS).to_vec(),
            // Around the length at which Redis changes the encoding.
            16 => vec![b'e'; 42 + self.below(5) as usize],
            17 => self.bytes(1500),
            _ => self.bytes(60),
        }
    }

    fn integer(&mut self) -> Vec<u8> {
        match self.below(10) {
            0..=6 => (self.below(60) as i64 - 20).to_string().into_bytes(),
            7..=8 => self.pick(NUMBERS).as_bytes().to_vec(),
            _ => self.pick(WRONG_WORDS).to_vec(),
        }
    }

    fn offset(&mut self) -> Vec<u8> {
        match self.below(20) {
            0..=15 => (self.below(40) as i64 - 15).to_string().into_bytes(),
            16 => b"2500".to_vec(),
            17 => b"536870912".to_vec(),
            18 => self.pick(NUMBERS).as_bytes().to_vec(),
            _ => self.pick(WRONG_WORDS).to_vec(),
        }
    }

    fn time(&mut self, first: u64, last: u64) -> Vec<u8> {
        match self.below(20) {
            0 => self
                .pick(&["0", "-1", "-1000000", "9223372036854775", "9223372036854775807"])
                .as_bytes()
                .to_vec(),
            1 => self.pick(WRONG_WORDS).to_vec(),
            _ => (first + self.below(last - first)).to_string().into_bytes(),
        }
    }

    fn bytes(&mut self, length_max: u64) -> Vec<u8> {
        let length = self.below(length_max + 1);
        (0..length).map(|_| self.rng.next_u64() as u8).collect()
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.rng.below(bound)
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }
}

/// A command of plain words.
pub fn words(plain: &[&str]) -> Words {
    plain.iter().map(|word| word.as_bytes().to_vec()).collect()
}

/// Has expired keys noticed.
fn touch_all() -> Words {
    [b"EXISTS".as_slice()].into_iter().chain(Generator::keys()).map(<[u8]>::to_vec).collect()
}
