//! LINSERT key BEFORE | AFTER pivot element — put an element beside the first one that is equal to `pivot`. Returns the new length, -1
//! where there is no pivot, 0 for a missing key.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::store::collection::Change;
use crate::store::list::{List, Wanted};

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let behind = match () {
        () if args.is(2, "BEFORE") => 0,
        () if args.is(2, "AFTER") => 1,
        () => return Err(CommandError::Syntax),
    };
    let (key, clock, pivot) = (cx.key(args, 1), cx.clock(), Wanted::new(args.get(3)));
    let insert = |list: &mut Change<'_, List>| {
        let at = list.view().iter().position(|item| pivot.is(item))?;
        list.insert(at + behind, args.get(4));
        Some(list.view().len())
    };
    match cx.keys.change(cx.db, &key, cx.now_ms, clock, insert)? {
        None => cx.reply.integer(0),
        Some(None) => cx.reply.integer(-1),
        Some(Some(len)) => cx.reply.count(len),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, check};

    #[test]
    fn inserts_beside_the_pivot() {
        check(
            "RPUSH k a b a | LINSERT k before a x | LINSERT k AFTER a y | LINSERT k after b 1 | LRANGE k 0 -1",
            "3 | 4 | 5 | 6 | [x, a, y, b, 1, a]",
        );
        check(
            "RPUSH k a 12 | LINSERT k AFTER 12 z | LINSERT k BEFORE 012 z | LRANGE k 0 -1",
            "2 | 3 | -1 | [a, 12, z]",
        );
        check("LINSERT k BEFORE a b | EXISTS k", "0 | 0");
    }

    #[test]
    fn splits_nodes() {
        let mut bench = Bench::default();
        let mut expected = Vec::new();
        for number in 0..2000 {
            bench.run(&format!("RPUSH k element{number}"));
            expected.push(format!("element{number}"));
        }
        for number in (0..2000).step_by(7) {
            bench.run(&format!("LINSERT k AFTER element{number} new{number}"));
            let at = expected.iter().position(|it| *it == format!("element{number}")).expect("it is there");
            expected.insert(at + 1, format!("new{number}"));
        }
        assert!(bench.run("LRANGE k 0 -1") == format!("[{}]", expected.join(", ")));
        bench.check_journal();
    }

    #[test]
    fn refuses_other_places() {
        check("LINSERT k ASIDE a b", "ERR syntax error");
        check(
            "SET k v | LINSERT k AFTER a b",
            "OK | WRONGTYPE Operation against a key holding the wrong kind of value",
        );
    }
}
