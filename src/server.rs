//! Wires a server together: options → preflight → listeners → one executor a shard → signals → an orderly end.
//! No logic of its own.

mod data;

use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Barrier};

use glommio::{ExecutorJoinHandle, LocalExecutorBuilder, Placement, PoolPlacement};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::base::limits::SHARDS_MAX;
use crate::commands::session::{Process, ProcessUsage};
use crate::config::persistence::{Fsync, SavePoint};
use crate::config::{Config, Start};
use crate::metrics::persistence::Persistence;
use crate::net::clock::now_ms;
use crate::net::listen::{self, ListenError};
use crate::net::mesh::{Mesh, Parcel};
use crate::net::preflight::{self, DESCRIPTORS_PER_SHARD, DESCRIPTORS_RESERVED, Verdict};
use crate::net::{Shared, keeper, run_shard};
use crate::persist::ledger::Ledger;
use crate::persist::{check, snapshot};
pub use crate::server::data::DataError;
use crate::server::data::{Data, ShardData};
use crate::shard::{Shard, slots_of};
use crate::store::keyspace::Keyspace;
use crate::sys::{cpus, process};

/// What an operator may choose at start.
#[derive(Clone, Debug)]
pub struct Options {
    /// TCP port; 0 takes a free one.
    pub port: u16,
    /// Address to listen on.
    pub bind_address: IpAddr,
    /// Unix socket to listen on besides.
    pub unix_socket: Option<PathBuf>,
    /// Shards; by default one for each usable CPU.
    pub shards: Option<u16>,
    /// CPUs to pin shards to, in order and round again; by default those of the affinity mask.
    pub cpus: Option<Vec<usize>>,
    /// Connections of the process.
    pub clients_max: usize,
    /// The level of the log, in Redis's words, as `CONFIG GET loglevel` shows it.
    pub log_level: &'static str,
    /// The program's allocator, as `INFO` names it.
    pub allocator: &'static str,
    /// Where and how data is kept; nothing where none is.
    pub keep: Option<Keep>,
}

/// How data is kept on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keep {
    /// The data directory; made if it is missing.
    pub directory: PathBuf,
    /// Whether effects are logged.
    pub append_only: bool,
    /// When the log is made durable.
    pub fsync: Fsync,
    /// Whether the log that is there is restored; if not, it is set aside.
    pub restores_log: bool,
    /// Whether the snapshot that is there is restored; if not, it is set aside.
    pub restores_snapshot: bool,
    /// What causes a save.
    pub save_points: Vec<SavePoint>,
}

/// Why a server did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The system does not allow what the server needs.
    #[error("this system cannot run Corevault:\n{0}\n`corevault doctor` prints the whole report.")]
    Preflight(String),
    /// A listener cannot be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A CPU was asked for that the process may not use.
    #[error(
        "--cpus names CPU {cpu}, which this process may not use (allowed: {allowed})\n  Choose allowed ones, or widen the mask with taskset or the cgroup's cpuset."
    )]
    ForbiddenCpu {
        /// The CPU.
        cpu: usize,
        /// Those allowed.
        allowed: String,
    },
    /// A number of shards out of range.
    #[error("--shards must be from 1 to {SHARDS_MAX}")]
    Shards,
    /// A shard's thread or ring could not be made.
    #[error("shard {shard} cannot start: {cause}\n  `corevault doctor` looks for the reason.")]
    Shard {
        /// Which.
        shard: u16,
        /// Why.
        cause: String,
    },
    /// A shard's thread ended by itself.
    #[error("shard {0} ended unexpectedly; the log says why")]
    Died(u16),
    /// The data directory cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Signals cannot be received.
    #[error("cannot receive signals: {0}")]
    Signals(io::Error),
}

/// Which CPU each shard is pinned to; `None` leaves it to the kernel, where several would share one.
fn placements(options: &Options) -> Result<Vec<Option<usize>>, ServerError> {
    let allowed = cpus::allowed();
    let usable = cpus::quota().map_or(allowed.len(), |quota| quota.min(allowed.len()));
    if let Some(&cpu) = options.cpus.iter().flatten().find(|cpu| !allowed.contains(cpu)) {
        return Err(ServerError::ForbiddenCpu { cpu, allowed: cpu_list(&allowed) });
    }
    let chosen = options.cpus.as_deref();
    let shards = options.shards.map_or(chosen.map_or(usable, <[usize]>::len), usize::from);
    if shards == 0 || shards > SHARDS_MAX {
        return Err(ServerError::Shards);
    }
    Ok((0..shards)
        .map(|shard| match chosen {
            Some(cpus) => Some(cpus[shard % cpus.len()]),
            // Under a quota without a cpuset, others share these CPUs, and may all have chosen the first ones.
            None if shards <= allowed.len() && usable == allowed.len() => Some(allowed[shard]),
            None => None,
        })
        .collect())
}

