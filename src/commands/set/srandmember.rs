//! SRANDMEMBER key [count] — random members of a set: one, or nil; with a count, that many different ones or as many as there are;
//! with a negative count, so many, each chosen from all.

use crate::base::args::Args;
use crate::commands::cx::{Cx, signed_count};
use crate::commands::error::{CommandError, Outcome};
use crate::commands::set::reply_member;
use crate::store::set::Set;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let count = match args.len() {
        2 => None,
        3 => Some(signed_count(args, 2)?),
        _ => return Err(CommandError::Syntax),
    };
    let (key, touch) = (cx.key(args, 1), cx.touch());
    let set = cx.keys.view::<Set>(cx.db, &key, cx.now_ms, touch)?;
    let (rng, reply) = (&mut cx.server.rng, &mut cx.reply);
    match (set, count) {
        (None, None) => reply.null(),
        (None, Some(_)) => reply.array(0),
        (Some(set), None) => reply_member(reply, set.random(rng).expect("a set has members")),
        (Some(set), Some(count)) if count < 0 => {
            reply.array(count.unsigned_abs() as usize);
            for _ in 0..count.unsigned_abs() {
                reply_member(reply, set.random(rng).expect("a set has members"));
                if reply.is_over() {
                    break;
                }
            }
        }
        (Some(set), Some(count)) => {
            let count = usize::try_from(count).map_or(set.len(), |count| count.min(set.len()));
            reply.array(count);
            set.sample(count, rng, |member| reply_member(reply, member));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::commands::testing::{Bench, check};

    fn members(reply: &str) -> Vec<String> {
        reply[1..reply.len() - 1].split(", ").filter(|member| !member.is_empty()).map(str::to_owned).collect()
    }

    #[test]
    fn leaves_what_it_returns() {
        check(
            "SADD s a | SRANDMEMBER s | SRANDMEMBER s 5 | SRANDMEMBER s -3 | SCARD s",
            "1 | a | [a] | [a, a, a] | 1",
        );
        check("SRANDMEMBER s | SRANDMEMBER s 3 | SRANDMEMBER s -3", "nil | [] | []");
        check("SADD s a b | SRANDMEMBER s 0", "2 | []");
    }

    #[test]
    fn a_count_gives_different_members_and_a_negative_one_any() {
        for prefix in ["", "m"] {
            for len in [5, 100, 600] {
                let mut bench = Bench::default();
                let names: BTreeSet<String> = (0..len).map(|i| format!("{prefix}{i}")).collect();
                bench.run(&format!("SADD s {}", Vec::from_iter(names.clone()).join(" ")));
                for count in [1, 2, len / 4, len / 2, len - 1, len, len + 1] {
                    let found = members(&bench.run(&format!("SRANDMEMBER s {count}")));
                    assert_eq!(found.len(), count.min(len));
                    let found = BTreeSet::from_iter(found);
                    assert!(found.len() == count.min(len) && found.is_subset(&names));
                    let found = members(&bench.run(&format!("SRANDMEMBER s -{}", 5 * count)));
                    assert_eq!(found.len(), 5 * count);
                    assert!(found.iter().all(|member| names.contains(member)));
                }
            }
        }
    }

    #[test]
    fn refuses_what_is_no_count_and_other_types() {
        check("SRANDMEMBER s x", "ERR value is not an integer or out of range");
        check("SRANDMEMBER s 1 2", "ERR syntax error");
        check(
            "SRANDMEMBER s -9223372036854775808",
            "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        );
        let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
        check("SET k v | SRANDMEMBER k | SRANDMEMBER k 0", &format!("OK | {wrong} | {wrong}"));
    }
}
