//! GEODIST key member1 member2 [M | KM | FT | MI] — the distance between two members, in meters if no unit is named.
//! Nil if either is missing.

use crate::base::args::Args;
use crate::base::geohash::Place;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::commands::geo::{unit_meters, write_distance};
use crate::store::sorted_set::SortedSet;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let unit = match args.len() {
        4 => 1.0,
        5 => unit_meters(args, 4)?,
        _ => return Err(CommandError::Syntax),
    };
    let (key, touch) = (cx.key(args, 1), cx.touch());
    let scores = match cx.keys.view::<SortedSet>(cx.db, &key, cx.now_ms, touch)? {
        None => None,
        Some(set) => set.score(args.get(2)).zip(set.score(args.get(3))),
    };
    match scores {
        None => cx.reply.null(),
        Some((from, to)) => {
            let distance = Place::of_score(from).distance_meters(Place::of_score(to));
            write_distance(distance / unit, &mut cx.reply);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    const SICILY: &str = "GEOADD s 13.361389 38.115556 Palermo 15.087269 37.502669 Catania";

    #[test]
    fn measures() {
        for (unit, expected) in [
            ("", "166274.1516"),
            ("m", "166274.1516"),
            ("KM", "166.2742"),
            ("mi", "103.3182"),
            ("ft", "545518.8700"),
        ] {
            check(&format!("{SICILY} | GEODIST s Palermo Catania {unit}"), &format!("2 | {expected}"));
        }
        check(&format!("{SICILY} | GEODIST s Palermo Palermo"), "2 | 0.0000");
        check(&format!("{SICILY} | GEODIST s Palermo none | GEODIST none a b"), "2 | nil | nil");
    }

    #[test]
    fn refuses() {
        check("GEODIST s a b miles", "ERR unsupported unit provided. please use M, KM, FT, MI");
        check("GEODIST s a b m x", "ERR syntax error");
        check(
            "SET s x | GEODIST s a b",
            "OK | WRONGTYPE Operation against a key holding the wrong kind of value",
        );
    }
}
