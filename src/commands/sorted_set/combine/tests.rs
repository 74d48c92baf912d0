//! Combinations of sorted sets and sets, on one shard and as if on several.

use crate::base::args::OwnedArgs;
use crate::commands::sorted_set::gathered::check_both;
use crate::commands::sorted_set::{COUNTED, COUNTED_STORE};
use crate::commands::testing::{Bench, check};

const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";
const TWO: &str = "ZADD a 1 x 2 y 3 z | ZADD b 10 y 20 z 30 w";

#[track_caller]
fn both(script: &str, expected: &str) {
    check_both(TWO, script, expected);
}

#[test]
fn unions() {
    both("ZUNION 2 a b", "[x, y, z, w]");
    both("ZUNION 2 a b WITHSCORES", "[x, 1, y, 12, z, 23, w, 30]");
    both("ZUNION 2 a b WEIGHTS 10 1 WITHSCORES", "[x, 10, w, 30, y, 30, z, 50]");
    both("ZUNION 2 a b AGGREGATE MIN WITHSCORES", "[x, 1, y, 2, z, 3, w, 30]");
    both("ZUNION 3 a no b aggregate max withscores weights 1 1 -1", "[w, -30, x, 1, y, 2, z, 3]");
    both("ZUNION 1 no", "[]");
    both("ZUNION 2 a a WITHSCORES", "[x, 2, y, 4, z, 6]");
}

#[test]
fn intersections() {
    both("ZINTER 2 a b WITHSCORES", "[y, 12, z, 23]");
    both("ZINTER 2 a b WEIGHTS 1 0.5 AGGREGATE MAX WITHSCORES", "[y, 5, z, 10]");
    both("ZINTER 2 a no", "[]");
    both("ZINTER 2 b b WITHSCORES", "[y, 20, z, 40, w, 60]");
    both("ZINTERCARD 2 a b", "2");
    both("ZINTERCARD 2 a b LIMIT 1", "1");
    both("ZINTERCARD 2 a b LIMIT 0", "2");
    both("ZINTERCARD 1 a LIMIT 2 LIMIT 9", "3");
}

#[test]
fn differences() {
    both("ZDIFF 2 a b WITHSCORES", "[x, 1]");
    both("ZDIFF 2 b a", "[w]");
    both("ZDIFF 3 a no no", "[x, y, z]");
    both("ZDIFF 2 a a", "[]");
    both("ZDIFF 2 no a", "[]");
}

#[test]
fn stores() {
    both("ZUNIONSTORE to 2 a b | ZRANGE to 0 -1 WITHSCORES", "4 | [x, 1, y, 12, z, 23, w, 30]");
    both("ZINTERSTORE a 2 a b AGGREGATE MIN | ZRANGE a 0 -1 WITHSCORES", "2 | [y, 2, z, 3]");
    both("ZDIFFSTORE to 2 a b | ZRANGE to 0 -1 WITHSCORES | OBJECT ENCODING to", "1 | [x, 1] | listpack");
    both("ZDIFFSTORE a 2 a a | EXISTS a", "0 | 0");
    both("ZINTERSTORE b 2 a no | EXISTS b", "0 | 0");
    check("SET to v EX 9 | ZADD a 1 x | ZUNIONSTORE to 1 a | TYPE to | TTL to", "OK | 1 | 1 | zset | -1");
    let many: Vec<String> = (0..200).map(|i| format!("{i} m{i}")).collect();
    check(
        &format!("ZADD k {} | ZUNIONSTORE to 1 k | OBJECT ENCODING to | ZRANGE to 0 0", many.join(" ")),
        "200 | 200 | skiplist | [m0]",
    );
}

#[test]
fn sets_have_score_one() {
    check(
        "SADD s x 7 y | ZADD z 2 7 3 w | ZUNION 2 s z WITHSCORES | ZINTER 2 s z WITHSCORES | ZDIFF 2 s z WITHSCORES",
        "3 | 2 | [x, 1, y, 1, 7, 3, w, 3] | [7, 3] | [x, 1, y, 1]",
    );
    check(
        "SADD s 1 2 3 | ZUNIONSTORE to 1 s WEIGHTS 2 | ZRANGE to 0 -1 WITHSCORES",
        "3 | 3 | [1, 2, 2, 2, 3, 2]",
    );
    check("SADD s 1 2 3 | ZADD z 1 2 | ZINTERCARD 2 s z | ZDIFF 2 z s", "3 | 1 | 1 | []");
}

