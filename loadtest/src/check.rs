//! Judges replies against the requests they answer. A fast path compares bytes where the only right answers have a
//! fixed shape; everything else is parsed. Never touches a socket.

use std::collections::VecDeque;

use crate::recorder::Tally;
use crate::reply::{self, Malformed, Reply};
use crate::workload::{Expected, KeySpace, Kind, Requests, Spec};

const OK: &[u8] = b"+OK\r\n";
const QUEUED: &[u8] = b"+QUEUED\r\n";

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
    mget_keys: usize,
    mget_header: Vec<u8>,
    transaction_sets: usize,
    /// All answers to a transaction: to MULTI, to each SET, to EXEC.
    transaction_replies: Vec<u8>,
    exec_reply: Vec<u8>,
}

impl Checker {
    pub fn new(spec: &Spec, content: Content) -> Self {
        let bulk_header = format!("${}\r\n", spec.value_size).into_bytes();
        let bulk_length = bulk_header.len() + spec.value_size + 2;
        let (mget_keys, transaction_sets) = match spec.requests {
            Requests::Mget { keys } => (keys, 0),
            Requests::Multi { sets } => (0, sets),
            _ => (0, 0),
        };
        let exec_reply =
            [format!("*{transaction_sets}\r\n").as_bytes(), &OK.repeat(transaction_sets)].concat();
        Self {
            keys: spec.keys,
            value_size: spec.value_size,
            content,
            bulk_header,
            bulk_length,
            mget_keys,
            mget_header: format!("*{mget_keys}\r\n").into_bytes(),
            transaction_sets,
            transaction_replies: [OK, &QUEUED.repeat(transaction_sets), &exec_reply].concat(),
            exec_reply,
        }
    }

    /// Judges the reply at the front of `bytes` and returns its length; 0 when it is not complete yet. Takes the
    /// keys of an answered MGET from the front of `mget_keys`.
    #[inline]
    pub fn take(
        &self,
        expected: Expected,
        mget_keys: &mut VecDeque<u64>,
        bytes: &[u8],
        tally: &mut Tally,
    ) -> Result<usize, Malformed> {
        match expected.kind {
            Kind::Set | Kind::Mset if bytes.starts_with(OK) => return Ok(OK.len()),
            Kind::Get => {
                if let Some(value) = self.value(bytes) {
                    tally.hits += 1;
                    self.check_value(expected.kind, expected.key, value, tally);
                    return Ok(self.bulk_length);
                }
            }
            Kind::Mget => {
                if let Some(values) = self.mget_values(bytes) {
                    tally.hits += self.mget_keys as u64;
                    for (value, key) in values.zip(mget_keys.drain(..self.mget_keys)) {
                        self.check_value(expected.kind, key, value, tally);
                    }
                    return Ok(self.mget_header.len() + self.mget_keys * self.bulk_length);
                }
            }
            Kind::Multi if bytes.starts_with(&self.transaction_replies) => {
                return Ok(self.transaction_replies.len());
            }
            Kind::Set | Kind::Mset | Kind::Multi | Kind::Custom => {}
        }
        match expected.kind {
            Kind::Mget => self.take_mget_slowly(mget_keys, bytes, tally),
            Kind::Multi => self.take_transaction_slowly(bytes, tally),
            _ => self.take_slowly(expected, bytes, tally),
        }
    }

