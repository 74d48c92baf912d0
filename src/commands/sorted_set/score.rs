//! ZSCORE key member, ZMSCORE key member [member ...] — the scores of members; nil for one that is not there.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::resp::write::Writer;
use crate::store::sorted_set::SortedSet;

pub fn zscore(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (key, touch) = (cx.key(args, 1), cx.touch());
    let set = cx.keys.view::<SortedSet>(cx.db, &key, cx.now_ms, touch)?;
    reply_score(&mut cx.reply, set.and_then(|set| set.score(args.get(2))));
    Ok(())
}

pub fn zmscore(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (key, touch) = (cx.key(args, 1), cx.touch());
    let set = cx.keys.view::<SortedSet>(cx.db, &key, cx.now_ms, touch)?;
    cx.reply.array(args.len() - 2);
    for member in args.iter_from(2) {
        reply_score(&mut cx.reply, set.and_then(|set| set.score(member)));
    }
    Ok(())
}

fn reply_score(reply: &mut Writer<'_>, score: Option<f64>) {
    match score {
        Some(score) => reply.double(score),
        None => reply.null(),
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn tells_scores() {
        check(
            "ZADD k 1.5 a -inf 7 | ZSCORE k a | ZSCORE k 7 | ZSCORE k x | ZSCORE no a",
            "2 | 1.5 | -inf | nil | nil",
        );
        check("ZADD k 1 a 2 b | ZMSCORE k a x b | ZMSCORE no a b", "2 | [1, nil, 2] | [nil, nil]");
        let wrong_type = "WRONGTYPE Operation against a key holding the wrong kind of value";
        check("SET k v | ZSCORE k a | ZMSCORE k a", &format!("OK | {wrong_type} | {wrong_type}"));
    }
}
