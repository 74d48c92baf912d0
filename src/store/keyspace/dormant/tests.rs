//! A keyspace restored piece by piece is the one that was saved; and what cannot be restored is said.

use crate::base::rng::Rng;
use crate::base::slot::SLOTS;
use crate::store::effect::{Effect, End, encode};
use crate::store::keyspace::memory::Memory;
use crate::store::keyspace::{Key, Keyspace};
use crate::store::object::Value;

fn set<'a>(key: &'a str, value: &'a str) -> Effect<'a> {
    Effect::SetString { key: key.as_bytes(), value: value.as_bytes(), expire_at_ms: None }
}

/// The shards of a server, whose effects are recorded.
fn shards(count: usize) -> Vec<Keyspace> {
    let at = |n: usize| n * SLOTS / count;
    (0..count).map(|n| Keyspace::recording(at(n)..at(n + 1))).collect()
}

/// Gives each shard what concerns it of `count` random changes.
fn change(shards: &mut [Keyspace], rng: &mut Rng, count: usize) {
    for _ in 0..count {
        let (db, other) = (rng.below(3) as u16, rng.below(3) as u16);
        let (key, value) = (format!("key:{}", rng.below(300)), format!("value:{}", rng.below(1000)));
        let key = key.as_bytes();
        let list = [b"list:", key].concat();
        let effect = match rng.below(400) {
            0 => Effect::Flush,
            1 => Effect::Swap { with: other },
            2..100 => Effect::Delete { key },
            100..150 => Effect::ExpireAt { key, expire_at_ms: Some(1 << 40) },
            150..200 => Effect::ListPush { key: &list, end: End::Left, element: value.as_bytes() },
            _ => Effect::SetString { key, value: value.as_bytes(), expire_at_ms: None },
        };
        for shard in &mut *shards {
            if effect.key().is_none_or(|key| shard.slots().contains(&Key::new(key).slot.index())) {
                shard.apply(db, &effect);
            }
        }
    }
}

fn digest(shards: &mut [Keyspace]) -> u64 {
    shards.iter_mut().map(Keyspace::digest).fold(0, u64::wrapping_add)
}

#[test]
fn other_numbers_of_shards_restore_what_was_there() {
    let mut rng = Rng::new(1);
    for round in 0..20 {
        // Three generations: saved, with a log, with another log.
        let (first, second) = (1 + rng.below(4) as usize, 1 + rng.below(4) as usize);
        let mut live = shards(first);
        change(&mut live, &mut rng, 500);
        let mut memory = Memory::default();
        for shard in &mut live {
            shard.take_effects();
            memory.archives.extend(Memory::of(shard).archives);
        }
        change(&mut live, &mut rng, 700);
        memory.logs.extend(live.iter_mut().map(|shard| (shard.slots(), shard.take_effects())));
        let mut next = shards(second);
        for shard in &mut next {
            let mut restored = memory.awake(shard.slots());
            restored.record_effects(true);
            *shard = restored;
        }
        assert_eq!(digest(&mut next), digest(&mut live), "round {round}");
        change(&mut next, &mut rng, 700);
        memory.logs.extend(next.iter_mut().map(|shard| (shard.slots(), shard.take_effects())));
        let mut third: Vec<Keyspace> =
            shards(1 + rng.below(5) as usize).iter().map(|shard| memory.asleep(shard.slots())).collect();
        for shard in &mut third {
            for _ in 0..rng.below(200) {
                let name = format!("key:{}", rng.below(300));
                let key = Key::new(name.as_bytes());
                if shard.slots().contains(&key.slot.index()) {
                    shard.exists(rng.below(3) as u16, &key, 0);
                }
                shard.hydrate_step(rng.below(4) as usize);
            }
        }
        assert_eq!(digest(&mut third), digest(&mut next), "round {round}");
        for db in 0..3 {
            let len = |shards: &[Keyspace]| shards.iter().map(|shard| shard.len(db)).sum::<usize>();
            let volatile =
                |shards: &[Keyspace]| shards.iter().map(|shard| shard.volatile_len(db)).sum::<usize>();
            assert_eq!((len(&third), volatile(&third)), (len(&next), volatile(&next)));
        }
    }
}

