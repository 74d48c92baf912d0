//! Owns the one allocation of a key and its value, behind one 64-bit word: 48 bits of pointer and 16 bits of the key's hash.
//! Knows sizes and offsets only; never looks a key up, never expires one, never decides how a value is encoded.
//!
//! ```text
//! word:       [ tag: 16 | pointer: 48 ]
//! allocation: kind u8 | flags u8 | label u8 | - u8 | clock u32 | key bytes u32 | value bytes u32 | [expiry i64] | key | value
//! ```
//!
//! The expiry is there only where flags say so, which keeps a 12-byte key with a 64-byte value inside mimalloc's 96-byte
//! size class. A value too large to sit beside its key is a boxed `T`, whose pointer takes the value's place.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::marker::PhantomData;
use std::num::NonZeroU64;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::{AtomicU32, Ordering};

const HEADER: usize = 16;
const EXPIRY: usize = 8;
const HAS_EXPIRY: u8 = 1;
const POINTER_BITS: u32 = 48;
const POINTER_MASK: u64 = (1 << POINTER_BITS) - 1;
/// Allocations are made in steps of this many bytes, so a value of nearly the same length is replaced in place.
const STEP: usize = 16;

const KIND_BYTES: u8 = 0;
const KIND_INTEGER: u8 = 1;
const KIND_BOXED: u8 = 2;
const KIND_PACKED: u8 = 3;

#[repr(C)]
struct Header {
    kind: u8,
    flags: u8,
    label: u8,
    unused: u8,
    clock: AtomicU32,
    key_bytes: u32,
    value_bytes: u32,
}

const _: () = assert!(size_of::<Header>() == HEADER);
const _: () = assert!(size_of::<usize>() == 8, "a cell packs a 64-bit pointer");

