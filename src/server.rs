//! Wires a server together: options → preflight → listeners → one executor a shard → signals → an orderly end.
//! No logic of its own.

use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc;
use std::sync::{Arc, Barrier};

use glommio::{ExecutorJoinHandle, LocalExecutorBuilder, Placement, PoolPlacement};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::base::limits::SHARDS_MAX;
use crate::commands::session::{Process, ProcessUsage};
use crate::config::{Config, Start};
use crate::net::clock::now_ms;
use crate::net::listen::{self, ListenError};
use crate::net::mesh::{Mesh, Parcel};
use crate::net::preflight::{self, DESCRIPTORS_PER_SHARD, DESCRIPTORS_RESERVED, Verdict};
use crate::net::{Shared, run_shard};
use crate::shard::Shard;
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

/// Runs a server until SIGTERM, SIGINT or `SHUTDOWN`. `started` is told the port once clients can connect.
pub fn run(options: &Options, started: impl FnOnce(u16)) -> Result<(), ServerError> {
    let placements = placements(options)?;
    let shards = placements.len() as u16;
    let clients_max = look_before(shards, options.clients_max)?;
    let (tcp, port) = listen::tcp(options.bind_address, options.port)?;
    let config = Config { clients_max, start: start_of(options, port, shards), ..Config::default() };
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
    let shared = Arc::new(Shared {
        mesh,
        last_client_id: AtomicU64::new(0),
        unix_path: options.unix_socket.as_ref().map(|path| path.display().to_string()),
        on_shutdown: || {
            // The signal's way is the one way out.
            let _ = signal_hook::low_level::raise(SIGTERM);
        },
    });
    if !options.bind_address.is_loopback() {
        tracing::warn!(
            "clients need no password, and this server listens on {}: whoever reaches the port reads and changes everything",
            options.bind_address
        );
    }
    let handles = start_shards(&placements, &shared, inboxes, listeners, &process, &config)?;
    tracing::info!(port, shards, address = %options.bind_address, pid = process.pid, "ready to accept connections");
    started(port);
    let signal = signals.forever().next();
    tracing::info!(signal, "stopping");
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
) -> Result<Vec<ExecutorJoinHandle<()>>, ServerError> {
    let shards = placements.len() as u16;
    let (report, reports) = mpsc::sync_channel::<(u16, io::Result<()>)>(placements.len());
    // No shard may take connections before every shard can be reached.
    let everybody_ready = Arc::new(Barrier::new(placements.len()));
    let mut handles = Vec::new();
    for ((number, placement), inbox) in (0..shards).zip(placements).zip(inboxes) {
        let (shared, report) = (Arc::clone(shared), report.clone());
        let (process, config) = (Arc::clone(process), config.clone());
        let everybody_ready = Arc::clone(&everybody_ready);
        // The first shard accepts for all: placing by count is even where hashing would not be.
        let listeners = std::mem::take(&mut listeners);
        let seed = process::random_u64();
        let placement = placement.map_or(Placement::Unbound, Placement::Fixed);
        let handle = LocalExecutorBuilder::new(placement)
            .name(&format!("shard-{number}"))
            .io_memory(0)
            .ring_depth(64)
            .blocking_thread_pool_placement(PoolPlacement::Unbound(1))
            .spawn(move || async move {
                let shard = Shard::new(number, shards, process, config, seed);
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

fn start_of(options: &Options, port: u16, shards: u16) -> Start {
    let path = |path: &std::path::Path| path.display().to_string();
    Start {
        port,
        bind: options.bind_address.to_string(),
        unix_socket: options.unix_socket.as_deref().map(path).unwrap_or_default(),
        threads: shards,
        log_level: options.log_level.to_owned(),
        directory: std::env::current_dir().as_deref().map(path).unwrap_or_default(),
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
        }
    }

    #[test]
    fn writes_cpu_lists() {
        assert_eq!(cpu_list(&[0, 2, 3, 4, 7]), "0,2-4,7");
        assert_eq!(cpu_list(&[]), "");
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
