//! XTRIM key MAXLEN | MINID [= | ~] threshold [LIMIT count] — remove the first entries. Returns how many.
//! With `~`, whole nodes only, and those of 100 nodes at most unless LIMIT says otherwise (0: no bound).

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::commands::stream::trim_options::Options;
use crate::store::collection::Change;
use crate::store::stream::Stream;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let options = Options::parse(args, false, cx.keys.encoding.stream_node_entries_max)?;
    let trim = options.trim.expect("XTRIM without one is refused");
    let (key, clock) = (cx.key(args, 1), cx.clock());
    let removed = cx
        .keys
        .change(cx.db, &key, cx.now_ms, clock, |stream: &mut Change<'_, Stream>| stream.trim(&trim))?;
    cx.reply.integer(removed.unwrap_or(0) as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, check};

    fn filled(entries: usize) -> Bench {
        let mut bench = Bench::default();
        (1..=entries).for_each(|i| drop(bench.run(&format!("XADD s {i} a b"))));
        bench
    }

    #[test]
    fn trims_exactly() {
        let mut bench = filled(250);
        assert_eq!(
            bench.run("XTRIM s MAXLEN 120 | XLEN s | XRANGE s - + COUNT 1"),
            "130 | 120 | [[131-0, [a, b]]]"
        );
        assert_eq!(bench.run("XTRIM s MAXLEN 120 | XTRIM s MINID = 140-1 | XLEN s"), "0 | 10 | 110");
        assert_eq!(bench.run("XTRIM s MINID 0 | XTRIM s MINID 251 | XLEN s | EXISTS s"), "0 | 110 | 0 | 1");
        bench.check_journal();
    }

    #[test]
    fn trims_whole_nodes() {
        let mut bench = filled(250);
        assert_eq!(bench.run("XTRIM s MAXLEN ~ 151 | XTRIM s MAXLEN ~ 150 | XLEN s"), "0 | 100 | 150");
        assert_eq!(bench.run("XTRIM s MINID ~ 200 | XTRIM s MINID ~ 201 | XLEN s"), "0 | 100 | 50");
        bench.check_journal();
        let mut bench = filled(550);
        let script = "XTRIM s MAXLEN ~ 0 LIMIT 99 | XTRIM s MAXLEN ~ 0 LIMIT 250 | XTRIM s MAXLEN ~ 0 LIMIT 0 | XLEN s";
        assert_eq!(bench.run(script), "0 | 200 | 350 | 0");
        bench.check_journal();
    }

    #[test]
    fn trims_a_hundred_nodes_at_most() {
        let mut bench = filled(0);
        bench.keys.encoding.stream_node_entries_max = 2;
        (1..=250).for_each(|i| drop(bench.run(&format!("XADD s {i} a b"))));
        assert_eq!(bench.run("XTRIM s MAXLEN ~ 0 | XTRIM s MINID ~ 999 | XLEN s"), "200 | 50 | 0");
    }

    #[test]
    fn refuses_bad_options() {
        let error = "ERR syntax error, XTRIM must be called with a trimming strategy";
        check("XTRIM s LIMIT 0", error);
        check(
            "XTRIM s LIMIT 0 FOO | XTRIM s MAXLEN",
            "ERR syntax error | ERR wrong number of arguments for 'xtrim' command",
        );
        check("XTRIM s LIMIT 0 LIMIT 0", error);
        check("XTRIM s NOMKSTREAM MAXLEN 1 | XTRIM s MAXLEN 1 x", "ERR syntax error | ERR syntax error");
        check("XTRIM s MAXLEN 1", "0");
        check(
            "SET k v | XTRIM k MAXLEN 1",
            "OK | WRONGTYPE Operation against a key holding the wrong kind of value",
        );
    }
}
