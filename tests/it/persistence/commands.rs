//! SAVE, BGSAVE, BGREWRITEAOF, LASTSAVE, WAITAOF, SHUTDOWN, CONFIG and INFO: what they say, and what is on disk afterwards.

use std::fs;

use super::data::{fill, fill_keys};
use super::{
    Home, SEGMENT, SNAPSHOT, digest, info, rewrite_in_background, save_in_background, wait_for_info,
    written_bytes,
};
use crate::harness::{Server, has_flag, skip, wait_for};
use crate::wire::{Wire, command};

#[test]
fn saves_leave_one_snapshot_and_are_counted() {
    let Some(home) = Home::new("saves_leave_one_snapshot_and_are_counted") else { return };
    let server = home.start(&["--shards", "2"]);
    let mut wire = server.wire();
    fill_keys(&mut wire, "k", 3000);
    assert!(info(&mut wire, "rdb_changes_since_last_save").parse::<u64>().expect("a number") >= 3000);
    let before = lastsave(&mut wire);
    wire.expect("SAVE", "+OK\r\n");
    assert!(lastsave(&mut wire) >= before);
    assert_eq!(info(&mut wire, "rdb_changes_since_last_save"), "0");
    let first = home.file(SNAPSHOT);
    save_in_background(&mut wire);
    wait_for("removal of the older snapshot", || (home.files(SNAPSHOT).len() == 1).then_some(()));
    assert_ne!(home.file(SNAPSHOT), first, "a snapshot is never written over");
    assert!(home.files(".tmp").is_empty(), "{:?}", home.files(".tmp"));
    assert_eq!(info(&mut wire, "rdb_saves"), "2");
    assert_eq!(info(&mut wire, "rdb_bgsave_in_progress"), "0");
    assert_eq!(lastsave(&mut wire).to_string(), info(&mut wire, "rdb_last_save_time"));
    server.stop();
}

fn lastsave(wire: &mut Wire) -> u64 {
    let reply = wire.ask("LASTSAVE");
    reply.trim_start_matches(':').trim_end().parse().unwrap_or_else(|_| panic!("{reply}"))
}

/// What is there at the moment of the cut, neither more nor less: writers go on all the while.
#[test]
fn a_snapshot_is_of_one_moment() {
    const PAIRS: usize = 2000;
    let Some(home) = Home::new("a_snapshot_is_of_one_moment") else { return };
    let arguments = ["--shards", "3", "--append-only", "no"];
    let server = home.start(&arguments);
    let mut wire = server.wire();
    let (mut sent, mut turn) = (0, 0u64);
    let mut saver = server.wire();
    saver.send(b"SAVE\r\n");
    // Both of a pair are always equal, wherever they live.
    while sent < 3 * PAIRS {
        let mut pipeline = Vec::new();
        for _ in 0..50 {
            turn += 1;
            let (a, b) = (format!("a:{}", sent % PAIRS), format!("b:{}", sent % PAIRS));
            let turn = turn.to_string();
            pipeline.extend(command(&[
                b"MSET",
                a.as_bytes(),
                turn.as_bytes(),
                b.as_bytes(),
                turn.as_bytes(),
            ]));
            sent += 1;
        }
        wire.send(&pipeline);
        wire.expect_bytes(&b"+OK\r\n".repeat(50));
        if sent % PAIRS == 0 {
            saver.expect_bytes(b"+OK\r\n");
            saver.send(b"SAVE\r\n");
        }
    }
    saver.expect_bytes(b"+OK\r\n");
    server.kill();
    let server = home.start(&arguments);
    let mut wire = server.wire();
    for n in 0..PAIRS {
        let (a, b) = (wire.ask(&format!("GET a:{n}")), wire.ask(&format!("GET b:{n}")));
        assert_eq!(a, b, "pair {n}");
    }
    server.stop();
}

#[test]
fn a_rewrite_makes_the_log_short_and_loses_nothing() {
    let Some(home) = Home::new("a_rewrite_makes_the_log_short_and_loses_nothing") else { return };
    let server = home.start(&["--shards", "2"]);
    let mut wire = server.wire();
    for _ in 0..20 {
        fill_keys(&mut wire, "k", 2000);
    }
    let before = fill(&mut wire);
    let bytes = |home: &Home| home.files(SEGMENT).iter().map(|path| written_bytes(path)).sum::<u64>();
    wire.expect("WAITAOF 1 0 0", "*2\r\n:1\r\n:0\r\n");
    let long = bytes(&home);
    rewrite_in_background(&mut wire);
    wait_for("removal of old segments", || (bytes(&home) < long / 20).then_some(()));
    wire.expect("SET after v", "+OK\r\n");
    wire.expect("DEL after", ":1\r\n");
    assert_eq!(digest(&mut wire), before);
    server.kill();
    let server = home.start(&["--shards", "3"]);
    assert_eq!(digest(&mut server.wire()), before);
    server.stop();
}

