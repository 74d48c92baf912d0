//! A small hash table of entries, ordered by the 16 hash bits that each cell carries. Reads and moves cells; touches the entry behind a
//! cell only to compare a key whose bits match.
//!
//! Linear probing where a tag's home is `tag * homes / 65536`, so homes follow the order of tags, and every run of cells is
//! kept sorted by tag (Robin Hood hashing: Celis 1986). That gives four things at once:
//! one cache line holds eight cells, so most lookups cost one miss before the entry's own; a search ends at the first larger tag,
//! found or not; walking the array is walking in tag order, which is what SCAN needs; and growing copies cells in order.
//!
//! Capacities are the allocator's size classes, four to a doubling, so a table that grew is about two thirds full or
//! more, and no allocation has an unused end. `docs/decisions.md` has the comparison with hashbrown.

use crate::base::rng::Rng;
use crate::store::object::Entry;
use crate::sys::cell::{Cell, prefetch};
use crate::sys::pair::Pair;

/// Smallest table, cells: one cache line.
const CELLS_MIN: usize = 8;
/// Homes are filled up to this part: 7 of 8.
const FULL: (usize, usize) = (7, 8);

/// Random cells that are tried before the entries are counted off. A quarter of them or more are full.
const RANDOM_TRIES: usize = 64;

/// What a table holds: one word that carries 16 bits of its key's hash, and owns the rest behind it. An absent one must be one
/// word too: the null pointer.
pub trait TableEntry {
    /// The 16 hash bits. Reads nothing but the word.
    fn tag(&self) -> u16;
    /// The key.
    fn key(&self) -> &[u8];
    /// Asks the processor to fetch what a look at the entry would read.
    fn prefetch(&self);
}

impl<T> TableEntry for Cell<T> {
    #[inline]
    fn tag(&self) -> u16 {
        Cell::tag(self)
    }

    #[inline]
    fn key(&self) -> &[u8] {
        Cell::key(self)
    }

    #[inline]
    fn prefetch(&self) {
        Cell::prefetch(self);
    }
}

impl TableEntry for Pair {
    #[inline]
    fn tag(&self) -> u16 {
        Pair::tag(self)
    }

    #[inline]
    fn key(&self) -> &[u8] {
        Pair::key(self)
    }

    #[inline]
    fn prefetch(&self) {
        Pair::prefetch(self);
    }
}

/// The table.
pub struct Cells<E = Entry> {
    /// The homes and, behind them, room for what the last runs push over the end.
    cells: Box<[Option<E>]>,
    homes: u32,
    len: u32,
}

impl<E> Default for Cells<E> {
    fn default() -> Cells<E> {
        const { assert!(size_of::<Option<E>>() == 8, "an empty cell is the null pointer") };
        Cells { cells: Box::default(), homes: 0, len: 0 }
    }
}

impl<E: TableEntry> Cells<E> {
    /// How many entries there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of the table, without the entries.
    pub fn allocated_bytes(&self) -> usize {
        size_of_val(&*self.cells)
    }

    /// The entry with this tag that `is_it` accepts.
    #[inline]
    pub fn find(&self, tag: u16, is_it: impl Fn(&E) -> bool) -> Option<&E> {
        self.position(tag, is_it).and_then(|at| self.cells[at].as_ref())
    }

    /// As `find`, for changing the entry. Its tag must stay.
    #[inline]
    pub fn find_mut(&mut self, tag: u16, is_it: impl Fn(&E) -> bool) -> Option<&mut E> {
        self.position(tag, is_it).and_then(|at| self.cells[at].as_mut())
    }

    /// The entry at a position.
    #[inline]
    pub fn get(&self, at: usize) -> Option<&E> {
        self.cells.get(at)?.as_ref()
    }

    /// The entry at a position, for changing it. Its tag must stay.
    #[inline]
    pub fn get_mut(&mut self, at: usize) -> Option<&mut E> {
        self.cells.get_mut(at)?.as_mut()
    }

    /// Asks the processor to fetch the line where a search for `tag` begins.
    #[inline]
    pub fn prefetch(&self, tag: u16) {
        prefetch(self.cells.as_ptr().wrapping_add(self.home(tag)));
    }

