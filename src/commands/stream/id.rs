//! Stream ids as clients write them: `ms-seq`, `ms`, `ms-*`, `*`, `-`, `+`, `(` before an end that does not belong to a range.
//! Owns which spellings are taken, strange ones of Redis's included; never looks at a stream.

use crate::base::number::{INTEGER_TEXT_BYTES_MAX, format_u64, parse_i64};
use crate::commands::error::CommandError;
use crate::resp::write::Writer;
use crate::store::stream::StreamId;

const INVALID: CommandError =
    CommandError::Text("ERR Invalid stream ID specified as stream command argument");
/// A longer word is no id.
const ID_BYTES_MAX: usize = 127;

/// The id that a new entry shall have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewId {
    /// `*`: whatever follows from the clock and the last id.
    Auto,
    /// `ms-*`: at this time, behind what is there.
    AutoSeq(u64),
    /// This one.
    Given(StreamId),
}

/// An id; `missing_seq` stands for a second part that is not there.
pub fn strict(word: &[u8], missing_seq: u64) -> Result<StreamId, CommandError> {
    match parse(word, missing_seq)? {
        (id, true) => Ok(id),
        (_, false) => Err(INVALID),
    }
}

/// An id, or `-` for the smallest, `+` for the largest.
pub fn lenient(word: &[u8], missing_seq: u64) -> Result<StreamId, CommandError> {
    match word {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        _ => strict(word, missing_seq),
    }
}

/// The id of a new entry; `*` alone is known already.
pub fn new_id(word: &[u8]) -> Result<NewId, CommandError> {
    Ok(match parse(word, 0)? {
        (id, true) => NewId::Given(id),
        (id, false) => NewId::AutoSeq(id.ms),
    })
}

/// The first id of a range.
pub fn range_start(word: &[u8]) -> Result<StreamId, CommandError> {
    match word {
        [b'(', open @ ..] if !open.is_empty() => {
            strict(open, 0)?.next().ok_or(CommandError::Text("ERR invalid start ID for the interval"))
        }
        _ => lenient(word, 0),
    }
}

/// The last id of a range.
pub fn range_end(word: &[u8]) -> Result<StreamId, CommandError> {
    match word {
        [b'(', open @ ..] if !open.is_empty() => {
            let end = strict(open, u64::MAX)?.previous();
            end.ok_or(CommandError::Text("ERR invalid end ID for the interval"))
        }
        _ => lenient(word, u64::MAX),
    }
}

/// Writes an id as clients see it.
pub fn write(reply: &mut Writer<'_>, id: StreamId) {
    let mut text = [0; 2 * INTEGER_TEXT_BYTES_MAX + 1];
    let ms = format_u64(id.ms, text.first_chunk_mut().expect("it is long enough")).len();
    text[ms] = b'-';
    let rest = &mut text[ms + 1..];
    let seq = format_u64(id.seq, rest.first_chunk_mut().expect("it is long enough")).len();
    reply.bulk(&text[..ms + 1 + seq]);
}

/// The id, and whether its second part was no `*`.
fn parse(word: &[u8], missing_seq: u64) -> Result<(StreamId, bool), CommandError> {
    if word.len() > ID_BYTES_MAX {
        return Err(INVALID);
    }
    // Redis reads it as a C string.
    let word = word.split(|&byte| byte == 0).next().unwrap_or_default();
    let (ms, seq) = match word.iter().position(|&byte| byte == b'-') {
        Some(dash) => (&word[..dash], Some(&word[dash + 1..])),
        None => (word, None),
    };
    let ms = unsigned(ms).ok_or(INVALID)?;
    Ok(match seq {
        None => (StreamId { ms, seq: missing_seq }, true),
        Some(b"*") => (StreamId { ms, seq: 0 }, false),
        Some(seq) => (StreamId { ms, seq: unsigned(seq).ok_or(INVALID)? }, true),
    })
}

/// A number as Redis's `string2ull` reads it: canonical and not negative, or else whatever C's `strtoull` takes: leading spaces, a sign
/// (a negative number wraps), leading zeros.
fn unsigned(text: &[u8]) -> Option<u64> {
    if let Some(number) = parse_i64(text) {
        return u64::try_from(number).ok();
    }
    let text = &text[text.iter().take_while(|byte| matches!(byte, b' ' | b'\t'..=b'\r')).count()..];
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let number = digits.iter().try_fold(0u64, |number, byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 { None } else { number.checked_mul(10)?.checked_add(digit.into()) }
    })?;
    Some(if is_negative { number.wrapping_neg() } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(ms: u64, seq: u64) -> StreamId {
        StreamId { ms, seq }
    }

    #[test]
    fn reads_ids() {
        for (text, expected) in [
            ("5-3", id(5, 3)),
            ("5", id(5, 7)),
            ("0-0", id(0, 0)),
            ("18446744073709551615-18446744073709551615", StreamId::MAX),
            ("007-+3", id(7, 3)),
            (" 5-\t3", id(5, 3)),
            ("5--01", id(5, u64::MAX)),
            ("5-3\0rest", id(5, 3)),
        ] {
            assert_eq!(strict(text.as_bytes(), 7), Ok(expected), "{text:?}");
        }
        for text in ["", "-", "+", "a", "5-", "-5", "5-a", "5-3-1", "5--3", "5-*", "5 -3", "1.5", "*", "(5"] {
            assert_eq!(strict(text.as_bytes(), 0), Err(INVALID), "{text:?}");
        }
        assert_eq!(strict(b"18446744073709551616", 0), Err(INVALID));
        assert_eq!(strict(&[b'0'; 127], 0), Ok(id(0, 0)));
        assert_eq!(strict(&[b'0'; 128], 0), Err(INVALID));
        assert_eq!((lenient(b"-", 0), lenient(b"+", 0)), (Ok(StreamId::MIN), Ok(StreamId::MAX)));
    }

    #[test]
    fn reads_ids_of_new_entries() {
        assert_eq!(new_id(b"5-*"), Ok(NewId::AutoSeq(5)));
        assert_eq!(new_id(b"5"), Ok(NewId::Given(id(5, 0))));
        assert_eq!(new_id(b"5-**"), Err(INVALID));
        assert_eq!(new_id(b"-"), Err(INVALID));
    }

    #[test]
    fn reads_ends_of_ranges() {
        assert_eq!(range_start(b"(5"), Ok(id(5, 1)));
        assert_eq!(range_end(b"(5"), Ok(id(5, u64::MAX - 1)));
        assert_eq!(range_end(b"5"), Ok(id(5, u64::MAX)));
        assert_eq!(range_end(b"(5-0"), Ok(id(4, u64::MAX)));
        assert!(range_start(b"(18446744073709551615-18446744073709551615").is_err());
        assert!(range_end(b"(0-0").is_err());
        assert_eq!([range_start(b"("), range_start(b"(-"), range_end(b"(+")], [const { Err(INVALID) }; 3]);
    }
}
