//! Restarts of a healthy server on healthy files: everything is there again, whatever it was kept in, on any number of shards.

use std::fs;
use std::thread;
use std::time::Duration;

use super::data::{fill, fill_keys, value};
use super::{Home, SEGMENT, SNAPSHOT, digest, info, save_in_background, wait_until_restored};
use crate::harness::{Server, has_flag, skip};
use crate::wire::{Wire, bulk};

/// What brings the data back.
#[derive(Clone, Copy, Debug, PartialEq)]
enum From {
    Log,
    Snapshot,
    /// A snapshot, and what came after it in the log.
    Both,
}

#[test]
fn every_type_comes_back_on_any_number_of_shards() {
    for from in [From::Log, From::Snapshot, From::Both] {
        let Some(home) = Home::new("every_type_comes_back_on_any_number_of_shards") else { return };
        let server = home.start(&["--shards", "2"]);
        let mut wire = server.wire();
        if from == From::Both {
            fill_keys(&mut wire, "before", 3000);
            wire.expect("RPUSH large-list a", ":1\r\n");
            wire.expect("HSET doomed f v", ":1\r\n");
            save_in_background(&mut wire);
            wire.expect("DEL large-list doomed before:7", ":3\r\n");
        }
        let before = fill(&mut wire);
        if from == From::Snapshot {
            save_in_background(&mut wire);
        }
        server.stop();
        for shards in ["2", "1", "4", "3"] {
            let server = home.start(&["--shards", shards]);
            let mut wire = server.wire();
            assert_eq!(digest(&mut wire), before, "{from:?} on {shards} shards");
            assert!(
                wire.ask("XPENDING stream group").contains("reader"),
                "{from:?}: pending entries are kept"
            );
            server.stop();
        }
    }
}

#[test]
fn without_flags_everything_is_kept_in_the_working_directory() {
    let test = "without_flags_everything_is_kept_in_the_working_directory";
    if !has_flag("--data-dir") {
        return skip(test, "the program under test has no --data-dir");
    }
    let server = Server::start_as_is(&[]);
    let data = server.directory.join("corevault-data");
    let mut wire = server.wire();
    let directory = wire.ask("CONFIG GET dir");
    assert!(
        directory.contains(&*data.canonicalize().expect("the data directory").to_string_lossy()),
        "{directory}"
    );
    wire.expect("SET k v", "+OK\r\n");
    let kept = Home::with_copy_of_stopped(server);
    let server = kept.start(&[]);
    server.wire().expect("GET k", "$1\r\nv\r\n");
    server.stop();
}

impl Home {
    /// What a server without a `--data-dir` leaves in its working directory, which goes with it.
    fn with_copy_of_stopped(mut server: Server) -> Home {
        server.signal(rustix::process::Signal::TERM);
        server.wait_for_end();
        Home::with_copy_of(&server.directory.join("corevault-data"))
    }
}

#[test]
fn a_server_in_memory_leaves_nothing() {
    let test = "a_server_in_memory_leaves_nothing";
    if !has_flag("--in-memory") {
        return skip(test, "the program under test has no --in-memory");
    }
    let mut server = Server::start_as_is(&["--in-memory"]);
    server.wire().expect("SET k v", "+OK\r\n");
    server.signal(rustix::process::Signal::TERM);
    server.wait_for_end();
    let left: Vec<_> = fs::read_dir(&*server.directory).expect("the directory").flatten().collect();
    assert_eq!(left.len(), 1, "the log alone: {left:?}");
}

