//! SHUTDOWN [NOSAVE | SAVE] [NOW] [FORCE] [ABORT] — end the process, without a reply. There is nothing to save to yet, so SAVE is
//! refused rather than ignored. Shutting down never waits, so there is never a shutdown to abort.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::commands::session::Request;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (mut saves, mut saves_not, mut aborts) = (false, false, false);
    for i in 1..args.len() {
        match args.get(i).to_ascii_lowercase().as_slice() {
            b"save" => saves = true,
            b"nosave" => saves_not = true,
            b"abort" => aborts = true,
            b"now" | b"force" => {}
            _ => return Err(CommandError::Syntax),
        }
    }
    if (saves && saves_not) || (aborts && args.len() > 2) {
        return Err(CommandError::Syntax);
    }
    if aborts {
        return Err(CommandError::Text("ERR No shutdown in progress."));
    }
    if saves {
        return Err(CommandError::Text(
            "ERR SHUTDOWN SAVE is not supported yet: there are no snapshots to save to",
        ));
    }
    cx.server.requests.push(Request::Shutdown);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::session::Request;
    use crate::commands::testing::{Bench, check};

    #[test]
    fn asks_the_shard_and_replies_nothing() {
        for words in [&["SHUTDOWN"][..], &["SHUTDOWN", "nosave", "now", "force"]] {
            let mut bench = Bench::default();
            assert_eq!(bench.call(words), b"");
            assert_eq!(bench.server.requests, [Request::Shutdown]);
        }
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        check("SHUTDOWN ABORT", "ERR No shutdown in progress.");
        check(
            "SHUTDOWN ABORT NOW | SHUTDOWN FOO | SHUTDOWN SAVE NOSAVE",
            "ERR syntax error | ERR syntax error | ERR syntax error",
        );
        check("SHUTDOWN SAVE", "ERR SHUTDOWN SAVE is not supported yet: there are no snapshots to save to");
    }
}
