//! Hashes: a listpack of fields and values in turn while small, a hash table of pairs once large or once a field expires. Owns the choice
//! between the two, and the effects of every change. Never reads a clock, and never looks a key up.
//!
//! | form | when | a field is found by |
//! |---|---|---|
//! | packed, Redis's `listpack` | up to `hash_entries_max` fields, field and value up to `hash_value_bytes_max`, none expires | walking |
//! | table, Redis's `hashtable` | otherwise | hash (`fields`) |
//!
//! A table stays one: what outgrew the small form once is likely to do so again, and Redis does the same.
//!
//! # Fields that expire
//!
//! As in Redis 7.4. Whoever looks a hash up removes expired fields first (`has_expired`, `remove_expired`), so neither views nor changes
//! ever meet one, and what time did to a hash is in the journal like any other change.

mod expiring;
mod fields;
#[cfg(test)]
mod tests;
mod view;

use std::fmt;

pub use view::{Element, HashRef};

use crate::store::collection::{Change, Collection, EncodingLimits};
use crate::store::effect::Effect;
use crate::store::listpack::{self, Item, Listpack};
use crate::store::object::{Kind, Packing, Value, ValueRef};
use crate::sys::pair::Pair;
use fields::Fields;

/// What an element takes in a listpack beside its bytes, at most: encoding and backlen.
const ELEMENT_OVERHEAD_BYTES_MAX: usize = 10;

/// Room for what a new hash gets first, bytes: it is about to be copied beside its key, or to grow further.
const NEW_BYTES: usize = 128;

/// A hash.
#[derive(Clone)]
pub struct Hash {
    form: Form,
}

#[derive(Clone)]
enum Form {
    /// Fields and values in turn.
    Packed(Vec<u8>),
    Table(Box<Fields>),
}

impl Default for Hash {
    fn default() -> Hash {
        let mut bytes = listpack::empty();
        bytes.reserve_exact(NEW_BYTES);
        Hash { form: Form::Packed(bytes) }
    }
}

impl Hash {
    /// Gives a field a value and an expiry, Unix milliseconds, and returns whether the field is new. For values on their way into
    /// the keyspace; what is there already changes through [`Change`].
    pub fn insert(
        &mut self,
        field: &[u8],
        value: &[u8],
        expire_at_ms: Option<i64>,
        limits: &EncodingLimits,
    ) -> bool {
        match &mut self.form {
            Form::Packed(bytes) => {
                let fits =
                    expire_at_ms.is_none() && field.len().max(value.len()) <= limits.hash_value_bytes_max;
                if fits && let Some(is_new) = insert_packed(bytes, field, value, limits.hash_entries_max) {
                    return is_new;
                }
                self.make_table().insert(field, value, expire_at_ms)
            }
            Form::Table(fields) => fields.insert(field, value, expire_at_ms),
        }
    }

    /// Whether a field's time has come. May say so once too often, never too seldom.
    #[inline]
    pub(in crate::store) fn has_expired(&self, now_ms: i64) -> bool {
        match &self.form {
            Form::Packed(_) => false,
            Form::Table(fields) => fields.has_expired(now_ms),
        }
    }

    /// Whether the time of every field has come: to clients, there is no such key. Looks at the fields up to the first that stays, and only
    /// if one has expired.
    pub(in crate::store) fn has_only_expired(&self, now_ms: i64) -> bool {
        match &self.form {
            Form::Packed(_) => false,
            Form::Table(fields) => {
                fields.has_expired(now_ms) && fields.iter().all(|pair| is_due(pair, now_ms))
            }
        }
    }

    fn remove(&mut self, field: &[u8]) -> bool {
        match &mut self.form {
            Form::Packed(bytes) => match find(bytes, field) {
                Some(at) => {
                    listpack::remove_range(bytes, at, 2);
                    true
                }
                None => false,
            },
            Form::Table(fields) => fields.remove(field),
        }
    }

    /// The field is there.
    fn set_expiry(&mut self, field: &[u8], expire_at_ms: Option<i64>) {
        match &mut self.form {
            Form::Packed(_) if expire_at_ms.is_none() => {}
            Form::Packed(_) => self.make_table().set_expiry(field, expire_at_ms),
            Form::Table(fields) => fields.set_expiry(field, expire_at_ms),
        }
    }

