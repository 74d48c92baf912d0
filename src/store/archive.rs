//! Keys and values of one slot of one database as bytes, for a snapshot: an rkyv archive, written in one pass and validated before
//! anything in it is used. Owns what an entry looks like in it; never decides which entries belong together, and knows no file.
//!
//! ```text
//! archive: key | value | key | value ... | rkyv of { entries: [entry], expiries: [i64], bytes: u64 }
//! entry:   form u8 | flags u8 | access clock u32 | key bytes u32 | value bytes u32
//! ```
//!
//! Little-endian, nothing aligned. `bytes` is how many those of keys and values are. They stand where rkyv would put them, but are no
//! vector to it: rkyv looks at every element of a vector by itself, and for bytes that took longer than everything else.
//!
//! An entry whose flags say that it expires takes the next of the expiries, Unix milliseconds. What the value's bytes are is in `form`.
//! Entries say lengths only: where one begins follows from those before it, so none can overlap and none can be left out.
//!
//! # Large values
//!
//! A collection in no packed form is stored as the effects that build it (`store/effect`), in runs: the first says so, the last says so,
//! and each is to be applied behind the one before. The runs of one value may lie in several archives of its slot, in order.
//!
//! # Trust
//!
//! [`read`] refuses what does not hold together: lengths that do not add up, forms that nobody knows, packed bytes that their type could
//! not read, effects on other keys. Whoever reads an archive from a file has compared its checksum before; this is about programs that
//! write what they should not. What would only be odd is not looked for: a field that is there twice, say.

use rkyv::rancor::Failure;
use rkyv::{Archive as Archivable, Serialize};

use crate::base::float::parse_f64;
use crate::base::limits::{BULK_BYTES_MAX, INLINE_PACKED_BYTES_MAX, INLINE_STRING_BYTES_MAX};
use crate::store::effect::{Effect, decode_all};
use crate::store::intset::Intset;
use crate::store::listpack::{Item as Element, Listpack};
use crate::store::object::{Entry, Kind, Packing, Value};
use crate::sys::cell::{Held, Payload};

/// What the bytes of a value are.
mod form {
    pub const STRING: u8 = 1;
    pub const INTEGER: u8 = 2;
    pub const LIST: u8 = 3;
    pub const HASH: u8 = 4;
    pub const INTEGER_SET: u8 = 5;
    pub const SET: u8 = 6;
    pub const SORTED_SET: u8 = 7;
    pub const EFFECTS: u8 = 8;
}

/// Flags of an entry.
mod flag {
    pub const EXPIRES: u8 = 1;
    /// The first run of a value's effects; set in every other form.
    pub const FIRST: u8 = 2;
    /// The last run of a value's effects; set in every other form.
    pub const LAST: u8 = 4;
    pub const ALL: u8 = EXPIRES | FIRST | LAST;
}

/// An entry, without the bytes of its key and value.
#[derive(Archivable, Serialize)]
struct Fixed {
    form: u8,
    flags: u8,
    clock: u32,
    key_bytes: u32,
    value_bytes: u32,
}

/// What stands behind the bytes of keys and values.
#[derive(Archivable, Serialize, Default)]
struct Index {
    entries: Vec<Fixed>,
    expiries: Vec<i64>,
    bytes: u64,
}

/// Bytes of an archive besides its entries.
const FRAME_BYTES: usize = size_of::<ArchivedIndex>();

// ----------------------------------------------------------------------------------------------------------
// Writing
// ----------------------------------------------------------------------------------------------------------

/// An archive being written. Its buffers are used again for the next.
#[derive(Default)]
pub struct Archive {
    index: Index,
    /// Keys and values.
    blob: Vec<u8>,
    keys: u32,
    volatile: u32,
}

impl Archive {
    /// An archive without entries.
    pub fn new() -> Archive {
        Archive::default()
    }

    /// Adds an entry as it stands in its table. Returns whether it did: a collection in no packed form is for `push_effects`.
    #[inline]
    #[must_use]
    pub fn push_entry(&mut self, entry: &Entry) -> bool {
        let number;
        let (form, value) = match entry.held() {
            Held::Bytes(bytes) => (form::STRING, bytes),
            Held::Integer(integer) => {
                number = integer.to_le_bytes();
                (form::INTEGER, &number[..])
            }
            Held::Packed(label, bytes) => (form_of(Packing::of(label)), bytes),
            Held::Boxed(value) => match boxed(value) {
                Some(held) => held,
                None => return false,
            },
        };
        self.push(entry.key(), value, form, flag::FIRST | flag::LAST, entry.expire_at_ms(), entry.clock());
        true
    }

