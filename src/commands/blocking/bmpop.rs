//! BLMPOP timeout numkeys key ... LEFT | RIGHT [COUNT n] and BZMPOP timeout numkeys key ... MIN | MAX [COUNT n] — as LMPOP and ZMPOP, and
//! wait while no key holds what they want; nil once the timeout, seconds, is over.

use crate::base::args::{Args, OwnedArgs};
use crate::commands::blocking::{BEHIND_TIMEOUT, Blocking, seconds};
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::commands::gather::{Decided, Decision, Gather, Next, Part};
use crate::commands::list::mpop;
use crate::commands::sorted_set::{PopQuery, ZMPOP, pop_many};
use crate::resp::write::Writer;
use crate::store::object::Kind;

pub static BLMPOP: Blocking = blocking(
    Kind::List,
    |cx, args, word| (mpop::GATHER.read)(cx, &twin(args).args(), word - 1),
    |at, args, parts, reply| decide(at, args, parts, reply, &mpop::GATHER),
);
pub static BZMPOP: Blocking = blocking(
    Kind::SortedSet,
    |cx, args, word| (ZMPOP.read)(cx, &twin(args).args(), word - 1),
    |at, args, parts, reply| decide(at, args, parts, reply, &ZMPOP),
);

const fn blocking(
    kind: Kind,
    read: fn(&mut Cx<'_>, &Args<'_>, usize) -> Part,
    decide: fn(Decision, &Args<'_>, &mut [Part], &mut Writer<'_>) -> Decided,
) -> Blocking {
    Blocking {
        kind,
        waits_for: BEHIND_TIMEOUT,
        timeout_ms,
        consumes: true,
        minds_loss: false,
        gather: Gather { reads_key_alone: false, read, decide, reads_undeclared: false },
    }
}

fn timeout_ms(args: &Args<'_>) -> Result<Option<u64>, CommandError> {
    seconds(args.get(1))
}

pub fn blmpop(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    timeout_ms(args)?;
    let options = mpop::Options::parse(args, 2)?;
    for word in options.keys {
        if mpop::pop_some_with_key(cx, &cx.key(args, word), options.end, options.count)? {
            return Ok(());
        }
    }
    cx.reply.null_array();
    cx.wait(None);
    Ok(())
}

pub fn bzmpop(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    timeout_ms(args)?;
    let query = PopQuery::parse(args, 2)?;
    for word in query.keys() {
        if pop_many(cx, &cx.key(args, word), query.which, query.count)? {
            return Ok(());
        }
    }
    cx.reply.null_array();
    cx.wait(None);
    Ok(())
}

/// The words of the command that does not wait: all but the timeout.
fn twin(args: &Args<'_>) -> OwnedArgs {
    OwnedArgs::new((0..args.len()).filter(|word| *word != 1).map(|word| args.get(word)))
}

fn decide(
    at: Decision,
    args: &Args<'_>,
    parts: &mut [Part],
    reply: &mut Writer<'_>,
    twins: &Gather,
) -> Decided {
    timeout_ms(args)?;
    let is_nothing = parts.iter().all(|part| *part == Part::Absent);
    let next = (twins.decide)(at, &twin(args).args(), parts, reply)?;
    Ok(if is_nothing { Next::Wait(None) } else { next })
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
    fn refuse_bad_words() {
        check(
            "BLMPOP x 1 a LEFT | BLMPOP -1 0 a LEFT | BLMPOP 0 0 a LEFT | BZMPOP 0 1 a UP",
            "ERR timeout is not a float or out of range | ERR timeout is negative | ERR numkeys should be greater than 0 \
             | ERR syntax error",
        );
    }
}
