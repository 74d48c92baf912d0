//! Bits of a byte string, the most significant bit of the first byte being bit 0: counting, searching, combining, and integers of
//! any width at any bit. Pure; never knows a key.

use std::ops::RangeInclusive;

use crate::commands::bitmap::bitop::Operator;

/// Bits set among those with the numbers in `range`, which must lie within `bytes`.
pub fn count(bytes: &[u8], range: RangeInclusive<u64>) -> u64 {
    let (first, last) = bounds(&range);
    let (head, tail) = edges(&range);
    if first == last {
        return u64::from((bytes[first] & head & tail).count_ones());
    }
    let ends = (bytes[first] & head).count_ones() + (bytes[last] & tail).count_ones();
    u64::from(ends) + count_all(&bytes[first + 1..last])
}

/// Bits set in all of `bytes`.
pub fn count_all(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let in_words: u64 = words.iter().map(|word| u64::from(u64::from_ne_bytes(*word).count_ones())).sum();
    in_words + rest.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>()
}

/// The number of the first bit that equals `bit` among those in `range`, which must lie within `bytes`.
pub fn position(bytes: &[u8], bit: bool, range: RangeInclusive<u64>) -> Option<u64> {
    let (first, last) = bounds(&range);
    let (head, tail) = edges(&range);
    // Looks for a set bit in `byte`, or in its complement where a clear one is wanted.
    let flip = if bit { 0 } else { u8::MAX };
    let found = |at: usize, byte: u8| (byte != 0).then(|| at as u64 * 8 + u64::from(byte.leading_zeros()));
    if first == last {
        return found(first, (bytes[first] ^ flip) & head & tail);
    }
    let middle = || {
        let at = first + 1 + position_of_other(&bytes[first + 1..last], flip)?;
        found(at, bytes[at] ^ flip)
    };
    found(first, (bytes[first] ^ flip) & head)
        .or_else(middle)
        .or_else(|| found(last, (bytes[last] ^ flip) & tail))
}

/// The index of the first byte that is not `plain`, which is all zeros or all ones.
fn position_of_other(bytes: &[u8], plain: u8) -> Option<usize> {
    const STRIDE: usize = 32;
    // Whole strides first: the comparison of one is a few vector instructions.
    let (strides, _) = bytes.as_chunks::<STRIDE>();
    let skipped = strides.iter().take_while(|stride| **stride == [plain; STRIDE]).count() * STRIDE;
    bytes[skipped..].iter().position(|byte| *byte != plain).map(|at| skipped + at)
}

/// The first and the last byte that a range of bits touches.
fn bounds(range: &RangeInclusive<u64>) -> (usize, usize) {
    debug_assert!(range.start() <= range.end());
    ((range.start() / 8) as usize, (range.end() / 8) as usize)
}

/// Masks of the bits that belong to a range in its first and in its last byte.
fn edges(range: &RangeInclusive<u64>) -> (u8, u8) {
    (u8::MAX >> (range.start() % 8), u8::MAX << (7 - range.end() % 8))
}

/// Combines `operand` into `result`. The shorter of the two counts as followed by zeros.
pub fn combine(result: &mut Vec<u8>, operator: Operator, operand: &[u8]) {
    if result.len() < operand.len() {
        result.resize(operand.len(), 0);
    }
    let (common, rest) = result.split_at_mut(operand.len());
    let pairs = common.iter_mut().zip(operand);
    match operator {
        Operator::And => {
            pairs.for_each(|(to, from)| *to &= from);
            rest.fill(0);
        }
        Operator::Or => pairs.for_each(|(to, from)| *to |= from),
        Operator::Xor => pairs.for_each(|(to, from)| *to ^= from),
        Operator::Not => pairs.for_each(|(to, from)| *to = !from),
    }
}

/// Bytes that the widest field can touch: 64 bits that begin in the middle of a byte.
pub const FIELD_BYTES_MAX: usize = 9;

/// An integer of `bits` bits, at most 64, that begins at bit `offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The number of its first bit, which is its most significant one.
    pub offset: u64,
    /// Its width, 1 to 64.
    pub bits: u32,
}

impl Field {
    /// The first byte that it touches.
    pub fn first_byte(self) -> usize {
        (self.offset / 8) as usize
    }

    /// How many bytes it touches, at most `FIELD_BYTES_MAX`.
    pub fn bytes(self) -> usize {
        ((self.offset % 8 + u64::from(self.bits)).div_ceil(8)) as usize
    }

    /// The bytes of `string` that the field touches; what lies beyond its end is zeros.
    pub fn window(self, string: &[u8]) -> [u8; FIELD_BYTES_MAX] {
        let mut window = [0; FIELD_BYTES_MAX];
        let from = string.len().min(self.first_byte());
        let there = (string.len() - from).min(self.bytes());
        window[..there].copy_from_slice(&string[from..from + there]);
        window
    }

