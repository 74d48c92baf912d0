//! Reads the packed forms of Redis before 7.0, ziplist and zipmap, into plain lists of elements. Never writes them.
//! Everything is checked as it is read; neither form ever lies in memory here.
//!
//! ```text
//! ziplist: total bytes u32 | offset of the last entry u32 | count u16 | entry ... | 0xFF
//! entry:   bytes of the entry before: one, or 0xFE and u32 | encoding | data
//!
//! 00llllll                      string of l bytes             11000000, 11010000, 11100000  integer of 2, 4, 8 bytes
//! 01llllll l                    l has 14 bits, high first     11110000, 11111110            integer of 3 bytes, of one
//! 10000000 l l l l              32 bits, high first           11110001 .. 11111101          integer from 0 to 12
//!
//! zipmap:  count u8 | ( length key | length unused u8 value unused ... ) ... | 0xFF      length: one byte, or 0xFE and u32
//! ```
//!
//! Everything else is little-endian. A count of 65,535 in a ziplist, or of 254 or more in a zipmap, says that nobody knows.
//! Sources: the comments at the head of `src/ziplist.c` and `src/zipmap.c` of Redis 6.

use crate::store::listpack::Item;
use crate::store::rdb::BadData;
use crate::store::rdb::wire::Input;

const HEADER: usize = 10;
const END: u8 = 0xFF;
const LONG: u8 = 0xFE;
/// More elements than any Redis ever packed: each takes a dozen times the bytes here that it has there.
const ITEMS_MAX: usize = 1 << 22;

/// The elements of a ziplist.
pub fn ziplist(bytes: &[u8]) -> Result<Vec<Item<'_>>, BadData> {
    let mut input = Input::new(bytes);
    let (total, tail) = (u32_of(&mut input)?, u32_of(&mut input)?);
    let count = u16::from_le_bytes(input.array()?);
    if total != bytes.len() || bytes.len() <= HEADER || bytes.last() != Some(&END) {
        return Err(BadData);
    }
    let (mut at, mut before) = (HEADER, 0);
    let mut items = Vec::new();
    while at < bytes.len() - 1 {
        let mut entry = Input::new(&bytes[at..bytes.len() - 1]);
        let claimed = match entry.byte()? {
            LONG => u32_of(&mut entry)?,
            len => len.into(),
        };
        if claimed != before {
            return Err(BadData);
        }
        if items.len() == ITEMS_MAX {
            return Err(BadData);
        }
        items.push(element(&mut entry)?);
        before = bytes.len() - 1 - at - entry.len();
        at += before;
    }
    let is_tail = tail == if items.is_empty() { HEADER } else { at - before };
    let is_count = usize::from(count) == items.len() || count == u16::MAX;
    if is_tail && is_count { Ok(items) } else { Err(BadData) }
}

fn element<'a>(entry: &mut Input<'a>) -> Result<Item<'a>, BadData> {
    let encoding = entry.byte()?;
    let low = usize::from(encoding & 0x3F);
    let len = match encoding {
        0x00..=0x3F => low,
        0x40..=0x7F => low << 8 | usize::from(entry.byte()?),
        0x80 => u32::from_be_bytes(entry.array()?) as usize,
        0xC0 => return Ok(Item::Integer(i16::from_le_bytes(entry.array()?).into())),
        0xD0 => return Ok(Item::Integer(i32::from_le_bytes(entry.array()?).into())),
        0xE0 => return Ok(Item::Integer(i64::from_le_bytes(entry.array()?))),
        0xF0 => {
            let [low, middle, high] = entry.array()?;
            return Ok(Item::Integer((i32::from_le_bytes([0, low, middle, high]) >> 8).into()));
        }
        0xFE => return Ok(Item::Integer(i8::from_le_bytes(entry.array()?).into())),
        0xF1..=0xFD => return Ok(Item::Integer(i64::from(encoding) - 0xF1)),
        _ => return Err(BadData),
    };
    entry.take(len).map(Item::Bytes)
}

/// The fields and values of a zipmap, in turn.
pub fn zipmap(bytes: &[u8]) -> Result<Vec<Item<'_>>, BadData> {
    let mut input = Input::new(bytes);
    let count = input.byte()?;
    let mut items = Vec::new();
    while let Some(len) = zipmap_len(&mut input)? {
        if items.len() == ITEMS_MAX {
            return Err(BadData);
        }
        items.push(Item::Bytes(input.take(len)?));
        let len = zipmap_len(&mut input)?.ok_or(BadData)?;
        let unused = input.byte()?;
        items.push(Item::Bytes(input.take(len)?));
        input.take(unused.into())?;
    }
    let is_count = count >= LONG || usize::from(count) * 2 == items.len();
    if input.is_empty() && is_count { Ok(items) } else { Err(BadData) }
}

