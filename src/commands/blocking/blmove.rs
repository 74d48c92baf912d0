//! BLMOVE source destination LEFT | RIGHT LEFT | RIGHT timeout and BRPOPLPUSH source destination timeout — as LMOVE and RPOPLPUSH, and
//! waits while the source is missing; nil once the timeout, seconds, is over.

use crate::base::args::{Args, OwnedArgs};
use crate::commands::blocking::{Blocking, last_word_seconds, last_word_timeout_ms, words_to_wait};
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::commands::gather::{Decided, Decision, Gather, Next, Part};
use crate::commands::list::{end, moving};
use crate::commands::table::ONE_KEY;
use crate::resp::write::Writer;
use crate::store::effect::End;
use crate::store::object::Kind;

pub static BLMOVE: Blocking = Blocking {
    kind: Kind::List,
    // Not for the destination.
    waits_for: ONE_KEY,
    timeout_ms: last_word_timeout_ms,
    consumes: true,
    minds_loss: false,
    gather: Gather { reads_key_alone: false, read, decide, reads_undeclared: false },
};

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (from, to) = ends(args)?;
    last_word_seconds(args, cx.now_ms)?;
    let (source, destination) = (cx.key(args, 1), cx.key(args, 2));
    if !moving::move_one(cx, (&source, from), (&destination, to))? {
        cx.reply.null();
        cx.wait(words_to_wait(args, args.len() - 1));
    }
    Ok(())
}

/// Which end the element leaves, and which it comes to.
fn ends(args: &Args<'_>) -> Result<(End, End), CommandError> {
    // BRPOPLPUSH names none.
    if args.len() == 4 { Ok((End::Right, End::Left)) } else { Ok((end(args, 3)?, end(args, 4)?)) }
}

/// The words of the command that does not wait: all but the timeout.
fn twin(args: &Args<'_>) -> OwnedArgs {
    OwnedArgs::new((0..args.len() - 1).map(|word| args.get(word)))
}

fn read(cx: &mut Cx<'_>, args: &Args<'_>, word: usize) -> Part {
    (moving::GATHER.read)(cx, &twin(args).args(), word)
}

fn decide(at: Decision, args: &Args<'_>, parts: &mut [Part], reply: &mut Writer<'_>) -> Decided {
    ends(args)?;
    last_word_seconds(args, at.now_ms)?;
    if parts[0] == Part::Absent {
        reply.null();
        return Ok(Next::Wait { words: words_to_wait(args, args.len() - 1), writes: Vec::new() });
    }
    (moving::GATHER.decide)(at, &twin(args).args(), parts, reply)
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn moves_as_its_twins_do() {
        check(
            "RPUSH s a b c | BLMOVE s d LEFT RIGHT 0 | BRPOPLPUSH s d 0 | LRANGE d 0 -1 | BLMOVE s s LEFT LEFT 1",
            "3 | a | c | [c, a] | b",
        );
        check("BLMOVE s d LEFT RIGHT 0 | BRPOPLPUSH s d 0", "nil | nil");
    }

    #[test]
    fn refuses_bad_words() {
        check(
            "BLMOVE s d UP LEFT x | BLMOVE s d LEFT LEFT x | BRPOPLPUSH s d -1",
            "ERR syntax error | ERR timeout is not a float or out of range | ERR timeout is negative",
        );
        check(
            "SET s v | BRPOPLPUSH s d 1",
            "OK | WRONGTYPE Operation against a key holding the wrong kind of value",
        );
    }
}
