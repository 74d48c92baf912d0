//! HSCAN key cursor [MATCH pattern] [COUNT n] [NOVALUES] — some fields of a hash with their values, and the cursor to go on with,
//! 0 at the end. A field that is there from the first call to the last is returned at least once. COUNT is how many fields a call
//! looks at; a hash in its small form is returned at once, as in Redis. NOVALUES, of Redis 7.4, leaves the values out.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::commands::item::reply_item;
use crate::commands::scan_options::ScanOptions;
use crate::store::hash::{Element, Hash};
use crate::store::scan::parse_cursor;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let cursor = parse_cursor(args.get(2)).ok_or(CommandError::Text("ERR invalid cursor"))?;
    let (key, touch) = (cx.key(args, 1), cx.touch());
    let Some(hash) = cx.keys.view::<Hash>(cx.db, &key, cx.now_ms, touch)? else {
        // Options are not looked at then.
        cx.reply.array(2);
        cx.reply.bulk(b"0");
        cx.reply.array(0);
        return Ok(());
    };
    let mut no_values = false;
    let options = ScanOptions::parse(args, 3, |i| {
        let is_known = args.is(i, "NOVALUES");
        no_values |= is_known;
        is_known.then_some(1)
    })?;
    let mut found: Vec<Element<'_>> = Vec::new();
    let next = hash.scan(cursor, options.count, |element| {
        if element.field.with_bytes(|field| options.accepts(field)) {
            found.push(element);
        }
    });
    cx.reply.array(2);
    cx.reply.bulk(itoa::Buffer::new().format(next.unwrap_or(0)).as_bytes());
    cx.reply.array(if no_values { found.len() } else { 2 * found.len() });
    for element in found {
        reply_item(&mut cx.reply, element.field);
        if !no_values {
            reply_item(&mut cx.reply, element.value);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::commands::testing::{Bench, check};

    #[test]
    fn returns_a_small_hash_at_once() {
        check("HSET h a 1 b 2 | HSCAN h 0 COUNT 1 | HSCAN h 99", "2 | [0, [a, 1, b, 2]] | [0, [a, 1, b, 2]]");
        check(
            "HSET h a 1 b 2 12 3 | HSCAN h 0 MATCH [a1]* | HSCAN h 0 match x",
            "3 | [0, [a, 1, 12, 3]] | [0, []]",
        );
        check(
            "HSET h a 1 b 2 | HSCAN h 0 NOVALUES | HSCAN h 0 novalues MATCH b",
            "2 | [0, [a, b]] | [0, [b]]",
        );
        check("HSET h \"\" 1 | HSCAN h 0 MATCH *", "1 | [0, [\"\", 1]]");
        check("HSCAN x 5 FOO", "[0, []]");
    }

    #[test]
    fn refuses_in_redis_s_order() {
        check("SET k v | HSCAN k x FOO", "OK | ERR invalid cursor");
        check("SET k v | HSCAN k 0 FOO", &format!("OK | {}", super::super::tests::WRONG_TYPE));
        for options in
            ["FOO", "COUNT", "COUNT 0", "COUNT -1", "MATCH", "TYPE hash", "NOVALUES x", "COUNT 1 MATCH"]
        {
            check(&format!("HSET h a 1 | HSCAN h 0 {options}"), "1 | ERR syntax error");
        }
        check("HSET h a 1 | HSCAN h 0 COUNT x FOO", "1 | ERR value is not an integer or out of range");
    }

    #[test]
    fn returns_every_field_of_a_large_hash_once() {
        let mut bench = Bench::default();
        (0..3000).for_each(|i| drop(bench.run(&format!("HSET h f{i} {i}"))));
        for count in [1, 10, 100_000] {
            let (mut cursor, mut found, mut replies) = ("0".to_owned(), BTreeSet::new(), 0);
            loop {
                let reply = bench.run(&format!("HSCAN h {cursor} COUNT {count}"));
                let (next, elements) =
                    reply[1..reply.len() - 1].split_once(", ").expect("a cursor and fields");
                let words: Vec<&str> =
                    elements.trim_matches(['[', ']']).split(", ").filter(|word| !word.is_empty()).collect();
                for pair in words.chunks(2) {
                    assert_eq!(pair[0], format!("f{}", pair[1]));
                    assert!(found.insert(pair[0].to_owned()), "{} came twice", pair[0]);
                }
                replies += 1;
                if next == "0" {
                    break;
                }
                cursor = next.to_owned();
            }
            assert_eq!(found.len(), 3000);
            assert!(replies <= 3000 / count + 1, "{replies} replies of {count}");
        }
    }
}
