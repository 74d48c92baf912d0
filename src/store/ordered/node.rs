//! The nodes of the tree: fixed arrays, one per field, that fill an allocation of `NODE_BYTES` and are searched by binary search.
//! Knows nothing of the tree's shape but what one node holds, and never looks at a member. A copy of the tree shares its nodes until either
//! changes one.

use std::ops::{Index, IndexMut, Range};

use crate::store::ordered::members::NONE;
use crate::store::ordered::{INNER_CHILDREN, LEAF_ENTRIES, NODE_BYTES};
use crate::sys::shared::{SHARED_HEADER_BYTES, Shared, clone_ahead};

/// A score and the id of its member.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Never NaN.
    pub score: f64,
    /// Of `Members`.
    pub id: u32,
}

/// A child as its parent knows it.
#[derive(Clone, Copy, Debug)]
pub struct Child {
    /// The smallest entry below it.
    pub first: Entry,
    /// Its place in its pool.
    pub node: u32,
    /// Entries below it.
    pub count: u32,
}

/// What both kinds of node can do: keep up to `CAPACITY` items in order.
pub trait Node: Clone {
    /// An entry or a child.
    type Item;
    /// Items it has room for.
    const CAPACITY: usize;
    /// Items below which it is merged with a neighbour.
    const LEN_MIN: usize = Self::CAPACITY / 3;

    /// A node without items.
    fn new() -> Self;
    /// How many items it has.
    fn len(&self) -> usize;
    /// Adds an item before the one at `at`.
    fn insert(&mut self, at: usize, item: Self::Item);
    /// Adds some of another's items before the one at `at`.
    fn insert_run(&mut self, at: usize, from: &Self, run: Range<usize>);
    /// Removes some items.
    fn remove_run(&mut self, run: Range<usize>);
}

/// Entries, in order.
#[derive(Clone)]
pub struct Leaf {
    scores: [f64; LEAF_ENTRIES],
    ids: [u32; LEAF_ENTRIES],
    /// The leaf before, or `NONE`.
    pub prev: u32,
    /// The leaf behind, or `NONE`.
    pub next: u32,
    len: u16,
}

/// Children, in the order of their entries.
#[derive(Clone)]
pub struct Inner {
    scores: [f64; INNER_CHILDREN],
    ids: [u32; INNER_CHILDREN],
    nodes: [u32; INNER_CHILDREN],
    counts: [u32; INNER_CHILDREN],
    len: u16,
}

/// A node with its count of owners.
const fn node_bytes<N>() -> usize {
    SHARED_HEADER_BYTES + size_of::<N>()
}

const _: () = assert!(node_bytes::<Leaf>() <= NODE_BYTES && node_bytes::<Inner>() <= NODE_BYTES);
const _: () = assert!(Leaf::LEN_MIN >= 2 && Inner::LEN_MIN >= 2, "a merge must leave a node that holds");

impl Leaf {
    /// The entry at a position.
    #[inline]
    pub fn get(&self, at: usize) -> Entry {
        Entry { score: self.scores[..self.len()][at], id: self.ids[at] }
    }

    /// Puts another entry at a position.
    pub fn set(&mut self, at: usize, entry: Entry) {
        self.scores[at] = entry.score;
        self.ids[at] = entry.id;
    }

    /// How many entries `is_before` holds for: it must hold for the first ones and no other.
    #[inline]
    pub fn partition_point(&self, is_before: &impl Fn(Entry) -> bool) -> usize {
        partition_point(&self.scores, &self.ids, self.len(), is_before)
    }
}

impl Inner {
    /// The child at a position.
    #[inline]
    pub fn get(&self, at: usize) -> Child {
        let first = Entry { score: self.scores[..self.len()][at], id: self.ids[at] };
        Child { first, node: self.nodes[at], count: self.counts[at] }
    }

    /// Puts another child, or another account of it, at a position.
    pub fn set(&mut self, at: usize, child: Child) {
        self.scores[at] = child.first.score;
        self.ids[at] = child.first.id;
        self.nodes[at] = child.node;
        self.counts[at] = child.count;
    }

    /// The child in which the entries `is_before` holds for end.
    #[inline]
    pub fn child_of(&self, is_before: &impl Fn(Entry) -> bool) -> usize {
        partition_point(&self.scores, &self.ids, self.len(), is_before).saturating_sub(1)
    }

    /// The child that holds the entry of this rank, and the entry's rank in it.
    #[inline]
    pub fn child_at(&self, rank: usize) -> (usize, usize) {
        let mut rest = rank;
        for (at, &count) in self.counts[..self.len()].iter().enumerate() {
            if rest < count as usize {
                return (at, rest);
            }
            rest -= count as usize;
        }
        unreachable!("ranks are below the count of entries")
    }

