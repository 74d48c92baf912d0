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

use std::marker::PhantomData;
use std::ops::Deref;

use crate::base::rng::Rng;
use crate::store::object::Entry;
use crate::sys::cell::{Cell, prefetch};
use crate::sys::pair::Pair;
use crate::sys::shared::{SHARED_HEADER_BYTES, SharedSlice};

/// Smallest table, cells: one cache line.
const CELLS_MIN: usize = 8;
/// Homes are filled up to this part: 7 of 8.
const FULL: (usize, usize) = (7, 8);

/// Random cells that are tried before the entries are counted off. A quarter of them or more are full.
const RANDOM_TRIES: usize = 64;

/// What a table holds: one word that carries 16 bits of its key's hash, and owns the rest behind it. An absent one must be one
/// word too: the null pointer.
pub trait TableEntry: Clone {
    /// A full table grows by at least one part in so many of its cells, and always by a size.
    const GROWTH_PART: usize = usize::MAX;

    /// The 16 hash bits. Reads nothing but the word.
    fn tag(&self) -> u16;
    /// Asks the processor to fetch what a look at the entry would read.
    fn prefetch(&self);
}

/// One that has its key behind its word.
pub trait Keyed: TableEntry {
    /// The key.
    fn key(&self) -> &[u8];
}

impl<T: Clone> TableEntry for Cell<T> {
    #[inline]
    fn tag(&self) -> u16 {
        Cell::tag(self)
    }

    #[inline]
    fn prefetch(&self) {
        Cell::prefetch(self);
    }
}

impl<T: Clone> Keyed for Cell<T> {
    #[inline]
    fn key(&self) -> &[u8] {
        Cell::key(self)
    }
}

impl TableEntry for Pair {
    #[inline]
    fn tag(&self) -> u16 {
        Pair::tag(self)
    }

    #[inline]
    fn prefetch(&self) {
        Pair::prefetch(self);
    }
}

impl Keyed for Pair {
    #[inline]
    fn key(&self) -> &[u8] {
        Pair::key(self)
    }
}

/// Where the cells of a table are.
pub trait Store<E>: Default + Deref<Target = [Option<E>]> {
    /// Cells that the allocation has room for besides those of the table.
    const HIDDEN_CELLS: usize;

    /// So many empty cells.
    fn of_empty(cells: usize) -> Self;
    /// The cells, for changing them.
    fn as_mut(&mut self) -> &mut [Option<E>];
    /// Whether another table has the same cells.
    fn is_shared(&self) -> bool;
    /// Bytes of the allocation.
    fn allocated_bytes(&self) -> usize;
}

/// One table alone has them.
impl<E> Store<E> for Box<[Option<E>]> {
    const HIDDEN_CELLS: usize = 0;

    fn of_empty(cells: usize) -> Self {
        (0..cells).map(|_| None).collect()
    }

    #[inline]
    fn as_mut(&mut self) -> &mut [Option<E>] {
        self
    }

    fn is_shared(&self) -> bool {
        false
    }

    #[inline]
    fn allocated_bytes(&self) -> usize {
        size_of_val(&**self)
    }
}

/// Copies of a table have the same ones, until one of them is changed.
impl<E: TableEntry> Store<E> for SharedSlice<Option<E>> {
    const HIDDEN_CELLS: usize = SHARED_HEADER_BYTES / size_of::<u64>();

    fn of_empty(cells: usize) -> Self {
        SharedSlice::from_fn(cells, |_| None)
    }

    #[inline]
    fn as_mut(&mut self) -> &mut [Option<E>] {
        self.make_mut_after(prefetch_all)
    }

    fn is_shared(&self) -> bool {
        SharedSlice::is_shared(self)
    }

    #[inline]
    fn allocated_bytes(&self) -> usize {
        SharedSlice::allocated_bytes(self)
    }
}

#[cold]
fn prefetch_all<E: TableEntry>(cells: &[Option<E>]) {
    // All are about to be copied: their misses overlap.
    cells.iter().flatten().for_each(E::prefetch);
}

/// The table.
#[derive(Clone)]
pub struct Cells<E = Entry, S = Box<[Option<E>]>> {
    /// The homes and, behind them, room for what the last runs push over the end.
    cells: S,
    homes: u32,
    len: u32,
    holds: PhantomData<E>,
}

impl<E: TableEntry> SharedCells<E> {
    /// Asks the processor for what a copy of the table changes.
    #[inline]
    pub fn prefetch_owners(&self) {
        self.cells.prefetch();
    }
}

/// A table that is cheap to copy: the copy shares the cells and what is behind them, until either is changed.
pub type SharedCells<E> = Cells<E, SharedSlice<Option<E>>>;

impl<E, S: Default> Default for Cells<E, S> {
    fn default() -> Cells<E, S> {
        const { assert!(size_of::<Option<E>>() == 8, "an empty cell is the null pointer") };
        Cells { cells: S::default(), homes: 0, len: 0, holds: PhantomData }
    }
}

