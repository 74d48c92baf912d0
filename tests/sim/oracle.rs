//! What one shard alone replies to commands given one at a time, each after the reply to the one before: the meaning of a
//! client's commands, without batches, messages or splits.

use std::sync::Arc;

use corevault::commands::session::Process;
use corevault::config::Config;
use corevault::persist::ledger::Ledger;
use corevault::shard::{Arrival, ClientRef, Shard};
use corevault::store::keyspace::Keyspace;

use crate::cluster::START_MS;
use crate::script::{Command, words};

/// See the module.
pub struct Oracle {
    shard: Shard,
    client: ClientRef,
}

impl Oracle {
    /// An empty shard with one client, whose id is `client_id`.
    pub fn new(client_id: u64) -> Oracle {
        let mut shard = Shard::new(0, 1, Arc::new(Process::default()), Config::default(), 0);
        let client = shard.connect(Arrival { id: client_id, ..Arrival::default() }, START_MS);
        Oracle { shard, client }
    }

    /// One whose shard has these keys.
    pub fn over(keys: Keyspace, client_id: u64) -> Oracle {
        let process = Arc::new(Process::default());
        let ledger = Arc::new(Ledger::new(1));
        let mut shard = Shard::with_keyspace(0, 1, process, Config::default(), 0, keys, ledger);
        let client = shard.connect(Arrival { id: client_id, ..Arrival::default() }, START_MS);
        Oracle { shard, client }
    }

    /// Somebody else's view of the same shard, in a database.
    pub fn onlooker(&mut self, db: usize) -> ClientRef {
        let client = self.shard.connect(Arrival::default(), START_MS);
        self.ask(client, &words(&format!("SELECT {db}")));
        client
    }

    /// What an onlooker is told.
    pub fn ask(&mut self, client: ClientRef, command: &Command) -> Vec<u8> {
        self.shard.receive(client, &mut encoded(command), START_MS);
        let replies = self.shard.take_replies(client, Vec::new());
        self.shard.sent(client, replies.len(), START_MS);
        replies
    }

    /// The replies to `commands`, one after the other.
    pub fn replies<'a>(&mut self, commands: impl IntoIterator<Item = &'a Command>) -> Vec<u8> {
        commands.into_iter().flat_map(|command| self.reply_to_bytes(&encoded(command))).collect()
    }

    /// The replies to bytes that need not be a command.
    pub fn reply_to_bytes(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.shard.receive(self.client, &mut bytes.to_vec(), START_MS);
        let replies = self.shard.take_replies(self.client, Vec::new());
        self.shard.sent(self.client, replies.len(), START_MS);
        assert!(self.shard.take_message().is_none(), "a shard alone has nobody to write to");
        replies
    }

    /// The digest of its keys, which is the sum of the digests of the shards that hold the same keys.
    pub fn digest(&mut self) -> u64 {
        self.shard.keys().digest()
    }
}

fn encoded(command: &Command) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", command.len()).into_bytes();
    for word in command {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}
