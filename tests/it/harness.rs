//! Starts the server under test in a directory of its own and stops what it started, also when a test panics.

use std::env;
use std::fs::{self, File};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::wire::Wire;

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_corevault");

/// Longest wait for anything: a guard against hanging, far beyond what a loaded machine needs.
pub const GUARD: Duration = Duration::from_secs(90);

const POLL: Duration = Duration::from_millis(10);

/// Looks again and again until there is something.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + GUARD;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "no {what} within {GUARD:?}");
        thread::sleep(POLL);
    }
}

/// A directory of one test, removed with it.
pub struct Directory(PathBuf);

impl Directory {
    pub fn new() -> Directory {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("corevault-it-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a temporary directory");
        Directory(path)
    }
}

impl Deref for Directory {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What is left behind lies in the system's temporary directory and harms nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A child process that does not outlive its guard.
pub struct Guarded(pub Child);

impl Guarded {
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid() as i32).expect("a process has an id");
        kill_process(pid, signal).expect("our own child takes signals");
    }

    /// Waits for the end.
    pub fn wait(&mut self) -> ExitStatus {
        wait_for("end of the process", || self.0.try_wait().expect("our own child can be waited for"))
    }

    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().expect("our own child can be waited for")
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if self.has_ended().is_none() {
            // It may end in between, which is what is wanted.
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// What a program that ran to its end said.
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a program to its end, with `input` on its standard input.
pub fn run_to_end(command: &mut Command, input: &[u8]) -> Ended {
    let directory = Directory::new();
    let (stdin, stdout, stderr) = (directory.join("in"), directory.join("out"), directory.join("err"));
    fs::write(&stdin, input).expect("the input is written");
    let file = |path: &Path| File::create(path).expect("a file for output");
    command.stdin(File::open(&stdin).expect("the input")).stdout(file(&stdout)).stderr(file(&stderr));
    let status = Guarded(command.spawn().expect("the program starts")).wait();
    let text = |path: &Path| String::from_utf8_lossy(&fs::read(path).expect("output")).into_owned();
    Ended { code: status.code(), stdout: text(&stdout), stderr: text(&stderr) }
}

/// A server under test.
pub struct Server {
    process: Guarded,
    pub port: u16,
    pub directory: Directory,
}

impl Server {
    /// Starts a server with `arguments`, on a free port unless they name one; returns once it answers. `COREVAULT_IT_PROGRAM`
    /// names another program than the one just built.
    pub fn start(arguments: &[&str]) -> Server {
        let directory = Directory::new();
        let log = File::create(directory.join("log")).expect("a log file");
        let mut command = Command::new(env::var_os("COREVAULT_IT_PROGRAM").unwrap_or(PROGRAM.into()));
        if !arguments.contains(&"--port") {
            command.args(["--port", "0"]);
        }
        command.current_dir(&*directory).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let mut process = Guarded(command.spawn().expect("the server starts"));
        // The kernel chooses the port and the log tells it: a port looked for beforehand may be taken meanwhile.
        let port = wait_for("line in the log about the port", || {
            let log = fs::read_to_string(directory.join("log")).expect("the log");
            assert!(process.has_ended().is_none(), "the server ended at start:\n{log}");
            port_in(&log)
        });
        let server = Server { process, port, directory };
        server.wire().expect("PING", "+PONG\r\n");
        server
    }

    pub fn with_shards(shards: usize) -> Server {
        Server::start(&["--shards", &shards.to_string()])
    }

    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// A connection that sees bytes.
    pub fn wire(&self) -> Wire {
        Wire::tcp(self.address())
    }

    /// A connection of the `redis` crate.
    pub fn client(&self) -> redis::Connection {
        self.client_with("")
    }

    /// As `client`, with something after the address, such as `/3` or `?protocol=resp3`.
    pub fn client_with(&self, rest: &str) -> redis::Connection {
        connect(&format!("redis://{}{rest}", self.address()))
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).expect("the log")
    }

    /// A path for a file of this test.
    pub fn path(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }

    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits until the server has ended by itself, and fails unless it ended well.
    pub fn wait_for_end(&mut self) {
        let status = self.process.wait();
        assert_eq!(status.code(), Some(0), "the server ended with {status}:\n{}", self.log());
    }

    /// Stops the server as an operator would, and fails unless it ends well.
    pub fn stop(mut self) {
        self.signal(Signal::TERM);
        self.wait_for_end();
    }

    /// CPU time used by all threads, clock ticks.
    pub fn cpu_ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("the server runs");
        // The name, in parentheses, may hold anything; utime and stime are fields 14 and 15, counted from 1.
        let (_, fields) = stat.rsplit_once(") ").expect("a name in parentheses");
        fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number")).sum()
    }

    /// The most resident memory so far, bytes: a peak between two looks counts too.
    pub fn peak_rss_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the server runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("resident memory");
        let kib = line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number of KiB");
        kib * 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("log of the server:\n{}", self.log());
        }
    }
}

/// A connection of the `redis` crate that does not wait for ever.
pub fn connect(url: &str) -> redis::Connection {
    let client = redis::Client::open(url).expect("an address");
    let connection = client.get_connection_with_timeout(GUARD).expect("a connection");
    connection.set_read_timeout(Some(GUARD)).expect("a timeout");
    connection.set_write_timeout(Some(GUARD)).expect("a timeout");
    connection
}

/// The port in the log line that says the server is ready, in either format.
fn port_in(log: &str) -> Option<u16> {
    let line = log.lines().find(|line| line.contains("ready to accept connections"))?;
    let after = &line[line.find("port")?..];
    let digits: String =
        after.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// Says that a test did not run, past the capture of the test harness.
pub fn skip(test: &str, why: &str) {
    let line = format!("SKIPPED: {test}: {why}\n");
    std::io::stderr().write_all(line.as_bytes()).expect("standard error");
}
