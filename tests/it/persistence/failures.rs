//! Directories and files that are not as they should be: what the server says, with file and remedy, and what it leaves alone.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::process::{Resource, getrlimit, getuid};

use super::data::fill_keys;
use super::{
    Home, SEGMENT, SEGMENT_HEADER_BYTES, SNAPSHOT, fail_to_save_in_background, name_of, save_in_background,
    written_bytes,
};
use crate::harness::{Directory, Server, program, skip};

const NOBODY: u32 = 65534;
/// What the server needs of locked memory, and nobody may raise.
const MEMLOCK_BYTES_MIN: u64 = 512 * 1024;

#[test]
fn a_second_server_on_the_same_directory_is_refused() {
    let Some(home) = Home::new("a_second_server_on_the_same_directory_is_refused") else { return };
    let server = home.start(&["--shards", "1"]);
    server.wire().expect("SET k v", "+OK\r\n");
    let directory = home.data().display().to_string();
    home.refuses(&["--shards", "1"], &[&directory, &server.pid().to_string(), "--data-dir"]);
    server.wire().expect("GET k", "$1\r\nv\r\n");
    server.kill();
    // The lock goes with the process, whatever is left of its file.
    let server = home.start(&["--shards", "1", "--aof-sync-strategy", "always"]);
    server.stop();
}

#[test]
fn a_file_in_place_of_the_directory_is_kept() {
    let Some(home) = Home::new("a_file_in_place_of_the_directory_is_kept") else { return };
    fs::write(home.data(), "precious").expect("a file");
    home.refuses(&[], &[&home.data().display().to_string(), "--data-dir"]);
    assert_eq!(fs::read_to_string(home.data()).expect("the file"), "precious");
}

#[test]
fn a_directory_that_may_not_be_written_to_is_named() {
    let test = "a_directory_that_may_not_be_written_to_is_named";
    let Some(home) = Home::new(test) else { return };
    let is_root = getuid().is_root();
    if is_root && getrlimit(Resource::Memlock).current.is_some_and(|bytes| bytes < MEMLOCK_BYTES_MIN) {
        return skip(test, "nobody could lock as little memory as the server needs");
    }
    let healthy = home.start(&["--shards", "1"]);
    healthy.wire().expect("SET k v", "+OK\r\n");
    healthy.stop();
    // A place that a user without rights can reach.
    let place = Directory::new();
    let copy = place.join("corevault");
    fs::copy(program(), &copy).expect("a copy of the program");
    let absent = home.directory.join("absent");
    fs::set_permissions(&*home.directory, Permissions::from_mode(0o555)).expect("our own directory");
    fs::set_permissions(home.data(), Permissions::from_mode(0o555)).expect("our own directory");
    for data in [home.data(), absent] {
        let mut command = Command::new(&copy);
        command.args(["--shards", "1", "--data-dir"]).arg(&data).current_dir(&*place);
        if is_root {
            command.uid(NOBODY).gid(NOBODY);
        }
        let Err(ended) = Server::try_start(command) else {
            panic!("the server starts on {}", data.display())
        };
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        for expected in [&*data.display().to_string(), "Permission denied", "--data-dir"] {
            assert!(ended.stderr.contains(expected), "no {expected} in:\n{}", ended.stderr);
        }
    }
    fs::set_permissions(&*home.directory, Permissions::from_mode(0o755)).expect("our own directory");
    fs::set_permissions(home.data(), Permissions::from_mode(0o755)).expect("our own directory");
}

/// A snapshot, and some changes after it in the logs of two shards; stopped well.
fn make(home: &Home) {
    let server = home.start(&["--shards", "2"]);
    let mut wire = server.wire();
    fill_keys(&mut wire, "saved", 500);
    save_in_background(&mut wire);
    fill_keys(&mut wire, "logged", 500);
    server.stop();
}

#[test]
fn a_file_that_is_missing_is_named() {
    let Some(home) = Home::new("a_file_that_is_missing_is_named") else { return };
    make(&home);
    let segments = home.written_segments();
    assert_eq!(segments.len(), 2, "{segments:?}");
    for path in segments.iter().chain(&home.files(SNAPSHOT)) {
        let home = home.copy();
        fs::remove_file(home.data().join(name_of(path))).expect("the file");
        home.refuses(&[], &[name_of(path), "missing"]);
    }
    let home = home.copy();
    fs::remove_file(home.data().join("MANIFEST")).expect("the manifest");
    home.refuses(&[], &["MANIFEST"]);
    assert!(!home.written_segments().is_empty(), "a server that refuses removes nothing");
}

