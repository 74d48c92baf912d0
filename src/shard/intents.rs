//! Which keys of this shard the transactions under way will touch, and in which order. Pure data: it answers who must wait for
//! whom. Never runs a command and never sends a message.
//!
//! An entry stands for one key of one transaction at its *position*, a number that is the same on all shards once it is final.
//! Of two transactions that conflict, the one with the smaller position runs first, on every shard. Two conflict if they touch a
//! key in common and one of them writes, or if one of them touches everything. Keys are known by their hash alone: two keys of
//! one hash, or of one name in two databases, wait for each other without need, which is rare and harmless.

use hashbrown::{HashTable, hash_table};

/// One key that a command will touch: the key's hash, whose highest bit gives way to whether the key may be changed.
#[derive(Clone, Copy, Debug)]
pub struct Intent(u64);

impl Intent {
    #[inline]
    pub const fn new(hash: u64, is_write: bool) -> Intent {
        Intent(hash << 1 | is_write as u64)
    }

    #[inline]
    fn key(self) -> u64 {
        self.0 >> 1
    }

    #[inline]
    fn is_write(self) -> bool {
        self.0 & 1 == 1
    }
}

/// What a transaction, or a message of commands, will touch on one shard.
#[derive(Debug, Default)]
pub struct Claim {
    /// Single keys; before it is entered, one may be there more than once.
    pub keys: Vec<Intent>,
    /// All keys of the shard; `true` if they may be changed.
    pub everything: Option<bool>,
}

impl Claim {
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.everything.is_none()
    }

    pub fn clear(&mut self) {
        self.keys.clear();
        self.everything = None;
    }

    /// Whether something that is claimed may be changed.
    pub fn may_write(&self) -> bool {
        self.everything == Some(true) || self.keys.iter().any(|intent| intent.is_write())
    }

    /// Claims all keys.
    pub fn claim_everything(&mut self, is_write: bool) {
        self.everything = Some(is_write || self.everything == Some(true));
    }
}

/// That a transaction touches a key.
#[derive(Clone, Copy, Debug)]
struct Entry {
    intent: Intent,
    id: u64,
}

/// The claims of all transactions that have been scheduled on this shard and not yet released. Where an order matters, the caller
/// tells their positions by their ids.
#[derive(Default)]
pub struct Intents {
    /// One entry for each key of each transaction, found by the key.
    keys: HashTable<Entry>,
    /// Claims on everything; their `key` means nothing.
    everything: Vec<Entry>,
}

