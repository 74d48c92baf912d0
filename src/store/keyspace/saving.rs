//! Saving the keyspace as it is at one moment, the *cut*, while it goes on changing: which tables are still to be archived, and the
//! hooks that archive a table before it changes. Makes archives; never writes them anywhere.
//!
//! At the cut every table (database, slot) that is not empty is marked. A background step archives marked tables one after the other and
//! takes the marks away. A change of a marked table archives it first, as it is, so whatever order that happens in, what is archived
//! is the state at the cut.
//!
//! # What is too large to be archived at once
//!
//! - A table that has been split (`store/table`): a copy of it, which shares its parts, goes to the background step.
//! - A large collection or string: the same. Sharing makes copies of collections cheap; a string is copied.
//! - Flushed databases: their marked tables are given to the background step instead of being freed.
//!
//! What the background step holds is archived before it looks at further tables, so there is little of it at any time. It is freed in
//! steps, as flushed databases are.

use std::collections::VecDeque;
use std::mem::take;

use crate::base::limits::{
    ARCHIVE_BYTES, ARCHIVED_STRING_BYTES_MAX, ARCHIVED_VALUE_BYTES_MAX, DATABASES, VALUE_STEP,
};
use crate::base::slot::Slot;
use crate::store::archive::Archive;
use crate::store::effect::encode;
use crate::store::keyspace::dormant::{DormantTable, Origin};
use crate::store::keyspace::{Keyspace, slot_index};
use crate::store::object::{Entry, Value};
use crate::store::table::SlotTable;
use crate::sys::cell::Held;

/// Least cost of a piece of work, in bytes: what does not make bytes takes time too.
const WORK_BYTES_MIN: usize = 64;
/// Entries that are fetched before they are archived.
const PREFETCHED_AHEAD: usize = 12;

/// An archive for the snapshot: of one table or of a part of one. Parts of a table are to be kept in the order in which they were made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedArchive {
    /// The database at the cut.
    pub db: u16,
    /// The slot.
    pub slot: u16,
    /// Keys that begin in it.
    pub keys: u32,
    /// Keys that begin in it and expire.
    pub volatile: u32,
    /// The archive (`store/archive`).
    pub bytes: Vec<u8>,
}

/// Database at the cut, and slot.
type Place = (u16, u16);

/// Which tables of a database are still marked.
#[derive(Default)]
struct Marks {
    db_at_cut: u16,
    bits: Vec<u64>,
    left: usize,
    /// No bit is set in a word before this one.
    word: usize,
}

impl Marks {
    fn set(&mut self, at: usize) {
        self.bits[at / 64] |= 1 << (at % 64);
        self.left += 1;
    }

    /// Takes the mark of a table away; whether it had one.
    #[inline]
    fn take(&mut self, at: usize) -> bool {
        let (word, bit) = (at / 64, 1 << (at % 64));
        let is_set = self.bits.get(word).is_some_and(|bits| bits & bit != 0);
        if is_set {
            self.bits[word] &= !bit;
            self.left -= 1;
        }
        is_set
    }

    /// Takes the first mark away; which table had it.
    fn take_first(&mut self) -> Option<usize> {
        if self.left == 0 {
            return None;
        }
        while self.bits[self.word] == 0 {
            self.word += 1;
        }
        let at = self.word * 64 + self.bits[self.word].trailing_zeros() as usize;
        self.take(at);
        Some(at)
    }
}

/// A table that is this saver's own.
enum OwnTable {
    Live(SlotTable),
    /// One that was flushed before it came to life.
    Dormant(DormantTable),
}

struct TablePiece {
    place: Place,
    table: OwnTable,
    /// Where the walk goes on (`SlotTable::scan`).
    position: u64,
}

struct ValuePiece {
    place: Place,
    key: Box<[u8]>,
    expire_at_ms: Option<i64>,
    clock: u32,
    value: Value,
    /// Where the walk goes on (`ValueRef::effects_part`), and whether it has begun.
    from: u64,
    has_begun: bool,
}

