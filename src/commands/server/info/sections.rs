//! The sections of INFO: which there are, and the fields of each. Pure text from totals.

use std::fmt::{Display, Write as _};

use crate::commands::server::info::totals::Totals;
use crate::config::REDIS_VERSION;
use crate::config::bytes::human_bytes;

/// One section.
pub struct Section {
    /// How a client asks for it, in lower case.
    pub name: &'static str,
    /// Whether it is shown unless a client asks for others.
    pub is_default: bool,
    title: &'static str,
    write: fn(&Totals, &mut Fields),
}

/// All sections, in the order in which they are shown.
#[rustfmt::skip]
pub const SECTIONS: &[Section] = &[
    Section { name: "server",       is_default: true,  title: "Server",       write: server },
    Section { name: "clients",      is_default: true,  title: "Clients",      write: clients },
    Section { name: "memory",       is_default: true,  title: "Memory",       write: memory },
    Section { name: "persistence",  is_default: true,  title: "Persistence",  write: persistence },
    Section { name: "stats",        is_default: true,  title: "Stats",        write: stats },
    Section { name: "replication",  is_default: true,  title: "Replication",  write: replication },
    Section { name: "cpu",          is_default: true,  title: "CPU",          write: cpu },
    Section { name: "modules",      is_default: true,  title: "Modules",      write: |_, _| {} },
    Section { name: "commandstats", is_default: false, title: "Commandstats", write: command_stats },
    Section { name: "errorstats",   is_default: true,  title: "Errorstats",   write: error_stats },
    Section { name: "cluster",      is_default: true,  title: "Cluster",      write: |_, fields| fields.add("cluster_enabled", 0) },
    Section { name: "keyspace",     is_default: true,  title: "Keyspace",     write: keyspace },
    Section { name: "shards",       is_default: false, title: "Shards",       write: shards },
];

impl Section {
    /// The title and the fields, each line with its break.
    pub fn text(&self, totals: &Totals) -> String {
        let mut fields = Fields(format!("# {}\r\n", self.title));
        (self.write)(totals, &mut fields);
        fields.0
    }
}

/// The lines of a section.
struct Fields(String);

impl Fields {
    fn add(&mut self, name: &str, value: impl Display) {
        write!(self.0, "{name}:{value}\r\n").expect("a String takes everything");
    }

    /// A field whose value may not be known.
    fn add_known(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.add(name, value);
        }
    }

    /// Bytes, and again for people.
    fn add_bytes(&mut self, name: &str, bytes: u64) {
        self.add(name, bytes);
        self.add(&format!("{name}_human"), human_bytes(bytes));
    }
}

fn number_of(totals: &Totals, fact: &str) -> Option<u64> {
    totals.fact(fact)?.parse().ok()
}

fn server(totals: &Totals, fields: &mut Fields) {
    let uptime_seconds = number_of(totals, "uptime_seconds");
    fields.add("redis_version", REDIS_VERSION);
    fields.add("corevault_version", env!("CARGO_PKG_VERSION"));
    fields.add("redis_mode", "standalone");
    fields.add_known("os", totals.fact("os"));
    fields.add("arch_bits", usize::BITS);
    fields.add("multiplexing_api", "io_uring");
    fields.add_known("process_id", totals.fact("pid"));
    fields.add_known("run_id", totals.fact("run_id"));
    fields.add_known("tcp_port", totals.fact("tcp_port"));
    fields.add_known("server_time_usec", number_of(totals, "now_ms").map(|ms| ms * 1000));
    fields.add_known("uptime_in_seconds", uptime_seconds);
    fields.add_known("uptime_in_days", uptime_seconds.map(|seconds| seconds / 86_400));
    fields.add_known("executable", totals.fact("executable"));
    fields.add("config_file", "");
    fields.add_known("shards", totals.fact("shards"));
    fields.add_known("shard_cpus", totals.fact("cpus"));
}

fn clients(totals: &Totals, fields: &mut Fields) {
    fields.add("connected_clients", totals.number("clients"));
    fields.add_known("maxclients", totals.fact("clients_max"));
    fields.add("blocked_clients", totals.number("blocked_clients"));
    fields.add("tracking_clients", 0);
}

/// `used_memory` is what the server accounts for: entries, their tables, and the buffers of clients.
fn memory(totals: &Totals, fields: &mut Fields) {
    let dataset = totals.number("dataset_bytes");
    let used = dataset + totals.number("client_bytes");
    let rss = number_of(totals, "rss_bytes");
    fields.add_bytes("used_memory", used);
    if let Some(rss) = rss {
        fields.add_bytes("used_memory_rss", rss);
    }
    if let Some(peak) = number_of(totals, "peak_rss_bytes") {
        fields.add_bytes("used_memory_rss_peak", peak);
    }
    fields.add("used_memory_dataset", dataset);
    fields.add("mem_clients_normal", totals.number("client_bytes"));
    if let Some(bytes) = number_of(totals, "system_memory_bytes") {
        fields.add_bytes("total_system_memory", bytes);
    }
    fields.add_bytes("maxmemory", 0);
    fields.add("maxmemory_policy", "noeviction");
    if let Some(rss) = rss.filter(|_| used > 0) {
        fields.add("mem_fragmentation_ratio", format_args!("{:.2}", rss as f64 / used as f64));
    }
    fields.add_known("mem_allocator", totals.fact("allocator"));
}

