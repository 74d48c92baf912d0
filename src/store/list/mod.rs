//! Lists: one listpack while it fits a node, else a chain of them. Owns the choice between the two, by the rules of Redis 7.2.
//! Never looks a key up.
//!
//! | form | while | `OBJECT ENCODING` |
//! |---|---|---|
//! | one listpack | it fits a node (`list-max-listpack-size`) | `listpack` |
//! | a chain of nodes | it does not, or did not and has not shrunk to one node at half of the bound since | `quicklist` |
//!
//! Indices count from the head and are those of elements that exist, unless it is said otherwise.

mod change;
mod items;
mod limit;
mod nodes;
mod pack;
mod wanted;

use crate::store::collection::{Change, Collection, EncodingLimits};
use crate::store::effect::{Effect, End};
use crate::store::list::limit::Limit;
use crate::store::list::nodes::{Found, Kept, Nodes};
use crate::store::list::pack::Pack;
use crate::store::listpack::{Item, Listpack};
use crate::store::object::{Kind, Packing, Value, ValueRef};

pub use crate::store::list::items::Items;
pub use crate::store::list::wanted::Wanted;

/// A list.
#[derive(Clone, Debug)]
pub struct List(Form);

#[derive(Clone, Debug)]
enum Form {
    Packed(Pack),
    Chain(Box<Nodes>),
}

impl Default for List {
    fn default() -> List {
        List(Form::Packed(Pack::default()))
    }
}

/// Elements in order, whatever form they have.
impl PartialEq for List {
    fn eq(&self, other: &List) -> bool {
        let same = |(a, b): (Item<'_>, Item<'_>)| a.with_bytes(|a| b.with_bytes(|b| a == b));
        self.len() == other.len() && self.view().iter().zip(other.view().iter()).all(same)
    }
}

/// A run of elements as it is stored: what `RDB` and `DUMP` write and read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node<'a> {
    /// A listpack.
    Packed(&'a [u8]),
    /// One large element.
    Plain(&'a [u8]),
}

// ----------------------------------------------------------------------------------------------------------
// Reading
// ----------------------------------------------------------------------------------------------------------

/// A list, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct ListRef<'a>(View<'a>);

#[derive(Clone, Copy, Debug)]
enum View<'a> {
    Packed(Listpack<'a>),
    Chain(&'a Nodes),
}

impl<'a> ListRef<'a> {
    /// How many elements.
    #[inline]
    pub fn len(self) -> usize {
        match self.0 {
            View::Packed(pack) => pack.len(),
            View::Chain(nodes) => nodes.len(),
        }
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The element with this index, if there is one; negative ones count from the tail, the last element being -1.
    pub fn get(self, index: i64) -> Option<Item<'a>> {
        match self.0 {
            View::Packed(pack) => pack.get(index),
            View::Chain(nodes) => {
                let (at, inside) = nodes.locate(self.index(index)?);
                match nodes.node(at) {
                    Kept::Packed(pack) => pack.view().get(inside as i64),
                    Kept::Plain(bytes) => Some(Item::Bytes(bytes)),
                }
            }
        }
    }

    /// The index of an element from the head, if there is one with this index; negative ones count from the tail.
    pub fn index(self, index: i64) -> Option<usize> {
        let len = self.len() as i64;
        let from_head = if index < 0 { len.checked_add(index)? } else { index };
        (0..len).contains(&from_head).then_some(from_head as usize)
    }

    /// All elements, head first.
    pub fn iter(self) -> Items<'a> {
        self.iter_from(0)
    }

    /// The elements from the one with this index on to the tail; none if it does not exist.
    #[inline]
    pub fn iter_from(self, index: usize) -> Items<'a> {
        self.walk(index, false)
    }

    /// The elements from the one with this index back to the head; none if it does not exist.
    #[inline]
    pub fn iter_back_from(self, index: usize) -> Items<'a> {
        self.walk(index, true)
    }

    fn walk(self, index: usize, backwards: bool) -> Items<'a> {
        match self.0 {
            _ if index >= self.len() => Items::none(),
            View::Packed(pack) => Items::of_pack(pack, index, backwards),
            View::Chain(nodes) => Items::of_nodes(nodes, index, backwards),
        }
    }

    /// Up to `count` elements at an end, the outermost first: those that popping takes, in that order.
    pub fn at_end(self, end: End, count: usize) -> impl Iterator<Item = Item<'a>> {
        let items = match end {
            End::Left => self.iter(),
            End::Right => self.iter_back_from(self.len().wrapping_sub(1)),
        };
        items.take(count)
    }

    /// The runs of elements as they are stored, head first. A list that is one listpack is one node.
    pub fn nodes(self) -> impl Iterator<Item = Node<'a>> {
        let (one, chain) = match self.0 {
            View::Packed(pack) => (Some(Node::Packed(pack.bytes())), None),
            View::Chain(nodes) => (None, Some(nodes)),
        };
        one.into_iter().chain(chain.into_iter().flat_map(Nodes::iter).map(|node| match node {
            Kept::Packed(pack) => Node::Packed(pack.bytes()),
            Kept::Plain(bytes) => Node::Plain(bytes),
        }))
    }

    /// How many nodes there are.
    pub fn node_count(self) -> usize {
        match self.0 {
            View::Packed(_) => 1,
            View::Chain(nodes) => nodes.iter().len(),
        }
    }
}

