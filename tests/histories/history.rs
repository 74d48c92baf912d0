//! What clients asked and were told, and when. Never judges it.

use std::fmt;

use super::model::Words;

/// One command of a client.
#[derive(Clone, Debug)]
pub struct Operation {
    pub words: Words,
    /// It cannot have taken effect before.
    pub invoked: u64,
    /// None for a client that left, or was never told: it may have taken effect or not.
    pub completion: Option<Completion>,
}

/// The end of a command.
#[derive(Clone, Debug)]
pub struct Completion {
    /// It cannot have taken effect later.
    pub at: u64,
    pub reply: Vec<u8>,
}

/// Each client's commands in the order it sent them, which is the order in which they must take effect.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub clients: Vec<Vec<Operation>>,
}

impl History {
    /// Of so many clients, who have done nothing yet.
    pub fn new(clients: usize) -> History {
        History { clients: vec![Vec::new(); clients] }
    }

    /// A client's next command is sent.
    pub fn invoke(&mut self, client: usize, words: Words, at: u64) {
        self.clients[client].push(Operation { words, invoked: at, completion: None });
    }

    /// The reply to the earliest command of a client that has none yet. False: it had asked for nothing.
    #[must_use]
    pub fn complete(&mut self, client: usize, reply: Vec<u8>, at: u64) -> bool {
        let waiting = self.clients[client].iter_mut().find(|operation| operation.completion.is_none());
        waiting.map(|operation| operation.completion = Some(Completion { at, reply })).is_some()
    }

    /// How many commands there are.
    pub fn len(&self) -> usize {
        self.clients.iter().map(Vec::len).sum()
    }
}

/// One line a command, by time.
impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows: Vec<(usize, usize, &Operation)> = Vec::new();
        for (client, operations) in self.clients.iter().enumerate() {
            rows.extend(operations.iter().enumerate().map(|(index, operation)| (client, index, operation)));
        }
        rows.sort_by_key(|(client, index, operation)| (operation.invoked, *client, *index));
        writeln!(f, "{:>9}  {:>6} {:>6}  command", "client", "from", "to")?;
        for (client, index, operation) in rows {
            let client = format!("{client}.{index}");
            let words = operation.words.join(&b' ');
            let Operation { invoked, completion, .. } = operation;
            write!(f, "{client:>9}  {invoked:>6} ")?;
            match completion {
                None => writeln!(f, "{:>6}  {}", "-", words.escape_ascii())?,
                Some(Completion { at, reply }) => {
                    writeln!(f, "{at:>6}  {}  ->  {}", words.escape_ascii(), shown(reply))?;
                }
            }
        }
        Ok(())
    }
}

/// A reply in one line.
pub fn shown(reply: &[u8]) -> String {
    String::from_utf8_lossy(reply).trim_end().replace("\r\n", " ").escape_debug().to_string()
}

/// Where the first reply in `bytes` ends; `None` while it is incomplete. RESP2.
pub fn reply_end(bytes: &[u8]) -> Option<usize> {
    let line_end = bytes.windows(2).position(|pair| pair == b"\r\n")? + 2;
    let length = || -> i64 {
        let digits = std::str::from_utf8(&bytes[1..line_end - 2]).ok().and_then(|text| text.parse().ok());
        digits.unwrap_or_else(|| panic!("no length: {}", bytes[..line_end].escape_ascii()))
    };
    match bytes[0] {
        b'+' | b'-' | b':' => Some(line_end),
        b'$' => {
            let length = length();
            let end = if length < 0 { line_end } else { line_end + length as usize + 2 };
            (end <= bytes.len()).then_some(end)
        }
        b'*' => {
            let mut end = line_end;
            for _ in 0..length().max(0) {
                end += reply_end(&bytes[end..])?;
            }
            Some(end)
        }
        other => panic!("no reply begins with {:?}", char::from(other)),
    }
}

/// The bytes of a command.
pub fn encode(words: &[Vec<u8>], bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::reply_end;

    #[test]
    fn a_reply_ends_with_its_last_byte() {
        for reply in
            ["+OK\r\n", "-ERR no\r\n", ":-1\r\n", "$-1\r\n", "$4\r\n\r\n\r\n\r\n", "$0\r\n\r\n", "*-1\r\n"]
        {
            for whole in [reply.to_owned(), format!("*2\r\n{reply}*1\r\n{reply}")] {
                for cut in 0..whole.len() {
                    assert_eq!(reply_end(&whole.as_bytes()[..cut]), None, "{whole:?} cut at {cut}");
                }
                assert_eq!(reply_end(format!("{whole}+next\r\n").as_bytes()), Some(whole.len()), "{whole:?}");
            }
        }
    }
}
