//! One nonblocking connection: bytes on their way out, bytes that came in, and the requests still unanswered.
//! Never decides what to ask, and never reads a clock.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use anyhow::{Context, Result};
use rustix::event::epoll;
use thiserror::Error;

use crate::check::Checker;
use crate::limits::INPUT_BYTES_INITIAL;
use crate::recorder::Tally;
use crate::reply::Malformed;
use crate::target::Stream;
use crate::workload::{Expected, Workload};

#[derive(Debug, Error)]
pub enum Broken {
    #[error("the server closed the connection")]
    Closed,
    #[error("connection: {0}")]
    Io(#[from] io::Error),
    #[error("not RESP: {0}")]
    Malformed(#[from] Malformed),
    #[error("a reply that answers no request")]
    Unasked,
}

pub struct Connection {
    stream: Stream,
    token: u64,
    output: Vec<u8>,
    output_sent: usize,
    waits_to_write: bool,
    input: Vec<u8>,
    input_start: usize,
    input_end: usize,
    unanswered: VecDeque<Expected>,
    /// The keys of the unanswered MGETs, in the order of their values.
    mget_keys: VecDeque<u64>,
}

impl Connection {
    /// Takes a connected stream and registers it with `poll` under `token`.
    pub fn new(stream: Stream, poll: &Poll, token: u64) -> io::Result<Self> {
        stream.set_nonblocking()?;
        poll.add(&stream, token)?;
        Ok(Self {
            stream,
            token,
            output: Vec::new(),
            output_sent: 0,
            waits_to_write: false,
            input: vec![0; INPUT_BYTES_INITIAL],
            input_start: 0,
            input_end: 0,
            unanswered: VecDeque::new(),
            mget_keys: VecDeque::new(),
        })
    }

    pub fn unanswered(&self) -> usize {
        self.unanswered.len()
    }

    /// Takes `count` requests from `workload` and sends them, in one write if the socket has room.
    #[inline]
    pub fn send(&mut self, workload: &mut Workload, count: usize, poll: &Poll) -> Result<(), Broken> {
        for _ in 0..count {
            let expected = workload.append(&mut self.output, &mut self.mget_keys);
            self.unanswered.push_back(expected);
        }
        if self.waits_to_write { Ok(()) } else { self.flush(poll) }
    }

    /// Writes what is left to write; asks `poll` for writability only while the socket is full.
    pub fn flush(&mut self, poll: &Poll) -> Result<(), Broken> {
        while self.output_sent < self.output.len() {
            match self.stream.write(&self.output[self.output_sent..]) {
                Ok(0) => return Err(Broken::Closed),
                Ok(count) => self.output_sent += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if !self.waits_to_write {
                        self.waits_to_write = true;
                        poll.set_writable(&self.stream, self.token, true)?;
                    }
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.output.clear();
        self.output_sent = 0;
        if self.waits_to_write {
            self.waits_to_write = false;
            poll.set_writable(&self.stream, self.token, false)?;
        }
        Ok(())
    }

    /// One read; returns how many requests it answered, right or wrong.
    #[inline]
    pub fn receive(&mut self, checker: &Checker, tally: &mut Tally) -> Result<usize, Broken> {
        self.make_room();
        match self.stream.read(&mut self.input[self.input_end..]) {
            Ok(0) => return Err(Broken::Closed),
            Ok(count) => self.input_end += count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Ok(0);
            }
            Err(error) => return Err(error.into()),
        }
        let mut answered = 0;
        while self.input_start < self.input_end {
            let Some(&expected) = self.unanswered.front() else { return Err(Broken::Unasked) };
            let input = &self.input[self.input_start..self.input_end];
            let length = checker.take(expected, &mut self.mget_keys, input, tally)?;
            if length == 0 {
                return Ok(answered);
            }
            self.unanswered.pop_front();
            self.input_start += length;
            answered += 1;
        }
        self.input_start = 0;
        self.input_end = 0;
        Ok(answered)
    }

    fn make_room(&mut self) {
        if self.input_start > 0 {
            self.input.copy_within(self.input_start..self.input_end, 0);
            self.input_end -= self.input_start;
            self.input_start = 0;
        }
        if self.input_end == self.input.len() {
            self.input.resize(self.input.len() * 2, 0);
        }
    }

    /// Stops events for a connection that is given up.
    pub fn leave(&self, poll: &Poll) {
        // It may already be gone from the set; then there is nothing to leave.
        let _ = epoll::delete(&poll.0, &self.stream);
    }
}

/// A level-triggered epoll set.
pub struct Poll(OwnedFd);

pub const EVENTS_PER_WAIT: usize = 256;

impl Poll {
    pub fn new() -> Result<Self> {
        Ok(Self(epoll::create(epoll::CreateFlags::CLOEXEC).context("cannot create an epoll set")?))
    }

    pub fn add(&self, source: impl AsFd, token: u64) -> io::Result<()> {
        Ok(epoll::add(&self.0, source, epoll::EventData::new_u64(token), epoll::EventFlags::IN)?)
    }

    fn set_writable(&self, source: impl AsFd, token: u64, writable: bool) -> io::Result<()> {
        let mut flags = epoll::EventFlags::IN;
        flags.set(epoll::EventFlags::OUT, writable);
        Ok(epoll::modify(&self.0, source, epoll::EventData::new_u64(token), flags)?)
    }

    /// Fills `events`, waiting at most `timeout`. A signal ends the wait early and is no error.
    pub fn wait(&self, events: &mut Vec<epoll::Event>, timeout: std::time::Duration) -> Result<()> {
        let timeout = rustix::event::Timespec {
            tv_sec: timeout.as_secs() as i64,
            tv_nsec: i64::from(timeout.subsec_nanos()),
        };
        events.clear();
        match epoll::wait(&self.0, rustix::buffer::spare_capacity(events), Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error).context("cannot wait for events"),
        }
    }
}

/// Whether an event says that the socket has room again. Everything else is for `receive` to find out.
pub fn is_writable(event: &epoll::Event) -> bool {
    let flags = event.flags;
    flags.contains(epoll::EventFlags::OUT)
}

pub fn is_readable(event: &epoll::Event) -> bool {
    let flags = event.flags;
    flags.intersects(epoll::EventFlags::IN | epoll::EventFlags::HUP | epoll::EventFlags::ERR)
}
