//! Reads and writes of a shard's keyspace without anything above it, beside one hash table that does nothing else; and key slots.
//! Every key is looked up and every answer compared before anything is measured.

use std::hint::black_box;
use std::sync::Arc;

use corevault::base::rng::Rng;
use corevault::base::slot::{SLOTS, crc16, key_slot};
use corevault::store::effect::Effect;
use corevault::store::keyspace::dormant::{Dormant, Source};
use corevault::store::keyspace::saving::SavedArchive;
use corevault::store::keyspace::{Key, Keyspace};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use foldhash::quality::RandomState;
use hashbrown::HashMap;

use common::{KEY_BYTES, VALUE_BYTES, key, sized, value};

mod common;

type Map = HashMap<Box<[u8]>, Box<[u8]>, RandomState>;

/// Keys of one measured call: enough that starting a call costs nothing beside them.
const CALL_KEYS: usize = 1024;
/// No key here has an expiry.
const NOW_MS: i64 = 0;
const CLOCK: u32 = 0;

fn lookup(c: &mut Criterion) {
    let order = shuffled_keys();
    let (mut keyspace, map) = (keyspace_of(&order), map_of(&order));
    for n in 0..order.len() {
        let found =
            keyspace.string(0, &Key::new(&key(n)), NOW_MS, None).expect("a string").expect("the key was set");
        assert_eq!(found.to_vec(), value(n));
        assert_eq!(map[&key(n)[..]][..], value(n));
    }
    let expected = sum_in_map(&map, &order);
    assert_eq!(sum(&mut keyspace, &order), expected);
    assert_eq!(sum_prefetched::<8>(&mut keyspace, &order), expected);
    assert_eq!(sum_prefetched::<16>(&mut keyspace, &order), expected);
    assert_eq!(sum_prefetched::<32>(&mut keyspace, &order), expected);

    let mut group = c.benchmark_group("keyspace/lookup");
    group.throughput(Throughput::Elements(CALL_KEYS as u64));
    // Each call takes the next keys of the order, so that no call finds its keys in the caches.
    let mut calls = order.chunks_exact(CALL_KEYS).cycle();
    let mut next = || calls.next().expect("the order has a call's keys");
    group.bench_function("one_by_one", |b| b.iter(|| sum(&mut keyspace, next())));
    group.bench_function("prefetch_8", |b| b.iter(|| sum_prefetched::<8>(&mut keyspace, next())));
    group.bench_function("prefetch_16", |b| b.iter(|| sum_prefetched::<16>(&mut keyspace, next())));
    group.bench_function("prefetch_32", |b| b.iter(|| sum_prefetched::<32>(&mut keyspace, next())));
    group.bench_function("hashbrown", |b| b.iter(|| sum_in_map(&map, next())));
    group.finish();
}

fn insert(c: &mut Criterion) {
    let order = shuffled_keys();
    let mut keyspace = keyspace_of(&order);
    assert_eq!(keyspace.len(0), order.len());
    assert_eq!(sum(&mut keyspace, &order), sum_in_map(&map_of(&order), &order));

    let mut group = c.benchmark_group("keyspace/insert");
    group.throughput(Throughput::Elements(order.len() as u64)).sample_size(10);
    // The stores are returned, so that freeing them is not measured.
    group.bench_function("keyspace", |b| {
        b.iter_batched(|| (), |()| keyspace_of(&order), BatchSize::PerIteration);
    });
    group
        .bench_function("hashbrown", |b| b.iter_batched(|| (), |()| map_of(&order), BatchSize::PerIteration));
    group.finish();
}

fn overwrite(c: &mut Criterion) {
    let order = shuffled_keys();
    let (mut keyspace, mut map) = (keyspace_of(&order), map_of(&order));
    let new_value = [b'n'; VALUE_BYTES];
    set_all(&mut keyspace, &order, &new_value);
    overwrite_in_map(&mut map, &order, &new_value);
    assert_eq!(keyspace.len(0), order.len());
    for key in &order {
        let found =
            keyspace.string(0, &Key::new(key), NOW_MS, None).expect("a string").expect("the key was set");
        assert_eq!(found.to_vec(), new_value);
        assert_eq!(map[&key[..]][..], new_value);
    }

    let mut group = c.benchmark_group("keyspace/overwrite");
    group.throughput(Throughput::Elements(CALL_KEYS as u64));
    let mut calls = order.chunks_exact(CALL_KEYS).cycle();
    let mut next = || calls.next().expect("the order has a call's keys");
    group.bench_function("keyspace", |b| b.iter(|| set_all(&mut keyspace, next(), &new_value)));
    group.bench_function("hashbrown", |b| b.iter(|| overwrite_in_map(&mut map, next(), &new_value)));
    group.finish();
}

/// What a snapshot makes of a million keys, in steps, and what a restart makes of that.
fn save_and_restore(c: &mut Criterion) {
    let order = shuffled_keys();
    let mut keyspace = keyspace_of(&order);
    let saved = Saved(save(&mut keyspace, &order));
    let saved = Arc::new(saved);
    let mut restored = restore(&saved);
    assert_eq!(restored.len(0), order.len());
    assert_eq!(restored.digest(), keyspace.digest());

    let mut group = c.benchmark_group("keyspace/snapshot");
    group.throughput(Throughput::Elements(order.len() as u64)).sample_size(10);
    group.bench_function("save", |b| {
        b.iter_batched(|| (), |()| save(&mut keyspace, &order), BatchSize::PerIteration);
    });
    group.bench_function("restore", |b| {
        b.iter_batched(|| (), |()| restore(&saved), BatchSize::PerIteration);
    });
    group.finish();
}

/// Archives in memory.
struct Saved(Vec<SavedArchive>);