/// A table, borrowed: all that reads need, wherever the cells are.
pub struct CellsRef<'a, E = Entry> {
    cells: &'a [Option<E>],
    homes: u32,
    len: u32,
}

impl<E> Clone for CellsRef<'_, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for CellsRef<'_, E> {}

impl<'a, E: TableEntry> CellsRef<'a, E> {
    /// How many entries there are.
    #[inline]
    pub fn len(self) -> usize {
        self.len as usize
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.len == 0
    }

    /// The entry with this tag that `is_it` accepts.
    #[inline]
    pub fn find(self, tag: u16, is_it: impl Fn(&E) -> bool) -> Option<&'a E> {
        self.position(tag, is_it).and_then(|at| self.cells[at].as_ref())
    }

    /// The entry at a position.
    #[inline]
    pub fn get(self, at: usize) -> Option<&'a E> {
        self.cells.get(at)?.as_ref()
    }

    /// Where the entry with this tag that `is_it` accepts stands, until the table changes.
    #[inline]
    pub fn position(self, tag: u16, is_it: impl Fn(&E) -> bool) -> Option<usize> {
        let from = home(tag, self.homes);
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

    /// Asks the processor to fetch the line where a search for `tag` begins.
    #[inline]
    pub fn prefetch(self, tag: u16) {
        prefetch(self.cells.as_ptr().wrapping_add(home(tag, self.homes)));
    }

    /// All entries, in the order of their tags.
    pub fn iter(self) -> impl Iterator<Item = &'a E> {
        self.cells.iter().flatten()
    }

    /// The entries whose tag is at least `from`, in the order of their tags.
    pub fn iter_from(self, from: u16) -> impl Iterator<Item = &'a E> {
        self.cells[home(from, self.homes)..].iter().flatten().filter(move |entry| entry.tag() >= from)
    }

    /// The position of an entry, any of them with the same probability.
    pub fn random(self, rng: &mut Rng) -> Option<usize> {
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
}

