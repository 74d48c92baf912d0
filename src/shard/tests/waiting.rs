//! Waiting under bad conditions: orders of messages that keep each channel's and are otherwise drawn by lot, clients that go, words at the
//! edge of what is allowed. With two shards, 0 owns `b` and `c`, 1 owns `a` and `d`.

use super::blocking::{assert_nobody_waits, tick};
use super::*;
use crate::store::keyspace::Key;
use crate::store::object::{Kind, kind};
use crate::store::stream::{Stream, StreamId};

const KEYS: [&str; 4] = ["a", "b", "c", "d"];

/// Sends the steps in order, while messages arrive in an order that the seed gives.
fn mixed(rig: &mut Rig, seed: u64, steps: Vec<(Peer, String)>) {
    let mut rng = Rng::new(seed);
    let mut steps = VecDeque::from(steps);
    let mut in_flight: Vec<VecDeque<ShardMessage>> = rig.shards.iter().map(|_| VecDeque::new()).collect();
    let shards = in_flight.len();
    while !steps.is_empty() || in_flight.iter().any(|queue| !queue.is_empty()) {
        for shard in &mut rig.shards {
            while let Some((target, message)) = shard.take_message() {
                in_flight[usize::from(target)].push_back(message);
            }
        }
        let choice = rng.below(shards as u64 + 1) as usize;
        if let Some(message) = in_flight.get_mut(choice).and_then(VecDeque::pop_front) {
            rig.shards[choice].message(message, rig.now_ms);
        } else if choice == shards
            && let Some((peer, commands)) = steps.pop_front()
        {
            rig.send(peer, &commands);
        }
    }
    rig.carry();
}

fn shown_steps(steps: &[(Peer, String)]) -> String {
    steps.iter().map(|(peer, commands)| format!("{}: {commands}\n", peer.shard)).collect()
}

// What comes before and after --------------------------------------------------------------------------------------

#[test]
fn a_command_behind_exec_in_one_read_may_wait() {
    for shards in [1, 2] {
        for keys in ["b", "a b"] {
            let mut rig = Rig::new(shards);
            let (waiter, pusher) = (rig.connect(0), rig.connect(0));
            let commands = format!("MULTI | PING | EXEC | BLPOP {keys} 0");
            assert_eq!(rig.ask(waiter, &commands), "OK | QUEUED | [PONG]");
            rig.ask(pusher, "RPUSH b 1");
            assert_eq!(rig.replies(waiter), "[b, 1]");
        }
    }
}

#[test]
fn unwanted_replies_are_unwanted_after_a_wait_too() {
    for keys in ["b", "a", "a b"] {
        let mut rig = Rig::new(2);
        let (waiter, pusher) = (rig.connect(0), rig.connect(1));
        let push = format!("RPUSH {} 1", &keys[..1]);
        assert_eq!(rig.ask(waiter, &format!("CLIENT REPLY SKIP | BLPOP {keys} 0 | PING")), "");
        rig.ask(pusher, &push);
        assert_eq!(rig.replies(waiter), "PONG");
        assert_eq!(
            rig.ask(waiter, &format!("CLIENT REPLY OFF | BLPOP {keys} 0 | PING | CLIENT REPLY ON")),
            ""
        );
        rig.ask(pusher, &push);
        assert_eq!(rig.replies(waiter), "OK");
        rig.ask(waiter, &format!("CLIENT REPLY OFF | BLPOP {keys} 0.1 | PING | CLIENT REPLY ON"));
        tick(&mut rig, 200);
        assert_eq!(rig.replies(waiter), "OK");
        assert!(rig.ask(waiter, &format!("HELLO 3 | BLPOP {keys} 0.1 | RESET | PING")).contains("server"));
        tick(&mut rig, 200);
        assert_eq!(rig.replies(waiter), "nil | RESET | PONG");
    }
}

// Those who go -----------------------------------------------------------------------------------------------------

#[test]
fn one_who_was_killed_takes_nothing() {
    for keys in ["b", "a", "a b"] {
        let mut rig = Rig::new(2);
        let (waiter, pusher) = (rig.connect(0), rig.connect(1));
        let key = &keys[..1];
        rig.ask(waiter, &format!("BLPOP {keys} 0"));
        assert_eq!(rig.ask(pusher, "CLIENT KILL ID 1"), "1");
        assert_eq!(rig.ask(pusher, &format!("RPUSH {key} 1 | LLEN {key}")), "1 | 1", "{keys}");
        assert_nobody_waits(&mut rig);
    }
}

