//! Values in parts: whatever the type and the size of the parts, they build the value, and freeing part by part comes to an end.

use super::*;
use crate::base::rng::Rng;
use crate::store::effect::{decode_all, encode};
use crate::store::keyspace::{Key, Keyspace};

/// What a part may hold more than it was asked for: one table, or one node, or the consumers of a group.
const SURPLUS_MAX: usize = 512;

fn owned(effect: &Effect<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(0, effect, &mut bytes);
    bytes
}

/// A keyspace with one key of each type, and the sizes of elements mixed.
fn keyspace(elements: usize) -> Keyspace {
    let mut keys = Keyspace::new(0..16384);
    let mut rng = Rng::new(elements as u64);
    for number in 0..elements as u64 {
        let word = match number % 7 {
            0 => number.to_string(),
            1 => format!("{number}{}", "long".repeat(20)),
            _ => format!("word {number}"),
        };
        let (word, other) = (word.as_bytes(), rng.next_u64().to_string());
        let other = other.as_bytes();
        let pair = [word, other];
        let effects = [
            Effect::ListPush { key: b"list", end: crate::store::effect::End::Right, element: word },
            Effect::HashSet {
                key: b"hash",
                field: word,
                value: other,
                expire_at_ms: (number % 11 == 3).then_some(1 << 50),
            },
            Effect::SetAdd { key: b"set", member: word },
            Effect::SortedSetAdd { key: b"sorted", member: word, score: rng.below(1000) as f64 },
            Effect::StreamAdd { key: b"stream", id: (number + 1, 0), fields: pair.to_vec() },
        ];
        for effect in effects {
            keys.apply(0, &effect);
        }
        for group in [&b"one"[..], b"other"] {
            let key = b"stream";
            let (id, consumer) = ((number + 1, 0), [b'a' + (number % 5) as u8]);
            if number == 0 {
                let head = Effect::StreamGroup { key, group, last_id: (0, 0), entries_read: None };
                keys.apply(0, &head.to_owned());
            }
            if number < 5 {
                let consumer = &consumer[..];
                let seen = Effect::StreamConsumer {
                    key,
                    group,
                    consumer,
                    seen_ms: 1,
                    active_ms: Some(number as i64),
                };
                keys.apply(0, &seen.to_owned());
            }
            let consumer = &consumer[..];
            let pending =
                Effect::StreamPending { key, group, id, consumer, delivered_ms: 5, deliveries: number };
            keys.apply(0, &pending.to_owned());
        }
    }
    let string = vec![b's'; elements * 50 + 1];
    keys.set_string(0, &Key::new(b"string"), &string, None, 0);
    keys.set_string(0, &Key::new(b"number"), b"-17", None, 0);
    keys
}

fn values(keys: &mut Keyspace) -> Vec<(Vec<u8>, Value)> {
    let names: Vec<Vec<u8>> =
        keys.tables(0).flat_map(|(_, table)| table.iter().map(|entry| entry.key().to_vec())).collect();
    let value = |name: Vec<u8>| {
        let value = Value::of(keys.peek(0, &Key::new(&name), 0).expect("it is there"));
        (name, value)
    };
    names.into_iter().map(value).collect()
}

#[test]
fn parts_build_what_the_whole_does() {
    for elements in [1, 10, 300, 5000] {
        let mut keys = keyspace(elements);
        let digest = keys.digest();
        for part in [1, 10, 700, usize::MAX] {
            let mut copy = Keyspace::new(0..16384);
            for (name, value) in values(&mut keys) {
                let (mut place, mut whole, mut told) = (0, Vec::new(), 0);
                value.as_ref().effects(&name, &mut |effect| whole.push(owned(&effect)));
                loop {
                    let mut effects = Vec::new();
                    let mut emit = |effect: Effect<'_>| effects.push(owned(&effect));
                    let next = value.as_ref().effects_part(&name, place, part, &mut emit);
                    told += effects.len();
                    assert!(
                        effects.len() <= part.saturating_add(SURPLUS_MAX),
                        "{} at {place}",
                        effects.len()
                    );
                    assert!(!effects.is_empty(), "a part holds something");
                    for effect in effects.iter().flat_map(|effect| decode_all(effect)) {
                        copy.apply(0, &effect.expect("an effect").1);
                    }
                    match next {
                        Some(next) => assert!(next > place, "a part goes on from where it ended"),
                        None => break,
                    }
                    place = next.expect("it goes on");
                }
                assert!(told == whole.len() || matches!(value, Value::String(_)), "each effect once");
                if let Value::List(_) | Value::Stream(_) = value {
                    let mut again: Vec<Vec<u8>> = Vec::new();
                    let mut emit = |effect: Effect<'_>| again.push(owned(&effect));
                    let mut place = Some(0);
                    while let Some(from) = place {
                        place = value.as_ref().effects_part(&name, from, part, &mut emit);
                    }
                    assert!(again == whole, "what has an order keeps it");
                }
            }
            assert_eq!(copy.digest(), digest, "{elements} elements, {part} at once");
        }
    }
}

