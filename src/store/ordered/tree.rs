//! A counted B+-tree of a set's entries: in order, and each inner node knows how many entries are below each of its children.
//! Knows no bytes: what order means is told by predicates, which hold for the first entries and for no other.
//!
//! # One search for everything
//!
//! `rank_where(is_before)` counts the entries a predicate holds for, in one descent. The rank of an entry, the bounds of a range
//! of scores or of bytes, and how many entries lie between two bounds are all that count or a difference of two. Everything else
//! goes by rank, and so compares nothing.
//!
//! # How full nodes are
//!
//! A node that a removal leaves with less than a third of its room takes from a neighbour or is merged with it. Only the first
//! and the last node of a level may have less: sets that are filled in order, in either direction, leave full nodes behind and a nearly
//! empty one at the edge (`Pool::insert`).

use crate::store::ordered::members::NONE;
use crate::store::ordered::node::{Child, Edge, Entry, Inner, Leaf, Node, Pool};

/// The tree.
#[derive(Clone)]
pub struct Tree {
    leaves: Pool<Leaf>,
    inners: Pool<Inner>,
    root: u32,
    /// Levels of inner nodes above the leaves.
    height: u32,
    len: usize,
}

/// Where an entry stands, until the tree changes.
#[derive(Clone, Copy, Debug)]
pub struct Position {
    leaf: u32,
    at: usize,
}

impl Default for Tree {
    fn default() -> Tree {
        Tree { leaves: Pool::default(), inners: Pool::default(), root: NONE, height: 0, len: 0 }
    }
}

impl Tree {
    /// How many entries there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Bytes of the nodes.
    pub fn allocated_bytes(&self) -> usize {
        self.leaves.allocated_bytes() + self.inners.allocated_bytes()
    }

    /// How many entries `is_before` holds for.
    pub fn rank_where(&self, is_before: impl Fn(Entry) -> bool) -> usize {
        if self.len == 0 {
            return 0;
        }
        let (mut node, mut rank) = (self.root, 0);
        for _ in 0..self.height {
            let inner = &self.inners[node];
            let at = inner.child_of(&is_before);
            rank += inner.count_before(at);
            node = inner.get(at).node;
        }
        rank + self.leaves[node].partition_point(&is_before)
    }

    /// Where the entry of a rank stands.
    pub fn position(&self, rank: usize) -> Option<Position> {
        if rank >= self.len {
            return None;
        }
        let (mut node, mut rest) = (self.root, rank);
        for _ in 0..self.height {
            let inner = &self.inners[node];
            let (at, rank) = inner.child_at(rest);
            (node, rest) = (inner.get(at).node, rank);
        }
        Some(Position { leaf: node, at: rest })
    }

    /// The entry at a position.
    #[inline]
    pub fn entry(&self, position: Position) -> Entry {
        self.leaves[position.leaf].get(position.at)
    }

    /// The position behind.
    #[inline]
    pub fn next(&self, Position { leaf, at }: Position) -> Option<Position> {
        let from = &self.leaves[leaf];
        if at + 1 < from.len() {
            return Some(Position { leaf, at: at + 1 });
        }
        (from.next != NONE).then_some(Position { leaf: from.next, at: 0 })
    }

    /// The position before.
    #[inline]
    pub fn prev(&self, Position { leaf, at }: Position) -> Option<Position> {
        if at > 0 {
            return Some(Position { leaf, at: at - 1 });
        }
        let prev = self.leaves[leaf].prev;
        (prev != NONE).then(|| Position { leaf: prev, at: self.leaves[prev].len() - 1 })
    }

    /// Adds an entry behind those `is_before` holds for.
    pub fn insert(&mut self, entry: Entry, is_before: impl Fn(Entry) -> bool) {
        if self.len == 0 {
            self.root = self.leaves.add();
        }
        let edge = Edge { is_first: true, is_last: true };
        if let Some(right) = self.insert_below(self.root, self.height, edge, entry, &is_before) {
            let root = self.inners.add();
            for (at, node) in [self.root, right].into_iter().enumerate() {
                let child = self.child(node, self.height);
                self.inners[root].insert(at, child);
            }
            self.root = root;
            self.height += 1;
        }
        self.len += 1;
    }

