//! ZCARD key, ZCOUNT key min max, ZLEXCOUNT key min max — how many members there are, in all, in a range of scores, in one of members.
//! A missing key has none.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::commands::sorted_set::bounds::Bounds;
use crate::store::sorted_set::{SortedSet, SortedSetRef};

pub fn zcard(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (key, touch) = (cx.key(args, 1), cx.touch());
    let set = cx.keys.view::<SortedSet>(cx.db, &key, cx.now_ms, touch)?;
    cx.reply.count(set.map_or(0, SortedSetRef::len));
    Ok(())
}

pub fn zcount(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    count(cx, args, Bounds::scores(args, 2, 3)?)
}

pub fn zlexcount(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    count(cx, args, Bounds::members(args, 2, 3)?)
}

fn count(cx: &mut Cx<'_>, args: &Args<'_>, bounds: Bounds<'_>) -> Outcome {
    let (key, touch) = (cx.key(args, 1), cx.touch());
    let set = cx.keys.view::<SortedSet>(cx.db, &key, cx.now_ms, touch)?;
    cx.reply.count(set.map_or(0, |set| bounds.in_set(set, false).len()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";

    #[test]
    fn counts() {
        check("ZCARD k | ZADD k 1 a 2 b | ZCARD k", "0 | 2 | 2");
        check(
            "ZADD k 1 a 2 b 3 c | ZCOUNT k 1 2 | ZCOUNT k (1 2 | ZCOUNT k -inf +inf | ZCOUNT k 3 1 | ZCOUNT k (2 (3",
            "3 | 2 | 1 | 3 | 0 | 0",
        );
        check(
            "ZADD k 0 a 0 b 0 c | ZLEXCOUNT k - + | ZLEXCOUNT k [b + | ZLEXCOUNT k (b [c | ZLEXCOUNT k + -",
            "3 | 3 | 2 | 1 | 0",
        );
        check("ZCOUNT k 0 1 | ZLEXCOUNT k - +", "0 | 0");
    }

    #[test]
    fn refuses() {
        check(
            "SET k v | ZCOUNT k x 1 | ZCOUNT k 0 1",
            &format!("OK | ERR min or max is not a float | {WRONG_TYPE}"),
        );
        check(
            "SET k v | ZLEXCOUNT k a + | ZLEXCOUNT k - + | ZCARD k",
            &format!("OK | ERR min or max not valid string range item | {WRONG_TYPE} | {WRONG_TYPE}"),
        );
    }
}
