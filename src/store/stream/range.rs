//! The entries of a stream between two ids, in either direction. Owns the walk from node to node; never changes anything.

use crate::store::stream::id::StreamId;
use crate::store::stream::node::{Entry, Node, NodeEntries, NodeEntriesBack};
use crate::store::stream::nodes::{self, Nodes};

/// The entries between two ids, the first one first. A copy of it walks from where it is, without searching again.
#[derive(Clone, Debug)]
pub struct Range<'a> {
    /// The first entry, which was found when the range was made.
    first: Option<Entry<'a>>,
    nodes: nodes::Iter<'a>,
    node: Option<NodeEntries<'a>>,
    end: StreamId,
}

impl<'a> Range<'a> {
    /// The entries of `nodes` from `start` through `end`.
    pub(super) fn new(nodes: &'a Nodes, start: StreamId, end: StreamId) -> Range<'a> {
        let first = nodes.count_up_to(start).saturating_sub(1);
        let nodes = nodes.between(first, nodes.count_up_to(end));
        let mut range = Range { first: None, nodes, node: None, end };
        range.first = loop {
            match range.step() {
                Some(entry) if entry.id < start => {}
                other => break other,
            }
        };
        range
    }

    /// The next entry, whatever its id.
    #[inline]
    fn step(&mut self) -> Option<Entry<'a>> {
        loop {
            if let Some(entry) = self.node.as_mut().and_then(Iterator::next) {
                return Some(entry);
            }
            let (master, bytes) = self.nodes.next()?;
            self.node = Some(Node::new(master, bytes).entries());
        }
    }
}

impl<'a> Iterator for Range<'a> {
    type Item = Entry<'a>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'a>> {
        self.first.take().or_else(|| self.step()).filter(|entry| entry.id <= self.end)
    }
}

/// The entries between two ids, the last one first. A copy of it walks from where it is, without searching again.
#[derive(Clone, Debug)]
pub struct RangeBack<'a> {
    /// The last entry, which was found when the range was made.
    first: Option<Entry<'a>>,
    nodes: nodes::Iter<'a>,
    node: Option<NodeEntriesBack<'a>>,
    start: StreamId,
}

impl<'a> RangeBack<'a> {
    /// The entries of `nodes` from `end` back through `start`.
    pub(super) fn new(nodes: &'a Nodes, start: StreamId, end: StreamId) -> RangeBack<'a> {
        let nodes = nodes.between(0, nodes.count_up_to(end));
        let mut range = RangeBack { first: None, nodes, node: None, start };
        range.first = loop {
            match range.step() {
                Some(entry) if entry.id > end => {}
                other => break other,
            }
        };
        range
    }

    #[inline]
    fn step(&mut self) -> Option<Entry<'a>> {
        loop {
            if let Some(entry) = self.node.as_mut().and_then(Iterator::next) {
                return Some(entry);
            }
            let (master, bytes) = self.nodes.next_back()?;
            self.node = Some(Node::new(master, bytes).entries_back());
        }
    }
}

impl<'a> Iterator for RangeBack<'a> {
    type Item = Entry<'a>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'a>> {
        self.first.take().or_else(|| self.step()).filter(|entry| entry.id >= self.start)
    }
}
