//! APPEND key value — append to a string, or create it. Returns the new length. The expiry stays.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::store::object::StringRef;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (key, value, clock) = (cx.key(args, 1), args.get(2), cx.clock());
    let length = match cx.keys.peek_string(cx.db, &key, cx.now_ms)?.map(StringRef::len) {
        None => {
            cx.keys.set_string(cx.db, &key, value, None, clock);
            value.len()
        }
        Some(length) if length + value.len() > cx.server.config.bulk_bytes_max => {
            return Err(CommandError::StringTooLong);
        }
        Some(length) => cx.keys.set_range(cx.db, &key, length, value, cx.now_ms, clock)?,
    };
    cx.reply.count(length);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, check};

    #[test]
    fn appends_or_creates() {
        check("APPEND k ab | APPEND k cd | GET k", "2 | 4 | abcd");
        check("APPEND k 12 | INCR k | APPEND k 0 | INCR k", "2 | 13 | 3 | 131");
        check("APPEND k \"\" | EXISTS k | APPEND k \"\" | GET k", "0 | 1 | 0 | \"\"");
        check("SET k v EX 10 | APPEND k w | TTL k", "OK | 2 | 10");
        check("SET k v PX 5 | @5ms | APPEND k w | GET k | TTL k", "OK | 1 | w | -1");
    }

    #[test]
    fn respects_the_bound_of_a_string() {
        let mut bench = Bench::default();
        bench.server.config.bulk_bytes_max = 10;
        let replies = bench.run("APPEND k 12345 | APPEND k 67890 | APPEND k x | GET k");
        assert_eq!(
            replies,
            "5 | 10 | ERR string exceeds maximum allowed size (proto-max-bulk-len) | 1234567890"
        );
        bench.check_journal();
    }

    #[test]
    fn grows_past_the_inline_bound() {
        let mut bench = Bench::default();
        let part = "x".repeat(1500);
        for n in 1..=10 {
            assert_eq!(bench.run(&format!("APPEND k {part}")), (n * 1500).to_string());
        }
        bench.check_journal();
    }
}
