//! Payloads that Redis wrote, payloads that go there and back, forms that are no longer written, and bytes that are no value.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::store::effect::Effect;
use crate::store::listpack::{self, Item};

/// The value as text: its type and, for each element, what would put it there.
fn shown(value: &Value) -> String {
    let mut elements = Vec::new();
    value.as_ref().effects(b"", &mut |effect| {
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        elements.push(match effect {
            Effect::SetString { value, .. } => text(value),
            Effect::ListPush { element, .. } => text(element),
            Effect::SetAdd { member, .. } => text(member),
            Effect::SortedSetAdd { member, score, .. } => format!("{}={score}", text(member)),
            Effect::HashSet { field, value, expire_at_ms: None, .. } => {
                format!("{}={}", text(field), text(value))
            }
            Effect::HashSet { field, value, expire_at_ms: Some(at_ms), .. } => {
                format!("{}={}@{at_ms}", text(field), text(value))
            }
            Effect::StreamAdd { id, fields, .. } => {
                let fields: Vec<String> = fields.iter().map(|field| text(field)).collect();
                format!("{}-{} {}", id.0, id.1, fields.join(" "))
            }
            Effect::StreamSetId { last_id, entries_added, max_deleted_id, .. } => {
                format!("last {last_id:?} added {entries_added} deleted {max_deleted_id:?}")
            }
            Effect::StreamGroup { group, last_id, entries_read, .. } => {
                format!("group {} {last_id:?} {entries_read:?}", text(group))
            }
            Effect::StreamConsumer { consumer, seen_ms, active_ms, .. } => {
                format!("consumer {} {seen_ms} {active_ms:?}", text(consumer))
            }
            Effect::StreamPending { id, consumer, delivered_ms, deliveries, .. } => {
                format!("pending {id:?} {} {delivered_ms} {deliveries}", text(consumer))
            }
            other => panic!("{other:?} builds nothing"),
        });
    });
    if matches!(value, Value::Set(_) | Value::Hash(_)) {
        elements.sort();
    }
    format!("{}: {}", value.as_ref().kind().name(), elements.join(", "))
}

fn decoded(payload: &[u8]) -> Result<Value, DecodeError> {
    decode(payload, &EncodingLimits::default())
}

/// Form and value, read.
fn read(bytes: &[u8]) -> Result<String, DecodeError> {
    decoded(&sealed(bytes.to_vec(), VERSION_MAX)).map(|value| shown(&value))
}

#[track_caller]
fn check(bytes: &[u8], expected: &str) {
    assert_eq!(read(bytes).as_deref(), Ok(expected));
}

/// A string part, never as an integer nor compressed.
fn part(bytes: &[u8]) -> Vec<u8> {
    let mut out = Output::default();
    out.count(bytes.len());
    [out.bytes, bytes.to_vec()].concat()
}

/// A listpack of these strings.
fn packed<'a>(strings: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut pack = listpack::empty();
    for string in strings {
        listpack::push_back(&mut pack, Item::Bytes(string));
    }
    pack
}

