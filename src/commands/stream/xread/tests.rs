//! XREAD and XREADGROUP, and the words with which they wait.

use super::{find_keys, timeout_ms};
use crate::base::args::OwnedArgs;
use crate::commands::testing::{Bench, Gathers, check};
use crate::resp::write::Protocol;

const NEW: &str = "STREAMS s >";

fn bench() -> Bench {
    let mut bench = Bench::default();
    bench.run("XADD s 1 a b | XADD s 2 a b | XADD s 3 a b | XADD t 5 c d | XGROUP CREATE s g 0 | XGROUP CREATE t g 0");
    bench
}

#[test]
fn reads_behind_ids() {
    let mut bench = bench();
    for (call, expected) in [
        ("XREAD STREAMS s 0", "[[s, [[1-0, [a, b]], [2-0, [a, b]], [3-0, [a, b]]]]]"),
        ("XREAD COUNT 1 STREAMS s t 1 4-9", "[[s, [[2-0, [a, b]]]], [t, [[5-0, [c, d]]]]]"),
        ("XREAD STREAMS t missing s 5 0 2-1", "[[s, [[3-0, [a, b]]]]]"),
        ("XREAD COUNT -1 STREAMS s 2", "[[s, [[3-0, [a, b]]]]]"),
        ("XREAD STREAMS s $", "nil"),
        ("XREAD STREAMS s t 3 18446744073709551615-18446744073709551615", "nil"),
    ] {
        assert_eq!(bench.run(call), expected, "{call}");
    }
    assert_eq!(bench.run("XDEL s 3 | XREAD STREAMS s 2"), "1 | nil");
}

#[test]
fn shows_maps_in_resp3() {
    let mut bench = bench();
    for call in ["XREAD COUNT 1 STREAMS s t 2 0", "XREADGROUP GROUP g c COUNT 1 STREAMS s t > >"] {
        let id = if call.starts_with("XREAD ") { 3 } else { 1 };
        bench.server.sessions.get_mut(0).expect("a client").protocol = Protocol::Resp3;
        assert_eq!(bench.run(call), format!("{{s: [[{id}-0, [a, b]]], t: [[5-0, [c, d]]]}}"));
    }
    assert_eq!(bench.run("XREAD STREAMS s 2"), "{s: [[3-0, [a, b]]]}");
}

#[test]
fn delivers_each_entry_once() {
    let mut bench = bench();
    for (call, expected) in [
        (format!("XREADGROUP GROUP g c COUNT 2 {NEW}"), "[[s, [[1-0, [a, b]], [2-0, [a, b]]]]]"),
        (format!("XREADGROUP GROUP g d COUNT 2 {NEW}"), "[[s, [[3-0, [a, b]]]]]"),
        (format!("XREADGROUP GROUP g c {NEW}"), "nil"),
        ("XREADGROUP GROUP g c STREAMS s 0".into(), "[[s, [[1-0, [a, b]], [2-0, [a, b]]]]]"),
        ("XREADGROUP GROUP g c COUNT 1 STREAMS s 1".into(), "[[s, [[2-0, [a, b]]]]]"),
        ("XREADGROUP GROUP g e STREAMS s 0".into(), "[[s, []]]"),
        ("XPENDING s g - + 9".into(), "[[1-0, c, 0, 2], [2-0, c, 0, 3], [3-0, d, 0, 1]]"),
        ("XREADGROUP GROUP g c STREAMS t t > >".into(), "[[t, [[5-0, [c, d]]]]]"),
    ] {
        assert_eq!(bench.run(&call), expected, "{call}");
    }
    bench.check_journal();
}

#[test]
fn keeps_nothing_pending_without_acknowledgements() {
    check(
        "XADD s 1 a b | XGROUP CREATE s g 0 | XREADGROUP GROUP g c NOACK STREAMS s > | XPENDING s g | XINFO CONSUMERS s g",
        "1-0 | OK | [[s, [[1-0, [a, b]]]]] | [0, nil, nil, nil] | [[name, c, pending, 0, idle, 0, inactive, -1]]",
    );
}

#[test]
fn shows_deleted_entries_of_the_past() {
    check(
        "XADD s 1 a b | XADD s 2 a b | XGROUP CREATE s g 0 | XREADGROUP GROUP g c STREAMS s > | XDEL s 1 | @5ms | \
         XREADGROUP GROUP g c STREAMS s 0 | XPENDING s g - + 9",
        "1-0 | 2-0 | OK | [[s, [[1-0, [a, b]], [2-0, [a, b]]]]] | 1 | [[s, [[1-0, nil], [2-0, [a, b]]]]] | \
         [[1-0, c, 5, 1], [2-0, c, 0, 2]]",
    );
}

