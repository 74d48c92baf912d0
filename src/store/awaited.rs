//! Who waits for which keys of this shard, in order of arrival, and which of those keys have been touched since anybody looked.
//! Knows waiters by a number alone, and nothing of what is at the keys: the journal tells it of every change.

use std::collections::HashMap;

/// A database and the name of a key.
pub type Name = (u16, Box<[u8]>);

/// See the module.
#[derive(Debug, Default)]
pub struct Awaited {
    /// For each key, one for each database.
    lines: HashMap<Box<[u8]>, Vec<Line>, foldhash::fast::RandomState>,
    /// Keys that are waited for and have changed.
    touched: Vec<Name>,
}

/// Who waits for a key of one database.
#[derive(Debug)]
struct Line {
    db: u16,
    /// First come first.
    tickets: Vec<u64>,
    /// It is among those that have changed.
    is_touched: bool,
}

impl Awaited {
    /// Whether nobody waits: the one question on the path of a write.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The waiter `ticket`, which came last, stands at the end of the key's line, once.
    pub fn insert(&mut self, db: u16, key: &[u8], ticket: u64) {
        let lines = self.lines.entry(key.into()).or_default();
        match lines.iter_mut().find(|line| line.db == db) {
            Some(line) if line.tickets.last() == Some(&ticket) => {}
            Some(line) => line.tickets.push(ticket),
            None => lines.push(Line { db, tickets: vec![ticket], is_touched: false }),
        }
    }

    /// The waiter leaves the key's line.
    pub fn remove(&mut self, db: u16, key: &[u8], ticket: u64) {
        let Some(lines) = self.lines.get_mut(key) else { return };
        if let Some(line) = lines.iter_mut().find(|line| line.db == db) {
            line.tickets.retain(|other| *other != ticket);
        }
        lines.retain(|line| !line.tickets.is_empty());
        if lines.is_empty() {
            self.lines.remove(key);
        }
    }

    /// Who waits for a key, first come first.
    pub fn line(&self, db: u16, key: &[u8]) -> &[u64] {
        let line = self.lines.get(key).and_then(|lines| lines.iter().find(|line| line.db == db));
        line.map_or(&[], |line| &line.tickets)
    }

    /// The key has changed, or is to be looked at again.
    pub fn touch(&mut self, db: u16, key: &[u8]) {
        let line = self.lines.get_mut(key).and_then(|lines| lines.iter_mut().find(|line| line.db == db));
        if let Some(line) = line.filter(|line| !line.is_touched) {
            line.is_touched = true;
            self.touched.push((db, key.into()));
        }
    }

    /// Every key of the database may have changed.
    pub fn touch_all(&mut self, db: u16) {
        for (key, lines) in &mut self.lines {
            if let Some(line) = lines.iter_mut().find(|line| line.db == db && !line.is_touched) {
                line.is_touched = true;
                self.touched.push((db, key.clone()));
            }
        }
    }

    /// Whether a key that is waited for has changed.
    #[inline]
    pub fn has_touched(&self) -> bool {
        !self.touched.is_empty()
    }

    /// Takes the keys that have changed, in the order in which they did.
    pub fn take_touched(&mut self) -> Vec<Name> {
        for (db, key) in &self.touched {
            let lines = self.lines.get_mut(key).into_iter().flatten();
            lines.filter(|line| line.db == *db).for_each(|line| line.is_touched = false);
        }
        std::mem::take(&mut self.touched)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_lines_and_tells_what_was_touched() {
        let mut awaited = Awaited::default();
        for (db, key, ticket) in [(0, b"k", 7), (0, b"k", 7), (0, b"k", 3), (1, b"k", 5), (0, b"j", 7)] {
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
