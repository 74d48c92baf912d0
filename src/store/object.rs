//! What a key can hold, and how strings are encoded. Owns the choice between number, inline bytes and an allocation of its own.
//! Never looks a key up.

use crate::base::limits::{INLINE_PACKED_BYTES_MAX, INLINE_STRING_BYTES_MAX};
use crate::base::number::parse_i64;
use crate::store::collection::Collection;
use crate::store::effect::Effect;
use crate::store::hash::Hash;
use crate::store::list::List;
use crate::store::set::Set;
use crate::store::sorted_set::SortedSet;
use crate::store::stream::Stream;
use crate::sys::cell::{Cell, Held, Payload};

/// Bytes of a string that are about as much work as one element of a collection.
const STRING_ELEMENT_BYTES: usize = 64;
/// A string is not divided into parts of fewer bytes.
const STRING_PART_BYTES_MIN: usize = 1 << 16;

/// A value on its own: one too large, or of a kind too rich, to sit beside its key, or one that left the keyspace or is about to enter it.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A string.
    String(Vec<u8>),
    /// A list.
    List(List),
    /// A hash.
    Hash(Hash),
    /// A set.
    Set(Set),
    /// A sorted set.
    SortedSet(SortedSet),
    /// A stream.
    Stream(Box<Stream>),
}

impl Value {
    /// A copy of the value in `entry`.
    pub fn of(entry: &Entry) -> Value {
        match entry.held() {
            Held::Bytes(bytes) => Value::String(bytes.to_vec()),
            Held::Integer(number) => Value::String(itoa::Buffer::new().format(number).as_bytes().to_vec()),
            Held::Packed(label, bytes) => Value::from_packed(Packing::of(label), bytes.to_vec()),
            Held::Boxed(value) => value.clone(),
        }
    }

    /// The collection in packed bytes that are known to be one.
    pub(in crate::store) fn from_packed(packing: Packing, bytes: Vec<u8>) -> Value {
        match packing.kind() {
            Kind::List => List::from_packed(packing, bytes).into_value(),
            Kind::Hash => Hash::from_packed(packing, bytes).into_value(),
            Kind::Set => Set::from_packed(packing, bytes).into_value(),
            Kind::SortedSet => SortedSet::from_packed(packing, bytes).into_value(),
            Kind::String | Kind::Stream => unreachable!("these have no packed form"),
        }
    }

    /// The value as a string; another type gives nothing.
    pub fn as_string(&self) -> Option<&[u8]> {
        match self {
            Value::String(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The value to read.
    #[inline]
    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Value::String(bytes) => ValueRef::String(StringRef::Bytes(bytes)),
            Value::List(list) => ValueRef::List(list.view()),
            Value::Hash(hash) => ValueRef::Hash(hash.view()),
            Value::Set(set) => ValueRef::Set(set.view()),
            Value::SortedSet(set) => ValueRef::SortedSet(set.view()),
            Value::Stream(stream) => ValueRef::Stream(stream),
        }
    }

    /// Bytes the value takes as an object of its own.
    pub fn allocated_bytes(&self) -> usize {
        size_of::<Value>()
            + match self {
                Value::String(bytes) => bytes.capacity(),
                Value::List(list) => list.allocated_bytes(),
                Value::Hash(hash) => hash.allocated_bytes(),
                Value::Set(set) => set.allocated_bytes(),
                Value::SortedSet(set) => set.allocated_bytes(),
                Value::Stream(stream) => size_of::<Stream>() + stream.allocated_bytes(),
            }
    }

    /// Frees about `elements` elements, or parts that are as cheap to free; whether there are more. What is left is good for nothing but
    /// being freed, however that is done.
    pub fn free_part(&mut self, elements: usize) -> bool {
        match self {
            Value::String(bytes) => {
                *bytes = Vec::new();
                false
            }
            Value::List(list) => list.free_part(elements),
            Value::Hash(hash) => hash.free_part(elements),
            Value::Set(set) => set.free_part(elements),
            Value::SortedSet(set) => set.free_part(elements),
            Value::Stream(stream) => stream.free_part(elements),
        }
    }

    /// Its packed bytes, if it is a collection in a packed form.
    pub fn as_packed(&self) -> Option<(Packing, &[u8])> {
        match self {
            Value::String(_) | Value::Stream(_) => None,
            Value::List(list) => list.as_packed(),
            Value::Hash(hash) => hash.as_packed(),
            Value::Set(set) => set.as_packed(),
            Value::SortedSet(set) => set.as_packed(),
        }
    }
}

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string, whatever its encoding.
    String,
    /// A list.
    List,
    /// A hash.
    Hash,
    /// A set.
    Set,
    /// A sorted set.
    SortedSet,
    /// A stream.
    Stream,
}