#[test]
fn takes_over_what_was_pending_when_read_again() {
    check(
        "XADD s 1 a b | XGROUP CREATE s g 0 | XREADGROUP GROUP g c STREAMS s > | XREADGROUP GROUP g c STREAMS s 0 | \
         XGROUP SETID s g 0 | XREADGROUP GROUP g d STREAMS s > | XPENDING s g - + 9",
        "1-0 | OK | [[s, [[1-0, [a, b]]]]] | [[s, [[1-0, [a, b]]]]] | OK | [[s, [[1-0, [a, b]]]]] | [[1-0, d, 0, 1]]",
    );
}

#[test]
fn counts_what_was_read() {
    let group = |read: &str, lag: &str| {
        format!(
            "[[name, g, consumers, 1, pending, 0, last-delivered-id, 1-0, entries-read, {read}, lag, {lag}]]"
        )
    };
    let read = "XREADGROUP GROUP g c NOACK COUNT 1 STREAMS s >";
    let entry = "[[s, [[1-0, [a, b]]]]]";
    check(
        &format!(
            "XADD s 1 a b | XADD s 2 a b | XADD s 3 a b | XGROUP CREATE s g 0 | {read} | XINFO GROUPS s | XDEL s 2 | XINFO GROUPS s"
        ),
        &format!("1-0 | 2-0 | 3-0 | OK | {entry} | {} | 1 | {}", group("1", "2"), group("1", "nil")),
    );
}

#[test]
fn checks_in_order() {
    let wrong_type = "WRONGTYPE Operation against a key holding the wrong kind of value";
    let invalid = "ERR Invalid stream ID specified as stream command argument";
    for (call, error) in [
        ("XREAD COUNT x STREAMS", "ERR value is not an integer or out of range"),
        ("XREAD BLOCK x STREAMS s 0", "ERR timeout is not an integer or out of range"),
        ("XREAD BLOCK -1 STREAMS s 0", "ERR timeout is negative"),
        ("XREAD BLOCK 9223372036854775807 STREAMS s 0", "ERR timeout is out of range"),
        ("XREAD COUNT 1 STREAMS", "ERR syntax error"),
        ("XREAD COUNT 1 FOO", "ERR syntax error"),
        ("XREAD COUNT 1 COUNT 2", "ERR syntax error"),
        (
            "XREAD STREAMS s t 0",
            "ERR Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be specified.",
        ),
        (
            "XREADGROUP GROUP g c STREAMS s t 0",
            "ERR Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' must be specified.",
        ),
        (
            "XREAD GROUP g c STREAMS s 0",
            "ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.",
        ),
        (
            "XREAD NOACK STREAMS s 0",
            "ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.",
        ),
        ("XREADGROUP COUNT 1 NOACK STREAMS s t 0 0", "ERR Missing GROUP option for XREADGROUP"),
        ("XREAD STREAMS s 0-x", invalid),
        ("XREAD STREAMS s +", invalid),
        ("XREAD STREAMS k x", wrong_type),
        ("XREAD STREAMS s k x 0", invalid),
        (
            "XREAD STREAMS s >",
            "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
        ),
        (
            "XREADGROUP GROUP g c STREAMS s $",
            "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this \
            consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set.",
        ),
        ("XREADGROUP GROUP g c STREAMS k x", wrong_type),
        (
            "XREADGROUP GROUP h c STREAMS s x",
            "NOGROUP No such key 's' or consumer group 'h' in XREADGROUP with GROUP option",
        ),
        (
            "XREADGROUP GROUP g c STREAMS s missing > >",
            "NOGROUP No such key 'missing' or consumer group 'g' in XREADGROUP with GROUP option",
        ),
    ] {
        let mut bench = bench();
        bench.run("SET k v");
        assert_eq!(bench.run(call), error, "{call}");
        assert_eq!(bench.run("XINFO CONSUMERS s g"), "[]", "{call} has done nothing");
        if !find_keys(&OwnedArgs::new(call.split(' ')).args()).is_empty() {
            assert_eq!(bench.run_gathered(call), error, "{call} on several shards");
        }
    }
}

