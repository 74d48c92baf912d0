//! Commands on places of the earth.

use super::{Family, Generator};

pub const FAMILY: Family = Family {
    name: "geo",
    keys: &["geo:1", "geo:2", "{t}geo:1", "{t}geo:2"],
    argument,
    patterns: &[
        (16, "GEOADD key < (NX|XX) | CH > {+ longitude latitude place}"),
        (1, "!GEOADD key < NX | XX | CH > {longitude latitude place}"),
        (8, "GEODIST key place place [unit]"),
        (5, "GEOHASH key {place}"),
        (5, "GEOPOS key {place}"),
        (
            10,
            "GEOSEARCH key (FROMMEMBER place|FROMLONLAT longitude latitude) (BYRADIUS far unit|BYBOX far far unit) \
              < (ASC|DESC) | COUNT positive | WITHCOORD | WITHDIST | WITHHASH >",
        ),
        (
            3,
            "!GEOSEARCH key < FROMMEMBER place | FROMLONLAT longitude latitude | BYRADIUS far unit | BYBOX far far unit \
             | (ASC|DESC) | COUNT count [ANY] | ANY | WITHCOORD >",
        ),
        (2, "GEOSEARCH key FROMMEMBER place BYRADIUS far unit COUNT positive ANY [ASC|DESC]"),
        (
            5,
            "GEOSEARCHSTORE key key (FROMMEMBER place|FROMLONLAT longitude latitude) (BYRADIUS far unit|BYBOX far far unit) \
             < (ASC|DESC) | COUNT positive >",
        ),
        (
            2,
            "GEOSEARCHSTORE distances key FROMMEMBER place BYRADIUS far unit < (ASC|DESC) | COUNT positive | STOREDIST >",
        ),
        (1, "!GEOSEARCHSTORE key key FROMMEMBER place BYRADIUS far unit < WITHCOORD | WITHDIST | WITHHASH >"),
        (
            5,
            "GEORADIUS key longitude latitude far unit < (ASC|DESC) | COUNT positive [ANY] | WITHCOORD | WITHDIST | WITHHASH >",
        ),
        (
            3,
            "GEORADIUS key longitude latitude far unit < (ASC|DESC) | COUNT positive > (STORE key|STOREDIST distances)",
        ),
        (
            3,
            "!GEORADIUS_RO key longitude latitude far unit < (ASC|DESC) | COUNT count | WITHCOORD | WITHDIST | STORE key >",
        ),
        (
            5,
            "GEORADIUSBYMEMBER key place far unit < (ASC|DESC) | COUNT positive [ANY] | WITHCOORD | WITHDIST | WITHHASH >",
        ),
        (
            3,
            "GEORADIUSBYMEMBER key place far unit < (ASC|DESC) | COUNT positive > (STORE key|STOREDIST distances)",
        ),
        (
            3,
            "GEORADIUSBYMEMBER_RO key place far unit < (ASC|DESC) | COUNT count | WITHCOORD | WITHDIST | WITHHASH >",
        ),
        (4, "ZREM key {place}"),
        (3, "ZRANGE key 0 -1 WITHSCORES"),
        (1, "ZRANGE distances 0 -1 WITHSCORES"),
    ],
};

fn argument(generator: &mut Generator, kind: &str) -> Option<Vec<u8>> {
    let degrees = |generator: &mut Generator, bound: f64| {
        let part = generator.below(1 << 40) as f64 / (1_u64 << 40) as f64;
        format!("{:.7}", (2.0 * part - 1.0) * bound)
    };
    #[rustfmt::skip]
    const EDGES: &[&str] = &[
        "0", "180", "-180", "180.0001", "-181", "85.05112878", "-85.05112878", "85.06", "90", "x", "nan", "inf", "1e400", "0x10", "",
    ];
    Some(match kind {
        "longitude" | "latitude" if generator.chance(3) => generator.pick(EDGES).as_bytes().to_vec(),
        // Most places lie close together, so that searches find some.
        "longitude" | "latitude" if generator.chance(60) => degrees(generator, 3.0).into_bytes(),
        "longitude" => degrees(generator, 180.0).into_bytes(),
        "latitude" => degrees(generator, 85.0).into_bytes(),
        // Distances are no places: many would be the same one, and Redis leaves open which of them COUNT takes.
        "distances" => b"distances".to_vec(),
        "place" => {
            let bound = if generator.is_wide { 300 } else { 16 };
            format!("p{}", generator.below(bound)).into_bytes()
        }
        "far" if generator.chance(4) => {
            generator.pick(&["0", "-1", "x", "nan", "inf", "1e400", ""]).as_bytes().to_vec()
        }
        "far" => {
            let scale = *generator.pick(&[1, 1, 10, 100, 1000, 10_000]);
            format!("{}.{}", scale * (1 + generator.below(90)), generator.below(100)).into_bytes()
        }
        "unit" => {
            generator.pick(&["m", "km", "km", "km", "ft", "mi", "mi", "KM", "miles"]).as_bytes().to_vec()
        }
        _ => return None,
    })
}
