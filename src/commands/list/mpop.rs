//! LMPOP numkeys key [key ...] LEFT | RIGHT [COUNT n] — remove up to `n` elements, 1 if it is not said, from an end of the first of
//! the lists that is there. Returns its key and the elements, or nil where no list is there.

use std::ops::Range;

use crate::base::args::{Args, OwnedArgs};
use crate::commands::cx::{Cx, count_from};
use crate::commands::error::{CommandError, Outcome};
use crate::commands::gather::{Change as Ordered, Decided, Decision, Gather, Next, Part, Write};
use crate::commands::item::reply_item;
use crate::commands::list::end;
use crate::commands::list::pop::write_popped;
use crate::resp::write::{Protocol, Writer};
use crate::store::collection::Change;
use crate::store::effect::End;
use crate::store::keyspace::Key;
use crate::store::list::List;

pub const GATHER: Gather = Gather {
    reads_key_alone: false,
    read: |cx, args, i| read(cx, args, 1, i),
    decide: |at, args, parts, reply| decide(at, args, 1, parts, reply),
    reads_undeclared: false,
};

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let options = Options::parse(args, 1)?;
    for i in options.keys {
        let key = cx.key(args, i);
        if pop_some_with_key(cx, &key, options.end, options.count)? {
            return Ok(());
        }
    }
    cx.reply.null_array();
    Ok(())
}

/// Removes up to `count` elements from the list at a key and replies with an array of key and elements. False where there is no
/// such key: nothing is replied then.
pub(in crate::commands) fn pop_some_with_key(
    cx: &mut Cx<'_>,
    key: &Key<'_>,
    end: End,
    count: usize,
) -> Result<bool, CommandError> {
    let (clock, reply) = (cx.clock(), &mut cx.reply);
    let take = |list: &mut Change<'_, List>| {
        reply.array(2);
        reply.bulk(key.bytes);
        write_popped(list, reply, end, count);
    };
    Ok(cx.keys.change(cx.db, key, cx.now_ms, clock, take)?.is_some())
}

/// What the words behind the command's name ask for.
pub(in crate::commands) struct Options {
    /// The key words.
    pub keys: Range<usize>,
    /// The end from which elements go.
    pub end: End,
    /// How many at most.
    pub count: usize,
}

impl Options {
    /// Reads `numkeys key [key ...] LEFT | RIGHT [COUNT n]` from word `i` on.
    pub fn parse(args: &Args<'_>, i: usize) -> Result<Options, CommandError> {
        let key_count = count_from(args, i, 1, "ERR numkeys should be greater than 0")?;
        let end_at = (i + 1).saturating_add(key_count);
        if end_at >= args.len() {
            return Err(CommandError::Syntax);
        }
        let end = end(args, end_at)?;
        let count = match args.len() - end_at {
            1 => 1,
            2 => return Err(CommandError::Syntax),
            more => {
                if !args.is(end_at + 1, "COUNT") {
                    return Err(CommandError::Syntax);
                }
                let count = count_from(args, end_at + 2, 1, "ERR count should be greater than 0")?;
                if more > 3 {
                    return Err(CommandError::Syntax);
                }
                count
            }
        };
        Ok(Options { keys: i + 1..end_at, end, count })
    }
}

// Across shards -----------------------------------------------------------------------------------------------

/// The array of the elements that would go from the key at word `i`: the decision takes that of the first list there is. The count
/// of keys is at word `numkeys`, also for `decide`.
pub(in crate::commands) fn read(cx: &mut Cx<'_>, args: &Args<'_>, numkeys: usize, i: usize) -> Part {
    let Ok(options) = Options::parse(args, numkeys) else { return Part::Absent };
    let key = cx.key(args, i);
    match cx.keys.peek_view::<List>(cx.db, &key, cx.now_ms) {
        Err(_) => Part::WrongType,
        Ok(None) => Part::Absent,
        Ok(Some(list)) => {
            let mut elements = Vec::new();
            let mut reply = Writer::new(&mut elements, Protocol::Resp2);
            let count = options.count.min(list.len());
            reply.array(count);
            list.at_end(options.end, count).for_each(|item| reply_item(&mut reply, item));
            Part::Reply(elements)
        }
    }
}

pub(in crate::commands) fn decide(
    at: Decision,
    args: &Args<'_>,
    numkeys: usize,
    parts: &mut [Part],
    reply: &mut Writer<'_>,
) -> Decided {
    let options = Options::parse(args, numkeys)?;
    let first = options.keys.zip(&*parts).find(|(_, part)| **part != Part::Absent);
    match first {
        Some((i, Part::Reply(elements))) => {
            let key = args.get(i);
            reply.array(2);
            reply.bulk(key);
            reply.raw(elements);
            let name: &[u8] = if options.end == End::Left { b"LPOP" } else { b"RPOP" };
            let words = OwnedArgs::new([name, key, options.count.to_string().as_bytes()]);
            Ok(Next::Write(vec![Write { db: at.db, key: key.to_vec(), change: Ordered::Call(words) }]))
        }
        Some(_) => Err(CommandError::WrongType),
        None => {
            reply.null_array();
            Ok(Next::Write(Vec::new()))
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::list::tests::{check_gathered, check_gathered_only};
    use crate::commands::testing::check;

    #[test]
    fn takes_from_the_first_list_there_is() {
        check_gathered(
            "RPUSH b 1 2 3 | RPUSH c x | LMPOP 3 a b c LEFT | LMPOP 3 a b c right COUNT 9 | LMPOP 3 a b c LEFT | EXISTS b c",
            "3 | 1 | [b, [1]] | [b, [3, 2]] | [c, [x]] | 0",
        );
        check_gathered("LMPOP 2 a b LEFT", "nil");
        check_gathered("RPUSH b 1 2 | LMPOP 2 b b LEFT COUNT 1 | LRANGE b 0 -1", "2 | [b, [1]] | [2]");
    }

    #[test]
    fn other_types_matter_only_before_the_list() {
        let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
        check_gathered(
            "SET s v | RPUSH l a b | LMPOP 2 s l LEFT | LMPOP 2 l s LEFT | LMPOP 2 m s LEFT",
            &format!("OK | 2 | {wrong} | [l, [a]] | {wrong}"),
        );
    }

    #[test]
    fn refuses_bad_words() {
        let keys = "ERR numkeys should be greater than 0";
        check("LMPOP 0 k LEFT | LMPOP x k LEFT | LMPOP -1 k LEFT", &format!("{keys} | {keys} | {keys}"));
        check("LMPOP 9223372036854775807 k LEFT | LMPOP 2 k LEFT", "ERR syntax error | ERR syntax error");
        check_gathered_only(
            "LMPOP 1 k UP | LMPOP 1 k LEFT COUNT | LMPOP 1 k LEFT FOO 1",
            "ERR syntax error | ERR syntax error | ERR syntax error",
        );
        let count = "ERR count should be greater than 0";
        check_gathered_only(
            "LMPOP 1 k LEFT COUNT 0 | LMPOP 1 k LEFT COUNT x X",
            &format!("{count} | {count}"),
        );
        check_gathered_only("LMPOP 1 k LEFT COUNT 1 COUNT 1", "ERR syntax error");
    }
}