/// What `apply_from` does to what is alive is what the index does to what sleeps.
#[test]
fn logs_of_other_shards_can_be_applied_at_once() {
    let mut rng = Rng::new(2);
    let mut live = shards(3);
    change(&mut live, &mut rng, 3000);
    let mut whole = Keyspace::new(0..SLOTS);
    for shard in &mut live {
        let (of, log) = (shard.slots(), shard.take_effects());
        for effect in crate::store::effect::decode_all(&log) {
            let (db, effect) = effect.expect("an effect");
            whole.apply_from(&of, db, &effect).expect("it fits");
        }
    }
    assert_eq!(whole.digest(), digest(&mut live));
    for db in 0..3 {
        assert_eq!(whole.len(db), live.iter().map(|shard| shard.len(db)).sum::<usize>());
    }
}

#[test]
fn counts_are_right_before_anything_is_loaded() {
    let mut keys = Keyspace::new(0..SLOTS);
    for i in 0..100 {
        keys.apply(i % 2, &set(&format!("key:{i}"), "v"));
    }
    keys.set_expiry(1, &Key::new(b"key:1"), Some(1 << 40));
    let mut asleep = Memory::of(&mut keys).asleep(0..SLOTS);
    assert_eq!((asleep.len(0), asleep.len(1), asleep.volatile_len(1)), (50, 50, 1));
    assert!(!asleep.is_empty(0) && asleep.is_empty(2));
    assert_eq!(asleep.dormant_keys(), 100);
    assert!(asleep.exists(1, &Key::new(b"key:1"), 0));
    assert_eq!((asleep.dormant_keys(), asleep.len(1), asleep.volatile_len(1)), (99, 50, 1));
    assert_eq!((asleep.counts.changes, asleep.counts.expired), (0, 0), "what is restored is no change");
    asleep.flush(0);
    assert_eq!((asleep.dormant_keys(), asleep.len(0), asleep.len(1)), (49, 0, 50));
    asleep.swap(0, 1, 0);
    assert!(asleep.exists(0, &Key::new(b"key:3"), 0) && !asleep.exists(1, &Key::new(b"key:3"), 0));
    assert_eq!(
        asleep.counts.changes, 51,
        "what is restored is no change: 50 keys were flushed, and one swap"
    );
}

#[test]
fn a_log_alone_is_restored_as_well() {
    let mut memory = Memory::default();
    let mut log = Vec::new();
    for i in 0..50 {
        encode(0, &set(&format!("key:{i}"), "v"), &mut log);
    }
    encode(0, &Effect::Delete { key: b"key:7" }, &mut log);
    memory.logs.push((0..SLOTS, log));
    let mut keys = memory.asleep(0..SLOTS);
    assert!(!keys.is_empty(0), "there may be keys");
    assert_eq!(keys.len(0), 0, "none is counted yet");
    keys.settle_counts(0);
    assert_eq!(keys.len(0), 49);
    assert!(!keys.has_damage());
}

#[test]
fn every_key_may_be_chosen_before_it_is_loaded() {
    let mut keys = Keyspace::new(0..SLOTS);
    for i in 0..20 {
        keys.apply(0, &set(&format!("key:{i}"), "v"));
    }
    let memory = Memory::of(&mut keys);
    let mut found = std::collections::BTreeSet::new();
    for seed in 0..400 {
        let mut asleep = memory.asleep(0..SLOTS);
        found.extend(asleep.random_key(0, &mut Rng::new(seed), 0));
        assert_eq!(asleep.dormant_keys(), 19, "one table is enough");
        assert_eq!(asleep.random_key(1, &mut Rng::new(seed), 0), None);
    }
    assert_eq!(found.len(), 20);
}

#[test]
fn watched_keys_that_sleep_change_when_their_database_does() {
    let mut keys = Keyspace::new(0..SLOTS);
    keys.apply(0, &set("key", "v"));
    keys.apply(1, &set("other", "v"));
    let memory = Memory::of(&mut keys);
    for (db, name, change, expected) in [
        (0, "key", (|keys| keys.flush(0)) as fn(&mut Keyspace), true),
        (0, "other", |keys| keys.flush(0), false),
        (0, "other", |keys| keys.swap(0, 1, 0), true),
        (1, "other", |keys| keys.swap(0, 1, 0), true),
        (2, "key", |keys| keys.swap(0, 1, 0), false),
        (2, "key", |keys| keys.swap(0, 2, 0), true),
    ] {
        let mut asleep = memory.asleep(0..SLOTS);
        asleep.watch(db, &Key::new(name.as_bytes()), 1, 0);
        change(&mut asleep);
        assert_eq!(asleep.end_watch(1, 0), expected, "{name} in {db}");
    }
}