/// A length, or nothing at the end of the map.
fn zipmap_len(input: &mut Input<'_>) -> Result<Option<usize>, BadData> {
    Ok(match input.byte()? {
        END => None,
        LONG => Some(u32_of(input)?),
        len => Some(len.into()),
    })
}

fn u32_of(input: &mut Input<'_>) -> Result<usize, BadData> {
    Ok(u32::from_le_bytes(input.array()?) as usize)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// A ziplist of entries given by encoding and data.
    fn packed(entries: &[&[u8]]) -> Vec<u8> {
        let (mut body, mut before, mut tail) = (Vec::new(), 0usize, HEADER);
        for entry in entries {
            tail = HEADER + body.len();
            if before < 254 {
                body.push(before as u8);
            } else {
                body.push(LONG);
                body.extend((before as u32).to_le_bytes());
            }
            body.extend_from_slice(entry);
            before = HEADER + body.len() - tail;
        }
        let total = (HEADER + body.len() + 1) as u32;
        let count = entries.len() as u16;
        [&total.to_le_bytes()[..], &(tail as u32).to_le_bytes(), &count.to_le_bytes(), &body, &[END]].concat()
    }

    #[test]
    fn reads_every_encoding() {
        let long = [&[0x41, 0x00][..], &[b'x'; 256]].concat();
        let longer = [&[0x80, 0, 0, 0x40, 0][..], &[b'y'; 0x4000]].concat();
        let bytes = packed(&[
            b"\x03abc",
            &long,
            &longer,
            b"\xc0\xfe\xff",
            b"\xd0\0\0\0\x80",
            b"\xe0\xff\xff\xff\xff\xff\xff\xff\x7f",
            b"\xf0\0\0\x80",
            b"\xfe\x80",
            b"\xf1",
            b"\xfd",
        ]);
        let items = ziplist(&bytes).expect("a ziplist");
        assert_eq!(
            items[..3],
            [Item::Bytes(b"abc"), Item::Bytes(&[b'x'; 256]), Item::Bytes(&[b'y'; 0x4000])]
        );
        let integers: Vec<i64> = items[3..].iter().filter_map(|item| item.integer()).collect();
        assert_eq!(integers, [-2, i64::from(i32::MIN), i64::MAX, -0x80_0000, -128, 0, 12]);
        assert_eq!(ziplist(&packed(&[])), Ok(Vec::new()));
    }

    #[test]
    fn refuses_ziplists_that_contradict_themselves() {
        let good = packed(&[b"\x03abc", b"\xf1"]);
        for (at, byte) in [(0, 1), (4, 0), (8, 1), (10, 1), (15, 9), (16, 0xFF), (17, 0)] {
            let mut bad = good.clone();
            assert_ne!(bad[at], byte);
            bad[at] = byte;
            assert_eq!(ziplist(&bad), Err(BadData), "byte {at}");
        }
        assert!((0..good.len()).all(|len| ziplist(&good[..len]).is_err()));
    }

    #[test]
    fn reads_zipmaps() {
        let map = b"\x02\x03foo\x03\x00bar\x05hello\x05\x02world..\xff";
        let items = zipmap(map).expect("a zipmap");
        let strings = [&b"foo"[..], b"bar", b"hello", b"world"];
        assert!(items.iter().zip(strings).all(|(&item, string)| item == Item::Bytes(string)));
        assert_eq!(zipmap(b"\x00\xff"), Ok(Vec::new()));
        assert!((0..map.len()).all(|len| zipmap(&map[..len]).is_err()));
        assert_eq!(zipmap(b"\x02\x01a\x01\x00b\xff"), Err(BadData));
        assert_eq!(zipmap(b"\x01\x01a\x01\x00b\xff."), Err(BadData));
        assert_eq!(zipmap(b"\xfe\xfe\x01\0\0\0a\x01\x00b\xff").map(|items| items.len()), Ok(2));
    }

    proptest! {
        #[test]
        fn survives_any_bytes(body in vec(any::<u8>(), 0..60), entries in 0..5u16, tail in 10..30u32) {
            let total = (HEADER + body.len() + 1) as u32;
            let bytes =
                [&total.to_le_bytes()[..], &tail.to_le_bytes(), &entries.to_le_bytes(), &body, &[END]].concat();
            if let Ok(items) = ziplist(&bytes) {
                prop_assert_eq!(items.len(), usize::from(entries));
            }
            let _ = zipmap(&body);
        }
    }
}
