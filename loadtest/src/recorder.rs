//! Owns what was seen: latencies, and counts of answers right and wrong. Never reads a clock.

use hdrhistogram::Histogram;

use crate::limits::{ERROR_TEXT_BYTES_MAX, LATENCY_DIGITS, LATENCY_NS_MAX, LATENCY_NS_MIN};

/// Counts of answers, right and wrong, over a connection's whole life, warm-up included.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Tally {
    pub hits: u64,
    pub misses: u64,
    pub errors: u64,
    pub first_error: Option<String>,
}

impl Tally {
    pub fn error(&mut self, count: u64, text: impl FnOnce() -> String) {
        self.errors += count;
        if count > 0 && self.first_error.is_none() {
            let mut text = text();
            let mut end = text.len().min(ERROR_TEXT_BYTES_MAX);
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
            self.first_error = Some(text);
        }
    }

    pub fn add(&mut self, other: Self) {
        self.hits += other.hits;
        self.misses += other.misses;
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
    }
}

/// One thread's measurements; the threads' are added up at the end.
pub struct Recorder {
    latencies_ns: Histogram<u64>,
    /// Completed inside the window. In an open loop, latencies also hold what was due inside and came later.
    pub completed: u64,
    pub tally: Tally,
}

impl Recorder {
    pub fn new() -> Self {
        Self {
            latencies_ns: Histogram::new_with_bounds(LATENCY_NS_MIN, LATENCY_NS_MAX, LATENCY_DIGITS)
                .expect("the bounds in limits.rs are valid"),
            completed: 0,
            tally: Tally::default(),
        }
    }

    #[inline]
    pub fn latency(&mut self, latency_ns: u64, count: u64) {
        self.latencies_ns.saturating_record_n(latency_ns, count);
    }

    pub fn add(&mut self, other: Self) {
        self.latencies_ns.add(&other.latencies_ns).expect("all histograms have the same bounds");
        self.completed += other.completed;
        self.tally.add(other.tally);
    }

    #[cfg(test)]
    pub fn latencies(&self) -> u64 {
        self.latencies_ns.len()
    }

    pub fn quantile_us(&self, quantile: f64) -> f64 {
        if self.latencies_ns.is_empty() {
            return 0.0;
        }
        us(self.latencies_ns.value_at_quantile(quantile).min(self.latencies_ns.max()) as f64)
    }

    pub fn max_us(&self) -> f64 {
        us(self.latencies_ns.max() as f64)
    }

    pub fn mean_us(&self) -> f64 {
        us(self.latencies_ns.mean())
    }
}

/// Nanoseconds to microseconds with one decimal; the histogram keeps no more than that for what matters.
fn us(ns: f64) -> f64 {
    (ns / 100.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_what_was_recorded() {
        let mut recorder = Recorder::new();
        assert_eq!(recorder.quantile_us(0.5), 0.0);
        recorder.latency(10_000, 990);
        let mut other = Recorder::new();
        other.latency(500_000, 9);
        other.latency(2_000_000, 1);
        recorder.add(other);
        assert_eq!(recorder.latencies(), 1000);
        for (quantile, expected) in [(0.5, 10.0), (0.99, 10.0), (0.995, 500.0), (0.9999, 2000.0)] {
            let seen = recorder.quantile_us(quantile);
            assert!((seen - expected).abs() <= expected * 0.002, "{quantile}: {seen} for {expected}");
        }
        assert!(recorder.max_us() >= 2000.0);
    }

    #[test]
    fn the_first_error_text_is_kept_and_cut() {
        let mut tally = Tally::default();
        tally.error(0, || "never".into());
        tally.error(2, || "é".repeat(ERROR_TEXT_BYTES_MAX));
        tally.error(1, || "second".into());
        assert_eq!(tally.errors, 3);
        assert_eq!(tally.first_error.unwrap().len(), ERROR_TEXT_BYTES_MAX);
    }
}
