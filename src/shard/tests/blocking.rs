//! Clients that wait for keys: who is served, when, and what happens to those who leave. With two shards, 0 owns `b` and `c`, 1 owns
//! `a` and `d`.

use super::*;
use crate::store::keyspace::Key;
use crate::store::object::{Value, ValueRef};
use crate::store::rdb;

pub(super) fn tick(rig: &mut Rig, ms: i64) {
    rig.now_ms += ms;
    let now_ms = rig.now_ms;
    for shard in &mut rig.shards {
        assert!(shard.next_tick_ms() > now_ms - ms, "a shard waits for a time that is over");
        shard.tick(now_ms);
    }
    rig.carry();
}

/// No shard remembers anybody who waits.
pub(super) fn assert_nobody_waits(rig: &mut Rig) {
    for shard in &mut rig.shards {
        assert!(shard.core.waiters.is_empty() && shard.core.keys.awaited().is_empty());
        assert!(shard.deadlines.is_empty());
        assert_eq!(shard.scheduled(), 0);
    }
}

#[test]
fn one_who_waits_is_served_before_the_next_command() {
    for shards in [1, 2] {
        let mut rig = Rig::new(shards);
        let (waiter, pusher) = (rig.connect(0), rig.connect(0));
        assert_eq!(rig.ask(waiter, "BZPOPMIN b c 0 | PING"), "", "what follows waits too");
        assert_eq!(rig.ask(pusher, "ZADD c 1 x | ZCARD c | ZADD c 2 y"), "1 | 0 | 1");
        assert_eq!(rig.replies(waiter), "[c, x, 1] | PONG");
        assert_eq!(rig.ask(pusher, "ZCARD c"), "1", "served once");
        assert_nobody_waits(&mut rig);
    }
}

#[test]
fn clients_of_any_shard_are_served_by_keys_of_any_shard() {
    for (home, key) in [(0, "b"), (0, "a"), (1, "b"), (1, "a")] {
        let mut rig = Rig::new(2);
        let (waiter, pusher) = (rig.connect(home), rig.connect(0));
        assert_eq!(rig.ask(waiter, "BZPOPMAX a b c d 0 | PING"), "");
        assert_eq!(rig.ask(pusher, &format!("ZADD {key} 1 x 2 y")), "2");
        assert_eq!(rig.replies(waiter), format!("[{key}, y, 2] | PONG"), "home {home}, key {key}");
        assert_eq!(rig.ask(pusher, &format!("ZCARD {key}")), "1");
        assert_nobody_waits(&mut rig);
    }
}

#[test]
fn first_come_first_served() {
    for keys in ["a", "b", "a b"] {
        let mut rig = Rig::new(2);
        let waiters = [0, 1, 0, 1].map(|home| rig.connect(home));
        let pusher = rig.connect(1);
        for waiter in waiters {
            assert_eq!(rig.ask(waiter, &format!("BZPOPMIN {keys} 0")), "");
        }
        let key = &keys[..1];
        for (n, waiter) in waiters.into_iter().enumerate() {
            assert_eq!(rig.ask(pusher, &format!("ZADD {key} {n} m")), "1");
            assert_eq!(rig.replies(waiter), format!("[{key}, m, {n}]"), "{keys}, waiter {n}");
        }
        assert_nobody_waits(&mut rig);
    }
}

#[test]
fn several_elements_serve_several() {
    for keys in ["b", "a", "a b"] {
        let mut rig = Rig::new(2);
        let waiters = [0, 0, 1].map(|home| rig.connect(home));
        let pusher = rig.connect(0);
        for waiter in waiters {
            rig.ask(waiter, &format!("BZPOPMIN {keys} 0"));
        }
        let key = &keys[..1];
        rig.ask(pusher, &format!("ZADD {key} 1 x 2 y"));
        assert_eq!(rig.replies(waiters[0]), format!("[{key}, x, 1]"));
        assert_eq!(rig.replies(waiters[1]), format!("[{key}, y, 2]"));
        assert_eq!(rig.replies(waiters[2]), "");
        assert_eq!(rig.ask(pusher, &format!("EXISTS {key}")), "0");
    }
}

