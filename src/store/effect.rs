//! The effects that changes of the keyspace leave: absolute, ordered, and enough to rebuild exactly the live state.
//! Never a command: replaying needs no clock, no seed and no plugin.

use crate::store::object::Value;
use crate::store::watch::Watched;

/// One change, borrowed from where it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect<'a> {
    /// The key holds this string, and expires at this time if at all.
    SetString { key: &'a [u8], value: &'a [u8], expire_at_ms: Option<i64> },
    /// The string at the key has these bytes from `offset` on; a gap is zero bytes. The expiry stays.
    SetRange { key: &'a [u8], offset: usize, bytes: &'a [u8] },
    /// The key is gone.
    Delete { key: &'a [u8] },
    /// The key expires at this time, or no longer does.
    ExpireAt { key: &'a [u8], expire_at_ms: Option<i64> },
    /// The database lost all keys of this shard.
    Flush,
    /// The database and another one changed places.
    Swap { with: u16 },
}

/// An effect that owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnedEffect {
    /// As `Effect::SetString`.
    SetString { key: Vec<u8>, value: Vec<u8>, expire_at_ms: Option<i64> },
    /// As `Effect::SetRange`.
    SetRange { key: Vec<u8>, offset: usize, bytes: Vec<u8> },
    /// As `Effect::Delete`.
    Delete { key: Vec<u8> },
    /// As `Effect::ExpireAt`.
    ExpireAt { key: Vec<u8>, expire_at_ms: Option<i64> },
    /// As `Effect::Flush`.
    Flush,
    /// As `Effect::Swap`.
    Swap { with: u16 },
}

impl<'a> Effect<'a> {
    /// The one key it is about.
    pub fn key(self) -> Option<&'a [u8]> {
        match self {
            Effect::SetString { key, .. }
            | Effect::SetRange { key, .. }
            | Effect::Delete { key }
            | Effect::ExpireAt { key, .. } => Some(key),
            Effect::Flush | Effect::Swap { .. } => None,
        }
    }

    /// A copy that owns its bytes.
    pub fn to_owned(self) -> OwnedEffect {
        match self {
            Effect::SetString { key, value, expire_at_ms } => {
                OwnedEffect::SetString { key: key.to_vec(), value: value.to_vec(), expire_at_ms }
            }
            Effect::SetRange { key, offset, bytes } => {
                OwnedEffect::SetRange { key: key.to_vec(), offset, bytes: bytes.to_vec() }
            }
            Effect::Delete { key } => OwnedEffect::Delete { key: key.to_vec() },
            Effect::ExpireAt { key, expire_at_ms } => {
                OwnedEffect::ExpireAt { key: key.to_vec(), expire_at_ms }
            }
            Effect::Flush => OwnedEffect::Flush,
            Effect::Swap { with } => OwnedEffect::Swap { with },
        }
    }
}

/// Where effects go: to whoever keeps them, and to those who watch keys.
#[derive(Debug, Default)]
pub struct Journal {
    /// The effects so far with the database of each, where a test records them. Otherwise nothing is persisted.
    pub recorded: Option<Vec<(u16, OwnedEffect)>>,
    /// Clients that want to know whether keys have changed.
    pub watched: Watched,
}

impl Journal {
    /// Whether anybody wants the effects: the one question that saves preparing them.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.recorded.is_some() || !self.watched.is_empty()
    }

    /// Takes one effect on database `db`.
    #[inline]
    pub fn record(&mut self, db: u16, effect: Effect<'_>) {
        if self.is_on() {
            self.hand_out(db, effect);
        }
    }

    #[cold]
    fn hand_out(&mut self, db: u16, effect: Effect<'_>) {
        if let Some(key) = effect.key() {
            self.watched.changed(db, key);
        }
        if let Some(effects) = &mut self.recorded {
            effects.push((db, effect.to_owned()));
        }
    }

    /// Records that the key now holds `value`.
    pub fn record_value(&mut self, db: u16, key: &[u8], value: &Value, expire_at_ms: Option<i64>) {
        match value {
            Value::String(bytes) => self.record(db, Effect::SetString { key, value: bytes, expire_at_ms }),
        }
    }
}
