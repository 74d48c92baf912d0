//! Streams: entries in order of their ids, and the consumer groups that read them. Owns what a stream remembers besides its entries, and
//! the arithmetic on it; never parses ids, waits for entries or knows the time.
//!
//! Entries stand in nodes (`node`), listpacks in exactly Redis's format, in a tree by the id of their first entry. DUMP does not copy them:
//! it writes the live entries anew, in nodes of its own size (`store/rdb/stream`). A stream without entries is still a stream.
//!
//! # How far a group has read
//!
//! A group counts the entries it has read, of all that were ever added. The difference to `entries_added` is its lag. Deletions
//! and arbitrary ids make the count unknown, and `entries_read_at` says where it can be known again: at the last entry; at the first
//! entry or before it, if nothing behind it was deleted.

mod by_id;
mod change;
mod effects;
mod group;
mod id;
mod node;
mod nodes;
mod range;
mod shape;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::store::collection::{Change, Collection};
use crate::store::effect::Effect;
use crate::store::object::{Kind, Packing, Value, ValueRef};
use crate::store::stream::nodes::Nodes;

pub use crate::store::stream::change::{Trim, TrimTo};
pub use crate::store::stream::group::{Consumer, ConsumerParts, Group, GroupParts, Pending};
pub use crate::store::stream::id::StreamId;
pub use crate::store::stream::node::{Entry, Fields};
pub use crate::store::stream::range::{Range, RangeBack};

/// Bytes that the fields and values of one entry may have together, and a node's listpack: Redis's `STREAM_LISTPACK_MAX_SIZE`.
pub const ENTRY_BYTES_MAX: usize = 1 << 30;

/// A stream.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    nodes: Nodes,
    length: u64,
    last_id: StreamId,
    first_id: StreamId,
    max_deleted_id: StreamId,
    entries_added: u64,
    groups: BTreeMap<Box<[u8]>, Group>,
    /// Estimated bytes of the groups.
    group_bytes: usize,
}

/// What a stream remembers besides its entries and groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// The largest id ever given to an entry.
    pub last_id: StreamId,
    /// The largest id that was deleted with `XDEL`; 0-0 is none.
    pub max_deleted_id: StreamId,
    /// Entries ever added.
    pub entries_added: u64,
}

impl Stream {
    /// The stream that these nodes make: master ids in order, each with its listpack. Or what is wrong with them; every byte is
    /// looked at. Nodes without live entries are left out.
    pub fn from_nodes(
        nodes: impl IntoIterator<Item = (StreamId, Vec<u8>)>,
        metadata: Metadata,
    ) -> Result<Stream, &'static str> {
        let mut stream = Stream::default();
        let mut last = None;
        for (master, bytes) in nodes {
            let (live, last_live) = node::check(master, &bytes, last)?;
            if live == 0 {
                continue;
            }
            if stream.nodes.last().is_some_and(|(before, _)| before >= master) {
                return Err("stream nodes out of order");
            }
            last = last_live;
            stream.length += live;
            stream.nodes.push(master, bytes);
        }
        if last.is_some_and(|last| last > metadata.last_id) {
            return Err("stream with an entry behind its last id");
        }
        stream.set_metadata(metadata);
        stream.find_first();
        Ok(stream)
    }

    /// Adds a group that came with the nodes.
    pub fn insert_group(&mut self, name: &[u8], group: Group) -> Result<(), &'static str> {
        let bytes = group.bytes(name);
        if self.groups.insert(name.into(), group).is_some() {
            return Err("stream with two groups of one name");
        }
        self.group_bytes += bytes;
        Ok(())
    }

    /// Its nodes in order: master id and listpack.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = (StreamId, &[u8])> {
        self.nodes.iter_from(0)
    }

    /// How many nodes a radix tree of Redis would need for the master ids: what `XINFO STREAM` tells.
    pub fn radix_tree_nodes(&self) -> usize {
        shape::radix_tree_nodes(self.nodes().map(|(master, _)| master))
    }

    /// Entries in it.
    #[inline]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// What it remembers besides its entries and groups.
    pub fn metadata(&self) -> Metadata {
        let &Stream { last_id, max_deleted_id, entries_added, .. } = self;
        Metadata { last_id, max_deleted_id, entries_added }
    }

    /// The largest id ever given to an entry.
    #[inline]
    pub fn last_id(&self) -> StreamId {
        self.last_id
    }

    /// The id of the first entry; 0-0 if there is none.
    pub fn first_id(&self) -> StreamId {
        self.first_id
    }

    /// The id of the last entry that is still there.
    #[inline]
    pub fn last_entry_id(&self) -> Option<StreamId> {
        let (master, bytes) = self.nodes.last()?;
        node::Node::new(master, bytes).entries_back().next().map(|entry| entry.id)
    }

    /// The entries from `start` through `end`, the first one first.
    pub fn range(&self, start: StreamId, end: StreamId) -> Range<'_> {
        Range::new(&self.nodes, start, end)
    }

    /// The same, the last one first.
    pub fn range_back(&self, start: StreamId, end: StreamId) -> RangeBack<'_> {
        RangeBack::new(&self.nodes, start, end)
    }

    /// The entry with this id.
    pub fn entry(&self, id: StreamId) -> Option<Entry<'_>> {
        self.range(id, id).next()
    }

    /// Its groups, by name.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = (&[u8], &Group)> {
        self.groups.iter().map(|(name, group)| (&**name, group))
    }

    /// The group of this name.
    pub fn group(&self, name: &[u8]) -> Option<&Group> {
        self.groups.get(name)
    }

    /// How many entries the group has still to read, where that is known. Negative where `ENTRIESREAD` said so.
    pub fn lag(&self, group: &Group) -> Option<i64> {
        let added = self.entries_added as i64;
        if added == 0 {
            return Some(0);
        }
        let read = match group.entries_read {
            Some(read) if !self.has_deleted_from(group.last_id) => read,
            _ => self.entries_read_at(group.last_id)?,
        };
        Some(added.wrapping_sub(read as i64))
    }

    /// How many of all entries ever added come up to `id`, where that is known: Redis's
    /// `streamEstimateDistanceFromFirstEverEntry`, as of 7.2.
    pub fn entries_read_at(&self, id: StreamId) -> Option<u64> {
        if self.entries_added == 0 {
            return Some(0);
        }
        if (self.length == 0 && id <= self.last_id) || id == self.last_id {
            return Some(self.entries_added);
        }
        if id > self.last_id || !self.is_whole() || id > self.first_id {
            return None;
        }
        let before_first = self.entries_added.wrapping_sub(self.length);
        Some(before_first.wrapping_add(u64::from(id == self.first_id)))
    }

    /// Whether an entry at `start` or behind it was deleted from among those that are there.
    fn has_deleted_from(&self, start: StreamId) -> bool {
        self.length > 0 && !self.is_whole() && start <= self.max_deleted_id
    }

    /// Whether nothing was deleted behind the first entry.
    fn is_whole(&self) -> bool {
        self.max_deleted_id.is_zero() || self.max_deleted_id < self.first_id
    }

    fn set_metadata(&mut self, metadata: Metadata) {
        self.last_id = metadata.last_id;
        self.max_deleted_id = metadata.max_deleted_id;
        self.entries_added = metadata.entries_added;
    }

    /// Brings `first_id` up to date.
    fn find_first(&mut self) {
        let first = self.range(StreamId::MIN, StreamId::MAX).next().map(|entry| entry.id);
        self.first_id = first.unwrap_or_default();
    }
}

