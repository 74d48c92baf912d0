//! The real program against a fake server, and against redis-server where there is one.
//! No test asserts that something is fast; the one about time asserts that a stall is not hidden.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

const GET: &[u8] = b"*2\r\n$3\r\nGET\r\n$12\r\nk00000000000\r\n";

fn loadtest(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadtest")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs `loadtest run --output json` and returns its exit status and report.
fn run(port: u16, arguments: &[&str]) -> (bool, Value) {
    let port = port.to_string();
    let output = loadtest(&[&["run", "--port", &port, "--output", "json"], arguments].concat());
    let report = serde_json::from_slice(&output.stdout);
    (output.status.success(), report.unwrap_or_else(|_| panic!("no report: {}", text(&output.stderr))))
}

/// Answers every GET of a 12-byte key with `reply`; stalls once for `stall` when told to.
struct FakeServer {
    port: u16,
    requests: Arc<AtomicU64>,
    stall_next: Arc<AtomicBool>,
}

impl FakeServer {
    fn start(reply: &'static str, stall: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (requests, stall_next) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let server = Self { port, requests: requests.clone(), stall_next: stall_next.clone() };
        // The threads end with their connections, the listener with the test program.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (requests, stall_next) = (requests.clone(), stall_next.clone());
                thread::spawn(move || serve(stream.unwrap(), reply, &requests, &stall_next, stall));
            }
        });
        server
    }
}

fn serve(mut stream: TcpStream, reply: &str, requests: &AtomicU64, stall_next: &AtomicBool, stall: Duration) {
    stream.set_nodelay(true).unwrap();
    let mut input = [0; 4096];
    let mut part = 0;
    loop {
        let Ok(count @ 1..) = stream.read(&mut input) else { return };
        let whole = (part + count) / GET.len();
        part = (part + count) % GET.len();
        requests.fetch_add(whole as u64, Ordering::Relaxed);
        if stall_next.swap(false, Ordering::Relaxed) {
            thread::sleep(stall);
        }
        if stream.write_all(reply.repeat(whole).as_bytes()).is_err() {
            return;
        }
    }
}

#[test]
fn so_many_requests_and_no_more() {
    let server = FakeServer::start("$4\r\nabcd\r\n", Duration::ZERO);
    let load = ["--requests", "1001", "--pipeline", "16", "--clients", "3", "--threads", "2"];
    let (ok, report) = run(server.port, &[&load[..], &["--value-size", "4", "--warmup", "0s"]].concat());
    assert!(ok, "{report}");
    assert_eq!((&report["completed"], &report["hits"]), (&1001.into(), &1001.into()), "{report}");
    assert_eq!(server.requests.load(Ordering::Relaxed), 1001);
}

#[test]
fn wrong_answers_fail_the_run() {
    for (reply, expected) in [
        ("-LOADING not yet\r\n", "LOADING not yet"),
        ("$3\r\nabc\r\n", "GET returned 3 bytes, but values have 4"),
        ("+OK\r\n", "wrong answer to GET: +OK"),
        ("hello\r\n", "not RESP: a reply begins with byte 0x68"),
        ("$4\r\nabcd\r\n$4\r\nabcd\r\n", "a reply that answers no request"),
    ] {
        let server = FakeServer::start(reply, Duration::ZERO);
        let (ok, report) =
            run(server.port, &["--requests", "20", "--warmup", "0s", "--value-size", "4", "--clients", "1"]);
        assert!(!ok, "{reply:?}: {report}");
        assert_eq!(report["first_error"], expected, "{reply:?}");
    }
}

/// A server that stalls for 200 ms: each of the requests due meanwhile has waited, and the open loop says so.
#[test]
fn an_open_loop_shows_a_stall() {
    let server = FakeServer::start("$4\r\nabcd\r\n", Duration::from_millis(200));
    let stall_next = server.stall_next.clone();
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(500));
        stall_next.store(true, Ordering::Relaxed);
    });
    let load =
        ["--rate", "1000", "--duration", "1s", "--warmup", "0s", "--clients", "1", "--value-size", "4"];
    let (ok, report) = run(server.port, &load);
    assert!(ok, "{report}");
    // About 200 of 1000 requests were due during the stall; in a closed loop, one would have noticed.
    assert!(report["p90_us"].as_f64().unwrap() > 20_000.0, "{report}");
    assert!(report["max_us"].as_f64().unwrap() > 190_000.0, "{report}");
}

