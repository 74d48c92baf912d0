//! Loads every key once, in order, pipelined. Fails on the first wrong answer.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::check::Content;
use crate::engine::{self, Limit, Plan};
use crate::interrupt::Interrupt;
use crate::limits::{FILL_CLIENTS_MAX, FILL_PIPELINE};
use crate::progress;
use crate::target::Target;
use crate::workload::{Order, Requests, Spec};

/// Writes the keys of `spec` with the values of `spec`; its own requests and order are not looked at.
pub fn fill(target: &Target, spec: &Spec, interrupt: &Interrupt) -> Result<()> {
    let keys = spec.keys.count;
    let plan = Plan {
        target: target.clone(),
        clients: FILL_CLIENTS_MAX,
        // One thread: several would each begin at the first key.
        threads: 1,
        // One huge value at a time rather than a pipeline of them.
        pipeline: FILL_PIPELINE.min((1 << 20) / spec.value_size.max(1)).max(1),
        spec: Spec {
            requests: Requests::Mix { reads: 0, writes: 1 },
            order: Order::Sequential,
            ..spec.clone()
        },
        content: Content::Unknown,
        limit: Limit::Requests(keys),
        rate: None,
        warmup: Duration::ZERO,
    };
    let bar = progress::bar("filling", keys);
    let outcome = engine::run(&plan, interrupt, &mut |_, completed| {
        bar.set_position(completed);
        Ok(())
    })?;
    bar.finish_and_clear();
    interrupt.check()?;
    let tally = outcome.recorder.tally;
    let first_error = tally.first_error.unwrap_or_default();
    ensure!(tally.errors == 0, "filling failed with {} errors, the first: {first_error}", tally.errors);
    ensure!(outcome.recorder.completed == keys, "filled {} of {keys} keys", outcome.recorder.completed);
    Ok(())
}
