//! What shards say to each other. Owns the shape of messages, never a channel: the driver carries them.
//!
//! `flight` (at home, the shard of the client's connection) and `queue` (where the keys live) are the two ends of the protocol.

use std::ops::Range;

use crate::base::args::{Args, Span};
use crate::commands::gather::{Part, Write};
use crate::commands::table::Table;
use crate::metrics::persistence::Purpose;
use crate::resp::write::Protocol;
use crate::shard::ClientRef;
use crate::shard::intents::{Claim, Intent};
use crate::shard::logging::Extent;
use crate::shard::saving::Ending;

/// A message from one shard to another.
#[derive(Debug)]
pub struct ShardMessage(pub(super) Message);

/// See `ShardMessage`. What travels to and fro in one transaction is, in this order: `Schedule`, `Scheduled`, `Execute`,
/// `Replies`; for each further step `Run` and `Replies`; and `Release` where the last step has nothing to run.
#[derive(Debug)]
pub(super) enum Message {
    /// Home to owner: commands to run as soon as they meet no transaction; or the next step of a transaction, at once.
    Run(Box<Calls>),
    /// Home to owner: keep a place for this transaction, whose first step comes along.
    Schedule(Box<Calls>),
    /// Owner to home: it has a place.
    Scheduled { client: ClientRef, id: u64, proposal: Proposal },
    /// Home to owner: every owner has kept a place. The first step may run, at this time, when the turn of this position has come;
    /// it is the only one, and ends the claim, if it `concludes`.
    Execute { id: u64, position: u64, now_ms: i64, concludes: bool },
    /// Home to owner: the transaction has nothing more to do.
    Release { id: u64 },
    /// Owner to home: the calls of a `Run` or `Execute` with their replies.
    Replies(Box<Calls>),
    /// Home to owner: this client watches no key any more.
    Unwatch { client_id: u64 },
    /// Owner to home: a key has changed for which the client waits, with keys on several shards: it may try again.
    Ready { client: ClientRef, ticket: u64 },
    /// Home to owner: that waiter has tried in vain. What has happened since counts.
    Again { ticket: u64 },
    /// Home to owner: that waiter is gone. One who waits with all keys on one shard (`client`) may have been served at the same time: the
    /// owner says if not.
    Leave { ticket: u64, client: Option<ClientRef> },
    /// Owner to home: the waiter has left, and was not served.
    Left { client: ClientRef, ticket: u64 },
    /// The log of the shard that is told may be relied on up to this record: other parts of its transactions are durable now.
    Settled { seq: u64 },
    /// Owner to home: the log of `shard` may be relied on up to this record.
    Reliable { shard: u16, seq: u64 },
    /// To shard 0: a save has been begun, and somebody must lead it.
    Save { purpose: Purpose },
    /// To shard 0: the process shall end, after a save.
    SaveAndEnd(Ending),
    /// Effects are no longer logged.
    EndLog,
    /// From shard 0: the process does not end, for the save has failed.
    NotEnding { client: ClientRef, is_wanted: bool },
}

/// What an owner says of a place that it keeps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Proposal {
    /// The position, if it were for this owner.
    pub position: u64,
    /// The owner's time, Unix milliseconds.
    pub now_ms: i64,
    /// Nobody whom the transaction conflicts with has a place here.
    pub is_free: bool,
}

/// The part of a message's calls in a transaction.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Turn {
    /// Which one; 0 for none.
    pub transaction: u64,
    /// When they run, Unix milliseconds; 0 where that is when their turn comes.
    pub now_ms: i64,
    /// In a `Schedule`: the only other owner has kept its place already, so this one decides on the position, and may run at once.
    pub decides: bool,
    /// The position that it decided on.
    pub position: u64,
    /// The transaction's claim ends with these calls.
    pub concludes: bool,
}

/// One command of a batch: positions in the batch's buffer and spans.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    /// Row of the command table.
    pub row: u16,
    /// Database selected.
    pub db: u16,
    /// First of its spans.
    pub first: u32,
    /// How many spans.
    pub words: u32,
    /// Hash slot of its first key.
    pub slot: u16,
    /// What of the command is to be run.
    pub stage: Stage,
    /// Version of the reply.
    pub protocol: Protocol,
    /// `CLIENT NO-TOUCH`.
    pub no_touch: bool,
    /// Hash of its first key.
    pub hash: u64,
}

