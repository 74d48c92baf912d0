//! BLPOP key ... timeout and BRPOP key ... timeout — pop an element from an end of the first key that holds a list, and reply with the key
//! and the element. Waits while there is none; nil once the timeout, seconds, is over.

use crate::base::args::{Args, OwnedArgs};
use crate::commands::blocking::{
    ALL_BUT_LAST, Blocking, first_found, last_word_seconds, last_word_timeout_ms, take_first, words_to_wait,
};
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::commands::gather::{Decided, Decision, Gather, Part};
use crate::commands::item::reply_item;
use crate::commands::list::pop::pop_one_with_key;
use crate::resp::write::Writer;
use crate::store::effect::End;
use crate::store::list::List;
use crate::store::object::Kind;

pub static BLPOP: Blocking = blocking(read_left, decide_left);
pub static BRPOP: Blocking = blocking(read_right, decide_right);

const fn blocking(
    read: fn(&mut Cx<'_>, &Args<'_>, usize) -> Part,
    decide: fn(Decision, &Args<'_>, &mut [Part], &mut Writer<'_>) -> Decided,
) -> Blocking {
    Blocking {
        kind: Kind::List,
        waits_for: ALL_BUT_LAST,
        timeout_ms: last_word_timeout_ms,
        consumes: true,
        minds_loss: false,
        gather: Gather { reads_key_alone: false, read, decide, reads_undeclared: false },
    }
}

pub fn blpop(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    run(cx, args, End::Left)
}

pub fn brpop(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    run(cx, args, End::Right)
}

fn run(cx: &mut Cx<'_>, args: &Args<'_>, end: End) -> Outcome {
    last_word_seconds(args, cx.now_ms)?;
    take_first(
        cx,
        args,
        ALL_BUT_LAST.indices(args),
        || words_to_wait(args, args.len() - 1),
        |cx, key| pop_one_with_key(cx, key, end),
    )
}

fn read_left(cx: &mut Cx<'_>, args: &Args<'_>, word: usize) -> Part {
    read(cx, args, word, End::Left)
}

fn read_right(cx: &mut Cx<'_>, args: &Args<'_>, word: usize) -> Part {
    read(cx, args, word, End::Right)
}

/// The reply, if this is the key.
fn read(cx: &mut Cx<'_>, args: &Args<'_>, word: usize, end: End) -> Part {
    let key = cx.key(args, word);
    match cx.keys.peek_view::<List>(cx.db, &key, cx.now_ms) {
        Err(_) => Part::WrongType,
        Ok(None) => Part::Absent,
        Ok(Some(list)) => {
            let mut found = Vec::new();
            let mut reply = Writer::new(&mut found, cx.reply.protocol());
            reply.array(2);
            reply.bulk(key.bytes);
            list.at_end(end, 1).for_each(|item| reply_item(&mut reply, item));
            Part::Reply(found)
        }
    }
}

fn decide_left(at: Decision, args: &Args<'_>, parts: &mut [Part], reply: &mut Writer<'_>) -> Decided {
    decide(at, args, parts, reply, b"LPOP")
}

fn decide_right(at: Decision, args: &Args<'_>, parts: &mut [Part], reply: &mut Writer<'_>) -> Decided {
    decide(at, args, parts, reply, b"RPOP")
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
            "RPUSH b x y z | BLPOP a b 0 | BRPOP b a 0.1 | BLPOP b 0 | EXISTS b | BLPOP a b 0",
            "3 | [b, x] | [b, z] | [b, y] | 0 | nil",
        );
    }

    #[test]
    fn refuses_bad_words() {
        let error = "ERR timeout is not a float or out of range";
        check("BLPOP a x | BLPOP a nan | BRPOP a 1e5000", &format!("{error} | {error} | {error}"));
        check("BLPOP a -0.1 | BLPOP a 1e400", "ERR timeout is negative | ERR timeout is out of range");
        check("BLPOP a 9223372036854775 | BLPOP a 7000000000000000", "ERR timeout is out of range | nil");
        check(
            "SET s v | BLPOP a s 1 | BRPOP s 1",
            "OK | WRONGTYPE Operation against a key holding the wrong kind of value \
             | WRONGTYPE Operation against a key holding the wrong kind of value",
        );
    }
}