    /// Entries below the children before `at`.
    #[inline]
    pub fn count_before(&self, at: usize) -> usize {
        self.counts[..at].iter().sum::<u32>() as usize
    }
}

impl Node for Leaf {
    type Item = Entry;
    const CAPACITY: usize = LEAF_ENTRIES;

    fn new() -> Leaf {
        Leaf { scores: [0.0; LEAF_ENTRIES], ids: [0; LEAF_ENTRIES], prev: NONE, next: NONE, len: 0 }
    }

    #[inline]
    fn len(&self) -> usize {
        usize::from(self.len)
    }

    fn insert(&mut self, at: usize, entry: Entry) {
        let len = self.len();
        open(&mut self.scores, len, at, 1);
        open(&mut self.ids, len, at, 1);
        self.set(at, entry);
        self.len += 1;
    }

    fn insert_run(&mut self, at: usize, from: &Leaf, run: Range<usize>) {
        let len = self.len();
        insert_column(&mut self.scores, len, at, &from.scores[run.clone()]);
        insert_column(&mut self.ids, len, at, &from.ids[run.clone()]);
        self.len += run.len() as u16;
    }

    fn remove_run(&mut self, run: Range<usize>) {
        let len = self.len();
        self.scores.copy_within(run.end..len, run.start);
        self.ids.copy_within(run.end..len, run.start);
        self.len -= run.len() as u16;
    }
}

impl Node for Inner {
    type Item = Child;
    const CAPACITY: usize = INNER_CHILDREN;

    fn new() -> Inner {
        let none = [0; INNER_CHILDREN];
        Inner { scores: [0.0; INNER_CHILDREN], ids: none, nodes: none, counts: none, len: 0 }
    }

    #[inline]
    fn len(&self) -> usize {
        usize::from(self.len)
    }

    fn insert(&mut self, at: usize, child: Child) {
        let len = self.len();
        open(&mut self.scores, len, at, 1);
        for column in [&mut self.ids, &mut self.nodes, &mut self.counts] {
            open(column, len, at, 1);
        }
        self.set(at, child);
        self.len += 1;
    }

    fn insert_run(&mut self, at: usize, from: &Inner, run: Range<usize>) {
        let len = self.len();
        insert_column(&mut self.scores, len, at, &from.scores[run.clone()]);
        insert_column(&mut self.ids, len, at, &from.ids[run.clone()]);
        insert_column(&mut self.nodes, len, at, &from.nodes[run.clone()]);
        insert_column(&mut self.counts, len, at, &from.counts[run.clone()]);
        self.len += run.len() as u16;
    }

    fn remove_run(&mut self, run: Range<usize>) {
        let len = self.len();
        self.scores.copy_within(run.end..len, run.start);
        for column in [&mut self.ids, &mut self.nodes, &mut self.counts] {
            column.copy_within(run.end..len, run.start);
        }
        self.len -= run.len() as u16;
    }
}

