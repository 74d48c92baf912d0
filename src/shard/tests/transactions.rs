//! Transactions step by step: how many hops each kind takes, who waits for whom, and that nothing stays behind.

use super::*;
use crate::base::limits::SPARE_CALLS_BYTES_MAX;

/// Keys `k0`, `k1`, ...: key `n` is on shard `n`.
fn keys_of(shards: u16) -> Vec<String> {
    let key = |shard| {
        let mut names = (0..).map(|n| format!("key{n}"));
        names
            .find(|name| slots_of(shard, shards).contains(&key_slot(name.as_bytes()).index()))
            .expect("a key")
    };
    (0..shards).map(key).collect()
}

/// `k1` in a script stands for the key on shard 1.
fn named(script: &str, shards: u16) -> String {
    let keys = keys_of(shards);
    (0..shards)
        .rev()
        .fold(script.to_owned(), |script, n| script.replace(&format!("k{n}"), &keys[usize::from(n)]))
}

impl Rig {
    /// Sends commands and returns how many hops they take: each time the home shard has sent something that is answered.
    fn hops(&mut self, peer: Peer, commands: &str) -> usize {
        self.send(peer, commands);
        let mut hops = 0;
        loop {
            let home = &mut self.shards[peer.shard];
            let sent: Vec<(u16, ShardMessage)> = std::iter::from_fn(|| home.take_message()).collect();
            if sent.is_empty() {
                return hops;
            }
            hops +=
                usize::from(sent.iter().any(|(_, message)| !matches!(message.0, Message::Release { .. })));
            for (target, message) in sent {
                self.shards[usize::from(target)].message(message, self.now_ms);
            }
            for other in 0..self.shards.len() {
                while other != peer.shard
                    && let Some((target, message)) = self.shards[other].take_message()
                {
                    self.shards[usize::from(target)].message(message, self.now_ms);
                }
            }
        }
    }

    /// Nothing is claimed anywhere.
    #[track_caller]
    fn is_clean(&self) {
        for (n, shard) in self.shards.iter().enumerate() {
            assert_eq!(shard.scheduled(), 0, "shard {n}");
            assert!(shard.core.queue.intents.is_empty(), "shard {n}");
        }
    }

    /// Delivers the next message from `from` to `to`, if there is one.
    fn hop(&mut self, from: usize, to: u16) -> bool {
        let outbox = &mut self.shards[from].outbox;
        let Some(at) = outbox.iter().position(|(target, _)| *target == to) else { return false };
        let (_, message) = outbox.remove(at).expect("it was found");
        self.shards[usize::from(to)].message(message, self.now_ms);
        true
    }

    /// Delivers `messages` messages, whosever they are.
    fn carry_some(&mut self, messages: usize) {
        for _ in 0..messages {
            let Some((target, message)) = self.shards.iter_mut().find_map(Shard::take_message) else {
                return;
            };
            self.shards[usize::from(target)].message(message, self.now_ms);
        }
    }
}

#[test]
fn hops() {
    for (shards, expected, commands) in [
        (3, 0, "GET k0"),
        (3, 0, "MGET k0 k0"),
        (3, 0, "MULTI | SET k0 1 | GET k0 | EXEC"),
        (3, 0, "PING"),
        (1, 0, "DBSIZE"),
        (3, 1, "GET k1"),
        (3, 1, "MSET k1 x k1 y"),
        (3, 1, "RENAME k1 k1"),
        (3, 1, "GET k1 | SET k1 x | GET k1"),
        (3, 1, "MULTI | SET k1 x | GET k1 | EXEC"),
        (3, 1, "WATCH k1"),
        (3, 1, "INFO"),
        (3, 1, "GET k1 | PING | INFO"),
        // The connection's shard and one more.
        (3, 1, "MSET k0 x k1 y"),
        (3, 1, "GET k0 | GET k1 | GET k0"),
        (3, 1, "MULTI | SET k0 x | SET k1 y | EXEC"),
        (2, 1, "DBSIZE"),
        (2, 1, "FLUSHALL"),
        (3, 2, "RENAME k0 k1"),
        (3, 2, "RENAME k1 k0"),
        // Several others.
        (3, 2, "MGET k1 k2"),
        (3, 2, "MSET k0 x k1 y k2 z"),
        (3, 2, "DEL k0 k1 k2"),
        (3, 2, "GET k1 | GET k2"),
        (3, 2, "MULTI | SET k1 x | SET k2 y | EXEC"),
        (3, 2, "DBSIZE"),
        (3, 2, "KEYS *"),
        (3, 2, "FLUSHALL"),
        (3, 2, "SWAPDB 0 1"),
        (3, 2, "CONFIG SET timeout 0"),
        (3, 3, "RENAME k1 k2"),
        // The decision writes nothing: a message that needs no answer ends it.
        (3, 2, "MSETNX k1 x k2 y"),
        (3, 3, "MULTI | GET k0 | RENAME k1 k2 | GET k0 | EXEC"),
    ] {
        let mut rig = Rig::new(shards);
        let peer = rig.connect(0);
        let set = (0..shards).map(|n| format!("SET k{n} {n}")).collect::<Vec<_>>().join(" | ");
        rig.ask(peer, &named(&set, shards));
        assert_eq!(rig.hops(peer, &named(commands, shards)), expected, "{commands} on {shards} shards");
        assert!(rig.wants(peer).send, "{commands}");
        rig.is_clean();
    }
}

