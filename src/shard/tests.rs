//! One or two shards driven by hand. Of two, shard 0 owns the keys `b` and `c`, shard 1 the keys `a` and `d`.

mod blocking;
mod logging;
mod transactions;
mod waiting;

use std::sync::Arc;

use super::*;
use crate::base::slot::key_slot;
use crate::commands::testing::{START_MS, shown};

/// More messages than any of these tests needs.
const MESSAGES_MAX: usize = 10_000;

/// Shards, and a clock.
struct Rig {
    shards: Vec<Shard>,
    now_ms: i64,
    last_id: u64,
}

/// A client, and the shard it is connected to.
#[derive(Clone, Copy)]
struct Peer {
    shard: usize,
    client: ClientRef,
}

impl Rig {
    fn new(shards: u16) -> Rig {
        Rig::with(shards, Config::default())
    }

    fn with(shards: u16, config: Config) -> Rig {
        let process = Arc::new(Process::default());
        let shard = |n| Shard::new(n, shards, process.clone(), config.clone(), 1);
        Rig { shards: (0..shards).map(shard).collect(), now_ms: START_MS, last_id: 0 }
    }

    fn connect(&mut self, shard: usize) -> Peer {
        self.last_id += 1;
        let client =
            self.shards[shard].connect(Arrival { id: self.last_id, ..Arrival::default() }, self.now_ms);
        Peer { shard, client }
    }

    fn receive(&mut self, peer: Peer, bytes: &[u8]) {
        self.shards[peer.shard].receive(peer.client, &mut bytes.to_vec(), self.now_ms);
    }

    /// One read with these commands, as inline lines.
    fn send(&mut self, peer: Peer, commands: &str) {
        self.receive(peer, format!("{}\r\n", commands.replace(" | ", "\r\n")).as_bytes());
    }

    /// Carries messages until there are none; returns how many there were.
    fn carry(&mut self) -> usize {
        let mut carried = 0;
        while let Some((target, message)) = self.shards.iter_mut().find_map(Shard::take_message) {
            self.shards[usize::from(target)].message(message, self.now_ms);
            carried += 1;
            assert!(carried < MESSAGES_MAX, "messages go round in circles");
        }
        carried
    }

    fn wants(&self, peer: Peer) -> Wants {
        self.shards[peer.shard].wants(peer.client)
    }

    /// Takes and sends all replies that there are.
    fn replies(&mut self, peer: Peer) -> String {
        let bytes = self.shards[peer.shard].take_replies(peer.client, Vec::new());
        self.shards[peer.shard].sent(peer.client, bytes.len(), self.now_ms);
        let (mut at, mut replies) = (0, Vec::new());
        while at < bytes.len() {
            let (text, used) = shown(&bytes[at..]);
            replies.push(text);
            at += used;
        }
        replies.join(" | ")
    }

    /// Sends commands, carries all messages and takes the replies.
    fn ask(&mut self, peer: Peer, commands: &str) -> String {
        self.send(peer, commands);
        self.carry();
        self.replies(peer)
    }

    fn tick_at(&mut self, after_ms: i64) {
        self.now_ms = START_MS + after_ms;
        let now_ms = self.now_ms;
        self.shards.iter_mut().for_each(|shard| shard.tick(now_ms));
    }

    fn output_limit_disconnects(&mut self) -> u64 {
        self.shards.iter_mut().map(|shard| shard.server().stats.output_limit_disconnects).sum()
    }
}

/// Runs commands one after the other for one client of the first of two shards.
#[track_caller]
pub fn check(commands: &str, expected: &str) {
    let mut rig = Rig::new(2);
    let peer = rig.connect(0);
    let mut one_by_one: Vec<String> = commands.split(" | ").map(|command| rig.ask(peer, command)).collect();
    one_by_one.retain(|reply| !reply.is_empty());
    assert_eq!(one_by_one.join(" | "), expected, "one by one");
    let mut rig = Rig::new(2);
    let peer = rig.connect(0);
    assert_eq!(rig.ask(peer, commands), expected, "in one read");
}

