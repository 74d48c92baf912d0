//! Commands on bits of strings. Offsets are small: one bit far out would be half a gigabyte.

use super::{Family, Generator};

pub const FAMILY: Family = Family {
    name: "bitmaps",
    keys: &["bits:1", "bits:2", "bits:3", "{t}bits:1", "{t}bits:2"],
    argument,
    patterns: &[
        (10, "SETBIT key offset bit"),
        (5, "GETBIT key offset"),
        (2, "!GETBIT key (4294967295|4294967296|-1|'x)"),
        (1, "!SETBIT key (4294967296|-1|'x) bit"),
        (2, "BITCOUNT key"),
        (8, "BITCOUNT key index index [BYTE|BIT]"),
        (1, "!BITCOUNT key index"),
        (10, "BITPOS key bit [index [index [BYTE|BIT]]]"),
        (10, "BITOP (AND|OR|XOR) key {key}"),
        (3, "BITOP NOT key key"),
        (1, "!BITOP (NOT|NAND|AND) key {key}"),
        (8, "BITFIELD key {(GET type place|SET type place number|INCRBY type place number)}"),
        (
            8,
            "BITFIELD key {(OVERFLOW (WRAP|SAT|FAIL) INCRBY type place number|OVERFLOW (WRAP|SAT|FAIL) SET type place number)}",
        ),
        (
            2,
            "!BITFIELD key {(GET wrong place|SET type place value|OVERFLOW (NEVER|SAT)|INCRBY type (-1|#-1|4294967296|#) number)}",
        ),
        (4, "BITFIELD_RO key {GET type place}"),
        (1, "!BITFIELD_RO key {(GET type place|SET type place number)}"),
        (1, "BITFIELD key"),
        (5, "SET key value"),
        (3, "GET key"),
        (2, "SETRANGE key positive value"),
        (2, "APPEND key value"),
        (1, "INCR key"),
        (1, "GETRANGE key index index"),
        (1, "STRLEN key"),
    ],
};

fn argument(generator: &mut Generator, kind: &str) -> Option<Vec<u8>> {
    Some(match kind {
        "offset" if generator.chance(10) => generator.below(20_000).to_string().into_bytes(),
        "offset" => generator.below(200).to_string().into_bytes(),
        "bit" => {
            generator.pick(&["0", "1", "0", "1", "0", "1", "0", "1", "2", "-1", "x", ""]).as_bytes().to_vec()
        }
        "type" => {
            let sign = *generator.pick(&['i', 'u']);
            let bits = match generator.below(4) {
                0 => *generator.pick(&[1, 8, 16, 32, 63]),
                1 if sign == 'i' => 64,
                _ => 1 + generator.below(63),
            };
            format!("{sign}{bits}").into_bytes()
        }
        "wrong" => generator
            .pick(&["u64", "i65", "u0", "i0", "x8", "u", "8", "U8", "i-1", "u08", ""])
            .as_bytes()
            .to_vec(),
        "place" if generator.chance(30) => format!("#{}", generator.below(12)).into_bytes(),
        "place" => generator.below(150).to_string().into_bytes(),
        "number" => match generator.below(6) {
            0 => generator.integer(),
            1 => (generator.rng.next_u64() as i64).to_string().into_bytes(),
            2 => (generator.rng.next_u64() as i64 >> 32).to_string().into_bytes(),
            _ => (generator.below(600) as i64 - 300).to_string().into_bytes(),
        },
        "index" if generator.chance(30) => (generator.below(600) as i64 - 300).to_string().into_bytes(),
        _ => return None,
    })
}
