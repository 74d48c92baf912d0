//! The closed loop: each connection sends a batch, waits for all its replies, sends the next.
//! It shows what a server can do; its latencies leave out the waiting that a stall would cause elsewhere.

use std::time::Instant;

use anyhow::Result;

use crate::connection::{Broken, EVENTS_PER_WAIT, is_readable, is_writable};
use crate::limits::{CLOSED_DRAIN_MAX, INTERRUPT_POLL};
use crate::worker::Worker;

pub fn run(worker: &mut Worker) -> Result<()> {
    let mut lanes = ClosedLoop { sent_at: vec![Instant::now(); worker.connections.len()], sending: true };
    for lane in 0..worker.connections.len() {
        if let Err(why) = lanes.next_batch(worker, lane, Instant::now()) {
            worker.give_up(lane, worker.pipeline as u64, &why);
        }
    }
    let mut events = Vec::with_capacity(EVENTS_PER_WAIT);
    let mut drained_by = None;
    while lanes.sending || worker.unanswered() > 0 {
        worker.poll.wait(&mut events, INTERRUPT_POLL)?;
        let now = Instant::now();
        if lanes.sending && (worker.window.is_over(now) || worker.interrupt.is_set()) {
            lanes.sending = false;
        }
        if !lanes.sending && now > *drained_by.get_or_insert(now + CLOSED_DRAIN_MAX) {
            worker
                .recorder
                .tally
                .error(worker.unanswered(), || format!("no reply within {CLOSED_DRAIN_MAX:?}"));
            break;
        }
        for event in &events {
            let lane = event.data.u64() as usize;
            let result = if is_writable(event) { worker.flush(lane) } else { Ok(()) };
            let result = match result {
                Ok(()) if is_readable(event) => lanes.on_readable(worker, lane),
                other => other,
            };
            if let Err(why) = result {
                let owed = worker.connections[lane].as_ref().map_or(0, |c| c.unanswered() as u64);
                worker.give_up(lane, owed, &why);
            }
        }
        if worker.is_cut_off() {
            break;
        }
    }
    Ok(())
}

struct ClosedLoop {
    sent_at: Vec<Instant>,
    sending: bool,
}

impl ClosedLoop {
    #[inline]
    fn on_readable(&mut self, worker: &mut Worker, lane: usize) -> Result<(), Broken> {
        let answered = worker.receive(lane)? as u64;
        if answered == 0 {
            return Ok(());
        }
        let now = Instant::now();
        if worker.window.counts(self.sent_at[lane], now) {
            worker.recorder.latency((now - self.sent_at[lane]).as_nanos() as u64, answered);
            worker.recorder.completed += answered;
            worker.last_counted_at = Some(now);
        }
        let idle = worker.connections[lane].as_ref().is_some_and(|connection| connection.unanswered() == 0);
        if idle { self.next_batch(worker, lane, now) } else { Ok(()) }
    }

    #[inline]
    fn next_batch(&mut self, worker: &mut Worker, lane: usize, now: Instant) -> Result<(), Broken> {
        if worker.quota == 0 {
            self.sending = false;
        }
        if !self.sending {
            return Ok(());
        }
        let count = worker.quota.min(worker.pipeline as u64);
        if now >= worker.window.opens {
            worker.quota -= count;
        }
        self.sent_at[lane] = now;
        worker.send(lane, count as usize)
    }
}
