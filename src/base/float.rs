//! Owns floating-point numbers as text: the long double of INCRBYFLOAT and HINCRBYFLOAT, and the double of
//! sorted-set scores. Reads what C's `strtold` and `strtod` read, and writes what Redis writes.
//! Never decides what a command answers when text is no number or a sum is not finite.
//!
//! Redis on x86-64 adds in the x87 extended format: 64 bits of significand, decimal values up to 1e4932. A sum
//! computed in another format differs in its last digits, so we compute in that one, in software.

use rustc_apfloat::ieee::{Double, X87DoubleExtended};
use rustc_apfloat::{Float, Round, Status};
use std::io::Write;
use std::ops::Add;

/// Text of this many bytes or more is no long double to Redis (`MAX_LONG_DOUBLE_CHARS`).
const LONG_DOUBLE_TEXT_BYTES_LIMIT: usize = 5 * 1024;

/// Bytes that any double needs as text: sign, 17 digits and 7 zeros, for an integer near 1e24.
pub const F64_TEXT_BYTES_MAX: usize = 25;

/// An 80-bit x87 extended value, the `long double` of C on x86-64. Never NaN when it comes from [`parse`],
/// but a sum of opposite infinities is.
///
/// [`parse`]: LongDouble::parse
#[derive(Clone, Copy, Debug)]
pub struct LongDouble(X87DoubleExtended);

impl LongDouble {
    /// The nearest value to the number that the whole text spells, ties to even.
    ///
    /// Accepts what `strtold` does: decimal and `0x` hexadecimal notation, with or without exponent, and
    /// `inf` or `infinity` in any case. `None` for anything else: spaces, NaN, a number that rounds to infinity,
    /// a number other than zero that rounds to zero, and text of 5 KiB or more. Infinity itself parses; Redis
    /// rejects it only when the sum is not finite.
    /// Source: INCRBYFLOAT command page; Redis's `string2ld`.
    pub fn parse(text: &[u8]) -> Option<LongDouble> {
        if text.len() >= LONG_DOUBLE_TEXT_BYTES_LIMIT {
            return None;
        }
        let literal = Literal::scan(text)?;
        let magnitude = match literal.magnitude {
            Magnitude::Infinity => X87DoubleExtended::INFINITY,
            Magnitude::Decimal(digits) => literal.in_range(nearest(digits)?)?,
            Magnitude::Hexadecimal(digits) => literal.in_range(nearest(&with_bounded_exponent(digits))?)?,
        };
        Some(LongDouble(if literal.negative { -magnitude } else { magnitude }))
    }

    /// The integer, exactly.
    pub fn from_i64(value: i64) -> LongDouble {
        LongDouble(X87DoubleExtended::from_i128(i128::from(value)).value)
    }

    /// The product with an integer, rounded as a sum is and then up to an integer; the nearest `i64` where that is none.
    pub fn times_rounded_up(self, factor: i64) -> i64 {
        let product = (self.0 * LongDouble::from_i64(factor).0).value;
        // What lies beyond 64 bits becomes the least or the greatest of them.
        product.to_i128_r(64, Round::TowardPositive, &mut false).value as i64
    }

    /// Whether the value is neither infinite nor NaN.
    pub fn is_finite(self) -> bool {
        self.0.is_finite()
    }

    /// Whether the value is NaN, the sum of opposite infinities.
    pub fn is_nan(self) -> bool {
        self.0.is_nan()
    }

    /// The value rounded to 17 places after the point, ties to even, without trailing zeros, and never in
    /// exponent notation: up to 4933 digits before the point. Negative zero, and what rounds to it, is `0`.
    /// Values that are not finite read `inf`, `-inf` and `nan`.
    /// Source: INCRBYFLOAT command page; Redis's `ld2string` in `LD_STR_HUMAN` mode, which prints `%.17Lf`.
    pub fn format_human(self) -> String {
        let sign = if self.0.is_negative() { "-" } else { "" };
        if self.is_nan() {
            return "nan".to_owned();
        }
        if !self.is_finite() {
            return format!("{sign}inf");
        }
        let (significand, exponent) = self.significand_and_exponent();
        let (whole, fraction) = round_to_places(significand, exponent);
        if fraction == 0 {
            let sign = if whole == "0" { "" } else { sign };
            return format!("{sign}{whole}");
        }
        let fraction = format!("{fraction:0width$}", width = PLACES as usize);
        format!("{sign}{whole}.{}", fraction.trim_end_matches('0'))
    }