/// Streams are equal if clients cannot tell them apart: where nodes begin does not count.
impl PartialEq for Stream {
    fn eq(&self, other: &Stream) -> bool {
        self.length == other.length
            && self.metadata() == other.metadata()
            && self.groups == other.groups
            && effects::words_of(self).eq(effects::words_of(other))
    }
}

impl Collection for Stream {
    const KIND: Kind = Kind::Stream;
    const MAY_BE_EMPTY: bool = true;
    type View<'a> = &'a Stream;

    fn view(&self) -> &Stream {
        self
    }

    fn view_packed(_: Packing, _: &[u8]) -> &Stream {
        unreachable!("a stream has no packed form")
    }

    fn view_of(value: ValueRef<'_>) -> Option<&Stream> {
        match value {
            ValueRef::Stream(stream) => Some(stream),
            _ => None,
        }
    }

    fn from_packed(_: Packing, _: Vec<u8>) -> Stream {
        unreachable!("a stream has no packed form")
    }

    fn as_packed(&self) -> Option<(Packing, &[u8])> {
        None
    }

    fn into_packed(self) -> Option<Vec<u8>> {
        None
    }

    fn of_mut(value: &mut Value) -> Option<&mut Stream> {
        match value {
            Value::Stream(stream) => Some(stream),
            _ => None,
        }
    }

    fn into_value(self) -> Value {
        Value::Stream(Box::new(self))
    }

    fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Nodes as allocated; consumers and what is pending as estimated.
    fn allocated_bytes(&self) -> usize {
        self.nodes.allocated_bytes() + self.group_bytes
    }

    fn encoding(_: &Stream) -> &'static str {
        "stream"
    }

    fn effects_part(
        stream: &Stream,
        key: &[u8],
        from: u64,
        elements: usize,
        emit: &mut dyn FnMut(Effect<'_>),
    ) -> Option<u64> {
        effects::part(stream, key, from, elements, emit)
    }

    fn free_part(&mut self, elements: usize) -> bool {
        if self.nodes.free_part(elements) {
            return true;
        }
        let mut freed = 0;
        while freed < elements {
            let Some(mut last) = self.groups.last_entry() else { return false };
            match last.get_mut().free_part(elements - freed) {
                0 => drop(last.remove()),
                count => freed += count,
            }
        }
        true
    }

    fn replay(change: &mut Change<'_, Stream>, effect: &Effect<'_>) {
        change.replay(effect);
    }
}
