//! Values by id, in order: what is pending. Owns how they are divided into parts; knows nothing of what they mean.
//!
//! A sorted array of sorted arrays. A part is full at `PART_MAX` values; it is then divided in the middle, but at the end the next one
//! begins empty, and nearly all that comes, comes there. A copy shares the parts until either changes one.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use crate::store::stream::id::StreamId;
use crate::sys::shared::{Shared, clone_ahead};

/// Values of a full part.
const PART_MAX: usize = 128;

/// The values.
#[derive(Debug)]
pub struct ById<V> {
    parts: VecDeque<Part<V>>,
    len: usize,
}

#[derive(Clone, Debug)]
struct Part<V> {
    /// None of its ids is smaller.
    first: StreamId,
    items: Shared<Vec<(StreamId, V)>>,
}

impl<V> Default for ById<V> {
    fn default() -> ById<V> {
        ById { parts: VecDeque::new(), len: 0 }
    }
}

impl<V: Clone> Clone for ById<V> {
    fn clone(&self) -> ById<V> {
        ById { parts: clone_ahead(self.parts.iter(), |part| part.items.prefetch()).collect(), len: self.len }
    }
}

impl<V: PartialEq> PartialEq for ById<V> {
    fn eq(&self, other: &ById<V>) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

impl<V: Eq> Eq for ById<V> {}

impl<V> ById<V> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The value of an id.
    pub fn get(&self, id: StreamId) -> Option<&V> {
        let items = &self.parts[self.part_of(id)?].items;
        let at = items.binary_search_by_key(&id, |item| item.0).ok()?;
        Some(&items[at].1)
    }

    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = (StreamId, &V)> {
        self.parts.iter().flat_map(|part| part.items.iter()).map(show)
    }

    /// Those with ids in a range, in order. Its end is not before its start.
    pub fn range(&self, ids: RangeInclusive<StreamId>) -> impl DoubleEndedIterator<Item = (StreamId, &V)> {
        let (start, end) = ids.into_inner();
        let behind = self.parts.partition_point(|part| part.first <= end);
        let parts = self.parts.range(self.part_of(start).unwrap_or(0).min(behind)..behind);
        let in_range = move |part: &'_ Part<V>| {
            let from = part.items.partition_point(|item| item.0 < start);
            from..part.items.partition_point(|item| item.0 <= end).max(from)
        };
        parts.flat_map(move |part| part.items[in_range(part)].iter()).map(show)
    }

    /// The parts from the one at `at` on, each a run of values in order.
    pub fn parts_from(&self, at: usize) -> impl Iterator<Item = &[(StreamId, V)]> {
        self.parts.range(at.min(self.parts.len())..).map(|part| part.items.as_slice())
    }

    /// Frees up to about so many, and says how many that were. What is left is good for nothing else.
    pub fn free_part(&mut self, count: usize) -> usize {
        let mut freed = 0;
        while freed < count
            && let Some(part) = self.parts.pop_back()
        {
            freed += if part.items.is_shared() { 1 } else { part.items.len().max(1) };
        }
        freed
    }

    /// The part where an id is, if it is there.
    fn part_of(&self, id: StreamId) -> Option<usize> {
        self.parts.partition_point(|part| part.first <= id).checked_sub(1)
    }
}

impl<V: Clone> ById<V> {
    /// Gives an id a value, and returns the one it had.
    pub fn insert(&mut self, id: StreamId, value: V) -> Option<V> {
        let at = self.part_of(id).unwrap_or(0);
        let is_last = at + 1 >= self.parts.len();
        let Some(part) = self.parts.get_mut(at) else {
            self.push_part(0, vec![(id, value)]);
            self.len += 1;
            return None;
        };
        let place = match part.items.binary_search_by_key(&id, |item| item.0) {
            Ok(place) => return Some(std::mem::replace(&mut part.items.make_mut()[place].1, value)),
            Err(place) => place,
        };
        self.len += 1;
        if part.items.len() < PART_MAX {
            part.items.make_mut().insert(place, (id, value));
            part.first = part.first.min(id);
        } else if is_last && place == PART_MAX {
            self.push_part(at + 1, vec![(id, value)]);
        } else {
            let behind = part.items.make_mut().split_off(PART_MAX / 2);
            self.push_part(at + 1, behind);
            let (at, place) =
                if place <= PART_MAX / 2 { (at, place) } else { (at + 1, place - PART_MAX / 2) };
            let part = &mut self.parts[at];
            part.items.make_mut().insert(place, (id, value));
            part.first = part.first.min(id);
        }
        None
    }

