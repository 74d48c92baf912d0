//! A disk without room, which is a small file system in memory that only the server sees. Where no such can be mounted (that takes
//! root, or user namespaces) the tests are skipped.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use super::data::{fill_keys, value};
use super::{Home, SNAPSHOT, digest, fail_to_save_in_background, info, save_in_background};
use crate::harness::{Directory, Ended, GUARD, Server, has_flag, program, run_to_end, skip, wait_for};
use crate::wire::{Wire, bulk, command};

const DISK_BYTES: u64 = 12 << 20;

/// A server whose data directory is a disk of `DISK_BYTES`; both go together.
struct Cramped {
    server: Server,
    /// The disk, as seen from outside of the server's namespace.
    disk: PathBuf,
    _place: Directory,
}

/// How a mount of one's own can be had here.
fn unshare() -> Option<&'static [&'static str]> {
    let ways: [&[&str]; 2] = [&["-m"], &["-Urm"]];
    let works = |way: &&&[&str]| {
        let directory = Directory::new();
        let script = format!("mount -t tmpfs -o size=1m tmpfs {}", directory.display());
        let mut command = Command::new("unshare");
        command.args(**way).args(["sh", "-c", &script]);
        command.output().is_ok_and(|ran| ran.status.success())
    };
    ways.iter().find(works).copied()
}

impl Cramped {
    fn start(test: &str, arguments: &[&str]) -> Option<Cramped> {
        if !has_flag("--data-dir") {
            skip(test, "the program under test has no --data-dir");
            return None;
        }
        let Some(way) = unshare() else {
            skip(test, "no file system can be mounted here: neither root nor user namespaces");
            return None;
        };
        let place = Directory::new();
        let disk = place.join("disk");
        fs::create_dir(&disk).expect("a directory");
        // The shell becomes the server, so that the process is the server's.
        let script =
            format!("mount -t tmpfs -o size={DISK_BYTES} tmpfs {0} && exec \"$0\" \"$@\"", disk.display());
        let mut command = Command::new("unshare");
        command.args(way).args(["sh", "-c", &script]).arg(program());
        command.arg("--data-dir").arg(disk.join("data")).args(arguments);
        let server = match Server::try_start(command) {
            Ok(server) => server,
            Err(ended) => panic!("the server ended at start:\n{}", ended.stderr),
        };
        let disk = PathBuf::from(format!("/proc/{}/root{}", server.pid(), disk.display()));
        Some(Cramped { server, disk, _place: place })
    }

    fn ballast(&self) -> PathBuf {
        self.disk.join("ballast")
    }

