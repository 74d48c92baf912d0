//! ZUNION, ZINTER and ZDIFF numkeys key [key ...] [WEIGHTS weight ...] [AGGREGATE SUM | MIN | MAX] [WITHSCORES], with STORE and a
//! destination before the count, and ZINTERCARD numkeys key [key ...] [LIMIT count] — combine sorted sets, and sets, whose members have
//! score 1. The members in order, or how many there are; what is stored replaces the destination, and nothing removes it.
//! Differences know no weights and no aggregates.

mod inputs;
mod options;
#[cfg(test)]
mod tests;

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::commands::gather::{Change, Decided, Decision, Gather, Next, Part, Write};
use crate::commands::sorted_set::combine::inputs::{Input, Source, difference, intersection, sort, union};
use crate::commands::sorted_set::combine::options::{Options, key_words};
use crate::commands::sorted_set::reply_members;
use crate::resp::write::Writer;
use crate::store::collection::EncodingLimits;
use crate::store::listpack::Item;
use crate::store::object::{Kind, Value, ValueRef};
use crate::store::sorted_set::SortedSet;

/// What a command does with its sets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Union,
    Intersection,
    Difference,
}

/// What a command is by its name.
pub struct Form {
    name: &'static str,
    operation: Operation,
    /// The result goes into a key, which stands before the count.
    stores: bool,
    /// Only the count of members is wanted.
    counts: bool,
}

impl Form {
    const fn new(name: &'static str, operation: Operation, stores: bool) -> Form {
        Form { name, operation, stores, counts: false }
    }

    fn is_weighed(&self) -> bool {
        self.operation != Operation::Difference && !self.counts
    }
}

static UNION: Form = Form::new("zunion", Operation::Union, false);
static INTERSECTION: Form = Form::new("zinter", Operation::Intersection, false);
static DIFFERENCE: Form = Form::new("zdiff", Operation::Difference, false);
static UNION_STORE: Form = Form::new("zunionstore", Operation::Union, true);
static INTERSECTION_STORE: Form = Form::new("zinterstore", Operation::Intersection, true);
static DIFFERENCE_STORE: Form = Form::new("zdiffstore", Operation::Difference, true);
static COUNT: Form = Form { counts: true, ..Form::new("zintercard", Operation::Intersection, false) };

pub const ZUNION: Gather = gather(|at, args, parts, reply| decide(&UNION, at, args, parts, reply));
pub const ZINTER: Gather = gather(|at, args, parts, reply| decide(&INTERSECTION, at, args, parts, reply));
pub const ZDIFF: Gather = gather(|at, args, parts, reply| decide(&DIFFERENCE, at, args, parts, reply));
pub const ZINTERCARD: Gather = gather(|at, args, parts, reply| decide(&COUNT, at, args, parts, reply));
pub const ZUNIONSTORE: Gather =
    storing(|at, args, parts, reply| decide(&UNION_STORE, at, args, parts, reply));
pub const ZINTERSTORE: Gather =
    storing(|at, args, parts, reply| decide(&INTERSECTION_STORE, at, args, parts, reply));
pub const ZDIFFSTORE: Gather =
    storing(|at, args, parts, reply| decide(&DIFFERENCE_STORE, at, args, parts, reply));

type Decide = fn(Decision, &Args<'_>, &mut [Part], &mut Writer<'_>) -> Decided;

const fn gather(decide: Decide) -> Gather {
    Gather { reads_key_alone: true, read, decide, reads_undeclared: false }
}

const fn storing(decide: Decide) -> Gather {
    Gather { reads_key_alone: false, read: read_source, decide, reads_undeclared: false }
}

pub fn zunion(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    run(cx, args, &UNION)
}

pub fn zinter(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    run(cx, args, &INTERSECTION)
}

pub fn zdiff(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    run(cx, args, &DIFFERENCE)
}

pub fn zintercard(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    run(cx, args, &COUNT)
}

pub fn zunionstore(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    run(cx, args, &UNION_STORE)
}

pub fn zinterstore(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    run(cx, args, &INTERSECTION_STORE)
}

pub fn zdiffstore(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    run(cx, args, &DIFFERENCE_STORE)
}

// ----------------------------------------------------------------------------------------------------------
// All keys on this shard: nothing is copied
// ----------------------------------------------------------------------------------------------------------

