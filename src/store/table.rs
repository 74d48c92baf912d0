//! Owns the entries of one slot, or of one large collection: one small hash table, split by further hash bits once it outgrows
//! its bound. Never decides whether an entry is expired and never counts the entries' memory: the keyspace does.
//!
//! # Why a table can grow without touching its entries
//!
//! A cell carries 16 bits of its key's hash (the *tag*, the hash's top bits). A table has at most some 2,000 entries, so those
//! bits alone give an entry's place in it (`cells`): growing a table reads the cells and never the entries behind them, and a
//! lookup can find its candidate, and prefetch it, before any key is compared.
//!
//! # Splitting
//!
//! A slot whose table passes `TABLE_ENTRIES_MAX` entries becomes a directory of tables, selected by the hash's low bits, as in
//! extendible hashing (Fagin et al. 1979): a full table splits alone, by one more bit, and the directory doubles only when
//! a table that already uses all its bits splits. Hash tags make such slots; so do hundreds of millions of keys, and every
//! collection of thousands of members. Tables shrink but never become one again: a scan's position could not tell where in
//! the one it stands.
//!
//! # Copies
//!
//! A directory is copied without its entries: the copy shares its tables (`SharedCells`), and whoever changes one of them first copies that
//! one, at most some `TABLE_ENTRIES_MAX` entries. The one table of a slot that has no directory shares nothing: it has no count
//! of owners to look at, and is copied whole.
//!
//! # The order that SCAN walks in
//!
//! Position of an entry = (low hash bits reversed, tag). A split divides a table's run of positions into two runs in the
//! same place, and growing changes nothing, so a scan that resumes at a position misses no entry that stayed.

use std::hash::{BuildHasher, Hasher};

use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;

use crate::base::limits::TABLE_ENTRIES_MAX;
use crate::base::rng::Rng;
use crate::store::cells::{Cells, CellsRef, Keyed, SharedCells};
use crate::store::object::Entry;
use crate::sys::shared::clone_ahead;

/// Low hash bits a directory may use; the rest of a full table's growth would be an overlong table instead.
const DEPTH_MAX: u32 = 18;
const TAG_BITS: u32 = 16;
/// Random tables that are tried before the entries are counted off. Most tables hold half as many entries as the longest, or more.
const RANDOM_TRIES: usize = 64;
/// Entries that a scan asks the processor for before it visits them.
const PREFETCHED_AHEAD: usize = 12;

/// The entries of one slot, or of one collection.
pub struct SlotTable<E = Entry> {
    shape: Shape<E>,
}

enum Shape<E> {
    One(Cells<E>),
    Many(Box<Directory<E>>),
}

impl<E> Default for SlotTable<E> {
    fn default() -> SlotTable<E> {
        SlotTable { shape: Shape::default() }
    }
}

impl<E> Default for Shape<E> {
    fn default() -> Shape<E> {
        Shape::One(Cells::default())
    }
}

impl<E: Keyed> Clone for SlotTable<E> {
    fn clone(&self) -> SlotTable<E> {
        let shape = match &self.shape {
            Shape::One(table) => Shape::One(table.clone()),
            Shape::Many(directory) => Shape::Many(directory.clone()),
        };
        SlotTable { shape }
    }
}

/// Tables selected by the low `depth` bits of the hash.
struct Directory<E> {
    depth: u32,
    /// For each value of the low bits, an index into `tables`.
    index: Vec<u32>,
    tables: Vec<Part<E>>,
    entries: usize,
    /// No table holds more entries.
    longest: usize,
    /// Entries removed since `longest` was last looked up.
    removed: usize,
    /// Bytes of all tables' cells.
    cell_bytes: usize,
}

/// One table of a directory: it holds the hashes whose low `depth` bits equal `pattern`.
#[derive(Clone)]
struct Part<E> {
    depth: u32,
    pattern: u32,
    table: SharedCells<E>,
}

