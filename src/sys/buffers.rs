//! Owns a provided buffer ring: memory that the kernel fills with received bytes, and the ring that hands it over.
//! Never decides when a buffer is free: whoever got it by a completion gives it back with `recycle`.
//!
//! Source: `io_uring_register_buf_ring(3)`, `io_uring_buf_ring_add(3)`.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::ptr::NonNull;
use std::slice;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::{IoUring, types::BufRingEntry};

const PAGE: usize = 4096;

/// Receive buffers shared with the kernel.
pub struct ReceiveBuffers {
    entries: NonNull<BufRingEntry>,
    memory: NonNull<u8>,
    count: u16,
    buffer_bytes: usize,
    /// Our copy of the ring's tail: entries handed to the kernel so far.
    tail: u16,
}

impl ReceiveBuffers {
    /// Makes `count` buffers (a power of two) of `buffer_bytes` and registers them with `ring` as group `group`.
    pub fn register(
        ring: &IoUring,
        group: u16,
        count: u16,
        buffer_bytes: usize,
    ) -> io::Result<ReceiveBuffers> {
        assert!(count.is_power_of_two(), "the kernel takes powers of two");
        let mut buffers = ReceiveBuffers {
            entries: allocate(entries_layout(count)).cast(),
            memory: allocate(memory_layout(count, buffer_bytes)),
            count,
            buffer_bytes,
            tail: 0,
        };
        let address = buffers.entries.as_ptr() as u64;
        // SAFETY: the entries are page-aligned, large enough for `count` of them, and live until `self` is dropped, which
        // `Ring` does only after it closed the ring.
        unsafe { ring.submitter().register_buf_ring_with_flags(address, count, group, 0)? };
        for id in 0..count {
            buffers.recycle(id);
        }
        Ok(buffers)
    }

    /// The bytes that a completion put into buffer `id`.
    pub fn filled(&mut self, id: u16, length: usize) -> &mut [u8] {
        assert!(id < self.count && length <= self.buffer_bytes, "the kernel names its own buffers");
        // SAFETY: the index is in range, so the pointer stays inside the allocation.
        let start = unsafe { self.memory.as_ptr().add(usize::from(id) * self.buffer_bytes) };
        // SAFETY: the range is inside the allocation, which is initialised; the kernel does not write to a buffer between its
        // completion and `recycle`, and `&mut self` keeps the borrow until then.
        unsafe { slice::from_raw_parts_mut(start, length) }
    }

    /// Hands buffer `id` to the kernel.
    pub fn recycle(&mut self, id: u16) {
        assert!(id < self.count, "the kernel names its own buffers");
        let place = usize::from(self.tail & (self.count - 1));
        // SAFETY: `place` is below `count`, so the pointer stays inside the entries.
        let entry = unsafe { self.entries.as_ptr().add(place) };
        // SAFETY: the index is in range, so the pointer stays inside the allocation.
        let start = unsafe { self.memory.as_ptr().add(usize::from(id) * self.buffer_bytes) };
        // SAFETY: the entry is initialised (zeroed) and the kernel reads it only once the tail has passed it.
        let entry = unsafe { &mut *entry };
        entry.set_addr(start as u64);
        entry.set_len(self.buffer_bytes as u32);
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the ring's tail lies in the first entry, which is valid; it is only ever accessed atomically.
        let tail = unsafe { BufRingEntry::tail(self.entries.as_ptr()) };
        // SAFETY: as above; the field is two bytes at an even address.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }
}

impl Drop for ReceiveBuffers {
    fn drop(&mut self) {
        // SAFETY: allocated in `register` with this layout; the ring is closed, so the kernel no longer uses it.
        unsafe { dealloc(self.entries.as_ptr().cast(), entries_layout(self.count)) };
        // SAFETY: as above.
        unsafe { dealloc(self.memory.as_ptr(), memory_layout(self.count, self.buffer_bytes)) };
    }
}

fn entries_layout(count: u16) -> Layout {
    Layout::from_size_align(usize::from(count) * size_of::<BufRingEntry>(), PAGE).expect("a small layout")
}

fn memory_layout(count: u16, buffer_bytes: usize) -> Layout {
    Layout::from_size_align(usize::from(count) * buffer_bytes, PAGE).expect("a bounded layout")
}

fn allocate(layout: Layout) -> NonNull<u8> {
    // SAFETY: the layouts above are not of size zero.
    NonNull::new(unsafe { alloc_zeroed(layout) }).unwrap_or_else(|| handle_alloc_error(layout))
}
