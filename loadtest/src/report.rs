//! The report of one run: the same fields as text, JSON and CSV. Never computes a result.

use std::fmt::Write;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::cli::Output;

/// Flat, so that a CSV row holds it. Times are in microseconds, sizes in bytes.
#[derive(Debug, Serialize)]
pub struct Report {
    pub server: String,
    pub requests_sent: String,
    pub distribution: String,
    pub keys: u64,
    pub key_bytes: usize,
    pub value_bytes: usize,
    pub seed: u64,
    pub clients: usize,
    pub threads: usize,
    pub pipeline: usize,
    /// Requests per second asked for; none in a closed loop.
    pub rate: Option<u64>,
    pub seconds: f64,
    pub completed: u64,
    pub throughput: f64,
    pub mean_us: f64,
    pub p50_us: f64,
    pub p90_us: f64,
    pub p99_us: f64,
    pub p99_9_us: f64,
    pub p99_99_us: f64,
    pub max_us: f64,
    /// These four count over the warm-up too.
    pub hits: u64,
    pub misses: u64,
    pub errors: u64,
    pub first_error: Option<String>,
    /// Near 1.0 per thread, the generator itself was the bottleneck.
    pub generator_cpu_share: f64,
}

impl Report {
    pub fn render(&self, output: Output) -> Result<String> {
        match output {
            Output::Text => Ok(self.text()),
            Output::Json => Ok(serde_json::to_string_pretty(self)? + "\n"),
            Output::Csv => csv_text(std::slice::from_ref(self)),
        }
    }

    fn text(&self) -> String {
        let mut out = String::new();
        let mut line = |name: &str, value: String| {
            writeln!(out, "{name:<12} {value}").expect("a string takes all");
        };
        line("server", self.server.clone());
        line("requests", format!("{}, {} keys, {}", self.requests_sent, self.keys, self.distribution));
        line("sizes", format!("key {} B, value {} B", self.key_bytes, self.value_bytes));
        let pace = match self.rate {
            Some(rate) => format!("open loop, {rate} requests/s asked for"),
            None => "closed loop".into(),
        };
        line(
            "load",
            format!("{} clients, {} threads, pipeline {}, {pace}", self.clients, self.threads, self.pipeline),
        );
        line("measured", format!("{:.3} s, {} requests", self.seconds, self.completed));
        line("throughput", format!("{:.0} requests/s", self.throughput));
        line(
            "latency us",
            format!(
                "mean {:.1}  p50 {:.1}  p90 {:.1}  p99 {:.1}  p99.9 {:.1}  p99.99 {:.1}  max {:.1}",
                self.mean_us,
                self.p50_us,
                self.p90_us,
                self.p99_us,
                self.p99_9_us,
                self.p99_99_us,
                self.max_us
            ),
        );
        line("answers", format!("{} hits, {} misses, {} errors", self.hits, self.misses, self.errors));
        if let Some(text) = &self.first_error {
            line("first error", text.clone());
        }
        line("generator", format!("{:.2} CPUs", self.generator_cpu_share));
        out
    }
}

/// A header and a row each.
pub fn csv_text<T: Serialize>(rows: &[T]) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.serialize(row)?;
    }
    let bytes = writer.into_inner().context("cannot finish the CSV")?;
    Ok(String::from_utf8(bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report {
            server: "127.0.0.1:7480".into(),
            requests_sent: "GET:SET 9:1".into(),
            distribution: "zipf 0.99".into(),
            keys: 1000,
            key_bytes: 12,
            value_bytes: 64,
            seed: 1,
            clients: 50,
            threads: 1,
            pipeline: 16,
            rate: None,
            seconds: 2.0,
            completed: 3000,
            throughput: 1500.0,
            mean_us: 11.5,
            p50_us: 10.0,
            p90_us: 12.0,
            p99_us: 20.0,
            p99_9_us: 30.5,
            p99_99_us: 40.0,
            max_us: 41.2,
            hits: 2600,
            misses: 100,
            errors: 2,
            first_error: Some("ERR \"quoted\", with a comma".into()),
            generator_cpu_share: 0.25,
        }
    }

    #[test]
    fn text() {
        let expected = "\
server       127.0.0.1:7480
requests     GET:SET 9:1, 1000 keys, zipf 0.99
sizes        key 12 B, value 64 B
load         50 clients, 1 threads, pipeline 16, closed loop
measured     2.000 s, 3000 requests
throughput   1500 requests/s
latency us   mean 11.5  p50 10.0  p90 12.0  p99 20.0  p99.9 30.5  p99.99 40.0  max 41.2
answers      2600 hits, 100 misses, 2 errors
first error  ERR \"quoted\", with a comma
generator    0.25 CPUs
";
        assert_eq!(report().render(Output::Text).unwrap(), expected);
    }

    #[test]
    fn csv() {
        let expected = "\
server,requests_sent,distribution,keys,key_bytes,value_bytes,seed,clients,threads,pipeline,rate,seconds,completed,\
throughput,mean_us,p50_us,p90_us,p99_us,p99_9_us,p99_99_us,max_us,hits,misses,errors,first_error,generator_cpu_share
127.0.0.1:7480,GET:SET 9:1,zipf 0.99,1000,12,64,1,50,1,16,,2.0,3000,1500.0,11.5,10.0,12.0,20.0,30.5,40.0,41.2,2600,\
100,2,\"ERR \"\"quoted\"\", with a comma\",0.25
";
        assert_eq!(report().render(Output::Csv).unwrap(), expected);
    }

    #[test]
    fn json() {
        let text = report().render(Output::Json).unwrap();
        assert!(text.starts_with("{\n  \"server\": \"127.0.0.1:7480\",\n"), "{text}");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["rate"], serde_json::Value::Null);
        assert_eq!(value["p99_9_us"], 30.5);
        assert_eq!(value["first_error"], "ERR \"quoted\", with a comma");
        assert_eq!(value.as_object().unwrap().len(), 26);
    }
}
