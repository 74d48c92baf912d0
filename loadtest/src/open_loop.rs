//! The open loop: requests leave when the schedule says so, however the server is doing.
//! The schedule itself, and what latency means, is `pacer`; this file only waits, sends and receives.

use std::os::fd::OwnedFd;
use std::time::Instant;

use anyhow::{Context, Result};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags};

use crate::connection::{Broken, EVENTS_PER_WAIT, is_readable, is_writable};
use crate::limits::{CLOSED_DRAIN_MAX, INTERRUPT_POLL, OPEN_DRAIN_MAX};
use crate::pacer::{Pacer, Schedule};
use crate::worker::Worker;

const TIMER: u64 = u64::MAX;

pub fn run(worker: &mut Worker, schedule: Schedule) -> Result<()> {
    let closes = worker.window.closes.context("an open loop needs an end")?;
    let ends_ns = ns(worker, closes);
    let lanes = worker.connections.len();
    let mut open = OpenLoop {
        pacer: Pacer::new(schedule, lanes, worker.pipeline, ends_ns),
        opens_ns: ns(worker, worker.window.opens),
        ends_ns,
    };
    let timer = Timer::new()?;
    worker.poll.add(&timer.0, TIMER)?;
    let mut events = Vec::with_capacity(EVENTS_PER_WAIT);
    let mut touched = Vec::new();
    let mut drained_by = closes + OPEN_DRAIN_MAX;
    loop {
        let now = Instant::now();
        if worker.interrupt.is_set() {
            open.pacer.end_at(ns(worker, now));
            drained_by = drained_by.min(now + CLOSED_DRAIN_MAX);
        }
        open.pacer.advance(ns(worker, now), &mut touched);
        for lane in touched.drain(..) {
            open.send_what_is_due(worker, lane);
        }
        match open.pacer.next_due_ns() {
            Some(due_ns) => timer.set(due_ns.saturating_sub(ns(worker, Instant::now())))?,
            None if open.pacer.owed_total() == 0 => return Ok(()),
            None => {
                timer.stop()?;
                if now > drained_by {
                    let owed = open.pacer.owed_total();
                    worker
                        .recorder
                        .tally
                        .error(owed, || format!("no reply within {OPEN_DRAIN_MAX:?} of the end"));
                    return Ok(());
                }
            }
        }
        worker.poll.wait(&mut events, INTERRUPT_POLL)?;
        for event in events.iter().filter(|event| event.data.u64() != TIMER) {
            let lane = event.data.u64() as usize;
            let result = if is_writable(event) { worker.flush(lane) } else { Ok(()) };
            let result = match result {
                Ok(()) if is_readable(event) => open.on_readable(worker, lane),
                other => other,
            };
            if let Err(why) = result {
                open.give_up(worker, lane, &why);
            }
        }
    }
}

fn ns(worker: &Worker, at: Instant) -> u64 {
    at.saturating_duration_since(worker.window.begins).as_nanos() as u64
}

struct OpenLoop {
    pacer: Pacer,
    opens_ns: u64,
    ends_ns: u64,
}

impl OpenLoop {
    fn send_what_is_due(&mut self, worker: &mut Worker, lane: usize) {
        if worker.connections[lane].is_none() {
            let owed = self.pacer.abandon(lane);
            worker.recorder.tally.error(owed, || "no connection".into());
            return;
        }
        let count = self.pacer.take(lane);
        if count > 0
            && let Err(why) = worker.send(lane, count)
        {
            self.give_up(worker, lane, &why);
        }
    }

    fn on_readable(&mut self, worker: &mut Worker, lane: usize) -> Result<(), Broken> {
        let answered = worker.receive(lane)?;
        if answered == 0 {
            return Ok(());
        }
        let now = Instant::now();
        let now_ns = ns(worker, now);
        self.pacer.answered(lane, answered, |due_ns| {
            if due_ns >= self.opens_ns {
                worker.recorder.latency(now_ns - due_ns, 1);
            }
        });
        if (self.opens_ns..self.ends_ns).contains(&now_ns) {
            worker.recorder.completed += answered as u64;
            worker.last_counted_at = Some(now);
        }
        self.send_what_is_due(worker, lane);
        Ok(())
    }

    fn give_up(&mut self, worker: &mut Worker, lane: usize, why: &Broken) {
        let owed = self.pacer.abandon(lane);
        worker.give_up(lane, owed, why);
    }
}

/// A timerfd: exact to the microsecond, where epoll's own timeout is subject to the thread's timer slack.
struct Timer(OwnedFd);

impl Timer {
    fn new() -> Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags);
        Ok(Self(timer.context("cannot create a timer")?))
    }

    /// Fires once, `after_ns` from now. Setting it again also clears what has fired.
    fn set(&self, after_ns: u64) -> Result<()> {
        // Zero would mean "never".
        self.arm(after_ns.max(1))
    }

    fn stop(&self) -> Result<()> {
        self.arm(0)
    }

    fn arm(&self, after_ns: u64) -> Result<()> {
        let never = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
        let value = rustix::time::Timespec {
            tv_sec: (after_ns / 1_000_000_000) as i64,
            tv_nsec: (after_ns % 1_000_000_000) as i64,
        };
        let spec = Itimerspec { it_interval: never, it_value: value };
        rustix::time::timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &spec)
            .context("cannot set a timer")?;
        Ok(())
    }
}
