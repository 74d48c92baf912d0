//! Listpacks against the format's document by hand, against a plain vector of strings, and against bytes that are none.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn listpack(values: &[&[u8]]) -> Vec<u8> {
    let mut bytes = empty();
    for value in values {
        push_back(&mut bytes, Item::Bytes(value));
    }
    bytes
}

fn texts<'a>(items: impl Iterator<Item = Item<'a>>) -> Vec<Vec<u8>> {
    items.map(Item::to_vec).collect()
}

/// What the format's document gives for a value, by hand: encoding and data, backlen.
#[rustfmt::skip]
const GOLDEN: &[(&[u8], &[u8], &[u8])] = &[
    (b"0",                    b"\x00",                                 b"\x01"),
    (b"127",                  b"\x7f",                                 b"\x01"),
    (b"128",                  b"\xc0\x80",                             b"\x02"),
    (b"4095",                 b"\xcf\xff",                             b"\x02"),
    (b"-1",                   b"\xdf\xff",                             b"\x02"),
    (b"-4096",                b"\xd0\x00",                             b"\x02"),
    (b"4096",                 b"\xf1\x00\x10",                         b"\x03"),
    (b"-4097",                b"\xf1\xff\xef",                         b"\x03"),
    (b"32767",                b"\xf1\xff\x7f",                         b"\x03"),
    (b"-32768",               b"\xf1\x00\x80",                         b"\x03"),
    (b"32768",                b"\xf2\x00\x80\x00",                     b"\x04"),
    (b"-32769",               b"\xf2\xff\x7f\xff",                     b"\x04"),
    (b"8388607",              b"\xf2\xff\xff\x7f",                     b"\x04"),
    (b"-8388608",             b"\xf2\x00\x00\x80",                     b"\x04"),
    (b"8388608",              b"\xf3\x00\x00\x80\x00",                 b"\x05"),
    (b"-8388609",             b"\xf3\xff\xff\x7f\xff",                 b"\x05"),
    (b"2147483647",           b"\xf3\xff\xff\xff\x7f",                 b"\x05"),
    (b"-2147483648",          b"\xf3\x00\x00\x00\x80",                 b"\x05"),
    (b"2147483648",           b"\xf4\x00\x00\x00\x80\x00\x00\x00\x00", b"\x09"),
    (b"9223372036854775807",  b"\xf4\xff\xff\xff\xff\xff\xff\xff\x7f", b"\x09"),
    (b"-9223372036854775808", b"\xf4\x00\x00\x00\x00\x00\x00\x00\x80", b"\x09"),
    (b"",                     b"\x80",                                 b"\x01"),
    (b"hello",                b"\x85hello",                            b"\x06"),
    // Integers to the eye only.
    (b"-0",                   b"\x82-0",                               b"\x03"),
    (b"007",                  b"\x83007",                              b"\x04"),
    (b"+1",                   b"\x82+1",                               b"\x03"),
    (b"9223372036854775808",  b"\x939223372036854775808",              b"\x14"),
];

#[test]
fn golden_elements() {
    let mut all = Vec::new();
    for &(value, encoded, backlen) in GOLDEN {
        all.extend_from_slice(encoded);
        all.extend_from_slice(backlen);
        let bytes = listpack(&[value]);
        assert_eq!(bytes[HEADER..bytes.len() - 1], [encoded, backlen].concat(), "{}", value.escape_ascii());
    }
    let bytes = listpack(&GOLDEN.iter().map(|row| row.0).collect::<Vec<_>>());
    assert_eq!(bytes[HEADER..], [&all[..], b"\xff"].concat());
    assert_eq!(bytes[..HEADER], [(all.len() + 7) as u8, 0, 0, 0, 27, 0]);
}

#[test]
fn golden_listpacks() {
    assert_eq!(empty(), b"\x07\0\0\0\0\0\xff");
    assert_eq!(listpack(&[b"a", b"", b"-1"]), b"\x0f\0\0\0\x03\0\x81a\x02\x80\x01\xdf\xff\x02\xff");
}

