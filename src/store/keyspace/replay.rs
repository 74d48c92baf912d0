//! Repeating recorded effects, as recovery does, and the digest that proves it. Every effect goes through the mutator that records it.

use std::borrow::Borrow;
use std::iter::Peekable;
use std::ops::Range;

use crate::base::limits::{BULK_BYTES_MAX, DATABASES};
use crate::base::slot::Slot;
use crate::store::collection::{Change, Collection};
use crate::store::effect::Effect;
use crate::store::hash::Hash;
use crate::store::keyspace::{Key, Keyspace, WrongType, slot_index};
use crate::store::list::{List, ListRef};
use crate::store::object::{Kind, ValueRef, allocated_bytes};
use crate::store::set::Set;
use crate::store::sorted_set::{SortedSet, SortedSetRef};
use crate::store::stream::Stream;
use crate::store::table::{SlotTable, hash_key};

/// An effect that does not fit what it is about: it was recorded elsewhere, or is out of turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfit;

impl Keyspace {
    /// Applies an effect that this keyspace, or one over the same slots, has journaled. Expired values are kept until a read finds them,
    /// as in the live state.
    pub fn apply(&mut self, db: u16, effect: &Effect<'_>) {
        self.apply_checked(db, effect, 0)
            .expect("effects are applied in the order in which they were recorded");
    }

    /// As `apply`, for an effect from the journal of a shard over the slots in `of`, and which nothing is known about.
    pub fn apply_from(&mut self, of: &Range<usize>, db: u16, effect: &Effect<'_>) -> Result<(), Unfit> {
        let own = of.start.max(self.slots().start)..of.end.min(self.slots().end);
        match *effect {
            Effect::Flush if own != self.slots() => {
                for slot in own {
                    self.trade_slot(slot, db, None);
                }
            }
            Effect::Swap { with } if own != self.slots() && usize::from(with) < DATABASES => {
                for slot in own {
                    self.trade_slot(slot, db, Some(with));
                }
            }
            _ => self.apply_checked(db, effect, 0)?,
        }
        Ok(())
    }

    /// Applies an effect unless it does not fit. `clock` becomes the access clock of its key.
    pub(super) fn apply_checked(&mut self, db: u16, effect: &Effect<'_>, clock: u32) -> Result<(), Unfit> {
        match (effect, effect.key()) {
            (Effect::Flush, _) => self.flush(db),
            (Effect::Swap { with }, _) if usize::from(*with) < DATABASES => self.swap(db, *with, i64::MIN),
            (_, Some(key)) => {
                self.apply_run(db, &Key::new(key), [effect].into_iter(), clock)?;
            }
            _ => return Err(Unfit),
        }
        Ok(())
    }

    /// Applies effects on one key, one after the other, up to the first that does not fit; how many there were.
    pub(super) fn apply_run<'e, E: Borrow<Effect<'e>>>(
        &mut self,
        db: u16,
        key: &Key<'_>,
        effects: impl Iterator<Item = E>,
        clock: u32,
    ) -> Result<usize, Unfit> {
        let (mut effects, mut count) = (effects.peekable(), 0);
        while let Some(effect) = effects.peek() {
            count += match kind_of(effect.borrow()) {
                None | Some(Kind::String) => {
                    self.apply_to_key(db, key, effect.borrow(), clock)?;
                    effects.next();
                    1
                }
                Some(Kind::List) => self.replay::<List, E>(db, key, &mut effects, clock, fits_list)?,
                Some(Kind::Hash) => self.replay::<Hash, E>(db, key, &mut effects, clock, |_, _| true)?,
                Some(Kind::Set) => self.replay::<Set, E>(db, key, &mut effects, clock, |_, _| true)?,
                Some(Kind::SortedSet) => {
                    self.replay::<SortedSet, E>(db, key, &mut effects, clock, fits_sorted_set)?
                }
                Some(Kind::Stream) => self.replay::<Stream, E>(db, key, &mut effects, clock, fits_stream)?,
            };
        }
        Ok(count)
    }

    fn apply_to_key(&mut self, db: u16, key: &Key<'_>, effect: &Effect<'_>, clock: u32) -> Result<(), Unfit> {
        match *effect {
            Effect::SetString { value, expire_at_ms, .. } => {
                self.set_string(db, key, value, expire_at_ms, clock);
            }
            Effect::SetRange { offset, bytes, .. } => {
                if offset.saturating_add(bytes.len()) > BULK_BYTES_MAX {
                    return Err(Unfit);
                }
                self.set_range(db, key, offset, bytes, i64::MIN, clock).map_err(|WrongType| Unfit)?;
            }
            Effect::Delete { .. } => {
                self.remove(db, key, i64::MIN);
            }
            Effect::ExpireAt { expire_at_ms, .. } => {
                self.set_expiry(db, key, expire_at_ms);
            }
            _ => return Err(Unfit),
        }
        Ok(())
    }