/// What DUMP of Redis 7.0.15 gave, and what was in it.
const OF_REDIS: &[(&[u8], &str)] = &[
    (
        b"\0\xc3\x0b<\x03abca\xe0-\x02\x01bc\x0a\0o`)\xe4\xaf\xd7d\xac",
        "string: abcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabc",
    ),
    (
        b"\x12\x01\x02\x1d\x1d\0\0\0\x06\0\x81a\x02\x01\x01\x85hello\x06\xdf\xfb\x02\xf2p\x11\x01\
        \x04\x80\x01\xff\x0a\x002\xcfJ\xac$\x87\xe5v",
        "list: a, 1, hello, -5, 70000, ",
    ),
    (
        b"\x12\x02\x02\x0d\x0d\0\0\0\x02\0\x81a\x02\x81b\x02\xff\x02\x0c\x0c\0\0\0\x02\0\x81c\x02\
        \x01\x01\xff\x0a\0\xca0\xc7y\x93\xb4\xe2C",
        "list: a, b, c, 1",
    ),
    (
        b"\x12\x03\x02\x0a\x0a\0\0\0\x01\0\x81a\x02\xff\x01\x06longer\x02\x0a\x0a\0\0\0\x01\0\x81b\
        \x02\xff\x0a\0\xfd\x15\x86lG\xd4\x02?",
        "list: a, longer, b",
    ),
    (
        b"\x0b\x14\x04\0\0\0\x03\0\0\0\xfe\xff\xff\xff\x01\0\0\0p\x11\x01\0\x0a\x000R}\xf8\xcc1\x1f;",
        "set: -2, 1, 70000",
    ),
    (b"\x02\x03\xc0\x03\x01a\x01b\x0a\0+\x05I\xa6\x9a\x91\x1e\xf6", "set: 3, a, b"),
    (
        b"\x11!!\0\0\0\x08\0\x81b\x02\x84-inf\x05\x81a\x02\x01\x01\x81c\x02\x831.5\x04\x07\x01\x03\
        \x01\xff\x0a\0g\xb0\xb5\x04\x0d\x7f\x1a\x13",
        "zset: b=-inf, a=1, c=1.5, 7=3",
    ),
    (
        b"\x05\x03\x01c\0\0\0\0\0\0\xf8?\x01a\0\0\0\0\0\0\xf0?\x01b\0\0\0\0\0\0\xf0\xff\x0a\0\x03\
        \xb3\xe4*\xdb\x17\xa5\xd5",
        "zset: b=-inf, a=1, c=1.5",
    ),
    (
        b"\x10\x11\x11\0\0\0\x04\0\x81f\x02\x81v\x02\x01\x01\x02\x01\xff\x0a\0\x1aM\xf2\x17^\x0b\xff\
        \x9b",
        "hash: 1=2, f=v",
    ),
    (
        b"\x04\x02\x04long\xc3\x092\x01xx\xe0%\0\x01xx\x01f\x01v\x0a\0\xd3\xd1\xae\xc4R=\xe3~",
        "hash: f=v, long=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    ),
    (
        b"\x13\x01\x10\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x01@JJ\0\0\0\x1f\0\x03\x01\x01\x01\x02\x01\
        \x81a\x02\x81b\x02\0\x01\x02\x01\0\x01\0\x01\x01\x01\x02\x01\x05\x01\x03\x01\0\x01\x01\x01\
        \x03\x01\x04\x01\x05\x01\0\x01\x04\x01\xdf\xff\x02\x01\x01\x81c\x02\x05\x01\x06\x01\x02\
        \x01\x05\x01\xdf\xff\x02\x07\x01\x08\x01\x05\x01\xff\x03\x06\0\x01\x01\x01\x02\x04\x02\x01\
        g\x05\0\x81\xff\xff\xff\xff\xff\xff\xff\xff\x02\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x01\x95\
        \x08\xbf\xfe\xa1\x01\0\0\x01\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\0\x95\x08\xbf\xfe\xa1\x01\0\0\
        \x01\x02\x05alice\x95\x08\xbf\xfe\xa1\x01\0\0\x02\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x01\0\0\
        \0\0\0\0\0\x05\0\0\0\0\0\0\0\0\x03bob\x95\x08\xbf\xfe\xa1\x01\0\0\0\x01h\x01\x01\x81\xff\
        \xff\xff\xff\xff\xff\xff\xff\0\0\x0a\0\x9a\xd7\x88m\xc8L\xc7\x01",
        STREAM_SHOWN,
    ),
    (
        b"\x13\0\0\0\0\0\0\0\0\0\x01\x01g\0\0\x81\xff\xff\xff\xff\xff\xff\xff\xff\0\0\x0a\0\xa0\x1a\
        \x95=\xfb\x9c\xdd\xde",
        "stream: last (0, 0) added 0 deleted (0, 0), group g (0, 0) None",
    ),
];

const STREAM_SHOWN: &str = "stream: 1-1 a 1 b 2, 5-0 c 5, 6-0 a 7 b 8, last (6, 0) added 4 deleted (1, 2), \
    group g (5, 0) None, consumer alice 1795275294869 Some(1795275294869), \
    consumer bob 1795275294869 Some(1795275294869), \
    pending (1, 1) alice 1795275294869 1, pending (5, 0) alice 1795275294869 1, group h (1, 1) None";

#[test]
fn reads_what_redis_wrote_and_writes_it_again() {
    for (payload, expected) in OF_REDIS {
        let value = decoded(payload).unwrap_or_else(|why| panic!("{expected}: {why:?}"));
        assert_eq!(shown(&value), *expected);
        let again = encode(value.as_ref());
        let value = decoded(&again).unwrap_or_else(|why| panic!("{expected}: {why:?} in our own"));
        assert_eq!(shown(&value), *expected);
    }
}

#[test]
fn writes_what_redis_writes() {
    // But for what it compresses, orders by a hash table, or puts into nodes of other sizes.
    for (payload, shown) in OF_REDIS {
        let limits = match payload[0] {
            form::STRING | form::HASH | form::SET => continue,
            form::LIST_QUICKLIST_2 if !shown.contains("hello") => continue,
            form::STREAM_LISTPACKS_2 if *shown == STREAM_SHOWN => continue,
            form::SORTED_SET_2 => tight(),
            _ => EncodingLimits::default(),
        };
        let again = encode(decode(payload, &limits).expect("a payload").as_ref());
        assert_eq!(again.escape_ascii().to_string(), payload.escape_ascii().to_string(), "{shown}");
    }
}

#[test]
fn reads_older_forms() {
    check(b"\x01\x03\x01a\xc0\x05\x00", "list: a, 5, ");
    check(b"\x03\x02\x01a\x031.5\x01b\xff", "zset: b=-inf, a=1.5");
    check(&[&b"\x09"[..], &part(b"\x01\x01f\x01\x02v..\xff")].concat(), "hash: f=v");
    let ziplist = b"\x11\0\0\0\x0d\0\0\0\x02\0\0\x01a\x03\xf3\xff";
    let ziplist = &part(&[&(ziplist.len() as u32).to_le_bytes()[..], &ziplist[4..]].concat());
    check(&[&b"\x0a"[..], ziplist].concat(), "list: a, 2");
    check(&[&b"\x0c"[..], ziplist].concat(), "zset: a=2");
    check(&[&b"\x0d"[..], ziplist].concat(), "hash: a=2");
    check(&[&b"\x0e\x02"[..], ziplist, ziplist].concat(), "list: a, 2, a, 2");
    check(&[&b"\x14"[..], &part(&packed([&b"x"[..], b"7"]))].concat(), "set: 7, x");
}

#[test]
fn reads_and_writes_fields_that_expire() {
    let at = 1_700_000_000_000_i64;
    let body = [&[24][..], &at.to_le_bytes(), b"\x02\x00\x01a\x01b\x41\x00\x01c\x01d"].concat();
    check(&body, "hash: a=b, c=d@1700000000255");
    let value = decoded(&sealed(body, 12)).expect("a hash");
    let again = encode(value.as_ref());
    assert_eq!(again[again.len() - FOOTER_BYTES..][..2], [12, 0]);
    assert_eq!(shown(&decoded(&again).expect("our own")), "hash: a=b, c=d@1700000000255");
    let pack = packed([&b"a"[..], b"b", b"0", b"c", b"d", b"1700000000255"]);
    check(&[&[25][..], &at.to_le_bytes(), &part(&pack)].concat(), "hash: a=b, c=d@1700000000255");
    check(&[&[23][..], &part(&pack)].concat(), "hash: a=b, c=d@1700000000255");
    check(b"\x16\x01\x81\0\0\0\0\0\0\0\x05\x01a\x01b", "hash: a=b@5");
    assert_eq!(read(b"\x16\x01\x81\xff\0\0\0\0\0\0\x05\x01a\x01b"), Err(DecodeError::Data));
    assert_eq!(read(&[&[24][..], &[0xFF; 8], b"\x01\x01\x01a\x01b"].concat()), Err(DecodeError::Data));
}

#[test]
fn refuses_payloads_that_changed_or_come_from_the_future() {
    let good = sealed(b"\x00\x01v".to_vec(), 10);
    assert_eq!(decoded(&good), Ok(Value::String(b"v".to_vec())));
    for len in 0..good.len() {
        assert_eq!(decoded(&good[..len]), Err(DecodeError::Footer));
    }
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(decoded(&bad), Err(DecodeError::Footer));
    }
    assert!(decoded(&sealed(b"\x00\x01v".to_vec(), VERSION_MAX)).is_ok());
    assert_eq!(decoded(&sealed(b"\x00\x01v".to_vec(), VERSION_MAX + 1)), Err(DecodeError::Footer));
    assert_eq!(decoded(&sealed(Vec::new(), 10)), Err(DecodeError::Data));
}

