//! To come.
#![allow(missing_docs)]

use crate::store::collection::{Change, Collection};
use crate::store::effect::Effect;
use crate::store::object::{Kind, Packing, Value, ValueRef};

/// To come.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct List(Vec<u8>);

/// One, borrowed.
#[derive(Clone, Copy)]
pub struct ListRef<'a>(&'a [u8]);

impl Collection for List {
    const KIND: Kind = Kind::List;
    type View<'a> = ListRef<'a>;

    fn view(&self) -> ListRef<'_> {
        ListRef(&self.0)
    }
    fn view_packed(_: Packing, bytes: &[u8]) -> ListRef<'_> {
        let _ = bytes;
        ListRef(bytes)
    }
    fn view_of(value: ValueRef<'_>) -> Option<ListRef<'_>> {
        match value {
            ValueRef::List(view) => Some(view),
            _ => None,
        }
    }
    fn from_packed(_: Packing, bytes: Vec<u8>) -> List {
        List(bytes)
    }
    fn as_packed(&self) -> Option<(Packing, &[u8])> {
        Some((Packing::List, &self.0))
    }
    fn into_packed(self) -> Option<Vec<u8>> {
        Some(self.0)
    }
    fn of_mut(value: &mut Value) -> Option<&mut List> {
        match value {
            Value::List(it) => Some(it),
            _ => None,
        }
    }
    fn into_value(self) -> Value {
        Value::List(self)
    }
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    fn allocated_bytes(&self) -> usize {
        self.0.capacity()
    }
    fn encoding(_: ListRef<'_>) -> &'static str {
        "listpack"
    }
    fn effects(_: ListRef<'_>, _: &[u8], _: &mut dyn FnMut(Effect<'_>)) {}
    fn replay(_: &mut Change<'_, List>, _: &Effect<'_>) {}
}
