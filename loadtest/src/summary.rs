//! The tables of a comparison, as Markdown that also reads well in a terminal. Pure: numbers in, text out.

use std::fmt::Write;
use std::fs;
use std::time::SystemTime;

use anyhow::Result;

use crate::cli::{CompareArgs, DistributionArg, Pair, Side};
use crate::compare::Sample;
use crate::server_process::{Recipe, Server};

/// Above this, servers that should idle disturb the other's numbers.
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
    pub servers: Vec<ServerFacts>,
    pub pairs: Vec<Pair>,
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
    pub fn new(args: &CompareArgs, date: SystemTime, servers: &[Server], recipes: &[Recipe]) -> Result<Self> {
        let own_words: Vec<_> = std::env::args().skip(1).collect();
        let own_words = shlex::try_join(own_words.iter().map(String::as_str))?;
        let uname = rustix::system::uname();
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cpu_model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let facts = |(server, recipe): (&Server, &Recipe)| -> Result<ServerFacts> {
            Ok(ServerFacts {
                name: server.name.clone(),
                version: server.version.clone(),
                command_line: shlex::try_join(recipe.words.iter().map(String::as_str))?,
            })
        };
        let letters: Vec<_> = (0..servers.len()).map(|index| Side(index).to_string()).collect();
        let distribution = match args.data.distribution {
            DistributionArg::Uniform => "uniform".to_owned(),
            DistributionArg::Zipf => format!("zipf {}", args.data.zipf_exponent),
            DistributionArg::Sequential => "sequential".to_owned(),
        };
        Ok(Self {
            command_line: format!("loadtest {own_words}"),
            date: humantime::format_rfc3339_seconds(date).to_string(),
            kernel: format!("{} {}", uname.sysname().to_string_lossy(), uname.release().to_string_lossy()),
            cpu_model: cpu_model.map_or("not reported", |(_, model)| model).to_owned(),
            servers: servers.iter().zip(recipes).map(facts).collect::<Result<_>>()?,
            pairs: args.pairs.clone(),
            keys: args.data.keys,
            payload_bytes: args.data.key_size + args.data.value_size,
            load: format!(
                "{} clients, {} keys ({distribution}), key {} B, value {} B; {} rounds of {}, {} in turn; \
                 servers on CPU {}, load on CPU {}",
                args.clients,
                args.data.keys,
                args.data.key_size,
                args.data.value_size,
                args.rounds,
                humantime::format_duration(args.duration),
                letters.join(", "),
                args.server_cpus,
                args.load_cpus,
            ),
            threads: args.threads,
        })
    }
}

pub fn render(setup: &Setup, samples: &[Sample], memory: &[Memory]) -> String {
    let mut out = String::new();
    let mut put = |text: String| writeln!(out, "{text}").expect("a string takes all");
    let sides = || (0..setup.servers.len()).map(Side);
    let names: Vec<_> =
        sides().zip(&setup.servers).map(|(side, facts)| format!("{side}: {}", facts.name)).collect();
    put(format!("# {}\n", names.join(if names.len() == 2 { " against " } else { ", " })));
    put(format!("- command: `{}`", setup.command_line));
    put(format!("- date: {}", setup.date));
    put(format!("- kernel: {}; CPU: {}", setup.kernel, setup.cpu_model));
    for (side, facts) in sides().zip(&setup.servers) {
        put(format!("- {side}: {}; `{}`", facts.version, facts.command_line));
    }
    put(format!("- load: {}\n", setup.load));
    put("Median of the rounds (least-most); a ratio is taken round by round.\n".into());
    let sections: [(&str, Rows); 2] = [
        ("## Server CPU per command, us (utime + stime)\n", cpu_rows),
        ("## Throughput and latency\n", throughput_rows),
    ];
    for (title, rows) in sections {
        put(title.into());
        for pair in &setup.pairs {
            if setup.pairs.len() > 1 {
                let Pair(first, second) = *pair;
                let name = |side: Side| &setup.servers[side.0].name;
                put(format!("### {first}/{second}: {} against {}\n", name(first), name(second)));
            }
            put(table(&rows(samples, *pair)));
        }
    }
    put("## Memory\n".into());
    put(table(&memory_rows(setup, memory)));
    for warning in warnings(setup, samples) {
        put(format!("Warning: {warning}"));
    }
    out
}

type Rows = fn(&[Sample], Pair) -> Vec<Vec<String>>;