    /// Its value in the window, without a sign.
    pub fn get(self, window: &[u8; FIELD_BYTES_MAX]) -> u64 {
        ((Field::number(window) >> self.shift()) as u64) & self.mask()
    }

    /// Writes the low `bits` bits of `value` into the window.
    pub fn set(self, window: &mut [u8; FIELD_BYTES_MAX], value: u64) {
        let others = Field::number(window) & !(u128::from(self.mask()) << self.shift());
        let all = others | u128::from(value & self.mask()) << self.shift();
        window.copy_from_slice(&all.to_be_bytes()[..FIELD_BYTES_MAX]);
    }

    fn mask(self) -> u64 {
        u64::MAX >> (64 - self.bits)
    }

    /// How far its last bit is from the end of a 128-bit number that begins with the window.
    fn shift(self) -> u32 {
        128 - (self.offset % 8) as u32 - self.bits
    }

    fn number(window: &[u8; FIELD_BYTES_MAX]) -> u128 {
        let mut bytes = [0; 16];
        bytes[..FIELD_BYTES_MAX].copy_from_slice(window);
        u128::from_be_bytes(bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The string as one byte a bit.
    fn spelled(bytes: &[u8]) -> Vec<bool> {
        bytes.iter().flat_map(|byte| (0..8).map(move |i| byte >> (7 - i) & 1 == 1)).collect()
    }

    /// Strings with long runs of equal bytes, where words are skipped.
    fn strings() -> impl Strategy<Value = Vec<u8>> {
        let run = (prop_oneof![Just(0u8), Just(0xff), any::<u8>()], 1..60usize);
        prop::collection::vec(run, 1..6)
            .prop_map(|runs| runs.into_iter().flat_map(|(byte, n)| vec![byte; n]).collect())
    }

    proptest! {
        #[test]
        fn counts_and_finds_like_the_oracle(
            bytes in strings(), a in any::<prop::sample::Index>(), b in any::<prop::sample::Index>(), bit: bool,
        ) {
            let bits = spelled(&bytes);
            let (a, b) = (a.index(bits.len()), b.index(bits.len()));
            let (first, last) = (a.min(b), a.max(b));
            let range = first as u64..=last as u64;
            let set = bits[first..=last].iter().filter(|bit| **bit).count();
            prop_assert_eq!(count(&bytes, range.clone()), set as u64);
            prop_assert_eq!(count_all(&bytes), bits.iter().filter(|bit| **bit).count() as u64);
            let at = (first..=last).find(|i| bits[*i] == bit).map(|i| i as u64);
            prop_assert_eq!(position(&bytes, bit, range), at);
        }

        #[test]
        fn combines_like_the_oracle(strings in prop::collection::vec(strings(), 1..4), which in 0..3usize) {
            let (operator, oracle): (_, fn(u8, u8) -> u8) = [
                (Operator::And, (|a, b| a & b) as fn(u8, u8) -> u8),
                (Operator::Or, |a, b| a | b),
                (Operator::Xor, |a, b| a ^ b),
            ][which];
            let length = strings.iter().map(Vec::len).max().unwrap();
            let byte = |string: &Vec<u8>, i| string.get(i).copied().unwrap_or(0);
            let expected: Vec<u8> = (0..length)
                .map(|i| strings[1..].iter().fold(byte(&strings[0], i), |so_far, s| oracle(so_far, byte(s, i))))
                .collect();
            let mut result = strings[0].clone();
            strings[1..].iter().for_each(|string| combine(&mut result, operator, string));
            prop_assert_eq!(result, expected);
        }

        #[test]
        fn reads_and_writes_fields_like_the_oracle(
            bytes in prop::collection::vec(any::<u8>(), 0..20), offset in 0..100u64, bits in 1..=64u32, value: u64,
        ) {
            let field = Field { offset, bits };
            let mut padded = bytes.clone();
            padded.resize(30, 0);
            let before = spelled(&padded);
            let places = offset as usize..offset as usize + bits as usize;
            let number = |bits: &[bool]| bits.iter().fold(0u64, |n, bit| n << 1 | u64::from(*bit));
            let mut window = field.window(&bytes);
            prop_assert_eq!(field.get(&window), number(&before[places.clone()]));

            field.set(&mut window, value);
            prop_assert_eq!(field.get(&window), value & (u64::MAX >> (64 - bits)));
            padded[field.first_byte()..][..field.bytes()].copy_from_slice(&window[..field.bytes()]);
            let after = spelled(&padded);
            prop_assert_eq!(&after[..places.start], &before[..places.start]);
            prop_assert_eq!(number(&after[places.clone()]), value & (u64::MAX >> (64 - bits)));
            prop_assert_eq!(&after[places.end..], &before[places.end..]);
        }
    }
}
