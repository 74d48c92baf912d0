//! BLMPOP timeout numkeys key ... LEFT | RIGHT [COUNT n] and BZMPOP timeout numkeys key ... MIN | MAX [COUNT n] — as LMPOP and ZMPOP, and
//! wait while no key holds what they want; nil once the timeout, seconds, is over.

use crate::base::args::Args;
use crate::commands::blocking::{BEHIND_TIMEOUT, Blocking, seconds, take_first, words_to_wait};
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::commands::gather::{Decided, Decision, Gather, Next, Part};
use crate::commands::list::mpop;
use crate::commands::sorted_set::{PopQuery, decide_popped, pop_many, read_popped};
use crate::resp::write::Writer;
use crate::store::object::Kind;

/// The word with the count of keys; the timeout is the one before it.
const NUMKEYS: usize = 2;
const TIMEOUT: usize = 1;

pub static BLMPOP: Blocking = blocking(
    Kind::List,
    |cx, args, word| mpop::read(cx, args, NUMKEYS, word),
    |at, args, parts, reply| {
        mpop::Options::parse(args, NUMKEYS)?;
        decide(at, args, parts, reply, mpop::decide)
    },
);
pub static BZMPOP: Blocking = blocking(
    Kind::SortedSet,
    |cx, args, word| read_popped(cx, args, NUMKEYS, word),
    |at, args, parts, reply| {
        PopQuery::parse(args, NUMKEYS)?;
        decide(at, args, parts, reply, decide_popped)
    },
);

const fn blocking(
    kind: Kind,
    read: fn(&mut Cx<'_>, &Args<'_>, usize) -> Part,
    decide: fn(Decision, &Args<'_>, &mut [Part], &mut Writer<'_>) -> Decided,
) -> Blocking {
    Blocking {
        kind,
        waits_for: BEHIND_TIMEOUT,
        timeout_ms: |args| timeout_ms(args, 0),
        consumes: true,
        minds_loss: false,
        gather: Gather { reads_key_alone: false, read, decide, reads_undeclared: false },
    }
}

/// Redis looks at the timeout, the first word, after all others.
fn timeout_ms(args: &Args<'_>, now_ms: i64) -> Result<Option<u64>, CommandError> {
    seconds(args.get(TIMEOUT), now_ms)
}

pub fn blmpop(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let options = mpop::Options::parse(args, NUMKEYS)?;
    timeout_ms(args, cx.now_ms)?;
    take_first(
        cx,
        args,
        options.keys,
        || words_to_wait(args, TIMEOUT),
        |cx, key| mpop::pop_some_with_key(cx, key, options.end, options.count),
    )
}

pub fn bzmpop(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let query = PopQuery::parse(args, NUMKEYS)?;
    timeout_ms(args, cx.now_ms)?;
    take_first(
        cx,
        args,
        query.keys(),
        || words_to_wait(args, TIMEOUT),
        |cx, key| pop_many(cx, key, query.which, query.count),
    )
}

/// The decision, once the words behind the timeout are known to be right.
fn decide(
    at: Decision,
    args: &Args<'_>,
    parts: &mut [Part],
    reply: &mut Writer<'_>,
    twins: fn(Decision, &Args<'_>, usize, &mut [Part], &mut Writer<'_>) -> Decided,
) -> Decided {
    timeout_ms(args, at.now_ms)?;
    let is_nothing = parts.iter().all(|part| *part == Part::Absent);
    let next = twins(at, args, NUMKEYS, parts, reply)?;
    Ok(if is_nothing { Next::Wait { words: words_to_wait(args, TIMEOUT), writes: Vec::new() } } else { next })
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn pop_as_their_twins_do() {
        check(
            "RPUSH b x y z | BLMPOP 0 2 a b LEFT COUNT 2 | BLMPOP 1 1 b RIGHT | BLMPOP 0 2 a b LEFT",
            "3 | [b, [x, y]] | [b, [z]] | nil",
        );
        check(
            "ZADD b 1 x 2 y 3 z | BZMPOP 0 2 a b MAX COUNT 2 | BZMPOP 1 1 b MIN | BZMPOP 0 2 a b MIN",
            "3 | [b, [[z, 3], [y, 2]]] | [b, [[x, 1]]] | nil",
        );
    }

    #[test]
    fn refuse_bad_words_the_timeout_last() {
        let numkeys = "ERR numkeys should be greater than 0";
        let count = "ERR count should be greater than 0";
        for (name, from) in [("BLMPOP", "LEFT"), ("BZMPOP", "MIN")] {
            for (words, expected) in [
                (format!("x 0 a {from}"), numkeys),
                (format!("nan x a {from}"), numkeys),
                ("nan 1 a UP".to_owned(), "ERR syntax error"),
                (format!("x 1 a {from} COUNT"), "ERR syntax error"),
                (format!("x 1 a {from} COUNT 0"), count),
                (format!("x 1 a {from}"), "ERR timeout is not a float or out of range"),
                (format!("-1 1 a {from} COUNT 2"), "ERR timeout is negative"),
                (format!("1e400 2 a b {from}"), "ERR timeout is out of range"),
            ] {
                check(&format!("{name} {words}"), expected);
            }
            let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
            check(
                &format!("SET s v | {name} x 1 s {from} | {name} 0 1 s {from}"),
                &format!("OK | ERR timeout is not a float or out of range | {wrong}"),
            );
        }
    }
}
