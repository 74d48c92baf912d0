//! Reads replies back: where one ends, and what it says. Merging the partial replies of several shards needs it, and so do tests.
//! Trusts its input, which this server wrote; a reply cut short is reported, not guessed at.

use crate::base::number::parse_i64;

/// The length in bytes of the reply at the start of `bytes`, with everything nested in it; `None` if it is cut short.
pub fn reply_len(bytes: &[u8]) -> Option<usize> {
    let (line, mut at) = head(bytes)?;
    let nested = match bytes[0] {
        b'$' | b'=' => {
            let length = parse_i64(line)?;
            return if length < 0 {
                Some(at)
            } else {
                Some(at + length as usize + 2).filter(|&end| end <= bytes.len())
            };
        }
        b'*' | b'~' | b'>' => parse_i64(line)?.max(0),
        b'%' => 2 * parse_i64(line)?,
        _ => 0,
    };
    for _ in 0..nested {
        at += reply_len(&bytes[at..])?;
    }
    Some(at)
}

/// The elements of the array (or set) reply at the start of `bytes`, each as its own reply; `None` if it is no such reply.
pub fn elements(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (line, at) = head(bytes)?;
    matches!(bytes[0], b'*' | b'~').then_some((parse_i64(line)?.max(0) as usize, &bytes[at..]))
}

/// The number of an integer reply.
pub fn integer(bytes: &[u8]) -> Option<i64> {
    let (line, _) = head(bytes)?;
    if bytes[0] == b':' { parse_i64(line) } else { None }
}

/// The content of a bulk string reply; `None` for a null or another type.
pub fn bulk(bytes: &[u8]) -> Option<&[u8]> {
    let (line, at) = head(bytes)?;
    let length = usize::try_from(parse_i64(line)?).ok()?;
    if bytes[0] == b'$' { bytes.get(at..at + length) } else { None }
}

/// Whether the reply is an error.
pub fn is_error(bytes: &[u8]) -> bool {
    bytes.first() == Some(&b'-')
}

fn head(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let end = memchr::memchr(b'\r', bytes)?;
    (bytes.len() >= end + 2 && end > 0).then(|| (&bytes[1..end], end + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_replies_with_all_they_hold() {
        for reply in [
            "+OK\r\n",
            "$-1\r\n",
            "$3\r\na\r\n\r\n",
            "*2\r\n:1\r\n*1\r\n$0\r\n\r\n",
            "%1\r\n+a\r\n_\r\n",
            "*-1\r\n",
        ] {
            let whole = reply_len(reply.as_bytes());
            assert_eq!(whole, Some(reply.len()), "{reply:?}");
            for cut in 0..reply.len() {
                assert_eq!(reply_len(&reply.as_bytes()[..cut]), None, "{reply:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn reads_values() {
        assert_eq!(integer(b":-5\r\n"), Some(-5));
        assert_eq!(bulk(b"$2\r\nhi\r\n"), Some(&b"hi"[..]));
        assert_eq!(bulk(b"$-1\r\n"), None);
        assert_eq!(elements(b"*1\r\n:1\r\n"), Some((1, &b":1\r\n"[..])));
        assert!(is_error(b"-ERR\r\n"));
    }
}