#[test]
fn what_is_not_a_number_is_zero() {
    check(
        "ZADD a inf x | ZADD b -inf x | ZUNION 2 a b WITHSCORES | ZINTER 2 a b WITHSCORES",
        "1 | 1 | [x, 0] | [x, 0]",
    );
    check(
        "ZADD a inf x | ZUNION 1 a WEIGHTS 0 WITHSCORES | ZINTER 1 a WEIGHTS 0 WITHSCORES",
        "1 | [x, 0] | [x, 0]",
    );
    check(
        "ZADD a inf x | ZADD b 5 x | ZINTER 2 a b WEIGHTS 0 1 WITHSCORES | ZUNION 2 a b WEIGHTS 0 1 WITHSCORES",
        "1 | 1 | [x, 5] | [x, 5]",
    );
}

#[test]
fn members_are_the_same_in_any_form() {
    let many: Vec<String> = (0..200).map(|i| format!("1 {i}")).collect();
    check(
        &format!(
            "ZADD large {} | ZADD small 1 7 2 x | ZINTER 2 large small WITHSCORES | ZUNIONSTORE to 2 large small | ZDIFF 2 small large",
            many.join(" ")
        ),
        "200 | 2 | [7, 2] | 201 | [x]",
    );
}

#[test]
fn pairs_in_resp3() {
    let mut bench = Bench::default();
    bench.run(TWO);
    bench.run("HELLO 3");
    assert_eq!(bench.run("ZINTER 2 a b | ZINTER 2 a b WITHSCORES"), "[y, z] | [[y, 12], [z, 23]]");
}

#[test]
fn refuses() {
    let syntax = "ERR syntax error";
    for name in ["ZUNION", "ZINTER", "ZDIFF", "ZINTERCARD"] {
        let lower = name.to_ascii_lowercase();
        let needed = format!("ERR at least 1 input key is needed for '{lower}' command");
        check(&format!("{name} 0 a | {name} -1 a"), &format!("{needed} | {needed}"));
        check(
            &format!("{name} x a | {name} 2 a"),
            &format!("ERR value is not an integer or out of range | {syntax}"),
        );
        check(
            &format!("SET k v | {name} 1 k FOO | {name} 1 no FOO"),
            &format!("OK | {WRONG_TYPE} | {syntax}"),
        );
    }
    let needed = "ERR at least 1 input key is needed for 'zunionstore' command";
    check("ZUNIONSTORE to 0 a | ZUNIONSTORE to 1 a WITHSCORES", &format!("{needed} | {syntax}"));
    both("ZUNION 2 a b WEIGHTS 1", syntax);
    both("ZUNION 2 a b WEIGHTS 1 x", "ERR weight value is not a float");
    both("ZUNION 1 a AGGREGATE", syntax);
    both("ZUNION 1 a AGGREGATE AVG", syntax);
    both("ZUNION 1 a LIMIT 1", syntax);
    both("ZDIFF 1 a WEIGHTS 1", syntax);
    both("ZDIFF 1 a AGGREGATE SUM", syntax);
    both("ZINTERCARD 1 a WITHSCORES", syntax);
    both("ZINTERCARD 1 a WEIGHTS 1", syntax);
    both("ZINTERCARD 1 a LIMIT", syntax);
    both("ZINTERCARD 1 a LIMIT -1", "ERR LIMIT can't be negative");
    both("ZINTERCARD 1 a LIMIT x", "ERR LIMIT can't be negative");
}

#[test]
fn key_words_are_those_behind_the_count() {
    let words = OwnedArgs::new(["ZUNIONSTORE", "to", "2", "a", "b", "WEIGHTS", "1", "2"]);
    assert_eq!(COUNTED_STORE.indices(&words.args()).collect::<Vec<_>>(), [1, 3, 4]);
    let words = OwnedArgs::new(["ZMPOP", "2", "a", "b", "MIN"]);
    assert_eq!(COUNTED.indices(&words.args()).collect::<Vec<_>>(), [2, 3]);
}