/// What a cell holds, borrowed.
#[derive(Debug)]
pub enum Held<'a, T> {
    /// Bytes beside the key.
    Bytes(&'a [u8]),
    /// A number beside the key.
    Integer(i64),
    /// Bytes beside the key that are no string: a label says what.
    Packed(u8, &'a [u8]),
    /// An object of its own.
    Boxed(&'a T),
}

/// What to put into a cell.
#[derive(Debug)]
pub enum Payload<'a, T> {
    /// Bytes to copy beside the key.
    Bytes(&'a [u8]),
    /// A number.
    Integer(i64),
    /// Bytes to copy beside the key, and the label that says what they are.
    Packed(u8, &'a [u8]),
    /// An object, whose ownership moves to the cell.
    Boxed(Box<T>),
}

impl<T> Payload<'_, T> {
    fn bytes(&self) -> usize {
        match self {
            Payload::Bytes(bytes) | Payload::Packed(_, bytes) => bytes.len(),
            Payload::Integer(_) | Payload::Boxed(_) => 8,
        }
    }

    fn kind(&self) -> u8 {
        match self {
            Payload::Bytes(_) => KIND_BYTES,
            Payload::Integer(_) => KIND_INTEGER,
            Payload::Packed(..) => KIND_PACKED,
            Payload::Boxed(_) => KIND_BOXED,
        }
    }

    fn label(&self) -> u8 {
        if let Payload::Packed(label, _) = self { *label } else { 0 }
    }
}

/// One key with its value, expiry and access clock.
pub struct Cell<T> {
    word: NonZeroU64,
    owns: PhantomData<Box<T>>,
}

// SAFETY: a cell owns its allocation alone, so it may move to another thread whenever its object may.
unsafe impl<T: Send> Send for Cell<T> {}

impl<T> Cell<T> {
    /// A new cell. `tag` is 16 bits of the key's hash, `expire_at_ms` the absolute expiry in Unix milliseconds.
    pub fn new(
        tag: u16,
        key: &[u8],
        value: Payload<'_, T>,
        expire_at_ms: Option<i64>,
        clock: u32,
    ) -> Cell<T> {
        let expiry = if expire_at_ms.is_some() { EXPIRY } else { 0 };
        let header = Header {
            kind: value.kind(),
            flags: if expire_at_ms.is_some() { HAS_EXPIRY } else { 0 },
            label: value.label(),
            unused: 0,
            clock: AtomicU32::new(clock),
            key_bytes: u32::try_from(key.len()).expect("keys are bounded by the bulk limit"),
            value_bytes: u32::try_from(value.bytes()).expect("inline values are bounded by the bulk limit"),
        };
        let layout = layout(HEADER + expiry + key.len() + value.bytes());
        // SAFETY: the layout is not of size zero: it holds at least a header.
        let raw = unsafe { alloc(layout) };
        let Some(start) = NonNull::new(raw) else { handle_alloc_error(layout) };
        assert_eq!(start.as_ptr() as u64 & !POINTER_MASK, 0, "user-space addresses have 48 bits");
        let word = u64::from(tag) << POINTER_BITS | start.as_ptr() as u64;
        let mut cell =
            Cell { word: NonZeroU64::new(word).expect("pointers are not null"), owns: PhantomData };
        // SAFETY: the allocation is large enough for a header and aligned to 16 bytes.
        unsafe { cell.start().cast::<Header>().write(header) };
        if let Some(at) = expire_at_ms {
            cell.write(HEADER, &at.to_ne_bytes());
        }
        cell.write(HEADER + expiry, key);
        cell.write_value(value);
        cell
    }

    /// The 16 hash bits; reading them touches no memory but the word.
    #[inline]
    pub fn tag(&self) -> u16 {
        (self.word.get() >> POINTER_BITS) as u16
    }

    /// Asks the processor to fetch the allocation's first two lines.
    #[inline]
    pub fn prefetch(&self) {
        prefetch(self.start());
        prefetch(self.start().wrapping_add(64));
    }

    /// The key.
    #[inline]
    pub fn key(&self) -> &[u8] {
        let header = self.header();
        self.read(HEADER + expiry_bytes(header), header.key_bytes as usize)
    }

    /// The value.
    #[inline]
    pub fn held(&self) -> Held<'_, T> {
        let bytes = self.value();
        match self.header().kind {
            KIND_BYTES => Held::Bytes(bytes),
            KIND_INTEGER => Held::Integer(self.integer()),
            KIND_PACKED => Held::Packed(self.header().label, bytes),
            // SAFETY: a boxed value's bytes are a pointer from `Box::into_raw`, owned by this cell and borrowed with it.
            _ => Held::Boxed(unsafe { &*boxed::<T>(bytes) }),
        }
    }

    /// The object, for changing it in place.
    #[inline]
    pub fn boxed_mut(&mut self) -> Option<&mut T> {
        if self.header().kind != KIND_BOXED {
            return None;
        }
        // SAFETY: as in `held`, and `&mut self` makes this the only reference.
        Some(unsafe { &mut *boxed::<T>(self.value()) })
    }

    /// The bytes beside the key, for changing them in place.
    #[inline]
    pub fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        let header = self.header();
        if header.kind != KIND_BYTES {
            return None;
        }
        let at = HEADER + expiry_bytes(header) + header.key_bytes as usize;
        let length = header.value_bytes as usize;
        // SAFETY: the value's bytes lie inside the allocation, are initialised, and `&mut self` makes this the only reference.
        Some(unsafe { slice::from_raw_parts_mut(self.byte(at), length) })
    }

    /// The absolute expiry, Unix milliseconds.
    #[inline]
    pub fn expire_at_ms(&self) -> Option<i64> {
        if self.header().flags & HAS_EXPIRY == 0 {
            return None;
        }
        Some(i64::from_ne_bytes(self.read(HEADER, EXPIRY).try_into().expect("eight bytes")))
    }

    /// The access clock, whose meaning is the eviction policy's.
    #[inline]
    pub fn clock(&self) -> u32 {
        self.header().clock.load(Ordering::Relaxed)
    }

    /// Sets the access clock.
    #[inline]
    pub fn set_clock(&mut self, clock: u32) {
        *self.header_mut().clock.get_mut() = clock;
    }

    /// Bytes the allocation takes, without the object a boxed value points to.
    #[inline]
    pub fn allocated_bytes(&self) -> usize {
        self.layout().size()
    }

    /// Sets the access clock, whoever else may read it: the one part of an entry that a read changes.
    #[inline]
    pub fn touch(&self, clock: u32) {
        self.header().clock.store(clock, Ordering::Relaxed);
    }

    /// Replaces value and expiry; in place where the new ones need an allocation of the same size.
    pub fn replace(&mut self, value: Payload<'_, T>, expire_at_ms: Option<i64>) {
        let header = self.header();
        let same_shape = (header.flags & HAS_EXPIRY != 0) == expire_at_ms.is_some();
        let used = HEADER + expiry_bytes(header) + header.key_bytes as usize + value.bytes();
        if !same_shape || layout(used) != self.layout() {
            *self = Cell::new(self.tag(), self.key(), value, expire_at_ms, self.clock());
            return;
        }
        self.drop_boxed();
        if let Some(at) = expire_at_ms {
            self.write(HEADER, &at.to_ne_bytes());
        }
        let header = self.header_mut();
        header.kind = value.kind();
        header.label = value.label();
        header.value_bytes = value.bytes() as u32;
        self.write_value(value);
    }

    /// Sets or clears the expiry and keeps the value.
    pub fn set_expire_at_ms(&mut self, expire_at_ms: Option<i64>) {
        match (self.expire_at_ms(), expire_at_ms) {
            (Some(_), Some(at)) => self.write(HEADER, &at.to_ne_bytes()),
            (None, None) => {}
            _ => {
                let clock = self.clock();
                let payload = match self.header().kind {
                    KIND_BYTES => Payload::Bytes(self.value()),
                    KIND_INTEGER => Payload::Integer(self.integer()),
                    KIND_PACKED => Payload::Packed(self.header().label, self.value()),
                    _ => Payload::Boxed(self.take_box()),
                };
                *self = Cell::new(self.tag(), self.key(), payload, expire_at_ms, clock);
            }
        }
    }

    /// Takes the object out and ends the cell.
    pub fn into_boxed(mut self) -> Option<Box<T>> {
        self.take_boxed()
    }

    /// Takes the object out of a cell that is about to go or to hold something else: what is left in its place has no meaning.
    pub fn take_boxed(&mut self) -> Option<Box<T>> {
        if self.header().kind != KIND_BOXED {
            return None;
        }
        Some(self.take_box())
    }

    /// Takes the object out and leaves a number of no meaning in its place.
    fn take_box(&mut self) -> Box<T> {
        assert_eq!(self.header().kind, KIND_BOXED, "only a boxed value can be taken out");
        let object = boxed::<T>(self.value());
        self.header_mut().kind = KIND_INTEGER;
        // SAFETY: the pointer came from `Box::into_raw`, and the cell has just given up its claim to it.
        unsafe { Box::from_raw(object) }
    }

    fn drop_boxed(&mut self) {
        if self.header().kind == KIND_BOXED {
            drop(self.take_box());
        }
    }

    #[inline]
    fn start(&self) -> *mut u8 {
        (self.word.get() & POINTER_MASK) as *mut u8
    }

    #[inline]
    fn header(&self) -> &Header {
        // SAFETY: `new` wrote the header and the allocation lives as long as the cell.
        unsafe { &*self.start().cast::<Header>() }
    }

    #[inline]
    fn header_mut(&mut self) -> &mut Header {
        // SAFETY: as in `header`, and `&mut self` makes this the only reference.
        unsafe { &mut *self.start().cast::<Header>() }
    }

    /// The address of a byte of the allocation; whoever uses it says why it is inside.
    #[inline]
    fn byte(&self, at: usize) -> *mut u8 {
        self.start().wrapping_add(at)
    }

    #[inline]
    fn value(&self) -> &[u8] {
        let header = self.header();
        let at = HEADER + expiry_bytes(header) + header.key_bytes as usize;
        self.read(at, header.value_bytes as usize)
    }

    #[inline]
    fn integer(&self) -> i64 {
        i64::from_ne_bytes(self.value().try_into().expect("a number has eight bytes"))
    }

    fn layout(&self) -> Layout {
        let header = self.header();
        layout(HEADER + expiry_bytes(header) + header.key_bytes as usize + header.value_bytes as usize)
    }

    #[inline]
    fn read(&self, at: usize, length: usize) -> &[u8] {
        // SAFETY: callers take `at` and `length` from the header that `new` wrote for this very allocation.
        unsafe { slice::from_raw_parts(self.byte(at), length) }
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        // SAFETY: callers take `at` and the length from the header this allocation was made for; the source is another
        // allocation, since a cell's own bytes cannot be borrowed while it is borrowed mutably.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.byte(at), bytes.len()) };
    }

    fn write_value(&mut self, value: Payload<'_, T>) {
        let header = self.header();
        let at = HEADER + expiry_bytes(header) + header.key_bytes as usize;
        match value {
            Payload::Bytes(bytes) | Payload::Packed(_, bytes) => self.write(at, bytes),
            Payload::Integer(number) => self.write(at, &number.to_ne_bytes()),
            Payload::Boxed(object) => self.write(at, &(Box::into_raw(object) as usize).to_ne_bytes()),
        }
    }
}

