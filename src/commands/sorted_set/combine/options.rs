//! The words of the commands that combine sets: which keys, what weights, how scores are added up, how the result is wanted.
//! Never looks at a key.

use std::ops::Range;

use crate::base::args::Args;
use crate::base::float::parse_f64;
use crate::commands::cx::{count_from, integer};
use crate::commands::error::CommandError;
use crate::commands::sorted_set::combine::Form;

/// How the scores of a member in several sets become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    /// Their sum; of opposite infinities it is 0.
    Sum,
    /// The smallest.
    Min,
    /// The largest.
    Max,
}

impl Aggregate {
    /// Two of them. A product that is NaN counts for nothing where the smaller or larger one is wanted.
    pub fn of(self, one: f64, other: f64) -> f64 {
        match self {
            Aggregate::Sum if (one + other).is_nan() => 0.0,
            Aggregate::Sum => one + other,
            Aggregate::Min if other < one => other,
            Aggregate::Max if other > one => other,
            Aggregate::Min | Aggregate::Max => one,
        }
    }
}

/// The indices of the words that name the sets to combine; `form` says where their count is.
pub fn key_words(args: &Args<'_>, form: &Form) -> Result<Range<usize>, CommandError> {
    let count = if form.stores { 2 } else { 1 };
    let keys = integer(args, count)?;
    if keys < 1 {
        let text = format!("ERR at least 1 input key is needed for '{}' command", form.name);
        return Err(CommandError::Detailed(text));
    }
    let first = count + 1;
    match usize::try_from(keys) {
        Ok(keys) if keys <= args.len() - first => Ok(first..first + keys),
        _ => Err(CommandError::Syntax),
    }
}

/// What stands behind the keys.
#[derive(Debug, PartialEq)]
pub struct Options {
    /// One weight for each key; none are all 1.
    pub weights: Vec<f64>,
    /// How scores are added up.
    pub aggregate: Aggregate,
    /// Whether the reply has the scores.
    pub with_scores: bool,
    /// Members after which counting may end; 0 is no limit.
    pub count_max: usize,
}

impl Options {
    /// Reads the words behind `keys`, as far as `form` knows such options.
    pub fn parse(args: &Args<'_>, keys: &Range<usize>, form: &Form) -> Result<Options, CommandError> {
        let mut options =
            Options { weights: Vec::new(), aggregate: Aggregate::Sum, with_scores: false, count_max: 0 };
        let mut i = keys.end;
        while i < args.len() {
            let behind = args.len() - i - 1;
            if form.is_weighed() && behind >= keys.len() && args.is(i, "WEIGHTS") {
                let weight =
                    |i| parse_f64(args.get(i)).ok_or(CommandError::Text("ERR weight value is not a float"));
                options.weights = (i + 1..=i + keys.len()).map(weight).collect::<Result<_, _>>()?;
                i += keys.len();
            } else if form.is_weighed() && behind >= 1 && args.is(i, "AGGREGATE") {
                i += 1;
                options.aggregate = match () {
                    () if args.is(i, "SUM") => Aggregate::Sum,
                    () if args.is(i, "MIN") => Aggregate::Min,
                    () if args.is(i, "MAX") => Aggregate::Max,
                    () => return Err(CommandError::Syntax),
                };
            } else if !form.stores && !form.counts && args.is(i, "WITHSCORES") {
                options.with_scores = true;
            } else if form.counts && behind >= 1 && args.is(i, "LIMIT") {
                i += 1;
                options.count_max = count_from(args, i, 0, "ERR LIMIT can't be negative")?;
            } else {
                return Err(CommandError::Syntax);
            }
            i += 1;
        }
        Ok(options)
    }

    /// The weight of a key.
    pub fn weight(&self, key: usize) -> f64 {
        self.weights.get(key).copied().unwrap_or(1.0)
    }
}