/// What follows `CLIENT KILL` and `CLIENT UNBLOCK` finds them done, be it in the same read, behind a command under way or in `EXEC`.
#[test]
fn what_follows_in_a_read_finds_the_waiter_gone() {
    for (shards, home, before) in
        [(1, 0, ""), (2, 0, ""), (2, 1, ""), (2, 0, "PING | "), (2, 0, "GET d | "), (2, 1, "GET d | ")]
    {
        let told = if before.is_empty() {
            ""
        } else if before == "PING | " {
            "PONG | "
        } else {
            "nil | "
        };
        let mut rig = Rig::new(shards);
        let (waiter, pusher) = (rig.connect(home), rig.connect(0));
        rig.ask(waiter, "BLPOP b 0");
        let asked = rig.ask(pusher, &format!("{before}CLIENT KILL ID 1 | RPUSH b 1 | PING"));
        assert_eq!(asked, format!("{told}1 | 1 | PONG"), "{shards} shards, home {home}, {before}");
        assert_eq!(rig.ask(pusher, "LLEN b"), "1", "{shards} shards, home {home}, {before}");
        assert_nobody_waits(&mut rig);
    }
    for shards in [1, 2] {
        let mut rig = Rig::new(shards);
        let (waiter, pusher) = (rig.connect(0), rig.connect(0));
        rig.ask(waiter, "BLPOP b 0");
        assert_eq!(
            rig.ask(pusher, "MULTI | CLIENT KILL ID 1 | RPUSH b 1 | EXEC | LLEN b"),
            "OK | QUEUED | QUEUED | [1, 1] | 1"
        );
        let waiter = rig.connect(0);
        rig.ask(waiter, "BLPOP c 0");
        assert_eq!(rig.ask(pusher, "CLIENT UNBLOCK 3 | RPUSH c 1 | LLEN c"), "1 | 1 | 1", "{shards} shards");
        assert_eq!(rig.replies(waiter), "nil");
        assert_nobody_waits(&mut rig);
    }
}

#[test]
fn one_who_hangs_up_takes_nothing() {
    for keys in ["b", "a", "a b"] {
        for is_half in [false, true] {
            let mut rig = Rig::new(2);
            let (waiter, pusher) = (rig.connect(0), rig.connect(1));
            rig.ask(waiter, &format!("BLPOP {keys} 0"));
            if is_half {
                rig.shards[0].end_of_input(waiter.client, START_MS);
            } else {
                rig.shards[0].disconnected(waiter.client, START_MS);
            }
            assert!(rig.wants(waiter).close);
            rig.carry();
            let key = &keys[..1];
            assert_eq!(rig.ask(pusher, &format!("RPUSH {key} 1 | LLEN {key}")), "1 | 1", "{keys}, {is_half}");
        }
    }
}

/// The reads of the try find an element, and then the client is gone.
#[test]
fn one_who_goes_during_a_try_takes_nothing() {
    for (is_again, how) in
        [(false, "gone"), (false, "killed"), (true, "gone"), (true, "killed"), (true, "half")]
    {
        let mut rig = Rig::new(2);
        let (waiter, next, pusher) = (rig.connect(0), rig.connect(1), rig.connect(1));
        if is_again {
            rig.ask(waiter, "BLPOP b a 0 | RPUSH c never");
            rig.ask(next, "BLPOP a 0");
            rig.send(pusher, "RPUSH a 1");
            let (target, ready) = rig.shards[1].take_message().expect("the waiter is told");
            rig.shards[usize::from(target)].message(ready, START_MS);
        } else {
            rig.ask(pusher, "RPUSH a 1");
            rig.send(waiter, "BLPOP b a 0");
        }
        assert!(!rig.shards[0].outbox.is_empty(), "the try is under way");
        match how {
            "gone" => rig.shards[0].closed(waiter.client),
            "killed" => rig.shards[0].disconnected(waiter.client, START_MS),
            _ => rig.shards[0].end_of_input(waiter.client, START_MS),
        }
        rig.carry();
        if !is_again {
            rig.send(next, "BLPOP a 0");
        }
        assert!(rig.replies(next).ends_with("[a, 1]"), "again: {is_again}, {how}");
        assert_nobody_waits(&mut rig);
        assert_eq!(rig.ask(next, "EXISTS a c"), "0");
    }
}

