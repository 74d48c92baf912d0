//! What nobody needs any more is freed a little at a time: flushed databases, and large collections that were deleted, replaced or had
//! expired. Owns what is worth that; never decides when.

use crate::base::limits::{DISCARDED_VALUES_MAX, FREED_AT_ONCE_BYTES_MAX, TABLE_COST, VALUE_STEP};
use crate::store::keyspace::Keyspace;
use crate::store::object::{Entry, Value, allocated_bytes};
use crate::sys::cell::Held;

impl Keyspace {
    /// Frees up to about `entries` entries of flushed databases, and elements of large values; whether there are more.
    pub fn free_discarded(&mut self, entries: usize) -> bool {
        let mut freed = 0;
        while freed < entries {
            if let Some(value) = self.discarded_values.last_mut() {
                freed += VALUE_STEP;
                if !value.free_part(VALUE_STEP) {
                    self.discarded_values.pop();
                }
                continue;
            }
            let Some(last) = self.discarded.last_mut() else {
                self.discarded = Vec::new();
                return false;
            };
            match last.free_table_after(|entry| take_large(entry, &mut self.discarded_values)) {
                Some(count) => freed += count,
                None => {
                    freed += TABLE_COST;
                    self.discarded.pop();
                }
            }
        }
        true
    }

    /// Whether something still waits to be freed.
    pub fn has_discarded(&self) -> bool {
        !self.discarded.is_empty() || !self.discarded_values.is_empty()
    }

    /// Frees an entry that was taken out; its value later, if that is large.
    #[inline]
    pub(super) fn discard(&mut self, mut entry: Entry) {
        if allocated_bytes(&entry) > FREED_AT_ONCE_BYTES_MAX {
            take_large(&mut entry, &mut self.discarded_values);
        }
    }
}

/// Takes a large collection out of an entry that is about to go, or to hold something else, unless very many wait already: who makes and
/// deletes them without end would not leave time to free them.
pub(super) fn take_large(entry: &mut Entry, discarded: &mut Vec<Value>) {
    let is_large = match entry.held() {
        // A string is one allocation.
        Held::Boxed(Value::String(_)) => false,
        Held::Boxed(value) => value.allocated_bytes() > FREED_AT_ONCE_BYTES_MAX,
        _ => false,
    };
    if is_large && discarded.len() < DISCARDED_VALUES_MAX {
        discarded.extend(entry.take_boxed().map(|value| *value));
    }
}
