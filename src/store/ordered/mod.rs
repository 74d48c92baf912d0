//! The large form of a sorted set: members ordered by (score, bytes), found by either. Owns which of three parts is told what, and when.
//! Knows nothing of keys, commands or replies.
//!
//! ```text
//! members   id -> score, bytes           a slab; each member's bytes are here and nowhere else
//! index     hash of bytes -> id          linear hashing over small tables
//! tree      rank -> score, id            a counted B+-tree; compares bytes only where scores are equal
//! ```
//!
//! # Why a slab owns the members
//!
//! Index and tree both need every member, and a 32-bit id is half a pointer. If the tree's leaves owned the bytes, the index would have to
//! be told of each entry that a split moves; if the index did, growing it would move what the leaves point to. The score
//! is there twice: in the slot for a look-up by member, in the leaf so that a search reads no member it need not.
//! An id per member also gives ZSCAN its cursor (`scan`).
//!
//! # Ranges
//!
//! A range of scores or of bytes is turned into a range of ranks by two descents; counting is its length, skipping is addition, and
//! walking and removing take ranks. Nothing here takes time in proportion to the set but `iter` and freeing it.
//!
//! # Zeros
//!
//! -0.0 equals 0.0, as in Redis, and a member keeps whichever it was given first: `insert` with an equal score changes nothing.

mod index;
mod members;
mod node;
#[cfg(test)]
mod tests;
mod tree;

use std::iter::FusedIterator;
use std::ops::{Bound, Range};

use index::Index;
use members::Members;
use node::Entry;
use tree::{Position, Tree};

use crate::base::limits::TABLE_ENTRIES_MAX;
use crate::store::table::hash_key;

/// Members of one set: ids are 32 bits, one in `CHUNK_SLOTS` is of no member, and the last means none.
pub const MEMBERS_MAX: usize = u32::MAX as usize / CHUNK_SLOTS * (CHUNK_SLOTS - 1);
/// A member up to this long is kept in its slot, bytes.
const SHORT_BYTES_MAX: usize = 14;
/// Slots allocated together, counted with what takes the place of the first.
const CHUNK_SLOTS: usize = 128;
/// Ids that a table of the index holds on average before the next one splits; at most some twice as many are rehashed at once.
const PART_IDS: usize = 424;
/// One node of the tree with its count of owners: one of the allocator's size classes, with next to no unused end.
const NODE_BYTES: usize = 1024;
/// Entries of a full leaf.
const LEAF_ENTRIES: usize = 83;
/// Children of a full inner node.
const INNER_CHILDREN: usize = 50;
/// Steps for each removal in which slots are given up: more than one, so that the free ones become fewer.
const MOVES_PER_REMOVAL: usize = 2;

const _: () = assert!(CHUNK_SLOTS.is_power_of_two());
const _: () = assert!(PART_IDS * 2 < TABLE_ENTRIES_MAX);
const _: () = assert!(MOVES_PER_REMOVAL > 1);

/// Members in order.
#[derive(Clone, Default)]
pub struct Ordered {
    members: Members,
    index: Index,
    tree: Tree,
}

impl Ordered {
    /// A set without members.
    pub fn new() -> Ordered {
        Ordered::default()
    }

    /// How many members there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.tree.len()
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether no new member fits.
    pub fn is_full(&self) -> bool {
        self.len() >= MEMBERS_MAX
    }

    /// Bytes of everything the set has allocated, without the `Ordered` itself. Adds up a few sums.
    pub fn allocated_bytes(&self) -> usize {
        self.members.allocated_bytes() + self.index.allocated_bytes() + self.tree.allocated_bytes()
    }

    /// Gives a member a score, and returns the score it had. The score is not NaN, and a full set gets no new member: the
    /// caller has seen to both.
    pub fn insert(&mut self, member: &[u8], score: f64) -> Option<f64> {
        self.update(member, |_| Some(score)).0
    }

    /// Gives a member the score that `decide` makes of the one it has, if it has one; `None` leaves everything as it is. Returns the
    /// score it had and what was decided. As with `insert`, no NaN and nothing new in a full set.
    pub fn update(
        &mut self,
        member: &[u8],
        decide: impl FnOnce(Option<f64>) -> Option<f64>,
    ) -> (Option<f64>, Option<f64>) {
        let hash = hash_key(member);
        let found = self.find(hash, member);
        let old = found.map(|id| self.members.score(id));
        let Some(score) = decide(old) else { return (old, None) };
        assert!(!score.is_nan(), "NaN has no place in the order");
        match found {
            Some(_) if old == Some(score) => {}
            Some(id) => self.move_to(id, member, score),
            None => {
                assert!(!self.is_full(), "ids are 32 bits");
                let id = self.members.insert(member, score);
                let members = &self.members;
                self.index.insert(hash, id, |id| hash_key(members.bytes(id)));
                self.tree.insert(Entry { score, id }, |entry| precedes(members, entry, (score, member)));
            }
        }
        (old, Some(score))
    }

