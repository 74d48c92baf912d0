//! `loadtest`: load generator and side-by-side comparisons for RESP servers. Shares no code with the server it tests.
//! This file only picks the subcommand and turns an error into text and an exit code.

mod affinity;
mod check;
mod cli;
mod closed_loop;
mod compare;
mod connection;
mod engine;
mod fill;
mod hostile;
mod idle;
mod interrupt;
mod limits;
mod open_loop;
mod pacer;
mod procstat;
mod progress;
mod recorder;
mod reply;
mod report;
mod restart;
mod run;
mod save;
mod server_process;
mod summary;
mod target;
mod worker;
mod workload;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::interrupt::Interrupt;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = Interrupt::install().and_then(|interrupt| match &cli.command {
        Command::Run(args) => run::run(args, &interrupt),
        Command::Compare(args) => compare::run(args, &interrupt),
        Command::Idle(args) => idle::run(args, &interrupt),
        Command::Hostile(args) => hostile::run(args, &interrupt),
        Command::Save(args) => save::run(args, &interrupt),
        Command::Restart(args) => restart::run(args, &interrupt),
    });
    result.unwrap_or_else(|error| {
        eprintln!("loadtest: {error:#}");
        ExitCode::FAILURE
    })
}
