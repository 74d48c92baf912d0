//! BITPOS key bit [start [end [BYTE | BIT]]] — the first bit that is set, or clear, in a string or between two of its bytes or
//! bits. -1 if there is none; but without an explicit end, zeros follow the string, and the first of them counts.

use crate::base::args::Args;
use crate::commands::bitmap::{Unit, bits};
use crate::commands::cx::{Cx, integer};
use crate::commands::error::{CommandError, Outcome};

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let bit = match integer(args, 2)? {
        0 => false,
        1 => true,
        _ => return Err(CommandError::Text("ERR The bit argument must be 1 or 0.")),
    };
    let (key, touch) = (cx.key(args, 1), cx.touch());
    let position = match cx.keys.string(cx.db, &key, cx.now_ms, touch)? {
        // A missing key hides what is wrong with the range.
        None => (!bit).then_some(0),
        Some(string) => string.with_bytes(|bytes| position(args, bytes, bit))?,
    };
    cx.reply.integer(position.map_or(-1, |at| at as i64));
    Ok(())
}

/// The first such bit within the range that the words give, if they give one.
fn position(args: &Args<'_>, bytes: &[u8], bit: bool) -> Result<Option<u64>, CommandError> {
    if args.len() > 6 {
        return Err(CommandError::Syntax);
    }
    // Redis looks at the last word before the one in the middle.
    let start = if args.len() > 3 { integer(args, 3)? } else { 0 };
    let unit = if args.len() > 5 { Unit::parse(args, 5)? } else { Unit::Byte };
    let end = if args.len() > 4 { Some(integer(args, 4)?) } else { None };
    let Some(range) = unit.bits(start, end.unwrap_or(-1), bytes.len()) else { return Ok(None) };
    let after = (!bit && end.is_none()).then_some(bytes.len() as u64 * 8);
    Ok(bits::position(bytes, bit, range).or(after))
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn finds_the_first() {
        let set = "SETBIT k 12 1 | SETBIT k 21 1 | SETBIT k 30 1";
        for (words, expected) in [
            ("1", "12"),
            ("0", "0"),
            ("1 1", "12"),
            ("1 2", "21"),
            ("1 2 2", "21"),
            ("1 -1", "30"),
            ("1 0 0", "-1"),
            ("1 13 20 BIT", "-1"),
            ("1 13 21 BIT", "21"),
            ("1 13 21 bit", "21"),
            ("1 -11 -1 BIT", "21"),
            ("1 3 2", "-1"),
            ("1 4", "-1"),
            ("0 4", "-1"),
            ("0 12 12 BIT", "-1"),
        ] {
            check(&format!("{set} | BITPOS k {words}"), &format!("0 | 0 | 0 | {expected}"));
        }
    }

    #[test]
    fn zeros_follow_a_string_of_ones_unless_it_has_an_end() {
        let set = "SETBIT k 0 1 | BITOP NOT k k | SETBIT k 0 1";
        check(&format!("{set} | BITPOS k 0"), "0 | 1 | 0 | 8");
        check(&format!("{set} | BITPOS k 0 0 | BITPOS k 0 0 -1 | BITPOS k 0 0 5"), "0 | 1 | 0 | 8 | -1 | -1");
        check("BITPOS k 0 | BITPOS k 1 | BITPOS k 0 5 7", "0 | -1 | 0");
        check("SET k \"\" | BITPOS k 0 | BITPOS k 1", "OK | -1 | -1");
    }

    #[test]
    fn refuses_bad_ranges_once_it_has_a_string() {
        let number = "ERR value is not an integer or out of range";
        let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
        for (words, error) in [
            ("x", number),
            ("1 x", number),
            ("x 1 FOO", number),
            ("1 x FOO", "ERR syntax error"),
            ("1 2 FOO", "ERR syntax error"),
            ("1 2 BIT x", "ERR syntax error"),
        ] {
            check(&format!("SET k v | BITPOS k 1 {words}"), &format!("OK | {error}"));
            check(&format!("BITPOS k 1 {words} | BITPOS k 0 {words}"), "-1 | 0");
            check(&format!("RPUSH k a | BITPOS k 1 {words}"), &format!("1 | {wrong}"));
        }
    }

    #[test]
    fn refuses_other_bits_before_it_looks() {
        check("BITPOS k 2 x", "ERR The bit argument must be 1 or 0.");
        check(
            "RPUSH k a | BITPOS k x | BITPOS k -1",
            "1 | ERR value is not an integer or out of range | ERR The bit argument must be 1 or 0.",
        );
    }
}
