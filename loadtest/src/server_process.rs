//! A server we start ourselves: its command line, port, directory, log and end. Never puts load on it.
//! Whatever way this program leaves, short of SIGKILL, the server is stopped by its pid and its directory removed.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::interrupt::Interrupt;
use crate::limits::{SERVER_PORT_FIRST, SERVER_PORT_LAST, SERVER_PORTS, SERVER_START_MAX, SERVER_STOP_MAX};
use crate::target::Target;

const POLL: Duration = Duration::from_millis(20);
const LOG_TAIL_LINES: usize = 10;

/// How to start a server: words in which `{port}`, `{dir}` and `{cpu}` are still to be filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    pub name: String,
    pub words: Vec<String>,
}

impl Recipe {
    pub fn from_template(template: &str, extra: &str) -> Result<Self> {
        let mut words = split(template)?;
        words.extend(split(extra)?);
        let program = words.first().context("a server's command line is empty")?;
        let name =
            Path::new(program).file_name().map_or(program.as_str().into(), |name| name.to_string_lossy());
        Ok(Self { name: name.into_owned(), words })
    }

    /// A program with the options we choose, some without a value. One that `extra` names too is `extra`'s.
    pub fn preset(program: &str, options: &[(&str, Option<&str>)], extra: &str) -> Result<Self> {
        let extra_words = split(extra)?;
        let named = |option: &str| {
            extra_words.iter().any(|word| {
                word.strip_prefix(option).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
            })
        };
        let mut words = vec![program.to_owned()];
        for (option, value) in options.iter().filter(|(option, _)| !named(option)) {
            words.push((*option).to_owned());
            words.extend(value.map(str::to_owned));
        }
        words.extend(extra_words);
        let name = Path::new(program).file_name().map_or(program.into(), |name| name.to_string_lossy());
        Ok(Self { name: name.into_owned(), words })
    }

    /// The command line with everything filled in.
    fn fill_in(&self, port: u16, dir: &str, cpus: &str) -> Vec<String> {
        let fill = |word: &String| {
            word.replace("{port}", &port.to_string()).replace("{dir}", dir).replace("{cpu}", cpus)
        };
        self.words.iter().map(fill).collect()
    }
}

fn split(text: &str) -> Result<Vec<String>> {
    shlex::split(text).with_context(|| format!("unfinished quotation in: {text}"))
}

pub struct Server {
    child: Child,
    pub name: String,
    pub target: Target,
    /// Versions as the server reports them.
    pub version: String,
    home: TempDir,
}

impl Server {
    /// Starts a server on `cpus` and waits until it answers PING.
    pub fn start(recipe: &Recipe, cpus: &str, interrupt: &Interrupt) -> Result<Self> {
        let mut server = Self::spawn(recipe, cpus)?;
        server.wait_until_up(interrupt).with_context(|| format!("starting: {}", recipe.words.join(" ")))?;
        server.identify()?;
        Ok(server)
    }