impl<E: Keyed> Clone for Directory<E> {
    fn clone(&self) -> Directory<E> {
        Directory {
            index: self.index.clone(),
            tables: clone_ahead(self.tables.iter(), |part| part.table.prefetch_owners()).collect(),
            ..*self
        }
    }
}

/// The 16 hash bits that a cell carries.
#[inline]
pub fn tag_of(hash: u64) -> u16 {
    (hash >> 48) as u16
}

impl<E: Keyed> SlotTable<E> {
    /// How many entries the slot has, expired ones included.
    #[inline]
    pub fn len(&self) -> usize {
        match &self.shape {
            Shape::One(table) => table.len(),
            Shape::Many(directory) => directory.entries,
        }
    }

    /// Whether the slot has no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it has been split, so that it may have any number of entries, and a copy shares them.
    #[inline]
    pub fn is_split(&self) -> bool {
        matches!(self.shape, Shape::Many(_))
    }

    /// The entry of `key`.
    #[inline]
    pub fn find(&self, hash: u64, key: &[u8]) -> Option<&E> {
        self.find_where(hash, |entry| entry.key() == key)
    }

    /// The entry with the tag of this hash that `is_it` accepts: for whoever knows the hash and not the key.
    #[inline]
    pub fn find_where(&self, hash: u64, is_it: impl Fn(&E) -> bool) -> Option<&E> {
        self.table(hash).find(tag_of(hash), is_it)
    }

    /// The entry of `key`, for changing it.
    #[inline]
    pub fn find_mut(&mut self, hash: u64, key: &[u8]) -> Option<&mut E> {
        let tag = tag_of(hash);
        match &mut self.shape {
            Shape::One(table) => table.find_mut(tag, |entry| entry.key() == key),
            Shape::Many(directory) => directory.table_mut(hash).find_mut(tag, |entry| entry.key() == key),
        }
    }

    /// The bucket of `key`, good until the slot changes: the way to look at an entry, decide, and come back without a second
    /// search.
    #[inline]
    pub fn locate(&self, hash: u64, key: &[u8]) -> Option<usize> {
        let tag = tag_of(hash);
        self.table(hash).position(tag, |entry| entry.key() == key)
    }

    /// The entry in a bucket that `locate` gave for this hash.
    #[inline]
    pub fn at(&self, hash: u64, bucket: usize) -> &E {
        self.table(hash).get(bucket).expect("the slot has not changed")
    }

    /// The entry in a bucket that `locate` gave for this hash, for changing it.
    #[inline]
    pub fn at_mut(&mut self, hash: u64, bucket: usize) -> &mut E {
        let entry = match &mut self.shape {
            Shape::One(table) => table.get_mut(bucket),
            Shape::Many(directory) => directory.table_mut(hash).get_mut(bucket),
        };
        entry.expect("the slot has not changed")
    }

    /// Finds the first entry with the hash's tag and asks the processor to fetch it. Compares no key.
    #[inline]
    pub fn prefetch_entry(&self, hash: u64) {
        let tag = tag_of(hash);
        if let Some(entry) = self.table(hash).find(tag, |_| true) {
            entry.prefetch();
        }
    }

    /// Asks the processor to fetch the cells where a search for the hash begins.
    #[inline]
    pub fn prefetch_cells(&self, hash: u64) {
        self.table(hash).prefetch(tag_of(hash));
    }

    /// Adds an entry whose key is known to be absent.
    pub fn insert(&mut self, hash: u64, entry: E) {
        debug_assert!(self.find(hash, entry.key()).is_none());
        match &mut self.shape {
            Shape::One(table) if table.len() < TABLE_ENTRIES_MAX => table.insert(entry),
            Shape::One(table) => {
                let mut directory = Box::new(Directory::of(std::mem::take(table)));
                directory.insert(hash, entry);
                self.shape = Shape::Many(directory);
            }
            Shape::Many(directory) => directory.insert(hash, entry),
        }
    }

