//! HEXPIRE key seconds, HPEXPIRE key ms, HEXPIREAT key unix-seconds, HPEXPIREAT key unix-ms, each [NX | XX | GT | LT]
//! FIELDS numfields field [field ...] — let fields of a hash expire. An answer for each: 1 set, 2 removed, as that time has passed, 0 not
//! set, as the option forbids it, -2 no such field or key. For GT, a field without expiry counts as one that expires in infinity.
//!
//! As in Redis 7.4.

use crate::base::args::Args;
use crate::commands::cx::{Cx, integer};
use crate::commands::error::{CommandError, Outcome};
use crate::commands::hash::fields::{self, NO_FIELD};
use crate::store::collection::Change;
use crate::store::hash::Hash;

/// The latest time at which a field may expire, Unix milliseconds: Redis keeps 46 bits.
const EXPIRE_AT_MS_MAX: i64 = (1 << 46) - 1;
const NOT_SET: i64 = 0;
const SET: i64 = 1;
const REMOVED: i64 = 2;

pub fn hexpire(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    run(cx, args, 1000, cx.now_ms, "hexpire")
}

pub fn hpexpire(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    run(cx, args, 1, cx.now_ms, "hpexpire")
}

pub fn hexpireat(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    run(cx, args, 1000, 0, "hexpireat")
}

pub fn hpexpireat(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    run(cx, args, 1, 0, "hpexpireat")
}

fn run(cx: &mut Cx<'_>, args: &Args<'_>, unit_ms: i64, base_ms: i64, command: &'static str) -> Outcome {
    let (key, clock, now_ms) = (cx.key(args, 1), cx.clock(), cx.now_ms);
    // The type of the value comes before everything that may be wrong with the words.
    cx.keys.peek_view::<Hash>(cx.db, &key, now_ms)?;
    let at_ms = at_ms(args, unit_ms, base_ms, command)?;
    let condition = Condition::parse(args.get(3));
    let fields_at = if condition == Condition::Always { 3 } else { 4 };
    let first = fields::parse(args, fields_at, "ERR Parameter `numFields` should be greater than 0")?;
    let reply = &mut cx.reply;
    let changed = cx.keys.change::<Hash, _>(cx.db, &key, now_ms, clock, |hash| {
        fields::reply_each(reply, args, first, |field| expire(hash, field, at_ms, now_ms, condition));
    })?;
    if changed.is_none() {
        fields::reply_each(&mut cx.reply, args, first, |_| NO_FIELD);
    }
    Ok(())
}

fn at_ms(args: &Args<'_>, unit_ms: i64, base_ms: i64, command: &'static str) -> Result<i64, CommandError> {
    let number = integer(args, 2)?;
    if number < 0 {
        return Err(CommandError::Text("ERR invalid expire time, must be >= 0"));
    }
    number
        .checked_mul(unit_ms)
        .and_then(|ms| ms.checked_add(base_ms))
        .filter(|at_ms| *at_ms <= EXPIRE_AT_MS_MAX)
        .ok_or(CommandError::InvalidExpire(command))
}

