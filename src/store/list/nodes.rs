//! A long list: a chain of listpacks, with what Redis calls plain nodes for elements too large for any of them.
//! Owns the counts that make its length and its memory known at once; never decides when a list is long.
//!
//! The nodes are those that Redis's quicklist would have: pushing fills the node at the end up to the limit, a full node in the
//! middle is split where something is inserted, and neighbours are merged where both fit one node. They stand in a ring buffer
//! rather than being linked, so finding an index reads their lengths one after the other: 1,500 of them for a million
//! elements, 24 KB apart from the elements. A copy of the chain shares the nodes until either changes one.

use std::collections::{VecDeque, vec_deque};
use std::ops::Deref;

use crate::store::effect::End;
use crate::store::list::limit::Limit;
use crate::store::list::pack::Pack;
use crate::store::list::wanted::Wanted;
use crate::store::listpack::Item;
use crate::sys::shared::{Shared, clone_ahead};

/// One node, as it is kept.
#[derive(Clone, Debug)]
pub enum Kept {
    /// Some elements.
    Packed(SharedPack),
    /// One large element.
    Plain(Shared<Box<[u8]>>),
}

/// A pack that copies of the list may have too. Its length stands here as well: whoever looks for an index reads those of many.
#[derive(Clone, Debug)]
pub struct SharedPack {
    pack: Shared<Pack>,
    len: u32,
}

impl SharedPack {
    /// How many elements.
    #[inline]
    pub fn len(&self) -> usize {
        self.len as usize
    }

    #[inline]
    fn change<R>(&mut self, change: impl FnOnce(&mut Pack) -> R) -> R {
        let pack = self.pack.make_mut();
        let result = change(pack);
        self.len = pack.len() as u32;
        result
    }
}

impl Deref for SharedPack {
    type Target = Pack;

    #[inline]
    fn deref(&self) -> &Pack {
        &self.pack
    }
}

impl From<Pack> for Kept {
    fn from(pack: Pack) -> Kept {
        let len = pack.len() as u32;
        Kept::Packed(SharedPack { pack: Shared::new(pack), len })
    }
}

impl Kept {
    /// A node that is one large element.
    pub fn plain(element: &[u8]) -> Kept {
        Kept::Plain(Shared::new(element.into()))
    }

    #[inline]
    pub fn len(&self) -> usize {
        match self {
            Kept::Packed(pack) => pack.len(),
            Kept::Plain(_) => 1,
        }
    }

    pub fn allocated_bytes(&self) -> usize {
        match self {
            Kept::Packed(pack) => Shared::<Pack>::ALLOCATED_BYTES + pack.allocated_bytes(),
            Kept::Plain(bytes) => Shared::<Box<[u8]>>::ALLOCATED_BYTES + bytes.len(),
        }
    }

    /// A node between others, of one element.
    fn single(element: &[u8], limit: Limit) -> Kept {
        if limit.is_plain(element.len()) {
            Kept::plain(element)
        } else {
            Pack::single(Item::Bytes(element)).into()
        }
    }

    /// Whether an element of `added` bytes may join it.
    #[inline]
    fn has_room(&self, added: usize, limit: Limit) -> bool {
        match self {
            Kept::Packed(pack) => limit.allows_one_more(pack.bytes().len(), pack.len(), added),
            Kept::Plain(_) => false,
        }
    }

    /// Changes it if it is a pack.
    #[inline]
    fn change<R>(&mut self, change: impl FnOnce(&mut Pack) -> R) -> Option<R> {
        match self {
            Kept::Packed(pack) => Some(pack.change(change)),
            Kept::Plain(_) => None,
        }
    }

    fn prefetch(&self) {
        match self {
            Kept::Packed(pack) => pack.pack.prefetch(),
            Kept::Plain(element) => element.prefetch(),
        }
    }
}

/// The chain.
#[derive(Debug, Default)]
pub struct Nodes {
    nodes: VecDeque<Kept>,
    len: usize,
    /// Bytes of the nodes' own allocations.
    node_bytes: usize,
}

impl Clone for Nodes {
    fn clone(&self) -> Nodes {
        Nodes { nodes: clone_ahead(self.nodes.iter(), Kept::prefetch).collect(), ..*self }
    }
}

impl FromIterator<Kept> for Nodes {
    fn from_iter<I: IntoIterator<Item = Kept>>(kept: I) -> Nodes {
        let mut nodes = Nodes::default();
        for node in kept {
            nodes.len += node.len();
            nodes.insert_node(nodes.nodes.len(), node);
        }
        nodes
    }
}

impl Nodes {
    /// How many elements.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Bytes of all allocations but that of the value itself.
    pub fn allocated_bytes(&self) -> usize {
        self.node_bytes + self.nodes.capacity() * size_of::<Kept>()
    }

