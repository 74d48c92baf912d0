//! Finds a member's id by its bytes. Holds ids only: the caller says what an id's hash is and whether it is the one looked for.
//!
//! Linear hashing (Litwin 1980): small tables that split one at a time, in turn, as the whole grows, and merge in the opposite order as
//! it shrinks. So the longest pause is the rehash of one table of some `2 * PART_IDS` ids, where one large table
//! would rehash millions at once. The tables are hashbrown's, which place by the hash's low bits and compare its top
//! seven; bits between those choose the table.

use hashbrown::HashTable;

use crate::store::ordered::{MEMBERS_MAX, PART_IDS};

/// The hash bits below this one place an id inside its table.
const PART_SHIFT: u32 = 20;

const _: () = assert!(PART_IDS * 4 < 1 << PART_SHIFT, "a table must not run into the bits that chose it");
const _: () = assert!(MEMBERS_MAX / PART_IDS < 1 << (57 - PART_SHIFT), "nor into those it compares");

type Part = HashTable<u32>;

/// The index.
#[derive(Clone, Default)]
pub struct Index {
    /// The tables; those below the largest power of two have, in part, been split into those above.
    parts: Vec<Part>,
    len: usize,
    bytes: usize,
}

impl Index {
    /// The id with this hash that `is_it` accepts.
    #[inline]
    pub fn find(&self, hash: u64, is_it: impl FnMut(&u32) -> bool) -> Option<u32> {
        self.parts.get(self.part_of(hash))?.find(hash, is_it).copied()
    }

    /// Adds an id that is not there yet.
    pub fn insert(&mut self, hash: u64, id: u32, hash_of: impl Fn(u32) -> u64) {
        if self.parts.is_empty() {
            self.parts.push(Part::new());
        }
        let at = self.part_of(hash);
        let before = self.parts[at].allocation_size();
        self.parts[at].insert_unique(hash, id, |&id| hash_of(id));
        self.bytes += self.parts[at].allocation_size() - before;
        self.len += 1;
        if self.len > self.parts.len() * PART_IDS {
            self.split(hash_of);
        }
    }

    /// Removes an id.
    pub fn remove(&mut self, hash: u64, id: u32, hash_of: impl Fn(u32) -> u64) {
        let at = self.part_of(hash);
        let found = self.parts[at].find_entry(hash, |&other| other == id);
        found.expect("every member is indexed").remove();
        self.len -= 1;
        if self.len == 0 {
            *self = Index::default();
        } else if self.parts.len() > 1 && self.len < self.parts.len() * PART_IDS / 2 {
            self.merge(hash_of);
        } else if self.parts[at].len() * 4 < self.parts[at].capacity() {
            let part = &mut self.parts[at];
            let before = part.allocation_size();
            part.shrink_to(part.len() * 2, |&id| hash_of(id));
            self.bytes = self.bytes + part.allocation_size() - before;
        }
    }

    /// The member `from` is called `to` from now on.
    pub fn rename(&mut self, hash: u64, (from, to): (u32, u32)) {
        let at = self.part_of(hash);
        *self.parts[at].find_mut(hash, |&id| id == from).expect("every member is indexed") = to;
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

    /// Divides the next table in turn between itself and a new one at the end.
    fn split(&mut self, hash_of: impl Fn(u32) -> u64) {
        let count = self.parts.len();
        let at = count - (count + 1).next_power_of_two() / 2;
        let old = std::mem::take(&mut self.parts[at]);
        self.bytes -= old.allocation_size();
        self.parts.push(Part::new());
        let moved: Vec<(u64, u32)> = old.into_iter().map(|id| (hash_of(id), id)).collect();
        let upper = moved.iter().filter(|(hash, _)| self.part_of(*hash) == count).count();
        self.parts[at] = Part::with_capacity(moved.len() - upper);
        self.parts[count] = Part::with_capacity(upper);
        for (hash, id) in moved {
            let to = self.part_of(hash);
            self.parts[to].insert_unique(hash, id, |&id| hash_of(id));
        }
        self.bytes += self.parts[at].allocation_size() + self.parts[count].allocation_size();
    }

    /// Puts the last table back into the one it was split from.
    fn merge(&mut self, hash_of: impl Fn(u32) -> u64) {
        let last = self.parts.pop().expect("there is more than one");
        let at = self.parts.len() - (self.parts.len() + 1).next_power_of_two() / 2;
        let old = std::mem::take(&mut self.parts[at]);
        self.bytes -= last.allocation_size() + old.allocation_size();
        let mut part = Part::with_capacity(last.len() + old.len());
        for id in last.into_iter().chain(old) {
            part.insert_unique(hash_of(id), id, |&id| hash_of(id));
        }
        self.bytes += part.allocation_size();
        self.parts[at] = part;
        if self.parts.len() * 4 < self.parts.capacity() {
            self.parts.shrink_to(self.parts.len() * 2);
        }
    }

    /// Panics unless every id is in its table and the sums are right.
    #[cfg(test)]
    pub fn check(&self, hash_of: impl Fn(u32) -> u64) {
        for (at, part) in self.parts.iter().enumerate() {
            assert!(part.iter().all(|id| self.part_of(hash_of(*id)) == at));
            assert!(part.iter().all(|id| part.find(hash_of(*id), |other| other == id).is_some()));
        }
        assert_eq!(self.len, self.parts.iter().map(Part::len).sum::<usize>());
        assert_eq!(self.bytes, self.parts.iter().map(Part::allocation_size).sum::<usize>());
        assert!(self.len <= self.parts.len() * PART_IDS);
    }
}