    /// Applies those of the effects that come first and are about a `T`.
    fn replay<'e, T: Collection, E: Borrow<Effect<'e>>>(
        &mut self,
        db: u16,
        key: &Key<'_>,
        effects: &mut Peekable<impl Iterator<Item = E>>,
        clock: u32,
        fits: fn(T::View<'_>, &Effect<'_>) -> bool,
    ) -> Result<usize, Unfit> {
        let work = |change: &mut Change<'_, T>| {
            let mut count = 0;
            while let Some(effect) = effects.next_if(|effect| kind_of(effect.borrow()) == Some(T::KIND)) {
                if !fits(change.view(), effect.borrow()) {
                    return Err(Unfit);
                }
                T::replay(change, effect.borrow());
                count += 1;
            }
            Ok(count)
        };
        self.change_or_create(db, key, i64::MIN, clock, work).unwrap_or(Err(Unfit))
    }

    /// The table of one slot is emptied, or changes places with that of another database.
    fn trade_slot(&mut self, slot: usize, db: u16, with: Option<u16>) {
        let slot = Slot::new(slot as u16).expect("a slot");
        let at = slot_index(self.first_slot, slot);
        let mut take_out = |db: u16| {
            self.before_change(db, slot);
            let db_of = &mut self.dbs[usize::from(db)];
            let table = db_of.slots.get_mut(at).map(std::mem::take).unwrap_or_default();
            db_of.keys -= table.len();
            db_of.volatile -= volatile_in(&table);
            db_of.entry_bytes -= entry_bytes_in(&table);
            table
        };
        let here = take_out(db);
        let Some(with) = with else { return self.discarded.push(here) };
        for (db, table) in [(db, take_out(with)), (with, here)] {
            let db_of = &mut self.dbs[usize::from(db)];
            if db_of.slots.is_empty() {
                db_of.slots.resize_with(self.slot_count, SlotTable::default);
            }
            db_of.keys += table.len();
            db_of.volatile += volatile_in(&table);
            db_of.entry_bytes += entry_bytes_in(&table);
            db_of.slots[at] = table;
        }
    }

    /// A number that two keyspaces share when they hold the same keys, values and expiries, in any order and encoding.
    pub fn digest(&mut self) -> u64 {
        (0..DATABASES as u16).for_each(|db| self.hydrate_db(db));
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

fn volatile_in(table: &SlotTable) -> usize {
    table.iter().filter(|entry| entry.expire_at_ms().is_some()).count()
}

fn entry_bytes_in(table: &SlotTable) -> usize {
    table.iter().map(allocated_bytes).sum()
}

/// The type of what an effect changes; nothing for those that concern keys and databases of any type.
fn kind_of(effect: &Effect<'_>) -> Option<Kind> {
    match effect {
        Effect::SetString { .. } | Effect::SetRange { .. } => Some(Kind::String),
        Effect::Delete { .. } | Effect::ExpireAt { .. } | Effect::Flush | Effect::Swap { .. } => None,
        Effect::ListPush { .. }
        | Effect::ListPop { .. }
        | Effect::ListSet { .. }
        | Effect::ListInsert { .. }
        | Effect::ListRemove { .. } => Some(Kind::List),
        Effect::HashSet { .. } | Effect::HashDelete { .. } | Effect::HashExpire { .. } => Some(Kind::Hash),
        Effect::SetAdd { .. } | Effect::SetRemove { .. } => Some(Kind::Set),
        Effect::SortedSetAdd { .. } | Effect::SortedSetRemove { .. } => Some(Kind::SortedSet),
        Effect::StreamAdd { .. }
        | Effect::StreamDelete { .. }
        | Effect::StreamTrim { .. }
        | Effect::StreamSetId { .. }
        | Effect::StreamGroup { .. }
        | Effect::StreamGroupDelete { .. }
        | Effect::StreamConsumer { .. }
        | Effect::StreamConsumerDelete { .. }
        | Effect::StreamPending { .. }
        | Effect::StreamAck { .. } => Some(Kind::Stream),
    }
}

fn fits_list(list: ListRef<'_>, effect: &Effect<'_>) -> bool {
    let len = list.len() as u64;
    match *effect {
        Effect::ListSet { index, .. } | Effect::ListRemove { index, .. } => index < len,
        Effect::ListInsert { index, .. } => index <= len,
        _ => true,
    }
}

fn fits_sorted_set(_: SortedSetRef<'_>, effect: &Effect<'_>) -> bool {
    !matches!(effect, Effect::SortedSetAdd { score, .. } if score.is_nan())
}

fn fits_stream(stream: &Stream, effect: &Effect<'_>) -> bool {
    match *effect {
        Effect::StreamAdd { id, ref fields, .. } => {
            stream.last_id() < id.into() && !fields.is_empty() && fields.len().is_multiple_of(2)
        }
        Effect::StreamSetId { last_id, .. } => {
            stream.last_entry_id().is_none_or(|last| last <= last_id.into())
        }
        Effect::StreamConsumer { group, .. }
        | Effect::StreamConsumerDelete { group, .. }
        | Effect::StreamAck { group, .. } => stream.group(group).is_some(),
        Effect::StreamPending { group, consumer, .. } => {
            stream.group(group).is_some_and(|group| group.consumer(consumer).is_some())
        }
        _ => true,
    }
}