    /// What the nodes' own allocations are counted to be.
    #[cfg(test)]
    pub fn node_bytes(&self) -> usize {
        self.node_bytes
    }

    /// The nodes, first to last.
    pub fn iter(&self) -> vec_deque::Iter<'_, Kept> {
        self.nodes.iter()
    }

    /// The nodes from the one at `at` on.
    pub fn iter_from(&self, at: usize) -> vec_deque::Iter<'_, Kept> {
        self.nodes.range(at..)
    }

    /// Frees so many nodes; whether there are more. The counts are wrong from then on.
    pub fn free_part(&mut self, nodes: usize) -> bool {
        self.nodes.truncate(self.nodes.len().saturating_sub(nodes));
        !self.nodes.is_empty()
    }

    /// The nodes behind the one at `at`, or those before it.
    pub fn beyond(&self, at: usize, backwards: bool) -> vec_deque::Iter<'_, Kept> {
        if backwards { self.nodes.range(..at) } else { self.nodes.range(at + 1..) }
    }

    /// The node at `at`.
    #[inline]
    pub fn node(&self, at: usize) -> &Kept {
        &self.nodes[at]
    }

    /// The node that has the element with this index, and the element's index there. The element exists.
    pub fn locate(&self, index: usize) -> (usize, usize) {
        if index <= self.len / 2 {
            let mut left = index;
            for (at, node) in self.nodes.iter().enumerate() {
                if left < node.len() {
                    return (at, left);
                }
                left -= node.len();
            }
        } else {
            let mut behind = self.len - index;
            for (at, node) in self.nodes.iter().enumerate().rev() {
                if behind <= node.len() {
                    return (at, node.len() - behind);
                }
                behind -= node.len();
            }
        }
        unreachable!("the length is that of all nodes")
    }

    /// The one listpack, if there is no more than that and its bytes and elements are such that it `may` stand alone.
    pub fn take_only_pack(&mut self, may: impl FnOnce(usize, usize) -> bool) -> Option<Pack> {
        let only = match self.nodes.front()? {
            Kept::Packed(pack) if self.nodes.len() == 1 => pack,
            _ => return None,
        };
        if !may(only.bytes().len(), only.len()) {
            return None;
        }
        match self.nodes.pop_front()? {
            Kept::Packed(pack) => Some(pack.pack.into_value()),
            Kept::Plain(_) => None,
        }
    }

    // At the ends -------------------------------------------------------------------------------------------------

    /// Adds an element at an end.
    pub fn push(&mut self, end: End, element: &[u8], limit: Limit) {
        self.len += 1;
        let item = Item::Bytes(element);
        let at_end = match end {
            End::Left => self.nodes.front_mut(),
            End::Right => self.nodes.back_mut(),
        };
        if let Some(last) = at_end {
            let before = last.allocated_bytes();
            if last.has_room(element.len(), limit) {
                last.change(|pack| match end {
                    End::Left => pack.push_front(item),
                    End::Right => pack.push_back(item),
                });
                self.node_bytes = self.node_bytes + last.allocated_bytes() - before;
                return;
            }
            // It is no end any more.
            last.change(Pack::seal);
            self.node_bytes = self.node_bytes + last.allocated_bytes() - before;
        }
        let node = match end {
            _ if limit.is_plain(element.len()) => Kept::plain(element),
            End::Left => Pack::first_at_front(item).into(),
            End::Right => Pack::first_at_back(item).into(),
        };
        self.node_bytes += node.allocated_bytes();
        match end {
            End::Left => self.nodes.push_front(node),
            End::Right => self.nodes.push_back(node),
        }
    }

    /// Removes `count` elements, of which there are as many, from an end.
    pub fn pop(&mut self, end: End, count: usize) {
        self.len -= count;
        let mut left = count;
        while left > 0 {
            let last = match end {
                End::Left => self.nodes.front_mut(),
                End::Right => self.nodes.back_mut(),
            };
            let last = last.expect("there are as many elements");
            let before = last.allocated_bytes();
            match last {
                Kept::Packed(pack) if left < pack.len() => {
                    pack.change(|pack| match end {
                        End::Left => pack.remove_front(left),
                        End::Right => pack.remove_back(left),
                    });
                    self.node_bytes = self.node_bytes + last.allocated_bytes() - before;
                    return;
                }
                _ => left -= last.len(),
            }
            match end {
                End::Left => self.nodes.pop_front(),
                End::Right => self.nodes.pop_back(),
            };
            self.node_bytes -= before;
            self.give_back();
        }
    }

    // In the middle -----------------------------------------------------------------------------------------------

    /// Puts an element before the one with this index; there is one.
    pub fn insert(&mut self, index: usize, element: &[u8], limit: Limit) {
        let (at, inside) = self.locate(index);
        self.len += 1;
        let item = Item::Bytes(element);
        if self.change_pack(at, |pack| pack.insert(inside, item), element.len(), limit) {
            return;
        }
        if inside == 0 {
            if at > 0 && self.change_pack(at - 1, |pack| pack.push_back(item), element.len(), limit) {
                return;
            }
            return self.insert_node(at, Kept::single(element, limit));
        }
        let node = &mut self.nodes[at];
        let before = node.allocated_bytes();
        let behind = node.change(|pack| pack.split_off(inside)).expect("a plain node has one element");
        self.node_bytes = self.node_bytes + node.allocated_bytes() - before;
        self.insert_node(at + 1, behind.into());
        self.insert_node(at + 1, Kept::single(element, limit));
        self.merge_around(at + 1, limit);
    }

    /// Puts an element in the place of the one with this index; there is one.
    pub fn set(&mut self, index: usize, element: &[u8], limit: Limit) {
        let (at, inside) = self.locate(index);
        let node = &mut self.nodes[at];
        let before = node.allocated_bytes();
        let fits = match node {
            Kept::Plain(bytes) if limit.is_plain(element.len()) => {
                *bytes = Shared::new(element.into());
                true
            }
            Kept::Packed(pack)
                if pack.len() > 1
                    && limit.allows_one_more(pack.bytes().len(), pack.len() - 1, element.len()) =>
            {
                pack.change(|pack| pack.replace(inside, Item::Bytes(element)));
                true
            }
            _ if node.len() == 1 => {
                *node = Kept::single(element, limit);
                true
            }
            _ => false,
        };
        self.node_bytes = self.node_bytes + self.nodes[at].allocated_bytes() - before;
        if !fits {
            self.insert(index, element, limit);
            self.remove(index + 1, limit);
        }
    }

    /// Removes the element with this index; there is one.
    pub fn remove(&mut self, index: usize, limit: Limit) {
        let (at, inside) = self.locate(index);
        self.len -= 1;
        let node = &mut self.nodes[at];
        let before = node.allocated_bytes();
        match node {
            Kept::Packed(pack) if pack.len() > 1 => {
                pack.change(|pack| pack.remove(inside));
                self.node_bytes = self.node_bytes + node.allocated_bytes() - before;
                self.merge_small(at, limit);
            }
            _ => self.remove_node(at),
        }
    }

    /// Removes up to `count` elements that are `wanted`, those nearest to an end, and calls `removed` with the index that each
    /// has when it goes. Returns how many.
    pub fn remove_matching(
        &mut self,
        wanted: Wanted<'_>,
        end: End,
        count: usize,
        limit: Limit,
        mut removed: impl FnMut(usize),
    ) -> usize {
        let (mut left, mut found) = (count, Found::default());
        // Index of the first element not looked at yet; from the tail, index behind the last one.
        let mut edge = if end == End::Left { 0 } else { self.len };
        for step in 0..self.nodes.len() {
            let at = if end == End::Left { step } else { self.nodes.len() - 1 - step };
            let node = &mut self.nodes[at];
            let len = node.len();
            let first = if end == End::Left { edge } else { edge - len };
            match node {
                Kept::Packed(pack) => {
                    found.search(pack, wanted, end, left);
                    found.report(end, first, &mut removed);
                    if !found.positions.is_empty() {
                        pack.change(|pack| pack.remove_all(&found.positions));
                    }
                }
                Kept::Plain(bytes) if wanted.is(Item::Bytes(bytes)) => {
                    removed(first);
                    *node = Pack::default().into();
                }
                Kept::Plain(_) => {}
            }
            left -= len - node.len();
            if left == 0 {
                break;
            }
            edge = if end == End::Left { first + node.len() } else { first };
        }
        if left < count {
            self.len -= count - left;
            self.sweep(limit);
        }
        count - left
    }

    // Nodes -------------------------------------------------------------------------------------------------------

    fn insert_node(&mut self, at: usize, node: Kept) {
        self.node_bytes += node.allocated_bytes();
        self.nodes.insert(at, node);
    }

    fn remove_node(&mut self, at: usize) {
        if let Some(node) = self.nodes.remove(at) {
            self.node_bytes -= node.allocated_bytes();
        }
        self.give_back();
    }

    /// Gives back the ring buffer's space once most of it is unused.
    fn give_back(&mut self) {
        if self.nodes.capacity() > 16 && self.nodes.len() < self.nodes.capacity() / 4 {
            self.nodes.shrink_to(2 * self.nodes.len());
        }
    }

    /// Changes the pack at `at`, to which an element of `added` bytes comes, if it has room for it; whether it has.
    fn change_pack(&mut self, at: usize, change: impl FnOnce(&mut Pack), added: usize, limit: Limit) -> bool {
        let is_end = at == 0 || at + 1 == self.nodes.len();
        let node = &mut self.nodes[at];
        let before = node.allocated_bytes();
        if !node.has_room(added, limit) {
            return false;
        }
        node.change(|pack| {
            change(pack);
            if !is_end {
                pack.seal();
            }
        });
        self.node_bytes = self.node_bytes + node.allocated_bytes() - before;
        true
    }

    /// Merges the node at `at` and the one behind it, if both are packs and one node may hold them; whether it was so.
    fn merge(&mut self, at: usize, may: impl FnOnce(&Pack, &Pack) -> bool) -> bool {
        let (Some(Kept::Packed(first)), Some(Kept::Packed(second))) =
            (self.nodes.get(at), self.nodes.get(at + 1))
        else {
            return false;
        };
        if !may(first, second) {
            return false;
        }
        let Some(second) = self.nodes.remove(at + 1) else { unreachable!("it was there") };
        let first = &mut self.nodes[at];
        let before = first.allocated_bytes() + second.allocated_bytes();
        if let Kept::Packed(second) = &second {
            first.change(|first| first.append(second));
        }
        self.node_bytes = self.node_bytes + first.allocated_bytes() - before;
        true
    }

    /// After a split: merges what fits among the node at `at` and two on each side of it, as Redis does.
    fn merge_around(&mut self, at: usize, limit: Limit) {
        let may = |first: &Pack, second: &Pack| {
            limit.allows_merge(first.bytes().len() + second.bytes().len(), first.len() + second.len())
        };
        let mut at = at;
        if at >= 2 && self.merge(at - 2, may) {
            at -= 1;
        }
        self.merge(at + 1, may);
        if at >= 1 && self.merge(at - 1, may) {
            at -= 1;
        }
        self.merge(at, may);
    }

    /// After a removal: merges the node at `at` with a neighbour if both fill no more than half a node. Redis leaves them, and
    /// a list of which most was removed here and there keeps all its nodes. The last two stay two, for a list of one
    /// node may become a listpack and that would show.
    fn merge_small(&mut self, at: usize, limit: Limit) {
        let may = |first: &Pack, second: &Pack| may_merge_small(limit, first, second);
        if self.nodes.len() > 2 && !self.merge(at, may) && at > 0 {
            self.merge(at - 1, may);
        }
    }

    /// Leaves out the nodes that have become empty and merges as `merge_small` does, all in one pass: taking nodes out of the
    /// ring buffer one by one would move the others each time.
    fn sweep(&mut self, limit: Limit) {
        let mut count = self.nodes.iter().filter(|node| node.len() > 0).count();
        let mut swept: VecDeque<Kept> = VecDeque::with_capacity(count);
        for node in self.nodes.drain(..).filter(|node| node.len() > 0) {
            if let (Some(Kept::Packed(last)), Kept::Packed(pack)) = (swept.back_mut(), &node)
                && count > 2
                && may_merge_small(limit, last, pack)
            {
                last.change(|last| last.append(pack));
                count -= 1;
            } else {
                swept.push_back(node);
            }
        }
        self.node_bytes = swept.iter().map(Kept::allocated_bytes).sum();
        self.nodes = swept;
        self.give_back();
    }
}

