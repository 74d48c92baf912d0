//! LMOVE source destination LEFT | RIGHT LEFT | RIGHT, RPOPLPUSH source destination — move an element from an end of one list to
//! an end of another, which may be the same, and return it. Nil where the source is missing; a missing destination is created.

use crate::base::args::{Args, OwnedArgs};
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::commands::gather::{Change as Ordered, Decided, Decision, Gather, Next, Part, Write};
use crate::commands::list::end;
use crate::resp::write::Writer;
use crate::store::collection::Change;
use crate::store::effect::End;
use crate::store::keyspace::Key;
use crate::store::list::{List, ListRef};

pub const GATHER: Gather = Gather { reads_key_alone: false, read, decide, reads_undeclared: false };

pub fn lmove(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    run(cx, args)
}

pub fn rpoplpush(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    run(cx, args)
}

fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (from, to) = ends(args)?;
    let (source, destination) = (cx.key(args, 1), cx.key(args, 2));
    if !move_one(cx, (&source, from), (&destination, to))? {
        cx.reply.null();
    }
    Ok(())
}

/// Which end the element leaves, and which it comes to.
fn ends(args: &Args<'_>) -> Result<(End, End), CommandError> {
    // RPOPLPUSH names none.
    if args.len() == 3 { Ok((End::Right, End::Left)) } else { Ok((end(args, 3)?, end(args, 4)?)) }
}

/// Moves an element between two keys of this shard and replies with it. False where the source is missing: nothing is replied then.
pub(in crate::commands) fn move_one(
    cx: &mut Cx<'_>,
    (source, from): (&Key<'_>, End),
    (destination, to): (&Key<'_>, End),
) -> Result<bool, CommandError> {
    let clock = cx.clock();
    if source.bytes == destination.bytes {
        let reply = &mut cx.reply;
        let rotate = |list: &mut Change<'_, List>| {
            let element = first_to_go(list.view(), from);
            reply.bulk(&element);
            if from == to || list.view().len() == 1 {
                // It stays where it is. Yet the key counts as changed, and must not be gone in between, its expiry with it.
                let index = if from == End::Left { 0 } else { list.view().len() - 1 };
                list.set(index, &element);
            } else {
                list.pop(from, 1);
                list.push(to, [&element[..]]);
            }
        };
        return Ok(cx.keys.change(cx.db, source, cx.now_ms, clock, rotate)?.is_some());
    }
    if cx.keys.peek_view::<List>(cx.db, source, cx.now_ms)?.is_none() {
        return Ok(false);
    }
    // Both types are looked at before either list is changed.
    cx.keys.peek_view::<List>(cx.db, destination, cx.now_ms)?;
    let take = |list: &mut Change<'_, List>| {
        let element = first_to_go(list.view(), from);
        list.pop(from, 1);
        element
    };
    let element = cx.keys.change(cx.db, source, cx.now_ms, clock, take)?.expect("the source was there");
    let push = |list: &mut Change<'_, List>| list.push(to, [&element[..]]);
    cx.keys.change_or_create(cx.db, destination, cx.now_ms, clock, push)?;
    cx.reply.bulk(&element);
    Ok(true)
}

fn first_to_go(list: ListRef<'_>, from: End) -> Vec<u8> {
    list.at_end(from, 1).next().expect("a key holds no empty list").to_vec()
}

// Across shards -----------------------------------------------------------------------------------------------

fn read(cx: &mut Cx<'_>, args: &Args<'_>, i: usize) -> Part {
    // The decision reports words that are no ends.
    let Ok((from, _)) = ends(args) else { return Part::Absent };
    let key = cx.key(args, i);
    match cx.keys.peek_view::<List>(cx.db, &key, cx.now_ms) {
        Err(_) => Part::WrongType,
        Ok(None) => Part::Absent,
        Ok(Some(list)) if i == 1 => {
            list.at_end(from, 1).next().map_or(Part::Absent, |item| Part::Reply(item.to_vec()))
        }
        Ok(Some(_)) => Part::Present,
    }
}

