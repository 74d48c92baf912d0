//! Commands on lists: what is drawn for them, with every option. Keeps nothing.

use super::Family;

pub const FAMILY: Family = Family {
    name: "lists",
    keys: &["list:1", "list:2", "list:3", "{t}list:1", "{t}list:2"],
    argument: |generator, kind| match kind {
        "rank" => Some(
            generator
                .pick(&["1", "-1", "2", "-2", "0", "5", "-9223372036854775808", "x"])
                .as_bytes()
                .to_vec(),
        ),
        _ => None,
    },
    patterns: &[
        (12, "RPUSH key {+ value}"),
        (9, "LPUSH key {+ value}"),
        (3, "LPUSHX key {value}"),
        (3, "RPUSHX key {value}"),
        (4, "LPOP key [count]"),
        (4, "RPOP key [count]"),
        (3, "LLEN key"),
        (4, "LINDEX key index"),
        (5, "LSET key index value"),
        (6, "LINSERT key (BEFORE|AFTER) value value"),
        (6, "LRANGE key index index"),
        (3, "LRANGE key 0 -1"),
        (4, "LTRIM key index index"),
        (6, "LREM key index value"),
        (8, "LPOS key value < RANK rank | COUNT count | MAXLEN count >"),
        (6, "LMOVE key key (LEFT|RIGHT) (LEFT|RIGHT)"),
        (3, "RPOPLPUSH key key"),
        (5, "LMPOP #{key} (LEFT|RIGHT) [COUNT positive]"),
        (1, "!LMPOP #{key} (LEFT|RIGHT|UP) COUNT count"),
        (1, "BLPOP {key} timeout"),
        (1, "BRPOP {key} timeout"),
        (1, "BLMOVE key key (LEFT|RIGHT) (LEFT|RIGHT) timeout"),
        (1, "BRPOPLPUSH key key timeout"),
        (1, "BLMPOP timeout #{key} (LEFT|RIGHT) [COUNT positive]"),
    ],
};
