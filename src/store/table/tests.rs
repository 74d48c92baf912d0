//! Tables against a map: whatever is done to them, they hold the same, and neither scans nor copies miss or see what they should not.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::base::rng::Rng;
use crate::store::object::{string, string_payload};
use crate::sys::pair::Pair;

fn entry(key: &[u8], value: &[u8]) -> Entry {
    Entry::new(tag_of(hash_key(key)), key, string_payload(value), None, 0)
}

fn put(table: &mut SlotTable, key: &[u8], value: &[u8]) {
    let hash = hash_key(key);
    match table.find_mut(hash, key) {
        Some(found) => found.replace(string_payload(value), None),
        None => table.insert(hash, entry(key, value)),
    }
}

/// What `allocated_bytes` says, with every table asked.
fn walked_bytes<E: Keyed>(table: &SlotTable<E>) -> usize {
    match &table.shape {
        Shape::One(table) => table.allocated_bytes(),
        Shape::Many(directory) => {
            let cells: usize = directory.tables.iter().map(|part| part.table.allocated_bytes()).sum();
            let parts = directory.tables.capacity() * size_of::<Part<E>>();
            let index = directory.index.capacity() * size_of::<u32>();
            size_of::<Directory<E>>() + cells + parts + index
        }
    }
}

fn scan_all(table: &SlotTable, wanted: usize, mut between: impl FnMut(usize)) -> Vec<Vec<u8>> {
    let (mut position, mut keys, mut calls) = (0, Vec::new(), 0);
    loop {
        let next = table.scan(position, wanted, |entry| keys.push(entry.key().to_vec()));
        between(calls);
        calls += 1;
        match next {
            Some(next) => {
                assert!(next > position, "a scan must move on");
                position = next;
            }
            None => return keys,
        }
    }
}

proptest! {
    #[test]
    fn behaves_as_a_map(steps in proptest::collection::vec((0u8..3, 0u16..400, any::<u8>()), 0..800)) {
        let mut table = SlotTable::default();
        let mut oracle = BTreeMap::new();
        for (what, key, value) in steps {
            let key = key.to_string().into_bytes();
            match what {
                0 | 1 => {
                    put(&mut table, &key, &[value]);
                    oracle.insert(key, vec![value]);
                }
                _ => {
                    let removed = table.remove(hash_key(&key), &key);
                    prop_assert_eq!(removed.is_some(), oracle.remove(&key).is_some());
                }
            }
            prop_assert_eq!(table.len(), oracle.len());
        }
        let found: BTreeMap<Vec<u8>, Vec<u8>> = table
            .iter()
            .map(|entry| (entry.key().to_vec(), string(entry).expect("a string").to_vec()))
            .collect();
        prop_assert_eq!(&found, &oracle);
        for wanted in [1, 10, 1000] {
            let mut scanned = scan_all(&table, wanted, |_| ());
            scanned.sort();
            prop_assert_eq!(scanned, oracle.keys().cloned().collect::<Vec<_>>());
        }
    }
}

#[test]
fn splits_alone_and_finds_everything_afterwards() {
    let mut table = SlotTable::default();
    let keys: Vec<Vec<u8>> = (0..50_000).map(|i| format!("{{tag}}:{i}").into_bytes()).collect();
    for (i, key) in keys.iter().enumerate() {
        put(&mut table, key, i.to_string().as_bytes());
    }
    assert!(matches!(&table.shape, Shape::Many(directory) if directory.tables.len() > 30));
    assert_eq!(table.len(), keys.len());
    for (i, key) in keys.iter().enumerate() {
        let found = table.find(hash_key(key), key).and_then(string).expect("a string");
        assert_eq!(found.integer(), Some(i as i64));
    }
    let mut scanned = scan_all(&table, 100, |_| ());
    scanned.sort();
    let mut expected = keys.clone();
    expected.sort();
    assert_eq!(scanned, expected);
    let all: Vec<&[u8]> = table.iter().map(Entry::key).collect();
    for skipped in [0, 1, 1000, 25_000, 49_999, 50_000, 60_000] {
        let rest: Vec<&[u8]> = table.iter_from(skipped).map(Entry::key).collect();
        assert_eq!(rest, all[skipped.min(all.len())..]);
    }
    assert_eq!(table.allocated_bytes(), walked_bytes(&table));
    for key in &keys {
        assert!(table.remove(hash_key(key), key).is_some());
    }
    assert!(matches!(&table.shape, Shape::One(cells) if cells.allocated_bytes() == 0));
}

#[test]
fn a_slot_is_given_up_in_parts() {
    for count in [0, 1, TABLE_ENTRIES_MAX, 10 * TABLE_ENTRIES_MAX] {
        let mut table = SlotTable::default();
        for i in 0..count {
            put(&mut table, i.to_string().as_bytes(), b"v");
        }
        let mut left = count;
        while let Some(freed) = table.free_table() {
            assert!(freed <= TABLE_ENTRIES_MAX, "{freed} entries at once");
            left -= freed;
            assert_eq!(table.len(), left);
        }
        assert_eq!(left, 0);
        assert!(table.free_table().is_none());
    }
}

