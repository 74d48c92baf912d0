//! Finds a member's id by its bytes. Holds ids only: the caller says what an id's hash is and whether it is the one looked for.
//!
//! Linear hashing (Litwin 1980): small tables that split one at a time, in turn, as the whole grows, and merge in the opposite order as
//! it shrinks. So the longest pause is the rehash of one table of some `2 * PART_IDS` ids, where one large table
//! would rehash millions at once. The tables are those of large hashes and sets (`store/cells`), which place by the hash's top 16 bits and
//! compare them; bits far below those choose the table. A copy of the index shares them.

use std::num::NonZeroU64;

use crate::store::cells::{SharedCells, TableEntry};
use crate::store::ordered::{MEMBERS_MAX, PART_IDS};
use crate::store::table::tag_of;
use crate::sys::shared::clone_ahead;

/// The hash bits from this one on choose the table.
const PART_SHIFT: u32 = 20;
const TAG_SHIFT: u32 = 48;

const _: () =
    assert!(MEMBERS_MAX / PART_IDS < 1 << (TAG_SHIFT - PART_SHIFT), "bits that choose are not compared");

/// An id with the top 16 bits of its member's hash.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Tagged(NonZeroU64);

impl Tagged {
    #[inline]
    fn new(hash: u64, id: u32) -> Tagged {
        let word = u64::from(tag_of(hash)) << TAG_SHIFT | u64::from(id);
        Tagged(NonZeroU64::new(word).expect("ids begin with 1"))
    }

    #[inline]
    fn id(self) -> u32 {
        self.0.get() as u32
    }
}

impl TableEntry for Tagged {
    /// Where the word is all there is, moving it is what costs, and a table that is less full is searched faster.
    const GROWTH_PART: usize = 3;

    #[inline]
    fn tag(&self) -> u16 {
        (self.0.get() >> TAG_SHIFT) as u16
    }

    /// There is nothing behind it.
    fn prefetch(&self) {}
}

type Part = SharedCells<Tagged>;

/// The index.
#[derive(Default)]
pub struct Index {
    /// The tables; those below the largest power of two have, in part, been split into those above.
    parts: Vec<Part>,
    len: usize,
    bytes: usize,
}

impl Clone for Index {
    fn clone(&self) -> Index {
        Index { parts: clone_ahead(self.parts.iter(), Part::prefetch_owners).collect(), ..*self }
    }
}

impl Index {
    /// The id with this hash that `is_it` accepts.
    #[inline]
    pub fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let part = self.parts.get(self.part_of(hash))?;
        part.view().find(tag_of(hash), |tagged| is_it(tagged.id())).map(|tagged| tagged.id())
    }

    /// Adds an id that is not there yet.
    pub fn insert(&mut self, hash: u64, id: u32, hash_of: impl Fn(u32) -> u64) {
        if self.parts.is_empty() {
            self.parts.push(Part::default());
        }
        self.change_part(hash, |part| part.insert(Tagged::new(hash, id)));
        self.len += 1;
        if self.len > self.parts.len() * PART_IDS {
            self.split(hash_of);
        }
    }

    /// Removes an id.
    pub fn remove(&mut self, hash: u64, id: u32) {
        self.change_part(hash, |part| {
            let at = part.view().position(tag_of(hash), |tagged| tagged.id() == id);
            part.remove_at(at.expect("every member is indexed"));
        });
        self.len -= 1;
        if self.len == 0 {
            *self = Index::default();
        } else if self.parts.len() > 1 && self.len < self.parts.len() * PART_IDS / 2 {
            self.merge();
        }
    }

    /// The member `from` is called `to` from now on.
    pub fn rename(&mut self, hash: u64, (from, to): (u32, u32)) {
        self.change_part(hash, |part| {
            let found = part.find_mut(tag_of(hash), |tagged| tagged.id() == from);
            *found.expect("every member is indexed") = Tagged::new(hash, to);
        });
    }

    /// Bytes of the tables.
    pub fn allocated_bytes(&self) -> usize {
        self.bytes + self.parts.capacity() * size_of::<Part>()
    }

    /// Frees one table, and says so. Nothing can be looked up from then on.
    pub fn free_table(&mut self) -> Option<usize> {
        self.parts.pop().map(|_| 1)
    }

    #[inline]
    fn part_of(&self, hash: u64) -> usize {
        let bits = (hash >> PART_SHIFT) as usize;
        let at = bits & (self.parts.len().next_power_of_two() - 1);
        if at < self.parts.len() { at } else { at - self.parts.len().next_power_of_two() / 2 }
    }

    /// Changes the table that a hash belongs to, and keeps the sum of their bytes.
    #[inline]
    fn change_part(&mut self, hash: u64, change: impl FnOnce(&mut Part)) {
        let at = self.part_of(hash);
        let part = &mut self.parts[at];
        let before = part.allocated_bytes();
        change(part);
        self.bytes = self.bytes - before + part.allocated_bytes();
    }

    /// Divides the next table in turn between itself and a new one at the end.
    fn split(&mut self, hash_of: impl Fn(u32) -> u64) {
        let count = self.parts.len();
        let at = count - (count + 1).next_power_of_two() / 2;
        let old = std::mem::take(&mut self.parts[at]);
        self.bytes -= old.allocated_bytes();
        self.parts.push(Part::default());
        let is_lower = |tagged: &Tagged| self.part_of(hash_of(tagged.id())) == at;
        let (lower, upper): (Vec<Tagged>, Vec<Tagged>) = old.into_entries().into_iter().partition(is_lower);
        for (at, entries) in [(at, lower), (count, upper)] {
            self.parts[at] = Part::from_ordered(entries);
            self.bytes += self.parts[at].allocated_bytes();
        }
    }

    /// Puts the last table back into the one it was split from.
    fn merge(&mut self) {
        let last = self.parts.pop().expect("there is more than one");
        let at = self.parts.len() - (self.parts.len() + 1).next_power_of_two() / 2;
        let old = std::mem::take(&mut self.parts[at]);
        self.bytes -= last.allocated_bytes() + old.allocated_bytes();
        let mut entries = old.into_entries();
        entries.extend(last.into_entries());
        entries.sort_by_key(Tagged::tag);
        self.parts[at] = Part::from_ordered(entries);
        self.bytes += self.parts[at].allocated_bytes();
        if self.parts.len() * 4 < self.parts.capacity() {
            self.parts.shrink_to(self.parts.len() * 2);
        }
    }

    /// Panics unless every id is in its table and the sums are right.
    #[cfg(test)]
    pub fn check(&self, hash_of: impl Fn(u32) -> u64) {
        for (at, part) in self.parts.iter().enumerate() {
            let hashes = || part.view().iter().map(|tagged| (hash_of(tagged.id()), *tagged));
            assert!(hashes().all(|(hash, tagged)| self.part_of(hash) == at && tagged.tag() == tag_of(hash)));
            assert!(hashes().all(|(hash, tagged)| self.find(hash, |id| id == tagged.id()).is_some()));
        }
        assert_eq!(self.len, self.parts.iter().map(Part::len).sum::<usize>());
        assert_eq!(self.bytes, self.parts.iter().map(Part::allocated_bytes).sum::<usize>());
        assert!(self.len <= self.parts.len() * PART_IDS);
    }
}
