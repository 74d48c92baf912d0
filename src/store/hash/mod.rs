//! To come.
#![allow(missing_docs)]

use crate::store::collection::{Change, Collection};
use crate::store::effect::Effect;
use crate::store::object::{Kind, Packing, Value, ValueRef};

/// To come.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hash(Vec<u8>);

/// One, borrowed.
#[derive(Clone, Copy)]
pub struct HashRef<'a>(&'a [u8]);

impl Collection for Hash {
    const KIND: Kind = Kind::Hash;
    type View<'a> = HashRef<'a>;

    fn view(&self) -> HashRef<'_> {
        HashRef(&self.0)
    }
    fn view_packed(_: Packing, bytes: &[u8]) -> HashRef<'_> {
        let _ = bytes;
        HashRef(bytes)
    }
    fn view_of(value: ValueRef<'_>) -> Option<HashRef<'_>> {
        match value {
            ValueRef::Hash(view) => Some(view),
            _ => None,
        }
    }
    fn from_packed(_: Packing, bytes: Vec<u8>) -> Hash {
        Hash(bytes)
    }
    fn as_packed(&self) -> Option<(Packing, &[u8])> {
        Some((Packing::Hash, &self.0))
    }
    fn into_packed(self) -> Option<Vec<u8>> {
        Some(self.0)
    }
    fn of_mut(value: &mut Value) -> Option<&mut Hash> {
        match value {
            Value::Hash(it) => Some(it),
            _ => None,
        }
    }
    fn into_value(self) -> Value {
        Value::Hash(self)
    }
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    fn allocated_bytes(&self) -> usize {
        self.0.capacity()
    }
    fn encoding(_: HashRef<'_>) -> &'static str {
        "listpack"
    }
    fn effects(_: HashRef<'_>, _: &[u8], _: &mut dyn FnMut(Effect<'_>)) {}
    fn replay(_: &mut Change<'_, Hash>, _: &Effect<'_>) {}
}

impl Hash {
    pub(in crate::store) fn has_expired(&self, _: i64) -> bool {
        false
    }
}
impl HashRef<'_> {
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}
impl Change<'_, Hash> {
    pub(in crate::store) fn remove_expired(&mut self, _: i64) {}
}