/// The save under way.
pub(super) struct Saver {
    /// By the databases' numbers now.
    marks: Vec<Marks>,
    values: VecDeque<ValuePiece>,
    tables: VecDeque<TablePiece>,
    /// Where those of them come from that sleep.
    origin: Option<Origin>,
    /// The archive in the making. Empty between two calls.
    archive: Archive,
    /// Effects in the making.
    effects: Vec<u8>,
    made: Vec<SavedArchive>,
    made_bytes: usize,
}

impl Saver {
    fn is_done(&self) -> bool {
        self.values.is_empty() && self.tables.is_empty() && self.marks.iter().all(|marks| marks.left == 0)
    }

    /// Archives a table of the keyspace, or takes a copy of one that is too large; what it cost, in bytes.
    fn save_table(&mut self, place: Place, table: &SlotTable) -> usize {
        if table.is_split() {
            self.tables.push_back(TablePiece { place, table: OwnTable::Live(table.clone()), position: 0 });
            return WORK_BYTES_MIN;
        }
        let before = self.made_bytes;
        // Entries lie anywhere: fetched early, their misses overlap.
        let mut ahead = table.iter();
        ahead.by_ref().take(PREFETCHED_AHEAD).for_each(Entry::prefetch);
        for entry in table.iter() {
            if let Some(next) = ahead.next() {
                next.prefetch();
            }
            self.save_entry(place, entry);
            if self.archive.bytes() >= ARCHIVE_BYTES {
                self.finish(place);
            }
        }
        self.finish(place);
        WORK_BYTES_MIN + self.made_bytes - before
    }

    /// Adds an entry to the archive, or takes a copy of one that is too large.
    fn save_entry(&mut self, place: Place, entry: &Entry) {
        let (key, expire_at_ms, clock) = (entry.key(), entry.expire_at_ms(), entry.clock());
        if let Held::Boxed(value) = entry.held()
            && is_large(value)
        {
            let (key, value) = (key.into(), value.clone());
            self.values.push_back(ValuePiece {
                place,
                key,
                expire_at_ms,
                clock,
                value,
                from: 0,
                has_begun: false,
            });
        } else if !self.archive.push_entry(entry)
            && let Held::Boxed(value) = entry.held()
        {
            self.effects.clear();
            value.as_ref().effects(key, &mut |effect| encode(place.0, &effect, &mut self.effects));
            self.archive.push_effects(key, expire_at_ms, clock, true, true, &self.effects);
        }
    }

    /// Closes the archive, if anything is in it.
    fn finish(&mut self, place: Place) {
        if self.archive.is_empty() {
            return;
        }
        let (keys, volatile) = (self.archive.keys(), self.archive.volatile());
        let bytes = self.archive.finish();
        self.made_bytes += bytes.len();
        self.made.push(SavedArchive { db: place.0, slot: place.1, keys, volatile, bytes });
    }

    /// Archives about `bytes` of a large value; what it cost, and the value once it is done.
    fn save_value(&mut self, bytes: usize) -> (usize, Option<Value>) {
        let mut piece = self.values.pop_front().expect("there is a value");
        let goal = bytes.clamp(ARCHIVE_BYTES / 8, ARCHIVE_BYTES);
        let is_first = !piece.has_begun;
        piece.has_begun = true;
        self.effects.clear();
        let mut next = Some(piece.from);
        while let Some(from) = next
            && self.effects.len() < goal
        {
            let (key, effects) = (&*piece.key, &mut self.effects);
            let value = piece.value.as_ref();
            next = value.effects_part(key, from, VALUE_STEP, &mut |effect| encode(0, &effect, effects));
        }
        let (expire_at_ms, clock) = (piece.expire_at_ms, piece.clock);
        self.archive.push_effects(&piece.key, expire_at_ms, clock, is_first, next.is_none(), &self.effects);
        let before = self.made_bytes;
        self.finish(piece.place);
        let cost = WORK_BYTES_MIN + self.made_bytes - before;
        match next {
            Some(from) => {
                piece.from = from;
                self.values.push_front(piece);
                (cost, None)
            }
            None => (cost, Some(piece.value)),
        }
    }