#[test]
fn golden_long_strings() {
    for (len, head, backlen) in [
        (63, &b"\xbf"[..], &b"\x40"[..]),
        (64, b"\xe0\x40", b"\x42"),
        (125, b"\xe0\x7d", b"\x7f"),
        (126, b"\xe0\x7e", b"\x01\x80"),
        (4095, b"\xef\xff", b"\x20\x81"),
        (4096, b"\xf0\x00\x10\x00\x00", b"\x20\x85"),
        (16_377, b"\xf0\xf9\x3f\x00\x00", b"\x7f\xfe"),
        // A span of 16,383 would fit two bytes of backlen.
        (16_378, b"\xf0\xfa\x3f\x00\x00", b"\x00\xff\xff"),
        (16_379, b"\xf0\xfb\x3f\x00\x00", b"\x01\x80\x80"),
        (2_097_146, b"\xf0\xfa\xff\x1f\x00", b"\x00\xff\xff\xff"),
    ] {
        let value = vec![b'x'; len];
        let bytes = listpack(&[&value]);
        assert_eq!(bytes[HEADER..bytes.len() - 1], [head, &value, backlen].concat(), "{len}");
        let pack = Listpack::checked(&bytes).expect("valid");
        assert!(pack.last() == Some(HEADER) && pack.get(-1) == Some(Item::Bytes(&value)));
    }
    for (span, written) in [
        (0xFFF_FFFE, &b"\x7f\xff\xff\xfe"[..]),
        (0xFFF_FFFF, b"\x00\xff\xff\xff\xff"),
        (0xFFFF_FFFF, b"\x0f\xff\xff\xff\xff"),
    ] {
        let (bytes, unused) = backlen(span);
        assert_eq!(&bytes[unused..], written, "{span}");
    }
}

#[test]
fn counts_by_walking_once_the_header_cannot() {
    let mut bytes = empty();
    for number in 0..65_534 {
        push_back(&mut bytes, Item::Integer(number));
    }
    assert_eq!(bytes[COUNT], [0xFE, 0xFF]);
    for number in 65_534..65_537 {
        push_back(&mut bytes, Item::Integer(number));
        let pack = Listpack::checked(&bytes).expect("valid");
        assert_eq!((&bytes[COUNT], pack.len() as i64), (&[0xFF, 0xFF][..], number + 1));
        for index in [0, 1, number - 1, number] {
            assert_eq!(pack.get(index), Some(Item::Integer(index)));
            assert_eq!(pack.get(index - number - 1), Some(Item::Integer(index)));
        }
        assert!(pack.get(number + 1).is_none() && pack.get(-number - 2).is_none());
    }
    let half = bytes.clone();
    append(&mut bytes, Listpack::new(&half));
    assert_eq!(Listpack::checked(&bytes).map(Listpack::len), Ok(2 * 65_537));
    assert_eq!(
        remove_range(&mut bytes, HEADER, 2 * 65_537 - 3).map(|at| Listpack::new(&bytes).item(at)),
        Some(Item::Integer(65_534))
    );
    assert_eq!((Listpack::checked(&bytes).map(Listpack::len), &bytes[COUNT]), (Ok(3), &[0xFF, 0xFF][..]));
}

#[test]
fn finds_fields_and_not_values() {
    let bytes = listpack(&[b"a", b"b", b"b", b"12", b"12", b"a"]);
    let pack = Listpack::new(&bytes);
    let index_of = |wanted: &[u8], stride| {
        let at = pack.find(HEADER, wanted, stride)?;
        (0..6).find(|&index| pack.seek(index) == Some(at))
    };
    assert_eq!([index_of(b"b", 1), index_of(b"b", 2)], [Some(1), Some(2)]);
    assert_eq!([index_of(b"12", 1), index_of(b"12", 2)], [Some(3), Some(4)]);
    assert_eq!([index_of(b"a", 3), index_of(b"12", 5), index_of(b"a", 7)], [Some(0), None, Some(0)]);
    assert_eq!(pack.find(HEADER, b"012", 1), None);
    assert_eq!(pack.find(pack.seek(1).expect("there"), b"a", 2), pack.last());
}

/// Wider than needed, and an integer spelled as bytes: Redis reads them, so they are read.
#[test]
fn reads_encodings_that_it_would_not_write() {
    let bytes = b"\x15\0\0\0\x03\0\xf1\x05\0\x03\x8212\x03\xf0\x01\0\0\0a\x06\xff";
    let bytes = &[&[bytes.len() as u8], &bytes[1..]].concat();
    let pack = Listpack::checked(bytes).expect("valid");
    assert_eq!(texts(pack.iter()), [&b"5"[..], b"12", b"a"]);
    assert!([&b"5"[..], b"12", b"a"].iter().all(|value| pack.find(HEADER, value, 1).is_some()));
    assert_eq!(pack.get(1).and_then(Item::integer), Some(12));
}

