//! The only ways to change a stream: each changes what it is told to and records what really changed. Owns trimming, and where a group
//! stands after a delivery; never decides on ids, times or whether a client may do this.

use crate::store::collection::Change;
use crate::store::effect::Effect;
use crate::store::stream::effects::set_id_effect;
use crate::store::stream::group::{Group, PENDING_BYTES, consumer_bytes, group_bytes};
use crate::store::stream::id::StreamId;
use crate::store::stream::node::{self, Node};
use crate::store::stream::{ENTRY_BYTES_MAX, Metadata, Stream};

/// What a stream is cut down to, from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrimTo {
    /// This many entries.
    Length(u64),
    /// Entries from this id on.
    Id(StreamId),
}

/// How a stream is cut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trim {
    /// To what.
    pub to: TrimTo,
    /// To exactly that; otherwise only whole nodes are removed.
    pub is_exact: bool,
    /// Entries removed at most, where that is bounded.
    pub limit: Option<u64>,
}

impl Change<'_, Stream> {
    // Entries -----------------------------------------------------------------------------------------------------

    /// Adds an entry with a larger id than the last one. `fields` are fields and values in turn, at least one pair, and at most
    /// `ENTRY_BYTES_MAX` bytes.
    pub fn add(&mut self, id: StreamId, fields: &[&[u8]]) {
        let stream = &mut *self.value;
        debug_assert!(id > stream.last_id && !fields.is_empty() && fields.len().is_multiple_of(2));
        let sum: usize = fields.iter().map(|word| word.len()).sum();
        let bytes_max = match self.encoding.stream_node_bytes_max {
            0 => ENTRY_BYTES_MAX,
            bytes => bytes.min(ENTRY_BYTES_MAX),
        };
        let entries_max = self.encoding.stream_node_entries_max as u64;
        let has_room = |master: StreamId, bytes: &[u8]| {
            bytes.len() + sum < bytes_max
                && (entries_max == 0 || Node::new(master, bytes).total() < entries_max)
        };
        match stream.nodes.last() {
            Some((master, bytes)) if has_room(master, bytes) => {
                let last = stream.nodes.len() - 1;
                stream.nodes.change(last, |bytes, master| node::push(bytes, master, id, fields));
            }
            _ => stream.nodes.push(id, node::create(id, fields)),
        }
        stream.length += 1;
        stream.entries_added = stream.entries_added.wrapping_add(1);
        stream.last_id = id;
        if stream.length == 1 {
            stream.first_id = id;
        }
        if self.is_recorded() {
            let (key, fields) = (self.key, fields.to_vec());
            self.record(Effect::StreamAdd { key, id: id.parts(), fields });
        } else {
            self.count(1);
        }
    }

    /// Removes the entry with this id. Returns whether there was one.
    pub fn delete(&mut self, id: StreamId) -> bool {
        let stream = &mut *self.value;
        let Some(at) = stream.nodes.count_up_to(id).checked_sub(1) else { return false };
        let Some((master, bytes)) = stream.nodes.get(at) else { return false };
        let node = Node::new(master, bytes);
        let is_last_of_node = node.live() == 1;
        if is_last_of_node {
            if node.entries().next().is_none_or(|entry| entry.id != id) {
                return false;
            }
            stream.nodes.remove(at);
        } else if !stream.nodes.change(at, |bytes, master| node::delete(bytes, master, id)) {
            return false;
        }
        stream.length -= 1;
        stream.max_deleted_id = stream.max_deleted_id.max(id);
        if id == stream.first_id {
            stream.find_first();
        }
        let key = self.key;
        self.record(Effect::StreamDelete { key, id: id.parts() });
        true
    }

    /// Cuts the stream down and returns how many entries went.
    pub fn trim(&mut self, trim: &Trim) -> u64 {
        let before = self.value.length;
        self.value.trim(trim);
        let removed = before - self.value.length;
        if removed > 0 {
            self.value.find_first();
            self.record_trim();
        }
        removed
    }

    fn record_trim(&mut self) {
        let key = self.key;
        let stream = &*self.value;
        let end = if stream.length > 0 { Some(stream.first_id) } else { stream.last_id.next() };
        let metadata = stream.metadata();
        self.record(Effect::StreamTrim { key, before: end.unwrap_or(StreamId::MAX).parts() });
        if end.is_none() {
            // No id is behind the largest one, so that entry, if it was there, goes by itself; which leaves no other trace.
            self.record(Effect::StreamDelete { key, id: StreamId::MAX.parts() });
            self.record(set_id_effect(key, metadata));
        }
    }

    /// Sets what the stream remembers besides its entries. The last id is not before the last entry.
    pub fn set_metadata(&mut self, metadata: Metadata) {
        self.value.set_metadata(metadata);
        let key = self.key;
        self.record(set_id_effect(key, metadata));
    }

    // Groups ------------------------------------------------------------------------------------------------------

    /// Makes the group, or lets it go on from elsewhere.
    pub fn set_group(&mut self, name: &[u8], last_id: StreamId, entries_read: Option<u64>) {
        let stream = &mut *self.value;
        if !stream.groups.contains_key(name) {
            stream.groups.insert(name.into(), Group::default());
            stream.group_bytes += group_bytes(name);
        }
        let group = self.group(name);
        group.last_id = last_id;
        group.entries_read = entries_read;
        let key = self.key;
        self.record(Effect::StreamGroup { key, group: name, last_id: last_id.parts(), entries_read });
    }

    /// Removes the group with all it has. Returns whether there was one.
    pub fn remove_group(&mut self, name: &[u8]) -> bool {
        let stream = &mut *self.value;
        let Some(group) = stream.groups.remove(name) else { return false };
        stream.group_bytes -= group.bytes(name);
        let key = self.key;
        self.record(Effect::StreamGroupDelete { key, group: name });
        true
    }

    /// Makes the consumer, or notes that it asked for something now. Returns whether it is new.
    pub fn see_consumer(&mut self, group: &[u8], consumer: &[u8], now_ms: i64) -> bool {
        let active_ms = self.group(group).consumer(consumer).and_then(|consumer| consumer.active_ms);
        self.set_consumer(group, consumer, now_ms, active_ms)
    }

    /// Makes the consumer, or updates it. Returns whether it is new.
    pub fn set_consumer(
        &mut self,
        group: &[u8],
        consumer: &[u8],
        seen_ms: i64,
        active_ms: Option<i64>,
    ) -> bool {
        let is_new = self.group(group).set_consumer(consumer, seen_ms, active_ms);
        if is_new {
            self.value.group_bytes += consumer_bytes(consumer);
        }
        let key = self.key;
        self.record(Effect::StreamConsumer { key, group, consumer, seen_ms, active_ms });
        is_new
    }

    /// Removes the consumer and what is pending for it. Returns how many entries that was; nothing if there is no such consumer.
    pub fn remove_consumer(&mut self, group: &[u8], consumer: &[u8]) -> Option<usize> {
        let pending = self.group(group).remove_consumer(consumer)?;
        self.value.group_bytes -= consumer_bytes(consumer) + pending * PENDING_BYTES;
        let key = self.key;
        self.record(Effect::StreamConsumerDelete { key, group, consumer });
        Some(pending)
    }

    /// Makes the entry pending for a consumer that is there, and for no other.
    pub fn set_pending(
        &mut self,
        group: &[u8],
        id: StreamId,
        consumer: &[u8],
        delivered_ms: i64,
        deliveries: u64,
    ) {
        if self.group(group).set_pending(id, consumer, delivered_ms, deliveries) {
            self.value.group_bytes += PENDING_BYTES;
        }
        let key = self.key;
        self.record(Effect::StreamPending { key, group, id: id.parts(), consumer, delivered_ms, deliveries });
    }

    /// The entry is no longer pending. Returns whether it was.
    pub fn acknowledge(&mut self, group: &[u8], id: StreamId) -> bool {
        let was_pending = self.group(group).remove_pending(id);
        if was_pending {
            self.value.group_bytes -= PENDING_BYTES;
            let key = self.key;
            self.record(Effect::StreamAck { key, group, id: id.parts() });
        }
        was_pending
    }

    /// New entries, in order, go to a consumer that is there: the group goes on behind them, and unless `needs_no_ack` they are
    /// pending from now on, whoever may have had them.
    pub fn deliver(
        &mut self,
        group: &[u8],
        consumer: &[u8],
        ids: &[StreamId],
        now_ms: i64,
        needs_no_ack: bool,
    ) {
        let Some(&last_id) = ids.last() else { return };
        let mut read = self.group(group).entries_read;
        for &id in ids {
            read = match read {
                Some(read) if !self.value.has_deleted_from(id) => Some(read.wrapping_add(1)),
                // Unknown before, or from here on: perhaps this entry's place is known.
                _ if self.value.entries_added > 0 => self.value.entries_read_at(id),
                read => read,
            };
        }
        self.set_group(group, last_id, read);
        if !needs_no_ack {
            ids.iter().for_each(|&id| self.set_pending(group, id, consumer, now_ms, 1));
            self.set_consumer(group, consumer, now_ms, Some(now_ms));
        }
    }

    fn group(&mut self, name: &[u8]) -> &mut Group {
        self.value.groups.get_mut(name).expect("the group is there")
    }

    // Replaying ---------------------------------------------------------------------------------------------------

    /// Repeats a recorded change.
    pub(super) fn replay(&mut self, effect: &Effect<'_>) {
        match *effect {
            Effect::StreamAdd { id, ref fields, .. } => self.add(id.into(), fields),
            Effect::StreamDelete { id, .. } => {
                self.delete(id.into());
            }
            Effect::StreamTrim { before, .. } => {
                self.trim(&Trim { to: TrimTo::Id(before.into()), is_exact: true, limit: None });
            }
            Effect::StreamSetId { last_id, entries_added, max_deleted_id, .. } => {
                let (last_id, max_deleted_id) = (last_id.into(), max_deleted_id.into());
                self.set_metadata(Metadata { last_id, entries_added, max_deleted_id });
            }
            Effect::StreamGroup { group, last_id, entries_read, .. } => {
                self.set_group(group, last_id.into(), entries_read);
            }
            Effect::StreamGroupDelete { group, .. } => {
                self.remove_group(group);
            }
            Effect::StreamConsumer { group, consumer, seen_ms, active_ms, .. } => {
                self.set_consumer(group, consumer, seen_ms, active_ms);
            }
            Effect::StreamConsumerDelete { group, consumer, .. } => {
                self.remove_consumer(group, consumer);
            }
            Effect::StreamPending { group, id, consumer, delivered_ms, deliveries, .. } => {
                self.set_pending(group, id.into(), consumer, delivered_ms, deliveries);
            }
            Effect::StreamAck { group, id, .. } => {
                self.acknowledge(group, id.into());
            }
            _ => unreachable!("no effect on a stream"),
        }
    }
}

