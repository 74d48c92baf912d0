//! HSCAN key cursor [MATCH pattern] [COUNT n] [NOVALUES] — some fields of a hash with their values, and the cursor to go on with,
//! 0 at the end. A field that is there from the first call to the last is returned at least once. COUNT is how many fields a call
//! looks at; a hash in its small form is returned at once, as in Redis. NOVALUES, of Redis 7.4, leaves the values out.

use crate::base::args::Args;
use crate::base::glob::glob_match;
use crate::commands::cx::{Cx, integer};
use crate::commands::error::{CommandError, Outcome};
use crate::commands::hash::reply_item;
use crate::store::hash::{Element, Hash};
use crate::store::scan::parse_cursor;

/// Fields that a call looks at if nothing else is asked for.
const COUNT_DEFAULT: usize = 10;

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
    let options = Options::parse(args)?;
    let mut found: Vec<Element<'_>> = Vec::new();
    let next = hash.scan(cursor, options.count, |element| {
        if options.accepts(&element) {
            found.push(element);
        }
    });
    cx.reply.array(2);
    cx.reply.bulk(itoa::Buffer::new().format(next.unwrap_or(0)).as_bytes());
    cx.reply.array(if options.no_values { found.len() } else { 2 * found.len() });
    for element in found {
        reply_item(&mut cx.reply, element.field);
        if !options.no_values {
            reply_item(&mut cx.reply, element.value);
        }
    }
    Ok(())
}

struct Options<'a> {
    count: usize,
    pattern: Option<&'a [u8]>,
    no_values: bool,
}

impl<'a> Options<'a> {
    fn parse(args: &Args<'a>) -> Result<Options<'a>, CommandError> {
        let mut options = Options { count: COUNT_DEFAULT, pattern: None, no_values: false };
        let mut i = 3;
        while i < args.len() {
            let has_value = i + 1 < args.len();
            if args.is(i, "COUNT") && has_value {
                let count = usize::try_from(integer(args, i + 1)?).map_err(|_| CommandError::Syntax)?;
                if count == 0 {
                    return Err(CommandError::Syntax);
                }
                options.count = count;
                i += 2;
            } else if args.is(i, "MATCH") && has_value {
                // A lone `*` matches everything, the empty field too, for which the glob has another opinion.
                options.pattern = Some(args.get(i + 1)).filter(|pattern| pattern != b"*");
                i += 2;
            } else if args.is(i, "NOVALUES") {
                options.no_values = true;
                i += 1;
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(options)
    }

    fn accepts(&self, element: &Element<'_>) -> bool {
        self.pattern.is_none_or(|pattern| element.field.with_bytes(|field| glob_match(pattern, field)))
    }
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
