//! Lists of short strings in one run of bytes, in exactly Redis's listpack format: small hashes, lists, sets, sorted sets and
//! stream nodes, in memory as in DUMP. Reads borrowed bytes and changes a `Vec<u8>`; never decides which values belong in a listpack.
//!
//! ```text
//! listpack: total bytes u32 | count u16 | element ... | 0xFF
//! element:  encoding | data | backlen                                      its span is encoding and data
//!
//! 0xxxxxxx                7-bit unsigned integer      1110xxxx l           string of up to 4095 bytes: x l
//! 10xxxxxx                string of up to 63 bytes    11110000 l l l l     string of up to 4 GiB
//! 110xxxxx x              13-bit integer              11110001 .. 11110100 integer of 2, 3, 4 or 8 bytes
//! ```
//!
//! Lengths behind `1110` and the 13-bit integer have their high bits first; everything else is little-endian. Integers are signed.
//! The backlen is the span in groups of seven bits, high first, all but the first with their top bit set: what is read backwards
//! ends by itself. A count of 65,535 says that nobody knows; the elements must then be counted.
//! Source: <https://github.com/antirez/listpack/blob/master/listpack.md>, and `src/listpack.c` of Redis 7 for what it leaves open.
//!
//! # Positions
//!
//! A position is the offset of an element's first byte, and holds until the listpack changes. What adds an element returns
//! the position of the new one; what removes elements returns the position of the one behind them, which is how to go on.
//!
//! # Trust
//!
//! Bytes from elsewhere enter through [`Listpack::checked`]. Everything else takes bytes that came through there or were made
//! here, and positions that it gave out; on others it panics or answers nonsense.
//!
//! # Memory
//!
//! A vector never asks for more than its bytes, and gives back what it no longer needs: the allocator's size classes
//! make most of these calls free, and Redis does the same, so a listpack takes no more memory here than there.

use std::ops::Range;

use crate::base::limits::INLINE_PACKED_BYTES_MAX;
use crate::base::number::{INTEGER_TEXT_BYTES_MAX, format_i64, parse_i64};

/// Bytes beyond which nothing should be added: Redis's `LISTPACK_MAX_SAFETY_LIMIT`. One more string of any length still fits.
pub const BYTES_MAX: usize = 1 << 30;

/// Bytes before the first element.
pub(in crate::store) const HEADER: usize = 6;
const COUNT: Range<usize> = 4..HEADER;
/// A count that says nothing.
pub(in crate::store) const COUNT_UNKNOWN: u16 = u16::MAX;
/// The terminator.
pub(in crate::store) const END: u8 = 0xFF;
/// A vector of at most this many bytes keeps what it has when it gets shorter: it may be the one in which all small ones are changed.
const KEPT_BYTES_MAX: usize = 2 * INLINE_PACKED_BYTES_MAX;
const BACKLEN_BYTES_MAX: usize = 5;
/// Encoding byte and eight bytes of integer.
const HEAD_BYTES_MAX: usize = 9;

/// What one element holds. Bytes that spell an integer canonically are stored as the integer, and come back as that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// An integer.
    Integer(i64),
    /// Any other string.
    Bytes(&'a [u8]),
}

impl Item<'_> {
    /// Runs `use_bytes` on the string that the element is to clients, formatting an integer on the stack.
    #[inline]
    pub fn with_bytes<R>(self, use_bytes: impl FnOnce(&[u8]) -> R) -> R {
        match self {
            Item::Integer(number) => use_bytes(format_i64(number, &mut [0; INTEGER_TEXT_BYTES_MAX])),
            Item::Bytes(bytes) => use_bytes(bytes),
        }
    }

    /// A copy of the string's bytes.
    pub fn to_vec(self) -> Vec<u8> {
        self.with_bytes(<[u8]>::to_vec)
    }

    /// The string as a 64-bit integer, under Redis's strict rules. Listpacks from elsewhere may hold integers as bytes.
    #[inline]
    pub fn integer(self) -> Option<i64> {
        match self {
            Item::Integer(number) => Some(number),
            Item::Bytes(bytes) => parse_i64(bytes),
        }
    }
}

// ----------------------------------------------------------------------------------------------------------
// Reading
// ----------------------------------------------------------------------------------------------------------

