//! Reads what the kernel accounts to a process: CPU time and resident memory. Never measures anything itself.

use std::fs;

use anyhow::{Context, Result};

/// CPU time of a whole process since it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cpu {
    /// utime + stime of `/proc/PID/stat`, all threads, ended ones included; in steps of a clock tick (10 ms).
    pub ticks_us: u64,
    /// First field of `/proc/PID/task/*/schedstat`, summed over living threads; in nanoseconds.
    pub sched_ns: u64,
}

impl Cpu {
    pub fn of(pid: u32) -> Result<Self> {
        let stat = read(&format!("/proc/{pid}/stat"))?;
        let ticks = ticks(&stat).with_context(|| format!("/proc/{pid}/stat is not as documented: {stat}"))?;
        let mut sched_ns = 0;
        let tasks = format!("/proc/{pid}/task");
        for task in fs::read_dir(&tasks).with_context(|| format!("cannot read {tasks}"))? {
            // A thread may end between listing and reading; a kernel may lack schedstat.
            if let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) {
                sched_ns += on_cpu_ns(&text).unwrap_or(0);
            }
        }
        Ok(Self { ticks_us: ticks * 1_000_000 / rustix::param::clock_ticks_per_second(), sched_ns })
    }

    pub fn and(self, other: Self) -> Self {
        Self { ticks_us: self.ticks_us + other.ticks_us, sched_ns: self.sched_ns + other.sched_ns }
    }

    pub fn since(self, earlier: Self) -> Self {
        Self {
            ticks_us: self.ticks_us.saturating_sub(earlier.ticks_us),
            sched_ns: self.sched_ns.saturating_sub(earlier.sched_ns),
        }
    }
}

/// VmRSS of `/proc/PID/status`, in bytes.
pub fn resident_bytes(pid: u32) -> Result<u64> {
    status_bytes(pid, "VmRSS")
}

/// The most resident memory since the process started, or since `forget_peak`, in bytes.
pub fn peak_resident_bytes(pid: u32) -> Result<u64> {
    status_bytes(pid, "VmHWM")
}

/// From now on the peak is that of what comes. Takes the right to write to the process's files: one's own, or root.
pub fn forget_peak(pid: u32) -> Result<()> {
    let path = format!("/proc/{pid}/clear_refs");
    fs::write(&path, "5").with_context(|| format!("cannot write {path}"))
}

fn status_bytes(pid: u32, name: &str) -> Result<u64> {
    let status = read(&format!("/proc/{pid}/status"))?;
    field_bytes(&status, name).with_context(|| format!("/proc/{pid}/status has no {name}"))
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {path}"))
}

/// utime + stime. The command name may hold spaces and parentheses, so fields count from its last `)`.
fn ticks(stat: &str) -> Option<u64> {
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace();
    let utime: u64 = fields.nth(11)?.parse().ok()?;
    let stime: u64 = fields.next()?.parse().ok()?;
    Some(utime + stime)
}

fn on_cpu_ns(schedstat: &str) -> Option<u64> {
    schedstat.split_ascii_whitespace().next()?.parse().ok()
}

fn field_bytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_ticks_behind_an_awkward_name() {
        let stat = "4242 (a) b (c) S 1 4242 4242 0 -1 4194560 900 0 0 0 123 45 6 7 20 0 4 0 99 1000 200\n";
        assert_eq!(ticks(stat), Some(168));
        assert_eq!(ticks("4242 (name) S 1 2"), None);
        assert_eq!(ticks(""), None);
    }

    #[test]
    fn reads_schedstat_and_rss() {
        assert_eq!(on_cpu_ns("98765 4321 10\n"), Some(98765));
        assert_eq!(on_cpu_ns(""), None);
        let status = "Name:\tx\nVmHWM:\t 9 kB\nVmRSS:\t    2048 kB\n";
        assert_eq!(field_bytes(status, "VmRSS"), Some(2048 * 1024));
        assert_eq!(field_bytes(status, "VmHWM"), Some(9 * 1024));
        assert_eq!(field_bytes(status, "VmSwap"), None);
    }

    #[test]
    fn reads_this_process() {
        let pid = std::process::id();
        let before = Cpu::of(pid).unwrap();
        let after = Cpu::of(pid).unwrap();
        assert!(after.ticks_us >= before.ticks_us);
        assert!(resident_bytes(pid).unwrap() > 0);
        assert!(peak_resident_bytes(pid).unwrap() > 0);
        assert!(Cpu::of(u32::MAX).is_err());
    }
}
