//! A snapshot and a log that tests keep in memory, and the keyspaces restored from them.

use std::ops::Range;
use std::sync::Arc;

use crate::store::effect::{Effect, decode_all};
use crate::store::keyspace::Keyspace;
use crate::store::keyspace::dormant::{Dormant, Source};
use crate::store::keyspace::saving::SavedArchive;

/// Archives in the order in which they were made, and what happened since.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// What was saved.
    pub archives: Vec<SavedArchive>,
    /// For each shard since its slots, and its effects as `effect::encode` writes them.
    pub logs: Vec<(Range<usize>, Vec<u8>)>,
}

impl Memory {
    /// What is saved of a keyspace in one go.
    pub fn of(keys: &mut Keyspace) -> Memory {
        keys.begin_save();
        while keys.save_step(usize::MAX) {}
        let archives = keys.take_archives();
        keys.end_save();
        Memory { archives, logs: Vec::new() }
    }

    /// A keyspace over `slots` in which everything sleeps.
    pub fn asleep(&self, slots: Range<usize>) -> Keyspace {
        let mut dormant = Dormant::new(Arc::new(self.clone()), slots.clone(), 0);
        for (id, saved) in self.archives.iter().enumerate() {
            dormant.add_archive(saved.db, saved.slot, id as u32, saved.keys, saved.volatile);
        }
        for (number, (of, log)) in self.logs.iter().enumerate() {
            let mut effects = decode_all(log);
            loop {
                let position = (number << 32 | effects.offset()) as u64;
                let Some(effect) = effects.next() else { break };
                let (db, effect) = effect.expect("an effect");
                dormant.add_effect(of, db, &effect, position);
            }
        }
        let mut keys = Keyspace::new(slots);
        keys.lay_dormant(dormant);
        keys
    }

    /// A keyspace over `slots` in which everything is alive.
    pub fn awake(&self, slots: Range<usize>) -> Keyspace {
        let mut keys = self.asleep(slots);
        while keys.hydrate_step(7) {}
        assert_eq!(keys.take_damage(), None);
        assert_eq!((keys.dormant_keys(), keys.dormant_tables()), (0, 0));
        keys
    }
}

impl Source for Memory {
    fn archive(&self, id: u32) -> Result<&[u8], String> {
        Ok(&self.archives[id as usize].bytes)
    }

    fn effect(&self, position: u64) -> Result<(u16, Effect<'_>), String> {
        let (number, at) = (position >> 32, position as u32);
        let mut effects = decode_all(&self.logs[number as usize].1[at as usize..]);
        effects.next().expect("there is an effect").map_err(|bad| bad.to_string())
    }

    fn archive_place(&self, id: u32) -> String {
        format!("archive {id}")
    }

    fn effect_place(&self, position: u64) -> String {
        format!("byte {} of log {}", position as u32, position >> 32)
    }
}
