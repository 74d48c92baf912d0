//! SWAPDB index1 index2 — exchange two databases, so that every client sees the other's keys.

use crate::base::args::Args;
use crate::base::number::parse_i64;
use crate::commands::cx::{Cx, db_index};
use crate::commands::error::{CommandError, Outcome};

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    // Redis looks at both words before it looks at their ranges.
    for (i, text) in [(1, "ERR invalid first DB index"), (2, "ERR invalid second DB index")] {
        parse_i64(args.get(i))
            .filter(|&index| i32::try_from(index).is_ok())
            .ok_or(CommandError::Text(text))?;
    }
    let (first, second) = (db_index(args, 1)?, db_index(args, 2)?);
    if first != second {
        cx.keys.swap(first, second, cx.now_ms);
    }
    cx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn exchanges_keys() {
        check(
            "SET k zero | SWAPDB 0 1 | GET k | SELECT 1 | GET k | SWAPDB 1 1",
            "OK | OK | nil | OK | zero | OK",
        );
    }

    #[test]
    fn names_the_word_that_is_wrong() {
        check("SWAPDB x 1 | SWAPDB 1 y", "ERR invalid first DB index | ERR invalid second DB index");
        check("SWAPDB 99 y | SWAPDB 1 99", "ERR invalid second DB index | ERR DB index is out of range");
        check("SWAPDB -1 0", "ERR DB index is out of range");
    }
}
