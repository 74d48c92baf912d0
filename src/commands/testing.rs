//! The language that command tests speak: `check("SET k v PX 10 | @10ms | GET k", "OK | nil")`.
//! Runs scripts on one keyspace with a clock of its own, and afterwards proves that replaying the journal rebuilds the state.

use std::sync::Arc;

use crate::base::args::{Args, OwnedArgs};
use crate::base::rng::Rng;
use crate::base::slot::SLOTS;
use crate::commands::blocking::Blocking;
use crate::commands::cx::{Caller, Cx};
use crate::commands::gather::{self, Change, Decided, Decision, Gather, Next, Part, Write, run_here};
use crate::commands::merge::Parts;
use crate::commands::session::{Process, Server, Session, Sessions};
use crate::commands::table::{Command, Flag, Group, ONE_KEY, Spread, Table, row};
use crate::config::Config;
use crate::metrics::Stats;
use crate::resp::read;
use crate::resp::write::Writer;
use crate::store::effect::decode_all;
use crate::store::keyspace::Keyspace;
use crate::store::object::Value;

/// FOLLOW key, in tests only: while a key holds the name of another one, go there; reply with what is at the end, and write it to
/// the first key. A command that does not name all the keys it reads.
pub const FOLLOW: Command = row(
    Group::Generic,
    "follow",
    |cx, args| run_here(cx, args, 1..2, &FOLLOW_KEYS),
    2,
    ONE_KEY,
    &[Flag::Write],
    Spread::Gather(&FOLLOW_KEYS),
    "1.0.0",
    "O(N)",
    "Follows names.",
);

static FOLLOW_KEYS: Gather =
    Gather { reads_key_alone: true, read: gather::read_value, decide: follow, reads_undeclared: true };

fn follow(at: Decision, args: &Args<'_>, parts: &mut [Part], reply: &mut Writer<'_>) -> Decided {
    let text = |part: &Part| match part {
        Part::Value { value: Value::String(text), .. } => Some(text.clone()),
        _ => None,
    };
    match (text(parts.last().expect("a part for the key")), parts.len()) {
        (Some(next), _) => return Ok(Next::Read(vec![next])),
        (None, 1) => {
            reply.null();
            return Ok(Next::Write(Vec::new()));
        }
        (None, _) => {}
    }
    let end = text(&parts[parts.len() - 2]).expect("it led on");
    reply.bulk(&end);
    let change = Change::Put { value: Value::String(end), expire_at_ms: None };
    Ok(Next::Write(vec![Write { db: at.db, key: args.get(1).to_vec(), change }]))
}

/// The time at which every script begins, Unix milliseconds.
pub const START_MS: i64 = 1_700_000_000_000;

/// See `Bench::gathers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gathers {
    /// None.
    None,
    /// Those that name two different keys, which may then be on two shards.
    OfTwoKeys,
    /// All.
    All,
}

/// One shard's state, a client and a clock.
pub struct Bench {
    pub table: Table,
    pub keys: Keyspace,
    pub server: Server,
    pub now_ms: i64,
    /// Which gathering commands run as they do on several shards, although all keys are here.
    pub gathers: Gathers,
}

impl Default for Bench {
    fn default() -> Bench {
        let table = Table::new();
        let mut sessions = Sessions::default();
        sessions.insert(
            0,
            Session {
                id: 1,
                address: "127.0.0.1:5000".into(),
                local_address: "127.0.0.1:7480".into(),
                connected_ms: START_MS,
                active_ms: START_MS,
                ..Session::default()
            },
        );
        let stats = Stats::new(table.rows().len());
        let process = Process { started_ms: START_MS, run_id: "0".repeat(40), ..Process::default() };
        Bench {
            table,
            keys: Keyspace::recording(0..SLOTS),
            server: Server {
                shard: 0,
                shards: 1,
                process: Arc::new(process),
                config: Config::default(),
                stats,
                sessions,
                pause: None,
                rng: Rng::new(1),
                requests: Vec::new(),
                wait: None,
            },
            now_ms: START_MS,
            gathers: Gathers::None,
        }
    }
}

impl Bench {
    /// Runs one command given by its words and returns the reply's bytes.
    pub fn call<W: AsRef<[u8]>>(&mut self, words: impl IntoIterator<Item = W>) -> Vec<u8> {
        let owned = OwnedArgs::new(words);
        let args = owned.args();
        let mut out = Vec::new();
        let session = self.server.sessions.get(0).expect("the client is there");
        let (db, protocol, no_touch) = (session.db, session.protocol, session.no_touch);
        let mut reply = Writer::new(&mut out, protocol);
        let row = match self.table.resolve(&args) {
            Ok(index) => *self.table.row(index),
            Err(error) => {
                reply.error(&error.to_string());
                return out;
            }
        };
        let mut cx = Cx {
            table: &self.table,
            keys: &mut self.keys,
            server: &mut self.server,
            reply,
            db,
            now_ms: self.now_ms,
            caller: Caller { id: 1, session: Some(0), no_touch, is_exec: false },
            located: None,
        };
        let outcome = match row.spread {
            Spread::Gather(gather) | Spread::Block(Blocking { gather, .. })
                if self.gathers == Gathers::All
                    || self.gathers == Gathers::OfTwoKeys && has_two_keys(&row, &args) =>
            {
                run_here(&mut cx, &args, row.keys.indices(&args), gather)
            }
            _ => (row.run)(&mut cx, &args),
        };
        if let Err(error) = outcome {
            cx.reply.truncate(0);
            cx.reply.error(&error.to_string());
        }
        match row.spread {
            // One shard's part is merged too: it need not have the shape of the reply.
            Spread::Shards(_, merge) if !read::is_error(&out) => {
                let seed = self.server.rng.next_u64();
                let mut merged = Vec::new();
                merge(
                    &Parts { args, replies: &[&out], order: &[], seed },
                    &mut Writer::new(&mut merged, protocol),
                );
                merged
            }
            _ => out,
        }
    }