impl Intents {
    /// Whether nothing is claimed: the one question on the path of a command that meets no transaction.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.everything.is_empty()
    }

    /// Whether a command that touches one key would meet a transaction.
    #[inline]
    pub fn conflicts_on(&self, key: u64, is_write: bool) -> bool {
        self.meets_key(Intent::new(key, is_write), |_| true)
    }

    /// Whether commands with this claim would meet a transaction.
    pub fn conflicts(&self, claim: &Claim) -> bool {
        self.meets(claim, |_| true)
    }

    /// Whether the transaction `id` at `position` must wait for one before it.
    pub fn must_wait(&self, claim: &Claim, position: u64, id: u64, position_of: impl Fn(u64) -> u64) -> bool {
        self.meets(claim, |other| other != id && position_of(other) < position)
    }

    /// The largest position of those that commands with this claim would meet.
    pub fn last_met(&self, claim: &Claim, position_of: impl Fn(u64) -> u64) -> Option<u64> {
        let mut last = None;
        self.meets(claim, |id| {
            last = last.max(Some(position_of(id)));
            // On to the next one.
            false
        });
        last
    }

    /// Enters a transaction. A key that is claimed twice is one entry from now on, and one in the claim.
    pub fn insert(&mut self, claim: &mut Claim, id: u64) {
        let keys = &mut self.keys;
        let mut is_any_upgraded = false;
        claim.keys.retain(|&intent| {
            let is_it = |entry: &Entry| entry.intent.key() == intent.key() && entry.id == id;
            match keys.entry(intent.key(), is_it, |entry| entry.intent.key()) {
                hash_table::Entry::Vacant(vacant) => {
                    vacant.insert(Entry { intent, id });
                    true
                }
                hash_table::Entry::Occupied(mut occupied) => {
                    let first = &mut occupied.get_mut().intent;
                    is_any_upgraded |= intent.is_write() && !first.is_write();
                    first.0 |= intent.0;
                    false
                }
            }
        });
        if is_any_upgraded {
            for intent in &mut claim.keys {
                let is_it = |entry: &Entry| entry.intent.key() == intent.key() && entry.id == id;
                *intent = keys.find(intent.key(), is_it).expect("it was entered").intent;
            }
        }
        self.everything
            .extend(claim.everything.map(|is_write| Entry { intent: Intent::new(0, is_write), id }));
    }

    /// Takes a transaction out.
    pub fn remove(&mut self, claim: &Claim, id: u64) {
        for intent in &claim.keys {
            let is_it = |entry: &Entry| entry.intent.key() == intent.key() && entry.id == id;
            if let Ok(entry) = self.keys.find_entry(intent.key(), is_it) {
                entry.remove();
            }
        }
        if claim.everything.is_some() {
            self.everything.retain(|entry| entry.id != id);
        }
    }

    /// After a transaction with this claim was removed, or got another position: the ids of those that may have waited for it alone,
    /// appended to `ids`, perhaps more than once. Each must still be asked with `must_wait`.
    pub fn successors(&self, claim: &Claim, ids: &mut Vec<u64>, position_of: impl Fn(u64) -> u64) {
        ids.extend(self.everything.iter().map(|entry| entry.id));
        if claim.everything.is_some() {
            return ids.extend(self.keys.iter().map(|entry| entry.id));
        }
        for intent in &claim.keys {
            let key = intent.key();
            let queue = || self.keys.iter_hash(key).filter(|entry| entry.intent.key() == key);
            let writers = queue().filter(|entry| entry.intent.is_write());
            let writer = writers.map(|entry| (position_of(entry.id), entry.id)).min();
            let readers = queue().filter(|entry| !entry.intent.is_write()).map(|entry| entry.id);
            let before = ids.len();
            ids.extend(readers.filter(|&id| writer.is_none_or(|(first, _)| position_of(id) < first)));
            if ids.len() == before {
                ids.extend(writer.map(|(_, id)| id));
            }
        }
    }

    fn meets(&self, claim: &Claim, mut is_before: impl FnMut(u64) -> bool) -> bool {
        if let Some(is_write) = claim.everything {
            let mut all = self.keys.iter().chain(&self.everything);
            if all.any(|entry| (is_write || entry.intent.is_write()) && is_before(entry.id)) {
                return true;
            }
        }
        claim.keys.iter().any(|intent| self.meets_key(*intent, &mut is_before))
    }

    #[inline]
    fn meets_key(&self, intent: Intent, mut is_before: impl FnMut(u64) -> bool) -> bool {
        let key = intent.key();
        let mut is_met =
            |entry: &Entry| (intent.is_write() || entry.intent.is_write()) && is_before(entry.id);
        self.keys.find(key, |entry| entry.intent.key() == key && is_met(entry)).is_some()
            || self.everything.iter().any(is_met)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(words: &str) -> Claim {
        let mut claim = Claim::default();
        for word in words.split(' ') {
            let (mode, name) = word.split_at(1);
            let is_write = mode == "w";
            match name {
                "*" => claim.claim_everything(is_write),
                _ => claim.keys.push(Intent::new(u64::from(name.as_bytes()[0]) << 8, is_write)),
            }
        }
        claim
    }

    /// Here a transaction's position is its id.
    fn must_wait(intents: &Intents, claimed: &str, id: u64) -> bool {
        intents.must_wait(&claim(claimed), id, id, |id| id)
    }

    fn successors(intents: &Intents, claimed: &str) -> Vec<u64> {
        let mut ids = Vec::new();
        intents.successors(&claim(claimed), &mut ids, |id| id);
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    #[test]
    fn writers_exclude_and_readers_share() {
        let mut intents = Intents::default();
        assert!(intents.is_empty());
        intents.insert(&mut claim("ra wb"), 10);
        assert!(!intents.conflicts(&claim("ra rc wd")));
        for met in ["wa", "rb", "wb", "rc rb", "r*", "w*"] {
            assert!(intents.conflicts(&claim(met)), "{met}");
        }
        assert!(!must_wait(&intents, "wb", 9), "it comes before");
        assert!(must_wait(&intents, "wb", 11));
        assert!(!must_wait(&intents, "ra wb", 10), "nobody waits for itself");
        intents.remove(&claim("ra wb"), 10);
        assert!(intents.is_empty());
    }

    #[test]
    fn everything_meets_every_key() {
        let mut intents = Intents::default();
        intents.insert(&mut claim("r*"), 1);
        assert!(!intents.conflicts(&claim("ra")));
        assert!(intents.conflicts(&claim("wa")));
        assert!(!intents.conflicts(&claim("r*")));
        intents.insert(&mut claim("w*"), 2);
        assert!(intents.conflicts(&claim("ra")));
        assert!(must_wait(&intents, "w*", 2), "for the readers of everything");
        intents.insert(&mut claim("rk"), 3);
        assert!(must_wait(&intents, "rk", 3));
        intents.remove(&claim("r*"), 1);
        assert_eq!(successors(&intents, "r*"), [2, 3]);
        assert!(!must_wait(&intents, "w*", 2));
        intents.remove(&claim("w*"), 2);
        assert_eq!(successors(&intents, "w*"), [3]);
        intents.remove(&claim("rk"), 3);
        assert!(intents.is_empty());
    }

    #[test]
    fn a_key_claimed_twice_is_one_claim() {
        let mut intents = Intents::default();
        let mut claimed = claim("ra wa ra");
        intents.insert(&mut claimed, 5);
        assert_eq!((claimed.keys.len(), intents.keys.len()), (1, 1));
        assert!(intents.conflicts(&claim("ra")), "it writes");
        let mut reader = claim("ra");
        intents.insert(&mut reader, 3);
        assert!(intents.must_wait(&claimed, 5, 5, |id| id), "and knows it");
        intents.remove(&reader, 3);
        assert!(!must_wait(&intents, "ra wa ra", 5));
        assert!(must_wait(&intents, "ra", 9));
        assert_eq!(successors(&intents, "wa"), [5]);
        intents.remove(&claimed, 5);
        assert!(intents.is_empty());
    }

    #[test]
    fn the_last_one_met_counts() {
        let mut intents = Intents::default();
        for (id, claimed) in [(3, "ra"), (8, "wb"), (5, "wa"), (9, "rc")] {
            intents.insert(&mut claim(claimed), id);
        }
        let last = |claimed| intents.last_met(&claim(claimed), |id| id);
        assert_eq!((last("ra"), last("wa"), last("ra rb"), last("rc")), (Some(5), Some(5), Some(8), None));
        assert_eq!((last("r*"), last("w*")), (Some(8), Some(9)));
    }

    #[test]
    fn successors_are_the_readers_before_the_first_writer_or_that_writer() {
        let mut intents = Intents::default();
        for (id, claimed) in [(3, "ra"), (4, "ra"), (5, "wa"), (6, "ra")] {
            intents.insert(&mut claim(claimed), id);
        }
        assert_eq!(successors(&intents, "wa"), [3, 4]);
        intents.remove(&claim("ra"), 3);
        intents.remove(&claim("ra"), 4);
        assert_eq!(successors(&intents, "wa"), [5]);
        intents.remove(&claim("wa"), 5);
        assert_eq!(successors(&intents, "wa"), [6]);
    }
}