fn decide(at: Decision, args: &Args<'_>, parts: &mut [Part], reply: &mut Writer<'_>) -> Decided {
    let (from, to) = ends(args)?;
    let element = match &parts[0] {
        Part::Reply(element) => element,
        Part::WrongType => return Err(CommandError::WrongType),
        _ => {
            reply.null();
            return Ok(Next::Write(Vec::new()));
        }
    };
    if parts[1] == Part::WrongType {
        return Err(CommandError::WrongType);
    }
    reply.bulk(element);
    let (source, destination) = (args.get(1), args.get(2));
    let pop: &[u8] = if from == End::Left { b"LPOP" } else { b"RPOP" };
    let push: &[u8] = if to == End::Left { b"LPUSH" } else { b"RPUSH" };
    let call = |key: &[u8], words| Write { db: at.db, key: key.to_vec(), change: Ordered::Call(words) };
    Ok(Next::Write(vec![
        call(source, OwnedArgs::new([pop, source])),
        call(destination, OwnedArgs::new([push, destination, element])),
    ]))
}

#[cfg(test)]
mod tests {
    use crate::commands::list::tests::{check_gathered, check_gathered_only};
    use crate::commands::testing::check;

    #[test]
    fn moves_between_lists() {
        for (ends, expected) in [
            ("LEFT LEFT", "a | [b, c] | [a, x, y]"),
            ("LEFT RIGHT", "a | [b, c] | [x, y, a]"),
            ("right left", "c | [a, b] | [c, x, y]"),
            ("RIGHT RIGHT", "c | [a, b] | [x, y, c]"),
        ] {
            let fill = "RPUSH s a b c | RPUSH d x y";
            check_gathered(
                &format!("{fill} | LMOVE s d {ends} | LRANGE s 0 -1 | LRANGE d 0 -1"),
                &format!("3 | 2 | {expected}"),
            );
        }
        check_gathered(
            "RPUSH s 1 2 | RPOPLPUSH s d | RPOPLPUSH s d | EXISTS s | LRANGE d 0 -1",
            "2 | 2 | 1 | 0 | [1, 2]",
        );
        check_gathered("RPUSH d x | LMOVE s d LEFT LEFT | RPOPLPUSH s d | LLEN d", "1 | nil | nil | 1");
    }

    #[test]
    fn rotates_one_list() {
        check("RPUSH k a b c | RPOPLPUSH k k | LRANGE k 0 -1", "3 | c | [c, a, b]");
        check(
            "RPUSH k a b c | LMOVE k k LEFT RIGHT | LMOVE k k LEFT LEFT | LRANGE k 0 -1",
            "3 | a | b | [b, c, a]",
        );
        check(
            "RPUSH k a | EXPIRE k 10 | RPOPLPUSH k k | TTL k | LMOVE m m LEFT LEFT",
            "1 | 1 | a | 10 | nil",
        );
        let large = "x".repeat(9000);
        check(
            &format!(
                "RPUSH k {large} | LMOVE k k LEFT RIGHT | LLEN k | RPUSH k a b | LMOVE k k LEFT LEFT | LRANGE k 1 2"
            ),
            &format!("1 | {large} | 1 | 3 | {large} | [a, b]"),
        );
    }

    #[test]
    fn refuses_other_types_and_ends() {
        let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
        check_gathered(
            "SET s v | RPUSH l a | RPOPLPUSH s l | RPOPLPUSH l s | LMOVE m s LEFT LEFT | LRANGE l 0 -1",
            &format!("OK | 1 | {wrong} | {wrong} | nil | [a]"),
        );
        check("SET s v | RPOPLPUSH s s", &format!("OK | {wrong}"));
        check_gathered_only(
            "SET s v | LMOVE s s UP LEFT | LMOVE s s LEFT DOWN",
            "OK | ERR syntax error | ERR syntax error",
        );
    }
}