    /// Takes all room that is left.
    fn fill_up(&self) {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(self.ballast()).expect("a file");
        let mut bytes = 1 << 20;
        while bytes > 0 {
            match file.write(&vec![1; bytes]) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => bytes /= 2,
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn make_room(&self) {
        fs::remove_file(self.ballast()).expect("the ballast");
    }

    /// What a crash would leave now: the files of the server while it is halted.
    fn kill_and_keep_files(self) -> Home {
        self.server.signal(Signal::STOP);
        let home = Home::with_copy_of(&self.disk.join("data"));
        self.server.kill();
        home
    }
}

/// Sends a command and returns its reply; none where the server hangs up instead.
fn try_ask(server: &Server, words: &[&[u8]]) -> Option<String> {
    let mut stream = TcpStream::connect(server.address()).expect("the server accepts");
    stream.set_read_timeout(Some(GUARD)).expect("a timeout");
    stream.write_all(&command(words)).ok()?;
    let mut reply = Vec::new();
    let mut part = [0; 1000];
    while !reply.ends_with(b"\r\n") {
        match stream.read(&mut part) {
            Ok(0) | Err(_) => return None,
            Ok(count) => reply.extend_from_slice(&part[..count]),
        }
    }
    Some(String::from_utf8_lossy(&reply).into_owned())
}

/// Writes until the server says that it cannot keep them; returns the acknowledged ones.
fn write_until_refused(server: &Server) -> usize {
    for n in 0.. {
        let name = format!("full:{n}");
        let content = [value("full", n).as_bytes(), &[b'.'; 4000]].concat();
        match try_ask(server, &[b"SET", name.as_bytes(), &content]) {
            Some(reply) if reply == "+OK\r\n" => {}
            Some(reply) => {
                assert!(reply.starts_with("-MISCONF"), "{reply}");
                return n;
            }
            // Not acknowledged either.
            None => return n,
        }
        assert!(n < 100_000, "the disk is never full");
    }
    unreachable!("it is full at some time")
}

#[test]
fn a_full_disk_refuses_writes_and_serves_reads_until_there_is_room() {
    let test = "a_full_disk_refuses_writes_and_serves_reads_until_there_is_room";
    for strategy in ["always", "everysec"] {
        let arguments = ["--shards", "2", "--aof-sync-strategy", strategy];
        let Some(cramped) = Cramped::start(test, &arguments) else { return };
        let server = &cramped.server;
        fill_keys(&mut server.wire(), "k", 100);
        cramped.fill_up();
        let acknowledged = write_until_refused(server);
        let mut wire = server.wire();
        wire.expect("GET k:7", &format!("${}\r\n{}\r\n", value("k", 7).len(), value("k", 7)));
        assert_eq!(info(&mut wire, "aof_last_write_status"), "err");
        let log = server.log();
        assert!(log.contains("No space left on device") && log.contains(".cvl"), "{log}");
        // Still refused, and said to everybody: a key of either shard.
        for key in ["a", "b", "c", "d"] {
            let reply = try_ask(server, &[b"SET", key.as_bytes(), b"v"]).expect("a reply");
            assert!(reply.starts_with("-MISCONF"), "{reply}");
        }
        cramped.make_room();
        wait_for("end of the refusals", || {
            let reply = try_ask(server, &[b"SET", b"again", b"v"])?;
            (reply == "+OK\r\n").then_some(())
        });
        let mut wire = server.wire();
        wire.expect("WAITAOF 1 0 0", "*2\r\n:1\r\n:0\r\n");
        wire.expect("SET last v", "+OK\r\n");
        wire.expect("WAITAOF 1 0 0", "*2\r\n:1\r\n:0\r\n");
        let before = digest(&mut wire);
        let home = cramped.kill_and_keep_files();
        let server = home.start(&["--shards", "3"]);
        let mut wire = server.wire();
        assert_eq!(digest(&mut wire), before, "{strategy}: what was served is what is kept");
        for n in 0..acknowledged {
            let found = wire.call(&[b"GET", format!("full:{n}").as_bytes()]);
            assert!(found.starts_with(b"$40"), "{strategy}: full:{n} was acknowledged");
        }
        server.stop();
    }
}

#[test]
fn a_server_killed_on_a_full_disk_has_what_it_acknowledged() {
    let test = "a_server_killed_on_a_full_disk_has_what_it_acknowledged";
    let Some(cramped) = Cramped::start(test, &["--shards", "2", "--aof-sync-strategy", "always"]) else {
        return;
    };
    cramped.fill_up();
    let acknowledged = write_until_refused(&cramped.server);
    let home = cramped.kill_and_keep_files();
    let server = home.start(&["--shards", "2"]);
    let mut wire = server.wire();
    for n in 0..acknowledged {
        wire.expect(&format!("EXISTS full:{n}"), ":1\r\n");
    }
    server.stop();
}

#[test]
fn a_save_without_room_fails_and_leaves_the_older_snapshot() {
    let test = "a_save_without_room_fails_and_leaves_the_older_snapshot";
    let Some(cramped) = Cramped::start(test, &["--shards", "2", "--append-only", "no"]) else { return };
    let server = &cramped.server;
    let mut wire = server.wire();
    wire.expect("SET saved v", "+OK\r\n");
    save_in_background(&mut wire);
    wire.expect("CONFIG SET stop-writes-on-bgsave-error no", "+OK\r\n");
    fill_keys(&mut wire, "k", 30_000);
    cramped.fill_up();
    let reply = wire.ask("SAVE");
    assert!(reply.starts_with('-'), "{reply}");
    fail_to_save_in_background(&mut wire);
    let log = server.log();
    assert!(log.contains("No space left on device") && log.contains(SNAPSHOT), "{log}");
    let left = super::files(&cramped.disk.join("data"), ".tmp");
    assert!(left.is_empty(), "what was half made is removed: {left:?}");
    wire.expect("CONFIG SET stop-writes-on-bgsave-error yes", "+OK\r\n");
    assert!(wire.ask("SET refused v").starts_with("-MISCONF"));
    wire.expect("GET saved", "$1\r\nv\r\n");
    cramped.make_room();
    save_in_background(&mut wire);
    wire.expect("SET allowed v", "+OK\r\n");
    let home = cramped.kill_and_keep_files();
    let server = home.start(&["--append-only", "no"]);
    let mut wire = server.wire();
    wire.expect("DBSIZE", ":30001\r\n");
    assert_eq!(wire.call(&[b"GET", b"k:29999"]), bulk(value("k", 29_999).as_bytes()));
    server.stop();
}

#[test]
fn a_start_on_a_full_disk_says_so() {
    let test = "a_start_on_a_full_disk_says_so";
    if !has_flag("--data-dir") {
        return skip(test, "the program under test has no --data-dir");
    }
    let Some(way) = unshare() else {
        return skip(test, "no file system can be mounted here: neither root nor user namespaces");
    };
    let place = Directory::new();
    let script = format!(
        "mount -t tmpfs -o size=64k tmpfs {0} && head -c 1m /dev/zero >{0}/ballast 2>/dev/null; exec \"$0\" \"$@\"",
        place.display()
    );
    let mut command = Command::new("unshare");
    command.args(way).args(["sh", "-c", &script]).arg(program());
    command.arg("--data-dir").arg(&*place).args(["--port", "0"]);
    let ended: Ended = run_to_end(&mut command, b"");
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    for expected in ["No space left on device", &place.display().to_string()] {
        assert!(ended.stderr.contains(expected), "no {expected} in:\n{}", ended.stderr);
    }
}

/// What is slow is not lost: the server says nothing before it is durable, and the client waits.
#[test]
fn a_halted_server_answers_what_it_was_asked_when_it_goes_on() {
    let Some(home) = Home::new("a_halted_server_answers_what_it_was_asked_when_it_goes_on") else { return };
    let server = home.start(&["--shards", "2", "--aof-sync-strategy", "always"]);
    let mut wire: Wire = server.wire();
    wire.expect("SET k v", "+OK\r\n");
    server.signal(Signal::STOP);
    wire.send(b"SET k w\r\nGET k\r\n");
    std::thread::sleep(Duration::from_millis(100));
    server.signal(Signal::CONT);
    wire.expect_bytes(b"+OK\r\n$1\r\nw\r\n");
    server.stop();
}
