//! Finds the programs of others that some tests talk through or compare with.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Directory, Guarded, run_to_end, skip, wait_for};
use crate::wire::Wire;

/// Where a program is, unless the test has to be skipped.
pub fn find(test: &str, program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found =
        std::env::split_paths(&path).map(|directory| directory.join(program)).find(|path| path.is_file());
    if found.is_none() {
        skip_unless_required(test, &format!("no {program} on this machine"));
    }
    found
}

/// A Python that has the `redis` package, unless the test has to be skipped.
pub fn find_python(test: &str) -> Option<PathBuf> {
    let named = std::env::var_os("COREVAULT_TEST_PYTHON").map(PathBuf::from);
    let python = named.unwrap_or_else(|| PathBuf::from("python3"));
    let has_package =
        Command::new(&python).args(["-c", "import redis"]).output().is_ok_and(|ran| ran.status.success());
    if !has_package {
        let why = format!(
            "{} has no package `redis`; COREVAULT_TEST_PYTHON names a Python that has",
            python.display()
        );
        skip_unless_required(test, &why);
    }
    has_package.then_some(python)
}

/// A skip for want of a program would hide a failure where all are meant to be installed.
fn skip_unless_required(test: &str, why: &str) {
    let is_required = std::env::var("COREVAULT_REQUIRE_REDIS").is_ok_and(|value| value == "1");
    assert!(!is_required, "{test} cannot be skipped with COREVAULT_REQUIRE_REDIS=1: {why}");
    skip(test, why);
}

/// A Redis server to compare with, on a Unix socket.
pub struct Redis {
    _process: Guarded,
    directory: Directory,
}

impl Redis {
    pub fn start(program: &Path) -> Redis {
        let directory = Directory::new();
        let mut command = Command::new(program);
        command.current_dir(&*directory).args(["--port", "0", "--unixsocket", "redis.sock", "--save", ""]);
        // SORT compares texts as the locale says; DEBUG DIGEST-VALUE says whether two values are equal.
        command.args(["--enable-debug-command", "yes"]).env("LC_ALL", "C");
        command.args(["--logfile", "redis.log"]).stdin(std::process::Stdio::null());
        let mut process = Guarded(command.spawn().expect("redis-server starts"));
        wait_for("socket of redis-server", || {
            assert!(process.has_ended().is_none(), "redis-server ended at start");
            // It is there for a moment before it takes connections.
            UnixStream::connect(directory.join("redis.sock")).ok().map(drop)
        });
        let redis = Redis { _process: process, directory };
        redis.wire().expect("PING", "+PONG\r\n");
        redis
    }

    pub fn wire(&self) -> Wire {
        Wire::unix(&self.directory.join("redis.sock"))
    }
}

/// What a program says on standard output, which it must end well.
#[track_caller]
pub fn output_of(command: &mut Command, input: &[u8]) -> String {
    let ended = run_to_end(command, input);
    assert_eq!(ended.code, Some(0), "{command:?}\n{}\n{}", ended.stdout, ended.stderr);
    ended.stdout
}
