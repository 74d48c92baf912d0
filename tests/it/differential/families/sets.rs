//! Commands on sets: what is drawn for them, with every option. Keeps nothing.

use super::Family;

pub const FAMILY: Family = Family {
    name: "sets",
    keys: &["set:1", "set:2", "set:3", "{t}set:1", "{t}set:2", "{t}set:3"],
    argument: |generator, kind| match kind {
        "number" => Some(generator.below(600).to_string().into_bytes()),
        _ => None,
    },
    patterns: &[
        (12, "SADD key {+ member}"),
        (6, "SADD key {+ number}"),
        (8, "SREM key {+ member}"),
        (2, "SREM key {+ number}"),
        (4, "SISMEMBER key member"),
        (4, "SMISMEMBER key {+ member}"),
        (3, "SCARD key"),
        (3, "SMEMBERS key"),
        (6, "SMOVE key key member"),
        (5, "SPOP key [count]"),
        (1, "SRANDMEMBER key"),
        (4, "SRANDMEMBER key sample"),
        (4, "SINTER {key}"),
        (4, "SUNION {key}"),
        (4, "SDIFF {key}"),
        (3, "SINTERSTORE key {key}"),
        (3, "SUNIONSTORE key {key}"),
        (3, "SDIFFSTORE key {key}"),
        (5, "SINTERCARD #{key} [LIMIT count]"),
        (3, "SSCAN key cursor < MATCH glob | COUNT count >"),
    ],
};
