//! Servers that live and crash at random: what was acknowledged is there, streams are cut only at their ends, transactions are whole, and
//! no crash is ever taken for damage.

use super::*;
use crate::base::rng::Rng;
use crate::persist::whole::{PartAt, Stream as Parts, whole};

/// What one shard of one generation has written and no snapshot holds.
#[derive(Clone, Debug, Default)]
struct Written {
    texts: Vec<(u64, String)>,
    parts: Vec<PartAt>,
}

/// A server, and what it has written in this and earlier generations.
struct Life {
    disk: MemoryDisk,
    rng: Rng,
    server: Server,
    /// Earlier generations, by number: what must come back exactly.
    past: Vec<Vec<Vec<String>>>,
    written: Vec<Written>,
    transactions: u64,
    snapshot: Option<u64>,
}

impl Life {
    fn write(&mut self, shard: usize) {
        let Life { disk, server, written, .. } = self;
        let writer = &mut server.writers[shard];
        let seq = writer.next_seq();
        let text = format!("{shard}:{seq}");
        writer.write(disk, &text);
        written[shard].texts.push((seq, text));
    }

    fn transact(&mut self) {
        let shards: Vec<u16> = (0..self.written.len() as u16).filter(|_| self.rng.below(2) == 0).collect();
        self.transactions += 1;
        for &shard in &shards {
            let (writer, written) =
                (&mut self.server.writers[usize::from(shard)], &mut self.written[usize::from(shard)]);
            let (seq, text) =
                (writer.next_seq(), format!("{shard}:{} of {}", writer.next_seq(), self.transactions));
            writer.write_part(&mut self.disk, self.transactions, &shards, &text);
            written.texts.push((seq, text));
            written.parts.push(PartAt { seq, id: self.transactions, shards: shards.clone() });
        }
    }

    /// Shards go on in new segments; the snapshot is published, given up or never heard of.
    fn save(&mut self) {
        if self.server.keeper.is_saving() {
            return;
        }
        let prepared = self.server.keeper.prepare_save(&mut self.disk, Log::Continues, 0).expect("prepared");
        if self.rng.below(4) == 0 {
            return self.server.keeper.abandon(&mut self.disk, false).expect("given up");
        }
        let mut first_seqs = Vec::new();
        for (writer, segment) in self.server.writers.iter_mut().zip(prepared.segments) {
            if self.rng.below(2) == 0 {
                writer.end(&mut self.disk);
            }
            writer.switch(segment);
            first_seqs.push(writer.next_seq());
        }
        match self.rng.below(3) {
            0 => {}
            1 => self.server.keeper.abandon(&mut self.disk, true).expect("given up"),
            _ => {
                let end = crate::persist::keeper::ARCHIVES_AT;
                let saved = Saved { archives: &[], end, cut_ms: 0, first_seqs: &first_seqs };
                self.snapshot =
                    Some(self.server.keeper.publish(&mut self.disk, saved).expect("published").id);
                self.past.clear();
                self.written.iter_mut().for_each(|written| *written = Written::default());
            }
        }
    }

    /// How many texts of each stream clients were told of.
    fn acknowledged(&self) -> Vec<usize> {
        let durable = self.server.writers.iter().map(Writer::durable).zip(&self.written);
        let mut streams: Vec<Parts> =
            durable.map(|(kept, written)| Parts { kept, parts: written.parts.clone() }).collect();
        whole(&mut streams);
        let kept = streams.iter().zip(&self.written);
        kept.map(|(stream, written)| written.texts.partition_point(|(seq, _)| *seq <= stream.kept)).collect()
    }

    /// The server is gone; another one starts, with another number of shards.
    fn crash(&mut self, seed: u64) {
        match self.rng.below(8) {
            0 => self.disk.crash(true),
            1 => self.disk.crash(false),
            _ => self.disk.crash_at_random(&mut self.rng),
        }
        let acknowledged = self.acknowledged();
        let found = recover(&mut self.disk, ALL).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_eq!(
            found.snapshot.as_ref().map(|snapshot| snapshot.header().id),
            self.snapshot,
            "seed {seed}"
        );
        let texts: Vec<Vec<Vec<String>>> = found.generations.iter().map(texts).collect();
        let last_generation = self.server.keeper.manifest().generation;
        let has_last = found.generations.last().is_some_and(|last| last.generation == last_generation);
        let nothing = vec![Vec::new(); self.written.len()];
        let (past, last) = match texts.split_last() {
            Some((last, past)) if has_last => (past, last),
            _ => (&texts[..], &nothing),
        };
        assert_eq!(past, self.past, "seed {seed}: what a start has found once comes back");
        let mut streams = Vec::new();
        for (shard, (found, written)) in last.iter().zip(&self.written).enumerate() {
            let is_prefix = written.texts.iter().map(|(_, text)| text).zip(found).all(|(a, b)| a == b);
            assert!(is_prefix && found.len() <= written.texts.len(), "seed {seed}: {found:?} of {written:?}");
            let told = acknowledged[shard];
            assert!(
                found.len() >= told,
                "seed {seed}: {} of {told} acknowledged on shard {shard}",
                found.len()
            );
            let kept = found.len().checked_sub(1).map_or(0, |last| written.texts[last].0);
            streams.push(Parts { kept, parts: written.parts.clone() });
        }
        let mut consistent = streams.clone();
        whole(&mut consistent);
        let lost =
            |(a, b): (&Parts, &Parts)| a.parts.iter().any(|part| part.seq <= a.kept && part.seq > b.kept);
        assert!(!streams.iter().zip(&consistent).any(lost), "seed {seed}: half a transaction");
        if has_last {
            self.past.push(last.clone());
        }
        let shards = 1 + self.rng.below(4) as u16;
        self.server = Server::go_on(&mut self.disk, found, shards);
        self.written = vec![Written::default(); usize::from(shards)];
    }
}

fn texts(generation: &RecoveredGeneration) -> Vec<Vec<String>> {
    let text = |payload: &[u8]| String::from_utf8(payload.to_vec()).expect("text");
    let stream = |segments: &Vec<RecoveredSegment>| {
        let groups = segments.iter().flat_map(RecoveredSegment::groups);
        groups.map(|group| text(&group.expect("whole").payload)).collect()
    };
    generation.streams.iter().map(stream).collect()
}

#[test]
fn no_crash_loses_what_was_acknowledged_or_looks_like_damage() {
    let seeds = std::env::var("COREVAULT_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(300);
    for seed in 0..seeds {
        let mut disk = MemoryDisk::default();
        let server = Server::start(&mut disk, 2);
        let mut life = Life {
            disk,
            rng: Rng::new(seed),
            server,
            past: Vec::new(),
            written: vec![Written::default(); 2],
            transactions: 0,
            snapshot: None,
        };
        for _ in 0..60 {
            let shard = life.rng.below(life.written.len() as u64) as usize;
            match life.rng.below(20) {
                0..10 => life.write(shard),
                10..14 => life.transact(),
                14..17 => life.server.writers[shard].sync(&mut life.disk),
                17 => life.save(),
                18 => life.server.sync(&mut life.disk),
                _ => life.crash(seed),
            }
        }
        life.crash(seed);
    }
}