impl<T: Clone> Clone for Cell<T> {
    fn clone(&self) -> Cell<T> {
        let payload = match self.held() {
            Held::Bytes(bytes) => Payload::Bytes(bytes),
            Held::Integer(number) => Payload::Integer(number),
            Held::Packed(label, bytes) => Payload::Packed(label, bytes),
            Held::Boxed(object) => Payload::Boxed(Box::new(object.clone())),
        };
        Cell::new(self.tag(), self.key(), payload, self.expire_at_ms(), self.clock())
    }
}

impl<T> Drop for Cell<T> {
    fn drop(&mut self) {
        self.drop_boxed();
        let layout = self.layout();
        // SAFETY: `new` allocated the block with the layout that its header still describes.
        unsafe { dealloc(self.start(), layout) };
    }
}

#[inline]
fn expiry_bytes(header: &Header) -> usize {
    if header.flags & HAS_EXPIRY == 0 { 0 } else { EXPIRY }
}

#[inline]
fn layout(bytes: usize) -> Layout {
    Layout::from_size_align(bytes.next_multiple_of(STEP), STEP).expect("sizes are bounded by the bulk limit")
}

fn boxed<T>(pointer: &[u8]) -> *mut T {
    usize::from_ne_bytes(pointer.try_into().expect("eight bytes")) as *mut T
}

