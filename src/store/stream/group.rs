//! A consumer group: how far it has read, which entries wait for an acknowledgement, and who has them. Owns the two orders of what is
//! pending, by the group and by the consumer; never looks at the entries themselves.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::store::stream::by_id::ById;
use crate::store::stream::id::StreamId;

/// What one pending entry takes, bytes: a place of 40 bytes in the group's order and one of 16 in the consumer's, both of which are three
/// quarters full at a guess.
pub(super) const PENDING_BYTES: usize = (40 + 16) * 4 / 3;
/// What one consumer takes, bytes, besides its name (twice) and what is pending for it.
const CONSUMER_BYTES: usize = size_of::<Option<Consumer>>() + (size_of::<Box<[u8]>>() + 4) * 2;
/// What one group takes, bytes, besides its name, consumers and what is pending.
const GROUP_BYTES: usize = (size_of::<Box<[u8]>>() + size_of::<Group>()) * 3 / 2;

/// An entry that was delivered and not yet acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Index of the consumer in the group; see [`Group::owner`].
    consumer: u32,
    /// When it was last delivered, Unix milliseconds.
    pub delivered_ms: i64,
    /// How often it was delivered.
    pub deliveries: u64,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumer {
    name: Box<[u8]>,
    /// When it last asked for anything, Unix milliseconds.
    pub seen_ms: i64,
    /// When it last got anything; never yet if none.
    pub active_ms: Option<i64>,
    pending: ById<()>,
}

impl Consumer {
    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// How many entries are pending for it.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }
}

/// A group of consumers.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// The last entry delivered.
    pub last_id: StreamId,
    /// How many of all entries ever added it has read, where that is known.
    pub entries_read: Option<u64>,
    pending: ById<Pending>,
    /// Places of consumers; a free one is used again.
    consumers: Vec<Option<Consumer>>,
    free: Vec<u32>,
    places: BTreeMap<Box<[u8]>, u32>,
}

/// A group as it comes from elsewhere.
#[derive(Clone, Debug, Default)]
pub struct GroupParts {
    /// The last entry delivered.
    pub last_id: StreamId,
    /// How many of all entries ever added it has read, where that is known.
    pub entries_read: Option<u64>,
    /// What is pending: id, time of the last delivery (Unix milliseconds), deliveries.
    pub pending: Vec<(StreamId, i64, u64)>,
    /// Its consumers.
    pub consumers: Vec<ConsumerParts>,
}

/// A consumer as it comes from elsewhere.
#[derive(Clone, Debug, Default)]
pub struct ConsumerParts {
    /// Its name.
    pub name: Vec<u8>,
    /// When it last asked for anything, Unix milliseconds.
    pub seen_ms: i64,
    /// When it last got anything.
    pub active_ms: Option<i64>,
    /// Which of the group's pending entries are its.
    pub pending: Vec<StreamId>,
}

