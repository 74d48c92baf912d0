//! Starting, refusing to start, and stopping: exit codes and what is said.

use std::fs;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use rustix::process::{Resource, Signal, getrlimit};

use crate::harness::{Directory, Ended, PROGRAM, Server, run_to_end, skip};
use crate::wire::Wire;

/// Runs the program where it may leave something behind.
fn corevault(arguments: &[&str]) -> Ended {
    let directory = Directory::new();
    run_to_end(Command::new(PROGRAM).args(arguments).current_dir(&*directory), b"")
}

#[test]
fn a_port_in_use_is_named_with_a_remedy() {
    let server = Server::with_shards(1);
    let ended = corevault(&["--shards", "1", "--port", &server.port.to_string()]);
    assert_eq!(ended.code, Some(1));
    for expected in [&server.address().to_string(), "in use", "--port"] {
        assert!(ended.stderr.contains(expected), "no {expected} in {}", ended.stderr);
    }
    server.wire().expect("PING", "+PONG\r\n");
    server.stop();
}

#[test]
fn wrong_flags_are_explained() {
    for wrong in [
        &["--nosuch"][..],
        &["--port", "65536"],
        &["--port", "x"],
        &["--shards", "-1"],
        &["--cpus", "3-1"],
        &["--max-clients", "0"],
        &["--log-format", "xml"],
        &["--bind-addr", "not an address"],
        &["nosuch"],
    ] {
        let ended = corevault(wrong);
        assert_eq!(ended.code, Some(2), "{wrong:?}: {}", ended.stderr);
        assert!(
            ended.stderr.starts_with("error: ") && ended.stderr.contains("--help"),
            "{wrong:?}: {}",
            ended.stderr
        );
    }
}

