//! LLEN key — how many elements the list has; 0 for a missing key.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::store::list::{List, ListRef};

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (key, touch) = (cx.key(args, 1), cx.touch());
    let list = cx.keys.view::<List>(cx.db, &key, cx.now_ms, touch)?;
    cx.reply.count(list.map_or(0, ListRef::len));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn counts() {
        check("LLEN k | RPUSH k a b | LLEN k", "0 | 2 | 2");
        check("SET k v | LLEN k", "OK | WRONGTYPE Operation against a key holding the wrong kind of value");
    }
}
