//! `redis-cli` and `redis-benchmark`, as an operator uses them.

use std::process::Command;

use crate::harness::{Server, run_to_end};
use crate::programs::{find, output_of};
use crate::wire::command;

#[test]
fn benchmark_reports_no_error() {
    let Some(program) = find("benchmark_reports_no_error", "redis-benchmark") else { return };
    for shards in [1, 3] {
        let server = Server::with_shards(shards);
        for depth in ["1", "16", "64"] {
            let mut benchmark = Command::new(&program);
            benchmark.args([
                "-p",
                &server.port.to_string(),
                "-P",
                depth,
                "-n",
                "2000",
                "-c",
                "10",
                "-r",
                "1000",
            ]);
            benchmark.args(["--csv", "-t", "ping,set,get,incr,mset"]);
            let ended = run_to_end(&mut benchmark, b"");
            assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
            // A heading, PING in two forms, and the other four.
            assert_eq!(
                ended.stdout.lines().filter(|line| line.starts_with('"')).count(),
                7,
                "{}",
                ended.stdout
            );
            let said = [ended.stdout, ended.stderr].concat().to_lowercase();
            assert!(!said.contains("err") && !said.contains("warning"), "-P {depth}: {said}");
        }
        server.stop();
    }
}

struct Cli {
    program: std::path::PathBuf,
    server: Server,
}

impl Cli {
    /// `redis-cli` and a server with 50 keys of different sizes, unless the test has to be skipped.
    fn start(test: &str) -> Option<Cli> {
        let cli = Cli { program: find(test, "redis-cli")?, server: Server::with_shards(3) };
        let fill: String = (1..=50).map(|n| format!("SET key:{n} {}\n", "x".repeat(n * 10))).collect();
        assert_eq!(cli.run(&[], fill.as_bytes()), "OK\n".repeat(50));
        Some(cli)
    }

    #[track_caller]
    fn run(&self, arguments: &[&str], input: &[u8]) -> String {
        let mut command = Command::new(&self.program);
        command.args(["-p", &self.server.port.to_string()]).args(arguments);
        output_of(&mut command, input)
    }
}

#[test]
fn cli_runs_scripts() {
    let Some(cli) = Cli::start("cli_runs_scripts") else { return };
    let script = b"SET k \"a b\"\nGET k\nINCR n\nGET missing\nNOSUCH\nMGET k n missing\nPTTL k\n";
    let output = cli.run(&[], script);
    assert!(output.starts_with("OK\na b\n1\n\nERR unknown command 'NOSUCH'"), "{output}");
    assert!(output.ends_with("a b\n1\n\n-1\n"), "{output}");
    assert_eq!(cli.run(&["-n", "4", "GET", "k"], b""), "\n");
    assert_eq!(cli.run(&["--no-raw", "GET", "missing"], b""), "(nil)\n");
    assert_eq!(cli.run(&["-x", "SET", "from stdin"], b"\0binary\xff"), "OK\n");
    assert_eq!(cli.run(&["STRLEN", "from stdin"], b""), "8\n");
    cli.server.stop();
}

#[test]
fn cli_speaks_resp3() {
    let Some(cli) = Cli::start("cli_speaks_resp3") else { return };
    let output = cli.run(&["-3", "--no-raw"], b"GET missing\nCONFIG GET databases\nHELLO\n");
    assert!(output.starts_with("(nil)\n1# \"databases\" => \"16\"\n1# \"server\" => "), "{output}");
    assert!(output.contains("\"proto\" => (integer) 3"), "{output}");
    cli.server.stop();
}

#[test]
fn cli_finds_all_keys() {
    let Some(cli) = Cli::start("cli_finds_all_keys") else { return };
    let found = cli.run(&["--scan", "--pattern", "key:*"], b"");
    let mut found: Vec<&str> = found.lines().collect();
    found.sort_unstable();
    found.dedup();
    assert_eq!(found.len(), 50);
    let report = cli.run(&["--bigkeys"], b"");
    assert!(report.contains("Sampled 50 keys in the keyspace!"), "{report}");
    assert!(report.contains("Biggest string found '\"key:50\"' has 500 bytes"), "{report}");
    cli.server.stop();
}

#[test]
fn cli_pipes_many_commands() {
    let Some(cli) = Cli::start("cli_pipes_many_commands") else { return };
    let input: Vec<u8> =
        (0..20_000).flat_map(|n| command(&[b"SET", format!("piped:{n}").as_bytes(), b"v"])).collect();
    let report = cli.run(&["--pipe"], &input);
    assert!(report.contains("errors: 0, replies: 20000"), "{report}");
    assert_eq!(cli.run(&["DBSIZE"], b""), "20050\n");
    cli.server.stop();
}

#[test]
fn cli_converses_on_a_terminal() {
    let test = "cli_converses_on_a_terminal";
    let (Some(script), Some(cli)) = (find(test, "script"), Cli::start(test)) else { return };
    // `script` gives the program a terminal, on which it prints as for a person and asks for the commands' documentation.
    let line = format!("{} -p {}", cli.program.display(), cli.server.port);
    let mut command = Command::new(script);
    command
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .env("TERM", "dumb")
        .env("HOME", "/nonexistent");
    let output = output_of(&mut command, b"get key:1\nincr n\nset n\nquit\n");
    for expected in
        ["\"xxxxxxxxxx\"", "(integer) 1", "(error) ERR wrong number of arguments for 'set' command"]
    {
        assert!(output.contains(expected), "no {expected} in {output}");
    }
    cli.server.stop();
}
