//! Owns the bytes and the score of every member of one sorted set, each once, under a 32-bit id. Tree and index hold ids.
//! Never looks a member up by its bytes and never orders two of them.
//!
//! Slots come in chunks, so growing never moves one, and a copy of the members shares the chunks until either changes one. A chunk's
//! count of owners takes the place of its first slot: no id has that place, so ids begin with 1.
//! Removed slots are chained and reused; once more are free than are in use, the
//! last slot's member is moved into a free one (`next_move`), two steps for each removal, until few are free: memory follows the set
//! down without a pause. Moving one costs as much as removing one, so it begins late. Members only ever move to smaller ids: a walk
//! from the last id to the first misses none that stays, which is all that ZSCAN promises.

use std::convert::Infallible;

use crate::store::ordered::{CHUNK_SLOTS, SHORT_BYTES_MAX};
use crate::sys::cell::{Cell, Payload, prefetch};
use crate::sys::shared::{SHARED_HEADER_BYTES, Shared, clone_ahead};

/// No id.
pub const NONE: u32 = u32::MAX;
/// Slots are given up until one in this many is free.
const FREE_PART: u32 = 16;

enum Name {
    /// Length and bytes.
    Short(u8, [u8; SHORT_BYTES_MAX]),
    /// One allocation behind one pointer; only the cell's key is used.
    Long(Cell<Infallible>),
    /// A free slot, with its neighbours in the chain of those.
    Free { prev: u32, next: u32 },
}

#[derive(Clone)]
struct Slot {
    score: f64,
    name: Name,
}

const _: () = assert!(size_of::<Name>() == 16, "a short name has no padding and a long one only its pointer");
const _: () = assert!(size_of::<Slot>() == 24);
const _: () = assert!(SHORT_BYTES_MAX <= u8::MAX as usize);

/// Places of a chunk that hold slots.
const USED_SLOTS: usize = CHUNK_SLOTS - 1;
/// What is left of the first place beside the count of owners.
const UNUSED_BYTES: usize = size_of::<Slot>() - SHARED_HEADER_BYTES;

#[derive(Clone)]
#[repr(C)]
struct Chunk {
    /// So that a slot stands at its place times its size.
    _unused: [u8; UNUSED_BYTES],
    slots: [Slot; USED_SLOTS],
}

impl Chunk {
    fn new() -> Chunk {
        let free = |_| Slot { score: 0.0, name: Name::Free { prev: NONE, next: NONE } };
        Chunk { _unused: [0; UNUSED_BYTES], slots: std::array::from_fn(free) }
    }
}

const CHUNK_BYTES: usize = SHARED_HEADER_BYTES + size_of::<Chunk>();
const _: () = assert!(CHUNK_BYTES == CHUNK_SLOTS * size_of::<Slot>());

impl Clone for Name {
    fn clone(&self) -> Name {
        match self {
            Name::Short(len, bytes) => Name::Short(*len, *bytes),
            Name::Long(cell) => Name::long(cell.key()),
            Name::Free { prev, next } => Name::Free { prev: *prev, next: *next },
        }
    }
}

impl Name {
    fn long(bytes: &[u8]) -> Name {
        Name::Long(Cell::new(0, bytes, Payload::Bytes(&[]), None, 0))
    }

    /// Bytes of its own allocation.
    fn long_bytes(&self) -> usize {
        match self {
            Name::Long(cell) => cell.allocated_bytes(),
            Name::Short(..) | Name::Free { .. } => 0,
        }
    }
}

/// The members.
pub struct Members {
    chunks: Vec<Shared<Chunk>>,
    /// Slots in use or in the chain: those below this.
    top: u32,
    free_first: u32,
    free: u32,
    long_bytes: usize,
    /// More slots were free than in use, and too many still are.
    gives_up_slots: bool,
}

impl Clone for Members {
    fn clone(&self) -> Members {
        Members { chunks: clone_ahead(self.chunks.iter(), Shared::prefetch).collect(), ..*self }
    }
}

impl Default for Members {
    fn default() -> Members {
        Members {
            chunks: Vec::new(),
            top: 0,
            free_first: NONE,
            free: 0,
            long_bytes: 0,
            gives_up_slots: false,
        }
    }
}

