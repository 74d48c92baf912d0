//! The effects that build a stream from nothing, whole or part by part. Reads only, and never decides how large a part should be.

use crate::store::effect::Effect;
use crate::store::stream::group::Group;
use crate::store::stream::id::StreamId;
use crate::store::stream::node::{Entry, Node};
use crate::store::stream::{Metadata, Stream};

/// Places below this are numbers of nodes. Behind it come groups: 31 bits say which, and the others how much of it has been told.
const GROUPS: u64 = 1 << 63;
const GROUP_SHIFT: u32 = 32;

/// The effects for about `elements` entries, pending ones included, from a place on. Returns where to go on, and nothing at the end.
pub(super) fn part(
    stream: &Stream,
    key: &[u8],
    from: u64,
    elements: usize,
    emit: &mut dyn FnMut(Effect<'_>),
) -> Option<u64> {
    let elements = elements.max(1);
    let mut told = 0;
    let mut emit = |effect: Effect<'_>| {
        told += 1;
        emit(effect);
        told >= elements
    };
    let mut is_enough = false;
    if from < GROUPS {
        for (at, (master, bytes)) in (from..).zip(stream.nodes.iter_from(from as usize)) {
            if is_enough {
                return Some(at);
            }
            for (id, words) in Node::new(master, bytes).entries().map(words) {
                let fields = words.iter().map(Vec::as_slice).collect();
                is_enough = emit(Effect::StreamAdd { key, id: id.parts(), fields });
            }
        }
        is_enough = emit(set_id_effect(key, stream.metadata()));
    }
    let (first, mut told_of_group) = match from.checked_sub(GROUPS) {
        Some(place) => (place >> GROUP_SHIFT, place & ((1 << GROUP_SHIFT) - 1)),
        None => (0, 0),
    };
    for (number, (name, group)) in (first..).zip(stream.groups.iter().skip(first as usize)) {
        let place = |told: u64| Some(GROUPS | number << GROUP_SHIFT | told);
        if is_enough {
            return place(0);
        }
        if told_of_group == 0 {
            is_enough = group_head(key, name, group, &mut emit);
            told_of_group = 1;
        }
        for (at, pending) in (told_of_group..).zip(group.pending_parts(told_of_group as usize - 1)) {
            if is_enough {
                return place(at);
            }
            for (id, pending) in pending {
                is_enough = emit(Effect::StreamPending {
                    key,
                    group: name,
                    id: id.parts(),
                    consumer: group.owner(pending).name(),
                    delivered_ms: pending.delivered_ms,
                    deliveries: pending.deliveries,
                });
            }
        }
        told_of_group = 0;
    }
    None
}

/// The group and its consumers; whether that is enough.
fn group_head(key: &[u8], name: &[u8], group: &Group, emit: &mut impl FnMut(Effect<'_>) -> bool) -> bool {
    let (last_id, entries_read) = (group.last_id.parts(), group.entries_read);
    let mut is_enough = emit(Effect::StreamGroup { key, group: name, last_id, entries_read });
    for consumer in group.consumers() {
        let (seen_ms, active_ms) = (consumer.seen_ms, consumer.active_ms);
        let consumer = consumer.name();
        is_enough = emit(Effect::StreamConsumer { key, group: name, consumer, seen_ms, active_ms });
    }
    is_enough
}

/// The effect that sets what a stream remembers.
pub(super) fn set_id_effect(key: &[u8], metadata: Metadata) -> Effect<'_> {
    Effect::StreamSetId {
        key,
        last_id: metadata.last_id.parts(),
        entries_added: metadata.entries_added,
        max_deleted_id: metadata.max_deleted_id.parts(),
    }
}

/// All entries, with their fields and values in turn.
pub(super) fn words_of(stream: &Stream) -> impl Iterator<Item = (StreamId, Vec<Vec<u8>>)> {
    stream.range(StreamId::MIN, StreamId::MAX).map(words)
}

fn words(entry: Entry<'_>) -> (StreamId, Vec<Vec<u8>>) {
    let words = entry.fields.flat_map(|(name, value)| [name.to_vec(), value.to_vec()]);
    (entry.id, words.collect())
}
