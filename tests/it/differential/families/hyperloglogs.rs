//! Commands on HyperLogLogs, whose very bytes are compared. What is broken is the head: what
//! becomes of broken registers is an accident.

use super::{Family, Generator};

pub const FAMILY: Family = Family {
    name: "hyperloglogs",
    keys: &["hll:1", "hll:2", "hll:3", "{t}hll:1", "{t}hll:2", "{t}hll:3"],
    argument,
    patterns: &[
        (20, "PFADD key {+ element}"),
        (1, "PFADD key"),
        (12, "PFCOUNT key"),
        (8, "PFCOUNT {key}"),
        (8, "PFMERGE key {key}"),
        (1, "PFMERGE key"),
        (5, "GET key"),
        (3, "STRLEN key"),
        (2, "!PFDEBUG (ENCODING|TODENSE|DECODE) key"),
        (1, "SET key broken"),
        (1, "SETRANGE key (0|4|5|8|15) 'x"),
    ],
};

fn argument(generator: &mut Generator, kind: &str) -> Option<Vec<u8>> {
    Some(match kind {
        "element" if generator.chance(10) => generator.value(),
        "element" if generator.is_wide => generator.below(1_000_000).to_string().into_bytes(),
        "element" => generator.below(300).to_string().into_bytes(),
        "broken" => match generator.below(6) {
            0 => b"HYLL".to_vec(),
            1 => b"HYLL\0\0\0\0\0\0\0\0\0\0\0\0".to_vec(),
            2 => b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80\x7f\xff".to_vec(),
            3 => b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80\x7f\xfe\x80".to_vec(),
            4 => b"HYLL\x02\0\0\0\0\0\0\0\0\0\0\x80\x7f\xff".to_vec(),
            _ => b"HYLX\x01\0\0\0\0\0\0\0\0\0\0\x80\x7f\xff".to_vec(),
        },
        _ => return None,
    })
}