#[test]
fn what_is_bad_is_said_and_the_rest_is_there() {
    let mut keys = Keyspace::new(0..SLOTS);
    for i in 0..20 {
        keys.apply(0, &set(&format!("key:{i}"), "v"));
    }
    keys.put(0, &Key::new(b"list"), Value::String(b"x".to_vec()), None, 0);
    let good = Memory::of(&mut keys);
    let checks = |memory: &Memory, lost: usize, expected: &str| {
        let mut asleep = memory.asleep(0..SLOTS);
        while asleep.hydrate_step(3) {}
        assert!(asleep.has_damage());
        let said = asleep.take_damage().expect("there is damage");
        assert!(said.contains(expected), "{said}");
        let live: usize = asleep.tables(0).map(|(_, table)| table.len()).sum();
        assert_eq!((asleep.len(0), live), (21 - lost, 21 - lost), "{said}");
        assert_eq!((asleep.volatile_len(0), asleep.dormant_keys(), asleep.dormant_tables()), (0, 0, 0));
        assert!(!asleep.has_damage());
    };
    let mut memory = good.clone();
    memory.archives[3].bytes.truncate(5);
    checks(&memory, 1, "archive 3: ");
    let mut memory = good.clone();
    let other = memory.archives[0].bytes.clone();
    memory.archives[3].bytes = other;
    checks(&memory, 1, "archive 3: the archive holds a key of another slot");
    for effect in [
        Effect::ListPush { key: b"list", end: End::Left, element: b"x" },
        Effect::SetRange { key: b"list", offset: usize::MAX, bytes: b"x" },
        Effect::StreamAck { key: b"list", group: b"g", id: (1, 1) },
    ] {
        let mut memory = good.clone();
        let mut log = Vec::new();
        encode(0, &set("key:1", "new"), &mut log);
        let at = log.len();
        encode(0, &effect, &mut log);
        memory.logs.push((0..SLOTS, log));
        checks(&memory, 0, &format!("byte {at} of log 0: the log holds a change that does not fit"));
    }
}

#[test]
fn effects_that_do_not_fit_are_refused() {
    let mut keys = Keyspace::new(0..SLOTS);
    let (end, id) = (End::Left, (5, 0));
    let key = &b"list"[..];
    keys.apply(0, &Effect::ListPush { key, end, element: b"a" });
    let stream = &b"stream"[..];
    keys.apply(0, &Effect::StreamAdd { key: stream, id, fields: vec![b"f", b"v"] });
    keys.apply(0, &Effect::StreamGroup { key: stream, group: b"g", last_id: (0, 0), entries_read: None });
    let before = keys.digest();
    let (group, consumer) = (&b"none"[..], &b"none"[..]);
    for effect in [
        Effect::ListSet { key, index: 1, element: b"x" },
        Effect::ListRemove { key, index: 1 },
        Effect::ListInsert { key, index: 2, element: b"x" },
        Effect::ListSet { key: b"nothing", index: 0, element: b"x" },
        Effect::ListRemove { key: b"nothing", index: u64::MAX },
        Effect::HashSet { key, field: b"f", value: b"v", expire_at_ms: None },
        Effect::SetRange { key, offset: 0, bytes: b"x" },
        Effect::SetRange { key: b"nothing", offset: 1 << 29, bytes: b"x" },
        Effect::SortedSetAdd { key: b"nothing", member: b"m", score: f64::NAN },
        Effect::Swap { with: 16 },
        Effect::StreamAdd { key: stream, id, fields: vec![b"f", b"v"] },
        Effect::StreamAdd { key: stream, id: (6, 0), fields: vec![b"f"] },
        Effect::StreamAdd { key: stream, id: (6, 0), fields: vec![] },
        Effect::StreamSetId { key: stream, last_id: (4, 0), entries_added: 1, max_deleted_id: (0, 0) },
        Effect::StreamConsumer { key: stream, group, consumer, seen_ms: 0, active_ms: None },
        Effect::StreamConsumerDelete { key: stream, group, consumer },
        Effect::StreamAck { key: stream, group, id },
        Effect::StreamPending { key: stream, group, id, consumer, delivered_ms: 0, deliveries: 0 },
        Effect::StreamPending { key: stream, group: b"g", id, consumer, delivered_ms: 0, deliveries: 0 },
    ] {
        assert!(keys.apply_from(&(0..SLOTS), 0, &effect).is_err(), "{effect:?}");
        assert_eq!(keys.digest(), before, "{effect:?}");
    }
    assert_eq!(keys.len(0), 2);
}

