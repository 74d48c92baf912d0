//! SSCAN key cursor [MATCH pattern] [COUNT n] — return some members and the cursor to go on with, 0 at the end. Every member
//! that is there from the first call to the last is returned at least once. Small sets come whole, whatever the cursor.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::commands::scan_options::ScanOptions;
use crate::commands::set::reply_member;
use crate::store::scan::parse_cursor;
use crate::store::set::Set;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let cursor = parse_cursor(args.get(2)).ok_or(CommandError::Text("ERR invalid cursor"))?;
    let (key, touch) = (cx.key(args, 1), cx.touch());
    let Some(set) = cx.keys.view::<Set>(cx.db, &key, cx.now_ms, touch)? else {
        // A missing key hides what is wrong with the options.
        cx.reply.array(2);
        cx.reply.bulk(b"0");
        cx.reply.array(0);
        return Ok(());
    };
    let options = ScanOptions::parse(args, 3, |_| None)?;
    let mut members = Vec::new();
    let next = set.scan(cursor, options.count, |member| {
        if member.with_bytes(|member| options.accepts(member)) {
            members.push(member);
        }
    });
    cx.reply.array(2);
    cx.reply.bulk(itoa::Buffer::new().format(next).as_bytes());
    cx.reply.array(members.len());
    members.into_iter().for_each(|member| reply_member(&mut cx.reply, member));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, check};

    #[test]
    fn small_sets_come_whole() {
        check("SADD s 1 2 3 | SSCAN s 0 COUNT 1 | SSCAN s 5", "3 | [0, [1, 2, 3]] | [0, [1, 2, 3]]");
        check(
            "SADD s a 12 13 \"\" | SSCAN s 0 MATCH 1* | SSCAN s 0 MATCH *",
            "4 | [0, [12, 13]] | [0, [a, 12, 13, \"\"]]",
        );
    }

    #[test]
    fn returns_every_member_once() {
        let mut bench = Bench::default();
        let mut expected: Vec<String> = (0..5000).map(|i| format!("m{i}")).collect();
        bench.run(&format!("SADD s {}", expected.join(" ")));
        expected.sort();
        for (options, calls_max) in [("", 510), ("COUNT 1000 MATCH *m*", 8), ("COUNT 9223372036854775807", 1)]
        {
            let (mut cursor, mut found, mut calls) = ("0".to_owned(), Vec::new(), 0);
            loop {
                let reply = bench.run(&format!("SSCAN s {cursor} {options}"));
                let (next, members) =
                    reply[1..reply.len() - 1].split_once(", ").expect("a cursor and members");
                found.extend(
                    members.trim_matches(['[', ']']).split(", ").filter(|m| !m.is_empty()).map(str::to_owned),
                );
                calls += 1;
                if next == "0" {
                    break;
                }
                cursor = next.to_owned();
            }
            found.sort();
            assert_eq!(found, expected, "{options}");
            assert!(calls <= calls_max, "{options} took {calls} calls");
        }
    }

    #[test]
    fn checks_its_words_in_order() {
        check("SSCAN missing x", "ERR invalid cursor");
        check("SSCAN missing 0 FOO | SSCAN missing 7 COUNT 0", "[0, []] | [0, []]");
        let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
        check("SET k v | SSCAN k 0 FOO | SSCAN k x", &format!("OK | {wrong} | ERR invalid cursor"));
        for options in ["FOO", "FOO 1", "COUNT", "COUNT 0", "COUNT -1", "MATCH", "TYPE set"] {
            check(&format!("SADD s a | SSCAN s 0 {options}"), "1 | ERR syntax error");
        }
        check("SADD s a | SSCAN s 0 COUNT x", "1 | ERR value is not an integer or out of range");
    }
}
