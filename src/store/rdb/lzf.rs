//! LZF, the compression of strings in RDB values: fast, and better than nothing on texts. Works on whole strings in memory.
//!
//! ```text
//! 000lllll  bytes ...                 the next l + 1 bytes as they are
//! lllooooo  oooooooo                  l + 2 bytes again, from o + 1 bytes before; l from 1 to 6
//! 111ooooo  llllllll  oooooooo        the same for l + 9 bytes
//! ```
//!
//! Source of the format: Marc Lehmann's LibLZF. The bytes that [`compress`] chooses are its own, and any reader understands them.

use crate::store::rdb::BadData;

const LITERALS_MAX: usize = 32;
const MATCH_MIN: usize = 3;
const MATCH_MAX: usize = 7 + 2 + 255;
const DISTANCE_MAX: usize = 1 << 13;
/// Three bytes can stand for this many at most.
const EXPANSION_MAX: usize = MATCH_MAX / 3;
const PLACES_MIN: usize = 1 << 6;
const PLACES_MAX: usize = 1 << 14;

/// What compressing needs and may use again: where each hash of three bytes was seen last.
#[derive(Default)]
pub struct Places(Vec<u32>);

impl Places {
    /// Forgets everything, with room for an input of this many bytes.
    fn reset(&mut self, input_bytes: usize) {
        let places = input_bytes.next_power_of_two().clamp(PLACES_MIN, PLACES_MAX);
        self.0.clear();
        self.0.resize(places, u32::MAX);
    }

    /// Notes that these three bytes stand at `at`; where bytes of the same hash stood before.
    #[inline]
    fn exchange(&mut self, bytes: &[u8], at: usize) -> Option<usize> {
        let word = u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], 0]);
        let place = (word.wrapping_mul(0x9E37_79B1) >> 18) as usize & (self.0.len() - 1);
        let before = std::mem::replace(&mut self.0[place], at as u32);
        (before != u32::MAX).then_some(before as usize)
    }
}

/// Appends the compressed form of `input` to `out`, if it takes at most `bytes_max`; whether it did. Otherwise `out` is unchanged.
pub fn compress(input: &[u8], bytes_max: usize, places: &mut Places, out: &mut Vec<u8>) -> bool {
    let (start, limit) = (out.len(), out.len() + bytes_max);
    places.reset(input.len());
    let (mut at, mut literals_from) = (0, 0);
    while at + MATCH_MIN <= input.len() && out.len() <= limit {
        let before = places.exchange(input, at);
        let Some(before) = before.filter(|before| at - before <= DISTANCE_MAX) else {
            at += 1;
            continue;
        };
        let len_max = MATCH_MAX.min(input.len() - at);
        let len = input[before..].iter().zip(&input[at..at + len_max]).take_while(|(a, b)| a == b).count();
        if len < MATCH_MIN {
            at += 1;
            continue;
        }
        push_literals(&input[literals_from..at], out);
        push_match(len, at - before - 1, out);
        // A few places inside the match are enough for the next one to be found.
        let end = at + len;
        for inside in [end - 2, end - 1] {
            if inside + MATCH_MIN <= input.len() {
                places.exchange(input, inside);
            }
        }
        (at, literals_from) = (end, end);
    }
    push_literals(&input[literals_from..], out);
    let fits = out.len() <= limit;
    if !fits {
        out.truncate(start);
    }
    fits
}

fn push_literals(literals: &[u8], out: &mut Vec<u8>) {
    for run in literals.chunks(LITERALS_MAX) {
        out.push(run.len() as u8 - 1);
        out.extend_from_slice(run);
    }
}

fn push_match(len: usize, distance: usize, out: &mut Vec<u8>) {
    let (high, low) = ((distance >> 8) as u8, distance as u8);
    match len - 2 {
        short @ ..7 => out.push((short as u8) << 5 | high),
        long => out.extend([7 << 5 | high, (long - 7) as u8]),
    }
    out.push(low);
}

