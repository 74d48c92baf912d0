//! CLIENT UNBLOCK id [TIMEOUT | ERROR] — end the wait of another client, as if its time were up or with an error. Returns 1, or 0 if that
//! client does not wait.

use crate::base::args::Args;
use crate::commands::cx::{Cx, integer};
use crate::commands::error::{CommandError, Outcome};
use crate::commands::session::Request;

/// Replies how many clients of this shard it unblocked.
pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let with_error = match args.len() {
        3 => false,
        4 if args.is(3, "TIMEOUT") => false,
        4 if args.is(3, "ERROR") => true,
        4 => return Err(CommandError::Text("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")),
        _ => {
            let subcommand = String::from_utf8_lossy(args.get(1)).into_owned();
            return Err(CommandError::SubcommandSyntax { subcommand, container: "CLIENT" });
        }
    };
    let id = integer(args, 2)?;
    let sessions = cx.server.sessions.by_age();
    let found = sessions.iter().find(|(_, session)| session.id as i64 == id && session.is_blocked);
    let index = found.map(|(index, _)| *index);
    if let Some(session) = index.and_then(|index| cx.server.sessions.get_mut(index)) {
        // Its wait ends after the commands of this read; none of them ends it again.
        session.is_blocked = false;
    }
    cx.server.requests.extend(index.map(|index| Request::Unblock { index, with_error }));
    cx.reply.integer(i64::from(index.is_some()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::{Bench, check};

    #[test]
    fn finds_who_waits() {
        check("CLIENT UNBLOCK 1 | CLIENT UNBLOCK 77 ERROR", "0 | 0");
        let mut bench = Bench::default();
        bench.server.sessions.get_mut(0).expect("the client").is_blocked = true;
        assert_eq!(bench.run("CLIENT UNBLOCK 2 | CLIENT UNBLOCK 1 error"), "0 | 1");
        assert_eq!(bench.server.requests, [Request::Unblock { index: 0, with_error: true }]);
    }

    #[test]
    fn refuses_bad_words() {
        check("CLIENT UNBLOCK x", "ERR value is not an integer or out of range");
        check("CLIENT UNBLOCK 1 NOW", "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
    }
}