#[test]
fn several_shards_give_the_same_replies() {
    for protocol in [Protocol::Resp2, Protocol::Resp3] {
        let (mut here, mut apart) = (bench(), bench());
        for bench in [&mut here, &mut apart] {
            bench.server.sessions.get_mut(0).expect("a client").protocol = protocol;
        }
        for call in [
            "XREAD COUNT 2 STREAMS t s missing 0 1 0",
            "XREAD STREAMS s t $ 5",
            "XREADGROUP GROUP g c COUNT 2 STREAMS s t > 0",
            "XREADGROUP GROUP g c STREAMS t s > >",
            "XREADGROUP GROUP g c STREAMS t s > >",
            "XREADGROUP GROUP g d STREAMS s t 0 >",
            "XREADGROUP GROUP g d NOACK COUNT 1 STREAMS s t > 5",
        ] {
            assert_eq!(apart.run_gathered(call), here.run(call), "{call}");
            assert_eq!(apart.keys.digest(), here.keys.digest(), "{call}");
        }
        apart.check_journal();
    }
}

#[test]
fn one_that_is_refused_keeps_all_from_delivering() {
    let invalid = "ERR Invalid stream ID specified as stream command argument";
    let missing = "NOGROUP No such key 'missing' or consumer group 'g' in XREADGROUP with GROUP option";
    for (keys, error) in [
        ("s t > x", invalid),
        ("s missing t > > >", missing),
        ("s t missing k x 0 > >", invalid),
        ("s t missing k > 0 > x", missing),
        ("s s k > > >", "WRONGTYPE Operation against a key holding the wrong kind of value"),
    ] {
        check(
            &format!(
                "SET k v | XADD s 1 a b | XADD t 2 a b | XGROUP CREATE s g 0 | XGROUP CREATE t g 0 | \
                 XREADGROUP GROUP g c BLOCK 0 STREAMS {keys} | XINFO CONSUMERS s g | XINFO CONSUMERS t g | XPENDING s g"
            ),
            &format!("OK | 1-0 | 2-0 | OK | OK | {error} | [] | [] | [0, nil, nil, nil]"),
        );
    }
}

#[test]
fn notes_who_asks_where_there_is_nothing() {
    let seen = "[[name, c, pending, 0, idle, 5, inactive, -1]]";
    for (call, reply) in [
        ("STREAMS s t u > > >", "[[u, [[1-0, [a, b]]]]]"),
        ("STREAMS s t > >", "nil"),
        ("BLOCK 0 STREAMS s t > >", "nil"),
    ] {
        check(
            &format!(
                "XADD u 1 a b | XGROUP CREATE s g $ MKSTREAM | XGROUP CREATE t g $ MKSTREAM | XGROUP CREATE u g 0 | \
                 XREADGROUP GROUP g c {call} | @5ms | XINFO CONSUMERS s g | XINFO CONSUMERS t g | \
                 XREADGROUP BLOCK 0 GROUP g c BLOCK 0 STREAMS s t > > | XINFO CONSUMERS s g"
            ),
            &format!("1-0 | OK | OK | OK | {reply} | {seen} | {seen} | nil | {seen}"),
        );
    }
}

#[test]
fn a_key_named_twice_has_had_its_turn() {
    let (first, second, third) = ("[1-0, [a, b]]", "[2-0, [a, b]]", "[3-0, [a, b]]");
    let old = "[5-0, [c, d]]";
    for (call, expected) in [
        ("STREAMS s t s > > >", format!("[[s, [{first}, {second}, {third}]], [t, [{old}]]]")),
        (
            "COUNT 1 STREAMS s t s s > 0 > 0",
            format!("[[s, [{first}]], [t, []], [s, [{second}]], [s, [{first}]]]"),
        ),
        (
            "COUNT 2 STREAMS s s t s s 0 > 0 1 2",
            format!("[[s, []], [s, [{first}, {second}]], [t, []], [s, [{second}]], [s, []]]"),
        ),
        ("NOACK COUNT 2 STREAMS s t s > > 0", format!("[[s, [{first}, {second}]], [t, [{old}]], [s, []]]")),
        (
            "COUNT 2 STREAMS s s s t s > > > > >",
            format!("[[s, [{first}, {second}]], [s, [{third}]], [t, [{old}]]]"),
        ),
    ] {
        let (mut here, mut apart) = (bench(), Bench { gathers: Gathers::OfTwoKeys, ..bench() });
        let call = format!("XREADGROUP GROUP g c {call}");
        assert_eq!(here.run(&call), expected, "{call}");
        assert_eq!(apart.run(&call), expected, "{call}, apart");
        assert_eq!(apart.keys.digest(), here.keys.digest(), "{call}");
        // Entries that go from one consumer to another by this call show in its history once.
        let again = "XGROUP SETID s g 1 | XREADGROUP GROUP g d COUNT 2 STREAMS s t s > > 0";
        assert_eq!(apart.run(again), here.run(again), "{call}");
        let again = "XGROUP SETID s g 0 | XREADGROUP GROUP g d STREAMS s t s s > > 0 1";
        assert_eq!(apart.run(again), here.run(again), "{call}");
        assert_eq!(apart.keys.digest(), here.keys.digest(), "{call}");
    }
}