#[test]
fn a_log_that_grows_is_rewritten_by_itself() {
    let Some(home) = Home::new("a_log_that_grows_is_rewritten_by_itself") else { return };
    let server = home.start(&["--shards", "2"]);
    let mut wire = server.wire();
    wire.expect("CONFIG SET auto-aof-rewrite-min-size 1mb", "+OK\r\n");
    wire.expect("CONFIG SET auto-aof-rewrite-percentage 100", "+OK\r\n");
    wait_for("rewrite", || {
        fill_keys(&mut wire, "k", 5000);
        (!home.files(SNAPSHOT).is_empty()).then_some(())
    });
    wait_for_info(&mut wire, "aof_rewrite_in_progress", "0");
    assert_eq!(info(&mut wire, "aof_last_bgrewrite_status"), "ok");
    server.stop();
    let server = home.start(&["--shards", "2"]);
    server.wire().expect("DBSIZE", ":5000\r\n");
    server.stop();
}

#[test]
fn snapshots_come_by_themselves_by_count_or_time() {
    for (flag, value) in [("--snapshot-threshold", "10"), ("--snapshot-interval", "1s")] {
        let Some(home) = Home::new("snapshots_come_by_themselves_by_count_or_time") else { return };
        let server = home.start(&["--shards", "2", flag, value]);
        let mut wire = server.wire();
        fill_keys(&mut wire, "k", 20);
        wait_for(&format!("snapshot by {flag}"), || (!home.files(SNAPSHOT).is_empty()).then_some(()));
        wait_for_info(&mut wire, "rdb_last_bgsave_status", "ok");
        server.stop();
    }
}

#[test]
fn waitaof_says_what_is_durable() {
    for strategy in ["always", "everysec"] {
        let Some(home) = Home::new("waitaof_says_what_is_durable") else { return };
        let server = home.start(&["--shards", "3", "--aof-sync-strategy", strategy]);
        let mut wire = server.wire();
        wire.expect("MSET a 1 b 2 c 3 d 4", "+OK\r\n");
        wire.expect("WAITAOF 1 0 0", "*2\r\n:1\r\n:0\r\n");
        // There are no replicas: time passes, and then it says how it is.
        assert!(wire.ask("WAITAOF 0 1 50").starts_with("*2\r\n"), "{strategy}");
        server.kill();
        let server = home.start(&["--shards", "2"]);
        server.wire().expect("MGET a b c d", "*4\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n4\r\n");
        server.stop();
    }
}

#[test]
fn waitaof_without_a_log_is_refused() {
    let Some(home) = Home::new("waitaof_without_a_log_is_refused") else { return };
    let server = home.start(&["--append-only", "no"]);
    let reply = server.wire().ask("WAITAOF 1 0 0");
    assert!(
        reply.starts_with("-ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled"),
        "{reply}"
    );
    server.stop();
}

#[test]
fn the_log_can_be_switched_off_and_on() {
    let Some(home) = Home::new("the_log_can_be_switched_off_and_on") else { return };
    let server = home.start(&["--shards", "2", "--append-only", "no"]);
    let mut wire = server.wire();
    fill_keys(&mut wire, "k", 2000);
    wire.expect("CONFIG SET appendonly yes", "+OK\r\n");
    wait_for_info(&mut wire, "aof_enabled", "1");
    wait_for_info(&mut wire, "aof_rewrite_in_progress", "0");
    wire.expect("SET later v", "+OK\r\n");
    wire.expect("WAITAOF 1 0 0", "*2\r\n:1\r\n:0\r\n");
    server.kill();
    // What was there before the log was switched on is its base.
    let server = home.start(&["--shards", "3"]);
    let mut wire = server.wire();
    wire.expect("DBSIZE", ":2001\r\n");
    wire.expect("CONFIG SET appendonly no", "+OK\r\n");
    wait_for_info(&mut wire, "aof_enabled", "0");
    wire.expect("SET unkept v", "+OK\r\n");
    wire.expect("CONFIG SET appendonly yes", "+OK\r\n");
    wait_for_info(&mut wire, "aof_enabled", "1");
    wait_for_info(&mut wire, "aof_rewrite_in_progress", "0");
    wire.expect("WAITAOF 1 0 0", "*2\r\n:1\r\n:0\r\n");
    server.kill();
    let server = home.start(&["--shards", "1"]);
    server.wire().expect("DBSIZE", ":2002\r\n");
    server.stop();
}

