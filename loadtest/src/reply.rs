//! Parses one RESP2 or RESP3 reply from the front of a buffer, without copying.
//! Never judges whether the reply answers the request: that is `check`.

use thiserror::Error;

use crate::limits::REPLY_BYTES_MAX;

/// One whole reply, as far as a load generator cares.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub enum Reply<'a> {
    Status(&'a [u8]),
    Error(&'a [u8]),
    Bulk(&'a [u8]),
    Nil,
    /// Integers, doubles, booleans and big numbers: well-formed, value not looked at.
    Scalar,
    /// Arrays, sets, maps and pushes, however deep, with their leaves counted.
    Aggregate {
        bulks: u64,
        nils: u64,
        first_error: Option<&'a [u8]>,
    },
}

#[derive(Debug, Error, PartialEq, Eq)]
pub enum Malformed {
    #[error("a reply begins with byte 0x{0:02x}")]
    Type(u8),
    #[error("a reply has a bad length")]
    Length,
    #[error("a bulk reply does not end in CRLF")]
    Terminator,
    #[error("a reply is longer than {REPLY_BYTES_MAX} bytes")]
    TooLong,
}

/// `None`: the reply is not complete yet. Otherwise the reply and how many bytes it takes.
pub fn parse(bytes: &[u8]) -> Result<Option<(Reply<'_>, usize)>, Malformed> {
    let Some((first, mut at)) = element(bytes, 0)? else { return incomplete(bytes) };
    let mut open = match first {
        Element::Leaf(reply) => return Ok(Some((reply, at))),
        Element::Open(children) => children,
    };
    let (mut bulks, mut nils, mut first_error) = (0, 0, None);
    while open > 0 {
        let Some((next, end)) = element(bytes, at)? else { return incomplete(bytes) };
        at = end;
        open -= 1;
        match next {
            Element::Open(children) => open = open.checked_add(children).ok_or(Malformed::Length)?,
            Element::Leaf(Reply::Bulk(_)) => bulks += 1,
            Element::Leaf(Reply::Nil) => nils += 1,
            Element::Leaf(Reply::Error(text)) => first_error = first_error.or(Some(text)),
            Element::Leaf(_) => {}
        }
    }
    Ok(Some((Reply::Aggregate { bulks, nils, first_error }, at)))
}

enum Element<'a> {
    Leaf(Reply<'a>),
    Open(u64),
}

fn incomplete<'a>(bytes: &[u8]) -> Result<Option<(Reply<'a>, usize)>, Malformed> {
    if bytes.len() >= REPLY_BYTES_MAX { Err(Malformed::TooLong) } else { Ok(None) }
}

/// The element that starts at `at`, and where it ends.
fn element(bytes: &[u8], at: usize) -> Result<Option<(Element<'_>, usize)>, Malformed> {
    let Some((&kind, rest)) = bytes[at..].split_first() else { return Ok(None) };
    if !b"+-:$*_#,(!=%~>|".contains(&kind) {
        return Err(Malformed::Type(kind));
    }
    let Some(line_length) = memchr::memmem::find(rest, b"\r\n") else { return Ok(None) };
    let line = &rest[..line_length];
    let after_line = at + 1 + line_length + 2;
    let leaf = |reply| Ok(Some((Element::Leaf(reply), after_line)));
    let open = |children| Ok(Some((Element::Open(children), after_line)));
    match kind {
        b'+' => leaf(Reply::Status(line)),
        b'-' => leaf(Reply::Error(line)),
        b':' | b'#' | b',' | b'(' => leaf(Reply::Scalar),
        b'_' => leaf(Reply::Nil),
        b'$' | b'*' if line == b"-1" => leaf(Reply::Nil),
        b'$' | b'!' | b'=' => {
            let length = decimal(line)?;
            if length > REPLY_BYTES_MAX as u64 {
                return Err(Malformed::TooLong);
            }
            let end = after_line + length as usize;
            if bytes.len() < end + 2 {
                return Ok(None);
            }
            if &bytes[end..end + 2] != b"\r\n" {
                return Err(Malformed::Terminator);
            }
            let body = &bytes[after_line..end];
            let reply = if kind == b'!' { Reply::Error(body) } else { Reply::Bulk(body) };
            Ok(Some((Element::Leaf(reply), end + 2)))
        }
        b'*' | b'~' | b'>' => open(decimal(line)?),
        b'%' => open(decimal(line)?.checked_mul(2).ok_or(Malformed::Length)?),
        // Attributes come before the reply they describe and are not a reply themselves.
        _ => open(decimal(line)?.checked_mul(2).and_then(|n| n.checked_add(1)).ok_or(Malformed::Length)?),
    }
}

fn decimal(line: &[u8]) -> Result<u64, Malformed> {
    if line.is_empty() || line.len() > 19 || !line.iter().all(u8::is_ascii_digit) {
        return Err(Malformed::Length);
    }
    Ok(line.iter().fold(0, |n, digit| n * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &str, expected: Reply<'_>) {
        assert_eq!(parse(bytes.as_bytes()), Ok(Some((expected, bytes.len()))), "{bytes:?}");
        for cut in 0..bytes.len() {
            assert_eq!(parse(&bytes.as_bytes()[..cut]), Ok(None), "{bytes:?} cut to {cut} bytes");
        }
        let followed = format!("{bytes}+OK\r\n");
        assert_eq!(parse(followed.as_bytes()), Ok(Some((expected, bytes.len()))), "{followed:?}");
    }

    #[test]
    fn parses_every_leaf() {
        check("+OK\r\n", Reply::Status(b"OK"));
        check("-ERR no\r\n", Reply::Error(b"ERR no"));
        check("!6\r\nERR no\r\n", Reply::Error(b"ERR no"));
        check("$0\r\n\r\n", Reply::Bulk(b""));
        check("$4\r\na\r\nb\r\n", Reply::Bulk(b"a\r\nb"));
        check("=6\r\ntxt:ab\r\n", Reply::Bulk(b"txt:ab"));
        for nil in ["$-1\r\n", "*-1\r\n", "_\r\n"] {
            check(nil, Reply::Nil);
        }
        for scalar in [":42\r\n", ":-42\r\n", "#t\r\n", ",1.5\r\n", "(12345678901234567890\r\n"] {
            check(scalar, Reply::Scalar);
        }
    }

    #[test]
    fn counts_the_leaves_of_aggregates() {
        let counted = |bulks, nils| Reply::Aggregate { bulks, nils, first_error: None };
        check("*0\r\n", counted(0, 0));
        check("*3\r\n$1\r\na\r\n$-1\r\n$1\r\nb\r\n", counted(2, 1));
        check("*2\r\n*1\r\n$1\r\na\r\n*1\r\n_\r\n", counted(1, 1));
        check("%1\r\n$1\r\na\r\n:1\r\n", counted(1, 0));
        check("~1\r\n$1\r\na\r\n", counted(1, 0));
        check("|1\r\n+ttl\r\n:3\r\n$1\r\na\r\n", counted(1, 0));
        check(
            "*2\r\n-ERR a\r\n-ERR b\r\n",
            Reply::Aggregate { bulks: 0, nils: 0, first_error: Some(b"ERR a") },
        );
    }

    #[test]
    fn refuses_what_is_not_resp() {
        assert_eq!(parse(b"HTTP/1.1"), Err(Malformed::Type(b'H')));
        assert_eq!(parse(b"$-2\r\n"), Err(Malformed::Length));
        assert_eq!(parse(b"$\r\n"), Err(Malformed::Length));
        assert_eq!(parse(b"*x\r\n"), Err(Malformed::Length));
        assert_eq!(parse(b"$1\r\nabcd"), Err(Malformed::Terminator));
        assert_eq!(parse(b"$99999999999\r\n"), Err(Malformed::TooLong));
    }
}
