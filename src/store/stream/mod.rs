//! To come.
#![allow(missing_docs)]

use crate::store::collection::{Change, Collection};
use crate::store::effect::Effect;
use crate::store::object::{Kind, Packing, Value, ValueRef};

/// To come.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stream(Vec<u8>);

impl Collection for Stream {
    const KIND: Kind = Kind::Stream;
    const MAY_BE_EMPTY: bool = true;
    type View<'a> = &'a Stream;

    fn view(&self) -> &Stream {
        self
    }
    fn view_packed(_: Packing, bytes: &[u8]) -> &Stream {
        let _ = bytes;
        unreachable!("a stream has no packed form")
    }
    fn view_of(value: ValueRef<'_>) -> Option<&Stream> {
        match value {
            ValueRef::Stream(view) => Some(view),
            _ => None,
        }
    }
    fn from_packed(_: Packing, bytes: Vec<u8>) -> Stream {
        Stream(bytes)
    }
    fn as_packed(&self) -> Option<(Packing, &[u8])> {
        None
    }
    fn into_packed(self) -> Option<Vec<u8>> {
        None
    }
    fn of_mut(value: &mut Value) -> Option<&mut Stream> {
        match value {
            Value::Stream(it) => Some(it),
            _ => None,
        }
    }
    fn into_value(self) -> Value {
        Value::Stream(Box::new(self))
    }
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    fn allocated_bytes(&self) -> usize {
        self.0.capacity()
    }
    fn encoding(_: &Stream) -> &'static str {
        "listpack"
    }
    fn effects(_: &Stream, _: &[u8], _: &mut dyn FnMut(Effect<'_>)) {}
    fn replay(_: &mut Change<'_, Stream>, _: &Effect<'_>) {}
}
