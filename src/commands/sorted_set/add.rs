//! ZADD key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...], ZINCRBY key increment member — give members their scores.
//! Replies with how many are new, with CH also how many have another score than before; with INCR and ZINCRBY with the new score, or nil
//! where the options forbade it. Nothing is changed if any score is no number, or if a sum would be NaN.

use crate::base::args::Args;
use crate::base::float::parse_f64;
use crate::base::number::parse_i64;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::store::collection::Change;
use crate::store::sorted_set::{MEMBERS_MAX, SortedSet};

pub fn zadd(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    add(cx, args, false)
}

pub fn zincrby(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    add(cx, args, true)
}

fn add(cx: &mut Cx<'_>, args: &Args<'_>, is_increment: bool) -> Outcome {
    let options = Options::parse(args, is_increment)?;
    let (key, clock) = (cx.key(args, 1), cx.clock());
    let first_score = options.scores(args)?;
    let work = |set: &mut Change<'_, SortedSet>| options.apply(set, args, first_score);
    let done = if options.must_exist {
        match cx.keys.change(cx.db, &key, cx.now_ms, clock, work)? {
            Some(done) => done?,
            None => Done::default(),
        }
    } else {
        cx.keys.change_or_create(cx.db, &key, cx.now_ms, clock, work)??
    };
    match (options.increments, done.score) {
        (true, Some(score)) => cx.reply.double(score),
        (true, None) => cx.reply.null(),
        (false, _) if options.counts_moved => cx.reply.count(done.added + done.moved),
        (false, _) => cx.reply.count(done.added),
    }
    Ok(())
}

/// What was done.
#[derive(Default)]
struct Done {
    added: usize,
    moved: usize,
    /// The last score that was given, be it the old one.
    score: Option<f64>,
}

#[derive(Default)]
struct Options {
    /// NX.
    must_be_new: bool,
    /// XX.
    must_exist: bool,
    /// GT.
    only_raises: bool,
    /// LT.
    only_lowers: bool,
    /// CH.
    counts_moved: bool,
    /// INCR, or ZINCRBY.
    increments: bool,
    /// Index of the first score.
    first: usize,
}

impl Options {
    /// Options stand before the scores, in any order. Redis looks for them in ZINCRBY too, whose words then are too few.
    fn parse(args: &Args<'_>, is_increment: bool) -> Result<Options, CommandError> {
        let mut options = Options { increments: is_increment, first: 2, ..Options::default() };
        while options.first < args.len() {
            let at = options.first;
            // Most scores begin with a digit, and no option does.
            if args.get(at).first().is_some_and(u8::is_ascii_digit) {
                break;
            } else if args.is(at, "NX") {
                options.must_be_new = true;
            } else if args.is(at, "XX") {
                options.must_exist = true;
            } else if args.is(at, "CH") {
                options.counts_moved = true;
            } else if args.is(at, "INCR") {
                options.increments = true;
            } else if args.is(at, "GT") {
                options.only_raises = true;
            } else if args.is(at, "LT") {
                options.only_lowers = true;
            } else {
                break;
            }
            options.first += 1;
        }
        let words = args.len() - options.first;
        if words == 0 || !words.is_multiple_of(2) {
            return Err(CommandError::Syntax);
        }
        if options.must_be_new && options.must_exist {
            return Err(CommandError::Text("ERR XX and NX options at the same time are not compatible"));
        }
        if [options.must_be_new, options.only_raises, options.only_lowers]
            .into_iter()
            .filter(|is| *is)
            .count()
            > 1
        {
            return Err(CommandError::Text(
                "ERR GT, LT, and/or NX options at the same time are not compatible",
            ));
        }
        if options.increments && words > 2 {
            return Err(CommandError::Text("ERR INCR option supports a single increment-element pair"));
        }
        Ok(options)
    }

