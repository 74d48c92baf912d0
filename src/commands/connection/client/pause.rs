//! CLIENT PAUSE timeout [WRITE | ALL] and CLIENT UNPAUSE — make all clients' commands, or only their writes, wait on all shards.
//! A pause ends after `timeout` milliseconds. A later one replaces it, but never lets through what the earlier one holds.

use crate::base::args::Args;
use crate::base::number::parse_i64;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::commands::session::{Pause, Request};

pub fn pause(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let writes_only = match args.len() {
        3 => false,
        4 if args.is(3, "WRITE") => true,
        4 if args.is(3, "ALL") => false,
        4 => return Err(CommandError::Text("ERR CLIENT PAUSE mode must be WRITE or ALL")),
        _ => {
            let subcommand = String::from_utf8_lossy(args.get(1)).into_owned();
            return Err(CommandError::SubcommandSyntax { subcommand, container: "CLIENT" });
        }
    };
    let timeout_ms =
        parse_i64(args.get(2)).ok_or(CommandError::Text("ERR timeout is not an integer or out of range"))?;
    if timeout_ms < 0 {
        return Err(CommandError::Text("ERR timeout is negative"));
    }
    let holds_all = cx.server.pause.is_some_and(|pause| pause.until_ms > cx.now_ms && !pause.writes_only);
    let until_ms = cx.now_ms.saturating_add(timeout_ms);
    cx.server.pause = Some(Pause { until_ms, writes_only: writes_only && !holds_all });
    cx.reply.ok();
    Ok(())
}

pub fn unpause(cx: &mut Cx<'_>, _: &Args<'_>) -> Outcome {
    if cx.server.pause.take().is_some() {
        cx.server.requests.push(Request::Resume);
    }
    cx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::{Bench, START_MS, check};

    #[test]
    fn a_pause_has_an_end_and_a_scope() {
        let mut bench = Bench::default();
        let mut pause = |script: &str| {
            bench.run(script);
            bench.server.pause.map(|pause| (pause.until_ms - START_MS, pause.writes_only))
        };
        assert_eq!(pause("CLIENT PAUSE 100 WRITE"), Some((100, true)));
        assert_eq!(pause("CLIENT PAUSE 200"), Some((200, false)));
        assert_eq!(pause("CLIENT PAUSE 50 write"), Some((50, false)));
        assert_eq!(pause("@60ms | CLIENT PAUSE 50 write"), Some((110, true)));
        assert_eq!(pause("CLIENT UNPAUSE"), None);
        assert_eq!(bench.server.requests, [Request::Resume]);
    }

    #[test]
    fn refuses_what_redis_refuses() {
        check("CLIENT PAUSE x", "ERR timeout is not an integer or out of range");
        check("CLIENT PAUSE -1", "ERR timeout is negative");
        check("CLIENT PAUSE 1 FOO", "ERR CLIENT PAUSE mode must be WRITE or ALL");
        check(
            "CLIENT PAUSE 1 ALL x",
            "ERR unknown subcommand or wrong number of arguments for 'PAUSE'. Try CLIENT HELP.",
        );
    }
}
