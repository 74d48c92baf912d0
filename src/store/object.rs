//! What a key can hold, and how strings are encoded. Owns the choice between number, inline bytes and an allocation of its own.
//! Never looks a key up.

use crate::base::limits::INLINE_STRING_BYTES_MAX;
use crate::base::number::parse_i64;
use crate::sys::cell::{Cell, Held, Payload};

/// A value too large, or of a kind too rich, to sit beside its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Object {
    /// A long string.
    String(Vec<u8>),
}

impl Object {
    /// Bytes the object takes outside its cell.
    pub fn allocated_bytes(&self) -> usize {
        size_of::<Object>()
            + match self {
                Object::String(bytes) => bytes.capacity(),
            }
    }
}

/// The type of a value, as `TYPE` and `SCAN TYPE` name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string, whatever its encoding.
    String,
}

impl Kind {
    /// The name clients see.
    pub fn name(self) -> &'static str {
        match self {
            Kind::String => "string",
        }
    }
}

/// A string value, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StringRef<'a> {
    /// Stored as a number.
    Integer(i64),
    /// Stored as bytes.
    Bytes(&'a [u8]),
}

impl<'a> StringRef<'a> {
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
pub type Entry = Cell<Object>;

/// A value that left the keyspace, or is about to enter it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A string.
    String(Vec<u8>),
}

impl Value {
    /// A copy of the value in `entry`.
    pub fn of(entry: &Entry) -> Value {
        match entry.held() {
            Held::Bytes(bytes) => Value::String(bytes.to_vec()),
            Held::Integer(number) => Value::String(itoa::Buffer::new().format(number).as_bytes().to_vec()),
            Held::Boxed(Object::String(bytes)) => Value::String(bytes.clone()),
        }
    }

    /// The value as a string; another type gives nothing.
    pub fn as_string(&self) -> Option<&[u8]> {
        match self {
            Value::String(bytes) => Some(bytes),
        }
    }
}

/// The payload for a string: a number where Redis would make it one, else bytes, in their own allocation if long.
#[inline]
pub fn string_payload(bytes: &[u8]) -> Payload<'_, Object> {
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
        Payload::Boxed(Box::new(Object::String(bytes.to_vec())))
    }
}

/// The payload for a value of any type.
pub fn payload(value: &Value) -> Payload<'_, Object> {
    match value {
        Value::String(bytes) => string_payload(bytes),
    }
}

/// The type of the value in `entry`.
pub fn kind(entry: &Entry) -> Kind {
    match entry.held() {
        Held::Bytes(_) | Held::Integer(_) | Held::Boxed(Object::String(_)) => Kind::String,
    }
}

/// The string in `entry`; nothing for another type.
#[inline]
pub fn string(entry: &Entry) -> Option<StringRef<'_>> {
    match entry.held() {
        Held::Bytes(bytes) => Some(StringRef::Bytes(bytes)),
        Held::Integer(number) => Some(StringRef::Integer(number)),
        Held::Boxed(Object::String(bytes)) => Some(StringRef::Bytes(bytes)),
    }
}

/// All bytes that `entry` takes, its object included.
#[inline]
pub fn allocated_bytes(entry: &Entry) -> usize {
    let object = match entry.held() {
        Held::Boxed(object) => object.allocated_bytes(),
        _ => 0,
    };
    entry.allocated_bytes() + object
}

/// The name `OBJECT ENCODING` gives: `int`, `embstr` up to 44 bytes as in Redis, else `raw`.
pub fn encoding(entry: &Entry) -> &'static str {
    match entry.held() {
        Held::Integer(_) => "int",
        Held::Bytes(bytes) if bytes.len() <= 44 => "embstr",
        Held::Bytes(_) | Held::Boxed(Object::String(_)) => "raw",
    }
}
