//! Carries out what a shard wants done with files, on the shard's own ring. Owns which operation is whose, and keeps each file open until
//! its operations have ended. Never decides what is written.

use std::io;

use crate::persist::log::{DiskDone, DiskOp, OpenFile};
use crate::shard::DiskSlot;
use crate::sys::ring::Ring;

/// Operations under way, by the number that their completion carries.
#[derive(Default)]
pub(super) struct Operations {
    under_way: Vec<Option<(DiskSlot, OpenFile)>>,
    free: Vec<u32>,
    count: usize,
}

impl Operations {
    /// Submits an operation, at the next `enter`.
    pub fn submit(&mut self, ring: &mut Ring, slot: DiskSlot, op: DiskOp) {
        let number = self.free.pop().unwrap_or_else(|| {
            self.under_way.push(None);
            self.under_way.len() as u32 - 1
        });
        self.count += 1;
        let place = &mut self.under_way[number as usize];
        match op {
            DiskOp::Write { file, at, bytes, from, is_durable } => {
                let (_, file) = place.insert((slot, file));
                ring.write(descriptor(file), number, bytes, from, at, is_durable);
            }
            DiskOp::Sync { file } => {
                let (_, file) = place.insert((slot, file));
                ring.sync(descriptor(file), number);
            }
        }
    }

    /// A write has ended.
    pub fn written(
        &mut self,
        number: u32,
        result: io::Result<usize>,
        bytes: Vec<u8>,
    ) -> (DiskSlot, DiskDone) {
        (self.end(number), DiskDone::Written { result, bytes })
    }

    /// A sync has ended.
    pub fn synced(&mut self, number: u32, result: io::Result<()>) -> (DiskSlot, DiskDone) {
        (self.end(number), DiskDone::Synced { result })
    }

    /// How many are under way.
    pub fn count(&self) -> usize {
        self.count
    }

    fn end(&mut self, number: u32) -> DiskSlot {
        let (slot, _) = self.under_way[number as usize].take().expect("what ends was begun");
        self.free.push(number);
        self.count -= 1;
        slot
    }
}

fn descriptor(file: &OpenFile) -> std::os::fd::BorrowedFd<'_> {
    file.descriptor().expect("a server's files are real")
}
