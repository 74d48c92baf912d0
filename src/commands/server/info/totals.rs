//! The numbers behind INFO: what one shard knows, how that travels as text, and how the texts of all shards add up.
//! A line `+name number` is added to that of the other shards; a line `=name text` is a fact, kept from whoever states it.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};

use crate::base::limits::DATABASES;
use crate::commands::cx::Cx;
use crate::metrics::persistence::Purpose;

/// Numbers and facts by name.
#[derive(Debug, Default)]
pub struct Totals {
    sums: BTreeMap<String, u64>,
    facts: BTreeMap<String, String>,
}

impl Totals {
    /// What the shard of `cx` knows. Facts about the process come from the caller's shard alone.
    pub fn of_shard(cx: &Cx<'_>) -> Totals {
        let mut totals = Totals::default();
        totals.sum_counters(cx);
        totals.sum_memory(cx);
        totals.sum_keys(cx);
        totals.sum_commands(cx);
        if cx.caller.session.is_some() {
            totals.state_process(cx);
            totals.state_persistence(cx);
        }
        totals
    }

    fn sum_counters(&mut self, cx: &Cx<'_>) {
        let (stats, counts) = (&cx.server.stats, &cx.keys.counts);
        for (name, number) in [
            ("clients", cx.server.sessions.len() as u64),
            ("blocked_clients", cx.server.sessions.blocked() as u64),
            ("connections", stats.connections),
            ("rejected_connections", stats.rejected_connections),
            ("commands", stats.commands),
            ("errors", stats.errors),
            ("bytes_in", stats.bytes_in),
            ("bytes_out", stats.bytes_out),
            ("query_limit_disconnects", stats.query_limit_disconnects),
            ("output_limit_disconnects", stats.output_limit_disconnects),
            ("hits", counts.hits.saturating_sub(stats.hits_base)),
            ("misses", counts.misses.saturating_sub(stats.misses_base)),
            ("expired", counts.expired.saturating_sub(stats.expired_base)),
            ("changes", counts.changes),
        ] {
            self.sum(name, number);
        }
        for (code, count) in &stats.errors_by_code {
            self.sum(&format!("error.{code}"), *count);
        }
    }

    fn sum_memory(&mut self, cx: &Cx<'_>) {
        let sessions = cx.server.sessions.iter();
        self.sum("dataset_bytes", cx.keys.allocated_bytes() as u64);
        self.sum(
            "client_bytes",
            sessions.map(|session| (session.query_bytes + session.reply_bytes) as u64).sum(),
        );
    }

    fn sum_keys(&mut self, cx: &Cx<'_>) {
        let mut keys = 0;
        for db in (0..DATABASES as u16).filter(|&db| !cx.keys.is_empty(db)) {
            self.sum(&format!("db.{db}.keys"), cx.keys.len(db) as u64);
            self.sum(&format!("db.{db}.expires"), cx.keys.volatile_len(db) as u64);
            keys += cx.keys.len(db);
        }
        let stats = &cx.server.stats;
        // Padded, so that the order of the names is the order of the shards.
        self.state(
            &format!("shard.{:05}", cx.server.shard),
            format_args!(
                "keys={keys},clients={},commands={},mesh_messages={},mesh_waits={}",
                cx.server.sessions.len(),
                stats.commands,
                stats.mesh_messages,
                stats.mesh_waits
            ),
        );
    }

    fn sum_commands(&mut self, cx: &Cx<'_>) {
        for (row, counts) in cx.table.rows().iter().zip(&cx.server.stats.per_command) {
            // A call is counted where it came from, a failure where it ran, which may be another shard.
            if counts.calls + counts.rejected + counts.failed > 0 {
                self.sum(&format!("command.{}.calls", row.name), counts.calls);
                self.sum(&format!("command.{}.rejected", row.name), counts.rejected);
                self.sum(&format!("command.{}.failed", row.name), counts.failed);
            }
        }
    }

    fn state_process(&mut self, cx: &Cx<'_>) {
        let process = &cx.server.process;
        self.state("os", &process.os);
        self.state("run_id", &process.run_id);
        self.state("executable", &process.executable);
        self.state("cpus", &process.cpus);
        self.state("allocator", process.allocator);
        self.state("tcp_port", process.tcp_port);
        self.state("now_ms", cx.now_ms);
        self.state("uptime_seconds", (cx.now_ms - process.started_ms).max(0) / 1000);
        self.state("clients_max", cx.server.config.clients_max);
        self.state("shards", cx.server.shards);
        // What is zero here is not known.
        let usage = (process.usage)();
        for (name, number) in [
            ("pid", u64::from(process.pid)),
            ("system_memory_bytes", process.system_memory_bytes),
            ("rss_bytes", usage.rss_bytes),
            ("peak_rss_bytes", usage.peak_rss_bytes),
        ] {
            if number > 0 {
                self.state(name, number);
            }
        }
        if usage.cpu_user_seconds > 0.0 {
            self.state("cpu_user", format_args!("{:.6}", usage.cpu_user_seconds));
            self.state("cpu_sys", format_args!("{:.6}", usage.cpu_sys_seconds));
        }
    }

