//! A client that never reads its replies: its commands stop at the soft limit, its memory stays bounded, it is disconnected
//! after the stall time, and nobody else notices.

use corevault::base::limits::{FLIGHT_CALLS_MAX, HELD_QUERY_BYTES_MAX};
use corevault::base::rng::Rng;
use corevault::commands::table::Table;
use corevault::config::Config;

use crate::cluster::{Cluster, READ_BYTES_MAX, START_MS};
use crate::oracle::Oracle;
use crate::scheduler;
use crate::script::{self, Reach, Script};
use crate::seeds::Verdict;
use crate::socket::{Behaviour, READS_IN_TURN_MAX};
use crate::workloads::{compare, shard_count};

const REPLY_BYTES_PAUSE: usize = 4 * 1024;
const STALL_SECONDS: u64 = 7;
const KEYS: usize = 20;
const VALUE_BYTES: usize = 100;
/// The reply that reads such a value.
const REPLY_BYTES: usize = "$100\r\n\r\n".len() + VALUE_BYTES;
/// What may wait for a client that does not read: the soft limit, and all that was under way when it was reached.
const REPLIES_BYTES_MAX: usize = REPLY_BYTES_PAUSE + (FLIGHT_CALLS_MAX + 1) * REPLY_BYTES;
/// What may be kept of its input: the bound, the reads of the turn that passed it, and what came before receiving stopped.
const KEPT_BYTES_MAX: usize = HELD_QUERY_BYTES_MAX + (READS_IN_TURN_MAX + 1) * READ_BYTES_MAX;

pub fn run(seed: u64) -> Verdict {
    let mut rng = Rng::new(seed);
    let shards = shard_count(&mut rng);
    let config = Config {
        reply_bytes_pause: REPLY_BYTES_PAUSE,
        reply_stall_seconds_max: STALL_SECONDS,
        ..Config::default()
    };
    let mut cluster = Cluster::new(shards, &config, &mut rng, None);
    let script = reader_of_values(&mut rng);
    let home = rng.below(shards as u64) as usize;
    let stalled = cluster.connect(home, Behaviour { reads: false, ..Behaviour::new(script.bytes.clone()) });
    let mut others = Vec::new();
    for n in 0..3 {
        let script = script::random(&mut rng, Reach { first_db: 2 * n, dbs: 2, is_alone: false }, 30);
        // One of them is the stalled client's neighbour.
        let shard = if n == 0 { home } else { rng.below(shards as u64) as usize };
        others.push((cluster.connect(shard, Behaviour::new(script.bytes.clone())), script));
    }
    // Nobody else sends this command.
    let substr = usize::from(Table::new().find(b"substr").expect("the command exists"));
    let run_so_far = |cluster: &mut Cluster| -> usize {
        cluster.shards.iter_mut().map(|shard| shard.server().stats.per_command[substr].calls as usize).sum()
    };
    scheduler::run(&mut cluster, &mut rng, |cluster, _| {
        let replies_bytes = run_so_far(cluster) * REPLY_BYTES;
        if replies_bytes > REPLIES_BYTES_MAX {
            Err(format!("{replies_bytes} bytes of replies wait"))
        } else {
            Ok(())
        }
    })?;

    for (socket, script) in &others {
        compare(&cluster, *socket, &Oracle::new(*socket as u64 + 1).replies(&script.commands))?;
    }
    let run_bytes = script.ends[1 + KEYS + run_so_far(&mut cluster) - 1];
    let kept_bytes = cluster.sockets[stalled].delivered - run_bytes;
    if kept_bytes > KEPT_BYTES_MAX {
        return Err(format!("{kept_bytes} bytes of input were kept"));
    }
    if !cluster.sockets[stalled].is_closed {
        return Err("the client that never reads is still there".into());
    }
    let waited_ms = cluster.now_ms - START_MS;
    if waited_ms < STALL_SECONDS as i64 * 1000 {
        return Err(format!("the client was disconnected after {waited_ms} ms already"));
    }
    let disconnects = cluster.shards[home].server().stats.output_limit_disconnects;
    if disconnects == 1 { Ok(()) } else { Err(format!("{disconnects} disconnections were counted")) }
}

/// Sets some keys, and then reads them until there is far more input than a held client may leave with the server.
fn reader_of_values(rng: &mut Rng) -> Script {
    let mut script = Script::default();
    script.push_words(rng, "SELECT 15");
    for key in 0..KEYS {
        script.push_words(rng, &format!("SET key{key} {}", "v".repeat(VALUE_BYTES)));
    }
    while script.bytes.len() < 3 * KEPT_BYTES_MAX {
        let key = rng.below(KEYS as u64);
        script.push_words(rng, &format!("SUBSTR key{key} 0 -1"));
    }
    script
}