    /// Removes a member, and returns the score it had.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let id = self.find(hash_key(member), member)?;
        let score = self.members.score(id);
        let rank = self.rank_of((score, member));
        self.tree.remove_run(rank, 1, |_| ());
        forget(&mut self.members, &mut self.index, id);
        self.tidy_after(1);
        Some(score)
    }

    /// The score of a member.
    #[inline]
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        self.find(hash_key(member), member).map(|id| self.members.score(id))
    }

    /// How many members are before this one.
    pub fn rank(&self, member: &[u8]) -> Option<usize> {
        Some(self.rank_of((self.score(member)?, member)))
    }

    /// How many members are behind this one.
    pub fn reverse_rank(&self, member: &[u8]) -> Option<usize> {
        self.rank(member).map(|rank| self.len() - 1 - rank)
    }

    /// The member of a rank, and its score.
    pub fn at(&self, rank: usize) -> Option<(&[u8], f64)> {
        self.tree.position(rank).map(|position| self.show(position))
    }

    /// The first member.
    pub fn first(&self) -> Option<(&[u8], f64)> {
        self.at(0)
    }

    /// The last member.
    pub fn last(&self) -> Option<(&[u8], f64)> {
        self.at(self.len().checked_sub(1)?)
    }

    /// The ranks of the members whose scores are in this range; how many they are is its length.
    pub fn ranks_by_score(&self, min: Bound<f64>, max: Bound<f64>) -> Range<usize> {
        let below = |bound: f64| self.tree.rank_where(|entry| entry.score < bound);
        let up_to = |bound: f64| self.tree.rank_where(|entry| entry.score <= bound);
        self.ranks(min, max, below, up_to)
    }

    /// The ranks of the members whose bytes are in this range. All scores must be equal; else which ranks it gives is not
    /// defined, as with Redis's BYLEX.
    pub fn ranks_by_member(&self, min: Bound<&[u8]>, max: Bound<&[u8]>) -> Range<usize> {
        let below = |bound: &[u8]| self.tree.rank_where(|entry| self.members.bytes(entry.id) < bound);
        let up_to = |bound: &[u8]| self.tree.rank_where(|entry| self.members.bytes(entry.id) <= bound);
        self.ranks(min, max, below, up_to)
    }

    /// The members of these ranks, in order, or with `rev` in the opposite one. Ranks that no member has are left out.
    pub fn range(&self, ranks: Range<usize>) -> Iter<'_> {
        Iter { set: self, ranks: self.clamp(ranks), front: None, back: None }
    }

    /// All members, in order.
    pub fn iter(&self) -> Iter<'_> {
        self.range(0..self.len())
    }

    /// Removes the members of these ranks after showing each, in order, and returns how many they were.
    pub fn remove_range(&mut self, ranks: Range<usize>, mut visit: impl FnMut(&[u8], f64)) -> usize {
        let ranks = self.clamp(ranks);
        let mut left = ranks.len();
        while left > 0 {
            let (members, index) = (&mut self.members, &mut self.index);
            let removed = self.tree.remove_run(ranks.start, left, |entry| {
                visit(members.bytes(entry.id), entry.score);
                forget(members, index, entry.id);
            });
            // Moves look members up in the tree, so they wait until it holds none that is gone.
            self.tidy_after(removed);
            left -= removed;
        }
        if ranks.len() == 1 {
            self.prefetch_from(ranks.start);
        }
        ranks.len()
    }

    /// Frees about so many members, or tables and nodes that are as cheap to free; whether there are more. What is left cannot be searched.
    pub fn free_part(&mut self, members: usize) -> bool {
        let mut freed = 0;
        while freed < members {
            let chunk = self.members.free_chunk();
            match chunk.or_else(|| self.index.free_table()).or_else(|| self.tree.free_node()) {
                Some(count) => freed += count,
                None => return false,
            }
        }
        true
    }

    /// Asks the processor for what the next removal at this rank will touch, and of the one after it the slot: who takes members from an
    /// end takes more of them.
    fn prefetch_from(&self, rank: usize) {
        if let Some(position) = self.tree.position(rank) {
            self.members.prefetch_bytes(self.tree.entry(position).id);
            if let Some(next) = self.tree.next(position) {
                self.members.prefetch(self.tree.entry(next).id);
            }
        }
    }

    /// Shows some `slots` members, in no order, and returns the cursor to go on from: 0 begins and 0 ends. Every member that is in the
    /// set from the first call to the last is shown at least once; free slots count as members.
    pub fn scan<'a>(&'a self, cursor: u64, slots: usize, mut visit: impl FnMut(&'a [u8], f64)) -> u64 {
        let top = self.members.top();
        let end = if cursor == 0 { top } else { top.min(u32::try_from(cursor).unwrap_or(top)) };
        let start = end.saturating_sub(u32::try_from(slots.max(1)).unwrap_or(u32::MAX));
        for (member, score) in (start..end).rev().filter_map(|id| self.members.get(id)) {
            visit(member, score);
        }
        u64::from(start)
    }

    fn ranks<B>(
        &self,
        min: Bound<B>,
        max: Bound<B>,
        below: impl Fn(B) -> usize,
        up_to: impl Fn(B) -> usize,
    ) -> Range<usize> {
        let start = match min {
            Bound::Included(min) => below(min),
            Bound::Excluded(min) => up_to(min),
            Bound::Unbounded => 0,
        };
        let end = match max {
            Bound::Included(max) => up_to(max),
            Bound::Excluded(max) => below(max),
            Bound::Unbounded => self.len(),
        };
        start..end.max(start)
    }

    #[inline]
    fn find(&self, hash: u64, member: &[u8]) -> Option<u32> {
        self.index.find(hash, |id| self.members.bytes(id) == member)
    }

    fn rank_of(&self, key: (f64, &[u8])) -> usize {
        self.tree.rank_where(|entry| precedes(&self.members, entry, key))
    }

    #[inline]
    fn show(&self, position: Position) -> (&[u8], f64) {
        let entry = self.tree.entry(position);
        (self.members.bytes(entry.id), entry.score)
    }

    fn clamp(&self, ranks: Range<usize>) -> Range<usize> {
        let end = ranks.end.min(self.len());
        ranks.start.min(end)..end
    }

    /// Gives a member another score; in place if it stays between its neighbours.
    fn move_to(&mut self, id: u32, member: &[u8], score: f64) {
        let rank = self.rank_of((self.members.score(id), member));
        let position = self.tree.position(rank).expect("every member is in the tree");
        let key = (score, member);
        let (prev, next) = (self.tree.prev(position), self.tree.next(position));
        let stays = prev.is_none_or(|at| precedes(&self.members, self.tree.entry(at), key))
            && next.is_none_or(|at| !precedes(&self.members, self.tree.entry(at), key));
        if stays {
            self.tree.replace(rank, Entry { score, id });
        } else {
            self.tree.remove_run(rank, 1, |_| ());
            let members = &self.members;
            self.tree.insert(Entry { score, id }, |entry| precedes(members, entry, key));
        }
        self.members.set_score(id, score);
    }

    /// Gives up slots after this many removals.
    fn tidy_after(&mut self, removals: usize) {
        if self.is_empty() {
            *self = Ordered::default();
        }
        for _ in 0..removals * MOVES_PER_REMOVAL {
            if let Some((from, to)) = self.members.next_move() {
                let (member, score) = (self.members.bytes(from), self.members.score(from));
                let rank = self.rank_of((score, member));
                self.index.rename(hash_key(member), (from, to));
                self.tree.replace(rank, Entry { score, id: to });
                self.members.apply_move((from, to));
            }
        }
    }
}