    /// The magnitude of a finite value as an integer times a power of two.
    fn significand_and_exponent(self) -> (u64, i32) {
        const BIAS: i32 = 16383;
        const SIGNIFICAND_BITS: i32 = 64;
        let bits = self.0.to_bits();
        let significand = bits as u64;
        let exponent_field = (bits >> SIGNIFICAND_BITS) as i32 & 0x7fff;
        // Subnormals share the exponent of the smallest normal numbers.
        (significand, exponent_field.max(1) - BIAS - (SIGNIFICAND_BITS - 1))
    }
}

/// The sum, rounded to nearest, ties to even, as the x87 unit computes it by default.
impl Add for LongDouble {
    type Output = LongDouble;

    fn add(self, other: LongDouble) -> LongDouble {
        LongDouble((self.0 + other.0).value)
    }
}

/// The double nearest to the number that the whole text spells, ties to even.
///
/// Accepts and rejects as [`LongDouble::parse`] does, but for the range, and without a limit on the length of
/// decimal text. Hexadecimal text of 5 KiB or more is rejected; Redis has no such limit.
/// Source: ZADD command page; Redis's `string2d`.
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    let literal = Literal::scan(text)?;
    let magnitude = match literal.magnitude {
        Magnitude::Infinity => f64::INFINITY,
        Magnitude::Decimal(digits) => {
            let magnitude: f64 = digits.parse().ok()?;
            let lost = magnitude.is_infinite() || (magnitude == 0.0 && !literal.is_zero());
            (!lost).then_some(magnitude)?
        }
        Magnitude::Hexadecimal(digits) => {
            if text.len() >= LONG_DOUBLE_TEXT_BYTES_LIMIT {
                return None;
            }
            let magnitude: Double = literal.in_range(nearest(&with_bounded_exponent(digits))?)?;
            f64::from_bits(magnitude.to_bits() as u64)
        }
    };
    Some(if literal.negative { -magnitude } else { magnitude })
}

/// As [`parse_f64`], but nothing for what glibc's `strtod` reports as out of range although it returns something useful: numbers below
/// the normal ones that no double spells exactly.
/// Source: SORT, whose implementation in Redis takes any such report for an error.
pub fn parse_f64_normal_or_exact(text: &[u8]) -> Option<f64> {
    let number = parse_f64(text)?;
    (!number.is_subnormal() || is_exact(text)?).then_some(number)
}

/// Whether a double is exactly the number that the text spells.
fn is_exact(text: &[u8]) -> Option<bool> {
    let converted = match Literal::scan(text)?.magnitude {
        Magnitude::Infinity => return Some(true),
        Magnitude::Decimal(digits) => Double::from_str_r(digits, Round::NearestTiesToEven),
        Magnitude::Hexadecimal(digits) => {
            Double::from_str_r(&with_bounded_exponent(digits), Round::NearestTiesToEven)
        }
    };
    Some(!converted.ok()?.status.contains(Status::INEXACT))
}

/// Writes the shortest text that reads back as this double, and returns that part of the buffer.
/// Allocates nothing.
///
/// The notation is that of Redis 7.2 (`d2string` and `fpconv_dtoa`). Integers up to 2^62 in magnitude read
/// plainly. Otherwise let the value be `d` digits times ten to the power `p`. It reads plainly if it
///
/// - has 0 to 7 zeros to append (`0 <= p <= 7`),
/// - has at most 6 places after the point (`-6 <= p < 0`), or
/// - has more places but lies between 1e-3 and 1e4;
///
/// and else as `1.5e+21`, the exponent signed and not padded. The remaining values read `inf`, `-inf`, `nan`
/// and `-0`.
///
/// The digits are the shortest, and of those the nearest. Redis's Grisu2 misses the shortest for about one
/// double in a thousand and prints up to 17 digits instead; both texts read back as the same double.
pub fn format_f64(value: f64, buffer: &mut [u8; F64_TEXT_BYTES_MAX]) -> &[u8] {
    let mut rest = buffer.as_mut_slice();
    let written = write_f64(value, &mut rest);
    assert!(written.is_ok(), "a double needs at most {F64_TEXT_BYTES_MAX} bytes");
    let length = F64_TEXT_BYTES_MAX - rest.len();
    &buffer[..length]
}

