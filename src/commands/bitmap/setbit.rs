//! SETBIT key offset value — set or clear one bit of a string, which grows to hold it. Returns what the bit was.
//! A bit that has its value already changes nothing.

use crate::base::args::Args;
use crate::commands::bitmap::{BIT_OFFSET, bit_offset};
use crate::commands::cx::{Cx, integer};
use crate::commands::error::{CommandError, Outcome};

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let offset = bit_offset(args.get(2), cx.server.config.bulk_bytes_max).ok_or(BIT_OFFSET)?;
    let is_on = match integer(args, 3) {
        Ok(0) => false,
        Ok(1) => true,
        _ => return Err(CommandError::Text("ERR bit is not an integer or out of range")),
    };
    let (key, clock) = (cx.key(args, 1), cx.clock());
    let (at, mask) = ((offset / 8) as usize, 0x80 >> (offset % 8));
    let byte = match cx.keys.peek_string(cx.db, &key, cx.now_ms)? {
        None => None,
        Some(string) => string.with_bytes(|bytes| bytes.get(at).copied()),
    };
    let was_on = byte.unwrap_or(0) & mask != 0;
    if byte.is_none() || was_on != is_on {
        let rest = byte.unwrap_or(0) & !mask;
        cx.keys.set_range(cx.db, &key, at, &[if is_on { rest | mask } else { rest }], cx.now_ms, clock)?;
    }
    cx.reply.integer(i64::from(was_on));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, check};
    use crate::store::effect::decode_all;

    #[test]
    fn sets_and_clears() {
        check("SETBIT k 1 1 | SETBIT k 7 1 | GET k | SETBIT k 1 0 | GET k", "0 | 0 | A | 1 | \u{1}");
        check("SETBIT k 20 0 | STRLEN k | BITCOUNT k", "0 | 3 | 0");
        check("SET k 1 EX 10 | SETBIT k 6 1 | GET k | TTL k | INCR k", "OK | 0 | 3 | 10 | 4");
        check("SET k 1 PX 5 | @5ms | SETBIT k 1 1 | GET k | TTL k", "OK | 0 | @ | -1");
    }

    #[test]
    fn an_equal_bit_changes_nothing() {
        let mut bench = Bench::default();
        assert_eq!(bench.run("SET k A | SETBIT k 1 1 | SETBIT k 0 0"), "OK | 1 | 0");
        assert_eq!(decode_all(&bench.keys.take_effects()).count(), 1);
    }

    #[test]
    fn a_large_string_is_edited_in_place() {
        let mut bench = Bench::default();
        assert_eq!(
            bench.run("SETBIT k 799999 1 | SETBIT k 5 1 | SETBIT k 5 1 | BITCOUNT k"),
            "0 | 0 | 1 | 2"
        );
        bench.check_journal();
    }

    #[test]
    fn refuses_bad_arguments() {
        let offset = "ERR bit offset is not an integer or out of range";
        let bit = "ERR bit is not an integer or out of range";
        for bad in ["-1", "x", "4294967296", "9223372036854775807", "#1", "\"\""] {
            check(&format!("SETBIT k {bad} 2 | EXISTS k"), &format!("{offset} | 0"));
        }
        for bad in ["2", "-1", "x"] {
            check(&format!("SETBIT k 1 {bad} | EXISTS k"), &format!("{bit} | 0"));
        }
    }
}
