//! SINTERCARD numkeys key [key ...] [LIMIT limit] — the size of an intersection of sets, counted up to the limit; 0 is no limit.

use crate::base::args::Args;
use crate::base::number::parse_i64;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::commands::gather::{Decided, Decision, Gather, Next, Part};
use crate::commands::set::combine;
use crate::resp::write::Writer;
use crate::store::set::intersection;

pub const GATHER: Gather =
    Gather { reads_key_alone: true, read: combine::read, decide, reads_undeclared: false };

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let options = Options::parse(args)?;
    let words = 2..2 + options.keys;
    combine::settle(cx, args, words.clone());
    let sets = combine::views(cx.keys, cx.db, args, words)?;
    let size = intersection(&sets, options.most).len();
    cx.reply.count(size);
    Ok(())
}

fn decide(_: Decision, args: &Args<'_>, parts: &mut [Part], reply: &mut Writer<'_>) -> Decided {
    let options = Options::parse(args)?;
    reply.count(intersection(&combine::parts_views(parts)?, options.most).len());
    Ok(Next::Write(Vec::new()))
}

struct Options {
    keys: usize,
    most: usize,
}

impl Options {
    fn parse(args: &Args<'_>) -> Result<Options, CommandError> {
        let keys =
            parse_i64(args.get(1)).and_then(|keys| usize::try_from(keys).ok()).filter(|&keys| keys > 0);
        let keys = keys.ok_or(CommandError::Text("ERR numkeys should be greater than 0"))?;
        if keys > args.len() - 2 {
            return Err(CommandError::Text("ERR Number of keys can't be greater than number of args"));
        }
        let mut limit = 0;
        let mut i = 2 + keys;
        while i < args.len() {
            if !args.is(i, "LIMIT") || i + 1 == args.len() {
                return Err(CommandError::Syntax);
            }
            limit = parse_i64(args.get(i + 1))
                .and_then(|limit| usize::try_from(limit).ok())
                .ok_or(CommandError::Text("ERR LIMIT can't be negative"))?;
            i += 2;
        }
        Ok(Options { keys, most: if limit == 0 { usize::MAX } else { limit } })
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn counts_up_to_the_limit() {
        let sets = "SADD a 1 2 3 x | SADD b 1 2 3 4";
        check(
            &format!("{sets} | SINTERCARD 2 a b | SINTERCARD 1 a | SINTERCARD 2 a missing"),
            "4 | 4 | 3 | 4 | 0",
        );
        check(
            &format!(
                "{sets} | SINTERCARD 2 a b LIMIT 2 | SINTERCARD 2 a b limit 0 | SINTERCARD 2 a b LIMIT 9"
            ),
            "4 | 4 | 2 | 3 | 3",
        );
        check(&format!("{sets} | SINTERCARD 2 a b LIMIT 2 LIMIT 1"), "4 | 4 | 1");
    }

    #[test]
    fn refuses_bad_words() {
        for count in ["0", "-1", "x", "1.0"] {
            check(&format!("SINTERCARD {count} a"), "ERR numkeys should be greater than 0");
        }
        check("SINTERCARD 2 a", "ERR Number of keys can't be greater than number of args");
        check("SINTERCARD 1 a b", "ERR syntax error");
        check("SINTERCARD 1 a LIMIT", "ERR syntax error");
        for limit in ["-1", "x"] {
            check(&format!("SINTERCARD 1 a LIMIT {limit}"), "ERR LIMIT can't be negative");
        }
        let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
        check("SET k v | SINTERCARD 2 missing k", &format!("OK | {wrong}"));
    }
}
