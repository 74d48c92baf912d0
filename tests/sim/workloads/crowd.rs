//! Several clients, each with two databases of its own: each gets what one shard with that client alone would reply, although
//! messages interleave. Some may leave in the middle, and others come to their places.

use corevault::base::limits::DATABASES;
use corevault::base::rng::Rng;

use crate::cluster::{Cluster, Fault};
use crate::oracle::Oracle;
use crate::scheduler;
use crate::script::{self, Reach, Script};
use crate::seeds::Verdict;
use crate::socket::{Behaviour, Socket};
use crate::workloads::{all_finished, compare, config, shard_count};

/// Whether clients leave before they are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    Never,
    Often,
}

const DBS_EACH: u64 = 2;
const CLIENTS_MAX: u64 = DATABASES as u64 / DBS_EACH;

pub fn run(seed: u64, leaving: Leaving, fault: Option<Fault>) -> Verdict {
    let mut rng = Rng::new(seed);
    let (shards, config) = (shard_count(&mut rng), config(&mut rng));
    let mut cluster = Cluster::new(shards, &config, &mut rng, fault);
    let clients = 2 + rng.below(CLIENTS_MAX - 1);
    let mut newcomers: Vec<(Script, Behaviour)> = (0..clients)
        .map(|n| {
            let length = 1 + rng.below(60) as usize;
            let script = script::random(
                &mut rng,
                Reach { first_db: DBS_EACH * n, dbs: DBS_EACH, is_alone: false },
                length,
            );
            let behaviour = behaviour(&mut rng, &script, leaving);
            (script, behaviour)
        })
        .collect();
    let mut scripts = Vec::new();
    let mut connect = |cluster: &mut Cluster, rng: &mut Rng, (script, behaviour)| {
        scripts.push(script);
        // Few shards get most clients, so that places are taken again.
        let shard = rng.below(rng.clone().below(shards as u64) + 1) as usize;
        cluster.connect(shard, behaviour);
    };
    let first = newcomers.pop().expect("there are clients");
    connect(&mut cluster, &mut rng, first);
    scheduler::run(&mut cluster, &mut rng, |cluster, rng| {
        let is_idle = cluster.sockets.iter().all(Socket::is_finished);
        if (is_idle || rng.below(50) == 0)
            && let Some(next) = newcomers.pop()
        {
            connect(cluster, rng, next);
        }
        Ok(())
    })?;

    for (n, script) in scripts.iter().enumerate() {
        check_client(&cluster, n, script)?;
    }
    all_finished(&cluster)?;
    no_place_is_lost(&mut cluster)
}

fn behaviour(rng: &mut Rng, script: &Script, leaving: Leaving) -> Behaviour {
    let mut behaviour = Behaviour::new(script.bytes.clone());
    if leaving == Leaving::Often {
        match rng.below(4) {
            0 => behaviour.half_closes = true,
            1 | 2 => behaviour.vanishes_after = Some(rng.below(script.bytes.len() as u64 + 1) as usize),
            _ => {}
        }
    }
    behaviour
}

fn check_client(cluster: &Cluster, n: usize, script: &Script) -> Verdict {
    let socket = &cluster.sockets[n];
    let mut oracle = Oracle::new(n as u64 + 1);
    match socket.behaviour.vanishes_after {
        None => compare(cluster, n, &oracle.replies(&script.commands)),
        Some(sent) => {
            // Gone before it could get everything: what it got must be the beginning.
            let all = oracle.replies(&script.commands[..script.commands_within(sent)]);
            if all.starts_with(&socket.received) { Ok(()) } else { compare(cluster, n, &all) }
        }
    }
}

/// Each place that was ever used is in use or can be used again: as many more clients as there are places need no new one.
fn no_place_is_lost(cluster: &mut Cluster) -> Verdict {
    for shard in 0..cluster.shards.len() {
        let places = cluster.places(shard);
        let open = cluster.sockets.iter().filter(|socket| socket.shard == shard && !socket.is_closed).count();
        for _ in open..places {
            let socket = cluster.connect(shard, Behaviour::new(Vec::new()));
            let index = cluster.sockets[socket].client.index as usize;
            if index >= places {
                return Err(format!("shard {shard} has {places} places for clients and uses index {index}"));
            }
        }
    }
    Ok(())
}
