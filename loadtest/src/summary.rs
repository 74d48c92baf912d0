//! The tables of a comparison, as Markdown that also reads well in a terminal. Pure: numbers in, text out.

use std::fmt::Write;
use std::fs;
use std::time::SystemTime;

use anyhow::Result;

use crate::cli::{CompareArgs, DistributionArg};
use crate::compare::{Sample, Side};
use crate::server_process::{Recipe, Server};

/// Above this, a server that should idle disturbs the other's numbers.
const IDLE_CPU_SHARE_MAX: f64 = 0.02;
/// Above this, per thread, throughput and latency are the generator's, not the server's.
const GENERATOR_CPU_SHARE_MAX: f64 = 0.9;

#[derive(Debug, Clone, Copy)]
pub struct Memory {
    pub before_bytes: u64,
    pub after_bytes: u64,
}

pub struct Setup {
    pub command_line: String,
    pub date: String,
    pub kernel: String,
    pub cpu_model: String,
    pub servers: [ServerFacts; 2],
    pub keys: u64,
    pub payload_bytes: usize,
    pub load: String,
    pub threads: usize,
}

pub struct ServerFacts {
    pub name: String,
    pub version: String,
    pub command_line: String,
}

impl Setup {
    pub fn new(
        args: &CompareArgs,
        date: SystemTime,
        servers: [&Server; 2],
        recipes: &[Recipe; 2],
    ) -> Result<Self> {
        let own_words: Vec<_> = std::env::args().skip(1).collect();
        let own_words = shlex::try_join(own_words.iter().map(String::as_str))?;
        let uname = rustix::system::uname();
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cpu_model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let facts = |index: usize| -> Result<ServerFacts> {
            Ok(ServerFacts {
                name: servers[index].name.clone(),
                version: servers[index].version.clone(),
                command_line: shlex::try_join(recipes[index].words.iter().map(String::as_str))?,
            })
        };
        let distribution = match args.data.distribution {
            DistributionArg::Uniform => "uniform".to_owned(),
            DistributionArg::Zipf => format!("zipf {}", args.data.zipf_exponent),
        };
        Ok(Self {
            command_line: format!("loadtest {own_words}"),
            date: humantime::format_rfc3339_seconds(date).to_string(),
            kernel: format!("{} {}", uname.sysname().to_string_lossy(), uname.release().to_string_lossy()),
            cpu_model: cpu_model.map_or("not reported", |(_, model)| model).to_owned(),
            servers: [facts(0)?, facts(1)?],
            keys: args.data.keys,
            payload_bytes: args.data.key_size + args.data.value_size,
            load: format!(
                "{} clients, {} keys ({distribution}), key {} B, value {} B; {} rounds of {}, A and B in turn; \
                 servers on CPU {}, load on CPU {}",
                args.clients,
                args.data.keys,
                args.data.key_size,
                args.data.value_size,
                args.rounds,
                humantime::format_duration(args.duration),
                args.server_cpus,
                args.load_cpus,
            ),
            threads: args.threads,
        })
    }
}

pub fn render(setup: &Setup, samples: &[Sample], memory: [Memory; 2]) -> String {
    let [a, b] = &setup.servers;
    let mut out = String::new();
    let mut put = |text: String| writeln!(out, "{text}").expect("a string takes all");
    put(format!("# A: {} against B: {}\n", a.name, b.name));
    put(format!("- command: `{}`", setup.command_line));
    put(format!("- date: {}", setup.date));
    put(format!("- kernel: {}; CPU: {}", setup.kernel, setup.cpu_model));
    for (side, facts) in [("A", a), ("B", b)] {
        put(format!("- {side}: {}; `{}`", facts.version, facts.command_line));
    }
    put(format!("- load: {}\n", setup.load));
    put("Median of the rounds (least-most); A/B is the median of the rounds' ratios.\n".into());
    put("## Server CPU per command, us (utime + stime)\n".into());
    put(table(&cpu_rows(samples)));
    put("## Throughput and latency\n".into());
    put(table(&throughput_rows(samples)));
    put("## Memory\n".into());
    put(table(&memory_rows(setup, memory)));
    for warning in warnings(setup, samples) {
        put(format!("Warning: {warning}"));
    }
    out
}

fn cpu_rows(samples: &[Sample]) -> Vec<Vec<String>> {
    let mut rows = vec![row(["op", "P", "A", "B", "A/B", "A/B by schedstat", "CPUs busy A / B"])];
    for (op, pipeline, a, b) in cases(samples) {
        let cpu = |sample: &Sample| sample.cpu_us_per_command;
        let sched = |sample: &Sample| sample.sched_us_per_command;
        rows.push(vec![
            op.into(),
            pipeline.to_string(),
            spread(&a, cpu, 3),
            spread(&b, cpu, 3),
            ratio(&a, &b, cpu),
            ratio(&a, &b, sched),
            format!("{} / {}", busy(&a), busy(&b)),
        ]);
    }
    rows
}