/// A listpack, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listpack<'a>(&'a [u8]);

impl<'a> Listpack<'a> {
    /// The listpack in bytes that are known to be one.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Listpack<'a> {
        debug_assert!(bytes.len() > HEADER && bytes.ends_with(&[END]), "not a listpack");
        Listpack(bytes)
    }

    /// The listpack in bytes from elsewhere, or what is wrong with them. Looks at every byte that reading or changing relies on.
    /// Accepts what Redis accepts though its own code never writes it: integers in wider encodings than needed or spelled as
    /// bytes, a count that is unknown for no reason. Refuses one thing more: a backlen that runs on into data of value zero, which
    /// Redis takes for the same number. Having no elements is no fault here; that no key holds such a value is the caller's to see.
    pub fn checked(bytes: &'a [u8]) -> Result<Listpack<'a>, &'static str> {
        let Some((&[total @ .., _, _], rest)) = bytes.split_first_chunk::<HEADER>() else {
            return Err("listpack shorter than its header");
        };
        if u32::from_le_bytes(total) as usize != bytes.len() {
            return Err("listpack of another length than its header says");
        }
        let Some((&END, mut elements)) = rest.split_last() else {
            return Err("listpack without its terminator");
        };
        let mut count = 0;
        while !elements.is_empty() {
            let Some((_, span)) = decode(elements) else {
                return Err("listpack with an element that is cut off or of no known encoding");
            };
            let (backlen, unused) = backlen(span);
            let Some(behind) = elements[span..].strip_prefix(&backlen[unused..]) else {
                return Err("listpack with a wrong backlen");
            };
            elements = behind;
            count += 1;
        }
        let pack = Listpack(bytes);
        match pack.known_len() {
            Some(known) if known != count => Err("listpack of another count than its header says"),
            _ => Ok(pack),
        }
    }

    /// The bytes.
    #[inline]
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// How many elements there are. Walks them if there are, or ever were, more than the header can count.
    #[inline]
    pub fn len(self) -> usize {
        self.known_len().unwrap_or_else(|| self.iter().count())
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.end() == HEADER
    }

    /// Whether `more` bytes may be added under the bound that Redis keeps.
    #[inline]
    pub fn has_room_for(self, more: usize) -> bool {
        self.0.len() + more <= BYTES_MAX
    }

    /// The element at a position.
    #[inline]
    pub fn item(self, at: usize) -> Item<'a> {
        self.element(at).0
    }

    /// The position of the first element.
    #[inline]
    pub fn first(self) -> Option<usize> {
        (!self.is_empty()).then_some(HEADER)
    }

    /// The position of the last element.
    #[inline]
    pub fn last(self) -> Option<usize> {
        self.previous(self.end())
    }

    /// The position of the element behind the one at `at`.
    #[inline]
    pub fn next(self, at: usize) -> Option<usize> {
        self.not_end(self.behind(at))
    }

    /// The position of the element before the one at `at`.
    #[inline]
    pub fn previous(self, at: usize) -> Option<usize> {
        (at != HEADER).then(|| self.before(at))
    }

    /// The position of the element with this index; negative ones count from the end, the last element being -1.
    pub fn seek(self, index: i64) -> Option<usize> {
        let mut index = index;
        if let Some(len) = self.known_len() {
            let len = len as i64;
            if !(-len..len).contains(&index) {
                return None;
            }
            // From the nearer end.
            if index > len / 2 {
                index -= len;
            } else if index < -len / 2 {
                index += len;
            }
        }
        if index >= 0 {
            (0..index).try_fold(self.first()?, |at, _| self.next(at))
        } else {
            (index..-1).try_fold(self.last()?, |at, _| self.previous(at))
        }
    }

    /// The element with this index; negative ones count from the end.
    pub fn get(self, index: i64) -> Option<Item<'a>> {
        self.seek(index).map(|at| self.item(at))
    }

    /// The position of the first element that is `wanted`, among the one at `from` and every `stride`-th behind it.
    /// A hash looks at every second, its fields.
    pub fn find(self, from: usize, wanted: &[u8], stride: usize) -> Option<usize> {
        let wanted_integer = parse_i64(wanted);
        let mut at = self.not_end(from)?;
        loop {
            let (item, behind) = self.element(at);
            let is_it = match item {
                Item::Integer(number) => wanted_integer == Some(number),
                Item::Bytes(bytes) => bytes == wanted,
            };
            if is_it {
                return Some(at);
            }
            at = self.not_end(behind)?;
            for _ in 1..stride {
                at = self.next(at)?;
            }
        }
    }

    /// All elements, from either end.
    #[inline]
    pub fn iter(self) -> Iter<'a> {
        Iter { pack: self, left: HEADER..self.end() }
    }

    /// The element at `at` and those behind it.
    #[inline]
    pub fn iter_from(self, at: usize) -> Iter<'a> {
        Iter { pack: self, left: at..self.end() }
    }

    /// The elements up to the one at `at`, which is the last of them; reversed, it is the first.
    #[inline]
    pub fn iter_through(self, at: usize) -> Iter<'a> {
        Iter { pack: self, left: HEADER..self.behind(at) }
    }

    /// Offset of the terminator: the position behind the last element.
    #[inline]
    fn end(self) -> usize {
        self.0.len() - 1
    }

    #[inline]
    fn not_end(self, at: usize) -> Option<usize> {
        (at != self.end()).then_some(at)
    }

    #[inline]
    fn known_len(self) -> Option<usize> {
        let count = u16::from_le_bytes([self.0[4], self.0[5]]);
        (count != COUNT_UNKNOWN).then_some(count.into())
    }

    /// The element at a position, and the position behind it.
    #[inline]
    fn element(self, at: usize) -> (Item<'a>, usize) {
        let (item, span) = decode(&self.0[at..]).expect("positions are those of elements");
        (item, at + span + backlen_bytes(span))
    }

    /// The position behind the element at `at`, which may be the end.
    #[inline]
    fn behind(self, at: usize) -> usize {
        self.element(at).1
    }

    /// The position of the element that ends where `at` begins.
    #[inline]
    fn before(self, at: usize) -> usize {
        let mut span = 0;
        for back in 1..=BACKLEN_BYTES_MAX {
            let byte = self.0[at - back];
            span |= usize::from(byte & 0x7F) << (7 * (back - 1));
            if byte & 0x80 == 0 {
                return at - back - span;
            }
        }
        unreachable!("a backlen ends with its fifth byte")
    }
}

