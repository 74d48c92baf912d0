//! SREM key member [member ...] — remove members from a set. Returns how many were there. The last one takes the key along.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::store::collection::Change;
use crate::store::set::Set;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (key, clock) = (cx.key(args, 1), cx.clock());
    let removed = cx.keys.change(cx.db, &key, cx.now_ms, clock, |set: &mut Change<'_, Set>| {
        args.iter_from(2).filter(|member| set.remove(member)).count()
    })?;
    cx.reply.count(removed.unwrap_or(0));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn counts_what_was_there() {
        check("SADD s a b c | SREM s a x a | SCARD s | SREM missing a", "3 | 1 | 2 | 0");
        check("SADD s 1 2 3 | SREM s 2 x 02 | SMEMBERS s", "3 | 1 | [1, 3]");
    }

    #[test]
    fn removes_the_key_with_the_last_member() {
        check(
            "SADD s a b | SREM s a b c | EXISTS s | SADD s 5 | OBJECT ENCODING s",
            "2 | 2 | 0 | 1 | intset",
        );
    }

    #[test]
    fn refuses_other_types() {
        let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
        check("SET k v | SREM k a", &format!("OK | {wrong}"));
    }
}