    /// The first score; the others are only looked at, for none may be wrong.
    fn scores(&self, args: &Args<'_>) -> Result<f64, CommandError> {
        for i in (self.first + 2..args.len()).step_by(2) {
            score(args.get(i))?;
        }
        score(args.get(self.first))
    }

    fn apply(
        &self,
        set: &mut Change<'_, SortedSet>,
        args: &Args<'_>,
        first_score: f64,
    ) -> Result<Done, CommandError> {
        let mut done = Done::default();
        let pairs = (args.len() - self.first) / 2;
        if set.view().len() + pairs > MEMBERS_MAX {
            return Err(CommandError::Text("ERR a sorted set cannot have so many members"));
        }
        set.expect(pairs);
        for i in (self.first..args.len()).step_by(2) {
            let score = if i == self.first { first_score } else { score(args.get(i))? };
            let mut is_nan = false;
            let updated = set.update(args.get(i + 1), |old| self.decide(old, score, &mut is_nan));
            if is_nan {
                return Err(CommandError::Text("ERR resulting score is not a number (NaN)"));
            }
            done.added += usize::from(updated.is_added());
            done.moved += usize::from(updated.is_moved());
            done.score = updated.new.or(done.score);
        }
        Ok(done)
    }

    #[inline]
    fn decide(&self, old: Option<f64>, score: f64, is_nan: &mut bool) -> Option<f64> {
        let Some(old) = old else { return (!self.must_exist).then_some(score) };
        if self.must_be_new {
            return None;
        }
        let new = if self.increments { old + score } else { score };
        *is_nan = new.is_nan();
        let is_forbidden =
            new.is_nan() || (self.only_raises && new <= old) || (self.only_lowers && new >= old);
        (!is_forbidden).then_some(new)
    }
}

