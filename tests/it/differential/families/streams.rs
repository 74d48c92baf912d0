//! Commands on streams and consumer groups. Ids are given: one that the server makes from its clock is asked for only where the
//! last id is far in the future and decides alone.

use super::{Family, Generator, Words, words};

pub const FAMILY: Family = Family {
    name: "streams",
    keys: &["stream:1", "stream:2", "{t}stream:1", "{t}stream:2"],
    argument,
    patterns: &[
        (20, "XADD key new {field value}"),
        (3, "XADD key NOMKSTREAM new {field value}"),
        (5, "XADD key MAXLEN [=] count new {field value}"),
        (3, "XADD key MAXLEN ~ count [LIMIT count] new {field value}"),
        (3, "XADD key MINID [=|~] id new {field value}"),
        (2, "XADD key NOMKSTREAM MAXLEN (=|~) count LIMIT count new field value"),
        (6, "XDEL key {id}"),
        (2, "XLEN key"),
        (6, "XRANGE key from to [COUNT count]"),
        (5, "XREVRANGE key to from [COUNT count]"),
        (5, "XREAD [COUNT count] STREAMS {key} ={after}"),
        (1, "XREAD < COUNT count | BLOCK wait > STREAMS {key} ={after}"),
        (2, "XTRIM key MAXLEN [=] count"),
        (2, "XTRIM key MAXLEN ~ count [LIMIT count]"),
        (2, "XTRIM key MINID [=] id"),
        (1, "XTRIM key MINID ~ id [LIMIT count]"),
        (2, "XSETID key ahead"),
        (2, "XSETID key ahead ENTRIESADDED count MAXDELETEDID id"),
        (8, "XGROUP CREATE key group (id|$|0) < MKSTREAM | ENTRIESREAD read >"),
        (3, "XGROUP SETID key group (id|$|0) [ENTRIESREAD read]"),
        (1, "XGROUP DESTROY key group"),
        (3, "XGROUP CREATECONSUMER key group consumer"),
        (2, "XGROUP DELCONSUMER key group consumer"),
        (16, "XREADGROUP GROUP group consumer < COUNT positive | NOACK > STREAMS {key} ={unread}"),
        (1, "XREADGROUP GROUP group consumer < COUNT count | NOACK | BLOCK wait > STREAMS {key} ={unread}"),
        (6, "XACK key group {id}"),
        (3, "XPENDING key group"),
        (6, "XPENDING key group [IDLE min] from to count [consumer]"),
        (
            8,
            "XCLAIM key group consumer min {id} < (IDLE idle|TIME past) | RETRYCOUNT count | FORCE | JUSTID | LASTID id >",
        ),
        (6, "XAUTOCLAIM key group consumer min from < COUNT count | JUSTID >"),
        (3, "XINFO STREAM key"),
        (3, "XINFO STREAM key FULL [COUNT count]"),
        (3, "XINFO GROUPS key"),
        (3, "XINFO CONSUMERS key group"),
    ],
};