// ----------------------------------------------------------------------------------------------------------
// Changing, without leaving effects: for values that are no key's
// ----------------------------------------------------------------------------------------------------------

impl List {
    /// A list of these nodes, whose listpacks have been checked. Empty ones are left out; there may be none.
    pub fn from_nodes<'a>(nodes: impl IntoIterator<Item = Node<'a>>, limits: &EncodingLimits) -> List {
        let limit = Limit::of(limits.list_node_size);
        let kept = nodes.into_iter().filter_map(|node| match node {
            Node::Packed(bytes) => {
                let pack = Pack::new(bytes.to_vec());
                (pack.len() > 0).then(|| pack.into())
            }
            Node::Plain(bytes) => Some(Kept::plain(bytes)),
        });
        let mut chain: Nodes = kept.collect();
        List(match chain.take_only_pack(|bytes, len| limit.allows(bytes, len)) {
            Some(pack) => Form::Packed(pack),
            None if chain.len() == 0 => Form::Packed(Pack::default()),
            None => Form::Chain(Box::new(chain)),
        })
    }

    /// A list of these elements.
    pub fn from_elements<'a>(elements: impl IntoIterator<Item = &'a [u8]>, limits: &EncodingLimits) -> List {
        let (mut list, limit) = (List::default(), Limit::of(limits.list_node_size));
        for element in elements {
            list.make_room(element.len(), 1, limit);
            list.push(End::Right, element, limit);
        }
        list
    }

    fn len(&self) -> usize {
        match &self.0 {
            Form::Packed(pack) => pack.len(),
            Form::Chain(nodes) => nodes.len(),
        }
    }

    /// Makes one listpack a chain if `added` elements of so many bytes together would not fit it.
    fn make_room(&mut self, bytes: usize, added: usize, limit: Limit) {
        if let Form::Packed(pack) = &mut self.0
            && !limit.allows(pack.bytes().len() + bytes, pack.len() + added)
        {
            let pack = std::mem::take(pack);
            let only = (pack.len() > 0).then(|| Kept::from(pack));
            self.0 = Form::Chain(Box::new(only.into_iter().collect()));
        }
    }

    /// Makes a chain one listpack if it has become short.
    fn settle(&mut self, limit: Limit) {
        if let Form::Chain(nodes) = &mut self.0
            && let Some(pack) = nodes.take_only_pack(|bytes, len| limit.allows_return(bytes, len))
        {
            self.0 = Form::Packed(pack);
        }
    }

    /// Adds an element at an end, for which `make_room` has been called.
    #[inline]
    fn push(&mut self, end: End, element: &[u8], limit: Limit) {
        match (&mut self.0, end) {
            (Form::Packed(pack), End::Left) => pack.push_front(Item::Bytes(element)),
            (Form::Packed(pack), End::Right) => pack.push_back(Item::Bytes(element)),
            (Form::Chain(nodes), _) => nodes.push(end, element, limit),
        }
    }

    /// Removes `count` elements, of which there are as many, from an end.
    fn pop(&mut self, end: End, count: usize, limit: Limit) {
        match (&mut self.0, end) {
            (Form::Packed(pack), End::Left) => pack.remove_front(count),
            (Form::Packed(pack), End::Right) => pack.remove_back(count),
            (Form::Chain(nodes), _) => nodes.pop(end, count),
        }
        self.settle(limit);
    }

    /// Puts an element before the one with this index, or behind the last one.
    fn insert(&mut self, index: usize, element: &[u8], limit: Limit) {
        self.make_room(element.len(), 1, limit);
        let len = self.len();
        match &mut self.0 {
            _ if index == 0 => self.push(End::Left, element, limit),
            _ if index == len => self.push(End::Right, element, limit),
            Form::Packed(pack) => pack.insert(index, Item::Bytes(element)),
            Form::Chain(nodes) => nodes.insert(index, element, limit),
        }
    }

    fn set(&mut self, index: usize, element: &[u8], limit: Limit) {
        self.make_room(element.len(), 1, limit);
        match &mut self.0 {
            Form::Packed(pack) => pack.replace(index, Item::Bytes(element)),
            Form::Chain(nodes) => nodes.set(index, element, limit),
        }
        self.settle(limit);
    }

    fn remove(&mut self, index: usize, limit: Limit) {
        match &mut self.0 {
            Form::Packed(pack) => pack.remove(index),
            Form::Chain(nodes) => nodes.remove(index, limit),
        }
        self.settle(limit);
    }

    /// Removes up to `count` elements that are `wanted`, those nearest to an end, and calls `removed` with the index that each
    /// has when it goes. Returns how many.
    fn remove_matching(
        &mut self,
        wanted: Wanted<'_>,
        end: End,
        count: usize,
        limit: Limit,
        mut removed: impl FnMut(usize),
    ) -> usize {
        let gone = match &mut self.0 {
            Form::Packed(pack) => {
                let mut found = Found::default();
                found.search(pack, wanted, end, count);
                found.report(end, 0, &mut removed);
                if !found.positions.is_empty() {
                    pack.remove_all(&found.positions);
                }
                found.positions.len()
            }
            Form::Chain(nodes) => nodes.remove_matching(wanted, end, count, limit, removed),
        };
        if gone > 0 {
            self.settle(limit);
        }
        gone
    }
}