/// CPUs as an operator would write them: `0,2-3`.
pub fn cpu_list(cpus: &[usize]) -> String {
    let mut text = String::new();
    let mut rest = cpus;
    while let Some(&first) = rest.first() {
        let run = rest.iter().enumerate().take_while(|(i, cpu)| **cpu == first + i).count();
        let separator = if text.is_empty() { "" } else { "," };
        text += &match run {
            1 => format!("{separator}{first}"),
            _ => format!("{separator}{first}-{}", first + run - 1),
        };
        rest = &rest[run..];
    }
    text
}

/// The report of `corevault doctor`, and whether the server can start.
pub fn doctor(options: &Options) -> (String, bool) {
    let shards = placements(options).map_or(1, |placements| placements.len() as u16);
    let checks = preflight::checks(shards, options.clients_max);
    let lines: Vec<String> = checks.iter().map(ToString::to_string).collect();
    (lines.join("\n"), checks.iter().all(|check| check.verdict != Verdict::Failure))
}

/// What `corevault check-aof` says of a segment of the log or of all in a data directory, and the program's exit status: 0 if it is
/// whole, or has been repaired, 1 if it is damaged, 2 if it could not be looked at.
pub fn check_aof(path: &Path, repairs: bool) -> (String, u8) {
    match check::check_aof(path, repairs, now_ms()) {
        Ok(outcome) => (outcome.lines.join("\n"), u8::from(outcome.is_damaged)),
        Err(error) => (error.to_string(), 2),
    }
}

/// What `corevault check-snapshot` says of a snapshot, and the program's exit status: as `check_aof`.
pub fn check_snapshot(path: &Path) -> (String, u8) {
    match snapshot::check(path) {
        Ok(report) => (format!("{}: {report}", path.display()), u8::from(!report.is_whole())),
        Err(error) => {
            let status = if matches!(error, snapshot::CheckError::Read(_)) { 2 } else { 1 };
            (format!("{}: {error}", path.display()), status)
        }
    }
}

/// Runs a server until SIGTERM, SIGINT or `SHUTDOWN`. `started` is told the port once clients can connect.
pub fn run(options: &Options, started: impl FnOnce(u16)) -> Result<(), ServerError> {
    let placements = placements(options)?;
    let shards = placements.len() as u16;
    let clients_max = look_before(shards, options.clients_max)?;
    let (tcp, port) = listen::tcp(options.bind_address, options.port)?;
    let config = config_of(options, clients_max, port, shards);
    let mut listeners = vec![(tcp, false)];
    if let Some(path) = &options.unix_socket {
        listeners.push((listen::unix(path)?, true));
    }
    // Before any shard exists, so that a signal during start is not lost.
    let mut signals = Signals::new([SIGTERM, SIGINT]).map_err(ServerError::Signals)?;
    let process = Arc::new(describe(options, port, &placements));
    process::register_membarrier();
    let (mesh, inboxes) =
        Mesh::new(shards).map_err(|error| ServerError::Shard { shard: 0, cause: error.to_string() })?;
    let data =
        options.keep.as_ref().map(|keep| data::open(keep, shards, &process.persistence)).transpose()?;
    let (to_keeper, from_shards) = crossbeam_channel::bounded(usize::from(shards) * 4);
    let shared = Arc::new(Shared {
        mesh,
        last_client_id: AtomicU64::new(0),
        quiet: AtomicU64::new(0),
        unix_path: options.unix_socket.as_ref().map(|path| path.display().to_string()),
        on_shutdown: || {
            // The signal's way is the one way out.
            IS_ENDING.store(true, Ordering::SeqCst);
            let _ = signal_hook::low_level::raise(SIGTERM);
        },
        on_damage: |damage| {
            tracing::error!("cannot go on");
            eprintln!("corevault: {damage}");
            std::process::exit(1);
        },
        keeper: data.is_some().then_some(to_keeper),
    });
    let shards_data = match data {
        None => Vec::new(),
        Some(Data { disk, keeper, shards }) => {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name("keeper".into())
                .spawn(move || keeper::keep(disk, keeper, &from_shards, &shared.mesh))
                .map_err(|error| ServerError::Shard { shard: 0, cause: error.to_string() })?;
            shards
        }
    };
    if !options.bind_address.is_loopback() {
        tracing::warn!(
            "clients need no password, and this server listens on {}: whoever reaches the port reads and changes everything",
            options.bind_address
        );
    }
    let handles = start_shards(&placements, &shared, inboxes, listeners, &process, &config, shards_data)?;
    tracing::info!(port, shards, address = %options.bind_address, pid = process.pid, "ready to accept connections");
    started(port);
    for signal in signals.forever() {
        tracing::info!(signal, "stopping");
        // The first one asks the shards, which may have to save before; the second one is their answer, or somebody's impatience.
        if IS_ENDING.swap(true, Ordering::SeqCst) {
            break;
        }
        shared.mesh.deliver_from_outside(0, Parcel::ShutDown);
    }
    for shard in 0..shards {
        shared.mesh.deliver_from_outside(shard, Parcel::Stop);
    }
    for (shard, handle) in handles.into_iter().enumerate() {
        handle.join().map_err(|_| ServerError::Died(shard as u16))?;
    }
    if let Some(path) = &options.unix_socket {
        // It was ours; if it is gone already, so much the better.
        let _ = std::fs::remove_file(path);
    }
    tracing::info!("stopped");
    Ok(())
}

