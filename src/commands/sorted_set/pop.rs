//! ZPOPMIN key [count], ZPOPMAX key [count], ZMPOP numkeys key [key ...] MIN | MAX [COUNT count] — remove the members with the
//! lowest or highest scores and reply with them. ZMPOP takes them from the first key that is there, and says which that was, or
//! nil. Its twins that wait, and those of the other two, call `pop_many` and `pop_one` on one key after the other.

use crate::base::args::{Args, OwnedArgs};
use crate::commands::cx::{Cx, count_from};
use crate::commands::error::{CommandError, Outcome};
use crate::commands::gather::{self, Decided, Decision, Gather, Next, Part, Write};
use crate::commands::item::reply_item;
use crate::resp::write::{Protocol, Writer};
use crate::store::collection::{Change, Collection};
use crate::store::keyspace::Key;
use crate::store::listpack::Item;
use crate::store::object::Value;
use crate::store::sorted_set::{SortedSet, SortedSetRef};

pub const ZMPOP: Gather = Gather {
    reads_key_alone: false,
    read: |cx, args, i| read_popped(cx, args, 1, i),
    decide: |at, args, parts, reply| decide_popped(at, args, 1, parts, reply),
    reads_undeclared: false,
};

/// The end at which members are removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The lowest scores.
    Min,
    /// The highest scores.
    Max,
}

pub fn zpopmin(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    pop(cx, args, Which::Min)
}

pub fn zpopmax(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    pop(cx, args, Which::Max)
}

fn pop(cx: &mut Cx<'_>, args: &Args<'_>, which: Which) -> Outcome {
    if args.len() > 3 {
        return Err(CommandError::Syntax);
    }
    let has_count = args.len() == 3;
    let count =
        if has_count { count_from(args, 2, 0, "ERR value is out of range, must be positive")? } else { 1 };
    let key = cx.key(args, 1);
    // Pairs only where RESP3 can tell them and a count was asked for.
    let in_pairs = has_count && cx.reply.protocol() == Protocol::Resp3;
    let is_there = take(cx, &key, which, count, |reply, set, count| {
        if in_pairs {
            return reply_ends(reply, set, which, count);
        }
        reply.array(2 * count);
        reply_flat(reply, set, which, count);
    })?;
    if !is_there {
        cx.reply.array(0);
    }
    Ok(())
}

/// Removes the member at one end of the set at a key and replies with `[key, member, score]`: BZPOPMIN and BZPOPMAX once the key is there.
/// Whether it was; if not, nothing is written.
pub(in crate::commands) fn pop_one(
    cx: &mut Cx<'_>,
    key: &Key<'_>,
    which: Which,
) -> Result<bool, CommandError> {
    take(cx, key, which, 1, |reply, set, count| {
        reply.array(3);
        reply.bulk(key.bytes);
        reply_flat(reply, set, which, count);
    })
}

/// Removes up to `count` members, at least 1, at one end of the set at a key and replies with `[key, [[member, score], ...]]`: ZMPOP and
/// BZMPOP on one of their keys. Whether it was there; if not, nothing is written.
pub(in crate::commands) fn pop_many(
    cx: &mut Cx<'_>,
    key: &Key<'_>,
    which: Which,
    count: usize,
) -> Result<bool, CommandError> {
    take(cx, key, which, count, |reply, set, count| reply_popped(reply, key.bytes, set, which, count))
}

/// Hands the set at a key, and how many members will go, to `show`, and removes them.
fn take(
    cx: &mut Cx<'_>,
    key: &Key<'_>,
    which: Which,
    count: usize,
    show: impl FnOnce(&mut Writer<'_>, SortedSetRef<'_>, usize),
) -> Result<bool, CommandError> {
    let (clock, reply) = (cx.clock(), &mut cx.reply);
    let popped = cx.keys.change(cx.db, key, cx.now_ms, clock, |set: &mut Change<'_, SortedSet>| {
        let view = set.view();
        let count = count.min(view.len());
        show(reply, view, count);
        match which {
            Which::Min => set.pop_first(count),
            Which::Max => set.pop_last(count),
        }
    })?;
    Ok(popped.is_some())
}