    fn expect(&mut self, count: usize, limits: &EncodingLimits) {
        if count > limits.hash_entries_max {
            self.make_table();
        }
    }

    fn make_table(&mut self) -> &mut Fields {
        if let Form::Packed(_) = &self.form {
            let mut fields = Box::<Fields>::default();
            self.view().iter().for_each(|element| {
                element.field.with_bytes(|field| {
                    element.value.with_bytes(|value| fields.insert(field, value, None));
                });
            });
            self.form = Form::Table(fields);
        }
        match &mut self.form {
            Form::Table(fields) => fields,
            Form::Packed(_) => unreachable!("it has just been made a table"),
        }
    }
}

fn is_due(pair: &Pair, now_ms: i64) -> bool {
    pair.expire_at_ms().is_some_and(|at_ms| at_ms <= now_ms)
}

/// The position of a field. Positions are looked for in every second element, so a value is never taken for a field.
#[inline]
fn find(bytes: &[u8], field: &[u8]) -> Option<usize> {
    let pack = Listpack::new(bytes);
    pack.find(pack.first()?, field, 2)
}

/// Gives a field a value, and returns whether the field is new; nothing if there is no room for it.
fn insert_packed(bytes: &mut Vec<u8>, field: &[u8], value: &[u8], entries_max: usize) -> Option<bool> {
    let pack = Listpack::new(bytes);
    if !pack.has_room_for(field.len() + value.len() + 2 * ELEMENT_OVERHEAD_BYTES_MAX) {
        return None;
    }
    match find(bytes, field) {
        Some(at) => {
            let at = pack.next(at).expect("a field has a value");
            listpack::replace(bytes, at, Item::Bytes(value));
            Some(false)
        }
        None if pack.len() / 2 >= entries_max => None,
        None => {
            listpack::push_back(bytes, Item::Bytes(field));
            listpack::push_back(bytes, Item::Bytes(value));
            Some(true)
        }
    }
}

impl Collection for Hash {
    const KIND: Kind = Kind::Hash;
    type View<'a> = HashRef<'a>;