impl Kind {
    /// The name that `TYPE` and `SCAN TYPE` use.
    pub fn name(self) -> &'static str {
        match self {
            Kind::String => "string",
            Kind::List => "list",
            Kind::Hash => "hash",
            Kind::Set => "set",
            Kind::SortedSet => "zset",
            Kind::Stream => "stream",
        }
    }
}

/// What packed bytes beside a key are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Packing {
    /// Elements of a list, a listpack.
    List,
    /// Fields and values in turn, a listpack.
    Hash,
    /// A set of numbers, an intset.
    IntegerSet,
    /// Members of a set, a listpack.
    Set,
    /// Members and scores in turn, in order, a listpack.
    SortedSet,
}

impl Packing {
    /// The packing of a cell's label.
    #[inline]
    pub(in crate::store) fn of(label: u8) -> Packing {
        const ALL: [Packing; 5] =
            [Packing::List, Packing::Hash, Packing::IntegerSet, Packing::Set, Packing::SortedSet];
        ALL[usize::from(label)]
    }

    /// The type of value that it packs.
    pub fn kind(self) -> Kind {
        match self {
            Packing::List => Kind::List,
            Packing::Hash => Kind::Hash,
            Packing::IntegerSet | Packing::Set => Kind::Set,
            Packing::SortedSet => Kind::SortedSet,
        }
    }
}