    /// Puts another entry in the place of one; the order must allow it.
    pub fn replace(&mut self, rank: usize, entry: Entry) {
        self.replace_below(self.root, self.height, rank, entry);
    }

    /// Removes at most `count` entries from this rank on, those that share a leaf, after showing each. Returns how many.
    pub fn remove_run(&mut self, rank: usize, count: usize, mut visit: impl FnMut(Entry)) -> usize {
        if rank >= self.len || count == 0 {
            return 0;
        }
        let removed = self.remove_below(self.root, self.height, (rank, count), &mut visit);
        self.len -= removed;
        if self.len == 0 {
            *self = Tree::default();
            return removed;
        }
        while self.height > 0 && self.inners[self.root].len() == 1 {
            let only = self.inners[self.root].get(0).node;
            self.inners.remove(self.root);
            self.root = only;
            self.height -= 1;
        }
        removed
    }

    /// Frees one node, and says so. Nothing can be looked for from then on.
    pub fn free_node(&mut self) -> Option<usize> {
        self.leaves.free_node().or_else(|| self.inners.free_node())
    }

    fn insert_below(
        &mut self,
        node: u32,
        height: u32,
        edge: Edge,
        entry: Entry,
        is_before: &impl Fn(Entry) -> bool,
    ) -> Option<u32> {
        if height == 0 {
            let at = self.leaves[node].partition_point(is_before);
            let right = self.leaves.insert(node, at, entry, edge)?;
            self.link_behind(node, right);
            return Some(right);
        }
        let inner = &self.inners[node];
        let at = inner.child_of(is_before);
        let below = inner.get(at).node;
        let split = self.insert_below(below, height - 1, edge.of_child(at, inner), entry, is_before);
        self.account(node, at, height);
        let new = self.child(split?, height - 1);
        self.inners.insert(node, at + 1, new, edge)
    }

    fn replace_below(&mut self, node: u32, height: u32, rank: usize, entry: Entry) {
        if height == 0 {
            self.leaves[node].set(rank, entry);
            return;
        }
        let inner = &self.inners[node];
        let (at, rank) = inner.child_at(rank);
        self.replace_below(inner.get(at).node, height - 1, rank, entry);
        self.account(node, at, height);
    }

    fn remove_below(
        &mut self,
        node: u32,
        height: u32,
        (rank, count): (usize, usize),
        visit: &mut impl FnMut(Entry),
    ) -> usize {
        if height == 0 {
            let leaf = &mut self.leaves[node];
            let end = leaf.len().min(rank.saturating_add(count));
            for at in rank..end {
                visit(leaf.get(at));
            }
            leaf.remove_run(rank..end);
            return end - rank;
        }
        let inner = &self.inners[node];
        let (at, rank) = inner.child_at(rank);
        let removed = self.remove_below(inner.get(at).node, height - 1, (rank, count), visit);
        self.mend(node, at, height);
        removed
    }

    /// Brings a child from which something was removed, and what its parent knows of it, back to the rules.
    fn mend(&mut self, node: u32, at: usize, height: u32) {
        let below = self.inners[node].get(at).node;
        let (len, len_min) = match height {
            1 => (self.leaves[below].len(), Leaf::LEN_MIN),
            _ => (self.inners[below].len(), Inner::LEN_MIN),
        };
        let siblings = self.inners[node].len();
        if len >= len_min || (siblings == 1 && len > 0) {
            self.account(node, at, height);
            return;
        }
        if siblings == 1 {
            // The edge of the tree: the parent stays without children, and its own parent sees to it.
            self.drop_node(below, height - 1);
            self.inners[node].remove_run(0..1);
            return;
        }
        let left_at = at.saturating_sub(1);
        let (left, right) = (self.inners[node].get(left_at).node, self.inners[node].get(left_at + 1).node);
        let is_joined =
            if height == 1 { self.leaves.join(left, right) } else { self.inners.join(left, right) };
        if is_joined {
            self.drop_node(right, height - 1);
            self.inners[node].remove_run(left_at + 1..left_at + 2);
        } else {
            self.account(node, left_at + 1, height);
        }
        self.account(node, left_at, height);
    }