/// Drops a member that has left the tree, or is about to.
fn forget(members: &mut Members, index: &mut Index, id: u32) {
    index.remove(hash_key(members.bytes(id)), id);
    members.remove(id);
}

impl std::fmt::Debug for Ordered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Whether an entry is before a score and member.
#[inline(always)]
fn precedes(members: &Members, entry: Entry, (score, member): (f64, &[u8])) -> bool {
    entry.score < score || (entry.score == score && members.bytes(entry.id) < member)
}

/// Members in order, from either end. Each end is looked for when it is first asked.
#[derive(Clone)]
pub struct Iter<'a> {
    set: &'a Ordered,
    /// Those not yet seen.
    ranks: Range<usize>,
    /// Of `ranks.start`, once known.
    front: Option<Position>,
    /// Of `ranks.end - 1`, once known.
    back: Option<Position>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a [u8], f64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let rank = self.ranks.next()?;
        let position = self.front.or_else(|| self.set.tree.position(rank))?;
        self.front = self.set.tree.next(position);
        Some(self.set.show(position))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.ranks.size_hint()
    }
}

impl DoubleEndedIterator for Iter<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        let rank = self.ranks.next_back()?;
        let position = self.back.or_else(|| self.set.tree.position(rank))?;
        self.back = self.set.tree.prev(position);
        Some(self.set.show(position))
    }
}

impl ExactSizeIterator for Iter<'_> {}
impl FusedIterator for Iter<'_> {}
