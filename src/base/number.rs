//! Owns integers as text: the one canonical spelling of each 64-bit integer, read and written.
//! Never accepts a second spelling of a number, so text read here and written again is the same text; that is
//! what lets a string be stored as an integer and come back unchanged.

/// Bytes that any 64-bit integer needs as text: 20, for `-9223372036854775808` and `18446744073709551615`.
pub const INTEGER_TEXT_BYTES_MAX: usize = 20;

const WORD_BYTES: usize = 8;

/// The integer that this text spells canonically: an optional `-`, then digits without leading zeros; zero is
/// `0` alone. `None` for everything else: empty text, `+`, spaces, `-0`, and values outside the range.
/// Source: the rules of Redis's `string2ll`, by which INCR and the `int` encoding recognise integers.
#[inline]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.first() == Some(&b'0') {
        return (text.len() == 1).then_some(0);
    }
    let magnitude = match digits.len() {
        1..=WORD_BYTES => parse_word(digits)?,
        9..=19 => parse_long(digits)?,
        _ => return None,
    };
    let limit = i64::MAX.cast_unsigned() + u64::from(negative);
    let value = if negative { magnitude.wrapping_neg() } else { magnitude };
    (magnitude <= limit).then_some(value.cast_signed())
}

/// The unsigned integer that this text spells canonically: digits without leading zeros; zero is `0` alone.
/// `None` for everything else, a sign included. Stricter than Redis's `string2ull`, which falls back on
/// `strtoull` and so takes `007` and `+7`.
#[inline]
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    if text.first() == Some(&b'0') {
        return (text.len() == 1).then_some(0);
    }
    match text.len() {
        1..=WORD_BYTES => parse_word(text),
        9..=19 => parse_long(text),
        INTEGER_TEXT_BYTES_MAX => {
            let (front, last) = text.split_at(INTEGER_TEXT_BYTES_MAX - 1);
            parse_long(front)?.checked_mul(10)?.checked_add(parse_word(last)?)
        }
        _ => None,
    }
}

/// Whether the text is exactly what [`format_i64`] writes for some integer.
#[inline]
pub fn is_canonical_i64(text: &[u8]) -> bool {
    parse_i64(text).is_some()
}

/// Writes the integer at the start of the buffer and returns that part. Allocates nothing.
#[inline]
pub fn format_i64(value: i64, buffer: &mut [u8; INTEGER_TEXT_BYTES_MAX]) -> &[u8] {
    copied(itoa::Buffer::new().format(value), buffer)
}

/// [`format_i64`] for an unsigned integer.
#[inline]
pub fn format_u64(value: u64, buffer: &mut [u8; INTEGER_TEXT_BYTES_MAX]) -> &[u8] {
    copied(itoa::Buffer::new().format(value), buffer)
}

#[inline]
fn copied<'buffer>(text: &str, buffer: &'buffer mut [u8; INTEGER_TEXT_BYTES_MAX]) -> &'buffer [u8] {
    let part = &mut buffer[..text.len()];
    part.copy_from_slice(text.as_bytes());
    part
}

// # Eight digits in one word
//
// Four to eight digits are loaded into one little-endian word, aligned to its high end so that the missing
// leading digits read as zeros. One test over the word says whether all are digits, and three multiplications
// add neighbours up: ten times the lower byte plus the higher, then the same for pairs, then for fours. There
// is no loop, and no branch that depends on the digits. Longer text is two or three such words.

/// The value of 1 to 8 digits, or `None` if one of the bytes is none.
#[inline]
fn parse_word(digits: &[u8]) -> Option<u64> {
    let length = digits.len();
    let (Some(front), Some(back)) = (digits.first_chunk(), digits.last_chunk()) else {
        return parse_few(digits);
    };
    // Two loads cover four to eight bytes; where they overlap, they place a byte alike.
    let word =
        u64::from(u32::from_le_bytes(*front)) | u64::from(u32::from_le_bytes(*back)) << (8 * (length - 4));
    value_of_eight((word ^ ASCII_ZEROS) << (8 * (WORD_BYTES - length)))
}

/// The value of 1 to 3 digits, for which a loop is faster than gathering a word.
#[inline]
fn parse_few(digits: &[u8]) -> Option<u64> {
    let mut value = 0;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    Some(value)
}

/// The value of 9 to 19 digits, or `None` if one of the bytes is none. 19 digits always fit.
fn parse_long(digits: &[u8]) -> Option<u64> {
    let (front, low) = digits.split_last_chunk()?;
    let low = value_of_eight(u64::from_le_bytes(*low) ^ ASCII_ZEROS)?;
    let high = match front.split_last_chunk() {
        Some((top, middle)) if !top.is_empty() => {
            parse_word(top)? * EIGHT_DIGITS + value_of_eight(u64::from_le_bytes(*middle) ^ ASCII_ZEROS)?
        }
        _ => parse_word(front)?,
    };
    Some(high * EIGHT_DIGITS + low)
}

const EIGHT_DIGITS: u64 = 100_000_000;
const ASCII_ZEROS: u64 = u64::from_ne_bytes([b'0'; WORD_BYTES]);

