//! SETNX key value — set a string if the key does not exist. Returns 1 or 0.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (key, clock) = (cx.key(args, 1), cx.clock());
    let is_present = cx.keys.exists(cx.db, &key, cx.now_ms);
    if !is_present {
        cx.keys.set_string(cx.db, &key, args.get(2), None, clock);
    }
    cx.reply.integer(i64::from(!is_present));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn sets_only_a_missing_key() {
        check("SETNX k v | SETNX k w | GET k", "1 | 0 | v");
        check("SET k v PX 5 | @5ms | SETNX k w | GET k | TTL k", "OK | 1 | w | -1");
        check("SETNX k", "ERR wrong number of arguments for 'setnx' command");
    }
}
