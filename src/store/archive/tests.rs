//! Archives written and read again, the bytes that version 1 has, and bytes that are refused.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::store::collection::Collection;
use crate::store::effect::{End, encode};
use crate::store::intset;
use crate::store::list::List;
use crate::store::listpack;
use crate::store::object::{ValueRef, with_payload};

/// The listpack of these elements.
fn listpack(elements: &[&str]) -> Vec<u8> {
    let mut bytes = listpack::empty();
    elements.iter().for_each(|element| {
        listpack::push_back(&mut bytes, Element::Bytes(element.as_bytes()));
    });
    bytes
}

fn entry(key: &[u8], value: Payload<'_, Value>, expire_at_ms: Option<i64>, clock: u32) -> Entry {
    Entry::new(0, key, value, expire_at_ms, clock)
}

fn encoded(effects: &[Effect<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    effects.iter().for_each(|effect| encode(0, effect, &mut bytes));
    bytes
}

/// What is read, as text.
fn shown(bytes: &[u8]) -> Result<Vec<String>, BadArchive> {
    let one = |item: Item<'_>| {
        let key = item.key.escape_ascii();
        let expiry = item.expire_at_ms.map_or(String::new(), |at_ms| format!("@{at_ms}"));
        let clock = item.clock;
        match item.content {
            Content::String(value) => format!("{key}{expiry} {clock} string {}", value.escape_ascii()),
            Content::Integer(number) => format!("{key}{expiry} {clock} integer {number}"),
            Content::Packed(packing, bytes) => {
                format!("{key}{expiry} {clock} {packing:?} of {} bytes", bytes.len())
            }
            Content::Effects { kind, bytes, is_first, is_last } => {
                let effects = decode_all(bytes).count();
                format!("{key}{expiry} {clock} {effects} effects {kind:?} {is_first} {is_last}")
            }
        }
    };
    Ok(read(bytes)?.map(one).collect())
}

/// An archive with an entry of each form.
fn of_each_form() -> Archive {
    let mut archive = Archive::new();
    let mut push = |entry: Entry| assert!(archive.push_entry(&entry));
    push(entry(b"text", Payload::Bytes(b"value"), None, 1));
    push(entry(b"number", Payload::Integer(-2), Some(1_700_000_000_000), 2));
    push(entry(b"list", Payload::Packed(Packing::List as u8, &listpack(&["a", "1"])), None, 3));
    push(entry(b"hash", Payload::Packed(Packing::Hash as u8, &listpack(&["f", "v"])), Some(-1), 4));
    let mut numbers = intset::empty();
    intset::insert(&mut numbers, 300);
    push(entry(b"numbers", Payload::Packed(Packing::IntegerSet as u8, &numbers), None, 5));
    push(entry(b"set", Payload::Packed(Packing::Set as u8, &listpack(&["m"])), None, 6));
    push(entry(b"zset", Payload::Packed(Packing::SortedSet as u8, &listpack(&["m", "1.5"])), None, 7));
    push(entry(b"", Payload::Bytes(b""), None, u32::MAX));
    let (key, end) = (&b"long"[..], End::Right);
    let first = encoded(&[Effect::ListPush { key, end, element: b"x" }]);
    let last = encoded(&[
        Effect::ListPush { key, end, element: b"y" },
        Effect::ListPush { key, end, element: b"z" },
    ]);
    archive.push_effects(key, Some(9), 8, true, false, &first);
    archive.push_effects(key, Some(9), 8, false, true, &last);
    archive
}

#[test]
fn every_form_comes_back() {
    let mut archive = of_each_form();
    assert_eq!((archive.keys(), archive.volatile()), (9, 3));
    let expected_bytes = archive.bytes();
    let bytes = archive.finish();
    assert_eq!(bytes.len(), expected_bytes);
    assert_eq!(
        shown(&bytes).expect("what was written can be read"),
        [
            "text 1 string value",
            "number@1700000000000 2 integer -2",
            "list 3 List of 12 bytes",
            "hash@-1 4 Hash of 13 bytes",
            "numbers 5 IntegerSet of 10 bytes",
            "set 6 Set of 10 bytes",
            "zset 7 SortedSet of 15 bytes",
            " 4294967295 string ",
            "long@9 8 1 effects Some(List) true false",
            "long@9 8 2 effects Some(List) false true",
        ]
    );
    assert!(archive.is_empty());
    assert_eq!((archive.keys(), archive.volatile()), (0, 0));
    assert_eq!(shown(&archive.finish()), Ok(vec![]));
}