#[test]
fn refuses_what_does_not_hold_together() {
    let triple = part(&packed([&b"a"[..], b"1", b"b"]));
    let twice = part(&packed([&b"a"[..], b"1", b"a", b"2"]));
    let empty = part(&listpack::empty());
    for (form, bodies) in [
        (form::STRING, &[&b"\x02v"[..], b"\x01vv", b""][..]),
        (form::LIST, &[b"\0", b"\x02\x01a"]),
        (
            form::LIST_QUICKLIST_2,
            &[b"\0", b"\x01\x03\x01a", &[&b"\x01\x02"[..], &empty].concat(), b"\x01\x02\x01a"],
        ),
        (form::SET, &[b"\0", b"\x02\x01a\x01a", b"\x02\xc0\x01\x011", b"\x7f\xff\x01a"]),
        (form::SET_INTSET, &[b"\x08\x02\0\0\0\0\0\0\0", b"\x0c\x02\0\0\0\x02\0\0\0\x01\0\x01\0"]),
        (form::SET_LISTPACK, &[&empty, &part(&packed([&b"a"[..], b"a"]))]),
        (form::SORTED_SET, &[b"\0", b"\x01\x01a\xfd", b"\x01\x01a\x01x", b"\x02\x01a\x011\x01a\x012"]),
        (form::SORTED_SET_2, &[b"\x01\x01a\0\0\0\0\0\0\xf8\x7f"]),
        (form::SORTED_SET_LISTPACK, &[&empty, &triple, &twice, &part(&packed([&b"a"[..], b"x"]))]),
        (form::HASH, &[b"\0", b"\x02\x01a\x01b\x01a\x01c"]),
        (form::HASH_LISTPACK, &[&empty, &triple, &twice]),
        (form::HASH_LISTPACK_EXPIRING_PRE, &[&empty, &twice, &part(&packed([&b"a"[..], b"1", b"x"]))]),
        (6, &[b"\0"]),
        (7, &[b"\0"]),
        (26, &[b"\0"]),
    ] {
        for body in bodies {
            let bytes = [&[form], *body].concat();
            assert_eq!(read(&bytes), Err(DecodeError::Data), "{}", bytes.escape_ascii());
        }
    }
}