impl Group {
    /// The group made of parts, or what is wrong with them: each pending entry belongs to one consumer.
    pub fn from_parts(parts: GroupParts) -> Result<Group, &'static str> {
        let mut group =
            Group { last_id: parts.last_id, entries_read: parts.entries_read, ..Group::default() };
        let mut times = BTreeMap::new();
        for (id, delivered_ms, deliveries) in parts.pending {
            if times.insert(id, (delivered_ms, deliveries)).is_some() {
                return Err("stream group with an entry pending twice");
            }
        }
        for consumer in parts.consumers {
            if group.consumer(&consumer.name).is_some() {
                return Err("stream group with two consumers of one name");
            }
            group.set_consumer(&consumer.name, consumer.seen_ms, consumer.active_ms);
            for id in consumer.pending {
                let (delivered_ms, deliveries) =
                    times.remove(&id).ok_or("stream consumer with an entry that is not pending for it")?;
                group.set_pending(id, &consumer.name, delivered_ms, deliveries);
            }
        }
        if times.is_empty() { Ok(group) } else { Err("stream group with a pending entry of no consumer") }
    }

    /// Its consumers, by name.
    pub fn consumers(&self) -> impl ExactSizeIterator<Item = &Consumer> {
        self.places.values().map(|&place| self.at(place))
    }

    /// The consumer of this name.
    pub fn consumer(&self, name: &[u8]) -> Option<&Consumer> {
        self.places.get(name).map(|&place| self.at(place))
    }

    /// How many entries are pending.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// The pending entry with this id.
    pub fn pending(&self, id: StreamId) -> Option<&Pending> {
        self.pending.get(id)
    }

    /// What is pending in a range of ids, in order. None for a range whose end is before its start.
    pub fn pending_in(
        &self,
        ids: RangeInclusive<StreamId>,
    ) -> impl DoubleEndedIterator<Item = (StreamId, &Pending)> {
        let ids = (!ids.is_empty()).then_some(ids);
        ids.into_iter().flat_map(|ids| self.pending.range(ids))
    }

    /// What is pending in a range of ids for one consumer, in order.
    pub fn pending_of<'a>(
        &'a self,
        consumer: &'a Consumer,
        ids: RangeInclusive<StreamId>,
    ) -> impl DoubleEndedIterator<Item = (StreamId, &'a Pending)> {
        let ids = (!ids.is_empty()).then_some(ids);
        ids.into_iter().flat_map(|ids| consumer.pending.range(ids)).map(|(id, ())| {
            (id, self.pending.get(id).expect("what is pending for a consumer is pending in its group"))
        })
    }

    /// Who has the pending entry.
    pub fn owner(&self, pending: &Pending) -> &Consumer {
        self.at(pending.consumer)
    }

    /// Estimated bytes that the group takes with its name. Walks the consumers.
    pub(super) fn bytes(&self, name: &[u8]) -> usize {
        let consumers: usize = self.consumers().map(|consumer| consumer_bytes(&consumer.name)).sum();
        group_bytes(name) + consumers + self.pending.len() * PENDING_BYTES
    }

    /// What is pending, in runs, from the one with this number on.
    pub(super) fn pending_parts(&self, from: usize) -> impl Iterator<Item = &[(StreamId, Pending)]> {
        self.pending.parts_from(from)
    }

    /// Frees about so many pending entries, consumers counted with them, and says how many that were. The group is good for nothing else
    /// then.
    pub(super) fn free_part(&mut self, count: usize) -> usize {
        let mut freed = self.pending.free_part(count);
        while freed < count
            && let Some(last) = self.consumers.last_mut()
        {
            freed += match last.as_mut().map_or(0, |last| last.pending.free_part(count - freed)) {
                0 => self.consumers.pop().map_or(0, |_| 1),
                pending => pending,
            };
        }
        freed
    }

    /// Makes the consumer, or updates it. Returns whether it is new.
    pub(super) fn set_consumer(&mut self, name: &[u8], seen_ms: i64, active_ms: Option<i64>) -> bool {
        if let Some(&place) = self.places.get(name) {
            let consumer = self.at_mut(place);
            consumer.seen_ms = seen_ms;
            consumer.active_ms = active_ms;
            return false;
        }
        let consumer = Consumer { name: name.into(), seen_ms, active_ms, pending: ById::default() };
        let place = match self.free.pop() {
            Some(place) => {
                self.consumers[place as usize] = Some(consumer);
                place
            }
            None => {
                self.consumers.push(Some(consumer));
                u32::try_from(self.consumers.len() - 1).expect("fewer consumers than memory has bytes")
            }
        };
        self.places.insert(name.into(), place);
        true
    }

    /// Removes a consumer and what is pending for it. Returns how many entries that was, and nothing if there is no such consumer.
    pub(super) fn remove_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let place = self.places.remove(name)?;
        let consumer = self.consumers[place as usize].take().expect("a place that has a name is taken");
        self.free.push(place);
        for (id, ()) in consumer.pending.iter() {
            self.pending.remove(id);
        }
        Some(consumer.pending.len())
    }

    /// Makes the entry pending for a consumer that is there, and for no other. Returns whether it was not pending before.
    pub(super) fn set_pending(
        &mut self,
        id: StreamId,
        consumer: &[u8],
        delivered_ms: i64,
        deliveries: u64,
    ) -> bool {
        let place = *self.places.get(consumer).expect("the consumer is there");
        let pending = Pending { consumer: place, delivered_ms, deliveries };
        let before = self.pending.insert(id, pending).map(|before| before.consumer);
        if before != Some(place) {
            if let Some(before) = before {
                self.at_mut(before).pending.remove(id);
            }
            self.at_mut(place).pending.insert(id, ());
        }
        before.is_none()
    }

    /// The entry is no longer pending. Returns whether it was.
    pub(super) fn remove_pending(&mut self, id: StreamId) -> bool {
        let Some(pending) = self.pending.remove(id) else { return false };
        self.at_mut(pending.consumer).pending.remove(id);
        true
    }

    fn at(&self, place: u32) -> &Consumer {
        self.consumers[place as usize].as_ref().expect("a place that is named is taken")
    }

    fn at_mut(&mut self, place: u32) -> &mut Consumer {
        self.consumers[place as usize].as_mut().expect("a place that is named is taken")
    }
}

/// Groups are equal if clients cannot tell them apart: places do not count.
impl PartialEq for Group {
    fn eq(&self, other: &Group) -> bool {
        let all = StreamId::MIN..=StreamId::MAX;
        let times = |pending: &Pending| (pending.delivered_ms, pending.deliveries);
        self.last_id == other.last_id
            && self.entries_read == other.entries_read
            && self.consumers().eq(other.consumers())
            && self
                .pending_in(all.clone())
                .map(|(id, pending)| (id, times(pending)))
                .eq(other.pending_in(all).map(|(id, pending)| (id, times(pending))))
    }
}

/// Estimated bytes of a consumer with nothing pending.
pub(super) fn consumer_bytes(name: &[u8]) -> usize {
    CONSUMER_BYTES + 2 * name.len()
}

/// Estimated bytes of a group without consumers.
pub(super) fn group_bytes(name: &[u8]) -> usize {
    GROUP_BYTES + name.len()
}
