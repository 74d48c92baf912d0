//! Hashes against a map of vectors, in both forms and across every change between them.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use proptest::prelude::*;

use super::*;
use crate::base::rng::Rng;
use crate::store::effect::{Journal, decode_all};

const LIMITS: EncodingLimits = EncodingLimits {
    hash_entries_max: 8,
    hash_value_bytes_max: 12,
    list_node_size: -2,
    set_integers_max: 512,
    set_entries_max: 128,
    set_value_bytes_max: 64,
    sorted_set_entries_max: 128,
    sorted_set_value_bytes_max: 64,
    stream_node_bytes_max: 4096,
    stream_node_entries_max: 100,
    hll_sparse_bytes_max: 3000,
};

/// A hash as fields with values and expiries.
type Oracle = BTreeMap<Vec<u8>, (Vec<u8>, Option<i64>)>;

fn change<R>(hash: &mut Hash, journal: &mut Journal, work: impl FnOnce(&mut Change<'_, Hash>) -> R) -> R {
    work(&mut Change { value: hash, key: b"key", encoding: &LIMITS, db: 0, journal, changes: 0 })
}

fn shown(element: Element<'_>) -> (Vec<u8>, (Vec<u8>, Option<i64>)) {
    (element.field.to_vec(), (element.value.to_vec(), element.expire_at_ms))
}

fn scan_all(hash: &Hash, wanted: usize) -> Vec<Vec<u8>> {
    let (mut position, mut fields) = (0, Vec::new());
    loop {
        let next = hash.view().scan(position, wanted, |element| fields.push(element.field.to_vec()));
        match next {
            Some(next) => position = next,
            None => {
                fields.sort();
                return fields;
            }
        }
    }
}

fn compare(hash: &Hash, oracle: &Oracle) -> Result<(), TestCaseError> {
    let view = hash.view();
    prop_assert_eq!(view.len(), oracle.len());
    prop_assert_eq!(hash.is_empty(), oracle.is_empty());
    prop_assert_eq!(&view.iter().map(shown).collect::<Oracle>(), oracle);
    prop_assert_eq!(view.iter().count(), oracle.len());
    for (field, (value, expire_at_ms)) in oracle {
        prop_assert_eq!(view.get(field).map(Item::to_vec), Some(value.clone()));
        prop_assert_eq!(view.value_len(field), Some(value.len()));
        prop_assert_eq!(view.expire_at_ms(field), Some(*expire_at_ms));
        let element = view.element(field).map(shown);
        prop_assert_eq!(element, Some((field.clone(), (value.clone(), *expire_at_ms))));
    }
    let fields: Vec<Vec<u8>> = oracle.keys().cloned().collect();
    for wanted in [1, 5, usize::MAX] {
        prop_assert_eq!(scan_all(hash, wanted), fields.clone());
    }
    let mut rng = Rng::new(1);
    for count in [0, 1, fields.len() / 2, fields.len(), fields.len() + 1] {
        let mut sample: Oracle = BTreeMap::new();
        let mut visited = 0;
        view.sample(count, &mut rng, |element| {
            visited += 1;
            sample.extend([shown(element)]);
        });
        prop_assert_eq!(visited, count.min(fields.len()));
        prop_assert_eq!(sample.len(), visited, "each at most once");
        prop_assert!(sample.iter().all(|(field, rest)| oracle.get(field) == Some(rest)));
    }
    if !fields.is_empty() {
        prop_assert!(oracle.contains_key(&shown(view.random(&mut rng)).0));
    }
    match &hash.form {
        Form::Packed(bytes) => {
            prop_assert_eq!(hash.allocated_bytes(), bytes.capacity());
            prop_assert!(Listpack::checked(bytes).is_ok());
            prop_assert!(oracle.len() <= LIMITS.hash_entries_max);
            let is_long = |bytes: &Vec<u8>| bytes.len() > LIMITS.hash_value_bytes_max;
            prop_assert!(oracle.iter().all(|(field, (value, _))| !is_long(field) && !is_long(value)));
            prop_assert!(oracle.values().all(|(_, expire_at_ms)| expire_at_ms.is_none()));
        }
        Form::Table(table) => {
            let pairs: usize = table.iter().map(Pair::allocated_bytes).sum();
            prop_assert!(hash.allocated_bytes() >= pairs + size_of::<Fields>());
            let next = oracle.values().filter_map(|(_, expire_at_ms)| *expire_at_ms).min();
            for now_ms in next.into_iter().chain([i64::MAX - 1]) {
                prop_assert!(next.is_none_or(|at_ms| at_ms > now_ms) || hash.has_expired(now_ms));
            }
        }
    }
    Ok(())
}

#[derive(Clone, Debug)]
enum Step {
    Set(Vec<u8>, Vec<u8>),
    SetKeepingExpiry(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
    SetExpiry(Vec<u8>, Option<i64>),
    Pass(i64),
    Copy,
}

fn field() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        20 => (0..14u8).prop_map(|i| i.to_string().into_bytes()),
        10 => (0..14u8).prop_map(|i| format!("f{i}").into_bytes()),
        1 => Just(b"a field that is too long".to_vec()),
        1 => Just(Vec::new()),
    ]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        5 => any::<i64>().prop_map(|i| (i >> (i & 63)).to_string().into_bytes()),
        5 => proptest::collection::vec(any::<u8>(), 0..12),
        1 => proptest::collection::vec(any::<u8>(), 12..90),
    ]
}

