//! Doubles as text: the shortest decimal that reads back as the same number, laid out as Redis 7.2 does it.
//! Never rounds, never allocates. Long doubles, which `INCRBYFLOAT` needs, are in `float`.

use std::io::Write;

/// Longest text, bytes: 17 digits, a sign, a point and up to six zeros, or an exponent.
const TEXT_BYTES_MAX: usize = 32;
/// Integers up to here are shown with all their digits: half of what 64 bits hold.
const WHOLE_MAX: f64 = (i64::MAX / 2) as f64;

/// The text of a double.
#[derive(Clone, Copy, Debug)]
pub struct DoubleText {
    bytes: [u8; TEXT_BYTES_MAX],
    length: usize,
}

impl DoubleText {
    /// The text's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("the text is ASCII")
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    fn push_zeros(&mut self, count: usize) {
        self.bytes[self.length..self.length + count].fill(b'0');
        self.length += count;
    }
}

/// `number` as Redis 7.2 shows it: `3`, `0.1`, `1e+30`, `-0`, `inf`, `nan`.
pub fn format_double(number: f64) -> DoubleText {
    let mut text = DoubleText { bytes: [0; TEXT_BYTES_MAX], length: 0 };
    if number.is_nan() {
        text.push(b"nan");
    } else if number.is_infinite() {
        text.push(if number > 0.0 { b"inf" } else { b"-inf" });
    } else if number == 0.0 {
        text.push(if number.is_sign_negative() { b"-0" } else { b"0" });
    } else if number.abs() <= WHOLE_MAX && number.trunc() == number {
        text.push(itoa::Buffer::new().format(number as i64).as_bytes());
    } else {
        lay_out(&mut text, number);
    }
    text
}

/// Digits without an exponent where at most some seven zeros are needed for it, otherwise with one.
fn lay_out(text: &mut DoubleText, number: f64) {
    // Rust's own shortest digits, as `d.ddde-x`.
    let mut scientific = [0u8; TEXT_BYTES_MAX];
    let mut rest = &mut scientific[..];
    write!(rest, "{:e}", number.abs()).expect("it has 17 digits at most");
    let unused = rest.len();
    let scientific = &scientific[..TEXT_BYTES_MAX - unused];
    let e = memchr::memchr(b'e', scientific).expect("it has an exponent");
    let exponent = std::str::from_utf8(&scientific[e + 1..]).expect("ASCII");
    let exponent: i32 = exponent.parse().expect("a number");
    let mut digits = [0u8; 17];
    let mut count = 0;
    for &digit in scientific[..e].iter().filter(|byte| **byte != b'.') {
        digits[count] = digit;
        count += 1;
    }
    let digits = &digits[..count];

    if number < 0.0 {
        text.push(b"-");
    }
    // The number is the digits, read as an integer, times ten to this power.
    let power = exponent - (count as i32 - 1);
    if power >= 0 && exponent < count as i32 + 7 {
        text.push(digits);
        text.push_zeros(power as usize);
    } else if power < 0 && (power > -7 || exponent.abs() < 4) {
        if exponent < 0 {
            text.push(b"0.");
            text.push_zeros((-exponent - 1) as usize);
            text.push(digits);
        } else {
            let (whole, part) = digits.split_at(exponent as usize + 1);
            text.push(whole);
            text.push(b".");
            text.push(part);
        }
    } else {
        text.push(&digits[..1]);
        if count > 1 {
            text.push(b".");
            text.push(&digits[1..]);
        }
        text.push(if exponent < 0 { b"e-" } else { b"e+" });
        text.push(itoa::Buffer::new().format(exponent.unsigned_abs()).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lays_numbers_out_as_redis_does() {
        for (number, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (3.0, "3"),
            (-17.5, "-17.5"),
            (0.1, "0.1"),
            (0.000001, "0.000001"),
            (0.0000001, "1e-7"),
            (0.00012345678901, "1.2345678901e-4"),
            (0.0012345678901, "0.0012345678901"),
            (1.2345678901234567, "1.2345678901234567"),
            (123456789.125, "123456789.125"),
            (1e17, "100000000000000000"),
            (4e18, "4000000000000000000"),
            (1e19, "1e+19"),
            (1.5e300, "1.5e+300"),
            (-2.5e-100, "-2.5e-100"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
            (5e-324, "5e-324"),
        ] {
            assert_eq!(format_double(number).as_str(), text, "{number:e}");
        }
    }

    proptest! {
        #[test]
        fn reads_back_as_the_same_number(bits in any::<u64>()) {
            let number = f64::from_bits(bits);
            prop_assume!(!number.is_nan());
            let back: f64 = format_double(number).as_str().parse().expect("a number");
            prop_assert_eq!(back.to_bits(), number.to_bits());
        }
    }
}
