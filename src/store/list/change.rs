//! The changes that commands make to lists, each with its effect. Never decides how a list is stored.

use std::ops::Range;

use crate::store::collection::{Change, Collection};
use crate::store::effect::{Effect, End};
use crate::store::list::limit::Limit;
use crate::store::list::{List, Wanted};
use crate::store::listpack::Item;

impl Change<'_, List> {
    fn limit(&self) -> Limit {
        Limit::of(self.encoding.list_node_size)
    }

    /// Adds elements at an end, one after the other.
    pub fn push<'e>(&mut self, end: End, elements: impl IntoIterator<Item = &'e [u8], IntoIter: Clone>) {
        let (limit, key, elements) = (self.limit(), self.key, elements.into_iter());
        let (bytes, added) = elements.clone().fold((0, 0), |(bytes, n), one| (bytes + one.len(), n + 1));
        self.value.make_room(bytes, added, limit);
        for element in elements {
            self.value.push(end, element, limit);
            self.record(Effect::ListPush { key, end, element });
        }
    }

    /// Removes elements from an end, at most `count` and all if there are no more.
    pub fn pop(&mut self, end: End, count: usize) {
        let (limit, key) = (self.limit(), self.key);
        let count = count.min(self.value.len());
        if count > 0 {
            self.value.pop(end, count, limit);
            self.record(Effect::ListPop { key, end, count: count as u64 });
            self.changes += count as u64 - 1;
        }
    }

    /// Removes one element from an end, and gives it to `use_item` before. Nothing for a list that is empty.
    pub fn take<R>(&mut self, end: End, use_item: impl FnOnce(Item<'_>) -> R) -> Option<R> {
        let item = self.value.view().get(if end == End::Left { 0 } else { -1 })?;
        let result = use_item(item);
        self.pop(end, 1);
        Some(result)
    }

    /// Puts an element in the place of the one with this index.
    pub fn set(&mut self, index: usize, element: &[u8]) {
        let (limit, key) = (self.limit(), self.key);
        self.value.set(index, element, limit);
        self.record(Effect::ListSet { key, index: index as u64, element });
    }

    /// Puts an element before the one with this index, or behind the last one.
    pub fn insert(&mut self, index: usize, element: &[u8]) {
        let (limit, key) = (self.limit(), self.key);
        self.value.insert(index, element, limit);
        self.record(Effect::ListInsert { key, index: index as u64, element });
    }

    /// Removes the element with this index.
    pub fn remove(&mut self, index: usize) {
        let (limit, key) = (self.limit(), self.key);
        self.value.remove(index, limit);
        self.record(Effect::ListRemove { key, index: index as u64 });
    }

    /// Removes up to `count` elements that are `wanted`, those nearest to an end. Returns how many.
    pub fn remove_matching(&mut self, wanted: Wanted<'_>, end: End, count: usize) -> usize {
        let (limit, key, db) = (self.limit(), self.key, self.db);
        let Change { value, journal, .. } = self;
        let gone = value.remove_matching(wanted, end, count, limit, |index| {
            journal.record(db, Effect::ListRemove { key, index: index as u64 });
        });
        self.changes += gone as u64;
        gone
    }

    /// Removes all elements but those in `kept`, a range of indices within the list; an empty one removes all.
    pub fn trim(&mut self, kept: Range<usize>) {
        if kept.is_empty() {
            return self.pop(End::Left, usize::MAX);
        }
        self.pop(End::Right, self.value.len() - kept.end);
        self.pop(End::Left, kept.start);
    }
}
