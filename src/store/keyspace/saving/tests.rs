//! Whatever happens while a save goes on, what it makes is what was there at its beginning.

use crate::base::limits::ARCHIVE_BYTES;
use crate::base::slot::SLOTS;
use crate::store::effect::{Effect, End};
use crate::store::keyspace::memory::Memory;
use crate::store::keyspace::{Key, Keyspace};
use crate::store::object::{encoding, kind};

use super::*;

const CLOCK: u32 = 7;
/// Enough to split a slot's table several times.
const MANY: usize = 9000;
/// A list's node is archived whole, and a string in pieces of 64 KiB.
const SURPLUS_BYTES: usize = 70_000;

fn set(keys: &mut Keyspace, db: u16, key: &str, value: &[u8], expire_at_ms: Option<i64>) {
    keys.set_string(db, &Key::new(key.as_bytes()), value, expire_at_ms, CLOCK);
}

fn remove(keys: &mut Keyspace, db: u16, key: &str) -> bool {
    keys.remove(db, &Key::new(key.as_bytes()), 0)
}

/// A large value of each type, in slots of their own.
fn large(keys: &mut Keyspace) {
    let key = |name: &'static str| name.as_bytes();
    for i in 0..2000u64 {
        let word = format!("word {i}");
        let word = word.as_bytes();
        for effect in [
            Effect::ListPush { key: key("list"), end: End::Right, element: word },
            Effect::HashSet {
                key: key("hash"),
                field: word,
                value: b"v",
                expire_at_ms: (i % 3 == 0).then_some(1 << 50),
            },
            Effect::SetAdd { key: key("set"), member: word },
            Effect::SortedSetAdd { key: key("sorted"), member: word, score: i as f64 / 3.0 },
            Effect::StreamAdd { key: key("stream"), id: (i + 1, 0), fields: vec![word, word] },
        ] {
            keys.apply(0, &effect);
        }
    }
    for name in ["list", "hash", "set", "sorted", "stream"] {
        keys.set_expiry(0, &Key::new(name.as_bytes()), Some(1 << 40));
    }
    let string: Vec<u8> = (0..150_000u32).map(|i| i as u8).collect();
    set(keys, 0, "string", &string, Some(1 << 41));
}

/// Saves in steps of `bytes` with `change` before each; what was saved.
fn save(keys: &mut Keyspace, bytes: usize, mut change: impl FnMut(&mut Keyspace, usize)) -> Memory {
    keys.begin_save();
    let mut memory = Memory::default();
    let mut step = 0;
    loop {
        change(keys, step);
        step += 1;
        let is_more = keys.save_step(bytes);
        let made = keys.take_archives();
        let (large, total) = made.iter().fold((0, 0), |(large, total), archive| {
            (large.max(archive.bytes.len()), total + archive.bytes.len())
        });
        assert!(large < 2 * ARCHIVE_BYTES + SURPLUS_BYTES, "one archive takes {large} bytes");
        // What changes archive at once comes on top.
        assert!(step == 1 || total < bytes + 4 * ARCHIVE_BYTES + SURPLUS_BYTES, "a step of {total}");
        memory.archives.extend(made);
        if !is_more {
            break;
        }
    }
    keys.end_save();
    assert!(!keys.is_saving());
    while keys.free_discarded(50) {}
    memory
}

#[test]
fn a_slot_of_very_many_keys_is_saved_in_steps_while_it_changes() {
    let mut keys = Keyspace::new(0..SLOTS);
    for i in 0..MANY {
        set(&mut keys, 3, &format!("{{tag}}{i}"), b"old", (i % 5 == 0).then_some(1 << 40));
    }
    let (digest, bytes) = (keys.digest(), keys.dbs[3].entry_bytes);
    let saved = save(&mut keys, 1000, |keys, step| {
        if step == 0 {
            assert_eq!(keys.archived_bytes(), 0);
        }
        set(keys, 3, &format!("{{tag}}{}", step * 11), b"new and longer", None);
        set(keys, 3, &format!("{{tag}}new{step}"), b"new", Some(1));
        remove(keys, 3, &format!("{{tag}}{}", step * 7));
    });
    assert!(saved.archives.len() > 100, "{} archives", saved.archives.len());
    let mut restored = saved.awake(0..SLOTS);
    assert_eq!(restored.digest(), digest);
    assert_eq!((restored.len(3), restored.dbs[3].entry_bytes), (MANY, bytes));
    assert_eq!(restored.volatile_len(3), MANY / 5);
}

