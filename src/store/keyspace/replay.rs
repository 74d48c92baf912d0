//! Repeating recorded effects, as recovery does, and the digest that proves it. Every effect goes through the mutator that records it.

use crate::store::collection::Collection;
use crate::store::effect::Effect;
use crate::store::hash::Hash;
use crate::store::keyspace::{Key, Keyspace};
use crate::store::list::List;
use crate::store::object::{Kind, ValueRef};
use crate::store::set::Set;
use crate::store::sorted_set::SortedSet;
use crate::store::stream::Stream;
use crate::store::table::{SlotTable, hash_key};

impl Keyspace {
    /// Applies a journaled effect. Expired values are kept until a read finds them, as in the live state.
    pub fn apply(&mut self, db: u16, effect: &Effect<'_>) {
        match *effect {
            Effect::SetString { key, value, expire_at_ms } => {
                self.set_string(db, &Key::new(key), value, expire_at_ms, 0);
            }
            Effect::SetRange { key, offset, bytes } => {
                self.set_range(db, &Key::new(key), offset, bytes, i64::MIN, 0)
                    .expect("the journal sets ranges of strings");
            }
            Effect::Delete { key } => {
                self.remove(db, &Key::new(key), i64::MIN);
            }
            Effect::ExpireAt { key, expire_at_ms } => {
                self.set_expiry(db, &Key::new(key), expire_at_ms);
            }
            Effect::Flush => self.flush(db),
            Effect::Swap { with } => self.swap(db, with, i64::MIN),
            Effect::ListPush { key, .. }
            | Effect::ListPop { key, .. }
            | Effect::ListSet { key, .. }
            | Effect::ListInsert { key, .. }
            | Effect::ListRemove { key, .. } => self.replay::<List>(db, key, effect),
            Effect::HashSet { key, .. } | Effect::HashDelete { key, .. } | Effect::HashExpire { key, .. } => {
                self.replay::<Hash>(db, key, effect);
            }
            Effect::SetAdd { key, .. } | Effect::SetRemove { key, .. } => {
                self.replay::<Set>(db, key, effect);
            }
            Effect::SortedSetAdd { key, .. } | Effect::SortedSetRemove { key, .. } => {
                self.replay::<SortedSet>(db, key, effect);
            }
            Effect::StreamAdd { key, .. }
            | Effect::StreamDelete { key, .. }
            | Effect::StreamTrim { key, .. }
            | Effect::StreamSetId { key, .. }
            | Effect::StreamGroup { key, .. }
            | Effect::StreamGroupDelete { key, .. }
            | Effect::StreamConsumer { key, .. }
            | Effect::StreamConsumerDelete { key, .. }
            | Effect::StreamPending { key, .. }
            | Effect::StreamAck { key, .. } => self.replay::<Stream>(db, key, effect),
        }
    }

    fn replay<T: Collection>(&mut self, db: u16, key: &[u8], effect: &Effect<'_>) {
        self.change_or_create(db, &Key::new(key), i64::MIN, 0, |change| T::replay(change, effect))
            .expect("the journal changes what has the type of the change");
    }

    /// A number that two keyspaces share when they hold the same keys, values and expiries, in any order and encoding.
    pub fn digest(&self) -> u64 {
        let mut digest = 0u64;
        for (number, db) in self.dbs.iter().enumerate() {
            for entry in db.slots.iter().flat_map(SlotTable::iter) {
                let value = ValueRef::of(entry);
                let head = format!("{number} {:?} {:?} ", entry.expire_at_ms(), value.kind());
                // Elements of other types stand in no order.
                let is_ordered = value.kind() == Kind::List;
                let mut at = 0u64;
                let mut add = |effect: Effect<'_>| {
                    at += u64::from(is_ordered);
                    let text = format!("{head} {at} {effect:?}");
                    digest = digest.wrapping_add(hash_key(text.as_bytes()));
                };
                value.effects(entry.key(), &mut add);
            }
        }
        digest
    }
}