    /// What the process as a whole knows of saves, the log and the restore.
    fn state_persistence(&mut self, cx: &Cx<'_>) {
        let process = &cx.server.process;
        let (state, gauges) = (process.persistence.state(), process.persistence.totals());
        let purpose = state.saving.map(|saving| saving.purpose);
        for (name, last, what) in
            [("snapshot", &state.snapshot, Purpose::Snapshot), ("rewrite", &state.rewrite, Purpose::Rewrite)]
        {
            self.state(&format!("{name}.count"), last.count);
            self.state(&format!("{name}.status"), if last.error.is_none() { "ok" } else { "err" });
            if let Some(duration_ms) = last.duration_ms {
                self.state(&format!("{name}.seconds"), duration_ms / 1000);
            }
            if let Some(saving) = state.saving.filter(|saving| saving.purpose == what) {
                let elapsed_ms = cx.now_ms.saturating_sub(saving.started_ms).max(0);
                self.state(&format!("{name}.current_seconds"), elapsed_ms / 1000);
            }
            self.state(&format!("{name}.is_current"), u8::from(purpose == Some(what)));
        }
        self.state("rewrite.is_scheduled", u8::from(state.scheduled == Some(Purpose::Rewrite)));
        self.state("changes_saved", state.changes_saved);
        self.state("saved_seconds", state.saved_ms.unwrap_or(process.started_ms) / 1000);
        self.state("log.is_on", u8::from(state.is_logging));
        self.state("log.status", if state.log_errors.is_empty() { "ok" } else { "err" });
        for (name, number) in [
            ("log.bytes", state.base_bytes + gauges.log_bytes),
            ("log.base_bytes", state.base_bytes),
            ("log.buffer_bytes", gauges.buffer_bytes),
            ("log.syncs_pending", gauges.syncs_pending),
            ("log.syncs_delayed", gauges.syncs_delayed),
            ("restore.tables_total", gauges.tables_total),
            ("restore.tables_left", gauges.tables_left),
            ("restore.keys_left", gauges.keys_left),
            ("restore.log_records", gauges.log_records),
        ] {
            self.state(name, number);
        }
    }

    fn sum(&mut self, name: &str, number: u64) {
        *self.sums.entry(name.to_owned()).or_default() += number;
    }

    /// An empty text states nothing.
    fn state(&mut self, name: &str, value: impl Display) {
        let value = value.to_string().replace(['\r', '\n'], " ");
        if !value.is_empty() {
            self.facts.entry(name.to_owned()).or_insert(value);
        }
    }

    /// As text, for another shard.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        for (name, number) in &self.sums {
            writeln!(text, "+{name} {number}").expect("a String takes everything");
        }
        for (name, value) in &self.facts {
            writeln!(text, "={name} {value}").expect("a String takes everything");
        }
        text
    }

    /// Adds what another shard's text says.
    pub fn add(&mut self, text: &str) {
        for line in text.lines() {
            let (name, value) = line.split_once(' ').expect("a line has a name and a value");
            match name.split_at(1) {
                ("+", name) => self.sum(name, value.parse().expect("a shard sums numbers")),
                (_, name) => self.state(name, value),
            }
        }
    }

    /// The sum of this name; 0 if no shard had one.
    pub fn number(&self, name: &str) -> u64 {
        self.sums.get(name).copied().unwrap_or(0)
    }

    /// The fact of this name, if it is known.
    pub fn fact(&self, name: &str) -> Option<&str> {
        self.facts.get(name).map(String::as_str)
    }

    /// The numbers whose names begin with `prefix`, without it, in the order of their names.
    pub fn numbers_under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, u64)> {
        self.sums.iter().filter_map(move |(name, number)| Some((name.strip_prefix(prefix)?, *number)))
    }

    /// As `numbers_under`, for facts.
    pub fn facts_under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.facts.iter().filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, value.as_str())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_adds_up() {
        let mut one = Totals::default();
        one.sum("keys", 2);
        one.state("os", "Linux\n6 x");
        one.state("cpus", "");
        let mut both = Totals::default();
        both.add(&one.encode());
        both.add("+keys 40\n=os ignored\n");
        assert_eq!((both.number("keys"), both.number("none")), (42, 0));
        assert_eq!((both.fact("os"), both.fact("cpus")), (Some("Linux 6 x"), None));
    }
}
