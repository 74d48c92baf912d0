//! The smallest parts of RDB values, both ways: lengths, strings, times and doubles. Checked where they are read: what is cut off or
//! impossible is refused, and nothing is allocated that the bytes at hand could not fill.
//!
//! ```text
//! length  00llllll                     l                     10000000 l l l l          32 bits, high first
//!         01llllll llllllll            14 bits, high first   10000001 l l l l l l l l  64 bits, high first
//! string  length bytes ...             as it is              11000000 i                the text of an 8-bit integer
//!         11000010 i i i i             of a 32-bit one       11000001 i i              of a 16-bit one, low first
//!         11000011 length length ...   LZF: compressed length, length, compressed bytes
//! ```
//!
//! Source: `src/rdb.c` and `src/rdb.h` of Redis 7.

use std::borrow::Cow;

use crate::base::float::parse_f64;
use crate::base::limits::BULK_BYTES_MAX;
use crate::base::number::{INTEGER_TEXT_BYTES_MAX, format_i64, parse_i64};
use crate::store::rdb::BadData;
use crate::store::rdb::lzf::{self, Places};

const BITS_14: u8 = 0x40;
const BITS_32: u8 = 0x80;
const BITS_64: u8 = 0x81;
const INT_8: u8 = 0xC0;
const INT_16: u8 = 0xC1;
const INT_32: u8 = 0xC2;
const LZF: u8 = 0xC3;
const UNKNOWN: u8 = 0xC4;

/// Strings up to this length are looked at for being an integer, those above 20 for being compressible.
const INTEGER_BYTES_MAX: usize = 11;
const COMPRESSED_BYTES_MIN: usize = 21;
/// What compression must save at least, bytes.
const SAVING_BYTES_MIN: usize = 4;

// ----------------------------------------------------------------------------------------------------------
// Writing
// ----------------------------------------------------------------------------------------------------------

/// Appends parts of values to a buffer of its own.
#[derive(Default)]
pub struct Output {
    /// What was written so far.
    pub bytes: Vec<u8>,
    places: Places,
}

impl Output {
    /// A length, or any other number without a sign.
    pub fn length(&mut self, length: u64) {
        match length {
            ..0x40 => self.bytes.push(length as u8),
            0x40..0x4000 => self.bytes.extend([BITS_14 | (length >> 8) as u8, length as u8]),
            0x4000..=0xFFFF_FFFF => {
                self.bytes.push(BITS_32);
                self.bytes.extend((length as u32).to_be_bytes());
            }
            _ => {
                self.bytes.push(BITS_64);
                self.bytes.extend(length.to_be_bytes());
            }
        }
    }

    /// How many elements follow.
    pub fn count(&mut self, count: usize) {
        self.length(count as u64);
    }

    /// A string: as an integer if it is the text of one, compressed if that is shorter.
    pub fn string(&mut self, string: &[u8]) {
        if string.len() <= INTEGER_BYTES_MAX
            && let Some(number) = parse_i64(string).and_then(|number| i32::try_from(number).ok())
        {
            return self.small_integer(number);
        }
        if string.len() < COMPRESSED_BYTES_MIN || !self.compressed(string) {
            self.count(string.len());
            self.bytes.extend_from_slice(string);
        }
    }

    fn small_integer(&mut self, number: i32) {
        if let Ok(byte) = i8::try_from(number) {
            self.bytes.extend([INT_8, byte as u8]);
        } else if let Ok(number) = i16::try_from(number) {
            self.bytes.push(INT_16);
            self.bytes.extend(number.to_le_bytes());
        } else {
            self.bytes.push(INT_32);
            self.bytes.extend(number.to_le_bytes());
        }
    }

    /// Appends the string compressed, if that saves anything.
    fn compressed(&mut self, string: &[u8]) -> bool {
        let start = self.bytes.len();
        if !lzf::compress(string, string.len() - SAVING_BYTES_MIN, &mut self.places, &mut self.bytes) {
            return false;
        }
        let compressed = self.bytes.len() - start;
        self.bytes.push(LZF);
        self.count(compressed);
        self.count(string.len());
        // Its length is known only now: what stands before it was written behind it.
        self.bytes[start..].rotate_left(compressed);
        true
    }

    /// A double in eight bytes.
    pub fn double(&mut self, number: f64) {
        self.bytes.extend(number.to_le_bytes());
    }

    /// A time, Unix milliseconds.
    pub fn time_ms(&mut self, time_ms: i64) {
        self.bytes.extend(time_ms.to_le_bytes());
    }
}

