//! SCAN cursor [MATCH pattern] [COUNT n] [TYPE name] — return some keys and the cursor to go on with, 0 at the end.
//! Every key that is there from the first call to the last is returned at least once. COUNT is how many keys a call looks at.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::commands::scan_options::ScanOptions;
use crate::store::keyspace::is_expired;
use crate::store::object::{self, Entry};
use crate::store::scan::{parse_cursor, scan};

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let cursor = parse_cursor(args.get(1)).ok_or(CommandError::Text("ERR invalid cursor"))?;
    let mut type_name = None;
    let options = ScanOptions::parse(args, 2, |i| {
        if !args.is(i, "TYPE") || i + 1 == args.len() {
            return None;
        }
        type_name = Some(args.get(i + 1));
        Some(2)
    })?;
    let has_type = |entry: &Entry| {
        type_name.is_none_or(|name| name.eq_ignore_ascii_case(object::kind(entry).name().as_bytes()))
    };
    let mut keys: Vec<&[u8]> = Vec::new();
    let next = scan(cx.keys, cx.db, cursor, options.count, |entry| {
        if !is_expired(entry, cx.now_ms) && options.accepts(entry.key()) && has_type(entry) {
            keys.push(entry.key());
        }
    });
    cx.reply.array(2);
    cx.reply.bulk(itoa::Buffer::new().format(next).as_bytes());
    cx.reply.array(keys.len());
    keys.into_iter().for_each(|key| cx.reply.bulk(key));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, check};

    /// All keys of a whole scan, sorted, and how many calls it took.
    fn scan_all(bench: &mut Bench, options: &str) -> (Vec<String>, usize) {
        let (mut cursor, mut keys, mut calls) = ("0".to_owned(), Vec::new(), 0);
        loop {
            let reply = bench.run(&format!("SCAN {cursor} {options}"));
            let (next, found) = reply[1..reply.len() - 1].split_once(", ").expect("a cursor and keys");
            keys.extend(
                found.trim_matches(['[', ']']).split(", ").filter(|key| !key.is_empty()).map(str::to_owned),
            );
            calls += 1;
            if next == "0" {
                keys.sort();
                return (keys, calls);
            }
            cursor = next.to_owned();
        }
    }

    fn filled(keys: usize) -> Bench {
        let mut bench = Bench::default();
        (0..keys).for_each(|i| drop(bench.call(["SET".into(), format!("key:{i:04}"), "v".into()])));
        bench
    }

    #[test]
    fn returns_every_key_once() {
        let mut bench = filled(1000);
        let expected: Vec<String> = (0..1000).map(|i| format!("key:{i:04}")).collect();
        for (options, calls) in
            [("", 100), ("COUNT 1", 1000), ("COUNT 1000", 1), ("COUNT 9223372036854775807", 1)]
        {
            let (keys, calls_made) = scan_all(&mut bench, options);
            assert_eq!(keys, expected, "{options}");
            assert!(calls_made.abs_diff(calls) <= 1, "{options} took {calls_made} calls");
        }
    }

    #[test]
    fn filters() {
        let mut bench = filled(100);
        assert_eq!(scan_all(&mut bench, "MATCH key:001* COUNT 7").0.len(), 10);
        assert_eq!(scan_all(&mut bench, "TYPE String").0.len(), 100);
        assert_eq!(scan_all(&mut bench, "TYPE hash").0.len(), 0);
        assert_eq!(scan_all(&mut bench, "TYPE nonsense").0.len(), 0);
        check("SET \"\" v | SCAN 0 MATCH * COUNT 10", "OK | [0, [\"\"]]");
        check("SET a v PX 5 | SET b v | @5ms | SCAN 0", "OK | OK | [0, [b]]");
    }

    #[test]
    fn takes_any_number_as_cursor() {
        check(
            "SCAN 0 | SCAN \"\" | SCAN 000 | SCAN 18446744073709551615",
            "[0, []] | [0, []] | [0, []] | [0, []]",
        );
        for cursor in ["x", "1x", "\" 1\"", "18446744073709551616", "1.0"] {
            check(&format!("SCAN {cursor} FOO"), "ERR invalid cursor");
        }
    }

    #[test]
    fn refuses_bad_options() {
        for options in ["FOO", "FOO 1", "COUNT", "COUNT 0", "COUNT -1", "MATCH", "TYPE", "COUNT 1 MATCH"] {
            check(&format!("SCAN 0 {options}"), "ERR syntax error");
        }
        check("SCAN 0 COUNT x", "ERR value is not an integer or out of range");
    }
}