#[test]
fn a_snapshot_that_is_cut_or_foreign_is_refused() {
    let Some(home) = Home::new("a_snapshot_that_is_cut_or_foreign_is_refused") else { return };
    make(&home);
    let snapshot = home.file(SNAPSHOT);
    let bytes = fs::read(&snapshot).expect("the snapshot");
    let foreign = [b"REDIS0010\xfa\x09redis-ver\x056.2.0".as_slice(), &[0; 3000]].concat();
    let half = bytes.len() / 2;
    for (what, content) in [
        ("empty", &[][..]),
        ("a few bytes", &bytes[..10]),
        ("a header", &bytes[..64]),
        ("half", &bytes[..half]),
        ("all but a byte", &bytes[..bytes.len() - 1]),
        ("all but the trailer", &bytes[..bytes.len() - 64]),
        ("a Redis snapshot", &foreign),
        ("zeros", &vec![0; bytes.len()]),
    ] {
        let home = home.copy();
        fs::write(home.data().join(name_of(&snapshot)), content).expect("the file is written");
        let said = home.refuses(&[], &[name_of(&snapshot)]);
        let ended = home.tool(&["check-snapshot", &home.file(SNAPSHOT).display().to_string()]);
        assert_eq!(
            ended.code,
            Some(1),
            "{what}: {}{}\nbut the server said {said}",
            ended.stdout,
            ended.stderr
        );
    }
}

