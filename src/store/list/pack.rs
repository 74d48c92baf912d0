//! A listpack with spare bytes before and behind it, so that adding and taking at either end moves none of its elements.
//! Owns where the listpack lies in its allocation; never decides how large it may become.
//!
//! ```text
//! spare | listpack: header, elements, terminator | spare
//!       ^ start                                  ^ bytes.len()        bytes.capacity() ^
//! ```
//!
//! # Why there is spare space
//!
//! A node of a long list is up to 8 KB. Adding at the front of a plain listpack moves all of that, and asking for exactly the
//! bytes needed makes every push a call of the allocator: filling nodes with elements of ten bytes took 105 ns an element at
//! the front and 26 at the back. With an eighth of the length to spare both happen once in some eighty pushes, and it takes
//! 15 and 14. Only the two nodes at the ends of a list have any: what stops being an end is sealed, so a list of a million
//! elements takes less than two kilobytes more than its listpacks.
//!
//! Up to `INLINE_PACKED_BYTES_MAX` bytes a list that is one listpack has none: it is written back beside its key after each
//! change, so the allocation is one that is used again, and moving so little costs nothing.

use crate::base::limits::INLINE_PACKED_BYTES_MAX;
use crate::store::listpack::{self, COUNT_UNKNOWN, END, Encoded, HEADER, Item, Listpack};

/// Up to here a listpack grows without spare bytes.
const EXACT_BYTES_MAX: usize = INLINE_PACKED_BYTES_MAX;
/// Bytes that an end which is about to grow begins with.
const FIRST_BYTES: usize = 512;
/// Bytes to spare that are worth keeping when elements have gone.
const KEPT_BYTES: usize = 1024;

/// A listpack and how many elements it has.
#[derive(Debug)]
pub struct Pack {
    bytes: Vec<u8>,
    start: u32,
    len: u32,
}

impl Default for Pack {
    fn default() -> Pack {
        let mut bytes = Vec::with_capacity(64);
        bytes.extend_from_slice(&EMPTY);
        Pack { bytes, start: 0, len: 0 }
    }
}

impl Clone for Pack {
    fn clone(&self) -> Pack {
        Pack { bytes: self.bytes().to_vec(), start: 0, len: self.len }
    }
}

/// The listpack without elements.
pub const EMPTY: [u8; HEADER + 1] = [HEADER as u8 + 1, 0, 0, 0, 0, 0, END];

/// Bytes to spare beside a listpack of this many.
fn spare(bytes: usize) -> usize {
    if bytes <= EXACT_BYTES_MAX { 0 } else { bytes / 8 }
}

impl Pack {
    /// The pack that is exactly this listpack.
    pub fn new(bytes: Vec<u8>) -> Pack {
        let len = Listpack::new(&bytes).len();
        Pack { bytes, start: 0, len: u32::try_from(len).expect("elements of a listpack fit 32 bits") }
    }

    /// A pack of one element with room for more to come before it.
    pub fn first_at_front(item: Item<'_>) -> Pack {
        let mut bytes = vec![0; FIRST_BYTES];
        let start = FIRST_BYTES - EMPTY.len();
        bytes[start..].copy_from_slice(&EMPTY);
        let mut pack = Pack { bytes, start: start as u32, len: 0 };
        pack.push_front(item);
        pack
    }

    /// A pack of one element with room for more to come behind it.
    pub fn first_at_back(item: Item<'_>) -> Pack {
        let mut bytes = Vec::with_capacity(FIRST_BYTES);
        bytes.extend_from_slice(&EMPTY);
        let mut pack = Pack { bytes, start: 0, len: 0 };
        pack.push_back(item);
        pack
    }

    /// A pack of one element and nothing to spare.
    pub fn single(item: Item<'_>) -> Pack {
        let mut bytes = listpack::empty();
        listpack::push_back(&mut bytes, item);
        Pack { bytes, start: 0, len: 1 }
    }

