//! ZRANK key member [WITHSCORE], ZREVRANK key member [WITHSCORE] — how many members are before, or behind, this one; nil if it is not
//! there. With WITHSCORE an array of that and the score, or a null array.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::store::sorted_set::SortedSet;

pub fn zrank(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    rank(cx, args, "zrank")
}

pub fn zrevrank(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    rank(cx, args, "zrevrank")
}

fn rank(cx: &mut Cx<'_>, args: &Args<'_>, name: &str) -> Outcome {
    let with_score = args.len() > 3;
    if args.len() > 4 {
        return Err(CommandError::Arity(name.to_owned()));
    }
    if with_score && !args.is(3, "WITHSCORE") {
        return Err(CommandError::Syntax);
    }
    let (key, touch, member) = (cx.key(args, 1), cx.touch(), args.get(2));
    let set = cx.keys.view::<SortedSet>(cx.db, &key, cx.now_ms, touch)?;
    let rank = set.and_then(|set| if name == "zrank" { set.rank(member) } else { set.reverse_rank(member) });
    match rank {
        Some(rank) if with_score => {
            cx.reply.array(2);
            cx.reply.count(rank);
            cx.reply.double(set.and_then(|set| set.score(member)).unwrap_or_default());
        }
        Some(rank) => cx.reply.count(rank),
        None if with_score => cx.reply.null_array(),
        None => cx.reply.null(),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn tells_ranks() {
        check(
            "ZADD k 1 a 2 b 3 c | ZRANK k a | ZRANK k c | ZREVRANK k a | ZRANK k x | ZREVRANK no x",
            "3 | 0 | 2 | 2 | nil | nil",
        );
        check(
            "ZADD k 1 a 2.5 b | ZRANK k b WITHSCORE | ZREVRANK k b withscore | ZRANK k x WITHSCORE",
            "2 | [1, 2.5] | [0, 2.5] | nil",
        );
        check(
            "SET k v | ZRANK k a",
            "OK | WRONGTYPE Operation against a key holding the wrong kind of value",
        );
        check(
            "ZRANK k a WITHSCORES | ZRANK k a b c",
            "ERR syntax error | ERR wrong number of arguments for 'zrank' command",
        );
        check("ZREVRANK k a WITHSCORE x", "ERR wrong number of arguments for 'zrevrank' command");
    }
}