    /// Adds a run of the effects that build a value (`store::effect::encode`; which database they name does not matter). Expiry and
    /// clock are those of the key, the same in every run.
    pub fn push_effects(
        &mut self,
        key: &[u8],
        expire_at_ms: Option<i64>,
        clock: u32,
        is_first: bool,
        is_last: bool,
        effects: &[u8],
    ) {
        let first = if is_first { flag::FIRST } else { 0 };
        let last = if is_last { flag::LAST } else { 0 };
        self.push(key, effects, form::EFFECTS, first | last, expire_at_ms, clock);
    }

    #[inline]
    fn push(&mut self, key: &[u8], value: &[u8], form: u8, flags: u8, expire_at_ms: Option<i64>, clock: u32) {
        let mut flags = flags;
        if let Some(at_ms) = expire_at_ms {
            flags |= flag::EXPIRES;
            self.index.expiries.push(at_ms);
        }
        if flags & flag::FIRST != 0 {
            self.keys += 1;
            self.volatile += u32::from(expire_at_ms.is_some());
        }
        self.index.entries.push(Fixed {
            form,
            flags,
            clock,
            key_bytes: u32::try_from(key.len()).expect("keys are bounded by the bulk limit"),
            value_bytes: u32::try_from(value.len()).expect("values are bounded by the bulk limit"),
        });
        self.blob.extend_from_slice(key);
        self.blob.extend_from_slice(value);
    }

    /// How long the archive would be if it were finished now, bytes.
    pub fn bytes(&self) -> usize {
        FRAME_BYTES
            + self.index.entries.len() * size_of::<ArchivedFixed>()
            + self.index.expiries.len() * size_of::<i64>()
            + self.blob.len()
    }

    /// Keys that begin in it.
    pub fn keys(&self) -> u32 {
        self.keys
    }

    /// Keys that begin in it and expire.
    pub fn volatile(&self) -> u32 {
        self.volatile
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.index.entries.is_empty()
    }

    /// The archive's bytes. Leaves one without entries.
    pub fn finish(&mut self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes());
        out.extend_from_slice(&self.blob);
        self.index.bytes = self.blob.len() as u64;
        let out = rkyv::api::high::to_bytes_in::<_, Failure>(&self.index, out);
        self.clear();
        out.expect("plain data below the reach of a relative pointer can be archived")
    }

    /// Drops the entries, and the buffer that an unusually large value has left.
    pub fn clear(&mut self) {
        const KEPT_BYTES_MAX: usize = 1024 * 1024;
        self.index.entries.clear();
        self.index.expiries.clear();
        self.blob.clear();
        self.blob.shrink_to(KEPT_BYTES_MAX);
        (self.keys, self.volatile) = (0, 0);
    }
}

fn form_of(packing: Packing) -> u8 {
    match packing {
        Packing::List => form::LIST,
        Packing::Hash => form::HASH,
        Packing::IntegerSet => form::INTEGER_SET,
        Packing::Set => form::SET,
        Packing::SortedSet => form::SORTED_SET,
    }
}

/// Form and bytes of a value of its own, if it has any but effects.
fn boxed(value: &Value) -> Option<(u8, &[u8])> {
    if let Value::String(bytes) = value {
        return Some((form::STRING, bytes));
    }
    value.as_packed().map(|(packing, bytes)| (form_of(packing), bytes))
}

// ----------------------------------------------------------------------------------------------------------
// Reading
// ----------------------------------------------------------------------------------------------------------

/// Bytes that are no archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at byte {at} of the archive: {why}")]
pub struct BadArchive {
    /// The offset in the archive, bytes: that of the key whose entry is meant, or 0.
    pub at: usize,
    /// What is wrong there.
    pub why: &'static str,
}

/// An entry, borrowed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Item<'a> {
    /// The key.
    pub key: &'a [u8],
    /// When it expires, Unix milliseconds.
    pub expire_at_ms: Option<i64>,
    /// Its access clock.
    pub clock: u32,
    /// What it holds.
    pub content: Content<'a>,
}