/// Whether the process has been asked to end.
static IS_ENDING: AtomicBool = AtomicBool::new(false);

/// Fails if the system does not allow a server; returns how many clients it can have.
fn look_before(shards: u16, clients_max: usize) -> Result<usize, ServerError> {
    let checks = preflight::checks(shards, clients_max);
    let failures: Vec<String> =
        checks.iter().filter(|check| check.verdict == Verdict::Failure).map(ToString::to_string).collect();
    if !failures.is_empty() {
        return Err(ServerError::Preflight(failures.join("\n")));
    }
    for check in checks.iter().filter(|check| check.verdict == Verdict::Warning) {
        tracing::warn!("{}: {} {}", check.name, check.found, check.remedy);
    }
    let reserved = DESCRIPTORS_RESERVED + u64::from(shards) * DESCRIPTORS_PER_SHARD;
    let limit = process::raise_limit(rustix::process::Resource::Nofile, clients_max as u64 + reserved);
    Ok(clients_max.min(limit.saturating_sub(reserved).max(1) as usize))
}

fn start_shards(
    placements: &[Option<usize>],
    shared: &Arc<Shared>,
    inboxes: Vec<crossbeam_channel::Receiver<Parcel>>,
    mut listeners: Vec<(OwnedFd, bool)>,
    process: &Arc<Process>,
    config: &Config,
    data: Vec<ShardData>,
) -> Result<Vec<ExecutorJoinHandle<()>>, ServerError> {
    let shards = placements.len() as u16;
    let (report, reports) = mpsc::sync_channel::<(u16, io::Result<()>)>(placements.len());
    // No shard may take connections before every shard can be reached.
    let everybody_ready = Arc::new(Barrier::new(placements.len()));
    let mut handles = Vec::new();
    let ledger = Arc::new(Ledger::new(shards));
    let mut data = data.into_iter();
    for ((number, placement), inbox) in (0..shards).zip(placements).zip(inboxes) {
        let (shared, report) = (Arc::clone(shared), report.clone());
        let (process, config) = (Arc::clone(process), config.clone());
        let everybody_ready = Arc::clone(&everybody_ready);
        // The first shard accepts for all: placing by count is even where hashing would not be.
        let listeners = std::mem::take(&mut listeners);
        let seed = process::random_u64();
        let (data, ledger) = (data.next(), Arc::clone(&ledger));
        let placement = placement.map_or(Placement::Unbound, Placement::Fixed);
        let handle = LocalExecutorBuilder::new(placement)
            .name(&format!("shard-{number}"))
            .io_memory(0)
            .ring_depth(64)
            .blocking_thread_pool_placement(PoolPlacement::Unbound(1))
            .spawn(move || async move {
                let mut keys = Keyspace::new(slots_of(number, shards));
                if let Some(ShardData { restore, .. }) = &data {
                    match restore.dormant(keys.slots(), (now_ms() / 1000) as u32) {
                        Ok((dormant, records)) => {
                            process.persistence.shard(number).log_records.set(records);
                            keys.lay_dormant(dormant);
                            let tables = keys.dormant_tables() as u64;
                            process.persistence.shard(number).tables_total.set(tables);
                        }
                        Err(damage) => {
                            let _ = report.send((number, Err(io::Error::other(damage))));
                            return;
                        }
                    }
                }
                let mut shard = Shard::with_keyspace(number, shards, process, config, seed, keys, ledger);
                if data.is_some() {
                    shard.note_restore();
                }
                if let Some(ShardData { segment: Some(segment), earlier_bytes, .. }) = data {
                    shard.begin_log(segment, earlier_bytes, now_ms());
                }
                run_shard(shard, number, shared, inbox, listeners, |made| {
                    let is_made = made.is_ok();
                    let _ = report.send((number, made));
                    if is_made {
                        everybody_ready.wait();
                    }
                })
                .await;
            })
            .map_err(|error| ServerError::Shard { shard: number, cause: error.to_string() })?;
        handles.push(handle);
    }
    drop(report);
    for _ in 0..shards {
        match reports.recv() {
            Ok((_, Ok(()))) => {}
            Ok((shard, Err(error))) => return Err(ServerError::Shard { shard, cause: error.to_string() }),
            Err(_) => {
                return Err(ServerError::Shard { shard: 0, cause: "its executor did not start".into() });
            }
        }
    }
    Ok(handles)
}

