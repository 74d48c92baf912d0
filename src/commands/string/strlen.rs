//! STRLEN key — return the length of a string in bytes; 0 for a missing key.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::store::object::StringRef;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (key, touch) = (cx.key(args, 1), cx.touch());
    let value = cx.keys.string(cx.db, &key, cx.now_ms, touch)?;
    cx.reply.count(value.map_or(0, StringRef::len));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn counts_bytes() {
        check("SET k hello | STRLEN k | SET k -12 | STRLEN k | STRLEN missing", "OK | 5 | OK | 3 | 0");
    }
}
