//! SETRANGE key offset value — overwrite part of a string from `offset` on, filling a gap with zero bytes. Returns the new length.
//! An empty value changes nothing and creates nothing.

use crate::base::args::Args;
use crate::commands::cx::{Cx, integer};
use crate::commands::error::{CommandError, Outcome};
use crate::store::object::StringRef;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let offset = integer(args, 2)?;
    let offset = usize::try_from(offset).map_err(|_| CommandError::Text("ERR offset is out of range"))?;
    let (key, value, clock) = (cx.key(args, 1), args.get(3), cx.clock());
    if value.is_empty() {
        let old = cx.keys.peek_string(cx.db, &key, cx.now_ms)?;
        cx.reply.count(old.map_or(0, StringRef::len));
        return Ok(());
    }
    if offset.saturating_add(value.len()) > cx.server.config.bulk_bytes_max {
        // A wrong type is the graver error.
        cx.keys.peek_string(cx.db, &key, cx.now_ms)?;
        return Err(CommandError::StringTooLong);
    }
    let length = cx.keys.set_range(cx.db, &key, offset, value, cx.now_ms, clock)?;
    cx.reply.count(length);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, check};

    #[test]
    fn overwrites_and_extends() {
        check("SET k \"Hello World\" | SETRANGE k 6 Redis | GET k", "OK | 11 | Hello Redis");
        check("SETRANGE k 3 ab | GET k | STRLEN k", "5 | \0\0\0ab | 5");
        check("SET k ab | SETRANGE k 4 c | GET k", "OK | 5 | ab\0\0c");
        check("SET k 1234 | SETRANGE k 1 9 | GET k | INCR k", "OK | 4 | 1934 | 1935");
        check("SET k v EX 10 | SETRANGE k 0 w | TTL k", "OK | 1 | 10");
        check("SET k v PX 5 | @5ms | SETRANGE k 0 ww | GET k | TTL k", "OK | 2 | ww | -1");
    }

    #[test]
    fn an_empty_value_changes_nothing() {
        check(
            "SETRANGE k 5 \"\" | EXISTS k | SET k 123 | SETRANGE k 10 \"\" | GET k",
            "0 | 0 | OK | 3 | 123",
        );
        check("SETRANGE k 536870912 \"\"", "0");
    }

    #[test]
    fn grows_past_the_inline_bound() {
        let mut bench = Bench::default();
        assert_eq!(
            bench.run("SET k abc | SETRANGE k 5000 x | SETRANGE k 1 y | STRLEN k"),
            "OK | 5001 | 5001 | 5001"
        );
        assert_eq!(bench.run("GETRANGE k 0 3 | GETRANGE k 4999 -1"), "ayc\0 | \0x");
        bench.check_journal();
    }

    #[test]
    fn refuses_bad_offsets() {
        check("SETRANGE k -1 x", "ERR offset is out of range");
        check("SETRANGE k x x", "ERR value is not an integer or out of range");
        let too_long = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";
        check("SETRANGE k 536870912 x | EXISTS k", &format!("{too_long} | 0"));
        check("SETRANGE k 9223372036854775807 x", too_long);
    }
}
