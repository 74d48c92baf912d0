//! GETEX key [EX seconds | PX ms | EXAT unix-seconds | PXAT unix-ms | PERSIST] — return a string and change its expiry.
//! Nil for a missing key, whatever the time says. A deadline that has passed removes the key.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::commands::string::deadline::Deadline;
use crate::commands::string::reply_string;
use crate::store::object;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let change = parse(args)?;
    let (key, touch) = (cx.key(args, 1), cx.touch());
    let Some(entry) = cx.keys.read(cx.db, &key, cx.now_ms, touch) else {
        cx.reply.null();
        return Ok(());
    };
    let value = object::string(entry).ok_or(CommandError::WrongType)?;
    let is_volatile = entry.expire_at_ms().is_some();
    let expire_at_ms = match change {
        Some(Change::Deadline(deadline)) => Some(deadline.at_ms(args, cx.now_ms, "getex")?),
        Some(Change::Persist) | None => None,
    };
    reply_string(&mut cx.reply, Some(value));
    if expire_at_ms.is_some_and(|at_ms| at_ms <= cx.now_ms) {
        cx.keys.remove(cx.db, &key, cx.now_ms);
    } else if expire_at_ms.is_some() || (change.is_some() && is_volatile) {
        cx.keys.set_expiry(cx.db, &key, expire_at_ms);
    }
    Ok(())
}

enum Change {
    Deadline(Deadline),
    Persist,
}

/// An option may be repeated, but not contradicted.
fn parse(args: &Args<'_>) -> Result<Option<Change>, CommandError> {
    let mut change = None;
    let mut i = 2;
    while i < args.len() {
        change = match (&change, Deadline::option(args, i)) {
            (None | Some(Change::Persist), None) if args.is(i, "PERSIST") => Some(Change::Persist),
            (None, Some(deadline)) => Some(Change::Deadline(deadline)),
            (Some(Change::Deadline(earlier)), Some(deadline)) if earlier.unit == deadline.unit => {
                Some(Change::Deadline(deadline))
            }
            _ => return Err(CommandError::Syntax),
        };
        i += if let Some(Change::Deadline(_)) = change { 2 } else { 1 };
    }
    Ok(change)
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn returns_and_changes_the_expiry() {
        check("SET k v | GETEX k | TTL k", "OK | v | -1");
        check("SET k v | GETEX k EX 10 | TTL k | GETEX k | TTL k", "OK | v | 10 | v | 10");
        check("SET k v | GETEX k PX 10 | PTTL k | GETEX k PERSIST | PTTL k", "OK | v | 10 | v | -1");
        check("SET k v | GETEX k EXAT 1700000009 | TTL k", "OK | v | 9");
        check("SET k v | GETEX k PXAT 1700000000009 | PTTL k", "OK | v | 9");
        check("SET k v | GETEX k EX 9 ex 10 | TTL k | GETEX k PERSIST persist", "OK | v | 10 | v");
    }

    #[test]
    fn a_past_deadline_removes() {
        check("SET k v | GETEX k EXAT 1 | EXISTS k", "OK | v | 0");
        check("SET k v | GETEX k PXAT 1700000000000 | EXISTS k", "OK | v | 0");
    }

    #[test]
    fn refuses_bad_options() {
        for options in ["EX", "EX 1 PX 1", "EX 1 PERSIST", "PERSIST EX 1", "KEEPTTL", "NX", "GET"] {
            check(&format!("SET k v | GETEX k {options}"), "OK | ERR syntax error");
        }
        check("SET k v | GETEX k EX 0 | TTL k", "OK | ERR invalid expire time in 'getex' command | -1");
        check("SET k v | GETEX k PX x", "OK | ERR value is not an integer or out of range");
        check("GETEX missing EX 0", "nil");
        check("GETEX missing FOO", "ERR syntax error");
    }
}
