//! SINTER, SUNION, SDIFF key [key ...] and SINTERSTORE, SUNIONSTORE, SDIFFSTORE destination key [key ...] — intersection, union and
//! difference of sets: returned, or put in the place of whatever the destination holds, which an empty result removes; then the
//! reply is its size. Missing keys are empty sets; a key of another type anywhere is WRONGTYPE, but for the destination.

use std::ops::Range;

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::commands::gather::{Change, Decided, Decision, Gather, Next, Part, Write};
use crate::commands::set::reply_member;
use crate::resp::write::Writer;
use crate::store::collection::{Collection, EncodingLimits};
use crate::store::keyspace::{Key, Keyspace};
use crate::store::object::Value;
use crate::store::set::{Member, Set, SetRef, difference, intersection, union};

/// From the sets of the keys, in order, to the members of the result.
type Combine = for<'a> fn(&[Option<SetRef<'a>>]) -> Vec<Member<'a>>;

fn intersect<'a>(sets: &[Option<SetRef<'a>>]) -> Vec<Member<'a>> {
    intersection(sets, usize::MAX)
}

/// From the sets of the keys, in order, to the set that is stored.
type Make = fn(&[Option<SetRef<'_>>], &EncodingLimits) -> Set;

fn make_intersection(sets: &[Option<SetRef<'_>>], limits: &EncodingLimits) -> Set {
    Set::of(intersect(sets).into_iter(), limits)
}

/// Members go into the result one by one: a list of all would be as long as one key is named often.
fn make_union(sets: &[Option<SetRef<'_>>], limits: &EncodingLimits) -> Set {
    Set::of(sets.iter().flatten().flat_map(|set| set.iter()), limits)
}

fn make_difference(sets: &[Option<SetRef<'_>>], limits: &EncodingLimits) -> Set {
    Set::of(difference(sets).into_iter(), limits)
}

const fn gather(decide: fn(Decision, &Args<'_>, &mut [Part], &mut Writer<'_>) -> Decided) -> Gather {
    Gather { reads_key_alone: true, read, decide, reads_undeclared: false }
}

const fn gather_to_store(decide: fn(Decision, &Args<'_>, &mut [Part], &mut Writer<'_>) -> Decided) -> Gather {
    Gather { reads_key_alone: false, read: read_source, decide, reads_undeclared: false }
}

pub const SINTER: Gather = gather(|_, _, parts, reply| decide(intersect, parts, reply));
pub const SUNION: Gather = gather(|_, _, parts, reply| decide(union, parts, reply));
pub const SDIFF: Gather = gather(|_, _, parts, reply| decide(difference, parts, reply));
pub const SINTERSTORE: Gather =
    gather_to_store(|at, args, parts, reply| decide_to_store(make_intersection, at, args, parts, reply));
pub const SUNIONSTORE: Gather =
    gather_to_store(|at, args, parts, reply| decide_to_store(make_union, at, args, parts, reply));
pub const SDIFFSTORE: Gather =
    gather_to_store(|at, args, parts, reply| decide_to_store(make_difference, at, args, parts, reply));

pub fn sinter(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    run(cx, args, intersect)
}

pub fn sunion(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    run(cx, args, union)
}

pub fn sdiff(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    run(cx, args, difference)
}

pub fn sinterstore(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    run_and_store(cx, args, make_intersection)
}

pub fn sunionstore(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    run_and_store(cx, args, make_union)
}

pub fn sdiffstore(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    run_and_store(cx, args, make_difference)
}

// ----------------------------------------------------------------------------------------------------------
// All keys on this shard
// ----------------------------------------------------------------------------------------------------------

fn run(cx: &mut Cx<'_>, args: &Args<'_>, combine: Combine) -> Outcome {
    settle(cx, args, 1..args.len());
    let sets = views(cx.keys, cx.db, args, 1..args.len())?;
    reply_members(&mut cx.reply, &combine(&sets));
    Ok(())
}

fn run_and_store(cx: &mut Cx<'_>, args: &Args<'_>, make: Make) -> Outcome {
    settle(cx, args, 2..args.len());
    let sets = views(cx.keys, cx.db, args, 2..args.len())?;
    let result = make(&sets, &cx.keys.encoding);
    let (key, clock) = (cx.key(args, 1), cx.clock());
    cx.reply.count(result.view().len());
    if result.is_empty() {
        cx.keys.remove(cx.db, &key, cx.now_ms);
    } else {
        cx.keys.put(cx.db, &key, Value::Set(result), None, clock);
    }
    Ok(())
}

/// Counts and touches keys as reads do, so that they can then be borrowed at once.
pub(super) fn settle(cx: &mut Cx<'_>, args: &Args<'_>, words: Range<usize>) {
    let touch = cx.touch();
    cx.for_each_key(args, words, |cx, _, key| cx.keys.settle(cx.db, key, cx.now_ms, touch));
}

/// The sets of keys that were settled.
pub(super) fn views<'a>(
    keys: &'a Keyspace,
    db: u16,
    args: &Args<'_>,
    words: Range<usize>,
) -> Result<Vec<Option<SetRef<'a>>>, CommandError> {
    words.map(|word| Ok(keys.settled_view::<Set>(db, &Key::new(args.get(word)))?)).collect()
}

fn reply_members(reply: &mut Writer<'_>, members: &[Member<'_>]) {
    reply.set(members.len());
    members.iter().for_each(|&member| reply_member(reply, member));
}

// ----------------------------------------------------------------------------------------------------------
// Keys on several shards
// ----------------------------------------------------------------------------------------------------------

/// A copy of the set.
pub(super) fn read(cx: &mut Cx<'_>, args: &Args<'_>, i: usize) -> Part {
    let (key, touch) = (cx.key(args, i), cx.touch());
    match cx.keys.read(cx.db, &key, cx.now_ms, touch) {
        None => Part::Absent,
        Some(entry) => match Value::of(entry) {
            value @ Value::Set(_) => Part::Value { value, expire_at_ms: None },
            _ => Part::WrongType,
        },
    }
}

/// A copy of the set, unless the key is the destination, whose value does not matter.
fn read_source(cx: &mut Cx<'_>, args: &Args<'_>, i: usize) -> Part {
    if i == 1 { Part::Absent } else { read(cx, args, i) }
}

/// The sets that were read.
pub(super) fn parts_views(parts: &[Part]) -> Result<Vec<Option<SetRef<'_>>>, CommandError> {
    let view = |part| match part {
        &Part::Absent => Ok(None),
        Part::Value { value: Value::Set(set), .. } => Ok(Some(set.view())),
        _ => Err(CommandError::WrongType),
    };
    parts.iter().map(view).collect()
}

fn decide(combine: Combine, parts: &[Part], reply: &mut Writer<'_>) -> Decided {
    reply_members(reply, &combine(&parts_views(parts)?));
    Ok(Next::Write(Vec::new()))
}

fn decide_to_store(
    make: Make,
    at: Decision,
    args: &Args<'_>,
    parts: &[Part],
    reply: &mut Writer<'_>,
) -> Decided {
    let result = make(&parts_views(&parts[1..])?, &at.encoding);
    reply.count(result.view().len());
    let change = if result.is_empty() {
        Change::Delete
    } else {
        Change::Put { value: Value::Set(result), expire_at_ms: None }
    };
    Ok(Next::Write(vec![Write { db: at.db, key: args.get(1).to_vec(), change }]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::args::OwnedArgs;
    use crate::commands::testing::{Bench, check, shown};
    use crate::resp::write::Protocol;

    const SETS: &str = "SADD a 1 2 3 | SADD b 2 3 4 | SADD c 3 5";

    fn check_sets(script: &str, expected: &str) {
        check(&format!("{SETS} | {script}"), &format!("3 | 3 | 2 | {expected}"));
    }

    #[test]
    fn combines() {
        check_sets(
            "SINTER a b | SINTER a b c | SINTER a | SINTER a a",
            "[2, 3] | [3] | [1, 2, 3] | [1, 2, 3]",
        );
        check_sets(
            "SDIFF a b | SDIFF a b c | SDIFF c a b | SDIFF a a | SDIFF a",
            "[1] | [1] | [5] | [] | [1, 2, 3]",
        );
        check_sets("SUNIONSTORE d a b c | SMEMBERS d | OBJECT ENCODING d", "5 | [1, 2, 3, 4, 5] | intset");
        check_sets("SUNION a | SUNION a missing", "[1, 2, 3] | [1, 2, 3]");
        check_sets("SADD d 1 x | SINTER a d | SDIFF d a | SDIFF a d", "2 | [1] | [x] | [2, 3]");
    }

    #[test]
    fn missing_keys_are_empty() {
        check_sets(
            "SINTER a missing | SINTER missing a | SDIFF missing a | SDIFF a missing",
            "[] | [] | [] | [1, 2, 3]",
        );
        check(
            "SUNION x y | SDIFF x | SINTER x | SUNIONSTORE d x | SDIFFSTORE d x | SINTERSTORE d x",
            "[] | [] | [] | 0 | 0 | 0",
        );
    }

    #[test]
    fn stores_in_place_of_anything() {
        check_sets(
            "SET d v EX 5 | SINTERSTORE d a b | TYPE d | TTL d | SMEMBERS d",
            "OK | 2 | set | -1 | [2, 3]",
        );
        check_sets("SADD e x | SINTERSTORE e a missing | EXISTS e", "1 | 0 | 0");
        check_sets(
            "SDIFFSTORE a a b | SMEMBERS a | SUNIONSTORE a a b | SMEMBERS a",
            "1 | [1] | 4 | [1, 2, 3, 4]",
        );
        check_sets("SADD a x | SDIFFSTORE d a b | OBJECT ENCODING d | SREM a x", "1 | 2 | listpack | 1");
        check_sets("SADD a x | SINTERSTORE d a b | OBJECT ENCODING d", "1 | 2 | intset");
    }

    #[test]
    fn makes_large_sets_of_large_sets() {
        let mut bench = Bench::default();
        let names = |from: usize, to: usize| (from..to).map(|i| format!(" m{i}")).collect::<String>();
        bench.run(&format!("SADD a{} | SADD b{}", names(0, 300), names(200, 500)));
        assert_eq!(
            bench.run("SUNIONSTORE u a b | SINTERSTORE i a b | SDIFFSTORE d a b | OBJECT ENCODING u | OBJECT ENCODING i"),
            "500 | 100 | 200 | hashtable | listpack"
        );
        assert_eq!(bench.run("SDIFF d a | SINTER i d | SDIFF a d i | SDIFF u a b"), "[] | [] | [] | []");
        bench.check_journal();
    }

    #[test]
    fn another_type_anywhere_is_refused() {
        let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
        for command in [
            "SINTER missing k",
            "SUNION a k",
            "SDIFF missing k",
            "SINTERSTORE a missing k",
            "SUNIONSTORE a k",
        ] {
            check_sets(&format!("SET k v | {command} | SCARD a"), &format!("OK | {wrong} | 3"));
        }
    }

    #[test]
    fn is_a_set_in_resp3() {
        let mut bench = Bench::default();
        bench.server.sessions.get_mut(0).expect("a client").protocol = Protocol::Resp3;
        bench.run("SADD a 1");
        for command in ["SINTER", "SUNION", "SDIFF"] {
            assert_eq!(bench.call([command, "a"]), b"~1\r\n$1\r\n1\r\n");
            assert_eq!(bench.call([command, "b"]), b"~0\r\n");
        }
        assert_eq!(bench.call(["SINTERSTORE", "b", "a"]), b":1\r\n");
    }

    /// What a command orders whose keys are on several shards, and its reply. Each part is a set's members, or a mark: `-` for a
    /// missing key, `!` for one of another type.
    fn decided(gather: &Gather, words: &str, parts: &[&str]) -> (Decided, String) {
        let part = |members: &&str| match *members {
            "-" => Part::Absent,
            "!" => Part::WrongType,
            members => {
                let members = members.split(' ').map(|member| Member::Bytes(member.as_bytes()));
                let value = Value::Set(Set::of(members, &Default::default()));
                Part::Value { value, expire_at_ms: None }
            }
        };
        let mut parts: Vec<Part> = parts.iter().map(part).collect();
        let words = OwnedArgs::new(words.split(' '));
        let at = Decision { db: 0, now_ms: 0, bulk_bytes_max: 0, encoding: Default::default() };
        let mut out = Vec::new();
        let mut reply = Writer::new(&mut out, Protocol::Resp2);
        let decided = (gather.decide)(at, &words.args(), &mut parts, &mut reply);
        let shown = if out.is_empty() { String::new() } else { shown(&out).0 };
        (decided, shown)
    }

    #[test]
    fn combines_copies_from_several_shards() {
        for (gather, parts, expected) in [
            (&SINTER, ["1 2 3", "2 3 x"], "[2, 3]"),
            (&SINTER, ["1 2 3", "-"], "[]"),
            (&SDIFF, ["1 2 3", "2 3 x"], "[1]"),
            (&SUNION, ["1 2", "-"], "[1, 2]"),
        ] {
            let (decided, reply) = decided(gather, "command a b", &parts);
            assert_eq!((decided, &*reply), (Ok(Next::Write(Vec::new())), expected));
        }
        for (gather, expected) in [(&SINTERSTORE, "2 3"), (&SUNIONSTORE, "1 2 3 x"), (&SDIFFSTORE, "1")] {
            let (order, reply) = decided(gather, "command to a b", &["-", "1 2 3", "2 3 x"]);
            assert_eq!(reply, expected.split(' ').count().to_string());
            let members = expected.split(' ').map(|member| Member::Bytes(member.as_bytes()));
            let value = Value::Set(Set::of(members, &Default::default()));
            let change = Change::Put { value, expire_at_ms: None };
            assert_eq!(order, Ok(Next::Write(vec![Write { db: 0, key: b"to".to_vec(), change }])));
            let (order, reply) = decided(gather, "command to a b", &["-", "-", "-"]);
            assert_eq!(reply, "0");
            assert_eq!(
                order,
                Ok(Next::Write(vec![Write { db: 0, key: b"to".to_vec(), change: Change::Delete }]))
            );
            let (order, _) = decided(gather, "command to a b", &["-", "-", "!"]);
            assert_eq!(order, Err(CommandError::WrongType));
        }
    }
}
