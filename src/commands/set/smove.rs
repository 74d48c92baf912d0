//! SMOVE source destination member — move a member from one set to another. Returns 1, or 0 if the source does not have it.
//! Creates the destination; the source's last member takes its key along.

use crate::base::args::{Args, OwnedArgs};
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::commands::gather::{self, Decided, Decision, Gather, Next, Part, Write};
use crate::resp::write::Writer;
use crate::store::collection::Change;
use crate::store::set::Set;

pub const GATHER: Gather = Gather { reads_key_alone: false, read, decide, reads_undeclared: false };

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (source, destination, clock) = (cx.key(args, 1), cx.key(args, 2), cx.clock());
    let member = args.get(3);
    let is_there = match cx.keys.peek_view::<Set>(cx.db, &source, cx.now_ms)? {
        None => false,
        Some(set) => {
            let is_there = set.contains(member);
            // A destination of another type is refused even if there is nothing to move.
            cx.keys.peek_view::<Set>(cx.db, &destination, cx.now_ms)?;
            is_there
        }
    };
    cx.reply.integer(is_there.into());
    if is_there && source.bytes != destination.bytes {
        cx.keys.change(cx.db, &source, cx.now_ms, clock, |set: &mut Change<'_, Set>| set.remove(member))?;
        cx.keys.change_or_create(cx.db, &destination, cx.now_ms, clock, |set: &mut Change<'_, Set>| {
            set.add(member)
        })?;
    }
    Ok(())
}

/// Whether the key is a set; of the source, whether it has the member.
fn read(cx: &mut Cx<'_>, args: &Args<'_>, i: usize) -> Part {
    let key = cx.key(args, i);
    match cx.keys.peek_view::<Set>(cx.db, &key, cx.now_ms) {
        Err(_) => Part::WrongType,
        Ok(None) => Part::Absent,
        Ok(Some(set)) if i == 1 => Part::Reply(vec![set.contains(args.get(3)).into()]),
        Ok(Some(_)) => Part::Present,
    }
}

fn decide(at: Decision, args: &Args<'_>, parts: &mut [Part], reply: &mut Writer<'_>) -> Decided {
    let is_there = match &*parts {
        [Part::Absent, _] => false,
        [Part::WrongType, _] | [_, Part::WrongType] => return Err(CommandError::WrongType),
        [source, _] => *source == Part::Reply(vec![1]),
        _ => unreachable!("two keys have two parts"),
    };
    reply.integer(is_there.into());
    let call = |name: &str, key: &[u8]| Write {
        db: at.db,
        key: key.to_vec(),
        change: gather::Change::Call(OwnedArgs::new([name.as_bytes(), key, args.get(3)])),
    };
    let writes =
        if is_there { vec![call("SREM", args.get(1)), call("SADD", args.get(2))] } else { Vec::new() };
    Ok(Next::Write(writes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::check;
    use crate::resp::write::Protocol;

    #[test]
    fn moves_a_member() {
        check("SADD a 1 x | SADD b 2 | SMOVE a b x | SMEMBERS a | SMEMBERS b", "2 | 1 | 1 | [1] | [2, x]");
        check("SADD a x | SMOVE a b x | EXISTS a | SMEMBERS b | SMOVE a b x", "1 | 1 | 0 | [x] | 0");
        check("SADD a x | SADD b x | SMOVE a b x | SCARD b | EXISTS a", "1 | 1 | 1 | 1 | 0");
        check(
            "SADD a x | SMOVE a a x | SMOVE a a y | SMEMBERS a | SMOVE a b y | EXISTS b",
            "1 | 1 | 0 | [x] | 0 | 0",
        );
    }

    #[test]
    fn refuses_other_types_where_redis_does() {
        let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
        check("SET k v | SMOVE missing k x | SMOVE k missing x", &format!("OK | 0 | {wrong}"));
        check(
            "SET k v | SADD a x | SMOVE a k y | SMOVE a k x | SCARD a",
            &format!("OK | 1 | {wrong} | {wrong} | 1"),
        );
    }

    #[test]
    fn decides_between_shards() {
        let has = |it: bool| Part::Reply(vec![it.into()]);
        for (parts, expected) in [
            ([has(true), Part::Absent], Ok(2)),
            ([has(true), Part::Present], Ok(2)),
            ([has(false), Part::Present], Ok(0)),
            ([Part::Absent, Part::WrongType], Ok(0)),
            ([has(false), Part::WrongType], Err(CommandError::WrongType)),
            ([Part::WrongType, Part::Absent], Err(CommandError::WrongType)),
        ] {
            let words = OwnedArgs::new(["SMOVE", "a", "b", "x"]);
            let at = Decision { db: 0, now_ms: 0, bulk_bytes_max: 0, encoding: Default::default() };
            let (mut parts, mut out) = (parts, Vec::new());
            let mut reply = Writer::new(&mut out, Protocol::Resp2);
            let writes = match decide(at, &words.args(), &mut parts, &mut reply) {
                Ok(Next::Write(writes)) => Ok(writes),
                Ok(other) => panic!("{other:?} is no change"),
                Err(error) => Err(error),
            };
            assert_eq!(writes.as_ref().map(Vec::len).map_err(Clone::clone), expected);
            if let Ok([from, to]) = writes.as_deref() {
                assert_eq!((&*out, &*from.key, &*to.key), (&b":1\r\n"[..], &b"a"[..], &b"b"[..]));
                assert_eq!(from.change, gather::Change::Call(OwnedArgs::new(["SREM", "a", "x"])));
                assert_eq!(to.change, gather::Change::Call(OwnedArgs::new(["SADD", "b", "x"])));
            }
        }
    }
}