#[test]
fn keys_live_where_these_tests_say() {
    for (key, shard) in [("b", 0), ("c", 0), ("a", 1), ("d", 1)] {
        assert!(slots_of(shard, 2).contains(&key_slot(key.as_bytes()).index()), "{key}");
    }
}

// Order and messages ----------------------------------------------------------------------------------------------

#[test]
fn replies_keep_the_order_of_the_commands() {
    check(
        "SET b here | SET a there | GET b | GET a | PING | NOSUCH | GET d | GET c | ECHO last",
        "OK | OK | here | there | PONG | ERR unknown command 'NOSUCH', with args beginning with:  | nil | nil | last",
    );
}

#[test]
fn one_read_makes_one_message_for_each_target() {
    let mut rig = Rig::new(8);
    let peer = rig.connect(0);
    let commands: Vec<String> =
        (0..100).map(|n| format!("SET key{n} {n} | MGET key{n} other{n} | GET key{n}")).collect();
    rig.send(peer, &commands.join(" | "));
    let mut targets: Vec<u16> = rig.shards[0].outbox.iter().map(|(target, _)| *target).collect();
    targets.sort_unstable();
    assert_eq!(targets, [1, 2, 3, 4, 5, 6, 7]);
    rig.carry();
    let expected: Vec<String> = (0..100).map(|n| format!("OK | [{n}, nil] | {n}")).collect();
    assert_eq!(rig.replies(peer), expected.join(" | "));
}

#[test]
fn a_message_carries_the_words_of_its_commands() {
    let mut rig = Rig::new(2);
    let peer = rig.connect(0);
    rig.send(peer, "SET b 1 | SET a 2 | MGET c d | DEL d");
    let (_, ShardMessage(Message::Schedule(calls))) = rig.shards[0].take_message().expect("a message") else {
        panic!("calls")
    };
    let words =
        |call| calls.args(call).iter_from(0).map(String::from_utf8_lossy).collect::<Vec<_>>().join(" ");
    assert_eq!(calls.calls.iter().map(words).collect::<Vec<_>>(), ["SET a 2", "MGET d", "DEL d"]);
}

#[test]
fn the_next_read_waits_for_the_flight() {
    let mut rig = Rig::new(2);
    let peer = rig.connect(0);
    rig.send(peer, "SET a 1");
    rig.send(peer, "INCR a | GET b");
    assert_eq!(rig.shards[0].outbox.len(), 1);
    assert!(!rig.wants(peer).send);
    assert_eq!(rig.carry(), 4);
    assert_eq!(rig.replies(peer), "OK | 2 | nil");
}

#[test]
fn a_command_is_whole_only_when_its_last_byte_is_here() {
    let mut rig = Rig::new(2);
    let peer = rig.connect(0);
    let value = "v".repeat(300);
    let bulk = format!(
        "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$300\r\n{value}\r\nGET a\r\n*0\r\n\r\n*2\r\n$3\r\nGET\r\n$1\r\nb\r\n"
    );
    for byte in bulk.as_bytes() {
        rig.receive(peer, &[*byte]);
        rig.carry();
    }
    assert_eq!(rig.replies(peer), format!("OK | {value} | nil"));
}

