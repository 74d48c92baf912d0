//! Owns how replies look on the wire, in RESP2 and RESP3.
//! Appends to a buffer and nothing else: it cannot fail, wait or send.
//!
//! Source: the Redis serialization protocol specification, versions 2 and 3.

use crate::base::double::format_double;

/// The version a client speaks; `HELLO` changes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// RESP2, every client's first language.
    #[default]
    Resp2,
    /// RESP3: null, map, set, double, verbatim and push types.
    Resp3,
}

impl Protocol {
    /// The number by which `HELLO` and `CLIENT LIST` call it.
    pub fn number(self) -> i64 {
        match self {
            Protocol::Resp2 => 2,
            Protocol::Resp3 => 3,
        }
    }
}

/// Appends replies to a buffer.
#[derive(Debug)]
pub struct Writer<'a> {
    buffer: &'a mut Vec<u8>,
    protocol: Protocol,
    /// Strings that would make the buffer longer than this are not written.
    bytes_max: usize,
    is_over: bool,
}

impl<'a> Writer<'a> {
    /// A writer that appends to `buffer`.
    #[inline]
    pub fn new(buffer: &'a mut Vec<u8>, protocol: Protocol) -> Writer<'a> {
        Writer { buffer, protocol, bytes_max: usize::MAX, is_over: false }
    }

    /// The same writer with a bound: once a string would make the buffer longer than `bytes_max`, what is written is no reply any
    /// more, and `is_over` says so. So one command of many large values cannot take all memory.
    #[inline]
    pub fn bounded(self, bytes_max: usize) -> Writer<'a> {
        Writer { bytes_max, ..self }
    }

    /// Whether the bound was passed.
    #[inline]
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    #[inline]
    fn has_room(&mut self, bytes: usize) -> bool {
        // Heads, nulls and empty strings count too: there may be any number of them.
        self.is_over |= self.buffer.len().saturating_add(bytes) > self.bytes_max;
        !self.is_over
    }

    /// The version in use, for the few replies whose shape differs by more than their types.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Switches the version in the middle of a reply stream, as `HELLO` does before its own reply.
    pub fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    /// Bytes in the buffer so far; with `truncate`, the way to take a reply back.
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Whether nothing was written to the buffer yet.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Takes back what was written after the buffer had `length` bytes.
    pub fn truncate(&mut self, length: usize) {
        self.buffer.truncate(length);
    }

    /// Bytes that are a reply already, such as another shard's.
    pub fn raw(&mut self, reply: &[u8]) {
        if self.has_room(reply.len()) {
            self.buffer.extend_from_slice(reply);
        }
    }

    /// `+OK`.
    #[inline]
    pub fn ok(&mut self) {
        self.buffer.extend_from_slice(b"+OK\r\n");
    }

    /// A simple string; `text` has no line break.
    pub fn simple(&mut self, text: &str) {
        debug_assert!(!text.contains(['\r', '\n']));
        self.buffer.push(b'+');
        self.buffer.extend_from_slice(text.as_bytes());
        self.buffer.extend_from_slice(b"\r\n");
    }

    /// An error; `text` begins with its code (`ERR`, `WRONGTYPE`). Line breaks become spaces, since they would end it.
    pub fn error(&mut self, text: &str) {
        self.buffer.push(b'-');
        self.buffer.extend(text.bytes().map(|b| if b == b'\r' || b == b'\n' { b' ' } else { b }));
        self.buffer.extend_from_slice(b"\r\n");
    }

    /// An integer.
    #[inline]
    pub fn integer(&mut self, value: i64) {
        if (0..10).contains(&value) {
            self.buffer.extend_from_slice(&[b':', b'0' + value as u8, b'\r', b'\n']);
        } else {
            self.number_line(b':', value);
        }
    }

    /// A length that is a count of something in memory.
    #[inline]
    pub fn count(&mut self, value: usize) {
        self.integer(value as i64);
    }