impl Stream {
    fn trim(&mut self, trim: &Trim) {
        let mut removed = 0;
        while let Some((master, bytes)) = self.nodes.get(0) {
            let node = Node::new(master, bytes);
            let live = node.live();
            let is_whole = match trim.to {
                TrimTo::Length(length) if self.length <= length => return,
                TrimTo::Length(length) => self.length - live >= length,
                TrimTo::Id(id) => node.last_id() < id,
            };
            if trim.limit.is_some_and(|limit| removed + live > limit) || (!is_whole && !trim.is_exact) {
                return;
            }
            let from_node = if is_whole {
                live
            } else {
                match trim.to {
                    TrimTo::Length(length) => {
                        let mut excess = self.length - length;
                        self.nodes.change(0, |bytes, master| {
                            node::delete_until(bytes, master, |_| {
                                let is_enough = excess == 0;
                                excess = excess.saturating_sub(1);
                                is_enough
                            })
                        })
                    }
                    TrimTo::Id(min) => self
                        .nodes
                        .change(0, |bytes, master| node::delete_until(bytes, master, |id| id >= min)),
                }
            };
            self.length -= from_node;
            removed += from_node;
            if from_node == live {
                self.nodes.remove(0);
            }
            if !is_whole {
                return;
            }
        }
    }
}
