//! For tests: runs a command of several keys as if they were on several shards. Its reply must be the one of a single shard.

use crate::commands::testing::Bench;

/// Runs `script` behind `setup` on one shard, and again with the parts of its commands gathered.
#[track_caller]
pub fn check_both(setup: &str, script: &str, expected: &str) {
    for run in [Bench::run, Bench::run_gathered] {
        let mut bench = Bench::default();
        bench.run(setup);
        assert_eq!(run(&mut bench, script), expected, "{script}");
        bench.check_journal();
    }
}
