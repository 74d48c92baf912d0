//! Owns the entries of one slot: one small hash table, split by further hash bits once it outgrows its bound.
//! Never decides whether an entry is expired and never counts memory: the keyspace does.
//!
//! # Why a slot's table can grow without touching its entries
//!
//! A cell carries 16 bits of its key's hash (the *tag*, the hash's top bits). A table has at most some 2,000 entries, so those
//! bits alone give an entry's place in it (`cells`): growing a table reads the cells and never the entries behind them, and a
//! lookup can find its candidate, and prefetch it, before any key is compared.
//!
//! # Splitting
//!
//! A slot whose table passes `TABLE_ENTRIES_MAX` entries becomes a directory of tables, selected by the hash's low bits, as in
//! extendible hashing (Fagin et al. 1979): a full table splits alone, by one more bit, and the directory doubles only when
//! a table that already uses all its bits splits. Hash tags make such slots; so do hundreds of millions of keys.
//!
//! # The order that SCAN walks in
//!
//! Position of an entry = (low hash bits reversed, tag). A split divides a table's run of positions into two runs in the
//! same place, and growing changes nothing, so a scan that resumes at a position misses no entry that stayed.

use std::hash::{BuildHasher, Hasher};

use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;

use crate::base::limits::TABLE_ENTRIES_MAX;
use crate::store::cells::Cells;
use crate::store::object::Entry;

/// Low hash bits a directory may use; the rest of a full table's growth would be an overlong table instead.
const DEPTH_MAX: u32 = 18;
const TAG_BITS: u32 = 16;

/// The entries of one slot.
#[derive(Default)]
pub struct SlotTable {
    shape: Shape,
}

enum Shape {
    One(Cells),
    Many(Box<Directory>),
}

impl Default for Shape {
    fn default() -> Shape {
        Shape::One(Cells::default())
    }
}

/// Tables selected by the low `depth` bits of the hash.
struct Directory {
    depth: u32,
    /// For each value of the low bits, an index into `tables`.
    index: Vec<u32>,
    tables: Vec<Part>,
    entries: usize,
}

/// One table of a directory: it holds the hashes whose low `depth` bits equal `pattern`.
struct Part {
    depth: u32,
    pattern: u32,
    table: Cells,
}

/// The 16 hash bits that a cell carries.
#[inline]
pub fn tag_of(hash: u64) -> u16 {
    (hash >> 48) as u16
}

impl SlotTable {
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

    /// The entry of `key`.
    #[inline]
    pub fn find(&self, hash: u64, key: &[u8]) -> Option<&Entry> {
        let tag = tag_of(hash);
        self.table(hash).find(tag, |entry| entry.key() == key)
    }