fn argument(generator: &mut Generator, kind: &str) -> Option<Vec<u8>> {
    #[rustfmt::skip]
    const EDGES: &[&str] = &[
        "0", "0-0", "0-1", "1", "-", "+", "$", ">", "*", "5-", "-5", "1-2-3", "x", "1-x", "", " 1", "18446744073709551615",
        "18446744073709551616-0", "1-18446744073709551615", "9999999999999-5", "01-02",
    ];
    let edge = |generator: &mut Generator, all: &[&str]| generator.pick(all).as_bytes().to_vec();
    Some(match kind {
        "field" => generator.member(),
        "new" => match generator.below(40) {
            0 => generator.id(),
            1 => {
                edge(generator, &["0-0", "0-*", "0", "x", "5-", "1-*", "-1-*", "$", "18446744073709551615-1"])
            }
            // The clock decides nothing after an id like this; see `preparations`.
            2 => b"*".to_vec(),
            3..8 => format!("{}-*", generator.ticks).into_bytes(),
            8..10 => generator.ticks.to_string().into_bytes(),
            _ => {
                generator.ticks += generator.below(3);
                let sequence = if generator.chance(70) { generator.below(3) } else { generator.below(50) };
                format!("{}-{sequence}", 1 + generator.ticks).into_bytes()
            }
        },
        // Beyond what was deleted: 7.0 takes an id up to there, 7.2 does not.
        "ahead" if generator.chance(10) => edge(generator, &["x", "*", "-", "", "1-x"]),
        "ahead" => {
            generator.ticks += 1;
            format!("{}-{}", 1 + generator.ticks, generator.below(3)).into_bytes()
        }
        "id" if generator.chance(6) => edge(generator, EDGES),
        "id" => generator.id(),
        "from" if generator.chance(40) => edge(generator, &["-", "0", "-", "0-0", "+"]),
        "to" if generator.chance(40) => edge(generator, &["+", "+", "18446744073709551615", "-"]),
        "from" | "to" if generator.chance(15) => [b"(".to_vec(), generator.id()].concat(),
        "from" | "to" => generator.id(),
        "after" if generator.chance(30) => edge(generator, &["0", "$", "0-0", "x"]),
        "after" => generator.id(),
        "unread" if generator.chance(80) => b">".to_vec(),
        "unread" if generator.chance(20) => edge(generator, &["$", "0", "x", "-"]),
        "unread" => generator.id(),
        "group" => edge(generator, &["g1", "g1", "g1", "g2", "g2", "", "nosuch"]),
        "consumer" => edge(generator, &["alice", "alice", "bob", "bob", "carol", ""]),
        "read" => edge(generator, &["-1", "0", "3", "1000", "-2", "x"]),
        "wait" if generator.is_in_transaction => edge(generator, &["0", "1000", "-1", "x"]),
        "wait" => edge(generator, &["3", "5", "-1", "x"]),
        // Far enough apart that it does not matter when a command runs.
        "min" => edge(generator, &["0", "0", "0", "1000000", "1000000000000", "-1", "x"]),
        "idle" => edge(generator, &["0", "10000000", "20000000", "-5", "x"]),
        "past" => edge(generator, &["1600000000000", "1650000000000", "0", "9999999999999", "x"]),
        _ => return None,
    })
}

impl Generator {
    /// An id about as high as those of entries that may exist.
    fn id(&mut self) -> Vec<u8> {
        let back = self.below(30).min(self.below(30));
        let ms = (1 + self.ticks).saturating_sub(back);
        if self.chance(25) {
            ms.to_string().into_bytes()
        } else {
            format!("{ms}-{}", self.below(3)).into_bytes()
        }
    }
}

/// What has to be said before a command so that its effect is the same on two servers: an id in the future before one from the clock,
/// and the consumer, which Redis 7.0 makes only when it gets an entry, and 7.2 in any case.
pub fn preparations(generator: &mut Generator, command: &Words) -> Vec<Words> {
    let name = command[0].to_ascii_uppercase();
    let word = |at: usize| command.get(at).cloned().unwrap_or_default();
    let consumer = |key: Vec<u8>, group: Vec<u8>, consumer: Vec<u8>| {
        [words(&["XGROUP", "CREATECONSUMER"]), vec![key, group, consumer]].concat()
    };
    match name.as_slice() {
        b"XADD" if command.iter().any(|word| word == b"*") => {
            let id = format!("9999999999999-{}", generator.below(1_000_000));
            vec![[words(&["XADD"]), vec![word(1)], words(&[&id, "f", "v"])].concat()]
        }
        b"XCLAIM" | b"XAUTOCLAIM" => vec![consumer(word(1), word(2), word(3))],
        b"XREADGROUP" => {
            let Some(at) = command.iter().position(|word| word.eq_ignore_ascii_case(b"STREAMS")) else {
                return Vec::new();
            };
            let keys = &command[at + 1..];
            keys[..keys.len() / 2].iter().map(|key| consumer(key.clone(), word(2), word(3))).collect()
        }
        _ => Vec::new(),
    }
}
