//! Who sends what, and what must hold at the end: one file a workload.

pub mod counters;
pub mod crash;
pub mod crowd;
pub mod handoff;
pub mod lone;
pub mod operators;
pub mod pauses;
pub mod serial;
pub mod stalled;

use corevault::base::rng::Rng;
use corevault::config::Config;

use crate::cluster::Cluster;
use crate::seeds::Verdict;

/// One to eight.
pub fn shard_count(rng: &mut Rng) -> usize {
    1 + rng.below(8) as usize
}

/// The default limits, or a soft limit so low that clients are often held. What clients get must not depend on it.
pub fn config(rng: &mut Rng) -> Config {
    let reply_bytes_pause = [64 * 1024 * 1024, 300, 20][rng.below(3) as usize];
    Config { reply_bytes_pause, ..Config::default() }
}

/// Compares what the client of a socket got with what it should have got.
pub fn compare(cluster: &Cluster, socket: usize, expected: &[u8]) -> Verdict {
    let got = &cluster.sockets[socket].received;
    if got == expected {
        return Ok(());
    }
    let same = got.iter().zip(expected).take_while(|(a, b)| a == b).count();
    let excerpt =
        |bytes: &[u8]| bytes[same.saturating_sub(60)..bytes.len().min(same + 60)].escape_ascii().to_string();
    Err(format!(
        "client {socket} of {} shards got {} bytes and should get {}; they differ from byte {same}:\n  got      {}\n  expected {}",
        cluster.shards.len(),
        got.len(),
        expected.len(),
        excerpt(got),
        excerpt(expected)
    ))
}

/// Every client that has no reason to stay must have been served to its end.
pub fn all_finished(cluster: &Cluster) -> Verdict {
    match cluster.sockets.iter().position(|socket| !socket.is_finished()) {
        None => Ok(()),
        Some(n) => Err(format!("client {n} was not served to its end, and nothing more can happen")),
    }
}
