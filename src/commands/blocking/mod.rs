//! Commands that wait where they find nothing: what their rows say of it. Waiting itself is the shard's work (`shard/blocked`).
//!
//! Such a command is tried like any other. Where it finds nothing it writes the reply that says so, which is right within `MULTI`,
//! and calls `Cx::wait`. Outside of `MULTI` the shard then takes that reply back, enters the client in the lines of the keys it waits for,
//! and has the whole command tried again when one of them has changed.

mod blmove;
mod blpop;
mod bmpop;
mod bzpop;
mod wait;

use crate::base::args::{Args, OwnedArgs};
use crate::commands::error::CommandError;
use crate::commands::gather::{self, Change, Decided, Decision, Gather, Next, Part};
use crate::commands::table::Flag::{Blocking as Waits, DenyOom, Fast, Write};
use crate::commands::table::{Command, Flag, Group, Keys, Spread, TWO_KEYS, row};
use crate::resp::write::Writer;
use crate::store::object::Kind;

/// How a command waits.
#[derive(Clone, Copy)]
pub struct Blocking {
    /// The type of value that serves it. A key of another type lets it wait on.
    pub kind: Kind,
    /// The keys that it waits for: all of its keys, or some.
    pub waits_for: Keys,
    /// How long a call may wait, milliseconds; 0 is for ever. Nothing for a call that does not wait.
    pub timeout_ms: fn(&Args<'_>) -> Result<Option<u64>, CommandError>,
    /// What serves one is gone for those behind it in line.
    pub consumes: bool,
    /// It is tried again, and told so, when its key goes or gets another type.
    pub minds_loss: bool,
    /// The try, where the keys lie on several shards: where it finds nothing, `decide` too writes that reply, and returns `Next::Wait`.
    pub gather: Gather,
}

/// That a command has found nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wait {
    /// The words with which it is to be tried again, where they are others: what depends on now, such as `$`, is settled.
    pub words: Option<OwnedArgs>,
}

/// Keys, and behind them a timeout.
const ALL_BUT_LAST: Keys = Keys::At { first: 1, last: -2, step: 1 };

/// The timeout of a command whose last word it is, seconds.
fn last_word_seconds(args: &Args<'_>) -> Result<Option<u64>, CommandError> {
    seconds(args.get(args.len() - 1))
}

/// A timeout, and behind it keys behind their number.
const BEHIND_TIMEOUT: Keys = Keys::Counted { count: 2, also: 0 };

/// The decision of a command that takes from the first of its keys, all words but the last, that has something: the part of that key is
/// the reply, and `call` the command that takes it.
fn first_found(
    at: Decision,
    args: &Args<'_>,
    parts: &[Part],
    reply: &mut Writer<'_>,
    call: impl FnOnce(&[u8]) -> OwnedArgs,
) -> Decided {
    for (word, part) in ALL_BUT_LAST.indices(args).zip(parts) {
        match part {
            Part::Absent => {}
            Part::Reply(found) => {
                reply.raw(found);
                let key = args.get(word);
                let change = Change::Call(call(key));
                return Ok(Next::Write(vec![gather::Write { db: at.db, key: key.to_vec(), change }]));
            }
            _ => return Err(CommandError::WrongType),
        }
    }
    reply.null_array();
    Ok(Next::Wait(None))
}

/// Milliseconds of a timeout in seconds, which may have a part.
pub fn seconds(word: &[u8]) -> Result<Option<u64>, CommandError> {
    const NOT_FLOAT: CommandError = CommandError::Text("ERR timeout is not a float or out of range");
    let seconds = crate::base::float::parse_f64(word).ok_or(NOT_FLOAT)?;
    if seconds < 0.0 {
        return Err(CommandError::Text("ERR timeout is negative"));
    }
    let ms = (seconds * 1000.0).ceil();
    if ms.is_nan() || ms >= i64::MAX as f64 {
        return Err(CommandError::Text("ERR timeout is out of range"));
    }
    Ok(Some(ms as u64))
}

const POP: &[Flag] = &[Write, Waits];
const PUSH: &[Flag] = &[Write, DenyOom, Waits];
const POP_FAST: &[Flag] = &[Write, Fast, Waits];

#[rustfmt::skip]
pub(super) const ROWS: &[Command] = &[
    row(Group::List, "blmove",     blmove::run,    6,  TWO_KEYS,       PUSH,     Spread::Block(&blmove::BLMOVE), "6.2.0", "O(1)", "Pops an element from a list, pushes it to another list and returns it. Blocks until an element is available otherwise. Deletes the list if the last element was moved."),
    row(Group::List, "blmpop",     bmpop::blmpop,  -5, BEHIND_TIMEOUT, POP,      Spread::Block(&bmpop::BLMPOP),  "7.0.0", "O(N+M) where N is the number of provided keys and M is the number of elements returned.", "Pops the first element from one of multiple lists. Blocks until an element is available otherwise. Deletes the list if the last element was popped."),
    row(Group::List, "blpop",      blpop::blpop,   -3, ALL_BUT_LAST,   POP,      Spread::Block(&blpop::BLPOP),   "2.0.0", "O(N) where N is the number of provided keys.", "Removes and returns the first element in a list. Blocks until an element is available otherwise. Deletes the list if the last element was popped."),
    row(Group::List, "brpop",      blpop::brpop,   -3, ALL_BUT_LAST,   POP,      Spread::Block(&blpop::BRPOP),   "2.0.0", "O(N) where N is the number of provided keys.", "Removes and returns the last element in a list. Blocks until an element is available otherwise. Deletes the list if the last element was popped."),
    row(Group::List, "brpoplpush", blmove::run,    4,  TWO_KEYS,       PUSH,     Spread::Block(&blmove::BLMOVE), "2.2.0", "O(1)", "Pops an element from a list, pushes it to another list and returns it. Block until an element is available otherwise. Deletes the list if the last element was popped."),
    row(Group::SortedSet, "bzmpop", bmpop::bzmpop, -5, BEHIND_TIMEOUT, POP,      Spread::Block(&bmpop::BZMPOP),  "7.0.0", "O(K) + O(M*log(N)) where K is the number of provided keys, N being the number of elements in the sorted set, and M being the number of elements popped.", "Removes and returns a member by score from one or more sorted sets. Blocks until a member is available otherwise. Deletes the sorted set if the last element was popped."),
    row(Group::SortedSet, "bzpopmax", bzpop::bzpopmax, -3, ALL_BUT_LAST, POP_FAST, Spread::Block(&bzpop::BZPOPMAX), "5.0.0", "O(log(N)) with N being the number of elements in the sorted set.", "Removes and returns the member with the highest score from one or more sorted sets. Blocks until a member available otherwise. Deletes the sorted set if the last element was popped."),
    row(Group::SortedSet, "bzpopmin", bzpop::bzpopmin, -3, ALL_BUT_LAST, POP_FAST, Spread::Block(&bzpop::BZPOPMIN), "5.0.0", "O(log(N)) with N being the number of elements in the sorted set.", "Removes and returns the member with the lowest score from one or more sorted sets. Blocks until a member is available otherwise. Deletes the sorted set if the last element was popped."),
    row(Group::Generic, "wait",    wait::wait,    3, Keys::None, &[Waits], Spread::Home, "3.0.0", "O(1)", "Blocks until the asynchronous replication of all preceding write commands sent by the connection is completed."),
    row(Group::Generic, "waitaof", wait::waitaof, 4, Keys::None, &[Waits], Spread::Home, "7.2.0", "O(1)", "Blocks until all of the preceding write commands sent by the connection are written to the append-only file of the master and/or replicas."),
];