#[test]
fn a_scan_misses_nothing_while_the_slot_splits() {
    let mut table = SlotTable::default();
    let stay: Vec<Vec<u8>> = (0..3000).map(|i| format!("stay{i}").into_bytes()).collect();
    for key in &stay {
        put(&mut table, key, b"v");
    }
    let (mut position, mut seen, mut added) = (Some(0), std::collections::BTreeSet::new(), 0);
    while let Some(from) = position {
        position = table.scan(from, 50, |entry| {
            seen.insert(entry.key().to_vec());
        });
        for _ in 0..300 {
            put(&mut table, format!("new{added}").as_bytes(), b"v");
            added += 1;
        }
    }
    assert!(stay.iter().all(|key| seen.contains(key)));
}

#[test]
fn neither_of_two_copies_sees_what_becomes_of_the_other() {
    for count in [100u32, 30_000] {
        let keys: Vec<Vec<u8>> = (0..count).map(|i| i.to_string().into_bytes()).collect();
        let mut table = SlotTable::default();
        keys.iter().for_each(|key| put(&mut table, key, b"first"));
        let mut copy = table.clone();
        assert_eq!(table.is_split(), count > 10_000);
        let mut rng = Rng::new(11);
        for i in 0..count / 2 {
            let key = &keys[rng.below(u64::from(count)) as usize];
            match rng.below(3) {
                0 => put(&mut table, key, b"second"),
                1 => drop(table.remove(hash_key(key), key)),
                _ => put(&mut table, format!("new {i}").as_bytes(), b"second"),
            }
        }
        assert_eq!(copy.len(), keys.len());
        for key in &keys {
            let found = copy.find(hash_key(key), key).and_then(string).expect("a string");
            assert_eq!(found.to_vec(), b"first");
        }
        let left: BTreeMap<Vec<u8>, Vec<u8>> = table
            .iter()
            .map(|entry| (entry.key().to_vec(), string(entry).expect("a string").to_vec()))
            .collect();
        keys.iter().for_each(|key| drop(copy.remove(hash_key(key), key)));
        assert_eq!(copy.allocated_bytes(), 0);
        assert!(left.len() == table.len() && table.iter().all(|entry| left.contains_key(entry.key())));
        assert_eq!(table.allocated_bytes(), walked_bytes(&table));
    }
}

#[test]
fn what_a_copy_still_has_is_freed_in_no_time() {
    let mut table = SlotTable::default();
    (0..30_000u32).for_each(|i| put(&mut table, i.to_string().as_bytes(), b"v"));
    let copy = table.clone();
    let (mut tables, mut freed) = (0, 0);
    while let Some(count) = table.free_table() {
        (tables, freed) = (tables + 1, freed + count);
    }
    assert!(freed == tables && tables > 10, "{freed} for {tables} tables");
    assert_eq!(copy.iter().count(), 30_000);
}

fn member(i: u32) -> Pair {
    let key = i.to_le_bytes();
    Pair::new(tag_of(hash_key(&key)), &key, b"", None)
}

#[test]
fn a_table_of_many_members_gives_back_what_it_took() {
    const MEMBERS: u32 = 60_000;
    let mut rng = Rng::new(5);
    let mut table = SlotTable::default();
    for i in 0..MEMBERS {
        let pair = member(i);
        table.insert(hash_key(pair.key()), pair);
    }
    let full = table.allocated_bytes();
    assert!(full <= MEMBERS as usize * 13, "{full} bytes of tables for {MEMBERS} entries");
    let mut left = std::collections::BTreeSet::from_iter(0..MEMBERS);
    while let Some(pair) = table.take_random(&mut rng) {
        let i = u32::from_le_bytes(pair.key().try_into().expect("four bytes"));
        assert!(left.remove(&i), "{i} was taken twice");
        assert_eq!(table.len(), left.len());
        if left.len() % 1000 == 0 {
            assert_eq!(table.allocated_bytes(), walked_bytes(&table));
            for i in left.iter().take(100) {
                assert!(table.find(hash_key(&i.to_le_bytes()), &i.to_le_bytes()).is_some());
            }
        }
        if left.len() == MEMBERS as usize / 100 {
            assert!(table.allocated_bytes() <= full / 20, "{} bytes are left", table.allocated_bytes());
        }
    }
    assert!(left.is_empty());
    assert_eq!(table.allocated_bytes(), 0);
}

#[test]
fn a_random_entry_is_any_of_them() {
    let mut rng = Rng::new(9);
    let mut table = SlotTable::default();
    assert!(table.random(&mut rng).is_none());
    for (members, removed) in [(100u32, 0u32), (20_000, 0), (20_000, 19_900)] {
        for i in 0..members {
            let pair = member(i);
            if table.find(hash_key(pair.key()), pair.key()).is_none() {
                table.insert(hash_key(pair.key()), pair);
            }
        }
        // Most of one part of the range: what is left is spread over all tables.
        for i in 0..removed {
            table.remove(hash_key(&i.to_le_bytes()), &i.to_le_bytes());
        }
        // Tenths of the range, which no property of the table favours.
        let mut found = [0u32; 10];
        for _ in 0..20_000 {
            let pair = table.random(&mut rng).expect("it has entries");
            let i = u32::from_le_bytes(pair.key().try_into().expect("four bytes")) - removed;
            found[(i * 10 / (members - removed)) as usize] += 1;
        }
        assert!(found.iter().all(|times| (1800..2200).contains(times)), "{found:?}");
    }
}
