//! What commands may see of the shard besides its keys: the sessions of its clients, its configuration and its counters.
//! Plain data. The shard acts on what commands leave in `requests`; nothing here touches a socket or another shard.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::rng::Rng;
use crate::commands::blocking::Wait;
use crate::commands::error::CommandError;
use crate::config::Config;
use crate::metrics::Stats;
use crate::metrics::persistence::{Persistence, Purpose, Trouble};
use crate::resp::write::Protocol;

/// What the shards of a process share: facts about it, and the counter of transactions.
#[derive(Debug)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// 40 hexadecimal digits, new at each start.
    pub run_id: String,
    /// When the process started, Unix milliseconds.
    pub started_ms: i64,
    /// Path of the executable.
    pub executable: String,
    /// The kernel, as `uname` names it.
    pub os: String,
    /// Where clients connect: the TCP port.
    pub tcp_port: u16,
    /// CPUs the shards are pinned to, as the operator would write them.
    pub cpus: String,
    /// Machine memory, bytes.
    pub system_memory_bytes: u64,
    /// The allocator, as `INFO` names it.
    pub allocator: &'static str,
    /// Asks the kernel what the process uses. Commands read no files, so whoever starts the shards provides it.
    pub usage: fn() -> ProcessUsage,
    /// Numbers for transactions.
    pub transaction_ids: TransactionIds,
    /// Saves, the log and the restore.
    pub persistence: Persistence,
}

/// Hands out growing numbers, each once in the process. On cache lines of its own: every shard writes it.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct TransactionIds(AtomicU64);

impl TransactionIds {
    /// A number larger than every one handed out before; the first is 1.
    #[inline]
    pub fn next(&self) -> u64 {
        // Read-modify-writes of one variable have one order, which is all that is needed.
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// What the process uses, as the kernel counts it. Zero means that nobody has measured it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcessUsage {
    /// Resident memory, bytes.
    pub rss_bytes: u64,
    /// The most resident memory since start, bytes.
    pub peak_rss_bytes: u64,
    /// Time its threads ran in user mode, seconds.
    pub cpu_user_seconds: f64,
    /// Time its threads ran in the kernel, seconds.
    pub cpu_sys_seconds: f64,
}

impl Default for Process {
    fn default() -> Process {
        Process {
            pid: 0,
            run_id: String::new(),
            started_ms: 0,
            executable: String::new(),
            os: String::new(),
            tcp_port: 0,
            cpus: String::new(),
            system_memory_bytes: 0,
            allocator: "",
            usage: ProcessUsage::default,
            transaction_ids: TransactionIds::default(),
            persistence: Persistence::default(),
        }
    }
}

/// A part of the state of one shard: what commands may read and change besides keys.
pub struct Server {
    /// This shard's number.
    pub shard: u16,
    /// Shards of the process.
    pub shards: u16,
    /// The process.
    pub process: Arc<Process>,
    /// Parameters in force; every shard has a copy, changed by the same `CONFIG SET`.
    pub config: Config,
    /// Counters.
    pub stats: Stats,
    /// Clients of this shard.
    pub sessions: Sessions,
    /// `CLIENT PAUSE` in force.
    pub pause: Option<Pause>,
    /// Choices that need no secrecy.
    pub rng: Rng,
    /// What the shard must do once the command has run.
    pub requests: Vec<Request>,
    /// That the command which has just run would wait.
    pub wait: Option<Wait>,
}

impl Server {
    /// Why writes are refused, if they are: what clients wrote could be lost with the process.
    #[inline]
    pub fn write_refusal(&self) -> Option<CommandError> {
        let trouble = self.process.persistence.trouble();
        if trouble == Trouble::None { None } else { self.refusal_because(trouble) }
    }

    #[cold]
    fn refusal_because(&self, trouble: Trouble) -> Option<CommandError> {
        match trouble {
            // As in Redis, it is the operator who wants saves that must know.
            Trouble::Save
                if self.config.stops_writes_on_save_error && !self.config.save_points.is_empty() =>
            {
                Some(CommandError::SaveFails)
            }
            Trouble::Log => {
                let errors = self.process.persistence.state().log_errors;
                errors.into_iter().next().map(|(_, error)| CommandError::LogFails(error))
            }
            Trouble::None | Trouble::Save => None,
        }
    }
}

/// Something a command asks of the shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Disconnect the client with this session index at once.
    Kill(u32),
    /// Disconnect the client with this session index, the caller, once it has its replies.
    Leave(u32),
    /// Clients held by `CLIENT PAUSE` may go on.
    Resume,
    /// The whole process must end, as if it had got a SIGTERM. If it cannot save before, it goes on, and the client, which has no reply
    /// yet, is told so; unless the process must end whatever happens.
    Shutdown { asker: Asker, save: Option<bool>, force: bool },
    /// A save has begun (`Persistence::begin_save`) that somebody must carry out and end. The client that `waiting` names has no reply
    /// yet and is to run nothing more until it has one, when the save has ended: `OK`, or an error.
    Save { waiting: Option<Asker>, purpose: Purpose },
    /// The client has no reply yet, and is to run nothing more until it has one. It gets `[1, 0]` once the log has made its writes so far
    /// durable; at `until_ms`, Unix milliseconds, if there is such a time, it gets what is true then: `[0, 0]`, unless they are.
    WaitAof { asker: Asker, until_ms: Option<i64> },
    /// `appendonly` has been turned on or off, on every shard alike. Asked once, on the shard of the client that did so.
    AppendOnly(bool),
    /// The client with this session index waits no longer: with an error, or as if its time were up.
    Unblock { index: u32, with_error: bool },
}