    /// A binary-safe string.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        if !self.has_room(bytes.len()) {
            return;
        }
        self.buffer.reserve(bytes.len() + 32);
        if let 10..100 = bytes.len() {
            let (tens, ones) = (bytes.len() / 10, bytes.len() % 10);
            self.buffer.extend_from_slice(&[b'$', b'0' + tens as u8, b'0' + ones as u8, b'\r', b'\n']);
        } else {
            self.number_line(b'$', bytes.len() as i64);
        }
        self.buffer.extend_from_slice(bytes);
        self.buffer.extend_from_slice(b"\r\n");
    }

    /// An integer as a bulk string, which is how a string command shows a number.
    #[inline]
    pub fn bulk_integer(&mut self, value: i64) {
        self.bulk(itoa::Buffer::new().format(value).as_bytes());
    }

    /// A double: of its own type in RESP3, its text as a bulk string in RESP2.
    pub fn double(&mut self, value: f64) {
        let text = format_double(value);
        match self.protocol {
            Protocol::Resp2 => self.bulk(text.as_bytes()),
            Protocol::Resp3 => {
                self.buffer.push(b',');
                self.buffer.extend_from_slice(text.as_bytes());
                self.buffer.extend_from_slice(b"\r\n");
            }
        }
    }

    /// Text for people: verbatim in RESP3, bulk in RESP2.
    pub fn verbatim(&mut self, text: &str) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(text.as_bytes()),
            Protocol::Resp3 => {
                self.number_line(b'=', text.len() as i64 + 4);
                self.buffer.extend_from_slice(b"txt:");
                self.buffer.extend_from_slice(text.as_bytes());
                self.buffer.extend_from_slice(b"\r\n");
            }
        }
    }

    /// No value: `_` in RESP3, the null bulk string in RESP2.
    #[inline]
    pub fn null(&mut self) {
        if !self.has_room(0) {
            return;
        }
        self.buffer.extend_from_slice(match self.protocol {
            Protocol::Resp2 => b"$-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// No array: `_` in RESP3, the null array in RESP2.
    pub fn null_array(&mut self) {
        self.buffer.extend_from_slice(match self.protocol {
            Protocol::Resp2 => b"*-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// The head of an array of `length` replies, which the caller writes next.
    pub fn array(&mut self, length: usize) {
        self.number_line(b'*', length as i64);
    }

    /// The head of a map of `length` pairs; a flat array in RESP2.
    pub fn map(&mut self, length: usize) {
        match self.protocol {
            Protocol::Resp2 => self.array(2 * length),
            Protocol::Resp3 => self.number_line(b'%', length as i64),
        }
    }

    /// The head of a set of `length` members; an array in RESP2.
    pub fn set(&mut self, length: usize) {
        match self.protocol {
            Protocol::Resp2 => self.array(length),
            Protocol::Resp3 => self.number_line(b'~', length as i64),
        }
    }

    /// A boolean; 1 or 0 in RESP2.
    pub fn boolean(&mut self, value: bool) {
        match self.protocol {
            Protocol::Resp2 => self.integer(i64::from(value)),
            Protocol::Resp3 => self.buffer.extend_from_slice(if value { b"#t\r\n" } else { b"#f\r\n" }),
        }
    }

    fn number_line(&mut self, kind: u8, value: i64) {
        self.buffer.push(kind);
        self.buffer.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
        self.buffer.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_bound_stops_strings_and_is_told() {
        let mut buffer = Vec::new();
        let mut writer = Writer::new(&mut buffer, Protocol::Resp2).bounded(100);
        writer.bulk(&[b'x'; 90]);
        assert!(!writer.is_over());
        writer.bulk(&[b'y'; 90]);
        writer.raw(b"+OK\r\n");
        assert!(writer.is_over());
        assert!(buffer.len() < 110 && !buffer.contains(&b'y'));
    }

    use super::*;

    fn written(protocol: Protocol, write: impl FnOnce(&mut Writer)) -> String {
        let mut buffer = Vec::new();
        write(&mut Writer::new(&mut buffer, protocol));
        String::from_utf8(buffer).expect("text")
    }

    #[test]
    fn writes_both_versions() {
        let everything = |w: &mut Writer| {
            w.ok();
            w.simple("PONG");
            w.error("ERR a\r\nb");
            w.integer(-1);
            w.integer(7);
            w.bulk(b"abc");
            w.bulk(&[b'x'; 12]);
            w.bulk_integer(100);
            w.verbatim("hi");
            w.null();
            w.null_array();
            w.array(0);
            w.map(1);
            w.set(2);
            w.boolean(true);
            w.double(1.5);
        };
        let same =
            "+OK\r\n+PONG\r\n-ERR a  b\r\n:-1\r\n:7\r\n$3\r\nabc\r\n$12\r\nxxxxxxxxxxxx\r\n$3\r\n100\r\n";
        assert_eq!(
            written(Protocol::Resp2, everything),
            format!("{same}$2\r\nhi\r\n$-1\r\n*-1\r\n*0\r\n*2\r\n*2\r\n:1\r\n$3\r\n1.5\r\n")
        );
        assert_eq!(
            written(Protocol::Resp3, everything),
            format!("{same}=6\r\ntxt:hi\r\n_\r\n_\r\n*0\r\n%1\r\n~2\r\n#t\r\n,1.5\r\n")
        );
    }
}