#[test]
fn large_values_are_saved_in_steps_while_they_change() {
    let mut keys = Keyspace::new(0..SLOTS);
    large(&mut keys);
    let digest = keys.digest();
    for (change, bytes) in [(false, 1), (false, 700), (true, 300), (true, 100_000)] {
        let saved = save(&mut keys, bytes, |keys, step| {
            if !change {
                return;
            }
            let word = format!("word {step}");
            keys.apply(0, &Effect::ListPop { key: b"list", end: End::Left, count: 3 });
            keys.apply(0, &Effect::HashDelete { key: b"hash", field: word.as_bytes() });
            keys.apply(0, &Effect::HashSet { key: b"hash", field: b"f", value: b"v", expire_at_ms: None });
            keys.apply(0, &Effect::SetRemove { key: b"set", member: word.as_bytes() });
            keys.apply(0, &Effect::SortedSetAdd { key: b"sorted", member: word.as_bytes(), score: -1.0 });
            keys.apply(0, &Effect::StreamDelete { key: b"stream", id: (step as u64, 0) });
            keys.apply(0, &Effect::SetRange { key: b"string", offset: step, bytes: b"!" });
            if step == 20 {
                let (from, to) = (Key::new(b"hash"), Key::new(b"renamed"));
                assert!(keys.rename((0, &from), (1, &to), 0));
                for name in ["list", "set", "sorted", "stream", "string"] {
                    assert!(remove(keys, 0, name));
                }
            }
        });
        let mut restored = saved.awake(0..SLOTS);
        assert_eq!(restored.digest(), digest, "steps of {bytes}");
        assert_eq!((restored.len(0), restored.volatile_len(0)), (6, 6));
        keys = restored;
    }
}

#[test]
fn a_value_that_goes_while_it_is_being_saved_is_saved_whole() {
    let mut keys = Keyspace::new(0..SLOTS);
    large(&mut keys);
    let digest = keys.digest();
    let saved = save(&mut keys, 300, |keys, step| {
        let name = ["string", "list", "hash", "set", "sorted", "stream"][step % 6];
        remove(keys, 0, name);
    });
    assert_eq!(saved.awake(0..SLOTS).digest(), digest);
    assert_eq!(keys.len(0), 0);
}

#[test]
fn flushed_and_swapped_databases_are_saved_as_they_were() {
    for bytes in [500, 20_000] {
        let mut keys = Keyspace::new(100..SLOTS);
        for db in 0..4u16 {
            for i in 0..300 {
                let name = format!("key:{i}");
                if Key::new(name.as_bytes()).slot.index() >= 100 {
                    set(
                        &mut keys,
                        db,
                        &name,
                        format!("{db}:{i}").as_bytes(),
                        (i % 2 == 0).then_some(1 << 40),
                    );
                }
            }
        }
        for i in 0..MANY {
            set(&mut keys, 1, &format!("{{tag}}{i}"), b"v", None);
        }
        let digest = keys.digest();
        let saved = save(&mut keys, bytes, |keys, step| match step {
            1 => keys.swap(0, 1, 0),
            2 => keys.flush(0),
            3 => {
                set(keys, 0, "key:1", b"new", None);
                keys.swap(0, 3, 0);
                keys.swap(2, 3, 0);
            }
            4 => keys.flush(1),
            5 => (0..4).for_each(|db| keys.flush(db)),
            6 => set(keys, 2, "key:2", b"new", None),
            _ => {}
        });
        assert_eq!(saved.awake(100..SLOTS).digest(), digest);
    }
}

#[test]
fn what_sleeps_is_saved_too_and_what_is_flushed_before_it_wakes() {
    let mut keys = Keyspace::new(0..SLOTS);
    large(&mut keys);
    for i in 0..500 {
        set(&mut keys, i % 3, &format!("key:{i}"), b"v", None);
    }
    let digest = keys.digest();
    let memory = Memory::of(&mut keys);
    for flushes_at in [usize::MAX, 0, 1, 5] {
        let mut asleep = memory.asleep(0..SLOTS);
        assert_eq!((asleep.len(0), asleep.dormant_keys()), (keys.len(0), 506));
        // One table is halfway alive.
        asleep.hydrate_step(1);
        let saved = save(&mut asleep, 2000, |asleep, step| {
            if step == flushes_at {
                asleep.flush(0);
                asleep.swap(0, 2, 0);
                asleep.flush(0);
            }
        });
        assert_eq!(asleep.take_damage(), None);
        assert_eq!(saved.awake(0..SLOTS).digest(), digest, "flushed at step {flushes_at}");
    }
}

