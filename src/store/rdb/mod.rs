//! Values of any type as bytes, in Redis's RDB format: what DUMP writes and RESTORE reads. Never looks a key up.
//!
//! ```text
//! payload: type u8 | value ... | RDB version u16 | CRC-64 of all before u64                        little-endian
//! ```
//!
//! Written is version 10, the forms of Redis 7.0, which it and everything later reads; only a hash whose fields expire needs
//! version 12, of Redis 7.4. Read is every form up to version 12. A form says nothing about how a value lies in memory: it is
//! taken apart into effects and built from effects, so that everything passes through the mutators of its type.
//!
//! Whoever calls RESTORE may have made the bytes. What does not hold together is refused: bytes cut off or left over, elements that are
//! there twice, counts that cannot be true, empty collections. What is allocated is bounded by what the bytes at hand can hold.
//!
//! Source: `src/rdb.h`, `src/rdb.c` and `src/cluster.c` (`createDumpPayload`) of Redis 7.

mod crc64;
mod legacy;
mod lzf;
mod read;
mod stream;
mod wire;
mod write;

use crate::store::collection::EncodingLimits;
use crate::store::object::{Value, ValueRef};
use crate::store::rdb::crc64::crc64;
use crate::store::rdb::wire::{Input, Output};

const VERSION_WRITTEN: u16 = 10;
const VERSION_OF_FIELD_EXPIRY: u16 = 12;
const VERSION_MAX: u16 = 12;

/// Version and checksum.
const FOOTER_BYTES: usize = 2 + 8;

/// The forms of values: Redis's `RDB_TYPE_` constants.
mod form {
    pub const STRING: u8 = 0;
    pub const LIST: u8 = 1;
    pub const SET: u8 = 2;
    pub const SORTED_SET: u8 = 3;
    pub const HASH: u8 = 4;
    pub const SORTED_SET_2: u8 = 5;
    pub const HASH_ZIPMAP: u8 = 9;
    pub const LIST_ZIPLIST: u8 = 10;
    pub const SET_INTSET: u8 = 11;
    pub const SORTED_SET_ZIPLIST: u8 = 12;
    pub const HASH_ZIPLIST: u8 = 13;
    pub const LIST_QUICKLIST: u8 = 14;
    pub const STREAM_LISTPACKS: u8 = 15;
    pub const HASH_LISTPACK: u8 = 16;
    pub const SORTED_SET_LISTPACK: u8 = 17;
    pub const LIST_QUICKLIST_2: u8 = 18;
    pub const STREAM_LISTPACKS_2: u8 = 19;
    pub const SET_LISTPACK: u8 = 20;
    pub const STREAM_LISTPACKS_3: u8 = 21;
    pub const HASH_EXPIRING_PRE: u8 = 22;
    pub const HASH_LISTPACK_EXPIRING_PRE: u8 = 23;
    pub const HASH_EXPIRING: u8 = 24;
    pub const HASH_LISTPACK_EXPIRING: u8 = 25;
}

/// What is done with each field of a hash: its name, its value, and when it expires, Unix milliseconds.
type VisitField<'v> = dyn FnMut(&[u8], &[u8], Option<i64>) + 'v;

/// Bytes that are no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadData;

/// Why a payload gave no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// Too short, from a later version, or changed on its way.
    Footer,
    /// Whole, but no value.
    Data,
}

impl From<BadData> for DecodeError {
    fn from(_: BadData) -> DecodeError {
        DecodeError::Data
    }
}

/// The payload of a value.
pub fn encode(value: ValueRef<'_>) -> Vec<u8> {
    let mut out = Output::default();
    let version = if write::value(value, &mut out) { VERSION_OF_FIELD_EXPIRY } else { VERSION_WRITTEN };
    sealed(out.bytes, version)
}

/// Form and value with version and checksum behind them.
pub(crate) fn sealed(mut value: Vec<u8>, version: u16) -> Vec<u8> {
    value.extend(version.to_le_bytes());
    let checksum = crc64(&value);
    value.extend(checksum.to_le_bytes());
    value
}

/// How many bytes of a payload are the value itself: all but its type and what ends it.
pub fn value_bytes(payload: &[u8]) -> usize {
    payload.len().saturating_sub(1 + FOOTER_BYTES)
}

/// The value of a payload, with packed forms as large as `limits` allows.
pub fn decode(payload: &[u8], limits: &EncodingLimits) -> Result<Value, DecodeError> {
    let (checked, checksum) = payload.split_last_chunk::<8>().ok_or(DecodeError::Footer)?;
    let (value, version) = checked.split_last_chunk::<2>().ok_or(DecodeError::Footer)?;
    let is_whole = crc64(checked) == u64::from_le_bytes(*checksum);
    if u16::from_le_bytes(*version) > VERSION_MAX || !is_whole {
        return Err(DecodeError::Footer);
    }
    let mut input = Input::new(value);
    let form = input.byte()?;
    let value = read::value(form, &mut input, limits)?;
    if input.is_empty() { Ok(value) } else { Err(DecodeError::Data) }
}

#[cfg(test)]
mod tests;
