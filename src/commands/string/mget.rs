//! MGET key [key ...] — return the string values of several keys. Nil for a key that is missing or holds another type.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::store::object::StringRef;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    cx.reply.array(args.len() - 1);
    for i in 1..args.len() {
        let (key, touch) = (cx.key(args, i), cx.touch());
        match cx.keys.string(cx.db, &key, cx.now_ms, touch) {
            Ok(Some(StringRef::Bytes(bytes))) => cx.reply.bulk(bytes),
            Ok(Some(StringRef::Integer(number))) => cx.reply.bulk_integer(number),
            Ok(None) | Err(_) => cx.reply.null(),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn keeps_the_order_of_its_keys() {
        check("SET a 1 | SET b x | MGET b missing a", "OK | OK | [x, nil, 1]");
    }
}
