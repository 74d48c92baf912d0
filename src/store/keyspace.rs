//! Owns this shard's databases: lookups with passive expiry, and the only functions that change a key.
//! Every mutator emits its effect to the journal, so no command can forget to. Never reads a clock: the caller says `now_ms`.

use std::ops::Range;

use crate::base::limits::{DATABASES, FREED_AT_ONCE_BYTES_MAX, INLINE_STRING_BYTES_MAX};
use crate::base::slot::{SLOTS, Slot, key_slot};
use crate::store::awaited::Awaited;
use crate::store::collection::EncodingLimits;
use crate::store::effect::{Effect, Journal};
use crate::store::keyspace::dormant::Dormant;
use crate::store::keyspace::saving::Saver;
use crate::store::object::{
    self, Entry, StringRef, Value, ValueRef, allocated_bytes, string_payload, with_payload,
};
use crate::store::table::{SlotTable, hash_key, tag_of};
use crate::sys::cell::{Held, Payload};

/// A key with what locates it: computed once where the command is routed, carried to where it runs.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    /// The key's bytes.
    pub bytes: &'a [u8],
    /// Its hash slot.
    pub slot: Slot,
    /// Its hash.
    pub hash: u64,
}

impl<'a> Key<'a> {
    /// Locates `bytes`.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Key<'a> {
        Key { bytes, slot: key_slot(bytes), hash: hash_key(bytes) }
    }
}

/// The key holds a value of another type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongType;

/// Why a number was not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddError {
    /// The key holds a value of another type.
    WrongType,
    /// The string is no 64-bit number.
    NotInteger,
    /// The sum would not fit 64 bits.
    Overflow,
}

/// Counters that only the keyspace can keep.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyspaceCounts {
    /// Lookups that found their key.
    pub hits: u64,
    /// Lookups that did not.
    pub misses: u64,
    /// Keys removed because their time had come.
    pub expired: u64,
    /// Changes since start: Redis's `rdb_changes_since_last_save`.
    pub changes: u64,
}

#[derive(Default)]
struct Db {
    /// One table for each slot of the shard, made when the database gets its first key.
    slots: Vec<SlotTable>,
    keys: usize,
    volatile: usize,
    /// Bytes of the entries; the tables' own bytes are summed when asked for.
    entry_bytes: usize,
}

/// The databases of one shard, over a contiguous range of slots.
pub struct Keyspace {
    dbs: Vec<Db>,
    first_slot: u16,
    slot_count: usize,
    journal: Journal,
    /// Tables of flushed databases, freed a few at a time.
    discarded: Vec<SlotTable>,
    /// Large values that nobody needs any more, freed likewise.
    discarded_values: Vec<Value>,
    /// Tables that have not been loaded since the process started, while there are any.
    dormant: Option<Box<Dormant>>,
    /// What was found bad as it was loaded.
    damage: Option<String>,
    /// The save under way.
    saver: Option<Box<Saver>>,
    /// Where a packed collection is changed; kept for the next one.
    scratch: Vec<u8>,
    /// How large packed collections may grow.
    pub encoding: EncodingLimits,
    /// What lookups since start found.
    pub counts: KeyspaceCounts,
}

impl Keyspace {
    /// An empty keyspace for the slots in `slots`.
    pub fn new(slots: Range<usize>) -> Keyspace {
        assert!(slots.start < slots.end && slots.end <= SLOTS, "a shard owns a run of slots");
        Keyspace {
            dbs: (0..DATABASES).map(|_| Db::default()).collect(),
            first_slot: slots.start as u16,
            slot_count: slots.len(),
            journal: Journal::default(),
            discarded: Vec::new(),
            discarded_values: Vec::new(),
            dormant: None,
            damage: None,
            saver: None,
            scratch: Vec::new(),
            encoding: EncodingLimits::default(),
            counts: KeyspaceCounts::default(),
        }
    }

