//! INCR key, DECR key, INCRBY key n, DECRBY key n — add to the number at a key and return the sum.
//! A missing key counts as 0. The expiry stays.

use crate::base::args::Args;
use crate::commands::cx::{Cx, integer};
use crate::commands::error::{CommandError, Outcome};

pub fn incr(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    add(cx, args, 1)
}

pub fn decr(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    add(cx, args, -1)
}

pub fn incrby(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    add(cx, args, integer(args, 2)?)
}

pub fn decrby(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let by = integer(args, 2)?.checked_neg().ok_or(CommandError::Text("ERR decrement would overflow"))?;
    add(cx, args, by)
}

#[inline]
fn add(cx: &mut Cx<'_>, args: &Args<'_>, by: i64) -> Outcome {
    let (key, clock) = (cx.key(args, 1), cx.clock());
    let sum = cx.keys.add_integer(cx.db, &key, by, cx.now_ms, clock)?;
    cx.reply.integer(sum);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn adds_and_subtracts() {
        check("INCR k | INCR k | DECR k | INCRBY k 10 | DECRBY k 3 | GET k", "1 | 2 | 1 | 11 | 8 | 8");
        check("DECR k | DECRBY k -5 | INCRBY k -10", "-1 | 4 | -6");
        check("SET k 5 EX 10 | INCR k | TTL k", "OK | 6 | 10");
        check("SET k 5 PX 5 | @5ms | INCR k | TTL k", "OK | 1 | -1");
        check("SETRANGE k 0 41 | INCR k | OBJECT ENCODING k", "2 | 42 | int");
    }

    #[test]
    fn wants_a_number() {
        for value in ["abc", "1.5", "007", "+1", "\" 1\"", "\"\"", "9223372036854775808"] {
            check(&format!("SET k {value} | INCR k"), "OK | ERR value is not an integer or out of range");
            check(&format!("INCRBY k {value} | EXISTS k"), "ERR value is not an integer or out of range | 0");
        }
    }

    #[test]
    fn does_not_overflow() {
        let overflow = "ERR increment or decrement would overflow";
        check(
            "SET k 9223372036854775807 | INCR k | GET k",
            &format!("OK | {overflow} | 9223372036854775807"),
        );
        check("SET k -9223372036854775808 | DECR k", &format!("OK | {overflow}"));
        check("SET k -1 | INCRBY k -9223372036854775808", &format!("OK | {overflow}"));
        check("DECRBY k -9223372036854775808", "ERR decrement would overflow");
        check("INCRBY k -9223372036854775808", "-9223372036854775808");
    }
}
