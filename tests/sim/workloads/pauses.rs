//! Clients that an operator pauses again and again, for all commands or for writes: they wait, and get every reply.

use corevault::base::rng::Rng;

use crate::cluster::Cluster;
use crate::oracle::Oracle;
use crate::scheduler;
use crate::script::{self, Reach, Script};
use crate::seeds::Verdict;
use crate::socket::Behaviour;
use crate::workloads::{all_finished, compare, config, shard_count};

pub fn run(seed: u64) -> Verdict {
    let mut rng = Rng::new(seed);
    let (shards, config) = (shard_count(&mut rng), config(&mut rng));
    let mut cluster = Cluster::new(shards, &config, &mut rng, None);
    let mut scripts = Vec::new();
    for n in 0..3 {
        scripts.push(script::random(&mut rng, Reach { first_db: 2 * n, dbs: 2, is_alone: false }, 40));
    }
    scripts.push(operator(&mut rng));
    for script in &scripts {
        let shard = rng.below(shards as u64) as usize;
        cluster.connect(shard, Behaviour::new(script.bytes.clone()));
    }
    scheduler::run(&mut cluster, &mut rng, |_, _| Ok(()))?;
    all_finished(&cluster)?;
    for (n, script) in scripts.iter().enumerate() {
        let commands = script.commands.iter();
        let expected = if n + 1 < scripts.len() {
            Oracle::new(n as u64 + 1).replies(commands)
        } else {
            // One at a time, the operator's commands would hold the next ones: every one of them says OK.
            commands.flat_map(|_| *b"+OK\r\n").collect()
        };
        compare(&cluster, n, &expected)?;
    }
    Ok(())
}

fn operator(rng: &mut Rng) -> Script {
    let mut script = Script::default();
    for _ in 0..1 + rng.below(6) {
        let timeout_ms = rng.below(300);
        let line = match rng.below(4) {
            0 => format!("CLIENT PAUSE {timeout_ms}"),
            1 | 2 => format!("CLIENT PAUSE {timeout_ms} WRITE"),
            _ => "CLIENT UNPAUSE".to_owned(),
        };
        script.push_words(rng, &line);
    }
    script
}
