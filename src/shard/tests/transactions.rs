//! Transactions step by step: how many hops each kind takes, who waits for whom, and that nothing stays behind.

use super::*;

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

#[test]
fn only_commands_on_its_keys_wait_for_a_transaction() {
    let mut rig = Rig::new(3);
    let (writer, local, remote) = (rig.connect(0), rig.connect(1), rig.connect(2));
    rig.send(writer, &named("MSET k1 new k2 new", 3));
    // Both owners keep a place; neither hears more for now.
    rig.carry_some(2);
    assert_eq!(rig.shards[1].scheduled() + rig.shards[2].scheduled(), 2);
    rig.send(local, "GET other{key1}other | SET another 1");
    let elsewhere = (0..).map(|n| format!("free{n}"));
    let mut elsewhere = elsewhere.filter(|key| slots_of(1, 3).contains(&key_slot(key.as_bytes()).index()));
    let free = elsewhere.next().expect("a key");
    rig.carry_some(0);
    rig.replies(local);
    let mut other = rig.connect(1);
    rig.send(other, &format!("SET {free} 1 | GET {free}"));
    assert_eq!(rig.replies(other), "OK | 1", "another key");
    rig.send(other, &named("GET k1", 3));
    assert!(!rig.wants(other).send, "its key waits");
    rig.send(remote, &named("GET k1", 3));
    other = rig.connect(1);
    rig.send(other, "SCAN 0");
    assert!(!rig.wants(other).send, "all keys of the shard, and one of them waits");
    rig.carry();
    assert_eq!(rig.replies(writer), "OK");
    assert_eq!(rig.replies(remote), "new");
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
            rig.shards[0].disconnected(leaver.client);
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