#[test]
fn long_strings_come_in_parts() {
    let value = Value::String((0..300_000u32).map(|i| i as u8).collect());
    let mut keys = Keyspace::new(0..16384);
    let (mut place, mut parts) = (Some(0), 0);
    while let Some(from) = place {
        let mut emit = |effect: Effect<'_>| keys.apply(0, &effect);
        place = value.as_ref().effects_part(b"key", from, 10, &mut emit);
        parts += 1;
    }
    assert_eq!(parts, 300_000usize.div_ceil(STRING_PART_BYTES_MIN));
    let read = keys.peek_string(0, &Key::new(b"key"), 0).expect("a string").expect("it is there").to_vec();
    assert_eq!(Value::String(read), value);
}

/// A copy of each value, while the keyspace goes on changing them, and at last frees them in parts.
#[test]
fn copies_stay_as_they_were() {
    let mut keys = keyspace(4000);
    let whole = |name: &[u8], value: &Value| {
        let mut effects = Vec::new();
        value.as_ref().effects(name, &mut |effect| effects.push(owned(&effect)));
        effects
    };
    let expected: Vec<_> =
        values(&mut keys).into_iter().map(|(name, value)| (whole(&name, &value), name)).collect();
    let (mut rng, mut copies) = (Rng::new(5), Vec::new());
    for round in 0..3 {
        let before = keys.digest();
        let taken = values(&mut keys);
        let built: Vec<_> = taken.iter().map(|(name, value)| whole(name, value)).collect();
        copies.push((taken, built));
        for number in 0..2000 {
            let (at, other) = (rng.below(4000), format!("other {round} {number}"));
            let (word, other) = (format!("word {at}"), other.as_bytes());
            let word = word.as_bytes();
            let id = (at, 0);
            let added = [
                Effect::ListSet { key: b"list", index: at % 3000, element: other },
                Effect::HashSet { key: b"hash", field: word, value: other, expire_at_ms: None },
                Effect::SetAdd { key: b"set", member: other },
                Effect::SortedSetAdd { key: b"sorted", member: word, score: number as f64 },
                Effect::StreamAdd {
                    key: b"stream",
                    id: (5000 + round * 2000 + number, 0),
                    fields: vec![word, other],
                },
            ];
            let removed = [
                Effect::ListRemove { key: b"list", index: at % 100 },
                Effect::HashDelete { key: b"hash", field: word },
                Effect::SetRemove { key: b"set", member: word },
                Effect::SortedSetRemove { key: b"sorted", member: word },
                Effect::StreamDelete { key: b"stream", id },
            ];
            let effects = if number % 7 == 0 { removed } else { added };
            effects.iter().for_each(|effect| keys.apply(0, effect));
            let acknowledged = Effect::StreamAck { key: b"stream", group: b"one", id };
            keys.apply(0, &acknowledged);
        }
        assert_ne!(keys.digest(), before);
        for (taken, built) in &copies {
            for ((name, value), effects) in taken.iter().zip(built) {
                assert!(whole(name, value) == *effects, "{} has changed", name.escape_ascii());
            }
        }
    }
    // The first copies are what there was at first, to the byte.
    assert!(copies[0].1.iter().eq(expected.iter().map(|(effects, _)| effects)));
    // All that is counted is given back, whoever else has it.
    let names: Vec<Vec<u8>> = copies[0].0.iter().map(|(name, _)| name.clone()).collect();
    for (mut taken, built) in copies.split_off(1) {
        taken.iter_mut().for_each(|(_, value)| while value.free_part(50) {});
        drop(built);
    }
    let (taken, built) = &copies[0];
    for ((name, value), effects) in taken.iter().zip(built) {
        assert!(whole(name, value) == *effects);
    }
    for name in names {
        keys.remove(0, &Key::new(&name), 0);
    }
    let tables: usize = keys.tables(0).map(|(_, table)| table.allocated_bytes()).sum();
    assert_eq!(tables, 0);
    keys.flush(0);
    assert_eq!(keys.allocated_bytes(), 0);
}

#[test]
fn freeing_in_parts_comes_to_an_end() {
    for elements in [1, 10, 5000] {
        let mut keys = keyspace(elements);
        for part in [1, 100, usize::MAX] {
            for (name, mut value) in values(&mut keys) {
                let mut steps = 0;
                while value.free_part(part) {
                    steps += 1;
                }
                let name = name.escape_ascii();
                assert!(
                    steps <= 6 * elements / part + 16,
                    "{name} of {elements} took {steps} steps of {part}"
                );
            }
        }
    }
}
