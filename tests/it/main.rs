//! Integration tests: the real process over real sockets, with the clients and tools that people use.
//!
//! No test asserts how long something takes; deadlines only keep a broken server from hanging a run. Where a program
//! that a test needs is missing, or a limit too low, the test says `SKIPPED: ...` on standard error; with
//! `COREVAULT_REQUIRE_REDIS=1` a missing program is a failure.

mod differential;
mod harness;
mod idle;
mod pipelines;
mod placement;
mod programs;
mod python_client;
mod redis_tools;
mod robustness;
mod rust_client;
mod startup;
mod wire;