    /// The listpack's bytes.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[self.start as usize..]
    }

    /// The listpack.
    #[inline]
    pub fn view(&self) -> Listpack<'_> {
        Listpack::new(self.bytes())
    }

    /// How many elements.
    #[inline]
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Bytes asked of the allocator.
    #[inline]
    pub fn allocated_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// The listpack in a vector of its own, whose capacity may be larger.
    pub fn into_bytes(mut self) -> Vec<u8> {
        self.align();
        self.bytes
    }

    /// Gives back what is spare.
    pub fn seal(&mut self) {
        self.align();
        if self.bytes.capacity() > self.bytes.len() {
            // Into another allocation: the allocator would leave a block that is only a little too large as it is.
            self.bytes = self.bytes.as_slice().into();
        }
    }

    // At the ends -------------------------------------------------------------------------------------------------

    /// Adds an element behind all others.
    pub fn push_back(&mut self, item: Item<'_>) {
        let encoded = Encoded::of(item);
        let parts = encoded.parts();
        let added: usize = parts.iter().map(|part| part.len()).sum();
        if self.bytes.capacity() - self.bytes.len() < added {
            self.bytes.reserve_exact(added + spare(self.bytes().len()));
        }
        self.bytes.pop();
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part));
        self.bytes.push(END);
        self.set_header(self.len + 1);
    }

    /// Adds an element before all others.
    pub fn push_front(&mut self, item: Item<'_>) {
        let encoded = Encoded::of(item);
        let parts = encoded.parts();
        let added: usize = parts.iter().map(|part| part.len()).sum();
        if (self.start as usize) < added {
            self.make_room_before(added);
        }
        self.start -= added as u32;
        let mut at = self.start as usize + HEADER;
        for part in parts {
            self.bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        self.set_header(self.len + 1);
    }

    /// Takes `count` elements, of which there are as many, from the front.
    pub fn remove_front(&mut self, count: usize) {
        let kept = self.position(count);
        self.start += (kept - HEADER) as u32;
        self.set_header(self.len - count as u32);
        self.give_back();
    }

    /// Takes `count` elements, of which there are as many, from the back.
    pub fn remove_back(&mut self, count: usize) {
        let end = self.position(self.len() - count);
        self.bytes.truncate(self.start as usize + end);
        self.bytes.push(END);
        self.set_header(self.len - count as u32);
        self.give_back();
    }

    // In the middle -----------------------------------------------------------------------------------------------

    /// Adds an element before the one with this index; there is one.
    pub fn insert(&mut self, index: usize, item: Item<'_>) {
        self.align();
        let at = self.position(index);
        listpack::insert_before(&mut self.bytes, at, item);
        self.len += 1;
    }

    /// Puts an element in the place of the one with this index; there is one.
    pub fn replace(&mut self, index: usize, item: Item<'_>) {
        self.align();
        let at = self.position(index);
        listpack::replace(&mut self.bytes, at, item);
    }

    /// Takes the element with this index out; there is one.
    pub fn remove(&mut self, index: usize) {
        self.align();
        let at = self.position(index);
        listpack::remove(&mut self.bytes, at);
        self.len -= 1;
    }

    /// Takes out the elements at these positions, first to last.
    pub fn remove_all(&mut self, positions: &[usize]) {
        let view = self.view();
        let end = view.bytes().len() - 1;
        let mut left = Vec::with_capacity(view.bytes().len());
        let mut from = 0;
        for &at in positions {
            left.extend_from_slice(&view.bytes()[from..at]);
            from = view.next(at).unwrap_or(end);
        }
        left.extend_from_slice(&view.bytes()[from..]);
        left.shrink_to_fit();
        (self.bytes, self.start) = (left, 0);
        self.set_header(self.len - positions.len() as u32);
    }

    /// Splits before the element with this index, which is neither the first nor one behind the last, and returns what was behind.
    pub fn split_off(&mut self, index: usize) -> Pack {
        let at = self.position(index);
        let behind = &self.bytes()[at..];
        let mut bytes = Vec::with_capacity(HEADER + behind.len());
        bytes.extend_from_slice(&EMPTY[..HEADER]);
        bytes.extend_from_slice(behind);
        let mut other = Pack { bytes, start: 0, len: 0 };
        other.set_header(self.len - index as u32);
        self.bytes.truncate(self.start as usize + at);
        self.bytes.push(END);
        self.set_header(index as u32);
        self.seal();
        other
    }

    /// Adds all elements of another pack behind those of this one.
    pub fn append(&mut self, other: &Pack) {
        self.align();
        listpack::append(&mut self.bytes, other.view());
        self.len += other.len;
    }

    // Space -------------------------------------------------------------------------------------------------------

    /// The position of the element with this index, or behind the last one.
    fn position(&self, index: usize) -> usize {
        let view = self.view();
        view.seek(index as i64).unwrap_or(view.bytes().len() - 1)
    }

    fn set_header(&mut self, len: u32) {
        self.len = len;
        let total = u32::try_from(self.bytes().len()).expect("nodes are bounded far below 4 GiB");
        let count = u16::try_from(len).unwrap_or(COUNT_UNKNOWN);
        let start = self.start as usize;
        self.bytes[start..start + 4].copy_from_slice(&total.to_le_bytes());
        self.bytes[start + 4..start + HEADER].copy_from_slice(&count.to_le_bytes());
    }

    /// Moves the listpack to the beginning of its allocation.
    fn align(&mut self) {
        self.bytes.drain(..self.start as usize);
        self.start = 0;
    }

    fn make_room_before(&mut self, added: usize) {
        let (from, used) = (self.start as usize, self.bytes().len());
        let start = added + spare(used);
        let total = start + used;
        if total <= self.bytes.capacity() {
            self.bytes.resize(total.max(self.bytes.len()), 0);
            self.bytes.copy_within(from..from + used, start);
            self.bytes.truncate(total);
        } else {
            let mut bytes = Vec::with_capacity(total);
            bytes.resize(start, 0);
            bytes.extend_from_slice(self.bytes());
            self.bytes = bytes;
        }
        self.start = start as u32;
    }

    /// Gives back what is spare once it is more than two ends in use would have. Each byte is moved for several taken before.
    fn give_back(&mut self) {
        let used = self.bytes().len();
        let kept = (used / 4).max(KEPT_BYTES);
        if self.bytes.capacity() - used > kept {
            self.seal();
        }
    }
}
