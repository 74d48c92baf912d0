//! GEOSEARCH key FROMMEMBER member | FROMLONLAT longitude latitude BYRADIUS radius unit | BYBOX width height unit [ASC | DESC] [COUNT n
//! [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH], GEOSEARCHSTORE destination key [the same without WITH...] [STOREDIST] — members in a circle
//! or a box. GEOSEARCHSTORE makes them another sorted set and returns how many there are.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::commands::gather::{Decided, Decision, Gather, Part};
use crate::commands::geo::query::Form;
use crate::commands::geo::search;
use crate::resp::write::Writer;

pub const GATHER: Gather = Gather {
    reads_key_alone: false,
    read: |cx, args, i| search::read(cx, args, i, Form::SearchStore),
    decide,
    reads_undeclared: false,
};

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    search::run(cx, args, Form::Search)
}

pub fn run_store(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    search::run(cx, args, Form::SearchStore)
}

fn decide(at: Decision, args: &Args<'_>, parts: &mut [Part], reply: &mut Writer<'_>) -> Decided {
    search::decide(at, &mut parts[1], args.get(1), reply)
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    const SICILY: &str = "GEOADD s 13.361389 38.115556 Palermo 15.087269 37.502669 Catania \
                          12.758489 38.788135 edge1 17.241510 38.788135 edge2";

    #[test]
    fn searches_circles_and_boxes() {
        let search = |words: &str, expected: &str| {
            check(&format!("{SICILY} | GEOSEARCH s {words}"), &format!("4 | {expected}"));
        };
        search("FROMLONLAT 15 37 BYRADIUS 200 km ASC", "[Catania, Palermo]");
        search("BYRADIUS 200 km FROMMEMBER Catania ASC", "[Catania, Palermo]");
        search(
            "FROMLONLAT 15 37 BYBOX 400 400 km ASC WITHDIST",
            "[[Catania, 56.4413], [Palermo, 190.4424], [edge2, 279.7403], [edge1, 279.7405]]",
        );
        search("FROMLONLAT 15 37 BYBOX 400 400 km DESC COUNT 1", "[edge1]");
        search("FROMMEMBER Palermo BYBOX 1 1 ft", "[Palermo]");
        search("FROMLONLAT 15 37 BYRADIUS 0 m", "[]");
        check("GEOSEARCH none FROMMEMBER x BYRADIUS 1 m", "[]");
    }

    #[test]
    fn stores_results() {
        let search = "FROMLONLAT 15 37 BYBOX 400 400 km ASC COUNT 3";
        check(
            &format!("{SICILY} | SET d x EX 9 | GEOSEARCHSTORE d s {search} | ZRANGE d 0 -1 | TTL d"),
            "4 | OK | 3 | [Palermo, Catania, edge2] | -1",
        );
        check(
            &format!(
                "{SICILY} | GEOSEARCHSTORE d s {search} STOREDIST | ZRANGE d 0 -1 | ZRANGEBYSCORE d 56.4 56.5"
            ),
            "4 | 3 | [Catania, Palermo, edge2] | [Catania]",
        );
        check(&format!("{SICILY} | GEOSEARCHSTORE s s {search} | ZCARD s"), "4 | 3 | 3");
        check(&format!("{SICILY} | SET d x | GEOSEARCHSTORE d none {search} | EXISTS d"), "4 | OK | 0 | 0");
    }

    #[test]
    fn refuses() {
        let from = "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for";
        check("geosearch s BYRADIUS 1 m ASC ASC ASC", &format!("{from} geosearch"));
        check("GEOSEARCHSTORE d s BYRADIUS 1 m ASC ASC ASC", &format!("{from} GEOSEARCHSTORE"));
        check(
            "GEOSEARCH s FROMLONLAT 1 1 ASC ASC ASC",
            "ERR exactly one of BYRADIUS and BYBOX can be specified for GEOSEARCH",
        );
        check("GEOSEARCH s FROMLONLAT 1 1 FROMMEMBER x BYRADIUS 1 m", "ERR syntax error");
        check("GEOSEARCH s FROMLONLAT 1 1 BYRADIUS 1 m BYBOX 1 1 m", "ERR syntax error");
        check("GEOSEARCH s FROMLONLAT 1 1 BYRADIUS 1 m STOREDIST", "ERR syntax error");
        check("GEOSEARCH s FROMLONLAT 1 1 BYBOX x 1 m", "ERR need numeric width");
        check("GEOSEARCH s FROMLONLAT 1 1 BYBOX 1 x m", "ERR need numeric height");
        check("GEOSEARCH s FROMLONLAT 1 1 BYBOX 1 -1 m", "ERR height or width cannot be negative");
        check(
            "GEOSEARCHSTORE d s FROMLONLAT 1 1 BYRADIUS 1 m WITHHASH",
            "ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
        );
        check(
            "SET s x | GEOSEARCHSTORE d s FROMLONLAT 1 1 BYRADIUS 1 m",
            "OK | WRONGTYPE Operation against a key holding the wrong kind of value",
        );
        check(
            &format!("{SICILY} | GEOSEARCHSTORE d s FROMMEMBER x BYRADIUS 1 m"),
            "4 | ERR could not decode requested zset member",
        );
    }
}
