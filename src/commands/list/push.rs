//! LPUSH, RPUSH, LPUSHX, RPUSHX key element [element ...] — add elements at an end, one after the other. Returns the new length.
//! A missing key counts as an empty list; with X nothing happens then, and the reply is 0.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::store::collection::Change;
use crate::store::effect::End;
use crate::store::list::List;

pub fn lpush(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    push(cx, args, End::Left)
}

pub fn rpush(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    push(cx, args, End::Right)
}

pub fn lpushx(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    push_if_there(cx, args, End::Left)
}

pub fn rpushx(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    push_if_there(cx, args, End::Right)
}

#[inline]
fn push(cx: &mut Cx<'_>, args: &Args<'_>, end: End) -> Outcome {
    let (key, clock) = (cx.key(args, 1), cx.clock());
    let add = |list: &mut Change<'_, List>| add(list, args, end);
    let len = cx.keys.change_or_create(cx.db, &key, cx.now_ms, clock, add)?;
    cx.reply.count(len);
    Ok(())
}

fn push_if_there(cx: &mut Cx<'_>, args: &Args<'_>, end: End) -> Outcome {
    let (key, clock) = (cx.key(args, 1), cx.clock());
    let add = |list: &mut Change<'_, List>| add(list, args, end);
    let len = cx.keys.change(cx.db, &key, cx.now_ms, clock, add)?;
    cx.reply.count(len.unwrap_or(0));
    Ok(())
}

#[inline]
fn add(list: &mut Change<'_, List>, args: &Args<'_>, end: End) -> usize {
    list.push(end, (2..args.len()).map(|i| args.get(i)));
    list.view().len()
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn adds_at_an_end() {
        check("RPUSH k a b c | LPUSH k d e | LRANGE k 0 -1", "3 | 5 | [e, d, a, b, c]");
        check("RPUSH k 1 -5 007 \"\" | LRANGE k 0 -1 | TYPE k", "4 | [1, -5, 007, \"\"] | list");
    }

    #[test]
    fn x_wants_a_list() {
        check("LPUSHX k a | RPUSHX k a | EXISTS k", "0 | 0 | 0");
        check("RPUSH k a | LPUSHX k b c | RPUSHX k d e | LRANGE k 0 -1", "1 | 3 | 5 | [c, b, a, d, e]");
    }

    #[test]
    fn keeps_the_expiry() {
        check(
            "RPUSH k a | EXPIRE k 10 | RPUSH k b | TTL k | @10s | RPUSH k c | TTL k",
            "1 | 1 | 2 | 10 | 1 | -1",
        );
    }

    #[test]
    fn changes_the_encoding_as_it_grows() {
        let long = "x".repeat(3000);
        check(
            &format!(
                "RPUSH k {long} {long} | OBJECT ENCODING k | LPUSH k {long} | OBJECT ENCODING k | LLEN k"
            ),
            "2 | listpack | 3 | quicklist | 3",
        );
        let large = "y".repeat(9000);
        check(
            &format!(
                "RPUSH k {large} | OBJECT ENCODING k | LPUSH k 1 | LINDEX k -1 | RPOP k | OBJECT ENCODING k"
            ),
            &format!("1 | quicklist | 2 | {large} | {large} | listpack"),
        );
    }

    #[test]
    fn refuses_other_types() {
        let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
        check(
            "SET k v | LPUSH k a | RPUSH k a | LPUSHX k a | RPUSHX k a",
            &format!("OK | {wrong} | {wrong} | {wrong} | {wrong}"),
        );
        check("LPUSH k", "ERR wrong number of arguments for 'lpush' command");
    }
}
