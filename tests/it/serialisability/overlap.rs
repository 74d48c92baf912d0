//! Counts how often clients met: how many pairs of commands were under way at once whose order matters. A history without such
//! pairs proves little.

use crate::histories::history::{History, Operation};

/// A command, or a transaction, that took effect between two times. Keys are bits.
struct Deed {
    from: u64,
    to: u64,
    reads: u32,
    writes: u32,
}

/// Pairs of different clients that overlap in time and in a key that one of them may write. Databases count as one.
pub fn count(history: &History, keys: &[Vec<u8>]) -> usize {
    let deeds: Vec<Vec<Deed>> = history.clients.iter().map(|operations| deeds(operations, keys)).collect();
    let mut count = 0;
    for (n, mine) in deeds.iter().enumerate() {
        for a in mine {
            let others = deeds[n + 1..].iter().flatten();
            count += others.filter(|b| a.from < b.to && b.from < a.to && conflict(a, b)).count();
        }
    }
    count
}

fn conflict(a: &Deed, b: &Deed) -> bool {
    a.writes & (b.reads | b.writes) != 0 || b.writes & a.reads != 0
}

/// What a client did and was told about. A transaction does at EXEC what was queued.
fn deeds(operations: &[Operation], keys: &[Vec<u8>]) -> Vec<Deed> {
    let mut deeds = Vec::new();
    let mut queued = None;
    for operation in operations {
        let Some(completion) = &operation.completion else { break };
        let (reads, writes) = match &operation.words[0][..] {
            b"MULTI" => {
                queued = Some((0, 0));
                continue;
            }
            b"DISCARD" => {
                queued = None;
                continue;
            }
            b"EXEC" => queued.take().unwrap_or((0, 0)),
            _ => touched(&operation.words, keys),
        };
        match &mut queued {
            Some(queued) => *queued = (queued.0 | reads, queued.1 | writes),
            None => deeds.push(Deed { from: operation.invoked, to: completion.at, reads, writes }),
        }
    }
    deeds
}

/// The keys that a command reads, and those that it may write.
fn touched(words: &[Vec<u8>], keys: &[Vec<u8>]) -> (u32, u32) {
    let all = (1 << keys.len()) - 1;
    let named = (0..keys.len()).filter(|&n| words[1..].contains(&keys[n])).fold(0, |named, n| named | 1 << n);
    match &words[0][..] {
        b"GET" | b"MGET" | b"EXISTS" | b"WATCH" => (named, 0),
        b"DBSIZE" => (all, 0),
        b"FLUSHALL" => (0, all),
        _ => (0, named),
    }
}
