//! HSET key field value [field value ...] — set fields of a hash, which is created if missing; returns how many fields are new.
//! HMSET does the same and returns OK. A field that was to expire no longer is.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::store::hash::Hash;

pub fn hset(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let new = set_all(cx, args, "hset")?;
    cx.reply.integer(new);
    Ok(())
}

pub fn hmset(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    set_all(cx, args, "hmset")?;
    cx.reply.ok();
    Ok(())
}

#[inline]
fn set_all(cx: &mut Cx<'_>, args: &Args<'_>, command: &str) -> Result<i64, CommandError> {
    if args.len() % 2 == 1 {
        return Err(CommandError::Arity(command.into()));
    }
    let (key, clock) = (cx.key(args, 1), cx.clock());
    Ok(cx.keys.change_or_create::<Hash, _>(cx.db, &key, cx.now_ms, clock, |hash| {
        hash.expect((args.len() - 2) / 2);
        let set = |i| i64::from(hash.set(args.get(i), args.get(i + 1)));
        (2..args.len()).step_by(2).map(set).sum()
    })?)
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, check};

    #[test]
    fn sets_fields_and_counts_new_ones() {
        check("HSET h a 1 | HSET h a 2 b 3 | HGETALL h", "1 | 1 | [a, 2, b, 3]");
        check("HSET h a 1 a 2 | HGET h a | HLEN h", "1 | 2 | 1");
        check("HMSET h a 1 b 2 | HMSET h a 3 | HGETALL h", "OK | OK | [a, 3, b, 2]");
        check("HSET h \"\" \"\" | HGETALL h", "1 | [\"\", \"\"]");
        check("HSET h 007 -0 | HSET h 7 +5 | HGETALL h", "1 | 1 | [007, -0, 7, +5]");
        check(
            "SET k v | HSET k a 1 | HMSET k a 1",
            &format!("OK | {0} | {0}", super::super::tests::WRONG_TYPE),
        );
    }

    #[test]
    fn keeps_the_expiry_of_the_key() {
        check("HSET h a 1 | EXPIRE h 10 | HSET h b 2 | TTL h | @10s | EXISTS h", "1 | 1 | 1 | 10 | 0");
        check("HSET h a 1 | PEXPIRE h 5 | @5ms | HSET h b 2 | HGETALL h | TTL h", "1 | 1 | 1 | [b, 2] | -1");
    }

    #[test]
    fn wants_pairs() {
        for name in ["HSET", "HMSET"] {
            let error = format!("ERR wrong number of arguments for '{}' command", name.to_lowercase());
            check(&format!("{name} h a | {name} h a 1 b | EXISTS h"), &format!("{error} | {error} | 0"));
            check(&format!("SET k v | {name} k a 1 b"), &format!("OK | {error}"));
        }
    }

    #[test]
    fn changes_its_form_at_redis_s_bounds() {
        let long = "x".repeat(65);
        check("HSET h a 1 | OBJECT ENCODING h", "1 | listpack");
        check(&format!("HSET h a {long} | OBJECT ENCODING h | HGET h a"), &format!("1 | hashtable | {long}"));
        check(&format!("HSET h {long} 1 | OBJECT ENCODING h | HDEL h {long}"), "1 | hashtable | 1");
        let mut bench = Bench::default();
        let entries_max = bench.keys.encoding.hash_entries_max;
        for i in 0..entries_max {
            bench.run(&format!("HSET h f{i} {i}"));
        }
        assert_eq!(
            bench.run("OBJECT ENCODING h | HSET h f0 x | OBJECT ENCODING h"),
            "listpack | 0 | listpack"
        );
        assert_eq!(bench.run("HSET h more 1 | OBJECT ENCODING h"), "1 | hashtable");
        assert_eq!(bench.run("HDEL h more | OBJECT ENCODING h | HGET h f1"), "1 | hashtable | 1");
        bench.check_journal();
        // As in Redis 7.2, the pairs count, not how many fields they come to.
        let same = "a 1 ".repeat(entries_max + 1);
        check(&format!("HSET h {same} | OBJECT ENCODING h | HLEN h"), "1 | hashtable | 1");
        check(&format!("HSET h b 1 | HSET h {same} | OBJECT ENCODING h"), "1 | 1 | hashtable");
        check(&format!("HSET h {} | OBJECT ENCODING h", &same[4..]), "1 | listpack");
    }
}
