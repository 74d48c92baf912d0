//! GEOHASH key [member ...] — the places of members as geohashes of eleven characters, as other programs understand them; nil for a
//! missing member.

use crate::base::args::Args;
use crate::base::geohash::Place;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::store::sorted_set::SortedSet;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (key, touch) = (cx.key(args, 1), cx.touch());
    let set = cx.keys.view::<SortedSet>(cx.db, &key, cx.now_ms, touch)?;
    cx.reply.array(args.len() - 2);
    for member in args.iter_from(2) {
        match set.and_then(|set| set.score(member)) {
            Some(score) => cx.reply.bulk(&Place::of_score(score).text()),
            None => cx.reply.null(),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn names_places() {
        check(
            "GEOADD s 13.361389 38.115556 Palermo 15.087269 37.502669 Catania | GEOHASH s Palermo none Catania",
            "2 | [sqc8b49rny0, nil, sqdtr74hyu0]",
        );
        check("GEOHASH s | GEOHASH s a | ZADD z 1 a -1 b | GEOHASH z a", "[] | [nil] | 2 | [00bh0hbj210]");
        check(
            "SET s x | GEOHASH s a",
            "OK | WRONGTYPE Operation against a key holding the wrong kind of value",
        );
    }
}