    /// A keyspace that keeps its effects in memory, for tests.
    pub fn recording(slots: Range<usize>) -> Keyspace {
        let journal = Journal { recorded: Some(Vec::new()), ..Journal::default() };
        Keyspace { journal, ..Keyspace::new(slots) }
    }

    /// The slots this keyspace owns.
    pub fn slots(&self) -> Range<usize> {
        usize::from(self.first_slot)..usize::from(self.first_slot) + self.slot_count
    }

    /// From now on effects are recorded, or no longer are.
    pub fn record_effects(&mut self, is_on: bool) {
        self.journal.recorded = is_on.then(|| self.journal.recorded.take().unwrap_or_default());
    }

    /// Effects recorded since they were last taken, as `effect::encode` writes them.
    #[inline]
    pub fn effects(&mut self) -> Option<&mut Vec<u8>> {
        self.journal.recorded.as_mut()
    }

    /// Takes the effects recorded so far.
    pub fn take_effects(&mut self) -> Vec<u8> {
        self.journal.recorded.as_mut().map(std::mem::take).unwrap_or_default()
    }

    // Prefetching -------------------------------------------------------------------------------------------------

    /// First pass over a batch: fetch the cells where the searches begin.
    #[inline]
    pub fn prefetch_table(&self, db: u16, key: &Key<'_>) {
        if let Some(table) = self.table(db, key.slot) {
            table.prefetch_cells(key.hash);
        }
    }

    /// Second pass over a batch: find candidates by their hash bits and fetch their entries.
    #[inline]
    pub fn prefetch_entry(&self, db: u16, key: &Key<'_>) {
        if let Some(table) = self.table(db, key.slot) {
            table.prefetch_entry(key.hash);
        }
    }

    // Reading -----------------------------------------------------------------------------------------------------

    /// The live entry of a key, with its access clock set to `clock` (`None` leaves it: `NO-TOUCH`, `OBJECT`). Counts hits and misses.
    #[inline]
    pub fn read(&mut self, db: u16, key: &Key<'_>, now_ms: i64, clock: Option<u32>) -> Option<&Entry> {
        let Some(bucket) = self.locate_live(db, key, now_ms) else {
            self.counts.misses += 1;
            return None;
        };
        self.counts.hits += 1;
        let entry = self.entry(db, key, bucket);
        if let Some(clock) = clock {
            entry.touch(clock);
        }
        Some(entry)
    }

    /// The live entry of a key, uncounted and untouched.
    pub fn peek(&mut self, db: u16, key: &Key<'_>, now_ms: i64) -> Option<&Entry> {
        let bucket = self.locate_live(db, key, now_ms)?;
        Some(self.entry(db, key, bucket))
    }

