//! What a shard held before the process started, as long as it is still in the snapshot and the log: which archives and which later
//! effects each table (database, slot) is made of, and how a table comes to life, when it is first touched or when its turn comes.
//! Knows no files: a [`Source`] hands over bytes. Never counts a change, never journals one: all of it has happened before.
//!
//! # Counts
//!
//! The keys of archives count before they are loaded (`Keyspace::len`). What the effects after them will add or take away does not, so
//! counts are near the truth until the tables with such effects have come to life; who needs the truth asks for that (`settle_counts`).
//!
//! # Damage
//!
//! What turns out to be bad only now leaves a table in which keys are missing. That is noted (`has_damage`), and whoever owns the
//! keyspace must not hand out any answer after it, nor save it: the process has to stop.

use std::mem::take;
use std::ops::Range;
use std::sync::Arc;

use crate::base::limits::DATABASES;
use crate::base::slot::{Slot, key_slot};
use crate::store::archive::{self, Content, Item};
use crate::store::effect::{Effect, decode_all};
use crate::store::keyspace::{Key, Keyspace, slot_index};
use crate::store::table::SlotTable;

/// Where archives and effects come from. What is wrong is said with file and offset.
pub trait Source: Send + Sync {
    /// The bytes of an archive, with their checksum compared.
    fn archive(&self, id: u32) -> Result<&[u8], String>;
    /// The effect at a position of the log, and the database that it names.
    fn effect(&self, position: u64) -> Result<(u16, Effect<'_>), String>;
    /// Where an archive is: file and offset.
    fn archive_place(&self, id: u32) -> String;
    /// Where an effect is: file and offset.
    fn effect_place(&self, position: u64) -> String;
}

/// An archive, and what is in it.
#[derive(Clone, Copy, Debug)]
struct ArchiveKeys {
    id: u32,
    keys: u32,
    volatile: u32,
}

/// What one table is made of: archives in order, then effects in order. Those before the counts of what is done are in the live table.
#[derive(Default)]
pub(super) struct DormantTable {
    archives: Vec<ArchiveKeys>,
    effects: Vec<u64>,
    archives_done: u32,
    effects_done: u32,
}

impl DormantTable {
    fn archives_left(&self) -> &[ArchiveKeys] {
        &self.archives[self.archives_done as usize..]
    }

    fn effects_left(&self) -> &[u64] {
        &self.effects[self.effects_done as usize..]
    }

    pub(super) fn is_done(&self) -> bool {
        self.archives_left().is_empty() && self.effects_left().is_empty()
    }

    /// Keys of the archives that are left, and how many of them expire.
    fn keys_left(&self) -> (usize, usize) {
        let sum = |of: fn(&ArchiveKeys) -> u32| self.archives_left().iter().map(|one| of(one) as usize).sum();
        (sum(|archive| archive.keys), sum(|archive| archive.volatile))
    }
}

#[derive(Default)]
struct DormantDb {
    /// One for each slot of the shard, made with the first.
    tables: Vec<DormantTable>,
    /// Tables that are not done.
    left: usize,
    /// None before this one is left.
    next: usize,
}

/// What tables come to life from.
#[derive(Clone)]
pub(super) struct Origin {
    source: Arc<dyn Source>,
    /// The access clock of keys that effects of the log change.
    clock: u32,
}

impl Origin {
    /// A keyspace of one slot in which nothing but this table is, in its first database.
    pub(super) fn keyspace_of(&self, slot: usize, table: DormantTable) -> Keyspace {
        let mut dormant = Dormant::new(self.source.clone(), slot..slot + 1, self.clock);
        dormant.dbs[0].tables.push(table);
        let mut keys = Keyspace::new(slot..slot + 1);
        keys.lay_dormant(dormant);
        keys
    }
}

/// All tables of a shard that have not come to life.
pub struct Dormant {
    origin: Origin,
    slots: Range<usize>,
    dbs: Vec<DormantDb>,
}

impl Dormant {
    /// Nothing yet, for a keyspace over `slots`. `clock` is the access clock of keys that effects of the log change.
    pub fn new(source: Arc<dyn Source>, slots: Range<usize>, clock: u32) -> Dormant {
        let dbs = (0..DATABASES).map(|_| DormantDb::default()).collect();
        Dormant { origin: Origin { source, clock }, slots, dbs }
    }