/// Whether two neighbours together fill no more than half a node.
fn may_merge_small(limit: Limit, first: &Pack, second: &Pack) -> bool {
    let (bytes, len) = (first.bytes().len() + second.bytes().len(), first.len() + second.len());
    limit.allows_return(bytes, len) && limit.allows_merge(bytes, len)
}

/// Where a search found what it wanted in one pack, first to last.
#[derive(Default)]
pub struct Found {
    pub positions: Vec<usize>,
    indices: Vec<usize>,
}

impl Found {
    /// Finds up to `count` elements that are `wanted`, those nearest to an end.
    pub fn search(&mut self, pack: &Pack, wanted: Wanted<'_>, end: End, count: usize) {
        self.positions.clear();
        self.indices.clear();
        let view = pack.view();
        let (mut at, mut index) = (view.first(), 0);
        while let Some(position) = at {
            if wanted.is(view.item(position)) {
                self.positions.push(position);
                self.indices.push(index);
                if end == End::Left && self.positions.len() == count {
                    return;
                }
            }
            at = view.next(position);
            index += 1;
        }
        let surplus = self.positions.len().saturating_sub(count);
        self.positions.drain(..surplus);
        self.indices.drain(..surplus);
    }

    /// Calls `removed` with the index of each when it goes, if they go one after the other beginning at an end; the pack's first
    /// element has index `first`.
    pub fn report(&self, end: End, first: usize, removed: &mut impl FnMut(usize)) {
        match end {
            End::Left => self.indices.iter().enumerate().for_each(|(gone, i)| removed(first + i - gone)),
            End::Right => self.indices.iter().rev().for_each(|i| removed(first + i)),
        }
    }
}