#[test]
fn one_who_was_told_to_go_on_is_told_once() {
    for keys in ["b", "a", "a b"] {
        let mut rig = Rig::new(2);
        let (waiter, other) = (rig.connect(0), rig.connect(0));
        rig.ask(waiter, &format!("BLPOP {keys} 0"));
        assert_eq!(rig.ask(other, "CLIENT UNBLOCK 1 | CLIENT UNBLOCK 1"), "1 | 0", "{keys}");
    }
}

// Words ------------------------------------------------------------------------------------------------------------

/// Right words wait and wrong ones are refused, whether the keys are on one shard or on several.
#[test]
fn the_number_of_shards_makes_no_difference_to_words() {
    for (command, expected) in [
        ("BLMPOP 0 2 a LEFT", "ERR syntax error"),
        ("BLMPOP 0 0 a LEFT", "ERR numkeys should be greater than 0"),
        ("BLMPOP 0 9223372036854775807 a b LEFT", "ERR syntax error"),
        ("BLMPOP x 2 a b LEFT", "ERR timeout is not a float or out of range"),
        ("BLMPOP 0 2 a b UP", "ERR syntax error"),
        ("BLMPOP 0 2 a b LEFT COUNT 0", "ERR count should be greater than 0"),
        ("BLMPOP 0 2 a b LEFT COUNT 7", ""),
        ("BZMPOP 0 2 a MIN", "ERR syntax error"),
        ("BZMPOP -1 2 a b MIN", "ERR timeout is negative"),
        ("BZMPOP 0 2 a b MIN COUNT", "ERR syntax error"),
        ("BZMPOP 0 2 a b MIN COUNT x", "ERR count should be greater than 0"),
        ("BZMPOP 0.5 2 a b MAX", ""),
        ("XREAD BLOCK -1 STREAMS a b $ $", "ERR timeout is negative"),
        ("XREAD BLOCK 9223372036854775807 STREAMS a b $ $", "ERR timeout is out of range"),
        ("XREAD BLOCK 0 COUNT STREAMS a b $ $", "ERR value is not an integer or out of range"),
        ("XREAD BLOCK 0 STREAMS a b $ $", ""),
        ("XREAD STREAMS a b $ $", "nil"),
        (
            "XREADGROUP GROUP g c BLOCK 0 STREAMS a b > >",
            "NOGROUP No such key 'a' or consumer group 'g' in XREADGROUP with GROUP option",
        ),
        ("BLPOP a b nan", "ERR timeout is not a float or out of range"),
        ("BLPOP a b -1", "ERR timeout is negative"),
        ("BLPOP a b inf", "ERR timeout is out of range"),
        ("BLPOP a b 9223372036854775", "ERR timeout is out of range"),
        ("BLPOP a b 0", ""),
        ("BLMOVE a b X LEFT 0", "ERR syntax error"),
        ("BLMOVE a b LEFT LEFT x", "ERR timeout is not a float or out of range"),
        ("BLMOVE a b LEFT LEFT 0", ""),
        ("BRPOPLPUSH a b -1", "ERR timeout is negative"),
    ] {
        for shards in [1, 2] {
            let mut rig = Rig::new(shards);
            let (waiter, other) = (rig.connect(0), rig.connect(0));
            assert_eq!(rig.ask(waiter, command), expected, "{command}, {shards} shards");
            let waits = rig.ask(other, "CLIENT UNBLOCK 1") == "1";
            assert_eq!(waits, expected.is_empty(), "{command}, {shards} shards");
            assert_nobody_waits(&mut rig);
        }
    }
}

#[test]
fn a_key_may_be_named_twice() {
    for shards in [1, 2] {
        let mut rig = Rig::new(shards);
        let waiter = rig.connect(0);
        for command in [
            "BLPOP a a b b a 0.1",
            "BLPOP b b 0.1",
            "BLMOVE a a LEFT RIGHT 0.1",
            "BLMOVE b b LEFT RIGHT 0.1",
            "BLMPOP 0.1 4 a a b b LEFT",
            "XREAD BLOCK 100 STREAMS a a b $ $ $",
        ] {
            assert_eq!(rig.ask(waiter, command), "");
            tick(&mut rig, 200);
            assert_eq!(rig.replies(waiter), "nil", "{command}");
            assert_nobody_waits(&mut rig);
        }
    }
}

