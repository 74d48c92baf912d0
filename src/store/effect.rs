//! The effects that changes of the keyspace leave: absolute, ordered, and enough to rebuild exactly the live state.
//! Never a command: replaying needs no clock, no seed and no plugin.

use serde::{Deserialize, Serialize};

use crate::base::limits::DATABASES;
use crate::store::awaited::Awaited;
use crate::store::object::ValueRef;
use crate::store::watch::Watched;

/// An end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// The head.
    Left,
    /// The tail.
    Right,
}

/// The id of a stream's entry: milliseconds and a number among those of one millisecond.
pub type EntryId = (u64, u64);

/// One change, borrowed from where it happened. A collection whose last element goes is gone with its key; only streams stay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Effect<'a> {
    /// The key holds this string, and expires at this time if at all.
    SetString {
        #[serde(with = "serde_bytes")]
        key: &'a [u8],
        #[serde(with = "serde_bytes")]
        value: &'a [u8],
        expire_at_ms: Option<i64>,
    },
    /// The string at the key has these bytes from `offset` on; a gap is zero bytes. The expiry stays.
    SetRange {
        #[serde(with = "serde_bytes")]
        key: &'a [u8],
        offset: usize,
        #[serde(with = "serde_bytes")]
        bytes: &'a [u8],
    },
    /// The key is gone.
    Delete {
        #[serde(with = "serde_bytes")]
        key: &'a [u8],
    },
    /// The key expires at this time, or no longer does.
    ExpireAt {
        #[serde(with = "serde_bytes")]
        key: &'a [u8],
        expire_at_ms: Option<i64>,
    },
    /// The database lost all keys of this shard.
    Flush,
    /// The database and another one changed places.
    Swap { with: u16 },

    /// The list has one more element at an end.
    ListPush {
        #[serde(with = "serde_bytes")]
        key: &'a [u8],
        end: End,
        #[serde(with = "serde_bytes")]
        element: &'a [u8],
    },
    /// The list lost this many elements at an end.
    ListPop {
        #[serde(with = "serde_bytes")]
        key: &'a [u8],
        end: End,
        count: u64,
    },
    /// The element at `index` is another one.
    ListSet {
        #[serde(with = "serde_bytes")]
        key: &'a [u8],
        index: u64,
        #[serde(with = "serde_bytes")]
        element: &'a [u8],
    },
    /// A new element stands at `index`; those from there on moved back by one.
    ListInsert {
        #[serde(with = "serde_bytes")]
        key: &'a [u8],
        index: u64,
        #[serde(with = "serde_bytes")]
        element: &'a [u8],
    },
    /// The element at `index` is gone.
    ListRemove {
        #[serde(with = "serde_bytes")]
        key: &'a [u8],
        index: u64,
    },

    /// The field holds this value, and expires at this time if at all.
    HashSet {
        #[serde(with = "serde_bytes")]
        key: &'a [u8],
        #[serde(with = "serde_bytes")]
        field: &'a [u8],
        #[serde(with = "serde_bytes")]
        value: &'a [u8],
        expire_at_ms: Option<i64>,
    },
    /// The field is gone.
    HashDelete {
        #[serde(with = "serde_bytes")]
        key: &'a [u8],
        #[serde(with = "serde_bytes")]
        field: &'a [u8],
    },
    /// The field expires at this time, or no longer does.
    HashExpire {
        #[serde(with = "serde_bytes")]
        key: &'a [u8],
        #[serde(with = "serde_bytes")]
        field: &'a [u8],
        expire_at_ms: Option<i64>,
    },

    /// The set has one more member.
    SetAdd {
        #[serde(with = "serde_bytes")]
        key: &'a [u8],
        #[serde(with = "serde_bytes")]
        member: &'a [u8],
    },
    /// The member is gone.
    SetRemove {
        #[serde(with = "serde_bytes")]
        key: &'a [u8],
        #[serde(with = "serde_bytes")]
        member: &'a [u8],
    },

    /// The member is there with this score.
    SortedSetAdd {
        #[serde(with = "serde_bytes")]
        key: &'a [u8],
        #[serde(with = "serde_bytes")]
        member: &'a [u8],
        score: f64,
    },
    /// The member is gone.
    SortedSetRemove {
        #[serde(with = "serde_bytes")]
        key: &'a [u8],
        #[serde(with = "serde_bytes")]
        member: &'a [u8],
    },

    /// The stream has one more entry: fields and values in turn. Its last id and its count of entries added follow.
    StreamAdd {
        #[serde(with = "serde_bytes")]
        key: &'a [u8],
        id: EntryId,
        fields: Vec<&'a [u8]>,
    },
    /// The entry is gone.
    StreamDelete {
        #[serde(with = "serde_bytes")]
        key: &'a [u8],
        id: EntryId,
    },
    /// Every entry with a smaller id is gone.
    StreamTrim {
        #[serde(with = "serde_bytes")]
        key: &'a [u8],
        before: EntryId,
    },
    /// What the stream remembers besides its entries.
    StreamSetId {
        #[serde(with = "serde_bytes")]
        key: &'a [u8],
        last_id: EntryId,
        entries_added: u64,
        max_deleted_id: EntryId,
    },
    /// The group is there and stands here.
    StreamGroup {
        #[serde(with = "serde_bytes")]
        key: &'a [u8],
        #[serde(with = "serde_bytes")]
        group: &'a [u8],
        last_id: EntryId,
        entries_read: Option<u64>,
    },
    /// The group is gone.
    StreamGroupDelete {
        #[serde(with = "serde_bytes")]
        key: &'a [u8],
        #[serde(with = "serde_bytes")]
        group: &'a [u8],
    },
    /// The consumer is there, was seen and was active then.
    StreamConsumer {
        #[serde(with = "serde_bytes")]
        key: &'a [u8],
        #[serde(with = "serde_bytes")]
        group: &'a [u8],
        #[serde(with = "serde_bytes")]
        consumer: &'a [u8],
        seen_ms: i64,
        active_ms: Option<i64>,
    },
    /// The consumer is gone, with what was pending for it.
    StreamConsumerDelete {
        #[serde(with = "serde_bytes")]
        key: &'a [u8],
        #[serde(with = "serde_bytes")]
        group: &'a [u8],
        #[serde(with = "serde_bytes")]
        consumer: &'a [u8],
    },
    /// The entry is pending for the consumer, and for no other.
    StreamPending {
        #[serde(with = "serde_bytes")]
        key: &'a [u8],
        #[serde(with = "serde_bytes")]
        group: &'a [u8],
        id: EntryId,
        #[serde(with = "serde_bytes")]
        consumer: &'a [u8],
        delivered_ms: i64,
        deliveries: u64,
    },
    /// The entry is no longer pending.
    StreamAck {
        #[serde(with = "serde_bytes")]
        key: &'a [u8],
        #[serde(with = "serde_bytes")]
        group: &'a [u8],
        id: EntryId,
    },
}

