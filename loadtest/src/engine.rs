//! Runs one measurement: connects, starts the threads, keeps the time, adds up what they saw.
//! Never prints, and never starts a server.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};

use crate::check::{Checker, Content};
use crate::connection::Poll;
use crate::interrupt::Interrupt;
use crate::limits::{CLIENTS_MAX, INTERRUPT_POLL, PIPELINE_MAX, RATE_MAX, THREADS_MAX};
use crate::pacer::Schedule;
use crate::procstat::Cpu;
use crate::recorder::Recorder;
use crate::target::Target;
use crate::worker::{Completed, Window, Worker};
use crate::workload::{Spec, Workload};
use crate::{closed_loop, open_loop};

#[derive(Debug, Clone)]
pub struct Plan {
    pub target: Target,
    pub clients: usize,
    pub threads: usize,
    /// Closed loop: requests per batch. Open loop: unanswered requests per connection at most.
    pub pipeline: usize,
    pub spec: Spec,
    pub content: Content,
    pub limit: Limit,
    /// Requests per second in total; makes the loop an open one.
    pub rate: Option<u64>,
    pub warmup: Duration,
}

#[derive(Debug, Clone, Copy)]
pub enum Limit {
    Time(Duration),
    Requests(u64),
}

pub struct Outcome {
    pub recorder: Recorder,
    pub window: Duration,
    /// CPU time of this process over the window, as a share of one CPU.
    pub generator_cpu_share: f64,
}

/// What the caller may watch: the window's edges, and now and then what has been completed so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    Opened,
    Running,
    Closed,
}

pub fn run(
    plan: &Plan,
    interrupt: &Interrupt,
    watch: &mut dyn FnMut(Moment, u64) -> Result<()>,
) -> Result<Outcome> {
    check(plan)?;
    let mut workers = Vec::new();
    for thread in 0..plan.threads {
        workers.push(prepare(plan, thread, interrupt)?);
    }
    let begins = Instant::now();
    let opens = begins + plan.warmup;
    let closes = match (plan.limit, plan.rate) {
        (Limit::Time(duration), _) => Some(opens + duration),
        // At a fixed rate, so many requests are so much time.
        (Limit::Requests(count), Some(rate)) => {
            Some(opens + Duration::from_secs_f64(count as f64 / rate as f64))
        }
        (Limit::Requests(_), None) => None,
    };
    let completed: Vec<_> = workers.iter().map(|worker| worker.completed.clone()).collect();
    let completed = || completed.iter().map(|count| count.get()).sum();
    let threads: Vec<_> = workers
        .into_iter()
        .enumerate()
        .map(|(thread, mut worker)| {
            worker.window = Window { begins, opens, closes };
            let schedule =
                plan.rate.map(|rate| Schedule { rate, threads: plan.threads as u64, thread: thread as u64 });
            thread::spawn(move || {
                match schedule {
                    Some(schedule) => open_loop::run(&mut worker, schedule),
                    None => closed_loop::run(&mut worker),
                }
                .map(|()| worker)
            })
        })
        .collect();

    let all_done = || threads.iter().all(thread::JoinHandle::is_finished);
    let wait_until = |moment: Instant| {
        while !all_done() && !interrupt.is_set() {
            let left = moment.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                break;
            }
            thread::sleep(left.min(INTERRUPT_POLL / 2));
        }
    };
    wait_until(opens);
    let own_pid = std::process::id();
    let cpu_at_opening = Cpu::of(own_pid)?;
    let opened_at = Instant::now();
    watch(Moment::Opened, completed())?;
    while !all_done() && !interrupt.is_set() && closes.is_none_or(|closes| Instant::now() < closes) {
        let next_look = Instant::now() + INTERRUPT_POLL;
        wait_until(closes.map_or(next_look, |closes| closes.min(next_look)));
        watch(Moment::Running, completed())?;
    }
    let closed_at = Instant::now();
    watch(Moment::Closed, completed())?;
    let own_cpu = Cpu::of(own_pid)?.since(cpu_at_opening);

    let mut recorder = Recorder::new();
    let mut last_counted_at = None;
    for thread in threads {
        let worker = thread.join().map_err(|_| anyhow!("a load thread panicked"))??;
        recorder.add(worker.recorder);
        last_counted_at = last_counted_at.max(worker.last_counted_at);
    }
    let ended_at = match closes {
        Some(closes) => closes.min(closed_at.max(opened_at)),
        None => last_counted_at.unwrap_or(closed_at),
    };
    let seconds = (closed_at - opened_at).as_secs_f64().max(1e-9);
    Ok(Outcome {
        recorder,
        window: ended_at.saturating_duration_since(opens),
        generator_cpu_share: own_cpu.sched_ns.max(own_cpu.ticks_us * 1000) as f64 / 1e9 / seconds,
    })
}

fn check(plan: &Plan) -> Result<()> {
    ensure!((1..=THREADS_MAX).contains(&plan.threads), "--threads must be 1 to {THREADS_MAX}");
    ensure!((1..=CLIENTS_MAX).contains(&plan.clients), "--clients must be 1 to {CLIENTS_MAX}");
    ensure!(plan.clients >= plan.threads, "--clients must be at least --threads");
    ensure!((1..=PIPELINE_MAX).contains(&plan.pipeline), "--pipeline must be 1 to {PIPELINE_MAX}");
    ensure!(plan.rate.is_none_or(|rate| (1..=RATE_MAX).contains(&rate)), "--rate must be 1 to {RATE_MAX}");
    Ok(())
}

fn prepare(plan: &Plan, thread: usize, interrupt: &Interrupt) -> Result<Worker> {
    let now = Instant::now();
    let quota = match plan.limit {
        Limit::Time(_) => u64::MAX,
        Limit::Requests(count) => share(count, plan.threads, thread),
    };
    let mut worker = Worker {
        poll: Poll::new()?,
        connections: Vec::new(),
        workload: Workload::new(&plan.spec, thread)?,
        checker: Checker::new(&plan.spec, plan.content),
        window: Window { begins: now, opens: now, closes: None },
        pipeline: plan.pipeline,
        quota,
        interrupt: interrupt.clone(),
        completed: Arc::new(Completed::default()),
        recorder: Recorder::new(),
        last_counted_at: None,
    };
    let clients = share(plan.clients as u64, plan.threads, thread);
    let streams = (0..clients)
        .map(|_| plan.target.connect().with_context(|| format!("cannot connect to {}", plan.target)))
        .collect::<Result<Vec<_>>>()?;
    worker.connect(streams)?;
    Ok(worker)
}

/// Thread `index`'s part of `total`, the parts differing by at most one.
fn share(total: u64, parts: usize, index: usize) -> u64 {
    let (parts, index) = (parts as u64, index as u64);
    total / parts + u64::from(index < total % parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up() {
        for (total, parts) in [(50, 1), (50, 3), (2, 3), (0, 2)] {
            assert_eq!((0..parts).map(|index| share(total, parts, index)).sum::<u64>(), total);
        }
    }
}
