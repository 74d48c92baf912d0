//! SPOP key [count] — remove random members from a set and return them: one, or nil; with a count, that many or as many as there
//! are. The last one takes the key along.

use crate::base::args::Args;
use crate::base::number::parse_i64;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::commands::set::reply_member;
use crate::store::collection::Change;
use crate::store::set::{Set, SetRef};

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    if args.len() > 2 {
        return run_with_count(cx, args);
    }
    let (key, clock) = (cx.key(args, 1), cx.clock());
    let (rng, reply) = (&mut cx.server.rng, &mut cx.reply);
    let popped = cx.keys.change(cx.db, &key, cx.now_ms, clock, |set: &mut Change<'_, Set>| {
        set.pop(rng, |member| reply_member(reply, member));
    })?;
    if popped.is_none() {
        cx.reply.null();
    }
    Ok(())
}

fn run_with_count(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    if args.len() > 3 {
        return Err(CommandError::Syntax);
    }
    let count = parse_i64(args.get(2)).and_then(|count| usize::try_from(count).ok());
    let count = count.ok_or(CommandError::Text("ERR value is out of range, must be positive"))?;
    let (key, clock) = (cx.key(args, 1), cx.clock());
    let set = cx.keys.peek_view::<Set>(cx.db, &key, cx.now_ms)?;
    let len = set.map_or(0, SetRef::len);
    if count >= len {
        cx.reply.set(len);
        set.into_iter().flat_map(SetRef::iter).for_each(|member| reply_member(&mut cx.reply, member));
        cx.keys.remove(cx.db, &key, cx.now_ms);
        return Ok(());
    }
    cx.reply.set(count);
    let (rng, reply) = (&mut cx.server.rng, &mut cx.reply);
    cx.keys.change(cx.db, &key, cx.now_ms, clock, |set: &mut Change<'_, Set>| {
        for _ in 0..count {
            set.pop(rng, |member| reply_member(reply, member));
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::commands::testing::{Bench, check};
    use crate::resp::write::Protocol;

    #[test]
    fn pops_one() {
        check("SADD s a | SPOP s | EXISTS s | SPOP s", "1 | a | 0 | nil");
        check("SADD s 7 | SPOP s | SPOP s", "1 | 7 | nil");
    }

    #[test]
    fn pops_every_member_once() {
        for prefix in ["", "m"] {
            for count in [5, 100, 1000] {
                let mut bench = Bench::default();
                let names: BTreeSet<String> = (0..count).map(|i| format!("{prefix}{i}")).collect();
                bench.run(&format!("SADD s {}", Vec::from_iter(names.clone()).join(" ")));
                let mut found = BTreeSet::new();
                for i in 0..count {
                    if i % 3 == 0 {
                        assert!(found.insert(bench.run("SPOP s")));
                    }
                }
                let some = bench.run(&format!("SPOP s {}", (count - found.len()) / 2));
                found.extend(some[1..some.len() - 1].split(", ").map(str::to_owned));
                assert_eq!(bench.run("SCARD s"), (count - found.len()).to_string());
                bench.check_journal();
                let rest = bench.run("SPOP s 100000 | EXISTS s");
                let rest = rest.strip_suffix("] | 0").expect("the key went with its members");
                found.extend(rest[1..].split(", ").map(str::to_owned));
                assert_eq!(found, names);
            }
        }
    }

    #[test]
    fn pops_a_number_of_them() {
        check("SPOP s 3 | SADD s a | SPOP s 0 | SPOP s 2 | EXISTS s", "[] | 1 | [] | [a] | 0");
        let mut bench = Bench::default();
        bench.server.sessions.get_mut(0).expect("a client").protocol = Protocol::Resp3;
        bench.run("SADD s a");
        assert_eq!(bench.call(["SPOP", "t", "1"]), b"~0\r\n");
        assert_eq!(bench.call(["SPOP", "t"]), b"_\r\n");
        assert_eq!(bench.call(["SPOP", "s", "1"]), b"~1\r\n$1\r\na\r\n");
    }

    #[test]
    fn refuses_what_is_no_count_and_other_types() {
        for count in ["-1", "x", "9223372036854775808"] {
            check(&format!("SPOP s {count}"), "ERR value is out of range, must be positive");
        }
        check("SPOP s x 1", "ERR syntax error");
        let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
        check("SET k v | SPOP k | SPOP k 0 | SPOP k 1", &format!("OK | {wrong} | {wrong} | {wrong}"));
    }
}
