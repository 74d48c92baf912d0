//! HGETALL key — all fields and values, a map in RESP3; HKEYS key, HVALS key — the fields or the values alone. Empty for a missing key.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::commands::item::reply_item;
use crate::store::hash::{Hash, HashRef};

pub fn hgetall(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    run(cx, args, Part::Both)
}

pub fn hkeys(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    run(cx, args, Part::Fields)
}

pub fn hvals(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    run(cx, args, Part::Values)
}

#[derive(Clone, Copy, PartialEq)]
enum Part {
    Both,
    Fields,
    Values,
}

#[inline]
fn run(cx: &mut Cx<'_>, args: &Args<'_>, part: Part) -> Outcome {
    let (key, touch) = (cx.key(args, 1), cx.touch());
    let hash = cx.keys.view::<Hash>(cx.db, &key, cx.now_ms, touch)?;
    let len = hash.map_or(0, HashRef::len);
    match part {
        Part::Both => cx.reply.map(len),
        Part::Fields | Part::Values => cx.reply.array(len),
    }
    let Some(hash) = hash else { return Ok(()) };
    hash.iter().for_each(|element| {
        if part != Part::Values {
            reply_item(&mut cx.reply, element.field);
        }
        if part != Part::Fields {
            reply_item(&mut cx.reply, element.value);
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{WRONG_TYPE, check3};
    use crate::commands::testing::check;

    #[test]
    fn shows_everything() {
        check(
            "HSET h a 1 b x 3 -5 | HGETALL h | HKEYS h | HVALS h",
            "3 | [a, 1, b, x, 3, -5] | [a, b, 3] | [1, x, -5]",
        );
        check("HGETALL x | HKEYS x | HVALS x", "[] | [] | []");
        check(
            "SET k v | HGETALL k | HKEYS k | HVALS k",
            &format!("OK | {WRONG_TYPE} | {WRONG_TYPE} | {WRONG_TYPE}"),
        );
    }

    #[test]
    fn is_a_map_in_resp3() {
        check3("HSET h a 1 | HGETALL h | HKEYS h | HGETALL x | HVALS x", "1 | {a: 1} | [a] | {} | []");
    }
}
