//! The names of files: which are on the medium for certain, what was done since, and what is seen. Knows no contents.
//!
//! A name is durable only once its directory was synced. When the power goes, each creation, renaming or removal since then was
//! done, as a whole, or was not, whatever became of the others.

use std::collections::BTreeMap;

use corevault::base::rng::Rng;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// The file with this number.
    File(u64),
    Directory,
}

/// See the module. Names are paths, relative to the directory that is simulated, which has the name "".
#[derive(Clone, Debug, Default)]
pub struct Names {
    durable: BTreeMap<String, Node>,
    seen: BTreeMap<String, Node>,
    pending: Vec<Vec<Entry>>,
}

/// What one operation makes of one name.
type Entry = (String, Option<Node>);

impl Names {
    pub fn get(&self, name: &str) -> Option<Node> {
        self.seen.get(name).copied()
    }

    /// All names, in order.
    pub fn seen(&self) -> impl Iterator<Item = (&str, Node)> {
        self.seen.iter().map(|(name, node)| (name.as_str(), *node))
    }

    /// All files that have a name, or may have one when the power goes.
    pub fn files(&self) -> impl Iterator<Item = u64> {
        let pending = self.pending.iter().flatten().filter_map(|(_, node)| *node);
        self.durable.values().chain(self.seen.values()).copied().chain(pending).filter_map(
            |node| match node {
                Node::File(file) => Some(file),
                Node::Directory => None,
            },
        )
    }

    pub fn create(&mut self, name: &str, node: Node) {
        self.change(vec![(name.to_owned(), Some(node))]);
    }

    pub fn remove(&mut self, name: &str) {
        self.change(vec![(name.to_owned(), None)]);
    }

    /// What `from` stands for gets the name `to`, in place of what had it.
    pub fn rename(&mut self, from: &str, to: &str) {
        let node = self.get(from);
        self.change(vec![(from.to_owned(), None), (to.to_owned(), node)]);
    }

    fn change(&mut self, entries: Vec<Entry>) {
        apply(&entries, &mut self.seen);
        self.pending.push(entries);
    }

    /// What was done to names in this directory is on the medium. A renaming from one directory to another is with either.
    pub fn sync(&mut self, directory: &str) {
        let durable = &mut self.durable;
        self.pending.retain(|entries| {
            let is_concerned = entries.iter().any(|(name, _)| parent(name) == directory);
            if is_concerned {
                apply(entries, durable);
            }
            !is_concerned
        });
    }

    /// A sync fails. Of what was done to names in this directory some is on the medium, some may still come there with the next
    /// sync, and some never will, although it is seen.
    pub fn fail_sync(&mut self, directory: &str, rng: &mut Rng) {
        let durable = &mut self.durable;
        self.pending.retain(|entries| {
            if !entries.iter().any(|(name, _)| parent(name) == directory) {
                return true;
            }
            let fate = rng.below(3);
            if fate == 0 {
                apply(entries, durable);
            }
            fate == 1
        });
    }

    /// The power goes: what was not synced is all there, not there, there up to some operation, or each for itself.
    pub fn lose_power(&mut self, rng: &mut Rng) {
        let (pending, temper) = (std::mem::take(&mut self.pending), rng.below(4));
        let prefix = rng.below(pending.len() as u64 + 1) as usize;
        for (n, entries) in pending.iter().enumerate() {
            let survives = match temper {
                0 => false,
                1 => true,
                2 => n < prefix,
                _ => rng.below(2) == 0,
            };
            if survives {
                apply(entries, &mut self.durable);
            }
        }
        // What lies in a directory that is not there is not there either.
        let directories: Vec<String> = self
            .durable
            .iter()
            .filter(|(_, n)| **n == Node::Directory)
            .map(|(name, _)| name.clone())
            .collect();
        self.durable.retain(|name, _| {
            let directory = parent(name);
            directory.is_empty() || directories.iter().any(|known| known == directory)
        });
        self.seen.clone_from(&self.durable);
    }
}

/// The directory of a name.
pub fn parent(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(directory, _)| directory)
}

fn apply(entries: &[Entry], names: &mut BTreeMap<String, Node>) {
    for (name, node) in entries {
        match node {
            Some(node) => names.insert(name.clone(), *node),
            None => names.remove(name),
        };
    }
}
