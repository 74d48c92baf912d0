//! Every case in both ways: keys on one shard, and on several. The replies are those of Redis 7.0.15.

use super::*;
use crate::base::args::OwnedArgs;
use crate::commands::testing::{Bench, check};

/// Runs `setup`, then `calls` in both ways.
#[track_caller]
fn check_both(setup: &str, calls: &[(&str, &str)]) {
    check(setup, &Bench::default().run(setup));
    for (call, expected) in calls {
        let mut bench = Bench::default();
        bench.run(setup);
        assert_eq!(bench.run_gathered(call), *expected, "{call}, across shards");
        bench.check_journal();
        let mut bench = Bench::default();
        bench.run(setup);
        assert_eq!(bench.run(call), *expected, "{call}");
        bench.check_journal();
    }
}

const NOT_NUMBERS: &str = "ERR One or more scores can't be converted into double";
const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";

#[test]
fn sorts_by_number_or_text() {
    check_both(
        "RPUSH l 3 1 10 2",
        &[
            ("SORT l", "[1, 2, 3, 10]"),
            ("SORT l DESC", "[10, 3, 2, 1]"),
            ("SORT l ALPHA", "[1, 10, 2, 3]"),
            ("SORT_RO l ALPHA DESC", "[3, 2, 10, 1]"),
            ("SORT l DESC LIMIT 1 1 asc", "[2]"),
            ("SORT missing", "[]"),
        ],
    );
    check_both("ZADD z 1 b 2 a 3 c", &[("SORT z ALPHA", "[a, b, c]"), ("SORT z", NOT_NUMBERS)]);
    check_both("SADD s 3 1 2", &[("SORT s", "[1, 2, 3]"), ("SORT s LIMIT 1 1 DESC", "[2]")]);
}

#[test]
fn numbers_are_those_of_c() {
    check("RPUSH l 1.5 -1 1e1 0x10 \" 3\" \"\" | SORT l", "6 | [-1, \"\", 1.5,  3, 1e1, 0x10]");
    check("RPUSH l 1 x | SORT l | SORT l BY nosort", &format!("2 | {NOT_NUMBERS} | [1, x]"));
    // What glibc reports as out of range; recorded from Redis 7.0.15.
    for number in [
        "1e400",
        "-1e400",
        "1e-400",
        "5e-324",
        "1e-310",
        "2.2250738585072011e-308",
        "0x1.8p-1074",
        "0x1p-1075",
    ] {
        check(&format!("RPUSH l 1 {number} | SORT l"), &format!("2 | {NOT_NUMBERS}"));
    }
    for number in ["0e-400", "2.2250738585072014e-308", "0x1p-1074", "-0x0.8p-1022"] {
        check(&format!("RPUSH l 1 {number} | SORT l"), &format!("2 | [{number}, 1]"));
    }
    check("RPUSH l nan | SORT l", &format!("1 | {NOT_NUMBERS}"));
    check("RPUSH l \"1 \" | SORT l", &format!("1 | {NOT_NUMBERS}"));
    check(
        "RPUSH l 9007199254740993 9007199254740992 | SORT l | SORT l DESC",
        "2 | [9007199254740992, 9007199254740993] | [9007199254740993, 9007199254740992]",
    );
    check("RPUSH l -0 0 +0 | SORT l | SORT l DESC", "3 | [+0, -0, 0] | [0, -0, +0]");
}

#[test]
fn limits() {
    check_both(
        "RPUSH l 3 1 10 2",
        &[
            ("SORT l LIMIT 1 2", "[2, 3]"),
            ("SORT l LIMIT -1 2", "[1, 2]"),
            ("SORT l LIMIT 2 -1", "[3, 10]"),
            ("SORT l LIMIT 9 1", "[]"),
            ("SORT l LIMIT 0 0", "[]"),
            ("SORT l LIMIT 9223372036854775807 9223372036854775807", "[]"),
        ],
    );
}

#[test]
fn may_leave_the_order_alone() {
    check_both(
        "RPUSH l 3 1 2 | ZADD z 1 b 2 a 3 c | SADD s 10 9 1",
        &[
            ("SORT l BY nosort", "[3, 1, 2]"),
            ("SORT l BY nosort DESC", "[2, 1, 3]"),
            ("SORT l BY nosort DESC LIMIT 0 2", "[2, 1]"),
            ("SORT l BY w_* BY nosort", "[3, 1, 2]"),
            ("SORT z BY nosort", "[b, a, c]"),
            ("SORT z BY nosort DESC", "[c, a, b]"),
            ("SORT z BY nosort DESC LIMIT 1 1", "[a]"),
            ("SORT z BY nosort LIMIT 1 9", "[a, c]"),
            ("SORT s BY nosort STORE d", "3"),
        ],
    );
    check("SADD s 10 9 1 | SORT s BY nosort STORE d | LRANGE d 0 -1", "3 | 3 | [1, 10, 9]");
}