    /// The string at a key, uncounted and untouched.
    pub fn peek_string(
        &mut self,
        db: u16,
        key: &Key<'_>,
        now_ms: i64,
    ) -> Result<Option<StringRef<'_>>, WrongType> {
        match self.peek(db, key, now_ms) {
            None => Ok(None),
            Some(entry) => object::string(entry).map(Some).ok_or(WrongType),
        }
    }

    /// The string at a key, read as `read` does.
    #[inline]
    pub fn string(
        &mut self,
        db: u16,
        key: &Key<'_>,
        now_ms: i64,
        clock: Option<u32>,
    ) -> Result<Option<StringRef<'_>>, WrongType> {
        match self.read(db, key, now_ms, clock) {
            None => Ok(None),
            Some(entry) => object::string(entry).map(Some).ok_or(WrongType),
        }
    }

    /// Whether the key exists, uncounted and untouched.
    pub fn exists(&mut self, db: u16, key: &Key<'_>, now_ms: i64) -> bool {
        self.locate_live(db, key, now_ms).is_some()
    }

    /// Keys of a database, those not yet found expired included. Near the truth only while tables sleep (`settle_counts`).
    pub fn len(&self, db: u16) -> usize {
        self.dbs[usize::from(db)].keys
    }

    /// Whether a database has no key and nothing that sleeps.
    pub fn is_empty(&self, db: u16) -> bool {
        self.len(db) == 0 && !self.dormant.as_ref().is_some_and(|dormant| dormant.has_db(db))
    }

    /// Keys of a database that have an expiry.
    pub fn volatile_len(&self, db: u16) -> usize {
        self.dbs[usize::from(db)].volatile
    }

    /// Bytes of all entries and tables.
    pub fn allocated_bytes(&self) -> usize {
        self.dbs
            .iter()
            .map(|db| {
                let tables: usize = db.slots.iter().map(SlotTable::allocated_bytes).sum();
                db.entry_bytes + tables + db.slots.capacity() * size_of::<SlotTable>()
            })
            .sum()
    }

    /// The tables of a database, in slot order, with their slots. What sleeps is left out (`hydrate_db`).
    pub fn tables(&self, db: u16) -> impl Iterator<Item = (Slot, &SlotTable)> {
        self.tables_from(db, Slot::new(self.first_slot).expect("a shard owns its first slot"))
    }

    /// The tables of a database from that of a slot on; all of them if the slot is before the shard's first.
    pub fn tables_from(&self, db: u16, from: Slot) -> impl Iterator<Item = (Slot, &SlotTable)> {
        let first = self.first_slot;
        let skipped = from.index().saturating_sub(usize::from(first));
        self.dbs[usize::from(db)].slots.iter().enumerate().skip(skipped).map(move |(i, table)| {
            (Slot::new(first + i as u16).expect("tables stand for slots in range"), table)
        })
    }

    // Changing ----------------------------------------------------------------------------------------------------

    /// Sets a string with an expiry, or none. An existing key of any type is replaced.
    #[inline]
    pub fn set_string(
        &mut self,
        db: u16,
        key: &Key<'_>,
        value: &[u8],
        expire_at_ms: Option<i64>,
        clock: u32,
    ) {
        self.journal.record(db, Effect::SetString { key: key.bytes, value, expire_at_ms });
        self.store(db, key, string_payload(value), expire_at_ms, clock);
    }

    /// Sets a string and keeps the key's expiry.
    pub fn set_string_keep_expiry(&mut self, db: u16, key: &Key<'_>, value: &[u8], now_ms: i64, clock: u32) {
        let expire_at_ms = self.peek(db, key, now_ms).and_then(Entry::expire_at_ms);
        self.set_string(db, key, value, expire_at_ms, clock);
    }

    /// Adds to the number at a key and returns the sum. A missing key counts as 0. The expiry stays.
    #[inline]
    pub fn add_integer(
        &mut self,
        db: u16,
        key: &Key<'_>,
        by: i64,
        now_ms: i64,
        clock: u32,
    ) -> Result<i64, AddError> {
        let Some(bucket) = self.locate_live(db, key, now_ms) else {
            self.journal_integer(db, key, by, None);
            self.store(db, key, Payload::Integer(by), None, clock);
            return Ok(by);
        };
        self.before_change(db, key.slot);
        let entry = self.entry_mut(db, key, bucket);
        let old = object::string(entry).ok_or(AddError::WrongType)?.integer().ok_or(AddError::NotInteger)?;
        let sum = old.checked_add(by).ok_or(AddError::Overflow)?;
        let (before, expire_at_ms) = (allocated_bytes(entry), entry.expire_at_ms());
        entry.replace(Payload::Integer(sum), expire_at_ms);
        entry.set_clock(clock);
        let after = allocated_bytes(entry);
        let db_of = &mut self.dbs[usize::from(db)];
        db_of.entry_bytes = db_of.entry_bytes + after - before;
        self.counts.changes += 1;
        self.journal_integer(db, key, sum, expire_at_ms);
        Ok(sum)
    }

    /// Puts a value of any type under a key, replacing what is there. A collection has elements, unless it is a stream.
    pub fn put(&mut self, db: u16, key: &Key<'_>, value: Value, expire_at_ms: Option<i64>, clock: u32) {
        self.journal.record_value(db, key.bytes, value.as_ref(), expire_at_ms);
        with_payload(value, |payload| self.store(db, key, payload, expire_at_ms, clock));
    }

    /// Writes `bytes` into the string at a key from `offset` on, filling a gap with zeros, and returns the new length.
    /// A missing key counts as an empty string. The expiry stays.
    pub fn set_range(
        &mut self,
        db: u16,
        key: &Key<'_>,
        offset: usize,
        bytes: &[u8],
        now_ms: i64,
        clock: u32,
    ) -> Result<usize, WrongType> {
        let length = match self.locate_live(db, key, now_ms) {
            None => {
                let mut value = vec![0; offset];
                value.extend_from_slice(bytes);
                let length = value.len();
                if length > INLINE_STRING_BYTES_MAX {
                    self.store(db, key, raw_payload(value), None, clock);
                } else {
                    self.store(db, key, Payload::Bytes(&value), None, clock);
                }
                length
            }
            Some(bucket) => {
                self.before_change(db, key.slot);
                let entry = self.entry_mut(db, key, bucket);
                let before = allocated_bytes(entry);
                let length = write_range(entry, offset, bytes)?;
                entry.set_clock(clock);
                let after = allocated_bytes(entry);
                let db_of = &mut self.dbs[usize::from(db)];
                db_of.entry_bytes = db_of.entry_bytes + after - before;
                self.counts.changes += 1;
                length
            }
        };
        self.journal.record(db, Effect::SetRange { key: key.bytes, offset, bytes });
        Ok(length)
    }

    /// Removes a key; whether it was there (and alive).
    pub fn remove(&mut self, db: u16, key: &Key<'_>, now_ms: i64) -> bool {
        let Some(entry) = self.unlink(db, key) else { return false };
        let is_live = self.journal_removal(db, key, &entry, now_ms);
        self.discard(entry);
        is_live
    }

    /// Sets or clears the expiry of a key that exists; whether it does.
    pub fn set_expiry(&mut self, db: u16, key: &Key<'_>, expire_at_ms: Option<i64>) -> bool {
        self.before_change(db, key.slot);
        let at = slot_index(self.first_slot, key.slot);
        let db_of = &mut self.dbs[usize::from(db)];
        let Some(entry) = db_of.slots.get_mut(at).and_then(|table| table.find_mut(key.hash, key.bytes))
        else {
            return false;
        };
        let (before, was_volatile) = (entry.allocated_bytes(), entry.expire_at_ms().is_some());
        entry.set_expire_at_ms(expire_at_ms);
        db_of.entry_bytes = db_of.entry_bytes + entry.allocated_bytes() - before;
        db_of.volatile = db_of.volatile + usize::from(expire_at_ms.is_some()) - usize::from(was_volatile);
        self.counts.changes += 1;
        self.journal.record(db, Effect::ExpireAt { key: key.bytes, expire_at_ms });
        true
    }

    /// Moves a live key to another name and database of this shard with value and expiry, replacing what is there; whether
    /// it existed.
    pub fn rename(&mut self, from: (u16, &Key<'_>), to: (u16, &Key<'_>), now_ms: i64) -> bool {
        let Some(entry) = self.unlink(from.0, from.1) else { return false };
        if !self.journal_removal(from.0, from.1, &entry, now_ms) {
            return false;
        }
        let (expire_at_ms, clock) = (entry.expire_at_ms(), entry.clock());
        self.journal.record_value(to.0, to.1.bytes, ValueRef::of(&entry), expire_at_ms);
        let payload = match entry.held() {
            Held::Bytes(bytes) => Payload::Bytes(bytes),
            Held::Integer(number) => Payload::Integer(number),
            Held::Packed(label, bytes) => Payload::Packed(label, bytes),
            Held::Boxed(_) => {
                // The object itself moves: renaming a large value copies nothing but its key.
                let object = entry.into_boxed().expect("the value is boxed");
                self.store(to.0, to.1, Payload::Boxed(object), expire_at_ms, clock);
                return true;
            }
        };
        self.store(to.0, to.1, payload, expire_at_ms, clock);
        true
    }

    /// Empties a database. Its memory is given back in steps, by `free_discarded`.
    pub fn flush(&mut self, db: u16) {
        self.disturb_watched(db, None);
        self.journal.awaited.touch_all(db);
        let dormant = self.take_dormant_db(db, self.saver.is_some());
        self.keep_marked(db, dormant);
        self.end_dormant();
        let Db { slots, keys, .. } = std::mem::take(&mut self.dbs[usize::from(db)]);
        self.counts.changes += keys as u64;
        if self.discarded.is_empty() {
            self.discarded = slots;
        } else {
            self.discarded.extend(slots);
        }
        self.journal.record(db, Effect::Flush);
    }

    /// Swaps two databases.
    pub fn swap(&mut self, a: u16, b: u16, now_ms: i64) {
        if a != b {
            self.disturb_watched(a, Some((b, now_ms)));
            self.disturb_watched(b, Some((a, now_ms)));
        }
        self.dbs.swap(usize::from(a), usize::from(b));
        self.swap_dormant(a, b);
        self.swap_marks(a, b);
        self.journal.awaited.touch_all(a);
        self.journal.awaited.touch_all(b);
        self.counts.changes += 1;
        self.journal.record(a, Effect::Swap { with: b });
    }

    /// Who waits for which keys.
    #[inline]
    pub fn awaited(&mut self) -> &mut Awaited {
        &mut self.journal.awaited
    }

    // Watching ----------------------------------------------------------------------------------------------------

    /// From now on, changes of the key, which may be missing, are noted for the client.
    pub fn watch(&mut self, db: u16, key: &Key<'_>, client_id: u64, now_ms: i64) {
        // One that has expired is missing now: that it is found so later is no change.
        self.locate_live(db, key, now_ms);
        self.journal.watched.insert(db, key.bytes, client_id);
    }

    /// Ends a client's watching; whether one of the keys has changed or expired.
    pub fn end_watch(&mut self, client_id: u64, now_ms: i64) -> bool {
        let keys: Vec<(u16, Box<[u8]>)> = self.journal.watched.of_client(client_id).to_vec();
        for (db, key) in keys {
            self.locate_live(db, &Key::new(&key), now_ms);
        }
        self.journal.watched.remove(client_id)
    }

    /// As `end_watch`, for a client that does not ask.
    pub fn forget_watch(&mut self, client_id: u64) {
        self.journal.watched.remove(client_id);
    }

    /// Whether any key is watched.
    pub fn is_watched(&self) -> bool {
        !self.journal.watched.is_empty()
    }

    /// The key counts as changed for those who watch it, whatever is there.
    pub fn disturb(&mut self, db: u16, key: &Key<'_>) {
        self.journal.watched.changed(db, key.bytes);
    }

    /// Database `db` loses its keys, and gets those of another that are alive if it changes places with one: for those who watch keys
    /// of it, what was there or will be has changed.
    fn disturb_watched(&mut self, db: u16, gets: Option<(u16, i64)>) {
        for name in self.journal.watched.keys_of(db) {
            let key = Key::new(&name);
            self.wake(db, key.slot);
            let was_there =
                self.table(db, key.slot).and_then(|table| table.locate(key.hash, &name)).is_some();
            // One that comes expired must not be found so later: a missing key stays missing.
            let comes = gets.is_some_and(|(other, now_ms)| self.locate_live(other, &key, now_ms).is_some());
            if was_there || comes {
                self.journal.watched.changed(db, &name);
            }
        }
    }

    // Inside ------------------------------------------------------------------------------------------------------

    #[inline]
    fn table(&self, db: u16, slot: Slot) -> Option<&SlotTable> {
        self.dbs[usize::from(db)].slots.get(slot_index(self.first_slot, slot))
    }

    /// The bucket of a key that is there and alive, for `entry_mut`; one search. A key found expired is removed: passive
    /// expiry.
    #[inline]
    fn locate_live(&mut self, db: u16, key: &Key<'_>, now_ms: i64) -> Option<usize> {
        self.wake(db, key.slot);
        let table = self.table(db, key.slot)?;
        let bucket = table.locate(key.hash, key.bytes)?;
        let entry = table.at(key.hash, bucket);
        if has_passed(entry, now_ms) {
            if let Some(entry) = self.unlink(db, key) {
                self.discard(entry);
            }
            self.counts.expired += 1;
            self.journal.record(db, Effect::Delete { key: key.bytes });
            return None;
        }
        if has_expired_fields(entry, now_ms) {
            return self.remove_expired_fields(db, key, bucket, now_ms);
        }
        Some(bucket)
    }

    /// Must come before a slot's table changes.
    #[inline]
    fn before_change(&mut self, db: u16, slot: Slot) {
        if self.dormant.is_some() | self.saver.is_some() {
            self.prepare_change(db, slot);
        }
    }

    /// The entry that `locate_live` found.
    #[inline]
    fn entry(&self, db: u16, key: &Key<'_>, bucket: usize) -> &Entry {
        let at = slot_index(self.first_slot, key.slot);
        self.dbs[usize::from(db)].slots[at].at(key.hash, bucket)
    }

    /// The same, for changing it.
    #[inline]
    fn entry_mut(&mut self, db: u16, key: &Key<'_>, bucket: usize) -> &mut Entry {
        let at = slot_index(self.first_slot, key.slot);
        self.dbs[usize::from(db)].slots[at].at_mut(key.hash, bucket)
    }

    /// Journals and counts that `entry` was taken out; whether it was alive, so that this is a change and no expiry.
    fn journal_removal(&mut self, db: u16, key: &Key<'_>, entry: &Entry, now_ms: i64) -> bool {
        self.journal.record(db, Effect::Delete { key: key.bytes });
        let is_live = !is_expired(entry, now_ms);
        self.counts.changes += u64::from(is_live);
        self.counts.expired += u64::from(!is_live);
        is_live
    }

    #[inline]
    fn journal_integer(&mut self, db: u16, key: &Key<'_>, value: i64, expire_at_ms: Option<i64>) {
        if self.journal.is_on() {
            let mut text = itoa::Buffer::new();
            let value = text.format(value).as_bytes();
            self.journal.record(db, Effect::SetString { key: key.bytes, value, expire_at_ms });
        }
    }

    /// Takes the entry out and keeps the counts true.
    fn unlink(&mut self, db: u16, key: &Key<'_>) -> Option<Entry> {
        self.before_change(db, key.slot);
        let at = slot_index(self.first_slot, key.slot);
        let db = &mut self.dbs[usize::from(db)];
        let entry = db.slots.get_mut(at)?.remove(key.hash, key.bytes)?;
        db.keys -= 1;
        db.volatile -= usize::from(entry.expire_at_ms().is_some());
        db.entry_bytes -= allocated_bytes(&entry);
        Some(entry)
    }

    fn store(
        &mut self,
        db: u16,
        key: &Key<'_>,
        payload: Payload<'_, Value>,
        expire_at_ms: Option<i64>,
        clock: u32,
    ) {
        self.counts.changes += 1;
        self.place_payload(db, key, payload, expire_at_ms, clock);
    }

    /// As `store`, for a change that is counted elsewhere.
    fn place_payload(
        &mut self,
        db: u16,
        key: &Key<'_>,
        payload: Payload<'_, Value>,
        expire_at_ms: Option<i64>,
        clock: u32,
    ) {
        self.before_change(db, key.slot);
        let at = slot_index(self.first_slot, key.slot);
        let db = &mut self.dbs[usize::from(db)];
        if db.slots.is_empty() {
            db.slots.resize_with(self.slot_count, SlotTable::default);
        }
        let table = &mut db.slots[at];
        db.volatile += usize::from(expire_at_ms.is_some());
        match table.find_mut(key.hash, key.bytes) {
            Some(entry) => {
                let before = allocated_bytes(entry);
                db.volatile -= usize::from(entry.expire_at_ms().is_some());
                if before > FREED_AT_ONCE_BYTES_MAX {
                    discarded::take_large(entry, &mut self.discarded_values);
                }
                entry.replace(payload, expire_at_ms);
                entry.set_clock(clock);
                db.entry_bytes = db.entry_bytes + allocated_bytes(entry) - before;
            }
            None => {
                let entry = Entry::new(tag_of(key.hash), key.bytes, payload, expire_at_ms, clock);
                db.entry_bytes += allocated_bytes(&entry);
                db.keys += 1;
                table.insert(key.hash, entry);
            }
        }
    }
}

