//! SAVE, BGSAVE [SCHEDULE], LASTSAVE, BGREWRITEAOF and REWRITEAOF — write what all keys are to disk, and when that was last done. Every
//! save is one: a consistent snapshot, taken while clients are served, after which the log before it is needed no more.
//!
//! They begin a save, of which there is one at a time, or have one follow it; the shard does the rest. SAVE waits for the end of its
//! own, and nobody else does.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::commands::session::Request;
use crate::metrics::persistence::Purpose;

const UNDER_WAY: CommandError = CommandError::Text("ERR Background save already in progress");

pub fn save(cx: &mut Cx<'_>, _: &Args<'_>) -> Outcome {
    // A rewrite is as much in the way as a snapshot.
    begin(cx, Purpose::Snapshot)?.map_err(|_| UNDER_WAY)?;
    let waiting = Some(cx.asker());
    cx.server.requests.push(Request::Save { waiting, purpose: Purpose::Snapshot });
    Ok(())
}

pub fn bgsave(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let is_scheduled = args.len() == 2 && args.is(1, "SCHEDULE");
    if args.len() > 1 && !is_scheduled {
        return Err(CommandError::Syntax);
    }
    match begin(cx, Purpose::Snapshot)? {
        // Within EXEC, Redis says that it saves afterwards. So it is here, always.
        Ok(()) if cx.caller.is_exec => start(cx, Purpose::Snapshot, "Background saving scheduled"),
        Ok(()) => start(cx, Purpose::Snapshot, "Background saving started"),
        Err(Purpose::Snapshot) => return Err(UNDER_WAY),
        Err(Purpose::Rewrite) if is_scheduled => {
            cx.server.process.persistence.schedule_save(Purpose::Snapshot);
            cx.reply.simple("Background saving scheduled");
        }
        Err(Purpose::Rewrite) => {
            return Err(CommandError::Text(
                "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to schedule a BGSAVE \
                 whenever possible.",
            ));
        }
    }
    Ok(())
}

pub fn rewrite_aof(cx: &mut Cx<'_>, _: &Args<'_>) -> Outcome {
    match begin(cx, Purpose::Rewrite)? {
        Ok(()) if cx.caller.is_exec => {
            start(cx, Purpose::Rewrite, "Background append only file rewriting scheduled");
        }
        Ok(()) => start(cx, Purpose::Rewrite, "Background append only file rewriting started"),
        Err(Purpose::Rewrite) => {
            return Err(CommandError::Text("ERR Background append only file rewriting already in progress"));
        }
        Err(Purpose::Snapshot) => {
            cx.server.process.persistence.schedule_save(Purpose::Rewrite);
            cx.reply.simple("Background append only file rewriting scheduled");
        }
    }
    Ok(())
}

/// When the base in force was complete, Unix seconds. As in Redis, when the process started if there is none.
pub fn lastsave(cx: &mut Cx<'_>, _: &Args<'_>) -> Outcome {
    let process = &cx.server.process;
    cx.reply.integer(process.persistence.state().saved_ms.unwrap_or(process.started_ms) / 1000);
    Ok(())
}

/// Begins a save, or says which one is under way.
fn begin(cx: &Cx<'_>, purpose: Purpose) -> Result<Result<(), Purpose>, CommandError> {
    if !cx.server.config.start.keeps {
        return Err(CommandError::KeepsNothing);
    }
    Ok(cx.server.process.persistence.begin_save(purpose, cx.now_ms))
}

/// Has the shard carry out a save that has begun, while the client goes on.
fn start(cx: &mut Cx<'_>, purpose: Purpose, reply: &str) {
    cx.server.requests.push(Request::Save { waiting: None, purpose });
    cx.reply.simple(reply);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::session::Asker;
    use crate::commands::testing::{Bench, START_MS, check};

    /// A server that keeps its data.
    fn keeping() -> Bench {
        let mut bench = Bench::default();
        bench.server.config.start.keeps = true;
        bench
    }

    #[test]
    fn one_save_at_a_time() {
        let mut bench = keeping();
        assert_eq!(bench.run("BGSAVE"), "Background saving started");
        let request = Request::Save { waiting: None, purpose: Purpose::Snapshot };
        assert_eq!(bench.server.requests, [request]);
        let refused = "ERR Background save already in progress";
        assert_eq!(
            bench.run("SAVE | BGSAVE | bgsave schedule | BGREWRITEAOF"),
            format!("{refused} | {refused} | {refused} | Background append only file rewriting scheduled")
        );
        assert_eq!(bench.server.requests.len(), 1, "the shard hears of the next one when this one ends");
        bench.server.process.persistence.end_save(Ok(1), START_MS);
        assert_eq!(bench.server.process.persistence.take_scheduled(), Some(Purpose::Rewrite));
    }

    #[test]
    fn a_rewrite_is_in_the_way_too() {
        let mut bench = keeping();
        assert_eq!(
            bench.run("BGREWRITEAOF | REWRITEAOF | BGSAVE | BGSAVE SCHEDULE | SAVE"),
            "Background append only file rewriting started | \
             ERR Background append only file rewriting already in progress | \
             ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to schedule a BGSAVE \
             whenever possible. | Background saving scheduled | ERR Background save already in progress"
        );
    }

    #[test]
    fn save_has_no_reply_until_the_end() {
        let mut bench = keeping();
        assert_eq!(bench.call(["SAVE"]), b"");
        let waiting = Some(Asker { index: 0, is_wanted: true });
        assert_eq!(bench.server.requests, [Request::Save { waiting, purpose: Purpose::Snapshot }]);
    }

    #[test]
    fn lastsave_is_the_start_until_there_is_a_base() {
        let mut bench = keeping();
        assert_eq!(bench.run("@9s | LASTSAVE"), (START_MS / 1000).to_string());
        bench.run("BGSAVE");
        bench.server.process.persistence.end_save(Ok(1), START_MS + 5999);
        assert_eq!(bench.run("LASTSAVE"), (START_MS / 1000 + 5).to_string());
    }

    #[test]
    fn nothing_is_saved_where_nothing_is_kept() {
        let refused = "ERR this server keeps nothing, it was started with --in-memory";
        check(
            "SAVE | BGSAVE | BGREWRITEAOF | REWRITEAOF",
            &format!("{refused} | {refused} | {refused} | {refused}"),
        );
        check("BGSAVE now | BGSAVE SCHEDULE SCHEDULE", "ERR syntax error | ERR syntax error");
    }
}