/// Whatever a log says, in whatever order: it fits or it is refused, and what was applied can be saved and restored.
#[test]
fn effects_in_any_order_fit_or_are_refused() {
    for seed in 0..40 {
        let mut rng = Rng::new(seed);
        let mut keys = Keyspace::new(0..SLOTS);
        let (mut applied, mut refused) = (0, 0);
        for _ in 0..2000 {
            let words: Vec<Vec<u8>> = (0..4)
                .map(|_| match rng.below(8) {
                    0 => vec![b'x'; 600 * rng.below(12) as usize],
                    1..4 => format!("word {}", rng.below(5)).into_bytes(),
                    _ => rng.below(12).to_string().into_bytes(),
                })
                .collect();
            let effect = any_effect(&mut rng, &words);
            match keys.apply_from(&(0..SLOTS), rng.below(2) as u16, &effect) {
                Ok(()) => applied += 1,
                Err(_) => refused += 1,
            }
        }
        assert!(applied > 100 && refused > 100, "{applied} applied, {refused} refused");
        let digest = keys.digest();
        assert_eq!(Memory::of(&mut keys).awake(0..SLOTS).digest(), digest);
    }
}

fn any_effect<'a>(rng: &mut Rng, words: &'a [Vec<u8>]) -> Effect<'a> {
    const KEYS: [&[u8]; 6] = [b"a", b"b", b"c", b"d", b"e", b"f"];
    let key = KEYS[rng.below(6) as usize];
    let [field, value, group, consumer] = words else { unreachable!("there are four") };
    let number = rng.below(9);
    let id = (rng.below(6), rng.below(3));
    let expire_at_ms = number.is_multiple_of(2).then_some(1 << 40);
    let end = if number.is_multiple_of(2) { End::Left } else { End::Right };
    match rng.below(60) {
        0 => Effect::SetString { key, value, expire_at_ms },
        1 => Effect::SetRange { key, offset: 3000 * number as usize, bytes: value },
        2 | 3 => Effect::Delete { key },
        4 => Effect::ExpireAt { key, expire_at_ms },
        5 if number == 0 => Effect::Flush,
        5 => Effect::Swap { with: number as u16 % 3 },
        6..12 => Effect::ListPush { key, end, element: value },
        12 => Effect::ListPop { key, end, count: number },
        13 => Effect::ListSet { key, index: number, element: value },
        14 => Effect::ListInsert { key, index: number, element: value },
        15 => Effect::ListRemove { key, index: number },
        16..20 => Effect::HashSet { key, field, value, expire_at_ms },
        20 => Effect::HashDelete { key, field },
        21..23 => Effect::HashExpire { key, field, expire_at_ms },
        23..27 => Effect::SetAdd { key, member: field },
        27 => Effect::SetRemove { key, member: field },
        28..32 => Effect::SortedSetAdd { key, member: field, score: number as f64 },
        32 => Effect::SortedSetRemove { key, member: field },
        33..40 => Effect::StreamAdd { key, id, fields: vec![field, value] },
        40 => Effect::StreamDelete { key, id },
        41 => Effect::StreamTrim { key, before: id },
        42..44 => {
            Effect::StreamSetId { key, last_id: id, entries_added: number, max_deleted_id: (number, 0) }
        }
        44..48 => Effect::StreamGroup { key, group, last_id: id, entries_read: None },
        48 => Effect::StreamGroupDelete { key, group },
        49..53 => Effect::StreamConsumer { key, group, consumer, seen_ms: 1, active_ms: None },
        53 => Effect::StreamConsumerDelete { key, group, consumer },
        54..58 => Effect::StreamPending { key, group, id, consumer, delivered_ms: 1, deliveries: number },
        _ => Effect::StreamAck { key, group, id },
    }
}
