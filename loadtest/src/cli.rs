//! The command line: names, defaults and help. Never checks what needs more than one option to judge.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Result;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use serde::{Serialize, Serializer};

use crate::limits::SERVERS_MAX;
use crate::target::Target;
use crate::workload::{KeySpace, Order, Requests};

/// Load generator and side-by-side comparisons for RESP servers.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Put a running server under load and report throughput and latency.
    Run(RunArgs),
    /// Start servers pinned alike, load them in alternation, and compare CPU time per command.
    Compare(Box<CompareArgs>),
    /// Open idle connections and hold them.
    Idle(IdleArgs),
    /// Misbehave as a client, within bounds, and report what the server did.
    Hostile(HostileArgs),
    /// Have a running server save, and measure how long it takes and how much memory.
    Save(SaveArgs),
    /// Start a server on data that is there, and measure when it serves them.
    Restart(RestartArgs),
}

#[derive(Debug, Args)]
pub struct ServerArgs {
    #[arg(long, default_value = "127.0.0.1")]
    pub host: String,
    #[arg(long, default_value_t = 7480)]
    pub port: u16,
    /// Use a Unix socket instead of TCP.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["host", "port"])]
    pub unix_socket: Option<PathBuf>,
}

impl ServerArgs {
    pub fn target(&self) -> Result<Target> {
        match &self.unix_socket {
            Some(path) => Ok(Target::Unix(path.clone())),
            None => Target::tcp(&self.host, self.port),
        }
    }
}

#[derive(Debug, Args)]
pub struct DataArgs {
    /// How many keys there are.
    #[arg(long, default_value_t = 1_000_000)]
    pub keys: u64,
    /// Bytes per key: a prefix and zero-padded digits, as in k00000000042.
    #[arg(long, value_name = "BYTES", default_value_t = 12)]
    pub key_size: usize,
    #[arg(long, value_name = "BYTES", default_value_t = 64)]
    pub value_size: usize,
    #[arg(long, value_enum, default_value_t = DistributionArg::Uniform)]
    pub distribution: DistributionArg,
    /// Only for --distribution zipf.
    #[arg(long, value_name = "S", default_value_t = 0.99)]
    pub zipf_exponent: f64,
    /// Equal seeds give equal requests.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

impl DataArgs {
    pub fn key_space(&self) -> Result<KeySpace> {
        KeySpace::new(self.keys, self.key_size)
    }

