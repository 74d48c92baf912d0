//! ZREM key member [member ...], ZREMRANGEBYRANK key first last, ZREMRANGEBYSCORE key min max, ZREMRANGEBYLEX key min max — remove
//! members and reply with how many. The key goes with the last one.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::commands::sorted_set::bounds::Bounds;
use crate::store::collection::Change;
use crate::store::sorted_set::SortedSet;

pub fn zrem(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (key, clock) = (cx.key(args, 1), cx.clock());
    let removed = cx.keys.change(cx.db, &key, cx.now_ms, clock, |set: &mut Change<'_, SortedSet>| {
        args.iter_from(2).filter(|member| set.remove(member)).count()
    })?;
    cx.reply.count(removed.unwrap_or(0));
    Ok(())
}

pub fn zremrangebyrank(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    remove_range(cx, args, Bounds::ranks(args, 2, 3)?)
}

pub fn zremrangebyscore(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    remove_range(cx, args, Bounds::scores(args, 2, 3)?)
}

pub fn zremrangebylex(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    remove_range(cx, args, Bounds::members(args, 2, 3)?)
}

fn remove_range(cx: &mut Cx<'_>, args: &Args<'_>, bounds: Bounds<'_>) -> Outcome {
    let (key, clock) = (cx.key(args, 1), cx.clock());
    let removed = cx.keys.change(cx.db, &key, cx.now_ms, clock, |set: &mut Change<'_, SortedSet>| {
        set.remove_range(bounds.in_set(set.view(), false))
    })?;
    cx.reply.count(removed.unwrap_or(0));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn removes_members() {
        check(
            "ZADD k 1 a 2 b 3 c | ZREM k a x a c | ZRANGE k 0 -1 | ZREM k b | EXISTS k",
            "3 | 2 | [b] | 1 | 0",
        );
        check(
            "ZREM k a | SET k v | ZREM k a",
            "0 | OK | WRONGTYPE Operation against a key holding the wrong kind of value",
        );
    }

    #[test]
    fn removes_ranges() {
        check(
            "ZADD k 1 a 2 b 3 c 4 d | ZREMRANGEBYRANK k 1 -2 | ZRANGE k 0 -1 | ZREMRANGEBYRANK k 0 -1 | EXISTS k",
            "4 | 2 | [a, d] | 2 | 0",
        );
        check(
            "ZADD k 1 a 2 b 3 c | ZREMRANGEBYSCORE k (1 2 | ZREMRANGEBYSCORE k 9 1 | ZRANGE k 0 -1",
            "3 | 1 | 0 | [a, c]",
        );
        check(
            "ZADD k 0 a 0 b 0 c | ZREMRANGEBYLEX k (a [b | ZREMRANGEBYLEX k + - | ZRANGE k 0 -1",
            "3 | 1 | 0 | [a, c]",
        );
        check("ZREMRANGEBYRANK no 0 1 | ZREMRANGEBYSCORE no 0 1 | ZREMRANGEBYLEX no - +", "0 | 0 | 0");
    }

    #[test]
    fn removes_ranges_of_large_sets() {
        let many: Vec<String> = (0..300).map(|i| format!("{i} m{i}")).collect();
        check(
            &format!(
                "ZADD k {} | ZREMRANGEBYSCORE k 10 (290 | ZCARD k | ZRANGE k 9 10 | ZREMRANGEBYRANK k 0 -1 | EXISTS k",
                many.join(" ")
            ),
            "300 | 280 | 20 | [m9, m290] | 20 | 0",
        );
    }

    #[test]
    fn refuses() {
        check(
            "SET k v | ZREMRANGEBYRANK k x 1 | ZREMRANGEBYRANK k 0 x",
            "OK | ERR value is not an integer or out of range | ERR value is not an integer or out of range",
        );
        check("ZREMRANGEBYSCORE k x 1", "ERR min or max is not a float");
        check("ZREMRANGEBYLEX k x +", "ERR min or max not valid string range item");
        check(
            "SET k v | ZREMRANGEBYRANK k 0 1",
            "OK | WRONGTYPE Operation against a key holding the wrong kind of value",
        );
    }
}
