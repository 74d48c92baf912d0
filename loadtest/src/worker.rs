//! What the closed and the open loop share: a thread's connections, its requests, its measurements.
//! Never decides when to send.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::Result;

use crate::check::Checker;
use crate::connection::{Broken, Connection, Poll};
use crate::interrupt::Interrupt;
use crate::recorder::Recorder;
use crate::target::Stream;
use crate::workload::Workload;

/// The measured stretch of time. Without an end, it ends with the last request.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    pub begins: Instant,
    pub opens: Instant,
    pub closes: Option<Instant>,
}

impl Window {
    /// With an end, what completes inside counts; without one, what was sent inside.
    #[inline]
    pub fn counts(&self, sent_at: Instant, completed_at: Instant) -> bool {
        match self.closes {
            Some(closes) => completed_at >= self.opens && completed_at < closes,
            None => sent_at >= self.opens,
        }
    }

    pub fn is_over(&self, now: Instant) -> bool {
        self.closes.is_some_and(|closes| now >= closes)
    }
}

/// One thread's count of completed requests, warm-up included, for others to look at. Alone on its cache line.
#[derive(Default)]
#[repr(align(128))]
pub struct Completed(AtomicU64);

impl Completed {
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Only the owning thread adds, so no read-modify-write is needed.
    #[inline]
    fn add(&self, count: u64) {
        self.0.store(self.get() + count, Ordering::Relaxed);
    }
}

pub struct Worker {
    pub poll: Poll,
    /// `None` once broken.
    pub connections: Vec<Option<Connection>>,
    pub workload: Workload,
    pub checker: Checker,
    pub window: Window,
    pub pipeline: usize,
    /// Requests to send inside the window.
    pub quota: u64,
    pub interrupt: Interrupt,
    pub completed: Arc<Completed>,
    pub recorder: Recorder,
    pub last_counted_at: Option<Instant>,
}

impl Worker {
    pub fn connect(&mut self, streams: Vec<Stream>) -> Result<()> {
        for stream in streams {
            let token = self.connections.len() as u64;
            self.connections.push(Some(Connection::new(stream, &self.poll, token)?));
        }
        Ok(())
    }

    pub fn unanswered(&self) -> u64 {
        self.connections.iter().flatten().map(|connection| connection.unanswered() as u64).sum()
    }

    pub fn is_cut_off(&self) -> bool {
        self.connections.iter().all(Option::is_none)
    }

    #[inline]
    pub fn send(&mut self, lane: usize, count: usize) -> Result<(), Broken> {
        match &mut self.connections[lane] {
            Some(connection) => connection.send(&mut self.workload, count, &self.poll),
            None => Ok(()),
        }
    }

    #[inline]
    pub fn receive(&mut self, lane: usize) -> Result<usize, Broken> {
        let Some(connection) = &mut self.connections[lane] else { return Ok(0) };
        let answered = connection.receive(&self.checker, &mut self.recorder.tally)?;
        self.completed.add(answered as u64);
        Ok(answered)
    }

    pub fn flush(&mut self, lane: usize) -> Result<(), Broken> {
        match &mut self.connections[lane] {
            Some(connection) => connection.flush(&self.poll),
            None => Ok(()),
        }
    }

    /// Gives a connection up; each of its unanswered requests is an error, and there is at least one.
    pub fn give_up(&mut self, lane: usize, owed: u64, why: &Broken) {
        if let Some(connection) = self.connections[lane].take() {
            connection.leave(&self.poll);
            self.recorder.tally.error(owed.max(1), || why.to_string());
        }
    }
}