#[test]
fn quoted_words_survive_waiting() {
    let mut rig = Rig::new(2);
    let peer = rig.connect(0);
    // The first command ends the batch in which the others were parsed already.
    rig.send(peer, r#"MSETNX a 1 b 2 | SET  c  "x \x41" | SET d 'it\'s' | MSETNX c 1 d 2 | MGET "c" d"#);
    rig.carry();
    assert_eq!(rig.replies(peer), "1 | OK | OK | 0 | [x A, it's]");
}

#[test]
fn commands_for_all_shards_take_their_turn() {
    for home in [0, 1] {
        let mut rig = Rig::new(3);
        let peer = rig.connect(home);
        assert_eq!(
            rig.ask(
                peer,
                "SET a 1 | SET d 1 | SWAPDB 0 1 | GET a | SWAPDB 1 2 | SELECT 2 | GET a | FLUSHALL | DBSIZE",
            ),
            "OK | OK | OK | nil | OK | OK | 1 | OK | 0",
            "from shard {home}"
        );
    }
}

#[test]
fn all_shards_take_over_settings_in_one_order() {
    let mut rig = Rig::new(3);
    let peers = [rig.connect(1), rig.connect(2), rig.connect(0)];
    for (n, peer) in peers.into_iter().enumerate() {
        rig.send(peer, &format!("CONFIG SET timeout {}", 100 + n));
    }
    rig.carry();
    let timeouts: Vec<u64> =
        rig.shards.iter_mut().map(|shard| shard.server().config.idle_seconds_max).collect();
    assert!(
        (100..103).contains(&timeouts[0]) && timeouts.iter().all(|one| *one == timeouts[0]),
        "{timeouts:?}"
    );
    for peer in peers {
        assert_eq!(rig.replies(peer), "OK");
    }
}

// Several keys ----------------------------------------------------------------------------------------------------

#[test]
fn commands_on_many_keys_are_spread_and_merged() {
    check("MSET a 1 b 2 c 3 d 4 | MGET d c nope b a a | DBSIZE", "OK | [4, 3, nil, 2, 1, 1] | 4");
    check("MSET a 1 a 2 b 3 | EXISTS a a b c | DEL a b c | EXISTS a b", "OK | 3 | 2 | 0");
    check(
        "MSET a 1 b | MSET b 1 a",
        "ERR wrong number of arguments for 'mset' command | ERR wrong number of arguments for 'mset' command",
    );
    check(
        "SET a 1 | SELECT 1 | DBSIZE | SET b 1 | FLUSHDB | DBSIZE | SELECT 0 | GET a",
        "OK | OK | 0 | OK | OK | 0 | OK | 1",
    );
}

#[test]
fn gathering_commands_read_everywhere_and_then_write() {
    check(
        "RENAME a b | SET a 1 | RENAME a b | MGET a b | RENAME b a | MGET a b",
        "ERR no such key | OK | OK | [nil, 1] | OK | [1, nil]",
    );
    check(
        "SET a 1 PXAT 1900000000000 | RENAME a b | PEXPIRETIME b | SET c x | RENAME c b | PEXPIRETIME b",
        "OK | OK | 1900000000000 | OK | OK | -1",
    );
    check("MSET a 1 b 2 | RENAMENX a b | RENAMENX a c | MGET a b c", "OK | 0 | 1 | [nil, 2, 1]");
    check(
        "COPY a b | SET a 1 | COPY a b | COPY a b | SET a 2 | COPY a b REPLACE | GET b",
        "0 | OK | 1 | 0 | OK | 1 | 2",
    );
    check(
        "SET a 1 | COPY a b DB 1 | GET b | SELECT 1 | GET b | COPY a b DB 99",
        "OK | 1 | nil | OK | 1 | ERR DB index is out of range",
    );
    check(
        "MSETNX a 1 b 2 | MSETNX d 3 b 4 | MGET a b d | MSETNX a 1 b",
        "1 | 0 | [1, 2, nil] | ERR wrong number of arguments for 'msetnx' command",
    );
    check("MSETNX d 1 b 2 d 3 | MGET b d", "1 | [2, 3]");
    check(
        "MSET a ohmytext b mynewtext | LCS a b | LCS b a LEN | LCS a b FOO",
        "OK | mytext | 6 | ERR syntax error",
    );
}

#[test]
fn a_gathering_command_waits_for_what_came_before_it() {
    check(
        "SET a 1 | GET a | RENAME a b | GET b | SET d x | RENAME b d | GET d | EXISTS a b",
        "OK | 1 | OK | 1 | OK | OK | 1 | 0",
    );
}

#[test]
fn a_gathering_command_of_many_keys_sends_its_words_once() {
    let mut rig = Rig::new(2);
    let peer = rig.connect(0);
    let pairs: Vec<String> = (0..1000).map(|n| format!("key{n} {n}")).collect();
    let command = format!("MSETNX {}", pairs.join(" "));
    rig.send(peer, &command);
    let (target, message) = rig.shards[0].take_message().expect("a message");
    let Message::Schedule(calls) = &message.0 else { panic!("calls") };
    assert!(
        calls.buffer.len() < command.len(),
        "{} bytes for a command of {}",
        calls.buffer.len(),
        command.len()
    );
    rig.shards[usize::from(target)].message(message, START_MS);
    rig.carry();
    assert_eq!(rig.replies(peer), "1");
    assert_eq!(rig.ask(peer, "DBSIZE | MGET key0 key500 key999"), "1000 | [0, 500, 999]");
}

// The end of a connection -----------------------------------------------------------------------------------------

#[test]
fn a_protocol_error_is_told_after_earlier_replies() {
    let mut rig = Rig::new(2);
    let peer = rig.connect(0);
    rig.receive(peer, b"SET a 1\r\nSET b 2\r\n*1\r\n:oops\r\nSET b 3\r\n");
    assert_eq!(rig.wants(peer), Wants { send: false, stop_reading: true, close: false });
    rig.carry();
    rig.send(peer, "SET b 4");
    assert_eq!(rig.replies(peer), "OK | OK | ERR Protocol error: expected '$', got ':'");
    assert!(rig.wants(peer).close);
    let other = rig.connect(0);
    assert_eq!(rig.ask(other, "MGET a b"), "[1, 2]");
}

#[test]
fn quit_answers_and_closes() {
    let mut rig = Rig::new(2);
    let peer = rig.connect(0);
    rig.send(peer, "SET a 1 | SET b 1 | QUIT | SET b 2");
    rig.send(peer, "SET b 3");
    assert!(!rig.wants(peer).close, "a reply is still to come");
    rig.carry();
    assert!(!rig.wants(peer).close, "nothing is sent yet");
    assert_eq!(rig.replies(peer), "OK | OK | OK");
    assert!(rig.wants(peer).close);
    let other = rig.connect(0);
    assert_eq!(rig.ask(other, "MGET a b"), "[1, 1]");
}

#[test]
fn the_end_of_input_lets_earlier_commands_finish() {
    let mut rig = Rig::new(2);
    let peer = rig.connect(0);
    rig.send(peer, "SET a 1");
    rig.send(peer, "GET a | GET b");
    rig.receive(peer, b"*1\r\n$4\r\nPI");
    rig.shards[0].end_of_input(peer.client, rig.now_ms);
    assert!(!rig.wants(peer).close);
    rig.carry();
    assert_eq!(rig.replies(peer), "OK | 1 | nil");
    assert!(rig.wants(peer).close);
}

#[test]
fn replies_for_a_client_that_has_gone_reach_nobody() {
    let mut rig = Rig::new(2);
    let peer = rig.connect(0);
    rig.send(peer, "SET a 1 | RENAME a b");
    rig.shards[0].disconnected(peer.client, rig.now_ms);
    assert!(rig.wants(peer).close);
    rig.shards[0].closed(peer.client);
    let meanwhile = rig.connect(0);
    assert_ne!(meanwhile.client.index, peer.client.index, "its commands are still under way");
    rig.send(meanwhile, "GET c");
    rig.carry();
    assert_eq!(rig.replies(meanwhile), "nil");
    let next = rig.connect(0);
    assert_eq!(next.client, ClientRef { index: peer.client.index, generation: peer.client.generation + 1 });
    assert_eq!(rig.ask(next, "EXISTS a b"), "1", "they took effect all the same");
}

#[test]
fn a_stale_reference_does_nothing() {
    let mut rig = Rig::new(1);
    let stale = rig.connect(0);
    rig.shards[0].closed(stale.client);
    let peer = rig.connect(0);
    rig.send(stale, "SET k 1");
    rig.send(peer, "PING");
    let shard = &mut rig.shards[0];
    assert_eq!(shard.take_replies(stale.client, Vec::new()), b"");
    shard.sent(stale.client, 7, START_MS);
    shard.end_of_input(stale.client, START_MS);
    shard.disconnected(stale.client, START_MS);
    shard.closed(stale.client);
    assert_eq!(shard.wants(stale.client), Wants { send: false, stop_reading: true, close: false });
    assert_eq!(shard.wants(peer.client), Wants { send: true, stop_reading: false, close: false });
    assert_eq!(rig.ask(peer, "EXISTS k"), "PONG | 0");
}

#[test]
fn a_disconnected_client_is_not_counted_as_one_over_its_limit() {
    let mut rig = Rig::new(2);
    let peer = rig.connect(0);
    rig.send(peer, "GET a");
    rig.shards[0].disconnected(peer.client, rig.now_ms);
    rig.carry();
    assert_eq!(rig.output_limit_disconnects(), 0);
}

#[test]
fn idle_clients_are_disconnected() {
    let mut rig = Rig::with(2, Config { idle_seconds_max: 2, ..Config::default() });
    let (idle, busy, waiting) = (rig.connect(0), rig.connect(0), rig.connect(0));
    rig.send(waiting, "GET a");
    for second in 1..=3 {
        assert!(rig.shards[0].next_tick_ms() <= START_MS + second * 1000);
        assert!(!rig.wants(idle).close);
        rig.tick_at(second * 1000);
        rig.send(busy, "GET b");
    }
    assert!(rig.wants(idle).close);
    assert!(!rig.wants(busy).close);
    assert!(!rig.wants(waiting).close, "its command is under way");
}

// Limits ----------------------------------------------------------------------------------------------------------

/// A value that makes a reply of 105 bytes.
const VALUE_BYTES: usize = 98;

fn rig_with_values(config: Config) -> Rig {
    let mut rig = Rig::with(2, config);
    let setter = rig.connect(0);
    let value = "v".repeat(VALUE_BYTES);
    assert_eq!(rig.ask(setter, &format!("MSET a {value} b {value}")), "OK");
    rig
}

fn gets(rig: &mut Rig) -> u64 {
    let row = usize::from(rig.shards[0].core.table.find(b"get").expect("the command exists"));
    rig.shards.iter_mut().map(|shard| shard.server().stats.per_command[row].calls).sum()
}

#[test]
fn commands_wait_while_too_many_replies_do() {
    let mut rig = rig_with_values(Config { reply_bytes_pause: 300, ..Config::default() });
    let peer = rig.connect(0);
    let commands = ["GET b"; 20].join(" | ");
    rig.send(peer, &format!("{commands} | QUIT"));
    rig.send(peer, "SET b after-quit");
    assert_eq!(gets(&mut rig), 3);
    let mut replies = 0;
    while !rig.wants(peer).close {
        assert!(rig.wants(peer).send);
        replies += rig.replies(peer).split(" | ").count();
    }
    assert_eq!(replies, 21, "the held commands run as replies leave, and the last one is QUIT");
    assert_eq!(rig.shards[0].outbox.len(), 0);
    let other = rig.connect(0);
    assert_eq!(rig.ask(other, "STRLEN b"), VALUE_BYTES.to_string());
}

#[test]
fn a_partly_sent_reply_still_counts() {
    let mut rig = rig_with_values(Config { reply_bytes_pause: 300, ..Config::default() });
    let peer = rig.connect(0);
    rig.send(peer, &["GET b"; 20].join(" | "));
    let taken = rig.shards[0].take_replies(peer.client, Vec::new()).len();
    rig.shards[0].sent(peer.client, taken - 151, START_MS);
    assert_eq!(gets(&mut rig), 3, "151 of 300 bytes wait");
    rig.shards[0].sent(peer.client, 1, START_MS);
    assert_eq!(gets(&mut rig), 5, "half of the limit is free, and two replies fill it");
}

#[test]
fn a_client_that_does_not_read_is_disconnected() {
    let mut rig =
        rig_with_values(Config { reply_bytes_pause: 300, reply_stall_seconds_max: 5, ..Config::default() });
    let (stalled, slow) = (rig.connect(0), rig.connect(0));
    for peer in [stalled, slow] {
        rig.send(peer, &["GET b"; 20].join(" | "));
        assert_eq!(rig.shards[0].take_replies(peer.client, Vec::new()).len(), 3 * 105);
    }
    for second in 1..=5 {
        rig.tick_at(second * 1000);
        rig.shards[0].sent(slow.client, 1, rig.now_ms);
        assert!(!rig.wants(stalled).close);
    }
    assert!(rig.shards[0].next_tick_ms() <= START_MS + 6000);
    rig.tick_at(6000);
    assert!(rig.wants(stalled).close);
    assert!(!rig.wants(slow).close);
    assert_eq!(rig.output_limit_disconnects(), 1);
}

#[test]
fn one_large_reply_holds_its_client_wherever_it_comes_from() {
    let limits = Config { reply_bytes_pause: 300, reply_stall_seconds_max: 5, ..Config::default() };
    let value = "v".repeat(2000);
    for command in ["GET b", "GET a", "MGET a b", "LCS a b"] {
        let mut rig = Rig::with(2, limits.clone());
        let (setter, stalled, reader) = (rig.connect(0), rig.connect(0), rig.connect(0));
        assert_eq!(rig.ask(setter, &format!("MSET a {value} b {value}")), "OK");
        for peer in [stalled, reader] {
            rig.send(peer, command);
            rig.carry();
            rig.send(peer, "SET c after");
            rig.carry();
        }
        assert_eq!(rig.ask(setter, "EXISTS c"), "0", "{command}: what follows waits");
        rig.replies(reader);
        assert_eq!(rig.replies(reader), "OK", "{command}");
        rig.shards[0].take_replies(stalled.client, Vec::new());
        for second in 1..=5 {
            rig.tick_at(second * 1000);
            assert!(!rig.wants(stalled).close, "{command}");
            assert!(rig.shards[0].next_tick_ms() <= rig.now_ms + 1000, "{command}");
        }
        rig.tick_at(6000);
        assert!(rig.wants(stalled).close, "{command}");
        assert!(!rig.wants(reader).close, "{command}");
        assert_eq!(rig.output_limit_disconnects(), 1, "{command}");
    }
}

#[test]
fn replies_over_the_hard_limit_end_the_client() {
    let limits = Config { reply_bytes_pause: 300, reply_bytes_max: 1000, ..Config::default() };
    let value = "v".repeat(2000);
    for commands in
        ["GET b", "GET a", "MGET a b", "GET a | LCS a b", "GET b | GET a | RENAME a b", "GET a | PING"]
    {
        let mut rig = Rig::with(2, limits.clone());
        let (setter, peer) = (rig.connect(0), rig.connect(0));
        assert_eq!(rig.ask(setter, &format!("MSET a {value} b {value}")), "OK");
        rig.send(peer, commands);
        rig.carry();
        assert!(rig.wants(peer).close, "{commands}");
        assert!(!rig.wants(peer).send, "{commands}");
        assert_eq!(rig.output_limit_disconnects(), 1, "{commands}");
        assert_eq!(rig.ask(setter, "STRLEN a"), "2000", "{commands}");
    }
}

#[test]
fn input_over_the_limit_ends_the_client() {
    let mut rig = Rig::with(2, Config { query_bytes_max: 100, ..Config::default() });
    let peer = rig.connect(0);
    rig.receive(peer, b"*2\r\n$3\r\nGET\r\n$200\r\n");
    rig.receive(peer, &[b'x'; 80]);
    assert!(!rig.wants(peer).close);
    rig.receive(peer, &[b'x'; 40]);
    assert!(rig.wants(peer).close);
    assert_eq!(rig.shards[0].server().stats.query_limit_disconnects, 1);
}

#[test]
fn a_held_client_is_no_longer_read() {
    let mut rig = Rig::new(2);
    let peer = rig.connect(0);
    rig.send(peer, "GET a");
    let line = b"ECHO x\r\n";
    while !rig.wants(peer).stop_reading {
        rig.receive(peer, &line.repeat(2000));
    }
    let kept = rig.shards[0].client(peer.client).expect("the client").query.len();
    assert!((HELD_QUERY_BYTES_MAX..HELD_QUERY_BYTES_MAX + 2000 * line.len() + 1).contains(&kept));
    rig.carry();
    assert!(!rig.wants(peer).stop_reading);
    assert_eq!(rig.replies(peer).split(" | ").count(), 1 + kept / line.len());
}

// What a client asks for ------------------------------------------------------------------------------------------

#[test]
fn unwanted_replies_are_left_out_wherever_they_come_from() {
    check(
        "CLIENT REPLY OFF | GET a | GET b | MGET a b | NOSUCH | MSETNX a 1 b 2 | CLIENT REPLY ON | MGET a b",
        "OK | [1, 2]",
    );
    for skipped in ["SET a 1", "SET b 1", "MSET a 1 b 1", "MSETNX a 1 b 1", "NOSUCH"] {
        let mut rig = Rig::new(2);
        let peer = rig.connect(0);
        assert_eq!(
            rig.ask(peer, &format!("CLIENT REPLY SKIP | {skipped} | PING | ECHO x")),
            "PONG | x",
            "{skipped}"
        );
    }
}

#[test]
fn a_change_of_protocol_applies_from_the_next_command_on() {
    let mut rig = Rig::new(2);
    let peer = rig.connect(0);
    rig.receive(peer, b"GET a\r\nCLIENT REPLY SKIP\r\nHELLO 3\r\nGET a\r\nGET b\r\n");
    rig.carry();
    assert_eq!(rig.shards[0].take_replies(peer.client, Vec::new()), b"$-1\r\n_\r\n_\r\n");
}

#[test]
fn a_pause_holds_commands_until_it_ends() {
    let mut rig = Rig::new(2);
    let (operator, peer, remote) = (rig.connect(0), rig.connect(0), rig.connect(1));
    rig.receive(peer, b"*2\r\n$3\r\nGET\r\n");
    assert_eq!(rig.ask(operator, "CLIENT PAUSE 1000"), "OK");
    rig.receive(peer, b"$1\r\nb\r\n");
    rig.send(peer, "INCR b");
    rig.send(remote, "INCR b");
    assert_eq!(rig.carry(), 0);
    rig.tick_at(999);
    assert!(!rig.wants(peer).send);
    assert_eq!(rig.shards[1].next_tick_ms(), START_MS + 1000);
    rig.tick_at(1000);
    rig.carry();
    assert_eq!(rig.replies(peer), "nil | 1");
    assert_eq!(rig.replies(remote), "2");
}

#[test]
fn a_pause_of_writes_lets_reads_through() {
    let mut rig = Rig::new(2);
    let (operator, peer) = (rig.connect(1), rig.connect(0));
    assert_eq!(rig.ask(operator, "CLIENT PAUSE 1000 WRITE"), "OK");
    assert_eq!(rig.ask(peer, "GET a | GET b | SET 'b' 1 | GET b"), "nil | nil");
    assert_eq!(rig.ask(operator, "GET b | CLIENT UNPAUSE"), "nil | OK");
    rig.carry();
    assert_eq!(rig.replies(peer), "OK | 1");
}

#[test]
fn killing_a_broken_client_does_not_bring_it_back() {
    let mut rig = Rig::new(2);
    let (killer, peer) = (rig.connect(0), rig.connect(0));
    rig.send(peer, "QUIT");
    rig.shards[0].take_replies(peer.client, Vec::new());
    rig.shards[0].disconnected(peer.client, rig.now_ms);
    assert_eq!(rig.ask(killer, "CLIENT KILL ID 2"), "1");
    assert!(rig.wants(peer).close);
}
