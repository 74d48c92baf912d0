//! Runs what `scripts` and `watching` have written down with Corevault, and with a Redis server if there is one, so that what is written
//! down is true.

use std::collections::HashMap;
use std::io::{ErrorKind, Read as _};
use std::thread;
use std::time::{Duration, Instant};

use super::exceptions::client_field;
use super::scripts::{SCRIPTS, SCRIPTS_OF_REDIS_ONLY};
use super::transactions::Connect;
use super::watching::{CASES, Case};
use crate::harness::Server;
use crate::programs::{Redis, find};
use crate::wire::{Wire, lossy};

/// What is set to expire in a pause lives longer than this: up to the first pause, a script must not take longer.
const BEFORE_PAUSE_MS_MAX: u128 = 100;
const TRIES_MAX: usize = 20;

/// Long enough for any reply that comes. A test that waits in vain fails.
const REPLY_WITHIN: Duration = Duration::from_secs(10);

#[test]
fn transactions_follow_the_rules_on_one_shard() {
    check_server("transactions_follow_the_rules_on_one_shard", 1);
}

#[test]
fn transactions_follow_the_rules_on_three_shards() {
    check_server("transactions_follow_the_rules_on_three_shards", 3);
}

#[test]
fn the_rules_are_those_of_redis() {
    let Some(program) = find("the_rules_are_those_of_redis", "redis-server") else { return };
    let redis = Redis::start(&program);
    check("redis", &|| redis.wire());
    let alone = SCRIPTS_OF_REDIS_ONLY.iter();
    let wrong: Vec<String> =
        alone.filter_map(|(rule, lines)| run_script(&|| redis.wire(), rule, lines).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn check_server(name: &str, shards: usize) {
    let server = Server::with_shards(shards);
    check(name, &|| server.wire());
    server.stop();
}

fn check(name: &str, connect: Connect<'_>) {
    let scripts = SCRIPTS.iter().filter_map(|(rule, lines)| run_script(connect, rule, lines).err());
    let cases =
        CASES.iter().flat_map(|case| [false, true].map(|by_itself| run_case(connect, case, by_itself)));
    let wrong: Vec<String> = scripts.chain(cases.filter_map(Result::err)).collect();
    assert!(wrong.is_empty(), "{name}, {} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Watches a key, has it changed by the watching client itself or by another one, and looks whether EXEC fails.
fn run_case(connect: Connect<'_>, case: &Case, by_itself: bool) -> Result<(), String> {
    connect().expect("FLUSHALL", "+OK\r\n");
    let (mut watching, mut other) = (connect(), connect());
    say_all(&mut other, case.before);
    watching.expect("WATCH k", "+OK\r\n");
    other.expect("SELECT 0", "+OK\r\n");
    say_all(if by_itself { &mut watching } else { &mut other }, case.change);
    watching.expect("MULTI", "+OK\r\n");
    let expected = if case.fails { "*-1\r\n" } else { "*0\r\n" };
    let heard = watching.ask("EXEC");
    if heard == expected {
        return Ok(());
    }
    let who = if by_itself { "the watching client itself" } else { "another client" };
    let (before, change) = (case.before, case.change);
    Err(format!("[{before}], k watched, [{change}] by {who}: EXEC replies {heard:?}, not {expected:?}"))
}

/// Says commands of which the replies do not matter.
fn say_all(wire: &mut Wire, commands: &str) {
    for command in commands.split(" | ").filter(|command| !command.is_empty()) {
        match pause(command) {
            Some(pause) => thread::sleep(pause),
            None => _ = wire.ask(command),
        }
    }
}

/// `@40ms`.
fn pause(line: &str) -> Option<Duration> {
    let ms = line.strip_prefix('@')?.strip_suffix("ms")?;
    Some(Duration::from_millis(ms.parse().expect("milliseconds")))
}

fn run_script(connect: Connect<'_>, rule: &str, lines: &str) -> Result<(), String> {
    for _ in 0..TRIES_MAX {
        let mut script = Script { connect, clients: HashMap::new(), begun: Instant::now(), is_in_time: true };
        connect().expect("FLUSHALL", "+OK\r\n");
        let wrong = lines.lines().find_map(|line| script.run(line.trim_start()).err());
        if script.is_in_time {
            return wrong.map_or(Ok(()), |wrong| Err(format!("{rule}: {wrong}")));
        }
    }
    Err(format!("{rule}: this machine is too busy to say a few words in {BEFORE_PAUSE_MS_MAX} ms"))
}

/// A conversation under way.
struct Script<'a> {
    connect: Connect<'a>,
    /// With what CLIENT ID says.
    clients: HashMap<String, (Wire, String)>,
    begun: Instant,
    is_in_time: bool,
}

impl Script<'_> {
    fn run(&mut self, line: &str) -> Result<(), String> {
        if let Some(pause) = pause(line) {
            self.is_in_time &= self.begun.elapsed().as_millis() <= BEFORE_PAUSE_MS_MAX;
            // Only the way to the first pause counts.
            self.begun = Instant::now() + pause;
            thread::sleep(pause);
            return Ok(());
        }
        let (name, rest) = line.split_once(' ').expect("a client and what it does");
        if rest == "leaves" {
            self.clients.remove(name);
            return Ok(());
        }
        let connect = self.connect;
        let (wire, id) = self.clients.entry(name.to_owned()).or_insert_with(|| {
            let mut wire = connect();
            let id = wire.ask("CLIENT ID").trim_start_matches(':').trim_end().to_owned();
            (wire, id)
        });
        if rest == "is closed" {
            let more = wire.read_to_end();
            return if more.is_empty() { Ok(()) } else { Err(format!("{line}: but says {}", lossy(&more))) };
        }
        let (said, expected) = rest.split_once(" -> ").expect("what is said and what is heard");
        if said == "is" {
            return has_fields(line, &connect().ask(&format!("CLIENT LIST ID {id}")), expected);
        }
        wire.send(format!("{}\r\n", said.replace(" | ", "\r\n")).as_bytes());
        if let Some(fields) = expected.strip_prefix('~') {
            return has_fields(line, &String::from_utf8_lossy(&wire.reply()), fields);
        }
        let expected = format!("{}\r\n", expected.replace(" | ", "\r\n"));
        let heard = hear(wire, expected.as_bytes());
        if heard == expected.as_bytes() { Ok(()) } else { Err(format!("{line}\n  hears {}", lossy(&heard))) }
    }
}

/// Reads what is expected, or up to the first byte that differs and what has come with it.
fn hear(wire: &mut Wire, expected: &[u8]) -> Vec<u8> {
    wire.socket().set_read_timeout(Some(REPLY_WITHIN)).expect("a timeout");
    let mut heard = Vec::new();
    while heard.len() < expected.len() && expected.starts_with(&heard) {
        let mut bytes = vec![0; expected.len() - heard.len()];
        match wire.reader().read(&mut bytes) {
            Ok(0) => break,
            Ok(count) => heard.extend_from_slice(&bytes[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
            Err(error) => panic!("the connection breaks: {error}"),
        }
    }
    heard
}

/// Whether a reply has all of these fields in it.
fn has_fields(line: &str, heard: &str, fields: &str) -> Result<(), String> {
    let has = |field: &str| {
        let (name, _) = field.split_once('=').expect("a field and its value");
        client_field(heard, name).as_deref() == Some(field)
    };
    let wrong = fields.split_whitespace().any(|field| !has(field));
    if wrong { Err(format!("{line}\n  hears {}", lossy(heard.as_bytes()))) } else { Ok(()) }
}
