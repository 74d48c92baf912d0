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

/// The number that a client's cursor spells, read as leniently as C's `strtoul` reads it for Redis: no digits at all are 0,
/// and a minus sign wraps around.
pub fn parse_cursor(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return Some(0);
    }
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if !digits.first().is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(if is_negative { number.wrapping_neg() } else { number })
}

/// Visits entries of a database from `cursor` on until at least `wanted` were seen or this shard's slots are done. Returns the
/// cursor to go on with, which may belong to the next shard, or 0 at the end. Expired entries are visited too.
pub fn scan<'a>(
    keys: &'a mut Keyspace,
    db: u16,
    cursor: u64,
    wanted: usize,
    mut visit: impl FnMut(&'a Entry),
) -> u64 {
    let Some(first) = cursor_slot(cursor) else { return 0 };
    keys.wake_from(db, first, wanted);
    let keys: &'a Keyspace = keys;
    let mut position = cursor & ((1 << POSITION_BITS) - 1);
    let mut seen = 0;
    for (slot, table) in keys.tables_from(db, first) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::keyspace::Key;

    /// A shard for `slots` with those of `keys` that belong there.
    fn shard(slots: std::ops::Range<usize>, keys: &[Vec<u8>]) -> Keyspace {
        let mut shard = Keyspace::new(slots.clone());
        for key in keys.iter().map(|key| Key::new(key)).filter(|key| slots.contains(&key.slot.index())) {
            shard.set_string(0, &key, b"v", None, 0);
        }
        shard
    }

    /// Scans over all shards as a client does: each cursor goes to the shard of its slot. Returns the keys and the calls.
    fn scan_all(shards: &mut [Keyspace], wanted: usize) -> (Vec<Vec<u8>>, usize) {
        let (mut cursor, mut keys, mut calls) = (0, Vec::new(), 0);
        loop {
            let slot = cursor_slot(cursor).expect("a scan returns cursors of slots").index();
            let shard = shards
                .iter_mut()
                .find(|shard| shard.slots().contains(&slot))
                .expect("every slot has a shard");
            let before = keys.len();
            let next = scan(shard, 0, cursor, wanted, |entry| keys.push(entry.key().to_vec()));
            assert!(next == 0 || next > cursor, "a scan must move on");
            assert!(
                keys.len() - before < wanted.saturating_add(10),
                "a call must not see many more than it was asked for"
            );
            calls += 1;
            if next == 0 {
                keys.sort();
                return (keys, calls);
            }
            cursor = next;
        }
    }

    fn sorted(count: usize, name: impl Fn(usize) -> String) -> Vec<Vec<u8>> {
        let mut keys: Vec<Vec<u8>> = (0..count).map(|i| name(i).into_bytes()).collect();
        keys.sort();
        keys
    }

    #[test]
    fn visits_every_key_once_over_any_number_of_shards() {
        let keys = sorted(5000, |i| format!("key:{i}"));
        let mut whole = [shard(0..SLOTS, &keys)];
        let mut halves = [shard(0..SLOTS / 2, &keys), shard(SLOTS / 2..SLOTS, &keys)];
        for wanted in [1, 10, 1000, usize::MAX] {
            for shards in [&mut whole[..], &mut halves[..]] {
                let (found, calls) = scan_all(shards, wanted);
                assert_eq!(found, keys, "COUNT {wanted} over {} shards", shards.len());
                assert!(calls <= keys.len() / wanted + 1 + shards.len(), "{calls} calls of {wanted}");
            }
        }
    }

    #[test]
    fn resumes_inside_a_slot_of_many_keys() {
        let keys = sorted(20_000, |i| format!("{{tag}}:{i}"));
        let slot = Key::new(&keys[0]).slot.index();
        let mut shards = [shard(0..slot + 1, &keys), shard(slot + 1..SLOTS, &keys)];
        for wanted in [7, 500] {
            assert_eq!(scan_all(&mut shards, wanted).0, keys);
        }
    }

    #[test]
    fn a_key_that_stays_is_visited_although_others_come_and_go() {
        let keys = sorted(2000, |i| format!("{{tag}}:{i}"));
        let mut keyspace = shard(0..SLOTS, &keys);
        let (mut cursor, mut found) = (0, Vec::new());
        for round in 0.. {
            cursor = scan(&mut keyspace, 0, cursor, 50, |entry| found.push(entry.key().to_vec()));
            if cursor == 0 {
                break;
            }
            for i in 0..400 {
                let name = format!("{{tag}}:other:{i}");
                let key = Key::new(name.as_bytes());
                // Grows the slot past the size at which it splits, and shrinks it again.
                if round % 2 == 0 {
                    keyspace.set_string(0, &key, b"v", None, 0);
                } else {
                    keyspace.remove(0, &key, 0);
                }
            }
        }
        found.retain(|key| !key.starts_with(b"{tag}:other"));
        found.sort();
        assert_eq!(found, keys);
    }

    #[test]
    fn ends_at_once_where_there_is_nothing() {
        let mut keyspace = Keyspace::new(0..SLOTS);
        for cursor in [0, 5, 1 << POSITION_BITS, (SLOTS as u64) << POSITION_BITS, u64::MAX] {
            assert_eq!(scan(&mut keyspace, 0, cursor, 10, |_| panic!("there is no entry")), 0);
        }
        let mut half = Keyspace::new(0..SLOTS / 2);
        assert_eq!(cursor_slot(scan(&mut half, 0, 0, 10, |_| ())).map(Slot::index), Some(SLOTS / 2));
    }

    #[test]
    fn reads_cursors() {
        for (text, cursor) in [("", 0), ("0", 0), ("007", 7), ("+5", 5), ("-1", u64::MAX), ("-0", 0)] {
            assert_eq!(parse_cursor(text.as_bytes()), Some(cursor), "{text:?}");
        }
        assert_eq!(parse_cursor(b"18446744073709551615"), Some(u64::MAX));
        for text in ["-", "+", "x", "1x", " 1", "1 ", "--1", "-+1", "1.0", "18446744073709551616"] {
            assert_eq!(parse_cursor(text.as_bytes()), None, "{text:?}");
        }
    }
}
