//! How far each shard's log is durable, for all shards of the process to see, and how far it may therefore be relied on: a transaction
//! over several shards counts only once all its parts are durable (`whole`), and so does what comes after it in a log.
//!
//! A shard whose log holds no part that is still in doubt takes no lock: its log may be relied on as far as it is durable.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::persist::whole::{PartAt, Stream, forget, whole};

/// See the module.
#[derive(Debug)]
pub struct Ledger {
    shards: Box<[Marks]>,
    streams: Mutex<Vec<Stream>>,
}

/// What one shard says of its log. On cache lines of its own: its shard writes it often.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Marks {
    appended: AtomicU64,
    durable: AtomicU64,
    /// Parts in its stream that are not known to be whole.
    in_doubt: AtomicUsize,
}

impl Ledger {
    /// For the logs of so many shards.
    pub fn new(shards: u16) -> Ledger {
        let streams = Mutex::new(vec![Stream::default(); shards.into()]);
        Ledger { shards: (0..shards).map(|_| Marks::default()).collect(), streams }
    }

    /// Shard `shard` has made records up to this one.
    pub fn note_appended(&self, shard: u16, seq: u64) {
        self.shards[usize::from(shard)].appended.store(seq, Ordering::Release);
    }

    /// The last record of each shard.
    pub fn appended(&self) -> Vec<u64> {
        self.shards.iter().map(|marks| marks.appended.load(Ordering::Acquire)).collect()
    }

    /// Whether every shard's log is durable up to these records.
    pub fn are_durable(&self, seqs: &[u64]) -> bool {
        self.shards.iter().zip(seqs).all(|(marks, seq)| marks.durable.load(Ordering::Acquire) >= *seq)
    }

    /// Shard `shard` has made a record that is its part of a transaction.
    pub fn note_part(&self, shard: u16, part: PartAt) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams[usize::from(shard)].parts.push(part);
        self.shards[usize::from(shard)].in_doubt.fetch_add(1, Ordering::Relaxed);
    }

    /// The log of `shard` is durable up to `durable`. Tells `advanced` how far it, and others that had to wait for it, may be relied on.
    pub fn note_durable(&self, shard: u16, durable: u64, mut advanced: impl FnMut(u16, u64)) {
        let marks = &self.shards[usize::from(shard)];
        marks.durable.store(durable, Ordering::Release);
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if streams.iter().all(|stream| stream.parts.is_empty()) {
            return advanced(shard, durable);
        }
        let waited: Vec<bool> = streams.iter().map(|stream| !stream.parts.is_empty()).collect();
        for (stream, marks) in streams.iter_mut().zip(&self.shards) {
            stream.kept = marks.durable.load(Ordering::Acquire);
        }
        whole(&mut streams);
        forget(&mut streams);
        for (of, stream) in streams.iter().enumerate() {
            self.shards[of].in_doubt.store(stream.parts.len(), Ordering::Relaxed);
            if waited[of] || of == usize::from(shard) {
                advanced(of as u16, stream.kept);
            }
        }
    }

    /// Whether a part in the log of `shard` is not known to be whole. Asked by that shard alone.
    #[inline]
    pub fn is_in_doubt(&self, shard: u16) -> bool {
        self.shards[usize::from(shard)].in_doubt.load(Ordering::Relaxed) > 0
    }

    /// As `note_durable` where the shard is not `is_in_doubt`, without a lock: it may be relied on as far as it is durable.
    #[inline]
    pub fn note_durable_alone(&self, shard: u16, durable: u64) {
        self.shards[usize::from(shard)].durable.store(durable, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advanced(ledger: &Ledger, shard: u16, durable: u64) -> Vec<(u16, u64)> {
        let mut seen = Vec::new();
        ledger.note_durable(shard, durable, |shard, seq| seen.push((shard, seq)));
        seen
    }

    #[test]
    fn a_shard_may_be_relied_on_as_far_as_its_transactions_are_whole() {
        let ledger = Ledger::new(2);
        assert_eq!(advanced(&ledger, 0, 4), [(0, 4)]);
        ledger.note_part(0, PartAt { seq: 6, id: 1, shards: vec![0, 1] });
        assert!(ledger.is_in_doubt(0) && !ledger.is_in_doubt(1));
        assert_eq!(advanced(&ledger, 0, 8), [(0, 5)], "the other part is not even made");
        ledger.note_part(1, PartAt { seq: 3, id: 1, shards: vec![0, 1] });
        assert_eq!(advanced(&ledger, 1, 2), [(0, 5), (1, 2)]);
        assert_eq!(advanced(&ledger, 1, 3), [(0, 8), (1, 3)], "both parts are durable");
        assert!(!ledger.is_in_doubt(0) && !ledger.is_in_doubt(1));
        ledger.note_durable_alone(0, 9);
        ledger.note_appended(1, 4);
        assert_eq!(ledger.appended(), [0, 4]);
        assert!(ledger.are_durable(&[9, 3]) && !ledger.are_durable(&[9, 4]));
    }
}
