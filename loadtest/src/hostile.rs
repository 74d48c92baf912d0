//! `loadtest hostile`: clients that misbehave, each within a count, a time and a number of bytes, and what the server
//! did about it. Afterwards the server must still answer PING; if not, the command fails.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rand::{Rng, RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::cli::{HostileArgs, HostileKind};
use crate::idle::raise_descriptor_limit;
use crate::interrupt::Interrupt;
use crate::limits::{CLIENTS_MAX, ERROR_TEXT_BYTES_MAX, HOSTILE_REPLY_BYTES_MAX};
use crate::target::{Stream, Target, encode};

const TICK: Duration = Duration::from_millis(20);
/// A connection that took nothing for so long has stopped taking.
const STUCK_AFTER: Duration = Duration::from_millis(500);
const PING_TIMEOUT: Duration = Duration::from_secs(5);
const DESCRIPTORS_BESIDE: u64 = 32;
/// Each reply is as large as its request, so what is never read piles up at the server as fast as we send.
const ECHOED_BYTES: usize = 16 * 1024;
const GARBAGE_BYTES: usize = 1024;

/// Lengths no server can mean to accept. The last ones are only too long by default limits.
const HEADERS: [&str; 8] = [
    "*99999999999999999999\r\n",
    "*2147483647\r\n",
    "*-7\r\n",
    "*1\r\n$-5\r\n",
    "*1\r\n$99999999999999999999\r\n",
    "*1\r\n$2147483648\r\n",
    "*1048577\r\n",
    "*1\r\n$536870913\r\n",
];

/// What came of the connections: how many met each fate.
type Fates = BTreeMap<String, u64>;

