//! Which CPUs this process may use: the affinity mask, cut to the cgroup's quota. Reads the system; never pins a thread.

use std::fs;

/// CPUs of the process's affinity mask, ascending.
pub fn allowed() -> Vec<usize> {
    let Ok(set) = rustix::thread::sched_getaffinity(None) else { return vec![0] };
    (0..rustix::thread::CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).collect()
}

/// Whole CPUs that the cgroup's quota leaves, at least one; nothing where there is no quota.
pub fn quota() -> Option<usize> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = own.lines().find_map(|line| line.strip_prefix("0::"))?.trim_end().to_owned();
    let mut group = path.as_str();
    let mut least: Option<usize> = None;
    loop {
        // Every group on the way up may limit; the smallest limit counts.
        if let Ok(text) = fs::read_to_string(format!("/sys/fs/cgroup{group}/cpu.max")) {
            least = least.into_iter().chain(quota_of(&text)).min();
        }
        match group.rfind('/') {
            Some(0) | None if group.len() <= 1 => return least,
            Some(at) => group = if at == 0 { "/" } else { &group[..at] },
            None => return least,
        }
    }
}

/// The whole CPUs in the text of `cpu.max`: `max 100000` is none, `250000 100000` is 2.
fn quota_of(text: &str) -> Option<usize> {
    let (quota, period) = text.trim().split_once(' ')?;
    let (quota, period): (u64, u64) = (quota.parse().ok()?, period.parse().ok()?);
    Some((quota / period.max(1)).max(1) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_quotas() {
        assert_eq!(quota_of("max 100000\n"), None);
        assert_eq!(quota_of("250000 100000\n"), Some(2));
        assert_eq!(quota_of("50000 100000"), Some(1));
        assert_eq!(quota_of("nonsense"), None);
    }

    #[test]
    fn at_least_one_cpu_is_allowed() {
        assert!(!allowed().is_empty());
    }
}