/// Whether an entry's time has come. Only walks over whole tables ask: lookups never return such an entry.
#[inline]
pub fn is_expired(entry: &Entry, now_ms: i64) -> bool {
    has_passed(entry, now_ms)
        || matches!(entry.held(), Held::Boxed(Value::Hash(hash)) if hash.has_only_expired(now_ms))
}

/// Whether the key's own time has come.
#[inline]
fn has_passed(entry: &Entry, now_ms: i64) -> bool {
    entry.expire_at_ms().is_some_and(|at| at <= now_ms)
}

/// Whether fields of a hash have expired that are still there.
#[inline]
fn has_expired_fields(entry: &Entry, now_ms: i64) -> bool {
    matches!(entry.held(), Held::Boxed(Value::Hash(hash)) if hash.has_expired(now_ms))
}

#[inline]
fn slot_index(first: u16, slot: Slot) -> usize {
    slot.index() - usize::from(first)
}

/// A string that stays bytes even if it looks like a number, as Redis keeps one that was edited in place.
fn raw_payload(bytes: Vec<u8>) -> Payload<'static, Value> {
    Payload::Boxed(Box::new(Value::String(bytes)))
}

/// Writes a range into the string of `entry` and returns the new length. A string that grows moves to its own allocation.
fn write_range(entry: &mut Entry, offset: usize, bytes: &[u8]) -> Result<usize, WrongType> {
    let old = object::string(entry).ok_or(WrongType)?;
    let length = old.len().max(offset + bytes.len());
    if length > INLINE_STRING_BYTES_MAX
        && let Some(Value::String(string)) = entry.boxed_mut()
    {
        if string.len() < length {
            string.resize(length, 0);
        }
        string[offset..offset + bytes.len()].copy_from_slice(bytes);
        return Ok(length);
    }
    if let Some(string) = entry.bytes_mut()
        && offset + bytes.len() <= string.len()
    {
        string[offset..offset + bytes.len()].copy_from_slice(bytes);
        return Ok(length);
    }
    let mut string = object::string(entry).ok_or(WrongType)?.to_vec();
    string.resize(length, 0);
    string[offset..offset + bytes.len()].copy_from_slice(bytes);
    let expire_at_ms = entry.expire_at_ms();
    if length > INLINE_STRING_BYTES_MAX {
        entry.replace(raw_payload(string), expire_at_ms);
    } else {
        entry.replace(Payload::Bytes(&string), expire_at_ms);
    }
    Ok(length)
}

mod collections;
mod discarded;
pub mod dormant;
#[cfg(test)]
pub mod memory;
mod random;
mod replay;
pub mod saving;

#[cfg(test)]
mod tests;