impl<'a> Effect<'a> {
    /// The one key it is about.
    pub fn key(&self) -> Option<&'a [u8]> {
        match self {
            Effect::SetString { key, .. }
            | Effect::SetRange { key, .. }
            | Effect::Delete { key }
            | Effect::ExpireAt { key, .. }
            | Effect::ListPush { key, .. }
            | Effect::ListPop { key, .. }
            | Effect::ListSet { key, .. }
            | Effect::ListInsert { key, .. }
            | Effect::ListRemove { key, .. }
            | Effect::HashSet { key, .. }
            | Effect::HashDelete { key, .. }
            | Effect::HashExpire { key, .. }
            | Effect::SetAdd { key, .. }
            | Effect::SetRemove { key, .. }
            | Effect::SortedSetAdd { key, .. }
            | Effect::SortedSetRemove { key, .. }
            | Effect::StreamAdd { key, .. }
            | Effect::StreamDelete { key, .. }
            | Effect::StreamTrim { key, .. }
            | Effect::StreamSetId { key, .. }
            | Effect::StreamGroup { key, .. }
            | Effect::StreamGroupDelete { key, .. }
            | Effect::StreamConsumer { key, .. }
            | Effect::StreamConsumerDelete { key, .. }
            | Effect::StreamPending { key, .. }
            | Effect::StreamAck { key, .. } => Some(key),
            Effect::Flush | Effect::Swap { .. } => None,
        }
    }

    /// Whether it may be what somebody waits for at its key: what only takes away from a stream, or notes who reads it, is not. Where a
    /// group stands is that of a delivery nearly always; who moves a group otherwise touches its key (XGROUP SETID).
    fn may_serve(&self) -> bool {
        !matches!(
            self,
            Effect::StreamGroup { .. }
                | Effect::StreamConsumer { .. }
                | Effect::StreamConsumerDelete { .. }
                | Effect::StreamPending { .. }
                | Effect::StreamAck { .. }
                | Effect::StreamDelete { .. }
                | Effect::StreamTrim { .. }
        )
    }
}

