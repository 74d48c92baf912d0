//! Data of every type and form to keep, and whether it is all there again.

use super::digest;
use crate::wire::{Wire, command};

/// Makes one or more keys of each type in each form, in two databases, with expiries; returns the digest of all.
pub fn fill(wire: &mut Wire) -> String {
    for db in ["0", "9"] {
        wire.expect(&format!("SELECT {db}"), "+OK\r\n");
        for line in LINES {
            let reply = wire.ask(line);
            assert!(!reply.starts_with('-'), "{line}: {reply}");
        }
        fill_large(wire, db);
    }
    wire.expect("SELECT 0", "+OK\r\n");
    digest(wire)
}

const LINES: &[&str] = &[
    "SET text value",
    "SET empty \"\"",
    "SET number 1234567890123456789",
    "SET volatile v PXAT 4102444800000",
    "SETRANGE bits 100000 x",
    "APPEND appended one",
    "APPEND appended two",
    "PFADD hyper a b c d",
    "RPUSH list a b c 1 2 3",
    "HSET hash a 1 b 2 c 3",
    "SADD numbers 1 2 3",
    "SADD words a b c",
    "ZADD scores 1 a 2.5 b -inf c",
    "GEOADD places 13.36 38.11 Palermo 15.08 37.5 Catania",
    "XADD stream 1-1 a 1 b 2",
    "XADD stream 2-1 a 3 b 4",
    "XADD stream 3-1 c 5",
    "XDEL stream 2-1",
    "XGROUP CREATE stream group 0",
    "XREADGROUP GROUP group reader COUNT 1 STREAMS stream >",
    "SET from v",
    "RENAME from renamed",
    "SET gone v",
    "DEL gone",
    "COPY list copied",
    "LMOVE copied list LEFT RIGHT",
    "SUNIONSTORE union numbers words",
    "EXPIREAT hash 4102444800",
    "SET persisted v EX 1000",
    "PERSIST persisted",
];

/// Enough of each to be in its large form, and more than one archive or record takes.
fn fill_large(wire: &mut Wire, db: &str) {
    const ELEMENTS: usize = 20_000;
    const BATCH: usize = 500;
    for (name, key) in
        [("RPUSH", "large-list"), ("SADD", "large-set"), ("HSET", "large-hash"), ("ZADD", "large-zset")]
    {
        for from in (0..ELEMENTS).step_by(BATCH) {
            let mut words: Vec<Vec<u8>> = vec![name.into(), key.into()];
            for n in from..from + BATCH {
                match name {
                    "HSET" => words.extend([format!("field:{n}").into_bytes(), vec![b'v'; n % 50]]),
                    "ZADD" => words.extend([(n * 7 % 1000).to_string().into(), format!("member:{n}").into()]),
                    _ => words.push(format!("element:{n}:{db}").into()),
                }
            }
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            assert!(wire.call(&words).starts_with(b":"), "{name}");
        }
    }
    assert_eq!(wire.call(&[b"SET", b"large-text", &vec![b't'; 3_000_000]]), b"+OK\r\n");
    let mut pipeline = Vec::new();
    const ENTRIES: usize = 3000;
    for n in 1..=ENTRIES {
        pipeline.extend(command(&[
            b"XADD",
            b"large-stream",
            format!("{n}-0").as_bytes(),
            b"field",
            b"value",
        ]));
    }
    wire.send(&pipeline);
    (0..ENTRIES).for_each(|_| assert!(wire.reply().starts_with(b"$")));
    fill_keys(wire, "key", 5000);
}

/// So many small keys.
pub fn fill_keys(wire: &mut Wire, prefix: &str, count: usize) {
    const BATCH: usize = 1000;
    for from in (0..count).step_by(BATCH) {
        let until = count.min(from + BATCH);
        let mut pipeline = Vec::new();
        for n in from..until {
            let name = format!("{prefix}:{n}");
            pipeline.extend(command(&[b"SET", name.as_bytes(), value(prefix, n).as_bytes()]));
        }
        wire.send(&pipeline);
        wire.expect_bytes(&b"+OK\r\n".repeat(until - from));
    }
}

/// The value of a key that `fill_keys` makes.
pub fn value(prefix: &str, n: usize) -> String {
    format!("value of {prefix} {n}")
}