#[test]
fn reads_streams_of_other_versions() {
    let (payload, _) = OF_REDIS.iter().find(|(_, shown)| *shown == STREAM_SHOWN).expect("one is a stream");
    let value = &payload[1..payload.len() - FOOTER_BYTES];
    let entries_end =
        value.windows(8).position(|eight| eight == b"\x03\x06\0\x01\x01\x01\x02\x04").expect("counts");
    let (entries, rest) = value.split_at(entries_end);
    // Before RDB 10: no first id, no largest deleted one, no counts of what was added and read.
    let group = b"\x01\x01g\x06\0\0\x01\x03bob\x05\0\0\0\0\0\0\0\0";
    check(
        &[&[form::STREAM_LISTPACKS][..], entries, b"\x03\x06\0", group].concat(),
        "stream: 1-1 a 1 b 2, 5-0 c 5, 6-0 a 7 b 8, last (6, 0) added 3 deleted (0, 0), \
         group g (6, 0) Some(3), consumer bob 5 Some(5)",
    );
    // Since RDB 11: when a consumer was active, if ever.
    let group = b"\x01\x01g\x06\0\x02\0\x01\x03bob\x05\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\0";
    check(
        &[&[form::STREAM_LISTPACKS_3][..], entries, &rest[..8], group].concat(),
        "stream: 1-1 a 1 b 2, 5-0 c 5, 6-0 a 7 b 8, last (6, 0) added 4 deleted (1, 2), \
         group g (6, 0) Some(2), consumer bob 5 None",
    );
    let refused = |counts: &[u8], groups: &[u8]| {
        let bytes = [&[form::STREAM_LISTPACKS_2][..], entries, counts, groups].concat();
        assert_eq!(read(&bytes), Err(DecodeError::Data), "{}", groups.escape_ascii());
    };
    // Another count, a last id before the last entry.
    refused(b"\x02\x06\0\x01\x01\x01\x02\x04", b"\0");
    refused(b"\x03\x05\0\x01\x01\x01\x02\x04", b"\0");
    let good = b"\x03\x06\0\x01\x01\x01\x02\x04";
    // Two groups of one name, two consumers of one name, something pending for nobody, and for somebody but not in the group.
    refused(good, b"\x02\x01g\0\0\0\0\0\x01g\0\0\0\0\0");
    refused(good, b"\x01\x01g\0\0\0\0\x02\x01c\0\0\0\0\0\0\0\0\0\x01c\0\0\0\0\0\0\0\0\0");
    refused(good, &[&b"\x01\x01g\0\0\0\x01"[..], &[0; 15], &[1], &[0; 8], b"\x01\0"].concat());
    refused(good, &[&b"\x01\x01g\0\0\0\0\x01\x01c"[..], &[0; 8], b"\x01", &[0; 15], &[1]].concat());
}