#[test]
fn hops_with_watched_keys() {
    for (expected, watched, queued) in [
        (0, "k0", "SET k0 1"),
        (1, "k1", "SET k1 1"),
        (1, "k1", "SET k0 1"),
        (3, "k1", "SET k2 1"),
        (3, "k0 k1 k2", "MSET k0 1 k1 1 k2 1"),
    ] {
        let mut rig = Rig::new(3);
        let peer = rig.connect(0);
        rig.ask(peer, &named(&format!("WATCH {watched}"), 3));
        let commands = named(&format!("MULTI | {queued} | EXEC"), 3);
        assert_eq!(rig.hops(peer, &commands), expected, "watching {watched}, {queued}");
        assert_eq!(rig.replies(peer), "OK | QUEUED | [OK]");
        rig.is_clean();
    }
}

/// Other keys of a shard.
fn others_of(shard: u16, shards: u16) -> impl Iterator<Item = String> {
    let names = (0..).map(|n| format!("other{n}"));
    names.filter(move |name| slots_of(shard, shards).contains(&key_slot(name.as_bytes()).index()))
}

#[test]
fn only_commands_on_its_keys_wait_for_a_transaction() {
    let mut rig = Rig::new(3);
    let (writer, local, other, remote) = (rig.connect(0), rig.connect(1), rig.connect(1), rig.connect(2));
    rig.send(writer, &named("MSET k1 new k2 new", 3));
    // Both owners keep a place; neither hears more for now.
    assert!(rig.hop(0, 1) && rig.hop(0, 2));
    assert_eq!(rig.shards[1].scheduled() + rig.shards[2].scheduled(), 2);
    let free = others_of(1, 3).next().expect("a key");
    rig.send(other, &format!("SET {free} 1 | MULTI | INCR {free} | EXEC | GET {free}"));
    assert_eq!(rig.replies(other), "OK | OK | QUEUED | [2] | 2", "another key");
    rig.send(local, &named("GET k1", 3));
    rig.send(remote, &named("GET k1", 3));
    assert!(rig.hop(2, 1));
    assert!(!rig.wants(local).send && rig.shards[1].scheduled() == 3, "its key waits");
    rig.carry();
    for peer in [local, remote] {
        assert_eq!(rig.replies(peer), "new");
    }
    assert_eq!(rig.replies(writer), "OK");
    rig.is_clean();
}

#[test]
fn commands_on_all_keys_of_a_shard_wait_for_every_writer() {
    for all in ["SCAN 0", "DBSIZE", "RANDOMKEY", "KEYS *"] {
        let mut rig = Rig::new(3);
        let (writer, peer) = (rig.connect(1), rig.connect(0));
        rig.send(writer, &named("MSET k0 new k2 new", 3));
        assert!(rig.hop(1, 0));
        rig.send(peer, all);
        assert!(!rig.wants(peer).send, "{all}");
        rig.carry();
        assert_eq!(rig.replies(writer), "OK");
        assert!(rig.wants(peer).send, "{all}");
        rig.is_clean();
    }
}

#[test]
fn what_had_to_wait_is_seen_only_when_it_has_run_everywhere() {
    let mut rig = Rig::new(3);
    let (first, second, reader) = (rig.connect(0), rig.connect(1), rig.connect(1));
    // Its place on shard 2 is slow to come.
    rig.send(first, &named("MSET k2 first k0 first", 3));
    rig.send(second, &named("MULTI | GET k0 | SET k1 second | EXEC", 3));
    assert!(rig.hop(1, 0), "waits for the first one there");
    assert!(rig.hop(0, 1), "its position is known, and nothing is before it on shard 1");
    // Whoever sees `second` must see `first` too, which shard 2 has not heard of.
    rig.send(reader, &named("GET k1", 3));
    assert!(!rig.wants(reader).send);
    rig.carry();
    assert_eq!(rig.replies(second), "OK | QUEUED | QUEUED | [first, OK]");
    assert_eq!((rig.replies(first), rig.replies(reader)), ("OK".into(), "second".into()));
    rig.is_clean();
}