#[test]
fn settings_are_shown_and_those_that_may_be_are_changed() {
    let Some(home) = Home::new("settings_are_shown_and_those_that_may_be_are_changed") else { return };
    let arguments = [
        "--aof-sync-strategy",
        "always",
        "--snapshot-interval",
        "2m",
        "--snapshot-threshold",
        "77",
        "--shards",
        "1",
    ];
    let server = home.start(&arguments);
    let mut wire = server.wire();
    for (name, value) in [("appendonly", "yes"), ("appendfsync", "always"), ("save", "120 1 1 77")] {
        let reply = wire.ask(&format!("CONFIG GET {name}"));
        assert!(reply.contains(&format!("\r\n{value}\r\n")), "{name}: {reply}");
    }
    for (name, value) in [("appendfsync", "everysec"), ("appendfsync", "no"), ("save", "3600 1")] {
        assert_eq!(wire.call(&[b"CONFIG", b"SET", name.as_bytes(), value.as_bytes()]), b"+OK\r\n", "{name}");
        wire.expect("SET k v", "+OK\r\n");
        let reply = wire.ask(&format!("CONFIG GET {name}"));
        assert!(reply.contains(&format!("\r\n{value}\r\n")), "{name}: {reply}");
    }
    assert!(wire.ask("CONFIG SET dir /tmp").starts_with('-'), "where the data is cannot be changed");
    assert!(wire.ask("CONFIG SET appendfsync sometimes").starts_with('-'));
    server.stop();
}

#[test]
fn shutdown_saves_when_asked() {
    let Some(home) = Home::new("shutdown_saves_when_asked") else { return };
    let arguments = ["--shards", "2", "--append-only", "no"];
    for (line, found) in [("SHUTDOWN SAVE", "$5\r\nfirst\r\n"), ("SHUTDOWN NOSAVE", "$5\r\nfirst\r\n")] {
        let mut server = home.start(&arguments);
        let mut wire = server.wire();
        let value = if line == "SHUTDOWN SAVE" { "first" } else { "second" };
        wire.expect(&format!("SET k {value}"), "+OK\r\n");
        wire.send(format!("{line}\r\n").as_bytes());
        assert_eq!(wire.read_to_end(), b"", "{line} is not answered");
        server.wait_for_end();
        let server = home.start(&arguments);
        server.wire().expect("GET k", found);
        server.stop();
    }
}

#[test]
fn a_server_in_memory_says_that_it_keeps_nothing() {
    let test = "a_server_in_memory_says_that_it_keeps_nothing";
    if !has_flag("--in-memory") {
        return skip(test, "the program under test has no --in-memory");
    }
    let server = Server::start(&["--in-memory"]);
    let mut wire = server.wire();
    for line in ["SAVE", "BGSAVE", "BGREWRITEAOF", "WAITAOF 1 0 0"] {
        let reply = wire.ask(line);
        assert!(reply.starts_with('-') && !reply.contains("unknown command"), "{line}: {reply}");
    }
    assert_eq!(info(&mut wire, "aof_enabled"), "0");
    assert!(wire.ask("CONFIG SET appendonly yes").starts_with('-'));
    server.stop();
}

#[test]
fn flags_that_contradict_each_other_are_explained() {
    let Some(home) = Home::new("flags_that_contradict_each_other_are_explained") else { return };
    for wrong in [
        &["--in-memory", "--append-only", "yes"][..],
        &["--in-memory", "--data-dir", "x"],
        &["--in-memory", "--snapshot-threshold", "1"],
        &["--append-only", "maybe"],
        &["--aof-sync-strategy", "sometimes"],
        &["--snapshot-interval", "soon"],
        &["--snapshot-threshold", "-1"],
    ] {
        let ended = home.tool(wrong);
        assert_eq!(ended.code, Some(2), "{wrong:?}: {}", ended.stderr);
        assert!(
            ended.stderr.starts_with("error: ") && ended.stderr.contains("--help"),
            "{wrong:?}: {}",
            ended.stderr
        );
    }
    assert!(fs::read_dir(&*home.directory).expect("the directory").next().is_none(), "nothing was made");
}

#[test]
fn a_save_can_be_asked_for_once_at_a_time() {
    let Some(home) = Home::new("a_save_can_be_asked_for_once_at_a_time") else { return };
    let server = home.start(&["--shards", "2"]);
    let mut wire = server.wire();
    fill_keys(&mut wire, "k", 100_000);
    // In one read, so that the others come while the first is under way.
    wire.send(b"BGSAVE\r\nBGSAVE\r\nBGSAVE SCHEDULE\r\n");
    wire.expect_bytes(b"+Background saving started\r\n");
    let (second, third) = (wire.reply(), wire.reply());
    assert_eq!(second, b"-ERR Background save already in progress\r\n");
    assert_eq!(third, second, "only a rewrite is waited for");
    wait_for_info(&mut wire, "rdb_bgsave_in_progress", "0");
    server.stop();
}
