//! LRANGE key start stop — the elements from one index to another. Both belong to it; negative ones count from the tail, and what
//! lies outside is cut off. Empty for a missing key.

use crate::base::args::Args;
use crate::commands::cx::{Cx, integer};
use crate::commands::error::Outcome;
use crate::commands::item::reply_item;
use crate::commands::list::range;
use crate::store::list::List;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (start, stop) = (integer(args, 2)?, integer(args, 3)?);
    let (key, touch) = (cx.key(args, 1), cx.touch());
    let Some(list) = cx.keys.view::<List>(cx.db, &key, cx.now_ms, touch)? else {
        cx.reply.array(0);
        return Ok(());
    };
    let range = range(list.len(), start, stop);
    cx.reply.array(range.len());
    list.iter_from(range.start).take(range.len()).for_each(|item| reply_item(&mut cx.reply, item));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, check};

    #[test]
    fn returns_a_part() {
        for (range, expected) in [
            ("0 -1", "[a, b, 3, d]"),
            ("1 2", "[b, 3]"),
            ("-2 -1", "[3, d]"),
            ("-100 1", "[a, b]"),
            ("2 100", "[3, d]"),
            ("3 2", "[]"),
            ("4 9", "[]"),
            ("0 -5", "[]"),
            ("-9223372036854775808 9223372036854775807", "[a, b, 3, d]"),
            ("9223372036854775807 -9223372036854775808", "[]"),
        ] {
            check(&format!("RPUSH k a b 3 d | LRANGE k {range}"), &format!("4 | {expected}"));
        }
        check("LRANGE k 0 -1", "[]");
    }

    #[test]
    fn crosses_nodes() {
        let mut bench = Bench::default();
        for number in 0..5000 {
            bench.run(&format!("RPUSH k element{number}"));
        }
        assert_eq!(bench.run("OBJECT ENCODING k"), "quicklist");
        for start in [0, 1, 700, 2499, 2500, 4300] {
            let all: Vec<String> = (start..start + 650).map(|number| format!("element{number}")).collect();
            let stop = start + 649;
            assert_eq!(bench.run(&format!("LRANGE k {start} {stop}")), format!("[{}]", all.join(", ")));
        }
    }

    #[test]
    fn wants_numbers() {
        check("LRANGE k x 1", "ERR value is not an integer or out of range");
        check("LRANGE k 1 1.5", "ERR value is not an integer or out of range");
        check(
            "SET k v | LRANGE k 0 1",
            "OK | WRONGTYPE Operation against a key holding the wrong kind of value",
        );
    }
}
