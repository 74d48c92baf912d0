//! LINDEX key index — the element with this index; negative ones count from the tail. Nil for one that does not exist.
//! As in Redis, the index is looked at only where there is a list.

use crate::base::args::Args;
use crate::commands::cx::{Cx, integer};
use crate::commands::error::Outcome;
use crate::commands::item::reply_item;
use crate::store::list::List;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (key, touch) = (cx.key(args, 1), cx.touch());
    let item = match cx.keys.view::<List>(cx.db, &key, cx.now_ms, touch)? {
        Some(list) => list.get(integer(args, 2)?),
        None => None,
    };
    match item {
        Some(item) => reply_item(&mut cx.reply, item),
        None => cx.reply.null(),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn finds_by_index() {
        check(
            "RPUSH k a 2 c | LINDEX k 0 | LINDEX k 1 | LINDEX k -1 | LINDEX k -3 | LINDEX k 3 | LINDEX k -4",
            "3 | a | 2 | c | a | nil | nil",
        );
        check("RPUSH k a | LINDEX k -9223372036854775808 | LINDEX k 9223372036854775807", "1 | nil | nil");
    }

    #[test]
    fn wants_a_number_only_of_a_list() {
        check("LINDEX k x | RPUSH k a | LINDEX k x", "nil | 1 | ERR value is not an integer or out of range");
        check(
            "SET k v | LINDEX k x",
            "OK | WRONGTYPE Operation against a key holding the wrong kind of value",
        );
    }
}
