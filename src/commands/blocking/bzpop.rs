//! BZPOPMIN key ... timeout and BZPOPMAX key ... timeout — pop the member with the lowest or highest score of the first key that holds a
//! sorted set, and reply with the key, the member and its score. Waits while there is none; nil once the timeout, seconds, is over.

use crate::base::args::{Args, OwnedArgs};
use crate::commands::blocking::{
    ALL_BUT_LAST, Blocking, first_found, last_word_seconds, last_word_timeout_ms, take_first, words_to_wait,
};
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::commands::gather::{Decided, Decision, Gather, Part};
use crate::commands::item::reply_item;
use crate::commands::sorted_set::{Which, pop_one};
use crate::resp::write::Writer;
use crate::store::object::Kind;
use crate::store::sorted_set::{SortedSet, SortedSetRef};

pub static BZPOPMIN: Blocking = blocking(read_min, decide_min);
pub static BZPOPMAX: Blocking = blocking(read_max, decide_max);

const fn blocking(
    read: fn(&mut Cx<'_>, &Args<'_>, usize) -> Part,
    decide: fn(Decision, &Args<'_>, &mut [Part], &mut Writer<'_>) -> Decided,
) -> Blocking {
    Blocking {
        kind: Kind::SortedSet,
        waits_for: ALL_BUT_LAST,
        timeout_ms: last_word_timeout_ms,
        consumes: true,
        minds_loss: false,
        gather: Gather { reads_key_alone: false, read, decide, reads_undeclared: false },
    }
}

pub fn bzpopmin(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    run(cx, args, Which::Min)
}

pub fn bzpopmax(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    run(cx, args, Which::Max)
}

fn run(cx: &mut Cx<'_>, args: &Args<'_>, which: Which) -> Outcome {
    last_word_seconds(args, cx.now_ms)?;
    take_first(
        cx,
        args,
        ALL_BUT_LAST.indices(args),
        || words_to_wait(args, args.len() - 1),
        |cx, key| pop_one(cx, key, which),
    )
}

fn write_end(reply: &mut Writer<'_>, key: &[u8], set: SortedSetRef<'_>, which: Which) {
    let (member, score) =
        if which == Which::Min { set.first() } else { set.last() }.expect("sorted sets have members");
    reply.array(3);
    reply.bulk(key);
    reply_item(reply, member);
    reply.double(score);
}

fn read_min(cx: &mut Cx<'_>, args: &Args<'_>, word: usize) -> Part {
    read(cx, args, word, Which::Min)
}

fn read_max(cx: &mut Cx<'_>, args: &Args<'_>, word: usize) -> Part {
    read(cx, args, word, Which::Max)
}

/// The reply, if this is the key.
fn read(cx: &mut Cx<'_>, args: &Args<'_>, word: usize, which: Which) -> Part {
    let key = cx.key(args, word);
    match cx.keys.peek_view::<SortedSet>(cx.db, &key, cx.now_ms) {
        Err(_) => Part::WrongType,
        Ok(None) => Part::Absent,
        Ok(Some(set)) => {
            let mut reply = Vec::new();
            write_end(&mut Writer::new(&mut reply, cx.reply.protocol()), key.bytes, set, which);
            Part::Reply(reply)
        }
    }
}

fn decide_min(at: Decision, args: &Args<'_>, parts: &mut [Part], reply: &mut Writer<'_>) -> Decided {
    decide(at, args, parts, reply, b"ZPOPMIN")
}

fn decide_max(at: Decision, args: &Args<'_>, parts: &mut [Part], reply: &mut Writer<'_>) -> Decided {
    decide(at, args, parts, reply, b"ZPOPMAX")
}

fn decide(at: Decision, args: &Args<'_>, parts: &[Part], reply: &mut Writer<'_>, pop: &[u8]) -> Decided {
    last_word_seconds(args, at.now_ms)?;
    first_found(at, args, parts, reply, |key| OwnedArgs::new([pop, key]))
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn pops_from_the_first_key_that_has_any() {
        check(
            "ZADD b 1 x 2 y | BZPOPMIN a b 0 | BZPOPMAX b a 0.1 | EXISTS b | BZPOPMIN a b 0",
            "2 | [b, x, 1] | [b, y, 2] | 0 | nil",
        );
    }

    #[test]
    fn refuses_bad_words() {
        check("BZPOPMIN a -1", "ERR timeout is negative");
        check("BZPOPMIN a x", "ERR timeout is not a float or out of range");
        check(
            "SET s v | BZPOPMAX s 1",
            "OK | WRONGTYPE Operation against a key holding the wrong kind of value",
        );
    }
}