#[test]
fn who_decides_on_a_position_does_not_fall_behind_the_other_owner() {
    let mut rig = Rig::new(3);
    let (on_0, on_2): (Vec<String>, Vec<String>) =
        (others_of(0, 3).take(5).collect(), others_of(2, 3).take(2).collect());
    let script = |text: &str| {
        let text = (0..5).fold(named(text, 3), |text, n| text.replace(&format!("@{n}"), &on_0[n]));
        (0..2).fold(text, |text, n| text.replace(&format!("#{n}"), &on_2[n]))
    };
    let (x, a, b) = (rig.connect(1), rig.connect(0), rig.connect(0));
    let (c, d) = (rig.connect(0), rig.connect(0));
    rig.ask(x, &script("SET @4 there"));
    rig.send(x, &script("MSET @3 x @2 x @1 x @0 x #0 x"));
    while rig.hop(1, 0) || rig.hop(1, 2) {}
    // It waits for x on shard 0 alone. What follows departs when x's end lets it, all in one event.
    rig.send(b, &script("MSETNX @1 b @4 b #1 b"));
    while rig.hop(0, 2) || rig.hop(2, 0) {}
    for (peer, waits, then) in
        [(a, "GET @0", "SET @4 a"), (c, "GET @2", "MSET k0 S k1 S k2 S"), (d, "GET @3", "MSET k0 T k1 T")]
    {
        rig.send(peer, &script(waits));
        rig.send(peer, &script(then));
    }
    rig.carry();
    rig.replies(x);
    let all = rig.ask(x, &named("MGET k0 k1 k2", 3));
    assert!(["[T, T, S]", "[S, S, S]"].contains(&&all[..]), "{all}");
    rig.is_clean();
}

#[test]
fn readers_do_not_wait_for_each_other() {
    let mut rig = Rig::new(3);
    let (first, second) = (rig.connect(0), rig.connect(1));
    rig.send(first, &named("MGET k1 k2", 3));
    rig.carry_some(2);
    rig.send(second, &named("GET k1", 3));
    assert_eq!(rig.replies(second), "nil");
    rig.carry();
    assert_eq!(rig.replies(first), "[nil, nil]");
    rig.is_clean();
}

#[test]
fn transactions_that_cross_run_in_one_order() {
    // Every interleaving of the messages of two transactions, up to the number there are.
    for first in 0..12 {
        for second in 0..12 {
            let mut rig = Rig::new(3);
            let (a, b) = (rig.connect(1), rig.connect(2));
            rig.send(a, &named("MSET k0 a k1 a k2 a", 3));
            rig.carry_some(first);
            rig.send(b, &named("MSET k2 b k1 b k0 b", 3));
            rig.carry_some(second);
            rig.carry();
            assert_eq!((rig.replies(a), rig.replies(b)), ("OK".into(), "OK".into()));
            let all = rig.ask(a, &named("MGET k0 k1 k2", 3));
            assert!(["[a, a, a]", "[b, b, b]"].contains(&&all[..]), "{all}");
            rig.is_clean();
        }
    }
}

#[test]
fn a_client_that_disappears_leaves_nothing_claimed() {
    for commands in [
        "MSET k0 1 k1 1 k2 1",
        "RENAME k1 k2",
        "GET k1 | GET k2 | SET k0 1",
        "MULTI | RENAME k1 k2 | SET k0 1 | EXEC",
        "WATCH k1 k2 | MULTI | SET k0 1 | EXEC",
        "FLUSHALL",
    ] {
        for carried in 0..14 {
            let mut rig = Rig::new(3);
            let (setter, leaver) = (rig.connect(0), rig.connect(0));
            rig.ask(setter, &named("MSET k1 x k2 y", 3));
            rig.send(leaver, &named(commands, 3));
            rig.carry_some(carried);
            rig.shards[0].disconnected(leaver.client, rig.now_ms);
            rig.shards[0].closed(leaver.client);
            rig.carry();
            rig.is_clean();
            let set = named("MSET k0 2 k1 2 k2 2", 3);
            assert_eq!(rig.ask(setter, &set), "OK", "{commands}, gone after {carried} messages");
            for shard in &mut rig.shards {
                assert!(!shard.keys().is_watched(), "{commands}, gone after {carried} messages");
            }
            assert_eq!(rig.shards[0].server().sessions.len(), 1);
        }
    }
}

