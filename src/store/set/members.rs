//! The members of a large set: a hash table of them, and how much memory they take. Never decides which set is large.

use std::fmt;

use crate::base::rng::Rng;
use crate::store::table::{SlotTable, hash_key, tag_of};
use crate::sys::pair::Pair;

/// The members. Each is a pair without a value.
#[derive(Clone, Default)]
pub struct Members {
    table: SlotTable<Pair>,
    /// Bytes of all members' allocations.
    member_bytes: usize,
}

impl Members {
    /// How many there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Whether this is one of them.
    #[inline]
    pub fn contains(&self, member: &[u8]) -> bool {
        self.table.find(hash_key(member), member).is_some()
    }

    /// Adds a member. Returns whether it was not there before.
    pub fn insert(&mut self, member: &[u8]) -> bool {
        let hash = hash_key(member);
        if self.table.find(hash, member).is_some() {
            return false;
        }
        self.insert_new(hash, member);
        true
    }

    /// Adds a member that is known to be absent.
    fn insert_new(&mut self, hash: u64, member: &[u8]) {
        let pair = Pair::new(tag_of(hash), member, b"", None);
        self.member_bytes += pair.allocated_bytes();
        self.table.insert(hash, pair);
    }

    /// Removes a member. Returns whether it was there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        let removed = self.table.remove(hash_key(member), member);
        self.member_bytes -= removed.as_ref().map_or(0, Pair::allocated_bytes);
        removed.is_some()
    }

    /// Frees about so many; whether there are more. What is left cannot be searched.
    pub fn free_part(&mut self, members: usize) -> bool {
        self.table.free_part(members)
    }

    /// One of them, any with the same probability.
    pub fn random(&self, rng: &mut Rng) -> Option<&[u8]> {
        self.table.random(rng).map(Pair::key)
    }

    /// Removes one of them, any with the same probability.
    pub fn take_random(&mut self, rng: &mut Rng) -> Option<Pair> {
        let taken = self.table.take_random(rng)?;
        self.member_bytes -= taken.allocated_bytes();
        Some(taken)
    }

    /// All of them, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.table.iter().map(Pair::key)
    }

    /// Visits members from a position on until at least `wanted` were seen. Returns where to go on, nothing at the end.
    pub fn scan<'a>(&'a self, position: u64, wanted: usize, mut visit: impl FnMut(&'a [u8])) -> Option<u64> {
        self.table.scan(position, wanted, |pair| visit(pair.key()))
    }

    /// Bytes outside itself, as the allocator was asked for them.
    #[inline]
    pub fn allocated_bytes(&self) -> usize {
        self.table.allocated_bytes() + self.member_bytes
    }
}

impl fmt::Debug for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|member| member.escape_ascii().to_string())).finish()
    }
}
