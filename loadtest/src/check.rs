//! Judges replies against the requests they answer. A fast path compares bytes where the only right answers have a
//! fixed shape; everything else is parsed. Never touches a socket.

use crate::recorder::Tally;
use crate::reply::{self, Malformed, Reply};
use crate::workload::{Expected, KeySpace, Kind};

/// What the keyspace is known to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Filled by us: every GET finds a value that begins with its key.
    Filled,
    /// A GET may miss, and a value may be anybody's, but it has the right length.
    Unknown,
}

#[derive(Clone)]
pub struct Checker {
    keys: KeySpace,
    value_size: usize,
    content: Content,
    bulk_header: Vec<u8>,
    bulk_length: usize,
}

impl Checker {
    pub fn new(keys: KeySpace, value_size: usize, content: Content) -> Self {
        let bulk_header = format!("${value_size}\r\n").into_bytes();
        let bulk_length = bulk_header.len() + value_size + 2;
        Self { keys, value_size, content, bulk_header, bulk_length }
    }

    /// Judges the reply at the front of `bytes` and returns its length; 0 when it is not complete yet.
    #[inline]
    pub fn take(&self, expected: Expected, bytes: &[u8], tally: &mut Tally) -> Result<usize, Malformed> {
        match expected.kind {
            Kind::Set if bytes.starts_with(b"+OK\r\n") => Ok(5),
            Kind::Get
                if bytes.len() >= self.bulk_length
                    && bytes.starts_with(&self.bulk_header)
                    && bytes[self.bulk_length - 2..self.bulk_length] == *b"\r\n" =>
            {
                tally.hits += 1;
                self.check_value(expected.key, &bytes[self.bulk_header.len()..self.bulk_length - 2], tally);
                Ok(self.bulk_length)
            }
            _ => self.take_slowly(expected, bytes, tally),
        }
    }

    #[inline]
    fn check_value(&self, key: u64, value: &[u8], tally: &mut Tally) {
        let keyed = self.content == Content::Filled && self.value_size >= self.keys.size;
        if keyed && !self.keys.begins_with(key, value) {
            tally.error(1, || {
                let head = String::from_utf8_lossy(&value[..self.keys.size]);
                format!("GET of key {key} returned the value of another key: {head:?}...")
            });
        }
    }

    #[cold]
    fn take_slowly(&self, expected: Expected, bytes: &[u8], tally: &mut Tally) -> Result<usize, Malformed> {
        let Some((reply, length)) = reply::parse(bytes)? else { return Ok(0) };
        match (expected.kind, reply) {
            (_, Reply::Error(text) | Reply::Aggregate { first_error: Some(text), .. }) => {
                tally.error(1, || String::from_utf8_lossy(text).into_owned());
            }
            (Kind::Custom, Reply::Bulk(_)) => tally.hits += 1,
            (Kind::Custom, Reply::Nil) => tally.misses += 1,
            (Kind::Custom, Reply::Aggregate { bulks, nils, .. }) => {
                tally.hits += bulks;
                tally.misses += nils;
            }
            (Kind::Custom, Reply::Status(_) | Reply::Scalar) => {}
            (Kind::Get, Reply::Nil) => {
                tally.misses += 1;
                if self.content == Content::Filled {
                    tally.error(1, || {
                        format!("GET of key {} found nothing, though it was filled", expected.key)
                    });
                }
            }
            (Kind::Get, Reply::Bulk(value)) => {
                tally.hits += 1;
                tally.error(1, || {
                    format!("GET returned {} bytes, but values have {}", value.len(), self.value_size)
                });
            }
            (Kind::Get, other) => tally.error(1, || format!("wrong answer to GET: {}", describe(other))),
            (Kind::Set, other) => tally.error(1, || format!("wrong answer to SET: {}", describe(other))),
        }
        Ok(length)
    }
}

fn describe(reply: Reply<'_>) -> String {
    match reply {
        Reply::Status(text) => format!("+{}", String::from_utf8_lossy(text)),
        Reply::Error(text) => format!("-{}", String::from_utf8_lossy(text)),
        Reply::Bulk(value) => format!("a bulk of {} bytes", value.len()),
        Reply::Nil => "nil".into(),
        Reply::Scalar => "a number or boolean".into(),
        Reply::Aggregate { .. } => "an aggregate".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(content: Content, kind: Kind, bytes: &str, expected: (u64, u64, u64), text: &str) {
        let keys = KeySpace::new(100, 4).unwrap();
        let checker = Checker::new(keys, 6, content);
        for cut in 0..bytes.len() {
            let mut tally = Tally::default();
            let taken = checker.take(Expected { kind, key: 42 }, &bytes.as_bytes()[..cut], &mut tally);
            assert_eq!((taken, tally), (Ok(0), Tally::default()), "{bytes:?} cut to {cut}");
        }
        let mut tally = Tally::default();
        let taken = checker.take(Expected { kind, key: 42 }, bytes.as_bytes(), &mut tally);
        assert_eq!(taken, Ok(bytes.len()), "{bytes:?}");
        assert_eq!((tally.hits, tally.misses, tally.errors), expected, "{bytes:?}: {tally:?}");
        assert!(tally.first_error.as_deref().unwrap_or("").contains(text), "{tally:?}");
    }

    #[test]
    fn right_answers_are_no_errors() {
        check(Content::Filled, Kind::Set, "+OK\r\n", (0, 0, 0), "");
        check(Content::Filled, Kind::Get, "$6\r\nk042ab\r\n", (1, 0, 0), "");
        check(Content::Unknown, Kind::Get, "$6\r\nforeig\r\n", (1, 0, 0), "");
        check(Content::Unknown, Kind::Get, "$-1\r\n", (0, 1, 0), "");
        check(Content::Unknown, Kind::Custom, "*2\r\n$1\r\na\r\n$-1\r\n", (1, 1, 0), "");
        check(Content::Unknown, Kind::Custom, ":3\r\n", (0, 0, 0), "");
    }

    #[test]
    fn wrong_answers_are_errors() {
        check(Content::Filled, Kind::Get, "$-1\r\n", (0, 1, 1), "found nothing");
        check(Content::Filled, Kind::Get, "$6\r\nk043ab\r\n", (1, 0, 1), "another key");
        check(Content::Unknown, Kind::Get, "$5\r\nk042a\r\n", (1, 0, 1), "5 bytes");
        check(Content::Unknown, Kind::Get, "+OK\r\n", (0, 0, 1), "wrong answer to GET: +OK");
        check(Content::Unknown, Kind::Get, "-LOADING wait\r\n", (0, 0, 1), "LOADING wait");
        check(Content::Unknown, Kind::Set, "$-1\r\n", (0, 0, 1), "wrong answer to SET: nil");
        check(Content::Unknown, Kind::Set, "-OOM no\r\n", (0, 0, 1), "OOM no");
        check(Content::Unknown, Kind::Custom, "*1\r\n-ERR inner\r\n", (0, 0, 1), "ERR inner");
    }

    #[test]
    fn what_is_not_resp_is_malformed() {
        let checker = Checker::new(KeySpace::new(100, 4).unwrap(), 6, Content::Unknown);
        let taken = checker.take(Expected { kind: Kind::Get, key: 0 }, b"k042", &mut Tally::default());
        assert_eq!(taken, Err(Malformed::Type(b'k')));
    }
}
