//! SMEMBERS key — all members of a set, in no particular order; none for a missing key.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::commands::set::reply_member;
use crate::store::set::Set;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (key, touch) = (cx.key(args, 1), cx.touch());
    let Some(set) = cx.keys.view::<Set>(cx.db, &key, cx.now_ms, touch)? else {
        cx.reply.set(0);
        return Ok(());
    };
    cx.reply.set(set.len());
    set.iter().for_each(|member| reply_member(&mut cx.reply, member));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, check};
    use crate::resp::write::Protocol;

    #[test]
    fn returns_all_members() {
        check(
            "SMEMBERS s | SADD s 3 1 2 | SMEMBERS s | SADD s x | SMEMBERS s",
            "[] | 3 | [1, 2, 3] | 1 | [1, 2, 3, x]",
        );
        let mut bench = Bench::default();
        let names: Vec<String> = (0..1000).map(|i| format!("m{i:03}")).collect();
        bench.run(&format!("SADD s {}", names.join(" ")));
        let reply = bench.run("SMEMBERS s");
        let mut found: Vec<&str> = reply[1..reply.len() - 1].split(", ").collect();
        found.sort_unstable();
        assert_eq!(found, names);
    }

    #[test]
    fn is_a_set_in_resp3() {
        let mut bench = Bench::default();
        bench.server.sessions.get_mut(0).expect("a client").protocol = Protocol::Resp3;
        bench.run("SADD s 1 a");
        assert_eq!(bench.call(["SMEMBERS", "s"]), b"~2\r\n$1\r\n1\r\n$1\r\na\r\n");
        assert_eq!(bench.call(["SMEMBERS", "t"]), b"~0\r\n");
    }

    #[test]
    fn refuses_other_types() {
        let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
        check("SET k v | SMEMBERS k", &format!("OK | {wrong}"));
    }
}