    /// Adds an entry; that no equal one is there is the caller's business.
    pub fn insert(&mut self, entry: E) {
        if (self.len as usize + 1) * FULL.1 > self.homes as usize * FULL.0 {
            self.resize(self.cells.len() + 1);
        }
        let mut entry = entry;
        while let Err(back) = self.try_insert(entry) {
            // A run reached the end of the array: rare, and one size more mends it.
            self.resize(self.cells.len() + 1);
            entry = back;
        }
        self.len += 1;
    }

    /// Removes the entry at a position. There must be one.
    pub fn remove_at(&mut self, at: usize) -> E {
        let removed = self.cells[at].take().expect("an entry stands at this position");
        let mut at = at;
        // Those that were pushed away from home move back by one.
        while let Some(Some(next)) = self.cells.get(at + 1) {
            if self.home(next.tag()) > at {
                break;
            }
            self.cells.swap(at, at + 1);
            at += 1;
        }
        self.len -= 1;
        if self.len == 0 {
            *self = Cells::default();
        } else if self.cells.len() > CELLS_MIN && self.len as usize * 4 < self.homes as usize {
            self.resize(self.len as usize * 2);
        }
        removed
    }

    /// All entries, in the order of their tags.
    pub fn iter(&self) -> impl Iterator<Item = &E> {
        self.cells.iter().flatten()
    }

    /// The entries whose tag is at least `from`, in the order of their tags.
    pub fn iter_from(&self, from: u16) -> impl Iterator<Item = &E> {
        self.cells[self.home(from)..].iter().flatten().filter(move |entry| entry.tag() >= from)
    }

    /// The position of an entry, any of them with the same probability.
    pub fn random(&self, rng: &mut Rng) -> Option<usize> {
        if self.is_empty() {
            return None;
        }
        for _ in 0..RANDOM_TRIES {
            let at = rng.below(self.cells.len() as u64) as usize;
            if self.cells[at].is_some() {
                return Some(at);
            }
        }
        let skipped = rng.below(self.len() as u64) as usize;
        (0..self.cells.len()).filter(|&at| self.cells[at].is_some()).nth(skipped)
    }

    /// A table with these entries, which come in the order of their tags.
    pub fn from_ordered(entries: Vec<E>) -> Cells<E> {
        debug_assert!(entries.is_sorted_by_key(E::tag));
        let len = entries.len();
        if len == 0 {
            return Cells::default();
        }
        let mut table = Cells { cells: entries.into_iter().map(Some).collect(), homes: 0, len: len as u32 };
        table.resize(len * FULL.1 / FULL.0 + 1);
        table
    }

    /// Takes all entries out.
    pub fn into_entries(self) -> impl Iterator<Item = E> {
        self.cells.into_iter().flatten()
    }

    #[inline]
    fn home(&self, tag: u16) -> usize {
        // 64 bits: equal tags alone can make a table of more than 65,536 homes.
        ((u64::from(tag) * u64::from(self.homes)) >> 16) as usize
    }

    /// Where the entry with this tag that `is_it` accepts stands, until the table changes.
    #[inline]
    pub fn position(&self, tag: u16, is_it: impl Fn(&E) -> bool) -> Option<usize> {
        let from = self.home(tag);
        for (i, cell) in self.cells[from..].iter().enumerate() {
            let entry = cell.as_ref()?;
            if entry.tag() == tag && is_it(entry) {
                return Some(from + i);
            }
            if entry.tag() > tag {
                return None;
            }
        }
        None
    }

    /// Puts an entry behind those of smaller and equal tags and moves the larger ones of its run up; gives it back if the run
    /// has no room.
    fn try_insert(&mut self, entry: E) -> Result<(), E> {
        let tag = entry.tag();
        let mut at = self.home(tag);
        while self.cells.get(at).is_some_and(|cell| cell.as_ref().is_some_and(|other| other.tag() <= tag)) {
            at += 1;
        }
        let Some(room) = self.cells.get(at..).and_then(|run| run.iter().position(Option::is_none)) else {
            return Err(entry);
        };
        self.cells[at..=at + room].rotate_right(1);
        self.cells[at] = Some(entry);
        Ok(())
    }

