//! LTRIM key start stop — remove all elements but those from one index to another, which count as for LRANGE.
//! OK in every case; a list of which nothing is left is gone with its key.

use crate::base::args::Args;
use crate::commands::cx::{Cx, integer};
use crate::commands::error::Outcome;
use crate::commands::list::range;
use crate::store::collection::Change;
use crate::store::list::List;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (start, stop) = (integer(args, 2)?, integer(args, 3)?);
    let (key, clock) = (cx.key(args, 1), cx.clock());
    let trim = |list: &mut Change<'_, List>| list.trim(range(list.view().len(), start, stop));
    cx.keys.change(cx.db, &key, cx.now_ms, clock, trim)?;
    cx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, check};

    #[test]
    fn keeps_a_part() {
        for (range, expected) in [
            ("0 -1", "[a, b, c, d]"),
            ("1 2", "[b, c]"),
            ("-2 -1", "[c, d]"),
            ("-100 0", "[a]"),
            ("2 100", "[c, d]"),
            ("3 2", "[]"),
            ("4 9", "[]"),
        ] {
            check(
                &format!("RPUSH k a b c d | LTRIM k {range} | LRANGE k 0 -1"),
                &format!("4 | OK | {expected}"),
            );
        }
        check("LTRIM k 0 -1 | RPUSH k a | LTRIM k 1 0 | EXISTS k", "OK | 1 | OK | 0");
    }

    #[test]
    fn shrinks_a_long_list() {
        let mut bench = Bench::default();
        for number in 0..5000 {
            bench.run(&format!("LPUSH k element{number}"));
        }
        assert_eq!(bench.run("LTRIM k 100 -101 | LLEN k | OBJECT ENCODING k"), "OK | 4800 | quicklist");
        assert_eq!(bench.run("LINDEX k 0 | LINDEX k -1"), "element4899 | element100");
        assert_eq!(
            bench.run("LTRIM k 10 20 | OBJECT ENCODING k | LINDEX k -1"),
            "OK | listpack | element4879"
        );
        bench.check_journal();
    }

    #[test]
    fn wants_numbers() {
        check("LTRIM k x 1", "ERR value is not an integer or out of range");
        check(
            "SET k v | LTRIM k 0 1",
            "OK | WRONGTYPE Operation against a key holding the wrong kind of value",
        );
    }
}
