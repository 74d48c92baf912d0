//! RANDOMKEY — return a key chosen evenly, or nil if there is none.
//! Each shard replies with an internal array, its number of keys and one of them; `pick` chooses among those by the numbers.

use crate::base::args::Args;
use crate::base::rng::Rng;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::commands::merge::Parts;
use crate::resp::read;
use crate::resp::write::Writer;

pub fn run(cx: &mut Cx<'_>, _: &Args<'_>) -> Outcome {
    let key = cx.keys.random_key(cx.db, &mut cx.server.rng, cx.now_ms);
    cx.reply.array(2);
    // Counted after the choice, which removes expired keys: there is a key exactly if the count is not zero.
    cx.reply.count(cx.keys.len(cx.db));
    match key {
        Some(key) => cx.reply.bulk(&key),
        None => cx.reply.null(),
    }
    Ok(())
}

/// One of the shards' keys, each shard as likely as it has keys.
pub fn pick(parts: &Parts<'_>, reply: &mut Writer<'_>) {
    let choices = || parts.replies.iter().map(|part| choice(part));
    let keys: u64 = choices().map(|(count, _)| count).sum();
    if keys == 0 {
        return reply.null();
    }
    let mut rest = Rng::new(parts.seed).below(keys);
    for (count, key) in choices() {
        if rest < count {
            return reply.raw(key);
        }
        rest -= count;
    }
}

/// The two elements of a shard's part.
fn choice(part: &[u8]) -> (u64, &[u8]) {
    let elements = read::elements(part).map(|(_, elements)| elements).expect("a part is an array");
    let count =
        read::integer(elements).and_then(|count| u64::try_from(count).ok()).expect("its head is a count");
    let length = read::reply_len(elements).expect("the count is whole");
    (count, &elements[length..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::{Bench, check};
    use crate::resp::write::Protocol;

    #[test]
    fn returns_a_key() {
        check("RANDOMKEY | SET k v | RANDOMKEY | DEL k | RANDOMKEY", "nil | OK | k | 1 | nil");
        check("SET k v PX 5 | @5ms | RANDOMKEY", "OK | nil");
        check("RANDOMKEY x", "ERR wrong number of arguments for 'randomkey' command");
    }

    #[test]
    fn every_key_has_its_turn() {
        let mut bench = Bench::default();
        bench.run("MSET a 1 b 2 c 3 d 4");
        for key in ["a", "b", "c", "d"] {
            assert!((0..200).any(|_| bench.run("RANDOMKEY") == key), "{key} is never chosen");
        }
    }

    #[test]
    fn shards_weigh_as_many_keys_as_they_have() {
        let replies: [&[u8]; 3] =
            [b"*2\r\n:1\r\n$1\r\na\r\n", b"*2\r\n:0\r\n$-1\r\n", b"*2\r\n:3\r\n$1\r\nc\r\n"];
        let mut chosen = [0, 0];
        for seed in 0..4000 {
            let mut out = Vec::new();
            let parts = Parts { args: Args::new(b"", &[]), replies: &replies, order: &[], seed };
            pick(&parts, &mut Writer::new(&mut out, Protocol::Resp2));
            chosen[usize::from(out == b"$1\r\nc\r\n")] += 1;
        }
        assert!((900..1100).contains(&chosen[0]), "{chosen:?}");
    }
}
