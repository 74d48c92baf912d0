//! GEOPOS key [member ...] — the places of members, longitude and latitude, which differ a little from those that were added; nil for a
//! missing member.

use crate::base::args::Args;
use crate::base::geohash::Place;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::commands::geo::write_place;
use crate::store::sorted_set::SortedSet;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (key, touch) = (cx.key(args, 1), cx.touch());
    let set = cx.keys.view::<SortedSet>(cx.db, &key, cx.now_ms, touch)?;
    cx.reply.array(args.len() - 2);
    for member in args.iter_from(2) {
        match set.and_then(|set| set.score(member)) {
            Some(score) => write_place(Place::of_score(score), &mut cx.reply),
            None => cx.reply.null_array(),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn shows_places() {
        check(
            "GEOADD s 13.361389 38.115556 Palermo 15.087269 37.502669 Catania | GEOPOS s Palermo none Catania",
            "2 | [[13.36138933897018433, 38.11555639549629859], nil, [15.08726745843887329, 37.50266842333162032]]",
        );
        check("GEOPOS s | GEOPOS s a", "[] | [nil]");
        check(
            "SET s x | GEOPOS s a",
            "OK | WRONGTYPE Operation against a key holding the wrong kind of value",
        );
    }
}