/// Clients are served while tables are being restored, so the server never says that it is loading; `restore_tables_left` tells how far
/// it is. A time that there is not yet is -1, as in Redis. Nothing forks, so nothing is copied on write.
fn persistence(totals: &Totals, fields: &mut Fields) {
    let number = |name: &str| number_of(totals, name).unwrap_or(0);
    let text = |name| totals.fact(name).unwrap_or("ok");
    let seconds = |name| totals.fact(name).unwrap_or("-1");
    let changes = totals.number("changes").saturating_sub(number("changes_saved"));
    fields.add("loading", 0);
    fields.add("async_loading", 0);
    fields.add("rdb_changes_since_last_save", changes);
    fields.add("rdb_bgsave_in_progress", number("snapshot.is_current"));
    fields.add("rdb_last_save_time", number("saved_seconds"));
    fields.add("rdb_last_bgsave_status", text("snapshot.status"));
    fields.add("rdb_last_bgsave_time_sec", seconds("snapshot.seconds"));
    fields.add("rdb_current_bgsave_time_sec", seconds("snapshot.current_seconds"));
    fields.add("rdb_saves", number("snapshot.count"));
    fields.add("aof_enabled", number("log.is_on"));
    fields.add("aof_rewrite_in_progress", number("rewrite.is_current"));
    fields.add("aof_rewrite_scheduled", number("rewrite.is_scheduled"));
    fields.add("aof_last_rewrite_time_sec", seconds("rewrite.seconds"));
    fields.add("aof_current_rewrite_time_sec", seconds("rewrite.current_seconds"));
    fields.add("aof_last_bgrewrite_status", text("rewrite.status"));
    fields.add("aof_rewrites", number("rewrite.count"));
    fields.add("aof_last_write_status", text("log.status"));
    if number("log.is_on") > 0 {
        fields.add("aof_current_size", number("log.bytes"));
        fields.add("aof_base_size", number("log.base_bytes"));
        fields.add("aof_pending_rewrite", number("rewrite.is_scheduled"));
        fields.add("aof_buffer_length", number("log.buffer_bytes"));
        fields.add("aof_pending_bio_fsync", number("log.syncs_pending"));
        fields.add("aof_delayed_fsync", number("log.syncs_delayed"));
    }
    for name in ["tables_total", "tables_left", "keys_left", "log_records"] {
        fields.add(&format!("restore_{name}"), number(&format!("restore.{name}")));
    }
}

fn stats(totals: &Totals, fields: &mut Fields) {
    for (name, total) in [
        ("total_connections_received", "connections"),
        ("total_commands_processed", "commands"),
        ("total_net_input_bytes", "bytes_in"),
        ("total_net_output_bytes", "bytes_out"),
        ("rejected_connections", "rejected_connections"),
        ("expired_keys", "expired"),
    ] {
        fields.add(name, totals.number(total));
    }
    fields.add("evicted_keys", 0);
    fields.add("evicted_clients", 0);
    fields.add("keyspace_hits", totals.number("hits"));
    fields.add("keyspace_misses", totals.number("misses"));
    fields.add("pubsub_channels", 0);
    fields.add("pubsub_patterns", 0);
    fields.add("total_error_replies", totals.number("errors"));
    fields.add("client_query_buffer_limit_disconnections", totals.number("query_limit_disconnects"));
    fields.add("client_output_buffer_limit_disconnections", totals.number("output_limit_disconnects"));
}

/// A master without replicas. Its history is that of this run, so the run's id names it.
fn replication(totals: &Totals, fields: &mut Fields) {
    fields.add("role", "master");
    fields.add("connected_slaves", 0);
    fields.add_known("master_replid", totals.fact("run_id"));
    fields.add("master_repl_offset", 0);
}

fn cpu(totals: &Totals, fields: &mut Fields) {
    fields.add_known("used_cpu_sys", totals.fact("cpu_sys"));
    fields.add_known("used_cpu_user", totals.fact("cpu_user"));
}

/// Without the times that Redis shows: the clock is read once for a batch, not for each command.
fn command_stats(totals: &Totals, fields: &mut Fields) {
    for (name, calls) in totals.numbers_under("command.") {
        let Some(name) = name.strip_suffix(".calls") else { continue };
        let count = |what: &str| totals.number(&format!("command.{name}.{what}"));
        let (rejected, failed) = (count("rejected"), count("failed"));
        fields.add(
            &format!("cmdstat_{name}"),
            format_args!("calls={calls},rejected_calls={rejected},failed_calls={failed}"),
        );
    }
}

fn error_stats(totals: &Totals, fields: &mut Fields) {
    for (code, count) in totals.numbers_under("error.") {
        fields.add(&format!("errorstat_{code}"), format_args!("count={count}"));
    }
}

fn keyspace(totals: &Totals, fields: &mut Fields) {
    let databases =
        totals.numbers_under("db.").filter_map(|(name, keys)| Some((name.strip_suffix(".keys")?, keys)));
    let mut databases: Vec<(u16, u64)> =
        databases.filter_map(|(db, keys)| Some((db.parse().ok()?, keys))).collect();
    databases.sort_unstable();
    for (db, keys) in databases {
        let expires = totals.number(&format!("db.{db}.expires"));
        fields.add(&format!("db{db}"), format_args!("keys={keys},expires={expires},avg_ttl=0"));
    }
}

fn shards(totals: &Totals, fields: &mut Fields) {
    for (shard, counts) in totals.facts_under("shard.") {
        let shard: u16 = shard.parse().expect("a shard states its number");
        fields.add(&format!("shard{shard}"), counts);
    }
}
