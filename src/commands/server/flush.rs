//! FLUSHDB and FLUSHALL [ASYNC | SYNC] — remove every key of the selected database, or of all. The keys are gone at once; their
//! memory comes back in steps between other work, whichever word is given.

use crate::base::args::Args;
use crate::base::limits::DATABASES;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};

pub fn db(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    check_mode(args)?;
    cx.keys.flush(cx.db);
    cx.reply.ok();
    Ok(())
}

pub fn all(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    check_mode(args)?;
    for db in 0..DATABASES as u16 {
        if !cx.keys.is_empty(db) {
            cx.keys.flush(db);
        }
    }
    cx.reply.ok();
    Ok(())
}

fn check_mode(args: &Args<'_>) -> Result<(), CommandError> {
    match args.len() {
        1 => Ok(()),
        2 if args.is(1, "ASYNC") || args.is(1, "SYNC") => Ok(()),
        _ => Err(CommandError::Syntax),
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn empties_one_database_or_all() {
        check(
            "SET k v | SELECT 1 | SET k v | FLUSHDB | DBSIZE | SELECT 0 | DBSIZE",
            "OK | OK | OK | OK | 0 | OK | 1",
        );
        check(
            "SET k v | SELECT 1 | SET k v | FLUSHALL sync | DBSIZE | SELECT 0 | DBSIZE",
            "OK | OK | OK | OK | 0 | OK | 0",
        );
        check(
            "FLUSHDB ASYNC | FLUSHDB now | FLUSHALL SYNC ASYNC",
            "OK | ERR syntax error | ERR syntax error",
        );
    }
}