#[test]
fn watching_ends_with_the_connection() {
    let mut rig = Rig::new(3);
    let peer = rig.connect(0);
    rig.ask(peer, &named("WATCH k0 k1 k2", 3));
    assert!(rig.shards.iter_mut().all(|shard| shard.keys().is_watched()));
    rig.shards[0].closed(peer.client);
    rig.carry();
    assert!(!rig.shards.iter_mut().any(|shard| shard.keys().is_watched()));
}

#[test]
fn keys_that_no_word_names_are_read_in_the_same_transaction() {
    check(
        "MSET a b b c c d d end | FOLLOW a | GET a | FOLLOW nope | MULTI | FOLLOW b | SET c x | FOLLOW b | EXEC",
        "OK | end | end | nil | OK | QUEUED | QUEUED | QUEUED | [end, OK, end]",
    );
    // Somebody changes a key that is read last, at any moment: it was before, or it is after.
    for carried in 0..30 {
        let mut rig = Rig::new(2);
        let (follower, other) = (rig.connect(0), rig.connect(1));
        rig.ask(follower, "MSET a b b c c d d old");
        rig.send(follower, "FOLLOW a");
        rig.carry_some(carried);
        rig.send(other, "SET d new | SET b end");
        rig.carry();
        let found = rig.replies(follower);
        assert!(["old", "new", "end"].contains(&&found[..]), "{found} after {carried} messages");
        assert_eq!(rig.replies(other), "OK | OK");
        assert_eq!(rig.ask(other, "MGET a b d"), format!("[{found}, end, new]"));
        rig.is_clean();
    }
}

#[test]
fn what_is_queued_and_watched_is_bounded() {
    for line in ["SET a xxxxxxxxxx", "NOSUCH-xxxxxxxxxx", "WATCH xxxxxxxxxx"] {
        let mut rig = Rig::with(2, Config { query_bytes_max: 2000, ..Config::default() });
        let peer = rig.connect(0);
        let is_watch = line.starts_with("WATCH");
        if !is_watch {
            rig.ask(peer, "MULTI");
        }
        for n in 0..200 {
            let line = if is_watch { format!("{line}{n}") } else { line.to_owned() };
            rig.ask(peer, &line);
        }
        // What cannot be queued is not kept.
        let is_kept = !line.starts_with("NOSUCH");
        assert_eq!(rig.wants(peer).close, is_kept, "{line}");
        assert_eq!(rig.shards[0].server().stats.query_limit_disconnects, u64::from(is_kept), "{line}");
    }
}

#[test]
fn a_pause_of_writes_holds_a_transaction_that_writes() {
    let mut rig = Rig::new(2);
    let (operator, reader, writer) = (rig.connect(1), rig.connect(0), rig.connect(0));
    rig.ask(writer, "MULTI | SET a 1 | SET b 1");
    rig.ask(operator, "CLIENT PAUSE 1000 WRITE");
    assert_eq!(rig.ask(reader, "MULTI | GET a | EXEC"), "OK | QUEUED | [nil]");
    assert_eq!(rig.ask(writer, "EXEC"), "");
    assert_eq!(rig.ask(operator, "CLIENT UNPAUSE"), "OK");
    rig.carry();
    assert_eq!(rig.replies(writer), "[OK, OK]");
}

#[test]
fn a_transaction_is_not_cut_by_the_soft_limit() {
    let mut rig = rig_with_values(Config { reply_bytes_pause: 300, ..Config::default() });
    let (peer, other) = (rig.connect(0), rig.connect(0));
    for key in ["a", "b"] {
        let gets = vec![format!("GET {key}"); 10].join(" | ");
        rig.ask(peer, "MULTI");
        rig.ask(peer, &gets);
        rig.replies(peer);
        rig.send(peer, &format!("SET {key} after | EXEC"));
        rig.carry();
        assert_eq!(rig.ask(other, &format!("GET {key}")), "after", "{key}");
        // The replies are cut, as those of other commands are.
        let mut bytes = 0;
        while rig.wants(peer).send {
            let taken = rig.shards[0].take_replies(peer.client, Vec::new()).len();
            rig.shards[0].sent(peer.client, taken, rig.now_ms);
            bytes += taken;
        }
        assert_eq!(bytes, "*11\r\n+OK\r\n".len() + "+QUEUED\r\n".len() + 10 * (VALUE_BYTES + 7), "{key}");
        rig.is_clean();
    }
}

#[test]
fn a_transaction_with_nothing_to_send_is_answered() {
    check(
        "MULTI | MSET a 1 b | EXEC | MULTI | MSETNX a 1 b | GET a | EXEC",
        "OK | QUEUED | [ERR wrong number of arguments for 'mset' command] | OK | QUEUED | QUEUED | \
         [ERR wrong number of arguments for 'msetnx' command, nil]",
    );
}

