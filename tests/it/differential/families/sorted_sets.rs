//! Commands on sorted sets. Ranges by name are asked where all scores are equal; elsewhere Redis promises nothing about them.

use super::{Family, Generator};

pub const FAMILY: Family = Family {
    name: "sorted_sets",
    keys: &["zset:1", "zset:2", "zset:3", "{t}zset:1", "{t}zset:2"],
    argument,
    patterns: &[
        (14, "ZADD key < (NX|XX|GT|LT) | CH > {+ score member}"),
        (2, "!ZADD key < NX | XX | GT | LT | CH | INCR > {score member}"),
        (4, "ZADD key < (NX|XX|GT|LT) | CH | INCR > score member"),
        (2, "SADD set {+ member}"),
        (5, "ZREM key {+ member}"),
        (3, "ZSCORE key member"),
        (3, "ZMSCORE key {member}"),
        (2, "ZCARD key"),
        (4, "ZCOUNT key border border"),
        (7, "ZINCRBY key score member"),
        (3, "ZRANK key member"),
        (3, "ZREVRANK key member"),
        (5, "ZRANGE key index index < REV | WITHSCORES >"),
        (5, "ZRANGE key border border BYSCORE < REV | WITHSCORES | LIMIT index index >"),
        (2, "!ZRANGE key index index < REV | WITHSCORES | LIMIT index index | BYSCORE | BYLEX >"),
        (2, "ZRANGESTORE key key index index [REV]"),
        (3, "ZRANGESTORE key key border border BYSCORE < REV | LIMIT index index >"),
        (1, "ZRANGESTORE key lexical name name BYLEX < REV | LIMIT index index >"),
        (3, "ZREVRANGE key index index [WITHSCORES]"),
        (4, "ZRANGEBYSCORE key border border < WITHSCORES | LIMIT index index >"),
        (4, "ZREVRANGEBYSCORE key border border < WITHSCORES | LIMIT index index >"),
        (3, "ZADD lexical {+ 0 member}"),
        (1, "ZREM lexical {member}"),
        (1, "DEL lexical"),
        (1, "SETNX text lexical"),
        (2, "ZLEXCOUNT lexical name name"),
        (2, "ZRANGEBYLEX lexical name name [LIMIT index index]"),
        (2, "ZREVRANGEBYLEX lexical name name [LIMIT index index]"),
        (2, "ZRANGE lexical name name BYLEX < REV | LIMIT index index >"),
        (1, "ZREMRANGEBYLEX lexical name name"),
        (2, "ZREMRANGEBYRANK key index index"),
        (2, "ZREMRANGEBYSCORE key border border"),
        (2, "ZPOPMIN key [count]"),
        (2, "ZPOPMAX key [count]"),
        (3, "ZMPOP #{key} (MIN|MAX) [COUNT positive]"),
        (1, "BZPOPMIN {key} timeout"),
        (1, "BZPOPMAX {key} timeout"),
        (1, "BZMPOP timeout #{key} (MIN|MAX) [COUNT positive]"),
        (4, "ZUNION #{source} < WEIGHTS ={weight} | AGGREGATE (SUM|MIN|MAX) | WITHSCORES >"),
        (4, "ZINTER #{source} < WEIGHTS ={weight} | AGGREGATE (SUM|MIN|MAX) | WITHSCORES >"),
        (3, "ZDIFF #{source} [WITHSCORES]"),
        (3, "ZUNIONSTORE key #{source} < WEIGHTS ={weight} | AGGREGATE (SUM|MIN|MAX) >"),
        (3, "ZINTERSTORE key #{source} < WEIGHTS ={weight} | AGGREGATE (SUM|MIN|MAX) >"),
        (2, "ZDIFFSTORE key #{source}"),
        (3, "ZINTERCARD #{source} [LIMIT count]"),
        (1, "ZRANDMEMBER key"),
        (3, "ZRANDMEMBER key sample [WITHSCORES]"),
        (3, "ZSCAN key cursor < MATCH glob | COUNT count >"),
    ],
};

fn argument(generator: &mut Generator, kind: &str) -> Option<Vec<u8>> {
    let edge = |generator: &mut Generator, all: &[&str]| generator.pick(all).as_bytes().to_vec();
    Some(match kind {
        "score" | "weight" => generator.float(),
        "set" => generator.key_of("sets"),
        "source" if generator.chance(15) => generator.key_of("sets"),
        "source" => generator.key(),
        "text" => b"text:1".to_vec(),
        "lexical" if generator.chance(4) => edge(generator, &["never", "text:1"]),
        "lexical" => edge(generator, &["zlex:1", "{t}zlex:2"]),
        "border" if generator.chance(20) => {
            edge(generator, &["-inf", "+inf", "inf", "(inf", "(-inf", "(", "x", "nan", "(x", "[1", ""])
        }
        "border" if generator.chance(30) => [b"(".to_vec(), generator.float()].concat(),
        "border" => generator.float(),
        "name" if generator.chance(25) => {
            edge(generator, &["-", "+", "-", "+", "(", "[", "x", "", "-1", "++"])
        }
        "name" => {
            let before = edge(generator, &["[", "("]);
            [before, generator.member()].concat()
        }
        _ => return None,
    })
}