/// The members at one end, outermost first.
fn ends(set: SortedSetRef<'_>, which: Which, count: usize) -> impl Iterator<Item = (Item<'_>, f64)> {
    let len = set.len();
    let mut ranks = match which {
        Which::Min => set.range(0..count),
        Which::Max => set.range(len - count..len),
    };
    std::iter::from_fn(move || match which {
        Which::Min => ranks.next(),
        Which::Max => ranks.next_back(),
    })
}

fn reply_popped(reply: &mut Writer<'_>, key: &[u8], set: SortedSetRef<'_>, which: Which, count: usize) {
    reply.array(2);
    reply.bulk(key);
    reply_ends(reply, set, which, count);
}

/// Members and scores in turn, for an array whose head is written.
fn reply_flat(reply: &mut Writer<'_>, set: SortedSetRef<'_>, which: Which, count: usize) {
    for (member, score) in ends(set, which, count) {
        reply_item(reply, member);
        reply.double(score);
    }
}

/// Pairs of members and scores in an array, in RESP2 too.
fn reply_ends(reply: &mut Writer<'_>, set: SortedSetRef<'_>, which: Which, count: usize) {
    reply.array(count);
    for (member, score) in ends(set, which, count) {
        reply.array(2);
        reply_item(reply, member);
        reply.double(score);
    }
}

// ----------------------------------------------------------------------------------------------------------
// ZMPOP
// ----------------------------------------------------------------------------------------------------------

pub fn zmpop(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let query = Query::parse(args, 1)?;
    for i in query.keys() {
        if pop_many(cx, &cx.key(args, i), query.which, query.count)? {
            return Ok(());
        }
    }
    cx.reply.null_array();
    Ok(())
}

/// The words of ZMPOP from the count of keys on; BZMPOP has the same behind its timeout.
pub(in crate::commands) struct Query {
    numkeys: usize,
    first: usize,
    /// The end at which members are removed.
    pub which: Which,
    /// How many members at most.
    pub count: usize,
}

impl Query {
    /// Reads the words; `numkeys` is the index of the count of keys.
    pub fn parse(args: &Args<'_>, numkeys: usize) -> Result<Query, CommandError> {
        let first = numkeys + 1;
        let keys = count_from(args, numkeys, 1, "ERR numkeys should be greater than 0")?;
        let at = first.saturating_add(keys);
        let which = match at < args.len() {
            true if args.is(at, "MIN") => Which::Min,
            true if args.is(at, "MAX") => Which::Max,
            _ => return Err(CommandError::Syntax),
        };
        let mut count = None;
        let mut i = at + 1;
        while i < args.len() {
            if count.is_some() || !args.is(i, "COUNT") || i + 1 == args.len() {
                return Err(CommandError::Syntax);
            }
            count = Some(count_from(args, i + 1, 1, "ERR count should be greater than 0")?);
            i += 2;
        }
        Ok(Query { numkeys: keys, first, which, count: count.unwrap_or(1) })
    }

    /// Indices of the key words.
    pub fn keys(&self) -> std::ops::Range<usize> {
        self.first..self.first + self.numkeys
    }
}

/// A set of the members that would go from the key at word `i`. The count of keys is at word `numkeys`, also for the decision.
pub(in crate::commands) fn read_popped(cx: &mut Cx<'_>, args: &Args<'_>, numkeys: usize, i: usize) -> Part {
    // The decision reports what is wrong with the words.
    let Ok(query) = Query::parse(args, numkeys) else { return Part::Absent };
    let key = cx.key(args, i);
    cx.keys.settle(cx.db, &key, cx.now_ms, None);
    match cx.keys.settled_view::<SortedSet>(cx.db, &key) {
        Err(_) => Part::WrongType,
        Ok(None) => Part::Absent,
        Ok(Some(set)) => {
            let (len, count) = (set.len(), query.count.min(set.len()));
            let ranks = if query.which == Which::Min { 0..count } else { len - count..len };
            let popped = SortedSet::collect(&cx.keys.encoding, set.range(ranks));
            Part::Value { value: Value::SortedSet(popped), expire_at_ms: None }
        }
    }
}

