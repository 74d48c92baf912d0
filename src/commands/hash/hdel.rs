//! HDEL key field [field ...] — remove fields, and the key with the last of them. Returns how many were there.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::store::hash::Hash;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (key, clock) = (cx.key(args, 1), cx.clock());
    let removed = cx.keys.change::<Hash, _>(cx.db, &key, cx.now_ms, clock, |hash| {
        args.iter_from(2).filter(|field| hash.delete(field)).count()
    })?;
    cx.reply.count(removed.unwrap_or(0));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn removes_fields() {
        check("HSET h a 1 b 2 c 3 | HDEL h b x b | HGETALL h", "3 | 1 | [a, 1, c, 3]");
        check("HSET h a 1 b 2 | HDEL h a b c | EXISTS h", "2 | 2 | 0");
        check("HDEL x a | EXISTS x", "0 | 0");
        check("SET k v | HDEL k a", &format!("OK | {}", super::super::tests::WRONG_TYPE));
        check("HSET h a 1 | EXPIRE h 10 | HDEL h a | HSET h a 1 | TTL h", "1 | 1 | 1 | 1 | -1");
    }
}