    pub fn order(&self) -> Order {
        match self.distribution {
            DistributionArg::Uniform => Order::Uniform,
            DistributionArg::Zipf => Order::Zipf { exponent: self.zipf_exponent },
            DistributionArg::Sequential => Order::Sequential,
        }
    }
}

#[derive(Debug, Args)]
pub struct OpArgs {
    /// Keys of one MGET or MSET.
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    pub command_keys: usize,
    /// SETs between MULTI and EXEC.
    #[arg(long, value_name = "COUNT", default_value_t = 5)]
    pub transaction_sets: usize,
}

impl OpArgs {
    pub fn requests(&self, op: Op) -> Requests {
        match op {
            Op::Get => Requests::Mix { reads: 1, writes: 0 },
            Op::Set => Requests::Mix { reads: 0, writes: 1 },
            Op::Mget => Requests::Mget { keys: self.command_keys },
            Op::Mset => Requests::Mset { keys: self.command_keys },
            Op::Multi => Requests::Multi { sets: self.transaction_sets },
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DistributionArg {
    Uniform,
    Zipf,
    /// One key after the other, and round again; each thread by itself.
    Sequential,
}

#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub server: ServerArgs,
    /// Connections in total.
    #[arg(long, default_value_t = 50)]
    pub clients: usize,
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// Requests per batch; with --rate, the most unanswered requests per connection.
    #[arg(long, default_value_t = 1)]
    pub pipeline: usize,
    #[command(flatten)]
    pub data: DataArgs,
    /// GETs to SETs.
    #[arg(long, value_name = "READS:WRITES", default_value = "1:0")]
    pub ratio: Ratio,
    /// One operation instead of a mix of GET and SET.
    #[arg(long, value_enum, conflicts_with_all = ["ratio", "command"])]
    pub op: Option<Op>,
    #[command(flatten)]
    pub op_sizes: OpArgs,
    /// Any command instead of GET and SET; __key__ and __value__ are filled in: "MGET __key__ __key__".
    #[arg(long, value_name = "TEMPLATE", conflicts_with = "ratio")]
    pub command: Option<String>,
    /// How long to measure [default: 10s].
    #[arg(long, value_parser = humantime::parse_duration, conflicts_with = "requests")]
    pub duration: Option<Duration>,
    /// How many requests to measure, instead of a time.
    #[arg(long)]
    pub requests: Option<u64>,
    /// Load before measuring, not counted.
    #[arg(long, value_parser = humantime::parse_duration, default_value = "1s")]
    pub warmup: Duration,
    /// Requests per second in total, on a fixed schedule (open loop); latency counts from the time each was due.
    #[arg(long, value_name = "PER_SECOND")]
    pub rate: Option<u64>,
    /// SET every key first. A GET that then misses, or finds another key's value, is an error.
    #[arg(long)]
    pub fill: bool,
    /// After --fill: keys may be gone (eviction, expiry) or have other values; only shapes are checked.
    #[arg(long, requires = "fill")]
    pub allow_misses: bool,
    #[arg(long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
    /// Write the report to a file instead of standard output.
    #[arg(long, value_name = "PATH")]
    pub output_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Text,
    Json,
    Csv,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ratio {
    pub reads: u32,
    pub writes: u32,
}

impl FromStr for Ratio {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once(':').and_then(|(reads, writes)| {
            Some(Self { reads: reads.parse().ok()?, writes: writes.parse().ok()? })
        });
        parts
            .filter(|ratio| ratio.reads.checked_add(ratio.writes).is_some_and(|total| total > 0))
            .ok_or_else(|| "expected READS:WRITES, such as 1:0 or 9:1".into())
    }
}

// Of an option given twice the last counts, so that a script's settings can be changed by appending to them.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub struct CompareArgs {
    /// Command line of the first server; {port}, {dir} and {cpu} are filled in. Default: corevault, see --corevault.
    #[arg(long, value_name = "COMMAND", conflicts_with = "corevault")]
    pub a: Option<String>,
    /// Command line of the second server. Default: redis-server, see --redis.
    #[arg(long, value_name = "COMMAND", conflicts_with = "redis")]
    pub b: Option<String>,
    /// First server: this corevault, with --port {port} --shards 1 --cpus {cpu} --in-memory [default: ./target/release/corevault].
    #[arg(long, value_name = "PATH")]
    pub corevault: Option<String>,
    /// Second server: this redis-server, without persistence [default: redis-server].
    #[arg(long, value_name = "PATH")]
    pub redis: Option<String>,
    /// More arguments for the first server; an option named here replaces the preset's own.
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true, default_value = "")]
    pub a_args: String,
    /// More arguments for the second server.
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true, default_value = "")]
    pub b_args: String,
    /// Command line of a third server, C; once more for D, and so on.
    #[arg(long, value_name = "COMMAND")]
    pub more: Vec<String>,
    /// What to call the servers, A first [default: their programs' names].
    #[arg(long, value_name = "LIST", action = ArgAction::Set, value_delimiter = ',')]
    pub names: Vec<String>,
    /// Which servers to set side by side.
    #[arg(long, value_name = "LIST", action = ArgAction::Set, value_delimiter = ',', default_value = "A/B")]
    pub pairs: Vec<Pair>,
    /// A command that every server must answer without an error before anything else; once more for another.
    #[arg(long, value_name = "COMMAND")]
    pub setup: Vec<String>,
    /// CPUs of the servers, as for taskset.
    #[arg(long, value_name = "LIST", default_value = "0")]
    pub server_cpus: String,
    /// CPUs of the load generator.
    #[arg(long, value_name = "LIST", default_value = "1")]
    pub load_cpus: String,
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// How long to measure each server in each round; at least 2s, as CPU time counts in steps of 10 ms.
    #[arg(long, value_parser = humantime::parse_duration, default_value = "3s")]
    pub duration: Duration,
    #[arg(long, value_parser = humantime::parse_duration, default_value = "500ms")]
    pub warmup: Duration,
    #[arg(long, action = ArgAction::Set, value_delimiter = ',', default_value = "1,16,64")]
    pub pipelines: Vec<usize>,
    #[arg(long, value_enum, action = ArgAction::Set, value_delimiter = ',', default_value = "get,set")]
    pub ops: Vec<Op>,
    #[command(flatten)]
    pub op_sizes: OpArgs,
    #[arg(long, default_value_t = 50)]
    pub clients: usize,
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    #[command(flatten)]
    pub data: DataArgs,
    /// Keep every round in DIR/results.csv and the tables in DIR/summary.md.
    #[arg(long, value_name = "DIR")]
    pub save: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Op {
    Get,
    Set,
    /// MGET of --command-keys keys.
    Mget,
    /// MSET of --command-keys keys.
    Mset,
    /// MULTI, --transaction-sets SETs and EXEC: one request.
    Multi,
}

/// A server, by its letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Side(pub usize);

impl FromStr for Side {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut sides = (0..SERVERS_MAX).map(Self);
        sides.find(|side| side.to_string() == text).ok_or_else(|| format!("'{text}' is no server's letter"))
    }
}

impl fmt::Display for Side {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", char::from(b'A' + self.0 as u8))
    }
}