fn write_f64(value: f64, out: &mut &mut [u8]) -> std::io::Result<()> {
    const INTEGER_MAX: f64 = (1u64 << 62) as f64;
    if value.is_nan() {
        return out.write_all(b"nan");
    }
    if value.is_sign_negative() {
        out.write_all(b"-")?;
    }
    let magnitude = value.abs();
    if magnitude.is_infinite() {
        return out.write_all(b"inf");
    }
    if magnitude <= INTEGER_MAX && magnitude.trunc() == magnitude {
        return out.write_all(itoa::Buffer::new().format(magnitude as u64).as_bytes());
    }
    let mut digits_buffer = [0; EXPONENT_NOTATION_BYTES_MAX];
    let (digits, power) = shortest_digits(magnitude, &mut digits_buffer)?;
    write_digits(digits, power, out)
}

/// 17 digits, a point, `e`, a sign and three digits of exponent.
const EXPONENT_NOTATION_BYTES_MAX: usize = 23;

/// The fewest digits, and the power of ten they are to be multiplied by, that read back as this double.
/// Of several such digit strings the one nearest to the double. `magnitude` is finite and positive.
fn shortest_digits(
    magnitude: f64,
    buffer: &mut [u8; EXPONENT_NOTATION_BYTES_MAX],
) -> std::io::Result<(&[u8], i32)> {
    let mut rest = buffer.as_mut_slice();
    write!(rest, "{magnitude:e}")?;
    let length = EXPONENT_NOTATION_BYTES_MAX - rest.len();
    let marker = memchr::memchr(b'e', &buffer[..length]).ok_or(std::io::ErrorKind::InvalidData)?;
    let exponent = str::from_utf8(&buffer[marker + 1..length]).map_err(std::io::Error::other)?;
    let exponent: i32 = exponent.parse().map_err(std::io::Error::other)?;
    // A point stands behind the first of several digits; the first digit takes its place.
    let digits = if marker == 1 {
        &buffer[..1]
    } else {
        buffer[1] = buffer[0];
        &buffer[1..marker]
    };
    Ok((digits, exponent - (digits.len() as i32 - 1)))
}

/// Writes `digits` times ten to the power `power` in the notation [`format_f64`] describes.
fn write_digits(digits: &[u8], power: i32, out: &mut &mut [u8]) -> std::io::Result<()> {
    const ZEROS: &[u8] = b"0000000";
    let count = digits.len() as i32;
    let leading = power + count - 1;
    if power >= 0 && leading < count + 7 {
        out.write_all(digits)?;
        return out.write_all(&ZEROS[..power as usize]);
    }
    if power < 0 && (power > -7 || leading.abs() < 4) {
        let (whole, zeros, fraction) = match usize::try_from(leading) {
            Ok(leading) => (&digits[..=leading], &[] as &[u8], &digits[leading + 1..]),
            Err(_) => (b"0".as_slice(), &ZEROS[..(-1 - leading) as usize], digits),
        };
        out.write_all(whole)?;
        out.write_all(b".")?;
        out.write_all(zeros)?;
        return out.write_all(fraction);
    }
    out.write_all(&digits[..1])?;
    if count > 1 {
        out.write_all(b".")?;
        out.write_all(&digits[1..])?;
    }
    write!(out, "e{leading:+}")
}

/// Places after the point that Redis prints of a long double.
const PLACES: u32 = 17;

/// `significand` times two to the power `exponent`, rounded to [`PLACES`] decimal places, ties to even.
/// Returns the digits before the point, and the places after it as an integer.
fn round_to_places(significand: u64, exponent: i32) -> (String, u64) {
    if exponent >= 0 {
        return (shifted_left(significand, exponent.unsigned_abs()), 0);
    }
    let shift = exponent.unsigned_abs();
    // Exact: the fraction is below 2^64, and 10^17 is below 2^57.
    const SCALE: u128 = 10u128.pow(PLACES);
    let whole = significand.checked_shr(shift).unwrap_or(0);
    let fraction = match u64::MAX.checked_shl(shift) {
        Some(above_point) => significand & !above_point,
        None => significand,
    };
    let scaled = u128::from(fraction) * SCALE;
    let places = round_shift_right(scaled, shift);
    if places == SCALE as u64 { ((whole + 1).to_string(), 0) } else { (whole.to_string(), places) }
}

/// The value divided by two to the power `shift`, rounded to nearest, ties to even. `value` is below 2^121.
fn round_shift_right(value: u128, shift: u32) -> u64 {
    if shift > 122 {
        return 0;
    }
    let quotient = (value >> shift) as u64;
    let remainder = value & ((1 << shift) - 1);
    let half = 1 << (shift - 1);
    let up = remainder > half || (remainder == half && quotient % 2 == 1);
    quotient + u64::from(up)
}

