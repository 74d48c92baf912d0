//! A connection that sees every byte: sends what it is given and reads replies without interpreting them.

use std::io::{BufRead as _, BufReader, ErrorKind, Read, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::path::Path;

use socket2::{Domain, SockAddr, Socket, Type};

use crate::harness::GUARD;

/// A connection.
pub struct Wire {
    reader: BufReader<Socket>,
}

impl Wire {
    pub fn tcp(address: SocketAddr) -> Wire {
        let wire = Wire::connect(Domain::for_address(address), &address.into());
        wire.socket().set_tcp_nodelay(true).expect("no delay");
        wire
    }

    pub fn unix(path: &Path) -> Wire {
        Wire::connect(Domain::UNIX, &SockAddr::unix(path).expect("a path short enough"))
    }

    fn connect(domain: Domain, address: &SockAddr) -> Wire {
        let socket = Socket::new(domain, Type::STREAM, None).expect("a socket");
        socket.set_read_timeout(Some(GUARD)).expect("a timeout");
        socket.set_write_timeout(Some(GUARD)).expect("a timeout");
        socket.connect(address).expect("the server accepts");
        Wire { reader: BufReader::with_capacity(64 * 1024, socket) }
    }

    pub fn socket(&self) -> &Socket {
        self.reader.get_ref()
    }

    /// What comes, byte by byte.
    pub fn reader(&mut self) -> &mut impl Read {
        &mut self.reader
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        self.socket().write_all(bytes).expect("the server takes what is sent");
    }

    /// Says that nothing more will be sent; replies can still be read.
    pub fn finish_sending(&self) {
        self.socket().shutdown(Shutdown::Write).expect("a connected socket");
    }

    /// Sends an inline command and reads its reply.
    pub fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n").as_bytes());
        String::from_utf8_lossy(&self.reply()).into_owned()
    }

    /// Sends an inline command; the reply must be `reply`.
    #[track_caller]
    pub fn expect(&mut self, line: &str, reply: &str) {
        assert_eq!(self.ask(line), reply, "to {line}");
    }

    /// Sends a command and reads its reply.
    pub fn call(&mut self, words: &[&[u8]]) -> Vec<u8> {
        self.send(&command(words));
        self.reply()
    }

    /// The next reply, every byte of it.
    pub fn reply(&mut self) -> Vec<u8> {
        let mut reply = Vec::new();
        self.read_reply(&mut reply);
        reply
    }

    /// Fails unless exactly `expected` comes next.
    #[track_caller]
    pub fn expect_bytes(&mut self, expected: &[u8]) {
        let mut found = vec![0; expected.len()];
        self.reader.read_exact(&mut found).expect("as many bytes as expected");
        assert_same(&found, expected);
    }

    /// Everything until the server closes.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        match self.reader.read_to_end(&mut rest) {
            Ok(_) => {}
            // Closed with input of ours unread: the end all the same.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => panic!("the server does not close: {error}"),
        }
        rest
    }

    fn read_reply(&mut self, reply: &mut Vec<u8>) {
        let from = reply.len();
        self.reader.read_until(b'\n', reply).expect("a reply in time");
        let line = &reply[from..];
        assert!(line.ends_with(b"\r\n"), "the connection ended within a reply: {:?}", lossy(line));
        match rest_after(line) {
            Rest::Nothing => {}
            Rest::Bytes(count) => {
                let from = reply.len();
                reply.resize(from + count, 0);
                self.reader.read_exact(&mut reply[from..]).expect("as many bytes as announced");
            }
            Rest::Replies(count) => (0..count).for_each(|_| self.read_reply(reply)),
        }
    }
}

/// What the first line of a reply announces.
enum Rest {
    Nothing,
    Bytes(usize),
    Replies(usize),
}

fn rest_after(line: &[u8]) -> Rest {
    // A negative length or count is a null of RESP2, with nothing after it.
    let count = || std::str::from_utf8(&line[1..line.len() - 2]).ok()?.parse::<usize>().ok();
    match line[0] {
        b'$' | b'=' | b'!' => count().map_or(Rest::Nothing, |length| Rest::Bytes(length + 2)),
        b'*' | b'~' | b'>' => Rest::Replies(count().unwrap_or(0)),
        b'%' => Rest::Replies(2 * count().expect("a number of pairs")),
        b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => Rest::Nothing,
        _ => panic!("no reply begins like this: {:?}", lossy(line)),
    }
}

/// A command as clients send it.
pub fn command(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(&bulk(word));
    }
    bytes
}

/// A bulk string.
pub fn bulk(content: &[u8]) -> Vec<u8> {
    [format!("${}\r\n", content.len()).as_bytes(), content, b"\r\n"].concat()
}

/// The replies that an array, set or map holds, every byte of each; none for another reply.
pub fn parts(reply: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    let mut at = line_end(reply, 0);
    if let Rest::Replies(count) = rest_after(&reply[..at]) {
        for _ in 0..count {
            let end = reply_end(reply, at);
            parts.push(&reply[at..end]);
            at = end;
        }
    }
    parts
}

/// Where the reply that begins at `at` ends.
fn reply_end(bytes: &[u8], at: usize) -> usize {
    let end = line_end(bytes, at);
    match rest_after(&bytes[at..end]) {
        Rest::Nothing => end,
        Rest::Bytes(count) => end + count,
        Rest::Replies(count) => (0..count).fold(end, |at, _| reply_end(bytes, at)),
    }
}

fn line_end(bytes: &[u8], from: usize) -> usize {
    from + bytes[from..].iter().position(|&b| b == b'\n').expect("a line") + 1
}

/// What a bulk string says, or another reply that is not composed.
pub fn content(reply: &[u8]) -> &[u8] {
    let end = line_end(reply, 0);
    match rest_after(&reply[..end]) {
        Rest::Bytes(count) => &reply[end..end + count - 2],
        _ => &reply[1..end - 2],
    }
}

/// The elements of an array of bulk strings.
pub fn elements(reply: &[u8]) -> Vec<Vec<u8>> {
    parts(reply).into_iter().map(|part| content(part).to_vec()).collect()
}

/// The cursor and the keys of a `SCAN` reply.
pub fn scanned(reply: &[u8]) -> (Vec<u8>, Vec<Vec<u8>>) {
    let pair = parts(reply);
    let [cursor, keys] = pair[..] else { panic!("no reply to SCAN: {}", lossy(reply)) };
    (content(cursor).to_vec(), elements(keys))
}

/// Bytes for a person to read, shortened.
pub fn lossy(bytes: &[u8]) -> String {
    const SHOWN_BYTES_MAX: usize = 300;
    let shown = bytes[..bytes.len().min(SHOWN_BYTES_MAX)].escape_ascii();
    if bytes.len() > SHOWN_BYTES_MAX {
        format!("{shown}... ({} bytes)", bytes.len())
    } else {
        shown.to_string()
    }
}

/// As `assert_eq`, but shows where long byte strings begin to differ and not all of them.
#[track_caller]
pub fn assert_same(found: &[u8], expected: &[u8]) {
    if found != expected {
        let at = found.iter().zip(expected).take_while(|(a, b)| a == b).count();
        let from = at.saturating_sub(40);
        panic!(
            "byte {at} differs ({} found, {} expected)\n   found ...{}\nexpected ...{}",
            found.len(),
            expected.len(),
            lossy(&found[from.min(found.len())..]),
            lossy(&expected[from.min(expected.len())..]),
        );
    }
}
