//! A sorted set as reads see it, whichever form it has. Changes nothing.

use std::ops::{Bound, Range, RangeBounds};

use crate::base::rng::Rng;
use crate::store::listpack::{Item, Listpack};
use crate::store::ordered::{self, Ordered};
use crate::store::sorted_set::packed;

/// A sorted set, borrowed. Members come as elements of listpacks do: an integer where the set keeps one.
#[derive(Clone, Copy, Debug)]
pub enum SortedSetRef<'a> {
    /// A listpack of members and scores, in order.
    Packed(Listpack<'a>),
    /// The large form.
    Large(&'a Ordered),
}

impl<'a> SortedSetRef<'a> {
    /// How many members there are.
    #[inline]
    pub fn len(self) -> usize {
        match self {
            SortedSetRef::Packed(pack) => packed::len(pack),
            SortedSetRef::Large(set) => set.len(),
        }
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(self) -> bool {
        match self {
            SortedSetRef::Packed(pack) => pack.is_empty(),
            SortedSetRef::Large(set) => set.is_empty(),
        }
    }

    /// The score of a member.
    #[inline]
    pub fn score(self, member: &[u8]) -> Option<f64> {
        match self {
            SortedSetRef::Packed(pack) => packed::find(pack, member).map(|at| packed::score_at(pack, at)),
            SortedSetRef::Large(set) => set.score(member),
        }
    }

    /// How many members are before this one.
    pub fn rank(self, member: &[u8]) -> Option<usize> {
        match self {
            SortedSetRef::Packed(pack) => packed::find(pack, member).map(|at| packed::rank_of(pack, at)),
            SortedSetRef::Large(set) => set.rank(member),
        }
    }

    /// How many members are behind this one.
    pub fn reverse_rank(self, member: &[u8]) -> Option<usize> {
        self.rank(member).map(|rank| self.len() - 1 - rank)
    }

    /// The member of a rank, and its score.
    pub fn at(self, rank: usize) -> Option<(Item<'a>, f64)> {
        self.range(rank..rank.saturating_add(1)).next()
    }

    /// The first member.
    pub fn first(self) -> Option<(Item<'a>, f64)> {
        self.at(0)
    }

    /// The last member.
    pub fn last(self) -> Option<(Item<'a>, f64)> {
        self.at(self.len().checked_sub(1)?)
    }

    /// Any member, each with the same probability; nothing of an empty set.
    pub fn random(self, rng: &mut Rng) -> Option<(Item<'a>, f64)> {
        let len = self.len() as u64;
        if len == 0 { None } else { self.at(rng.below(len) as usize) }
    }

    /// The ranks of the members whose scores are in this range; how many they are is its length. No bound is NaN.
    pub fn ranks_by_score(self, min: Bound<f64>, max: Bound<f64>) -> Range<usize> {
        match self {
            SortedSetRef::Packed(pack) => packed::ranks_by_score(pack, min, max),
            SortedSetRef::Large(set) => set.ranks_by_score(min, max),
        }
    }

    /// The ranks of the members whose bytes are in this range. Which ones it gives where scores differ is not defined, as with
    /// Redis's BYLEX.
    pub fn ranks_by_member(self, min: Bound<&[u8]>, max: Bound<&[u8]>) -> Range<usize> {
        let ends = self.first().zip(self.last());
        let meets = ends.is_some_and(|((first, _), (last, _))| {
            last.with_bytes(|last| RangeBounds::<[u8]>::contains(&(min, Bound::Unbounded), last))
                && first.with_bytes(|first| RangeBounds::<[u8]>::contains(&(Bound::Unbounded, max), first))
        });
        if !meets {
            return 0..0;
        }
        match self {
            SortedSetRef::Packed(pack) => packed::ranks_by_member(pack, min, max),
            SortedSetRef::Large(set) => set.ranks_by_member(min, max),
        }
    }

    /// The members of these ranks, in order, or with `rev` in the opposite one. Ranks that no member has are left out.
    pub fn range(self, ranks: Range<usize>) -> Iter<'a> {
        let end = ranks.end.min(self.len());
        let ranks = ranks.start.min(end)..end;
        match self {
            SortedSetRef::Packed(pack) => Iter::Packed(packed::Iter::new(pack, ranks)),
            SortedSetRef::Large(set) => Iter::Large(set.range(ranks)),
        }
    }

    /// All members, in order.
    pub fn iter(self) -> Iter<'a> {
        match self {
            SortedSetRef::Packed(pack) => Iter::Packed(packed::Iter::all(pack)),
            SortedSetRef::Large(set) => Iter::Large(set.iter()),
        }
    }

    /// Shows some `count` members, all of a small set, and returns the cursor to go on from: 0 begins and 0 ends. Every member that is
    /// in the set from the first call to the last is shown at least once.
    pub fn scan(self, cursor: u64, count: usize, mut visit: impl FnMut(Item<'a>, f64)) -> u64 {
        match self {
            SortedSetRef::Packed(_) => {
                self.iter().for_each(|(member, score)| visit(member, score));
                0
            }
            SortedSetRef::Large(set) => {
                set.scan(cursor, count, |member, score| visit(Item::Bytes(member), score))
            }
        }
    }

    /// The name that OBJECT ENCODING gives.
    pub fn encoding(self) -> &'static str {
        match self {
            SortedSetRef::Packed(_) => "listpack",
            SortedSetRef::Large(_) => "skiplist",
        }
    }
}

/// Members and scores, from either end.
#[derive(Clone)]
pub enum Iter<'a> {
    /// Of a small set.
    Packed(packed::Iter<'a>),
    /// Of a large one.
    Large(ordered::Iter<'a>),
}

impl<'a> Iterator for Iter<'a> {
    type Item = (Item<'a>, f64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Iter::Packed(iter) => iter.next(),
            Iter::Large(iter) => iter.next().map(|(member, score)| (Item::Bytes(member), score)),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            Iter::Packed(iter) => iter.size_hint(),
            Iter::Large(iter) => iter.size_hint(),
        }
    }
}

impl DoubleEndedIterator for Iter<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        match self {
            Iter::Packed(iter) => iter.next_back(),
            Iter::Large(iter) => iter.next_back().map(|(member, score)| (Item::Bytes(member), score)),
        }
    }
}

impl ExactSizeIterator for Iter<'_> {}