// ----------------------------------------------------------------------------------------------------------
// Reading
// ----------------------------------------------------------------------------------------------------------

/// Takes parts of values from the front of bytes that anybody may have written.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    /// Reads from `bytes`.
    pub fn new(bytes: &'a [u8]) -> Input<'a> {
        Input { rest: bytes }
    }

    /// Whether everything was taken.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Bytes not yet taken.
    pub fn len(&self) -> usize {
        self.rest.len()
    }

    /// The next `len` bytes.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], BadData> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(BadData)?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], BadData> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(BadData)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// One byte.
    pub fn byte(&mut self) -> Result<u8, BadData> {
        self.array().map(|[byte]| byte)
    }

    /// A length, or any other number without a sign.
    pub fn length(&mut self) -> Result<u64, BadData> {
        let first = self.byte()?;
        self.length_from(first)
    }

    fn length_from(&mut self, first: u8) -> Result<u64, BadData> {
        match first {
            ..BITS_14 => Ok(first.into()),
            BITS_14..BITS_32 => Ok(u64::from(first & !BITS_14) << 8 | u64::from(self.byte()?)),
            BITS_32 => Ok(u32::from_be_bytes(self.array()?).into()),
            BITS_64 => Ok(u64::from_be_bytes(self.array()?)),
            _ => Err(BadData),
        }
    }

    /// How many elements follow, each of which takes at least `element_bytes_min` bytes: more than can be there is refused at once, so
    /// that space for as many may be asked for.
    pub fn count(&mut self, element_bytes_min: usize) -> Result<usize, BadData> {
        let count = usize::try_from(self.length()?).map_err(|_| BadData)?;
        if count > self.rest.len() / element_bytes_min { Err(BadData) } else { Ok(count) }
    }

    /// A string in any form.
    pub fn string(&mut self) -> Result<Cow<'a, [u8]>, BadData> {
        let first = self.byte()?;
        let number = match first {
            INT_8 => i8::from_le_bytes(self.array()?).into(),
            INT_16 => i16::from_le_bytes(self.array()?).into(),
            INT_32 => i32::from_le_bytes(self.array()?),
            LZF => {
                let (compressed, len) = (self.size()?, self.size()?);
                return lzf::decompress(self.take(compressed)?, len).map(Cow::Owned);
            }
            UNKNOWN.. => return Err(BadData),
            _ => {
                let len = usize::try_from(self.length_from(first)?).map_err(|_| BadData)?;
                return self.take(len).map(Cow::Borrowed);
            }
        };
        Ok(Cow::Owned(format_i64(number.into(), &mut [0; INTEGER_TEXT_BYTES_MAX]).to_vec()))
    }

    /// The length of a string: more than a string may have is refused.
    fn size(&mut self) -> Result<usize, BadData> {
        let size = usize::try_from(self.length()?).map_err(|_| BadData)?;
        if size > BULK_BYTES_MAX { Err(BadData) } else { Ok(size) }
    }

    /// A double in eight bytes; not a number is refused.
    pub fn double(&mut self) -> Result<f64, BadData> {
        number(f64::from_le_bytes(self.array()?))
    }

    /// A double as text behind its length, with a length of its own for each infinity: the form before RDB 8.
    pub fn text_double(&mut self) -> Result<f64, BadData> {
        match self.byte()? {
            255 => Ok(f64::NEG_INFINITY),
            254 => Ok(f64::INFINITY),
            253 => Err(BadData),
            len => number(parse_f64(self.take(len.into())?).ok_or(BadData)?),
        }
    }

    /// A time, Unix milliseconds.
    pub fn time_ms(&mut self) -> Result<i64, BadData> {
        self.array().map(i64::from_le_bytes)
    }
}

