//! Which keys of this shard the transactions under way will touch, and in which order. Pure data: it answers who must wait for
//! whom. Never runs a command and never sends a message.
//!
//! An entry stands for one key of one transaction at its *position*, a number that is the same on all shards once it is final.
//! Of two transactions that conflict, the one with the smaller position runs first, on every shard. Two conflict if they touch a
//! key in common and one of them writes, or if one of them touches everything. Keys are known by their hash alone: two keys of
//! one hash, or of one name in two databases, wait for each other without need, which is rare and harmless.

use hashbrown::HashTable;

/// One key that a command will touch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intent {
    /// The key's hash.
    pub key: u64,
    /// Whether it may be changed.
    pub is_write: bool,
}

/// What a transaction, or a message of commands, will touch on one shard.
#[derive(Debug, Default)]
pub struct Claim {
    /// Single keys; one may be there more than once.
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

    /// Claims all keys.
    pub fn claim_everything(&mut self, is_write: bool) {
        self.everything = Some(is_write || self.everything == Some(true));
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    key: u64,
    position: u64,
    id: u64,
    is_write: bool,
}

/// The claims of all transactions that have been scheduled on this shard and not yet released.
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
        self.meets_key(Intent { key, is_write }, u64::MAX, 0)
    }

    /// Whether commands with this claim would meet a transaction.
    pub fn conflicts(&self, claim: &Claim) -> bool {
        self.meets(claim, u64::MAX, 0)
    }

    /// Whether the transaction `id` at `position` must wait for one before it.
    pub fn must_wait(&self, claim: &Claim, position: u64, id: u64) -> bool {
        self.meets(claim, position, id)
    }

    /// Enters a transaction.
    pub fn insert(&mut self, claim: &Claim, position: u64, id: u64) {
        for &Intent { key, is_write } in &claim.keys {
            self.keys.insert_unique(key, Entry { key, position, id, is_write }, |entry| entry.key);
        }
        if let Some(is_write) = claim.everything {
            self.everything.push(Entry { key: 0, position, id, is_write });
        }
    }

    /// Moves a transaction to another position.
    pub fn reposition(&mut self, claim: &Claim, position: u64, id: u64) {
        for intent in &claim.keys {
            // A key that is claimed twice has two entries: the one not yet moved is looked for.
            let is_it =
                |entry: &Entry| entry.key == intent.key && entry.id == id && entry.position != position;
            if let Some(entry) = self.keys.find_mut(intent.key, is_it) {
                entry.position = position;
            }
        }
        self.everything.iter_mut().filter(|entry| entry.id == id).for_each(|entry| entry.position = position);
    }

    /// Takes a transaction out.
    pub fn remove(&mut self, claim: &Claim, id: u64) {
        for intent in &claim.keys {
            let is_it = |entry: &Entry| entry.key == intent.key && entry.id == id;
            if let Ok(entry) = self.keys.find_entry(intent.key, is_it) {
                entry.remove();
            }
        }
        if claim.everything.is_some() {
            self.everything.retain(|entry| entry.id != id);
        }
    }

    /// After a transaction with this claim was removed or moved: the ids of those that may have waited for it alone, appended to
    /// `ids`, perhaps more than once. Each must still be asked with `must_wait`.
    pub fn successors(&self, claim: &Claim, ids: &mut Vec<u64>) {
        if claim.everything.is_some() {
            ids.extend(self.keys.iter().map(|entry| entry.id));
        } else {
            for intent in &claim.keys {
                let queue = || self.keys.iter_hash(intent.key).filter(|entry| entry.key == intent.key);
                let writer = queue().filter(|entry| entry.is_write).min_by_key(|entry| entry.position);
                let first_write = writer.map_or(u64::MAX, |entry| entry.position);
                let readers = queue().filter(|entry| !entry.is_write && entry.position < first_write);
                let before = ids.len();
                ids.extend(readers.map(|entry| entry.id));
                if ids.len() == before {
                    ids.extend(writer.map(|entry| entry.id));
                } else if let Some(writer) = writer
                    && ids[before..].iter().all(|id| *id == writer.id)
                {
                    // The only readers before it are its own.
                    ids.push(writer.id);
                }
            }
        }
        ids.extend(self.everything.iter().map(|entry| entry.id));
    }

    fn meets(&self, claim: &Claim, position: u64, id: u64) -> bool {
        let is_met = |entry: &Entry, is_write: bool| {
            entry.id != id && entry.position < position && (is_write || entry.is_write)
        };
        if let Some(is_write) = claim.everything
            && self.keys.iter().chain(&self.everything).any(|entry| is_met(entry, is_write))
        {
            return true;
        }
        claim.keys.iter().any(|intent| self.meets_key(*intent, position, id))
    }

    #[inline]
    fn meets_key(&self, intent: Intent, position: u64, id: u64) -> bool {
        let is_met = |entry: &Entry| {
            entry.id != id && entry.position < position && (intent.is_write || entry.is_write)
        };
        self.keys.iter_hash(intent.key).any(|entry| entry.key == intent.key && is_met(entry))
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
                _ => claim.keys.push(Intent { key: u64::from(name.as_bytes()[0]), is_write }),
            }
        }
        claim
    }

    #[test]
    fn writers_exclude_and_readers_share() {
        let mut intents = Intents::default();
        assert!(intents.is_empty());
        let first = claim("ra wb");
        intents.insert(&first, 10, 10);
        assert!(!intents.conflicts(&claim("ra rc wd")));
        for met in ["wa", "rb", "wb", "rc rb", "r*", "w*"] {
            assert!(intents.conflicts(&claim(met)), "{met}");
        }
        assert!(!intents.must_wait(&claim("wb"), 9, 9), "it comes before");
        assert!(intents.must_wait(&claim("wb"), 11, 11));
        assert!(!intents.must_wait(&first, 10, 10), "nobody waits for itself");
        intents.remove(&first, 10);
        assert!(intents.is_empty());
    }

    #[test]
    fn everything_meets_every_key() {
        let mut intents = Intents::default();
        let (read, write) = (claim("r*"), claim("w*"));
        intents.insert(&read, 1, 1);
        assert!(!intents.conflicts(&claim("ra")));
        assert!(intents.conflicts(&claim("wa")));
        assert!(!intents.conflicts(&claim("r*")));
        intents.insert(&write, 2, 2);
        assert!(intents.conflicts(&claim("ra")));
        assert!(intents.must_wait(&write, 2, 2), "for the readers of everything");
        let mut next = Vec::new();
        intents.remove(&read, 1);
        intents.successors(&read, &mut next);
        assert_eq!(next, [2]);
        assert!(!intents.must_wait(&write, 2, 2));
        intents.remove(&write, 2);
        assert!(intents.is_empty());
    }

    #[test]
    fn a_key_claimed_twice_is_one_claim() {
        let mut intents = Intents::default();
        let twice = claim("ra wa ra");
        intents.insert(&twice, 5, 5);
        intents.reposition(&twice, 8, 5);
        assert!(!intents.must_wait(&claim("wa"), 7, 7));
        assert!(intents.must_wait(&claim("ra"), 9, 9));
        let mut next = Vec::new();
        intents.successors(&claim("wa"), &mut next);
        assert!(next.contains(&5));
        intents.remove(&twice, 5);
        assert!(intents.is_empty());
    }

    #[test]
    fn successors_are_the_readers_before_the_first_writer_or_that_writer() {
        let mut intents = Intents::default();
        for (position, claimed) in [(3, "ra"), (4, "ra"), (5, "wa"), (6, "ra")] {
            intents.insert(&claim(claimed), position, position);
        }
        let next = |intents: &Intents| {
            let mut ids = Vec::new();
            intents.successors(&claim("wa"), &mut ids);
            ids.sort_unstable();
            ids
        };
        assert_eq!(next(&intents), [3, 4]);
        intents.remove(&claim("ra"), 3);
        intents.remove(&claim("ra"), 4);
        assert_eq!(next(&intents), [5]);
        intents.remove(&claim("wa"), 5);
        assert_eq!(next(&intents), [6]);
    }
}
