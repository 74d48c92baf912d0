//! Sets of integers in one sorted run of bytes, in exactly Redis's intset format: small sets, in memory as in DUMP.
//! Reads borrowed bytes and changes a `Vec<u8>`; never decides when a set has outgrown this form.
//!
//! ```text
//! intset: width u32 | count u32 | value ...       a value has `width` bytes: 2, 4 or 8; everything little-endian, values signed
//! ```
//!
//! All values are as wide as the widest needs that was ever in the set; removing it narrows nothing, as in Redis.
//! Source: `src/intset.c` of Redis 7.
//!
//! Bytes from elsewhere enter through [`Intset::checked`]. Everything else takes bytes that came through there or were made
//! here; on others it panics or answers nonsense. A vector never asks for more than its bytes, as in `store/listpack`.

const HEADER: usize = 8;
const WIDTH_MIN: usize = 2;

/// An intset, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intset<'a>(&'a [u8]);

impl<'a> Intset<'a> {
    /// The intset in bytes that are known to be one.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Intset<'a> {
        debug_assert!(bytes.len() >= HEADER, "not an intset");
        Intset(bytes)
    }

    /// The intset in bytes from elsewhere, or what is wrong with them. Accepts values in a wider form than needed. Having no
    /// values is no fault here, as it is in Redis; that no key holds such a set is the caller's to see.
    pub fn checked(bytes: &'a [u8]) -> Result<Intset<'a>, &'static str> {
        if bytes.len() < HEADER {
            return Err("intset shorter than its header");
        }
        let set = Intset(bytes);
        if ![2, 4, 8].contains(&set.width()) {
            return Err("intset of no known width");
        }
        if HEADER + set.len() * set.width() != bytes.len() {
            return Err("intset of another length than its header says");
        }
        // Strictly: a value that is there twice could be removed and still be there.
        if !set.iter().is_sorted_by(|a, b| a < b) {
            return Err("intset whose values do not ascend");
        }
        Ok(set)
    }

    /// The bytes.
    #[inline]
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// How many values there are.
    #[inline]
    pub fn len(self) -> usize {
        self.header(4)
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Whether the value is there.
    #[inline]
    pub fn contains(self, value: i64) -> bool {
        self.search(value).is_ok()
    }

    /// The value with this index in ascending order.
    #[inline]
    pub fn get(self, index: usize) -> Option<i64> {
        (index < self.len()).then(|| self.value(index))
    }

    /// All values, ascending.
    #[inline]
    pub fn iter(self) -> impl DoubleEndedIterator<Item = i64> + ExactSizeIterator + 'a {
        (0..self.len()).map(move |index| self.value(index))
    }

    /// Bytes of one value.
    #[inline]
    fn width(self) -> usize {
        self.header(0)
    }

    #[inline]
    fn header(self, at: usize) -> usize {
        u32::from_le_bytes([self.0[at], self.0[at + 1], self.0[at + 2], self.0[at + 3]]) as usize
    }

    #[inline]
    fn value(self, index: usize) -> i64 {
        let values = &self.0[HEADER..];
        match self.width() {
            2 => i16::from_le_bytes(values.as_chunks().0[index]).into(),
            4 => i32::from_le_bytes(values.as_chunks().0[index]).into(),
            _ => i64::from_le_bytes(values.as_chunks().0[index]),
        }
    }

    /// The index of the value, or that where it belongs.
    #[inline]
    fn search(self, value: i64) -> Result<usize, usize> {
        // One search for each width, so that its steps need not ask for it.
        let values = &self.0[HEADER..];
        match self.width() {
            2 => values.as_chunks().0.binary_search_by_key(&value, |&at| i16::from_le_bytes(at).into()),
            4 => values.as_chunks().0.binary_search_by_key(&value, |&at| i32::from_le_bytes(at).into()),
            _ => values.as_chunks().0.binary_search_by_key(&value, |&at| i64::from_le_bytes(at)),
        }
    }
}

/// An intset without values.
pub fn empty() -> Vec<u8> {
    vec![WIDTH_MIN as u8, 0, 0, 0, 0, 0, 0, 0]
}

