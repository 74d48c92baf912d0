//! The cursor of `SCAN`: which slot a scan has reached and where in it. One number, valid on every shard and after any resize.

use crate::base::slot::{SLOTS, Slot};
use crate::store::keyspace::Keyspace;
use crate::store::object::Entry;

/// Bits of a position within a slot (see `table`).
const POSITION_BITS: u32 = 34;

/// The slot a cursor stands in; nothing for a number that no scan returned.
pub fn cursor_slot(cursor: u64) -> Option<Slot> {
    u16::try_from(cursor >> POSITION_BITS).ok().and_then(Slot::new)
}

/// Visits entries of a database from `cursor` on until at least `wanted` were seen or this shard's slots are done. Returns the
/// cursor to go on with, which may belong to the next shard, or 0 at the end. Expired entries are visited too.
pub fn scan<'a>(keys: &'a Keyspace, db: u16, cursor: u64, wanted: usize, mut visit: impl FnMut(&'a Entry)) -> u64 {
    let from = cursor >> POSITION_BITS;
    let mut position = cursor & ((1 << POSITION_BITS) - 1);
    let mut seen = 0;
    for (slot, table) in keys.tables(db).skip_while(|(slot, _)| (slot.index() as u64) < from) {
        let next = table.scan(position, wanted - seen, |entry| {
            seen += 1;
            visit(entry);
        });
        position = 0;
        let slot = slot.index() as u64;
        if let Some(next) = next {
            return slot << POSITION_BITS | next;
        }
        if seen >= wanted {
            return after(slot + 1);
        }
    }
    after(keys.slots().end as u64)
}

/// The cursor at the beginning of a slot; 0 behind the last one.
fn after(slot: u64) -> u64 {
    if slot < SLOTS as u64 { slot << POSITION_BITS } else { 0 }
}