/// A score; integers, which most are, are read the short way.
#[inline]
fn score(text: &[u8]) -> Result<f64, CommandError> {
    match parse_i64(text) {
        Some(number) => Ok(number as f64),
        None => parse_f64(text).ok_or(CommandError::NotFloat),
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, check};

    #[test]
    fn adds_and_moves() {
        check(
            "ZADD k 1 a 2 b 3 c | ZADD k 2 a 5 d | ZRANGE k 0 -1 WITHSCORES | TYPE k",
            "3 | 1 | [a, 2, b, 2, c, 3, d, 5] | zset",
        );
        check("ZADD k 1 a 2 a 3 a | ZSCORE k a | ZCARD k", "1 | 3 | 1");
        check("ZADD k 1 a | ZADD k CH 2 a 2 b 3 b | ZADD k ch 2 a | ZADD k 9 a", "1 | 3 | 0 | 0");
        check("ZADD k 1.5 a -inf b inf c 1e300 d 0x10 e | ZRANGE k 0 -1", "5 | [b, a, e, d, c]");
        check("ZADD k -0 a | ZADD k 0 a | ZSCORE k a", "1 | 0 | 0");
        check(
            "SET k v | ZADD k 1 a",
            "OK | WRONGTYPE Operation against a key holding the wrong kind of value",
        );
        check("ZADD k 1 a | EXPIRE k 10 | ZADD k 2 b | TTL k", "1 | 1 | 1 | 10");
        check("ZADD k 1 a | PEXPIRE k 5 | @5ms | ZADD k 2 b | ZRANGE k 0 -1 | TTL k", "1 | 1 | 1 | [b] | -1");
    }

    #[test]
    fn options_decide_who_is_touched() {
        check(
            "ZADD k XX 1 a | EXISTS k | ZADD k NX 1 a | ZADD k NX 2 a 2 b | ZSCORE k a",
            "0 | 0 | 1 | 1 | 1",
        );
        check("ZADD k 1 a | ZADD k XX CH 2 a 2 b | ZRANGE k 0 -1 WITHSCORES", "1 | 1 | [a, 2]");
        check("ZADD k 5 a | ZADD k GT CH 3 a 1 b | ZADD k GT CH 6 a | ZSCORE k a", "1 | 1 | 1 | 6");
        check("ZADD k 5 a | ZADD k LT CH 6 a 1 b | ZADD k LT CH 3 a | ZSCORE k a", "1 | 1 | 1 | 3");
        check("ZADD k 5 a | ZADD k XX GT CH 7 a 7 b | ZCARD k", "1 | 1 | 1");
    }

    #[test]
    fn increments() {
        check("ZINCRBY k 1.5 a | ZINCRBY k -3 a | ZSCORE k a", "1.5 | -1.5 | -1.5");
        check(
            "ZADD k INCR 2 a | ZADD k NX INCR 2 a | ZADD k XX INCR 2 b | ZADD k XX INCR 2 a",
            "2 | nil | nil | 4",
        );
        check(
            "ZADD k 5 a | ZADD k GT INCR -1 a | ZADD k LT INCR -1 a | ZADD k GT INCR 0 a",
            "1 | nil | 4 | nil",
        );
        check(
            "ZADD k inf a | ZINCRBY k -inf a | ZSCORE k a",
            "1 | ERR resulting score is not a number (NaN) | inf",
        );
        let mut bench = Bench::default();
        bench.run("HELLO 3");
        assert_eq!(bench.call(["ZINCRBY", "k", "0.1", "a"]), b",0.1\r\n");
        assert_eq!(bench.call(["ZADD", "k", "XX", "INCR", "1", "b"]), b"_\r\n");
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        let syntax = "ERR syntax error";
        for words in ["k foo 1 a", "k 1 a 2", "k NX XX 1", "k 1 a NX"] {
            check(&format!("ZADD {words} | EXISTS k"), &format!("{syntax} | 0"));
        }
        check("ZINCRBY k nx a", syntax);
        check("ZADD k NX XX GT 1 a", "ERR XX and NX options at the same time are not compatible");
        for options in ["GT LT", "NX GT", "NX LT", "GT LT NX"] {
            check(
                &format!("ZADD k {options} 1 a"),
                "ERR GT, LT, and/or NX options at the same time are not compatible",
            );
        }
        check("ZADD k INCR 1 a 2 b", "ERR INCR option supports a single increment-element pair");
        for score in ["x", "nan", "\"\"", "\" 1\"", "1e400", "1.5x"] {
            check(&format!("ZADD k 1 a {score} b | EXISTS k"), "ERR value is not a valid float | 0");
            check(&format!("ZINCRBY k {score} b | EXISTS k"), "ERR value is not a valid float | 0");
        }
        check("ZADD k 1", "ERR wrong number of arguments for 'zadd' command");
    }

    #[test]
    fn becomes_large() {
        check("ZADD k 1 a | OBJECT ENCODING k", "1 | listpack");
        let long = "x".repeat(65);
        check(
            &format!("ZADD k 1 a | ZADD k 1 {long} | OBJECT ENCODING k | ZRANK k a"),
            "1 | 1 | skiplist | 0",
        );
        let many: Vec<String> = (0..129).map(|i| format!("{i} m{i}")).collect();
        check(
            &format!(
                "ZADD k {} | OBJECT ENCODING k | ZADD k 128 x | OBJECT ENCODING k",
                many[..128].join(" ")
            ),
            "128 | listpack | 1 | skiplist",
        );
        check(&format!("ZADD k {} | ZREM k m1 m2 | OBJECT ENCODING k", many.join(" ")), "129 | 2 | skiplist");
        // As in Redis 7.2, the pairs count, not how many members they come to.
        let same = "1 a ".repeat(129);
        check(&format!("ZADD k {same} | OBJECT ENCODING k | ZCARD k"), "1 | skiplist | 1");
        check(&format!("ZADD k 1 b | ZADD k {same} | OBJECT ENCODING k"), "1 | 1 | skiplist");
        check(&format!("ZADD k {} | OBJECT ENCODING k", &same[..4 * 128]), "1 | listpack");
    }
}