/// Adds a value. Returns whether it was not there before.
pub fn insert(bytes: &mut Vec<u8>, value: i64) -> bool {
    let width = width_of(value);
    if width > Intset::new(bytes).width() {
        widen(bytes, width);
    }
    let set = Intset::new(bytes);
    let (width, len) = (set.width(), set.len());
    let Err(index) = set.search(value) else { return false };
    let (at, end) = (HEADER + index * width, bytes.len());
    bytes.reserve_exact(width);
    bytes.resize(end + width, 0);
    bytes.copy_within(at..end, at + width);
    bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
    set_len(bytes, len + 1);
    true
}

/// Removes a value. Returns whether it was there.
pub fn remove(bytes: &mut Vec<u8>, value: i64) -> bool {
    let set = Intset::new(bytes);
    let (width, len) = (set.width(), set.len());
    let Ok(index) = set.search(value) else { return false };
    let at = HEADER + index * width;
    bytes.drain(at..at + width);
    bytes.shrink_to_fit();
    set_len(bytes, len - 1);
    true
}

/// Bytes that the value needs.
fn width_of(value: i64) -> usize {
    match value {
        -0x8000..=0x7FFF => 2,
        -0x8000_0000..=0x7FFF_FFFF => 4,
        _ => 8,
    }
}

/// Gives every value `width` bytes, and leaves room for the one that asked for it.
fn widen(bytes: &mut Vec<u8>, width: usize) {
    let set = Intset::new(bytes);
    let mut wider = Vec::with_capacity(HEADER + (set.len() + 1) * width);
    wider.extend_from_slice(&(width as u32).to_le_bytes());
    wider.extend_from_slice(&bytes[4..HEADER]);
    for value in set.iter() {
        wider.extend_from_slice(&value.to_le_bytes()[..width]);
    }
    *bytes = wider;
}

