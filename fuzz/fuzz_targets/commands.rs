//! Any command with any arguments leaves effects that rebuild exactly the state it left, and never panics.
//! Input: for each command a byte that chooses a row of the table, a byte that says how many words follow, and the words, of which
//! a small alphabet makes keys and options meet often.

#![no_main]

use corevault::commands::table::Table;
use corevault::shard::{Arrival, Shard};
use corevault::store::keyspace::Keyspace;
use libfuzzer_sys::fuzz_target;

const NOW_MS: i64 = 1_700_000_000_000;
const WORDS: &[&str] = &[
    "a", "b", "c", "0", "1", "-1", "10", "9223372036854775807", "1.5", "nan", "PX", "EX", "NX", "XX", "GT", "LT", "GET", "KEEPTTL",
    "PERSIST", "EXAT", "1700000001000", "REPLACE", "DB", "MATCH", "*", "COUNT", "LEN", "IDX", "", "1e4000",
];

fuzz_target!(|data: &[u8]| {
    let table = Table::new();
    let mut shard =
        Shard::with_keyspace(0, 1, Default::default(), Default::default(), 1, Keyspace::recording(0..16384));
    let client = shard.connect(Arrival { id: 1, ..Arrival::default() }, NOW_MS);
    let mut now_ms = NOW_MS;
    let mut bytes = data.iter().copied();
    while let (Some(row), Some(words)) = (bytes.next(), bytes.next()) {
        let row = &table.rows()[usize::from(row) % table.rows().len()];
        let mut line: Vec<String> = row.name.split('|').map(str::to_owned).collect();
        for _ in 0..words % 8 {
            let word = bytes.next().unwrap_or(0);
            line.push(WORDS[usize::from(word) % WORDS.len()].to_owned());
        }
        let mut input = format!("*{}\r\n", line.len()).into_bytes();
        for word in &line {
            input.extend(format!("${}\r\n{word}\r\n", word.len()).into_bytes());
        }
        shard.receive(client, &mut input, now_ms);
        let taken = shard.take_replies(client, Vec::new());
        shard.sent(client, taken.len(), now_ms);
        now_ms += i64::from(words);
        shard.tick(now_ms);
    }
    let mut replayed = Keyspace::new(0..16384);
    for (db, effect) in shard.keys().take_effects() {
        replayed.apply(db, &effect);
    }
    assert_eq!(replayed.digest(), shard.keys().digest());
});