#[test]
fn finds_its_keys() {
    for (line, expected) in [
        ("XREAD COUNT 1 BLOCK 0 STREAMS a b 0 0", &[6, 7][..]),
        ("XREADGROUP GROUP streams c NOACK streams a >", &[6]),
        ("XREAD STREAMS a b 0", &[]),
        ("XREAD FOO STREAMS a 0", &[]),
        ("XREAD COUNT", &[]),
        ("XREAD COUNT 1 STREAMS", &[]),
    ] {
        assert_eq!(find_keys(&OwnedArgs::new(line.split(' ')).args()), expected, "{line}");
    }
}

#[test]
fn waits_with_other_words() {
    for (call, words) in [
        ("XREAD BLOCK 5 STREAMS s missing t $ $ 7", "XREAD BLOCK 0 STREAMS s missing t 3-0 0-0 7"),
        ("xread COUNT 1 BLOCK 0 STREAMS s 3", "xread COUNT 1 BLOCK 0 STREAMS s 3"),
        (
            "XREADGROUP GROUP h c BLOCK 7 STREAMS s t > >",
            "XREADGROUP BLOCK 0 GROUP h c BLOCK 0 STREAMS s t > >",
        ),
        (
            "XREADGROUP BLOCK 0 GROUP h c BLOCK 7 STREAMS s t > >",
            "XREADGROUP BLOCK 0 GROUP h c BLOCK 0 STREAMS s t > >",
        ),
        (
            "XREADGROUP GROUP h block BLOCK 7 NOACK COUNT 2 STREAMS s t > >",
            "XREADGROUP BLOCK 0 GROUP h block BLOCK 0 NOACK COUNT 2 STREAMS s t > >",
        ),
    ] {
        let mut bench = bench();
        bench.run("XGROUP CREATE s h $ | XGROUP CREATE t h $");
        let words = OwnedArgs::new(words.split(' '));
        assert_eq!(bench.run(call), "nil");
        assert_eq!(bench.server.wait.take().expect("it waits").words.as_ref(), Some(&words), "{call}");
        assert_eq!(bench.run_gathered(call), "nil");
        assert_eq!(bench.server.wait.take().expect("it waits").words.as_ref(), Some(&words), "{call}, apart");
    }
    let mut bench = bench();
    assert_eq!(bench.run("XREAD STREAMS s $"), "nil");
    assert_eq!(bench.server.wait.take(), None, "no BLOCK, no wait");
    let timeout = |line: &str| timeout_ms(&OwnedArgs::new(line.split(' ')).args());
    assert_eq!(timeout("XREAD BLOCK 7 STREAMS s 0"), Ok(Some(7)));
    assert_eq!(timeout("XREAD STREAMS s 0"), Ok(None));
    assert!(timeout("XREAD BLOCK 7 STREAMS s").is_err());
}

#[test]
fn a_second_try_in_vain_leaves_no_trace() {
    let mut bench = bench();
    bench.run("XGROUP CREATE s h $ | XREADGROUP GROUP h c BLOCK 7 STREAMS s > | @9ms");
    let again = "XREADGROUP BLOCK 0 GROUP h c BLOCK 7 STREAMS s >";
    let shown = "[[name, c, pending, 0, idle, 9, inactive, -1]]";
    assert_eq!(bench.run(&format!("{again} | XINFO CONSUMERS s h")), format!("nil | {shown}"));
    let entry = "[[s, [[9-0, [a, b]]]]]";
    let shown = "[[name, c, pending, 1, idle, 0, inactive, 0]]";
    assert_eq!(
        bench.run(&format!("XADD s 9 a b | {again} | XINFO CONSUMERS s h")),
        format!("9-0 | {entry} | {shown}")
    );
    bench.check_journal();
}
