//! One connection: the client at the other end, and what the kernel does about it. Knows nothing of commands.

use corevault::shard::ClientRef;

/// Reads that one connection gets in one turn of its driver.
pub const READS_IN_TURN_MAX: usize = 4;

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// All it sends, as far as it knows yet.
    pub input: Vec<u8>,
    /// It may send more, depending on what it is told.
    pub says_more: bool,
    /// Whether it closes its side once all is sent.
    pub half_closes: bool,
    /// It is gone, without a word, once it has sent so many bytes; if it ever sends so many.
    pub vanishes_after: Option<usize>,
    /// Whether it ever reads.
    pub reads: bool,
}

impl Behaviour {
    /// A client that sends `input`, reads all replies and stays.
    pub fn new(input: Vec<u8>) -> Behaviour {
        Behaviour { input, says_more: false, half_closes: false, vanishes_after: None, reads: true }
    }

    /// A client that decides what it sends as it goes along.
    pub fn conversing() -> Behaviour {
        Behaviour { says_more: true, ..Behaviour::new(Vec::new()) }
    }

    /// Whether its leaving without a word comes before it has nothing more to say.
    fn vanishes(&self) -> bool {
        self.vanishes_after.is_some_and(|at| at <= self.input.len())
    }
}

/// See the module.
pub struct Socket {
    pub behaviour: Behaviour,
    /// The shard and the place there.
    pub shard: usize,
    pub client: ClientRef,
    /// How much of the input the shard has got.
    pub delivered: usize,
    /// Bytes for one more read, of those that arrived before the driver stopped receiving.
    pub late_bytes: usize,
    /// Reads since the driver last looked at what the shard wants.
    pub reads_in_turn: usize,
    pub is_receiving: bool,
    /// The shard was told that no more input comes.
    pub is_ended: bool,
    /// The replies under way, and how many of their bytes are gone.
    pub sending: Option<(Vec<u8>, usize)>,
    /// What the client got.
    pub received: Vec<u8>,
    /// The driver has shut the socket down.
    pub is_closing: bool,
    /// The shard has taken its place back.
    pub is_closed: bool,
}

impl Socket {
    pub fn new(behaviour: Behaviour, shard: usize, client: ClientRef) -> Socket {
        Socket {
            behaviour,
            shard,
            client,
            delivered: 0,
            late_bytes: 0,
            reads_in_turn: 0,
            is_receiving: true,
            is_ended: false,
            sending: None,
            received: Vec::new(),
            is_closing: false,
            is_closed: false,
        }
    }

    /// Where the input ends for the shard.
    fn input_end(&self) -> usize {
        self.behaviour
            .vanishes_after
            .map_or(self.behaviour.input.len(), |at| at.min(self.behaviour.input.len()))
    }

    /// Whether the client is gone.
    pub fn has_vanished(&self) -> bool {
        self.behaviour.vanishes() && self.delivered == self.input_end()
    }

    /// Bytes that the shard could get now.
    pub fn deliverable(&self) -> usize {
        let left = self.input_end() - self.delivered;
        match () {
            () if self.is_closing || self.is_ended || self.reads_in_turn == READS_IN_TURN_MAX => 0,
            () if self.is_receiving => left,
            () => left.min(self.late_bytes),
        }
    }

    /// Whether the shard could be told that the input has ended.
    pub fn can_end(&self) -> bool {
        let has_end = (self.behaviour.half_closes && !self.behaviour.says_more) || self.has_vanished();
        has_end
            && self.delivered == self.input_end()
            && self.is_receiving
            && !self.is_ended
            && !self.is_closing
    }

    /// Whether something could be reported about the replies under way.
    pub fn can_send(&self) -> bool {
        self.sending.is_some() && (self.behaviour.reads || self.has_vanished() || self.is_closing)
    }

    /// Whether the whole input was delivered and its end, if it has one, too.
    pub fn is_finished(&self) -> bool {
        let has_end = self.behaviour.half_closes || self.behaviour.vanishes() || self.behaviour.says_more;
        self.is_closed || (self.delivered == self.input_end() && !has_end)
    }
}