fn cpu_rows(samples: &[Sample], pair: Pair) -> Vec<Vec<String>> {
    let Pair(first, second) = pair;
    let mut rows = vec![vec![
        "op".into(),
        "P".into(),
        first.to_string(),
        second.to_string(),
        format!("{first}/{second}"),
        format!("{first}/{second} by schedstat"),
        format!("CPUs busy {first} / {second}"),
    ]];
    for (op, pipeline, a, b) in cases(samples, pair) {
        let cpu = |sample: &Sample| sample.cpu_us_per_command;
        let sched = |sample: &Sample| sample.sched_us_per_command;
        rows.push(vec![
            op.into(),
            pipeline.to_string(),
            spread_of(&a, cpu, 3),
            spread_of(&b, cpu, 3),
            spread(ratios(&a, &b, cpu), 3),
            ratio(&a, &b, sched),
            format!("{} / {}", busy(&a), busy(&b)),
        ]);
    }
    rows
}

fn throughput_rows(samples: &[Sample], pair: Pair) -> Vec<Vec<String>> {
    let Pair(first, second) = pair;
    let mut rows = vec![vec![
        "op".into(),
        "P".into(),
        format!("{first} requests/s"),
        format!("{second} requests/s"),
        format!("{first}/{second}"),
        format!("{first} p50/p99/p99.9 us"),
        format!("{second} p50/p99/p99.9 us"),
    ]];
    for (op, pipeline, a, b) in cases(samples, pair) {
        let throughput = |sample: &Sample| sample.throughput;
        rows.push(vec![
            op.into(),
            pipeline.to_string(),
            spread_of(&a, throughput, 0),
            spread_of(&b, throughput, 0),
            ratio(&a, &b, throughput),
            latency(&a),
            latency(&b),
        ]);
    }
    rows
}