    /// Moves everything to a table of at least `cells_min` cells.
    fn resize(&mut self, cells_min: usize) {
        let entries = std::mem::take(&mut self.cells);
        let mut size = size_class(cells_min.max(CELLS_MIN));
        let mut entries: Vec<Option<E>> = entries.into_vec();
        loop {
            self.homes = homes(size);
            match self.place(&mut entries, size) {
                Some(cells) => {
                    self.cells = cells;
                    return;
                }
                None => {
                    // Equal tags at the end take many sizes to fit: do not walk the empty cells for each.
                    entries.retain(Option::is_some);
                    size = size_class(size + 1);
                }
            }
        }
    }

    /// The entries in a new array of `size` cells; nothing, with the entries untouched, if the last run would not fit.
    fn place(&self, entries: &mut [Option<E>], size: usize) -> Option<Box<[Option<E>]>> {
        let mut next = 0;
        for entry in entries.iter().flatten() {
            next = next.max(self.home(entry.tag())) + 1;
        }
        if next > size {
            return None;
        }
        let mut cells: Box<[Option<E>]> = (0..size).map(|_| None).collect();
        let mut next = 0;
        for entry in entries.iter_mut().filter_map(Option::take) {
            let at = next.max(self.home(entry.tag()));
            cells[at] = Some(entry);
            next = at + 1;
        }
        Some(cells)
    }
}

/// Homes in an array of `cells`: the rest, a 32nd and a few more, is for what the last runs push over the end.
fn homes(cells: usize) -> u32 {
    (cells - cells / 32 - if cells <= CELLS_MIN { 1 } else { 4 }) as u32
}

