//! XACK key group id [id ...] — entries are no longer pending. Returns how many were; 0 for a missing key or group.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::commands::stream::ids;
use crate::store::collection::Change;
use crate::store::stream::Stream;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (key, group, clock) = (cx.key(args, 1), args.get(2), cx.clock());
    let stream = cx.keys.peek_view::<Stream>(cx.db, &key, cx.now_ms)?;
    if stream.and_then(|stream| stream.group(group)).is_none() {
        cx.reply.integer(0);
        return Ok(());
    }
    // All ids are read before the first is acknowledged.
    let ids = ids(args, 3)?;
    let acknowledged = cx.keys.change(cx.db, &key, cx.now_ms, clock, |stream: &mut Change<'_, Stream>| {
        ids.iter().filter(|&&id| stream.acknowledge(group, id)).count()
    })?;
    cx.reply.count(acknowledged.unwrap_or(0));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn acknowledges() {
        check(
            "XADD s 1 a b | XADD s 2 a b | XGROUP CREATE s g 0 | XREADGROUP GROUP g c STREAMS s > | XACK s g 1 1 3 | \
             XPENDING s g | XACK s g 2 | XPENDING s g",
            "1-0 | 2-0 | OK | [[s, [[1-0, [a, b]], [2-0, [a, b]]]]] | 1 | [1, 2-0, 2-0, [[c, 1]]] | 1 | [0, nil, nil, nil]",
        );
    }

    #[test]
    fn checks_in_order() {
        check("XACK s g x | XADD s 1 a b | XACK s g x", "0 | 1-0 | 0");
        check(
            "XGROUP CREATE s g 0 MKSTREAM | XACK s g 1 x",
            "OK | ERR Invalid stream ID specified as stream command argument",
        );
        check(
            "SET k v | XACK k g x",
            "OK | WRONGTYPE Operation against a key holding the wrong kind of value",
        );
    }
}
