//! `loadtest compare`: starts servers pinned alike, fills all with the same keys, and loads them in turns.
//! All stay up throughout, the others idle while one is measured. Never interprets the numbers: that is `summary`.

use std::fs;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Error, Result, anyhow, ensure};
use serde::Serialize;

use crate::affinity;
use crate::check::Content;
use crate::cli::{CompareArgs, Pair, Side};
use crate::engine::{self, Limit, Moment, Plan};
use crate::fill::fill;
use crate::interrupt::Interrupt;
use crate::limits::SERVERS_MAX;
use crate::procstat::{Cpu, resident_bytes};
use crate::reply::Reply;
use crate::report::csv_text;
use crate::server_process::{Recipe, Server};
use crate::summary::{self, Memory, Setup};
use crate::workload::{Requests, Spec};

const COREVAULT_DEFAULT: &str = "./target/release/corevault";
/// Flags of corevault that say what it keeps.
const KEEPING: &[&str] = &["--data-dir", "--append-only", "--aof-sync-strategy", "--snapshot-"];
const REDIS_DEFAULT: &str = "redis-server";
const SETUP_TIMEOUT: Duration = Duration::from_secs(60);
const DURATION_MIN: Duration = Duration::from_secs(2);
/// Between the fill and the look at resident memory, and between two runs.
const SETTLE: Duration = Duration::from_millis(300);

/// One server, measured once: a row of results.csv. Times are in microseconds.
#[derive(Debug, Clone, Serialize)]
pub struct Sample {
    pub op: String,
    pub pipeline: usize,
    pub round: usize,
    pub side: Side,
    pub server: String,
    pub seconds: f64,
    pub completed: u64,
    pub throughput: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    pub p99_9_us: f64,
    pub max_us: f64,
    /// utime + stime of the server over the window, per command completed in it.
    pub cpu_us_per_command: f64,
    /// The same from schedstat.
    pub sched_us_per_command: f64,
    pub server_cpu_share: f64,
    /// What the other servers used meanwhile; it should be next to nothing.
    pub idle_server_cpu_share: f64,
    pub generator_cpu_share: f64,
}

pub fn run(args: &CompareArgs, interrupt: &Interrupt) -> Result<ExitCode> {
    let recipes = recipes(args)?;
    if args.duration < DURATION_MIN {
        eprintln!(
            "loadtest: --duration below {DURATION_MIN:?}: CPU time counts in steps of 10 ms, expect noise"
        );
    }
    if let Some(dir) = &args.save {
        // Before the hours of measuring, not after.
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    }
    affinity::pin(&args.load_cpus)?;
    let spec = Spec {
        keys: args.data.key_space()?,
        value_size: args.data.value_size,
        requests: Requests::Mix { reads: 1, writes: 0 },
        order: args.data.order(),
        seed: args.data.seed,
    };
    let mut servers = Vec::new();
    for recipe in &recipes {
        servers.push(Server::start(recipe, &args.server_cpus, interrupt)?);
    }
    let started = SystemTime::now();
    let mut memory = Vec::new();
    for server in &servers {
        set_up(server, &args.setup).map_err(|error| told_by(server, error, interrupt))?;
        interrupt.sleep_until(Instant::now() + SETTLE);
        let before_bytes = resident_bytes(server.pid())?;
        eprintln!("filling {} with {} keys", server.name, spec.keys.count);
        fill(&server.target, &spec, interrupt).map_err(|error| told_by(server, error, interrupt))?;
        interrupt.sleep_until(Instant::now() + SETTLE);
        memory.push(Memory { before_bytes, after_bytes: resident_bytes(server.pid())? });
    }
    let samples = measure_all(args, &spec, &servers, interrupt)?;
    let setup = Setup::new(args, started, &servers, &recipes)?;
    let text = summary::render(&setup, &samples, &memory);
    if let Some(dir) = &args.save {
        fs::write(dir.join("results.csv"), csv_text(&samples)?)?;
        fs::write(dir.join("summary.md"), &text)?;
    }
    print!("{text}");
    Ok(ExitCode::SUCCESS)
}

fn set_up(server: &Server, commands: &[String]) -> Result<()> {
    for command in commands {
        let words = shlex::split(command).with_context(|| format!("unfinished quotation in: {command}"))?;
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        server.target.ask(&words, SETUP_TIMEOUT, |reply| match reply {
            Reply::Error(text) => Err(anyhow!("{command}: {}", String::from_utf8_lossy(text))),
            _ => Ok(()),
        })??;
    }
    Ok(())
}

fn recipes(args: &CompareArgs) -> Result<Vec<Recipe>> {
    let corevault = args.corevault.as_deref().unwrap_or(COREVAULT_DEFAULT);
    let redis = args.redis.as_deref().unwrap_or(REDIS_DEFAULT);
    let first = match &args.a {
        Some(template) => Recipe::from_template(template, &args.a_args)?,
        None => {
            let mut options =
                vec![("--port", Some("{port}")), ("--shards", Some("1")), ("--cpus", Some("{cpu}"))];
            // The other's preset keeps nothing either.
            if !KEEPING.iter().any(|flag| args.a_args.contains(flag)) {
                options.push(("--in-memory", None));
            }
            Recipe::preset(corevault, &options, &args.a_args)?
        }
    };
    let second = match &args.b {
        Some(template) => Recipe::from_template(template, &args.b_args)?,
        None => {
            let options = [
                ("--save", Some("")),
                ("--appendonly", Some("no")),
                ("--port", Some("{port}")),
                ("--dir", Some("{dir}")),
            ];
            Recipe::preset(redis, &options, &args.b_args)?
        }
    };
    let mut recipes = vec![first, second];
    for template in &args.more {
        recipes.push(Recipe::from_template(template, "")?);
    }
    let count = recipes.len();
    ensure!(count <= SERVERS_MAX, "{count} servers are too many: at most {SERVERS_MAX}");
    for Pair(first, second) in &args.pairs {
        let last = Side(count - 1);
        ensure!(first.0.max(second.0) < count, "--pairs {first}/{second}: the last server is {last}");
    }
    if !args.names.is_empty() {
        let named = args.names.len();
        ensure!(named == count, "--names has {named} names, but there are {count} servers");
        for (recipe, name) in recipes.iter_mut().zip(&args.names) {
            recipe.name.clone_from(name);
        }
    }
    Ok(recipes)
}