impl Call {
    /// A call that belongs to no command.
    pub(super) fn of_stage(stage: Stage) -> Call {
        let (row, db, first, words, slot, hash) = (0, 0, 0, 0, u16::MAX, 0);
        Call { row, db, first, words, slot, stage, protocol: Protocol::Resp2, no_touch: false, hash }
    }
}

/// The part of a command that a call asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// All of it.
    Run,
    /// `Gather::read` of one key word.
    Read(u32),
    /// A change that a decision ordered: an index into `Calls::writes`.
    Apply(u32),
    /// The client waits for the keys of the command that are here.
    Await,
    /// Whether the keys that the client watches are as they were; if not, nothing after it is run.
    CheckWatched,
    /// No command: the cut of a save.
    Cut,
}

/// The commands of a client for one shard that travel together, and then their replies. The object and its buffers go to and fro,
/// so a steady stream of them allocates nothing.
#[derive(Debug, Default)]
pub struct Calls {
    /// Where the replies go.
    pub(super) home: u16,
    /// Who runs them.
    pub(super) target: u16,
    /// Whose commands they are.
    pub(super) client: Option<ClientRef>,
    /// The client's id.
    pub(super) client_id: u64,
    /// Their part in a transaction.
    pub(super) turn: Turn,
    /// How much of the transaction they are.
    pub(super) extent: Extent,
    /// With the last calls of a transaction on a shard: the shards in whose logs it has a part, ascending.
    pub(super) fellows: Vec<u16>,
    /// The transaction has changed something here, which waits for the last calls to become a record.
    pub(super) has_effects: bool,
    /// The record of this shard's log that must be durable before anybody may be told what the calls found; 0 for none.
    pub(super) log_seq: u64,
    /// The one command may wait, and its waiter would have this number; 0 for commands that may not.
    pub(super) ticket: u64,
    /// The waiter exists, and its command is tried again.
    pub(super) is_again: bool,
    /// It waits.
    pub(super) is_waiting: bool,
    /// Something was not shown to the command because it was promised to others: said by the owner of its key, and told to it again with
    /// the `Await`.
    pub(super) is_withheld: bool,
    /// Run all or nothing, however long the replies.
    pub(super) is_whole: bool,
    /// What the calls, or with a `Schedule` all steps of the transaction, touch.
    pub(super) claim: Claim,
    /// The words of all commands.
    pub(super) buffer: Vec<u8>,
    pub(super) spans: Vec<Span>,
    pub(super) calls: Vec<Call>,
    /// Changes that calls of stage `Apply` carry out.
    pub(super) writes: Vec<Write>,
    /// Replies of calls of stage `Run`, one after the other.
    pub(super) replies: Vec<u8>,
    /// Where each of them ends.
    pub(super) ends: Vec<u32>,
    /// What calls of stage `Read` found.
    pub(super) parts: Vec<Part>,
    /// How many of the calls the target has run. It stops when the replies pass the soft reply limit, and goes on when the object
    /// comes again.
    pub(super) done: usize,
    /// While the reply is assembled: how many replies were used.
    pub(super) used: usize,
    /// The replies passed the hard limit: the client cannot be answered.
    pub(super) is_over_limit: bool,
    /// A watched key has changed: the calls after the check were not run.
    pub(super) is_dirty: bool,
}

impl Calls {
    pub(super) fn clear(&mut self) {
        self.client = None;
        self.turn = Turn::default();
        self.extent = Extent::Whole;
        self.fellows.clear();
        self.has_effects = false;
        self.log_seq = 0;
        self.ticket = 0;
        self.is_again = false;
        self.is_waiting = false;
        self.is_withheld = false;
        self.is_whole = false;
        self.claim.clear();
        self.buffer.clear();
        self.spans.clear();
        self.calls.clear();
        self.writes.clear();
        self.replies.clear();
        self.ends.clear();
        self.parts.clear();
        self.done = 0;
        self.used = 0;
        self.is_over_limit = false;
        self.is_dirty = false;
    }