/// Elements of a listpack, from either end.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    pack: Listpack<'a>,
    left: Range<usize>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        if self.left.is_empty() {
            return None;
        }
        let (item, behind) = self.pack.element(self.left.start);
        self.left.start = behind;
        Some(item)
    }
}

impl<'a> DoubleEndedIterator for Iter<'a> {
    #[inline]
    fn next_back(&mut self) -> Option<Item<'a>> {
        if self.left.is_empty() {
            return None;
        }
        self.left.end = self.pack.before(self.left.end);
        Some(self.pack.item(self.left.end))
    }
}

// ----------------------------------------------------------------------------------------------------------
// Changing
// ----------------------------------------------------------------------------------------------------------

/// A listpack without elements.
pub fn empty() -> Vec<u8> {
    vec![HEADER as u8 + 1, 0, 0, 0, 0, 0, END]
}

/// Adds an element behind all others. Returns its position.
pub fn push_back(bytes: &mut Vec<u8>, item: Item<'_>) -> usize {
    let end = Listpack::new(bytes).end();
    insert_before(bytes, end, item)
}

/// Adds an element before all others. Returns its position.
pub fn push_front(bytes: &mut Vec<u8>, item: Item<'_>) -> usize {
    insert_before(bytes, HEADER, item)
}

/// Adds an element before the one at `at`. Returns its position.
pub fn insert_before(bytes: &mut Vec<u8>, at: usize, item: Item<'_>) -> usize {
    splice(bytes, at..at, Encoded::of(item).parts());
    change_count(bytes, |count| count + 1);
    at
}

/// Adds an element behind the one at `at`. Returns its position.
pub fn insert_after(bytes: &mut Vec<u8>, at: usize, item: Item<'_>) -> usize {
    let behind = Listpack::new(bytes).behind(at);
    insert_before(bytes, behind, item)
}

