//! XLEN key — how many entries a stream has; 0 for a missing key.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::store::stream::Stream;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (key, touch) = (cx.key(args, 1), cx.touch());
    let stream = cx.keys.view::<Stream>(cx.db, &key, cx.now_ms, touch)?;
    cx.reply.integer(stream.map_or(0, Stream::length) as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn counts_entries() {
        check(
            "XLEN s | XADD s 1 a b | XADD s 2 a b | XLEN s | XDEL s 1 2 | XLEN s",
            "0 | 1-0 | 2-0 | 2 | 2 | 0",
        );
        check("SET k v | XLEN k", "OK | WRONGTYPE Operation against a key holding the wrong kind of value");
    }
}