    /// The table of a slot has this archive, behind those added before. Archives of other shards' slots are left out.
    pub fn add_archive(&mut self, db: u16, slot: u16, id: u32, keys: u32, volatile: u32) {
        if let Some(table) = self.table_mut(db, usize::from(slot)) {
            table.archives.push(ArchiveKeys { id, keys, volatile });
        }
    }

    /// The log goes on with this effect, which a shard over the slots in `of` wrote. What concerns other shards' slots is left out.
    /// Effects come in the order of the log.
    pub fn add_effect(&mut self, of: &Range<usize>, db: u16, effect: &Effect<'_>, position: u64) {
        match (effect, effect.key()) {
            (_, Some(key)) => {
                if let Some(table) = self.table_mut(db, key_slot(key).index()) {
                    table.effects.push(position);
                }
            }
            (Effect::Swap { with }, None) => self.swap_slots(of, db, *with),
            (_, None) => {
                let own = self.own(of);
                if let Some(tables) = self.dbs[usize::from(db)].tables.get_mut(own) {
                    tables.fill_with(DormantTable::default);
                }
            }
        }
    }

    /// The indices of those slots in `of` that are here.
    fn own(&self, of: &Range<usize>) -> Range<usize> {
        let (start, end) = (of.start.max(self.slots.start), of.end.min(self.slots.end));
        if start < end { start - self.slots.start..end - self.slots.start } else { 0..0 }
    }

    fn swap_slots(&mut self, of: &Range<usize>, a: u16, b: u16) {
        let own = self.own(of);
        if a == b || usize::from(b) >= self.dbs.len() {
            return;
        }
        if own.len() == self.slots.len() {
            return self.dbs.swap(usize::from(a), usize::from(b));
        }
        for at in own {
            let of_a = self.table_mut(a, self.slots.start + at).map(take).unwrap_or_default();
            let of_b = self.table_mut(b, self.slots.start + at).map(|table| std::mem::replace(table, of_a));
            if let (Some(table), Some(of_b)) = (self.table_mut(a, self.slots.start + at), of_b) {
                *table = of_b;
            }
        }
    }

    fn table_mut(&mut self, db: u16, slot: usize) -> Option<&mut DormantTable> {
        if !self.slots.contains(&slot) {
            return None;
        }
        let tables = &mut self.dbs[usize::from(db)].tables;
        if tables.is_empty() {
            tables.resize_with(self.slots.len(), DormantTable::default);
        }
        Some(&mut tables[slot - self.slots.start])
    }

    fn is_empty(&self) -> bool {
        self.dbs.iter().all(|db| db.left == 0)
    }

    /// Whether this table is left.
    #[inline]
    pub(super) fn has(&self, db: u16, at: usize) -> bool {
        self.dbs[usize::from(db)].tables.get(at).is_some_and(|table| !table.is_done())
    }

    /// Whether any table of a database is left.
    pub(super) fn has_db(&self, db: u16) -> bool {
        self.dbs[usize::from(db)].left > 0
    }

    /// Keys in the archives that are left of a table.
    pub(super) fn keys_of(&self, db: u16, at: usize) -> usize {
        self.dbs[usize::from(db)].tables.get(at).map_or(0, |table| table.keys_left().0)
    }

    /// The first table of a database that is left.
    fn first(&mut self, db: u16) -> Option<usize> {
        let of = &mut self.dbs[usize::from(db)];
        if of.left == 0 {
            return None;
        }
        let rest = &of.tables[of.next..];
        of.next += rest.iter().position(|table| !table.is_done()).expect("as many are left");
        Some(of.next)
    }

    fn is_halfway(&self, db: u16, at: usize) -> bool {
        self.dbs[usize::from(db)]
            .tables
            .get(at)
            .is_some_and(|table| !table.is_done() && (table.archives_done > 0 || table.effects_done > 0))
    }

    pub(super) fn origin(&self) -> Origin {
        self.origin.clone()
    }
}

impl Keyspace {
    /// These tables are this keyspace's, which has nothing yet.
    pub fn lay_dormant(&mut self, dormant: Dormant) {
        assert!(self.dormant.is_none() && dormant.slots == self.slots(), "a shard wakes up once, as itself");
        let mut dormant = dormant;
        for (db, dormant) in self.dbs.iter_mut().zip(&mut dormant.dbs) {
            assert!(db.keys == 0, "what is restored comes first");
            for table in dormant.tables.iter().filter(|table| !table.is_done()) {
                let (keys, volatile) = table.keys_left();
                db.keys += keys;
                db.volatile += volatile;
                dormant.left += 1;
            }
        }
        self.dormant = (!dormant.is_empty()).then(|| Box::new(dormant));
    }

