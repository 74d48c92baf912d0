//! LSET key index element — put an element in the place of another; a negative index counts from the tail.
//! A missing key and an index that does not exist are errors.

use crate::base::args::Args;
use crate::commands::cx::{Cx, integer};
use crate::commands::error::{CommandError, Outcome};
use crate::store::collection::Change;
use crate::store::list::List;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (key, clock) = (cx.key(args, 1), cx.clock());
    let set = |list: &mut Change<'_, List>| {
        let index = list.view().index(integer(args, 2)?);
        list.set(index.ok_or(CommandError::Text("ERR index out of range"))?, args.get(3));
        Ok(())
    };
    cx.keys.change(cx.db, &key, cx.now_ms, clock, set)?.unwrap_or(Err(CommandError::NoSuchKey))?;
    cx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn replaces_one() {
        check("RPUSH k a b c | LSET k 0 1 | LSET k -1 z | LRANGE k 0 -1", "3 | OK | OK | [1, b, z]");
    }

    #[test]
    fn changes_the_encoding_both_ways() {
        let large = "x".repeat(9000);
        check(
            &format!(
                "RPUSH k a b c | LSET k 1 {large} | OBJECT ENCODING k | LSET k 1 d | LRANGE k 0 -1 | LLEN k"
            ),
            "3 | OK | quicklist | OK | [a, d, c] | 3",
        );
    }

    #[test]
    fn refuses_what_is_not_there() {
        check("LSET k x a", "ERR no such key");
        let out = "ERR index out of range";
        check("RPUSH k a | LSET k 1 b | LSET k -2 b | LSET k 0 b", &format!("1 | {out} | {out} | OK"));
        check("RPUSH k a | LSET k x b", "1 | ERR value is not an integer or out of range");
        check(
            "SET k v | LSET k x a",
            "OK | WRONGTYPE Operation against a key holding the wrong kind of value",
        );
    }
}