#[test]
fn no_server_is_a_clear_error() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let output = loadtest(&["run", "--port", &port]);
    assert!(!output.status.success());
    assert!(text(&output.stderr).starts_with("loadtest: cannot connect to 127.0.0.1:"), "{output:?}");
}

/// A redis-server of our own, stopped at the end; none where it is not installed.
struct Redis {
    child: Child,
    port: u16,
    dir: tempfile::TempDir,
}

impl Redis {
    fn start() -> Option<Self> {
        let version = Command::new("redis-server").arg("--version").stdout(Stdio::null()).status();
        if version.is_err() {
            println!("SKIPPED: redis-server not found");
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let dir = tempfile::tempdir().unwrap();
        let child = Command::new("redis-server")
            .args(["--save", "", "--appendonly", "no", "--port", &port.to_string(), "--unixsocket", "socket"])
            .current_dir(dir.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let redis = Self { child, port, dir };
        let deadline = Instant::now() + Duration::from_secs(20);
        while !redis.socket().exists() || TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "redis-server does not start");
            thread::sleep(Duration::from_millis(10));
        }
        Some(redis)
    }

    fn socket(&self) -> std::path::PathBuf {
        self.dir.path().join("socket")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

const QUICK: [&str; 8] = ["--keys", "1000", "--requests", "5000", "--warmup", "0s", "--clients", "4"];

#[test]
fn runs_against_redis() {
    let Some(redis) = Redis::start() else { return };
    for load in [
        &["--fill"][..],
        &["--ratio", "0:1", "--pipeline", "16"],
        &["--ratio", "9:1", "--distribution", "zipf", "--fill", "--threads", "2"],
        &["--rate", "20000", "--fill"],
        &["--fill", "--value-size", "100000"],
        &["--fill", "--value-size", "3", "--pipeline", "1000"],
        &["--fill", "--op", "mget"],
        &["--fill", "--op", "mget", "--command-keys", "1000", "--pipeline", "3", "--distribution", "zipf"],
        &["--op", "mset", "--pipeline", "16"],
        &["--op", "multi", "--pipeline", "16", "--threads", "2"],
        &["--op", "multi", "--rate", "5000", "--transaction-sets", "1"],
    ] {
        let (ok, report) = run(redis.port, &[&QUICK, load].concat());
        assert!(ok && report["misses"] == 0, "{load:?}: {report}");
        assert!(report["completed"].as_u64().unwrap() > 0, "{load:?}: {report}");
    }
    let (ok, report) = run(redis.port, &[&QUICK[..], &["--fill", "--op", "mget"]].concat());
    assert!(ok && report["requests_sent"] == "MGET 10" && report["hits"] == 50_000, "{report}");
    let (ok, report) =
        run(redis.port, &[&QUICK[..], &["--command", "MGET __key__ no-such-key __key__"]].concat());
    assert!(ok, "{report}");
    assert_eq!((&report["hits"], &report["misses"]), (&10_000.into(), &5000.into()), "{report}");
    let (ok, report) = run(redis.port, &[&QUICK[..], &["--command", "LPUSH __key__ __value__"]].concat());
    assert!(!ok && report["first_error"].as_str().unwrap().starts_with("WRONGTYPE"), "{report}");
}

#[test]
fn runs_over_a_unix_socket() {
    let Some(redis) = Redis::start() else { return };
    let socket = redis.socket();
    let output =
        loadtest(&[&["run", "--fill", "--unix-socket", socket.to_str().unwrap()], &QUICK[..]].concat());
    assert!(output.status.success(), "{output:?}");
    assert!(text(&output.stdout).contains("5000 hits, 0 misses, 0 errors"), "{output:?}");
}

#[test]
fn redis_survives_idle_and_hostile_clients() {
    let Some(redis) = Redis::start() else { return };
    let port = redis.port.to_string();
    let output = loadtest(&["idle", "--port", &port, "--connections", "100", "--duration", "100ms"]);
    assert!(text(&output.stdout).contains(": 0 closed by the server"), "{output:?}");
    for (kind, expected) in [
        ("never-reads", "none read"),
        ("garbage", "Protocol error"),
        ("huge-header", "invalid bulk length"),
        ("half-request", "the completed request was answered"),
        ("flood-connect", "8  connected"),
    ] {
        let bounds = ["--count", "8", "--duration", "200ms", "--bytes-max", "1000000"];
        let output = loadtest(&[&["hostile", "--port", &port, "--kind", kind], &bounds[..]].concat());
        assert!(output.status.success() && text(&output.stdout).contains(expected), "{kind}: {output:?}");
    }
}

#[test]
fn compares_redis_with_itself() {
    let Some(redis) = Redis::start() else { return };
    drop(redis);
    let cpus = allowed_cpus();
    let dir = tempfile::tempdir().unwrap();
    let save = dir.path().join("saved");
    let server = "redis-server --save '' --appendonly no --port {port} --dir {dir}";
    let servers = ["--a", server, "--server-cpus", &cpus, "--load-cpus", &cpus];
    let load = ["--keys", "1000", "--rounds", "1", "--duration", "100ms", "--warmup", "20ms"];
    let cases = ["--pipelines", "1,16", "--ops", "get,set", "--save", save.to_str().unwrap()];
    let output = loadtest(&[&["compare"], &servers[..], &load, &cases].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let summary = std::fs::read_to_string(save.join("summary.md")).unwrap();
    assert_eq!(summary, text(&output.stdout));
    assert!(summary.contains("- A: redis_version "), "{summary}");
    let results = std::fs::read_to_string(save.join("results.csv")).unwrap();
    assert_eq!(results.lines().count(), 1 + 2 * 2 * 2, "{results}");
}

#[test]
fn compares_three_servers_in_pairs() {
    let Some(redis) = Redis::start() else { return };
    drop(redis);
    let cpus = allowed_cpus();
    let dir = tempfile::tempdir().unwrap();
    let server = "redis-server --save '' --appendonly no --port {port} --dir {dir}";
    let servers = ["--a", server, "--b", server, "--more", server, "--names", "x,y,z", "--pairs", "A/B,C/A"];
    let load = ["--keys", "1000", "--rounds", "2", "--duration", "100ms", "--warmup", "20ms"];
    let cases = ["--pipelines", "1", "--ops", "mget,mset,multi", "--save", dir.path().to_str().unwrap()];
    let pinned = ["--server-cpus", &cpus, "--load-cpus", &cpus];
    let output = loadtest(&[&["compare"], &servers[..], &load, &cases, &pinned].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let summary = text(&output.stdout);
    for expected in ["# A: x, B: y, C: z", "### C/A: z against x", "| MGET 10 ", "| MSET 10 ", "| MULTI 5 "] {
        assert!(summary.contains(expected), "{expected}: {summary}");
    }
    let results = std::fs::read_to_string(dir.path().join("results.csv")).unwrap();
    let sides: String = results.lines().skip(1).filter_map(|row| row.split(',').nth(3)).collect();
    assert_eq!(sides, "ABC".repeat(3 * 2), "{results}");
}

#[test]
fn sets_servers_up_before_comparing_them() {
    let Some(redis) = Redis::start() else { return };
    drop(redis);
    let cpus = allowed_cpus();
    let server = "redis-server --save '' --port {port} --dir {dir}";
    let compare = |setup: &str| {
        let servers =
            ["--a", server, "--b", server, "--setup", setup, "--server-cpus", &cpus, "--load-cpus", &cpus];
        let load =
            ["--keys", "1000", "--rounds", "1", "--duration", "50ms", "--warmup", "10ms", "--pipelines", "1"];
        loadtest(&[&["compare"], &servers[..], &load].concat())
    };
    assert!(compare("CONFIG SET appendfsync no").status.success());
    let refused = compare("CONFIG SET nosuch 1");
    assert!(!refused.status.success() && text(&refused.stderr).contains("nosuch"), "{refused:?}");
}

#[test]
fn a_sequence_of_commands_reaches_every_key() {
    let Some(redis) = Redis::start() else { return };
    let hash = ["--distribution", "sequential", "--command", "HSET hash __key__ __value__ __key__ __value__"];
    let (ok, report) = run(redis.port, &[&QUICK[..], &hash].concat());
    assert!(ok && report["distribution"] == "sequential", "{report}");
    let (ok, report) = run(redis.port, &[&QUICK[..], &["--command", "HGET hash __key__"]].concat());
    assert!(ok && report["hits"] == 5000, "{report}");
}

#[test]
fn has_redis_save() {
    let Some(redis) = Redis::start() else { return };
    let (ok, report) = run(redis.port, &[&QUICK[..], &["--fill"]].concat());
    assert!(ok, "{report}");
    let port = redis.port.to_string();
    for (options, rows) in [
        (&["--command", "save", "--count", "2"][..], 2),
        (&["--command", "bgsave"], 1),
        (&["--command", "bgrewriteaof", "--count", "1", "--duration", "1m"], 1),
    ] {
        let output = loadtest(&[&["save", "--port", &port], options].concat());
        assert!(output.status.success(), "{options:?}: {output:?}");
        let csv = text(&output.stdout);
        assert!(csv.starts_with("command,begun_ms,wall_ms,"), "{csv}");
        assert_eq!(csv.lines().count(), 1 + rows, "{csv}");
    }
}

#[test]
fn restarts_redis_on_its_data() {
    let Some(redis) = Redis::start() else { return };
    let (ok, report) = run(redis.port, &[&QUICK[..], &["--fill"]].concat());
    assert!(ok, "{report}");
    let output = loadtest(&["save", "--port", &redis.port.to_string(), "--command", "save"]);
    assert!(output.status.success(), "{output:?}");
    let cpus = allowed_cpus();
    let command = format!("redis-server --save '' --port {{port}} --dir {}", redis.dir.path().display());
    let restart = |options: &[&str]| {
        let pinned = ["restart", "--server-cpus", &cpus, "--load-cpus", &cpus, "--rounds", "2", &command];
        loadtest(&[&pinned, options].concat())
    };
    for options in [&["--keys", "1000"][..], &["--keys", "1000", "--kill"]] {
        let output = restart(options);
        assert!(output.status.success(), "{output:?}");
        let csv = text(&output.stdout);
        assert!(csv.starts_with("round,server,first_answer_ms,restored_ms,"), "{csv}");
        assert_eq!(csv.lines().count(), 1 + 2, "{csv}");
    }
    let output = restart(&["--keys", "2000"]);
    assert!(!output.status.success(), "keys are missing: {output:?}");
    assert!(text(&output.stderr).contains("is answered Nil"), "{output:?}");
}

#[test]
fn pairs_and_names_must_fit_the_servers() {
    for (options, expected) in [
        (["--pairs", "A/C"], "--pairs A/C: the last server is B"),
        (["--names", "one"], "--names has 1 names, but there are 2 servers"),
    ] {
        let output = loadtest(&[&["compare"], &options[..]].concat());
        assert!(!output.status.success());
        assert_eq!(text(&output.stderr), format!("loadtest: {expected}\n"));
    }
}

#[test]
fn a_server_that_does_not_start_is_reported_and_leaves_nothing() {
    let temporary = tempfile::tempdir().unwrap();
    let cpus = allowed_cpus();
    let output = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(["compare", "--server-cpus", &cpus, "--load-cpus", &cpus])
        .args(["--a", "sh -c 'echo cannot bind; exit 3'"])
        .env("TMPDIR", temporary.path())
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("sh ended at start"), "{output:?}");
    assert!(text(&output.stderr).contains("cannot bind"), "{output:?}");
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0, "temporary directories are removed");
}

#[test]
fn an_interrupted_comparison_stops_its_servers() {
    let Some(redis) = Redis::start() else { return };
    drop(redis);
    let temporary = tempfile::tempdir().unwrap();
    let cpus = allowed_cpus();
    let server = "redis-server --save '' --port {port} --pidfile {dir}/pid --daemonize no";
    let mut child = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(["compare", "--a", server, "--b", server, "--keys", "1000", "--duration", "60s"])
        .args(["--server-cpus", &cpus, "--load-cpus", &cpus])
        .env("TMPDIR", temporary.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    let pids = loop {
        let homes = std::fs::read_dir(temporary.path()).unwrap();
        let pid = |home: std::path::PathBuf| std::fs::read_to_string(home.join("data/pid")).ok();
        let pids: Vec<_> = homes.filter_map(|home| pid(home.unwrap().path())).collect();
        if pids.len() == 2 {
            break pids;
        }
        assert!(Instant::now() < deadline, "the servers do not start");
        thread::sleep(Duration::from_millis(20));
    };
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert!(!child.wait().unwrap().success());
    for pid in pids {
        assert!(!Path::new("/proc").join(pid.trim()).exists(), "server {pid} still runs");
    }
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0, "temporary directories are removed");
}

/// The CPUs this test may use, as taskset takes them.
fn allowed_cpus() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
    list.trim().to_owned()
}
