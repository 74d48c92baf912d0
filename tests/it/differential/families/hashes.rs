//! Commands on hashes: what is drawn for them, with every option. Keeps nothing.

use super::Family;

pub const FAMILY: Family = Family {
    name: "hashes",
    keys: &["hash:1", "hash:2", "hash:3", "{t}hash:1", "{t}hash:2"],
    argument: |generator, kind| match kind {
        "field" => Some(generator.member()),
        _ => None,
    },
    patterns: &[
        (16, "HSET key {+ field value}"),
        (4, "HMSET key {+ field value}"),
        (5, "HSETNX key field value"),
        (5, "HGET key field"),
        (4, "HMGET key {+ field}"),
        (8, "HDEL key {+ field}"),
        (3, "HLEN key"),
        (4, "HSTRLEN key field"),
        (4, "HEXISTS key field"),
        (3, "HGETALL key"),
        (2, "HKEYS key"),
        (2, "HVALS key"),
        (7, "HINCRBY key field integer"),
        (7, "HINCRBYFLOAT key field float"),
        (1, "HRANDFIELD key"),
        (5, "HRANDFIELD key sample [WITHVALUES]"),
        (4, "HSCAN key cursor < MATCH glob | COUNT count >"),
    ],
};
