//! HSETNX key field value — set a field of a hash unless it is there already. Returns whether it was set. Creates a missing hash.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::store::hash::Hash;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (key, clock) = (cx.key(args, 1), cx.clock());
    let is_set = cx.keys.change_or_create::<Hash, _>(cx.db, &key, cx.now_ms, clock, |hash| {
        !hash.view().contains(args.get(2)) && hash.set(args.get(2), args.get(3))
    })?;
    cx.reply.integer(i64::from(is_set));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn sets_what_is_not_there() {
        check("HSETNX h a 1 | HSETNX h a 2 | HSETNX h b 3 | HGETALL h", "1 | 0 | 1 | [a, 1, b, 3]");
        check("SET k v | HSETNX k a 1", &format!("OK | {}", super::super::tests::WRONG_TYPE));
        check(
            "HSET h a 1 | HEXPIRE h 5 FIELDS 1 a | HSETNX h a 2 | HTTL h FIELDS 1 a | @5s | HSETNX h a 3 | HGETALL h",
            "1 | [1] | 0 | [5] | 1 | [a, 3]",
        );
    }
}