#[test]
fn weighs_by_other_keys() {
    check_both(
        "RPUSH l a b c | MSET w_a 3 w_b 1 t_a x t_b y ak 1 bk 2 ck 3",
        &[
            ("SORT l BY w_*", "[c, b, a]"),
            ("SORT l BY w_* DESC", "[a, b, c]"),
            ("SORT l BY t_*", NOT_NUMBERS),
            ("SORT l BY t_* ALPHA", "[c, a, b]"),
            ("SORT l BY t_* ALPHA DESC", "[b, a, c]"),
            ("SORT l BY *k DESC", "[c, b, a]"),
            ("SORT_RO l BY missing_* LIMIT 0 2", "[a, b]"),
            ("SORT l BY l*", "[a, b, c]"),
        ],
    );
    check("RPUSH l b a | RPUSH w_a 1 | SORT l BY w_*", "2 | 1 | [a, b]");
}

#[test]
fn fetches_other_keys() {
    check_both(
        "RPUSH l a b c | MSET w_a 3 w_b 1 ak 1 bk 2",
        &[
            ("SORT l BY w_* GET # GET w_* GET nothing", "[c, nil, nil, b, 1, nil, a, 3, nil]"),
            ("SORT l ALPHA GET *k", "[1, 2, nil]"),
            ("SORT l ALPHA LIMIT 1 1 GET *k GET #", "[2, b]"),
            ("SORT l BY nosort GET w_*", "[3, 1, nil]"),
        ],
    );
    check_both(
        "RPUSH l 2 1 | HSET o_1 f 20 n one | HSET o_2 f 10 n two | SET p_1-> x",
        &[
            ("SORT l BY o_*->f GET o_*->n", "[two, one]"),
            (
                "SORT l BY o_*->f DESC GET # GET o_*->n GET o_*->no GET o_*",
                "[1, one, nil, nil, 2, two, nil, nil]",
            ),
            ("SORT l GET p_*->", "[x, nil]"),
        ],
    );
}

#[test]
fn stores_a_list() {
    check_both(
        "RPUSH l 3 1 2 | SET d x EX 100",
        &[("SORT l STORE d", "3"), ("SORT l GET w_* STORE d", "3"), ("SORT missing STORE d", "0")],
    );
    check("RPUSH l 3 1 2 | SORT l STORE d | LRANGE d 0 -1", "3 | 3 | [1, 2, 3]");
    check("RPUSH l 1 2 | SORT l GET w_* STORE d | LRANGE d 0 -1", "2 | 2 | [\"\", \"\"]");
    check("RPUSH d 1 | SORT missing STORE d | EXISTS d", "1 | 0 | 0");
    check("RPUSH l b a | SORT l ALPHA STORE l | LRANGE l 0 -1", "2 | 2 | [a, b]");
    check("RPUSH l 1 2 | SET d x EX 100 | SORT l DESC STORE d | TTL d | TYPE d", "2 | OK | 2 | -1 | list");
    check("RPUSH l 1 2 | SORT l STORE e STORE f | EXISTS e f", "2 | 2 | 1");
}

#[test]
fn refuses() {
    check_both("SET k v | HSET h f v", &[("SORT k", WRONG_TYPE), ("SORT_RO h", WRONG_TYPE)]);
    let (syntax, number) = ("ERR syntax error", "ERR value is not an integer or out of range");
    check_both(
        "SET k v",
        &[
            ("SORT k FOO", syntax),
            ("SORT k LIMIT 1", syntax),
            ("SORT k BY", syntax),
            ("SORT k GET", syntax),
            ("SORT k STORE", syntax),
            ("SORT_RO k STORE d", syntax),
            ("SORT k LIMIT x 1", number),
            ("SORT k LIMIT 1 x", number),
        ],
    );
}

#[test]
fn finds_its_keys() {
    let found = |line: &str| keys(&OwnedArgs::new(line.split(' ')).args());
    assert_eq!(found("SORT l"), [1]);
    assert_eq!(found("SORT l LIMIT 1 2 BY store GET STORE STORE a STORE b"), [1, 12]);
    assert_eq!(found("SORT l STORE"), [1]);
}