    #[inline]
    fn view(&self) -> HashRef<'_> {
        match &self.form {
            Form::Packed(bytes) => HashRef::packed(bytes),
            Form::Table(fields) => HashRef::table(fields),
        }
    }

    #[inline]
    fn view_packed(_: Packing, bytes: &[u8]) -> HashRef<'_> {
        HashRef::packed(bytes)
    }

    #[inline]
    fn view_of(value: ValueRef<'_>) -> Option<HashRef<'_>> {
        match value {
            ValueRef::Hash(hash) => Some(hash),
            _ => None,
        }
    }

    #[inline]
    fn from_packed(_: Packing, bytes: Vec<u8>) -> Hash {
        Hash { form: Form::Packed(bytes) }
    }

    #[inline]
    fn as_packed(&self) -> Option<(Packing, &[u8])> {
        match &self.form {
            Form::Packed(bytes) => Some((Packing::Hash, bytes)),
            Form::Table(_) => None,
        }
    }

    fn into_packed(self) -> Option<Vec<u8>> {
        match self.form {
            Form::Packed(bytes) => Some(bytes),
            Form::Table(_) => None,
        }
    }

    fn of_mut(value: &mut Value) -> Option<&mut Hash> {
        match value {
            Value::Hash(hash) => Some(hash),
            _ => None,
        }
    }

    fn into_value(self) -> Value {
        Value::Hash(self)
    }

    #[inline]
    fn is_empty(&self) -> bool {
        match &self.form {
            Form::Packed(bytes) => Listpack::new(bytes).is_empty(),
            Form::Table(fields) => fields.is_empty(),
        }
    }

    #[inline]
    fn allocated_bytes(&self) -> usize {
        match &self.form {
            Form::Packed(bytes) => bytes.capacity(),
            Form::Table(fields) => size_of::<Fields>() + fields.allocated_bytes(),
        }
    }

    fn encoding(view: HashRef<'_>) -> &'static str {
        if view.is_packed() { "listpack" } else { "hashtable" }
    }

    fn effects_part(
        view: HashRef<'_>,
        key: &[u8],
        from: u64,
        elements: usize,
        emit: &mut dyn FnMut(Effect<'_>),
    ) -> Option<u64> {
        view.scan(from, elements, |Element { field, value, expire_at_ms }| {
            field.with_bytes(|field| {
                value.with_bytes(|value| emit(Effect::HashSet { key, field, value, expire_at_ms }));
            });
        })
    }

    fn free_part(&mut self, elements: usize) -> bool {
        match &mut self.form {
            Form::Packed(bytes) => {
                *bytes = Vec::new();
                false
            }
            Form::Table(fields) => fields.free_part(elements),
        }
    }

    fn replay(change: &mut Change<'_, Hash>, effect: &Effect<'_>) {
        match *effect {
            Effect::HashSet { field, value, expire_at_ms, .. } => {
                change.put(field, value, expire_at_ms);
            }
            Effect::HashDelete { field, .. } => {
                change.delete(field);
            }
            Effect::HashExpire { field, expire_at_ms, .. } => {
                change.set_expiry(field, expire_at_ms);
            }
            _ => unreachable!("only effects of hashes are replayed on one"),
        }
    }
}

impl Change<'_, Hash> {
    /// Prepares for up to `count` fields: what is going to be large becomes so at once.
    #[inline]
    pub fn expect(&mut self, count: usize) {
        self.value.expect(count, self.encoding);
    }

    /// Gives a field a value, and returns whether the field is new. One that expired no longer does.
    #[inline]
    pub fn set(&mut self, field: &[u8], value: &[u8]) -> bool {
        self.put(field, value, None)
    }

    /// The same, and the field expires when it did before.
    pub fn set_keeping_expiry(&mut self, field: &[u8], value: &[u8]) -> bool {
        let expire_at_ms = match &self.value.form {
            Form::Packed(_) => None,
            Form::Table(fields) => fields.find(field).and_then(Pair::expire_at_ms),
        };
        self.put(field, value, expire_at_ms)
    }

    /// Removes a field, and returns whether it was there.
    pub fn delete(&mut self, field: &[u8]) -> bool {
        let was_there = self.value.remove(field);
        if was_there {
            self.record(Effect::HashDelete { key: self.key, field });
        }
        was_there
    }

    /// Lets a field expire, Unix milliseconds, or lets it stay, and returns whether the field is there. What its time has to be is
    /// the caller's to say: one that has passed is no reason to remove it here.
    pub fn set_expiry(&mut self, field: &[u8], expire_at_ms: Option<i64>) -> bool {
        let Some(old) = self.view().expire_at_ms(field) else { return false };
        if old != expire_at_ms {
            self.value.set_expiry(field, expire_at_ms);
            self.record(Effect::HashExpire { key: self.key, field, expire_at_ms });
        }
        true
    }

    /// Removes the fields whose time has come. May leave the hash empty.
    pub(in crate::store) fn remove_expired(&mut self, now_ms: i64) {
        while let Form::Table(fields) = &mut self.value.form
            && let Some(pair) = fields.take_expired(now_ms)
        {
            self.record(Effect::HashDelete { key: self.key, field: pair.key() });
        }
    }

    #[inline]
    fn put(&mut self, field: &[u8], value: &[u8], expire_at_ms: Option<i64>) -> bool {
        let is_new = self.value.insert(field, value, expire_at_ms, self.encoding);
        self.record(Effect::HashSet { key: self.key, field, value, expire_at_ms });
        is_new
    }
}

/// Whatever their forms: the same fields with the same values and expiries.
impl PartialEq for Hash {
    fn eq(&self, other: &Hash) -> bool {
        let other = other.view();
        let is_same = |element: Element<'_>| {
            let found = element.field.with_bytes(|field| other.element(field));
            found.is_some_and(|found| {
                found.expire_at_ms == element.expire_at_ms
                    && found.value.with_bytes(|value| element.value.with_bytes(|own| own == value))
            })
        };
        self.view().len() == other.len() && self.view().iter().all(is_same)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.view().iter()).finish()
    }
}