    /// Keys in archives that are not loaded.
    pub fn dormant_keys(&self) -> usize {
        let dormant = self.dormant.iter().flat_map(|dormant| &dormant.dbs);
        dormant.flat_map(|db| &db.tables).map(|table| table.keys_left().0).sum()
    }

    /// Whether any table has not come to life.
    #[inline]
    pub fn is_dormant(&self) -> bool {
        self.dormant.is_some()
    }

    /// Tables that have not come to life.
    pub fn dormant_tables(&self) -> usize {
        self.dormant.iter().flat_map(|dormant| &dormant.dbs).map(|db| db.left).sum()
    }

    /// Loads about `keys` keys and effects of tables that nobody has asked for yet; whether any are left.
    pub fn hydrate_step(&mut self, keys: usize) -> bool {
        let mut used = 0;
        for db in 0..DATABASES as u16 {
            while let Some(at) = self.dormant.as_mut().and_then(|dormant| dormant.first(db)) {
                if used >= keys {
                    return true;
                }
                used += self.hydrate(db, at, keys - used);
            }
        }
        false
    }

    /// Loads every table of a database: for whoever reads all of it.
    pub fn hydrate_db(&mut self, db: u16) {
        while let Some(at) = self.dormant.as_mut().and_then(|dormant| dormant.first(db)) {
            self.hydrate(db, at, usize::MAX);
        }
    }

    /// Makes the counts of a database's keys exact: loads those tables that effects of the log change.
    pub fn settle_counts(&mut self, db: u16) {
        for at in 0..self.slot_count {
            let is_changed = |dormant: &Dormant| {
                dormant.dbs[usize::from(db)]
                    .tables
                    .get(at)
                    .is_some_and(|table| !table.effects_left().is_empty())
            };
            if self.dormant.as_ref().is_some_and(|dormant| is_changed(dormant)) {
                self.hydrate(db, at, usize::MAX);
            }
        }
    }

    /// Whether something was found bad as it was loaded: nothing may be answered any more.
    #[inline]
    pub fn has_damage(&self) -> bool {
        self.damage.is_some()
    }

    /// What was found bad first, with file and offset.
    pub fn take_damage(&mut self) -> Option<String> {
        self.damage.take()
    }

    /// Brings a slot's table to life. Must come before anything looks into the table.
    #[inline]
    pub(super) fn wake(&mut self, db: u16, slot: Slot) {
        if self.dormant.is_some() {
            self.wake_slot(db, slot);
        }
    }

    #[inline(never)]
    fn wake_slot(&mut self, db: u16, slot: Slot) {
        self.hydrate(db, slot_index(self.first_slot, slot), usize::MAX);
    }

    /// Wakes the tables of the slots from one on, until they have `wanted` entries besides those of the first.
    pub(in crate::store) fn wake_from(&mut self, db: u16, from: Slot, wanted: usize) {
        let first = from.index().saturating_sub(usize::from(self.first_slot));
        let mut seen = 0;
        for at in first..self.slot_count {
            if self.dormant.is_none() || seen >= wanted {
                return;
            }
            self.hydrate(db, at, usize::MAX);
            if at > first {
                seen += self.dbs[usize::from(db)].slots.get(at).map_or(0, SlotTable::len);
            }
        }
    }

    /// Takes out what sleeps of a database that is flushed. Tables that are halfway alive are brought to life before, where `is_saved`
    /// says that somebody still wants what was there.
    pub(super) fn take_dormant_db(&mut self, db: u16, is_saved: bool) -> Vec<DormantTable> {
        let halfway: Vec<usize> = match &self.dormant {
            Some(dormant) if is_saved => {
                (0..self.slot_count).filter(|&at| dormant.is_halfway(db, at)).collect()
            }
            _ => Vec::new(),
        };
        for at in halfway {
            self.hydrate(db, at, usize::MAX);
        }
        self.dormant
            .as_mut()
            .map(|dormant| take(&mut dormant.dbs[usize::from(db)]).tables)
            .unwrap_or_default()
    }

