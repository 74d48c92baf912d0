//! Looks before anything starts: may this process use io_uring the way a shard does, and are its limits high enough?
//! Says what is wrong, why, and what to do about it. `corevault doctor` prints all of it; the server prints what fails.

use std::fmt;
use std::fs;
use std::io;
use std::io::Write as _;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::process::Resource;

use crate::sys::cpus;
use crate::sys::process;
use crate::sys::ring::{Event, Ring, Sizes, Token};

/// glommio refuses to start below this, bytes.
const MEMLOCK_BYTES_MIN: u64 = 512 * 1024;
/// Descriptors a process needs besides its clients': rings, eventfds, listeners, files.
pub const DESCRIPTORS_RESERVED: u64 = 64;
/// Descriptors of a shard: rings of ours and glommio's, eventfds.
pub const DESCRIPTORS_PER_SHARD: u64 = 16;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, but worse than it could.
    Warning,
    /// The server cannot start.
    Failure,
}

/// One thing that was looked at.
#[derive(Clone, Debug)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// How it ended.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do, unless it is as it should be.
    pub remedy: String,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.verdict {
            Verdict::Ok => "ok  ",
            Verdict::Warning => "warn",
            Verdict::Failure => "FAIL",
        };
        write!(f, "{mark}  {:<12} {}", self.name, self.found)?;
        for line in self.remedy.lines() {
            write!(f, "\n      {line}")?;
        }
        Ok(())
    }
}

/// Looks at everything the server needs. Raises soft limits where it may.
pub fn checks(shards: u16, clients_max: usize) -> Vec<Check> {
    vec![
        kernel(),
        memlock(),
        io_uring(),
        descriptors(shards, clients_max),
        processors(shards),
        somaxconn(),
        huge_pages(),
    ]
}

fn check(name: &'static str, verdict: Verdict, found: impl Into<String>, remedy: impl Into<String>) -> Check {
    Check { name, verdict, found: found.into(), remedy: remedy.into() }
}

fn kernel() -> Check {
    let (_, release) = process::kernel();
    match version(&release) {
        Some(found) if found >= (6, 1) => check("kernel", Verdict::Ok, release, ""),
        _ => check(
            "kernel",
            Verdict::Failure,
            format!("{release} is too old: 6.1 is the first with the io_uring modes a shard uses"),
            "Boot a kernel of at least 6.1; 6.12 or newer is recommended.",
        ),
    }
}

/// Major and minor number of a kernel release such as `6.18.44-generic`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn memlock() -> Check {
    let limit = process::raise_limit(Resource::Memlock, 8 * 1024 * 1024);
    let shown = if limit == u64::MAX { "unlimited".to_owned() } else { format!("{} KiB", limit / 1024) };
    if limit >= MEMLOCK_BYTES_MIN {
        return check("memlock", Verdict::Ok, shown, "");
    }
    check(
        "memlock",
        Verdict::Failure,
        format!("{shown} may be locked in memory; rings and receive buffers need 512 KiB"),
        "Raise the limit: `ulimit -l unlimited` in a shell, LimitMEMLOCK=infinity in a systemd unit,\n\
         --ulimit memlock=-1 for a container.",
    )
}

fn io_uring() -> Check {
    // glommio's rings have no flags, ours have several: what one may do the other may not.
    let tried = io_uring::IoUring::new(8).map(drop).and_then(|()| exchange());
    match tried {
        Ok(()) => check("io_uring", Verdict::Ok, "multishot receive into provided buffers works", ""),
        Err(error) => {
            let (found, remedy) = refusal(&error, disabled_setting(), has_seccomp_filter());
            check("io_uring", Verdict::Failure, found, remedy)
        }
    }
}

/// Does with a small ring what a shard does: receives into provided buffers, with the same flags.
fn exchange() -> io::Result<()> {
    let mut ring = Ring::new(Sizes { entries: 8, completions: 64, buffers: 8, buffer_bytes: 4096 })?;
    let (mut here, there) = UnixStream::pair()?;
    ring.receive(there.as_fd(), Token { index: 0, generation: 0 });
    here.write_all(b"probe")?;
    ring.enter(1, Duration::from_secs(2), Duration::ZERO)?;
    ring.take_completions();
    let received = match ring.next_event() {
        Some(Event::Received { result, buffer: Some(received), .. }) => {
            result.map(|_| ring.bytes(&received) == b"probe")
        }
        Some(Event::Received { result: Err(error), .. }) => Err(error),
        _ => Ok(false),
    };
    match received? {
        true => Ok(()),
        false => Err(io::Error::other("a multishot receive brought no bytes")),
    }
}

/// The sysctl `kernel.io_uring_disabled`, where the kernel has it.
fn disabled_setting() -> Option<u32> {
    fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok()?.trim().parse().ok()
}

fn has_seccomp_filter() -> bool {
    fs::read_to_string("/proc/self/status")
        .is_ok_and(|status| status.lines().any(|line| line == "Seccomp:\t2"))
}

