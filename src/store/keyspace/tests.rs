//! The keyspace against a naive oracle: a map of values with their expiry. Whatever is done, both must hold the same, the counts
//! and bytes must be those of a recount, and the journal must rebuild the state.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::base::limits::{
    DISCARDED_VALUES_MAX, EXPIRED_STEP, RANDOM_CHOICES_MAX, TABLE_COST, TABLE_ENTRIES_MAX,
};
use crate::base::rng::Rng;
use crate::store::collection::Change;
use crate::store::effect::{End, decode_all};
use crate::store::hash::Hash;
use crate::store::list::List;

const DBS: u16 = 3;
const CLOCK: u32 = 7;

/// Database and key.
type At = (u16, Vec<u8>);
/// Value and expiry.
type Held = (Vec<u8>, Option<i64>);

/// What the keyspace should hold: keys that were found expired are gone, others may still wait.
#[derive(Default)]
struct Oracle {
    entries: BTreeMap<At, Held>,
    counts: KeyspaceCounts,
}

impl Oracle {
    /// The live value of a key; one found expired is removed.
    fn live(&mut self, db: u16, key: &[u8], now_ms: i64) -> Option<&mut Held> {
        let at = (db, key.to_vec());
        if self.entries.get(&at).is_some_and(|(_, expiry)| expiry.is_some_and(|expiry| expiry <= now_ms)) {
            self.entries.remove(&at);
            self.counts.expired += 1;
        }
        self.entries.get_mut(&at)
    }

    fn set(&mut self, db: u16, key: &[u8], value: Vec<u8>, expire_at_ms: Option<i64>) {
        self.entries.insert((db, key.to_vec()), (value, expire_at_ms));
        self.counts.changes += 1;
    }
}

#[derive(Clone, Debug)]
enum Step {
    Set(Vec<u8>, Option<i64>),
    SetKeepExpiry(Vec<u8>),
    Put(Vec<u8>, Option<i64>),
    Add(i64),
    SetRange(usize, Vec<u8>),
    Expire(Option<i64>),
    Remove,
    Read,
    Peek,
    Rename(u16, u16),
    Flush,
    Swap(u16),
    Wait(i64),
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => any::<i64>().prop_map(|number| number.to_string().into_bytes()),
        3 => (-20i64..20).prop_map(|number| number.to_string().into_bytes()),
        3 => proptest::collection::vec(any::<u8>(), 0..60),
        1 => (0usize..3).prop_map(|more| vec![b'x'; INLINE_STRING_BYTES_MAX - 1 + more]),
        1 => Just(vec![b'y'; 10_000]),
    ]
}

/// Milliseconds after the present of the script: past, soon or late.
fn expiry() -> impl Strategy<Value = Option<i64>> {
    prop_oneof![3 => Just(None), 3 => (1i64..40).prop_map(Some), 1 => (1i64 << 20..1 << 40).prop_map(Some)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (value(), expiry()).prop_map(|(value, expiry)| Step::Set(value, expiry)),
        3 => value().prop_map(Step::SetKeepExpiry),
        3 => (value(), expiry()).prop_map(|(value, expiry)| Step::Put(value, expiry)),
        5 => prop_oneof![-5i64..5, any::<i64>()].prop_map(Step::Add),
        5 => (0usize..100, value()).prop_map(|(offset, bytes)| Step::SetRange(offset, bytes)),
        5 => expiry().prop_map(Step::Expire),
        4 => Just(Step::Remove),
        4 => Just(Step::Read),
        2 => Just(Step::Peek),
        4 => (0..DBS, any::<u16>()).prop_map(|(db, key)| Step::Rename(db, key)),
        1 => Just(Step::Flush),
        1 => (0..DBS).prop_map(Step::Swap),
        4 => (1i64..15).prop_map(Step::Wait),
    ]
}

/// Few slots, so that a recount is cheap; not the first, so that offsets count.
const SHARD: Range<usize> = 4096..4128;

