//! Bits that flip anywhere in any file: a server on damaged files refuses, or stops when it comes to the damage, and names the
//! file; or nothing was lost. It never serves less without a word. `COREVAULT_DAMAGE_PLACES` says how many places in each file.

use std::env;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use corevault::base::rng::Rng;

use super::{Home, SEGMENT, SNAPSHOT, name_of, save_in_background, written_bytes};
use crate::harness::{GUARD, Server};
use crate::wire::{bulk, command};

const PLACES: u64 = 12;
const KEYS: usize = 120;

/// What a server did on damaged files.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// It refused, or stopped later, and said this.
    Ended(String),
    /// It serves; so many keys are not as they were, and the log says this.
    Serves { wrong: Vec<usize>, log: String },
}

#[test]
fn flipped_bits_after_a_clean_end_are_never_served() {
    let Some(home) = Home::new("flipped_bits_after_a_clean_end_are_never_served") else { return };
    make(&home).stop();
    flip(&home, 0);
}

/// Nothing proves that the last record of all was ever whole: it may go.
#[test]
fn flipped_bits_after_a_kill_cost_the_last_change_at_most() {
    let Some(home) = Home::new("flipped_bits_after_a_kill_cost_the_last_change_at_most") else { return };
    make(&home).kill();
    flip(&home, 1);
}

fn make(home: &Home) -> Server {
    let server = home.start(&["--shards", "1", "--aof-sync-strategy", "always"]);
    let mut wire = server.wire();
    for n in 0..KEYS {
        if n == KEYS / 2 {
            save_in_background(&mut wire);
        }
        // One at a time, so that each is durable before the next is there.
        assert_eq!(wire.call(&[b"SET", &key(n), &value(n)]), b"+OK\r\n");
    }
    server
}

fn key(n: usize) -> Vec<u8> {
    format!("key:{n}").into_bytes()
}

fn value(n: usize) -> Vec<u8> {
    format!("{n}:").into_bytes().into_iter().chain((0..n).map(|at| b'a' + (at % 26) as u8)).collect()
}

fn flip(home: &Home, last_changes_lost_max: usize) {
    let places = env::var("COREVAULT_DAMAGE_PLACES").map_or(PLACES, |text| text.parse().expect("a number"));
    let mut rng = Rng::new(7);
    for ending in [SEGMENT, SNAPSHOT, "MANIFEST"] {
        let path = home.file(ending);
        let length = written_bytes(&path);
        for place in 0..places {
            // The beginning and the end, where headers and trailers are, and anywhere.
            let at = match place % 4 {
                0 => rng.below(length.min(64)),
                1 => length - 1 - rng.below(length.min(64)),
                _ => rng.below(length),
            };
            let bit = 1 << rng.below(8);
            let damaged = home.copy();
            let file = damaged.data().join(name_of(&path));
            flip_bit(&file, at, bit);
            let context = format!("{} of {length} bytes, bit {bit:#04x} at {at}", name_of(&path));
            let says_damaged = tool_says_damaged(&damaged, ending, &file);
            match start(&damaged) {
                Outcome::Ended(said) => {
                    assert!(said.contains(name_of(&path)), "{context}: not named in:\n{said}");
                    assert!(
                        says_damaged != Some(false),
                        "{context}: refused, but the tool finds nothing:\n{said}"
                    );
                }
                Outcome::Serves { wrong, log } => {
                    let last = KEYS - last_changes_lost_max;
                    let may_be = ending == SEGMENT && wrong.iter().all(|&n| n >= last);
                    assert!(may_be || wrong.is_empty(), "{context}: keys {wrong:?} are wrong, log:\n{log}");
                    assert!(
                        wrong.is_empty() || log.contains(name_of(&path)),
                        "{context}: cut without a word:\n{log}"
                    );
                }
            }
        }
    }
}

fn flip_bit(path: &Path, at: u64, bit: u8) {
    let mut bytes = fs::read(path).expect("the file");
    bytes[at as usize] ^= bit;
    fs::write(path, bytes).expect("the file is written");
}

/// What the program's tool for such files says, where there is one.
fn tool_says_damaged(home: &Home, ending: &str, file: &Path) -> Option<bool> {
    let tool = match ending {
        SEGMENT => "check-aof",
        SNAPSHOT => "check-snapshot",
        _ => return None,
    };
    let ended = home.tool(&[tool, &file.display().to_string()]);
    assert!(matches!(ended.code, Some(0 | 1)), "{}{}", ended.stdout, ended.stderr);
    Some(ended.code == Some(1))
}

fn start(home: &Home) -> Outcome {
    let mut server = match home.try_start(&["--shards", "1"]) {
        Ok(server) => server,
        Err(ended) => return Outcome::Ended(ended.stderr),
    };
    let Some(found) = ask_for_all(&server) else { return Outcome::Ended(server.wait_for_any_end().stderr) };
    let expected: Vec<Vec<u8>> = (0..KEYS).map(|n| bulk(&value(n))).collect();
    let wrong = (0..KEYS).filter(|&n| found[n] != expected[n]).collect();
    let log = server.log();
    // What the background step comes to later, it says then.
    server.signal(rustix::process::Signal::TERM);
    let ended = server.wait_for_any_end();
    match ended.code {
        Some(0) => Outcome::Serves { wrong, log },
        _ => Outcome::Ended(ended.stderr),
    }
}

/// The replies to a GET of every key; none where the server ends instead.
fn ask_for_all(server: &Server) -> Option<Vec<Vec<u8>>> {
    let mut stream = TcpStream::connect(server.address()).ok()?;
    stream.set_read_timeout(Some(GUARD)).ok()?;
    let mut words = vec![b"MGET".to_vec()];
    words.extend((0..KEYS).map(key));
    stream.write_all(&command(&words.iter().map(Vec::as_slice).collect::<Vec<_>>())).ok()?;
    stream.shutdown(std::net::Shutdown::Write).ok()?;
    let mut reply = Vec::new();
    // A reset ends it too: what has come until then is not whole, and so not taken for a reply.
    let _ = stream.read_to_end(&mut reply);
    let rest = reply.strip_prefix(format!("*{KEYS}\r\n").as_bytes())?;
    split_bulks(rest)
}

/// Bulk strings and nils one after the other, every byte of each; none where the last is not whole.
fn split_bulks(mut rest: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut bulks = Vec::new();
    while bulks.len() < KEYS {
        let line = rest.windows(2).position(|pair| pair == b"\r\n")? + 2;
        let length: i64 = std::str::from_utf8(rest.get(1..line - 2)?).ok()?.parse().ok()?;
        let end = if length < 0 { line } else { line + length as usize + 2 };
        bulks.push(rest.get(..end)?.to_vec());
        rest = &rest[end..];
    }
    Some(bulks)
}
