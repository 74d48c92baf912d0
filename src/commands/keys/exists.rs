//! EXISTS key [key ...], TOUCH key [key ...] — count the keys that exist; TOUCH also sets their access time.
//! A key that is named twice counts twice.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;

pub fn exists(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    count(cx, args, None)
}

pub fn touch(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let touch = cx.touch();
    count(cx, args, touch)
}

fn count(cx: &mut Cx<'_>, args: &Args<'_>, touch: Option<u32>) -> Outcome {
    let mut found = 0;
    cx.for_each_key(args, 1..args.len(), |cx, _, key| {
        found += usize::from(cx.keys.read(cx.db, key, cx.now_ms, touch).is_some());
    });
    cx.reply.count(found);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn counts_each_mention() {
        check("MSET a 1 b 2 | EXISTS a b a x | TOUCH a a x", "OK | 3 | 2");
        check("SET a 1 PX 5 | EXISTS a | @5ms | EXISTS a | TOUCH a", "OK | 1 | 0 | 0");
    }

    #[test]
    fn only_touch_touches() {
        check(
            "SET a 1 | @30s | EXISTS a | OBJECT IDLETIME a | TOUCH a | OBJECT IDLETIME a",
            "OK | 1 | 30 | 1 | 0",
        );
    }
}