    /// The value at the front of `bytes`, if there is one of the right length.
    #[inline]
    fn value<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        bytes.get(..self.bulk_length)?.strip_prefix(self.bulk_header.as_slice())?.strip_suffix(b"\r\n")
    }

    /// The values at the front of `bytes`, if there are as many as an MGET has keys, all of the right length.
    #[inline]
    fn mget_values<'a>(&self, bytes: &'a [u8]) -> Option<impl Iterator<Item = &'a [u8]>> {
        let bulks = bytes.strip_prefix(self.mget_header.as_slice())?;
        let bulks = bulks.get(..self.mget_keys * self.bulk_length)?.chunks_exact(self.bulk_length);
        let value = self.bulk_header.len()..self.bulk_length - 2;
        bulks
            .clone()
            .all(|bulk| self.value(bulk).is_some())
            .then(|| bulks.map(move |bulk| &bulk[value.clone()]))
    }

    #[inline]
    fn check_value(&self, kind: Kind, key: u64, value: &[u8], tally: &mut Tally) {
        let keyed = self.content == Content::Filled && self.value_size >= self.keys.size;
        if keyed && !self.keys.begins_with(key, value) {
            tally.error(1, || {
                let head = String::from_utf8_lossy(&value[..self.keys.size]);
                format!("{} of key {key} returned the value of another key: {head:?}...", name(kind))
            });
        }
    }

    #[cold]
    fn take_slowly(&self, expected: Expected, bytes: &[u8], tally: &mut Tally) -> Result<usize, Malformed> {
        let Some((reply, length)) = reply::parse(bytes)? else { return Ok(0) };
        match (expected.kind, reply) {
            (Kind::Get, reply) => self.judge_value(Kind::Get, expected.key, reply, tally),
            (Kind::Custom, Reply::Bulk(_)) => tally.hits += 1,
            (Kind::Custom, Reply::Nil) => tally.misses += 1,
            (Kind::Custom, Reply::Aggregate { bulks, nils, first_error: None }) => {
                tally.hits += bulks;
                tally.misses += nils;
            }
            (Kind::Custom, Reply::Status(_) | Reply::Scalar) => {}
            (kind, reply) => wrong(name(kind), reply, tally),
        }
        Ok(length)
    }

    #[cold]
    fn take_mget_slowly(
        &self,
        mget_keys: &mut VecDeque<u64>,
        bytes: &[u8],
        tally: &mut Tally,
    ) -> Result<usize, Malformed> {
        let Some((reply, length)) = reply::parse(bytes)? else { return Ok(0) };
        let keys = mget_keys.drain(..self.mget_keys);
        if !bytes.starts_with(&self.mget_header) {
            wrong(name(Kind::Mget), reply, tally);
            return Ok(length);
        }
        let mut at = self.mget_header.len();
        for key in keys {
            let (element, length) = reply::parse(&bytes[at..])?.expect("the array is complete");
            at += length;
            self.judge_value(Kind::Mget, key, element, tally);
        }
        Ok(length)
    }

    /// What is answered for one key by a GET or in an MGET.
    fn judge_value(&self, kind: Kind, key: u64, reply: Reply<'_>, tally: &mut Tally) {
        match reply {
            Reply::Nil => {
                tally.misses += 1;
                if self.content == Content::Filled {
                    tally.error(1, || {
                        format!("{} of key {key} found nothing, though it was filled", name(kind))
                    });
                }
            }
            Reply::Bulk(value) => {
                tally.hits += 1;
                if value.len() == self.value_size {
                    self.check_value(kind, key, value, tally);
                } else {
                    tally.error(1, || {
                        let length = value.len();
                        format!("{} returned {length} bytes, but values have {}", name(kind), self.value_size)
                    });
                }
            }
            other => wrong(name(kind), other, tally),
        }
    }

    /// A transaction is one request: however many of its answers are wrong, it is one error.
    #[cold]
    fn take_transaction_slowly(&self, bytes: &[u8], tally: &mut Tally) -> Result<usize, Malformed> {
        let (mut at, mut first_wrong) = (0, None);
        for index in 0..self.transaction_sets + 2 {
            let (command, right) = match index {
                0 => ("MULTI", OK),
                _ if index <= self.transaction_sets => ("SET in MULTI", QUEUED),
                _ => ("EXEC", self.exec_reply.as_slice()),
            };
            let Some((reply, length)) = reply::parse(&bytes[at..])? else { return Ok(0) };
            if bytes[at..at + length] != *right {
                first_wrong = first_wrong.or(Some((command, reply)));
            }
            at += length;
        }
        if let Some((command, reply)) = first_wrong {
            wrong(command, reply, tally);
        }
        Ok(at)
    }
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Get => "GET",
        Kind::Set => "SET",
        Kind::Mget => "MGET",
        Kind::Mset => "MSET",
        Kind::Multi => "MULTI",
        Kind::Custom => "the command",
    }
}

