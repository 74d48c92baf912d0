//! HRANDFIELD key [count [WITHVALUES]] — a random field, nil for a missing key; or `count` different ones, all if the hash has
//! fewer; or, with a negative count, so many that may repeat. With their values behind them, which RESP3 groups in pairs.

use std::ops::ControlFlow;

use crate::base::args::Args;
use crate::commands::cx::{Cx, signed_count};
use crate::commands::error::{CommandError, Outcome};
use crate::commands::item::reply_item;
use crate::resp::write::{Protocol, Writer};
use crate::store::hash::{Element, Hash};

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let wanted = if args.len() > 2 { Some(Wanted::parse(args)?) } else { None };
    let (key, touch) = (cx.key(args, 1), cx.touch());
    let hash = cx.keys.view::<Hash>(cx.db, &key, cx.now_ms, touch)?;
    let (reply, rng) = (&mut cx.reply, &mut cx.server.rng);
    match (hash, wanted) {
        (None, None) => reply.null(),
        (None, Some(_)) => reply.array(0),
        (Some(hash), None) => reply_item(reply, hash.random(rng).field),
        (Some(hash), Some(wanted)) if wanted.may_repeat => {
            wanted.head(reply, wanted.count);
            hash.random_many(wanted.count, rng, |element| {
                wanted.write(reply, element);
                // Clients may ask for more than any reply may hold.
                if reply.is_over() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
        }
        (Some(hash), Some(wanted)) => {
            wanted.head(reply, wanted.count.min(hash.len()));
            hash.sample(wanted.count, rng, |element| wanted.write(reply, element));
        }
    }
    Ok(())
}

#[derive(Clone, Copy)]
struct Wanted {
    count: usize,
    may_repeat: bool,
    with_values: bool,
}

impl Wanted {
    fn parse(args: &Args<'_>) -> Result<Wanted, CommandError> {
        let count = signed_count(args, 2)?;
        let with_values = args.len() > 3;
        if args.len() > 4 || (with_values && !args.is(3, "WITHVALUES")) {
            return Err(CommandError::Syntax);
        }
        if with_values && !(-i64::MAX / 2..=i64::MAX / 2).contains(&count) {
            return Err(CommandError::Text("ERR value is out of range"));
        }
        Ok(Wanted { count: count.unsigned_abs() as usize, may_repeat: count < 0, with_values })
    }

    fn are_pairs(self, reply: &Writer<'_>) -> bool {
        self.with_values && reply.protocol() == Protocol::Resp3
    }

    fn head(self, reply: &mut Writer<'_>, fields: usize) {
        let is_flat = self.with_values && !self.are_pairs(reply);
        reply.array(if is_flat { 2 * fields } else { fields });
    }

    fn write(self, reply: &mut Writer<'_>, element: Element<'_>) {
        if self.are_pairs(reply) {
            reply.array(2);
        }
        reply_item(reply, element.field);
        if self.with_values {
            reply_item(reply, element.value);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::tests::{WRONG_TYPE, check3};
    use crate::commands::testing::{Bench, check};

    #[test]
    fn returns_one_or_several() {
        check("HSET h a 1 | HRANDFIELD h | HRANDFIELD h 5 | HRANDFIELD h -2", "1 | a | [a] | [a, a]");
        check(
            "HSET h a 1 | HRANDFIELD h 1 WITHVALUES | HRANDFIELD h -2 withvalues",
            "1 | [a, 1] | [a, 1, a, 1]",
        );
        check(
            "HSET h a 1 b 2 | HRANDFIELD h 0 | HRANDFIELD h 2 | HRANDFIELD h 3 WITHVALUES",
            "2 | [] | [a, b] | [a, 1, b, 2]",
        );
        check("HRANDFIELD x | HRANDFIELD x 5 | HRANDFIELD x -5 WITHVALUES", "nil | [] | []");
        check("SET k v | HRANDFIELD k | HRANDFIELD k 1", &format!("OK | {WRONG_TYPE} | {WRONG_TYPE}"));
    }

    #[test]
    fn groups_pairs_in_resp3() {
        check3(
            "HSET h a 1 | HRANDFIELD h 1 WITHVALUES | HRANDFIELD h -2 WITHVALUES | HRANDFIELD h 1 | HRANDFIELD x",
            "1 | [[a, 1]] | [[a, 1], [a, 1]] | [a] | nil",
        );
    }

    #[test]
    fn refuses_bad_counts() {
        let range =
            "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807";
        check("HRANDFIELD h -9223372036854775808 FOO", range);
        check("HRANDFIELD h -9223372036854775807", "[]");
        for count in ["4611686018427387904", "-4611686018427387904"] {
            check(&format!("HRANDFIELD h {count} WITHVALUES"), "ERR value is out of range");
            check(&format!("HRANDFIELD h {count} FOO"), "ERR syntax error");
        }
        check("HRANDFIELD h x FOO", "ERR value is not an integer or out of range");
        check("HRANDFIELD h 1 FOO", "ERR syntax error");
        check("HRANDFIELD h 1 WITHVALUES x", "ERR syntax error");
    }

    #[test]
    fn different_ones_differ_and_all_are_possible() {
        for fields in [20, 1000] {
            let mut bench = Bench::default();
            (0..fields).for_each(|i| drop(bench.run(&format!("HSET h f{i} {i}"))));
            for count in [1, 5, fields / 2, fields - 1] {
                let reply = bench.run(&format!("HRANDFIELD h {count}"));
                let names: BTreeSet<&str> = reply.trim_matches(['[', ']']).split(", ").collect();
                assert_eq!(names.len(), count, "{count} of {fields}");
            }
            let mut seen = BTreeSet::new();
            for _ in 0..100 * fields / 5 {
                let reply = bench.run("HRANDFIELD h 5");
                seen.extend(reply.trim_matches(['[', ']']).split(", ").map(str::to_owned));
            }
            assert_eq!(seen.len(), fields);
        }
    }
}