impl Members {
    /// How many members there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.top as usize - self.top.div_ceil(CHUNK_SLOTS as u32) as usize - self.free as usize
    }

    /// One more than the largest id.
    pub fn top(&self) -> u32 {
        self.top
    }

    /// The bytes of a member.
    #[inline]
    pub fn bytes(&self, id: u32) -> &[u8] {
        match &self.slot(id).name {
            Name::Short(len, bytes) => &bytes[..usize::from(*len)],
            Name::Long(cell) => cell.key(),
            Name::Free { .. } => unreachable!("ids are dropped with their members"),
        }
    }

    /// Asks the processor for a member's slot.
    #[inline]
    pub fn prefetch(&self, id: u32) {
        prefetch(self.slot(id));
    }

    /// Asks the processor for a member's bytes, where they are not in its slot. Reads the slot.
    #[inline]
    pub fn prefetch_bytes(&self, id: u32) {
        if let Name::Long(cell) = &self.slot(id).name {
            cell.prefetch();
        }
    }

    /// The score of a member.
    #[inline]
    pub fn score(&self, id: u32) -> f64 {
        self.slot(id).score
    }

    /// Gives a member another score.
    pub fn set_score(&mut self, id: u32, score: f64) {
        self.slot_mut(id).score = score;
    }

    /// The bytes and score of an id, if it is in use.
    pub fn get(&self, id: u32) -> Option<(&[u8], f64)> {
        if (id as usize).is_multiple_of(CHUNK_SLOTS) {
            return None;
        }
        let slot = self.slot(id);
        (!matches!(slot.name, Name::Free { .. })).then(|| (self.bytes(id), slot.score))
    }

    /// Stores a member; that it is new is the caller's business.
    pub fn insert(&mut self, bytes: &[u8], score: f64) -> u32 {
        let name = if bytes.len() <= SHORT_BYTES_MAX {
            let mut short = [0; SHORT_BYTES_MAX];
            short[..bytes.len()].copy_from_slice(bytes);
            Name::Short(bytes.len() as u8, short)
        } else {
            Name::long(bytes)
        };
        self.long_bytes += name.long_bytes();
        let id = self.take_slot();
        *self.slot_mut(id) = Slot { score, name };
        id
    }

    /// Drops a member.
    pub fn remove(&mut self, id: u32) {
        let (bytes, next) = (self.slot(id).name.long_bytes(), self.free_first);
        self.long_bytes -= bytes;
        self.slot_mut(id).name = Name::Free { prev: NONE, next };
        if let Some(Name::Free { prev, .. }) = self.name_mut(next) {
            *prev = id;
        }
        self.free_first = id;
        self.free += 1;
    }

    /// Drops free slots from the end while too many are free, and tells which member should move where. Tree and index are told
    /// of it first, then `apply_move` is called.
    pub fn next_move(&mut self) -> Option<(u32, u32)> {
        let used = self.len() as u32;
        self.gives_up_slots = self.free > if self.gives_up_slots { used / FREE_PART } else { used };
        if !self.gives_up_slots {
            return None;
        }
        let last = self.top - 1;
        if let Name::Free { .. } = self.slot(last).name {
            self.unchain(last);
            self.drop_last();
            return None;
        }
        Some((last, self.free_first))
    }

    /// Moves a member as `next_move` told.
    pub fn apply_move(&mut self, (from, to): (u32, u32)) {
        self.unchain(to);
        let free = Slot { score: 0.0, name: Name::Free { prev: NONE, next: NONE } };
        let moved = std::mem::replace(self.slot_mut(from), free);
        *self.slot_mut(to) = moved;
        self.drop_last();
    }

    /// Bytes of slots and long members.
    pub fn allocated_bytes(&self) -> usize {
        self.chunks.len() * CHUNK_BYTES
            + self.chunks.capacity() * size_of::<Shared<Chunk>>()
            + self.long_bytes
    }

    /// Frees some slots, and says how many. No slot can be asked for from then on.
    pub fn free_chunk(&mut self) -> Option<usize> {
        self.chunks.pop().map(|chunk| if chunk.is_shared() { 1 } else { USED_SLOTS })
    }

    fn take_slot(&mut self) -> u32 {
        if self.free > 0 {
            let id = self.free_first;
            self.unchain(id);
            return id;
        }
        if (self.top as usize).is_multiple_of(CHUNK_SLOTS) {
            if self.top as usize == self.chunks.len() * CHUNK_SLOTS {
                self.chunks.push(Shared::new(Chunk::new()));
            }
            self.top += 1;
        }
        self.top += 1;
        self.top - 1
    }

    /// Takes a slot out of the chain of free ones.
    fn unchain(&mut self, id: u32) {
        let Name::Free { prev, next } = self.slot(id).name else {
            unreachable!("only free slots are chained")
        };
        match self.name_mut(prev) {
            Some(Name::Free { next: of_prev, .. }) => *of_prev = next,
            _ => self.free_first = next,
        }
        if let Some(Name::Free { prev: of_next, .. }) = self.name_mut(next) {
            *of_next = prev;
        }
        self.free -= 1;
    }

    /// The last slot is free and unchained: gives it up, and a chunk once two are unused.
    fn drop_last(&mut self) {
        self.top -= 1;
        if self.top as usize % CHUNK_SLOTS == 1 {
            self.top -= 1;
        }
        let used = (self.top as usize).div_ceil(CHUNK_SLOTS);
        if self.chunks.len() > used + 1 {
            self.chunks.pop();
            if self.chunks.len() * 4 < self.chunks.capacity() {
                self.chunks.shrink_to(self.chunks.len() * 2);
            }
        }
    }

    fn name_mut(&mut self, id: u32) -> Option<&mut Name> {
        (id != NONE).then(|| &mut self.slot_mut(id).name)
    }

    #[inline]
    fn slot(&self, id: u32) -> &Slot {
        let at = id as usize;
        &self.chunks[at / CHUNK_SLOTS].slots[(at % CHUNK_SLOTS).wrapping_sub(1)]
    }

    #[inline]
    fn slot_mut(&mut self, id: u32) -> &mut Slot {
        let at = id as usize;
        &mut self.chunks[at / CHUNK_SLOTS].make_mut().slots[(at % CHUNK_SLOTS).wrapping_sub(1)]
    }

    /// Panics unless chain and sums are as the fields say.
    #[cfg(test)]
    pub fn check(&self) {
        let (mut at, mut prev_of, mut chained) = (self.free_first, NONE, 0);
        while at != NONE {
            let Name::Free { prev, next } = self.slot(at).name else { panic!("{at} is chained and in use") };
            assert!(prev == prev_of && at < self.top);
            (prev_of, at, chained) = (at, next, chained + 1);
        }
        let ids = || (0..self.top).filter(|id| !(*id as usize).is_multiple_of(CHUNK_SLOTS));
        let unused = ids().filter(|id| self.get(*id).is_none()).count();
        assert_eq!((chained, unused), (self.free, self.free as usize));
        assert_eq!(self.long_bytes, ids().map(|id| self.slot(id).name.long_bytes()).sum::<usize>());
        assert!(self.chunks.len() <= (self.top as usize).div_ceil(CHUNK_SLOTS) + 1);
    }
}
