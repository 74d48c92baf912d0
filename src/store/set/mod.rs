//! To come.
#![allow(missing_docs)]

use crate::store::collection::{Change, Collection};
use crate::store::effect::Effect;
use crate::store::object::{Kind, Packing, Value, ValueRef};

/// To come.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Set(Vec<u8>);

/// One, borrowed.
#[derive(Clone, Copy)]
pub struct SetRef<'a>(&'a [u8]);

impl Collection for Set {
    const KIND: Kind = Kind::Set;
    type View<'a> = SetRef<'a>;

    fn view(&self) -> SetRef<'_> {
        SetRef(&self.0)
    }
    fn view_packed(_: Packing, bytes: &[u8]) -> SetRef<'_> {
        let _ = bytes;
        SetRef(bytes)
    }
    fn view_of(value: ValueRef<'_>) -> Option<SetRef<'_>> {
        match value {
            ValueRef::Set(view) => Some(view),
            _ => None,
        }
    }
    fn from_packed(_: Packing, bytes: Vec<u8>) -> Set {
        Set(bytes)
    }
    fn as_packed(&self) -> Option<(Packing, &[u8])> {
        Some((Packing::Set, &self.0))
    }
    fn into_packed(self) -> Option<Vec<u8>> {
        Some(self.0)
    }
    fn of_mut(value: &mut Value) -> Option<&mut Set> {
        match value {
            Value::Set(it) => Some(it),
            _ => None,
        }
    }
    fn into_value(self) -> Value {
        Value::Set(self)
    }
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    fn allocated_bytes(&self) -> usize {
        self.0.capacity()
    }
    fn encoding(_: SetRef<'_>) -> &'static str {
        "listpack"
    }
    fn effects(_: SetRef<'_>, _: &[u8], _: &mut dyn FnMut(Effect<'_>)) {}
    fn replay(_: &mut Change<'_, Set>, _: &Effect<'_>) {}
}