/// Why io_uring was refused, and what to do, from the error and what the system says about itself.
fn refusal(error: &io::Error, disabled: Option<u32>, has_seccomp_filter: bool) -> (String, String) {
    let (found, remedy) = match error.raw_os_error() {
        Some(libc::ENOSYS) => (
            "this kernel has no io_uring, or a sandbox (gVisor, an old seccomp profile) hides it",
            "Use a kernel with CONFIG_IO_URING=y, outside such a sandbox.",
        ),
        Some(libc::EPERM | libc::EACCES) if disabled == Some(2) => (
            "io_uring is switched off for every process (kernel.io_uring_disabled = 2)",
            "As root: `sysctl -w kernel.io_uring_disabled=0`, and the same line in /etc/sysctl.d/ to keep it.",
        ),
        Some(libc::EPERM | libc::EACCES) if disabled == Some(1) => (
            "io_uring is reserved for privileged processes (kernel.io_uring_disabled = 1)",
            "Put the server's group into `sysctl kernel.io_uring_group`, or set kernel.io_uring_disabled=0.",
        ),
        Some(libc::EPERM | libc::EACCES) if has_seccomp_filter => (
            "a seccomp filter forbids io_uring; container runtimes do so by default",
            "Allow io_uring_setup, io_uring_enter and io_uring_register in the container's seccomp profile\n\
             (docker: --security-opt seccomp=PROFILE.json; Kubernetes: seccompProfile of type Localhost).",
        ),
        Some(libc::EPERM | libc::EACCES) => (
            "the system forbids io_uring",
            "Look for a security module (SELinux, AppArmor) or a sandbox that denies io_uring_setup.",
        ),
        Some(libc::ENOMEM) => (
            "there is no memory for a ring within the limits of this process",
            "Raise the locked-memory limit (`ulimit -l unlimited`) or the memory limit of the cgroup.",
        ),
        Some(libc::EINVAL) => (
            "the kernel refuses the flags a shard's ring needs, so it is older than 6.1 or not a full Linux",
            "Boot a kernel of at least 6.1; 6.12 or newer is recommended.",
        ),
        _ => ("io_uring does not work as it should", "`dmesg` and the error may say more."),
    };
    (format!("{found} ({error})"), remedy.to_owned())
}

fn descriptors(shards: u16, clients_max: usize) -> Check {
    let wanted = clients_max as u64 + DESCRIPTORS_RESERVED + u64::from(shards) * DESCRIPTORS_PER_SHARD;
    let limit = process::raise_limit(Resource::Nofile, wanted);
    if limit >= wanted {
        return check("descriptors", Verdict::Ok, format!("{wanted} for {clients_max} clients"), "");
    }
    check(
        "descriptors",
        Verdict::Warning,
        format!("{limit} may be open; {clients_max} clients need {wanted}"),
        "The server accepts fewer clients. `ulimit -n`, or LimitNOFILE= in a systemd unit, raises the limit.",
    )
}

fn processors(shards: u16) -> Check {
    let allowed = cpus::allowed().len();
    let usable = cpus::quota().map_or(allowed, |quota| quota.min(allowed));
    let found = format!("{allowed} allowed by affinity, {usable} by the cgroup's quota, {shards} shards");
    if usize::from(shards) <= usable {
        return check("CPUs", Verdict::Ok, found, "");
    }
    check(
        "CPUs",
        Verdict::Warning,
        found,
        "Several shards share a CPU: that works, but adds switches and latency.",
    )
}

fn somaxconn() -> Check {
    let text = fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap_or_default();
    match text.trim().parse::<u32>() {
        Ok(limit) if limit < 1024 => check(
            "somaxconn",
            Verdict::Warning,
            format!("{limit} connections may wait to be accepted"),
            "A burst of connections can be refused. As root: `sysctl -w net.core.somaxconn=65535`.",
        ),
        Ok(limit) => check("somaxconn", Verdict::Ok, limit.to_string(), ""),
        Err(_) => check("somaxconn", Verdict::Ok, "unknown", ""),
    }
}

fn huge_pages() -> Check {
    let text = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default();
    let mode = text.split('[').nth(1).and_then(|rest| rest.split(']').next()).unwrap_or("unknown");
    check("huge pages", Verdict::Ok, format!("transparent huge pages: {mode}"), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_kernel_releases() {
        assert_eq!(version("6.18.44-fc"), Some((6, 18)));
        assert_eq!(version("5.15.0-91-generic"), Some((5, 15)));
        assert_eq!(version("weird"), None);
    }

    #[test]
    fn every_refusal_has_a_cause_and_a_remedy() {
        let of = |code, disabled, seccomp| refusal(&io::Error::from_raw_os_error(code), disabled, seccomp);
        assert!(of(libc::EPERM, Some(2), false).1.contains("io_uring_disabled=0"));
        assert!(of(libc::EPERM, Some(1), true).1.contains("io_uring_group"));
        assert!(of(libc::EPERM, Some(0), true).1.contains("seccomp"));
        assert!(of(libc::EPERM, None, false).1.contains("security module"));
        assert!(of(libc::ENOMEM, None, false).1.contains("ulimit -l"));
        assert!(of(libc::EINVAL, None, false).1.contains("6.1"));
        assert!(of(libc::ENOSYS, None, false).0.contains("no io_uring"));
        assert!(!of(libc::EIO, None, false).1.is_empty());
    }
}
