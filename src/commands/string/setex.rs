//! SETEX key seconds value, PSETEX key ms value — set a string that expires.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::commands::string::deadline::{Deadline, Unit};

pub fn setex(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    set(cx, args, Unit::Ex, "setex")
}

pub fn psetex(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    set(cx, args, Unit::Px, "psetex")
}

fn set(cx: &mut Cx<'_>, args: &Args<'_>, unit: Unit, command: &'static str) -> Outcome {
    let expire_at_ms = Deadline { unit, word: 2 }.at_ms(args, cx.now_ms, command)?;
    let (key, clock) = (cx.key(args, 1), cx.clock());
    cx.keys.set_string(cx.db, &key, args.get(3), Some(expire_at_ms), clock);
    cx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn sets_with_an_expiry() {
        check("SETEX k 10 v | TTL k | @10s | GET k", "OK | 10 | nil");
        check("PSETEX k 10 v | PTTL k | @10ms | GET k", "OK | 10 | nil");
        check("SET k v | SETEX k 5 w | GET k | TTL k", "OK | OK | w | 5");
    }

    #[test]
    fn refuses_bad_times() {
        check("SETEX k 0 v", "ERR invalid expire time in 'setex' command");
        check("SETEX k 9223372036854775807 v", "ERR invalid expire time in 'setex' command");
        check("PSETEX k -1 v", "ERR invalid expire time in 'psetex' command");
        check("PSETEX k x v", "ERR value is not an integer or out of range");
    }
}
