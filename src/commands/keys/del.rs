//! DEL key [key ...], UNLINK key [key ...] — remove keys and return how many were there.
//! The two are one: a string is freed in constant time.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let mut removed = 0;
    cx.for_each_key(args, 1..args.len(), |cx, _, key| {
        removed += usize::from(cx.keys.remove(cx.db, key, cx.now_ms));
    });
    cx.reply.count(removed);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn removes_and_counts() {
        check("MSET a 1 b 2 c 3 | DEL a b a x | EXISTS a b c | UNLINK c | UNLINK c", "OK | 2 | 1 | 1 | 0");
        check("SET a 1 PX 5 | @5ms | DEL a", "OK | 0");
        check("DEL", "ERR wrong number of arguments for 'del' command");
    }
}