#[test]
fn time_runs_out() {
    for keys in ["b", "a", "a b"] {
        let mut rig = Rig::new(2);
        let (waiter, pusher) = (rig.connect(0), rig.connect(1));
        assert_eq!(rig.ask(waiter, &format!("BZPOPMIN {keys} 0.2 | PING")), "");
        tick(&mut rig, 199);
        assert_eq!(rig.replies(waiter), "");
        tick(&mut rig, 1);
        assert_eq!(rig.replies(waiter), "nil | PONG", "{keys}");
        assert_nobody_waits(&mut rig);
        assert_eq!(rig.ask(pusher, "ZADD a 1 x | ZCARD a"), "1 | 1");
    }
}

#[test]
fn others_may_end_a_wait() {
    for keys in ["b", "a", "a b"] {
        let mut rig = Rig::new(2);
        let (waiter, other) = (rig.connect(0), rig.connect(1));
        rig.ask(waiter, &format!("BZPOPMIN {keys} 0"));
        assert_eq!(rig.ask(other, "CLIENT UNBLOCK 1"), "1");
        assert_eq!(rig.replies(waiter), "nil");
        assert_eq!(rig.ask(other, "CLIENT UNBLOCK 1"), "0");
        rig.ask(waiter, &format!("BZPOPMIN {keys} 0"));
        assert_eq!(rig.ask(other, "CLIENT UNBLOCK 1 ERROR"), "1");
        assert_eq!(rig.replies(waiter), "UNBLOCKED client unblocked via CLIENT UNBLOCK");
        assert_nobody_waits(&mut rig);
    }
}

#[test]
fn one_who_goes_is_forgotten_and_takes_nothing() {
    for keys in ["b", "a", "a b"] {
        let mut rig = Rig::new(2);
        let (waiter, second, pusher) = (rig.connect(0), rig.connect(1), rig.connect(1));
        rig.ask(waiter, &format!("BZPOPMIN {keys} 10"));
        rig.ask(second, &format!("BZPOPMIN {keys} 10"));
        rig.shards[waiter.shard].closed(waiter.client);
        rig.carry();
        let key = &keys[..1];
        assert_eq!(rig.ask(pusher, &format!("ZADD {key} 1 x")), "1");
        assert_eq!(rig.replies(second), format!("[{key}, x, 1]"));
        assert_nobody_waits(&mut rig);
    }
}

#[test]
fn nothing_waits_within_a_transaction() {
    let mut rig = Rig::new(2);
    let client = rig.connect(0);
    assert_eq!(
        rig.ask(client, "MULTI | BZPOPMIN b 0 | BZPOPMIN a b 0 | ZADD a 1 x | BZPOPMIN a b 0 | EXEC"),
        "OK | QUEUED | QUEUED | QUEUED | QUEUED | [nil, nil, 1, [a, x, 1]]"
    );
    assert_nobody_waits(&mut rig);
}

#[test]
fn a_transaction_serves_when_it_is_over() {
    for (keys, key) in [("b", "b"), ("a", "a"), ("a b", "a")] {
        let mut rig = Rig::new(2);
        let (waiter, pusher) = (rig.connect(0), rig.connect(0));
        rig.ask(waiter, &format!("BZPOPMIN {keys} 0"));
        assert_eq!(
            rig.ask(
                pusher,
                &format!("MULTI | ZADD {key} 2 y | ZADD {key} 1 x | ZCARD {key} | SET d 1 | EXEC")
            ),
            "OK | QUEUED | QUEUED | QUEUED | QUEUED | [1, 1, 2, OK]"
        );
        assert_eq!(rig.replies(waiter), format!("[{key}, x, 1]"));
    }
}

