//! Owns the one allocation of a member of a collection (a set's member, a hash's field with its value), behind one 64-bit word:
//! 48 bits of pointer and 16 bits of the member's hash. Knows sizes and offsets only; never looks a member up, never expires one.
//!
//! ```text
//! word:       [ tag: 16 | pointer: 48 ]
//! allocation: flags u8 | key bytes u8 or u32 | value bytes -, u8 or u32 | [expiry i64] | key | value
//! ```
//!
//! It is `cell` made small for what collections hold millions of: no access clock, lengths of one byte where they fit, no
//! value where there is none, and no alignment, so that a member of 20 bytes takes 32. Whatever is wider than a byte is
//! copied out before it is read.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::fmt;
use std::num::NonZeroU64;
use std::ptr::{self, NonNull};
use std::slice;

use crate::sys::cell::prefetch;

const POINTER_BITS: u32 = 48;
const POINTER_MASK: u64 = (1 << POINTER_BITS) - 1;
/// Allocations are made in steps of this many bytes, the allocator's own for small ones.
const STEP: usize = 16;
const EXPIRY: usize = size_of::<i64>();

const KEY_IS_LONG: u8 = 1;
const HAS_VALUE: u8 = 2;
const VALUE_IS_LONG: u8 = 4;
const HAS_EXPIRY: u8 = 8;

const _: () = assert!(size_of::<usize>() == 8, "a pair packs a 64-bit pointer");
const _: () = assert!(size_of::<Option<Pair>>() == 8, "no pair is the null pointer");

/// One key with its value, which may be empty, and its expiry.
pub struct Pair(NonZeroU64);

/// Where everything is in an allocation.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Shape {
    flags: u8,
    key_bytes: usize,
    value_bytes: usize,
}

impl Shape {
    #[inline]
    fn of(key: &[u8], value: &[u8], expire_at_ms: Option<i64>) -> Shape {
        let mut flags = 0;
        for (is_set, flag) in [
            (key.len() > usize::from(u8::MAX), KEY_IS_LONG),
            (!value.is_empty(), HAS_VALUE),
            (value.len() > usize::from(u8::MAX), VALUE_IS_LONG),
            (expire_at_ms.is_some(), HAS_EXPIRY),
        ] {
            flags |= if is_set { flag } else { 0 };
        }
        Shape { flags, key_bytes: key.len(), value_bytes: value.len() }
    }

    #[inline]
    fn key_length_width(self) -> usize {
        if self.flags & KEY_IS_LONG == 0 { 1 } else { 4 }
    }

    #[inline]
    fn value_length_width(self) -> usize {
        match (self.flags & HAS_VALUE, self.flags & VALUE_IS_LONG) {
            (0, _) => 0,
            (_, 0) => 1,
            _ => 4,
        }
    }

    #[inline]
    fn expiry(self) -> usize {
        1 + self.key_length_width() + self.value_length_width()
    }

    #[inline]
    fn key(self) -> usize {
        self.expiry() + if self.flags & HAS_EXPIRY == 0 { 0 } else { EXPIRY }
    }

    #[inline]
    fn value(self) -> usize {
        self.key() + self.key_bytes
    }

    #[inline]
    fn layout(self) -> Layout {
        let bytes = (self.value() + self.value_bytes).next_multiple_of(STEP);
        Layout::from_size_align(bytes, 1).expect("sizes are bounded by the bulk limit")
    }
}

impl Pair {
    /// A new pair. `tag` is 16 bits of the key's hash, `expire_at_ms` the absolute expiry in Unix milliseconds. An empty value takes
    /// no space: a set's member has one.
    pub fn new(tag: u16, key: &[u8], value: &[u8], expire_at_ms: Option<i64>) -> Pair {
        let shape = Shape::of(key, value, expire_at_ms);
        let mut pair = Pair::allocate(tag, shape.layout());
        pair.write(0, &[shape.flags]);
        pair.write_length(1, shape.key_length_width(), key.len());
        pair.write_length(1 + shape.key_length_width(), shape.value_length_width(), value.len());
        if let Some(at) = expire_at_ms {
            pair.write(shape.expiry(), &at.to_ne_bytes());
        }
        pair.write(shape.key(), key);
        pair.write(shape.value(), value);
        pair
    }