#[test]
fn large_values_go_as_bytes_or_are_left_to_effects() {
    let mut archive = Archive::new();
    let long = vec![b'x'; INLINE_STRING_BYTES_MAX + 1];
    with_payload(Value::String(long.clone()), |payload| {
        assert!(archive.push_entry(&entry(b"k", payload, None, 0)));
    });
    let elements: Vec<String> = (0..INLINE_PACKED_BYTES_MAX).map(|n| n.to_string()).collect();
    let pack = listpack(&elements.iter().map(String::as_str).collect::<Vec<_>>());
    with_payload(Value::from_packed(Packing::List, pack.clone()), |payload| {
        assert!(archive.push_entry(&entry(b"l", payload, None, 0)));
    });
    let stream = Value::Stream(Box::default());
    with_payload(stream, |payload| {
        assert!(!archive.push_entry(&entry(b"s", payload, None, 0)));
    });
    let bytes = archive.finish();
    let items: Vec<Item<'_>> = read(&bytes).expect("two entries").collect();
    assert_eq!(items[0].content, Content::String(&long));
    assert_eq!(items[1].content, Content::Packed(Packing::List, &pack));
    assert_eq!(items.len(), 2);
    let Some(Payload::Boxed(value)) = items[1].payload() else { panic!("too long to stand beside its key") };
    assert_eq!(*value, Value::List(List::from_packed(Packing::List, pack)));
}

/// The bytes of version 1. A change here is a new version of the snapshot.
#[test]
fn the_bytes_of_version_1_stay() {
    let bytes = of_each_form().finish();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, include_str!("version_1.hex").replace('\n', ""));
}

fn part(entries: &[(u8, u8, u32, u32)], expiries: &[i64], bytes: &[u8]) -> Vec<u8> {
    let entry = |&(form, flags, key_bytes, value_bytes): &(u8, u8, u32, u32)| Fixed {
        form,
        flags,
        clock: 0,
        key_bytes,
        value_bytes,
    };
    let entries = entries.iter().map(entry).collect();
    let index = Index { entries, expiries: expiries.to_vec(), bytes: bytes.len() as u64 };
    rkyv::api::high::to_bytes_in::<_, Failure>(&index, bytes.to_vec()).expect("plain data")
}

#[track_caller]
fn check_refused(bytes: &[u8], why: &str) {
    let found = shown(bytes).expect_err("it cannot be read").to_string();
    assert!(found.contains(why), "{found}");
}

#[test]
fn what_does_not_add_up_is_refused() {
    use form::*;
    let whole = flag::FIRST | flag::LAST;
    assert!(shown(&part(&[(STRING, whole, 1, 2)], &[], b"kvv")).is_ok());
    check_refused(b"", "the bytes are no archive");
    check_refused(&[0xFF; 64], "the bytes are no archive");
    let index = Index { bytes: 1000, ..Index::default() };
    check_refused(&rkyv::to_bytes::<Failure>(&index).expect("plain data"), "fewer bytes than the archive");
    check_refused(&part(&[(STRING, whole, 4, 0)], &[], b"kvv"), "a key is longer than all bytes");
    check_refused(&part(&[(STRING, whole, 1, 3)], &[], b"kvv"), "a value is longer than all bytes");
    check_refused(&part(&[(STRING, whole, u32::MAX, u32::MAX)], &[], b"kvv"), "a key is longer");
    check_refused(&part(&[(STRING, whole, 1, 1)], &[], b"kvv"), "bytes that belong to no key");
    check_refused(&part(&[(STRING, whole, 1, 2)], &[5], b"kvv"), "more expiries than keys");
    check_refused(&part(&[(STRING, whole | flag::EXPIRES, 1, 2)], &[], b"kvv"), "fewer expiries than keys");
    check_refused(&part(&[(0, whole, 1, 2)], &[], b"kvv"), "a form that this version does not know");
    check_refused(&part(&[(9, whole, 1, 2)], &[], b"kvv"), "a form that this version does not know");
    check_refused(&part(&[(STRING, whole | 8, 1, 2)], &[], b"kvv"), "flags that this version does not know");
    check_refused(&part(&[(INTEGER, whole, 1, 2)], &[], b"kvv"), "a number has other than eight bytes");
}

