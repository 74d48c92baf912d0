//! The nodes of a stream, in order of their master ids. Owns how they are kept and how many bytes that takes; never looks into one.
//!
//! They stand in a ring buffer: entries come at its end and go, mostly, at its beginning. A copy of a stream shares the nodes until either
//! changes one.

use std::collections::VecDeque;

use crate::store::stream::id::StreamId;
use crate::sys::shared::{Shared, clone_ahead};

/// The nodes.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    nodes: VecDeque<Kept>,
    /// Bytes of the nodes' own allocations.
    bytes: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Kept {
    master: StreamId,
    pack: Shared<Vec<u8>>,
}

impl Kept {
    fn allocated_bytes(&self) -> usize {
        Shared::<Vec<u8>>::ALLOCATED_BYTES + self.pack.capacity()
    }

    #[inline]
    fn show(&self) -> (StreamId, &[u8]) {
        (self.master, &self.pack)
    }
}

impl Clone for Nodes {
    fn clone(&self) -> Nodes {
        Nodes { nodes: clone_ahead(self.nodes.iter(), |node| node.pack.prefetch()).collect(), ..*self }
    }
}

impl Nodes {
    /// How many there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Bytes of everything allocated.
    pub fn allocated_bytes(&self) -> usize {
        self.bytes + self.nodes.capacity() * size_of::<Kept>()
    }

    /// Master id and listpack of the node at `at`, if there is one.
    #[inline]
    pub fn get(&self, at: usize) -> Option<(StreamId, &[u8])> {
        self.nodes.get(at).map(Kept::show)
    }

    /// The same of the last one.
    #[inline]
    pub fn last(&self) -> Option<(StreamId, &[u8])> {
        self.nodes.back().map(Kept::show)
    }

    /// All from the one at `at` on.
    pub fn iter_from(&self, at: usize) -> Iter<'_> {
        self.between(at, self.len())
    }

    /// Those from the one at `start` on, before the one at `end`.
    pub fn between(&self, start: usize, end: usize) -> Iter<'_> {
        self.nodes.range(start.min(end)..end).map(Kept::show)
    }

    /// How many have master ids up to `id`: the last of those is where an entry with this id would be.
    #[inline]
    pub fn count_up_to(&self, id: StreamId) -> usize {
        self.nodes.partition_point(|node| node.master <= id)
    }

    /// Adds a node behind all others, whose master ids are smaller.
    pub fn push(&mut self, master: StreamId, pack: Vec<u8>) {
        debug_assert!(self.last().is_none_or(|(last, _)| last < master));
        let node = Kept { master, pack: Shared::new(pack) };
        self.bytes += node.allocated_bytes();
        self.nodes.push_back(node);
    }

    /// Changes the listpack of the node at `at`, which is there.
    #[inline]
    pub fn change<R>(&mut self, at: usize, change: impl FnOnce(&mut Vec<u8>, StreamId) -> R) -> R {
        let node = &mut self.nodes[at];
        let before = node.allocated_bytes();
        let result = change(node.pack.make_mut(), node.master);
        self.bytes = self.bytes - before + node.allocated_bytes();
        result
    }

    /// Removes the node at `at`, which is there.
    pub fn remove(&mut self, at: usize) {
        let node = self.nodes.remove(at).expect("the node is there");
        self.bytes -= node.allocated_bytes();
        if self.nodes.capacity() > 16 && self.nodes.len() < self.nodes.capacity() / 4 {
            self.nodes.shrink_to(2 * self.nodes.len());
        }
    }

    /// Frees so many nodes; whether there are more. The sum of their bytes is wrong from then on.
    pub fn free_part(&mut self, nodes: usize) -> bool {
        self.nodes.truncate(self.nodes.len().saturating_sub(nodes));
        !self.nodes.is_empty()
    }

    /// The sum of their bytes, taken anew.
    #[cfg(test)]
    pub fn counted_bytes(&self) -> usize {
        self.nodes.iter().map(Kept::allocated_bytes).sum::<usize>()
            + self.nodes.capacity() * size_of::<Kept>()
    }
}

/// Some nodes: master id and listpack of each.
pub(super) type Iter<'a> =
    std::iter::Map<std::collections::vec_deque::Iter<'a, Kept>, fn(&'a Kept) -> (StreamId, &'a [u8])>;