    /// The 16 hash bits; reading them touches no memory but the word.
    #[inline]
    pub fn tag(&self) -> u16 {
        (self.0.get() >> POINTER_BITS) as u16
    }

    /// The key.
    #[inline]
    pub fn key(&self) -> &[u8] {
        let shape = self.shape();
        self.read(shape.key(), shape.key_bytes)
    }

    /// The value.
    #[inline]
    pub fn value(&self) -> &[u8] {
        let shape = self.shape();
        self.read(shape.value(), shape.value_bytes)
    }

    /// The absolute expiry, Unix milliseconds.
    #[inline]
    pub fn expire_at_ms(&self) -> Option<i64> {
        let shape = self.shape();
        if shape.flags & HAS_EXPIRY == 0 {
            return None;
        }
        Some(i64::from_ne_bytes(self.read(shape.expiry(), EXPIRY).try_into().expect("eight bytes")))
    }

    /// Replaces the value and keeps key and expiry; in place where the new one needs an allocation of the same size.
    pub fn set_value(&mut self, value: &[u8]) {
        let old = self.shape();
        let new = Shape::of(self.key(), value, self.expire_at_ms());
        if old.flags != new.flags || old.layout() != new.layout() {
            *self = Pair::new(self.tag(), self.key(), value, self.expire_at_ms());
            return;
        }
        self.write_length(1 + new.key_length_width(), new.value_length_width(), value.len());
        self.write(new.value(), value);
    }

    /// Sets or clears the expiry and keeps the value.
    pub fn set_expire_at_ms(&mut self, expire_at_ms: Option<i64>) {
        match (self.expire_at_ms(), expire_at_ms) {
            (Some(_), Some(at)) => self.write(self.shape().expiry(), &at.to_ne_bytes()),
            (None, None) => {}
            _ => *self = Pair::new(self.tag(), self.key(), self.value(), expire_at_ms),
        }
    }

    /// Bytes the allocator was asked for.
    #[inline]
    pub fn allocated_bytes(&self) -> usize {
        self.shape().layout().size()
    }

    /// Asks the processor to fetch the allocation's first line.
    #[inline]
    pub fn prefetch(&self) {
        prefetch(self.start());
    }

    /// Memory of this layout, not yet written.
    fn allocate(tag: u16, layout: Layout) -> Pair {
        // SAFETY: the layout is not of size zero: it holds at least the flags.
        let raw = unsafe { alloc(layout) };
        let Some(start) = NonNull::new(raw) else { handle_alloc_error(layout) };
        assert_eq!(start.as_ptr() as u64 & !POINTER_MASK, 0, "user-space addresses have 48 bits");
        let word = u64::from(tag) << POINTER_BITS | start.as_ptr() as u64;
        Pair(NonZeroU64::new(word).expect("pointers are not null"))
    }

    #[inline]
    fn start(&self) -> *mut u8 {
        (self.0.get() & POINTER_MASK) as *mut u8
    }

    #[inline]
    fn shape(&self) -> Shape {
        let flags = self.read(0, 1)[0];
        let mut shape = Shape { flags, key_bytes: 0, value_bytes: 0 };
        shape.key_bytes = self.length(1, shape.key_length_width());
        shape.value_bytes = self.length(1 + shape.key_length_width(), shape.value_length_width());
        shape
    }

    #[inline]
    fn length(&self, at: usize, width: usize) -> usize {
        match width {
            0 => 0,
            1 => self.read(at, 1)[0].into(),
            _ => u32::from_ne_bytes(self.read(at, 4).try_into().expect("four bytes")) as usize,
        }
    }

    #[inline]
    fn read(&self, at: usize, length: usize) -> &[u8] {
        // SAFETY: callers take `at` and `length` from the shape that `new` wrote for this very allocation, whose bytes it wrote.
        unsafe { slice::from_raw_parts(self.start().wrapping_add(at), length) }
    }

    fn write_length(&mut self, at: usize, width: usize, length: usize) {
        let length = u32::try_from(length).expect("members are bounded by the bulk limit");
        match width {
            0 => {}
            1 => self.write(at, &[length as u8]),
            _ => self.write(at, &length.to_ne_bytes()),
        }
    }

