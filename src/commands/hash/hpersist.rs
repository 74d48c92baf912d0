//! HPERSIST key FIELDS numfields field [field ...] — let fields of a hash no longer expire. An answer for each: 1 done, -1 it did not
//! expire, -2 no such field or key.
//!
//! As in Redis 7.4.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::commands::hash::fields::{self, NO_EXPIRY, NO_FIELD};
use crate::store::collection::Change;
use crate::store::hash::Hash;

const PERSISTED: i64 = 1;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (key, clock) = (cx.key(args, 1), cx.clock());
    cx.keys.peek_view::<Hash>(cx.db, &key, cx.now_ms)?;
    let first = fields::parse(args, 2, "ERR Number of fields must be a positive integer")?;
    let reply = &mut cx.reply;
    let changed = cx.keys.change::<Hash, _>(cx.db, &key, cx.now_ms, clock, |hash| {
        fields::reply_each(reply, args, first, |field| persist(hash, field));
    })?;
    if changed.is_none() {
        fields::reply_each(&mut cx.reply, args, first, |_| NO_FIELD);
    }
    Ok(())
}

fn persist(hash: &mut Change<'_, Hash>, field: &[u8]) -> i64 {
    match hash.view().expire_at_ms(field) {
        None => NO_FIELD,
        Some(None) => NO_EXPIRY,
        Some(Some(_)) => {
            hash.set_expiry(field, None);
            PERSISTED
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn lets_fields_stay() {
        check(
            "HSET h a 1 b 2 | HEXPIRE h 5 FIELDS 1 a | HPERSIST h FIELDS 3 a b c | HTTL h FIELDS 1 a | @5s | HMGET h a b",
            "2 | [1] | [1, -1, -2] | [-1] | [1, 2]",
        );
        check("HSET h a 1 | HPERSIST h FIELDS 2 a b | OBJECT ENCODING h", "1 | [-1, -2] | listpack");
        check("HPERSIST x FIELDS 1 a", "[-2]");
    }

    #[test]
    fn refuses_in_redis_s_order() {
        check("HPERSIST h FOO x a", "ERR Mandatory argument FIELDS is missing or not at the right position");
        check("HPERSIST h FIELDS 0 a", "ERR Number of fields must be a positive integer");
        check("HPERSIST h FIELDS 1 a b", "ERR The `numfields` parameter must match the number of arguments");
        check("SET k v | HPERSIST k FOO x a", &format!("OK | {}", super::super::tests::WRONG_TYPE));
    }
}