#[inline]
fn partition_point(scores: &[f64], ids: &[u32], len: usize, is_before: &impl Fn(Entry) -> bool) -> usize {
    let (scores, ids) = (&scores[..len], &ids[..len]);
    let (mut from, mut to) = (0, len);
    while from < to {
        let middle = (from + to) / 2;
        if is_before(Entry { score: scores[middle], id: ids[middle] }) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    from
}

/// Makes room for `count` items at `at`.
fn open<T: Copy>(column: &mut [T], len: usize, at: usize, count: usize) {
    column[..len + count].copy_within(at..len, at + count);
}

fn insert_column<T: Copy>(column: &mut [T], len: usize, at: usize, items: &[T]) {
    open(column, len, at, items.len());
    column[at..at + items.len()].copy_from_slice(items);
}

/// Nodes of one kind, by number. A number is used again once its node is gone. The list of nodes ends with one that is there: it may stay
/// as long as the set's largest size made it, 12 bytes for a node that is gone, until the set is empty.
pub struct Pool<N> {
    nodes: Vec<Option<Shared<N>>>,
    used: usize,
    /// Numbers to use again, among them some behind the list's end since it became shorter. The list grows only when this
    /// is empty, so none of those can be in use.
    free: Vec<u32>,
}

impl<N> Clone for Pool<N> {
    fn clone(&self) -> Pool<N> {
        let nodes = clone_ahead(self.nodes.iter(), |node| node.iter().for_each(Shared::prefetch));
        Pool { nodes: nodes.collect(), free: self.free.clone(), ..*self }
    }
}

impl<N> Default for Pool<N> {
    fn default() -> Pool<N> {
        Pool { nodes: Vec::new(), used: 0, free: Vec::new() }
    }
}

impl<N> Index<u32> for Pool<N> {
    type Output = N;

    #[inline]
    fn index(&self, node: u32) -> &N {
        self.nodes[node as usize].as_ref().expect("nodes are dropped with the links to them")
    }
}

impl<N: Clone> IndexMut<u32> for Pool<N> {
    #[inline]
    fn index_mut(&mut self, node: u32) -> &mut N {
        self.nodes[node as usize].as_mut().expect("nodes are dropped with the links to them").make_mut()
    }
}

impl<N: Node> Pool<N> {
    /// Adds an empty node.
    pub fn add(&mut self) -> u32 {
        let node = Some(Shared::new(N::new()));
        self.used += 1;
        while let Some(number) = self.free.pop() {
            if let Some(room) = self.nodes.get_mut(number as usize) {
                *room = node;
                return number;
            }
        }
        self.nodes.push(node);
        (self.nodes.len() - 1) as u32
    }

    /// Drops a node.
    pub fn remove(&mut self, node: u32) {
        self.used -= 1;
        self.nodes[node as usize] = None;
        self.free.push(node);
        while self.nodes.pop_if(|last| last.is_none()).is_some() {}
        if self.nodes.len() * 4 < self.nodes.capacity() {
            self.nodes.shrink_to(self.nodes.len() * 2);
            self.free.retain(|&node| (node as usize) < self.nodes.len());
            self.free.shrink_to(self.nodes.len() * 2);
        }
    }

    /// Frees one node, and says so. No node can be asked for from then on.
    pub fn free_node(&mut self) -> Option<usize> {
        self.nodes.pop().map(|_| 1)
    }

    /// Adds an item to a node, or to it and a new one behind it, whose number it returns, if the node is full. On the tree's edge the
    /// old node stays as full as it is: sets that are filled in order are packed.
    pub fn insert(&mut self, node: u32, at: usize, item: N::Item, edge: Edge) -> Option<u32> {
        let old = &mut self[node];
        if old.len() < N::CAPACITY {
            old.insert(at, item);
            return None;
        }
        let middle = match edge {
            Edge { is_last: true, .. } if at == N::CAPACITY => at,
            Edge { is_first: true, .. } if at <= 1 => at,
            _ => N::CAPACITY / 2,
        };
        let right = self.add();
        let (left, right_node) = self.pair(node, right);
        right_node.insert_run(0, left, middle..N::CAPACITY);
        left.remove_run(middle..N::CAPACITY);
        if at > middle || middle == N::CAPACITY {
            right_node.insert(at - middle, item);
        } else {
            left.insert(at, item);
        }
        Some(right)
    }

    /// Moves all items of `right` to `left` if they fit, else half of all to each; whether they fitted.
    pub fn join(&mut self, left: u32, right: u32) -> bool {
        let (left, right) = self.pair(left, right);
        let (left_len, right_len) = (left.len(), right.len());
        let middle = (left_len + right_len) / 2;
        if left_len + right_len <= N::CAPACITY {
            left.insert_run(left_len, right, 0..right_len);
            right.remove_run(0..right_len);
            return true;
        }
        if left_len < middle {
            left.insert_run(left_len, right, 0..middle - left_len);
            right.remove_run(0..middle - left_len);
        } else {
            right.insert_run(0, left, middle..left_len);
            left.remove_run(middle..left_len);
        }
        false
    }

    /// Bytes of the nodes and the lists of them.
    pub fn allocated_bytes(&self) -> usize {
        self.len() * node_bytes::<N>()
            + self.nodes.capacity() * size_of::<Option<Shared<N>>>()
            + self.free.capacity() * size_of::<u32>()
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.used
    }

    fn pair(&mut self, one: u32, other: u32) -> (&mut N, &mut N) {
        let pair = self.nodes.get_disjoint_mut([one as usize, other as usize]);
        let Ok([Some(one), Some(other)]) = pair else { unreachable!("two nodes of the tree") };
        (one.make_mut(), other.make_mut())
    }
}

/// Whether a node is the first or the last of its level.
#[derive(Clone, Copy, Debug)]
pub struct Edge {
    /// No node of the level is before it.
    pub is_first: bool,
    /// No node of the level is behind it.
    pub is_last: bool,
}

impl Edge {
    /// The same of the child at a position.
    #[inline]
    pub fn of_child(self, at: usize, parent: &Inner) -> Edge {
        Edge { is_first: self.is_first && at == 0, is_last: self.is_last && at + 1 == parent.len() }
    }
}
