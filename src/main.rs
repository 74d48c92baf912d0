//! The `corevault` program: reads the command line, sets up the log, and runs a server or a tool. No logic of its own.

use std::io::IsTerminal;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use corevault::config::persistence::{Fsync, parse_seconds, save_points};
use corevault::server::{self, Keep, Options};

/// The store allocates one block a key: this allocator's size classes are what the entry layout is made for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A RESP-compatible in-memory data store: one pinned executor and one io_uring per core.
///
/// Without a subcommand, serves clients until SIGTERM, SIGINT or SHUTDOWN.
#[derive(Parser)]
#[command(version, about, long_about, args_conflicts_with_subcommands = true)]
struct CommandLine {
    #[command(subcommand)]
    tool: Option<Tool>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Subcommand)]
enum Tool {
    /// Check whether this system can run the server, and say what to do if not.
    Doctor(Serve),
    /// Check a segment of the log, or all of a data directory, while no server uses it.
    CheckAof {
        /// The segment or the data directory.
        path: PathBuf,
        /// Cut a damaged segment at its first bad record, after copying it to FILE.bak.
        #[arg(long)]
        repair: bool,
    },
    /// Check every byte of a snapshot.
    CheckSnapshot {
        /// The snapshot.
        file: PathBuf,
    },
}

impl Tool {
    /// What it has found, and the exit status.
    fn run(self) -> (String, u8) {
        match self {
            Tool::Doctor(serve) => {
                let (report, is_able) = server::doctor(&serve.options());
                (report, u8::from(!is_able))
            }
            Tool::CheckAof { path, repair } => server::check_aof(&path, repair),
            Tool::CheckSnapshot { file } => server::check_snapshot(&file),
        }
    }
}

#[derive(Args)]
struct Serve {
    /// TCP port to listen on; 0 takes a free one.
    #[arg(long, value_name = "PORT", default_value_t = 7480)]
    port: u16,
    /// Address to listen on; 0.0.0.0 or :: means all.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    bind_addr: IpAddr,
    /// Unix socket to listen on as well.
    #[arg(long, value_name = "PATH")]
    unix_socket: Option<PathBuf>,
    /// Shards of the keyspace, one thread each [default: one for each CPU the process may use].
    #[arg(long, value_name = "N")]
    shards: Option<u16>,
    /// CPUs to pin the shards to, in order and round again, such as 0,2-3 [default: those the process may use].
    #[arg(long, value_name = "LIST", value_parser = parse_cpus)]
    cpus: Option<CpuList>,
    /// Clients that may be connected at once.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    max_clients: u32,
    /// Directory with the data, made if it is missing: what is there is restored, and changes are kept there.
    #[arg(long, value_name = "DIR", default_value = "corevault-data")]
    data_dir: PathBuf,
    /// Keep nothing on disk, and restore nothing.
    #[arg(long, conflicts_with_all = [
        "data_dir", "append_only", "aof_sync_strategy", "restore_aof", "restore_snapshot", "snapshot_threshold", "snapshot_interval",
    ])]
    in_memory: bool,
    /// Log every change, so that changes since the last snapshot are kept too.
    #[arg(long, value_name = "YES|NO", default_value = "yes", default_missing_value = "yes", num_args = 0..=1, action = ArgAction::Set, value_parser = parse_yes_or_no)]
    append_only: bool,
    /// When the log is made durable: always (before each reply), everysec (once a second) or no (when the kernel sees fit).
    #[arg(long, value_name = "STRATEGY", default_value = "everysec", value_parser = parse_fsync)]
    aof_sync_strategy: Fsync,
    /// Restore the log found in the data directory; with no, it is set aside.
    #[arg(long, value_name = "YES|NO", default_value = "yes", default_missing_value = "yes", num_args = 0..=1, action = ArgAction::Set, value_parser = parse_yes_or_no)]
    restore_aof: bool,
    /// Restore the snapshot found in the data directory; with no, it is set aside.
    #[arg(long, value_name = "YES|NO", default_value = "yes", default_missing_value = "yes", num_args = 0..=1, action = ArgAction::Set, value_parser = parse_yes_or_no)]
    restore_snapshot: bool,
    /// Save a snapshot once there are so many changes; 0 never. If neither this nor an interval is given: 1000 changes and 5 minutes.
    #[arg(long, value_name = "N")]
    snapshot_threshold: Option<u64>,
    /// Save a snapshot whenever so much time has passed and something has changed: 90, 30s, 5m, 2h; 0 never.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    snapshot_interval: Option<Seconds>,
    /// Least important messages to log: error, warn, info, debug or trace.
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log_level: tracing::Level,
    /// How messages are written, on standard error.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// A list of CPUs; a type of its own, since clap takes a `Vec` to mean a repeated flag.