#[test]
fn whatever_makes_a_key_ready_serves() {
    for ready in ["RENAME d b", "COPY d b", "RENAME d a", "COPY d a", "RENAME c b", "COPY c a"] {
        let mut rig = Rig::new(2);
        let (waiter, pusher) = (rig.connect(0), rig.connect(1));
        rig.ask(pusher, "ZADD d 1 x | ZADD c 1 x");
        rig.ask(waiter, "BZPOPMIN a b 0");
        rig.ask(pusher, ready);
        let key = &ready[ready.len() - 1..];
        assert_eq!(rig.replies(waiter), format!("[{key}, x, 1]"), "{ready}");
    }
    let mut rig = Rig::new(2);
    let (waiter, pusher) = (rig.connect(0), rig.connect(1));
    assert_eq!(rig.ask(waiter, "SELECT 1 | BZPOPMIN a b 0"), "OK");
    assert_eq!(rig.ask(pusher, "ZADD a 1 x | SET b 1 | MOVE a 1"), "1 | OK | 1");
    assert_eq!(rig.replies(waiter), "[a, x, 1]");
    rig.ask(waiter, "BZPOPMIN b c 0");
    assert_eq!(rig.ask(pusher, "DEL b | ZADD c 1 x | SWAPDB 0 1 | ZCARD c"), "1 | 1 | OK | 0");
    assert_eq!(rig.replies(waiter), "[c, x, 1]");
}

#[test]
fn what_is_sorted_or_restored_into_a_key_serves() {
    for key in ["a", "b"] {
        let mut rig = Rig::new(2);
        let (waiter, pusher) = (rig.connect(0), rig.connect(1));
        rig.ask(pusher, "RPUSH c 2 1");
        rig.ask(waiter, "BLPOP a b 0");
        assert_eq!(rig.ask(pusher, &format!("SORT c STORE {key}")), "2");
        assert_eq!(rig.replies(waiter), format!("[{key}, 1]"));

        rig.ask(pusher, "DEL a b");
        rig.ask(waiter, "BLPOP a b 0");
        let string = rdb::encode(Value::String(b"text".to_vec()).as_ref());
        let list = {
            let shard = &mut rig.shards[0];
            let value = shard.core.keys.peek(0, &Key::new(b"c"), START_MS).expect("the list is there");
            rdb::encode(ValueRef::of(value))
        };
        for (payload, served) in [(string, String::new()), (list, format!("[{key}, 2]"))] {
            let head = format!("*5\r\n$7\r\nRESTORE\r\n$1\r\n{key}\r\n$1\r\n0\r\n${}\r\n", payload.len());
            let mut bytes = head.into_bytes();
            bytes.extend_from_slice(&payload);
            bytes.extend_from_slice(b"\r\n$7\r\nREPLACE\r\n");
            rig.receive(pusher, &bytes);
            rig.carry();
            assert_eq!(rig.replies(pusher), "OK");
            assert_eq!(rig.replies(waiter), served, "only a list serves");
        }
        assert_nobody_waits(&mut rig);
    }
}

#[test]
fn a_key_of_another_type_serves_nobody() {
    for keys in ["b", "a b"] {
        let mut rig = Rig::new(2);
        let (waiter, pusher) = (rig.connect(0), rig.connect(1));
        rig.ask(waiter, &format!("BZPOPMIN {keys} 0"));
        rig.ask(pusher, "SET b 1 | DEL b");
        assert_eq!(rig.replies(waiter), "");
        rig.ask(pusher, "ZADD b 1 x");
        assert_eq!(rig.replies(waiter), "[b, x, 1]");
    }
}