impl Serialize for Side {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Two servers side by side; their ratio is the first over the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair(pub Side, pub Side);

impl FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (first, second) = text.split_once('/').ok_or("expected two servers, such as A/B")?;
        Ok(Self(first.parse()?, second.parse()?))
    }
}

#[derive(Debug, Args)]
pub struct IdleArgs {
    #[command(flatten)]
    pub server: ServerArgs,
    #[arg(long, default_value_t = 10_000)]
    pub connections: usize,
    /// How long to hold them once all are open.
    #[arg(long, value_parser = humantime::parse_duration, default_value = "10s")]
    pub duration: Duration,
}

#[derive(Debug, Args)]
pub struct HostileArgs {
    #[command(flatten)]
    pub server: ServerArgs,
    #[arg(long, value_enum)]
    pub kind: HostileKind,
    /// Connections (flood-connect: connections one after the other).
    #[arg(long, default_value_t = 10)]
    pub count: usize,
    /// How long to go on, or to wait for the server to do something.
    #[arg(long, value_parser = humantime::parse_duration, default_value = "5s")]
    pub duration: Duration,
    /// never-reads: the most a connection sends. A server without a limit keeps all of it in memory.
    #[arg(long, value_name = "BYTES", default_value_t = 64 * 1024 * 1024)]
    pub bytes_max: u64,
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum HostileKind {
    /// Sends requests with large replies and never reads one.
    NeverReads,
    /// Sends random bytes.
    Garbage,
    /// Announces absurd array and bulk lengths.
    HugeHeader,
    /// Sends half a request, waits, then sends the rest.
    HalfRequest,
    /// Connects and disconnects as fast as it can.
    FloodConnect,
}

#[derive(Debug, Args)]
pub struct SaveArgs {
    #[command(flatten)]
    pub server: ServerArgs,
    #[arg(long, value_enum, default_value_t = SaveCommand::Bgsave)]
    pub command: SaveCommand,
    /// How many saves, one after the other [default: 1, or as many as the duration takes].
    #[arg(long)]
    pub count: Option<u64>,
    /// No save begins later than this.
    #[arg(long, value_parser = humantime::parse_duration)]
    pub duration: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SaveCommand {
    /// Ends when it is answered.
    Save,
    /// Ends when INFO persistence says so.
    Bgsave,
    /// As bgsave.
    Bgrewriteaof,
}

#[derive(Debug, Args)]
pub struct RestartArgs {
    /// Command line of the server; {port} and {cpu} are filled in. Where its data is must be part of it.
    #[arg(value_name = "COMMAND")]
    pub server: String,
    #[command(flatten)]
    pub data: DataArgs,
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// End each server with SIGKILL instead of SIGTERM.
    #[arg(long)]
    pub kill: bool,
    /// Have the kernel forget the files' contents before each start (takes root).
    #[arg(long)]
    pub cold: bool,
    /// CPUs of the server, as for taskset.
    #[arg(long, value_name = "LIST", default_value = "0")]
    pub server_cpus: String,
    /// CPUs of the client.
    #[arg(long, value_name = "LIST", default_value = "1")]
    pub load_cpus: String,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn server_arguments_may_begin_with_a_hyphen() {
        let words =
            ["loadtest", "compare", "--a-args", "--shards 2", "--b-args=--io-threads 2", "--ops", "set"];
        let Command::Compare(args) = Cli::parse_from(words).command else { panic!("not compare") };
        assert_eq!((args.a_args.as_str(), args.b_args.as_str()), ("--shards 2", "--io-threads 2"));
        assert_eq!((args.ops, args.pipelines), (vec![Op::Set], vec![1, 16, 64]));
    }

    #[test]
    fn what_a_comparison_is_told_last_counts() {
        let words = ["loadtest", "compare", "--more", "x", "--rounds", "5", "--ops", "mget", "--more", "y"];
        let later = ["--rounds", "2", "--ops", "set,multi"];
        let Command::Compare(args) = Cli::parse_from([&words[..], &later].concat()).command else {
            panic!("not compare")
        };
        assert_eq!((args.rounds, args.ops), (2, vec![Op::Set, Op::Multi]));
        assert_eq!(args.more, ["x", "y"], "each is another server");
    }

    #[test]
    fn pairs() {
        assert_eq!("A/B".parse(), Ok(Pair(Side(0), Side(1))));
        assert_eq!("D/A".parse(), Ok(Pair(Side(3), Side(0))));
        for wrong in ["A", "A/", "a/b", "A/Z", "A/B/C"] {
            assert!(wrong.parse::<Pair>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn ratios() {
        assert_eq!("9:1".parse(), Ok(Ratio { reads: 9, writes: 1 }));
        for wrong in ["0:0", "1", "a:b", "1:-1", "4294967295:1"] {
            assert!(wrong.parse::<Ratio>().is_err(), "{wrong}");
        }
    }
}