pub fn run(args: &HostileArgs, interrupt: &Interrupt) -> Result<ExitCode> {
    ensure!(args.count >= 1, "--count must be at least 1");
    let target = args.server.target()?;
    ensure!(target.answers_ping(PING_TIMEOUT), "{target} does not answer PING before the start");
    let until = Instant::now() + args.duration;
    let fates = match args.kind {
        HostileKind::FloodConnect => flood_connect(&target, args.count, until, interrupt),
        kind => {
            ensure!(args.count <= CLIENTS_MAX, "--count must be at most {CLIENTS_MAX}");
            raise_descriptor_limit(args.count as u64 + DESCRIPTORS_BESIDE)?;
            let clients = connect_all(&target, args.count)?;
            match kind {
                HostileKind::NeverReads => never_reads(clients, args.bytes_max, until, interrupt)?,
                HostileKind::HalfRequest => half_request(clients, until, interrupt)?,
                _ => say_and_watch(clients, |index| opening(kind, index, args.seed), until, interrupt)?,
            }
        }
    };
    for (fate, count) in &fates {
        println!("{count:>8}  {fate}");
    }
    let alive = target.answers_ping(PING_TIMEOUT);
    println!("afterwards, the server {}", if alive { "answers PING" } else { "does NOT answer PING" });
    Ok(if alive { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Client {
    stream: Stream,
    said: Vec<u8>,
    closed: bool,
}

fn connect_all(target: &Target, count: usize) -> Result<Vec<Client>> {
    (0..count)
        .map(|_| {
            let stream = target.connect().with_context(|| format!("cannot connect to {target}"))?;
            stream.set_nonblocking()?;
            Ok(Client { stream, said: Vec::new(), closed: false })
        })
        .collect()
}

impl Client {
    /// Reads what is there, keeps the beginning, and notices a close.
    fn look(&mut self) {
        let mut bytes = [0; HOSTILE_REPLY_BYTES_MAX];
        while !self.closed {
            match self.stream.read(&mut bytes) {
                Ok(0) => self.closed = true,
                Ok(count) => {
                    let room = HOSTILE_REPLY_BYTES_MAX.saturating_sub(self.said.len());
                    self.said.extend_from_slice(&bytes[..count.min(room)]);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.closed = true,
            }
        }
    }

    /// Writes what fits now. A refused write means that the server closed.
    fn write(&mut self, bytes: &[u8]) -> usize {
        match self.stream.write(bytes) {
            Ok(count) => count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => 0,
            Err(_) => {
                self.closed = true;
                0
            }
        }
    }

    fn fate(&self) -> String {
        let end = if self.closed { "closed" } else { "stayed open" };
        let first_line = self.said.split(|byte| *byte == b'\r').next().unwrap_or_default();
        if first_line.is_empty() {
            return format!("{end}, nothing said");
        }
        let shown = &first_line[..first_line.len().min(ERROR_TEXT_BYTES_MAX)];
        format!("{end}, said {:?}", String::from_utf8_lossy(shown))
    }
}

fn fates<'a>(clients: impl IntoIterator<Item = &'a Client>) -> Fates {
    let mut fates = Fates::new();
    for client in clients {
        *fates.entry(client.fate()).or_default() += 1;
    }
    fates
}

fn opening(kind: HostileKind, index: usize, seed: u64) -> Vec<u8> {
    if kind == HostileKind::HugeHeader {
        return HEADERS[index % HEADERS.len()].as_bytes().to_vec();
    }
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed.wrapping_add(index as u64));
    let mut bytes = vec![0; GARBAGE_BYTES];
    rng.fill_bytes(&mut bytes);
    // A third looks like a request at first, and a third is a line of text.
    match rng.random_range(0..3) {
        0 => bytes[..4].copy_from_slice(b"*3\r\n"),
        1 => bytes[GARBAGE_BYTES - 2..].copy_from_slice(b"\r\n"),
        _ => {}
    }
    bytes
}

/// Says one thing on each connection, then watches until all are closed or time is up.
fn say_and_watch(
    mut clients: Vec<Client>,
    opening: impl Fn(usize) -> Vec<u8>,
    until: Instant,
    interrupt: &Interrupt,
) -> Result<Fates> {
    for (index, client) in clients.iter_mut().enumerate() {
        let bytes = opening(index);
        let sent = client.write(&bytes);
        ensure!(client.closed || sent == bytes.len(), "a fresh socket did not take {} bytes", bytes.len());
    }
    while Instant::now() < until && !interrupt.is_set() && clients.iter().any(|client| !client.closed) {
        clients.iter_mut().for_each(Client::look);
        std::thread::sleep(TICK);
    }
    Ok(fates(&clients))
}

fn half_request(mut clients: Vec<Client>, until: Instant, interrupt: &Interrupt) -> Result<Fates> {
    let whole = encode(&["PING", "hello"]);
    let (first, second) = whole.split_at(whole.len() - 4);
    for client in &mut clients {
        let sent = client.write(first);
        ensure!(client.closed || sent == first.len(), "a fresh socket did not take {} bytes", first.len());
    }
    while Instant::now() < until && !interrupt.is_set() {
        clients.iter_mut().for_each(Client::look);
        std::thread::sleep(TICK);
    }
    let mut fates = Fates::new();
    for client in &mut clients {
        client.look();
        if !client.closed && client.said.is_empty() {
            client.write(second);
            let answer_by = Instant::now() + PING_TIMEOUT;
            while client.said.is_empty() && !client.closed && Instant::now() < answer_by {
                client.look();
                std::thread::sleep(Duration::from_millis(1));
            }
            let answer = if client.said.starts_with(b"$5\r\nhello") { "answered" } else { "did not answer" };
            *fates.entry(format!("stayed open; the completed request was {answer}")).or_default() += 1;
        } else {
            *fates.entry(client.fate()).or_default() += 1;
        }
    }
    Ok(fates)
}

fn never_reads(
    mut clients: Vec<Client>,
    bytes_max: u64,
    until: Instant,
    interrupt: &Interrupt,
) -> Result<Fates> {
    let request = encode(&["PING", &"x".repeat(ECHOED_BYTES)]);
    let mut sent = vec![0_u64; clients.len()];
    let mut moved_at = vec![Instant::now(); clients.len()];
    while Instant::now() < until && !interrupt.is_set() {
        let mut moved = false;
        for ((client, sent), moved_at) in clients.iter_mut().zip(&mut sent).zip(&mut moved_at) {
            if client.closed || *sent >= bytes_max {
                continue;
            }
            let begun = (*sent % request.len() as u64) as usize;
            let count = client.write(&request[begun..]) as u64;
            *sent += count;
            if count > 0 {
                moved = true;
                *moved_at = Instant::now();
            }
        }
        if clients.iter().all(|client| client.closed) {
            break;
        }
        if !moved {
            std::thread::sleep(TICK);
        }
    }
    let mut fates = Fates::new();
    for ((client, sent), moved_at) in clients.iter().zip(&sent).zip(&moved_at) {
        let fate = if client.closed {
            "closed by the server"
        } else if *sent >= bytes_max {
            "stayed open, took everything (--bytes-max)"
        } else if moved_at.elapsed() > STUCK_AFTER {
            "stayed open, stopped taking bytes (back-pressure)"
        } else {
            "stayed open, still taking bytes at the end (--duration)"
        };
        *fates.entry(fate.to_owned()).or_default() += 1;
    }
    let (least, most) = (sent.iter().min().unwrap_or(&0), sent.iter().max().unwrap_or(&0));
    println!("sent per connection: {} to {} KiB, none read", least / 1024, most / 1024);
    Ok(fates)
}

fn flood_connect(target: &Target, count: usize, until: Instant, interrupt: &Interrupt) -> Fates {
    let mut fates = Fates::new();
    let started = Instant::now();
    for _ in 0..count {
        if Instant::now() >= until || interrupt.is_set() {
            break;
        }
        let fate = match target.connect() {
            Ok(_) => "connected".to_owned(),
            Err(error) => format!("refused: {}", describe(&error)),
        };
        *fates.entry(fate).or_default() += 1;
    }
    let done: u64 = fates.values().sum();
    println!("{:.0} connections per second", done as f64 / started.elapsed().as_secs_f64());
    fates
}

/// Running out of local ports is our doing, not the server's.
fn describe(error: &io::Error) -> String {
    if error.kind() == ErrorKind::AddrNotAvailable {
        "this machine has no local port left (not the server's doing)".into()
    } else {
        error.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openings_are_reproducible() {
        for index in 0..20 {
            let bytes = opening(HostileKind::Garbage, index, 1);
            assert_eq!(bytes.len(), GARBAGE_BYTES);
            assert_eq!(bytes, opening(HostileKind::Garbage, index, 1));
            assert_ne!(bytes, opening(HostileKind::Garbage, index, 2));
        }
        assert_eq!(opening(HostileKind::HugeHeader, 9, 1), HEADERS[1].as_bytes());
    }
}
