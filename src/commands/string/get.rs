//! GET key — return the string value of a key. Nil for a missing key.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::commands::string::reply_string;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (key, touch) = (cx.key(args, 1), cx.touch());
    reply_string(&mut cx.reply, cx.keys.string(cx.db, &key, cx.now_ms, touch)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn returns_what_was_set() {
        check("SET k v | GET k | GET missing | SET n 12 | GET n", "OK | v | nil | OK | 12");
        check("SET k v PX 10 | @9ms | GET k | @10ms | GET k", "OK | v | nil");
    }

    #[test]
    fn returns_numbers_as_they_were_written() {
        check("MSET a 007 b -0 c +1 d -5 | MGET a b c d", "OK | [007, -0, +1, -5]");
    }
}
