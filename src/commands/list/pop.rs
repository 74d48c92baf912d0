//! LPOP, RPOP key [count] — remove elements from an end and return them: one, or with a count an array of as many as there are.
//! Nil for a missing key, whatever is asked for; a list that becomes empty is gone with its key.

use crate::base::args::Args;
use crate::commands::cx::{Cx, count_from};
use crate::commands::error::{CommandError, Outcome};
use crate::commands::item::reply_item;
use crate::resp::write::Writer;
use crate::store::collection::Change;
use crate::store::effect::End;
use crate::store::keyspace::Key;
use crate::store::list::List;

pub fn lpop(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    pop(cx, args, End::Left)
}

pub fn rpop(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    pop(cx, args, End::Right)
}

fn pop(cx: &mut Cx<'_>, args: &Args<'_>, end: End) -> Outcome {
    let (key, clock) = (cx.key(args, 1), cx.clock());
    match args.len() {
        2 => {
            let reply = &mut cx.reply;
            let take = |list: &mut Change<'_, List>| list.take(end, |item| reply_item(reply, item));
            if cx.keys.change(cx.db, &key, cx.now_ms, clock, take)?.is_none() {
                cx.reply.null();
            }
        }
        3 => {
            let count = count_from(args, 2, 0, "ERR value is out of range, must be positive")?;
            let reply = &mut cx.reply;
            let take = |list: &mut Change<'_, List>| write_popped(list, reply, end, count);
            if cx.keys.change(cx.db, &key, cx.now_ms, clock, take)?.is_none() {
                cx.reply.null_array();
            }
        }
        _ => {
            let name = if end == End::Left { "lpop" } else { "rpop" };
            return Err(CommandError::Arity(name.into()));
        }
    }
    Ok(())
}

/// Removes up to `count` elements from an end and replies with an array of them.
pub(super) fn write_popped(list: &mut Change<'_, List>, reply: &mut Writer<'_>, end: End, count: usize) {
    let count = count.min(list.view().len());
    reply.array(count);
    list.view().at_end(end, count).for_each(|item| reply_item(reply, item));
    list.pop(end, count);
}

/// Removes one element from the list at a key and replies with an array of key and element. False where there is no such key:
/// nothing is replied then.
pub(in crate::commands) fn pop_one_with_key(
    cx: &mut Cx<'_>,
    key: &Key<'_>,
    end: End,
) -> Result<bool, CommandError> {
    let (clock, reply) = (cx.clock(), &mut cx.reply);
    let take = |list: &mut Change<'_, List>| {
        reply.array(2);
        reply.bulk(key.bytes);
        list.take(end, |item| reply_item(reply, item))
    };
    Ok(cx.keys.change(cx.db, key, cx.now_ms, clock, take)?.is_some())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, check};
    use crate::resp::write::Protocol;

    #[test]
    fn removes_one() {
        check(
            "RPUSH k a 2 c | LPOP k | RPOP k | LRANGE k 0 -1 | LPOP k | EXISTS k",
            "3 | a | c | [2] | 2 | 0",
        );
        check("LPOP k | RPOP k", "nil | nil");
        check("RPUSH k a b | PEXPIRE k 5 | LPOP k | PTTL k | @5ms | LPOP k", "2 | 1 | a | 5 | nil");
    }

    #[test]
    fn removes_some() {
        check(
            "RPUSH k a b c d e | LPOP k 2 | RPOP k 2 | LPOP k 9 | EXISTS k",
            "5 | [a, b] | [e, d] | [c] | 0",
        );
        check(
            "RPUSH k a | LPOP k 0 | RPOP k 0 | LLEN k | RPOP k 1 | LPOP k 0",
            "1 | [] | [] | 1 | [a] | nil",
        );
        check("RPUSH k a b | LPOP k 9223372036854775807", "2 | [a, b]");
    }

    #[test]
    fn nil_is_of_two_kinds() {
        let mut bench = Bench::default();
        assert_eq!(bench.call(["LPOP", "k"]), b"$-1\r\n");
        assert_eq!(bench.call(["LPOP", "k", "1"]), b"*-1\r\n");
        assert_eq!(bench.call(["RPOP", "k", "0"]), b"*-1\r\n");
        bench.server.sessions.get_mut(0).expect("a client").protocol = Protocol::Resp3;
        assert_eq!(bench.call(["LPOP", "k"]), b"_\r\n");
        assert_eq!(bench.call(["LPOP", "k", "1"]), b"_\r\n");
    }

    #[test]
    fn refuses_bad_counts() {
        let error = "ERR value is out of range, must be positive";
        check("SET s v | LPOP s -1 | RPOP s x | LPOP s 1.5", &format!("OK | {error} | {error} | {error}"));
        check("LPOP k 1 2", "ERR wrong number of arguments for 'lpop' command");
        check("RPOP k x 2", "ERR wrong number of arguments for 'rpop' command");
        let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
        check("SET s v | LPOP s | RPOP s 0 | LPOP s 2", &format!("OK | {wrong} | {wrong} | {wrong}"));
    }
}
