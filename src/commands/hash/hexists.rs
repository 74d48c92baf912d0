//! HEXISTS key field — whether a hash has a field.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::store::hash::Hash;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (key, touch) = (cx.key(args, 1), cx.touch());
    let hash = cx.keys.view::<Hash>(cx.db, &key, cx.now_ms, touch)?;
    cx.reply.integer(i64::from(hash.is_some_and(|hash| hash.contains(args.get(2)))));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn tells_fields_from_values() {
        check("HSET h a b | HEXISTS h a | HEXISTS h b | HEXISTS x a", "1 | 1 | 0 | 0");
        check("SET k v | HEXISTS k a", &format!("OK | {}", super::super::tests::WRONG_TYPE));
        check("HSET h a 1 b 2 | HPEXPIRE h 5 FIELDS 1 a | @5ms | HEXISTS h a", "2 | [1] | 0");
    }
}
