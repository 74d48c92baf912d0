//! Which field of a large hash expires next. Owns a queue of times; the pairs themselves say what is true, so an entry of the queue may be
//! out of date, and whoever takes one looks. Never removes a field.
//!
//! An entry has the field's hash and not its name: 16 bytes, and nothing to free. Whoever takes one looks at all fields that
//! share what of the hash the table knows, so two fields of one hash are no case of its own.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Entries that are out of date, beyond one for each that is not, before the queue is cleaned.
const STALE_MAX: usize = 64;

/// Times at which fields expire, with the hashes of those fields.
#[derive(Clone, Debug, Default)]
pub struct Expiring {
    queue: BinaryHeap<Reverse<(i64, u64)>>,
    /// Fields that expire.
    fields: usize,
}

impl Expiring {
    /// The time at which the next field expires, or earlier; the end of time if none does.
    #[inline]
    pub fn next_ms(&self) -> i64 {
        self.queue.peek().map_or(i64::MAX, |Reverse((at_ms, _))| *at_ms)
    }

    /// Notes that a field's time has changed; a new field had none, and one that was removed has none any more.
    pub fn changed(&mut self, hash: u64, old_ms: Option<i64>, new_ms: Option<i64>) {
        self.fields = self.fields + usize::from(new_ms.is_some()) - usize::from(old_ms.is_some());
        if let Some(at_ms) = new_ms {
            self.queue.push(Reverse((at_ms, hash)));
        } else if self.fields == 0 {
            self.queue = BinaryHeap::new();
        }
    }

    /// The hash of the first entry whose time has come. There may be fields to remove behind it, one, several or none.
    pub fn first_due(&self, now_ms: i64) -> Option<u64> {
        self.queue.peek().filter(|Reverse((at_ms, _))| *at_ms <= now_ms).map(|Reverse((_, hash))| *hash)
    }

    /// Drops the first entry: there is nothing behind it.
    pub fn drop_first(&mut self) {
        self.queue.pop();
    }

    /// Drops what is out of date once there is more of that than of the rest; `is_true` says whether a field of this hash expires
    /// then. Costs a look at each entry, for as many changes since the last time.
    pub fn clean(&mut self, mut is_true: impl FnMut(i64, u64) -> bool) {
        if self.queue.len() <= 2 * self.fields + STALE_MAX {
            return;
        }
        let mut entries = std::mem::take(&mut self.queue).into_vec();
        entries.sort_unstable();
        entries.dedup();
        entries.retain(|Reverse((at_ms, hash))| is_true(*at_ms, *hash));
        entries.shrink_to_fit();
        self.queue = entries.into();
    }

    /// Bytes of the queue.
    #[inline]
    pub fn allocated_bytes(&self) -> usize {
        self.queue.capacity() * size_of::<Reverse<(i64, u64)>>()
    }
}
