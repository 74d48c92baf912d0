//! HMGET key field [field ...] — the values of fields, nil for each that is missing.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::commands::hash::reply_value;
use crate::store::hash::Hash;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (key, touch) = (cx.key(args, 1), cx.touch());
    let hash = cx.keys.view::<Hash>(cx.db, &key, cx.now_ms, touch)?;
    let fields = args.iter_from(2);
    cx.reply.array(fields.len());
    for field in fields {
        reply_value(&mut cx.reply, hash.and_then(|hash| hash.get(field)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn answers_for_each_field() {
        check("HSET h a 1 b 2 | HMGET h b x a a | HMGET h x", "2 | [2, nil, 1, 1] | [nil]");
        check("HMGET x a b", "[nil, nil]");
        check("SET k v | HMGET k a", &format!("OK | {}", super::super::tests::WRONG_TYPE));
    }
}
