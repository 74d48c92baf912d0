//! Owns the parameters that can be read and changed while the server runs: names, bounds, defaults and how they are written.
//! Never reads a file or the command line and never acts on a change: who uses a value reads it from here.

pub mod bytes;
pub mod encoding;
mod output_limit;
pub mod parameters;
pub mod persistence;

use crate::base::limits;
use crate::config::encoding::EncodingLimits;
use crate::config::persistence::{Fsync, SavePoint};

/// The Redis release whose commands, replies and texts this server follows. Clients choose their features by it.
pub const REDIS_VERSION: &str = "7.2.0";

/// The parameters in force. Every shard has its own copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `maxclients`: connections of the process.
    pub clients_max: usize,
    /// `timeout`: seconds without a command after which a client is disconnected; 0 never.
    pub idle_seconds_max: u64,
    /// `tcp-keepalive`: seconds between probes; 0 none.
    pub keepalive_seconds: u64,
    /// `proto-max-bulk-len`, bytes.
    pub bulk_bytes_max: usize,
    /// `client-query-buffer-limit`, bytes.
    pub query_bytes_max: usize,
    /// `client-output-buffer-limit normal`, the hard limit, bytes.
    pub reply_bytes_max: usize,
    /// `client-output-buffer-limit normal`, the soft limit, bytes: above it, a client's commands wait.
    pub reply_bytes_pause: usize,
    /// `client-output-buffer-limit normal`, the time above the soft limit without reading, seconds.
    pub reply_stall_seconds_max: u64,
    /// Up to where small values are packed. Each shard copies them to its keys when they are set.
    pub encoding: EncodingLimits,
    /// `list-compress-depth`: kept, and without effect. Nodes of lists are never compressed.
    pub list_compress_depth: u64,
    /// `appendonly`: effects are logged.
    pub append_only: bool,
    /// `appendfsync`.
    pub append_fsync: Fsync,
    /// `save`: each of them causes saves; none if there is none.
    pub save_points: Vec<SavePoint>,
    /// `auto-aof-rewrite-percentage`: a log that has grown by so much, percent of its base, is rewritten; 0 never.
    pub rewrite_growth_percent: u64,
    /// `auto-aof-rewrite-min-size`: a log that is smaller than this, base included, is left alone, bytes.
    pub rewrite_bytes_min: u64,
    /// `stop-writes-on-bgsave-error`: while the last save has failed and there are save points, writes are refused.
    pub stops_writes_on_save_error: bool,
    /// What was decided when the process started.
    pub start: Start,
}

/// Parameters that never change while the server runs, as `CONFIG GET` shows them. Whoever starts the shards fills them in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// `port`: 0 when there is no TCP listener.
    pub port: u16,
    /// `bind`: addresses, separated by spaces.
    pub bind: String,
    /// `unixsocket`: a path; empty when there is none.
    pub unix_socket: String,
    /// `io-threads`: shards, each of which is one thread.
    pub threads: u16,
    /// `loglevel`.
    pub log_level: String,
    /// `dir`: the data directory, or the working directory where nothing is kept.
    pub directory: String,
    /// Whether data is kept on disk; with `--in-memory`, and unless somebody says so, it is not.
    pub keeps: bool,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            clients_max: 10_000,
            idle_seconds_max: 0,
            keepalive_seconds: 300,
            bulk_bytes_max: limits::BULK_BYTES_MAX,
            query_bytes_max: limits::QUERY_BYTES_MAX,
            reply_bytes_max: limits::REPLY_BYTES_MAX,
            reply_bytes_pause: limits::REPLY_BYTES_PAUSE,
            reply_stall_seconds_max: limits::REPLY_STALL_SECONDS_MAX,
            encoding: EncodingLimits::default(),
            list_compress_depth: 0,
            append_only: false,
            append_fsync: Fsync::EverySecond,
            save_points: Vec::new(),
            rewrite_growth_percent: 100,
            rewrite_bytes_min: 64 * 1024 * 1024,
            stops_writes_on_save_error: true,
            start: Start::default(),
        }
    }
}