/// The `len` bytes whose compressed form is `input`.
pub fn decompress(input: &[u8], len: usize) -> Result<Vec<u8>, BadData> {
    // Checked before anything is allocated: a few bytes cannot claim a gigabyte.
    if len > input.len().saturating_mul(EXPANSION_MAX) {
        return Err(BadData);
    }
    let mut out = Vec::with_capacity(len);
    let mut rest = input;
    while let Some((&control, behind)) = rest.split_first() {
        rest = behind;
        let high = usize::from(control & 0x1F);
        let mut run = usize::from(control >> 5);
        if run == 0 {
            let (literals, behind) = rest.split_at_checked(high + 1).ok_or(BadData)?;
            out.extend_from_slice(literals);
            rest = behind;
        } else {
            if run == 7 {
                run += usize::from(take(&mut rest)?);
            }
            let distance = (high << 8 | usize::from(take(&mut rest)?)) + 1;
            let from = out.len().checked_sub(distance).ok_or(BadData)?;
            repeat(&mut out, from, run + 2);
        }
        if out.len() > len {
            return Err(BadData);
        }
    }
    if out.len() == len { Ok(out) } else { Err(BadData) }
}

/// Appends `len` bytes of `out` from `from` on, which may run into what is appended.
fn repeat(out: &mut Vec<u8>, from: usize, len: usize) {
    let period = out.len() - from;
    let mut left = len;
    while left > 0 {
        let step = left.min(period);
        out.extend_from_within(from..from + step);
        left -= step;
    }
}

fn take(rest: &mut &[u8]) -> Result<u8, BadData> {
    let (&byte, behind) = rest.split_first().ok_or(BadData)?;
    *rest = behind;
    Ok(byte)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn compressed(input: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        assert!(compress(input, usize::MAX / 2, &mut Places::default(), &mut out));
        out
    }

    #[test]
    fn golden_bytes() {
        assert_eq!(compressed(b"abc"), b"\x02abc");
        // As LibLZF writes it: one literal, then itself again.
        assert_eq!(decompress(b"\x01aa\xe0\x57\x00\x01aa", 100), Ok(vec![b'a'; 100]));
        assert_eq!(decompress(b"\x02abc\x20\x02", 6), Ok(b"abcabc".to_vec()));
        assert_eq!(compressed(b"abcabcabcabc"), b"\x02abc\xe0\x00\x02");
    }

    #[test]
    fn long_runs_come_back() {
        for len in [0, 1, 31, 32, 33, 63, 64, 65, 263, 264, 265, 266, 267, 530, 8191, 8192, 8193, 100_000] {
            let input: Vec<u8> = (0..len).map(|i| (i / 300) as u8).collect();
            assert_eq!(decompress(&compressed(&input), len), Ok(input));
        }
    }

    #[test]
    fn distances_up_to_the_longest() {
        for gap in [8180, 8188, 8189, 8190, 8191, 8192, 8193] {
            let mut input = b"needle".to_vec();
            input.extend((0..gap).map(|i: usize| (i.wrapping_mul(0x9E37_79B9) >> 11) as u8));
            input.extend_from_slice(b"needle");
            assert_eq!(decompress(&compressed(&input), input.len()), Ok(input));
        }
    }

    #[test]
    fn keeps_to_the_bound_or_writes_nothing() {
        let mut out = b"before".to_vec();
        let input = [7; 100];
        let len = compressed(&input).len();
        assert!(!compress(&input, len - 1, &mut Places::default(), &mut out));
        assert_eq!(out, b"before");
        assert!(compress(&input, len, &mut Places::default(), &mut out));
        assert_eq!(out.len(), 6 + len);
    }

    #[test]
    fn refuses_what_is_cut_off_or_too_much() {
        for (input, len) in [
            (&b"\x02ab"[..], 2),
            (b"\x02abc", 2),
            (b"\x02abc", 4),
            (b"\x20\x00", 3),
            (b"\x00a\x20", 4),
            (b"\x00a\xe0", 4),
            (b"\x00a\x20\x01", 4),
            (b"", 1),
            (b"\x00a", usize::MAX),
        ] {
            assert_eq!(decompress(input, len), Err(BadData), "{}", input.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn what_was_compressed_comes_back(input in vec(0..4u8, 0..2000), wide in vec(any::<u8>(), 0..300)) {
            for input in [input, wide] {
                prop_assert_eq!(decompress(&compressed(&input), input.len()), Ok(input));
            }
        }

        #[test]
        fn survives_any_bytes(input in vec(any::<u8>(), 0..200), len in 0..2000usize) {
            if let Ok(out) = decompress(&input, len) {
                prop_assert_eq!(out.len(), len);
            }
        }
    }
}