/// The parameters in force when the server starts.
fn config_of(options: &Options, clients_max: usize, port: u16, shards: u16) -> Config {
    let start = start_of(options, port, shards);
    let config = Config { clients_max, start, ..Config::default() };
    match &options.keep {
        None => config,
        Some(keep) => Config {
            append_only: keep.append_only,
            append_fsync: keep.fsync,
            save_points: keep.save_points.clone(),
            ..config
        },
    }
}

fn start_of(options: &Options, port: u16, shards: u16) -> Start {
    let directory = options.keep.as_ref().map_or(Path::new("."), |keep| &keep.directory);
    let path = |path: &Path| path.display().to_string();
    Start {
        port,
        bind: options.bind_address.to_string(),
        unix_socket: options.unix_socket.as_deref().map(path).unwrap_or_default(),
        threads: shards,
        log_level: options.log_level.to_owned(),
        directory: std::path::absolute(directory).as_deref().map(path).unwrap_or_default(),
        keeps: options.keep.is_some(),
    }
}

fn usage() -> ProcessUsage {
    let (rss_bytes, peak_rss_bytes) = process::resident_bytes();
    let (cpu_user_seconds, cpu_sys_seconds) = process::cpu_seconds();
    ProcessUsage { rss_bytes, peak_rss_bytes, cpu_user_seconds, cpu_sys_seconds }
}

fn describe(options: &Options, tcp_port: u16, placements: &[Option<usize>]) -> Process {
    let run_id: String = (0..3).map(|_| format!("{:016x}", process::random_u64())).collect();
    let pinned: Vec<usize> = placements.iter().flatten().copied().collect();
    Process {
        pid: std::process::id(),
        run_id: run_id[..40].to_owned(),
        started_ms: now_ms(),
        executable: std::env::current_exe().map(|path| path.display().to_string()).unwrap_or_default(),
        os: process::kernel().0,
        tcp_port,
        cpus: cpu_list(&pinned),
        system_memory_bytes: process::machine_memory_bytes(),
        allocator: options.allocator,
        usage,
        persistence: match options.keep {
            None => Persistence::default(),
            Some(_) => Persistence::new(placements.len() as u16),
        },
        ..Process::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        Options {
            port: 0,
            bind_address: IpAddr::from([127, 0, 0, 1]),
            unix_socket: None,
            shards: None,
            cpus: None,
            clients_max: 100,
            log_level: "notice",
            allocator: "system",
            keep: None,
        }
    }

    #[test]
    fn writes_cpu_lists() {
        assert_eq!(cpu_list(&[0, 2, 3, 4, 7]), "0,2-4,7");
        assert_eq!(cpu_list(&[]), "");
    }

    #[test]
    fn parameters_follow_the_options() {
        let in_memory = config_of(&options(), 7, 1, 1);
        assert!(!in_memory.start.keeps && !in_memory.append_only && in_memory.save_points.is_empty());
        let working = std::env::current_dir().expect("there is one");
        assert_eq!(in_memory.start.directory, working.display().to_string());
        let keep = Keep {
            directory: "data".into(),
            append_only: true,
            fsync: Fsync::Always,
            restores_log: true,
            restores_snapshot: true,
            save_points: vec![SavePoint { seconds: 60, changes: 1 }],
        };
        let kept = config_of(&Options { keep: Some(keep), ..options() }, 7, 1, 1);
        assert!(kept.start.keeps && kept.append_only && kept.append_fsync == Fsync::Always);
        assert_eq!(kept.start.directory, working.join("data").display().to_string());
        assert_eq!(kept.save_points.len(), 1);
    }

    #[test]
    fn places_shards_in_order_and_round_again() {
        let first = cpus::allowed()[0];
        let placed = placements(&Options { shards: Some(3), cpus: Some(vec![first]), ..options() });
        assert_eq!(placed.expect("placed"), [Some(first); 3]);
        let many = placements(&Options { shards: Some(SHARDS_MAX as u16), ..options() }).expect("placed");
        assert_eq!(many.len(), SHARDS_MAX);
        assert!(matches!(placements(&Options { shards: Some(0), ..options() }), Err(ServerError::Shards)));
        let forbidden = placements(&Options { cpus: Some(vec![100_000]), ..options() });
        assert!(matches!(forbidden, Err(ServerError::ForbiddenCpu { cpu: 100_000, .. })));
    }
}