    /// Removes the entry of `key`.
    pub fn remove(&mut self, hash: u64, key: &[u8]) -> Option<E> {
        let bucket = self.locate(hash, key)?;
        let part = match &self.shape {
            Shape::One(_) => 0,
            Shape::Many(directory) => directory.at(hash),
        };
        Some(self.remove_at(part, bucket))
    }

    /// One of the entries, any of them with the same probability.
    pub fn random(&self, rng: &mut Rng) -> Option<&E> {
        let (part, bucket) = self.random_place(rng)?;
        match &self.shape {
            Shape::One(table) => table.view().get(bucket),
            Shape::Many(directory) => directory.tables[part].table.view().get(bucket),
        }
    }

    /// Removes one of the entries, any of them with the same probability.
    pub fn take_random(&mut self, rng: &mut Rng) -> Option<E> {
        let (part, bucket) = self.random_place(rng)?;
        Some(self.remove_at(part, bucket))
    }

    /// Frees one of the tables, at most `TABLE_ENTRIES_MAX` entries, so that a large one can be freed in steps; says how many entries that
    /// was, and nothing if there is no table left. One that a copy still has counts as one entry. Only where everything is being
    /// thrown away: what is left cannot be searched.
    pub fn free_table(&mut self) -> Option<usize> {
        self.free_table_after(|_| ())
    }

    /// The same, and shows each entry that is about to be freed: something may be taken out of it.
    pub fn free_table_after(&mut self, show: impl FnMut(&mut E)) -> Option<usize> {
        match &mut self.shape {
            Shape::One(table) if table.is_empty() => None,
            Shape::One(table) => {
                table.iter_mut().for_each(show);
                Some(std::mem::take(table).len())
            }
            Shape::Many(directory) => match directory.tables.pop() {
                Some(Part { mut table, .. }) => {
                    directory.entries -= table.len();
                    directory.cell_bytes -= table.allocated_bytes();
                    if table.is_shared() {
                        return Some(1);
                    }
                    table.iter_mut().for_each(show);
                    Some(table.len().max(1))
                }
                None => {
                    self.shape = Shape::default();
                    None
                }
            },
        }
    }

    /// Frees about so many entries, whole tables of them; whether there are more. What is left cannot be searched.
    pub fn free_part(&mut self, entries: usize) -> bool {
        let mut freed = 0;
        while freed < entries {
            match self.free_table() {
                Some(count) => freed += count,
                None => return false,
            }
        }
        true
    }

