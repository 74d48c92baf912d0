//! EXPIRE key seconds, PEXPIRE key ms, EXPIREAT key unix-seconds, PEXPIREAT key unix-ms, each [NX | XX | GT | LT] — let a key
//! expire. Returns 1, or 0 where the key is missing or the option forbids it. A time that has passed removes the key.
//! For GT and LT, a key without expiry counts as one that expires in infinity.

use crate::base::args::Args;
use crate::commands::cx::{Cx, integer};
use crate::commands::error::{CommandError, Outcome};

pub fn expire(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    run(cx, args, 1000, cx.now_ms, "expire")
}

pub fn pexpire(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    run(cx, args, 1, cx.now_ms, "pexpire")
}

pub fn expireat(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    run(cx, args, 1000, 0, "expireat")
}

pub fn pexpireat(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    run(cx, args, 1, 0, "pexpireat")
}

fn run(cx: &mut Cx<'_>, args: &Args<'_>, unit_ms: i64, base_ms: i64, command: &'static str) -> Outcome {
    let condition = Condition::parse(args)?;
    let number = integer(args, 2)?;
    let at_ms = number
        .checked_mul(unit_ms)
        .and_then(|ms| ms.checked_add(base_ms))
        .ok_or(CommandError::InvalidExpire(command))?;
    let key = cx.key(args, 1);
    let is_allowed = match cx.keys.peek(cx.db, &key, cx.now_ms) {
        Some(entry) => condition.allows(entry.expire_at_ms(), at_ms),
        None => false,
    };
    if is_allowed && at_ms <= cx.now_ms {
        cx.keys.remove(cx.db, &key, cx.now_ms);
    } else if is_allowed {
        cx.keys.set_expiry(cx.db, &key, Some(at_ms));
    }
    cx.reply.integer(i64::from(is_allowed));
    Ok(())
}

#[derive(Default)]
struct Condition {
    nx: bool,
    xx: bool,
    gt: bool,
    lt: bool,
}

impl Condition {
    fn parse(args: &Args<'_>) -> Result<Condition, CommandError> {
        let mut condition = Condition::default();
        for i in 3..args.len() {
            let option = match () {
                () if args.is(i, "NX") => &mut condition.nx,
                () if args.is(i, "XX") => &mut condition.xx,
                () if args.is(i, "GT") => &mut condition.gt,
                () if args.is(i, "LT") => &mut condition.lt,
                () => {
                    let option = String::from_utf8_lossy(args.get(i));
                    return Err(CommandError::Detailed(format!("ERR Unsupported option {option}")));
                }
            };
            *option = true;
        }
        let Condition { nx, xx, gt, lt } = condition;
        if nx && (xx || gt || lt) {
            return Err(CommandError::Text(
                "ERR NX and XX, GT or LT options at the same time are not compatible",
            ));
        }
        if gt && lt {
            return Err(CommandError::Text("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(condition)
    }

    fn allows(&self, current_ms: Option<i64>, at_ms: i64) -> bool {
        let is_forbidden = match current_ms {
            Some(current_ms) => {
                self.nx || (self.gt && at_ms <= current_ms) || (self.lt && at_ms >= current_ms)
            }
            None => self.xx || self.gt,
        };
        !is_forbidden
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn sets_the_expiry() {
        check("SET k v | EXPIRE k 10 | TTL k | @10s | EXISTS k", "OK | 1 | 10 | 0");
        check(
            "SET k v | PEXPIRE k 1500 | PTTL k | @1499ms | GET k | @1500ms | GET k",
            "OK | 1 | 1500 | v | nil",
        );
        check("SET k v | EXPIREAT k 1700000010 | TTL k", "OK | 1 | 10");
        check("SET k v | PEXPIREAT k 1700000000010 | PTTL k", "OK | 1 | 10");
        check("EXPIRE k 10 | PEXPIREAT k 1", "0 | 0");
        check("SET k v PX 5 | @5ms | EXPIRE k 10 | EXISTS k", "OK | 0 | 0");
    }

    #[test]
    fn a_past_time_removes() {
        for call in ["EXPIRE k 0", "EXPIRE k -1", "PEXPIRE k -5", "EXPIREAT k 1", "PEXPIREAT k 1700000000000"]
        {
            check(&format!("SET k v | {call} | EXISTS k"), "OK | 1 | 0");
        }
        check("SET k v | EXPIRE k -9223372036854775", "OK | 1");
    }

    #[test]
    fn options_compare_with_the_expiry_there_is() {
        check(
            "SET k v | EXPIRE k 10 XX | EXPIRE k 10 NX | EXPIRE k 20 nx | EXPIRE k 30 xx | TTL k",
            "OK | 0 | 1 | 0 | 1 | 30",
        );
        check("SET k v | EXPIRE k 10 GT | EXPIRE k 10 LT | TTL k", "OK | 0 | 1 | 10");
        check(
            "SET k v EX 10 | EXPIRE k 10 GT | EXPIRE k 11 GT | EXPIRE k 11 LT | EXPIRE k 5 LT | TTL k",
            "OK | 0 | 1 | 0 | 1 | 5",
        );
        check("SET k v | EXPIRE k 5 XX LT | EXPIRE k 5 LT XX LT | TTL k", "OK | 0 | 0 | -1");
        check("SET k v EX 10 | EXPIRE k -1 GT | EXPIRE k -1 LT | EXISTS k", "OK | 0 | 1 | 0");
    }

    #[test]
    fn refuses_bad_options() {
        let with_nx = "ERR NX and XX, GT or LT options at the same time are not compatible";
        for options in ["NX XX", "NX GT", "LT NX", "NX XX GT LT"] {
            check(&format!("EXPIRE k 1 {options}"), with_nx);
        }
        check("EXPIRE k 1 GT LT", "ERR GT and LT options at the same time are not compatible");
        check("EXPIRE k x foo", "ERR Unsupported option foo");
    }

    #[test]
    fn refuses_bad_times() {
        check("EXPIRE k x", "ERR value is not an integer or out of range");
        check("EXPIRE k 9223372036854775807", "ERR invalid expire time in 'expire' command");
        check("EXPIRE k -9223372036854775807", "ERR invalid expire time in 'expire' command");
        check("EXPIRE k 9223372036854775", "ERR invalid expire time in 'expire' command");
        check("PEXPIRE k 9223372036854775807", "ERR invalid expire time in 'pexpire' command");
        check("EXPIREAT k 9223372036854776", "ERR invalid expire time in 'expireat' command");
        check("SET k v | PEXPIREAT k 9223372036854775807 | PEXPIRETIME k", "OK | 1 | 9223372036854775807");
    }
}