    /// Memory it would keep.
    pub(super) fn capacity_bytes(&self) -> usize {
        self.buffer.capacity()
            + self.replies.capacity()
            + self.spans.capacity() * size_of::<Span>()
            + self.calls.capacity() * size_of::<Call>()
            + self.claim.keys.capacity() * size_of::<Intent>()
            + self.ends.capacity() * size_of::<u32>()
            + self.parts.capacity() * size_of::<Part>()
            + self.writes.capacity() * size_of::<Write>()
    }

    /// Says whose calls these are, who runs them and where the replies go.
    pub(super) fn address(&mut self, home: u16, target: u16, client: Option<ClientRef>, client_id: u64) {
        (self.home, self.target, self.client, self.client_id) = (home, target, client, client_id);
    }

    /// Appends one command with all its words.
    #[inline]
    pub(super) fn push_whole(&mut self, call: Call, args: &Args<'_>) {
        let first = self.spans.len() as u32;
        args.copy_to(&mut self.buffer, &mut self.spans);
        self.calls.push(Call { first, words: args.len() as u32, ..call });
    }

    /// Appends one command with these words.
    pub(super) fn push<'a>(&mut self, call: Call, words: impl Iterator<Item = &'a [u8]>) {
        let first = self.spans.len();
        for word in words {
            let start = self.buffer.len();
            self.buffer.extend_from_slice(word);
            self.spans.push(Span::new(start, self.buffer.len()));
        }
        self.calls.push(Call { first: first as u32, words: (self.spans.len() - first) as u32, ..call });
    }

    /// The words of a call.
    pub(super) fn args(&self, call: &Call) -> Args<'_> {
        words_of(&self.buffer, &self.spans, call)
    }

    /// Whether a call may change something.
    pub(super) fn may_write(&self, table: &Table) -> bool {
        self.calls.iter().any(|call| match call.stage {
            Stage::Run => table.row(call.row).is_write,
            Stage::Apply(_) => true,
            Stage::Read(_) | Stage::Await | Stage::CheckWatched | Stage::Cut => false,
        })
    }

    /// Whether the target has run all calls it is going to.
    pub(super) fn is_done(&self) -> bool {
        self.done == self.calls.len() || self.is_dirty
    }

    /// Takes over what a later step of the same transaction answered. Past `limit` bytes nobody will read it.
    pub(super) fn append_answers(&mut self, later: &mut Calls, limit: usize) {
        if self.replies.len() + later.replies.len() > limit {
            self.is_over_limit = true;
            self.replies = Vec::new();
            self.ends.iter_mut().for_each(|end| *end = 0);
            later.replies.clear();
            later.ends.iter_mut().for_each(|end| *end = 0);
        }
        let before = self.replies.len() as u32;
        self.replies.append(&mut later.replies);
        self.ends.extend(later.ends.drain(..).map(|end| before + end));
        self.parts.append(&mut later.parts);
        self.is_over_limit |= later.is_over_limit;
    }

    /// Whether there is a reply that was not used yet.
    pub(super) fn has_reply(&self) -> bool {
        self.used < self.ends.len()
    }

    /// Forgets replies, all of which were used, before the target goes on.
    pub(super) fn forget_replies(&mut self) {
        debug_assert!(!self.has_reply());
        self.replies.clear();
        self.ends.clear();
        self.used = 0;
    }

    /// Where in `replies` the next one is that was not used yet.
    pub(super) fn next_reply(&mut self) -> Range<usize> {
        let start = if self.used == 0 { 0 } else { self.ends[self.used - 1] };
        let end = self.ends[self.used];
        self.used += 1;
        start as usize..end as usize
    }
}

/// The words of a call in its batch.
#[inline]
pub(super) fn words_of<'a>(buffer: &'a [u8], spans: &'a [Span], call: &Call) -> Args<'a> {
    Args::new(buffer, &spans[call.first as usize..(call.first + call.words) as usize])
}