/// A timeout that comes to its end just before time does is right when the command comes, and must not be wrong when it is tried again.
#[test]
fn a_long_timeout_stays_right() {
    let ms = i64::MAX - START_MS;
    let seconds = format!("{}.{:03}", ms / 1000, ms % 1000);
    for (command, vain, push, expected) in [
        (format!("BLPOP a b {seconds}"), "SET b x", "RPUSH a 1", "[a, 1]"),
        (format!("BLPOP a {seconds}"), "SET b x", "RPUSH a 1", "[a, 1]"),
        (format!("BLPOP b {seconds}"), "SET b x", "DEL b | RPUSH b 1", "[b, 1]"),
        (format!("BZPOPMIN a b {seconds}"), "SET b x", "ZADD a 1 m", "[a, m, 1]"),
        (format!("BLMOVE a c LEFT LEFT {seconds}"), "SET b x", "RPUSH a 1", "1"),
        (format!("BLMPOP {seconds} 2 a b LEFT"), "SET b x", "RPUSH a 1", "[a, [1]]"),
        (format!("BZMPOP {seconds} 1 a MIN"), "SET b x", "ZADD a 1 m", "[a, [[m, 1]]]"),
        (
            format!("XREAD BLOCK {ms} STREAMS a b 5 5"),
            "XADD a 1 x y",
            "XADD b 6-1 x y",
            "[[b, [[6-1, [x, y]]]]]",
        ),
        (format!("XREAD BLOCK {ms} STREAMS b 5"), "XADD b 1 x y", "XADD b 6-1 x y", "[[b, [[6-1, [x, y]]]]]"),
        (
            format!("XREADGROUP GROUP block c BLOCK {ms} STREAMS c d > >"),
            "XGROUP SETID d block $",
            "XADD c 1 x y",
            "[[c, [[1-0, [x, y]]]]]",
        ),
    ] {
        let mut rig = Rig::new(2);
        let (waiter, pusher) = (rig.connect(0), rig.connect(0));
        rig.ask(pusher, "XGROUP CREATE c block $ MKSTREAM | XGROUP CREATE d block $ MKSTREAM");
        if command.contains("LEFT LEFT") {
            rig.ask(pusher, "DEL c");
        }
        assert_eq!(rig.ask(waiter, &command), "");
        tick(&mut rig, 10);
        rig.ask(pusher, vain);
        assert_eq!(rig.replies(waiter), "", "{command}");
        rig.ask(pusher, push);
        assert_eq!(rig.replies(waiter), expected, "{command}");
        assert_nobody_waits(&mut rig);
    }
}

/// All reads of a command share its words: twice the keys make twice the bytes, not four times.
#[test]
fn a_command_of_many_keys_makes_messages_in_proportion() {
    let commands: [fn(&str, usize) -> String; 4] = [
        |keys, _| format!("BLPOP {keys} 1"),
        |keys, count| format!("BLMPOP 1 {count} {keys} LEFT"),
        |keys, count| format!("ZMPOP {count} {keys} MIN"),
        |keys, count| format!("XREAD STREAMS {keys} {}", vec!["0"; count].join(" ")),
    ];
    for command in commands {
        let packed = [500, 1000].map(|count| {
            let mut rig = Rig::new(2);
            let waiter = rig.connect(0);
            let keys: Vec<String> = (0..count).map(|n| format!("k{n}")).collect();
            rig.send(waiter, &command(&keys.join(" "), count));
            let bytes = rig.shards[0].outbox.iter().map(|(_, message)| match &message.0 {
                Message::Schedule(calls) | Message::Run(calls) => calls.buffer.len() + calls.spans.len(),
                _ => 0,
            });
            let bytes: usize = bytes.sum();
            rig.carry();
            tick(&mut rig, 2000);
            assert_eq!(rig.replies(waiter), "nil");
            bytes
        });
        assert!(packed[0] > 0 && packed[1] < 3 * packed[0], "{packed:?} bytes for {}", command("k", 1));
    }
}

// Groups of consumers ----------------------------------------------------------------------------------------------

