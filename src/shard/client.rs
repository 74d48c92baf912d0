//! The protocol state of one client: what it sent and is not yet run, what it will be told, and why it may have to wait.

use crate::resp::parse::Parser;
use crate::shard::blocked::Blocked;
use crate::shard::flight::Flight;
use crate::shard::logging::Sealed;
use crate::shard::multi::Multi;

/// How far a client is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closing {
    /// Not at all.
    Open,
    /// Its commands so far are answered, then it is closed.
    AfterReplies,
    /// It is closed as soon as the driver can.
    Now,
}

/// Why a client's commands wait. Its input is kept, up to a bound, and run later.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Held {
    /// Commands are under way: the next read waits for their replies.
    pub flight: bool,
    /// Too many replies wait to be read by the client.
    pub output: bool,
    /// `CLIENT PAUSE`.
    pub pause: bool,
    /// A command waits for keys.
    pub blocked: bool,
    /// A command waits for the disk: for a save or a log, or because it would write and the disk cannot take more.
    pub disk: bool,
}

impl Held {
    pub fn any(self) -> bool {
        self.flight || self.output || self.pause || self.blocked || self.disk
    }
}

pub(super) struct Client {
    pub generation: u32,
    pub parser: Parser,
    /// Input that could not be run yet: the beginning of a command, or whole ones while the client is held.
    pub query: Vec<u8>,
    /// Replies for the driver to take.
    pub out: Vec<u8>,
    /// Replies that wait for logs, or have waited.
    pub sealed: Option<Box<Sealed>>,
    /// Whether the client is in the list of those whose replies wait so.
    pub is_sealed: bool,
    /// Bytes the driver took and has not reported as sent.
    pub unsent: usize,
    /// Commands under way.
    pub flight: Option<Box<Flight>>,
    /// Queued commands and watched keys.
    pub multi: Multi,
    pub held: Held,
    /// The command that waits for keys.
    pub blocked: Option<Box<Blocked>>,
    pub closing: Closing,
    /// The driver has closed the connection. What is left is its flight, which is carried to its end.
    pub is_gone: bool,
    /// Whether the client is already in the list that the driver reads.
    pub is_touched: bool,
    /// When the kernel last took replies, Unix milliseconds.
    pub progress_ms: i64,
}

impl Client {
    pub fn new(generation: u32) -> Client {
        Client {
            generation,
            parser: Parser::default(),
            query: Vec::new(),
            out: Vec::new(),
            sealed: None,
            is_sealed: false,
            unsent: 0,
            flight: None,
            multi: Multi::default(),
            held: Held::default(),
            blocked: None,
            closing: Closing::Open,
            is_gone: false,
            is_touched: false,
            progress_ms: 0,
        }
    }

    /// Replies that wait for logs, or have waited, bytes.
    #[inline]
    pub fn sealed_bytes(&self) -> usize {
        self.sealed.as_ref().map_or(0, |sealed| sealed.bytes())
    }

    /// Bytes of replies that the client has not taken.
    pub fn reply_bytes(&self) -> usize {
        self.out.len() + self.unsent + self.sealed_bytes()
    }
}