/// The decimal digits of `significand` times two to the power `shift`.
fn shifted_left(significand: u64, shift: u32) -> String {
    if shift <= 64 {
        return (u128::from(significand) << shift).to_string();
    }
    // Little-endian limbs, from which nine digits at a time are divided off at the low end.
    const CHUNK: u64 = 1_000_000_000;
    let mut limbs = vec![0u32; shift as usize / 32];
    let top = u128::from(significand) << (shift % 32);
    limbs.extend([top as u32, (top >> 32) as u32, (top >> 64) as u32]);
    let mut chunks = Vec::new();
    while let Some(top) = limbs.iter().rposition(|limb| *limb != 0) {
        limbs.truncate(top + 1);
        let mut remainder = 0;
        for limb in limbs.iter_mut().rev() {
            let part = remainder << 32 | u64::from(*limb);
            *limb = (part / CHUNK) as u32;
            remainder = part % CHUNK;
        }
        chunks.push(remainder);
    }
    let mut chunks = chunks.into_iter().rev();
    let mut digits = chunks.next().unwrap_or(0).to_string();
    for chunk in chunks {
        digits += &format!("{chunk:09}");
    }
    digits
}

/// A number's text, checked against the notation `strtod` and `strtold` share, not yet converted.
struct Literal<'text> {
    negative: bool,
    magnitude: Magnitude<'text>,
}

/// The text without its sign.
enum Magnitude<'text> {
    Infinity,
    /// `12`, `1.5`, `.5`, `5.`, each with or without `e`, an optional sign and digits.
    Decimal(&'text str),
    /// `0x` and hexadecimal digits likewise, with or without `p`, an optional sign and decimal digits.
    Hexadecimal(&'text str),
}

impl<'text> Literal<'text> {
    fn scan(text: &'text [u8]) -> Option<Literal<'text>> {
        let (negative, unsigned) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, text),
        };
        if unsigned.eq_ignore_ascii_case(b"inf") || unsigned.eq_ignore_ascii_case(b"infinity") {
            return Some(Literal { negative, magnitude: Magnitude::Infinity });
        }
        let magnitude = match unsigned {
            [b'0', b'x' | b'X', digits @ ..] => {
                is_notation(digits, u8::is_ascii_hexdigit, b'p').then_some(Magnitude::Hexadecimal)?
            }
            digits => is_notation(digits, u8::is_ascii_digit, b'e').then_some(Magnitude::Decimal)?,
        };
        Some(Literal { negative, magnitude: magnitude(str::from_utf8(unsigned).ok()?) })
    }

    /// Whether every digit before the exponent is zero.
    fn is_zero(&self) -> bool {
        let (digits, exponent_marker) = match self.magnitude {
            Magnitude::Infinity => return false,
            Magnitude::Decimal(text) => (text, ['e', 'E']),
            Magnitude::Hexadecimal(text) => (&text["0x".len()..], ['p', 'P']),
        };
        let significand = digits.split(exponent_marker).next().unwrap_or_default();
        significand.bytes().all(|byte| matches!(byte, b'0' | b'.'))
    }

    /// The converted value, unless it left the format's range: what C reports as `ERANGE`.
    /// Subnormals are in range, although C reports some of them too.
    fn in_range<F: Float>(&self, value: F) -> Option<F> {
        (value.is_finite() && (!value.is_zero() || self.is_zero())).then_some(value)
    }
}

/// Whether this is digits with at most one point among them, then possibly an exponent.
fn is_notation(text: &[u8], is_digit: fn(&u8) -> bool, exponent_marker: u8) -> bool {
    let mut parts = text.splitn(2, |byte| byte.to_ascii_lowercase() == exponent_marker);
    let significand = parts.next().unwrap_or_default();
    let points = significand.iter().filter(|byte| **byte == b'.').count();
    let digits = significand.iter().filter(|byte| is_digit(byte)).count();
    let significand_is_valid = points <= 1 && digits >= 1 && points + digits == significand.len();
    let exponent_is_valid = parts.next().is_none_or(|exponent| {
        let digits = match exponent {
            [b'-' | b'+', digits @ ..] => digits,
            digits => digits,
        };
        !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
    });
    significand_is_valid && exponent_is_valid
}

/// The value nearest to a literal that was scanned, ties to even.
fn nearest<F: Float>(literal: &str) -> Option<F> {
    F::from_str_r(literal, Round::NearestTiesToEven).ok().map(|converted| converted.value)
}