fn expire(hash: &mut Change<'_, Hash>, field: &[u8], at_ms: i64, now_ms: i64, condition: Condition) -> i64 {
    let Some(current_ms) = hash.view().expire_at_ms(field) else { return NO_FIELD };
    if !condition.allows(current_ms, at_ms) {
        NOT_SET
    } else if at_ms <= now_ms {
        hash.delete(field);
        REMOVED
    } else {
        hash.set_expiry(field, Some(at_ms));
        SET
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition {
    Always,
    Nx,
    Xx,
    Gt,
    Lt,
}

impl Condition {
    fn parse(word: &[u8]) -> Condition {
        const CONDITIONS: [(&[u8], Condition); 4] =
            [(b"NX", Condition::Nx), (b"XX", Condition::Xx), (b"GT", Condition::Gt), (b"LT", Condition::Lt)];
        let named = CONDITIONS.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name));
        named.map_or(Condition::Always, |(_, condition)| condition)
    }

    fn allows(self, current_ms: Option<i64>, at_ms: i64) -> bool {
        match (self, current_ms) {
            (Condition::Always, _) => true,
            (Condition::Nx, current) => current.is_none(),
            (Condition::Xx, current) => current.is_some(),
            (Condition::Gt, current) => current.is_some_and(|current_ms| at_ms > current_ms),
            (Condition::Lt, current) => current.is_none_or(|current_ms| at_ms < current_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn fields_expire_one_by_one() {
        check(
            "HSET h a 1 b 2 c 3 | HEXPIRE h 10 FIELDS 2 a x | HPEXPIRE h 10500 FIELDS 1 b | HTTL h FIELDS 3 a b c | \
             @10s | HLEN h | HGET h a | HGET h b | @10500ms | HGETALL h",
            "3 | [1, -2] | [1] | [10, 11, -1] | 2 | nil | 2 | [c, 3]",
        );
        check("HSET h a 1 | HEXPIREAT h 1700000010 FIELDS 1 a | HPTTL h FIELDS 1 a", "1 | [1] | [10000]");
        check("HSET h a 1 | HPEXPIREAT h 1700000000010 FIELDS 1 a | HPTTL h FIELDS 1 a", "1 | [1] | [10]");
        check("HEXPIRE h 10 FIELDS 2 a b | EXISTS h", "[-2, -2] | 0");
    }

    #[test]
    fn the_key_goes_with_its_last_field() {
        check(
            "HSET h a 1 | HPEXPIRE h 5 FIELDS 1 a | EXISTS h | @5ms | EXISTS h | HGETALL h | TYPE h | HSET h b 1",
            "1 | [1] | 1 | 0 | [] | none | 1",
        );
        check("HSET h a 1 b 2 | HPEXPIRE h 5 FIELDS 2 a b | @5ms | HDEL h a | DBSIZE", "2 | [1, 1] | 0 | 0");
    }

    #[test]
    fn a_time_that_has_passed_removes_the_field() {
        check("HSET h a 1 b 2 | HEXPIRE h 0 FIELDS 2 a a | HGETALL h", "2 | [2, -2] | [b, 2]");
        check("HSET h a 1 | HPEXPIREAT h 1 FIELDS 1 a | EXISTS h", "1 | [2] | 0");
        check("HSET h a 1 | HEXPIREAT h 1700000000 FIELDS 1 a | EXISTS h", "1 | [2] | 0");
        check("HSET h a 1 | HEXPIRE h 0 XX FIELDS 1 a | EXISTS h", "1 | [0] | 1");
    }

    #[test]
    fn conditions_hold() {
        let expiring = "HSET h a 1 b 2 | HEXPIRE h 100 FIELDS 1 a";
        let cases = [
            ("50 NX", "[0, 1]", "[100, 50]"),
            ("50 XX", "[1, 0]", "[50, -1]"),
            ("50 GT", "[0, 0]", "[100, -1]"),
            ("100 GT", "[0, 0]", "[100, -1]"),
            ("150 gt", "[1, 0]", "[150, -1]"),
            ("50 LT", "[1, 1]", "[50, 50]"),
            ("100 LT", "[0, 1]", "[100, 100]"),
            ("150 lt", "[0, 1]", "[100, 150]"),
        ];
        for (words, answers, times) in cases {
            check(
                &format!("{expiring} | HEXPIRE h {words} FIELDS 2 a b | HTTL h FIELDS 2 a b"),
                &format!("2 | [1] | {answers} | {times}"),
            );
        }
    }

    #[test]
    fn writes_clear_the_expiry_or_keep_it() {
        check(
            "HSET h a 1 | HEXPIRE h 5 FIELDS 1 a | HSET h a 2 | HTTL h FIELDS 1 a | @5s | HGET h a",
            "1 | [1] | 0 | [-1] | 2",
        );
        check(
            "HSET h a 1 b 1 | HEXPIRE h 5 FIELDS 1 a | HSET h b 2 | HTTL h FIELDS 2 a b",
            "2 | [1] | 0 | [5, -1]",
        );
        check(
            "HSET h a 1 | HEXPIRE h 5 FIELDS 1 a | HDEL h a | HSET h a 1 | HTTL h FIELDS 1 a",
            "1 | [1] | 1 | 1 | [-1]",
        );
    }

    #[test]
    fn copies_keep_the_times() {
        check(
            "HSET h a 1 b 2 | HEXPIRE h 5 FIELDS 1 a | COPY h g | RENAME h i | HTTL g FIELDS 2 a b | \
             HTTL i FIELDS 1 a | @5s | HGETALL g | HGETALL i",
            "2 | [1] | 1 | OK | [5, -1] | [5] | [b, 2] | [b, 2]",
        );
    }

    #[test]
    fn refuses_in_redis_s_order() {
        let missing = "ERR Mandatory argument FIELDS is missing or not at the right position";
        let count = "ERR Parameter `numFields` should be greater than 0";
        let mismatch = "ERR The `numfields` parameter must match the number of arguments";
        let cases = [
            ("HEXPIRE h x FOO 1 a", "ERR value is not an integer or out of range"),
            ("HEXPIRE h -1 FOO 1 a", "ERR invalid expire time, must be >= 0"),
            ("HEXPIRE h 70368744178 FOO 1 a", "ERR invalid expire time in 'hexpire' command"),
            ("HPEXPIRE h 70368744177663 FOO 1 a", "ERR invalid expire time in 'hpexpire' command"),
            ("HEXPIREAT h 9223372036854775807 FOO 1 a", "ERR invalid expire time in 'hexpireat' command"),
            ("HPEXPIREAT h 70368744177664 FOO 1 a", "ERR invalid expire time in 'hpexpireat' command"),
            ("HEXPIRE h 1 FOO 1 a", missing),
            ("HEXPIRE h 1 NX XX FIELDS 1 a", missing),
            ("HEXPIRE h 1 FIELDS x a", count),
            ("HEXPIRE h 1 FIELDS 0 a", count),
            ("HEXPIRE h 1 FIELDS -1 a", count),
            ("HEXPIRE h 1 FIELDS 2 a", mismatch),
            ("HEXPIRE h 1 FIELDS 1 a b", mismatch),
            ("HEXPIRE h 1 NX FIELDS 1", mismatch),
            ("HEXPIRE h 1 FIELDS 1", "ERR wrong number of arguments for 'hexpire' command"),
        ];
        for (script, error) in cases {
            check(script, error);
            check(&format!("HSET h a 1 | {script}"), &format!("1 | {error}"));
        }
        check("SET k v | HEXPIRE k x FOO 1 a", &format!("OK | {}", super::super::tests::WRONG_TYPE));
        check("HSET h a 1 | HPEXPIREAT h 70368744177663 FIELDS 1 a", "1 | [1]");
    }
}
