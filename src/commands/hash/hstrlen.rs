//! HSTRLEN key field — the length of a field's value in bytes; 0 if field or key is missing.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::store::hash::Hash;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (key, touch) = (cx.key(args, 1), cx.touch());
    let hash = cx.keys.view::<Hash>(cx.db, &key, cx.now_ms, touch)?;
    cx.reply.count(hash.and_then(|hash| hash.value_len(args.get(2))).unwrap_or(0));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn measures_values() {
        check(
            "HSET h a abc b -100 c \"\" | HSTRLEN h a | HSTRLEN h b | HSTRLEN h c | HSTRLEN h x | HSTRLEN x a",
            "3 | 3 | 4 | 0 | 0 | 0",
        );
        check("SET k v | HSTRLEN k a", &format!("OK | {}", super::super::tests::WRONG_TYPE));
    }
}