#[test]
fn impossible_choices_are_refused() {
    let ended = corevault(&["--cpus", "9999"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("CPU 9999") && ended.stderr.contains("allowed"), "{}", ended.stderr);
    let ended = corevault(&["--shards", "0"]);
    assert_ne!(ended.code, Some(0));
    assert!(ended.stderr.contains("--shards"), "{}", ended.stderr);
    // Reserved for documentation (RFC 5737): no machine has it.
    let ended = corevault(&["--shards", "1", "--port", "0", "--bind-addr", "192.0.2.1"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("192.0.2.1") && ended.stderr.contains("--bind-addr"), "{}", ended.stderr);
}

#[test]
fn help_and_version() {
    let help = corevault(&["--help"]);
    assert_eq!(help.code, Some(0));
    for flag in [
        "--port",
        "--bind-addr",
        "--unix-socket",
        "--shards",
        "--cpus",
        "--max-clients",
        "--log-level",
        "doctor",
    ] {
        assert!(help.stdout.contains(flag), "no {flag} in {}", help.stdout);
    }
    assert_eq!(corevault(&["--version"]).stdout, format!("corevault {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn doctor_reports_every_check() {
    let ended = corevault(&["doctor"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stdout);
    for check in ["kernel", "memlock", "io_uring", "descriptors", "CPUs", "somaxconn", "huge pages"] {
        let is_its = |line: &str| {
            let line = line.strip_prefix("ok").or(line.strip_prefix("warn"));
            line.is_some_and(|line| line.trim_start().starts_with(check))
        };
        assert!(ended.stdout.lines().any(is_its), "no {check} in {}", ended.stdout);
    }
}

/// `ulimit -l 64`, which is what many systems start a process with.
fn with_little_locked_memory(program: &Path, option: &str, arguments: &str) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("ulimit {option} -l 64 && exec \"$0\" {arguments}")).arg(program);
    command
}

/// Whether a process started here could raise its hard limit again: root may, unless a container has taken the right away.
fn may_raise_hard_limit() -> bool {
    let script = "ulimit -l 64 && ulimit -l 1024";
    run_to_end(Command::new("sh").args(["-c", script]), b"").code == Some(0)
}

#[test]
fn a_low_limit_of_locked_memory_is_raised_where_it_may_be() {
    let hard = getrlimit(Resource::Memlock).maximum;
    if hard.is_some_and(|bytes| bytes < 512 * 1024) && !may_raise_hard_limit() {
        let test = "a_low_limit_of_locked_memory_is_raised_where_it_may_be";
        return skip(
            test,
            &format!("the hard limit (ulimit -Hl) is {hard:?} bytes and cannot be raised here"),
        );
    }
    let option = if may_raise_hard_limit() { "" } else { "-S" };
    let ended = run_to_end(&mut with_little_locked_memory(Path::new(PROGRAM), option, "doctor"), b"");
    assert_eq!(ended.code, Some(0), "{}", ended.stdout);
    assert!(ended.stdout.lines().any(|line| line.starts_with("ok    memlock")), "{}", ended.stdout);
}

#[test]
fn too_little_locked_memory_is_named_with_a_remedy() {
    let directory = Directory::new();
    // A place that a user without rights can reach.
    let program = directory.join("corevault");
    fs::copy(PROGRAM, &program).expect("a copy of the program");
    for arguments in ["--shards 1 --port 0", "doctor"] {
        let mut command = with_little_locked_memory(&program, "", arguments);
        command.current_dir(&*directory);
        if may_raise_hard_limit() {
            // The server would raise it: somebody else starts it.
            const NOBODY: u32 = 65534;
            command.uid(NOBODY).gid(NOBODY);
        }
        let ended = run_to_end(&mut command, b"");
        assert_eq!(ended.code, Some(1), "{}{}", ended.stdout, ended.stderr);
        let said = ended.stdout + &ended.stderr;
        for expected in ["memlock", "64 KiB", "512 KiB", "ulimit -l unlimited", "LimitMEMLOCK=infinity"] {
            assert!(said.contains(expected), "no {expected} in {said}");
        }
    }
}

#[test]
fn signals_stop_the_server() {
    for shards in [1, 3] {
        for signal in [Signal::TERM, Signal::INT] {
            let mut server = Server::with_shards(shards);
            let mut wire = server.wire();
            wire.expect("SET k v", "+OK\r\n");
            server.signal(signal);
            server.wait_for_end();
            assert_eq!(wire.read_to_end(), b"", "an open connection is closed and told nothing");
        }
    }
}

#[test]
fn the_port_is_free_again_once_the_server_has_ended() {
    let first = Server::with_shards(3);
    let port = first.port.to_string();
    first.stop();
    for _ in 0..15 {
        let server = Server::start(&["--shards", "3", "--port", &port]);
        let mut wire = server.wire();
        wire.expect("SET k v", "+OK\r\n");
        server.stop();
    }
}

/// A supervisor starts a killed server again at once; the kernel may still hold its listener then.
#[test]
fn a_killed_server_can_be_started_again_at_once() {
    let first = Server::with_shards(3);
    let port = first.port.to_string();
    drop(first);
    for _ in 0..15 {
        let server = Server::start(&["--shards", "3", "--port", &port]);
        server.wire().expect("EXISTS k", ":0\r\n");
        server.wire().expect("SET k v", "+OK\r\n");
        drop(server);
    }
}

#[test]
fn a_client_can_stop_the_server() {
    for (shards, line) in [(1, "SHUTDOWN"), (3, "SHUTDOWN NOSAVE"), (2, "shutdown now")] {
        let mut server = Server::with_shards(shards);
        let mut wire = server.wire();
        wire.send(format!("{line}\r\n").as_bytes());
        assert_eq!(wire.read_to_end(), b"", "{line} is not answered");
        server.wait_for_end();
    }
}

#[test]
fn the_log_can_be_json() {
    let server = Server::start(&["--shards", "2", "--log-format", "json", "--log-level", "debug"]);
    let log = server.directory.join("log");
    let kept = Directory::new();
    fs::hard_link(&log, kept.join("log")).expect("both are in the temporary directory");
    server.stop();
    let log = fs::read_to_string(kept.join("log")).expect("the log");
    assert!(log.lines().count() >= 2, "{log}");
    for line in log.lines() {
        assert!(is_one_object(line), "{line}");
        for name in ["\"timestamp\":", "\"level\":", "\"message\":"] {
            assert!(line.contains(name), "no {name} in {line}");
        }
    }
}

/// Whether a line is one JSON object, as far as braces and quotes tell.
fn is_one_object(line: &str) -> bool {
    let (mut depth, mut is_text, mut is_escaped) = (0, false, false);
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            b'{' if !is_text => depth += 1,
            b'}' if !is_text => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at > 0 && at == line.len() - 1;
        }
    }
    false
}

#[test]
fn a_stale_unix_socket_is_replaced_and_removed_at_the_end() {
    let directory = Directory::new();
    let path = directory.join("s");
    drop(UnixListener::bind(&path).expect("a socket nobody listens on"));
    let shown = path.display().to_string();
    let server = Server::start(&["--shards", "1", "--unix-socket", &shown]);
    Wire::unix(&path).expect("PING", "+PONG\r\n");
    let second = corevault(&["--shards", "1", "--port", "0", "--unix-socket", &shown]);
    assert_eq!(second.code, Some(1));
    assert!(second.stderr.contains(&shown) && second.stderr.contains("in use"), "{}", second.stderr);
    Wire::unix(&path).expect("PING", "+PONG\r\n");
    server.stop();
    assert!(!path.exists());
}

#[test]
fn a_file_in_place_of_the_unix_socket_is_kept() {
    let directory = Directory::new();
    let path = directory.join("precious");
    fs::write(&path, "data").expect("a file");
    let shown = path.display().to_string();
    let ended = corevault(&["--shards", "1", "--port", "0", "--unix-socket", &shown]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains(&shown) && ended.stderr.contains("--unix-socket"), "{}", ended.stderr);
    assert_eq!(fs::read_to_string(&path).expect("the file"), "data");
}