impl Source for Saved {
    fn archive(&self, id: u32) -> Result<&[u8], String> {
        Ok(&self.0[id as usize].bytes)
    }

    fn effect(&self, _: u64) -> Result<(u16, Effect<'_>), String> {
        Err("there is no log".into())
    }

    fn archive_place(&self, id: u32) -> String {
        format!("archive {id}")
    }

    fn effect_place(&self, _: u64) -> String {
        "no log".into()
    }
}

fn save(keyspace: &mut Keyspace, keys: &[[u8; KEY_BYTES]]) -> Vec<SavedArchive> {
    keyspace.begin_save();
    let mut archives = Vec::new();
    while keyspace.save_step(32 * 1024) {
        archives.extend(keyspace.take_archives());
    }
    archives.extend(keyspace.take_archives());
    keyspace.end_save();
    assert_eq!(archives.iter().map(|archive| archive.keys as usize).sum::<usize>(), keys.len());
    archives
}

fn restore(saved: &Arc<Saved>) -> Keyspace {
    let mut dormant = Dormant::new(saved.clone(), 0..SLOTS, CLOCK);
    for (id, archive) in saved.0.iter().enumerate() {
        dormant.add_archive(archive.db, archive.slot, id as u32, archive.keys, archive.volatile);
    }
    let mut keyspace = Keyspace::new(0..SLOTS);
    keyspace.lay_dormant(dormant);
    while keyspace.hydrate_step(300) {}
    assert_eq!(keyspace.take_damage(), None);
    keyspace
}

fn slots(c: &mut Criterion) {
    let mut group = c.benchmark_group("slot");
    group.throughput(Throughput::Elements(1));
    for length in [12, 24, 40] {
        let text: Vec<u8> = (b'a'..=b'z').cycle().take(length).collect();
        assert_eq!(crc16(&text), crc16_by_bits(&text));
        assert_eq!(key_slot(&text).index(), usize::from(crc16_by_bits(&text)) % SLOTS);
        group.bench_function(format!("crc16_{length}_bytes"), |b| b.iter(|| crc16(black_box(&text))));
        group.bench_function(format!("key_slot_{length}_bytes"), |b| b.iter(|| key_slot(black_box(&text))));
    }
    group.finish();
}

/// All keys, in a random order that every run repeats.
fn shuffled_keys() -> Vec<[u8; KEY_BYTES]> {
    let mut keys: Vec<_> = (0..sized(1_000_000, 2 * CALL_KEYS)).map(key).collect();
    let mut rng = Rng::new(1);
    for last in (1..keys.len()).rev() {
        keys.swap(last, rng.below(last as u64 + 1) as usize);
    }
    keys
}

fn number(key: &[u8; KEY_BYTES]) -> usize {
    key.iter()
        .filter(|byte| byte.is_ascii_digit())
        .fold(0, |number, digit| number * 10 + usize::from(digit - b'0'))
}

fn keyspace_of(keys: &[[u8; KEY_BYTES]]) -> Keyspace {
    let mut keyspace = Keyspace::new(0..SLOTS);
    for key in keys {
        keyspace.set_string(0, &Key::new(key), &value(number(key)), None, CLOCK);
    }
    keyspace
}

fn map_of(keys: &[[u8; KEY_BYTES]]) -> Map {
    let mut map = Map::default();
    for key in keys {
        map.insert(key[..].into(), value(number(key))[..].into());
    }
    map
}

/// Looks up every key and adds up the last words of the values.
fn sum(keyspace: &mut Keyspace, keys: &[[u8; KEY_BYTES]]) -> u64 {
    keys.iter().map(|key| last_word_at(keyspace, &Key::new(key))).fold(0, u64::wrapping_add)
}

/// As `sum`, in batches whose entries are all fetched before one is read.
fn sum_prefetched<const BATCH: usize>(keyspace: &mut Keyspace, keys: &[[u8; KEY_BYTES]]) -> u64 {
    let (batches, rest) = keys.as_chunks::<BATCH>();
    let mut total = sum(keyspace, rest);
    for batch in batches {
        let batch: [Key<'_>; BATCH] = std::array::from_fn(|i| Key::new(&batch[i]));
        for key in &batch {
            keyspace.prefetch_table(0, key);
        }
        for key in &batch {
            keyspace.prefetch_entry(0, key);
        }
        for key in &batch {
            total = total.wrapping_add(last_word_at(keyspace, key));
        }
    }
    total
}

fn sum_in_map(map: &Map, keys: &[[u8; KEY_BYTES]]) -> u64 {
    keys.iter().map(|key| last_word(&map[&key[..]])).fold(0, u64::wrapping_add)
}

fn last_word_at(keyspace: &mut Keyspace, key: &Key<'_>) -> u64 {
    let found = keyspace.string(0, key, NOW_MS, Some(CLOCK)).expect("a string").expect("the key was set");
    found.with_bytes(last_word)
}

fn last_word(value: &[u8]) -> u64 {
    u64::from_le_bytes(*value.last_chunk().expect("values are longer than a word"))
}

fn set_all(keyspace: &mut Keyspace, keys: &[[u8; KEY_BYTES]], value: &[u8]) {
    for key in keys {
        keyspace.set_string(0, &Key::new(key), value, None, CLOCK);
    }
}

fn overwrite_in_map(map: &mut Map, keys: &[[u8; KEY_BYTES]], value: &[u8]) {
    for key in keys {
        map.get_mut(&key[..]).expect("the key was set").copy_from_slice(value);
    }
}

/// The definition of CRC16/XMODEM, one bit at a time.
fn crc16_by_bits(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(
            crc ^ u16::from(*byte) << 8,
            |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 },
        )
    })
}

criterion_group!(benches, lookup, insert, overwrite, save_and_restore, slots);
criterion_main!(benches);