    /// Every entry, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &E> {
        self.parts().flat_map(CellsRef::iter)
    }

    /// The entries that `iter` yields after the first `skipped`. Steps over whole tables, so a large slot is not walked.
    pub fn iter_from(&self, skipped: usize) -> impl Iterator<Item = &E> {
        let (mut parts, mut rest) = (self.parts().peekable(), skipped);
        while let Some(table) = parts.next_if(|table| table.len() <= rest) {
            rest -= table.len();
        }
        parts.flat_map(CellsRef::iter).skip(rest)
    }

    fn parts(&self) -> impl Iterator<Item = CellsRef<'_, E>> {
        let (one, many) = match &self.shape {
            Shape::One(table) => (Some(table.view()), None),
            Shape::Many(directory) => (None, Some(directory)),
        };
        let parts = many.into_iter().flat_map(|directory| &directory.tables);
        one.into_iter().chain(parts.map(|part| part.table.view()))
    }

    /// Visits entries in scan order from `position` until at least `wanted` were seen, and returns where to resume;
    /// `None` once the slot is done. Entries that share a position are visited together.
    pub fn scan<'a>(&'a self, position: u64, wanted: usize, mut visit: impl FnMut(&'a E)) -> Option<u64> {
        let mut seen = 0;
        let mut position = position;
        loop {
            let (table, first, span) = self.run(position)?;
            let from = if position > first { (position & ((1 << TAG_BITS) - 1)) as u16 } else { 0 };
            // Entries lie anywhere: fetched early, their misses overlap.
            let mut ahead = table.iter_from(from);
            ahead.by_ref().take(PREFETCHED_AHEAD.min(wanted)).for_each(E::prefetch);
            let mut last = None;
            for entry in table.iter_from(from) {
                if let Some(next) = ahead.next() {
                    next.prefetch();
                }
                if seen >= wanted && last != Some(entry.tag()) {
                    return Some(first | u64::from(entry.tag()));
                }
                visit(entry);
                seen += 1;
                last = Some(entry.tag());
            }
            position = first + span;
            if seen >= wanted {
                return (position < 1 << (DEPTH_MAX + TAG_BITS)).then_some(position);
            }
        }
    }

    /// Bytes of the tables and the directory, without the entries. Costs no walk.
    pub fn allocated_bytes(&self) -> usize {
        match &self.shape {
            Shape::One(table) => table.allocated_bytes(),
            Shape::Many(directory) => directory.allocated_bytes(),
        }
    }

    /// Removes the entry in a bucket of a part.
    fn remove_at(&mut self, part: usize, bucket: usize) -> E {
        match &mut self.shape {
            Shape::One(table) => table.remove_at(bucket),
            Shape::Many(directory) => {
                let removed = directory.remove_at(part, bucket);
                if directory.entries == 0 {
                    self.shape = Shape::default();
                }
                removed
            }
        }
    }

    /// The part and the bucket of a random entry.
    fn random_place(&self, rng: &mut Rng) -> Option<(usize, usize)> {
        match &self.shape {
            Shape::One(table) => table.view().random(rng).map(|bucket| (0, bucket)),
            Shape::Many(directory) => {
                let part = directory.random_part(rng);
                directory.tables[part].table.view().random(rng).map(|bucket| (part, bucket))
            }
        }
    }

    #[inline]
    fn table(&self, hash: u64) -> CellsRef<'_, E> {
        match &self.shape {
            Shape::One(table) => table.view(),
            Shape::Many(directory) => directory.part(hash).table.view(),
        }
    }

    /// The table that holds `position`, with the first position of its run and the run's length.
    fn run(&self, position: u64) -> Option<(CellsRef<'_, E>, u64, u64)> {
        const WHOLE: u64 = 1 << (DEPTH_MAX + TAG_BITS);
        if position >= WHOLE {
            return None;
        }
        match &self.shape {
            Shape::One(table) => Some((table.view(), 0, WHOLE)),
            Shape::Many(directory) => {
                let reversed = (position >> TAG_BITS) as u32;
                let part = directory.part(u64::from(reverse(reversed)));
                let span = WHOLE >> part.depth;
                Some((part.table.view(), u64::from(reverse(part.pattern)) << TAG_BITS, span))
            }
        }
    }
}

/// The low `DEPTH_MAX` bits in opposite order; its own inverse.
fn reverse(bits: u32) -> u32 {
    bits.reverse_bits() >> (u32::BITS - DEPTH_MAX)
}

impl<E: Keyed> Directory<E> {
    /// A directory of this one table.
    fn of(table: Cells<E>) -> Directory<E> {
        let table = SharedCells::from_ordered(table.into_entries());
        Directory {
            depth: 0,
            index: vec![0],
            entries: table.len(),
            longest: table.len(),
            removed: 0,
            cell_bytes: table.allocated_bytes(),
            tables: vec![Part { depth: 0, pattern: 0, table }],
        }
    }

    #[inline]
    fn at(&self, hash: u64) -> usize {
        self.index[hash as usize & ((1 << self.depth) - 1)] as usize
    }

    #[inline]
    fn part(&self, hash: u64) -> &Part<E> {
        &self.tables[self.at(hash)]
    }

    #[inline]
    fn table_mut(&mut self, hash: u64) -> &mut SharedCells<E> {
        let at = self.at(hash);
        &mut self.tables[at].table
    }

