//! A key by chance. Owns how the choice is made even; never looks at values.

use crate::base::limits::{EXPIRED_STEP, RANDOM_CHOICES_MAX};
use crate::base::rng::Rng;
use crate::base::slot::Slot;
use crate::store::keyspace::{Key, Keyspace, is_expired};
use crate::store::object::Entry;
use crate::store::table::SlotTable;

impl Keyspace {
    /// A live key, or `None` if there is none. Chosen evenly, but among very many expired keys some live ones are likelier.
    ///
    /// A choice that falls on an expired key removes those near it, where there may be many, and is made again. That is bounded, for a
    /// choice walks over all slots: in the end the next live key is taken, and what is expired on the way waits for other calls.
    pub fn random_key(&mut self, db: u16, rng: &mut Rng, now_ms: i64) -> Option<Vec<u8>> {
        if let Some(key) = self.random_sleeper(db, rng, now_ms) {
            return Some(key);
        }
        let mut place = (0, 0);
        for choice in 0..RANDOM_CHOICES_MAX {
            let keys = self.len(db) as u64;
            if keys == 0 {
                return None;
            }
            place = self.place(db, rng.below(keys) as usize);
            let entry = self.walk(db, place).next().expect("a place holds a key");
            if !is_expired(entry, now_ms) {
                return Some(entry.key().to_vec());
            }
            if choice == 0 {
                self.remove_expired(db, place, now_ms);
            }
        }
        self.walk(db, place).find(|entry| !is_expired(entry, now_ms)).map(|entry| entry.key().to_vec())
    }

    /// As `random_key` while tables sleep: a table is chosen by the keys it is said to have, and woken. If that leads nowhere, all are.
    fn random_sleeper(&mut self, db: u16, rng: &mut Rng, now_ms: i64) -> Option<Vec<u8>> {
        for _ in 0..RANDOM_CHOICES_MAX {
            let dormant = self.dormant.as_ref().filter(|dormant| dormant.has_db(db))?;
            let slots = &self.dbs[usize::from(db)].slots;
            let mut rest = match self.len(db) as u64 {
                0 => break,
                keys => rng.below(keys) as usize,
            };
            let is_here = |at: &usize| {
                let keys = slots.get(*at).map_or(0, SlotTable::len) + dormant.keys_of(db, *at);
                let is_here = rest < keys;
                if !is_here {
                    rest -= keys;
                }
                is_here
            };
            let Some(at) = (0..self.slot_count).find(is_here) else { break };
            self.wake(db, Slot::new(self.first_slot + at as u16).expect("tables stand for slots in range"));
            let chosen = self.dbs[usize::from(db)].slots.get(at).and_then(|table| table.random(rng));
            if let Some(entry) = chosen.filter(|entry| !is_expired(entry, now_ms)) {
                return Some(entry.key().to_vec());
            }
        }
        self.hydrate_db(db);
        None
    }

    /// Where the key with this number stands: its slot's index, and its number in the slot.
    fn place(&self, db: u16, number: usize) -> (usize, usize) {
        let mut rest = number;
        let is_here = |table: &SlotTable| {
            let here = rest < table.len();
            if !here {
                rest -= table.len();
            }
            here
        };
        let at = self.dbs[usize::from(db)].slots.iter().position(is_here);
        (at.expect("the count of keys is exact"), rest)
    }

    /// Every entry of a database once, from a place on and around.
    fn walk(&self, db: u16, (at, number): (usize, usize)) -> impl Iterator<Item = &Entry> {
        let slots = &self.dbs[usize::from(db)].slots;
        let others = slots[at + 1..].iter().chain(&slots[..at]).flat_map(SlotTable::iter);
        slots[at].iter_from(number).chain(others).chain(slots[at].iter().take(number))
    }

    /// Looks at `EXPIRED_STEP` keys from a place on and removes those that are expired.
    fn remove_expired(&mut self, db: u16, place: (usize, usize), now_ms: i64) {
        let near = self.walk(db, place).take(EXPIRED_STEP);
        let expired: Vec<Vec<u8>> =
            near.filter(|entry| is_expired(entry, now_ms)).map(|entry| entry.key().to_vec()).collect();
        for key in expired {
            self.locate_live(db, &Key::new(&key), now_ms);
        }
    }
}