fn wrong(command: &str, reply: Reply<'_>, tally: &mut Tally) {
    tally.error(1, || match reply {
        Reply::Error(text) | Reply::Aggregate { first_error: Some(text), .. } => {
            String::from_utf8_lossy(text).into_owned()
        }
        other => format!("wrong answer to {command}: {}", describe(other)),
    });
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
    use crate::workload::Order;

    const TWO_VALUES: &str = "*2\r\n$6\r\nk042ab\r\n$6\r\nk007ab\r\n";
    const TRANSACTION: &str = "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n+OK\r\n";

    fn checker(requests: Requests, content: Content) -> Checker {
        let keys = KeySpace::new(100, 4).unwrap();
        Checker::new(&Spec { keys, value_size: 6, requests, order: Order::Uniform, seed: 1 }, content)
    }

    /// A GET is of key 42, an MGET of keys 42 and 7, a transaction has two SETs.
    fn check(content: Content, kind: Kind, bytes: &str, expected: (u64, u64, u64), text: &str) {
        let requests = match kind {
            Kind::Mget => Requests::Mget { keys: 2 },
            Kind::Multi => Requests::Multi { sets: 2 },
            _ => Requests::Mix { reads: 1, writes: 1 },
        };
        let asked = VecDeque::from(if kind == Kind::Mget { vec![42, 7, 99] } else { vec![] });
        let checker = checker(requests, content);
        for cut in 0..bytes.len() {
            let (mut tally, mut keys) = (Tally::default(), asked.clone());
            let part = &bytes.as_bytes()[..cut];
            let taken = checker.take(Expected { kind, key: 42 }, &mut keys, part, &mut tally);
            assert_eq!(
                (taken, tally, keys),
                (Ok(0), Tally::default(), asked.clone()),
                "{bytes:?} cut to {cut}"
            );
        }
        for rest in ["", "+OK\r\n"] {
            let (mut tally, mut keys) = (Tally::default(), asked.clone());
            let followed = format!("{bytes}{rest}");
            let taken = checker.take(Expected { kind, key: 42 }, &mut keys, followed.as_bytes(), &mut tally);
            assert_eq!(taken, Ok(bytes.len()), "{followed:?}");
            assert_eq!((tally.hits, tally.misses, tally.errors), expected, "{followed:?}: {tally:?}");
            assert!(tally.first_error.as_deref().unwrap_or("").contains(text), "{tally:?}");
            assert_eq!(keys, asked.range(asked.len().min(2)..).copied().collect::<Vec<_>>(), "{followed:?}");
        }
    }

    #[test]
    fn right_answers_are_no_errors() {
        check(Content::Filled, Kind::Set, "+OK\r\n", (0, 0, 0), "");
        check(Content::Filled, Kind::Get, "$6\r\nk042ab\r\n", (1, 0, 0), "");
        check(Content::Unknown, Kind::Get, "$6\r\nforeig\r\n", (1, 0, 0), "");
        check(Content::Unknown, Kind::Get, "$-1\r\n", (0, 1, 0), "");
        check(Content::Unknown, Kind::Custom, "*2\r\n$1\r\na\r\n$-1\r\n", (1, 1, 0), "");
        check(Content::Filled, Kind::Mget, TWO_VALUES, (2, 0, 0), "");
        check(Content::Unknown, Kind::Mget, "*2\r\n$-1\r\n$6\r\nforeig\r\n", (1, 1, 0), "");
        check(Content::Filled, Kind::Mset, "+OK\r\n", (0, 0, 0), "");
        check(Content::Filled, Kind::Multi, TRANSACTION, (0, 0, 0), "");
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
    fn wrong_answers_to_an_mget_are_errors() {
        let mget = |reply: &str, expected, text| check(Content::Filled, Kind::Mget, reply, expected, text);
        let swapped = "*2\r\n$6\r\nk007ab\r\n$6\r\nk042ab\r\n";
        mget(swapped, (2, 0, 2), "MGET of key 42 returned the value of another key");
        mget("*2\r\n$6\r\nk042ab\r\n$-1\r\n", (1, 1, 1), "MGET of key 7 found nothing");
        mget("*2\r\n$6\r\nk042ab\r\n$5\r\nk007a\r\n", (2, 0, 1), "MGET returned 5 bytes");
        mget("*2\r\n$6\r\nk042ab\r\n*1\r\n$6\r\nk007ab\r\n", (1, 0, 1), "wrong answer to MGET: an aggregate");
        mget("*2\r\n$6\r\nk042ab\r\n-ERR inner\r\n", (1, 0, 1), "ERR inner");
        mget("*1\r\n$6\r\nk042ab\r\n", (0, 0, 1), "wrong answer to MGET: an aggregate");
        mget("*0\r\n", (0, 0, 1), "wrong answer to MGET: an aggregate");
        mget("$6\r\nk042ab\r\n", (0, 0, 1), "wrong answer to MGET: a bulk of 6 bytes");
        mget("-ERR no\r\n", (0, 0, 1), "ERR no");
    }

    #[test]
    fn wrong_answers_to_an_mset_or_a_transaction_are_errors() {
        check(Content::Filled, Kind::Mset, ":2\r\n", (0, 0, 1), "wrong answer to MSET: a number");
        let multi = |reply: &str, text| check(Content::Filled, Kind::Multi, reply, (0, 0, 1), text);
        multi("-ERR unknown\r\n+OK\r\n+OK\r\n-ERR again\r\n", "ERR unknown");
        multi("+OK\r\n+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n", "wrong answer to SET in MULTI: +OK");
        multi("+OK\r\n-ERR no\r\n+QUEUED\r\n-EXECABORT\r\n", "ERR no");
        multi("+OK\r\n+QUEUED\r\n+QUEUED\r\n*-1\r\n", "wrong answer to EXEC: nil");
        multi("+OK\r\n+QUEUED\r\n+QUEUED\r\n*1\r\n+OK\r\n", "wrong answer to EXEC: an aggregate");
        multi("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n-OOM no\r\n", "OOM no");
        multi("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n:1\r\n", "wrong answer to EXEC: an aggregate");
    }

    #[test]
    fn what_is_not_resp_is_malformed() {
        for (kind, requests) in [
            (Kind::Get, Requests::Mix { reads: 1, writes: 0 }),
            (Kind::Mget, Requests::Mget { keys: 1 }),
            (Kind::Multi, Requests::Multi { sets: 1 }),
        ] {
            let (mut keys, mut tally) = (VecDeque::from([0]), Tally::default());
            let expected = Expected { kind, key: 0 };
            let taken = checker(requests, Content::Unknown).take(expected, &mut keys, b"k042", &mut tally);
            assert_eq!(taken, Err(Malformed::Type(b'k')), "{kind:?}");
        }
    }
}
