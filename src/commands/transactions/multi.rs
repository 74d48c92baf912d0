//! MULTI, EXEC, DISCARD — queue commands, then run all of them as one, or none. MULTI and DISCARD reply OK; EXEC an array with the
//! reply of each command, or nil if a watched key has changed. A command that could not be queued makes EXEC refuse all; an
//! error while they run is the reply of its command, and the others run all the same.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};

/// What `EXEC` replies after a command that could not be queued.
pub const ABORTED: &str = "EXECABORT Transaction discarded because of previous errors.";
/// What it replies with too many words, before the reason.
pub const ABORTED_BECAUSE: &str = "EXECABORT Transaction discarded because of:";

pub fn multi(cx: &mut Cx<'_>, _: &Args<'_>) -> Outcome {
    let session = cx.session();
    if session.queued.is_some() {
        return Err(CommandError::Text("ERR MULTI calls can not be nested"));
    }
    session.queued = Some(0);
    cx.reply.ok();
    Ok(())
}

/// Runs only where nothing is queued: the shard runs what is.
pub fn exec(_: &mut Cx<'_>, _: &Args<'_>) -> Outcome {
    Err(CommandError::Text("ERR EXEC without MULTI"))
}

pub fn discard(cx: &mut Cx<'_>, _: &Args<'_>) -> Outcome {
    if cx.session().queued.take().is_none() {
        return Err(CommandError::Text("ERR DISCARD without MULTI"));
    }
    cx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn come_in_pairs() {
        check("EXEC | DISCARD", "ERR EXEC without MULTI | ERR DISCARD without MULTI");
        check(
            "MULTI | MULTI | DISCARD | DISCARD",
            "OK | ERR MULTI calls can not be nested | OK | ERR DISCARD without MULTI",
        );
    }
}
