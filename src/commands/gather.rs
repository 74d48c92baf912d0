//! Commands that must see several keys before they change any: read every key where it lives, decide once, write where the keys live.
//! Owns the shapes that travel between shards for them; never sends anything.
//!
//! The author of such a command writes `read` (on the shard of each key) and `decide` (once, on the shard of the connection).
//! Whether the keys share a shard is the router's business: `run_here` is the same command where they do. Nobody else sees or
//! changes the keys between the steps.
//!
//! A command whose words do not name all its keys (`reads_undeclared`) may ask for more of them when it decides, again and
//! again: nobody else then sees or changes any key of any shard until it is done.

use crate::base::args::{Args, OwnedArgs};
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::resp::write::{Protocol, Writer};
use crate::store::collection::EncodingLimits;
use crate::store::keyspace::Key;
use crate::store::object::Value;

/// What `read` found at one key.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Part {
    /// No live key.
    #[default]
    Absent,
    /// A live key, whose value the decision does not need.
    Present,
    /// A copy of the value, with its expiry.
    Value { value: Value, expire_at_ms: Option<i64> },
    /// What `read` prepared for the decision; only the command knows what it is.
    Reply(Vec<u8>),
    /// A live key whose value has another type than the command reads.
    WrongType,
}

/// One change that `decide` orders. It runs on the shard of its key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Write {
    /// The database.
    pub db: u16,
    /// The key.
    pub key: Vec<u8>,
    /// What happens to it.
    pub change: Change,
}

/// What happens to a key.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Change {
    /// This command runs, whose one key it is; its reply is thrown away.
    Call(OwnedArgs),
    /// It holds this value.
    Put { value: Value, expire_at_ms: Option<i64> },
    /// It is removed.
    #[default]
    Delete,
}

/// What a decision may know besides the parts.
#[derive(Clone, Copy, Debug)]
pub struct Decision {
    /// The database selected.
    pub db: u16,
    /// The time, Unix milliseconds.
    pub now_ms: i64,
    /// `proto-max-bulk-len`, bytes.
    pub bulk_bytes_max: usize,
    /// How large packed collections may grow.
    pub encoding: EncodingLimits,
}

/// What follows from the parts so far.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// These changes, which end the command; there may be none.
    Write(Vec<Write>),
    /// These keys are read too, as word 1 of a call; their parts are appended, and `decide` is asked again. Only for a command
    /// that `reads_undeclared`.
    Read(Vec<Vec<u8>>),
    /// There is nothing that would serve the command, one of `Spread::Block`: it makes these changes, then waits, to be tried again with
    /// other words if there are some (as `Wait::words`).
    Wait { words: Option<OwnedArgs>, writes: Vec<Write> },
}

impl Next {
    /// The command waits, to be tried again as it is.
    pub const WAIT: Next = Next::Wait { words: None, writes: Vec::new() };
}

/// What a decision orders, or why it orders nothing.
pub type Decided = Result<Next, CommandError>;

/// The two steps of a gathering command. `read` gets the index of one key word; `decide` gets the parts in the order of the
/// key words, writes the reply and returns the changes. It may take values out of the parts if it ends the command.
#[derive(Clone, Copy)]
pub struct Gather {
    /// `read` looks at the key word alone, as word 1: then the other words, which may be large values, stay where they are.
    pub reads_key_alone: bool,
    /// On the shard of a key: what is there?
    pub read: fn(&mut Cx<'_>, &Args<'_>, usize) -> Part,
    /// On the shard of the connection: what follows?
    pub decide: fn(Decision, &Args<'_>, &mut [Part], &mut Writer<'_>) -> Decided,
    /// Its words do not name all keys it reads.
    pub reads_undeclared: bool,
}

/// Runs a gathering command whose keys are all on this shard.
pub fn run_here(
    cx: &mut Cx<'_>,
    args: &Args<'_>,
    keys: impl Iterator<Item = usize>,
    gather: &Gather,
) -> Outcome {
    let mut parts: Vec<Part> = keys.map(|i| (gather.read)(cx, args, i)).collect();
    let decision = Decision {
        db: cx.db,
        now_ms: cx.now_ms,
        bulk_bytes_max: cx.server.config.bulk_bytes_max,
        encoding: cx.keys.encoding,
    };
    loop {
        match (gather.decide)(decision, args, &mut parts, &mut cx.reply)? {
            Next::Write(writes) => {
                writes.into_iter().for_each(|write| apply(cx, write));
                return Ok(());
            }
            Next::Read(keys) => {
                for key in keys {
                    let words = OwnedArgs::new([args.get(0), &key]);
                    parts.push((gather.read)(cx, &words.args(), 1));
                }
            }
            Next::Wait { words, writes } => {
                writes.into_iter().for_each(|write| apply(cx, write));
                cx.wait(words);
                return Ok(());
            }
        }
    }
}

/// Carries out one change on the shard of its key.
pub fn apply(cx: &mut Cx<'_>, write: Write) {
    let key = Key::new(&write.key);
    match write.change {
        Change::Put { value, expire_at_ms } => cx.keys.put(write.db, &key, value, expire_at_ms, cx.clock()),
        Change::Delete => {
            cx.keys.remove(write.db, &key, cx.now_ms);
        }
        Change::Call(words) => {
            let args = words.args();
            let row = cx.table.resolve(&args).expect("a decision calls commands that there are");
            let mut no_reply = Vec::new();
            let mut call = Cx {
                table: cx.table,
                keys: &mut *cx.keys,
                server: &mut *cx.server,
                reply: Writer::new(&mut no_reply, Protocol::Resp2),
                db: write.db,
                now_ms: cx.now_ms,
                caller: cx.caller,
                located: None,
            };
            (cx.table.row(row).run)(&mut call, &args).expect("the decision has seen that it can run");
        }
    }
}

/// A `read` that copies the value.
pub fn read_value(cx: &mut Cx<'_>, args: &Args<'_>, i: usize) -> Part {
    let key = cx.key(args, i);
    match cx.keys.peek(cx.db, &key, cx.now_ms) {
        None => Part::Absent,
        Some(entry) => Part::Value { value: Value::of(entry), expire_at_ms: entry.expire_at_ms() },
    }
}

/// A `read` that only looks whether the key is there.
pub fn read_presence(cx: &mut Cx<'_>, args: &Args<'_>, i: usize) -> Part {
    let key = cx.key(args, i);
    if cx.keys.exists(cx.db, &key, cx.now_ms) { Part::Present } else { Part::Absent }
}