#[derive(Clone)]
struct CpuList(Vec<usize>);

fn parse_cpus(text: &str) -> Result<CpuList, String> {
    let mut cpus = Vec::new();
    let number = |word: &str| {
        word.parse::<usize>().map_err(|_| format!("`{word}` is no CPU number; a list looks like 0,2-3"))
    };
    for part in text.split(',') {
        match part.split_once('-') {
            None => cpus.push(number(part)?),
            Some((first, last)) => {
                let (first, last) = (number(first)?, number(last)?);
                if first > last || last - first > 4096 {
                    return Err(format!("`{part}` is no range of CPUs; a list looks like 0,2-3"));
                }
                cpus.extend(first..=last);
            }
        }
    }
    Ok(CpuList(cpus))
}

fn parse_yes_or_no(text: &str) -> Result<bool, &'static str> {
    match text.to_ascii_lowercase().as_str() {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("it is yes or no"),
    }
}

fn parse_fsync(text: &str) -> Result<Fsync, &'static str> {
    Fsync::of_name(text.as_bytes()).ok_or("it is always, everysec or no")
}

/// A duration of whole seconds.
#[derive(Clone, Copy)]
struct Seconds(u64);

fn parse_duration(text: &str) -> Result<Seconds, &'static str> {
    parse_seconds(text).map(Seconds).ok_or("a duration looks like 90, 30s, 5m or 2h")
}

impl Serve {
    fn keep(&self) -> Option<Keep> {
        let seconds = self.snapshot_interval.map(|interval| interval.0);
        (!self.in_memory).then(|| Keep {
            directory: self.data_dir.clone(),
            append_only: self.append_only,
            fsync: self.aof_sync_strategy,
            restores_log: self.restore_aof,
            restores_snapshot: self.restore_snapshot,
            save_points: save_points(self.snapshot_threshold, seconds),
        })
    }

    fn options(self) -> Options {
        let keep = self.keep();
        Options {
            port: self.port,
            bind_address: self.bind_addr,
            unix_socket: self.unix_socket,
            shards: self.shards,
            cpus: self.cpus.map(|list| list.0),
            clients_max: self.max_clients as usize,
            log_level: redis_level(self.log_level),
            allocator: "mimalloc",
            keep,
        }
    }

    fn start_log(&self) {
        let log = tracing_subscriber::fmt()
            .with_max_level(self.log_level)
            .with_writer(std::io::stderr)
            .with_target(false);
        match self.log_format {
            LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).init(),
            LogFormat::Json => log.json().init(),
        }
    }
}

/// The nearest of Redis's levels, which `CONFIG GET loglevel` speaks of.
fn redis_level(level: tracing::Level) -> &'static str {
    match level {
        tracing::Level::ERROR | tracing::Level::WARN => "warning",
        tracing::Level::INFO => "notice",
        tracing::Level::DEBUG => "verbose",
        tracing::Level::TRACE => "debug",
    }
}

fn main() -> ExitCode {
    corevault::sys::allocator::return_large_blocks_at_once();
    let CommandLine { tool, serve } = CommandLine::parse();
    if let Some(tool) = tool {
        let (report, status) = tool.run();
        println!("{report}");
        return ExitCode::from(status);
    }
    serve.start_log();
    abort_on_panic();
    match server::run(&serve.options(), |_| ()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("cannot go on");
            eprintln!("corevault: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A shard that has panicked holds state nobody can vouch for, and the others would wait for it: the process ends at once.
fn abort_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        tracing::error!("{panic}");
        std::process::abort();
    }));
}
