//! The loop over seeds, and the line that tells how to repeat a failure.

use std::env;

/// Seeds of each workload, unless `COREVAULT_SIM_SEEDS` says otherwise.
const SEEDS: u64 = 200;

/// What a run found wrong, in words.
pub type Verdict = Result<(), String>;

/// Runs `workload`, the test named `test`, for every seed, and stops at the first that fails.
pub fn for_each_seed(test: &str, workload: impl Fn(u64) -> Verdict) {
    let seeds = match number("COREVAULT_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("COREVAULT_SIM_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        let told = TellSeed { test, seed };
        if let Err(wrong) = workload(seed) {
            panic!("{wrong}");
        }
        drop(told);
    }
}

/// How many of `seeds_max` seeds it takes until `workload` fails.
pub fn seeds_until_caught(seeds_max: u64, workload: impl Fn(u64) -> Verdict) -> u64 {
    let caught = (0..seeds_max).find(|&seed| workload(seed).is_err());
    caught.unwrap_or_else(|| panic!("none of {seeds_max} seeds caught the planted fault")) + 1
}

/// Prints the seed if the run ends in a panic, wherever that comes from.
struct TellSeed<'a> {
    test: &'a str,
    seed: u64,
}

impl Drop for TellSeed<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {0}: COREVAULT_SIM_SEED={0} cargo test --test sim {1}", self.seed, self.test);
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} must be a number, not {text:?}")))
}