fn memory_rows(setup: &Setup, memory: &[Memory]) -> Vec<Vec<String>> {
    let head = ["", "RSS before fill, MiB", "after, MiB", "bytes per key over payload"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let mib = |bytes: u64| format!("{:.1}", bytes as f64 / 1_048_576.0);
    for (index, memory) in memory.iter().enumerate() {
        let grown = memory.after_bytes as f64 - memory.before_bytes as f64;
        let over = grown / setup.keys as f64 - setup.payload_bytes as f64;
        let (before, after) = (mib(memory.before_bytes), mib(memory.after_bytes));
        rows.push(vec![Side(index).to_string(), before, after, format!("{over:.1}")]);
    }
    rows
}

fn warnings(setup: &Setup, samples: &[Sample]) -> Vec<String> {
    let mut warnings = Vec::new();
    for side in (0..setup.servers.len()).map(Side) {
        let share = samples.iter().filter(|sample| sample.side == side).map(|s| s.idle_server_cpu_share);
        let most = share.fold(0.0, f64::max);
        if most > IDLE_CPU_SHARE_MAX {
            warnings.push(format!(
                "while {side} was measured, what should have been idle used up to {:.0} % of a CPU",
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

type Case<'a> = (&'a str, usize, Vec<&'a Sample>, Vec<&'a Sample>);

/// The samples of two servers by (op, pipeline), in the order measured, their rounds facing each other.
fn cases(samples: &[Sample], pair: Pair) -> Vec<Case<'_>> {
    let mut cases: Vec<Case<'_>> = Vec::new();
    for sample in samples {
        let known = cases.iter().position(|case| (case.0, case.1) == (sample.op.as_str(), sample.pipeline));
        let index = known.unwrap_or_else(|| {
            cases.push((&sample.op, sample.pipeline, Vec::new(), Vec::new()));
            cases.len() - 1
        });
        if sample.side == pair.0 {
            cases[index].2.push(sample);
        }
        if sample.side == pair.1 {
            cases[index].3.push(sample);
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

/// Median, least and most.
fn spread(values: impl Iterator<Item = f64> + Clone, decimals: usize) -> String {
    let least = values.clone().fold(f64::INFINITY, f64::min);
    let most = values.clone().fold(f64::NEG_INFINITY, f64::max);
    format!("{:.decimals$} ({least:.decimals$}-{most:.decimals$})", median(values))
}

fn spread_of(samples: &[&Sample], value: fn(&Sample) -> f64, decimals: usize) -> String {
    spread(samples.iter().map(|sample| value(sample)), decimals)
}

fn ratios(a: &[&Sample], b: &[&Sample], value: fn(&Sample) -> f64) -> impl Iterator<Item = f64> + Clone {
    a.iter().zip(b).map(move |(a, b)| value(a) / value(b))
}

fn ratio(a: &[&Sample], b: &[&Sample], value: fn(&Sample) -> f64) -> String {
    let ratio = median(ratios(a, b, value));
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

    const A: Side = Side(0);
    const B: Side = Side(1);
    const C: Side = Side(2);

    fn sample(pipeline: usize, round: usize, side: Side, cpu: f64, throughput: f64) -> Sample {
        Sample {
            op: "GET".into(),
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
            idle_server_cpu_share: if side == B { 0.5 } else { 0.0 },
            generator_cpu_share: 0.5,
        }
    }

    fn setup(names: &[&str], pairs: Vec<Pair>) -> Setup {
        let facts = |name: &str| ServerFacts {
            name: name.into(),
            version: "redis_version 7.0.15".into(),
            command_line: format!("{name} --port {{port}}"),
        };
        Setup {
            command_line: "loadtest compare".into(),
            date: "2026-01-02T03:04:05Z".into(),
            kernel: "Linux 6.1".into(),
            cpu_model: "a CPU".into(),
            servers: names.iter().map(|name| facts(name)).collect(),
            pairs,
            keys: 1_048_576,
            payload_bytes: 76,
            load: "50 clients".into(),
            threads: 1,
        }
    }

    #[test]
    fn golden() {
        let setup = setup(&["ours", "theirs"], vec![Pair(A, B)]);
        let samples = [
            sample(1, 1, A, 6.0, 100_000.0),
            sample(1, 1, B, 10.0, 50_000.0),
            sample(1, 2, A, 5.0, 110_000.0),
            sample(1, 2, B, 10.0, 50_000.0),
            sample(1, 3, A, 4.0, 120_000.0),
            sample(1, 3, B, 20.0, 40_000.0),
            sample(16, 1, A, 0.5, 1_000_000.0),
            sample(16, 1, B, 1.0, 500_000.0),
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

Median of the rounds (least-most); a ratio is taken round by round.

## Server CPU per command, us (utime + stime)

| op  | P   | A                   | B                      | A/B                 | A/B by schedstat | CPUs busy A / B |
|-----|-----|---------------------|------------------------|---------------------|------------------|-----------------|
| GET | 1   | 5.000 (4.000-6.000) | 10.000 (10.000-20.000) | 0.500 (0.200-0.600) | 0.500            | 1.00 / 1.00     |
| GET | 16  | 0.500 (0.500-0.500) | 1.000 (1.000-1.000)    | 0.500 (0.500-0.500) | 0.500            | 1.00 / 1.00     |

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

Warning: while B was measured, what should have been idle used up to 50 % of a CPU
";
        assert_eq!(render(&setup, &samples, &memory), expected);
    }

    #[test]
    fn several_pairs_have_a_table_each() {
        let samples =
            [sample(1, 1, A, 6.0, 100_000.0), sample(1, 1, B, 9.0, 50_000.0), sample(1, 1, C, 2.0, 50_000.0)];
        let memory = [Memory { before_bytes: 0, after_bytes: 0 }; 3];
        let text = render(&setup(&["x", "y", "z"], vec![Pair(A, C), Pair(B, A)]), &samples, &memory);
        let (text, _) = text.split_once("## Throughput").unwrap();
        assert!(text.starts_with("# A: x, B: y, C: z\n"), "{text}");
        let (_, tables) = text.split_once("## Server CPU per command, us (utime + stime)\n").unwrap();
        let expected = "
### A/C: x against z

| op  | P   | A                   | C                   | A/C                 | A/C by schedstat | CPUs busy A / C |
|-----|-----|---------------------|---------------------|---------------------|------------------|-----------------|
| GET | 1   | 6.000 (6.000-6.000) | 2.000 (2.000-2.000) | 3.000 (3.000-3.000) | 3.000            | 1.00 / 1.00     |

### B/A: y against x

| op  | P   | B                   | A                   | B/A                 | B/A by schedstat | CPUs busy B / A |
|-----|-----|---------------------|---------------------|---------------------|------------------|-----------------|
| GET | 1   | 9.000 (9.000-9.000) | 6.000 (6.000-6.000) | 1.500 (1.500-1.500) | 1.500            | 1.00 / 1.00     |

";
        assert_eq!(tables, expected);
    }

    #[test]
    fn medians() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median([]).is_nan());
    }
}
