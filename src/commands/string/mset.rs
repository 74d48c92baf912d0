//! MSET key value [key value ...] — set several keys. Every earlier value, type and expiry is replaced.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    if args.len() % 2 == 0 {
        return Err(CommandError::Arity("mset".into()));
    }
    for i in (1..args.len()).step_by(2) {
        let (key, clock) = (cx.key(args, i), cx.clock());
        cx.keys.set_string(cx.db, &key, args.get(i + 1), None, clock);
    }
    cx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn sets_all_or_complains() {
        check("MSET a 1 b 2 a 3 | MGET a b", "OK | [3, 2]");
        check("MSET a 1 b", "ERR wrong number of arguments for 'mset' command");
    }
}