impl Collection for List {
    const KIND: Kind = Kind::List;
    type View<'a> = ListRef<'a>;

    #[inline]
    fn view(&self) -> ListRef<'_> {
        ListRef(match &self.0 {
            Form::Packed(pack) => View::Packed(pack.view()),
            Form::Chain(nodes) => View::Chain(nodes),
        })
    }

    #[inline]
    fn view_packed(_: Packing, bytes: &[u8]) -> ListRef<'_> {
        ListRef(View::Packed(Listpack::new(bytes)))
    }

    #[inline]
    fn view_of(value: ValueRef<'_>) -> Option<ListRef<'_>> {
        match value {
            ValueRef::List(list) => Some(list),
            _ => None,
        }
    }

    fn from_packed(_: Packing, bytes: Vec<u8>) -> List {
        List(Form::Packed(Pack::new(bytes)))
    }

    fn as_packed(&self) -> Option<(Packing, &[u8])> {
        match &self.0 {
            Form::Packed(pack) => Some((Packing::List, pack.bytes())),
            Form::Chain(_) => None,
        }
    }

    fn into_packed(self) -> Option<Vec<u8>> {
        match self.0 {
            Form::Packed(pack) => Some(pack.into_bytes()),
            Form::Chain(_) => None,
        }
    }

    fn of_mut(value: &mut Value) -> Option<&mut List> {
        match value {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    fn into_value(self) -> Value {
        Value::List(self)
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn allocated_bytes(&self) -> usize {
        match &self.0 {
            Form::Packed(pack) => pack.allocated_bytes(),
            Form::Chain(nodes) => size_of::<Nodes>() + nodes.allocated_bytes(),
        }
    }

    fn encoding(view: ListRef<'_>) -> &'static str {
        match view.0 {
            View::Packed(_) => "listpack",
            View::Chain(_) => "quicklist",
        }
    }

    /// Places are numbers of nodes: a node is emitted whole.
    fn effects_part(
        view: ListRef<'_>,
        key: &[u8],
        from: u64,
        elements: usize,
        emit: &mut dyn FnMut(Effect<'_>),
    ) -> Option<u64> {
        let mut push = |item: Item<'_>| {
            item.with_bytes(|element| emit(Effect::ListPush { key, end: End::Right, element }));
        };
        let nodes = match view.0 {
            View::Packed(pack) => {
                pack.iter().for_each(push);
                return None;
            }
            View::Chain(nodes) => nodes,
        };
        let mut pushed = 0;
        for (at, node) in (from..).zip(nodes.iter_from(from as usize)) {
            if pushed >= elements.max(1) {
                return Some(at);
            }
            pushed += node.len();
            match node {
                Kept::Packed(pack) => pack.view().iter().for_each(&mut push),
                Kept::Plain(element) => push(Item::Bytes(element)),
            }
        }
        None
    }

    fn free_part(&mut self, elements: usize) -> bool {
        match &mut self.0 {
            Form::Packed(pack) => {
                *pack = Pack::default();
                false
            }
            Form::Chain(nodes) => nodes.free_part(elements),
        }
    }

    fn replay(list: &mut Change<'_, List>, effect: &Effect<'_>) {
        match *effect {
            Effect::ListPush { end, element, .. } => list.push(end, [element]),
            Effect::ListPop { end, count, .. } => list.pop(end, count as usize),
            Effect::ListSet { index, element, .. } => list.set(index as usize, element),
            Effect::ListInsert { index, element, .. } => list.insert(index as usize, element),
            Effect::ListRemove { index, .. } => list.remove(index as usize),
            _ => unreachable!("the effect is about a list"),
        }
    }
}

#[cfg(test)]
mod tests;
