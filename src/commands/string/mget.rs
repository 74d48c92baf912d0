//! MGET key [key ...] — return the string values of several keys. Nil for a key that is missing or holds another type.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::commands::string::reply_string;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    cx.reply.array(args.len() - 1);
    let touch = cx.touch();
    cx.for_each_key(args, 1..args.len(), |cx, _, key| {
        reply_string(&mut cx.reply, cx.keys.string(cx.db, key, cx.now_ms, touch).unwrap_or(None));
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, check};

    #[test]
    fn keeps_the_order_of_its_keys() {
        check("SET a 1 | SET b x | MGET b missing a b", "OK | OK | [x, nil, 1, x]");
        check("MGET", "ERR wrong number of arguments for 'mget' command");
    }

    #[test]
    fn reads_more_keys_than_one_batch() {
        let mut bench = Bench::default();
        let names: Vec<String> = (0..100).map(|i| format!("key:{i}")).collect();
        let pairs = names.iter().enumerate().flat_map(|(i, name)| [name.clone(), i.to_string()]);
        bench.call(["MSET".into()].into_iter().chain(pairs));
        let values: Vec<String> = (0..100).map(|i| i.to_string()).collect();
        let replies = bench.run(&format!("MGET {}", names.join(" ")));
        assert_eq!(replies, format!("[{}]", values.join(", ")));
    }
}
