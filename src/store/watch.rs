//! Which clients watch which keys of this shard (`WATCH`), and whether one of those has changed since. Knows nothing of what is at
//! the keys: the journal tells it of every change, the keyspace of what concerns whole databases.

use std::collections::HashMap;

/// A database and the name of a key.
type Name = (u16, Box<[u8]>);

#[derive(Debug, Default)]
struct Watcher {
    keys: Vec<Name>,
    /// One of them has changed.
    is_dirty: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Watched {
    /// By key: the databases it is watched in, and by whom.
    by_key: HashMap<Box<[u8]>, Vec<(u16, u64)>, foldhash::fast::RandomState>,
    by_client: HashMap<u64, Watcher, foldhash::fast::FixedState>,
}

impl Watched {
    /// Whether nothing is watched: the one question on the path of a write.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.by_client.is_empty()
    }

    /// The client watches one more key.
    pub fn insert(&mut self, db: u16, key: &[u8], client_id: u64) {
        let watcher = self.by_client.entry(client_id).or_default();
        let watches = self.by_key.entry(key.into()).or_default();
        if !watches.contains(&(db, client_id)) {
            watches.push((db, client_id));
            watcher.keys.push((db, key.into()));
        }
    }

    /// The key has changed.
    pub fn changed(&mut self, db: u16, key: &[u8]) {
        for (_, client_id) in self.by_key.get(key).into_iter().flatten().filter(|(of, _)| *of == db) {
            self.by_client.get_mut(client_id).expect("who watches a key is listed").is_dirty = true;
        }
    }

    /// What a client watches.
    pub fn of_client(&self, client_id: u64) -> &[Name] {
        self.by_client.get(&client_id).map_or(&[], |watcher| &watcher.keys)
    }

    /// Watched keys of a database.
    pub fn keys_of(&self, db: u16) -> Vec<Box<[u8]>> {
        let is_of = |watches: &Vec<(u16, u64)>| watches.iter().any(|(of, _)| *of == db);
        self.by_key.iter().filter(|(_, watches)| is_of(watches)).map(|(key, _)| key.clone()).collect()
    }

    /// The client watches nothing any more; whether one of its keys had changed.
    pub fn remove(&mut self, client_id: u64) -> bool {
        let Some(watcher) = self.by_client.remove(&client_id) else { return false };
        for (db, key) in &watcher.keys {
            let watches = self.by_key.get_mut(key).expect("what a client watches is listed");
            watches.retain(|watch| *watch != (*db, client_id));
            if watches.is_empty() {
                self.by_key.remove(key);
            }
        }
        watcher.is_dirty
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_those_who_watch_and_forgets_those_who_do_not() {
        let mut watched = Watched::default();
        watched.insert(0, b"k", 1);
        watched.insert(0, b"k", 1);
        watched.insert(1, b"k", 2);
        watched.insert(0, b"other", 2);
        watched.changed(0, b"k");
        watched.changed(5, b"k");
        watched.changed(0, b"nobody's");
        assert_eq!(watched.of_client(1), [(0, b"k"[..].into())]);
        assert_eq!(watched.keys_of(1), [b"k"[..].into()]);
        assert!(watched.remove(1));
        assert!(!watched.remove(1), "once");
        assert!(!watched.remove(2), "another database");
        assert!(watched.is_empty() && watched.by_key.is_empty());
    }
}
