//! Who waits for which keys of this shard, in order of arrival, and which of those keys have been touched since anybody looked.
//! Knows waiters by a number alone, and nothing of what is at the keys: the journal tells it of every change.

use std::collections::HashMap;

/// A database and the name of a key.
pub type Name = (u16, Box<[u8]>);

/// The lines of one key, each with its database: who waits, first come first.
type Lines = Vec<(u16, Vec<u64>)>;

/// See the module.
#[derive(Debug, Default)]
pub struct Awaited {
    lines: HashMap<Box<[u8]>, Lines, foldhash::fast::RandomState>,
    /// Keys that are waited for and have changed.
    touched: Vec<Name>,
}

impl Awaited {
    /// Whether nobody waits: the one question on the path of a write.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The waiter `ticket` stands at the end of the key's line, once.
    pub fn insert(&mut self, db: u16, key: &[u8], ticket: u64) {
        let lines = self.lines.entry(key.into()).or_default();
        match lines.iter_mut().find(|(of, _)| *of == db) {
            Some((_, line)) if line.contains(&ticket) => {}
            Some((_, line)) => line.push(ticket),
            None => lines.push((db, vec![ticket])),
        }
    }

    /// The waiter leaves the key's line.
    pub fn remove(&mut self, db: u16, key: &[u8], ticket: u64) {
        let Some(lines) = self.lines.get_mut(key) else { return };
        if let Some((_, line)) = lines.iter_mut().find(|(of, _)| *of == db) {
            line.retain(|other| *other != ticket);
        }
        lines.retain(|(_, line)| !line.is_empty());
        if lines.is_empty() {
            self.lines.remove(key);
        }
    }

    /// Who waits for a key, first come first.
    pub fn line(&self, db: u16, key: &[u8]) -> &[u64] {
        let lines = self.lines.get(key).map_or(&[][..], Vec::as_slice);
        lines.iter().find(|(of, _)| *of == db).map_or(&[], |(_, line)| line)
    }

    /// The key has changed, or is to be looked at again.
    pub fn touch(&mut self, db: u16, key: &[u8]) {
        if !self.line(db, key).is_empty()
            && !self.touched.iter().any(|(of, name)| *of == db && **name == *key)
        {
            self.touched.push((db, key.into()));
        }
    }

    /// Every key of the database may have changed.
    pub fn touch_all(&mut self, db: u16) {
        let is_of = |lines: &Lines| lines.iter().any(|(of, _)| *of == db);
        let names = self.lines.iter().filter(|(_, lines)| is_of(lines)).map(|(key, _)| (db, key.clone()));
        self.touched.extend(names);
    }

    /// Whether a key that is waited for has changed.
    #[inline]
    pub fn has_touched(&self) -> bool {
        !self.touched.is_empty()
    }

    /// Takes the keys that have changed, in the order in which they did.
    pub fn take_touched(&mut self) -> Vec<Name> {
        std::mem::take(&mut self.touched)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_lines_and_tells_what_was_touched() {
        let mut awaited = Awaited::default();
        for (db, key, ticket) in [(0, b"k", 7), (0, b"k", 3), (0, b"k", 7), (1, b"k", 5), (0, b"j", 7)] {
            awaited.insert(db, key, ticket);
        }
        assert_eq!((awaited.line(0, b"k"), awaited.line(1, b"k")), (&[7, 3][..], &[5][..]));
        assert_eq!(awaited.line(2, b"k"), [] as [u64; 0]);
        awaited.touch(0, b"k");
        awaited.touch(0, b"nobody's");
        awaited.touch(0, b"k");
        assert_eq!(awaited.take_touched(), [(0, b"k"[..].into())]);
        assert!(!awaited.has_touched());
        awaited.touch_all(0);
        assert_eq!(awaited.take_touched().len(), 2);
        for (db, key, ticket) in [(0, b"k", 7), (1, b"k", 5), (0, b"j", 7), (0, b"k", 9)] {
            awaited.remove(db, key, ticket);
        }
        assert_eq!(awaited.line(0, b"k"), [3]);
        awaited.remove(0, b"k", 3);
        assert!(awaited.is_empty());
    }
}