    #[inline]
    fn write(&mut self, at: usize, bytes: &[u8]) {
        // SAFETY: callers take `at` and the length from the shape this allocation was made for; the source is another
        // allocation, since a pair's own bytes cannot be borrowed while it is borrowed mutably.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.start().wrapping_add(at), bytes.len()) };
    }
}

impl Clone for Pair {
    fn clone(&self) -> Pair {
        Pair::new(self.tag(), self.key(), self.value(), self.expire_at_ms())
    }
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair")
            .field("tag", &self.tag())
            .field("key", &format_args!("{}", self.key().escape_ascii()))
            .field("value", &format_args!("{}", self.value().escape_ascii()))
            .field("expire_at_ms", &self.expire_at_ms())
            .finish()
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let layout = self.shape().layout();
        // SAFETY: `new` allocated the block with the layout that its first bytes still describe.
        unsafe { dealloc(self.start(), layout) };
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn shown(pair: &Pair) -> (u16, Vec<u8>, Vec<u8>, Option<i64>) {
        (pair.tag(), pair.key().to_vec(), pair.value().to_vec(), pair.expire_at_ms())
    }

    #[test]
    fn stays_in_the_size_class_of_its_budget() {
        for (key_bytes, value_bytes, expiry, bytes) in [
            (0, 0, None, 16),
            (14, 0, None, 16),
            (15, 0, None, 32),
            (20, 0, None, 32),
            (30, 0, None, 32),
            (31, 0, None, 48),
            (10, 10, None, 32),
            (10, 11, Some(1), 32),
            (255, 255, None, 528),
            (256, 256, None, 528),
        ] {
            let pair = Pair::new(0, &vec![b'k'; key_bytes], &vec![b'v'; value_bytes], expiry);
            assert_eq!(pair.allocated_bytes(), bytes, "{key_bytes} {value_bytes} {expiry:?}");
        }
    }

    #[test]
    fn replaces_a_value_of_nearly_the_same_length_in_place() {
        let mut pair = Pair::new(7, b"key", b"value", None);
        let word = pair.0;
        pair.set_value(b"other text");
        assert_eq!((pair.0, shown(&pair)), (word, (7, b"key".to_vec(), b"other text".to_vec(), None)));
        pair.set_value(b"one that is too long for that");
        assert_ne!(pair.0, word);
        assert_eq!(pair.value(), b"one that is too long for that");
    }

    #[test]
    fn moves_to_another_thread() {
        let pair = Pair::new(1, b"key", b"value", Some(-1));
        let copy = pair.clone();
        let found = std::thread::spawn(move || shown(&pair)).join().expect("no panic");
        assert_eq!(found, shown(&copy));
        assert_eq!(format!("{copy:?}"), "Pair { tag: 1, key: key, value: value, expire_at_ms: Some(-1) }");
    }

    /// Bytes of lengths on both sides of what one byte counts.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![4 => vec(any::<u8>(), 0..40), 1 => vec(any::<u8>(), 250..260), 1 => vec(any::<u8>(), 65_530..65_540)]
    }

    proptest! {
        #[test]
        fn keeps_everything_through_every_change(
            tag in any::<u16>(), key in bytes(), value in bytes(), expiry in any::<Option<i64>>(),
            changes in vec((any::<Option<Option<i64>>>(), bytes()), 0..20),
        ) {
            let mut pair = Pair::new(tag, &key, &value, expiry);
            let mut expected = (tag, key, value, expiry);
            prop_assert_eq!(&shown(&pair), &expected);
            for (expiry, value) in changes {
                match expiry {
                    Some(expiry) => {
                        pair.set_expire_at_ms(expiry);
                        expected.3 = expiry;
                    }
                    None => {
                        pair.set_value(&value);
                        expected.2 = value;
                    }
                }
                prop_assert_eq!(&shown(&pair), &expected);
                let used = expected.1.len() + expected.2.len() + if expected.3.is_some() { EXPIRY } else { 0 };
                prop_assert!((used + 2..used + 9 + STEP).contains(&pair.allocated_bytes()));
                let copy = pair.clone();
                prop_assert_eq!(&shown(&copy), &expected);
                prop_assert_eq!(copy.allocated_bytes(), pair.allocated_bytes());
            }
        }
    }
}