    /// As `run`, but every gathering command goes the way it goes on several shards, however many keys it names.
    pub fn run_gathered(&mut self, script: &str) -> String {
        let before = std::mem::replace(&mut self.gathers, Gathers::All);
        let replies = self.run(script);
        self.gathers = before;
        replies
    }

    /// Runs a script: commands between ` | `, words as on an inline command line (`"a b\n"` quotes); `@25ms` or `@3s` sets
    /// the clock to that time after the start. Returns the replies, written the same way.
    pub fn run(&mut self, script: &str) -> String {
        let mut replies = Vec::new();
        for step in script.split(" | ").map(str::trim) {
            if let Some(time) = step.strip_prefix('@') {
                let (number, scale) = match time.strip_suffix("ms") {
                    Some(number) => (number, 1),
                    None => (time.strip_suffix('s').expect("@<number>ms or @<number>s"), 1000),
                };
                self.now_ms = START_MS + scale * number.parse::<i64>().expect("a time");
                continue;
            }
            let reply = self.call(words(step));
            assert_eq!(read::reply_len(&reply), Some(reply.len()), "{step:?} gave no single whole reply");
            replies.push(shown(&reply).0);
        }
        replies.join(" | ")
    }

    /// Replays the journal into an empty keyspace and compares.
    pub fn check_journal(&mut self) {
        let mut replayed = Keyspace::new(0..SLOTS);
        for effect in decode_all(&self.keys.take_effects()) {
            let (db, effect) = effect.expect("an effect");
            replayed.apply(db, &effect);
        }
        assert_eq!(replayed.digest(), self.keys.digest(), "the journal does not rebuild the live state");
    }
}

/// Runs `script` on an empty keyspace and compares the replies with `expected`: `OK`, `nil`, numbers and strings as they are,
/// `[a, b]` for arrays and sets, `{k: v}` for maps, error texts without the dash, `""` for an empty string.
#[track_caller]
pub fn check(script: &str, expected: &str) {
    for gathers in [Gathers::None, Gathers::OfTwoKeys] {
        let mut bench = Bench { gathers, ..Bench::default() };
        let replies = bench.run(script);
        assert_eq!(replies, expected, "\n  script: {script}\n  gathered: {gathers:?}");
        bench.check_journal();
    }
}

/// Whether a call names two different keys, which may then be on two shards.
fn has_two_keys(row: &Command, args: &Args<'_>) -> bool {
    let mut keys = row.keys.indices(args).map(|i| args.get(i));
    keys.next().is_some_and(|first| keys.any(|key| key != first))
}

/// The words of a line as the server's inline protocol splits them.
fn words(line: &str) -> Vec<Vec<u8>> {
    let mut buffer = format!("{line}\n").into_bytes();
    let mut spans = Vec::new();
    crate::resp::parse::Parser::default().step(&mut buffer, usize::MAX, &mut spans).expect("a line of words");
    Args::new(&buffer, &spans).iter_from(0).map(<[u8]>::to_vec).collect()
}

/// A reply as text, and how many bytes it took.
pub fn shown(reply: &[u8]) -> (String, usize) {
    let length = read::reply_len(reply).expect("a whole reply");
    let line_end = memchr::memchr(b'\r', reply).expect("a whole reply");
    let line = String::from_utf8_lossy(&reply[1..line_end]).into_owned();
    let nested = |count: usize, mut at: usize| {
        let mut parts = Vec::new();
        for _ in 0..count {
            let (text, used) = shown(&reply[at..]);
            parts.push(text);
            at += used;
        }
        parts
    };
    let text = match reply[0] {
        b'_' => "nil".into(),
        b'$' | b'*' if line == "-1" => "nil".into(),
        b'$' if line == "0" => "\"\"".into(),
        b'$' | b'=' => {
            let skip = if reply[0] == b'=' { 4 } else { 0 };
            String::from_utf8_lossy(&reply[line_end + 2 + skip..length - 2]).into_owned()
        }
        b'*' | b'~' => format!("[{}]", nested(line.parse().expect("a count"), line_end + 2).join(", ")),
        b'%' => {
            let parts = nested(2 * line.parse::<usize>().expect("a count"), line_end + 2);
            let pairs: Vec<String> =
                parts.chunks(2).map(|pair| format!("{}: {}", pair[0], pair[1])).collect();
            format!("{{{}}}", pairs.join(", "))
        }
        _ => line,
    };
    (text, length)
}
