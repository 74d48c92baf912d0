//! ZRANGE key from to [BYSCORE | BYLEX] [REV] [LIMIT skip count] [WITHSCORES], and the six commands for one of its kinds each:
//! ZREVRANGE, ZRANGEBYSCORE, ZREVRANGEBYSCORE, ZRANGEBYLEX and ZREVRANGEBYLEX — members of a range, in order.
//! Ranges of scores and members that are read in reverse are given upper end first. A negative count is no limit, a negative skip skips
//! all.

use std::ops::Range;

use crate::base::args::Args;
use crate::commands::cx::{Cx, integer};
use crate::commands::error::{CommandError, Outcome};
use crate::commands::sorted_set::bounds::Bounds;
use crate::commands::sorted_set::reply_members;
use crate::store::sorted_set::{SortedSet, SortedSetRef};

pub fn zrange(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    range(cx, args, Form { by: None, is_reverse: None, stores: false })
}

pub fn zrevrange(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    range(cx, args, Form { by: Some(By::Rank), is_reverse: Some(true), stores: false })
}

pub fn zrangebyscore(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    range(cx, args, Form { by: Some(By::Score), is_reverse: Some(false), stores: false })
}

pub fn zrevrangebyscore(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    range(cx, args, Form { by: Some(By::Score), is_reverse: Some(true), stores: false })
}

pub fn zrangebylex(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    range(cx, args, Form { by: Some(By::Member), is_reverse: Some(false), stores: false })
}

pub fn zrevrangebylex(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    range(cx, args, Form { by: Some(By::Member), is_reverse: Some(true), stores: false })
}

fn range(cx: &mut Cx<'_>, args: &Args<'_>, form: Form) -> Outcome {
    let query = Query::parse(args, 1, form)?;
    let (key, touch) = (cx.key(args, 1), cx.touch());
    let Some(set) = cx.keys.view::<SortedSet>(cx.db, &key, cx.now_ms, touch)? else {
        cx.reply.array(0);
        return Ok(());
    };
    let members = set.range(query.ranks(set));
    if query.is_reverse {
        reply_members(&mut cx.reply, members.rev(), query.with_scores);
    } else {
        reply_members(&mut cx.reply, members, query.with_scores);
    }
    Ok(())
}

/// What a range is of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Ranks.
    Rank,
    /// Scores.
    Score,
    /// Members.
    Member,
}

/// What a command says by its name; the options that would say so too are then unknown.
#[derive(Clone, Copy)]
pub struct Form {
    /// What its ranges are of.
    pub by: Option<By>,
    /// Whether it goes from the end to the beginning.
    pub is_reverse: Option<bool>,
    /// Whether it stores the members, and so knows no WITHSCORES.
    pub stores: bool,
}

/// What a command asks for.
pub struct Query<'a> {
    bounds: Bounds<'a>,
    /// Whether the range is read from its end.
    pub is_reverse: bool,
    /// Whether the scores are wanted.
    pub with_scores: bool,
    skip: i64,
    count: i64,
}