#[test]
fn a_group_delivers_from_all_keys_or_from_none() {
    let mut rig = Rig::new(2);
    let (reader, other) = (rig.connect(0), rig.connect(1));
    let keys = ["a", "b", "c", "d", "e"];
    for (n, key) in keys.into_iter().enumerate() {
        assert_eq!(rig.ask(other, &format!("XADD {key} {} f v", n + 1)), format!("{}-0", n + 1));
    }
    for lacking in keys {
        for key in keys {
            rig.ask(other, &format!("XGROUP DESTROY {key} g"));
            if key != lacking {
                assert_eq!(rig.ask(other, &format!("XGROUP CREATE {key} g 0")), "OK");
            }
        }
        for call in ["", "BLOCK 0 ", "NOACK "] {
            assert_eq!(
                rig.ask(reader, &format!("XREADGROUP GROUP g me {call}STREAMS a b c d e > > > > >")),
                format!(
                    "NOGROUP No such key '{lacking}' or consumer group 'g' in XREADGROUP with GROUP option"
                )
            );
        }
        let group =
            "[[name, g, consumers, 0, pending, 0, last-delivered-id, 0-0, entries-read, nil, lag, 1]]";
        for key in keys {
            let expected = if key == lacking { "[]" } else { group };
            assert_eq!(rig.ask(other, &format!("XINFO GROUPS {key}")), expected, "{key}, lacking {lacking}");
        }
    }
    assert_eq!(rig.ask(other, "XGROUP CREATE e g 0"), "OK");
    let entries = |ids: [u8; 5]| {
        let of = |(key, id): (&str, u8)| format!("[{key}, [[{id}-0, [f, v]]]]");
        format!("[{}]", keys.into_iter().zip(ids).map(of).collect::<Vec<_>>().join(", "))
    };
    let call = |id: &str| format!("XREADGROUP GROUP g me COUNT 5 STREAMS a b c d e {}", [id; 5].join(" "));
    assert_eq!(rig.ask(reader, &call(">")), entries([1, 2, 3, 4, 5]));
    assert_eq!(rig.ask(reader, &call(">")), "nil");
    assert_eq!(
        rig.ask(reader, &format!("MULTI | {} | EXEC", call("0"))),
        format!("OK | QUEUED | [{}]", entries([1, 2, 3, 4, 5]))
    );
    for (n, key) in keys.into_iter().enumerate() {
        let pending = format!("[[{}-0, me, 0, 2]]", n + 1);
        assert_eq!(rig.ask(other, &format!("XPENDING {key} g - + 9")), pending);
    }
    assert_nobody_waits(&mut rig);
}

#[test]
fn a_consumer_that_waits_is_noted() {
    for keys in ["b c", "a d", "a b"] {
        let mut rig = Rig::new(2);
        let (waiter, other) = (rig.connect(0), rig.connect(1));
        for key in keys.split(' ') {
            rig.ask(other, &format!("XGROUP CREATE {key} g $ MKSTREAM"));
        }
        assert_eq!(rig.ask(waiter, &format!("XREADGROUP GROUP g me BLOCK 50 STREAMS {keys} > >")), "");
        tick(&mut rig, 7);
        for key in keys.split(' ') {
            assert_eq!(
                rig.ask(other, &format!("XINFO CONSUMERS {key} g")),
                "[[name, me, pending, 0, idle, 7, inactive, -1]]",
                "{keys}"
            );
        }
        tick(&mut rig, 43);
        assert_eq!(rig.replies(waiter), "nil");
        assert_nobody_waits(&mut rig);
    }
}