fn throughput_rows(samples: &[Sample]) -> Vec<Vec<String>> {
    let mut rows = vec![row([
        "op",
        "P",
        "A requests/s",
        "B requests/s",
        "A/B",
        "A p50/p99/p99.9 us",
        "B p50/p99/p99.9 us",
    ])];
    for (op, pipeline, a, b) in cases(samples) {
        let throughput = |sample: &Sample| sample.throughput;
        rows.push(vec![
            op.into(),
            pipeline.to_string(),
            spread(&a, throughput, 0),
            spread(&b, throughput, 0),
            ratio(&a, &b, throughput),
            latency(&a),
            latency(&b),
        ]);
    }
    rows
}

fn memory_rows(setup: &Setup, memory: [Memory; 2]) -> Vec<Vec<String>> {
    let mut rows = vec![row(["", "RSS before fill, MiB", "after, MiB", "bytes per key over payload"])];
    let mib = |bytes: u64| format!("{:.1}", bytes as f64 / 1_048_576.0);
    for (side, memory) in ["A", "B"].into_iter().zip(memory) {
        let grown = memory.after_bytes as f64 - memory.before_bytes as f64;
        let over = grown / setup.keys as f64 - setup.payload_bytes as f64;
        rows.push(vec![side.into(), mib(memory.before_bytes), mib(memory.after_bytes), format!("{over:.1}")]);
    }
    rows
}

fn warnings(setup: &Setup, samples: &[Sample]) -> Vec<String> {
    let mut warnings = Vec::new();
    for (side, other) in [(Side::A, Side::B), (Side::B, Side::A)] {
        let share = samples.iter().filter(|sample| sample.side == other).map(|s| s.idle_server_cpu_share);
        let most = share.fold(0.0, f64::max);
        if most > IDLE_CPU_SHARE_MAX {
            warnings.push(format!(
                "server {side:?} used up to {:.0} % of a CPU while it should have been idle",
                most * 100.0
            ));
        }
    }
    let most = samples.iter().map(|sample| sample.generator_cpu_share).fold(0.0, f64::max);
    if most > GENERATOR_CPU_SHARE_MAX * setup.threads as f64 {
        warnings.push(format!(
            "the generator used up to {most:.2} CPUs with {} thread(s): throughput and latency may be its own",
            setup.threads
        ));
    }
    warnings
}

type Case<'a> = (&'static str, usize, Vec<&'a Sample>, Vec<&'a Sample>);

/// The samples by (op, pipeline), in the order measured, the two sides' rounds facing each other.
fn cases(samples: &[Sample]) -> Vec<Case<'_>> {
    let mut cases: Vec<Case<'_>> = Vec::new();
    for sample in samples {
        let known = cases.iter().position(|case| (case.0, case.1) == (sample.op, sample.pipeline));
        let index = known.unwrap_or_else(|| {
            cases.push((sample.op, sample.pipeline, Vec::new(), Vec::new()));
            cases.len() - 1
        });
        match sample.side {
            Side::A => cases[index].2.push(sample),
            Side::B => cases[index].3.push(sample),
        }
    }
    cases
}

fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[count / 2],
        count => f64::midpoint(values[count / 2 - 1], values[count / 2]),
    }
}

fn spread(samples: &[&Sample], value: impl Fn(&Sample) -> f64, decimals: usize) -> String {
    let values = || samples.iter().map(|sample| value(sample));
    let least = values().fold(f64::INFINITY, f64::min);
    let most = values().fold(f64::NEG_INFINITY, f64::max);
    format!("{:.decimals$} ({least:.decimals$}-{most:.decimals$})", median(values()))
}

fn ratio(a: &[&Sample], b: &[&Sample], value: impl Fn(&Sample) -> f64) -> String {
    let ratio = median(a.iter().zip(b).map(|(a, b)| value(a) / value(b)));
    if ratio.is_finite() { format!("{ratio:.3}") } else { "-".into() }
}

/// In a closed loop a server is busy; if it was not, others had its CPU, or the generator could not keep up.
fn busy(samples: &[&Sample]) -> String {
    format!("{:.2}", median(samples.iter().map(|sample| sample.server_cpu_share)))
}