fn set_len(bytes: &mut [u8], len: usize) {
    let len = u32::try_from(len).expect("a set becomes a table long before it has this many values");
    bytes[4..HEADER].copy_from_slice(&len.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn intset(values: &[i64]) -> Vec<u8> {
        let mut bytes = empty();
        for &value in values {
            assert!(insert(&mut bytes, value));
        }
        bytes
    }

    /// Values of every width, many of them equal, many at the limits of a width.
    fn values() -> impl Strategy<Value = i64> {
        prop_oneof![
            4 => -20..20i64,
            2 => (any::<i64>(), 0..64).prop_map(|(bits, shift)| bits >> shift),
            1 => (prop::sample::select(vec![15, 31, 63]), -1..=1i64, any::<bool>()).prop_map(|(bits, by, negative)| {
                let limit = (1i64 << (bits - 1)).wrapping_mul(2);
                (if negative { limit.wrapping_neg() } else { limit }).wrapping_add(by)
            }),
        ]
    }

    /// Reads everything that can be read, and changes what can be changed.
    fn use_all(bytes: &[u8]) {
        let set = Intset::checked(bytes).expect("the caller checked");
        assert!(set.iter().rev().eq(set.iter().collect::<Vec<_>>().into_iter().rev()));
        for value in set.iter() {
            assert!(set.contains(value));
            let mut changed = bytes.to_vec();
            assert!(remove(&mut changed, value) && insert(&mut changed, value));
            assert_eq!(changed, bytes);
            insert(&mut changed, i64::MAX - 1);
            assert!(Intset::checked(&changed).is_ok());
        }
    }

    /// By hand from the format.
    #[test]
    fn golden_bytes() {
        assert_eq!(empty(), [2, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(intset(&[5, -2, 0x1234]), b"\x02\0\0\0\x03\0\0\0\xfe\xff\x05\x00\x34\x12");
        assert_eq!(intset(&[1, -40_000]), b"\x04\0\0\0\x02\0\0\0\xc0\x63\xff\xff\x01\0\0\0");
        assert_eq!(
            intset(&[7, i64::MAX, -1]),
            b"\x08\0\0\0\x03\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\x07\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\x7f"
        );
    }

    #[test]
    fn widens_at_the_limits_and_never_narrows() {
        for (value, width) in [
            (i64::from(i16::MIN), 2),
            (i64::from(i16::MAX), 2),
            (i64::from(i16::MIN) - 1, 4),
            (i64::from(i16::MAX) + 1, 4),
            (i64::from(i32::MIN), 4),
            (i64::from(i32::MAX), 4),
            (i64::from(i32::MIN) - 1, 8),
            (i64::from(i32::MAX) + 1, 8),
            (i64::MIN, 8),
            (i64::MAX, 8),
        ] {
            let mut bytes = intset(&[3, -3]);
            assert!(insert(&mut bytes, value) && !insert(&mut bytes, value));
            assert_eq!(bytes.len(), HEADER + 3 * width, "{value}");
            assert!(remove(&mut bytes, value) && !remove(&mut bytes, value));
            assert_eq!(bytes.len(), HEADER + 2 * width, "{value}");
            assert!(Intset::new(&bytes).iter().eq([-3, 3]));
        }
    }

    #[test]
    fn asks_for_no_byte_too_many() {
        let mut bytes = empty();
        for i in 0..200 {
            insert(&mut bytes, i * i * i);
            assert_eq!(bytes.capacity(), bytes.len());
        }
        for i in 0..200 {
            remove(&mut bytes, i * i * i);
            assert_eq!(bytes.capacity(), bytes.len());
        }
    }

    #[test]
    fn refuses_what_is_not_an_intset() {
        for (bytes, why) in [
            (&b""[..], "intset shorter than its header"),
            (b"\x02\0\0\0\0\0\0", "intset shorter than its header"),
            (b"\x03\0\0\0\0\0\0\0", "intset of no known width"),
            (b"\0\0\0\0\x01\0\0\0", "intset of no known width"),
            (b"\x02\0\0\0\x01\0\0\0", "intset of another length than its header says"),
            (b"\x02\0\0\0\0\0\0\0\x01\0", "intset of another length than its header says"),
            (b"\x08\0\0\0\xff\xff\xff\xff", "intset of another length than its header says"),
            (b"\x02\0\0\0\x02\0\0\0\x01\0\0\0", "intset whose values do not ascend"),
            (b"\x02\0\0\0\x02\0\0\0\x01\0\x01\0", "intset whose values do not ascend"),
        ] {
            assert_eq!(Intset::checked(bytes), Err(why), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn survives_truncation_and_bit_flips() {
        for values in [&[1, 2, 300][..], &[-70_000, 0, 5, 70_000], &[i64::MIN, -1, 1, i64::MAX]] {
            let bytes = intset(values);
            for len in 0..bytes.len() {
                assert!(Intset::checked(&bytes[..len]).is_err());
            }
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                if Intset::checked(&flipped).is_ok() {
                    use_all(&flipped);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn behaves_as_a_sorted_set(steps in vec((any::<bool>(), values()), 0..200)) {
            let mut bytes = empty();
            let mut oracle = BTreeSet::new();
            for (adds, value) in steps {
                if adds {
                    prop_assert_eq!(insert(&mut bytes, value), oracle.insert(value));
                } else {
                    prop_assert_eq!(remove(&mut bytes, value), oracle.remove(&value));
                }
                let set = Intset::checked(&bytes).expect("always valid");
                prop_assert_eq!(set.contains(value), adds);
                prop_assert_eq!((set.len(), set.is_empty()), (oracle.len(), oracle.is_empty()));
                prop_assert!(set.iter().eq(oracle.iter().copied()));
                prop_assert!(set.iter().rev().eq(oracle.iter().rev().copied()));
                prop_assert_eq!(set.get(oracle.len()), None);
                prop_assert_eq!(set.get(oracle.len() / 2), oracle.iter().nth(oracle.len() / 2).copied());
                for near in [value.wrapping_sub(1), value.wrapping_add(1)] {
                    prop_assert_eq!(set.contains(near), oracle.contains(&near));
                }
            }
        }

        #[test]
        fn survives_any_bytes(
            width in prop::sample::select(vec![0u32, 2, 2, 4, 8]), len in 0u32..9, values in vec(any::<u8>(), 0..40),
        ) {
            let mut bytes = [width.to_le_bytes(), len.to_le_bytes()].concat();
            bytes.extend(values);
            if Intset::checked(&bytes).is_ok() {
                use_all(&bytes);
            }
        }
    }
}
