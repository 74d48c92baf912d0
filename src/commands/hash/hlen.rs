//! HLEN key — how many fields a hash has; 0 for a missing key.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::store::hash::{Hash, HashRef};

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (key, touch) = (cx.key(args, 1), cx.touch());
    let hash = cx.keys.view::<Hash>(cx.db, &key, cx.now_ms, touch)?;
    cx.reply.count(hash.map_or(0, HashRef::len));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn counts_fields() {
        check("HSET h a 1 b 2 | HLEN h | HDEL h a | HLEN h | HLEN x", "2 | 2 | 1 | 1 | 0");
        check("SET k v | HLEN k", &format!("OK | {}", super::super::tests::WRONG_TYPE));
        check("HSET h a 1 b 2 | HPEXPIRE h 5 FIELDS 1 a | HLEN h | @5ms | HLEN h", "2 | [1] | 2 | 1");
    }
}