#[test]
fn refuses_what_is_not_a_listpack() {
    for (bytes, why) in [
        (&b""[..], "listpack shorter than its header"),
        (b"\x05\0\0\0\0", "listpack shorter than its header"),
        (b"\x06\0\0\0\0\0", "listpack without its terminator"),
        (b"\x07\0\0\0\0\0\xfe", "listpack without its terminator"),
        (b"\x08\0\0\0\0\0\xff", "listpack of another length than its header says"),
        (b"\x09\0\0\0\0\0\x01\x01\xff", "listpack of another count than its header says"),
        (b"\x09\0\0\0\x01\0\x01\x02\xff", "listpack with a wrong backlen"),
        (b"\x08\0\0\0\x01\0\x01\xff", "listpack with a wrong backlen"),
        (b"\x0b\0\0\0\x01\0\xf1\x05\0\x83\xff", "listpack with a wrong backlen"),
        (b"\x09\0\0\0\x01\0\x82a\xff", "listpack with an element that is cut off or of no known encoding"),
        (b"\x09\0\0\0\x01\0\xf5\x01\xff", "listpack with an element that is cut off or of no known encoding"),
        (b"\x08\0\0\0\0\0\xff\xff", "listpack with an element that is cut off or of no known encoding"),
    ] {
        assert_eq!(Listpack::checked(bytes), Err(why), "{}", bytes.escape_ascii());
    }
}

/// Reads everything that can be read, and changes what can be changed.
fn use_all(bytes: &[u8]) {
    let pack = Listpack::checked(bytes).expect("the caller checked");
    let values = texts(pack.iter());
    let mut backward = texts(pack.iter().rev());
    backward.reverse();
    assert_eq!(values, backward);
    assert_eq!(values.len(), pack.len());
    for (index, value) in (0..).zip(&values) {
        let at = pack.seek(index).expect("there");
        assert!(pack.find(HEADER, value, 1).is_some_and(|found| found <= at));
        for change in [replace, insert_before, insert_after] {
            let mut changed = bytes.to_vec();
            let new = change(&mut changed, at, Item::Bytes(b"new"));
            assert_eq!(Listpack::checked(&changed).map(|pack| pack.item(new)), Ok(Item::Bytes(b"new")));
        }
        let mut changed = bytes.to_vec();
        remove(&mut changed, at);
        assert!(Listpack::checked(&changed).is_ok());
    }
}

#[test]
fn survives_truncation_and_bit_flips() {
    let long = [b'x'; 130];
    let bytes = listpack(&[b"field", b"1", b"200", b"-70000", &long, b"", b"3000000000", b"end"]);
    for len in 0..bytes.len() {
        assert!(Listpack::checked(&bytes[..len]).is_err());
        // And with a header that agrees.
        let mut cut = [&bytes[..len], b"\xff"].concat();
        let total = cut.len() as u32;
        if len >= HEADER {
            cut[..4].copy_from_slice(&total.to_le_bytes());
            cut[COUNT].fill(0xFF);
        }
        if Listpack::checked(&cut).is_ok() {
            use_all(&cut);
        }
    }
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if Listpack::checked(&flipped).is_ok() {
            use_all(&flipped);
        }
    }
}

/// Strings and integers of every encoding, most of them short and some of them equal.
fn values() -> impl Strategy<Value = Vec<u8>> {
    let len = prop_oneof![
        10 => 0..5usize,
        4 => 60..68usize,
        2 => 120..130usize,
        1 => 4090..4102usize,
        1 => 16_375..16_381usize,
    ];
    prop_oneof![
        2 => (len, b'a'..b'd').prop_map(|(len, byte)| vec![byte; len]),
        2 => (any::<i64>(), 0..64u32)
            .prop_map(|(bits, shift): (i64, u32)| (bits >> shift).to_string().into_bytes()),
        1 => "[-+]?[0-9]{0,21}".prop_map(String::into_bytes),
    ]
}

/// The position of the element with this index, if there is one.
fn position(bytes: &[u8], index: usize) -> Option<usize> {
    Listpack::new(bytes).seek(index as i64)
}