impl<'a> Query<'a> {
    /// Reads the two ends behind word `key` and the options behind those.
    pub fn parse(args: &Args<'a>, key: usize, form: Form) -> Result<Query<'a>, CommandError> {
        let Form { mut by, mut is_reverse, stores } = form;
        let (mut with_scores, mut skip, mut count) = (false, 0, -1);
        let mut i = key + 3;
        while i < args.len() {
            if !stores && args.is(i, "WITHSCORES") {
                with_scores = true;
            } else if args.is(i, "LIMIT") && i + 2 < args.len() {
                (skip, count) = (integer(args, i + 1)?, integer(args, i + 2)?);
                i += 2;
            } else if form.is_reverse.is_none() && is_reverse.is_none() && args.is(i, "REV") {
                is_reverse = Some(true);
            } else if by.is_none() && args.is(i, "BYLEX") {
                by = Some(By::Member);
            } else if by.is_none() && args.is(i, "BYSCORE") {
                by = Some(By::Score);
            } else {
                return Err(CommandError::Syntax);
            }
            i += 1;
        }
        let (by, is_reverse) = (by.unwrap_or(By::Rank), is_reverse.unwrap_or(false));
        if count != -1 && by == By::Rank {
            return Err(CommandError::Text(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
            ));
        }
        if with_scores && by == By::Member {
            return Err(CommandError::Text(
                "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
            ));
        }
        let (min, max) = if is_reverse { (key + 2, key + 1) } else { (key + 1, key + 2) };
        let bounds = match by {
            By::Rank => Bounds::ranks(args, key + 1, key + 2)?,
            By::Score => Bounds::scores(args, min, max)?,
            By::Member => Bounds::members(args, min, max)?,
        };
        Ok(Query { bounds, is_reverse, with_scores, skip, count })
    }

    /// The ranks of the members asked for.
    pub fn ranks(&self, set: SortedSetRef<'_>) -> Range<usize> {
        let ranks = self.bounds.in_set(set, self.is_reverse);
        if matches!(self.bounds, Bounds::Ranks(..)) {
            return ranks;
        }
        let Ok(skip) = usize::try_from(self.skip) else { return 0..0 };
        let left = ranks.len().saturating_sub(skip);
        let count = usize::try_from(self.count).unwrap_or(left).min(left);
        if self.is_reverse {
            let end = ranks.end - skip.min(ranks.len());
            end - count..end
        } else {
            let start = ranks.start + skip.min(ranks.len());
            start..start + count
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    const FIVE: &str = "ZADD k 1 a 2 b 3 c 4 d 5 e";
    const SAME: &str = "ZADD k 0 a 0 b 0 c 0 d 0 e";

    fn after(setup: &str, cases: &[(&str, &str)]) {
        for (command, expected) in cases {
            check(&format!("{setup} | {command}"), &format!("5 | {expected}"));
        }
    }

    #[test]
    fn by_rank() {
        after(
            FIVE,
            &[
                ("ZRANGE k 0 -1", "[a, b, c, d, e]"),
                ("ZRANGE k 1 2 WITHSCORES", "[b, 2, c, 3]"),
                ("ZRANGE k -2 100", "[d, e]"),
                ("ZRANGE k 3 1", "[]"),
                ("ZRANGE k 0 1 REV", "[e, d]"),
                ("ZRANGE k -2 -1 rev withscores", "[b, 2, a, 1]"),
                ("ZREVRANGE k 0 1 WITHSCORES", "[e, 5, d, 4]"),
                ("ZREVRANGE k -1 -1", "[a]"),
                ("ZRANGE k 0 1 LIMIT 3 -1", "[a, b]"),
            ],
        );
        check("ZRANGE no 0 -1 | ZREVRANGE no 0 -1 WITHSCORES", "[] | []");
    }

    #[test]
    fn by_score() {
        after(
            FIVE,
            &[
                ("ZRANGEBYSCORE k 2 4", "[b, c, d]"),
                ("ZRANGEBYSCORE k (2 (4 WITHSCORES", "[c, 3]"),
                ("ZRANGEBYSCORE k -inf +inf LIMIT 1 2", "[b, c]"),
                ("ZRANGEBYSCORE k -inf +inf LIMIT 3 -5", "[d, e]"),
                ("ZRANGEBYSCORE k -inf +inf LIMIT -1 2", "[]"),
                ("ZRANGEBYSCORE k -inf +inf LIMIT 9 2", "[]"),
                ("ZRANGEBYSCORE k -inf +inf LIMIT 0 0", "[]"),
                ("ZRANGEBYSCORE k 4 2", "[]"),
                ("ZREVRANGEBYSCORE k 4 2", "[d, c, b]"),
                ("ZREVRANGEBYSCORE k +inf -inf LIMIT 1 2", "[d, c]"),
                ("ZREVRANGEBYSCORE k +inf -inf LIMIT 4 9 WITHSCORES", "[a, 1]"),
                ("ZREVRANGEBYSCORE k +inf -inf LIMIT 5 9", "[]"),
                ("ZRANGE k 2 4 BYSCORE", "[b, c, d]"),
                ("ZRANGE k 4 2 BYSCORE REV LIMIT 0 1 WITHSCORES", "[d, 4]"),
                ("ZRANGE k 2 4 BYSCORE LIMIT 0 9223372036854775807", "[b, c, d]"),
            ],
        );
    }

    #[test]
    fn by_member() {
        after(
            SAME,
            &[
                ("ZRANGEBYLEX k - +", "[a, b, c, d, e]"),
                ("ZRANGEBYLEX k [b (d", "[b, c]"),
                ("ZRANGEBYLEX k (b + LIMIT 1 1", "[d]"),
                ("ZRANGEBYLEX k + -", "[]"),
                ("ZREVRANGEBYLEX k + -", "[e, d, c, b, a]"),
                ("ZREVRANGEBYLEX k (d [b", "[c, b]"),
                ("ZREVRANGEBYLEX k - +", "[]"),
                ("ZRANGE k [b [c BYLEX", "[b, c]"),
                ("ZRANGE k [c [b BYLEX REV", "[c, b]"),
                ("ZRANGE k [c [b REV BYLEX LIMIT 1 5", "[b]"),
            ],
        );
    }

    #[test]
    fn large_sets_too() {
        let many: Vec<String> = (0..200).map(|i| format!("{i} m{i:03}")).collect();
        let setup = format!("ZADD k {}", many.join(" "));
        for (command, expected) in [
            ("ZRANGE k 150 151 WITHSCORES", "[m150, 150, m151, 151]"),
            ("ZRANGE k 0 1 REV", "[m199, m198]"),
            ("ZRANGEBYSCORE k (10 (12", "[m011]"),
            ("ZREVRANGEBYSCORE k 100 50 LIMIT 10 2", "[m090, m089]"),
            ("ZRANGEBYLEX k [m005 (m007", "[m005, m006]"),
        ] {
            check(&format!("{setup} | {command}"), &format!("200 | {expected}"));
        }
    }

    #[test]
    fn refuses() {
        let syntax = "ERR syntax error";
        for words in [
            "ZRANGE k 0 1 FOO",
            "ZRANGE k 0 1 LIMIT 1",
            "ZRANGE k 0 1 BYSCORE BYLEX",
            "ZREVRANGE k 0 1 REV",
            "ZREVRANGE k 0 1 BYSCORE",
            "ZRANGEBYSCORE k 0 1 BYSCORE",
            "ZRANGEBYSCORE k 0 1 REV",
            "ZRANGE k 0 1 REV REV",
            "ZRANGEBYLEX k 0 1 LIMIT 1",
        ] {
            check(words, syntax);
        }
        check(
            "ZRANGE k x 1 | ZRANGE k 0 1 BYSCORE LIMIT x 1",
            "ERR value is not an integer or out of range | ERR value is not an integer or out of range",
        );
        check(
            "ZRANGE k 0 1 LIMIT 0 1",
            "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
        );
        check(
            "ZREVRANGE k 0 1 LIMIT 0 1",
            "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
        );
        check(
            "ZRANGE k - + BYLEX WITHSCORES",
            "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
        );
        check(
            "ZRANGEBYLEX k - + WITHSCORES",
            "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
        );
        check(
            "ZRANGE k a b BYSCORE | ZREVRANGEBYSCORE k a b",
            "ERR min or max is not a float | ERR min or max is not a float",
        );
        check("ZRANGEBYLEX k a b", "ERR min or max not valid string range item");
        check(
            "SET k v | ZRANGE k x 1 | ZRANGE k 0 1",
            "OK | ERR value is not an integer or out of range | WRONGTYPE Operation against a key holding the wrong kind of value",
        );
    }
}