#[test]
fn values_that_their_type_could_not_read_are_refused() {
    let value = |form, value: &[u8]| {
        part(&[(form, flag::FIRST | flag::LAST, 1, value.len() as u32)], &[], &[b"k", value].concat())
    };
    check_refused(&value(form::LIST, b"vv"), "listpack shorter than its header");
    check_refused(&value(form::LIST, &listpack(&[])), "a collection without elements");
    check_refused(&value(form::INTEGER_SET, &intset::empty()), "a set without members");
    check_refused(&value(form::INTEGER_SET, b"vv"), "intset shorter than its header");
    check_refused(&value(form::HASH, &listpack(&["f"])), "a field that has no value");
    check_refused(&value(form::SORTED_SET, &listpack(&["m"])), "a member that has no score");
    check_refused(&value(form::SORTED_SET, &listpack(&["m", "x"])), "a score that is no number");
    check_refused(&value(form::SORTED_SET, &listpack(&["m", "nan"])), "a score that is no number");
    check_refused(&value(form::SORTED_SET, &listpack(&["m", "2", "n", "1"])), "not in order");
    check_refused(&value(form::EFFECTS, &[0xFF]), "cannot be read");
    let effects = |effects: &[Effect<'_>]| value(form::EFFECTS, &encoded(effects));
    check_refused(&effects(&[Effect::Flush]), "concerns another key");
    check_refused(&effects(&[Effect::SetAdd { key: b"other", member: b"m" }]), "concerns another key");
    check_refused(&effects(&[Effect::Delete { key: b"k" }]), "adds nothing");
    check_refused(
        &effects(&[
            Effect::SetAdd { key: b"k", member: b"m" },
            Effect::HashSet { key: b"k", field: b"f", value: b"v", expire_at_ms: None },
        ]),
        "adds nothing to a value of its type",
    );
    check_refused(
        &effects(&[Effect::SetRange { key: b"k", offset: usize::MAX, bytes: b"v" }]),
        "adds nothing",
    );
}

/// Uses everything that was read as the keyspace would.
fn use_all(items: Items<'_>) {
    for item in items {
        match item.payload() {
            Some(payload) => {
                let entry = entry(item.key, payload, item.expire_at_ms, item.clock);
                ValueRef::of(&entry)
                    .effects(item.key, &mut |effect| assert_eq!(effect.key(), Some(item.key)));
            }
            None => {
                let Content::Effects { bytes, .. } = item.content else {
                    panic!("only effects have no payload")
                };
                assert!(decode_all(bytes).all(|effect| effect.is_ok()));
            }
        }
    }
}

fn any_payload() -> impl Strategy<Value = Value> {
    prop_oneof![
        vec(any::<u8>(), 0..40).prop_map(Value::String),
        any::<i64>().prop_map(|number| Value::String(number.to_string().into())),
        vec("[a-c]{0,3}|[0-9]{1,5}", 1..60).prop_map(|elements| {
            let pack = listpack(&elements.iter().map(String::as_str).collect::<Vec<_>>());
            Value::from_packed(Packing::List, pack)
        }),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        values in vec((vec(any::<u8>(), 0..20), any_payload(), any::<Option<i64>>(), any::<u32>()), 0..40),
    ) {
        let mut archive = Archive::new();
        let mut entries = Vec::new();
        for (key, value, expire_at_ms, clock) in values {
            with_payload(value, |payload| entries.push(entry(&key, payload, expire_at_ms, clock)));
        }
        entries.iter().for_each(|entry| assert!(archive.push_entry(entry)));
        prop_assert_eq!(archive.keys() as usize, entries.len());
        let expected_bytes = archive.bytes();
        let bytes = archive.finish();
        prop_assert_eq!(bytes.len(), expected_bytes);
        let items = read(&bytes).expect("what was written can be read");
        prop_assert_eq!(items.len(), entries.len());
        for (item, before) in items.zip(&entries) {
            let after = entry(item.key, item.payload().expect("no effects"), item.expire_at_ms, item.clock);
            prop_assert_eq!(after.key(), before.key());
            prop_assert_eq!((after.expire_at_ms(), after.clock()), (before.expire_at_ms(), before.clock()));
            prop_assert_eq!(Value::of(&after), Value::of(before));
        }
    }

    #[test]
    fn damaged_bytes_are_refused_or_can_be_used(
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        kept in any::<prop::sample::Index>(),
        cuts: bool,
    ) {
        let mut bytes = of_each_form().finish();
        for (at, byte) in changes {
            *at.get_mut(&mut bytes) = byte;
        }
        if cuts {
            bytes.truncate(kept.index(bytes.len()));
        }
        if let Ok(items) = read(&bytes) {
            use_all(items);
        }
    }
}