/// One of 24 keys of `SHARD`, a third of which share a slot.
fn key_name(number: u16) -> Vec<u8> {
    static NAMES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
        let names = (0..).map(|i| format!("key:{i}").into_bytes());
        let mut names: Vec<Vec<u8>> =
            names.filter(|name| SHARD.contains(&key_slot(name).index())).take(16).collect();
        let tag = String::from_utf8(names[0].clone()).expect("text");
        names.extend((0..8).map(|i| format!("{{{tag}}}:{i}").into_bytes()));
        names
    });
    NAMES[usize::from(number) % NAMES.len()].clone()
}

fn perform(keys: &mut Keyspace, oracle: &mut Oracle, now_ms: &mut i64, db: u16, name: &[u8], step: Step) {
    let (key, now) = (Key::new(name), *now_ms);
    match step {
        Step::Set(value, expiry) => {
            let expire_at_ms = expiry.map(|ms| now + ms);
            keys.set_string(db, &key, &value, expire_at_ms, CLOCK);
            oracle.set(db, name, value, expire_at_ms);
        }
        Step::SetKeepExpiry(value) => {
            keys.set_string_keep_expiry(db, &key, &value, now, CLOCK);
            let expire_at_ms = oracle.live(db, name, now).and_then(|(_, expiry)| *expiry);
            oracle.set(db, name, value, expire_at_ms);
        }
        Step::Put(value, expiry) => {
            let expire_at_ms = expiry.map(|ms| now + ms);
            keys.put(db, &key, Value::String(value.clone()), expire_at_ms, CLOCK);
            oracle.set(db, name, value, expire_at_ms);
        }
        Step::Add(by) => {
            let (old, expire_at_ms) = oracle.live(db, name, now).cloned().unwrap_or((b"0".to_vec(), None));
            let expected = match crate::base::number::parse_i64(&old) {
                None => Err(AddError::NotInteger),
                Some(number) => number.checked_add(by).ok_or(AddError::Overflow),
            };
            assert_eq!(keys.add_integer(db, &key, by, now, CLOCK), expected);
            if let Ok(sum) = expected {
                oracle.set(db, name, sum.to_string().into_bytes(), expire_at_ms);
            }
        }
        Step::SetRange(offset, bytes) => {
            let (mut value, expire_at_ms) = oracle.live(db, name, now).cloned().unwrap_or_default();
            value.resize(value.len().max(offset + bytes.len()), 0);
            value[offset..offset + bytes.len()].copy_from_slice(&bytes);
            assert_eq!(keys.set_range(db, &key, offset, &bytes, now, CLOCK), Ok(value.len()));
            oracle.set(db, name, value, expire_at_ms);
        }
        Step::Expire(expiry) => {
            let expire_at_ms = expiry.map(|ms| now + ms);
            let is_there = oracle.live(db, name, now).map(|(_, old)| *old = expire_at_ms).is_some();
            assert_eq!(keys.exists(db, &key, now), is_there);
            assert_eq!(keys.set_expiry(db, &key, expire_at_ms), is_there);
            oracle.counts.changes += u64::from(is_there);
        }
        Step::Remove => {
            let is_there = oracle.live(db, name, now).is_some();
            assert_eq!(keys.remove(db, &key, now), is_there);
            oracle.entries.remove(&(db, name.to_vec()));
            oracle.counts.changes += u64::from(is_there);
        }
        Step::Read => {
            let expected = oracle.live(db, name, now).map(|(value, _)| value.clone());
            *(if expected.is_some() { &mut oracle.counts.hits } else { &mut oracle.counts.misses }) += 1;
            let found = keys.string(db, &key, now, Some(CLOCK + 1)).expect("there are only strings");
            assert_eq!(found.map(StringRef::to_vec), expected);
        }
        Step::Peek => {
            let expected = oracle.live(db, name, now).map(|(_, expiry)| *expiry);
            assert_eq!(keys.peek(db, &key, now).map(Entry::expire_at_ms), expected);
        }
        Step::Rename(to_db, to) => {
            let to = key_name(to);
            let expected = oracle.live(db, name, now).cloned();
            if let Some((value, expire_at_ms)) = &expected {
                oracle.entries.remove(&(db, name.to_vec()));
                oracle.counts.changes += 1;
                oracle.set(to_db, &to, value.clone(), *expire_at_ms);
            }
            assert_eq!(keys.rename((db, &key), (to_db, &Key::new(&to)), now), expected.is_some());
        }
        Step::Flush => {
            keys.flush(db);
            let before = oracle.entries.len();
            oracle.entries.retain(|(of, _), _| *of != db);
            oracle.counts.changes += (before - oracle.entries.len()) as u64;
        }
        Step::Swap(with) => {
            keys.swap(db, with, *now_ms);
            let swapped = |of: u16| {
                if of == db {
                    with
                } else if of == with {
                    db
                } else {
                    of
                }
            };
            let entries = std::mem::take(&mut oracle.entries);
            oracle.entries =
                entries.into_iter().map(|((of, key), entry)| ((swapped(of), key), entry)).collect();
            oracle.counts.changes += 1;
        }
        Step::Wait(ms) => *now_ms += ms,
    }
}

