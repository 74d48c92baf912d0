//! Starts the server under test in a directory of its own and stops what it started, also when a test panics.

use std::env;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
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

/// Flags that say what a server keeps, and where. A test that names none of them wants a server that keeps nothing.
const KEEPING: &[&str] =
    &["--in-memory", "--data-dir", "--append-only", "--snapshot-threshold", "--snapshot-interval"];

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

/// The program to test: `COREVAULT_IT_PROGRAM` names another than the one just built.
pub fn program() -> PathBuf {
    env::var_os("COREVAULT_IT_PROGRAM").unwrap_or(PROGRAM.into()).into()
}

/// Whether the program knows a flag: an older one that is tested may not.
pub fn has_flag(flag: &str) -> bool {
    static HELP: LazyLock<String> =
        LazyLock::new(|| run_to_end(Command::new(program()).arg("--help"), b"").stdout);
    HELP.contains(flag)
}

/// A server under test.
pub struct Server {
    process: Guarded,
    pub port: u16,
    pub directory: Directory,
}

impl Server {
    /// Starts a server with `arguments`, on a free port unless they name one; returns once it answers. It keeps nothing, unless
    /// they say what to keep.
    pub fn start(arguments: &[&str]) -> Server {
        let mut arguments = arguments.to_vec();
        if !arguments.iter().any(|argument| KEEPING.contains(argument)) && has_flag("--in-memory") {
            arguments.push("--in-memory");
        }
        Server::start_as_is(&arguments)
    }

    /// As `start`, with no flag but `arguments` and the port.
    pub fn start_as_is(arguments: &[&str]) -> Server {
        let mut command = Command::new(program());
        command.args(arguments);
        Server::try_start(command)
            .unwrap_or_else(|ended| panic!("the server ended at start:\n{}", ended.stderr))
    }

    /// Starts the server that `command` says, on a free port unless it names one; returns once it answers, or has ended instead.
    pub fn try_start(mut command: Command) -> Result<Server, Ended> {
        let directory = Directory::new();
        let log = File::create(directory.join("log")).expect("a log file");
        if !command.get_args().any(|argument| argument == "--port") {
            command.args(["--port", "0"]);
        }
        if command.get_current_dir().is_none() {
            command.current_dir(&*directory);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let mut process = Guarded(command.spawn().expect("the server starts"));
        let read_log = || fs::read_to_string(directory.join("log")).expect("the log");
        // The kernel chooses the port and the log tells it: a port looked for beforehand may be taken meanwhile.
        let port = wait_for("line in the log about the port", || {
            let ended = process.has_ended();
            // Read after looking for the end, so that it is all there is.
            let log = read_log();
            match (port_in(&log), ended) {
                (_, Some(status)) => {
                    Some(Err(Ended { code: status.code(), stdout: String::new(), stderr: log }))
                }
                (Some(port), None) => Some(Ok(port)),
                (None, None) => None,
            }
        })?;
        let mut server = Server { process, port, directory };
        // One that finds at once what it cannot serve may be gone again.
        if server.answers_ping().is_err() { Err(server.wait_for_any_end()) } else { Ok(server) }
    }

    fn answers_ping(&self) -> io::Result<()> {
        let mut stream = TcpStream::connect(self.address())?;
        stream.set_read_timeout(Some(GUARD))?;
        stream.write_all(b"PING\r\n")?;
        let mut answer = [0; 7];
        stream.read_exact(&mut answer)?;
        assert_eq!(&answer, b"+PONG\r\n");
        Ok(())
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

    /// Ends the server with no chance to do anything about it, as a crash of the process does.
    pub fn kill(mut self) {
        self.signal(Signal::KILL);
        self.process.wait();
    }

    /// Waits until the server has ended by itself, well or not.
    pub fn wait_for_any_end(&mut self) -> Ended {
        let status = self.process.wait();
        Ended { code: status.code(), stdout: String::new(), stderr: self.log() }
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
    io::stderr().write_all(line.as_bytes()).expect("standard error");
}
