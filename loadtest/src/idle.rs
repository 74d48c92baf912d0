//! `loadtest idle`: many connections that prove once that the server serves them, and then say nothing.

use std::io::{Read, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::cli::IdleArgs;
use crate::connection::{EVENTS_PER_WAIT, Poll};
use crate::interrupt::Interrupt;
use crate::limits::{CLIENTS_MAX, ERROR_TEXT_BYTES_MAX, INTERRUPT_POLL};
use crate::progress;
use crate::target::{Stream, Target, encode};

/// Descriptors beside the connections: standard streams, epoll, and some to spare.
const DESCRIPTORS_BESIDE: u64 = 32;
const PONG: &[u8] = b"+PONG\r\n";
const PING_TIMEOUT: Duration = Duration::from_secs(5);

pub fn run(args: &IdleArgs, interrupt: &Interrupt) -> Result<ExitCode> {
    ensure!((1..=CLIENTS_MAX).contains(&args.connections), "--connections must be 1 to {CLIENTS_MAX}");
    let target = args.server.target()?;
    raise_descriptor_limit(args.connections as u64 + DESCRIPTORS_BESIDE)?;
    let poll = Poll::new()?;
    let bar = progress::bar("opening", args.connections as u64);
    let started = Instant::now();
    let mut streams: Vec<Option<Stream>> = Vec::with_capacity(args.connections);
    for index in 0..args.connections {
        interrupt.check()?;
        let opened = open(&target).with_context(|| format!("connection {} to {target}", index + 1))?;
        poll.add(&opened, index as u64)?;
        streams.push(Some(opened));
        bar.inc(1);
    }
    bar.finish_and_clear();
    println!(
        "opened {} connections in {:.1} s, each answers PING",
        streams.len(),
        started.elapsed().as_secs_f64()
    );

    let until = Instant::now() + args.duration;
    let (mut closed, mut spoken_to) = (0_u64, 0_u64);
    let mut events = Vec::with_capacity(EVENTS_PER_WAIT);
    while Instant::now() < until && !interrupt.is_set() {
        let left = until.saturating_duration_since(Instant::now());
        poll.wait(&mut events, left.min(INTERRUPT_POLL))?;
        for event in &events {
            let slot = &mut streams[event.data.u64() as usize];
            let mut bytes = [0; 256];
            match slot.as_mut().map(|stream| stream.read(&mut bytes)) {
                None => {}
                Some(Ok(count)) if count > 0 => spoken_to += 1,
                Some(_) => {
                    *slot = None;
                    closed += 1;
                }
            }
        }
    }
    println!("held for {:?}: {closed} closed by the server, {spoken_to} unasked messages", args.duration);
    Ok(if closed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A connect succeeds before the server accepts; only an answer proves that it did.
fn open(target: &Target) -> Result<Stream> {
    let mut stream = target.connect()?;
    stream.set_timeouts(PING_TIMEOUT)?;
    stream.write_all(&encode(&["PING"]))?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n") && answer.len() < ERROR_TEXT_BYTES_MAX {
        let mut bytes = [0; ERROR_TEXT_BYTES_MAX];
        match stream.read(&mut bytes).context("no answer to PING")? {
            0 => break,
            count => answer.extend_from_slice(&bytes[..count]),
        }
    }
    let text = String::from_utf8_lossy(&answer);
    ensure!(answer == PONG, "wrong answer to PING: {:?}", text.trim_end());
    Ok(stream)
}

/// Raises the soft limit on open files as far as needed, and the hard one where that is allowed.
pub fn raise_descriptor_limit(needed: u64) -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    let maximum = limit.maximum.map(|maximum| maximum.max(needed));
    setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum }).with_context(|| {
        format!(
            "{needed} open files are needed, but this process may have {} at most: raise `ulimit -Hn`, or \
             LimitNOFILE of the service",
            limit.maximum.unwrap_or_default()
        )
    })
}
