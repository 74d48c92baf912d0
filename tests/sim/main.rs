//! Runs several shards in one process under a seeded scheduler and compares what clients get with what one shard would say.
//!
//! `COREVAULT_SIM_SEEDS=N` sets how many seeds each workload runs (200), `COREVAULT_SIM_SEED=S` runs one. A failure names its
//! seed: the same seed makes the same choices in the same order. Here is the map:
//!
//! - `cluster`: the shards, the bounded channels between them, and what a driver does for each connection
//! - `socket`: one connection with the client at its other end
//! - `scheduler`: which of the possible events happens next
//! - `script`: random commands and their bytes
//! - `oracle`: the replies one shard gives to the same commands, one at a time
//! - `workloads`: who sends what, and what must hold at the end
//! - `seeds`: the loop over seeds

mod cluster;
mod oracle;
mod scheduler;
mod script;
mod seeds;
mod socket;
mod workloads;

use cluster::Fault;
use seeds::{for_each_seed, seeds_until_caught};
use workloads::{counters, crowd, lone, operators, pauses, stalled};

#[test]
fn one_client_sees_one_shard() {
    for_each_seed("one_client_sees_one_shard", |seed| lone::run(seed, None));
}

#[test]
fn clients_with_keys_of_their_own_do_not_notice_each_other() {
    for_each_seed("clients_with_keys_of_their_own_do_not_notice_each_other", |seed| {
        crowd::run(seed, crowd::Leaving::Never, None)
    });
}

#[test]
fn clients_that_leave_take_nothing_with_them() {
    for_each_seed("clients_that_leave_take_nothing_with_them", |seed| {
        crowd::run(seed, crowd::Leaving::Often, None)
    });
}

#[test]
fn shared_counters_are_exact() {
    for_each_seed("shared_counters_are_exact", |seed| counters::run(seed, None));
}

#[test]
fn a_client_that_does_not_read_is_bounded_and_ended() {
    for_each_seed("a_client_that_does_not_read_is_bounded_and_ended", stalled::run);
}

#[test]
fn a_pause_delays_and_loses_nothing() {
    for_each_seed("a_pause_delays_and_loses_nothing", pauses::run);
}

#[test]
fn operators_are_obeyed_in_one_order_by_all_shards() {
    for_each_seed("operators_are_obeyed_in_one_order_by_all_shards", |seed| operators::run(seed, None));
}

/// A simulation that accepts everything proves nothing: each fault must make some seed fail, and soon.
#[test]
fn planted_faults_are_caught() {
    for fault in [Fault::LoseMessage, Fault::LoseReplyBytes, Fault::RepeatInput, Fault::ReverseReplies] {
        let lone = seeds_until_caught(20, |seed| lone::run(seed, Some(fault)));
        let crowd = seeds_until_caught(20, |seed| crowd::run(seed, crowd::Leaving::Never, Some(fault)));
        let counters = seeds_until_caught(20, |seed| counters::run(seed, Some(fault)));
        println!("{fault:?}: seeds until caught: {lone} alone, {crowd} in a crowd, {counters} on counters");
    }
    // Other workloads do not depend on the order in which commands of different clients run.
    let operators =
        seeds_until_caught(50, |seed| operators::run(seed, Some(corevault::shard::Fault::SkipSchedule)));
    println!("SkipSchedule: seeds until caught: {operators} with operators");
}
