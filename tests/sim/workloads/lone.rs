//! One client, random commands in one pipeline: however its bytes are split and wherever its keys live, it gets what one shard
//! would reply, the shards hold the same keys, and their journals rebuild them.

use corevault::base::rng::Rng;
use corevault::store::effect::decode_all;
use corevault::store::keyspace::Keyspace;

use crate::cluster::{Cluster, Fault};
use crate::oracle::Oracle;
use crate::scheduler;
use crate::script::{self, Reach};
use crate::seeds::Verdict;
use crate::socket::Behaviour;
use crate::workloads::{all_finished, compare, config, shard_count};

/// How the client's input ends.
enum Ending {
    Stays,
    ClosesItsSide,
    Quits,
    SendsNoResp,
}

pub fn run(seed: u64, fault: Option<Fault>) -> Verdict {
    let mut rng = Rng::new(seed);
    let (shards, config) = (shard_count(&mut rng), config(&mut rng));
    let length = 1 + rng.below(150) as usize;
    let script = script::random(&mut rng, Reach { first_db: 0, dbs: 3, is_alone: true }, length);
    let mut oracle = Oracle::new(1);
    let mut expected = oracle.replies(&script.commands);
    let ending = match rng.below(4) {
        0 => Ending::Stays,
        1 => Ending::ClosesItsSide,
        2 => Ending::Quits,
        _ => Ending::SendsNoResp,
    };
    // Enough of it that some comes in another read.
    let ignored = "SET too late\r\n".repeat(30);
    let tail = match ending {
        Ending::Stays => String::new(),
        Ending::ClosesItsSide => "*2\r\n$3\r\nGET".into(),
        Ending::Quits => format!("QUIT\r\n{ignored}"),
        Ending::SendsNoResp => format!("*1\r\n:oops\r\n{ignored}"),
    };
    expected.extend(oracle.reply_to_bytes(tail.as_bytes()));

    let mut cluster = Cluster::new(shards, &config, &mut rng, fault);
    let half_closes = matches!(ending, Ending::ClosesItsSide);
    let behaviour = Behaviour { half_closes, ..Behaviour::new([&script.bytes, tail.as_bytes()].concat()) };
    let home = rng.below(shards as u64) as usize;
    let client = cluster.connect(home, behaviour);
    scheduler::run(&mut cluster, &mut rng, |_, _| Ok(()))?;

    compare(&cluster, client, &expected)?;
    all_finished(&cluster)?;
    if cluster.sockets[client].is_closed == matches!(ending, Ending::Stays) {
        return Err("the connection was closed without a reason, or not closed with one".into());
    }
    let live: u64 = cluster.shards.iter_mut().map(|shard| shard.keys().digest()).fold(0, u64::wrapping_add);
    if live != oracle.digest() {
        return Err("the shards together hold other keys than one shard".into());
    }
    journals_rebuild(&mut cluster)
}

fn journals_rebuild(cluster: &mut Cluster) -> Verdict {
    for (n, shard) in cluster.shards.iter_mut().enumerate() {
        let keys = shard.keys();
        let mut replayed = Keyspace::new(keys.slots());
        for effect in decode_all(&keys.take_effects()) {
            let (db, effect) = effect.expect("an effect");
            replayed.apply(db, &effect);
        }
        if replayed.digest() != keys.digest() {
            return Err(format!("the journal of shard {n} does not rebuild its keys"));
        }
    }
    Ok(())
}
