//! Owns allocations that have several owners, and are copied by the owner who is about to change one that others still have. Never changes
//! what another owner can see.
//!
//! It is how a large value is copied without copying what is in it: the copy shares all parts, and the first change of a part
//! afterwards copies that part. `Arc` could do it but for `Weak`: as an `Arc` may have weak pointers, becoming its only owner takes two
//! atomic read-modify-writes, at each change. Here nobody can become an owner but through an owner; so the one who holds a pointer
//! mutably and reads a count of 1 is the only one, and stays so.
//!
//! ```text
//! Shared<T>        -> owners usize | T
//! SharedSlice<T>   -> owners usize | T | T | ...     the pointer, beside the length, is to the first element
//! ```

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::{AtomicUsize, Ordering, fence};

use crate::sys::cell::prefetch;

/// Bytes before what is shared: the count of owners.
pub const SHARED_HEADER_BYTES: usize = size_of::<AtomicUsize>();
/// How many allocations ahead of the one that is looked at are fetched.
const AHEAD: usize = 16;

/// A value that may have other owners.
pub struct Shared<T> {
    inner: NonNull<Inner<T>>,
    owns: PhantomData<Inner<T>>,
}

#[repr(C)]
struct Inner<T> {
    owners: AtomicUsize,
    value: T,
}

// SAFETY: as for `Arc`: a pointer that moves to another thread lets that thread read the value, and drop it if it is the last.
unsafe impl<T: Send + Sync> Send for Shared<T> {}

// SAFETY: as for `Arc`: whoever borrows the pointer can read the value and clone the pointer.
unsafe impl<T: Send + Sync> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// Bytes asked of the allocator, without what the value has asked for itself.
    pub const ALLOCATED_BYTES: usize = size_of::<Inner<T>>();

    /// The value, with one owner.
    pub fn new(value: T) -> Shared<T> {
        let inner = Box::new(Inner { owners: AtomicUsize::new(1), value });
        Shared { inner: NonNull::from(Box::leak(inner)), owns: PhantomData }
    }

    /// Whether there is another owner.
    #[inline]
    pub fn is_shared(&self) -> bool {
        // With `Acquire`, what other owners did with the value before they gave it up has happened.
        self.inner().owners.load(Ordering::Acquire) != 1
    }

    /// Asks the processor for the count of owners.
    #[inline]
    pub fn prefetch(&self) {
        prefetch(self.inner.as_ptr());
    }

    #[inline]
    fn inner(&self) -> &Inner<T> {
        // SAFETY: this pointer is counted as an owner, so the allocation is there.
        unsafe { self.inner.as_ref() }
    }
}

impl<T: Clone> Shared<T> {
    /// The value, for changing it: a copy of its own if it has another owner.
    #[inline]
    pub fn make_mut(&mut self) -> &mut T {
        if self.is_shared() {
            self.copy();
        }
        // SAFETY: the check, or the copy, says that this is the only owner; and it is borrowed mutably, so there will be no other.
        let inner = unsafe { self.inner.as_mut() };
        &mut inner.value
    }

    /// The value: a copy if it has another owner.
    pub fn into_value(self) -> T {
        if self.is_shared() {
            return T::clone(&self);
        }
        let this = ManuallyDrop::new(self);
        // SAFETY: this was the only owner, and is not dropped; the allocation came from a box.
        let inner = unsafe { Box::from_raw(this.inner.as_ptr()) };
        inner.value
    }

    #[cold]
    fn copy(&mut self) {
        *self = Shared::new(T::clone(self));
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.inner().value
    }
}

/// Another owner of the same value.
impl<T> Clone for Shared<T> {
    #[inline]
    fn clone(&self) -> Shared<T> {
        add_owner(&self.inner().owners);
        Shared { inner: self.inner, owns: PhantomData }
    }
}

