//! Puts this process on the CPUs it is told to use. Never touches another process.

use anyhow::{Context, Result, ensure};
use rustix::thread::{CpuSet, sched_setaffinity};

/// For the calling thread and all it starts from now on.
pub fn pin(list: &str) -> Result<()> {
    let mut set = CpuSet::new();
    for cpu in parse(list)? {
        set.set(cpu);
    }
    sched_setaffinity(None, &set).with_context(|| format!("cannot run on CPUs {list}"))
}

/// A list as taskset takes it: `0`, `1,3`, `2-5`.
fn parse(list: &str) -> Result<Vec<usize>> {
    let mut cpus = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| {
            text.trim().parse::<usize>().with_context(|| format!("not a list of CPUs, such as 0,2-3: {list}"))
        };
        let (first, last) = (number(first)?, number(last)?);
        ensure!(first <= last && last < CpuSet::MAX_CPU, "no such CPUs: {part}");
        cpus.extend(first..=last);
    }
    Ok(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_lists() {
        assert_eq!(parse("0").unwrap(), [0]);
        assert_eq!(parse("1,3").unwrap(), [1, 3]);
        assert_eq!(parse("0,2-4").unwrap(), [0, 2, 3, 4]);
        for wrong in ["", "a", "3-1", "1,", "99999"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
