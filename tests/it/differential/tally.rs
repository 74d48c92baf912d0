//! Counts what became of the commands of each pattern, so that a run shows whether every command and every option was carried out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::families::{Family, Words};

#[derive(Default)]
struct Counts {
    accepted: u64,
    refused: u64,
    /// Words of accepted commands.
    words: BTreeSet<String>,
}

/// What became of commands, by pattern.
#[derive(Default)]
pub struct Tally(BTreeMap<&'static str, Counts>);

impl Tally {
    /// Counts one command of a pattern; without one it had a mistake, and nobody expects anything.
    pub fn add(&mut self, pattern: &'static str, command: &Words, is_refused: bool) {
        if pattern.is_empty() {
            return;
        }
        let counts = self.0.entry(pattern).or_default();
        if is_refused {
            counts.refused += 1;
            return;
        }
        counts.accepted += 1;
        if options(pattern).any(|option| !counts.words.contains(option)) {
            let words = command.iter().map(|word| String::from_utf8_lossy(word).to_ascii_uppercase());
            counts.words.extend(words);
        }
    }

    /// Patterns of a family of which nothing was carried out, and words of them that were never accepted.
    pub fn missing(&self, family: &Family) -> Vec<String> {
        let mut missing = Vec::new();
        for (_, pattern) in family.patterns.iter().filter(|(_, pattern)| !pattern.starts_with('!')) {
            let Some(counts) = self.0.get(pattern).filter(|counts| counts.accepted > 0) else {
                missing.push(format!("{pattern}: never accepted"));
                continue;
            };
            let absent = options(pattern).filter(|option| !counts.words.contains(*option));
            missing.extend(absent.map(|option| format!("{pattern}: {option} never accepted")));
        }
        missing
    }

    /// A line for each pattern of a family.
    pub fn report(&self, family: &Family) -> String {
        let mut report = String::new();
        let is_own = |pattern: &str| family.patterns.iter().any(|(_, own)| *own == pattern);
        for (pattern, counts) in self.0.iter().filter(|(pattern, _)| is_own(pattern)) {
            let _ =
                writeln!(report, "{:8} accepted {:8} refused  {pattern}", counts.accepted, counts.refused);
        }
        report
    }
}

/// The words of a pattern that stand for themselves and are options or names.
fn options(pattern: &str) -> impl Iterator<Item = &str> {
    pattern
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'))
        .filter(|word| word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'))
}