#[test]
fn a_try_in_vain_is_no_reason_for_another() {
    let mut rig = Rig::new(2);
    let (waiter, other) = (rig.connect(0), rig.connect(0));
    rig.ask(other, "XGROUP CREATE a g $ MKSTREAM | XGROUP CREATE b g $ MKSTREAM");
    assert_eq!(rig.ask(waiter, "XREADGROUP GROUP g c BLOCK 0 STREAMS a b > >"), "");
    rig.ask(other, "XGROUP CREATECONSUMER a g other");
    assert_eq!(rig.replies(waiter), "");
    rig.ask(other, "XADD a 1-1 x y");
    assert_eq!(rig.replies(waiter), "[[a, [[1-1, [x, y]]]]]");
}

#[test]
fn one_in_vain_keeps_no_other_group_waiting() {
    let mut rig = Rig::new(2);
    let (first, second, other) = (rig.connect(0), rig.connect(1), rig.connect(0));
    for group in ["g", "h"] {
        rig.ask(other, &format!("XGROUP CREATE a {group} $ MKSTREAM | XGROUP CREATE b {group} $ MKSTREAM"));
    }
    let wait = |rig: &mut Rig| {
        assert_eq!(rig.ask(first, "XREADGROUP GROUP g c BLOCK 0 STREAMS a b > >"), "");
        assert_eq!(rig.ask(second, "XREADGROUP GROUP h c BLOCK 0 STREAMS a b > >"), "");
    };
    wait(&mut rig);
    rig.ask(other, "XADD a 1-1 x y");
    assert_eq!(rig.replies(first), "[[a, [[1-1, [x, y]]]]]");
    assert_eq!(rig.replies(second), "[[a, [[1-1, [x, y]]]]]");
    wait(&mut rig);
    // The first one's entry is gone by the time that it may try.
    rig.ask(other, "MULTI | XADD a 2-1 x y | XREADGROUP GROUP g z STREAMS a > | EXEC");
    assert_eq!(rig.replies(first), "");
    assert_eq!(rig.replies(second), "[[a, [[2-1, [x, y]]]]]");
}

/// What one consumer is given is nothing for those who wait; entries that its group goes back to are.
#[test]
fn deliveries_wake_nobody_and_going_back_does() {
    let mut rig = Rig::new(2);
    let (waiter, other) = (rig.connect(0), rig.connect(1));
    rig.ask(other, "XGROUP CREATE a g $ MKSTREAM | XGROUP CREATE b g $ MKSTREAM | XGROUP CREATE a h 0");
    rig.ask(other, "XADD a 1 x y | XGROUP SETID a g $");
    assert_eq!(rig.ask(waiter, "XREADGROUP GROUP g c BLOCK 0 STREAMS a b > >"), "");
    rig.send(other, "XREADGROUP GROUP h z STREAMS a > | XACK a h 1");
    assert_eq!(rig.replies(other), "[[a, [[1-0, [x, y]]]]] | 1");
    assert_eq!(rig.carry(), 0, "nobody is told");
    rig.ask(other, "XGROUP SETID a g 0");
    assert_eq!(rig.replies(waiter), "[[a, [[1-0, [x, y]]]]]");
}

// Orders of messages -----------------------------------------------------------------------------------------------

/// The first waiter is served with an error, which takes nothing: the second one must not be forgotten for it.
#[test]
fn an_error_served_leaves_the_element_to_the_next() {
    for seed in 0..300 {
        let mut rig = Rig::new(2);
        let (mover, waiter) = (rig.connect(0), rig.connect(1));
        let pushers = [rig.connect(0), rig.connect(1)];
        rig.ask(pushers[0], "SET c string");
        rig.ask(mover, "BLMOVE b c LEFT LEFT 0");
        rig.ask(waiter, "BLPOP b 0");
        let steps = vec![
            (pushers[0], "MULTI | RPUSH b 1 | SET a 1 | EXEC".to_owned()),
            (pushers[1], "MULTI | LLEN b | SET a 2 | SET d 1 | EXEC".to_owned()),
        ];
        mixed(&mut rig, seed, steps);
        assert_eq!(rig.replies(waiter), "[b, 1]", "seed {seed}: the first got {}", rig.replies(mover));
    }
}