/// Two who wait for a key that they share: whatever a consumer has pending, it has been told of.
#[test]
fn what_is_delivered_is_told_in_every_order_of_messages() {
    for seed in 0..300u64 {
        let mut rig = Rig::new(2);
        let mut rng = Rng::new(seed);
        let (first, second, other) = (rig.connect(0), rig.connect(1), rig.connect(0));
        for key in ["a", "b", "d"] {
            rig.ask(other, &format!("XGROUP CREATE {key} g $ MKSTREAM"));
        }
        let mut steps = vec![
            (first, "XREADGROUP GROUP g first BLOCK 0 STREAMS a b > >"),
            (other, "XADD d 1 f v"),
            (other, "XADD b 1 f v"),
            (second, "XREADGROUP GROUP g second COUNT 1 BLOCK 0 STREAMS b d > >"),
            (other, "XADD b 2 f v"),
            (other, "XADD a 1 f v"),
        ];
        if rng.below(2) == 0 {
            steps.swap(1, 3);
        }
        steps.reverse();
        let mut in_flight: Vec<VecDeque<ShardMessage>> = vec![VecDeque::new(), VecDeque::new()];
        while !steps.is_empty() || in_flight.iter().any(|queue| !queue.is_empty()) {
            for shard in &mut rig.shards {
                while let Some((target, message)) = shard.take_message() {
                    in_flight[usize::from(target)].push_back(message);
                }
            }
            let choice = rng.below(3) as usize;
            if let Some(message) = in_flight.get_mut(choice).and_then(VecDeque::pop_front) {
                rig.shards[choice].message(message, rig.now_ms);
            } else if choice == 2
                && let Some((peer, step)) = steps.pop()
            {
                rig.send(peer, step);
            }
        }
        rig.carry();
        for (peer, name) in [(first, "first"), (second, "second")] {
            let told = rig.replies(peer);
            let pending =
                ["a", "b", "d"].map(|key| rig.ask(other, &format!("XPENDING {key} g - + 9 {name}")));
            let pending: usize = pending.iter().map(|of| of.matches(name).count()).sum();
            assert_eq!(told.matches("[f, v]").count(), pending, "seed {seed}, {name} was told {told}");
            assert!(pending > 0, "seed {seed}, {name} waits");
        }
        assert_nobody_waits(&mut rig);
    }
}

/// A waiter with keys on two shards is told twice, while its time runs out: it gets one element or none, and the other stays.
#[test]
fn every_order_of_messages_serves_exactly_once() {
    for keys in ["a", "a b"] {
        for seed in 0..400u64 {
            let mut rig = Rig::new(2);
            let mut rng = Rng::new(seed);
            let (waiter, pusher, other) = (rig.connect(0), rig.connect(0), rig.connect(1));
            let mut steps: Vec<&str> = vec!["wait", "push", "push", "unblock", "time"];
            let mut in_flight: Vec<VecDeque<ShardMessage>> = vec![VecDeque::new(), VecDeque::new()];
            while !steps.is_empty() || in_flight.iter().any(|queue| !queue.is_empty()) {
                for shard in &mut rig.shards {
                    while let Some((target, message)) = shard.take_message() {
                        in_flight[usize::from(target)].push_back(message);
                    }
                }
                let choice = rng.below(3) as usize;
                if let Some(message) = in_flight.get_mut(choice).and_then(VecDeque::pop_front) {
                    rig.shards[choice].message(message, rig.now_ms);
                    continue;
                }
                let Some(step) = (choice == 2 && !steps.is_empty()).then(|| steps.remove(0)) else {
                    continue;
                };
                match step {
                    "wait" => rig.send(waiter, &format!("BZPOPMIN {keys} 0.1")),
                    "push" => {
                        let key = &keys[keys.len() - 1..];
                        let from = if rng.below(2) == 0 { pusher } else { other };
                        rig.send(from, &format!("ZADD {key} {} m{}", steps.len(), steps.len()));
                    }
                    "unblock" => rig.send(other, "CLIENT UNBLOCK 1"),
                    _ => {
                        rig.now_ms += 100;
                        let now_ms = rig.now_ms;
                        rig.shards.iter_mut().for_each(|shard| shard.tick(now_ms));
                    }
                }
            }
            rig.carry();
            let got = rig.replies(waiter);
            let members = rig.ask(other, "ZRANGE a 0 -1 | ZRANGE b 0 -1");
            let taken = got.matches('m').count();
            let there = members.matches("m").count();
            assert_eq!(taken + there, 2, "{keys}, seed {seed}: got {got}, left {members}");
            assert!(got == "nil" || taken == 1, "{keys}, seed {seed}: {got}");
            assert_nobody_waits(&mut rig);
        }
    }
}
