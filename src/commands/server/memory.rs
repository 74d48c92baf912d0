//! MEMORY USAGE key [SAMPLES count] | STATS | DOCTOR | MALLOC-STATS | PURGE — what memory goes to. Sizes are what the allocator was asked
//! for, known exactly at any time, so nothing is sampled.

use crate::base::args::Args;
use crate::commands::container;
use crate::commands::cx::{Cx, integer};
use crate::commands::error::{CommandError, Outcome};
use crate::commands::merge::Parts;
use crate::resp::read;
use crate::resp::write::Writer;
use crate::store::object::allocated_bytes;

/// What an entry takes in its table, bytes.
const CELL_BYTES: usize = 8;
/// Below this, Redis's doctor finds a data set too small to say anything about, bytes.
const DOCTOR_BYTES_MIN: i64 = 5 * 1024 * 1024;

pub fn usage(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let mut i = 3;
    while i < args.len() {
        if !args.is(i, "SAMPLES") || i + 1 >= args.len() {
            return Err(CommandError::Syntax);
        }
        if integer(args, i + 1)? < 0 {
            return Err(CommandError::Syntax);
        }
        i += 2;
    }
    let key = cx.key(args, 2);
    match cx.keys.peek(cx.db, &key, cx.now_ms) {
        Some(entry) => cx.reply.count(CELL_BYTES + allocated_bytes(entry)),
        None => cx.reply.null(),
    }
    Ok(())
}

/// One shard's part of STATS and DOCTOR: keys, bytes of the data set, bytes of client buffers; and of the process: resident bytes, and the
/// most there were.
pub fn numbers(cx: &mut Cx<'_>, _: &Args<'_>) -> Outcome {
    let keys: usize = (0..crate::base::limits::DATABASES as u16).map(|db| cx.keys.len(db)).sum();
    let sessions = cx.server.sessions.iter();
    let clients: usize = sessions.map(|session| session.query_bytes + session.reply_bytes).sum();
    let usage = (cx.server.process.usage)();
    cx.reply.array(5);
    for number in [keys, cx.keys.allocated_bytes(), clients] {
        cx.reply.count(number);
    }
    for number in [usage.rss_bytes, usage.peak_rss_bytes] {
        cx.reply.integer(number as i64);
    }
    Ok(())
}

/// What all shards said.
struct Totals {
    keys: i64,
    dataset: i64,
    clients: i64,
    rss: i64,
    peak_rss: i64,
}

impl Totals {
    fn of(parts: &Parts<'_>) -> Totals {
        let mut sums = [0; 5];
        for part in parts.replies {
            let mut rest = read::elements(part).expect("a part is an array").1;
            for (i, sum) in sums.iter_mut().enumerate() {
                let number = read::integer(rest).expect("an element is a number");
                // The last two are the process's, the same on every shard.
                *sum = if i < 3 { *sum + number } else { number };
                rest = &rest[read::reply_len(rest).expect("a part is whole")..];
            }
        }
        let [keys, dataset, clients, rss, peak_rss] = sums;
        Totals { keys, dataset, clients, rss, peak_rss }
    }

    fn used(&self) -> i64 {
        self.dataset + self.clients
    }

    /// Resident bytes for each byte used; 1 where it is not known.
    fn fragmentation(&self) -> f64 {
        if self.rss == 0 || self.used() == 0 { 1.0 } else { self.rss as f64 / self.used() as f64 }
    }
}

/// The reply of STATS.
pub fn merge_stats(parts: &Parts<'_>, reply: &mut Writer<'_>) {
    let totals = Totals::of(parts);
    let used = totals.used();
    let peak = totals.peak_rss.max(used);
    let share = |part: i64, whole: i64| if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 };
    let numbers = [
        ("peak.allocated", peak),
        ("total.allocated", used),
        ("startup.allocated", 0),
        ("replication.backlog", 0),
        ("clients.slaves", 0),
        ("clients.normal", totals.clients),
        ("cluster.links", 0),
        ("aof.buffer", 0),
        ("lua.caches", 0),
        ("functions.caches", 0),
        ("overhead.total", totals.clients),
        ("keys.count", totals.keys),
        ("keys.bytes-per-key", if totals.keys == 0 { 0 } else { totals.dataset / totals.keys }),
        ("dataset.bytes", totals.dataset),
    ];
    let ratios = [
        ("dataset.percentage", share(totals.dataset, used)),
        ("peak.percentage", share(used, peak)),
        ("fragmentation", totals.fragmentation()),
    ];
    reply.map(numbers.len() + ratios.len() + 1);
    for (name, number) in numbers {
        reply.bulk(name.as_bytes());
        reply.integer(number);
    }
    for (name, ratio) in ratios {
        reply.bulk(name.as_bytes());
        reply.double(ratio);
    }
    reply.bulk(b"fragmentation.bytes");
    reply.integer(if totals.rss == 0 { 0 } else { totals.rss - used });
}

