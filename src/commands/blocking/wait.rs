//! WAIT replicas timeout and WAITAOF local replicas timeout — how many replicas, and whether this server's own append-only file, have the
//! client's writes. There are no replicas, so nobody waits for them. WAITAOF waits until the log has the client's writes so far, which
//! only the shard can tell: it writes the reply.

use crate::base::args::Args;
use crate::base::number::parse_i64;
use crate::commands::cx::{Cx, integer};
use crate::commands::error::{CommandError, Outcome};
use crate::commands::session::Request;

const OUT_OF_RANGE: CommandError = CommandError::Text("ERR timeout is out of range");

pub fn wait(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    integer(args, 1)?;
    check_timeout(args.get(2))?;
    cx.reply.integer(0);
    Ok(())
}

pub fn waitaof(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    const RANGE: CommandError = CommandError::Text("ERR value is out of range, value must between 0 and 1");
    let local = integer(args, 1)?;
    if !(0..=1).contains(&local) {
        return Err(RANGE);
    }
    if integer(args, 2)? < 0 {
        return Err(CommandError::Text("ERR value is out of range, must be positive"));
    }
    let timeout_ms = check_timeout(args.get(3))?;
    if local > 0 && !cx.server.config.append_only {
        return Err(CommandError::Text(
            "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.",
        ));
    }
    if !cx.server.config.append_only || cx.caller.is_exec {
        // What is certain without asking the shards. Within EXEC nobody waits.
        cx.reply.array(2);
        cx.reply.integer(0);
        cx.reply.integer(0);
        return Ok(());
    }
    let until_ms = match (local, timeout_ms) {
        // It is asked what is true now.
        (0, _) => Some(cx.now_ms),
        (_, 0) => None,
        (_, timeout_ms) => Some(cx.now_ms.checked_add(timeout_ms).ok_or(OUT_OF_RANGE)?),
    };
    let asker = cx.asker();
    cx.server.requests.push(Request::WaitAof { asker, until_ms });
    Ok(())
}

/// A timeout in milliseconds; 0 is for ever.
fn check_timeout(word: &[u8]) -> Result<i64, CommandError> {
    let timeout =
        parse_i64(word).ok_or(CommandError::Text("ERR timeout is not an integer or out of range"))?;
    if timeout < 0 { Err(CommandError::Text("ERR timeout is negative")) } else { Ok(timeout) }
}

#[cfg(test)]
mod tests {
    use crate::commands::session::{Asker, Request};
    use crate::commands::testing::{Bench, START_MS, check};

    #[test]
    fn the_shard_knows_when_the_log_has_the_writes() {
        for (line, until_ms) in [
            ("WAITAOF 1 0 0", None),
            ("WAITAOF 1 3 25", Some(START_MS + 25)),
            ("WAITAOF 0 0 0", Some(START_MS)),
            ("WAITAOF 0 1 500", Some(START_MS)),
        ] {
            let mut bench = Bench::default();
            bench.server.config.append_only = true;
            assert_eq!(bench.call(line.split(' ')), b"", "{line}");
            let asker = Asker { index: 0, is_wanted: true };
            assert_eq!(bench.server.requests, [Request::WaitAof { asker, until_ms }], "{line}");
        }
        let mut bench = Bench::default();
        bench.server.config.append_only = true;
        assert_eq!(bench.run("WAITAOF 1 0 9223372036854775807"), "ERR timeout is out of range");
    }

    #[test]
    fn nobody_else_has_the_writes() {
        check("WAIT 0 0 | WAIT 1 0 | WAITAOF 0 0 0 | WAITAOF 0 1 100", "0 | 0 | [0, 0] | [0, 0]");
    }

    #[test]
    fn refuses_bad_words() {
        check(
            "WAIT x 0 | WAIT 1 x | WAIT 1 -1",
            "ERR value is not an integer or out of range | ERR timeout is not an integer or out of range | ERR timeout is negative",
        );
        check(
            "WAITAOF 2 0 0 | WAITAOF 0 -1 0 | WAITAOF 1 0 0",
            "ERR value is out of range, value must between 0 and 1 | ERR value is out of range, must be positive | \
             ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.",
        );
    }
}