    /// Starts a server on `cpus`, and waits for nothing.
    pub fn spawn(recipe: &Recipe, cpus: &str) -> Result<Self> {
        let home =
            tempfile::Builder::new().prefix("loadtest-").tempdir().context("no temporary directory")?;
        let dir = home.path().join("data");
        fs::create_dir(&dir)?;
        let port = free_port()?;
        let mut words = recipe.fill_in(port, &dir.to_string_lossy(), cpus);
        if words[0].contains('/') {
            // The server runs in its own directory, so a relative path must not stay relative.
            let program = fs::canonicalize(&words[0])
                .with_context(|| format!("no such program: {} (build it, or say where it is)", words[0]))?;
            words[0] = program.to_string_lossy().into_owned();
        }
        let log = File::create(home.path().join("log"))?;
        // taskset sets the affinity and then becomes the server, so the pid is the server's.
        let child = Command::new("taskset")
            .args(["-c", cpus])
            .args(&words)
            .current_dir(&dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C in the terminal is ours to handle.
            .process_group(0)
            .spawn()
            .context("cannot start taskset (package util-linux)")?;
        let target = Target::Tcp((Ipv4Addr::LOCALHOST, port).into());
        Ok(Self { child, name: recipe.name.clone(), target, version: String::new(), home })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn wait_until_up(&mut self, interrupt: &Interrupt) -> Result<()> {
        let deadline = Instant::now() + SERVER_START_MAX;
        while !self.target.answers_ping(Duration::from_secs(1)) {
            interrupt.check()?;
            self.check_alive()?;
            if Instant::now() > deadline {
                bail!("{} does not answer PING; its last lines:\n{}", self.name, self.log_tail());
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// Fails if the server has ended by itself.
    pub fn check_alive(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{} ended at start ({status}); its last lines:\n{}", self.name, self.log_tail());
        }
        Ok(())
    }

    /// Ends the server with no chance to do anything about it.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    fn identify(&mut self) -> Result<()> {
        let info = self.target.talk(Duration::from_secs(5))?.info("server")?;
        let pid = info_field(&info, "process_id").and_then(|pid| pid.parse::<u32>().ok());
        ensure!(
            pid.is_none_or(|pid| pid == self.pid()),
            "{} runs as process {}, but {} was started: give the server itself, not a wrapper that does not exec",
            self.name,
            pid.unwrap_or_default(),
            self.pid()
        );
        self.version = versions(&info);
        Ok(())
    }

    pub fn log_tail(&self) -> String {
        let text = fs::read(self.home.path().join("log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
    }

    fn stop(&mut self) {
        let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) else { return };
        // Not reaped yet, so the pid is still ours even if the server is gone.
        let _ = kill_process(pid, Signal::TERM);
        let deadline = Instant::now() + SERVER_STOP_MAX;
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(POLL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A field of what INFO says.
pub fn info_field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':'))
}

/// `redis_version` first, then what else calls itself a version of the server.
fn versions(info: &str) -> String {
    let mut versions = Vec::new();
    for line in info.lines() {
        match line.trim_end().split_once(':') {
            Some((name, value)) if name == "redis_version" => versions.insert(0, format!("{name} {value}")),
            Some((name, value)) if name.ends_with("_version") && name != "gcc_version" => {
                versions.push(format!("{name} {value}"));
            }
            _ => {}
        }
    }
    if versions.is_empty() { "version not reported".into() } else { versions.join(", ") }
}

/// The first of a few ports that are all free. Each call tries further on, so two servers do not get the same.
fn free_port() -> Result<u16> {
    const STEPS: u16 = (SERVER_PORT_LAST - SERVER_PORT_FIRST) / SERVER_PORTS;
    static STEP: AtomicU16 = AtomicU16::new(0);
    // Programs running side by side start at different places.
    let offset = (std::process::id() % u32::from(STEPS)) as u16;
    for _ in 0..STEPS {
        let step = (STEP.fetch_add(1, Ordering::Relaxed) % STEPS + offset) % STEPS;
        let first = SERVER_PORT_FIRST + step * SERVER_PORTS;
        let free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        if (first..first + SERVER_PORTS).all(free) {
            return Ok(first);
        }
    }
    bail!("no {SERVER_PORTS} free ports in a row from {SERVER_PORT_FIRST} to {SERVER_PORT_LAST}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_filled_in() {
        let recipe =
            Recipe::from_template("dir/server --port {port} --d '{dir}/x y'", "--cpus={cpu}").unwrap();
        assert_eq!(recipe.name, "server");
        let expected = ["dir/server", "--port", "7", "--d", "/t/x y", "--cpus=0-1"];
        assert_eq!(recipe.fill_in(7, "/t", "0-1"), expected);
        assert!(Recipe::from_template("", "").is_err());
        assert!(Recipe::from_template("a 'b", "").is_err());
    }

    #[test]
    fn extra_arguments_replace_the_presets() {
        let words = |extra: &str| {
            let options = [
                ("--port", Some("{port}")),
                ("--shards", Some("1")),
                ("--save", Some("")),
                ("--in-memory", None),
            ];
            Recipe::preset("p", &options, extra).unwrap().words.join(" ")
        };
        assert_eq!(words(""), "p --port {port} --shards 1 --save  --in-memory");
        assert_eq!(words("--shards 2"), "p --port {port} --save  --in-memory --shards 2");
        assert_eq!(words("--shards=2"), "p --port {port} --save  --in-memory --shards=2");
        assert_eq!(words("--shards-x 2"), "p --port {port} --shards 1 --save  --in-memory --shards-x 2");
    }

    #[test]
    fn reads_info() {
        let info =
            "# Server\r\ngcc_version:12\r\nother_version:2\r\nredis_version:7.0.15\r\nprocess_id:42\r\n";
        assert_eq!(versions(info), "redis_version 7.0.15, other_version 2");
        assert_eq!(info_field(info, "process_id"), Some("42"));
        assert_eq!(info_field(info, "process"), None);
        assert_eq!(versions(""), "version not reported");
    }

    #[test]
    fn ports_do_not_repeat() {
        assert_ne!(free_port().unwrap(), free_port().unwrap());
    }
}
