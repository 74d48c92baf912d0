//! HTTL key, HPTTL key — how long fields of a hash live on; HEXPIRETIME key, HPEXPIRETIME key — when they expire, Unix time; each
//! FIELDS numfields field [field ...]. -1 for a field that does not expire, -2 for one that is missing, or whose key is.
//! Seconds are rounded up.
//!
//! As in Redis 7.4.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::commands::hash::fields::{self, NO_EXPIRY, NO_FIELD};
use crate::store::hash::Hash;

pub fn httl(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    run(cx, args, |at_ms, now_ms| to_seconds(at_ms - now_ms))
}

pub fn hpttl(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    run(cx, args, |at_ms, now_ms| at_ms - now_ms)
}

pub fn hexpiretime(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    run(cx, args, |at_ms, _| to_seconds(at_ms))
}

pub fn hpexpiretime(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    run(cx, args, |at_ms, _| at_ms)
}

fn run(cx: &mut Cx<'_>, args: &Args<'_>, shown: fn(at_ms: i64, now_ms: i64) -> i64) -> Outcome {
    let (key, touch, now_ms) = (cx.key(args, 1), cx.touch(), cx.now_ms);
    let hash = cx.keys.view::<Hash>(cx.db, &key, now_ms, touch)?;
    let first = fields::parse(args, 2, "ERR Number of fields must be a positive integer")?;
    fields::reply_each(&mut cx.reply, args, first, |field| {
        match hash.and_then(|hash| hash.expire_at_ms(field)) {
            None => NO_FIELD,
            Some(None) => NO_EXPIRY,
            Some(Some(at_ms)) => shown(at_ms, now_ms),
        }
    });
    Ok(())
}

fn to_seconds(ms: i64) -> i64 {
    (ms + 999) / 1000
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn shows_what_is_left_and_when() {
        check(
            "HSET h a 1 b 2 | HPEXPIRE h 1001 FIELDS 1 a | HTTL h FIELDS 3 a b c | HPTTL h FIELDS 1 a | @1ms | \
             HTTL h FIELDS 1 a",
            "2 | [1] | [2, -1, -2] | [1001] | [1]",
        );
        check(
            "HSET h a 1 b 2 | HPEXPIRE h 10001 FIELDS 1 a | HEXPIRETIME h FIELDS 1 a | HPEXPIRETIME h FIELDS 3 a b c",
            "2 | [1] | [1700000011] | [1700000010001, -1, -2]",
        );
        check("HTTL x FIELDS 2 a b | HPEXPIRETIME x FIELDS 1 a", "[-2, -2] | [-2]");
        check("HSET h a 1 | HTTL h FIELDS 2 a b", "1 | [-1, -2]");
    }

    #[test]
    fn refuses_in_redis_s_order() {
        for name in ["HTTL", "HPTTL", "HEXPIRETIME", "HPEXPIRETIME"] {
            let cases = [
                ("FOO x a", "ERR Mandatory argument FIELDS is missing or not at the right position"),
                ("FIELDS 0 a", "ERR Number of fields must be a positive integer"),
                ("FIELDS x a", "ERR Number of fields must be a positive integer"),
                ("FIELDS 2 a", "ERR The `numfields` parameter must match the number of arguments"),
            ];
            for (words, error) in cases {
                check(&format!("{name} h {words}"), error);
            }
            let wrong_type = super::super::tests::WRONG_TYPE;
            check(&format!("SET k v | {name} k FOO x a"), &format!("OK | {wrong_type}"));
        }
    }
}