#[test]
fn a_save_that_is_given_up_leaves_nothing_behind() {
    let mut keys = Keyspace::new(0..SLOTS);
    large(&mut keys);
    for i in 0..MANY {
        set(&mut keys, 0, &format!("{{tag}}{i}"), b"v", None);
    }
    let digest = keys.digest();
    keys.begin_save();
    assert!(keys.save_step(5000));
    keys.flush(0);
    assert!(keys.archived_bytes() > 0);
    keys.end_save();
    assert!(!keys.is_saving() && keys.has_discarded());
    assert_eq!((keys.archived_bytes(), keys.take_archives().len()), (0, 0));
    assert!(!keys.save_step(5000));
    let mut steps = 0;
    while keys.free_discarded(100) {
        steps += 1;
    }
    assert!(steps > 50, "freed in {steps} steps");
    large(&mut keys);
    for i in 0..MANY {
        set(&mut keys, 0, &format!("{{tag}}{i}"), b"v", None);
    }
    let again = Memory::of(&mut keys);
    assert_eq!(again.awake(0..SLOTS).digest(), digest);
}

#[test]
fn clocks_expiries_and_forms_come_back() {
    let mut keys = Keyspace::new(0..SLOTS);
    set(&mut keys, 0, "number", b"12", None);
    set(&mut keys, 0, "text", b"012", Some(1 << 40));
    set(&mut keys, 0, "edited", b"13", None);
    let edited = Key::new(b"edited");
    keys.set_range(0, &edited, 0, b"14", 0, 9).expect("a string");
    large(&mut keys);
    let clock = keys.read(0, &Key::new(b"set"), 0, Some(99)).map(Entry::clock);
    assert_eq!(clock, Some(99));
    let mut restored = Memory::of(&mut keys).awake(0..SLOTS);
    for name in ["number", "text", "edited", "string", "list", "hash", "set", "sorted", "stream"] {
        let key = Key::new(name.as_bytes());
        let facts = |keys: &mut Keyspace| {
            let entry = keys.peek(0, &key, 0).expect("it is there");
            (entry.clock(), entry.expire_at_ms(), encoding(entry), kind(entry))
        };
        assert_eq!(facts(&mut restored), facts(&mut keys), "{name}");
    }
}

#[test]
fn every_way_to_change_a_key_saves_it_before() {
    type Work = fn(&mut Keyspace, &Key<'_>);
    let ways: [(&str, Work); 11] = [
        ("set", |keys, key| keys.set_string(0, key, b"new", None, CLOCK)),
        ("set and keep", |keys, key| keys.set_string_keep_expiry(0, key, b"new", 0, CLOCK)),
        ("add", |keys, key| assert_eq!(keys.add_integer(0, key, 1, 0, CLOCK), Ok(8))),
        ("set a range", |keys, key| assert_eq!(keys.set_range(0, key, 3, b"x", 0, CLOCK), Ok(4))),
        ("put", |keys, key| keys.put(0, key, Value::String(b"new".to_vec()), None, CLOCK)),
        ("remove", |keys, key| assert!(keys.remove(0, key, 0))),
        ("expire", |keys, key| assert!(keys.set_expiry(0, key, Some(5)))),
        ("rename", |keys, key| assert!(keys.rename((0, key), (1, &Key::new(b"other")), 0))),
        ("rename to", |keys, key| assert!(keys.rename((0, &Key::new(b"second")), (0, key), 0))),
        ("add nothing to nothing", |keys, _| {
            assert_eq!(keys.add_integer(0, &Key::new(b"{key}new"), 1, 0, CLOCK), Ok(1));
        }),
        ("find it expired", |keys, key| assert!(!keys.exists(0, key, 1 << 41))),
    ];
    for (name, change) in ways {
        let mut keys = Keyspace::new(0..SLOTS);
        set(&mut keys, 0, "key", b"7", Some(1 << 40));
        set(&mut keys, 0, "second", b"second", None);
        let digest = keys.digest();
        let saved = save(&mut keys, 1, |keys, step| {
            if step == 0 {
                change(keys, &Key::new(b"key"));
            }
        });
        assert_eq!(saved.awake(0..SLOTS).digest(), digest, "{name}");
        assert_ne!(keys.digest(), digest, "{name}");
    }
}

#[test]
fn nothing_to_save_takes_one_step() {
    let mut keys = Keyspace::new(0..SLOTS);
    keys.begin_save();
    assert!(!keys.save_step(1));
    assert_eq!(keys.take_archives(), []);
    keys.end_save();
}