    /// The entry of `key`, for changing it.
    #[inline]
    pub fn find_mut(&mut self, hash: u64, key: &[u8]) -> Option<&mut Entry> {
        let tag = tag_of(hash);
        self.table_mut(hash).find_mut(tag, |entry| entry.key() == key)
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
    pub fn at(&self, hash: u64, bucket: usize) -> &Entry {
        self.table(hash).get(bucket).expect("the slot has not changed")
    }

    /// The entry in a bucket that `locate` gave for this hash, for changing it.
    #[inline]
    pub fn at_mut(&mut self, hash: u64, bucket: usize) -> &mut Entry {
        self.table_mut(hash).get_mut(bucket).expect("the slot has not changed")
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
    pub fn insert(&mut self, hash: u64, entry: Entry) {
        debug_assert!(self.find(hash, entry.key()).is_none());
        match &mut self.shape {
            Shape::One(table) if table.len() < TABLE_ENTRIES_MAX => table.insert(entry),
            Shape::One(table) => {
                let part = Part { depth: 0, pattern: 0, table: std::mem::take(table) };
                let entries = part.table.len();
                let mut directory =
                    Box::new(Directory { depth: 0, index: vec![0], tables: vec![part], entries });
                directory.insert(hash, entry);
                self.shape = Shape::Many(directory);
            }
            Shape::Many(directory) => directory.insert(hash, entry),
        }
    }

    /// Removes the entry of `key`.
    pub fn remove(&mut self, hash: u64, key: &[u8]) -> Option<Entry> {
        let tag = tag_of(hash);
        let entry = self.table_mut(hash).remove(tag, |entry| entry.key() == key)?;
        if let Shape::Many(directory) = &mut self.shape {
            directory.entries -= 1;
            if directory.entries == 0 {
                self.shape = Shape::default();
            }
        }
        Some(entry)
    }

    /// Takes out one of the slot's tables, at most `TABLE_ENTRIES_MAX` entries, so that a large slot can be freed in steps. Only for a
    /// slot that is being thrown away: what is left cannot be searched.
    pub fn pop_part(&mut self) -> Option<Cells> {
        match &mut self.shape {
            Shape::One(table) if table.is_empty() => None,
            Shape::One(table) => Some(std::mem::take(table)),
            Shape::Many(directory) => match directory.tables.pop() {
                Some(part) => {
                    directory.entries -= part.table.len();
                    Some(part.table)
                }
                None => {
                    self.shape = Shape::default();
                    None
                }
            },
        }
    }

    /// Every entry, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.parts().flat_map(Cells::iter)
    }

    /// The entries that `iter` yields after the first `skipped`. Steps over whole tables, so a large slot is not walked.
    pub fn iter_from(&self, skipped: usize) -> impl Iterator<Item = &Entry> {
        let (mut parts, mut rest) = (self.parts().peekable(), skipped);
        while let Some(table) = parts.next_if(|table| table.len() <= rest) {
            rest -= table.len();
        }
        parts.flat_map(Cells::iter).skip(rest)
    }

    fn parts(&self) -> impl Iterator<Item = &Cells> {
        let (one, many) = match &self.shape {
            Shape::One(table) => (Some(table), None),
            Shape::Many(directory) => (None, Some(directory)),
        };
        let parts = many.into_iter().flat_map(|directory| directory.tables.iter().map(|part| &part.table));
        one.into_iter().chain(parts)
    }

    /// Visits entries in scan order from `position` until at least `wanted` were seen, and returns where to resume;
    /// `None` once the slot is done. Entries that share a position are visited together.
    pub fn scan<'a>(&'a self, position: u64, wanted: usize, mut visit: impl FnMut(&'a Entry)) -> Option<u64> {
        let mut seen = 0;
        let mut position = position;
        loop {
            let (table, first, span) = self.run(position)?;
            let from = if position > first { (position & ((1 << TAG_BITS) - 1)) as u16 } else { 0 };
            let mut last = None;
            for entry in table.iter_from(from) {
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

    /// Bytes of the tables and the directory, without the entries.
    pub fn allocated_bytes(&self) -> usize {
        match &self.shape {
            Shape::One(table) => table.allocated_bytes(),
            Shape::Many(directory) => {
                let parts: usize =
                    directory.tables.iter().map(|p| p.table.allocated_bytes() + size_of::<Part>()).sum();
                parts + directory.index.len() * size_of::<u32>() + size_of::<Directory>()
            }
        }
    }

    #[inline]
    fn table(&self, hash: u64) -> &Cells {
        match &self.shape {
            Shape::One(table) => table,
            Shape::Many(directory) => &directory.part(hash).table,
        }
    }

    #[inline]
    fn table_mut(&mut self, hash: u64) -> &mut Cells {
        match &mut self.shape {
            Shape::One(table) => table,
            Shape::Many(directory) => {
                let at = directory.at(hash);
                &mut directory.tables[at].table
            }
        }
    }

    /// The table that holds `position`, with the first position of its run and the run's length.
    fn run(&self, position: u64) -> Option<(&Cells, u64, u64)> {
        const WHOLE: u64 = 1 << (DEPTH_MAX + TAG_BITS);
        if position >= WHOLE {
            return None;
        }
        match &self.shape {
            Shape::One(table) => Some((table, 0, WHOLE)),
            Shape::Many(directory) => {
                let reversed = (position >> TAG_BITS) as u32;
                let part = directory.part(u64::from(reverse(reversed)));
                let span = WHOLE >> part.depth;
                Some((&part.table, u64::from(reverse(part.pattern)) << TAG_BITS, span))
            }
        }
    }
}

/// The low `DEPTH_MAX` bits in opposite order; its own inverse.
fn reverse(bits: u32) -> u32 {
    bits.reverse_bits() >> (u32::BITS - DEPTH_MAX)
}

impl Directory {
    #[inline]
    fn at(&self, hash: u64) -> usize {
        self.index[hash as usize & ((1 << self.depth) - 1)] as usize
    }

    #[inline]
    fn part(&self, hash: u64) -> &Part {
        &self.tables[self.at(hash)]
    }

    fn insert(&mut self, hash: u64, entry: Entry) {
        self.entries += 1;
        loop {
            let at = self.at(hash);
            let part = &mut self.tables[at];
            if part.table.len() < TABLE_ENTRIES_MAX || part.depth == DEPTH_MAX {
                part.table.insert(entry);
                return;
            }
            self.split(at);
        }
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
        let sibling = self.tables.len() as u32;
        let (low, high): (Vec<Entry>, Vec<Entry>) = std::mem::take(&mut self.tables[at].table)
            .into_entries()
            .partition(|entry| hash_key(entry.key()) as u32 & bit == 0);
        self.tables[at] = Part { depth: depth + 1, pattern, table: Cells::collect(low) };
        self.tables.push(Part { depth: depth + 1, pattern: pattern | bit, table: Cells::collect(high) });
        for slot in (0..self.index.len()).filter(|slot| *slot as u32 & (2 * bit - 1) == pattern | bit) {
            self.index[slot] = sibling;
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
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::store::object::{string, string_payload};

    fn entry(key: &[u8], value: &[u8]) -> Entry {
        Entry::new(tag_of(hash_key(key)), key, string_payload(value), None, 0)
    }

    fn put(table: &mut SlotTable, key: &[u8], value: &[u8]) {
        let hash = hash_key(key);
        match table.find_mut(hash, key) {
            Some(found) => found.replace(string_payload(value), None),
            None => table.insert(hash, entry(key, value)),
        }
    }

    fn scan_all(table: &SlotTable, wanted: usize, mut between: impl FnMut(usize)) -> Vec<Vec<u8>> {
        let (mut position, mut keys, mut calls) = (0, Vec::new(), 0);
        loop {
            let next = table.scan(position, wanted, |entry| keys.push(entry.key().to_vec()));
            between(calls);
            calls += 1;
            match next {
                Some(next) => {
                    assert!(next > position, "a scan must move on");
                    position = next;
                }
                None => return keys,
            }
        }
    }

    proptest! {
        #[test]
        fn behaves_as_a_map(steps in proptest::collection::vec((0u8..3, 0u16..400, any::<u8>()), 0..800)) {
            let mut table = SlotTable::default();
            let mut oracle = BTreeMap::new();
            for (what, key, value) in steps {
                let key = key.to_string().into_bytes();
                match what {
                    0 | 1 => {
                        put(&mut table, &key, &[value]);
                        oracle.insert(key, vec![value]);
                    }
                    _ => {
                        let removed = table.remove(hash_key(&key), &key);
                        prop_assert_eq!(removed.is_some(), oracle.remove(&key).is_some());
                    }
                }
                prop_assert_eq!(table.len(), oracle.len());
            }
            let found: BTreeMap<Vec<u8>, Vec<u8>> = table
                .iter()
                .map(|entry| (entry.key().to_vec(), string(entry).expect("a string").to_vec()))
                .collect();
            prop_assert_eq!(&found, &oracle);
            for wanted in [1, 10, 1000] {
                let mut scanned = scan_all(&table, wanted, |_| ());
                scanned.sort();
                prop_assert_eq!(scanned, oracle.keys().cloned().collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn splits_alone_and_finds_everything_afterwards() {
        let mut table = SlotTable::default();
        let keys: Vec<Vec<u8>> = (0..50_000).map(|i| format!("{{tag}}:{i}").into_bytes()).collect();
        for (i, key) in keys.iter().enumerate() {
            put(&mut table, key, i.to_string().as_bytes());
        }
        assert!(matches!(&table.shape, Shape::Many(directory) if directory.tables.len() > 30));
        assert_eq!(table.len(), keys.len());
        for (i, key) in keys.iter().enumerate() {
            let found = table.find(hash_key(key), key).and_then(string).expect("a string");
            assert_eq!(found.integer(), Some(i as i64));
        }
        let mut scanned = scan_all(&table, 100, |_| ());
        scanned.sort();
        let mut expected = keys.clone();
        expected.sort();
        assert_eq!(scanned, expected);
        let all: Vec<&[u8]> = table.iter().map(Entry::key).collect();
        for skipped in [0, 1, 1000, 25_000, 49_999, 50_000, 60_000] {
            let rest: Vec<&[u8]> = table.iter_from(skipped).map(Entry::key).collect();
            assert_eq!(rest, all[skipped.min(all.len())..]);
        }
        for key in &keys {
            assert!(table.remove(hash_key(key), key).is_some());
        }
        assert!(matches!(&table.shape, Shape::One(cells) if cells.allocated_bytes() == 0));
    }

    #[test]
    fn a_slot_is_given_up_in_parts() {
        for count in [0, 1, TABLE_ENTRIES_MAX, 10 * TABLE_ENTRIES_MAX] {
            let mut table = SlotTable::default();
            for i in 0..count {
                put(&mut table, i.to_string().as_bytes(), b"v");
            }
            let mut left = count;
            while let Some(part) = table.pop_part() {
                assert!(part.len() <= TABLE_ENTRIES_MAX, "{} entries at once", part.len());
                left -= part.len();
                assert_eq!(table.len(), left);
            }
            assert_eq!(left, 0);
            assert!(table.pop_part().is_none());
        }
    }

    #[test]
    fn a_scan_misses_nothing_while_the_slot_splits() {
        let mut table = SlotTable::default();
        let stay: Vec<Vec<u8>> = (0..3000).map(|i| format!("stay{i}").into_bytes()).collect();
        for key in &stay {
            put(&mut table, key, b"v");
        }
        let (mut position, mut seen, mut added) = (Some(0), std::collections::BTreeSet::new(), 0);
        while let Some(from) = position {
            position = table.scan(from, 50, |entry| {
                seen.insert(entry.key().to_vec());
            });
            for _ in 0..300 {
                put(&mut table, format!("new{added}").as_bytes(), b"v");
                added += 1;
            }
        }
        assert!(stay.iter().all(|key| seen.contains(key)));
    }
}
