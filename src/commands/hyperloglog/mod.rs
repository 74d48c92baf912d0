//! HyperLogLog commands and their rows. A HyperLogLog is a string; `store/hyperloglog` knows its bytes.
//! Owns how such a string is found, refused and written back.

mod pfadd;
mod pfcount;
mod pfdebug;
mod pfmerge;
mod pfselftest;

use std::ops::Range;

use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::commands::table::Flag::{Admin, Dangerous, DenyOom, Fast, ReadOnly, Write};
use crate::commands::table::{ALL_KEYS, Command, Group, Keys, ONE_KEY, Spread, row};
use crate::store::hyperloglog::{Corrupted, HllRef};
use crate::store::keyspace::Key;
use crate::store::object::StringRef;

const H: Group = Group::HyperLogLog;
const SECOND: Keys = Keys::At { first: 2, last: 2, step: 1 };

#[rustfmt::skip]
pub(super) const ROWS: &[Command] = &[
    row(H, "pfadd",      pfadd::run,      -2, ONE_KEY,    &[Write, DenyOom, Fast], Spread::Key, "2.8.9", "O(1) to add every element.", "Adds elements to a HyperLogLog key. Creates the key if it doesn't exist."),
    row(H, "pfcount",    pfcount::run,    -2, ALL_KEYS,   &[ReadOnly],             Spread::Gather(&pfcount::GATHER), "2.8.9", "O(1) with a very small average constant time when called with a single key. O(N) with N being the number of keys, and much bigger constant times, when called with multiple keys.", "Returns the approximated cardinality of the set(s) observed by the HyperLogLog key(s)."),
    row(H, "pfdebug",    pfdebug::run,    3,  SECOND,     &[Write, DenyOom, Admin, Dangerous], Spread::Key, "2.8.9", "N/A", "Internal commands for debugging HyperLogLog values."),
    row(H, "pfmerge",    pfmerge::run,    -2, ALL_KEYS,   &[Write, DenyOom],       Spread::Gather(&pfmerge::GATHER), "2.8.9", "O(N) to merge N HyperLogLogs, but with high constant times.", "Merges one or more HyperLogLog values into a single key."),
    row(H, "pfselftest", pfselftest::run, 1,  Keys::None, &[Admin, Dangerous],     Spread::Home, "2.8.9", "N/A", "An internal command for testing HyperLogLog values."),
];

const NOT_HYPERLOGLOG: CommandError =
    CommandError::Text("WRONGTYPE Key is not a valid HyperLogLog string value.");

impl From<Corrupted> for CommandError {
    fn from(_: Corrupted) -> CommandError {
        CommandError::Text("INVALIDOBJ Corrupted HLL object detected")
    }
}

/// The HyperLogLog in a string.
fn hyperloglog(string: StringRef<'_>) -> Result<HllRef<'_>, CommandError> {
    match string {
        StringRef::Bytes(bytes) => HllRef::new(bytes),
        StringRef::Integer(_) => None,
    }
    .ok_or(NOT_HYPERLOGLOG)
}

/// Replaces the string at a key, whose expiry stays. What is journaled is what differs, not the whole string, unless it became shorter.
fn replace(cx: &mut Cx<'_>, key: &Key<'_>, new: &[u8]) -> Outcome {
    let clock = cx.clock();
    let differing = match cx.keys.peek_string(cx.db, key, cx.now_ms)? {
        Some(StringRef::Bytes(old)) if old.len() <= new.len() => Some(differing(old, new)),
        _ => None,
    };
    match differing {
        Some(range) if range.is_empty() => {}
        Some(range) => {
            cx.keys.set_range(cx.db, key, range.start, &new[range], cx.now_ms, clock)?;
        }
        None => cx.keys.set_string_keep_expiry(cx.db, key, new, cx.now_ms, clock),
    }
    Ok(())
}

/// The part of `new` that has to be written over `old`, which is no longer.
fn differing(old: &[u8], new: &[u8]) -> Range<usize> {
    let start = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let same_end = if old.len() == new.len() {
        old[start..].iter().rev().zip(new[start..].iter().rev()).take_while(|(old, new)| old == new).count()
    } else {
        0
    };
    start..new.len() - same_end
}