    /// Archives about `bytes` of a table that is this saver's own; what it cost, and the table once it is done.
    fn save_own_table(&mut self, bytes: usize) -> (usize, Option<SlotTable>) {
        let mut piece = self.tables.pop_front().expect("there is a table");
        let OwnTable::Live(table) = &piece.table else { unreachable!("it has come to life") };
        let goal = bytes.clamp(ARCHIVE_BYTES / 8, ARCHIVE_BYTES);
        let mut next = Some(piece.position);
        while let Some(position) = next
            && self.archive.bytes() < goal
            && self.values.is_empty()
        {
            next = table.scan(position, VALUE_STEP / 4, |entry| self.save_entry(piece.place, entry));
        }
        let before = self.made_bytes;
        self.finish(piece.place);
        let cost = WORK_BYTES_MIN + self.made_bytes - before;
        match (next, piece.table) {
            (Some(position), table) => {
                piece = TablePiece { position, table, ..piece };
                self.tables.push_front(piece);
                (cost, None)
            }
            (None, OwnTable::Live(table)) => (cost, Some(table)),
            (None, OwnTable::Dormant(_)) => unreachable!("it has come to life"),
        }
    }
}

/// Whether a value of its own is archived in steps.
fn is_large(value: &Value) -> bool {
    match value {
        Value::String(string) => string.len() > ARCHIVED_STRING_BYTES_MAX,
        value => value.allocated_bytes() > ARCHIVED_VALUE_BYTES_MAX,
    }
}

impl Keyspace {
    /// The cut: from now on `save_step` archives what is here at this moment. Whatever was being saved before has been ended.
    pub fn begin_save(&mut self) {
        assert!(self.saver.is_none(), "one save at a time");
        let marks = (0..DATABASES as u16).map(|db| self.marks_of(db)).collect();
        self.saver = Some(Box::new(Saver {
            marks,
            values: VecDeque::new(),
            tables: VecDeque::new(),
            origin: None,
            archive: Archive::new(),
            effects: Vec::new(),
            made: Vec::new(),
            made_bytes: 0,
        }));
    }

    fn marks_of(&self, db: u16) -> Marks {
        let mut marks = Marks { db_at_cut: db, ..Marks::default() };
        if !self.is_empty(db) {
            marks.bits = vec![0; self.slot_count.div_ceil(64)];
            let slots = &self.dbs[usize::from(db)].slots;
            for at in 0..self.slot_count {
                let is_live = slots.get(at).is_some_and(|table| !table.is_empty());
                if is_live || self.dormant.as_ref().is_some_and(|dormant| dormant.has(db, at)) {
                    marks.set(at);
                }
            }
        }
        marks
    }

    /// Whether a save has begun and not ended.
    pub fn is_saving(&self) -> bool {
        self.saver.is_some()
    }

    /// Ends the save, complete or not. What it held is freed in steps, with flushed databases; archives that were not taken are dropped.
    pub fn end_save(&mut self) {
        let Some(saver) = self.saver.take() else { return };
        self.discarded_values.extend(saver.values.into_iter().map(|piece| piece.value));
        self.discarded.extend(saver.tables.into_iter().filter_map(|piece| match piece.table {
            OwnTable::Live(table) => Some(table),
            OwnTable::Dormant(_) => None,
        }));
    }