#[test]
fn databases_that_were_flushed_or_swapped_stay_so() {
    for saves in [false, true] {
        let Some(home) = Home::new("databases_that_were_flushed_or_swapped_stay_so") else { return };
        let server = home.start(&["--shards", "3"]);
        let mut wire = server.wire();
        for db in 0..4 {
            wire.expect(&format!("SELECT {db}"), "+OK\r\n");
            fill_keys(&mut wire, &format!("db{db}"), 500);
        }
        if saves {
            save_in_background(&mut wire);
        }
        wire.expect("SWAPDB 0 1", "+OK\r\n");
        wire.expect("SELECT 2", "+OK\r\n");
        wire.expect("FLUSHDB", "+OK\r\n");
        wire.expect("SET after flush", "+OK\r\n");
        wire.expect("SWAPDB 2 3", "+OK\r\n");
        let before = digest(&mut wire);
        server.stop();
        let server = home.start(&["--shards", "2"]);
        let mut wire = server.wire();
        wire.expect("GET db1:7", &format!("${}\r\n{}\r\n", value("db1", 7).len(), value("db1", 7)));
        for (db, keys) in [(0, 500), (1, 500), (2, 500), (3, 1)] {
            wire.expect(&format!("SELECT {db}"), "+OK\r\n");
            wire.expect("DBSIZE", &format!(":{keys}\r\n"));
        }
        assert_eq!(digest(&mut wire), before, "saves: {saves}");
        wire.expect("FLUSHALL", "+OK\r\n");
        server.stop();
        let server = home.start(&["--shards", "4"]);
        server.wire().expect("DBSIZE", ":0\r\n");
        server.stop();
    }
}

#[test]
fn what_expired_while_the_server_was_away_does_not_come_back() {
    let Some(home) = Home::new("what_expired_while_the_server_was_away_does_not_come_back") else { return };
    let server = home.start(&["--shards", "2"]);
    let mut wire = server.wire();
    wire.expect("SET in-snapshot v PX 300", "+OK\r\n");
    save_in_background(&mut wire);
    wire.expect("SET in-log v PX 300", "+OK\r\n");
    wire.expect("SET stays v", "+OK\r\n");
    server.stop();
    thread::sleep(Duration::from_millis(400));
    let server = home.start(&["--shards", "2"]);
    let mut wire = server.wire();
    wire.expect("MGET in-snapshot in-log stays", "*3\r\n$-1\r\n$-1\r\n$1\r\nv\r\n");
    wait_until_restored(&mut wire);
    server.stop();
}

/// The first touch of a slot brings it back, whoever touches it: reads, writes, and commands over all keys.
#[test]
fn a_server_is_right_while_it_is_still_restoring() {
    const KEYS: usize = 100_000;
    let Some(home) = Home::new("a_server_is_right_while_it_is_still_restoring") else { return };
    let server = home.start(&["--shards", "2"]);
    fill_keys(&mut server.wire(), "k", KEYS);
    save_in_background(&mut server.wire());
    server.wire().expect("SET k:5 later", "+OK\r\n");
    server.wire().expect("DEL k:6", ":1\r\n");
    server.stop();
    // Each first command on a server of its own, so that it finds as little restored as can be.
    let first: [(&str, String); 6] = [
        ("DBSIZE", format!(":{}\r\n", KEYS - 1)),
        ("MGET k:5 k:6", "*2\r\n$5\r\nlater\r\n$-1\r\n".into()),
        ("APPEND k:99999 !", format!(":{}\r\n", value("k", 99_999).len() + 1)),
        ("RENAME k:10 k:11", "+OK\r\n".into()),
        ("DEL k:12 k:13 k:6", ":2\r\n".into()),
        ("FLUSHALL", "+OK\r\n".into()),
    ];
    for (command, expected) in first {
        let home = home.copy();
        let server = home.start(&["--shards", "3", "--aof-sync-strategy", "always"]);
        let mut wire = server.wire();
        wire.expect(command, &expected);
        if command != "FLUSHALL" {
            check_keys(&mut wire, [20, KEYS / 2, KEYS - 2]);
        }
        // Writes to slots that may be dormant, and an end that leaves them so.
        wire.expect("SET new v", "+OK\r\n");
        let keys = wire.ask("DBSIZE");
        server.kill();
        let server = home.start(&["--shards", "2", "--aof-sync-strategy", "always"]);
        let mut wire = server.wire();
        wire.expect("DBSIZE", &keys);
        wait_until_restored(&mut wire);
        wire.expect("DBSIZE", &keys);
        wire.expect("GET new", "$1\r\nv\r\n");
        server.stop();
    }
}

fn check_keys(wire: &mut Wire, keys: [usize; 3]) {
    for n in keys {
        let found = wire.call(&[b"GET", format!("k:{n}").as_bytes()]);
        assert_eq!(found, bulk(value("k", n).as_bytes()), "k:{n}");
    }
}