/// One who comes while something may be taken by others, who then do not take it.
#[test]
fn a_newcomer_behind_a_promise_is_not_forgotten() {
    for seed in 0..300 {
        let mut rig = Rig::new(2);
        let (reader, consumer) = (rig.connect(0), rig.connect(1));
        let pusher = rig.connect(0);
        rig.ask(pusher, "XGROUP CREATE a g $ MKSTREAM | XADD a 1-1 x y | XADD a 1-2 x y");
        rig.ask(reader, "XREAD BLOCK 0 STREAMS a b 9-0 $");
        let steps = vec![
            (pusher, "XADD a 1-3 x y".to_owned()),
            (consumer, "XREADGROUP GROUP g c BLOCK 0 STREAMS a >".to_owned()),
        ];
        mixed(&mut rig, seed, steps);
        assert!(rig.replies(consumer).contains("1-1"), "seed {seed}");
    }
}

/// A promise keeps newcomers from the key they wait for, not from seeing what is at others.
#[test]
fn a_promised_destination_of_another_type_is_refused() {
    for seed in 0..300 {
        let mut rig = Rig::new(2);
        let (waiter, mover, pusher) = (rig.connect(0), rig.connect(0), rig.connect(1));
        rig.ask(pusher, "RPUSH c 1");
        rig.ask(waiter, "BZPOPMIN a b 0");
        let steps = vec![(pusher, "ZADD a 1 x 2 y".to_owned()), (mover, "BLMOVE c a LEFT LEFT 0".to_owned())];
        mixed(&mut rig, seed, steps);
        let reply = rig.replies(mover);
        assert!(reply.starts_with("WRONGTYPE"), "seed {seed}: {reply}");
    }
}

/// Random commands: at the end nobody waits for a list that is there, and nothing is lost or doubled.
#[test]
fn random_queues_serve_everybody_once() {
    for seed in 0..500u64 {
        let mut rig = Rig::new(2);
        let mut rng = Rng::new(seed ^ 0xabc_def0);
        let waiters: Vec<Peer> = (0..4).map(|n| rig.connect(n % 2)).collect();
        let pushers: Vec<Peer> = (0..2).map(|n| rig.connect(n % 2)).collect();
        let mut pushed = 0;
        let mut steps = Vec::new();
        for n in 0..10 {
            let [x, y] = [(); 2].map(|()| KEYS[rng.below(4) as usize]);
            if rng.below(2) == 0 {
                let command = match rng.below(5) {
                    0 => format!("BLPOP {x} {y} 0"),
                    1 => format!("BLMOVE {x} {y} LEFT RIGHT 0"),
                    2 => format!("BLMPOP 0 2 {x} {y} LEFT COUNT 2"),
                    3 => format!("BRPOP {x} 0"),
                    _ => format!("BZPOPMIN {x} {y} 0"),
                };
                steps.push((waiters[rng.below(4) as usize], command));
            } else {
                let kind = rng.below(7);
                pushed += [1, 1, 2, 0, 0, 0, 0][kind as usize];
                let command = match kind {
                    0 | 1 => format!("RPUSH {x} <e{n}>"),
                    2 => format!("MULTI | RPUSH {x} <e{n}> | RPUSH {y} <f{n}> | EXEC"),
                    3 => format!("MULTI | LLEN {x} | SET {y}z 1 | EXISTS {y} | EXEC"),
                    4 => format!("RENAMENX {x} {y}"),
                    5 => format!("LMOVE {x} {y} LEFT LEFT"),
                    _ => format!("CLIENT UNBLOCK {}", rng.below(4) + 1),
                };
                steps.push((pushers[rng.below(2) as usize], command));
            }
        }
        let told = format!("seed {seed}\n{}", shown_steps(&steps));
        mixed(&mut rig, seed, steps);
        for key in KEYS {
            assert_no_list_is_waited_for(&mut rig, key, &told);
        }
        // A mover gets an element and leaves it in a list: only arrays say what is gone.
        let got: usize = waiters
            .iter()
            .map(|waiter| rig.replies(*waiter))
            .map(|replies| {
                let arrays = replies.split(" | ").filter(|reply| reply.starts_with('['));
                arrays.map(|reply| reply.matches('<').count()).sum::<usize>()
            })
            .sum();
        let reader = rig.connect(0);
        let left = rig.ask(reader, "LRANGE a 0 -1 | LRANGE b 0 -1 | LRANGE c 0 -1 | LRANGE d 0 -1");
        assert_eq!(got + left.matches('<').count(), pushed, "{told}got {got}, left {left}");
    }
}

