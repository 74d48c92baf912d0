//! HINCRBY key field n — add to the number in a field and return the sum. A missing field counts as 0, a missing hash is created.
//! The field's expiry stays.

use crate::base::args::Args;
use crate::base::number::{INTEGER_TEXT_BYTES_MAX, format_i64};
use crate::commands::cx::{Cx, integer};
use crate::commands::error::{CommandError, Outcome};
use crate::store::hash::Hash;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let by = integer(args, 3)?;
    let (key, field, clock) = (cx.key(args, 1), args.get(2), cx.clock());
    let sum = cx.keys.change_or_create::<Hash, _>(cx.db, &key, cx.now_ms, clock, |hash| {
        let old = match hash.view().get(field) {
            Some(value) => value.integer().ok_or(CommandError::Text("ERR hash value is not an integer"))?,
            None => 0,
        };
        let sum = old.checked_add(by).ok_or(CommandError::Overflow)?;
        hash.set_keeping_expiry(field, format_i64(sum, &mut [0; INTEGER_TEXT_BYTES_MAX]));
        Ok::<i64, CommandError>(sum)
    })??;
    cx.reply.integer(sum);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn adds() {
        check("HINCRBY h a 5 | HINCRBY h a -7 | HINCRBY h b 0 | HGETALL h", "5 | -2 | 0 | [a, -2, b, 0]");
        check("HSET h a 1 b 2 | HINCRBY h a 1000000 | HGETALL h", "2 | 1000001 | [a, 1000001, b, 2]");
        check(
            "HSET h a 1 | HEXPIRE h 5 FIELDS 1 a | HINCRBY h a 1 | HTTL h FIELDS 1 a | @5s | \
             HINCRBY h a 1 | HTTL h FIELDS 1 a",
            "1 | [1] | 2 | [5] | 1 | [-1]",
        );
    }

    #[test]
    fn wants_numbers_that_fit() {
        let not_integer = "ERR value is not an integer or out of range";
        for by in ["x", "1.5", "\"\"", "9223372036854775808"] {
            check(&format!("HINCRBY h a {by} | EXISTS h"), &format!("{not_integer} | 0"));
        }
        for value in ["x", "1.5", "\" 1\"", "007", "\"\""] {
            check(&format!("HSET h a {value} | HINCRBY h a 1"), "1 | ERR hash value is not an integer");
        }
        check(
            "HSET h a 9223372036854775807 | HINCRBY h a 1 | HGET h a",
            "1 | ERR increment or decrement would overflow | 9223372036854775807",
        );
        check("SET k v | HINCRBY k a x", &format!("OK | {not_integer}"));
        check("SET k v | HINCRBY k a 1", &format!("OK | {}", super::super::tests::WRONG_TYPE));
    }
}