proptest! {
    #[test]
    fn behaves_as_a_list(steps in vec((0..9u8, any::<prop::sample::Index>(), values()), 0..60)) {
        let mut bytes = empty();
        let mut oracle: Vec<Vec<u8>> = Vec::new();
        for (what, index, value) in steps {
            let item = Item::Bytes(&value);
            let index = index.index(oracle.len().max(1));
            let (at, new) = match (position(&bytes, index), what) {
                (_, 0) => (push_front(&mut bytes, item), 0),
                (Some(at), 1) => (insert_before(&mut bytes, at, item), index),
                (Some(at), 2) => (insert_after(&mut bytes, at, item), index + 1),
                (Some(at), 3) => {
                    oracle.remove(index);
                    (replace(&mut bytes, at, item), index)
                }
                (Some(at), 4..=6) => {
                    let count = match what { 4 => 1, 5 => index / 2, _ => value.len() % 4 };
                    let behind = match what {
                        4 => remove(&mut bytes, at),
                        _ => remove_range(&mut bytes, at, count),
                    };
                    oracle.drain(index..oracle.len().min(index + count));
                    prop_assert_eq!(behind, position(&bytes, index));
                    continue;
                }
                (_, 7) => {
                    let other = listpack(&[&value, b"1", b"z"]);
                    let came = append(&mut bytes, Listpack::new(&other));
                    prop_assert_eq!(came, position(&bytes, oracle.len()));
                    oracle.extend([value, b"1".to_vec(), b"z".to_vec()]);
                    continue;
                }
                _ => (push_back(&mut bytes, item), oracle.len()),
            };
            prop_assert_eq!(Some(at), position(&bytes, new));
            oracle.insert(new, value);
            let kept = bytes.len().max(KEPT_BYTES_MAX).max(bytes.len() / 3 * 4 + 4);
            prop_assert!(bytes.capacity() <= kept, "{} bytes for {}", bytes.capacity(), bytes.len());
        }

        let pack = Listpack::checked(&bytes).expect("always valid");
        prop_assert_eq!(texts(pack.iter()), &oracle[..]);
        prop_assert_eq!((pack.len(), pack.is_empty()), (oracle.len(), oracle.is_empty()));
        // There is one way to write a list, whatever the way to it.
        prop_assert_eq!(&bytes, &listpack(&oracle.iter().map(Vec::as_slice).collect::<Vec<_>>()));

        let reversed: Vec<Vec<u8>> = oracle.iter().rev().cloned().collect();
        prop_assert_eq!(texts(pack.iter().rev()), &reversed[..]);
        let (mut at, mut back) = (pack.first(), pack.last());
        for (index, value) in oracle.iter().enumerate() {
            let from_end = index as i64 - oracle.len() as i64;
            prop_assert_eq!([pack.seek(index as i64), pack.seek(from_end)], [at, at]);
            prop_assert!(pack.get(from_end).is_some_and(|item| item.to_vec() == *value));
            let here = at.expect("as many positions as values");
            prop_assert_eq!(texts(pack.iter_from(here)), &oracle[index..]);
            prop_assert_eq!(texts(pack.iter_through(here).rev()), &reversed[oracle.len() - 1 - index..]);
            prop_assert!(back.is_some_and(|at| pack.item(at).to_vec() == reversed[index]));
            for stride in 1..4 {
                let found = (0..oracle.len()).step_by(stride).find(|&other| &oracle[other] == value);
                let found = found.and_then(|found| position(&bytes, found));
                prop_assert_eq!(pack.find(HEADER, value, stride), found);
            }
            at = pack.next(here);
            back = back.and_then(|at| pack.previous(at));
        }
        prop_assert_eq!([at, back], [None, None]);
        for index in [oracle.len() as i64, -1 - oracle.len() as i64, i64::MIN, i64::MAX] {
            prop_assert_eq!(pack.seek(index), None);
        }
        prop_assert_eq!(pack.find(HEADER, b"not there", 1), None);
    }

    #[test]
    fn survives_any_bytes_behind_a_header_that_fits(elements in vec(any::<u8>(), 0..24)) {
        let mut bytes = [&[elements.len() as u8 + 7, 0, 0, 0, 0xFF, 0xFF], &elements[..], &[END]].concat();
        if Listpack::checked(&bytes).is_ok() {
            use_all(&bytes);
        }
        // Backlens that fit, so that more of them pass.
        bytes.truncate(HEADER);
        for encoded in elements.chunks(3) {
            if let Some((_, span)) = decode(encoded) {
                bytes.extend_from_slice(&encoded[..span]);
                bytes.push(span as u8);
            }
        }
        bytes.push(END);
        bytes[0] = bytes.len() as u8;
        prop_assert!(Listpack::checked(&bytes).is_ok());
        use_all(&bytes);
    }
}
