//! SET key value [NX | XX] [GET] [EX seconds | PX ms | EXAT unix-seconds | PXAT unix-ms | KEEPTTL] — set a string.
//! Replaces a value of any type and clears the expiry. With GET, the reply is the old string (WRONGTYPE keeps the key); else
//! OK, or nil where NX or XX forbade it. A deadline that has passed removes the key.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::commands::string::deadline::Deadline;
use crate::commands::string::reply_string;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    if args.len() > 3 {
        return run_with_options(cx, args);
    }
    let (key, clock) = (cx.key(args, 1), cx.clock());
    cx.keys.set_string(cx.db, &key, args.get(2), None, clock);
    cx.reply.ok();
    Ok(())
}

fn run_with_options(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let options = Options::parse(args)?;
    let expire_at_ms = options.deadline.map(|deadline| deadline.at_ms(args, cx.now_ms, "set")).transpose()?;
    let (key, value, clock, touch) = (cx.key(args, 1), args.get(2), cx.clock(), cx.touch());
    if options.wants_old {
        reply_string(&mut cx.reply, cx.keys.string(cx.db, &key, cx.now_ms, touch)?);
    }
    if let Some(must_exist) = options.must_exist
        && cx.keys.exists(cx.db, &key, cx.now_ms) != must_exist
    {
        if !options.wants_old {
            cx.reply.null();
        }
        return Ok(());
    }
    if options.keeps_expiry {
        cx.keys.set_string_keep_expiry(cx.db, &key, value, cx.now_ms, clock);
    } else if expire_at_ms.is_some_and(|at_ms| at_ms <= cx.now_ms) {
        cx.keys.remove(cx.db, &key, cx.now_ms);
        // Even where nothing was: in Redis the key is there for a moment.
        cx.keys.disturb(cx.db, &key);
    } else {
        cx.keys.set_string(cx.db, &key, value, expire_at_ms, clock);
    }
    if !options.wants_old {
        cx.reply.ok();
    }
    Ok(())
}

#[derive(Default)]
struct Options {
    /// XX: true; NX: false.
    must_exist: Option<bool>,
    wants_old: bool,
    keeps_expiry: bool,
    deadline: Option<Deadline>,
}

impl Options {
    /// Any order; an option may be repeated, but not contradicted.
    fn parse(args: &Args<'_>) -> Result<Options, CommandError> {
        let mut options = Options::default();
        let mut i = 3;
        while i < args.len() {
            if args.is(i, "NX") && options.must_exist != Some(true) {
                options.must_exist = Some(false);
            } else if args.is(i, "XX") && options.must_exist != Some(false) {
                options.must_exist = Some(true);
            } else if args.is(i, "GET") {
                options.wants_old = true;
            } else if args.is(i, "KEEPTTL") && options.deadline.is_none() {
                options.keeps_expiry = true;
            } else if let Some(deadline) = Deadline::option(args, i)
                && !options.keeps_expiry
                && options.deadline.is_none_or(|earlier| earlier.unit == deadline.unit)
            {
                options.deadline = Some(deadline);
                i += 1;
            } else {
                return Err(CommandError::Syntax);
            }
            i += 1;
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn sets_and_replaces() {
        check("SET k v | GET k | SET k w | GET k", "OK | v | OK | w");
        check("SET k v EX 10 | SET k w | TTL k", "OK | OK | -1");
    }

    #[test]
    fn nx_and_xx_look_first() {
        check(
            "SET k v XX | GET k | SET k v NX | SET k w nx | SET k x xx | GET k",
            "nil | nil | OK | nil | OK | x",
        );
        check("SET k v PX 5 | @5ms | SET k w XX | SET k w NX | TTL k", "OK | nil | OK | -1");
    }

    #[test]
    fn get_returns_the_old_string() {
        check("SET k v GET | SET k w GET | GET k", "nil | v | w");
        check("SET k v NX GET | SET k w GET NX | GET k", "nil | v | v");
        check("SET k v XX GET | EXISTS k | SET k v | SET k w XX GET | GET k", "nil | 0 | OK | v | w");
        check("SET k v GET EX 10 | TTL k", "nil | 10");
    }

    #[test]
    fn expires() {
        check("SET k v EX 10 | PTTL k | SET k v PX 1500 | PTTL k", "OK | 10000 | OK | 1500");
        check("SET k v EXAT 1700000010 | TTL k | SET k v PXAT 1700000000001 | PTTL k", "OK | 10 | OK | 1");
        check("SET k v ex 10 EX 20 | TTL k", "OK | 20");
        check("SET k v NX EX 10 XX", "ERR syntax error");
    }

    #[test]
    fn a_past_deadline_removes() {
        check("SET k v | SET k w EXAT 1 | EXISTS k", "OK | OK | 0");
        check("SET k v | SET k w PXAT 1700000000000 GET | GET k", "OK | v | nil");
        check("SET k w PXAT 1 | EXISTS k", "OK | 0");
    }

    #[test]
    fn keepttl_keeps_the_expiry() {
        check("SET k v EX 10 | SET k w KEEPTTL | TTL k | GET k", "OK | OK | 10 | w");
        check("SET k v KEEPTTL KEEPTTL | TTL k", "OK | -1");
        check("SET k v PX 5 | @5ms | SET k w KEEPTTL | GET k | TTL k", "OK | OK | w | -1");
    }

    #[test]
    fn refuses_contradictions() {
        for options in
            ["NX XX", "XX NX", "EX 1 PX 1", "EX 1 KEEPTTL", "KEEPTTL PXAT 1", "EX", "PERSIST", "NX 1", "FOO"]
        {
            check(&format!("SET k v {options} | EXISTS k"), "ERR syntax error | 0");
        }
    }

    #[test]
    fn refuses_bad_times() {
        let invalid = "ERR invalid expire time in 'set' command";
        for (options, error) in [
            ("EX 0", invalid),
            ("PX -1", invalid),
            ("EXAT 0", invalid),
            ("PXAT -5", invalid),
            ("EX 9223372036854775807", invalid),
            ("EX 9223372036854775", invalid),
            ("PX 9223372036854775807", invalid),
            ("EXAT 9223372036854775807", invalid),
            ("EX 1.5", "ERR value is not an integer or out of range"),
            ("EX nx", "ERR value is not an integer or out of range"),
        ] {
            check(&format!("SET k v {options} | EXISTS k"), &format!("{error} | 0"));
        }
    }
}