    fn allocated_bytes(&self) -> usize {
        size_of::<Directory<E>>()
            + self.cell_bytes
            + self.tables.capacity() * size_of::<Part<E>>()
            + self.index.capacity() * size_of::<u32>()
    }

    fn insert(&mut self, hash: u64, entry: E) {
        let mut at = self.at(hash);
        while self.tables[at].table.len() >= TABLE_ENTRIES_MAX && self.tables[at].depth < DEPTH_MAX {
            self.split(at);
            at = self.at(hash);
        }
        self.change_table(at, |table| table.insert(entry));
        self.entries += 1;
        self.longest = self.longest.max(self.tables[at].table.len());
    }

    fn remove_at(&mut self, at: usize, bucket: usize) -> E {
        let removed = self.change_table(at, |table| table.remove_at(bucket));
        self.entries -= 1;
        self.removed += 1;
        if self.removed >= self.tables.len() {
            // One length for each removal, in effect.
            self.removed = 0;
            self.longest = self.tables.iter().map(|part| part.table.len()).max().unwrap_or(0);
        }
        removed
    }

    /// Changes one table and keeps the sum of their bytes.
    #[inline]
    fn change_table<R>(&mut self, at: usize, change: impl FnOnce(&mut SharedCells<E>) -> R) -> R {
        let table = &mut self.tables[at].table;
        let before = table.allocated_bytes();
        let result = change(table);
        self.cell_bytes = self.cell_bytes - before + table.allocated_bytes();
        result
    }

    /// A table chosen with the probability of its share of the entries. There must be an entry.
    fn random_part(&self, rng: &mut Rng) -> usize {
        for _ in 0..RANDOM_TRIES {
            let at = rng.below(self.tables.len() as u64) as usize;
            if rng.below(self.longest as u64) < self.tables[at].table.len() as u64 {
                return at;
            }
        }
        let mut skipped = rng.below(self.entries as u64) as usize;
        let is_it = |part: &Part<E>| match skipped.checked_sub(part.table.len()) {
            Some(rest) => {
                skipped = rest;
                false
            }
            None => true,
        };
        self.tables.iter().position(is_it).expect("the tables hold the entries")
    }

    /// Splits one table by its next hash bit. Needs the whole hash of its entries, so it reads their keys: at most
    /// `TABLE_ENTRIES_MAX` of them.
    fn split(&mut self, at: usize) {
        let Part { depth, pattern, .. } = self.tables[at];
        if depth == self.depth {
            self.index.extend_from_within(..);
            self.depth += 1;
        }
        let bit = 1u32 << depth;
        let whole = self.change_table(at, std::mem::take);
        // Their misses overlap.
        whole.view().iter().for_each(E::prefetch);
        let (low, high): (Vec<E>, Vec<E>) =
            whole.into_entries().into_iter().partition(|entry| hash_key(entry.key()) as u32 & bit == 0);
        let (low, high) = (SharedCells::from_ordered(low), SharedCells::from_ordered(high));
        self.cell_bytes += low.allocated_bytes() + high.allocated_bytes();
        self.tables[at] = Part { depth: depth + 1, pattern, table: low };
        self.tables.push(Part { depth: depth + 1, pattern: pattern | bit, table: high });
        self.enter(self.tables.len() - 1);
    }

    /// Enters a table into the index wherever its pattern leads to it.
    fn enter(&mut self, at: usize) {
        let Part { depth, pattern, .. } = self.tables[at];
        for entry in self.index[pattern as usize..].iter_mut().step_by(1 << depth) {
            *entry = at as u32;
        }
    }
}

/// The hash of a key, the same on every shard of the process. Seeded at random when the process starts, so that a client
/// cannot choose keys that collide.
#[inline]
pub fn hash_key(key: &[u8]) -> u64 {
    let mut hasher = SeedableRandomState::with_seed(0, SharedSeed::global_random()).build_hasher();
    hasher.write(key);
    hasher.finish()
}

#[cfg(test)]
mod tests;
