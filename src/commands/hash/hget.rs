//! HGET key field — the value of a field, or nil.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::commands::hash::reply_value;
use crate::store::hash::Hash;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (key, touch) = (cx.key(args, 1), cx.touch());
    let hash = cx.keys.view::<Hash>(cx.db, &key, cx.now_ms, touch)?;
    reply_value(&mut cx.reply, hash.and_then(|hash| hash.get(args.get(2))));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn finds_fields_and_no_values() {
        check("HSET h a b b 12 | HGET h a | HGET h b | HGET h 12 | HGET x a", "2 | b | 12 | nil | nil");
        check("HSET h 12 x | HGET h 12 | HGET h 012", "1 | x | nil");
        check("SET k v | HGET k a", &format!("OK | {}", super::super::tests::WRONG_TYPE));
        check("HSET h a 1 | PEXPIRE h 5 | @5ms | HGET h a", "1 | 1 | nil");
    }
}
