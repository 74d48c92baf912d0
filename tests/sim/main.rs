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
//! - `disk`: a simulated disk; `storage`: what a process has on it; `process`: its start
//! - `workloads`: who sends what, and what must hold at the end
//! - `histories`: what clients that share keys do, and the search for one order that explains what they saw
//! - `seeds`: the loop over seeds

mod cluster;
mod disk;
#[path = "../histories/mod.rs"]
mod histories;
mod oracle;
mod process;
mod scheduler;
mod script;
mod seeds;
mod socket;
mod storage;
mod workloads;

use cluster::Fault;
use histories::workloads::Workload;
use seeds::{for_each_seed, seeds_until_caught};
#[cfg(debug_assertions)]
use workloads::crash::Planted;
use workloads::{counters, crash, crowd, handoff, lone, operators, pauses, serial, stalled};

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

#[test]
fn queues_hand_every_item_over_once() {
    for_each_seed("queues_hand_every_item_over_once", |seed| handoff::run(seed, None));
}

#[cfg(debug_assertions)]
#[test]
fn a_crash_takes_back_nothing_that_anybody_was_told() {
    for_each_seed("a_crash_takes_back_nothing_that_anybody_was_told", |seed| crash::run(seed, None));
}

#[test]
fn transfers_are_serialisable() {
    one_order_explains("transfers_are_serialisable", Workload::Bank);
}

#[test]
fn appends_and_reads_are_serialisable() {
    one_order_explains("appends_and_reads_are_serialisable", Workload::Lists);
}

#[test]
fn watched_registers_are_serialisable() {
    one_order_explains("watched_registers_are_serialisable", Workload::Registers);
}

#[test]
fn writes_of_several_keys_are_serialisable() {
    one_order_explains("writes_of_several_keys_are_serialisable", Workload::Pairs);
}

#[test]
fn renames_are_serialisable() {
    one_order_explains("renames_are_serialisable", Workload::Renames);
}

#[test]
fn flushes_are_serialisable() {
    one_order_explains("flushes_are_serialisable", Workload::Flushes);
}

#[test]
fn pipelines_take_effect_in_their_order() {
    one_order_explains("pipelines_take_effect_in_their_order", Workload::Pipelines);
}

#[test]
fn everything_together_is_serialisable() {
    one_order_explains("everything_together_is_serialisable", Workload::Mixture);
}

fn one_order_explains(test: &str, workload: Workload) {
    let tally = serial::Tally::default();
    for_each_seed(test, |seed| serial::run(seed, workload, None, None, &tally));
    tally.conclude(workload);
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
}

/// The same for mistakes in the protocol between shards, which only debug builds can make.
#[cfg(debug_assertions)]
#[test]
fn seeded_protocol_bugs_are_caught() {
    use Workload::{Bank, Flushes, Lists, Mixture, Pairs, Pipelines, Registers, Renames};
    use corevault::shard::Fault::{
        LeaveUnasked, LoseRelease, LoseWakeup, OutOfOrder, ReleaseEarly, ReplyEarly, SkipSchedule,
        SplitParts, TrustOthers, TrustParts,
    };
    for (fault, workloads) in [
        (SkipSchedule, &[Bank, Lists, Registers, Pairs, Renames, Flushes, Pipelines, Mixture][..]),
        (ReleaseEarly, &[Registers, Pairs, Renames, Mixture]),
        (OutOfOrder, &[Bank, Lists, Pairs, Renames, Flushes, Pipelines, Mixture]),
        (LoseRelease, &[Pairs, Renames, Flushes, Pipelines, Mixture]),
    ] {
        for &workload in workloads {
            let tally = serial::Tally::default();
            let seeds =
                seeds_until_caught(1000, |seed| serial::run(seed, workload, None, Some(fault), &tally));
            println!("{fault:?}: {seeds} seeds until caught with {workload:?}");
        }
    }
    for fault in [SkipSchedule, OutOfOrder, LoseWakeup, LeaveUnasked] {
        let seeds = seeds_until_caught(2000, |seed| handoff::run(seed, Some(fault)));
        println!("{fault:?}: {seeds} seeds until caught with queues");
    }
    for planted in [
        Planted::Shard(ReplyEarly),
        Planted::Shard(TrustOthers),
        Planted::Shard(TrustParts),
        Planted::Shard(SplitParts),
        Planted::LyingDisk,
    ] {
        let seeds = seeds_until_caught(400, |seed| crash::run(seed, Some(planted)));
        println!("{planted:?}: {seeds} seeds until caught with crashes");
    }
    let operators = seeds_until_caught(50, |seed| operators::run(seed, Some(SkipSchedule)));
    println!("SkipSchedule: {operators} seeds until caught with operators");
}