/// Takes them from the first set there is.
pub(in crate::commands) fn decide_popped(
    at: Decision,
    args: &Args<'_>,
    numkeys: usize,
    parts: &mut [Part],
    reply: &mut Writer<'_>,
) -> Decided {
    let query = Query::parse(args, numkeys)?;
    let found = query.keys().zip(&*parts).find(|(_, part)| **part != Part::Absent);
    let Some((i, part)) = found else {
        reply.null_array();
        return Ok(Next::Write(Vec::new()));
    };
    let Part::Value { value: Value::SortedSet(popped), .. } = part else {
        return Err(CommandError::WrongType);
    };
    let (key, count) = (args.get(i), popped.view().len());
    reply_popped(reply, key, popped.view(), query.which, count);
    let name: &[u8] = if query.which == Which::Min { b"ZPOPMIN" } else { b"ZPOPMAX" };
    let call = OwnedArgs::new([name, key, itoa::Buffer::new().format(count).as_bytes()]);
    let change = gather::Change::Call(call);
    Ok(Next::Write(vec![Write { db: at.db, key: key.to_vec(), change }]))
}

#[cfg(test)]
mod tests {
    use crate::commands::sorted_set::gathered::check_both;
    use crate::commands::testing::{Bench, check};

    const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";

    #[test]
    fn pops_either_end() {
        check(
            "ZADD k 1 a 2 b 3 c | ZPOPMIN k | ZPOPMAX k | ZPOPMIN k | EXISTS k | ZPOPMIN k",
            "3 | [a, 1] | [c, 3] | [b, 2] | 0 | []",
        );
        check("ZADD k 1 a 2 b 3 c | ZPOPMAX k 2 | ZPOPMIN k 9 | EXISTS k", "3 | [c, 3, b, 2] | [a, 1] | 0");
        check("ZADD k 1 a | ZPOPMIN k 0 | ZCARD k | ZPOPMAX no 5", "1 | [] | 1 | []");
        let many: Vec<String> = (0..300).map(|i| format!("{i} m{i}")).collect();
        check(
            &format!("ZADD k {} | ZPOPMAX k 2 | ZPOPMIN k | ZCARD k", many.join(" ")),
            "300 | [m299, 299, m298, 298] | [m0, 0] | 297",
        );
    }

    #[test]
    fn pairs_in_resp3_where_a_count_is_given() {
        let mut bench = Bench::default();
        bench.run("HELLO 3 | ZADD k 1 a 2 b 3 c");
        assert_eq!(
            bench.run("ZPOPMIN k | ZPOPMIN k 1 | ZPOPMAX k 2 | ZPOPMIN k 1"),
            "[a, 1] | [[b, 2]] | [[c, 3]] | []"
        );
    }

    #[test]
    fn refuses_bad_counts() {
        let positive = "ERR value is out of range, must be positive";
        check(
            "ZPOPMIN k -1 | ZPOPMAX k x | ZPOPMIN k 1 2",
            &format!("{positive} | {positive} | ERR syntax error"),
        );
        check("SET k v | ZPOPMIN k | ZPOPMIN k 0", &format!("OK | {WRONG_TYPE} | {WRONG_TYPE}"));
    }

    #[test]
    fn zmpop_takes_from_the_first_key_that_is_there() {
        let setup = "ZADD b 1 x 2 y 3 z | SET s v";
        check_both(setup, "ZMPOP 2 a b MIN | ZRANGE b 0 -1", "[b, [[x, 1]]] | [y, z]");
        check_both(setup, "ZMPOP 2 a b max count 2 | ZRANGE b 0 -1", "[b, [[z, 3], [y, 2]]] | [x]");
        check_both(setup, "ZMPOP 3 b a s MIN COUNT 9 | EXISTS b", "[b, [[x, 1], [y, 2], [z, 3]]] | 0");
        check_both(setup, "ZMPOP 1 a MIN", "nil");
        check_both(setup, "ZMPOP 3 a s b MIN", WRONG_TYPE);
    }

    #[test]
    fn zmpop_refuses() {
        let numkeys = "ERR numkeys should be greater than 0";
        check(
            "ZMPOP 0 k MIN | ZMPOP x k MIN | ZMPOP -1 k MIN",
            &format!("{numkeys} | {numkeys} | {numkeys}"),
        );
        for words in [
            "2 k MIN",
            "1 k FOO",
            "1 k MIN COUNT",
            "1 k MIN COUNT 1 COUNT 1",
            "1 k MIN FOO 1",
            "9223372036854775807 k MIN",
        ] {
            check(&format!("ZMPOP {words}"), "ERR syntax error");
        }
        let count = "ERR count should be greater than 0";
        check("ZMPOP 1 k MIN COUNT 0 | ZMPOP 1 k MIN COUNT x", &format!("{count} | {count}"));
    }
}
