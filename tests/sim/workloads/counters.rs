//! Several clients on the same few counters: of each counter, every number up to the total is replied exactly once, and each
//! client sees a counter only grow.

use corevault::base::rng::Rng;

use crate::cluster::{Cluster, Fault};
use crate::scheduler;
use crate::script::Script;
use crate::seeds::Verdict;
use crate::socket::Behaviour;
use crate::workloads::{all_finished, config, shard_count};

const COUNTERS: usize = 5;

pub fn run(seed: u64, fault: Option<Fault>) -> Verdict {
    let mut rng = Rng::new(seed);
    let (shards, config) = (shard_count(&mut rng), config(&mut rng));
    let mut cluster = Cluster::new(shards, &config, &mut rng, fault);
    // For each client, the counter that each of its commands raises.
    let mut asked: Vec<Vec<usize>> = Vec::new();
    for _ in 0..2 + rng.below(8) {
        let counters: Vec<usize> = (0..rng.below(80)).map(|_| rng.below(COUNTERS as u64) as usize).collect();
        let mut script = Script::default();
        for counter in &counters {
            script.push_words(&mut rng, &format!("INCR counter{counter}"));
        }
        let shard = rng.below(shards as u64) as usize;
        cluster.connect(shard, Behaviour::new(script.bytes));
        asked.push(counters);
    }
    scheduler::run(&mut cluster, &mut rng, |_, _| Ok(()))?;
    all_finished(&cluster)?;

    let mut seen: [Vec<u64>; COUNTERS] = Default::default();
    for (n, counters) in asked.iter().enumerate() {
        let replies = numbers(&cluster.sockets[n].received)?;
        if replies.len() != counters.len() {
            return Err(format!(
                "client {n} asked {} times and got {} replies",
                counters.len(),
                replies.len()
            ));
        }
        let mut last = [0; COUNTERS];
        for (&counter, &number) in counters.iter().zip(&replies) {
            if number <= last[counter] {
                return Err(format!(
                    "client {n} saw counter {counter} go from {} to {number}",
                    last[counter]
                ));
            }
            last[counter] = number;
            seen[counter].push(number);
        }
    }
    for (counter, numbers) in seen.iter_mut().enumerate() {
        numbers.sort_unstable();
        if !numbers.iter().copied().eq(1..=numbers.len() as u64) {
            return Err(format!("counter {counter} was replied as {numbers:?}"));
        }
    }
    Ok(())
}

fn numbers(replies: &[u8]) -> Result<Vec<u64>, String> {
    let text = String::from_utf8_lossy(replies);
    let number = |line: &str| line.strip_prefix(':').and_then(|digits| digits.parse().ok());
    text.lines().map(|line| number(line).ok_or(format!("a counter replied {line:?}"))).collect()
}
