//! SADD key member [member ...] — add members to a set. Returns how many were not there before. Creates the key.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::store::collection::Change;
use crate::store::set::Set;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (key, clock) = (cx.key(args, 1), cx.clock());
    let added = cx.keys.change_or_create(cx.db, &key, cx.now_ms, clock, |set: &mut Change<'_, Set>| {
        let members = args.iter_from(2);
        if members.len() > 1 {
            set.expect(args.get(2), members.len());
        }
        members.filter(|member| set.add(member)).count()
    })?;
    cx.reply.count(added);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, check};

    #[test]
    fn counts_what_is_new() {
        check("SADD s a b a | SADD s b c | SCARD s | SADD s 1 01 +1 1", "2 | 1 | 3 | 3");
        check("SADD s 1 2 | SADD s 3 x | SISMEMBER s 2 | SISMEMBER s x", "2 | 2 | 1 | 1");
        check("SADD s \"\" | SISMEMBER s \"\" | SMEMBERS s", "1 | 1 | [\"\"]");
    }

    #[test]
    fn shows_the_encodings_of_redis() {
        check("SADD s 1 2 3 | OBJECT ENCODING s", "3 | intset");
        check("SADD s 1 a | OBJECT ENCODING s | SREM s a | OBJECT ENCODING s", "2 | listpack | 1 | listpack");
        let long = "x".repeat(65);
        check(&format!("SADD s 1 {long} | OBJECT ENCODING s"), "2 | hashtable");
        check(&format!("SADD s a | SADD s {long} | OBJECT ENCODING s"), "1 | 1 | hashtable");
        for (members, prefix, encoding) in
            [(512, "", "intset"), (513, "", "hashtable"), (128, "m", "listpack"), (129, "m", "hashtable")]
        {
            for at_once in [true, false] {
                let mut bench = Bench::default();
                let names: Vec<String> = (0..members).map(|i| format!("{prefix}{i}")).collect();
                if at_once {
                    bench.run(&format!("SADD s {}", names.join(" ")));
                } else {
                    names.iter().for_each(|name| drop(bench.run(&format!("SADD s {name}"))));
                }
                assert_eq!(bench.run("OBJECT ENCODING s | SCARD s"), format!("{encoding} | {members}"));
                bench.check_journal();
            }
        }
        // Many words make a table at once, however few members they are.
        check(&format!("SADD s {} | OBJECT ENCODING s", "a ".repeat(129)), "1 | hashtable");
        check(&format!("SADD s {} | OBJECT ENCODING s", "1 ".repeat(513)), "1 | hashtable");
        check(&format!("SADD s {} | OBJECT ENCODING s", "1 ".repeat(512)), "1 | intset");
    }

    #[test]
    fn keeps_the_expiry_and_refuses_other_types() {
        check("SADD s a | EXPIRE s 10 | SADD s b | TTL s", "1 | 1 | 1 | 10");
        check("SADD s a PX | PEXPIRE s 5 | @5ms | SADD s b | SMEMBERS s | TTL s", "2 | 1 | 1 | [b] | -1");
        let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
        check("SET k v | SADD k a | GET k", &format!("OK | {wrong} | v"));
        check("SADD s", "ERR wrong number of arguments for 'sadd' command");
    }
}