/// The reply of DOCTOR.
pub fn merge_report(parts: &Parts<'_>, reply: &mut Writer<'_>) {
    let totals = Totals::of(parts);
    let ratio = totals.fragmentation();
    let text = if totals.used() < DOCTOR_BYTES_MIN {
        "The data set is too small for a report: less than 5 MB is in use.\n".to_owned()
    } else if ratio > 1.4 {
        format!(
            "Fragmentation: {ratio:.2} bytes of memory are resident for each byte in use. Memory that was in use before stays \
             with the process until it is needed again; a restart gives it back.\n"
        )
    } else {
        "No memory issue was found.\n".to_owned()
    };
    reply.verbatim(&text);
}

/// The allocator returns unused pages by itself.
pub fn purge(cx: &mut Cx<'_>, _: &Args<'_>) -> Outcome {
    cx.reply.ok();
    Ok(())
}

pub fn malloc_stats(cx: &mut Cx<'_>, _: &Args<'_>) -> Outcome {
    cx.reply.bulk(b"Stats not supported for the current allocator");
    Ok(())
}

pub fn help(cx: &mut Cx<'_>, _: &Args<'_>) -> Outcome {
    container::help(
        cx,
        "MEMORY",
        &[
            "DOCTOR",
            "    Return memory problems reports.",
            "MALLOC-STATS",
            "    Return internal statistics report from the memory allocator.",
            "PURGE",
            "    Attempt to purge dirty pages for reclamation by the allocator.",
            "STATS",
            "    Return information about the memory usage of the server.",
            "USAGE <key> [SAMPLES <count>]",
            "    Return memory in bytes used by <key> and its value. Nested values are",
            "    sampled up to <count> times (default: 5, 0 means sample all).",
        ],
    )
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, check};

    #[test]
    fn counts_the_bytes_of_a_key() {
        check("MEMORY USAGE missing", "nil");
        let mut bench = Bench::default();
        let of = |bench: &mut Bench, key: &str| -> usize {
            bench.run(&format!("MEMORY USAGE {key} SAMPLES 0")).parse().expect("a number")
        };
        bench.run(&format!("SET short v | SET long {}", "x".repeat(10_000)));
        let short = of(&mut bench, "short");
        assert!((24..=64).contains(&short), "{short}");
        assert!((10_000..11_000).contains(&of(&mut bench, "long")));
        check("MEMORY USAGE k SAMPLES", "ERR syntax error");
        check("MEMORY USAGE k FOO 1 | MEMORY USAGE k SAMPLES -1", "ERR syntax error | ERR syntax error");
        check("MEMORY USAGE k SAMPLES x", "ERR value is not an integer or out of range");
    }

    #[test]
    fn sums_up() {
        let mut bench = Bench::default();
        let stats = bench.run("SET a 1 | SET b 2 | MEMORY STATS");
        assert!(stats.starts_with("OK | OK | [peak.allocated, "), "{stats}");
        assert!(stats.contains("keys.count, 2, ") && stats.contains("clients.normal, 0, "), "{stats}");
        assert!(stats.contains("fragmentation, 1, fragmentation.bytes, 0]"), "{stats}");
        check("MEMORY DOCTOR", "The data set is too small for a report: less than 5 MB is in use.\n");
        check("MEMORY PURGE", "OK");
        check("MEMORY MALLOC-STATS", "Stats not supported for the current allocator");
        check("MEMORY FOO", "ERR unknown subcommand 'FOO'. Try MEMORY HELP.");
        assert!(bench.run("MEMORY HELP").starts_with("[MEMORY <subcommand>"));
    }
}
