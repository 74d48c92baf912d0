//! XRANGE key start end [COUNT n], XREVRANGE key end start [COUNT n] — the entries between two ids, in either order.
//! `-` and `+` are the ends, `(` leaves an end out. COUNT 0 or less: nil, where the key is there.

use crate::base::args::Args;
use crate::commands::cx::{Cx, integer};
use crate::commands::error::{CommandError, Outcome};
use crate::commands::stream::{id, write_entries};
use crate::store::stream::Stream;

pub fn xrange(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    run(cx, args, false)
}

pub fn xrevrange(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    run(cx, args, true)
}

fn run(cx: &mut Cx<'_>, args: &Args<'_>, is_reversed: bool) -> Outcome {
    let (start_word, end_word) = if is_reversed { (3, 2) } else { (2, 3) };
    let start = id::range_start(args.get(start_word))?;
    let end = id::range_end(args.get(end_word))?;
    let mut limit = usize::MAX;
    for i in (4..args.len()).step_by(2) {
        if !args.is(i, "COUNT") || i + 1 == args.len() {
            return Err(CommandError::Syntax);
        }
        limit = integer(args, i + 1)?.max(0) as usize;
    }
    let (key, touch) = (cx.key(args, 1), cx.touch());
    let Some(stream) = cx.keys.view::<Stream>(cx.db, &key, cx.now_ms, touch)? else {
        cx.reply.array(0);
        return Ok(());
    };
    if limit == 0 {
        cx.reply.null_array();
    } else if is_reversed {
        write_entries(&mut cx.reply, stream.range_back(start, end), limit);
    } else {
        write_entries(&mut cx.reply, stream.range(start, end), limit);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, check};

    #[test]
    fn returns_entries_in_order() {
        let mut bench = Bench::default();
        bench.run("XADD s 1-1 a b c d | XADD s 1-2 a b | XADD s 2 n 12 n -5 | XADD s 3 a b");
        for (call, expected) in [
            ("XRANGE s - +", "[[1-1, [a, b, c, d]], [1-2, [a, b]], [2-0, [n, 12, n, -5]], [3-0, [a, b]]]"),
            ("XREVRANGE s + - COUNT 2", "[[3-0, [a, b]], [2-0, [n, 12, n, -5]]]"),
            ("XRANGE s 1 1", "[[1-1, [a, b, c, d]], [1-2, [a, b]]]"),
            ("XRANGE s (1-1 2", "[[1-2, [a, b]], [2-0, [n, 12, n, -5]]]"),
            ("XRANGE s (1-1 (2-0 count 1 COUNT 9", "[[1-2, [a, b]]]"),
            ("XREVRANGE s (3-0 (1-1", "[[2-0, [n, 12, n, -5]], [1-2, [a, b]]]"),
            ("XRANGE s 3 1", "[]"),
            ("XREVRANGE s 1 3", "[]"),
            ("XRANGE s 4 +", "[]"),
            ("XRANGE s - + COUNT 0", "nil"),
            ("XRANGE s - + COUNT -1", "nil"),
            ("XRANGE missing - + COUNT 0", "[]"),
        ] {
            assert_eq!(bench.run(call), expected, "{call}");
        }
    }

    #[test]
    fn checks_in_order() {
        let invalid = "ERR Invalid stream ID specified as stream command argument";
        check(
            "SET k v | XRANGE k x + COUNT | XRANGE k (+ + | XRANGE k - x",
            &format!("OK | {invalid} | {invalid} | {invalid}"),
        );
        check(
            "SET k v | XRANGE k - + COUNT | XRANGE k - + FOO 1 | XRANGE k - + COUNT x",
            "OK | ERR syntax error | ERR syntax error | ERR value is not an integer or out of range",
        );
        check(
            "SET k v | XRANGE k - +",
            "OK | WRONGTYPE Operation against a key holding the wrong kind of value",
        );
        check(
            "XRANGE s (18446744073709551615-18446744073709551615 +",
            "ERR invalid start ID for the interval",
        );
        check("XREVRANGE s (0-0 -", "ERR invalid end ID for the interval");
    }
}