#[test]
fn info_shows_how_far_restoring_has_come() {
    let Some(home) = Home::new("info_shows_how_far_restoring_has_come") else { return };
    let server = home.start(&["--shards", "2"]);
    fill_keys(&mut server.wire(), "k", 20_000);
    save_in_background(&mut server.wire());
    server.stop();
    let server = home.start(&["--shards", "2"]);
    let mut wire = server.wire();
    let total: u64 = info(&mut wire, "restore_tables_total").parse().expect("a number");
    assert!(total > 1000, "{total}");
    wait_until_restored(&mut wire);
    wire.expect("DBSIZE", ":20000\r\n");
    server.stop();
}

#[test]
fn with_append_only_no_the_last_snapshot_is_what_comes_back() {
    let Some(home) = Home::new("with_append_only_no_the_last_snapshot_is_what_comes_back") else { return };
    let arguments = ["--shards", "2", "--append-only", "no"];
    let server = home.start(&arguments);
    let mut wire = server.wire();
    wire.expect("SET saved v", "+OK\r\n");
    wire.expect("SAVE", "+OK\r\n");
    wire.expect("SET later v", "+OK\r\n");
    server.kill();
    assert!(home.files(SEGMENT).is_empty(), "{:?}", home.files(SEGMENT));
    let server = home.start(&arguments);
    server.wire().expect("MGET saved later", "*2\r\n$1\r\nv\r\n$-1\r\n");
    server.stop();
    // The log may be switched on for what a snapshot has brought back.
    let server = home.start(&["--shards", "1"]);
    server.wire().expect("SET in-log v", "+OK\r\n");
    server.stop();
    let server = home.start(&["--shards", "2"]);
    server.wire().expect("MGET saved in-log", "*2\r\n$1\r\nv\r\n$1\r\nv\r\n");
    server.stop();
}

#[test]
fn what_is_not_to_be_restored_is_set_aside_and_never_deleted() {
    let Some(home) = Home::new("what_is_not_to_be_restored_is_set_aside_and_never_deleted") else { return };
    let server = home.start(&["--shards", "2"]);
    let mut wire = server.wire();
    wire.expect("SET in-snapshot v", "+OK\r\n");
    save_in_background(&mut wire);
    wire.expect("SET in-log v", "+OK\r\n");
    server.stop();

    let without_log = home.copy();
    let server = without_log.start(&["--restore-aof", "no"]);
    server.wire().expect("MGET in-snapshot in-log", "*2\r\n$1\r\nv\r\n$-1\r\n");
    server.stop();
    assert!(!set_aside(&without_log, SEGMENT).is_empty(), "the segments are kept");
    let server = without_log.start(&[]);
    server.wire().expect("MGET in-snapshot in-log", "*2\r\n$1\r\nv\r\n$-1\r\n");
    server.stop();

    // The log goes on from the snapshot: without it, it means nothing.
    let without_snapshot = home.copy();
    without_snapshot.refuses(&["--restore-snapshot", "no"], &["--restore-aof"]);
    let neither = ["--restore-snapshot", "no", "--restore-aof", "no"];
    let server = without_snapshot.start(&neither);
    server.wire().expect("DBSIZE", ":0\r\n");
    server.stop();
    assert!(!set_aside(&without_snapshot, SNAPSHOT).is_empty(), "the snapshot is kept");
}

fn set_aside(home: &Home, ending: &str) -> Vec<std::path::PathBuf> {
    let aside = home
        .files("")
        .into_iter()
        .filter(|path| path.is_dir() && super::name_of(path).starts_with("set-aside-"));
    aside.flat_map(|directory| super::files(&directory, ending)).collect()
}

#[test]
fn many_restarts_leave_few_files() {
    let Some(home) = Home::new("many_restarts_leave_few_files") else { return };
    for turn in 1..=12 {
        let server = home.start(&["--shards", "3"]);
        let mut wire = server.wire();
        wire.expect("INCR turns", &format!(":{turn}\r\n"));
        server.stop();
    }
    let server = home.start(&["--shards", "2"]);
    save_in_background(&mut server.wire());
    // One of each of the shards that are.
    crate::harness::wait_for("removal of old files", || {
        (home.files(SEGMENT).len() == 2 && home.files(SNAPSHOT).len() == 1).then_some(())
    });
    server.wire().expect("GET turns", "$2\r\n12\r\n");
    server.stop();
}