    /// Removes an id, and returns its value.
    pub fn remove(&mut self, id: StreamId) -> Option<V> {
        let at = self.part_of(id)?;
        let items = &mut self.parts[at].items;
        let place = items.binary_search_by_key(&id, |item| item.0).ok()?;
        let (_, value) = items.make_mut().remove(place);
        self.len -= 1;
        let left = items.len();
        if left == 0 {
            self.parts.remove(at);
            if self.parts.capacity() > 16 && self.parts.len() < self.parts.capacity() / 4 {
                self.parts.shrink_to(2 * self.parts.len());
            }
        } else if left < PART_MAX / 4 && !self.join(at) && at > 0 {
            self.join(at - 1);
        }
        Some(value)
    }

    /// Puts the part behind the one at `at` into that one, if both together are half a part at most; whether it was so.
    fn join(&mut self, at: usize) -> bool {
        let len = |at: usize| self.parts.get(at).map(|part| part.items.len());
        let is_small = len(at).zip(len(at + 1)).is_some_and(|(one, other)| one + other <= PART_MAX / 2);
        if is_small && let Some(behind) = self.parts.remove(at + 1) {
            let items = self.parts[at].items.make_mut();
            items.extend(behind.items.into_value());
            items.shrink_to(PART_MAX / 2);
        }
        is_small
    }

    fn push_part(&mut self, at: usize, items: Vec<(StreamId, V)>) {
        self.parts.insert(at, Part { first: items[0].0, items: Shared::new(items) });
    }
}

fn show<V>(item: &(StreamId, V)) -> (StreamId, &V) {
    (item.0, &item.1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Panics unless parts are in order and neither empty nor overfull.
    fn check(map: &ById<u64>) {
        assert_eq!(map.len(), map.parts.iter().map(|part| part.items.len()).sum::<usize>());
        assert!(map.parts.iter().all(|part| (1..=PART_MAX).contains(&part.items.len())));
        assert!(map.parts.iter().all(|part| part.first <= part.items[0].0));
        assert!(map.iter().is_sorted_by(|one, other| one.0 < other.0));
        let firsts = map.parts.iter().map(|part| part.first);
        assert!(firsts.skip(1).zip(&map.parts).all(|(next, part)| part.items.last().unwrap().0 < next));
    }

    proptest! {
        #[test]
        fn behaves_as_a_map(
            steps in proptest::collection::vec((0u8..8, 0u64..2000, 1u64..200), 0..60),
            ranges in proptest::collection::vec((0u64..2100, 0u64..2100), 4),
        ) {
            let (mut map, mut oracle) = (ById::default(), BTreeMap::new());
            let mut copies = Vec::new();
            for (what, from, count) in steps {
                let numbers = (from..from + count).map(|number| match what {
                    // In order, and in none.
                    0..3 | 5 => number,
                    _ => number * 7919 % 2003,
                });
                for number in numbers {
                    let id = StreamId { ms: number / 3, seq: number % 3 };
                    match what {
                        0..5 => prop_assert_eq!(map.insert(id, count), oracle.insert(id, count)),
                        _ => prop_assert_eq!(map.remove(id), oracle.remove(&id)),
                    }
                }
                check(&map);
                copies.push((map.clone(), oracle.clone()));
            }
            prop_assert_eq!(map.len(), oracle.len());
            for (start, end) in ranges {
                let ids = |number: u64| StreamId { ms: number / 3, seq: number % 3 };
                let (start, end) = (ids(start.min(end)), ids(start.max(end)));
                prop_assert_eq!(map.get(start), oracle.get(&start));
                let expected = || oracle.range(start..=end).map(|(&id, value)| (id, value));
                prop_assert!(map.range(start..=end).eq(expected()));
                prop_assert!(map.range(start..=end).rev().eq(expected().rev()));
            }
            for (copy, oracle) in copies {
                check(&copy);
                prop_assert!(copy.iter().eq(oracle.iter().map(|(&id, value)| (id, value))));
                prop_assert!(copy.parts_from(0).flatten().map(|item| item.0).eq(oracle.keys().copied()));
            }
        }
    }

    #[test]
    fn is_full_where_ids_come_in_order_and_small_when_most_are_gone() {
        let mut map = ById::default();
        let id = |ms| StreamId { ms, seq: 0 };
        for ms in 0..100_000 {
            map.insert(id(ms), ms);
        }
        assert_eq!(map.parts.len(), 100_000usize.div_ceil(PART_MAX));
        for ms in (0..100_000).filter(|ms| ms % 100 != 0) {
            map.remove(id(ms));
        }
        check(&map);
        assert!(map.parts.len() <= 1000 / (PART_MAX / 8), "{} parts for 1,000", map.parts.len());
        assert!(map.iter().map(|(id, _)| id.ms).eq((0..1000).map(|i| i * 100)));
    }
}
