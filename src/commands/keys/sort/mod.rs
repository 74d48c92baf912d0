//! SORT key [BY pattern] [LIMIT offset count] [GET pattern ...] [ASC | DESC] [ALPHA] [STORE destination], and SORT_RO, which does not
//! store — the elements of a list, set or sorted set in order. A missing key has none.
//!
//! `*` in a pattern stands for the element: the key `weight_*`, or the field `f` of the hash `object_*` (`object_*->f`). Those keys are
//! not among the command's words. On one shard they are read where they lie; across shards in two rounds, weights before and results
//! after the sorting.
//!
//! Equal weights are ordered by the elements' bytes, as in Redis; with ALPHA and BY, where Redis leaves the order open, they stay as
//! they were. Texts are compared by their bytes, as Redis does in the C locale.

mod options;
mod sorting;
#[cfg(test)]
mod tests;

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::commands::gather::{Decided, Decision, Gather, Next, Part, apply};
use crate::commands::keys::sort::options::{Options, Pattern};
use crate::commands::keys::sort::sorting::Sorting;
use crate::resp::write::Writer;
use crate::store::keyspace::Key;
use crate::store::listpack::Item;
use crate::store::object::{Kind, Value, ValueRef, kind};

pub const SORT: Gather = Gather { reads_key_alone: false, read, decide, reads_undeclared: true };
pub const SORT_RO: Gather =
    Gather { reads_key_alone: false, read, decide: decide_read_only, reads_undeclared: true };

pub fn sort(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    run(cx, args, Options::parse(args, true)?)
}

pub fn sort_ro(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    run(cx, args, Options::parse(args, false)?)
}

/// The key words of SORT: the key, and the last destination.
pub fn keys(args: &Args<'_>) -> Vec<usize> {
    let mut destination = None;
    let mut i = 2;
    while i < args.len() {
        if args.is(i, "LIMIT") {
            i += 2;
        } else if args.is(i, "GET") || args.is(i, "BY") {
            i += 1;
        } else if args.is(i, "STORE") && i + 1 < args.len() {
            destination = Some(i + 1);
            i += 1;
        }
        i += 1;
    }
    [1].into_iter().chain(destination).collect()
}

/// Everything on this shard.
fn run(cx: &mut Cx<'_>, args: &Args<'_>, options: Options<'_>) -> Outcome {
    let (key, touch) = (cx.key(args, 1), cx.touch());
    let source = cx.keys.read(cx.db, &key, cx.now_ms, touch).map(ValueRef::of);
    let mut sorting = Sorting::new(&options, source)?;
    let weights = look_up(cx, &sorting.weight_keys(), options.by.as_ref());
    sorting.sort(weights)?;
    let destination = options.destination.map(|i| args.get(i));
    let (db, now_ms, touch) = (cx.db, cx.now_ms, cx.touch());
    let keys = &mut *cx.keys;
    let mut look_up = |number: usize, _: usize, element: &[u8]| {
        let pattern = &options.gets[number];
        let entry = keys.read(db, &Key::new(&pattern.key(element)), now_ms, touch)?;
        value_at(ValueRef::of(entry), pattern.field)
    };
    for write in sorting.finish(&mut look_up, destination, db, &mut cx.reply) {
        apply(cx, write);
    }
    Ok(())
}

/// The values at `keys`, one after the other.
fn look_up(cx: &mut Cx<'_>, keys: &[Vec<u8>], pattern: Option<&Pattern<'_>>) -> Vec<Option<Vec<u8>>> {
    let touch = cx.touch();
    let field = pattern.and_then(|pattern| pattern.field);
    keys.iter()
        .map(|key| {
            let entry = cx.keys.read(cx.db, &Key::new(key), cx.now_ms, touch)?;
            value_at(ValueRef::of(entry), field)
        })
        .collect()
}

/// The string that a pattern means: the value itself, or a field of it.
fn value_at(value: ValueRef<'_>, field: Option<&[u8]>) -> Option<Vec<u8>> {
    match (value, field) {
        (ValueRef::String(string), None) => Some(string.to_vec()),
        (ValueRef::Hash(hash), Some(field)) => hash.get(field).map(Item::to_vec),
        _ => None,
    }
}

// ----------------------------------------------------------------------------------------------------------
// Across shards
// ----------------------------------------------------------------------------------------------------------

fn read(cx: &mut Cx<'_>, args: &Args<'_>, i: usize) -> Part {
    if i > 1 {
        // The destination, whatever it holds.
        return Part::Absent;
    }
    let (key, touch) = (cx.key(args, i), cx.touch());
    match cx.keys.read(cx.db, &key, cx.now_ms, touch) {
        None => Part::Absent,
        Some(entry) if kind(entry) == Kind::Stream => Part::WrongType,
        Some(entry) => Part::Value { value: Value::of(entry), expire_at_ms: None },
    }
}

fn decide(at: Decision, args: &Args<'_>, parts: &mut [Part], reply: &mut Writer<'_>) -> Decided {
    decide_on(&Options::parse(args, true)?, at, args, parts, reply)
}

fn decide_read_only(at: Decision, args: &Args<'_>, parts: &mut [Part], reply: &mut Writer<'_>) -> Decided {
    decide_on(&Options::parse(args, false)?, at, args, parts, reply)
}

fn decide_on(
    options: &Options<'_>,
    at: Decision,
    args: &Args<'_>,
    parts: &mut [Part],
    reply: &mut Writer<'_>,
) -> Decided {
    let declared = 1 + usize::from(options.destination.is_some());
    let source = match &parts[0] {
        Part::Value { value, .. } => Some(value.as_ref()),
        Part::WrongType => return Err(CommandError::WrongType),
        _ => None,
    };
    let mut sorting = Sorting::new(options, source)?;
    let keys = sorting.weight_keys();
    let (weights, rest) = match parts[declared..].split_at_checked(keys.len()) {
        Some((parts, rest)) => (values_of(parts, options.by.as_ref()), rest),
        None => return Ok(Next::Read(keys)),
    };
    sorting.sort(weights)?;
    let keys: Vec<Vec<Vec<u8>>> = options.gets.iter().map(|pattern| sorting.result_keys(pattern)).collect();
    if rest.is_empty() && keys.iter().any(|keys| !keys.is_empty()) {
        return Ok(Next::Read(keys.concat()));
    }
    let mut rest = rest.iter();
    let mut results: Vec<Vec<Option<Vec<u8>>>> = keys
        .iter()
        .zip(&options.gets)
        .map(|(keys, pattern)| {
            let parts = rest.by_ref().take(keys.len());
            parts.map(|part| value_of(part, Some(pattern))).collect()
        })
        .collect();
    let destination = options.destination.map(|i| args.get(i));
    let mut look_up = |number: usize, i: usize, _: &[u8]| results[number][i].take();
    Ok(Next::Write(sorting.finish(&mut look_up, destination, at.db, reply)))
}

fn values_of(parts: &[Part], pattern: Option<&Pattern<'_>>) -> Vec<Option<Vec<u8>>> {
    parts.iter().map(|part| value_of(part, pattern)).collect()
}

fn value_of(part: &Part, pattern: Option<&Pattern<'_>>) -> Option<Vec<u8>> {
    match part {
        Part::Value { value, .. } => value_at(value.as_ref(), pattern.and_then(|pattern| pattern.field)),
        _ => None,
    }
}