/// Compares everything that can be seen of the keyspace, and its books with a recount.
fn compare(keys: &Keyspace, oracle: &Oracle) {
    for db in 0..DATABASES as u16 {
        let expected: BTreeMap<&[u8], (&[u8], Option<i64>)> = oracle
            .entries
            .iter()
            .filter(|((of, _), _)| *of == db)
            .map(|((_, key), (value, expiry))| (&key[..], (&value[..], *expiry)))
            .collect();
        let entries: Vec<(Slot, &Entry)> =
            keys.tables(db).flat_map(|(slot, table)| table.iter().map(move |entry| (slot, entry))).collect();
        assert_eq!(entries.len(), expected.len());
        for (slot, entry) in &entries {
            assert_eq!(*slot, key_slot(entry.key()));
            let (value, expiry) = expected[entry.key()];
            assert_eq!(object::string(entry).expect("a string").to_vec(), value);
            assert_eq!(entry.expire_at_ms(), expiry);
        }
        assert_eq!(keys.len(db), entries.len());
        assert_eq!(keys.is_empty(db), entries.is_empty());
        assert_eq!(keys.volatile_len(db), entries.iter().filter(|(_, e)| e.expire_at_ms().is_some()).count());
        let entry_bytes: usize = entries.iter().map(|(_, entry)| allocated_bytes(entry)).sum();
        assert_eq!(keys.dbs[usize::from(db)].entry_bytes, entry_bytes);
    }
    let entry_bytes: usize = keys.dbs.iter().map(|db| db.entry_bytes).sum();
    assert!(keys.allocated_bytes() >= entry_bytes);
    let (kept, expected) = (keys.counts, oracle.counts);
    assert_eq!(
        (kept.hits, kept.misses, kept.expired, kept.changes),
        (expected.hits, expected.misses, expected.expired, expected.changes)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn behaves_as_a_map_with_expiry(script in proptest::collection::vec((0..DBS, any::<u16>(), step()), 0..300)) {
        let mut keys = Keyspace::recording(SHARD);
        let mut oracle = Oracle::default();
        let mut now_ms = 1_000_000;
        for (i, (db, key, step)) in script.into_iter().enumerate() {
            perform(&mut keys, &mut oracle, &mut now_ms, db, &key_name(key), step);
            if i % 32 == 0 {
                compare(&keys, &oracle);
            }
        }
        compare(&keys, &oracle);
        let mut replayed = Keyspace::new(SHARD);
        for effect in decode_all(&keys.take_effects()) {
            let (db, effect) = effect.expect("an effect");
            replayed.apply(db, &effect);
        }
        prop_assert_eq!(replayed.digest(), keys.digest());
    }

    #[test]
    fn a_random_key_is_one_that_lives(lifetimes in proptest::collection::vec(1i64..40, 1..40), seed in any::<u64>()) {
        let mut keys = Keyspace::new(0..SLOTS);
        for (i, ms) in lifetimes.iter().enumerate() {
            keys.set_string(0, &Key::new(i.to_string().as_bytes()), b"v", Some(*ms), CLOCK);
        }
        let mut rng = Rng::new(seed);
        for now_ms in [0, 10, 20, 30, 40] {
            let chosen = keys.random_key(0, &mut rng, now_ms);
            prop_assert_eq!(chosen.is_some(), lifetimes.iter().any(|ms| *ms > now_ms));
            if let Some(key) = chosen {
                let number: usize = String::from_utf8(key).expect("digits").parse().expect("a number");
                prop_assert!(lifetimes[number] > now_ms);
            }
        }
    }
}

#[test]
fn a_digest_tells_states_apart_and_not_their_history() {
    let digest = |script: &[(u16, &str, &str, Option<i64>)]| {
        let mut keys = Keyspace::new(0..SLOTS);
        for (db, key, value, expire_at_ms) in script {
            keys.set_string(*db, &Key::new(key.as_bytes()), value.as_bytes(), *expire_at_ms, CLOCK);
        }
        keys.digest()
    };
    let one = digest(&[(0, "a", "1", None), (0, "b", "2", None)]);
    assert_eq!(one, digest(&[(0, "b", "0", Some(5)), (0, "b", "2", None), (0, "a", "1", None)]));
    for other in [
        &[(0, "a", "1", None)][..],
        &[(0, "a", "1", None), (1, "b", "2", None)],
        &[(0, "a", "1", None), (0, "b", "2", Some(9))],
        &[(0, "a", "2", None), (0, "b", "1", None)],
    ] {
        assert_ne!(one, digest(other));
    }
}

#[test]
fn a_flushed_database_is_freed_in_steps() {
    let mut keys = Keyspace::new(0..SLOTS);
    for i in 0..1000 {
        keys.set_string(0, &Key::new(i.to_string().as_bytes()), b"v", None, CLOCK);
    }
    let full = keys.allocated_bytes();
    keys.flush(0);
    assert!(keys.is_empty(0) && keys.has_discarded());
    assert!(keys.allocated_bytes() < full / 10, "what waits to be freed no longer counts");
    keys.set_string(0, &Key::new(b"new"), b"v", None, CLOCK);
    let mut steps = 0;
    while keys.free_discarded(64) {
        steps += 1;
    }
    assert!(steps > 1 && !keys.has_discarded());
    assert_eq!(keys.len(0), 1);
}

/// Bug 3: the table of a slot was freed at once, however many keys a hash tag had brought there.
#[test]
fn a_large_slot_is_freed_in_steps_too() {
    let mut keys = Keyspace::new(0..SLOTS);
    for i in 0..20_000 {
        keys.set_string(0, &Key::new(format!("{{tag}}{i}").as_bytes()), b"v", None, CLOCK);
    }
    keys.flush(0);
    let left = |keys: &Keyspace| keys.discarded.iter().map(SlotTable::len).sum::<usize>();
    while keys.has_discarded() {
        let before = left(&keys);
        keys.free_discarded(1);
        assert!(before - left(&keys) <= TABLE_ENTRIES_MAX, "{} entries in one step", before - left(&keys));
    }
    assert_eq!(left(&keys), 0);
}

#[test]
fn empty_slots_are_freed_in_steps_as_well() {
    let mut keys = Keyspace::new(0..SLOTS);
    for _ in 0..3 {
        keys.set_string(0, &Key::new(b"k"), b"v", None, CLOCK);
        keys.flush(0);
    }
    assert_eq!(keys.discarded.len(), 3 * SLOTS);
    while keys.has_discarded() {
        let before = keys.discarded.len();
        keys.free_discarded(100 * TABLE_COST);
        assert!(before - keys.discarded.len() <= 100);
    }
}

#[test]
fn a_large_value_is_freed_in_steps_however_it_goes() {
    for way in ["deleted", "replaced", "expired", "flushed"] {
        let mut keys = Keyspace::new(0..SLOTS);
        let key = Key::new(b"large");
        for i in 0..5000u32 {
            let field = i.to_string().into_bytes();
            keys.change_or_create(0, &key, 0, 0, |hash: &mut Change<'_, Hash>| hash.set(&field, b"value"))
                .expect("a hash");
        }
        keys.set_expiry(0, &key, Some(10));
        let full = keys.allocated_bytes();
        match way {
            "deleted" => assert!(keys.remove(0, &key, 0)),
            "replaced" => keys.set_string(0, &key, b"short", None, 0),
            "expired" => assert!(!keys.exists(0, &key, 10)),
            _ => keys.flush(0),
        }
        assert!(keys.has_discarded(), "{way}");
        assert!(keys.allocated_bytes() < full - 100_000, "{way}: what waits to be freed no longer counts");
        keys.remove(0, &key, 0);
        // The tables of a flushed database come first, where there are any.
        let tables = if way == "flushed" { SLOTS } else { 0 };
        let mut steps = 0;
        while keys.free_discarded(TABLE_COST) {
            steps += 1;
        }
        assert!((tables + 2..tables + 100).contains(&steps), "{way}: {steps} steps");
    }
}

#[test]
fn what_is_made_and_deleted_without_end_is_freed_too() {
    let mut keys = Keyspace::new(0..SLOTS);
    let key = Key::new(b"large");
    for _ in 0..1000 {
        let elements: Vec<Vec<u8>> = (0..100u32).map(|i| format!("element {i}").into_bytes()).collect();
        let push = |list: &mut Change<'_, List>| list.push(End::Right, elements.iter().map(Vec::as_slice));
        keys.change_or_create(0, &key, 0, 0, push).expect("a list");
        assert!(keys.remove(0, &key, 0));
        assert!(keys.discarded_values.len() <= DISCARDED_VALUES_MAX);
    }
    while keys.free_discarded(1000) {}
    assert!(!keys.has_discarded());
}

/// Bug 4: each expired key that was met by chance cost a walk over all slots.
#[test]
fn one_living_key_is_found_among_very_many_expired_ones() {
    for tag in ["", "{tag}"] {
        let mut keys = Keyspace::new(0..SLOTS);
        for i in 0..100_000 {
            keys.set_string(0, &Key::new(format!("{tag}gone{i}").as_bytes()), b"v", Some(10), CLOCK);
        }
        keys.set_string(0, &Key::new(b"alive"), b"v", None, CLOCK);
        let (mut rng, unused) = (Rng::new(1), Rng::new(1));
        for call in 1..=3 {
            assert_eq!(keys.random_key(0, &mut rng, 10), Some(b"alive".to_vec()));
            assert!(keys.counts.expired <= call * EXPIRED_STEP as u64);
        }
        assert!(keys.counts.expired > 0);
        // A choice walks over the slots once, and a draw is a choice.
        let choices = |draws: usize| {
            let mut rng = unused.clone();
            for _ in 0..draws {
                rng.next_u64();
            }
            rng.next_u64()
        };
        let next = rng.next_u64();
        assert!((0..=3 * RANDOM_CHOICES_MAX).any(|draws| choices(draws) == next), "too many choices");
        assert!(keys.remove(0, &Key::new(b"alive"), 10));
        assert_eq!(keys.random_key(0, &mut rng, 10), None);
    }
}

#[test]
fn an_expired_key_does_not_make_a_choice_walk_the_living() {
    let mut keys = Keyspace::new(0..SLOTS);
    for i in 0..10 * EXPIRED_STEP {
        let expire_at_ms = (i % 10 == 0).then_some(10);
        keys.set_string(0, &Key::new(i.to_string().as_bytes()), b"v", expire_at_ms, CLOCK);
    }
    let mut rng = Rng::new(1);
    while keys.counts.expired == 0 {
        assert!(keys.random_key(0, &mut rng, 10).is_some());
    }
    assert!(keys.counts.expired <= EXPIRED_STEP as u64 / 2, "{} of a tenth", keys.counts.expired);
}

#[test]
fn a_random_key_is_chosen_evenly() {
    let mut keys = Keyspace::new(0..SLOTS);
    for i in 0..20 {
        let name = if i % 2 == 0 { format!("{{tag}}{i}") } else { i.to_string() };
        keys.set_string(0, &Key::new(name.as_bytes()), b"v", None, CLOCK);
        keys.set_string(0, &Key::new(format!("gone{i}").as_bytes()), b"v", Some(10), CLOCK);
    }
    let (mut rng, mut found) = (Rng::new(1), BTreeMap::new());
    // Few expired keys are all removed once one is met; from then on the choice is exact.
    while keys.len(0) > 20 {
        keys.random_key(0, &mut rng, 10);
    }
    for _ in 0..20_000 {
        *found.entry(keys.random_key(0, &mut rng, 10).expect("a key")).or_insert(0) += 1;
    }
    assert_eq!(found.len(), 20);
    assert!(found.values().all(|times| (800..1200).contains(times)), "{found:?}");
}