/// A client that gets the reply to its command later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// Index of its session.
    pub index: u32,
    /// Whether it wants a reply: `CLIENT REPLY` may say otherwise.
    pub is_wanted: bool,
}

/// `CLIENT PAUSE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// When it ends, Unix milliseconds.
    pub until_ms: i64,
    /// Whether only writes wait.
    pub writes_only: bool,
}

/// `CLIENT REPLY`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplyMode {
    /// Every command is answered.
    #[default]
    On,
    /// No command is answered.
    Off,
    /// The next command is not answered.
    SkipNext,
    /// The command that runs is not answered.
    Skip,
}

/// One client, as commands see it.
#[derive(Clone, Debug, Default)]
pub struct Session {
    /// Unique in the process, growing.
    pub id: u64,
    /// Remote address, as `CLIENT LIST` shows it.
    pub address: String,
    /// Local address.
    pub local_address: String,
    /// File descriptor.
    pub descriptor: i32,
    /// Whether it came through the Unix socket.
    pub is_unix: bool,
    /// `CLIENT SETNAME`.
    pub name: Vec<u8>,
    /// `CLIENT SETINFO LIB-NAME`.
    pub library_name: Vec<u8>,
    /// `CLIENT SETINFO LIB-VER`.
    pub library_version: Vec<u8>,
    /// Database selected.
    pub db: u16,
    /// Version spoken.
    pub protocol: Protocol,
    /// When it connected, Unix milliseconds.
    pub connected_ms: i64,
    /// When its last command ran, Unix milliseconds.
    pub active_ms: i64,
    /// Row of its last command.
    pub last_command: Option<u16>,
    /// `CLIENT REPLY`.
    pub reply_mode: ReplyMode,
    /// `CLIENT NO-EVICT ON`.
    pub no_evict: bool,
    /// `CLIENT NO-TOUCH ON`.
    pub no_touch: bool,
    /// Commands queued since `MULTI`; nothing outside of it.
    pub queued: Option<usize>,
    /// It waits for keys.
    pub is_blocked: bool,
    /// It will be disconnected once its replies are sent.
    pub is_closing: bool,
    /// Unparsed input, bytes.
    pub query_bytes: usize,
    /// Replies not yet sent, bytes.
    pub reply_bytes: usize,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
}

/// The sessions of a shard, at the same indices as its connections.
#[derive(Default)]
pub struct Sessions {
    slots: Vec<Option<Session>>,
    live: usize,
}

impl Sessions {
    /// Puts a session at an index that is free.
    pub fn insert(&mut self, index: u32, session: Session) {
        let index = index as usize;
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, || None);
        }
        let before = self.slots[index].replace(session);
        assert!(before.is_none(), "two sessions at one index");
        self.live += 1;
    }

    /// Ends the session at an index.
    pub fn remove(&mut self, index: u32) -> Option<Session> {
        let removed = self.slots.get_mut(index as usize)?.take();
        self.live -= usize::from(removed.is_some());
        removed
    }

    /// The session at an index.
    #[inline]
    pub fn get(&self, index: u32) -> Option<&Session> {
        self.slots.get(index as usize)?.as_ref()
    }

    /// The session at an index, for changing it.
    #[inline]
    pub fn get_mut(&mut self, index: u32) -> Option<&mut Session> {
        self.slots.get_mut(index as usize)?.as_mut()
    }

    /// All sessions, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Session> {
        self.slots.iter().flatten()
    }

    /// All sessions with their indices, oldest first.
    pub fn by_age(&self) -> Vec<(u32, &Session)> {
        let live = self.slots.iter().enumerate().filter_map(|(i, slot)| Some((i as u32, slot.as_ref()?)));
        let mut sessions: Vec<_> = live.collect();
        sessions.sort_by_key(|(_, session)| session.id);
        sessions
    }

    /// How many sessions there are.
    pub fn len(&self) -> usize {
        self.live
    }

    /// How many clients wait for keys.
    pub fn blocked(&self) -> usize {
        self.slots.iter().flatten().filter(|session| session.is_blocked).count()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;
    use crate::config::persistence::SAVE_POINT_DEFAULT;
    use crate::metrics::persistence::Purpose;

    #[test]
    fn writes_are_refused_while_they_could_be_lost() {
        let mut bench = Bench::default();
        let refusal = |bench: &Bench| {
            let text = bench.server.write_refusal().map(|error| error.to_string()).unwrap_or_default();
            text.split(' ').take(3).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(refusal(&bench), "");
        let persistence = &bench.server.process.persistence;
        persistence.begin_save(Purpose::Snapshot, 0).expect("none runs");
        persistence.end_save(Err("no space".into()), 1);
        assert_eq!(refusal(&bench), "", "nobody has asked for saves");
        bench.server.config.save_points = vec![SAVE_POINT_DEFAULT];
        assert_eq!(refusal(&bench), "MISCONF Redis is");
        bench.server.config.stops_writes_on_save_error = false;
        assert_eq!(refusal(&bench), "");
        bench.server.process.persistence.set_log_error(0, Some("aof-1-0-1.cvl: EIO".into()), true);
        let error = bench.server.write_refusal().map(|error| error.to_string());
        assert_eq!(error.as_deref(), Some("MISCONF Errors writing to the AOF file: aof-1-0-1.cvl: EIO"));
    }
}