impl<E: TableEntry, S: Store<E>> Cells<E, S> {
    /// The table to read.
    #[inline]
    pub fn view(&self) -> CellsRef<'_, E> {
        CellsRef { cells: &self.cells, homes: self.homes, len: self.len }
    }

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

    /// Whether another table has the same cells.
    pub fn is_shared(&self) -> bool {
        self.cells.is_shared()
    }

    /// Bytes of the table, without the entries.
    #[inline]
    pub fn allocated_bytes(&self) -> usize {
        self.cells.allocated_bytes()
    }

    /// As `CellsRef::find`, for changing the entry. Its tag must stay.
    #[inline]
    pub fn find_mut(&mut self, tag: u16, is_it: impl Fn(&E) -> bool) -> Option<&mut E> {
        self.view().position(tag, is_it).and_then(|at| self.cells.as_mut()[at].as_mut())
    }

    /// The entry at a position, for changing it. Its tag must stay.
    #[inline]
    pub fn get_mut(&mut self, at: usize) -> Option<&mut E> {
        self.cells.as_mut().get_mut(at)?.as_mut()
    }

    /// Adds an entry; that no equal one is there is the caller's business.
    pub fn insert(&mut self, entry: E) {
        if (self.len as usize + 1) * FULL.1 > self.homes as usize * FULL.0 {
            self.resize(self.cells.len() + self.cells.len() / E::GROWTH_PART + 1);
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
        let (homes, cells) = (self.homes, self.cells.as_mut());
        let removed = cells[at].take().expect("an entry stands at this position");
        let mut at = at;
        // Those that were pushed away from home move back by one.
        while let Some(Some(next)) = cells.get(at + 1) {
            if home(next.tag(), homes) > at {
                break;
            }
            cells.swap(at, at + 1);
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

    /// A table with these entries, which come in the order of their tags.
    pub fn from_ordered(entries: Vec<E>) -> Cells<E, S> {
        debug_assert!(entries.is_sorted_by_key(E::tag));
        let len = entries.len();
        if len == 0 {
            return Cells::default();
        }
        let mut entries: Vec<Option<E>> = entries.into_iter().map(Some).collect();
        let mut table = Cells { len: len as u32, ..Cells::default() };
        table.fill(&mut entries, len.max(len * FULL.1 / FULL.0 + 1));
        table
    }

    /// All entries, for changing them. Their tags must stay.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut E> {
        self.cells.as_mut().iter_mut().flatten()
    }

    /// Takes all entries out.
    pub fn into_entries(mut self) -> Vec<E> {
        self.cells.as_mut().iter_mut().filter_map(Option::take).collect()
    }

    /// Puts an entry behind those of smaller and equal tags and moves the larger ones of its run up; gives it back if the run
    /// has no room.
    fn try_insert(&mut self, entry: E) -> Result<(), E> {
        let (tag, homes) = (entry.tag(), self.homes);
        let cells = self.cells.as_mut();
        let mut at = home(tag, homes);
        while cells.get(at).is_some_and(|cell| cell.as_ref().is_some_and(|other| other.tag() <= tag)) {
            at += 1;
        }
        let Some(room) = cells.get(at..).and_then(|run| run.iter().position(Option::is_none)) else {
            return Err(entry);
        };
        cells[at..=at + room].rotate_right(1);
        cells[at] = Some(entry);
        Ok(())
    }

    /// Moves everything to a table of at least `cells_min` cells.
    #[inline(never)]
    fn resize(&mut self, cells_min: usize) {
        let mut old = std::mem::take(&mut self.cells);
        self.fill(old.as_mut(), cells_min);
    }

    /// Moves these entries, which stand in the order of their tags, to a new array of at least `cells_min` cells.
    fn fill(&mut self, entries: &mut [Option<E>], cells_min: usize) {
        let hidden = S::HIDDEN_CELLS;
        let mut size = size_class(cells_min.max(CELLS_MIN - hidden) + hidden);
        if self.place(entries, size - hidden) {
            return;
        }
        // Equal tags at the end take many sizes to fit: do not walk the empty cells for each.
        let mut entries: Vec<Option<E>> = entries.iter_mut().filter_map(Option::take).map(Some).collect();
        loop {
            size = size_class(size + 1);
            if self.place(&mut entries, size - hidden) {
                return;
            }
        }
    }

    /// Moves the entries to a new array of `size` cells, if the last run fits; whether it does.
    fn place(&mut self, entries: &mut [Option<E>], size: usize) -> bool {
        let homes = homes(size);
        let mut new = S::of_empty(size);
        let cells = new.as_mut();
        let mut next = 0;
        for place in entries.iter_mut() {
            let Some(entry) = place else { continue };
            let at = next.max(home(entry.tag(), homes));
            let Some(cell) = cells.get_mut(at) else {
                // All goes back to where it came from, or before it.
                let moved = cells.iter_mut().filter_map(Option::take).map(Some);
                entries.iter_mut().zip(moved).for_each(|(place, entry)| *place = entry);
                return false;
            };
            *cell = place.take();
            next = at + 1;
        }
        (self.cells, self.homes) = (new, homes);
        true
    }
}

/// Where the search for a tag begins in an array with so many homes.
#[inline]
fn home(tag: u16, homes: u32) -> usize {
    // 64 bits: equal tags alone can make a table of more than 65,536 homes.
    ((u64::from(tag) * u64::from(homes)) >> 16) as usize
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
        table.view().position(tag, is_it).map(|at| table.remove_at(at))
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
                let is_there = table.view().find(tag, |e| e.key() == key).is_some();
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
            let tags: Vec<u16> = table.view().iter().map(Entry::tag).collect();
            prop_assert!(tags.is_sorted());
            prop_assert_eq!(tags.len(), oracle.len());
            for from in [0, 3, 1000, u16::MAX] {
                let expected = oracle.keys().filter(|(tag, _)| *tag >= from).count();
                prop_assert_eq!(table.view().iter_from(from).count(), expected);
            }
            for (tag, key) in oracle.keys() {
                prop_assert!(table.view().find(*tag, |e| e.key() == key.as_slice()).is_some());
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
            assert!(table.view().iter().map(Entry::tag).is_sorted());
            let is = |i: u32| move |entry: &Entry| entry.key() == i.to_le_bytes();
            let removed = || others().chain((0..EQUAL).step_by(100).map(|i| (tag, i)));
            for (tag, i) in removed() {
                assert!(remove(&mut table, tag, is(i)).is_some());
                assert!(table.view().find(tag, is(i)).is_none());
            }
            assert_eq!(table.len(), EQUAL as usize + OTHERS.len() - removed().count());
            assert_eq!(table.view().iter().count(), table.len());
            assert!((0..EQUAL).filter(|i| i % 100 == 1).all(|i| table.view().find(tag, is(i)).is_some()));
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
        assert_eq!(table.view().random(&mut rng), None);
        // A few equal tags, the rest far apart: runs and gaps.
        for i in 0..50u16 {
            table.insert(Pair::new(if i < 10 { 7 } else { i * 1300 }, &i.to_le_bytes(), b"", None));
        }
        let mut found = [0u32; 50];
        for _ in 0..50_000 {
            let at = table.view().random(&mut rng).expect("it has entries");
            let key = table.view().get(at).expect("an entry stands there").key();
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
            let mut table = Cells::<Pair>::from_ordered(table.into_entries());
            assert_eq!(table.len(), len as usize);
            for i in 0..len {
                let at = table.view().position(tag(i), |entry| entry.key() == i.to_le_bytes());
                assert_eq!(table.remove_at(at.expect("it is there")).key(), i.to_le_bytes());
            }
            assert_eq!(table.allocated_bytes(), 0);
        }
    }
}
