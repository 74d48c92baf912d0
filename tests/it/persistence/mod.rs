//! What the server keeps on disk, seen from outside: what is there again after a restart, which files there are, what it says
//! about files that are damaged. Never reads a format: damage is done to bytes, and judged by what the server then does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Directory, Ended, Server, has_flag, program, run_to_end, skip, wait_for};
use crate::wire::Wire;

mod commands;
mod damage;
mod data;
mod disk_full;
mod failures;
mod kill;
mod restart;
mod tools;
mod writer;

/// A data directory, and the servers started on it one after the other.
struct Home {
    directory: Directory,
}

impl Home {
    /// None where the program under test, an older one, keeps nothing.
    fn new(test: &str) -> Option<Home> {
        if !has_flag("--data-dir") {
            skip(test, "the program under test has no --data-dir");
            return None;
        }
        Some(Home { directory: Directory::new() })
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// The program with the data directory and `arguments`.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.arg("--data-dir").arg(self.data()).args(arguments);
        command
    }

    /// Starts a server, which must take what it finds.
    #[track_caller]
    fn start(&self, arguments: &[&str]) -> Server {
        self.try_start(arguments)
            .unwrap_or_else(|ended| panic!("the server ended at start:\n{}", ended.stderr))
    }

    fn try_start(&self, arguments: &[&str]) -> Result<Server, Ended> {
        Server::try_start(self.command(arguments))
    }

    /// Starts a server that must refuse, with exit code 1, and say each of `expected`; returns what it says.
    #[track_caller]
    fn refuses(&self, arguments: &[&str], expected: &[&str]) -> String {
        let Err(ended) = self.try_start(arguments) else {
            panic!("the server starts: {expected:?} expected")
        };
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        for expected in expected {
            assert!(ended.stderr.contains(expected), "no {expected:?} in:\n{}", ended.stderr);
        }
        ended.stderr
    }

    /// The files whose names end so, in the order of their names.
    fn files(&self, ending: &str) -> Vec<PathBuf> {
        files(&self.data(), ending)
    }

    /// The one file whose name ends so.
    #[track_caller]
    fn file(&self, ending: &str) -> PathBuf {
        let mut files = self.files(ending);
        assert_eq!(files.len(), 1, "{ending}: {files:?}");
        files.remove(0)
    }

    /// The segments that hold records, or at least more than a header and zeros, in the order of their names.
    fn written_segments(&self) -> Vec<PathBuf> {
        let is_written = |path: &PathBuf| written_bytes(path) > SEGMENT_HEADER_BYTES;
        self.files(SEGMENT).into_iter().filter(is_written).collect()
    }

    /// Runs a tool of the program.
    fn tool(&self, arguments: &[&str]) -> Ended {
        run_to_end(Command::new(program()).args(arguments).current_dir(&*self.directory), b"")
    }

    /// A second home with the same files: of a server that runs, what a crash would leave if the disk kept everything.
    fn copy(&self) -> Home {
        Home::with_copy_of(&self.data())
    }

    fn with_copy_of(data: &Path) -> Home {
        let home = Home { directory: Directory::new() };
        copy_files(data, &home.data());
        home
    }
}

const SNAPSHOT: &str = ".cvs";
const SEGMENT: &str = ".cvl";
const SEGMENT_HEADER_BYTES: u64 = 64;

fn files(directory: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("the data directory");
    let paths = entries.map(|entry| entry.expect("an entry of the data directory").path());
    let mut found: Vec<PathBuf> = paths.filter(|path| name_of(path).ends_with(ending)).collect();
    found.sort();
    found
}

/// Copies what lies in `from`; directories in it are left out.
fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory for the copy");
    for path in files(from, "") {
        // A running server may remove a file at any time: the next one that looks is told by the manifest.
        if path.is_file() {
            let _ = fs::copy(&path, to.join(name_of(&path)));
        }
    }
}

fn name_of(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).expect("a name in ASCII")
}

/// Where the zeros begin that reach to the end of a file: segments may be longer than what has been written to them.
fn written_bytes(path: &Path) -> u64 {
    let bytes = fs::read(path).expect("a file of the data directory");
    bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last as u64 + 1)
}

/// A line of INFO persistence.
#[track_caller]
fn info(wire: &mut Wire, name: &str) -> String {
    let text = wire.ask("INFO persistence");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).trim_end().to_owned()
}

/// Waits until a line of INFO persistence says `value`.
fn wait_for_info(wire: &mut Wire, name: &str, value: &str) {
    wait_for(&format!("{name}:{value}"), || (info(wire, name) == value).then_some(()));
}

/// Waits until everything that was restored has been brought into memory.
fn wait_until_restored(wire: &mut Wire) {
    wait_for_info(wire, "loading", "0");
    wait_for_info(wire, "restore_tables_left", "0");
}

/// Waits until nothing is being saved. One that began by itself may be under way.
fn wait_until_idle(wire: &mut Wire) {
    wait_for_info(wire, "rdb_bgsave_in_progress", "0");
    wait_for_info(wire, "aof_rewrite_in_progress", "0");
}

/// A background save from its beginning to its end, which must be a good one.
#[track_caller]
fn save_in_background(wire: &mut Wire) {
    wait_until_idle(wire);
    wire.expect("BGSAVE", "+Background saving started\r\n");
    wait_until_idle(wire);
    assert_eq!(info(wire, "rdb_last_bgsave_status"), "ok");
}

/// A background save that must fail.
#[track_caller]
fn fail_to_save_in_background(wire: &mut Wire) {
    wait_until_idle(wire);
    // It may say so at once, where not even a file can be made.
    wire.ask("BGSAVE");
    wait_until_idle(wire);
    assert_eq!(info(wire, "rdb_last_bgsave_status"), "err");
}

/// A background rewrite from its beginning to its end, which must be a good one.
#[track_caller]
fn rewrite_in_background(wire: &mut Wire) {
    wait_until_idle(wire);
    wire.expect("BGREWRITEAOF", "+Background append only file rewriting started\r\n");
    wait_until_idle(wire);
    assert_eq!(info(wire, "aof_last_bgrewrite_status"), "ok");
}

/// The digest of everything there is: equal data have equal digests.
fn digest(wire: &mut Wire) -> String {
    wire.ask("DEBUG DIGEST")
}
