//! TTL key, PTTL key — how long a key lives on; EXPIRETIME key, PEXPIRETIME key — when it expires, Unix time.
//! -1 for a key that does not expire, -2 for a missing one. Seconds are rounded to the nearest.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;

pub fn ttl(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    run(cx, args, |at_ms, now_ms| to_seconds(at_ms - now_ms))
}

pub fn pttl(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    run(cx, args, |at_ms, now_ms| at_ms - now_ms)
}

pub fn expiretime(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    run(cx, args, |at_ms, _| to_seconds(at_ms))
}

pub fn pexpiretime(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    run(cx, args, |at_ms, _| at_ms)
}

fn run(cx: &mut Cx<'_>, args: &Args<'_>, shown: fn(at_ms: i64, now_ms: i64) -> i64) -> Outcome {
    let key = cx.key(args, 1);
    let reply = match cx.keys.read(cx.db, &key, cx.now_ms, None) {
        None => -2,
        Some(entry) => entry.expire_at_ms().map_or(-1, |at_ms| shown(at_ms, cx.now_ms)),
    };
    cx.reply.integer(reply);
    Ok(())
}

fn to_seconds(ms: i64) -> i64 {
    ms / 1000 + i64::from(ms % 1000 >= 500)
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn shows_what_is_left() {
        check("SET k v | TTL k | PTTL k | TTL x | PTTL x", "OK | -1 | -1 | -2 | -2");
        check("SET k v PX 1500 | TTL k | PTTL k | @1ms | TTL k | PTTL k", "OK | 2 | 1500 | 1 | 1499");
        check("SET k v PX 10 | @10ms | TTL k", "OK | -2");
    }

    #[test]
    fn shows_when() {
        check(
            "SET k v | EXPIRETIME k | PEXPIRETIME k | EXPIRETIME x | PEXPIRETIME x",
            "OK | -1 | -1 | -2 | -2",
        );
        check("SET k v PXAT 1700000010500 | EXPIRETIME k | PEXPIRETIME k", "OK | 1700000011 | 1700000010500");
    }
}