fn measure_all(
    args: &CompareArgs,
    spec: &Spec,
    servers: &[Server],
    interrupt: &Interrupt,
) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for op in &args.ops {
        for pipeline in &args.pipelines {
            for round in 1..=args.rounds {
                for (index, measured) in servers.iter().enumerate() {
                    let requests = args.op_sizes.requests(*op);
                    let label = requests.to_string();
                    let plan = Plan {
                        target: measured.target.clone(),
                        clients: args.clients,
                        threads: args.threads,
                        pipeline: *pipeline,
                        // All servers get the same requests in a round; each round gets new ones.
                        spec: Spec { requests, seed: args.data.seed + round as u64, ..spec.clone() },
                        content: Content::Filled,
                        limit: Limit::Time(args.duration),
                        rate: None,
                        warmup: args.warmup,
                    };
                    let reading = measure(&plan, servers, index, interrupt)
                        .map_err(|error| told_by(measured, error, interrupt))?;
                    let sample = reading.sample(label, *pipeline, round, Side(index), &measured.name);
                    eprintln!(
                        "{} P={pipeline} round {round}/{} {} {}: {:.0} requests/s, {:.3} us CPU per command",
                        sample.op,
                        args.rounds,
                        sample.side,
                        sample.server,
                        sample.throughput,
                        sample.cpu_us_per_command,
                    );
                    samples.push(sample);
                    interrupt.sleep_until(Instant::now() + SETTLE);
                }
            }
        }
    }
    Ok(samples)
}

/// Adds what an error cannot know by itself: which server it was, and what that server has to say.
fn told_by(server: &Server, error: Error, interrupt: &Interrupt) -> Error {
    if interrupt.is_set() {
        return error;
    }
    anyhow!("{}: {error:#}; its last lines:\n{}", server.name, server.log_tail())
}

/// CPU time of the servers and the commands completed, all taken at one moment.
#[derive(Clone, Copy)]
struct Edge {
    at: Instant,
    completed: u64,
    measured: Cpu,
    /// All others together.
    idle: Cpu,
}

struct Reading {
    outcome: engine::Outcome,
    opened: Edge,
    closed: Edge,
}

fn measure(plan: &Plan, servers: &[Server], measured: usize, interrupt: &Interrupt) -> Result<Reading> {
    let (mut opened, mut closed) = (None, None);
    let outcome = engine::run(plan, interrupt, &mut |moment, completed| {
        let edge = match moment {
            Moment::Opened => &mut opened,
            Moment::Closed => &mut closed,
            Moment::Running => return Ok(()),
        };
        let mut idle = Cpu::default();
        for (_, server) in servers.iter().enumerate().filter(|(index, _)| *index != measured) {
            idle = idle.and(Cpu::of(server.pid())?);
        }
        let measured = Cpu::of(servers[measured].pid())?;
        *edge = Some(Edge { at: Instant::now(), completed, measured, idle });
        Ok(())
    })?;
    interrupt.check()?;
    let tally = &outcome.recorder.tally;
    let first_error = tally.first_error.as_deref().unwrap_or_default();
    ensure!(tally.errors == 0, "{} errors, the first: {first_error}", tally.errors);
    let (opened, closed) = opened.zip(closed).context("the window never opened")?;
    ensure!(closed.completed > opened.completed, "no command completed in {:?}", plan.limit);
    Ok(Reading { outcome, opened, closed })
}

impl Reading {
    fn sample(&self, op: String, pipeline: usize, round: usize, side: Side, server: &str) -> Sample {
        let recorder = &self.outcome.recorder;
        // CPU time and commands come from the same two moments, which may differ from the window by a wake-up.
        let seconds = (self.closed.at - self.opened.at).as_secs_f64();
        let completed = (self.closed.completed - self.opened.completed) as f64;
        let measured = self.closed.measured.since(self.opened.measured);
        let idle = self.closed.idle.since(self.opened.idle);
        Sample {
            op,
            pipeline,
            round,
            side,
            server: server.to_owned(),
            seconds: self.outcome.window.as_secs_f64(),
            completed: recorder.completed,
            throughput: recorder.completed as f64 / self.outcome.window.as_secs_f64(),
            p50_us: recorder.quantile_us(0.5),
            p99_us: recorder.quantile_us(0.99),
            p99_9_us: recorder.quantile_us(0.999),
            max_us: recorder.max_us(),
            cpu_us_per_command: measured.ticks_us as f64 / completed,
            sched_us_per_command: measured.sched_ns as f64 / 1000.0 / completed,
            server_cpu_share: measured.ticks_us as f64 / 1e6 / seconds,
            idle_server_cpu_share: idle.ticks_us as f64 / 1e6 / seconds,
            generator_cpu_share: self.outcome.generator_cpu_share,
        }
    }
}