#[test]
fn segments_that_belong_elsewhere_are_refused() {
    let Some(home) = Home::new("segments_that_belong_elsewhere_are_refused") else { return };
    make(&home);
    let segments = home.written_segments();
    let read = |at: usize| fs::read(&segments[at]).expect("a segment");
    for (what, is_short, content) in [
        ("the other shard's", false, read(1)),
        ("text", false, b"set k v\n".repeat(100)),
        ("a Redis log", false, b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n".repeat(20)),
        ("empty", true, Vec::new()),
        ("half a header", true, read(0)[..30].to_vec()),
        ("half of it", true, read(0)[..read(0).len() / 2].to_vec()),
    ] {
        let home = home.copy();
        fs::write(home.data().join(name_of(&segments[0])), content).expect("the file is written");
        let said = match home.try_start(&[]) {
            Ok(server) => {
                // Nothing after it proves that it was longer: no manifest says where a log ends.
                assert!(is_short, "{what}: the server starts");
                let log = server.log();
                server.stop();
                log
            }
            Err(ended) => ended.stderr,
        };
        // Of an empty one nobody can tell that there was more, but its transactions are missing elsewhere, which is said.
        let is_named = said.contains(name_of(&segments[0]));
        assert!(is_named || (what == "empty" && said.contains("other shards lack")), "{what}:\n{said}");
    }
}

#[test]
fn a_torn_tail_is_cut_and_said() {
    let Some(home) = Home::new("a_torn_tail_is_cut_and_said") else { return };
    let arguments = ["--shards", "1", "--aof-sync-strategy", "always"];
    let server = home.start(&arguments);
    let mut wire = server.wire();
    for n in 0..50 {
        wire.expect(&format!("SET key:{n} value"), "+OK\r\n");
    }
    server.kill();
    let segment = home.written_segments().pop().expect("a segment with records");
    let end = written_bytes(&segment);
    for (what, keys) in
        [("cut within the last record", 49), ("zeros in the last record", 49), ("garbage behind", 50)]
    {
        let home = home.copy();
        let path = home.data().join(name_of(&segment));
        let mut bytes = fs::read(&path).expect("the segment");
        match what {
            "cut within the last record" => bytes.truncate(end as usize - 3),
            "zeros in the last record" => bytes[end as usize - 3..].fill(0),
            _ => {
                bytes.truncate(end.next_multiple_of(8) as usize);
                bytes.extend(b"garbage that nobody wrote on purpose");
            }
        }
        fs::write(&path, bytes).expect("the segment is written");
        let server = home.start(&arguments);
        let log = server.log();
        assert!(log.contains(name_of(&segment)) && log.contains("cut "), "{what}:\n{log}");
        server.wire().expect("DBSIZE", &format!(":{keys}\r\n"));
        server.wire().expect("SET later v", "+OK\r\n");
        server.kill();
        // It has been cut on disk: the next start finds nothing to say.
        let server = home.start(&arguments);
        server.wire().expect("DBSIZE", &format!(":{}\r\n", keys + 1));
        assert!(!server.log().contains("cut "), "{what}:\n{}", server.log());
        server.stop();
    }
}

#[test]
fn damage_within_a_log_is_refused_until_it_is_repaired() {
    let Some(home) = Home::new("damage_within_a_log_is_refused_until_it_is_repaired") else { return };
    let arguments = ["--shards", "1", "--aof-sync-strategy", "always"];
    let server = home.start(&arguments);
    let mut wire = server.wire();
    for n in 0..50 {
        wire.expect(&format!("SET key:{n} value"), "+OK\r\n");
    }
    server.stop();
    let segment = home.written_segments().pop().expect("a segment with records");
    let at = SEGMENT_HEADER_BYTES + (written_bytes(&segment) - SEGMENT_HEADER_BYTES) / 2;
    let mut bytes = fs::read(&segment).expect("the segment");
    bytes[at as usize] ^= 0x10;
    fs::write(&segment, &bytes).expect("the segment is written");
    let said = home.refuses(&arguments, &[name_of(&segment), "byte", "check-aof", "--repair"]);
    assert_eq!(fs::read(&segment).expect("the segment"), bytes, "a server that refuses changes nothing");

    let shown = segment.display().to_string();
    let ended = home.tool(&["check-aof", &shown]);
    assert_eq!(ended.code, Some(1), "{}{}", ended.stdout, ended.stderr);
    let ended = home.tool(&["check-aof", &shown, "--repair"]);
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    assert_eq!(fs::read(format!("{shown}.bak")).expect("a copy from before"), bytes, "{said}");
    let server = home.start(&arguments);
    let keys: u64 = server.wire().ask("DBSIZE").trim_start_matches(':').trim_end().parse().expect("a number");
    assert!((20..30).contains(&keys), "about half of them are before the damage: {keys}");
    for n in 0..keys {
        server.wire().expect(&format!("GET key:{n}"), "$5\r\nvalue\r\n");
    }
    server.stop();
}

#[test]
fn files_of_others_and_what_a_crash_left_half_made_do_no_harm() {
    let Some(home) = Home::new("files_of_others_and_what_a_crash_left_half_made_do_no_harm") else { return };
    make(&home);
    let notes = home.data().join("notes.txt");
    fs::write(&notes, "mine").expect("a file");
    let half = home.data().join("snapshot-0000000000000099.cvs.tmp");
    fs::write(&half, [7; 1000]).expect("a file");
    fs::write(home.data().join("MANIFEST.tmp"), "half a manif").expect("a file");
    // One that no manifest lists, as after a crash between making it and listing it.
    let segment = home.written_segments().remove(0);
    let unlisted = home.data().join("aof-99999999-0-99999999.cvl");
    fs::copy(segment, unlisted).expect("a copy");
    let server = home.start(&["--shards", "3"]);
    server.wire().expect("DBSIZE", ":1000\r\n");
    server.stop();
    assert_eq!(fs::read_to_string(&notes).expect("the file"), "mine");
    assert!(!half.exists(), "what was half made is removed");
}

#[test]
fn a_save_into_a_directory_that_is_gone_fails_and_says_so() {
    let Some(home) = Home::new("a_save_into_a_directory_that_is_gone_fails_and_says_so") else { return };
    let server = home.start(&["--shards", "1", "--aof-sync-strategy", "always"]);
    let mut wire = server.wire();
    wire.expect("SET k v", "+OK\r\n");
    fs::remove_dir_all(home.data()).expect("the data directory");
    // No new file can be made: a save fails, says so, and the server goes on.
    let reply = wire.ask("SAVE");
    assert!(reply.starts_with('-'), "{reply}");
    fail_to_save_in_background(&mut wire);
    wire.expect("GET k", "$1\r\nv\r\n");
    let log = server.log();
    assert!(log.contains(&home.data().display().to_string()) || log.contains(SNAPSHOT), "{log}");
    server.kill();
}

#[test]
fn segments_of_many_generations_are_replayed_in_their_order() {
    let Some(home) = Home::new("segments_of_many_generations_are_replayed_in_their_order") else { return };
    for (turn, shards) in ["3", "1", "4", "2", "5"].iter().enumerate() {
        let server = home.start(&["--shards", shards, "--aof-sync-strategy", "always"]);
        let mut wire = server.wire();
        for n in 0..40 {
            wire.expect(&format!("APPEND key:{n} {turn}"), &format!(":{}\r\n", turn + 1));
        }
        server.kill();
    }
    assert!(home.files(SEGMENT).len() >= 5);
    let server = home.start(&["--shards", "2"]);
    for n in 0..40 {
        server.wire().expect(&format!("GET key:{n}"), "$5\r\n01234\r\n");
    }
    server.stop();
}