/// Hexadecimal text with an exponent, which `rustc_apfloat` demands and C does not, and with one so bounded
/// that no sum of exponents inside that crate overflows.
fn with_bounded_exponent(hexadecimal: &str) -> String {
    // Less than 5 KiB of digits move the point by at most 20480 bits, and a long double has an exponent
    // between -16445 and 16384; beyond their sum an exponent changes nothing.
    const EXPONENT_MAX: i64 = 100_000;
    let Some(marker) = hexadecimal.find(['p', 'P']) else {
        return format!("{hexadecimal}p0");
    };
    let exponent = &hexadecimal[marker + 1..];
    let negative = exponent.starts_with('-');
    let magnitude = exponent
        .trim_start_matches(['-', '+'])
        .bytes()
        .fold(0, |sum: i64, digit| (sum * 10 + i64::from(digit - b'0')).min(EXPONENT_MAX));
    let sign = if negative { "-" } else { "" };
    format!("{}p{sign}{magnitude}", &hexadecimal[..marker])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOT_A_FLOAT: &str = "value is not a valid float";
    const NOT_FINITE: &str = "increment would produce NaN or Infinity";

    /// What INCRBYFLOAT answers.
    fn incrbyfloat(value: &str, increment: &str) -> String {
        match (LongDouble::parse(value.as_bytes()), LongDouble::parse(increment.as_bytes())) {
            (Some(value), Some(increment)) if (value + increment).is_finite() => {
                (value + increment).format_human()
            }
            (Some(_), Some(_)) => NOT_FINITE.to_owned(),
            _ => NOT_A_FLOAT.to_owned(),
        }
    }

    /// Value, increment, and the answer; recorded from redis-server 7.0.15 on x86-64.
    const RECORDED: &[(&str, &str, &str)] = &[
        ("10.50", "0.1", "10.6"),
        ("10.50", "-5", "5.5"),
        ("5.0e3", "200", "5200"),
        ("3.0e3", "2e2", "3200"),
        ("0", "0", "0"),
        ("0", "-0", "0"),
        ("-0.0", "-0", "0"),
        ("5", "-5", "0"),
        ("0.1", "0.2", "0.3"),
        ("0.1", "0.7", "0.8"),
        ("1.1", "2.2", "3.3"),
        ("3", "1.000000000000000005", "4.00000000000000001"),
        ("1", "1e-17", "1.00000000000000001"),
        ("1", "5e-18", "1"),
        ("1", "-1e-17", "0.99999999999999999"),
        ("1", "1e-18", "1"),
        ("0", "1e-17", "0.00000000000000001"),
        ("0", "5e-18", "0"),
        ("0", "4.9e-18", "0"),
        ("0", "0x1p-57", "0.00000000000000001"),
        ("0", "-1e-18", "0"),
        ("0", "-9e-18", "-0.00000000000000001"),
        ("0", "0x1p-18", "0.00000381469726562"),
        ("0.5", "0x1p-18", "0.50000381469726562"),
        ("0.99999999999999999", "0.00000000000000001", "1"),
        ("0.999999999999999995", "0", "1"),
        ("0.9999999999999999999", "0.00000000000000000009", "1"),
        ("123456789.123456789", "0.000000001", "123456789.12345678999554366"),
        ("9007199254740992", "1", "9007199254740993"),
        ("9007199254740993", "0.5", "9007199254740993.5"),
        ("9223372036854775807", "1", "9223372036854775808"),
        ("9223372036854775807", "0.5", "9223372036854775807.5"),
        ("-9223372036854775808", "-1", "-9223372036854775809"),
        ("18446744073709551615", "1", "18446744073709551616"),
        ("18446744073709551616", "1", "18446744073709551616"),
        ("18446744073709551616", "3", "18446744073709551620"),
        ("36893488147419103232", "2", "36893488147419103232"),
        ("1e17", "0.01", "100000000000000000.0078125"),
        ("1e18", "0.3", "1000000000000000000.3125"),
        ("12345678901234567.89", "0.02", "12345678901234567.9091796875"),
        ("99999999999999999999", "1", "100000000000000000000"),
        ("1e20", "1e-20", "100000000000000000000"),
        ("1e30", "1", "1000000000000000000024696061952"),
        ("1e40", "-1e39", "8999999999999999999864347064079101198336"),
        ("-1e25", "1e24", "-9000000000000000000000000"),
        ("3.14159265358979323846", "2.71828182845904523536", "5.85987448204883847"),
        (".5", ".25", "0.75"),
        ("5.", "+5.", "10"),
        ("+7", "1E1", "17"),
        ("1e-5", "1e-6", "0.000011"),
        ("0x10", "0x.8", "16.5"),
        ("0X1.8P1", "0xAp-1", "8"),
        ("0x1.fffffffffffffffep0", "0x1p-63", "2"),
        ("0x1.8000000000000001p0", "0x1p-64", "1.5"),
        ("00012", "007", "19"),
        ("100", "-0.01", "99.99"),
        ("17.25", "-17.25", "0"),
        ("2.5", "inf", NOT_FINITE),
        ("-Infinity", "1", NOT_FINITE),
        ("inf", "-inf", NOT_FINITE),
        ("1.18973149535723176502e4932", "1.18973149535723176502e4932", NOT_FINITE),
        ("1.18973149535723176506e4932", "0", NOT_A_FLOAT),
        ("1e4933", "1", NOT_A_FLOAT),
        ("1e-4950", "0", "0"),
        ("1e-4952", "0", NOT_A_FLOAT),
        ("nan", "1", NOT_A_FLOAT),
        ("1", "-nan", NOT_A_FLOAT),
        ("1e", "1", NOT_A_FLOAT),
        ("1", "1e+", NOT_A_FLOAT),
        (" 1", "1", NOT_A_FLOAT),
        ("1", "1 ", NOT_A_FLOAT),
        ("0x", "1", NOT_A_FLOAT),
        ("1", "0x.p1", NOT_A_FLOAT),
        ("1.2.3", "1", NOT_A_FLOAT),
        ("", "1", NOT_A_FLOAT),
        ("1", ".", NOT_A_FLOAT),
        ("1_000", "1", NOT_A_FLOAT),
        ("1,5", "1", NOT_A_FLOAT),
        ("0e99999999999", "1", "1"),
    ];

    #[test]
    fn sums_are_those_of_redis() {
        for (value, increment, answer) in RECORDED {
            assert_eq!(incrbyfloat(value, increment), *answer, "{value:?} {increment:?}");
        }
    }

    #[test]
    fn the_limit_on_text_is_that_of_redis() {
        let digits = |count: usize| "0".repeat(count - 1) + "7";
        let parse = |text: String| LongDouble::parse(text.as_bytes()).map(LongDouble::format_human);
        assert_eq!(parse(digits(LONG_DOUBLE_TEXT_BYTES_LIMIT - 1)), Some("7".to_owned()));
        assert_eq!(parse(digits(LONG_DOUBLE_TEXT_BYTES_LIMIT)), None);
    }

    #[test]
    fn infinity_and_nan() {
        let parse = |text: &str| LongDouble::parse(text.as_bytes()).unwrap();
        assert_eq!(parse("INFinity").format_human(), "inf");
        assert_eq!(parse("-inf").format_human(), "-inf");
        let nan = parse("inf") + parse("-inf");
        assert!(nan.is_nan() && !nan.is_finite());
        assert!(!parse("inf").is_nan() && !parse("inf").is_finite());
        assert_eq!(nan.format_human(), "nan");
    }

    #[test]
    fn the_largest_values_are_written_in_full() {
        let largest = LongDouble::parse(b"1.18973149535723176502e4932").unwrap().format_human();
        assert_eq!(largest.len(), 4933);
        assert!(largest.starts_with("118973149535723176502126385303"), "{largest}");
        assert!(largest.ends_with("156604419552086811989770240"), "{largest}");
        assert_eq!(LongDouble::parse(largest.as_bytes()).unwrap().format_human(), largest);
    }

    /// Shapes a scanner could let through to a conversion that fails or overflows.
    #[test]
    fn extreme_exponents_are_out_of_range() {
        let digits = "9".repeat(5000);
        for exponent in ["", "-", "+"] {
            for marker in ["1e", "0x1p", "0xfffp", ".1e", "0x.1p"] {
                let text = format!("{marker}{exponent}{digits}");
                assert!(LongDouble::parse(text.as_bytes()).is_none(), "{marker}{exponent}");
                assert_eq!(parse_f64(text.as_bytes()), None, "{marker}{exponent}");
                let zero = text.replacen('1', "0", 1).replacen("fff", "000", 1);
                assert_eq!(LongDouble::parse(zero.as_bytes()).unwrap().format_human(), "0");
                assert_eq!(parse_f64(zero.as_bytes()), Some(0.0), "{marker}{exponent}");
            }
        }
        // Many digits and an exponent that brings them back into range.
        let text = format!("0x1{}p-{}", "0".repeat(5000), 4 * 5000);
        assert_eq!(LongDouble::parse(text.as_bytes()).unwrap().format_human(), "1");
        let text = format!("0x.{}1p{}", "0".repeat(4999), 4 * 5000);
        assert_eq!(parse_f64(text.as_bytes()), Some(1.0));
    }

    #[test]
    fn doubles_are_read_as_strtod_reads_them() {
        let table = [
            ("1", Some(1.0)),
            ("-.5e1", Some(-5.0)),
            ("5.", Some(5.0)),
            ("+inf", Some(f64::INFINITY)),
            ("-INFINITY", Some(f64::NEG_INFINITY)),
            ("0x1.8p1", Some(3.0)),
            ("-0XA", Some(-10.0)),
            // A tie of the last bit goes to even; a little more goes up.
            ("0x1.00000000000008p0", Some(1.0)),
            ("0x1.000000000000080000000000000000000001p0", Some(1.0 + f64::EPSILON)),
            ("1.7976931348623157e308", Some(f64::MAX)),
            ("1.7976931348623159e308", None),
            ("0x1p1024", None),
            ("5e-324", Some(5e-324)),
            ("0x1p-1074", Some(5e-324)),
            ("2e-324", None),
            ("0x1p-1075", None),
            ("0e-9999", Some(0.0)),
            ("nan", None),
            ("", None),
            ("+", None),
            ("-", None),
            ("+-1", None),
            (" 1", None),
            ("1 ", None),
            ("1\0", None),
            ("e5", None),
            ("0x", None),
            ("0x.", None),
            ("0xp1", None),
            ("0x1p", None),
            ("infi", None),
            ("infinity1", None),
            ("1f", None),
        ];
        for (text, expected) in table {
            assert_eq!(parse_f64(text.as_bytes()), expected, "{text:?}");
        }
        assert!(parse_f64(b"-0").is_some_and(|zero| zero == 0.0 && zero.is_sign_negative()));
    }

    /// The notation was checked against the algorithm of `fpconv_dtoa` as Redis 7.2 ships it.
    #[test]
    fn doubles_are_written_in_the_notation_of_redis() {
        let table = [
            (0.0, "0"),
            (-0.0, "-0"),
            (3.0, "3"),
            (-17.0, "-17"),
            (3.5, "3.5"),
            (0.1, "0.1"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1234.5678901, "1234.5678901"),
            (12345.678901, "12345.678901"),
            (12345.6789012, "1.23456789012e+4"),
            (9999.123456789, "9999.123456789"),
            (0.000001, "0.000001"),
            (1e-7, "1e-7"),
            (1.5e-7, "1.5e-7"),
            (0.001234567, "0.001234567"),
            (0.0001234567, "1.234567e-4"),
            (1e18, "1000000000000000000"),
            (2f64.powi(62), "4611686018427387904"),
            (-(2f64.powi(62)), "-4611686018427387904"),
            (2f64.powi(62) + 1024.0, "4611686018427389000"),
            (5e18, "5e+18"),
            (1e21, "1e+21"),
            (-1.5e300, "-1.5e+300"),
            (1.2345678901234567e23, "123456789012345670000000"),
            (-1.2345678901234567e23, "-123456789012345670000000"),
            (-1.2345678901234568e24, "-1.2345678901234568e+24"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::MIN, "-1.7976931348623157e+308"),
            (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
            (5e-324, "5e-324"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
            (-f64::NAN, "nan"),
        ];
        for (value, expected) in table {
            let mut buffer = [0; F64_TEXT_BYTES_MAX];
            let text = format_f64(value, &mut buffer).escape_ascii().to_string();
            assert_eq!(text, expected, "{value:e}");
        }
    }

    // # The oracle for long doubles
    //
    // Decimal digits in a vector, doubled and halved one power of two at a time, and rounded by hand.

    /// `significand` times two to the power `exponent`, in full: digits before the point, and behind it.
    fn in_full(significand: u64, exponent: i32) -> (Vec<u8>, Vec<u8>) {
        let mut whole: Vec<u8> = significand.to_string().bytes().map(|digit| digit - b'0').collect();
        let mut fraction = Vec::new();
        for _ in 0..exponent {
            let mut carry = 0;
            for digit in whole.iter_mut().rev() {
                let doubled = *digit * 2 + carry;
                (*digit, carry) = (doubled % 10, doubled / 10);
            }
            if carry > 0 {
                whole.insert(0, carry);
            }
        }
        for _ in exponent..0 {
            let mut remainder = 0;
            for digit in whole.iter_mut().chain(&mut fraction) {
                let dividend = remainder * 10 + *digit;
                (*digit, remainder) = (dividend / 2, dividend % 2);
            }
            if remainder > 0 {
                fraction.push(5);
            }
        }
        (whole, fraction)
    }

    fn text_of(negative: bool, whole: &[u8], fraction: &[u8]) -> String {
        let text = |digits: &[u8]| digits.iter().map(|digit| char::from(digit + b'0')).collect::<String>();
        let (whole, fraction) = (text(whole), text(fraction));
        let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
        let whole = if whole.is_empty() { "0" } else { whole };
        match (negative && (whole, fraction) != ("0", ""), fraction) {
            (negative, "") => format!("{}{whole}", if negative { "-" } else { "" }),
            (negative, _) => format!("{}{whole}.{fraction}", if negative { "-" } else { "" }),
        }
    }

    fn human_slowly(negative: bool, significand: u64, exponent: i32) -> String {
        let (mut whole, mut fraction) = in_full(significand, exponent);
        let dropped = fraction.split_off(fraction.len().min(17));
        let last_is_odd = fraction.last().or(whole.last()).is_some_and(|digit| digit % 2 == 1);
        let is_tie = dropped.first() == Some(&5) && dropped[1..].iter().all(|digit| *digit == 0);
        let up = if is_tie { last_is_odd } else { dropped.first().is_some_and(|digit| *digit >= 5) };
        if up {
            whole.insert(0, 0);
            for digit in whole.iter_mut().chain(&mut fraction).rev() {
                *digit = (*digit + 1) % 10;
                if *digit != 0 {
                    break;
                }
            }
        }
        text_of(negative, &whole, &fraction)
    }

    fn long_double(negative: bool, significand: u64, exponent: i32) -> LongDouble {
        let sign = if negative { "-" } else { "" };
        LongDouble::parse(format!("{sign}0x{significand:x}p{exponent}").as_bytes()).unwrap()
    }

    /// Exponents that put the point inside the digits mostly, and far from them now and then.
    fn exponent() -> impl Strategy<Value = i32> {
        prop_oneof![8 => -130..10, 1 => -1000..1000]
    }

    proptest! {
        #[test]
        fn human_text_equals_the_oracle(
            negative in any::<bool>(),
            significand in any::<u64>(),
            narrow in 0..64u32,
            exponent in exponent(),
        ) {
            let significand = (significand >> narrow).max(1);
            let value = long_double(negative, significand, exponent);
            prop_assert_eq!(value.format_human(), human_slowly(negative, significand, exponent));
        }

        #[test]
        fn exact_decimal_text_reads_as_the_same_value(
            negative in any::<bool>(),
            significand in 1..=u64::MAX,
            exponent in -300..300i32,
        ) {
            let (whole, fraction) = in_full(significand, exponent);
            let read = LongDouble::parse(text_of(negative, &whole, &fraction).as_bytes()).unwrap();
            prop_assert_eq!(read.0.to_bits(), long_double(negative, significand, exponent).0.to_bits());
        }

        #[test]
        fn integers_are_exact(left in any::<i64>(), right in any::<i64>(), shift in 0..63u32) {
            let (left, right) = (left >> shift, right >> shift);
            let read = LongDouble::parse(left.to_string().as_bytes()).unwrap();
            prop_assert_eq!(read.0.to_bits(), LongDouble::from_i64(left).0.to_bits());
            let sum = i128::from(left) + i128::from(right);
            prop_assert_eq!((read + LongDouble::from_i64(right)).format_human(), sum.to_string());
        }

        #[test]
        fn doubles_read_back(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            prop_assume!(!value.is_nan());
            let mut buffer = [0; F64_TEXT_BYTES_MAX];
            let read = parse_f64(format_f64(value, &mut buffer)).map(f64::to_bits);
            prop_assert_eq!(read, Some(bits));
        }

        #[test]
        fn short_decimals_are_written_as_they_were_read(units in -999_999..1_000_000i64, places in 1..4usize) {
            let value = units as f64 / 10f64.powi(places as i32);
            let mut buffer = [0; F64_TEXT_BYTES_MAX];
            let text = format_f64(value, &mut buffer).escape_ascii().to_string();
            prop_assert_eq!(text, value.to_string());
        }

        #[test]
        fn any_text_is_safe(text in "[+-]?(0x)?[0-9a-f]{0,30}[.]?[0-9a-f]{0,30}([ep][+-]?[0-9]{0,12})?") {
            let long = LongDouble::parse(text.as_bytes());
            // The range of a long double holds that of a double.
            prop_assert!(long.is_some() || parse_f64(text.as_bytes()).is_none());
        }
    }
}