fn number(number: f64) -> Result<f64, BadData> {
    if number.is_nan() { Err(BadData) } else { Ok(number) }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn written(write: impl FnOnce(&mut Output)) -> Vec<u8> {
        let mut out = Output::default();
        write(&mut out);
        out.bytes
    }

    #[test]
    fn lengths_at_the_limits_of_their_forms() {
        for (length, bytes) in [
            (0, &b"\x00"[..]),
            (0x3F, b"\x3f"),
            (0x40, b"\x40\x40"),
            (0x3FFF, b"\x7f\xff"),
            (0x4000, b"\x80\0\0\x40\0"),
            (0xFFFF_FFFF, b"\x80\xff\xff\xff\xff"),
            (0x1_0000_0000, b"\x81\0\0\0\x01\0\0\0\0"),
            (u64::MAX, b"\x81\xff\xff\xff\xff\xff\xff\xff\xff"),
        ] {
            assert_eq!(written(|out| out.length(length)), bytes);
            let mut input = Input::new(bytes);
            assert_eq!(input.length(), Ok(length));
            assert!(input.is_empty());
            assert_eq!(Input::new(&bytes[..bytes.len() - 1]).length(), Err(BadData));
        }
        assert_eq!(Input::new(b"\xc0\0").length(), Err(BadData));
        assert_eq!(Input::new(b"\x82\0\0\0\0\0\0\0\0").length(), Err(BadData));
    }

    #[test]
    fn strings_in_the_forms_that_redis_chooses() {
        for (string, bytes) in [
            (&b""[..], &b"\x00"[..]),
            (b"abc", b"\x03abc"),
            (b"0", b"\xc0\x00"),
            (b"-128", b"\xc0\x80"),
            (b"128", b"\xc1\x80\x00"),
            (b"-32769", b"\xc2\xff\x7f\xff\xff"),
            (b"-2147483648", b"\xc2\0\0\0\x80"),
            (b"2147483648", b"\x0a2147483648"),
            (b"007", b"\x03007"),
            (b"aaaaaaaaaaaaaaaaaaaa", b"\x14aaaaaaaaaaaaaaaaaaaa"),
        ] {
            assert_eq!(written(|out| out.string(string)), bytes);
            assert_eq!(Input::new(bytes).string().as_deref(), Ok(string));
        }
        let long = [b'a'; 100];
        let bytes = written(|out| out.string(&long));
        assert!(bytes.starts_with(b"\xc3\x05\x40\x64") && bytes.len() == 9, "{}", bytes.escape_ascii());
        assert_eq!(Input::new(&bytes).string().as_deref(), Ok(&long[..]));
        assert_eq!(Input::new(b"\xc4\x00").string(), Err(BadData));
    }

    #[test]
    fn doubles_as_text_and_as_bytes() {
        for (bytes, expected) in [
            (&b"\x031.5"[..], Ok(1.5)),
            (b"\xff", Ok(f64::NEG_INFINITY)),
            (b"\xfe", Ok(f64::INFINITY)),
            (b"\xfd", Err(BadData)),
            (b"\x03nan", Err(BadData)),
            (b"\x03abc", Err(BadData)),
            (b"\x041.5", Err(BadData)),
        ] {
            assert_eq!(Input::new(bytes).text_double(), expected, "{}", bytes.escape_ascii());
        }
        assert_eq!(Input::new(&written(|out| out.double(-0.1))).double(), Ok(-0.1));
        assert_eq!(Input::new(&f64::NAN.to_le_bytes()).double(), Err(BadData));
    }

    #[test]
    fn a_count_that_cannot_be_there_is_refused() {
        assert_eq!(Input::new(b"\x03abc").count(1), Ok(3));
        assert_eq!(Input::new(b"\x04abc").count(1), Err(BadData));
        assert_eq!(Input::new(b"\x02abc").count(2), Err(BadData));
        assert_eq!(Input::new(b"\x81\xff\xff\xff\xff\xff\xff\xff\xff").count(1), Err(BadData));
    }

    proptest! {
        #[test]
        fn what_was_written_comes_back(
            length in any::<u64>(), shift in 0..64, string in vec(0..3u8, 0..100), wide in vec(any::<u8>(), 0..100),
            number in any::<i64>(),
        ) {
            let bytes = written(|out| {
                out.length(length >> shift);
                out.string(&string);
                out.string(&wide);
                out.string(i64::to_string(&(number >> shift)).as_bytes());
                out.time_ms(number);
            });
            let mut input = Input::new(&bytes);
            prop_assert_eq!(input.length(), Ok(length >> shift));
            let text = i64::to_string(&(number >> shift)).into_bytes();
            for string in [string, wide, text] {
                prop_assert_eq!(input.string().map(Cow::into_owned), Ok(string));
            }
            prop_assert_eq!(input.time_ms(), Ok(number));
            prop_assert!(input.is_empty());
        }

        #[test]
        fn survives_any_bytes(bytes in vec(any::<u8>(), 0..100)) {
            let mut input = Input::new(&bytes);
            while let Ok(string) = input.string() {
                prop_assert!(string.len() <= 100 * 88);
            }
        }
    }
}