/// Eight digits as bytes of value 0 to 9, the most significant digit in the lowest byte.
#[inline]
fn value_of_eight(digits: u64) -> Option<u64> {
    // Adding 0x76 lifts a byte above 9 to 0x80 or more. A carry can start only from a byte that has its top
    // bit set already, and so is found either way.
    let too_large = (digits.wrapping_add(0x7676_7676_7676_7676) | digits) & 0x8080_8080_8080_8080;
    let pairs = (digits.wrapping_mul(10).wrapping_add(digits >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(100).wrapping_add(pairs >> 16)) & 0x0000_ffff_0000_ffff;
    let value = (fours.wrapping_mul(10_000).wrapping_add(fours >> 32)) & 0x0000_0000_ffff_ffff;
    (too_large == 0).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The rules, digit by digit.
    fn parse_i64_slowly(text: &[u8]) -> Option<i64> {
        let (negative, digits) = match text.strip_prefix(b"-") {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        if text == b"0" {
            return Some(0);
        }
        if !matches!(digits.first(), Some(b'1'..=b'9')) {
            return None;
        }
        let mut value: i128 = 0;
        for digit in digits {
            if !digit.is_ascii_digit() {
                return None;
            }
            value = (value * 10 + i128::from(digit - b'0')).min(i128::from(u64::MAX));
        }
        i64::try_from(if negative { -value } else { value }).ok()
    }

    #[test]
    fn accepts_the_canonical_spelling() {
        for value in [0, 1, -1, 9, 10, -10, 42, 99_999_999, 100_000_000, i64::MAX, i64::MIN, i64::MIN + 1] {
            assert_eq!(parse_i64(value.to_string().as_bytes()), Some(value));
        }
    }

    #[test]
    fn rejects_every_other_spelling() {
        for text in [
            "",
            "-",
            "+",
            "+1",
            " 1",
            "1 ",
            "01",
            "00",
            "-0",
            "-01",
            "--1",
            "1-",
            "1.0",
            "1e3",
            "0x10",
            "a",
            "12a",
            "1\0",
            "1234567:",
            "1234567/",
            "12345678:",
            "12345/78",
            "123456789a",
            "1234567890123456a",
            "a23456789012345678",
            "12345678a0123456789",
            "9223372036854775808",
            "-9223372036854775809",
            "9999999999999999999",
            "10000000000000000000",
            "18446744073709551616",
            "100000000000000000000000000",
        ] {
            assert_eq!(parse_i64(text.as_bytes()), None, "{text:?}");
            assert!(!is_canonical_i64(text.as_bytes()), "{text:?}");
        }
    }

    #[test]
    fn unsigned_limits() {
        assert_eq!(parse_u64(b"0"), Some(0));
        assert_eq!(parse_u64(b"18446744073709551615"), Some(u64::MAX));
        for text in ["", "-1", "-0", "+1", "00", "007", "18446744073709551616", "99999999999999999999"] {
            assert_eq!(parse_u64(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(parse_u64(b"1844674407370955161x"), None);
        assert_eq!(parse_u64(b"184467440737095516150"), None);
    }

    #[test]
    fn every_byte_at_every_position_of_every_length() {
        for length in 1..=20 {
            for position in 0..length {
                for byte in 0..=255 {
                    let mut text = vec![b'1'; length];
                    text[position] = byte;
                    assert_eq!(parse_i64(&text), parse_i64_slowly(&text), "{}", text.escape_ascii());
                    text[0] = if position == 0 { byte } else { b'-' };
                    assert_eq!(parse_i64(&text), parse_i64_slowly(&text), "{}", text.escape_ascii());
                }
            }
        }
    }

    #[test]
    fn formats_the_limits() {
        let mut buffer = [0; INTEGER_TEXT_BYTES_MAX];
        assert_eq!(format_i64(i64::MIN, &mut buffer), b"-9223372036854775808");
        assert_eq!(format_i64(0, &mut buffer), b"0");
        assert_eq!(format_i64(i64::MAX, &mut buffer), b"9223372036854775807");
        assert_eq!(format_u64(u64::MAX, &mut buffer), b"18446744073709551615");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn agrees_with_the_slow_rules(text in "[+-]?[0-9]{0,22}[ .:/a]?") {
            prop_assert_eq!(parse_i64(text.as_bytes()), parse_i64_slowly(text.as_bytes()));
        }

        #[test]
        fn agrees_with_the_slow_rules_on_any_bytes(text in prop::collection::vec(any::<u8>(), 0..22)) {
            prop_assert_eq!(parse_i64(&text), parse_i64_slowly(&text));
        }

        #[test]
        fn unsigned_agrees_with_the_standard_library(text in "[0-9]{0,21}") {
            let canonical = text == "0" || !text.starts_with('0');
            prop_assert_eq!(parse_u64(text.as_bytes()), text.parse().ok().filter(|_| canonical));
        }

        #[test]
        fn text_and_integer_are_one_to_one(bits in any::<i64>(), shift in 0..64) {
            let value = bits >> shift;
            let mut buffer = [0; INTEGER_TEXT_BYTES_MAX];
            let text = format_i64(value, &mut buffer);
            prop_assert_eq!(text.escape_ascii().to_string(), value.to_string());
            prop_assert_eq!(parse_i64(text), Some(value));
        }
    }
}
