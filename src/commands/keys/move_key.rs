//! MOVE key db — move a key with its expiry to another database. Returns 1, or 0 where it is missing or there already.

use crate::base::args::Args;
use crate::commands::cx::{Cx, db_index};
use crate::commands::error::{CommandError, Outcome};

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let to = db_index(args, 2)?;
    if to == cx.db {
        return Err(CommandError::SameObject);
    }
    let key = cx.key(args, 1);
    let is_moved =
        !cx.keys.exists(to, &key, cx.now_ms) && cx.keys.rename((cx.db, &key), (to, &key), cx.now_ms);
    cx.reply.integer(i64::from(is_moved));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn moves_between_databases() {
        check("SET k v EX 10 | MOVE k 1 | EXISTS k | SET k w | MOVE k 1 | GET k", "OK | 1 | 0 | OK | 0 | w");
        check("MOVE k 1", "0");
        check("SET k v PX 5 | @5ms | MOVE k 1", "OK | 0");
    }

    #[test]
    fn refuses_bad_databases() {
        check("MOVE k 0", "ERR source and destination objects are the same");
        check("MOVE k 16", "ERR DB index is out of range");
        check("MOVE k x", "ERR value is not an integer or out of range");
        check(
            "MOVE k -2147483649",
            "ERR value is out of range, value must between -2147483648 and 2147483647",
        );
    }
}
