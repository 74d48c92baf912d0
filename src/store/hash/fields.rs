//! A large hash: a table of pairs, and a queue of the times at which some of them expire. Owns the sum of what its pairs allocate. Never
//! records anything.

use crate::base::rng::Rng;
use crate::store::hash::expiring::Expiring;
use crate::store::table::{SlotTable, hash_key, tag_of};
use crate::sys::pair::Pair;

/// See the module.
#[derive(Clone, Default)]
pub struct Fields {
    table: SlotTable<Pair>,
    expiring: Expiring,
    /// Bytes of all pairs.
    pair_bytes: usize,
}

impl Fields {
    /// How many fields there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Bytes of everything allocated, without the `Fields` itself. Adds up a few sums.
    pub fn allocated_bytes(&self) -> usize {
        self.pair_bytes + self.table.allocated_bytes() + self.expiring.allocated_bytes()
    }

    /// The pair of a field.
    #[inline]
    pub fn find(&self, field: &[u8]) -> Option<&Pair> {
        self.table.find(hash_key(field), field)
    }

    /// One of the pairs, any with the same probability.
    pub fn random(&self, rng: &mut Rng) -> Option<&Pair> {
        self.table.random(rng)
    }

    /// All pairs, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Pair> {
        self.table.iter()
    }

    /// Visits pairs from a position on (see `store/table`).
    pub fn scan<'a>(&'a self, position: u64, wanted: usize, visit: impl FnMut(&'a Pair)) -> Option<u64> {
        self.table.scan(position, wanted, visit)
    }

    /// Gives a field a value and an expiry, and returns whether the field is new.
    pub fn insert(&mut self, field: &[u8], value: &[u8], expire_at_ms: Option<i64>) -> bool {
        let hash = hash_key(field);
        let Some(pair) = self.table.find_mut(hash, field) else {
            let pair = Pair::new(tag_of(hash), field, value, expire_at_ms);
            self.pair_bytes += pair.allocated_bytes();
            self.table.insert(hash, pair);
            self.note_expiry(hash, None, expire_at_ms);
            return true;
        };
        let (before, old) = (pair.allocated_bytes(), pair.expire_at_ms());
        pair.set_value(value);
        if old != expire_at_ms {
            pair.set_expire_at_ms(expire_at_ms);
        }
        self.pair_bytes = self.pair_bytes - before + pair.allocated_bytes();
        self.note_expiry(hash, old, expire_at_ms);
        false
    }

    /// Frees about so many fields; whether there are more. What is left cannot be searched.
    pub fn free_part(&mut self, fields: usize) -> bool {
        self.expiring = Expiring::default();
        self.table.free_part(fields)
    }

    /// Removes a field, and returns whether it was there.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        self.take(hash_key(field), field).is_some()
    }

    fn take(&mut self, hash: u64, field: &[u8]) -> Option<Pair> {
        let pair = self.table.remove(hash, field)?;
        self.pair_bytes -= pair.allocated_bytes();
        self.note_expiry(hash, pair.expire_at_ms(), None);
        Some(pair)
    }

    /// Lets a field that is there expire, or lets it stay.
    pub fn set_expiry(&mut self, field: &[u8], expire_at_ms: Option<i64>) {
        let hash = hash_key(field);
        let pair = self.table.find_mut(hash, field).expect("the field is there");
        let (before, old) = (pair.allocated_bytes(), pair.expire_at_ms());
        pair.set_expire_at_ms(expire_at_ms);
        self.pair_bytes = self.pair_bytes - before + pair.allocated_bytes();
        self.note_expiry(hash, old, expire_at_ms);
    }

    /// Whether a field's time may have come.
    #[inline]
    pub fn has_expired(&self, now_ms: i64) -> bool {
        self.expiring.next_ms() <= now_ms
    }

    /// Takes out one of the fields whose time has come, until there is none.
    pub fn take_expired(&mut self, now_ms: i64) -> Option<Pair> {
        while let Some(hash) = self.expiring.first_due(now_ms) {
            let is_due = |pair: &Pair| pair.expire_at_ms().is_some_and(|at_ms| at_ms <= now_ms);
            if let Some(pair) = self.table.find_where(hash, is_due) {
                let field = pair.key().to_vec();
                return self.take(hash, &field);
            }
            self.expiring.drop_first();
        }
        None
    }

    #[inline]
    fn note_expiry(&mut self, hash: u64, old_ms: Option<i64>, new_ms: Option<i64>) {
        if old_ms != new_ms {
            self.expiring.changed(hash, old_ms, new_ms);
            let table = &self.table;
            self.expiring.clean(|at_ms, hash| {
                table.find_where(hash, |pair| pair.expire_at_ms() == Some(at_ms)).is_some()
            });
        }
    }
}

#[cfg(test)]
impl Fields {
    /// Bytes of the queue of times.
    pub fn queue_bytes(&self) -> usize {
        self.expiring.allocated_bytes()
    }
}