/// What an entry of an archive holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Content<'a> {
    /// A string.
    String(&'a [u8]),
    /// A string that is a number.
    Integer(i64),
    /// A collection in its packed form; validated.
    Packed(Packing, &'a [u8]),
    /// A run of the effects that build a value (`store::effect::decode_all`; the database in them means nothing). Each can be read,
    /// concerns this key, and adds to a value of this type.
    Effects {
        /// The type of the value; none if there are no effects in the run.
        kind: Option<Kind>,
        /// The effects.
        bytes: &'a [u8],
        /// Whether the value begins with them: nothing is at the key.
        is_first: bool,
        /// Whether the value is whole with them.
        is_last: bool,
    },
}

impl<'a> Item<'a> {
    /// What to put into the key's cell; nothing for effects.
    #[inline]
    pub fn payload(&self) -> Option<Payload<'a, Value>> {
        Some(match self.content {
            Content::String(bytes) if bytes.len() <= INLINE_STRING_BYTES_MAX => Payload::Bytes(bytes),
            Content::String(bytes) => Payload::Boxed(Box::new(Value::String(bytes.to_vec()))),
            Content::Integer(number) => Payload::Integer(number),
            Content::Packed(packing, bytes) if bytes.len() <= INLINE_PACKED_BYTES_MAX => {
                Payload::Packed(packing as u8, bytes)
            }
            Content::Packed(packing, bytes) => {
                Payload::Boxed(Box::new(Value::from_packed(packing, bytes.to_vec())))
            }
            Content::Effects { .. } => return None,
        })
    }
}

/// The entries of an archive, all of them validated, in the order in which they were added.
#[derive(Clone)]
pub struct Items<'a> {
    entries: std::slice::Iter<'a, ArchivedFixed>,
    expiries: std::slice::Iter<'a, rkyv::Archived<i64>>,
    rest: &'a [u8],
}

/// The entries of the archive in `bytes`, or what is wrong with them. Looks at all of them before the first is handed out.
pub fn read(bytes: &[u8]) -> Result<Items<'_>, BadArchive> {
    let index = rkyv::access::<ArchivedIndex, Failure>(bytes)
        .map_err(|_| BadArchive { at: 0, why: "the bytes are no archive" })?;
    let blob = usize::try_from(index.bytes.to_native()).ok().and_then(|length| bytes.get(..length));
    let blob = blob.ok_or(BadArchive { at: 0, why: "there are fewer bytes than the archive says" })?;
    let items = Items { entries: index.entries.iter(), expiries: index.expiries.iter(), rest: blob };
    let mut checked = items.clone();
    loop {
        let at = blob.len() - checked.rest.len();
        match checked.checked_next() {
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(why) => return Err(BadArchive { at, why }),
        }
    }
    Ok(items)
}

impl<'a> Items<'a> {
    /// The next entry as it stands, unless its lengths or its form cannot be true. Nothing is known about the bytes of its value.
    #[inline]
    fn plain_next(&mut self) -> Result<Option<Item<'a>>, &'static str> {
        let Some(fixed) = self.entries.next() else { return Ok(None) };
        let (key_bytes, value_bytes) = (fixed.key_bytes.to_native(), fixed.value_bytes.to_native());
        let (key, rest) = self
            .rest
            .split_at_checked(key_bytes as usize)
            .ok_or("a key is longer than all bytes that are left")?;
        let (value, rest) = rest
            .split_at_checked(value_bytes as usize)
            .ok_or("a value is longer than all bytes that are left")?;
        self.rest = rest;
        let expire_at_ms = if fixed.flags & flag::EXPIRES == 0 {
            None
        } else {
            let at_ms = self.expiries.next().ok_or("there are fewer expiries than keys that expire")?;
            Some(at_ms.to_native())
        };
        let content = match fixed.form {
            form::STRING => Content::String(value),
            form::INTEGER => Content::Integer(i64::from_le_bytes(
                value.try_into().map_err(|_| "a number has other than eight bytes")?,
            )),
            form::LIST => Content::Packed(Packing::List, value),
            form::HASH => Content::Packed(Packing::Hash, value),
            form::INTEGER_SET => Content::Packed(Packing::IntegerSet, value),
            form::SET => Content::Packed(Packing::Set, value),
            form::SORTED_SET => Content::Packed(Packing::SortedSet, value),
            form::EFFECTS => Content::Effects {
                kind: decode_all(value).next().and_then(|effect| built(&effect.ok()?.1)),
                bytes: value,
                is_first: fixed.flags & flag::FIRST != 0,
                is_last: fixed.flags & flag::LAST != 0,
            },
            _ => return Err("a value has a form that this version does not know"),
        };
        if fixed.flags & !flag::ALL != 0 {
            return Err("an entry has flags that this version does not know");
        }
        Ok(Some(Item { key, expire_at_ms, clock: fixed.clock.to_native(), content }))
    }

