//! MSET key value [key value ...] — set several keys. Every earlier value, type and expiry is replaced.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    if args.len().is_multiple_of(2) {
        return Err(CommandError::Arity("mset".into()));
    }
    set_all(cx, args);
    cx.reply.ok();
    Ok(())
}

/// Sets the keys at words 1, 3, ... to the words that follow them.
pub fn set_all(cx: &mut Cx<'_>, args: &Args<'_>) {
    cx.for_each_key(args, (1..args.len()).step_by(2), |cx, word, key| {
        cx.keys.set_string(cx.db, key, args.get(word + 1), None, cx.clock());
    });
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn sets_all_or_complains() {
        check("MSET a 1 b 2 a 3 | MGET a b", "OK | [3, 2]");
        check("MSET a 1 b", "ERR wrong number of arguments for 'mset' command");
        check("MSET a", "ERR wrong number of arguments for 'mset' command");
    }

    #[test]
    fn clears_the_expiry() {
        check("SET a 1 EX 10 | MSET a 2 | TTL a", "OK | OK | -1");
    }
}
