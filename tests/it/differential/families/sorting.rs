//! SORT, of elements that are mostly numbers, by weights that are in other keys.
//!
//! Redis leaves the order open where texts of equal weight are sorted by it, so those weights do not meet LIMIT and STORE; and where a
//! set is not sorted, so that is never asked.

use super::{Family, Generator, Words, words};

pub const FAMILY: Family = Family {
    name: "sorting",
    keys: &["sort:1", "sort:2", "{t}sort:1", "{t}sort:2"],
    argument,
    patterns: &[
        (10, "RPUSH key {+ element}"),
        (5, "SADD key {+ element}"),
        (5, "ZADD key {+ score element}"),
        (5, "DEL key"),
        (8, "SET weight-of number"),
        (5, "HSET hash-of 'f number 'g text"),
        (6, "SORT key < LIMIT index index | (ASC|DESC) | GET pattern >"),
        (6, "SORT key ALPHA < LIMIT index index | (ASC|DESC) | GET pattern >"),
        (6, "SORT key BY weight < (ASC|DESC) | LIMIT index index | GET pattern >"),
        (3, "SORT key BY weight < (ASC|DESC) | LIMIT index index | GET pattern | STORE key >"),
        (6, "SORT key BY weight ALPHA [ASC|DESC]"),
        (4, "SORT key < (ASC|DESC) | ALPHA | BY weight > GET pattern GET pattern"),
        (6, "SORT key < (ASC|DESC) | ALPHA | LIMIT index index | GET pattern > STORE key"),
        (4, "SORT ordered BY 'nosort < (ASC|DESC) | LIMIT index index | GET pattern | STORE key >"),
        (4, "SORT_RO key < (ASC|DESC) | ALPHA | LIMIT index index | GET pattern >"),
        (1, "!SORT_RO key < ASC | ALPHA | STORE key >"),
        (3, "RPUSH a-list {+ element}"),
        (1, "LTRIM a-list 0 30"),
        (1, "DEL ordered"),
        (3, "ZADD a-zset {+ float element}"),
        (3, "LRANGE key 0 -1"),
    ],
};

fn argument(generator: &mut Generator, kind: &str) -> Option<Vec<u8>> {
    let edge = |generator: &mut Generator, all: &[&str]| generator.pick(all).as_bytes().to_vec();
    Some(match kind {
        "element" if generator.chance(1) => generator.value(),
        "element" => generator.below(if generator.is_wide { 300 } else { 20 }).to_string().into_bytes(),
        // Redis 7.0 reads packed scores before it sorts the members, and takes what that leaves in `errno` for an error in a member.
        "score" => loop {
            let score = generator.float();
            if score != b"5e-324" {
                break score;
            }
        },
        "weight-of" => format!("w:{}", generator.below(20)).into_bytes(),
        "hash-of" => format!("h:{}", generator.below(20)).into_bytes(),
        "number" if generator.chance(2) => edge(generator, &["x", "", "nan", "inf", "1e400", " 1", "0x10"]),
        "number" => format!("{}.{}", generator.below(30), generator.below(100)).into_bytes(),
        "a-list" => edge(generator, &["ordered:1", "{t}ordered:1"]),
        "a-zset" => edge(generator, &["ordered:2", "{t}ordered:2"]),
        "text" => generator.member(),
        "weight" => edge(
            generator,
            &["w:*", "h:*->f", "h:*->g", "h:*->nosuch", "sort:1*", "w:*->f", "nosuch:*", "h:*->"],
        ),
        "pattern" => {
            edge(generator, &["#", "w:*", "h:*->f", "h:*->g", "nosuch", "*", "w:**", "h:1->f", "h:*->"])
        }
        // Lists and sorted sets keep an order. No other command finds these keys, so they are never sets.
        "ordered" => {
            edge(generator, &["ordered:1", "ordered:2", "{t}ordered:1", "{t}ordered:2", "never", "w:1"])
        }
        _ => return None,
    })
}

/// What has to be said before SORT: it takes a number for wrong if one was out of range in a command before, unless another one was
/// read since (`errno` is not cleared, Redis 7.0 and 7.2).
pub fn preparations(command: &Words) -> Option<Words> {
    let is_sort = [b"SORT".as_slice(), b"SORT_RO"].iter().any(|name| command[0].eq_ignore_ascii_case(name));
    is_sort.then(|| words(&["INCRBYFLOAT", "scratch", "1"]))
}