/// A value of any type, borrowed.
#[derive(Clone, Copy)]
pub enum ValueRef<'a> {
    /// A string.
    String(StringRef<'a>),
    /// A list.
    List(<List as Collection>::View<'a>),
    /// A hash.
    Hash(<Hash as Collection>::View<'a>),
    /// A set.
    Set(<Set as Collection>::View<'a>),
    /// A sorted set.
    SortedSet(<SortedSet as Collection>::View<'a>),
    /// A stream.
    Stream(&'a Stream),
}

impl<'a> ValueRef<'a> {
    /// The value in `entry`.
    #[inline]
    pub fn of(entry: &'a Entry) -> ValueRef<'a> {
        match entry.held() {
            Held::Bytes(bytes) => ValueRef::String(StringRef::Bytes(bytes)),
            Held::Integer(number) => ValueRef::String(StringRef::Integer(number)),
            Held::Packed(label, bytes) => {
                let packing = Packing::of(label);
                match packing {
                    Packing::List => ValueRef::List(List::view_packed(packing, bytes)),
                    Packing::Hash => ValueRef::Hash(Hash::view_packed(packing, bytes)),
                    Packing::IntegerSet | Packing::Set => ValueRef::Set(Set::view_packed(packing, bytes)),
                    Packing::SortedSet => ValueRef::SortedSet(SortedSet::view_packed(packing, bytes)),
                }
            }
            Held::Boxed(value) => value.as_ref(),
        }
    }

    /// Its type.
    pub fn kind(self) -> Kind {
        match self {
            ValueRef::String(_) => Kind::String,
            ValueRef::List(_) => Kind::List,
            ValueRef::Hash(_) => Kind::Hash,
            ValueRef::Set(_) => Kind::Set,
            ValueRef::SortedSet(_) => Kind::SortedSet,
            ValueRef::Stream(_) => Kind::Stream,
        }
    }

    /// The effects that build the value at `key`, where nothing is, without its expiry.
    pub fn effects(self, key: &[u8], emit: &mut dyn FnMut(Effect<'_>)) {
        self.effects_part(key, 0, usize::MAX, emit);
    }

    /// Those effects for about `elements` elements from a place on, 0 being the start. Returns the place where to go on, and nothing at the
    /// end. Places are good until the value changes. All parts, one after the other, build the value as `effects` does; only a
    /// long string is then several effects where it was one. The time a part takes depends on `elements`, and not on the place.
    pub fn effects_part(
        self,
        key: &[u8],
        from: u64,
        elements: usize,
        emit: &mut dyn FnMut(Effect<'_>),
    ) -> Option<u64> {
        match self {
            ValueRef::String(string) => {
                string.with_bytes(|value| string_effects_part(value, key, from, elements, emit))
            }
            ValueRef::List(list) => List::effects_part(list, key, from, elements, emit),
            ValueRef::Hash(hash) => Hash::effects_part(hash, key, from, elements, emit),
            ValueRef::Set(set) => Set::effects_part(set, key, from, elements, emit),
            ValueRef::SortedSet(set) => SortedSet::effects_part(set, key, from, elements, emit),
            ValueRef::Stream(stream) => Stream::effects_part(stream, key, from, elements, emit),
        }
    }
}

/// A string's part is set, or written behind those before it.
fn string_effects_part(
    value: &[u8],
    key: &[u8],
    from: u64,
    elements: usize,
    emit: &mut dyn FnMut(Effect<'_>),
) -> Option<u64> {
    let part_bytes = elements.saturating_mul(STRING_ELEMENT_BYTES).max(STRING_PART_BYTES_MIN);
    let offset = from as usize;
    let end = value.len().min(offset.saturating_add(part_bytes));
    let bytes = &value[offset..end];
    emit(match offset {
        0 => Effect::SetString { key, value: bytes, expire_at_ms: None },
        _ => Effect::SetRange { key, offset, bytes },
    });
    (end < value.len()).then_some(end as u64)
}

/// A string value, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StringRef<'a> {
    /// Stored as a number.
    Integer(i64),
    /// Stored as bytes.
    Bytes(&'a [u8]),
}

impl StringRef<'_> {
    /// Runs `use_bytes` on the string's bytes, formatting a number on the stack.
    #[inline]
    pub fn with_bytes<R>(self, use_bytes: impl FnOnce(&[u8]) -> R) -> R {
        match self {
            StringRef::Integer(number) => use_bytes(itoa::Buffer::new().format(number).as_bytes()),
            StringRef::Bytes(bytes) => use_bytes(bytes),
        }
    }

    /// A copy of the string's bytes.
    pub fn to_vec(self) -> Vec<u8> {
        self.with_bytes(<[u8]>::to_vec)
    }

    /// The string's length, bytes.
    pub fn len(self) -> usize {
        self.with_bytes(<[u8]>::len)
    }

    /// Whether the string has no bytes.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The string as a 64-bit number, under Redis's strict rules.
    pub fn integer(self) -> Option<i64> {
        match self {
            StringRef::Integer(number) => Some(number),
            StringRef::Bytes(bytes) => parse_i64(bytes),
        }
    }
}

/// One key's cell: the entry of a slot's table.
pub type Entry = Cell<Value>;

/// The payload for a string: a number where Redis would make it one, else bytes, in their own allocation if long.
#[inline]
pub fn string_payload(bytes: &[u8]) -> Payload<'_, Value> {
    // The longest number has 20 characters; the first byte rules out nearly every other value without parsing.
    if bytes.len() <= 20
        && bytes.first().is_some_and(|b| b.is_ascii_digit() || *b == b'-')
        && let Some(number) = parse_i64(bytes)
    {
        return Payload::Integer(number);
    }
    if bytes.len() <= INLINE_STRING_BYTES_MAX {
        Payload::Bytes(bytes)
    } else {
        Payload::Boxed(Box::new(Value::String(bytes.to_vec())))
    }
}

/// Hands the payload for a value of any type to `store`: what is small goes beside the key.
pub fn with_payload(value: Value, store: impl FnOnce(Payload<'_, Value>)) {
    match &value {
        Value::String(bytes) if bytes.len() <= INLINE_STRING_BYTES_MAX => store(string_payload(bytes)),
        _ => match inline_payload(value.as_packed()) {
            Some(payload) => store(payload),
            None => store(Payload::Boxed(Box::new(value))),
        },
    }
}

/// The payload for packed bytes that are small enough to stand beside their key.
#[inline]
pub fn inline_payload(packed: Option<(Packing, &[u8])>) -> Option<Payload<'_, Value>> {
    packed
        .filter(|(_, bytes)| bytes.len() <= INLINE_PACKED_BYTES_MAX)
        .map(|(packing, bytes)| Payload::Packed(packing as u8, bytes))
}

/// The type of the value in `entry`.
pub fn kind(entry: &Entry) -> Kind {
    ValueRef::of(entry).kind()
}

/// The string in `entry`; nothing for another type.
#[inline]
pub fn string(entry: &Entry) -> Option<StringRef<'_>> {
    match entry.held() {
        Held::Bytes(bytes) => Some(StringRef::Bytes(bytes)),
        Held::Integer(number) => Some(StringRef::Integer(number)),
        Held::Boxed(Value::String(bytes)) => Some(StringRef::Bytes(bytes)),
        Held::Packed(..) | Held::Boxed(_) => None,
    }
}

/// All bytes that `entry` takes, its object included.
#[inline]
pub fn allocated_bytes(entry: &Entry) -> usize {
    let object = match entry.held() {
        Held::Boxed(value) => value.allocated_bytes(),
        _ => 0,
    };
    entry.allocated_bytes() + object
}

/// The name `OBJECT ENCODING` gives: for strings `int`, `embstr` up to 44 bytes as in Redis, else `raw`.
pub fn encoding(entry: &Entry) -> &'static str {
    match ValueRef::of(entry) {
        ValueRef::String(StringRef::Integer(_)) => "int",
        ValueRef::String(StringRef::Bytes(bytes)) => match entry.held() {
            Held::Bytes(_) if bytes.len() <= 44 => "embstr",
            _ => "raw",
        },
        ValueRef::List(list) => List::encoding(list),
        ValueRef::Hash(hash) => Hash::encoding(hash),
        ValueRef::Set(set) => Set::encoding(set),
        ValueRef::SortedSet(set) => SortedSet::encoding(set),
        ValueRef::Stream(stream) => Stream::encoding(stream),
    }
}

#[cfg(test)]
mod tests;