/// Appends an effect on database `db`: a variable-length number, then the effect in postcard's format.
#[inline]
pub fn encode(db: u16, effect: &Effect<'_>, out: &mut Vec<u8>) {
    if let (0..128, &Effect::SetString { key, value, expire_at_ms: None }) = (db, effect)
        && key.len() < 128
        && value.len() < 128
    {
        // By far the most frequent one. The same bytes, without asking at each of them whether there is room.
        out.reserve(5 + key.len() + value.len());
        out.extend_from_slice(&[db as u8, 0, key.len() as u8]);
        out.extend_from_slice(key);
        out.push(value.len() as u8);
        out.extend_from_slice(value);
        return out.push(0);
    }
    postcard::serialize_with_flavor(&(db, effect), Appending(out)).expect("an effect is plain data");
}

/// The effects that `encode` wrote one after the other. Ends with the first that cannot be read.
pub fn decode_all(bytes: &[u8]) -> Effects<'_> {
    Effects { bytes, rest: bytes }
}

/// See `decode_all`.
#[derive(Clone, Debug)]
pub struct Effects<'a> {
    bytes: &'a [u8],
    rest: &'a [u8],
}

/// Bytes that are no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {at} begins no effect")]
pub struct BadEffect {
    /// Where it would begin.
    pub at: usize,
}

impl Effects<'_> {
    /// Where the next effect begins.
    pub fn offset(&self) -> usize {
        self.bytes.len() - self.rest.len()
    }
}

impl<'a> Iterator for Effects<'a> {
    type Item = Result<(u16, Effect<'a>), BadEffect>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let at = self.offset();
        match postcard::take_from_bytes::<(u16, Effect<'a>)>(self.rest) {
            Ok((effect, rest)) if usize::from(effect.0) < DATABASES => {
                self.rest = rest;
                Some(Ok(effect))
            }
            _ => {
                self.rest = &[];
                Some(Err(BadEffect { at }))
            }
        }
    }
}

/// Where postcard puts what it encodes.
struct Appending<'a>(&'a mut Vec<u8>);

impl postcard::ser_flavors::Flavor for Appending<'_> {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Where effects go: to whoever keeps them, and to those who watch keys or wait for them.
#[derive(Debug, Default)]
pub struct Journal {
    /// The effects since they were last taken, as `encode` writes them, where somebody keeps them.
    pub recorded: Option<Vec<u8>>,
    /// Clients that want to know whether keys have changed.
    pub watched: Watched,
    /// Clients that wait for keys.
    pub awaited: Awaited,
}

impl Journal {
    /// Whether anybody wants the effects: the one question that saves preparing them.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.recorded.is_some() || !self.watched.is_empty() || !self.awaited.is_empty()
    }

    /// Takes one effect on database `db`.
    #[inline]
    pub fn record(&mut self, db: u16, effect: Effect<'_>) {
        if self.is_on() {
            self.hand_out(db, effect);
        }
    }

    #[inline]
    fn hand_out(&mut self, db: u16, effect: Effect<'_>) {
        if let Some(effects) = &mut self.recorded {
            encode(db, &effect, effects);
        }
        if !self.watched.is_empty() || !self.awaited.is_empty() {
            self.tell(db, &effect);
        }
    }

    /// Tells those who watch the key or wait for it.
    #[cold]
    fn tell(&mut self, db: u16, effect: &Effect<'_>) {
        if let Some(key) = effect.key() {
            self.watched.changed(db, key);
            if effect.may_serve() {
                self.awaited.touch(db, key);
            }
        }
    }

    /// Records that the key, whatever it held, now holds `value`.
    pub fn record_value(&mut self, db: u16, key: &[u8], value: ValueRef<'_>, expire_at_ms: Option<i64>) {
        if !self.is_on() {
            return;
        }
        if let ValueRef::String(string) = value {
            return string
                .with_bytes(|value| self.record(db, Effect::SetString { key, value, expire_at_ms }));
        }
        self.record(db, Effect::Delete { key });
        value.effects(key, &mut |effect| self.record(db, effect));
        if expire_at_ms.is_some() {
            self.record(db, Effect::ExpireAt { key, expire_at_ms });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_way_writes_the_same_bytes() {
        for (db, key, value) in [(0, 1, 1), (15, 127, 127), (3, 128, 5), (3, 5, 128), (0, 0, 0), (127, 9, 64)]
        {
            let (key, value) = (vec![b'k'; key], vec![b'v'; value]);
            for expire_at_ms in [None, Some(5)] {
                let effect = Effect::SetString { key: &key, value: &value, expire_at_ms };
                let (mut written, mut expected) = (Vec::new(), Vec::new());
                encode(db, &effect, &mut written);
                postcard::serialize_with_flavor(&(db, &effect), Appending(&mut expected))
                    .expect("plain data");
                assert_eq!(written, expected);
            }
        }
    }
}
