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
use crate::base::float::LongDouble;
use crate::base::number::parse_i64;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::commands::gather::{self, Change, Decided, Decision, Gather, Next, Part};
use crate::commands::table::Flag::{Blocking as Waits, DenyOom, Fast, Write};
use crate::commands::table::{Command, Flag, Group, Keys, Spread, TWO_KEYS, row};
use crate::resp::write::Writer;
use crate::store::keyspace::Key;
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

/// The timeout of a command whose last word it is, seconds. Whether it comes to an end before time does is for its try to tell.
fn last_word_timeout_ms(args: &Args<'_>) -> Result<Option<u64>, CommandError> {
    last_word_seconds(args, 0)
}

/// The same, in a try.
fn last_word_seconds(args: &Args<'_>, now_ms: i64) -> Result<Option<u64>, CommandError> {
    seconds(args.get(args.len() - 1), now_ms)
}

/// A timeout, and behind it keys behind their number.
const BEHIND_TIMEOUT: Keys = Keys::Counted { count: 2, also: 0 };

/// The try of a command that takes from the first of the keys `words` that has something: `take` says whether it did. Where none has,
/// the command waits with `again`.
fn take_first(
    cx: &mut Cx<'_>,
    args: &Args<'_>,
    words: impl Iterator<Item = usize>,
    again: impl FnOnce() -> Option<OwnedArgs>,
    mut take: impl FnMut(&mut Cx<'_>, &Key<'_>) -> Result<bool, CommandError>,
) -> Outcome {
    for word in words {
        let key = cx.key(args, word);
        if take(cx, &key)? {
            return Ok(());
        }
    }
    cx.reply.null_array();
    cx.wait(again());
    Ok(())
}

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
    Ok(Next::Wait { words: words_to_wait(args, args.len() - 1), writes: Vec::new() })
}

/// The words with which a call is tried again, unless they are the same: its timeout, at word `timeout`, was right when it began to
/// wait, and later, when its end would be out of range, nobody looks at it again.
fn words_to_wait(args: &Args<'_>, timeout: usize) -> Option<OwnedArgs> {
    const FOR_EVER: &[u8] = b"0";
    let word = |i| if i == timeout { FOR_EVER } else { args.get(i) };
    (args.get(timeout) != FOR_EVER).then(|| OwnedArgs::new((0..args.len()).map(word)))
}

/// Milliseconds, rounded up, of a timeout in seconds that begins now. It is read as a long double, so it may have a part, and down to
/// `-0.001`, which is 0, it is not negative.
fn seconds(word: &[u8], now_ms: i64) -> Result<Option<u64>, CommandError> {
    const MS_PER_SECOND: i64 = 1000;
    let ms = match parse_i64(word) {
        Some(seconds) => seconds.saturating_mul(MS_PER_SECOND),
        None => LongDouble::parse(word)
            .ok_or(CommandError::Text("ERR timeout is not a float or out of range"))?
            .times_rounded_up(MS_PER_SECOND),
    };
    match u64::try_from(ms) {
        Err(_) => Err(CommandError::Text("ERR timeout is negative")),
        Ok(_) if ms > i64::MAX - now_ms => Err(CommandError::Text("ERR timeout is out of range")),
        Ok(ms) => Ok(Some(ms)),
    }
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
    row(Group::Generic, "waitaof", wait::waitaof, 4, Keys::None, &[Waits], Spread::Disk, "7.2.0", "O(1)", "Blocks until all of the preceding write commands sent by the connection are written to the append-only file of the master and/or replicas."),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::START_MS;

    #[test]
    fn timeouts_are_long_doubles() {
        let seconds = |word: &str| {
            let ms = seconds(word.as_bytes(), START_MS).map(|ms| ms.expect("a timeout"));
            ms.map_err(|refusal| refusal.to_string())
        };
        for (word, ms) in [
            ("0", 0),
            ("1", 1000),
            ("0.0001", 1),
            ("1.0001", 1001),
            ("1.001", 1001),
            ("0x1p-3", 125),
            ("1e-4940", 1),
            ("-0", 0),
            ("-0.00099", 0),
            ("-0.001", 0),
            ("-1e-4940", 0),
            ("9221000000000000", 9_221_000_000_000_000_000),
            // What a double would make ...376.
            ("9007199254740.993", 9_007_199_254_740_993),
        ] {
            assert_eq!(seconds(word), Ok(ms), "{word}");
        }
        for (error, words) in [
            (
                "ERR timeout is not a float or out of range",
                &["", "x", "nan", " 1", "1 ", "1e5000", "-1e5000", "1e-5000"][..],
            ),
            ("ERR timeout is negative", &["-1", "-0.0011", "-inf", "-1e400", "-9223372036854775808"]),
            (
                "ERR timeout is out of range",
                &["inf", "1e300", "1e400", "9223372036854775", "9223372036854775.807", "9223372036854775807"],
            ),
        ] {
            for word in words {
                assert_eq!(seconds(word), Err(error.to_owned()), "{word}");
            }
        }
    }
}
