//! Several operators at once, on different shards: they configure, pause, flush and swap databases. Whenever nothing is under way,
//! all shards have the same configuration, the same pause and the same databases in the same places.

use corevault::base::limits::DATABASES;
use corevault::base::rng::Rng;
use corevault::base::slot::key_slot;
use corevault::config::Config;
use corevault::shard::{Fault, slots_of};
use corevault::store::keyspace::Key;
use corevault::store::object::StringRef;

use crate::cluster::Cluster;
use crate::scheduler;
use crate::script::Script;
use crate::seeds::Verdict;
use crate::socket::Behaviour;
use crate::workloads::{all_finished, compare};

/// Databases that the operators select and swap.
const DBS: u64 = 4;
/// Messages are under way for less than this, so the ends of one pause differ by less.
const SKEW_MS_MAX: i64 = 1000;
/// Far enough apart that one is not taken for another.
const PAUSES_MS: [u64; 2] = [3000, 6000];

pub fn run(seed: u64, fault: Option<Fault>) -> Verdict {
    let mut rng = Rng::new(seed);
    let shards = 2 + rng.below(7) as usize;
    let mut cluster = Cluster::new(shards, &Config::default(), &mut rng, None);
    if let Some(fault) = fault {
        cluster.shards.iter_mut().for_each(|shard| shard.plant(fault));
    }
    let markers: Vec<String> = (0..shards).map(|shard| marker(shard, shards)).collect();
    mark(&mut cluster, &markers);

    // With one kind in a run: which of two kinds a pause gets may depend on whether another has just ended, and shards run
    // it at slightly different times.
    let kind = ["ALL", "WRITE"][rng.below(2) as usize];
    let operators = 2 + rng.below(3);
    let first_shard = rng.below(shards as u64);
    let mut scripts = Vec::new();
    for n in 0..operators {
        let script = operator(&mut rng, n, kind);
        let shard = (first_shard + n) as usize % shards;
        let socket = cluster.connect(shard, Behaviour::new(script.bytes.clone()));
        scripts.push((socket, script));
    }
    scheduler::run(&mut cluster, &mut rng, |cluster, rng| {
        if rng.below(4) == 0 && is_quiet(cluster) { agree(cluster, &markers) } else { Ok(()) }
    })?;

    all_finished(&cluster)?;
    for (socket, script) in &scripts {
        let expected: Vec<u8> = script.commands.iter().flat_map(|_| *b"+OK\r\n").collect();
        compare(&cluster, *socket, &expected)?;
    }
    agree(&mut cluster, &markers)
}

/// A key of a shard.
fn marker(shard: usize, shards: usize) -> String {
    let slots = slots_of(shard as u16, shards as u16);
    let mut names = (0..).map(|n| format!("marker{n}"));
    names.find(|name| slots.contains(&key_slot(name.as_bytes()).index())).expect("every shard owns slots")
}

/// Writes into each database of each shard which one it is.
fn mark(cluster: &mut Cluster, markers: &[String]) {
    for (shard, marker) in cluster.shards.iter_mut().zip(markers) {
        for db in 0..DATABASES as u16 {
            let value = db.to_string();
            shard.keys().set_string(db, &Key::new(marker.as_bytes()), value.as_bytes(), None, 0);
        }
    }
}

fn operator(rng: &mut Rng, n: u64, kind: &str) -> Script {
    let mut script = Script::default();
    let db = rng.below(DBS);
    script.push_words(rng, &format!("SELECT {db}"));
    for turn in 0..2 + rng.below(10) {
        let line = match rng.below(16) {
            0..=2 => format!("CONFIG SET timeout {}", [0, 300 + rng.below(100)][rng.below(2) as usize]),
            3..=6 => format!("SWAPDB {} {}", rng.below(DBS), rng.below(DBS)),
            7 => "FLUSHDB".to_owned(),
            8 => format!("SELECT {}", rng.below(DBS)),
            9..=10 => format!("CLIENT PAUSE {} {kind}", PAUSES_MS[rng.below(2) as usize]),
            11..=12 => "CLIENT UNPAUSE".to_owned(),
            _ => format!("SET operator{n}:{} {turn}", rng.below(20)),
        };
        script.push_words(rng, &line);
    }
    script
}

/// Whether no message is under way, after drivers have taken what their shards want to send.
fn is_quiet(cluster: &mut Cluster) -> bool {
    let is_empty =
        |cluster: &Cluster| !cluster.has_undelivered() && cluster.ready_channels().next().is_none();
    if !is_empty(cluster) {
        return false;
    }
    (0..cluster.shards.len()).for_each(|shard| cluster.carry_out(shard));
    is_empty(cluster)
}

/// All shards must have run the same operators' commands in the same order.
fn agree(cluster: &mut Cluster, markers: &[String]) -> Verdict {
    let now_ms = cluster.now_ms;
    let (mut timeouts, mut contents, mut pauses) = (Vec::new(), Vec::new(), Vec::new());
    for (shard, marker) in cluster.shards.iter_mut().zip(markers) {
        timeouts.push(shard.server().config.idle_seconds_max);
        pauses.push(shard.server().pause.map(|pause| (pause.until_ms - now_ms, pause.writes_only)));
        let key = Key::new(marker.as_bytes());
        let mut found = |db| {
            let value = shard.keys().peek_string(db, &key, now_ms).expect("a string");
            value.and_then(StringRef::integer)
        };
        contents.push((0..DATABASES as u16).map(&mut found).collect::<Vec<_>>());
    }
    if timeouts.iter().any(|timeout| *timeout != timeouts[0]) {
        return Err(format!("the shards have different configurations: timeout {timeouts:?}"));
    }
    if contents.iter().any(|databases| *databases != contents[0]) {
        return Err(format!("the shards have different databases in the same places: {contents:?}"));
    }
    let is_same = |a: Option<(i64, bool)>, b: Option<(i64, bool)>| match (a, b) {
        (None, None) => true,
        (Some((a_ms, a)), Some((b_ms, b))) => a == b && a_ms.abs_diff(b_ms) < SKEW_MS_MAX as u64,
        // One that ends about now may have ended here and not there.
        (Some((left_ms, _)), None) | (None, Some((left_ms, _))) => left_ms < SKEW_MS_MAX,
    };
    if pauses.iter().any(|&pause| !is_same(pause, pauses[0])) {
        return Err(format!("the shards have different pauses, in milliseconds left: {pauses:?}"));
    }
    Ok(())
}