fn assert_no_list_is_waited_for(rig: &mut Rig, name: &str, told: &str) {
    let key = Key::new(name.as_bytes());
    let core = &mut rig.shards[usize::from(slots_of(1, 2).contains(&key.slot.index()))].core;
    let is_list = core.keys.peek(0, &key, START_MS).map(kind) == Some(Kind::List);
    let line: Vec<u64> = core.keys.awaited().line(0, key.bytes).to_vec();
    let is_waited_for = line.iter().any(|ticket| core.kind_of_waiter(*ticket) == Kind::List);
    assert!(!is_list || !is_waited_for, "{told}somebody waits for {name}, which is there");
}

/// Random commands on streams: it comes to an end, and nobody is left waiting for an entry that it, or its group, has not had.
#[test]
fn random_streams_serve_everybody() {
    for seed in 0..400u64 {
        let mut rig = Rig::new(2);
        let mut rng = Rng::new(seed ^ 0x5eed);
        let waiters: Vec<Peer> = (0..4).map(|n| rig.connect(n % 2)).collect();
        let pushers: Vec<Peer> = (0..2).map(|n| rig.connect(n % 2)).collect();
        for key in KEYS {
            rig.ask(pushers[0], &format!("XGROUP CREATE {key} g $ MKSTREAM | XGROUP CREATE {key} h $"));
        }
        let mut steps = Vec::new();
        let mut has_waited = [false; 4];
        for n in 1..12 {
            let [x, y] = [(); 2].map(|()| KEYS[rng.below(4) as usize]);
            let waiter = rng.below(4) as usize;
            if rng.below(2) == 0 && !has_waited[waiter] {
                has_waited[waiter] = true;
                let group = ["g", "h"][rng.below(2) as usize];
                let command = match rng.below(3) {
                    0 => format!("XREADGROUP GROUP {group} c BLOCK 0 STREAMS {x} >"),
                    1 => format!("XREAD BLOCK 0 STREAMS {x} {y} 6-0 6-0"),
                    _ => format!("XREADGROUP GROUP {group} c BLOCK 0 STREAMS {x} {y} > >"),
                };
                steps.push((waiters[waiter], command));
            } else {
                let command = match rng.below(6) {
                    0 | 1 => format!("XADD {x} {n}-0 x y"),
                    2 => format!("MULTI | XADD {x} {n}-0 x y | XADD {y} {n}-1 x y | EXEC"),
                    3 => format!("XREADGROUP GROUP g z COUNT 1 STREAMS {x} {y} > >"),
                    4 => format!("CLIENT UNBLOCK {}", rng.below(4) + 1),
                    _ => format!("XGROUP CREATECONSUMER {x} g n{n}"),
                };
                steps.push((pushers[rng.below(2) as usize], command));
            }
        }
        let told = format!("seed {seed}\n{}", shown_steps(&steps));
        mixed(&mut rig, seed, steps);
        for shard in &mut rig.shards {
            assert_no_entry_is_waited_for(&mut shard.core, &told);
        }
    }
}

fn assert_no_entry_is_waited_for(core: &mut Core, told: &str) {
    let tickets: Vec<u64> = core.waiters.keys().copied().collect();
    for ticket in tickets {
        let words = core.words_of_waiter(ticket);
        let place = |word: &str| words.iter().position(|other| other == word);
        let group = place("GROUP").map(|at| words[at + 1].clone());
        let behind = place("STREAMS").expect("it reads streams") + 1;
        for name in &words[behind..behind + (words.len() - behind) / 2] {
            let key = Key::new(name.as_bytes());
            if core.owner(key.slot) != core.server.shard {
                continue;
            }
            let stream =
                core.keys.peek_view::<Stream>(0, &key, START_MS).expect("a stream").expect("it stays");
            let read = match &group {
                Some(group) => stream.group(group.as_bytes()).expect("it stays").last_id.parts(),
                None => (6, 0),
            };
            let last = stream.last_entry_id().map(StreamId::parts);
            assert!(
                last.is_none_or(|last| last <= read),
                "{told}{words:?} wait for {last:?} behind {read:?}"
            );
        }
    }
}