/// Puts an element in the place of the one at `at`. Returns its position, which is the same.
pub fn replace(bytes: &mut Vec<u8>, at: usize, item: Item<'_>) -> usize {
    let behind = Listpack::new(bytes).behind(at);
    splice(bytes, at..behind, Encoded::of(item).parts());
    at
}

/// Removes the element at `at`. Returns the position of the one behind it.
pub fn remove(bytes: &mut Vec<u8>, at: usize) -> Option<usize> {
    remove_range(bytes, at, 1)
}

/// Removes the element at `at` and those behind it, `count` in all or as many as there are. Returns the position of the one
/// behind them.
pub fn remove_range(bytes: &mut Vec<u8>, at: usize, count: usize) -> Option<usize> {
    let pack = Listpack::new(bytes);
    let (mut behind, mut removed) = (at, 0);
    while removed < count && behind != pack.end() {
        behind = pack.behind(behind);
        removed += 1;
    }
    splice(bytes, at..behind, [&[]; 3]);
    change_count(bytes, |count| count - removed);
    Listpack::new(bytes).not_end(at)
}

/// Adds all elements of another listpack behind those of this one. Returns the position of the first that came.
pub fn append(bytes: &mut Vec<u8>, other: Listpack<'_>) -> Option<usize> {
    let end = Listpack::new(bytes).end();
    splice(bytes, end..end, [&other.0[HEADER..other.end()], &[], &[]]);
    change_count(bytes, |count| count + other.len());
    Listpack::new(bytes).not_end(end)
}

/// Puts `new` in the place of the bytes in `old`, and the new total into the header.
fn splice(bytes: &mut Vec<u8>, old: Range<usize>, new: [&[u8]; 3]) {
    let old_total = bytes.len();
    let new_end = old.start + new.iter().map(|part| part.len()).sum::<usize>();
    let total = old_total - old.end + new_end;
    let header_total = u32::try_from(total).expect("nothing is added to a listpack beyond BYTES_MAX");
    if total > old_total {
        bytes.reserve_exact(total - old_total);
        bytes.resize(total, 0);
    }
    bytes.copy_within(old.end..old_total, new_end);
    if total < old_total {
        bytes.truncate(total);
        if bytes.capacity() > KEPT_BYTES_MAX && bytes.capacity() / 4 > total / 3 {
            bytes.shrink_to_fit();
        }
    }
    let mut at = old.start;
    for part in new {
        bytes[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    }
    bytes[..4].copy_from_slice(&header_total.to_le_bytes());
}

/// Brings the header's count up to date. Once unknown it stays so, as counting again with every removal would cost more than
/// it is worth.
fn change_count(bytes: &mut [u8], change: impl FnOnce(usize) -> usize) {
    if let Some(count) = Listpack(bytes).known_len() {
        let count = u16::try_from(change(count)).unwrap_or(COUNT_UNKNOWN);
        bytes[COUNT].copy_from_slice(&count.to_le_bytes());
    }
}

// ----------------------------------------------------------------------------------------------------------
// Elements
// ----------------------------------------------------------------------------------------------------------

/// What the element that begins these bytes holds, and its span; nothing if they do not hold one.
#[inline]
fn decode(element: &[u8]) -> Option<(Item<'_>, usize)> {
    let (&head, rest) = element.split_first()?;
    let integer = |value, data_bytes: usize| (Item::Integer(value), 1 + data_bytes);
    let string = |head_bytes: usize, bytes: usize| {
        Some((Item::Bytes(element.get(head_bytes..head_bytes + bytes)?), head_bytes + bytes))
    };
    match head {
        0x00..=0x7F => Some(integer(head.into(), 0)),
        0x80..=0xBF => string(1, (head & 0x3F).into()),
        // The shifts drop the encoding's three bits and leave the sign in their place.
        0xC0..=0xDF => Some(integer((i16::from_be_bytes([head, *rest.first()?]) << 3 >> 3).into(), 1)),
        0xE0..=0xEF => string(2, u16::from_be_bytes([head & 0x0F, *rest.first()?]).into()),
        0xF0 => string(5, u32::from_le_bytes(*rest.first_chunk()?) as usize),
        0xF1 => Some(integer(i16::from_le_bytes(*rest.first_chunk()?).into(), 2)),
        0xF2 => {
            let &[low, middle, high] = rest.first_chunk()?;
            Some(integer((i32::from_le_bytes([0, low, middle, high]) >> 8).into(), 3))
        }
        0xF3 => Some(integer(i32::from_le_bytes(*rest.first_chunk()?).into(), 4)),
        0xF4 => Some(integer(i64::from_le_bytes(*rest.first_chunk()?), 8)),
        0xF5..=0xFF => None,
    }
}

/// An element about to be written: encoding with an integer's data, a string's data, backlen.
pub(in crate::store) struct Encoded<'a> {
    head: [u8; HEAD_BYTES_MAX],
    head_bytes: usize,
    data: &'a [u8],
    backlen: [u8; BACKLEN_BYTES_MAX],
    backlen_unused: usize,
}