fn latency(samples: &[&Sample]) -> String {
    let of = |value: fn(&Sample) -> f64| median(samples.iter().map(|sample| value(sample)));
    format!("{:.0} / {:.0} / {:.0}", of(|s| s.p50_us), of(|s| s.p99_us), of(|s| s.p99_9_us))
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

/// A Markdown table with aligned columns. The first row is the head.
fn table(rows: &[Vec<String>]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).max(3);
    let widths: Vec<_> = (0..rows[0].len()).map(width).collect();
    let mut out = String::new();
    for (index, row) in rows.iter().enumerate() {
        for (cell, width) in row.iter().zip(&widths) {
            write!(out, "| {cell:<width$} ").expect("a string takes all");
        }
        out.push_str("|\n");
        if index == 0 {
            for width in &widths {
                write!(out, "|{}", "-".repeat(width + 2)).expect("a string takes all");
            }
            out.push_str("|\n");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(pipeline: usize, round: usize, side: Side, cpu: f64, throughput: f64) -> Sample {
        Sample {
            op: "GET",
            pipeline,
            round,
            side,
            server: "x".into(),
            seconds: 2.0,
            completed: 1000,
            throughput,
            p50_us: 10.0,
            p99_us: 20.0 + round as f64,
            p99_9_us: 30.0,
            max_us: 40.0,
            cpu_us_per_command: cpu,
            sched_us_per_command: cpu * 1.1,
            server_cpu_share: 1.0,
            idle_server_cpu_share: if side == Side::B { 0.5 } else { 0.0 },
            generator_cpu_share: 0.5,
        }
    }

    #[test]
    fn golden() {
        let facts = |name: &str| ServerFacts {
            name: name.into(),
            version: "redis_version 7.0.15".into(),
            command_line: format!("{name} --port {{port}}"),
        };
        let setup = Setup {
            command_line: "loadtest compare".into(),
            date: "2026-01-02T03:04:05Z".into(),
            kernel: "Linux 6.1".into(),
            cpu_model: "a CPU".into(),
            servers: [facts("ours"), facts("theirs")],
            keys: 1_048_576,
            payload_bytes: 76,
            load: "50 clients".into(),
            threads: 1,
        };
        let samples = [
            sample(1, 1, Side::A, 6.0, 100_000.0),
            sample(1, 1, Side::B, 10.0, 50_000.0),
            sample(1, 2, Side::A, 5.0, 110_000.0),
            sample(1, 2, Side::B, 10.0, 50_000.0),
            sample(1, 3, Side::A, 4.0, 120_000.0),
            sample(1, 3, Side::B, 20.0, 40_000.0),
            sample(16, 1, Side::A, 0.5, 1_000_000.0),
            sample(16, 1, Side::B, 1.0, 500_000.0),
        ];
        let memory = [
            Memory { before_bytes: 8 << 20, after_bytes: 114 << 20 },
            Memory { before_bytes: 8 << 20, after_bytes: 160 << 20 },
        ];
        let expected = "\
# A: ours against B: theirs

- command: `loadtest compare`
- date: 2026-01-02T03:04:05Z
- kernel: Linux 6.1; CPU: a CPU
- A: redis_version 7.0.15; `ours --port {port}`
- B: redis_version 7.0.15; `theirs --port {port}`
- load: 50 clients

Median of the rounds (least-most); A/B is the median of the rounds' ratios.

## Server CPU per command, us (utime + stime)

| op  | P   | A                   | B                      | A/B   | A/B by schedstat | CPUs busy A / B |
|-----|-----|---------------------|------------------------|-------|------------------|-----------------|
| GET | 1   | 5.000 (4.000-6.000) | 10.000 (10.000-20.000) | 0.500 | 0.500            | 1.00 / 1.00     |
| GET | 16  | 0.500 (0.500-0.500) | 1.000 (1.000-1.000)    | 0.500 | 0.500            | 1.00 / 1.00     |

## Throughput and latency

| op  | P   | A requests/s              | B requests/s           | A/B   | A p50/p99/p99.9 us | B p50/p99/p99.9 us |
|-----|-----|---------------------------|------------------------|-------|--------------------|--------------------|
| GET | 1   | 110000 (100000-120000)    | 50000 (40000-50000)    | 2.200 | 10 / 22 / 30       | 10 / 22 / 30       |
| GET | 16  | 1000000 (1000000-1000000) | 500000 (500000-500000) | 2.000 | 10 / 21 / 30       | 10 / 21 / 30       |

## Memory

|     | RSS before fill, MiB | after, MiB | bytes per key over payload |
|-----|----------------------|------------|----------------------------|
| A   | 8.0                  | 114.0      | 30.0                       |
| B   | 8.0                  | 160.0      | 76.0                       |

Warning: server A used up to 50 % of a CPU while it should have been idle
";
        assert_eq!(render(&setup, &samples, memory), expected);
    }

    #[test]
    fn medians() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median([]).is_nan());
    }
}