/// Few of the steps that end the small form, so that histories are long in either.
fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (field(), value()).prop_map(|(field, value)| Step::Set(field, value)),
        4 => (field(), value()).prop_map(|(field, value)| Step::SetKeepingExpiry(field, value)),
        16 => field().prop_map(Step::Delete),
        4 => (field(), proptest::option::weighted(0.7, 0..200i64)).prop_map(|(field, ms)| Step::SetExpiry(field, ms)),
        2 => (0..30i64).prop_map(Step::Pass),
        1 => Just(Step::Copy),
    ]
}

proptest! {
    #[test]
    fn behaves_as_a_map(steps in proptest::collection::vec(step(), 0..200)) {
        let (mut hash, mut oracle, mut now_ms) = (Hash::default(), Oracle::new(), 0i64);
        let mut journal = Journal { recorded: Some(Vec::new()), ..Journal::default() };
        let mut copies = Vec::new();
        for step in steps {
            match step {
                Step::Set(field, value) => {
                    let is_new = change(&mut hash, &mut journal, |hash| hash.set(&field, &value));
                    prop_assert_eq!(is_new, oracle.insert(field, (value, None)).is_none());
                }
                Step::SetKeepingExpiry(field, value) => {
                    let is_new =
                        change(&mut hash, &mut journal, |hash| hash.set_keeping_expiry(&field, &value));
                    prop_assert_eq!(is_new, !oracle.contains_key(&field));
                    oracle.entry(field).or_default().0 = value;
                }
                Step::Delete(field) => {
                    let was_there = change(&mut hash, &mut journal, |hash| hash.delete(&field));
                    prop_assert_eq!(was_there, oracle.remove(&field).is_some());
                }
                Step::SetExpiry(field, after_ms) => {
                    let at_ms = after_ms.map(|ms| now_ms + 1 + ms);
                    let is_there = change(&mut hash, &mut journal, |hash| hash.set_expiry(&field, at_ms));
                    let found = oracle.get_mut(&field);
                    prop_assert_eq!(is_there, found.is_some());
                    if let Some((_, expire_at_ms)) = found {
                        *expire_at_ms = at_ms;
                    }
                }
                Step::Pass(ms) => {
                    now_ms += ms;
                    if hash.has_expired(now_ms) {
                        change(&mut hash, &mut journal, |hash| hash.remove_expired(now_ms));
                    }
                    oracle.retain(|_, (_, expire_at_ms)| expire_at_ms.is_none_or(|at_ms| at_ms > now_ms));
                    prop_assert!(!hash.has_expired(now_ms));
                }
                Step::Copy => {
                    let copy = hash.clone();
                    prop_assert_eq!(&copy, &hash);
                    copies.push((std::mem::replace(&mut hash, copy), oracle.clone()));
                }
            }
            compare(&hash, &oracle)?;
        }
        for (copy, oracle) in &copies {
            compare(copy, oracle)?;
        }

        // What the journal says, and what the hash says of itself, rebuild it.
        let mut off = Journal::default();
        let mut replayed = Hash::default();
        for effect in decode_all(&journal.recorded.take().expect("it records")) {
            let (_, effect) = effect.expect("an effect");
            change(&mut replayed, &mut off, |hash| Hash::replay(hash, &effect));
        }
        compare(&replayed, &oracle)?;
        let mut rebuilt = Hash::default();
        Hash::effects(hash.view(), b"key", &mut |effect| {
            change(&mut rebuilt, &mut off, |hash| Hash::replay(hash, &effect));
        });
        compare(&rebuilt, &oracle)?;
        prop_assert_eq!(&rebuilt, &hash);
        if let Some(field) = oracle.keys().next() {
            change(&mut rebuilt, &mut off, |hash| hash.set(field, b"another value"));
            prop_assert_ne!(&rebuilt, &hash);
        }
    }
}