impl<'a> Encoded<'a> {
    /// The element in its shortest encoding.
    pub(in crate::store) fn of(item: Item<'a>) -> Encoded<'a> {
        let mut head = [0; HEAD_BYTES_MAX];
        let (head_bytes, data) = match (item.integer(), item) {
            (Some(number), _) => (integer_head(number, &mut head), &[][..]),
            (None, Item::Bytes(data)) => (string_head(data.len(), &mut head), data),
            (None, Item::Integer(_)) => unreachable!("an integer is one"),
        };
        let (backlen, backlen_unused) = backlen(head_bytes + data.len());
        Encoded { head, head_bytes, data, backlen, backlen_unused }
    }

    /// Its bytes, which stand one after the other.
    pub(in crate::store) fn parts(&self) -> [&[u8]; 3] {
        [&self.head[..self.head_bytes], self.data, &self.backlen[self.backlen_unused..]]
    }
}

/// Writes the shortest encoding of an integer and returns how many bytes it has.
fn integer_head(number: i64, head: &mut [u8; HEAD_BYTES_MAX]) -> usize {
    let (encoding, data_bytes) = match number {
        0..=0x7F => (number as u8, 0),
        -0x1000..=0xFFF => (0xC0 | (number >> 8) as u8 & 0x1F, 1),
        -0x8000..=0x7FFF => (0xF1, 2),
        -0x80_0000..=0x7F_FFFF => (0xF2, 3),
        -0x8000_0000..=0x7FFF_FFFF => (0xF3, 4),
        _ => (0xF4, 8),
    };
    head[0] = encoding;
    head[1..].copy_from_slice(&number.to_le_bytes());
    1 + data_bytes
}

/// Writes the shortest encoding of a string's length and returns how many bytes it has.
fn string_head(len: usize, head: &mut [u8; HEAD_BYTES_MAX]) -> usize {
    let len = u32::try_from(len).expect("strings are bounded by the bulk limit");
    let [high @ .., low] = len.to_be_bytes();
    match len {
        0..=0x3F => {
            head[0] = 0x80 | low;
            1
        }
        0x40..=0xFFF => {
            head[..2].copy_from_slice(&[0xE0 | high[2], low]);
            2
        }
        _ => {
            head[0] = 0xF0;
            head[1..5].copy_from_slice(&len.to_le_bytes());
            5
        }
    }
}

/// The backlen of a span, at the end of the array, and how many bytes before it are unused.
#[inline]
fn backlen(span: usize) -> ([u8; BACKLEN_BYTES_MAX], usize) {
    let unused = BACKLEN_BYTES_MAX - backlen_bytes(span);
    let mut bytes = [0; BACKLEN_BYTES_MAX];
    for (group, byte) in bytes.iter_mut().rev().enumerate() {
        *byte = (span >> (7 * group)) as u8 | 0x80;
    }
    bytes[unused] &= 0x7F;
    (bytes, unused)
}

/// Bytes of a span's backlen. The largest value of two, three and four bytes takes one more than it needs: `lpEncodeBacklen`
/// compares with `<` where `<=` would do, and so must every reader and writer of the format.
#[inline]
fn backlen_bytes(span: usize) -> usize {
    match span {
        ..0x80 => 1,
        0x80..0x3FFF => 2,
        0x3FFF..0x1F_FFFF => 3,
        0x1F_FFFF..0xFFF_FFFF => 4,
        _ => BACKLEN_BYTES_MAX,
    }
}

#[cfg(test)]
mod tests;
