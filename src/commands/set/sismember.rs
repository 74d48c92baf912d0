//! SISMEMBER key member, SMISMEMBER key member [member ...] — whether these are members of a set: 1 or 0 for each.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::store::set::Set;

pub fn sismember(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (key, touch) = (cx.key(args, 1), cx.touch());
    let set = cx.keys.view::<Set>(cx.db, &key, cx.now_ms, touch)?;
    cx.reply.integer(set.is_some_and(|set| set.contains(args.get(2))).into());
    Ok(())
}

pub fn smismember(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (key, touch) = (cx.key(args, 1), cx.touch());
    let set = cx.keys.view::<Set>(cx.db, &key, cx.now_ms, touch)?;
    let members = args.iter_from(2);
    cx.reply.array(members.len());
    members.for_each(|member| cx.reply.integer(set.is_some_and(|set| set.contains(member)).into()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn finds_members() {
        check(
            "SADD s a 1 | SISMEMBER s a | SISMEMBER s 1 | SISMEMBER s 01 | SISMEMBER t a",
            "2 | 1 | 1 | 0 | 0",
        );
        check("SADD s a 1 | SMISMEMBER s a b 1 a | SMISMEMBER t a b", "2 | [1, 0, 1, 1] | [0, 0]");
    }

    #[test]
    fn refuses_other_types() {
        let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
        check("SET k v | SISMEMBER k a | SMISMEMBER k a b", &format!("OK | {wrong} | {wrong}"));
        check("SISMEMBER s", "ERR wrong number of arguments for 'sismember' command");
    }
}
