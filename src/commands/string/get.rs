//! GET key — return the string value of a key. Nil for a missing key.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::store::object::StringRef;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (key, touch) = (cx.key(args, 1), cx.touch());
    match cx.keys.string(cx.db, &key, cx.now_ms, touch)? {
        Some(StringRef::Bytes(bytes)) => cx.reply.bulk(bytes),
        Some(StringRef::Integer(number)) => cx.reply.bulk_integer(number),
        None => cx.reply.null(),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn returns_what_was_set() {
        check("SET k v | GET k | GET missing | SET n 12 | GET n", "OK | v | nil | OK | 12");
    }
}