/// Asks the processor to fetch the line at `address`; harmless for any address.
#[inline]
pub fn prefetch<P>(address: *const P) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch has no effect on memory and never faults.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    };
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    type Shared = Rc<()>;

    fn bytes_of(cell: &Cell<Shared>) -> Vec<u8> {
        match cell.held() {
            Held::Bytes(bytes) => bytes.to_vec(),
            other => panic!("expected bytes, found {other:?}"),
        }
    }

    #[test]
    fn keeps_key_value_and_expiry_through_every_change() {
        let mut cell: Cell<Shared> = Cell::new(0xabcd, b"key", Payload::Bytes(b"value"), None, 7);
        assert_eq!(
            (cell.tag(), cell.key(), cell.clock(), cell.expire_at_ms()),
            (0xabcd, &b"key"[..], 7, None)
        );
        for expiry in [None, Some(5), Some(-1), None] {
            cell.set_expire_at_ms(expiry);
            assert_eq!((cell.expire_at_ms(), bytes_of(&cell)), (expiry, b"value".to_vec()));
            for length in [0, 1, 13, 14, 15, 16, 17, 300, 5000] {
                let value = vec![length as u8; length];
                cell.replace(Payload::Bytes(&value), expiry);
                assert_eq!((cell.key(), bytes_of(&cell)), (&b"key"[..], value));
            }
            cell.replace(Payload::Integer(i64::MIN), expiry);
            assert!(matches!(cell.held(), Held::Integer(i64::MIN)));
            cell.replace(Payload::Packed(3, b"packed"), expiry);
            assert!(matches!(cell.held(), Held::Packed(3, b"packed")));
            assert!(cell.bytes_mut().is_none(), "only a string's bytes are changed in place");
            cell.replace(Payload::Bytes(b"value"), expiry);
        }
        cell.bytes_mut().expect("bytes")[0] = b'V';
        assert_eq!((bytes_of(&cell), cell.tag(), cell.clock()), (b"Value".to_vec(), 0xabcd, 7));
    }

    #[test]
    fn drops_its_object_exactly_once() {
        let shared = Rc::new(());
        let boxed = || Payload::Boxed(Box::new(shared.clone()));
        let mut cell = Cell::new(1, b"k", boxed(), None, 0);
        assert_eq!(Rc::strong_count(&shared), 2);
        cell.set_expire_at_ms(Some(1));
        assert_eq!(Rc::strong_count(&shared), 2);
        cell.replace(boxed(), Some(2));
        cell.replace(boxed(), None);
        assert_eq!(Rc::strong_count(&shared), 2);
        assert!(cell.boxed_mut().is_some());
        cell.replace(Payload::Integer(1), None);
        assert_eq!(Rc::strong_count(&shared), 1);
        cell.replace(boxed(), None);
        let object = cell.into_boxed().expect("an object");
        assert_eq!(Rc::strong_count(&shared), 2);
        drop(object);
        drop(Cell::new(1, b"k", boxed(), None, 0));
        assert_eq!(Rc::strong_count(&shared), 1);
    }

    #[test]
    fn stays_in_the_size_class_of_its_budget() {
        let cell: Cell<Shared> = Cell::new(0, &[b'k'; 12], Payload::Bytes(&[b'v'; 64]), None, 0);
        assert_eq!(cell.allocated_bytes(), 96);
    }
}
