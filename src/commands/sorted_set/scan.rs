//! ZSCAN key cursor [MATCH pattern] [COUNT n] — some members with their scores and the cursor to go on with, 0 at the end.
//! Every member that is there from the first call to the last is returned at least once. A small set comes as a whole. Scores are strings
//! in RESP3 too.

use crate::base::args::Args;
use crate::base::double::format_double;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::commands::item::reply_item;
use crate::commands::scan_options::ScanOptions;
use crate::store::listpack::Item;
use crate::store::scan::parse_cursor;
use crate::store::sorted_set::SortedSet;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let cursor = parse_cursor(args.get(2)).ok_or(CommandError::Text("ERR invalid cursor"))?;
    let (key, touch) = (cx.key(args, 1), cx.touch());
    let mut found: Vec<(Item<'_>, f64)> = Vec::new();
    let mut next = 0;
    // As in Redis, nobody reads the options where there is nothing to scan.
    if let Some(set) = cx.keys.view::<SortedSet>(cx.db, &key, cx.now_ms, touch)? {
        let options = ScanOptions::parse(args, 3, |_| None)?;
        next = set.scan(cursor, options.count, |member, score| {
            if member.with_bytes(|member| options.accepts(member)) {
                found.push((member, score));
            }
        });
    }
    cx.reply.array(2);
    cx.reply.bulk(itoa::Buffer::new().format(next).as_bytes());
    cx.reply.array(2 * found.len());
    for (member, score) in found {
        reply_item(&mut cx.reply, member);
        cx.reply.bulk(format_double(score).as_bytes());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::commands::testing::{Bench, check};

    #[test]
    fn shows_a_small_set_at_once() {
        check(
            "ZADD k 1 a 2.5 b 3 7 | ZSCAN k 0 | ZSCAN k 99 COUNT 1",
            "3 | [0, [a, 1, b, 2.5, 7, 3]] | [0, [a, 1, b, 2.5, 7, 3]]",
        );
        check(
            "ZADD k 1 a1 2 b 3 7 | ZSCAN k 0 MATCH *1 | ZSCAN k 0 match [7] COUNT 100 | ZSCAN no 0 | ZSCAN no 0 FOO",
            "3 | [0, [a1, 1]] | [0, [7, 3]] | [0, []] | [0, []]",
        );
    }

    #[test]
    fn shows_a_large_set_in_parts() {
        let mut bench = Bench::default();
        let words: Vec<String> = (0..500).map(|i| format!("{i} m{i}")).collect();
        bench.run(&format!("ZADD k {}", words.join(" ")));
        // Now and then a place is of no member.
        for (count, calls) in [(10, 51), (1000, 1)] {
            let (mut cursor, mut seen, mut made) = ("0".to_owned(), BTreeSet::new(), 0);
            loop {
                let reply = bench.run(&format!("ZSCAN k {cursor} COUNT {count}"));
                let (next, found) = reply[1..reply.len() - 1].split_once(", ").expect("a cursor and members");
                seen.extend(found.trim_matches(['[', ']']).split(", ").map(str::to_owned));
                made += 1;
                if next == "0" {
                    break;
                }
                cursor = next.to_owned();
            }
            assert_eq!((seen.len(), made), (1000, calls));
        }
    }

    #[test]
    fn refuses() {
        check("ZSCAN k x FOO", "ERR invalid cursor");
        for options in ["FOO", "FOO 1", "COUNT", "COUNT 0", "COUNT -1", "MATCH", "TYPE zset"] {
            check(&format!("ZADD k 1 a | ZSCAN k 0 {options}"), "1 | ERR syntax error");
        }
        check("ZADD k 1 a | ZSCAN k 0 COUNT x", "1 | ERR value is not an integer or out of range");
        check(
            "SET k v | ZSCAN k 0 FOO",
            "OK | WRONGTYPE Operation against a key holding the wrong kind of value",
        );
    }
}