fn filled(fields: usize) -> Hash {
    let mut hash = Hash::default();
    for i in 0..fields {
        hash.insert(format!("field:{i:06}").as_bytes(), b"value:xyz", None, &LIMITS);
    }
    hash
}

#[test]
fn a_large_hash_takes_less_than_redis() {
    const FIELDS: usize = 100_000;
    // Redis 7.0 has for each field an entry of 24 bytes, two strings of 16 and at least one bucket of 8.
    let bytes = filled(FIELDS).allocated_bytes();
    assert!(bytes <= FIELDS * 60, "{} bytes a field", bytes as f64 / FIELDS as f64);
}

#[test]
fn a_choice_is_even() {
    for fields in [5, 200] {
        let hash = filled(fields);
        let (mut rng, mut found) = (Rng::new(2), BTreeMap::<Vec<u8>, usize>::new());
        let mut count = |element: Element<'_>| *found.entry(element.field.to_vec()).or_default() += 1;
        hash.view().random_many(100 * fields, &mut rng, |element| {
            count(element);
            ControlFlow::Continue(())
        });
        for _ in 0..100 * fields {
            count(hash.view().random(&mut rng));
        }
        for _ in 0..200 * fields {
            hash.view().sample(fields / 5, &mut rng, &mut count);
            hash.view().sample(fields / 20, &mut rng, &mut count);
        }
        let expected = 200 * (1 + fields / 5 + fields / 20);
        assert!(found.len() == fields && found.values().all(|times| times.abs_diff(expected) < expected / 3));
    }
}

/// The queue of times is cleaned: it does not grow with changes of the same fields.
#[test]
fn times_that_no_longer_count_are_forgotten() {
    let mut hash = filled(1000);
    for round in 0..20_000 {
        hash.set_expiry(b"field:000001", Some(round % 7));
        hash.set_expiry(b"field:000002", Some(round));
        hash.set_expiry(b"field:000001", None);
    }
    let Form::Table(fields) = &hash.form else { panic!("it is large") };
    assert!(fields.queue_bytes() < 8192, "{} bytes", fields.queue_bytes());
    hash.set_expiry(b"field:000002", None);
    assert_eq!(hash.allocated_bytes(), filled(1000).allocated_bytes());
    assert!(!hash.has_expired(i64::MAX - 1));
}
