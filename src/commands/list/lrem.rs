//! LREM key count element — remove elements that are equal to one: the first `count`, the last `-count`, or all for 0.
//! Returns how many went.

use crate::base::args::Args;
use crate::commands::cx::{Cx, integer};
use crate::commands::error::Outcome;
use crate::store::collection::Change;
use crate::store::effect::End;
use crate::store::list::{List, Wanted};

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (end, count) = match integer(args, 2)? {
        0 => (End::Left, usize::MAX),
        count @ 1.. => (End::Left, count as usize),
        count => (End::Right, count.unsigned_abs() as usize),
    };
    let (key, clock, wanted) = (cx.key(args, 1), cx.clock(), Wanted::new(args.get(3)));
    let remove = |list: &mut Change<'_, List>| list.remove_matching(wanted, end, count);
    let gone = cx.keys.change(cx.db, &key, cx.now_ms, clock, remove)?;
    cx.reply.count(gone.unwrap_or(0));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, check};

    #[test]
    fn removes_equal_ones() {
        let list = "RPUSH k a b a c a";
        check(&format!("{list} | LREM k 2 a | LRANGE k 0 -1"), "5 | 2 | [b, c, a]");
        check(&format!("{list} | LREM k -2 a | LRANGE k 0 -1"), "5 | 2 | [a, b, c]");
        check(&format!("{list} | LREM k 0 a | LRANGE k 0 -1"), "5 | 3 | [b, c]");
        check(
            &format!(
                "{list} | LREM k 0 x | LREM k -9223372036854775808 a | LREM k 1 b | LREM k 1 c | EXISTS k"
            ),
            "5 | 0 | 3 | 1 | 1 | 0",
        );
        check("RPUSH k 1 01 1 | LREM k 0 1 | LRANGE k 0 -1 | LREM missing 0 a", "3 | 2 | [01] | 0");
    }

    #[test]
    fn removes_from_many_nodes() {
        for count in ["0", "700", "-700"] {
            let mut bench = Bench::default();
            let mut expected: Vec<String> = (0..4000).map(|number| format!("e{}", number % 5)).collect();
            for element in &expected {
                bench.run(&format!("RPUSH k {element} {element}"));
            }
            expected = expected.into_iter().flat_map(|element| [element.clone(), element]).collect();
            let most = count.trim_start_matches('-').parse().ok().filter(|n| *n > 0).unwrap_or(usize::MAX);
            if count.starts_with('-') {
                expected.reverse();
            }
            let mut gone = 0;
            expected.retain(|element| {
                let goes = element == "e3" && gone < most;
                gone += usize::from(goes);
                !goes
            });
            if count.starts_with('-') {
                expected.reverse();
            }
            let replies = bench.run(&format!("LREM k {count} e3 | LRANGE k 0 -1"));
            assert!(replies == format!("{gone} | [{}]", expected.join(", ")), "LREM k {count}");
            bench.check_journal();
        }
    }

    #[test]
    fn refuses_bad_counts() {
        check("LREM k x a", "ERR value is not an integer or out of range");
        check(
            "SET k v | LREM k 0 a",
            "OK | WRONGTYPE Operation against a key holding the wrong kind of value",
        );
    }
}
