//! Random commands over a few keys, and their bytes. Leaves out what no two servers answer alike: times, random keys, scans.

use corevault::base::rng::Rng;

/// The words of a command.
pub type Command = Vec<Vec<u8>>;

/// Where a script may reach.
#[derive(Clone, Copy, Debug)]
pub struct Reach {
    /// The first database it may select, which it must select at once unless it is 0.
    pub first_db: u64,
    /// How many databases it may select.
    pub dbs: u64,
    /// Whether it may touch all databases at once.
    pub is_alone: bool,
}

/// What a client sends.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// Whole commands.
    pub commands: Vec<Command>,
    /// The commands' bytes.
    pub bytes: Vec<u8>,
    /// Where each command ends in them.
    pub ends: Vec<usize>,
}

impl Script {
    /// Appends a command: as an array, or inline where its words allow.
    pub fn push(&mut self, rng: &mut Rng, command: Command) {
        let is_plain = |word: &Vec<u8>| !word.is_empty() && word.iter().all(u8::is_ascii_alphanumeric);
        if command.iter().all(is_plain) && rng.below(8) == 0 {
            self.bytes.extend_from_slice(&command.join(&b' '));
            self.bytes.extend_from_slice(b"\r\n");
        } else {
            self.bytes.extend_from_slice(format!("*{}\r\n", command.len()).as_bytes());
            for word in &command {
                self.bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
                self.bytes.extend_from_slice(word);
                self.bytes.extend_from_slice(b"\r\n");
            }
        }
        self.commands.push(command);
        self.ends.push(self.bytes.len());
    }

    /// Appends a command given as text.
    pub fn push_words(&mut self, rng: &mut Rng, line: &str) {
        self.push(rng, words(line));
    }

    /// How many commands lie wholly within the first `bytes` bytes.
    pub fn commands_within(&self, bytes: usize) -> usize {
        self.ends.partition_point(|&end| end <= bytes)
    }
}

/// A script of `length` random commands.
pub fn random(rng: &mut Rng, reach: Reach, length: usize) -> Script {
    let mut script = Script::default();
    if reach.first_db != 0 {
        script.push_words(rng, &format!("SELECT {}", reach.first_db));
    }
    for _ in 0..length {
        let command = command(rng, reach);
        script.push(rng, command);
    }
    script
}

/// A command given as text.
pub fn words(line: &str) -> Command {
    line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

fn command(rng: &mut Rng, reach: Reach) -> Command {
    let name = |name: &str| vec![name.as_bytes().to_vec()];
    match rng.below(64) {
        0..=7 => [name("SET"), vec![key(rng), value(rng)]].concat(),
        8..=15 => [name("GET"), vec![key(rng)]].concat(),
        16..=18 => [name("INCR"), vec![key(rng)]].concat(),
        19..=21 => [name("APPEND"), vec![key(rng), value(rng)]].concat(),
        22..=24 => [name("MSET"), pairs(rng)].concat(),
        25..=27 => [name("MGET"), keys(rng)].concat(),
        28..=29 => [name("DEL"), keys(rng)].concat(),
        30..=31 => [name(choice(rng, &["EXISTS", "TOUCH", "UNLINK"])), keys(rng)].concat(),
        32..=33 => [name("MSETNX"), pairs(rng)].concat(),
        34..=36 => [name(choice(rng, &["RENAME", "RENAMENX"])), vec![key(rng), key(rng)]].concat(),
        37..=39 => copy(rng, reach),
        40 => {
            [name("LCS"), vec![key(rng), key(rng)], name(choice(rng, &["LEN", "IDX", "nonsense"]))].concat()
        }
        41 => [name("SET"), vec![key(rng), value(rng)], words("PXAT 1900000000000 GET")].concat(),
        42 => [name(choice(rng, &["PEXPIRETIME", "PERSIST", "TYPE", "STRLEN", "GETDEL"])), vec![key(rng)]]
            .concat(),
        43 => [name("SETRANGE"), vec![key(rng), rng.below(40).to_string().into_bytes(), value(rng)]].concat(),
        44 => [name("GETRANGE"), vec![key(rng)], words("1 -2")].concat(),
        45 => [name("GETSET"), vec![key(rng), value(rng)]].concat(),
        46 => [name("SETNX"), vec![key(rng), value(rng)]].concat(),
        47..=49 => name("DBSIZE"),
        50..=51 => words(&format!("SELECT {}", reach.first_db + rng.below(reach.dbs))),
        52 => name("FLUSHDB"),
        53 if reach.is_alone => words(choice(rng, &["FLUSHALL", "SWAPDB 0 1", "SWAPDB 2 1", "RESET"])),
        54..=55 => {
            words(choice(rng, &["PING", "ECHO hello", "CLIENT ID", "CLIENT GETNAME", "CLIENT SETNAME sim"]))
        }
        56 => words(choice(rng, &["CLIENT REPLY OFF", "CLIENT REPLY SKIP"])),
        57..=58 => words("CLIENT REPLY ON"),
        59 => words(choice(rng, &["HELLO 2", "HELLO 3", "CLIENT NO-TOUCH ON", "CLIENT NO-TOUCH OFF"])),
        60 => words(choice(rng, &["NOSUCH a b", "CLIENT NOSUCH", "SELECT 99", "SELECT x", "FLUSHDB x"])),
        61 => {
            words(choice(rng, &["GET", "SET k0", "MSET k0 1 k1", "MSETNX k0 1 k1 2 k2", "DEL", "PING a b"]))
        }
        _ => [name("GET"), vec![key(rng)]].concat(),
    }
}

fn copy(rng: &mut Rng, reach: Reach) -> Command {
    let mut command = vec![b"COPY".to_vec(), key(rng), key(rng)];
    if rng.below(3) == 0 {
        command.extend(words(&format!("DB {}", reach.first_db + rng.below(reach.dbs))));
    }
    if rng.below(2) == 0 {
        command.extend(words("REPLACE"));
    }
    command
}

/// Few enough that commands meet; a third of them share a slot.
fn key(rng: &mut Rng) -> Vec<u8> {
    match rng.below(15) {
        n @ 0..=4 => format!("{{tag}}{n}").into_bytes(),
        n => format!("k{n}").into_bytes(),
    }
}

fn keys(rng: &mut Rng) -> Command {
    (0..=rng.below(5)).map(|_| key(rng)).collect()
}

fn pairs(rng: &mut Rng) -> Command {
    (0..=rng.below(4)).flat_map(|_| [key(rng), value(rng)]).collect()
}

fn value(rng: &mut Rng) -> Vec<u8> {
    match rng.below(16) {
        0..=5 => (rng.below(2000) as i64 - 1000).to_string().into_bytes(),
        6..=13 => format!("value{}", rng.below(1000)).into_bytes(),
        14 => choice(rng, &["", "\r\n", "$3\r\nfoo\r\n", "-ERR no"]).as_bytes().to_vec(),
        // Long enough to leave its key's cell.
        _ => vec![b'x'; 3000 + rng.below(3000) as usize],
    }
}

fn choice<'a>(rng: &mut Rng, among: &[&'a str]) -> &'a str {
    among[rng.below(among.len() as u64) as usize]
}
