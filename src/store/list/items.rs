//! Walking over the elements of a list, from any of them in either direction. Reads only.

use std::collections::vec_deque;
use std::iter;

use crate::store::list::nodes::{Kept, Nodes};
use crate::store::list::pack::EMPTY;
use crate::store::listpack::{self, Item, Listpack};

/// Elements of a list in one direction.
#[derive(Clone, Debug)]
pub struct Items<'a> {
    /// What is left of the node that the walk has reached, if it is a pack.
    pack: listpack::Iter<'a>,
    /// Its one element, if it is not.
    plain: Option<&'a [u8]>,
    /// Nodes not reached yet.
    nodes: vec_deque::Iter<'a, Kept>,
    backwards: bool,
}

impl<'a> Items<'a> {
    /// Nothing.
    pub fn none() -> Items<'a> {
        Items { pack: nothing(), plain: None, nodes: vec_deque::Iter::default(), backwards: false }
    }

    /// The elements of one listpack from the one with this index on; it exists.
    pub fn of_pack(pack: Listpack<'a>, index: usize, backwards: bool) -> Items<'a> {
        Items { pack: part(pack, index, backwards), backwards, ..Items::none() }
    }

    /// The elements of a chain from the one with this index on; it exists.
    pub fn of_nodes(nodes: &'a Nodes, index: usize, backwards: bool) -> Items<'a> {
        let (at, inside) = nodes.locate(index);
        let (pack, plain) = match nodes.node(at) {
            Kept::Packed(pack) => (part(pack.view(), inside, backwards), None),
            Kept::Plain(bytes) => (nothing(), Some(&bytes[..])),
        };
        Items { pack, plain, nodes: nodes.beyond(at, backwards), backwards }
    }

    /// The first element of the next node, and the rest of that node for later.
    fn enter_next(&mut self) -> Option<Item<'a>> {
        if let Some(bytes) = self.plain.take() {
            return Some(Item::Bytes(bytes));
        }
        let next = if self.backwards { self.nodes.next_back() } else { self.nodes.next() };
        match next? {
            Kept::Packed(pack) => {
                self.pack = pack.view().iter();
                if self.backwards { self.pack.next_back() } else { self.pack.next() }
            }
            Kept::Plain(bytes) => Some(Item::Bytes(bytes)),
        }
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        let item = if self.backwards { self.pack.next_back() } else { self.pack.next() };
        item.or_else(|| self.enter_next())
    }
}

impl iter::FusedIterator for Items<'_> {}

fn nothing() -> listpack::Iter<'static> {
    Listpack::new(&EMPTY).iter()
}

fn part(pack: Listpack<'_>, index: usize, backwards: bool) -> listpack::Iter<'_> {
    let at = pack.seek(index as i64).expect("the element exists");
    if backwards { pack.iter_through(at) } else { pack.iter_from(at) }
}