fn run(cx: &mut Cx<'_>, args: &Args<'_>, form: &Form) -> Outcome {
    let words = key_words(args, form)?;
    let touch = cx.touch();
    for i in words.clone() {
        let key = cx.key(args, i);
        cx.keys.settle(cx.db, &key, cx.now_ms, touch);
    }
    let mut sources = Vec::with_capacity(words.len());
    for i in words.clone() {
        let value = cx.keys.settled(cx.db, &cx.key(args, i)).map(ValueRef::of);
        sources.push(Source::of(value)?);
    }
    let options = Options::parse(args, &words, form)?;
    let members = combine(&sources, &options, form);
    if !form.stores {
        reply(&mut cx.reply, &members, &options, form);
        return Ok(());
    }
    let stored = stored(&cx.keys.encoding, &members);
    cx.reply.count(members.len());
    let (destination, clock) = (cx.key(args, 1), cx.clock());
    match stored {
        Some(value) => cx.keys.put(cx.db, &destination, value, None, clock),
        None => {
            cx.keys.remove(cx.db, &destination, cx.now_ms);
        }
    }
    Ok(())
}

// ----------------------------------------------------------------------------------------------------------
// Keys on several shards: the sets come to the decision
// ----------------------------------------------------------------------------------------------------------

fn read(cx: &mut Cx<'_>, args: &Args<'_>, i: usize) -> Part {
    let (key, touch) = (cx.key(args, i), cx.touch());
    match cx.keys.read(cx.db, &key, cx.now_ms, touch) {
        None => Part::Absent,
        Some(entry) => match ValueRef::of(entry).kind() {
            Kind::Set | Kind::SortedSet => Part::Value { value: Value::of(entry), expire_at_ms: None },
            _ => Part::WrongType,
        },
    }
}

/// Word 1 is the destination; what it holds does not matter.
fn read_source(cx: &mut Cx<'_>, args: &Args<'_>, i: usize) -> Part {
    if i == 1 { Part::Absent } else { read(cx, args, i) }
}

fn decide(form: &Form, at: Decision, args: &Args<'_>, parts: &mut [Part], out: &mut Writer<'_>) -> Decided {
    let words = key_words(args, form)?;
    let source = |part| match part {
        &Part::WrongType => Err(CommandError::WrongType),
        Part::Value { value, .. } => Source::of(Some(value.as_ref())),
        _ => Ok(Source::Missing),
    };
    let parts = if form.stores { &parts[1..] } else { &*parts };
    let sources = parts.iter().map(source).collect::<Result<Vec<_>, _>>()?;
    let options = Options::parse(args, &words, form)?;
    let members = combine(&sources, &options, form);
    if !form.stores {
        reply(out, &members, &options, form);
        return Ok(Next::Write(Vec::new()));
    }
    out.count(members.len());
    let change = match stored(&at.encoding, &members) {
        Some(value) => Change::Put { value, expire_at_ms: None },
        None => Change::Delete,
    };
    Ok(Next::Write(vec![Write { db: at.db, key: args.get(1).to_vec(), change }]))
}

// ----------------------------------------------------------------------------------------------------------
// Both
// ----------------------------------------------------------------------------------------------------------

/// The members of the result, in order unless they are only counted.
fn combine<'a>(sources: &[Source<'a>], options: &Options, form: &Form) -> Vec<(Item<'a>, f64)> {
    let weighed = |(i, source): (usize, &Source<'a>)| Input { source: *source, weight: options.weight(i) };
    let mut inputs: Vec<Input<'a>> = sources.iter().enumerate().map(weighed).collect();
    let mut members = match form.operation {
        Operation::Union => union(&mut inputs, options.aggregate),
        Operation::Intersection => intersection(&mut inputs, options.aggregate, options.count_max),
        Operation::Difference => difference(&inputs),
    };
    if !form.counts {
        sort(&mut members);
    }
    members
}

fn reply(out: &mut Writer<'_>, members: &[(Item<'_>, f64)], options: &Options, form: &Form) {
    if form.counts {
        out.count(members.len());
    } else {
        reply_members(out, members.iter().copied(), options.with_scores);
    }
}

/// The set to store; nothing if it is empty.
fn stored(limits: &EncodingLimits, members: &[(Item<'_>, f64)]) -> Option<Value> {
    let set = || Value::SortedSet(SortedSet::collect(limits, members.iter().copied()));
    (!members.is_empty()).then(set)
}
