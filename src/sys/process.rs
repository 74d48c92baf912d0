//! Facts about this process and machine that only the kernel knows: memory and CPU used, limits, the kernel's name.
//! Reads, and raises soft limits; never decides what a limit should be.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises a soft limit to `wanted`, or as far as the hard limit lets; returns what is in force now.
pub fn raise_limit(resource: Resource, wanted: u64) -> u64 {
    let Rlimit { current, maximum } = getrlimit(resource);
    let reachable = maximum.map_or(wanted, |hard| hard.min(wanted));
    match current {
        None => u64::MAX,
        Some(now) if now >= wanted => now,
        // Root may raise the hard limit too.
        Some(now) => {
            let raise = |to, hard| setrlimit(resource, Rlimit { current: Some(to), maximum: hard }).is_ok();
            if raise(wanted, maximum.map(|hard| hard.max(wanted))) {
                wanted
            } else if raise(reachable, maximum) {
                reachable
            } else {
                now
            }
        }
    }
}

/// Registers the process for expedited membarriers, which glommio's executors use; done before threads exist, it is instant, and
/// later it can take tens of milliseconds. Failure is harmless: glommio has a slower way.
pub fn register_membarrier() {
    const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;
    // SAFETY: the call takes two numbers and touches no memory of ours.
    unsafe { libc::syscall(libc::SYS_membarrier, REGISTER_PRIVATE_EXPEDITED, 0) };
}

/// Resident and peak resident memory, bytes.
pub fn resident_bytes() -> (u64, u64) {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.split_whitespace().next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0)
    };
    (kilobytes("VmRSS:") * 1024, kilobytes("VmHWM:") * 1024)
}

/// CPU seconds used in user and kernel mode.
pub fn cpu_seconds() -> (f64, f64) {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the call fills the struct it is given.
    if unsafe { libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) } != 0 {
        return (0.0, 0.0);
    }
    // SAFETY: the struct was zeroed, which is a valid value, and filled.
    let usage = unsafe { usage.assume_init() };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    (seconds(usage.ru_utime), seconds(usage.ru_stime))
}

/// Machine memory, bytes.
pub fn machine_memory_bytes() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// Name, release and architecture of the kernel, as Redis shows them.
pub fn kernel() -> (String, String) {
    let name = rustix::system::uname();
    let text = |s: &std::ffi::CStr| s.to_string_lossy().into_owned();
    let release = text(name.release());
    (format!("{} {} {}", text(name.sysname()), release, text(name.machine())), release)
}

/// Random bits for seeds and run ids.
pub fn random_u64() -> u64 {
    let mut bytes = [0u8; 8];
    // SAFETY: the call writes at most as many bytes as the buffer has.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    assert_eq!(got, 8, "getrandom gives up to 256 bytes at once");
    u64::from_ne_bytes(bytes)
}
