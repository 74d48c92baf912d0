//! To come.
#![allow(missing_docs)]

use crate::store::collection::{Change, Collection};
use crate::store::effect::Effect;
use crate::store::object::{Kind, Packing, Value, ValueRef};

/// To come.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SortedSet(Vec<u8>);

/// One, borrowed.
#[derive(Clone, Copy)]
pub struct SortedSetRef<'a>(&'a [u8]);

impl Collection for SortedSet {
    const KIND: Kind = Kind::SortedSet;
    type View<'a> = SortedSetRef<'a>;

    fn view(&self) -> SortedSetRef<'_> {
        SortedSetRef(&self.0)
    }
    fn view_packed(_: Packing, bytes: &[u8]) -> SortedSetRef<'_> {
        let _ = bytes;
        SortedSetRef(bytes)
    }
    fn view_of(value: ValueRef<'_>) -> Option<SortedSetRef<'_>> {
        match value {
            ValueRef::SortedSet(view) => Some(view),
            _ => None,
        }
    }
    fn from_packed(_: Packing, bytes: Vec<u8>) -> SortedSet {
        SortedSet(bytes)
    }
    fn as_packed(&self) -> Option<(Packing, &[u8])> {
        Some((Packing::SortedSet, &self.0))
    }
    fn into_packed(self) -> Option<Vec<u8>> {
        Some(self.0)
    }
    fn of_mut(value: &mut Value) -> Option<&mut SortedSet> {
        match value {
            Value::SortedSet(it) => Some(it),
            _ => None,
        }
    }
    fn into_value(self) -> Value {
        Value::SortedSet(self)
    }
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    fn allocated_bytes(&self) -> usize {
        self.0.capacity()
    }
    fn encoding(_: SortedSetRef<'_>) -> &'static str {
        "listpack"
    }
    fn effects(_: SortedSetRef<'_>, _: &[u8], _: &mut dyn FnMut(Effect<'_>)) {}
    fn replay(_: &mut Change<'_, SortedSet>, _: &Effect<'_>) {}
}
