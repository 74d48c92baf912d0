//! SHUTDOWN [NOSAVE | SAVE] [NOW] [FORCE] [ABORT] — end the process, without a reply unless it cannot: the shard then replies that a
//! save failed, which FORCE has it ignore. Without NOSAVE or SAVE, it saves if there are save points. There are no replicas to wait
//! for, which is what Redis's NOW leaves out and ABORT ends.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::commands::session::Request;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (mut saves, mut saves_not, mut aborts, mut force) = (false, false, false, false);
    for i in 1..args.len() {
        match args.get(i).to_ascii_lowercase().as_slice() {
            b"save" => saves = true,
            b"nosave" => saves_not = true,
            b"abort" => aborts = true,
            b"force" => force = true,
            b"now" => {}
            _ => return Err(CommandError::Syntax),
        }
    }
    if (saves && saves_not) || (aborts && args.len() > 2) {
        return Err(CommandError::Syntax);
    }
    if aborts {
        return Err(CommandError::Text("ERR No shutdown in progress."));
    }
    if saves && !cx.server.config.start.keeps {
        return Err(CommandError::KeepsNothing);
    }
    let save = (saves || saves_not).then_some(saves);
    let asker = cx.asker();
    cx.server.requests.push(Request::Shutdown { asker, save, force });
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::session::{Asker, Request};
    use crate::commands::testing::{Bench, check};

    #[test]
    fn asks_the_shard_and_replies_nothing() {
        for (words, save, force) in [
            (&["SHUTDOWN"][..], None, false),
            (&["SHUTDOWN", "nosave", "now", "force"], Some(false), true),
            (&["SHUTDOWN", "SAVE"], Some(true), false),
        ] {
            let mut bench = Bench::default();
            bench.server.config.start.keeps = true;
            let asker = Asker { index: 0, is_wanted: true };
            assert_eq!(bench.call(words), b"");
            assert_eq!(bench.server.requests, [Request::Shutdown { asker, save, force }]);
        }
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        check("SHUTDOWN ABORT", "ERR No shutdown in progress.");
        check(
            "SHUTDOWN ABORT NOW | SHUTDOWN FOO | SHUTDOWN SAVE NOSAVE",
            "ERR syntax error | ERR syntax error | ERR syntax error",
        );
        check("SHUTDOWN SAVE", "ERR this server keeps nothing, it was started with --in-memory");
    }
}
