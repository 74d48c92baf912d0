//! ZRANDMEMBER key [count [WITHSCORES]] — any member, or several: with a positive count different ones, at most all; with a negative
//! one so many choices, each among all. Nil for a missing key, or an empty array if a count is given.

use std::collections::HashSet;

use crate::base::args::Args;
use crate::base::rng::Rng;
use crate::commands::cx::{Cx, signed_count};
use crate::commands::error::{CommandError, Outcome};
use crate::commands::item::reply_item;
use crate::commands::sorted_set::{reply_entry, reply_members, reply_members_head};
use crate::resp::write::Writer;
use crate::store::sorted_set::{SortedSet, SortedSetRef};

/// With fewer members for each one wanted, all are walked; with more, ranks are drawn until enough are different.
const WALKED_PART: usize = 3;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let wanted = Wanted::parse(args)?;
    let (key, touch) = (cx.key(args, 1), cx.touch());
    let set = cx.keys.view::<SortedSet>(cx.db, &key, cx.now_ms, touch)?;
    let rng = &mut cx.server.rng;
    match (wanted, set) {
        (Some(_), None) => cx.reply.array(0),
        (None, set) => match set.and_then(|set| set.random(rng)) {
            Some((member, _)) => reply_item(&mut cx.reply, member),
            None => cx.reply.null(),
        },
        (Some(Wanted { count, with_scores }), Some(set)) if count < 0 => {
            choose_any(&mut cx.reply, set, rng, count.unsigned_abs() as usize, with_scores);
        }
        (Some(Wanted { count, with_scores }), Some(set)) => {
            choose_different(&mut cx.reply, set, rng, count as usize, with_scores);
        }
    }
    Ok(())
}

struct Wanted {
    count: i64,
    with_scores: bool,
}

impl Wanted {
    fn parse(args: &Args<'_>) -> Result<Option<Wanted>, CommandError> {
        if args.len() == 2 {
            return Ok(None);
        }
        let count = signed_count(args, 2)?;
        if args.len() > 4 || (args.len() == 4 && !args.is(3, "WITHSCORES")) {
            return Err(CommandError::Syntax);
        }
        let with_scores = args.len() == 4;
        if with_scores && count.unsigned_abs() > i64::MAX as u64 / 2 {
            return Err(CommandError::Text("ERR value is out of range"));
        }
        Ok(Some(Wanted { count, with_scores }))
    }
}

fn choose_any(reply: &mut Writer<'_>, set: SortedSetRef<'_>, rng: &mut Rng, count: usize, with_scores: bool) {
    reply_members_head(reply, count, with_scores);
    for _ in 0..count {
        let Some(entry) = set.random(rng) else { return };
        reply_entry(reply, entry, with_scores);
        // The client will not get it: no need to finish a reply that has no end.
        if reply.is_over() {
            return;
        }
    }
}

fn choose_different(
    reply: &mut Writer<'_>,
    set: SortedSetRef<'_>,
    rng: &mut Rng,
    count: usize,
    with_scores: bool,
) {
    let len = set.len();
    if count >= len {
        return reply_members(reply, set.iter(), with_scores);
    }
    reply_members_head(reply, count, with_scores);
    if len / count.max(1) < WALKED_PART {
        // Each member is taken with the probability that is left for it (Knuth's selection sampling).
        let mut needed = count;
        for (seen, entry) in set.iter().enumerate() {
            if rng.below((len - seen) as u64) < needed as u64 {
                reply_entry(reply, entry, with_scores);
                needed -= 1;
            }
        }
        return;
    }
    let mut drawn = HashSet::<usize, foldhash::fast::FixedState>::default();
    while drawn.len() < count {
        let rank = rng.below(len as u64) as usize;
        if drawn.insert(rank)
            && let Some(entry) = set.at(rank)
        {
            reply_entry(reply, entry, with_scores);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::commands::testing::{Bench, check};

    #[test]
    fn chooses() {
        check(
            "ZADD k 1 a | ZRANDMEMBER k | ZRANDMEMBER k 5 | ZRANDMEMBER k -3 WITHSCORES",
            "1 | a | [a] | [a, 1, a, 1, a, 1]",
        );
        check("ZRANDMEMBER no | ZRANDMEMBER no 5 | ZADD k 1 a | ZRANDMEMBER k 0", "nil | [] | 1 | []");
        check("ZADD k 1 a 2 b | ZRANDMEMBER k 2 WITHSCORES | ZRANDMEMBER k 9", "2 | [a, 1, b, 2] | [a, b]");
        let mut bench = Bench::default();
        assert_eq!(bench.run("ZADD k 1 a | ZRANDMEMBER k 1"), "1 | [a]");
        bench.run("HELLO 3");
        assert_eq!(
            bench.run("ZRANDMEMBER k 1 WITHSCORES | ZRANDMEMBER k -2 WITHSCORES"),
            "[[a, 1]] | [[a, 1], [a, 1]]"
        );
    }

    /// Small and large sets, few and many members wanted: all are different, and over many calls all come.
    #[test]
    fn chooses_different_ones_among_all() {
        for members in [20, 300] {
            let mut bench = Bench::default();
            let words: Vec<String> = (0..members).map(|i| format!("{i} m{i}")).collect();
            bench.run(&format!("ZADD k {}", words.join(" ")));
            for count in [2, members / 2, members - 1] {
                let mut seen = BTreeSet::new();
                for _ in 0..2000 / count {
                    let reply = bench.run(&format!("ZRANDMEMBER k {count}"));
                    let chosen: Vec<&str> = reply.trim_matches(['[', ']']).split(", ").collect();
                    let different: BTreeSet<&str> = chosen.iter().copied().collect();
                    assert_eq!((chosen.len(), different.len()), (count, count));
                    seen.extend(different.into_iter().map(str::to_owned));
                }
                assert!(seen.len() * 10 >= members * 9, "{} of {members} came", seen.len());
            }
        }
    }

    #[test]
    fn refuses() {
        check(
            "ZRANDMEMBER k x | ZRANDMEMBER k 1 FOO | ZRANDMEMBER k 1 WITHSCORES 2",
            "ERR value is not an integer or out of range | ERR syntax error | ERR syntax error",
        );
        check(
            "ZRANDMEMBER k -9223372036854775808",
            "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        );
        check("ZRANDMEMBER k 4611686018427387904 WITHSCORES", "ERR value is out of range");
        let wrong_type = "WRONGTYPE Operation against a key holding the wrong kind of value";
        check("SET k v | ZRANDMEMBER k | ZRANDMEMBER k 1", &format!("OK | {wrong_type} | {wrong_type}"));
    }
}
