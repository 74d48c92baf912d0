//! PERSIST key — remove the expiry of a key. Returns 1, or 0 where there is no key or no expiry.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let key = cx.key(args, 1);
    let is_volatile =
        cx.keys.peek(cx.db, &key, cx.now_ms).is_some_and(|entry| entry.expire_at_ms().is_some());
    if is_volatile {
        cx.keys.set_expiry(cx.db, &key, None);
    }
    cx.reply.integer(i64::from(is_volatile));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn clears_the_expiry() {
        check("SET k v EX 10 | PERSIST k | TTL k | PERSIST k | PERSIST x", "OK | 1 | -1 | 0 | 0");
        check("SET k v PX 5 | @5ms | PERSIST k", "OK | 0");
    }
}