    /// Forgets the source once nothing sleeps.
    pub(super) fn end_dormant(&mut self) {
        if self.dormant.as_ref().is_some_and(|dormant| dormant.is_empty()) {
            self.dormant = None;
        }
    }

    pub(super) fn swap_dormant(&mut self, a: u16, b: u16) {
        if let Some(dormant) = &mut self.dormant {
            dormant.dbs.swap(usize::from(a), usize::from(b));
        }
    }

    /// Loads about `budget` keys and effects of a table; how many it was.
    fn hydrate(&mut self, db: u16, at: usize, budget: usize) -> usize {
        let Some(mut dormant) = self.dormant.take_if(|dormant| dormant.has(db, at)) else { return 0 };
        let of = &mut dormant.dbs[usize::from(db)];
        let mut table = take(&mut of.tables[at]);
        // What is loaded was journaled, counted and told to whom it concerned when it happened.
        let (journal, counts, saver) = (take(&mut self.journal), self.counts, self.saver.take());
        let mut used = 0;
        let loaded = self.load_table(&dormant.origin, (db, at), &mut table, budget, &mut used);
        (self.journal, self.counts, self.saver) = (journal, counts, saver);
        if let Err(damage) = loaded {
            let (keys, volatile) = table.keys_left();
            let db_of = &mut self.dbs[usize::from(db)];
            db_of.keys -= keys;
            db_of.volatile -= volatile;
            table = DormantTable::default();
            self.damage.get_or_insert(damage);
        }
        let of = &mut dormant.dbs[usize::from(db)];
        of.left -= usize::from(table.is_done());
        if !table.is_done() {
            of.tables[at] = table;
        }
        self.dormant = Some(dormant);
        self.end_dormant();
        used.max(1)
    }

    fn load_table(
        &mut self,
        origin: &Origin,
        (db, at): (u16, usize),
        table: &mut DormantTable,
        budget: usize,
        used: &mut usize,
    ) -> Result<(), String> {
        let Origin { source, clock } = origin;
        let slot = Slot::new(self.first_slot + at as u16).expect("tables stand for slots in range");
        while let Some(&ArchiveKeys { id, keys, volatile }) = table.archives_left().first() {
            if *used >= budget {
                return Ok(());
            }
            table.archives_done += 1;
            let db_of = &mut self.dbs[usize::from(db)];
            db_of.keys -= keys as usize;
            db_of.volatile -= volatile as usize;
            let items = archive::read(source.archive(id)?);
            let items = items.map_err(|bad| format!("{}: {bad}", source.archive_place(id)))?;
            for item in items {
                *used += 1;
                *used += self
                    .load_item(db, slot, &item)
                    .map_err(|why| format!("{}: the archive holds {why}", source.archive_place(id)))?;
            }
        }
        while let Some(&position) = table.effects_left().first() {
            if *used >= budget {
                return Ok(());
            }
            table.effects_done += 1;
            *used += 1;
            let (_, effect) = source.effect(position)?;
            let is_here = effect.key().is_some_and(|key| key_slot(key) == slot);
            let is_applied = is_here && self.apply_checked(db, &effect, *clock).is_ok();
            if !is_applied {
                let place = source.effect_place(position);
                return Err(format!("{place}: the log holds a change that does not fit what it changes"));
            }
        }
        Ok(())
    }

    /// Puts an entry of an archive where it belongs; how many effects that took.
    fn load_item(&mut self, db: u16, slot: Slot, item: &Item<'_>) -> Result<usize, &'static str> {
        let key = Key::new(item.key);
        if key.slot != slot {
            return Err("a key of another slot");
        }
        if let Some(payload) = item.payload() {
            self.place_payload(db, &key, payload, item.expire_at_ms, item.clock);
            return Ok(0);
        }
        let Content::Effects { bytes, is_first, .. } = item.content else { return Ok(0) };
        let effects = decode_all(bytes).map_while(|effect| effect.ok().map(|(_, effect)| effect));
        let count = self
            .apply_run(db, &key, effects, item.clock)
            .map_err(|_| "a change that does not fit what it changes")?;
        if is_first && item.expire_at_ms.is_some() {
            self.set_expiry(db, &key, item.expire_at_ms);
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