    /// The next entry, with everything in it validated; behind the last, that nothing is left over.
    fn checked_next(&mut self) -> Result<Option<Item<'a>>, &'static str> {
        let Some(item) = self.plain_next()? else {
            return if !self.rest.is_empty() {
                Err("there are bytes that belong to no key")
            } else if self.expiries.len() != 0 {
                Err("there are more expiries than keys that expire")
            } else {
                Ok(None)
            };
        };
        if item.key.len() > BULK_BYTES_MAX {
            return Err("a key is longer than a key can be");
        }
        match item.content {
            Content::String(bytes) if bytes.len() > BULK_BYTES_MAX => {
                return Err("a string is longer than a string can be");
            }
            Content::String(_) | Content::Integer(_) => {}
            Content::Packed(packing, bytes) => check_packed(packing, bytes)?,
            Content::Effects { kind, bytes, .. } => check_effects(item.key, kind, bytes)?,
        }
        Ok(Some(item))
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        self.plain_next().expect("`read` has been here before")
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.entries.size_hint()
    }
}

impl ExactSizeIterator for Items<'_> {}

/// Whether the bytes are what their type can read: what RESTORE asks of them, but for elements that are there twice.
fn check_packed(packing: Packing, bytes: &[u8]) -> Result<(), &'static str> {
    if packing == Packing::IntegerSet {
        let set = Intset::checked(bytes)?;
        return if set.is_empty() { Err("a set without members") } else { Ok(()) };
    }
    let pack = Listpack::checked(bytes)?;
    if pack.is_empty() {
        return Err("a collection without elements");
    }
    match packing {
        Packing::Hash if pack.len() % 2 != 0 => Err("a hash with a field that has no value"),
        Packing::SortedSet => check_scores(pack),
        _ => Ok(()),
    }
}

fn check_scores(pack: Listpack<'_>) -> Result<(), &'static str> {
    let mut elements = pack.iter();
    let mut before = f64::NEG_INFINITY;
    while elements.next().is_some() {
        let score = match elements.next().ok_or("a sorted set with a member that has no score")? {
            Element::Integer(number) => number as f64,
            Element::Bytes(text) => parse_f64(text).ok_or("a sorted set with a score that is no number")?,
        };
        if score < before {
            return Err("a sorted set that is not in order");
        }
        before = score;
    }
    Ok(())
}

fn check_effects(key: &[u8], kind: Option<Kind>, bytes: &[u8]) -> Result<(), &'static str> {
    for effect in decode_all(bytes) {
        let Ok((_, effect)) = effect else {
            return Err("an effect that builds a value cannot be read");
        };
        if effect.key() != Some(key) {
            return Err("an effect that builds a value concerns another key");
        }
        if kind.is_none() || built(&effect) != kind {
            return Err("an effect that builds a value adds nothing to a value of its type");
        }
    }
    Ok(())
}

/// The type of value that the effect can be a part of building.
fn built(effect: &Effect<'_>) -> Option<Kind> {
    Some(match effect {
        Effect::SetString { .. } => Kind::String,
        Effect::SetRange { offset, bytes, .. } => {
            let end = offset.checked_add(bytes.len());
            return end.is_some_and(|end| end <= BULK_BYTES_MAX).then_some(Kind::String);
        }
        Effect::ListPush { .. } => Kind::List,
        Effect::HashSet { .. } => Kind::Hash,
        Effect::SetAdd { .. } => Kind::Set,
        Effect::SortedSetAdd { score, .. } => return (!score.is_nan()).then_some(Kind::SortedSet),
        Effect::StreamAdd { .. }
        | Effect::StreamSetId { .. }
        | Effect::StreamGroup { .. }
        | Effect::StreamConsumer { .. }
        | Effect::StreamPending { .. } => Kind::Stream,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
