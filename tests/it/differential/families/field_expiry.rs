//! Commands on times to live of fields of hashes, which came with Redis 7.4: for `commands/replay_tests`, not to compare with 7.0.

use super::Family;

pub const FAMILY: Family = Family {
    name: "field_expiry",
    keys: super::hashes::FAMILY.keys,
    argument: super::hashes::FAMILY.argument,
    patterns: &[
        (10, "HSET key {+ field value}"),
        (4, "HDEL key {field}"),
        (4, "HINCRBY key field integer"),
        (3, "HINCRBYFLOAT key field float"),
        (3, "HSETNX key field value"),
        (2, "HGETALL key"),
        (2, "HRANDFIELD key sample [WITHVALUES]"),
        (8, "HEXPIRE key seconds [NX|XX|GT|LT] FIELDS #{field}"),
        (5, "HPEXPIRE key ms [NX|XX|GT|LT] FIELDS #{field}"),
        (5, "HEXPIREAT key unix [NX|XX|GT|LT] FIELDS #{field}"),
        (5, "HPEXPIREAT key unix-ms [NX|XX|GT|LT] FIELDS #{field}"),
        (1, "HEXPIRE key 0 [NX|XX|GT|LT] FIELDS #{field}"),
        (5, "HPERSIST key FIELDS #{field}"),
        (3, "HTTL key FIELDS #{field}"),
        (3, "HPTTL key FIELDS #{field}"),
        (3, "HEXPIRETIME key FIELDS #{field}"),
        (3, "HPEXPIRETIME key FIELDS #{field}"),
    ],
};
