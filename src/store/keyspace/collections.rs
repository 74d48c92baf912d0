//! How a collection under a key is read and changed: the view of either form, and the one way in for changes, which keeps the form,
//! the memory counted and the key's existence right. Knows nothing of any single type.

use std::mem::take;

use crate::store::collection::{Change, Collection};
use crate::store::hash::Hash;
use crate::store::keyspace::{Key, Keyspace, WrongType, slot_index};
use crate::store::object::{Entry, Packing, ValueRef, allocated_bytes, inline_payload};
use crate::sys::cell::{Held, Payload};

impl Keyspace {
    /// The collection at a key, read as `read` does; nothing for a missing key.
    #[inline]
    pub fn view<T: Collection>(
        &mut self,
        db: u16,
        key: &Key<'_>,
        now_ms: i64,
        clock: Option<u32>,
    ) -> Result<Option<T::View<'_>>, WrongType> {
        view_of_entry::<T>(self.read(db, key, now_ms, clock))
    }

    /// The collection at a key, uncounted and untouched.
    #[inline]
    pub fn peek_view<T: Collection>(
        &mut self,
        db: u16,
        key: &Key<'_>,
        now_ms: i64,
    ) -> Result<Option<T::View<'_>>, WrongType> {
        view_of_entry::<T>(self.peek(db, key, now_ms))
    }

    /// Counts and touches the key as a read does, and removes what has expired of it, so that several keys can then be borrowed at once.
    pub fn settle(&mut self, db: u16, key: &Key<'_>, now_ms: i64, clock: Option<u32>) {
        self.read(db, key, now_ms, clock);
    }

    /// The value at a key that was settled at the same time.
    pub fn settled(&self, db: u16, key: &Key<'_>) -> Option<&Entry> {
        self.table(db, key.slot)?.find(key.hash, key.bytes)
    }

    /// The collection at a key that was settled at the same time.
    pub fn settled_view<T: Collection>(
        &self,
        db: u16,
        key: &Key<'_>,
    ) -> Result<Option<T::View<'_>>, WrongType> {
        view_of_entry::<T>(self.settled(db, key))
    }

    /// Runs `work` on the collection at a key; nothing for a missing key. One that `work` empties is removed with its key.
    pub fn change<T: Collection, R>(
        &mut self,
        db: u16,
        key: &Key<'_>,
        now_ms: i64,
        clock: u32,
        work: impl FnOnce(&mut Change<'_, T>) -> R,
    ) -> Result<Option<R>, WrongType> {
        match self.locate_live(db, key, now_ms) {
            Some(bucket) => self.change_located(db, key, bucket, clock, work).map(Some),
            None => Ok(None),
        }
    }

    /// Runs `work` on the collection at a key, or on an empty one, which becomes the key's if it does not stay empty.
    pub fn change_or_create<T: Collection, R>(
        &mut self,
        db: u16,
        key: &Key<'_>,
        now_ms: i64,
        clock: u32,
        work: impl FnOnce(&mut Change<'_, T>) -> R,
    ) -> Result<R, WrongType> {
        if let Some(bucket) = self.locate_live(db, key, now_ms) {
            return self.change_located(db, key, bucket, clock, work);
        }
        let mut collection = T::default();
        let mut change = Change {
            value: &mut collection,
            key: key.bytes,
            encoding: &self.encoding,
            db,
            journal: &mut self.journal,
            changes: 0,
        };
        let result = work(&mut change);
        let changes = change.changes;
        self.counts.changes += changes;
        if !collection.is_empty() || (T::MAY_BE_EMPTY && changes > 0) {
            match inline_payload(collection.as_packed()) {
                Some(payload) => self.place_payload(db, key, payload, None, clock),
                None => {
                    let payload = Payload::Boxed(Box::new(collection.into_value()));
                    self.place_payload(db, key, payload, None, clock);
                }
            }
        }
        Ok(result)
    }

    fn change_located<T: Collection, R>(
        &mut self,
        db: u16,
        key: &Key<'_>,
        bucket: usize,
        clock: u32,
        work: impl FnOnce(&mut Change<'_, T>) -> R,
    ) -> Result<R, WrongType> {
        self.before_change(db, key.slot);
        let at = slot_index(self.first_slot, key.slot);
        let db_of = &mut self.dbs[usize::from(db)];
        let entry = db_of.slots[at].at_mut(key.hash, bucket);
        let before = allocated_bytes(entry);
        let (encoding, journal) = (&self.encoding, &mut self.journal);
        let (result, changes, is_empty);
        if let Held::Packed(label, bytes) = entry.held() {
            let packing = Packing::of(label);
            if packing.kind() != T::KIND {
                return Err(WrongType);
            }
            let mut scratch = take(&mut self.scratch);
            scratch.clear();
            scratch.extend_from_slice(bytes);
            let mut collection = T::from_packed(packing, scratch);
            let value = &mut collection;
            let mut change = Change { value, key: key.bytes, encoding, db, journal, changes: 0 };
            result = work(&mut change);
            changes = change.changes;
            is_empty = collection.is_empty();
            if changes > 0 && !is_empty {
                let expire_at_ms = entry.expire_at_ms();
                match inline_payload(collection.as_packed()) {
                    Some(payload) => {
                        entry.replace(payload, expire_at_ms);
                        self.scratch = collection.into_packed().expect("it is packed");
                    }
                    None => {
                        entry.replace(Payload::Boxed(Box::new(collection.into_value())), expire_at_ms);
                    }
                }
            } else if let Some(scratch) = collection.into_packed() {
                self.scratch = scratch;
            }
        } else {
            let collection = entry.boxed_mut().and_then(T::of_mut).ok_or(WrongType)?;
            let mut change =
                Change { value: &mut *collection, key: key.bytes, encoding, db, journal, changes: 0 };
            result = work(&mut change);
            changes = change.changes;
            is_empty = collection.is_empty();
        }
        entry.set_clock(clock);
        let after = allocated_bytes(entry);
        db_of.entry_bytes = db_of.entry_bytes + after - before;
        self.counts.changes += changes;
        if is_empty && !T::MAY_BE_EMPTY {
            self.unlink(db, key);
        }
        Ok(result)
    }

    /// Removes the fields of a hash that have expired, and the hash if none is left; its bucket otherwise.
    #[cold]
    pub(super) fn remove_expired_fields(
        &mut self,
        db: u16,
        key: &Key<'_>,
        bucket: usize,
        now_ms: i64,
    ) -> Option<usize> {
        let at = slot_index(self.first_slot, key.slot);
        let clock = self.dbs[usize::from(db)].slots[at].at(key.hash, bucket).clock();
        let changes = self.counts.changes;
        let is_gone = self
            .change_located(db, key, bucket, clock, |hash: &mut Change<'_, Hash>| {
                hash.remove_expired(now_ms);
                hash.view().is_empty()
            })
            .expect("it is a hash");
        // That fields went is no change that anyone made.
        self.counts.changes = changes;
        (!is_gone).then_some(bucket)
    }
}

#[inline]
fn view_of_entry<T: Collection>(entry: Option<&Entry>) -> Result<Option<T::View<'_>>, WrongType> {
    match entry {
        None => Ok(None),
        Some(entry) => T::view_of(ValueRef::of(entry)).map(Some).ok_or(WrongType),
    }
}
