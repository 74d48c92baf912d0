//! `loadtest run`: from options to a plan, from an outcome to a report and an exit code.

use std::fs;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::check::Content;
use crate::cli::RunArgs;
use crate::engine::{self, Limit, Outcome, Plan};
use crate::fill::fill;
use crate::interrupt::Interrupt;
use crate::report::Report;
use crate::workload::{Requests, Spec};

const DURATION_DEFAULT: Duration = Duration::from_secs(10);

pub fn run(args: &RunArgs, interrupt: &Interrupt) -> Result<ExitCode> {
    let plan = plan(args)?;
    if args.fill {
        fill(&plan.target, &plan.spec, interrupt)?;
    }
    let outcome = engine::run(&plan, interrupt, &mut |_, _| Ok(()))?;
    let failed = outcome.recorder.tally.errors > 0;
    let text = report(args, &plan, &outcome).render(args.output)?;
    match &args.output_file {
        Some(path) => fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?,
        None => print!("{text}"),
    }
    // After Ctrl-C the report covers what was measured until then, but it is not the run that was asked for.
    Ok(if failed || interrupt.is_set() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn plan(args: &RunArgs) -> Result<Plan> {
    let requests = match (&args.command, args.op) {
        (Some(command), _) => Requests::Custom(command.clone()),
        (None, Some(op)) => args.op_sizes.requests(op),
        (None, None) => Requests::Mix { reads: args.ratio.reads, writes: args.ratio.writes },
    };
    Ok(Plan {
        target: args.server.target()?,
        clients: args.clients,
        threads: args.threads,
        pipeline: args.pipeline,
        spec: Spec {
            keys: args.data.key_space()?,
            value_size: args.data.value_size,
            requests,
            order: args.data.order(),
            seed: args.data.seed,
        },
        content: if args.fill && !args.allow_misses { Content::Filled } else { Content::Unknown },
        limit: match args.requests {
            Some(count) => Limit::Requests(count),
            None => Limit::Time(args.duration.unwrap_or(DURATION_DEFAULT)),
        },
        rate: args.rate,
        warmup: args.warmup,
    })
}

fn report(args: &RunArgs, plan: &Plan, outcome: &Outcome) -> Report {
    let recorder = &outcome.recorder;
    let seconds = outcome.window.as_secs_f64();
    let distribution = match args.data.order() {
        crate::workload::Order::Zipf { exponent } => format!("zipf {exponent}"),
        crate::workload::Order::Sequential => "sequential".into(),
        crate::workload::Order::Uniform => "uniform".into(),
    };
    Report {
        server: plan.target.to_string(),
        requests_sent: plan.spec.requests.to_string(),
        distribution,
        keys: args.data.keys,
        key_bytes: args.data.key_size,
        value_bytes: args.data.value_size,
        seed: args.data.seed,
        clients: plan.clients,
        threads: plan.threads,
        pipeline: plan.pipeline,
        rate: plan.rate,
        seconds,
        completed: recorder.completed,
        throughput: if seconds > 0.0 { recorder.completed as f64 / seconds } else { 0.0 },
        mean_us: recorder.mean_us(),
        p50_us: recorder.quantile_us(0.5),
        p90_us: recorder.quantile_us(0.9),
        p99_us: recorder.quantile_us(0.99),
        p99_9_us: recorder.quantile_us(0.999),
        p99_99_us: recorder.quantile_us(0.9999),
        max_us: recorder.max_us(),
        hits: recorder.tally.hits,
        misses: recorder.tally.misses,
        errors: recorder.tally.errors,
        first_error: recorder.tally.first_error.clone(),
        generator_cpu_share: outcome.generator_cpu_share,
    }
}
