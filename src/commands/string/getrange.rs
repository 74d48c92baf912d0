//! GETRANGE key start end, SUBSTR key start end — return part of a string. Both ends belong to it; negative ones count from
//! the end of the string, and what lies outside is cut off. Empty for a missing key.

use crate::base::args::Args;
use crate::commands::cx::{Cx, integer};
use crate::commands::error::Outcome;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (start, end) = (integer(args, 2)?, integer(args, 3)?);
    let (key, touch) = (cx.key(args, 1), cx.touch());
    match cx.keys.string(cx.db, &key, cx.now_ms, touch)? {
        Some(value) => value.with_bytes(|bytes| cx.reply.bulk(range(bytes, start, end))),
        None => cx.reply.bulk(b""),
    }
    Ok(())
}

fn range(bytes: &[u8], start: i64, end: i64) -> &[u8] {
    // Redis compares two negative ends before it cuts them off: on a short string, -100 -50 gives the first byte and
    // -50 -100 nothing.
    if bytes.is_empty() || (start < 0 && end < 0 && start > end) {
        return b"";
    }
    let length = bytes.len() as i64;
    let from_front = |at: i64| if at < 0 { (length + at).max(0) } else { at };
    let (start, end) = (from_front(start), from_front(end).min(length - 1));
    if start > end { b"" } else { &bytes[start as usize..=end as usize] }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn returns_a_part() {
        for (range, expected) in [
            ("0 3", "This"),
            ("-3 -1", "ing"),
            ("0 -1", "This is a string"),
            ("10 100", "string"),
            ("-100 3", "This"),
            ("-100 -50", "T"),
            ("-50 -100", "\"\""),
            ("5 4", "\"\""),
            ("16 20", "\"\""),
            ("0 -100", "T"),
            ("-9223372036854775808 9223372036854775807", "This is a string"),
        ] {
            check(
                &format!("SET k \"This is a string\" | GETRANGE k {range} | SUBSTR k {range}"),
                &format!("OK | {expected} | {expected}"),
            );
        }
        check("SET n 12345 | GETRANGE n 1 2 | GETRANGE missing 0 -1", "OK | 23 | \"\"");
        check("SET e \"\" | GETRANGE e 0 -1", "OK | \"\"");
    }

    #[test]
    fn wants_numbers() {
        check("GETRANGE k a 1", "ERR value is not an integer or out of range");
        check("SUBSTR k 1 1.5", "ERR value is not an integer or out of range");
    }
}
