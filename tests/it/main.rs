//! Integration tests: the real process over real sockets, with the clients and tools that people use.
//!
//! No test asserts how long something takes; deadlines only keep a broken server from hanging a run. Where a program
//! that a test needs is missing, or a limit too low, the test says `SKIPPED: ...` on standard error; with
//! `COREVAULT_REQUIRE_REDIS=1` a missing program is a failure. `COREVAULT_IT_PROGRAM=path` tests another server than
//! the one just built, such as an older one; `COREVAULT_IT_PLANS=N` lets `serialisability` go on for longer,
//! `COREVAULT_KILL_ROUNDS=N` the kill loop and `COREVAULT_DAMAGE_PLACES=N` the flipping of bits.

mod differential;
mod harness;
/// Of what `tests/sim` uses too, all but the rehearsal: that has proved there what it proves.
#[path = "../histories"]
mod histories {
    pub mod checker;
    pub mod history;
    pub mod model;
    pub mod workloads;
}
mod idle;
mod persistence;
mod pipelines;
mod placement;
mod programs;
mod python_client;
mod redis_tools;
mod robustness;
mod rust_client;
mod serialisability;
mod startup;
mod wire;