/// The smallest of the allocator's size classes, in cells, that holds `cells`: 8, 10, 12, 14, 16, 20, 24, 28, 32, ...
fn size_class(cells: usize) -> usize {
    let step = (cells.next_power_of_two() / 8).max(2);
    cells.next_multiple_of(step)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::base::rng::Rng;
    use crate::store::object::string_payload;

    fn entry(tag: u16, key: &[u8]) -> Entry {
        Entry::new(tag, key, string_payload(b"value"), None, 0)
    }

    fn remove(table: &mut Cells, tag: u16, is_it: impl Fn(&Entry) -> bool) -> Option<Entry> {
        table.position(tag, is_it).map(|at| table.remove_at(at))
    }

    #[test]
    fn size_classes_are_four_to_a_doubling() {
        let mut sizes = vec![8];
        while sizes.len() < 14 {
            sizes.push(size_class(sizes[sizes.len() - 1] + 1));
        }
        assert_eq!(sizes, [8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80]);
        assert!(sizes.iter().all(|&size| (homes(size) as usize) < size));
    }

    proptest! {
        /// Few distinct tags make long runs; the ends of the range press on the ends of the array.
        #[test]
        fn behaves_as_a_map_whatever_the_tags(
            steps in proptest::collection::vec((0u8..4, prop_oneof![Just(0u16), Just(u16::MAX), 0u16..8, any::<u16>()], 0u8..6), 0..600),
        ) {
            let mut table: Cells = Cells::default();
            let mut oracle: BTreeMap<(u16, Vec<u8>), ()> = BTreeMap::new();
            for (what, tag, key) in steps {
                let key = vec![key];
                let is_there = table.find(tag, |e| e.key() == key).is_some();
                prop_assert_eq!(is_there, oracle.contains_key(&(tag, key.clone())));
                if what < 3 {
                    if !is_there {
                        table.insert(entry(tag, &key));
                        oracle.insert((tag, key), ());
                    }
                } else {
                    prop_assert_eq!(remove(&mut table, tag, |e| e.key() == key).is_some(), is_there);
                    oracle.remove(&(tag, key));
                }
                prop_assert_eq!(table.len(), oracle.len());
            }
            let tags: Vec<u16> = table.iter().map(Entry::tag).collect();
            prop_assert!(tags.is_sorted());
            prop_assert_eq!(tags.len(), oracle.len());
            for from in [0, 3, 1000, u16::MAX] {
                let expected = oracle.keys().filter(|(tag, _)| *tag >= from).count();
                prop_assert_eq!(table.iter_from(from).count(), expected);
            }
            for (tag, key) in oracle.keys() {
                prop_assert!(table.find(*tag, |e| e.key() == key.as_slice()).is_some());
            }
        }
    }

    /// Bug 5: a run of equal tags at the end asks for a table whose homes overflowed 32 bits. Longer than a slot's table gets, so
    /// that both ends and the sizes behind the last ordinary one are reached.
    #[test]
    fn equal_tags_always_find_room() {
        const EQUAL: u32 = 2100;
        const OTHERS: [u16; 8] = [0, 0, 1, 2, 40_000, u16::MAX - 1, u16::MAX, u16::MAX];
        for tag in [0, 1, 1 << 15, u16::MAX - 1, u16::MAX] {
            let mut table: Cells = Cells::default();
            let others = || OTHERS.into_iter().zip(EQUAL..);
            for (tag, i) in others().chain((0..EQUAL).map(|i| (tag, i))) {
                table.insert(entry(tag, &i.to_le_bytes()));
            }
            assert!(table.iter().map(Entry::tag).is_sorted());
            let is = |i: u32| move |entry: &Entry| entry.key() == i.to_le_bytes();
            let removed = || others().chain((0..EQUAL).step_by(100).map(|i| (tag, i)));
            for (tag, i) in removed() {
                assert!(remove(&mut table, tag, is(i)).is_some());
                assert!(table.find(tag, is(i)).is_none());
            }
            assert_eq!(table.len(), EQUAL as usize + OTHERS.len() - removed().count());
            assert_eq!(table.iter().count(), table.len());
            assert!((0..EQUAL).filter(|i| i % 100 == 1).all(|i| table.find(tag, is(i)).is_some()));
        }
    }

    #[test]
    fn stays_compact_while_it_grows_and_shrinks() {
        let mut table: Cells = Cells::default();
        let tag = |i: u32| Rng::new(u64::from(i)).next_u64() as u16;
        for i in 0..1792u32 {
            table.insert(entry(tag(i), &i.to_le_bytes()));
            if i >= 64 {
                let (bytes, entries) = (table.allocated_bytes(), i as usize + 1);
                assert!(bytes <= entries * 13, "{bytes} bytes for {entries} entries");
            }
        }
        for i in 0..1792u32 {
            assert!(remove(&mut table, tag(i), |e| e.key() == i.to_le_bytes()).is_some());
            let left = 1791 - i as usize;
            let bytes = table.allocated_bytes();
            assert!(bytes <= (left * 40).max(128), "{bytes} bytes for {left} entries left");
        }
        assert_eq!(table.allocated_bytes(), 0);
    }

    #[test]
    fn a_random_entry_is_any_of_them() {
        let mut rng = Rng::new(3);
        let mut table: Cells<Pair> = Cells::default();
        assert_eq!(table.random(&mut rng), None);
        // A few equal tags, the rest far apart: runs and gaps.
        for i in 0..50u16 {
            table.insert(Pair::new(if i < 10 { 7 } else { i * 1300 }, &i.to_le_bytes(), b"", None));
        }
        let mut found = [0u32; 50];
        for _ in 0..50_000 {
            let at = table.random(&mut rng).expect("it has entries");
            let key = table.get(at).expect("an entry stands there").key();
            found[usize::from(u16::from_le_bytes(key.try_into().expect("two bytes")))] += 1;
        }
        assert!(found.iter().all(|times| (800..1200).contains(times)), "{found:?}");
    }

    #[test]
    fn is_made_of_what_another_held() {
        for len in [0, 1, 2, 100, 5000] {
            let mut table: Cells<Pair> = Cells::default();
            let tag = |i: u32| Rng::new(u64::from(i)).next_u64() as u16;
            for i in 0..len {
                table.insert(Pair::new(tag(i), &i.to_le_bytes(), b"", None));
            }
            let mut table = Cells::from_ordered(table.into_entries().collect());
            assert_eq!(table.len(), len as usize);
            for i in 0..len {
                let at = table.position(tag(i), |entry| entry.key() == i.to_le_bytes());
                assert_eq!(table.remove_at(at.expect("it is there")).key(), i.to_le_bytes());
            }
            assert_eq!(table.allocated_bytes(), 0);
        }
    }
}
