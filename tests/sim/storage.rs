//! What a process has on its disk while it runs: the requests of its shards under way, the clerk who makes and publishes saves, and what
//! waits to be told to either. Mirrors the production driver and the keeper's thread; each step is an event of the scheduler.

use std::collections::{BTreeMap, VecDeque};

use corevault::persist::clerk::Clerk;
use corevault::persist::control::{FromKeeper, ToKeeper};
use corevault::persist::log::{DiskDone, DiskOp, OpenFile};
use corevault::shard::{DiskSlot, Shard};

use crate::disk::{SimDisk, Ticket};

/// See the module.
pub struct Storage {
    pub disk: SimDisk,
    clerk: Clerk,
    to_keeper: VecDeque<ToKeeper>,
    /// By shard: what the keeper tells it, with the number of the moment when it was sent.
    from_keeper: Vec<VecDeque<(u64, FromKeeper)>>,
    operations: BTreeMap<Ticket, Operation>,
    /// Nothing more happens.
    pub is_halted: bool,
    /// Writes that should be durable when they end are not.
    pub lies: bool,
    /// Files are filled with zeros ahead; otherwise there is no space for that, which saves time.
    pub fills: bool,
    /// The requests of this shard do not end.
    pub stalled: Option<usize>,
}

/// A request under way: whose it is, its file, which must stay open, and its buffer.
struct Operation {
    shard: usize,
    slot: DiskSlot,
    _file: OpenFile,
    bytes: Vec<u8>,
}

impl Storage {
    pub fn new(disk: SimDisk, clerk: Clerk, shards: usize) -> Storage {
        Storage {
            disk,
            clerk,
            to_keeper: VecDeque::new(),
            from_keeper: (0..shards).map(|_| VecDeque::new()).collect(),
            operations: BTreeMap::new(),
            is_halted: false,
            lies: false,
            fills: false,
            stalled: None,
        }
    }

    /// Whether the process has ended, at an operation or otherwise.
    pub fn has_ended(&self) -> bool {
        self.is_halted || self.disk.medium().is_stopped()
    }

    // Events ------------------------------------------------------------------------------------------------------

    /// Submits what a shard wants done, and takes its messages for the keeper.
    pub fn take_wishes(&mut self, number: usize, shard: &mut Shard, now_ms: i64) {
        while let Some((slot, op)) = shard.take_disk_op(now_ms) {
            let mut medium = self.disk.medium();
            let (ticket, file, bytes) = match op {
                DiskOp::Write { bytes, .. } if slot == DiskSlot::Fill && !self.fills => {
                    let result = Err(std::io::Error::from_raw_os_error(libc::ENOSPC));
                    shard.disk_done(slot, DiskDone::Written { result, bytes }, now_ms);
                    continue;
                }
                DiskOp::Write { file, at, bytes, from, is_durable } => {
                    let rest = bytes[from..].to_vec();
                    let ticket = if is_durable && !self.lies {
                        medium.submit_durable_write(file.id(), at as usize, rest)
                    } else {
                        medium.submit_write(file.id(), at as usize, rest)
                    };
                    (ticket, file, bytes)
                }
                DiskOp::Sync { file } => (medium.submit_sync(file.id()), file, Vec::new()),
            };
            self.operations.insert(ticket, Operation { shard: number, slot, _file: file, bytes });
        }
        while let Some(message) = shard.take_to_keeper() {
            self.to_keeper.push_back(message);
        }
    }

    /// A request ends. Nothing comes of it if the process does too.
    pub fn complete(&mut self, ticket: Ticket) -> Option<(usize, DiskSlot, DiskDone)> {
        let Operation { shard, slot, bytes, .. } = self.operations.remove(&ticket).expect("it is under way");
        let (completion, is_stopped) = {
            let mut medium = self.disk.medium();
            let is_sync = medium.is_sync(ticket);
            ((medium.complete(ticket), is_sync), medium.is_stopped())
        };
        let (completion, is_sync) = completion;
        let done = if is_sync {
            DiskDone::Synced { result: completion.outcome.map(|_| ()) }
        } else {
            DiskDone::Written { result: completion.outcome, bytes }
        };
        (!is_stopped).then_some((shard, slot, done))
    }

    /// The keeper reads its next message and does what it asks for.
    pub fn keep(&mut self, now_ms: i64, sent: u64) {
        let message = self.to_keeper.pop_front().expect("there is a message");
        let mut disk = self.disk.clone();
        self.clerk.handle(&mut disk, message, now_ms, |shard, message| {
            self.from_keeper[usize::from(shard)].push_back((sent, message));
        });
    }

    /// A shard hears from the keeper.
    pub fn take_from_keeper(&mut self, shard: usize) -> FromKeeper {
        self.from_keeper[shard].pop_front().expect("there is a message").1
    }

    // Questions ---------------------------------------------------------------------------------------------------

    /// Requests under way that may end.
    pub fn under_way(&self) -> impl Iterator<Item = Ticket> + '_ {
        let may_end = |operation: &Operation| self.stalled != Some(operation.shard);
        self.operations.iter().filter(move |(_, operation)| may_end(operation)).map(|(ticket, _)| *ticket)
    }

    /// Whether the keeper has something to read.
    pub fn keeper_has_work(&self) -> bool {
        !self.to_keeper.is_empty()
    }

    /// When the keeper sent what a shard is to read next.
    pub fn sent_to(&self, shard: usize) -> Option<u64> {
        self.from_keeper[shard].front().map(|(sent, _)| *sent)
    }

    /// The shard whose request it is.
    pub fn shard_of(&self, ticket: Ticket) -> usize {
        self.operations[&ticket].shard
    }
}
