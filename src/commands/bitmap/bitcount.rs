//! BITCOUNT key [start end [BYTE | BIT]] — how many bits are set in a string, or between two of its bytes or bits, both included.
//! Negative ends count from the end of the string. A missing key has none.

use crate::base::args::Args;
use crate::commands::bitmap::{Unit, bits};
use crate::commands::cx::{Cx, integer};
use crate::commands::error::{CommandError, Outcome};

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (key, touch) = (cx.key(args, 1), cx.touch());
    let count = match cx.keys.string(cx.db, &key, cx.now_ms, touch)? {
        // A missing key hides what is wrong with the range.
        None => 0,
        Some(string) => string.with_bytes(|bytes| count(args, bytes))?,
    };
    cx.reply.integer(count as i64);
    Ok(())
}

/// How many bits are set within the range that the words give, if they give one.
fn count(args: &Args<'_>, bytes: &[u8]) -> Result<u64, CommandError> {
    match args.len() {
        2 => return Ok(bits::count_all(bytes)),
        4 | 5 => {}
        _ => return Err(CommandError::Syntax),
    }
    let (start, end) = (integer(args, 2)?, integer(args, 3)?);
    if start < 0 && end < 0 && start > end {
        // Redis compares two negative ends before it cuts them off, and before it looks at the unit.
        return Ok(0);
    }
    let unit = if args.len() == 5 { Unit::parse(args, 4)? } else { Unit::Byte };
    Ok(unit.bits(start, end, bytes.len()).map_or(0, |range| bits::count(bytes, range)))
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn counts() {
        check("SET k foobar | BITCOUNT k | BITCOUNT missing | BITCOUNT missing 0 -1", "OK | 26 | 0 | 0");
        for (range, expected) in [
            ("0 0", "4"),
            ("1 1", "6"),
            ("1 1 BYTE", "6"),
            ("5 30 bit", "17"),
            ("-2 -1", "7"),
            ("-100 -50", "4"),
            ("-50 -100", "0"),
            ("3 2", "0"),
            ("6 10", "0"),
            ("0 -1", "26"),
            ("-1 -1 BIT", "0"),
            ("1 2 BIT", "2"),
            ("47 48 BIT", "0"),
            ("48 100 BIT", "0"),
            ("0 9223372036854775807 BIT", "26"),
        ] {
            check(&format!("SET k foobar | BITCOUNT k {range}"), &format!("OK | {expected}"));
        }
        check("SET e \"\" | BITCOUNT e | BITCOUNT e 0 0 | BITCOUNT e 0 -1 BIT", "OK | 0 | 0 | 0");
        check("SET n 123 | BITCOUNT n", "OK | 10");
    }

    #[test]
    fn refuses_bad_arguments_once_it_has_a_string() {
        let number = "ERR value is not an integer or out of range";
        let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
        for (words, error) in [
            ("1", "ERR syntax error"),
            ("1 2 FOO", "ERR syntax error"),
            ("1 2 BIT x", "ERR syntax error"),
            ("x 2 FOO", number),
            ("1 x", number),
        ] {
            check(&format!("SET k v | BITCOUNT k {words}"), &format!("OK | {error}"));
            check(
                &format!("RPUSH l a | BITCOUNT missing {words} | BITCOUNT l {words}"),
                &format!("1 | 0 | {wrong}"),
            );
        }
        check("SET k v | BITCOUNT k -1 -2 FOO", "OK | 0");
    }
}