    /// Archives about `bytes` more; whether anything is left to do. What has been archived is for `take_archives`.
    pub fn save_step(&mut self, bytes: usize) -> bool {
        let Some(mut saver) = self.saver.take() else { return false };
        let mut worked = 0;
        while worked < bytes {
            worked += if !saver.values.is_empty() {
                let (cost, value) = saver.save_value(bytes - worked);
                self.discarded_values.extend(value);
                cost
            } else if let Some(piece) = saver.tables.front_mut() {
                if let OwnTable::Dormant(table) = &mut piece.table {
                    let origin = saver.origin.as_ref().expect("what sleeps came from somewhere");
                    piece.table = OwnTable::Live(self.awaken(origin, piece.place.1, take(table)));
                }
                let (cost, table) = saver.save_own_table(bytes - worked);
                self.discarded.extend(table);
                cost
            } else if let Some((db, at)) =
                (0..DATABASES).find_map(|db| saver.marks[db].take_first().map(|at| (db, at)))
            {
                let slot = Slot::new(self.first_slot + at as u16).expect("tables stand for slots in range");
                self.wake(db as u16, slot);
                let place = (saver.marks[db].db_at_cut, slot.index() as u16);
                self.dbs[db].slots.get(at).map_or(0, |table| saver.save_table(place, table))
            } else {
                break;
            };
        }
        let is_done = saver.is_done();
        self.saver = Some(saver);
        !is_done
    }

    /// Takes the archives made since they were last taken.
    pub fn take_archives(&mut self) -> Vec<SavedArchive> {
        let Some(saver) = &mut self.saver else { return Vec::new() };
        saver.made_bytes = 0;
        take(&mut saver.made)
    }

    /// Bytes of archives that wait to be taken.
    pub fn archived_bytes(&self) -> usize {
        self.saver.as_ref().map_or(0, |saver| saver.made_bytes)
    }

    /// Brings a table to life that belongs to no database any more.
    fn awaken(&mut self, origin: &Origin, slot: u16, table: DormantTable) -> SlotTable {
        let mut alone = origin.keyspace_of(usize::from(slot), table);
        alone.encoding = self.encoding;
        alone.hydrate_db(0);
        if let Some(damage) = alone.take_damage() {
            self.damage.get_or_insert(damage);
        }
        alone.dbs[0].slots.pop().unwrap_or_default()
    }

    /// A table is about to change: brings it to life, and archives it as it is if it is marked.
    #[cold]
    #[inline(never)]
    pub(super) fn prepare_change(&mut self, db: u16, slot: Slot) {
        self.wake(db, slot);
        let at = slot_index(self.first_slot, slot);
        let Some(saver) = &mut self.saver else { return };
        if saver.marks[usize::from(db)].take(at)
            && let Some(table) = self.dbs[usize::from(db)].slots.get(at)
        {
            let place = (saver.marks[usize::from(db)].db_at_cut, slot.index() as u16);
            saver.save_table(place, table);
        }
    }

    /// A database is about to be flushed, with what sleeps of it: keeps those of its tables that are marked.
    pub(super) fn keep_marked(&mut self, db: u16, dormant: Vec<DormantTable>) {
        let Some(saver) = &mut self.saver else { return };
        if saver.origin.is_none() {
            saver.origin = self.dormant.as_ref().map(|dormant| dormant.origin());
        }
        let mut dormant = dormant;
        let slots = &mut self.dbs[usize::from(db)].slots;
        while let Some(at) = saver.marks[usize::from(db)].take_first() {
            let slot = self.first_slot + at as u16;
            let place = (saver.marks[usize::from(db)].db_at_cut, slot);
            let asleep = dormant.get_mut(at).map(take).filter(|table| !table.is_done());
            let table = match asleep {
                Some(asleep) => OwnTable::Dormant(asleep),
                None => OwnTable::Live(slots.get_mut(at).map(take).unwrap_or_default()),
            };
            saver.tables.push_back(TablePiece { place, table, position: 0 });
        }
    }

    pub(super) fn swap_marks(&mut self, a: u16, b: u16) {
        if let Some(saver) = &mut self.saver {
            saver.marks.swap(usize::from(a), usize::from(b));
        }
    }
}

#[cfg(test)]
mod tests;