/// The limits under which small values leave their packed forms.
fn tight() -> EncodingLimits {
    EncodingLimits {
        hash_entries_max: 2,
        set_entries_max: 2,
        set_integers_max: 2,
        sorted_set_entries_max: 2,
        list_node_size: 2,
        ..EncodingLimits::default()
    }
}

fn strings() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(0..3u8, 0..40), vec(any::<u8>(), 0..8), "[0-9]{1,4}".prop_map(String::into_bytes)]
}

/// One body for each form that is a plain count of elements.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let form = prop::sample::select(vec![form::LIST, form::SET, form::HASH, form::SORTED_SET_2]);
    (form, prop::collection::btree_map(strings(), (strings(), -1e9..1e9f64), 1..12)).prop_map(
        |(form, elements)| {
            let mut out = Output::default();
            out.bytes.push(form);
            out.count(elements.len());
            for (string, (value, score)) in &elements {
                out.string(string);
                match form {
                    form::HASH => out.string(value),
                    form::SORTED_SET_2 => out.double(*score),
                    _ => {}
                }
            }
            out.bytes
        },
    )
}

proptest! {
    #[test]
    fn values_come_back_whatever_their_form(body in bodies()) {
        let payload = sealed(body, 10);
        let packed = decoded(&payload).expect("a value");
        let spread = decode(&payload, &tight()).expect("the same");
        prop_assert_eq!(shown(&packed), shown(&spread));
        for value in [&packed, &spread] {
            let again = encode(value.as_ref());
            prop_assert_eq!(shown(&decoded(&again).expect("our own")), shown(&packed));
            prop_assert_eq!(shown(&decode(&again, &tight()).expect("our own")), shown(&packed));
        }
    }

    #[test]
    fn survives_any_bytes(form in 0..27u8, body in vec(any::<u8>(), 0..80)) {
        let bytes = [&[form][..], &body].concat();
        if let Ok(value) = decoded(&sealed(bytes, 10)) {
            prop_assert!(decoded(&encode(value.as_ref())).is_ok());
        }
    }

    #[test]
    fn survives_flipped_bits(
        which in 0..OF_REDIS.len(), bits in vec(any::<prop::sample::Index>(), 1..4), form in any::<Option<u8>>(),
    ) {
        let payload = OF_REDIS[which].0;
        let mut bytes = payload[..payload.len() - FOOTER_BYTES].to_vec();
        if let Some(form) = form {
            bytes[0] = form % 26;
        }
        for bit in bits {
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        if let Ok(value) = decoded(&sealed(bytes, 10)) {
            prop_assert!(decoded(&encode(value.as_ref())).is_ok());
        }
    }
}