impl<T> Drop for Shared<T> {
    #[inline]
    fn drop(&mut self) {
        if is_last(&self.inner().owners) {
            // SAFETY: there is no other owner, and there will be none; the allocation came from a box.
            drop(unsafe { Box::from_raw(self.inner.as_ptr()) });
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}

/// Values in one allocation that may have other owners. An empty one has no allocation, and no other owner.
pub struct SharedSlice<T> {
    start: NonNull<T>,
    len: usize,
    owns: PhantomData<T>,
}

// SAFETY: as for `Shared`.
unsafe impl<T: Send + Sync> Send for SharedSlice<T> {}

// SAFETY: as for `Shared`.
unsafe impl<T: Send + Sync> Sync for SharedSlice<T> {}

impl<T> SharedSlice<T> {
    /// So many values, the one at each index made by `make`, with one owner.
    pub fn from_fn(len: usize, mut make: impl FnMut(usize) -> T) -> SharedSlice<T> {
        if len == 0 {
            return SharedSlice::default();
        }
        let layout = SharedSlice::<T>::layout(len);
        // SAFETY: the layout is not of size zero: it holds at least the count of owners.
        let raw = unsafe { alloc(layout) };
        let Some(raw) = NonNull::new(raw) else { handle_alloc_error(layout) };
        let owners = raw.cast::<AtomicUsize>();
        // SAFETY: the allocation begins with room for the count, and is aligned for it.
        unsafe { owners.write(AtomicUsize::new(1)) };
        // SAFETY: the allocation goes on behind the count.
        let start = unsafe { raw.add(SHARED_HEADER_BYTES) }.cast::<T>();
        for at in 0..len {
            // SAFETY: `at` is below `len`, for which there is room.
            let place = unsafe { start.add(at) };
            // SAFETY: the place is inside the allocation, and aligned as `layout` checks.
            unsafe { place.write(make(at)) };
        }
        SharedSlice { start, len, owns: PhantomData }
    }

    /// Bytes asked of the allocator.
    #[inline]
    pub fn allocated_bytes(&self) -> usize {
        // `layout` has looked at the sum.
        if self.len == 0 { 0 } else { SHARED_HEADER_BYTES + self.len * size_of::<T>() }
    }

    /// Whether there is another owner.
    #[inline]
    pub fn is_shared(&self) -> bool {
        self.owners().is_some_and(|owners| owners.load(Ordering::Acquire) != 1)
    }

    /// Asks the processor for the count of owners.
    #[inline]
    pub fn prefetch(&self) {
        prefetch(self.header());
    }

    #[inline]
    fn layout(len: usize) -> Layout {
        const { assert!(align_of::<T>() <= align_of::<AtomicUsize>(), "values stand right behind the count") };
        let bytes = len.checked_mul(size_of::<T>()).and_then(|bytes| bytes.checked_add(SHARED_HEADER_BYTES));
        let layout = bytes.and_then(|bytes| Layout::from_size_align(bytes, align_of::<AtomicUsize>()).ok());
        layout.expect("the size of an allocation")
    }

    /// Where the allocation begins, if there is one.
    #[inline]
    fn header(&self) -> *mut AtomicUsize {
        self.start.as_ptr().cast::<u8>().wrapping_sub(SHARED_HEADER_BYTES).cast()
    }

    #[inline]
    fn owners(&self) -> Option<&AtomicUsize> {
        if self.len == 0 {
            return None;
        }
        // SAFETY: there are values, so `from_fn` made the allocation and wrote the count; this pointer is counted, so it is there.
        Some(unsafe { &*self.header() })
    }
}

impl<T: Clone> SharedSlice<T> {
    /// The values, for changing them: copies of their own if they have another owner.
    #[inline]
    pub fn make_mut(&mut self) -> &mut [T] {
        self.make_mut_after(|_| ())
    }

    /// The same, with something to be done before a copy.
    #[inline]
    pub fn make_mut_after(&mut self, prepare: impl FnOnce(&[T])) -> &mut [T] {
        if self.is_shared() {
            prepare(self);
            self.copy();
        }
        // SAFETY: `from_fn` wrote so many values, or there are none; the check, or the copy, says that this is the only owner; and it is
        // borrowed mutably, so there will be no other.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }

    #[cold]
    fn copy(&mut self) {
        *self = SharedSlice::from_fn(self.len, |at| self[at].clone());
    }
}

impl<T> Default for SharedSlice<T> {
    #[inline]
    fn default() -> SharedSlice<T> {
        SharedSlice { start: NonNull::dangling(), len: 0, owns: PhantomData }
    }
}

impl<T> Deref for SharedSlice<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: `from_fn` wrote so many values, or there are none; this pointer is counted as an owner, so they are there.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

/// Another owner of the same values.
impl<T> Clone for SharedSlice<T> {
    #[inline]
    fn clone(&self) -> SharedSlice<T> {
        if let Some(owners) = self.owners() {
            add_owner(owners);
        }
        SharedSlice { start: self.start, len: self.len, owns: PhantomData }
    }
}

impl<T> Drop for SharedSlice<T> {
    #[inline]
    fn drop(&mut self) {
        if self.owners().is_some_and(is_last) {
            let values = ptr::slice_from_raw_parts_mut(self.start.as_ptr(), self.len);
            // SAFETY: there is no other owner, and there will be none; the values are dropped here and nowhere else.
            unsafe { ptr::drop_in_place(values) };
            // SAFETY: `from_fn` made the allocation with this layout, and its last owner gives it up.
            unsafe { dealloc(self.header().cast(), SharedSlice::<T>::layout(self.len)) };
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for SharedSlice<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        <[T]>::fmt(self, f)
    }
}

/// Clones items whose counts of owners are elsewhere, and has `prefetch` ask for some of them ahead: without that each is a miss.
pub fn clone_ahead<'a, T: Clone + 'a>(
    items: impl ExactSizeIterator<Item = &'a T> + Clone,
    prefetch: impl Fn(&T),
) -> impl ExactSizeIterator<Item = T> {
    let mut ahead = items.clone().skip(AHEAD);
    items.map(move |item| {
        ahead.next().into_iter().for_each(&prefetch);
        item.clone()
    })
}

#[inline]
fn add_owner(owners: &AtomicUsize) {
    let before = owners.fetch_add(1, Ordering::Relaxed);
    assert!(before < isize::MAX as usize, "fewer owners than memory has bytes");
}

/// Gives one owner up, and says whether it was the last.
#[inline]
fn is_last(owners: &AtomicUsize) -> bool {
    // Who is alone stays alone: no need to write. `Release`, and `Acquire` for the last, order what all owners did before the end.
    if owners.load(Ordering::Acquire) == 1 {
        return true;
    }
    if owners.fetch_sub(1, Ordering::Release) != 1 {
        return false;
    }
    fence(Ordering::Acquire);
    true
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn is_copied_by_the_one_who_changes_it() {
        let mut one = Shared::new(vec![1]);
        one.make_mut().push(2);
        assert!(!one.is_shared());
        let mut other = one.clone();
        assert!(one.is_shared() && other.is_shared());
        assert!(ptr::eq(&raw const *one, &raw const *other));
        other.make_mut().push(3);
        assert!(!one.is_shared() && !other.is_shared());
        assert_eq!((one.as_slice(), other.as_slice()), (&[1, 2][..], &[1, 2, 3][..]));
        let kept = other.clone();
        assert_eq!((other.into_value(), kept.into_value()), (vec![1, 2, 3], vec![1, 2, 3]));
        assert_eq!(format!("{one:?}"), "[1, 2]");
    }

    #[test]
    fn slices_are_copied_by_the_one_who_changes_them() {
        let mut one = SharedSlice::from_fn(3, |at| at.to_string());
        one.make_mut()[0].push('x');
        let mut other = one.clone();
        assert!(one.is_shared() && other.is_shared());
        other.make_mut()[1].push('y');
        assert!(!one.is_shared() && !other.is_shared());
        assert_eq!(*one, ["0x", "1", "2"]);
        assert_eq!(*other, ["0x", "1y", "2"]);
        assert_eq!(one.allocated_bytes(), SHARED_HEADER_BYTES + 3 * size_of::<String>());
        let mut none = SharedSlice::<String>::default();
        assert!(!none.clone().is_shared() && none.make_mut().is_empty());
        assert_eq!((none.allocated_bytes(), none.len()), (0, 0));
    }

    #[test]
    fn drops_what_is_shared_exactly_once() {
        let counted = Arc::new(());
        let one = Shared::new(counted.clone());
        let slice = SharedSlice::from_fn(5, |_| counted.clone());
        assert_eq!(Arc::strong_count(&counted), 7);
        let copies = (one.clone(), slice.clone(), slice.clone());
        assert_eq!(Arc::strong_count(&counted), 7);
        drop((one, slice));
        assert_eq!(Arc::strong_count(&counted), 7);
        let mut copies = copies;
        copies.1.make_mut();
        assert_eq!(Arc::strong_count(&counted), 12);
        drop(copies);
        assert_eq!(Arc::strong_count(&counted), 1);
        drop(Shared::new(counted.clone()).into_value());
        assert_eq!(Arc::strong_count(&counted), 1);
    }

    /// Owners on several threads change and drop their copies while others read theirs.
    #[test]
    fn owners_on_other_threads_never_see_a_change() {
        let one = Shared::new(vec![7u64; 100]);
        let slice = SharedSlice::from_fn(100, |at| at as u64);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (one, slice) = (one.clone(), slice.clone());
                scope.spawn(move || {
                    for _ in 0..1000 {
                        let (mut own, mut own_slice) = (one.clone(), slice.clone());
                        own.make_mut()[0] = thread;
                        own_slice.make_mut()[99] = thread;
                        assert!(one.iter().all(|&number| number == 7));
                        assert!((0..).zip(slice.iter()).all(|(at, &number)| number == at));
                        assert_eq!((own[0], own_slice[99]), (thread, thread));
                    }
                });
            }
        });
        assert!(!one.is_shared() && !slice.is_shared());
    }

    #[test]
    fn clones_all_in_order() {
        for count in [0, 1, AHEAD, 100] {
            let items: Vec<Shared<usize>> = (0..count).map(Shared::new).collect();
            let copies: Vec<Shared<usize>> = clone_ahead(items.iter(), Shared::prefetch).collect();
            assert!(copies.iter().map(|copy| **copy).eq(0..count));
            assert!(items.iter().all(Shared::is_shared));
        }
    }
}
