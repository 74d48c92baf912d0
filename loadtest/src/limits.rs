//! Owns every bound of the load generator, so that they can be read together. Holds no logic.

use std::time::Duration;

pub const CLIENTS_MAX: usize = 60_000;
pub const THREADS_MAX: usize = 64;
pub const PIPELINE_MAX: usize = 10_000;
pub const KEY_BYTES_MAX: usize = 64 * 1024;
pub const VALUE_BYTES_MAX: usize = 64 * 1024 * 1024;
pub const RATE_MAX: u64 = 1_000_000_000;
pub const COMMAND_KEYS_MAX: usize = 10_000;
pub const TRANSACTION_SETS_MAX: usize = 10_000;

/// What one connection reads at once. It doubles when a single reply does not fit.
pub const INPUT_BYTES_INITIAL: usize = 16 * 1024;
/// A reply longer than this is a wrong answer.
pub const REPLY_BYTES_MAX: usize = 512 * 1024 * 1024 + 64;
pub const ERROR_TEXT_BYTES_MAX: usize = 200;

/// Latencies outside these bounds are recorded as the bound.
pub const LATENCY_NS_MIN: u64 = 100;
pub const LATENCY_NS_MAX: u64 = 600_000_000_000;
pub const LATENCY_DIGITS: u8 = 3;

pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a closed loop waits for its last replies. They are checked, not timed.
pub const CLOSED_DRAIN_MAX: Duration = Duration::from_secs(5);
/// How long an open loop waits for its last replies. They are timed; what has not come by then is an error.
pub const OPEN_DRAIN_MAX: Duration = Duration::from_secs(30);
/// The longest sleep that does not look at Ctrl-C.
pub const INTERRUPT_POLL: Duration = Duration::from_millis(100);

/// Filling: few connections, deep pipelines.
pub const FILL_CLIENTS_MAX: usize = 8;
pub const FILL_PIPELINE: usize = 128;

/// How long a started server may take to answer PING, and to stop after SIGTERM.
pub const SERVER_START_MAX: Duration = Duration::from_secs(30);
pub const SERVER_STOP_MAX: Duration = Duration::from_secs(5);
/// How long a restarted server may take to have restored everything.
pub const RESTART_MAX: Duration = Duration::from_secs(300);
/// Servers compared at once; each has a letter.
pub const SERVERS_MAX: usize = 8;
/// A server may listen on a few ports after its first one; so many are kept free.
pub const SERVER_PORTS: u16 = 16;
pub const SERVER_PORT_FIRST: u16 = 20_000;
/// Below the kernel's range for outgoing connections, so that our own clients never take a server's port.
pub const SERVER_PORT_LAST: u16 = 32_000;

/// Replies a hostile client is willing to look at.
pub const HOSTILE_REPLY_BYTES_MAX: usize = 4 * 1024;

const _: () = assert!(INPUT_BYTES_INITIAL < REPLY_BYTES_MAX);
const _: () = assert!(VALUE_BYTES_MAX < REPLY_BYTES_MAX);
const _: () = assert!(LATENCY_NS_MIN < LATENCY_NS_MAX);
const _: () = assert!(FILL_PIPELINE <= PIPELINE_MAX);
const _: () = assert!(SERVERS_MAX <= 26);
const _: () = assert!(SERVER_PORT_FIRST + SERVER_PORTS < SERVER_PORT_LAST);
