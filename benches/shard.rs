//! Routing and execution through `Shard::receive`, as the driver calls it, with messages between shards carried by hand.
//! No socket, thread or wake-up takes part. Every reply is compared with the expected bytes before anything is measured.

use std::hint::black_box;
use std::ops::Range;
use std::sync::Arc;

use corevault::base::rng::Rng;
use corevault::base::slot::key_slot;
use corevault::commands::session::Process;
use corevault::config::Config;
use corevault::shard::{Arrival, ClientRef, Shard, slots_of};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use common::{key, sized, value};

mod common;

const BATCH: usize = 64;
const MGET_KEYS: usize = 10;
const NOW_MS: i64 = 1_700_000_000_000;

fn batches(c: &mut Criterion) {
    let mut group = c.benchmark_group("shard/batch_of_64");
    group.throughput(Throughput::Elements(BATCH as u64));
    let keys = 0..sized(100_000, 1_000);
    let cases = [("all_local", 1, [0, 0]), ("half_remote", 2, [0, 1])];
    for (name, shards, owners) in cases {
        let mut cluster = Cluster::filled(shards, keys.clone());
        let chosen = cluster.choose(&owners.repeat(BATCH / 2), keys.clone());
        let mut gets: Vec<u8> = chosen.iter().flat_map(|&n| command(&[b"GET", &key(n)])).collect();
        let mut sets: Vec<u8> = chosen.iter().flat_map(|&n| command(&[b"SET", &key(n), &value(n)])).collect();
        let values: Vec<u8> = chosen.iter().flat_map(|&n| bulk(&value(n))).collect();
        assert_eq!(cluster.exchange(&mut gets), values);
        assert_eq!(cluster.exchange(&mut sets), b"+OK\r\n".repeat(BATCH));
        assert_eq!(cluster.exchange(&mut gets), values, "the values that SET wrote again");
        group.bench_function(format!("get_{name}"), |b| {
            b.iter(|| cluster.exchange(black_box(&mut gets)).len());
        });
        group.bench_function(format!("set_{name}"), |b| {
            b.iter(|| cluster.exchange(black_box(&mut sets)).len());
        });
    }
    group.finish();
}

fn mget(c: &mut Criterion) {
    let mut group = c.benchmark_group("shard/mget_10_keys");
    group.throughput(Throughput::Elements(MGET_KEYS as u64));
    let keys = 0..sized(100_000, 1_000);
    for shards in [1, 2, 4] {
        let mut cluster = Cluster::filled(shards, keys.clone());
        let owners: Vec<u16> = (0..shards).cycle().take(MGET_KEYS).collect();
        let chosen = cluster.choose(&owners, keys.clone());
        let named: Vec<_> = chosen.iter().map(|&n| key(n)).collect();
        let words: Vec<&[u8]> =
            [&b"MGET"[..]].into_iter().chain(named.iter().map(|name| &name[..])).collect();
        let values: Vec<u8> = chosen.iter().flat_map(|&n| bulk(&value(n))).collect();
        let mut input = command(&words);
        assert_eq!(cluster.exchange(&mut input), [format!("*{MGET_KEYS}\r\n").as_bytes(), &values].concat());
        group.bench_function(format!("{shards}_shards"), |b| {
            b.iter(|| cluster.exchange(black_box(&mut input)).len());
        });
    }
    group.finish();
}

/// The shards of a process and one client of the first.
struct Cluster {
    shards: Vec<Shard>,
    client: ClientRef,
    replies: Vec<u8>,
}

impl Cluster {
    /// `shards` shards that hold the keys with these numbers.
    fn filled(shards: u16, keys: Range<usize>) -> Cluster {
        let process = Arc::new(Process::default());
        let shard =
            |number| Shard::new(number, shards, process.clone(), Config::default(), u64::from(number));
        let mut all: Vec<Shard> = (0..shards).map(shard).collect();
        let client = all[0].connect(Arrival::default(), NOW_MS);
        let mut cluster = Cluster { shards: all, client, replies: Vec::new() };
        for n in keys {
            assert_eq!(cluster.exchange(&mut command(&[b"SET", &key(n), &value(n)])), b"+OK\r\n");
        }
        cluster
    }

    /// One different key for each of `owners`, held by that shard.
    fn choose(&self, owners: &[u16], keys: Range<usize>) -> Vec<usize> {
        let mut rng = Rng::new(1);
        let mut chosen = Vec::new();
        for &owner in owners {
            let slots = slots_of(owner, self.shards.len() as u16);
            let found = loop {
                let n = keys.start + rng.below(keys.len() as u64) as usize;
                if !chosen.contains(&n) && slots.contains(&key_slot(&key(n)).index()) {
                    break n;
                }
            };
            chosen.push(found);
        }
        chosen
    }

    /// Hands the client's input to its shard and carries messages until all is answered. Does what the driver does, but for
    /// the sockets.
    fn exchange(&mut self, input: &mut [u8]) -> &[u8] {
        self.shards[0].receive(self.client, input, NOW_MS);
        while self.carry() {}
        let home = &mut self.shards[0];
        while home.take_touched().is_some() {}
        self.replies.clear();
        self.replies = home.take_replies(self.client, std::mem::take(&mut self.replies));
        home.sent(self.client, self.replies.len(), NOW_MS);
        &self.replies
    }

    /// Delivers the messages that wait; whether there were any.
    fn carry(&mut self) -> bool {
        let mut is_any = false;
        for from in 0..self.shards.len() {
            while let Some((target, message)) = self.shards[from].take_message() {
                self.shards[usize::from(target)].message(message, NOW_MS);
                is_any = true;
            }
        }
        is_any
    }
}

fn command(words: &[&[u8]]) -> Vec<u8> {
    let mut text = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        text.extend(bulk(word));
    }
    text
}

fn bulk(bytes: &[u8]) -> Vec<u8> {
    [format!("${}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

criterion_group!(benches, batches, mget);
criterion_main!(benches);
