//! What each shard of a life put into its log, and how much of that a restart found: a part of it from the beginning, for each shard, with
//! whole transactions. What was found is applied to a store of the test's own, effect by effect, from the very first life on, and must
//! give the keys that the restart has from its snapshot and its log.

use std::ops::Range;

use corevault::base::rng::Rng;
use corevault::base::slot::SLOTS;
use corevault::persist::log::Given;
use corevault::persist::record::{Kind, PartHead};
use corevault::persist::recovery::Recovered;
use corevault::shard::slots_of;
use corevault::store::effect::decode_all;
use corevault::store::keyspace::Keyspace;

use crate::cluster::Cluster;
use crate::process::Found;
use crate::seeds::Verdict;
use crate::workloads::crash::clients::Clients;

/// A group of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    last_seq: u64,
    part: Option<PartHead>,
    effects: Vec<u8>,
}

/// What one shard did.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    groups: Vec<Group>,
    /// Numbers of segments and their first records.
    segments: Vec<(u64, u64)>,
}

impl Stream {
    fn of(given: &[Given]) -> Stream {
        let mut stream = Stream::default();
        for given in given {
            match given {
                Given::Segment { number, first_seq } => stream.segments.push((*number, *first_seq)),
                Given::Group { last_seq, kind, payload } => {
                    let (part, effects) = match kind {
                        Kind::Part => {
                            let (head, rest) = PartHead::decode(payload).expect("shards write whole heads");
                            (Some(head), rest)
                        }
                        _ => (None, &payload[..]),
                    };
                    stream.groups.push(Group { last_seq: *last_seq, part, effects: effects.to_vec() });
                }
            }
        }
        stream
    }

    /// The place of its part of a transaction.
    fn part(&self, id: u64) -> Option<u64> {
        let of = |group: &&Group| group.part.as_ref().is_some_and(|head| head.id == id);
        self.groups.iter().find(of).map(|group| group.last_seq)
    }
}

/// The life of one process.
pub struct Life {
    generation: u64,
    streams: Vec<Stream>,
    pub clients: Clients,
    /// What clients were told must be there.
    pub holds: bool,
    /// Everything must be there.
    is_clean: bool,
}

impl Life {
    pub fn new(
        generation: u64,
        cluster: &mut Cluster,
        clients: Clients,
        holds: bool,
        is_clean: bool,
    ) -> Life {
        let streams = cluster.shards.iter_mut().map(|shard| Stream::of(shard.log().witnessed())).collect();
        Life { generation, streams, clients, holds, is_clean }
    }
}

/// The effects that are there for certain, with the slots of who recorded them, in order.
#[derive(Clone, Default)]
pub struct Past(Vec<(Range<usize>, Vec<u8>)>);

impl Past {
    /// The keys that come of it.
    pub fn keys(&self) -> Keyspace {
        let mut keys = Keyspace::new(0..SLOTS);
        for (slots, effects) in &self.0 {
            for effect in decode_all(effects) {
                let (db, effect) = effect.expect("what was recorded can be read");
                keys.apply_from(slots, db, &effect).expect("effects fit in their order");
            }
        }
        keys
    }

    fn extend(&mut self, streams: &[Stream], kept: impl Fn(usize) -> u64) {
        for (shard, stream) in streams.iter().enumerate() {
            let slots = slots_of(shard as u16, streams.len() as u16);
            let groups = stream.groups.iter().filter(|group| group.last_seq <= kept(shard));
            self.0.extend(groups.map(|group| (slots.clone(), group.effects.clone())));
        }
    }

    /// The keys of a process that has nothing to do are those that its logs tell of.
    pub fn agree_with(&self, cluster: &mut Cluster) -> Verdict {
        let streams: Vec<Stream> =
            cluster.shards.iter_mut().map(|shard| Stream::of(shard.log().witnessed())).collect();
        let mut past = self.clone();
        past.extend(&streams, |_| u64::MAX);
        let digests = cluster.shards.iter_mut().map(|shard| shard.keys().digest());
        let live = digests.fold(0, u64::wrapping_add);
        if live == past.keys().digest() {
            Ok(())
        } else {
            Err("the keys in memory are not those that the logs tell of".into())
        }
    }

    /// Takes over what a restart found of the last life.
    pub fn settle(&mut self, life: &Life, recovered: &Recovered) -> Verdict {
        let generation =
            recovered.generations.iter().find(|generation| generation.generation == life.generation);
        let logs = recovered.snapshot.as_ref().map_or(&[][..], |snapshot| snapshot.logs());
        let mut kept = Vec::new();
        for (shard, stream) in life.streams.iter().enumerate() {
            let of_shard = |log: &&_| (log_of(log).0, usize::from(log_of(log).1)) == (life.generation, shard);
            let cut = match logs.iter().find(of_shard) {
                None => 0,
                Some(log) => {
                    let segment = stream.segments.iter().find(|(number, _)| *number == log.segment);
                    segment.ok_or("the snapshot goes on in a segment that the shard has not begun")?.1 - 1
                }
            };
            let mut found = Vec::new();
            for segment in generation.iter().flat_map(|generation| &generation.streams[shard]) {
                for group in segment.groups() {
                    let group = group.map_err(|(at, bad)| format!("{}: byte {at}: {bad}", segment.name))?;
                    let effects = group.payload.to_vec();
                    found.push(Group { last_seq: group.last_seq, part: group.part, effects });
                }
            }
            let end = found.last().map_or(cut, |group| group.last_seq).max(cut);
            let expected = stream.groups.iter().filter(|group| group.last_seq > cut && group.last_seq <= end);
            if !found.iter().eq(expected) {
                return Err(format!("shard {shard}: what is found is not what it did up to some place"));
            }
            if life.is_clean && stream.groups.last().is_some_and(|group| group.last_seq > end) {
                return Err(format!("shard {shard}: after a clean end, something is missing"));
            }
            kept.push(end);
        }
        for (shard, stream) in life.streams.iter().enumerate() {
            let parts = stream.groups.iter().filter(|group| group.last_seq <= kept[shard]);
            for head in parts.filter_map(|group| group.part.as_ref()) {
                for &fellow in &head.shards {
                    let fellow = usize::from(fellow);
                    if life.streams[fellow].part(head.id).is_none_or(|seq| seq > kept[fellow]) {
                        return Err(format!(
                            "transaction {} over shards {:?} is kept on {shard} and not on {fellow}",
                            head.id, head.shards
                        ));
                    }
                }
            }
        }
        self.extend(&life.streams, |shard| kept[shard]);
        Ok(())
    }

    /// What was found gives the same keys, for any number of shards.
    pub fn compare(&self, found: &Found, rng: &mut Rng) -> Verdict {
        let shards = 1 + rng.below(4) as u16;
        let mut restored = 0u64;
        for shard in 0..shards {
            let mut keys = found.keys(shard, shards)?;
            restored = restored.wrapping_add(keys.digest());
            if let Some(damage) = keys.take_damage() {
                return Err(format!("shard {shard} of {shards} finds damage: {damage}"));
            }
        }
        if restored == self.keys().digest() {
            Ok(())
        } else {
            Err(format!("restored on {shards} shards, the keys are not those that all effects give"))
        }
    }
}

fn log_of(log: &corevault::persist::snapshot::LogAt) -> (u64, u16) {
    (log.generation, log.shard)
}
