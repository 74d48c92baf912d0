//! Any bytes, however they are split over reads, get the same replies and never a panic.
//! The first byte says where the splits are. Compares a shard that gets everything at once with one that gets pieces.

#![no_main]

use corevault::shard::{Arrival, Shard};
use libfuzzer_sys::fuzz_target;

const NOW_MS: i64 = 1_700_000_000_000;

fn replies(pieces: &mut dyn Iterator<Item = &[u8]>) -> Vec<u8> {
    let mut shard = Shard::new(0, 1, Default::default(), Default::default(), 1);
    let client = shard.connect(Arrival { id: 1, ..Arrival::default() }, NOW_MS);
    let mut all = Vec::new();
    for piece in pieces {
        shard.receive(client, &mut piece.to_vec(), NOW_MS);
        let taken = shard.take_replies(client, Vec::new());
        shard.sent(client, taken.len(), NOW_MS);
        all.extend(taken);
    }
    all
}

fuzz_target!(|data: &[u8]| {
    let Some((&step, input)) = data.split_first() else { return };
    // The replies of these depend on more than the input: which shard asks, how long ago a client came, how much it holds.
    let text = input.to_ascii_lowercase();
    if [&b"client"[..], b"info", b"randomkey", b"object"].iter().any(|word| text.windows(word.len()).any(|w| w == *word)) {
        return;
    }
    let whole = replies(&mut std::iter::once(input));
    let split = replies(&mut input.chunks(usize::from(step).max(1)));
    assert_eq!(whole, split);
});