    /// Notes in a node at `height` what is below its child now.
    fn account(&mut self, node: u32, at: usize, height: u32) {
        let child = self.child(self.inners[node].get(at).node, height - 1);
        self.inners[node].set(at, child);
    }

    fn child(&self, node: u32, height: u32) -> Child {
        if height == 0 {
            let leaf = &self.leaves[node];
            return Child { first: leaf.get(0), node, count: leaf.len() as u32 };
        }
        let inner = &self.inners[node];
        Child { first: inner.get(0).first, node, count: inner.count_before(inner.len()) as u32 }
    }

    fn link_behind(&mut self, left: u32, new: u32) {
        let next = self.leaves[left].next;
        self.leaves[left].next = new;
        (self.leaves[new].prev, self.leaves[new].next) = (left, next);
        if next != NONE {
            self.leaves[next].prev = new;
        }
    }

    fn drop_node(&mut self, node: u32, height: u32) {
        if height > 0 {
            self.inners.remove(node);
            return;
        }
        let (prev, next) = (self.leaves[node].prev, self.leaves[node].next);
        if prev != NONE {
            self.leaves[prev].next = next;
        }
        if next != NONE {
            self.leaves[next].prev = prev;
        }
        self.leaves.remove(node);
    }

    /// Panics unless counts, first entries, fill and links are as the module says. Returns the entries.
    #[cfg(test)]
    pub fn check(&self) -> Vec<Entry> {
        let (mut entries, mut nodes) = (Vec::new(), (0, 0));
        if self.len > 0 {
            let edge = Edge { is_first: true, is_last: true };
            self.check_below(self.root, self.height, edge, &mut entries, &mut nodes);
            assert!(self.height == 0 || self.inners[self.root].len() > 1);
        }
        assert_eq!(entries.len(), self.len);
        assert_eq!(nodes, (self.leaves.len(), self.inners.len()), "no node is lost");
        let forward = std::iter::successors(self.position(0), |at| self.next(*at));
        assert!(forward.map(|at| self.entry(at).id).eq(entries.iter().map(|e| e.id)));
        let last = self.position(self.len.wrapping_sub(1));
        let backward = std::iter::successors(last, |at| self.prev(*at));
        assert!(backward.map(|at| self.entry(at).id).eq(entries.iter().rev().map(|e| e.id)));
        entries
    }

    #[cfg(test)]
    fn check_below(
        &self,
        node: u32,
        height: u32,
        edge: Edge,
        entries: &mut Vec<Entry>,
        nodes: &mut (usize, usize),
    ) {
        let is_inside = !edge.is_first && !edge.is_last;
        if height == 0 {
            let leaf = &self.leaves[node];
            assert!(leaf.len() >= if is_inside { Leaf::LEN_MIN } else { 1 }, "a leaf of {}", leaf.len());
            entries.extend((0..leaf.len()).map(|at| leaf.get(at)));
            nodes.0 += 1;
            return;
        }
        let inner = &self.inners[node];
        assert!(inner.len() >= if is_inside { Inner::LEN_MIN } else { 1 }, "a node of {}", inner.len());
        nodes.1 += 1;
        for at in 0..inner.len() {
            let (child, before) = (inner.get(at), entries.len());
            self.check_below(child.node, height - 1, edge.of_child(at, inner), entries, nodes);
            assert_eq!(child.count as usize, entries.len() - before);
            let first = entries[before];
            assert!(first.id == child.first.id && first.score.to_bits() == child.first.score.to_bits());
        }
    }
}
