//! ZRANGESTORE destination source from to [BYSCORE | BYLEX] [REV] [LIMIT skip count] — put the members that ZRANGE would return, with
//! their scores, into another key, whatever it held, and reply with how many. No member: the key is removed.

use std::mem::take;

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::commands::gather::{Change, Decided, Decision, Gather, Next, Part, Write, run_here};
use crate::commands::sorted_set::range::{Form, Query};
use crate::commands::table::TWO_KEYS;
use crate::resp::write::Writer;
use crate::store::collection::Collection;
use crate::store::object::Value;
use crate::store::sorted_set::SortedSet;

pub const GATHER: Gather = Gather { reads_key_alone: false, read, decide, reads_undeclared: false };

const FORM: Form = Form { by: None, is_reverse: None, stores: true };

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    run_here(cx, args, TWO_KEYS.indices(args), &GATHER)
}

/// The members, already as the set that will be stored. What the destination holds does not matter.
fn read(cx: &mut Cx<'_>, args: &Args<'_>, i: usize) -> Part {
    // The decision reports what is wrong with the words.
    let (2, Ok(query)) = (i, Query::parse(args, 2, FORM)) else { return Part::Absent };
    let (key, touch) = (cx.key(args, i), cx.touch());
    cx.keys.settle(cx.db, &key, cx.now_ms, touch);
    match cx.keys.settled_view::<SortedSet>(cx.db, &key) {
        Err(_) => Part::WrongType,
        Ok(None) => Part::Absent,
        Ok(Some(set)) => {
            let members = set.range(query.ranks(set));
            let stored = SortedSet::collect(&cx.keys.encoding, members);
            Part::Value { value: Value::SortedSet(stored), expire_at_ms: None }
        }
    }
}

fn decide(at: Decision, args: &Args<'_>, parts: &mut [Part], reply: &mut Writer<'_>) -> Decided {
    Query::parse(args, 2, FORM)?;
    let (count, change) = match take(&mut parts[1]) {
        Part::WrongType => return Err(CommandError::WrongType),
        Part::Value { value: Value::SortedSet(set), .. } if !set.is_empty() => {
            (set.view().len(), Change::Put { value: Value::SortedSet(set), expire_at_ms: None })
        }
        _ => (0, Change::Delete),
    };
    reply.count(count);
    Ok(Next::Write(vec![Write { db: at.db, key: args.get(1).to_vec(), change }]))
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn stores_ranges() {
        check(
            "ZADD k 1 a 2 b 3 c | ZRANGESTORE to k 0 1 | ZRANGE to 0 -1 WITHSCORES | OBJECT ENCODING to",
            "3 | 2 | [a, 1, b, 2] | listpack",
        );
        check("ZADD k 1 a 2 b 3 c | ZRANGESTORE to k 0 0 REV | ZRANGE to 0 -1", "3 | 1 | [c]");
        check("ZADD k 1 a 2 b 3 c | ZRANGESTORE to k (1 3 BYSCORE LIMIT 1 5 | ZRANGE to 0 -1", "3 | 1 | [c]");
        check("ZADD k 0 a 0 b | ZRANGESTORE k k [b + BYLEX | ZRANGE k 0 -1", "2 | 1 | [b]");
        check(
            "SET to v EX 9 | ZADD k 1 a | ZRANGESTORE to k 0 -1 | TYPE to | TTL to",
            "OK | 1 | 1 | zset | -1",
        );
        let many: Vec<String> = (0..200).map(|i| format!("{i} m{i}")).collect();
        check(
            &format!(
                "ZADD k {} | ZRANGESTORE to k 0 -1 | OBJECT ENCODING to | ZRANGESTORE to k 0 127 | OBJECT ENCODING to",
                many.join(" ")
            ),
            "200 | 200 | skiplist | 128 | listpack",
        );
    }

    #[test]
    fn an_empty_range_removes() {
        check("SET to v | ZRANGESTORE to no 0 -1 | EXISTS to", "OK | 0 | 0");
        check("SET to v | ZADD k 1 a | ZRANGESTORE to k 5 9 | EXISTS to", "OK | 1 | 0 | 0");
    }

    #[test]
    fn refuses() {
        let wrong_type = "WRONGTYPE Operation against a key holding the wrong kind of value";
        check("SET k v | SET to w | ZRANGESTORE to k 0 1 | GET to", &format!("OK | OK | {wrong_type} | w"));
        check("ZRANGESTORE to k 0 1 WITHSCORES", "ERR syntax error");
        check("SET k v | ZRANGESTORE to k x 1", "OK | ERR value is not an integer or out of range");
        check("ZRANGESTORE to k 0 x BYSCORE", "ERR min or max is not a float");
    }
}
