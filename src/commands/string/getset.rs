//! GETSET key value — set a string and return the old one, or nil. Wrong type: the key is kept. The expiry is cleared.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::commands::string::reply_string;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (key, clock) = (cx.key(args, 1), cx.clock());
    reply_string(&mut cx.reply, cx.keys.string(cx.db, &key, cx.now_ms, None)?);
    cx.keys.set_string(cx.db, &key, args.get(2), None, clock);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn returns_the_old_value() {
        check("GETSET k v | GETSET k w | GET k", "nil | v | w");
        check("SET k v EX 10 | GETSET k w | TTL k", "OK | v | -1");
    }
}