#[test]
fn commands_of_an_exec_find_what_those_before_them_did() {
    check(
        "MULTI | CONFIG SET timeout 77 | CONFIG GET timeout | EXEC",
        "OK | QUEUED | QUEUED | [OK, [timeout, 77]]",
    );
    for script in ["SET a 1 | SET b 1 | INFO keyspace", "MULTI | SET a 1 | SET b 1 | INFO keyspace | EXEC"] {
        let mut rig = Rig::new(2);
        let peer = rig.connect(0);
        let replies = rig.ask(peer, script);
        assert!(replies.contains("keys=2,"), "{replies}");
    }
}

#[test]
fn a_transaction_runs_at_one_time() {
    let mut rig = Rig::new(3);
    let peer = rig.connect(0);
    rig.ask(peer, &named("SET k0 v PX 5 | SET k1 x", 3));
    rig.send(peer, &named("MULTI | GET k0 | RENAME k1 k2 | GET k0 | EXEC", 3));
    for _ in 0..30 {
        rig.carry_some(1);
        rig.now_ms += 1;
    }
    let replies = rig.replies(peer);
    assert!(["[v, OK, v]", "[nil, OK, nil]"].iter().any(|all| replies.ends_with(all)), "{replies}");
    for carried in 0..8 {
        let mut rig = Rig::new(3);
        let peer = rig.connect(0);
        let at_ms = START_MS + 5;
        rig.ask(peer, &named(&format!("MULTI | SET k1 x PXAT {at_ms} | SET k2 x PXAT {at_ms} | EXEC"), 3));
        rig.send(peer, &named("MGET k1 k2", 3));
        rig.carry_some(carried);
        rig.now_ms += 10;
        rig.carry();
        let replies = rig.replies(peer);
        assert!(["[x, x]", "[nil, nil]"].contains(&&replies[..]), "{replies} after {carried} messages");
    }
}

#[test]
fn replies_of_several_steps_are_bounded_together() {
    let limits = Config { reply_bytes_max: 4000, reply_bytes_pause: 2000, ..Config::default() };
    let mut rig = Rig::with(3, limits);
    let (peer, other) = (rig.connect(0), rig.connect(0));
    rig.ask(peer, &named(&format!("SET k1 {}", "v".repeat(1000)), 3));
    let steps = vec!["GET k1 | COPY k0 k2"; 100].join(" | ");
    rig.send(peer, &named(&format!("MULTI | {steps} | SET k0 done | EXEC"), 3));
    for _ in 0..5000 {
        rig.carry_some(1);
        let client = rig.shards[0].clients[peer.client.index as usize].as_ref();
        let flight = client.and_then(|c| c.flight.as_ref());
        let held: usize = flight.map_or(0, |f| f.arrived.iter().map(|calls| calls.replies.len()).sum());
        assert!(held <= 2 * 4000, "{held} bytes wait");
    }
    assert!(rig.wants(peer).close);
    assert_eq!(rig.ask(other, &named("GET k0", 3)), "done", "it ran all the same");
    rig.is_clean();
}

#[test]
fn a_key_named_often_is_claimed_once() {
    let mut rig = Rig::new(3);
    let peer = rig.connect(0);
    for line in ["MGET k1 k2 KEYS", "DEL k1 k2 KEYS"] {
        rig.send(peer, &named(&line.replace("KEYS", &"k1 ".repeat(500)), 3));
        assert!(rig.hop(0, 1));
        assert_eq!(rig.shards[1].core.queue.claimed(), 1);
        rig.carry();
        rig.replies(peer);
    }
    rig.ask(peer, &named(&vec!["WATCH k1"; 100].join(" | "), 3));
    assert_eq!(rig.hops(peer, &named("MULTI | SET k1 1 | SET k2 2 | EXEC", 3)), 3);
    rig.is_clean();
}

#[test]
fn what_is_kept_for_the_next_flight_is_bounded() {
    let mut rig = Rig::new(2);
    let peer = rig.connect(0);
    for _ in 0..100 {
        rig.ask(peer, &format!("MULTI | {} | EXEC", vec!["GET a"; 3000].join(" | ")));
    }
    for shard in &rig.shards {
        assert!(shard.spare_flights.iter().all(|flight| flight.capacity_bytes() <= SPARE_CALLS_BYTES_MAX));
        assert!(shard.spare_calls.iter().all(|calls| calls.capacity_bytes() <= SPARE_CALLS_BYTES_MAX));
    }
}
