//! The ends of ranges as clients write them: `1.5`, `(1.5`, `-inf` for scores; `-`, `+`, `[a`, `(a` for members; ranks counted from either
//! end. Never looks at a set.

use std::ops::{Bound, Range};

use crate::base::args::Args;
use crate::base::float::parse_f64;
use crate::commands::cx::integer;
use crate::commands::error::CommandError;
use crate::store::sorted_set::SortedSetRef;

/// Both ends of a range of members.
type Ends<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// A range of one of three kinds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bounds<'a> {
    /// First and last rank; negative ones count from the end.
    Ranks(i64, i64),
    /// Scores.
    Scores(Bound<f64>, Bound<f64>),
    /// Members by their bytes; `None` holds none at all.
    Members(Option<Ends<'a>>),
}

impl<'a> Bounds<'a> {
    /// Words `first` and `last` as ranks.
    pub fn ranks(args: &Args<'_>, first: usize, last: usize) -> Result<Bounds<'a>, CommandError> {
        Ok(Bounds::Ranks(integer(args, first)?, integer(args, last)?))
    }

    /// Words `min` and `max` as scores.
    pub fn scores(args: &Args<'_>, min: usize, max: usize) -> Result<Bounds<'a>, CommandError> {
        let bounds = score_bound(args.get(min)).zip(score_bound(args.get(max)));
        let (min, max) = bounds.ok_or(CommandError::Text("ERR min or max is not a float"))?;
        Ok(Bounds::Scores(min, max))
    }

    /// Words `min` and `max` as members.
    pub fn members(args: &Args<'a>, min: usize, max: usize) -> Result<Bounds<'a>, CommandError> {
        let ends = MemberEnd::parse(args.get(min)).zip(MemberEnd::parse(args.get(max)));
        let (min, max) = ends.ok_or(CommandError::Text("ERR min or max not valid string range item"))?;
        Ok(Bounds::Members(match (min, max) {
            (MemberEnd::Highest, _) | (_, MemberEnd::Lowest) => None,
            (min, max) => Some((min.bound(), max.bound())),
        }))
    }

    /// The ranks that this range has in a set. Counted from the other end if `is_reverse`, but ranks of the set all the same.
    pub fn in_set(self, set: SortedSetRef<'_>, is_reverse: bool) -> Range<usize> {
        match self {
            Bounds::Ranks(first, last) => {
                let len = set.len();
                let ranks = ranks_of(first, last, len);
                if is_reverse { len - ranks.end..len - ranks.start } else { ranks }
            }
            Bounds::Scores(min, max) => set.ranks_by_score(min, max),
            Bounds::Members(None) => 0..0,
            Bounds::Members(Some((min, max))) => set.ranks_by_member(min, max),
        }
    }
}

/// Existing ranks from `first` to `last`, of `len` in all.
fn ranks_of(first: i64, last: i64, len: usize) -> Range<usize> {
    let count = len as i64;
    let from_start = |rank: i64| if rank < 0 { rank + count } else { rank };
    let (first, last) = (from_start(first).max(0), from_start(last).min(count - 1));
    if first > last { 0..0 } else { first as usize..last as usize + 1 }
}

/// One end of a range of scores. Read as C's `strtod` reads it for Redis: white space may stand before it, nothing at all is 0, and what
/// is too large is infinite.
fn score_bound(text: &[u8]) -> Option<Bound<f64>> {
    match text {
        [b'(', text @ ..] => lenient_score(text).map(Bound::Excluded),
        text => lenient_score(text).map(Bound::Included),
    }
}

fn lenient_score(text: &[u8]) -> Option<f64> {
    // To Redis the text ends where a C string does.
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    if text.is_empty() {
        return Some(0.0);
    }
    let start = text.iter().position(|byte| !matches!(byte, b' ' | b'\t'..=b'\r'))?;
    let text = &text[start..];
    let out_of_range = || std::str::from_utf8(text).ok()?.parse().ok();
    parse_f64(text).or_else(out_of_range).filter(|score| !score.is_nan())
}

/// One end of a range of members.
#[derive(Clone, Copy)]
enum MemberEnd<'a> {
    /// `-`: before all members.
    Lowest,
    /// `+`: behind all members.
    Highest,
    Included(&'a [u8]),
    Excluded(&'a [u8]),
}

impl<'a> MemberEnd<'a> {
    fn parse(text: &'a [u8]) -> Option<MemberEnd<'a>> {
        match text {
            // Again, a C string ends with a zero.
            [b'-'] | [b'-', 0, ..] => Some(MemberEnd::Lowest),
            [b'+'] | [b'+', 0, ..] => Some(MemberEnd::Highest),
            [b'[', member @ ..] => Some(MemberEnd::Included(member)),
            [b'(', member @ ..] => Some(MemberEnd::Excluded(member)),
            _ => None,
        }
    }

    fn bound(self) -> Bound<&'a [u8]> {
        match self {
            MemberEnd::Lowest | MemberEnd::Highest => Bound::Unbounded,
            MemberEnd::Included(member) => Bound::Included(member),
            MemberEnd::Excluded(member) => Bound::Excluded(member),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::args::OwnedArgs;

    #[test]
    fn reads_ends_of_scores_as_strtod_does() {
        for (text, bound) in [
            ("1.5", Bound::Included(1.5)),
            ("(1.5", Bound::Excluded(1.5)),
            ("(-inf", Bound::Excluded(f64::NEG_INFINITY)),
            ("+inf", Bound::Included(f64::INFINITY)),
            ("", Bound::Included(0.0)),
            ("(", Bound::Excluded(0.0)),
            (" \t7", Bound::Included(7.0)),
            ("0x10", Bound::Included(16.0)),
            ("1e400", Bound::Included(f64::INFINITY)),
            ("-1e400", Bound::Included(f64::NEG_INFINITY)),
            ("1e-400", Bound::Included(0.0)),
            ("3\0x", Bound::Included(3.0)),
        ] {
            assert_eq!(score_bound(text.as_bytes()), Some(bound), "{text:?}");
        }
        for text in ["x", "1 ", " ", "((1", "[1", "nan", "(nan", "1.5.5", "--1"] {
            assert_eq!(score_bound(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn reads_ends_of_members() {
        let members = |min: &str, max: &str| {
            let words = OwnedArgs::new([min, max]);
            let bounds = Bounds::members(&words.args(), 0, 1);
            bounds.map(|bounds| format!("{bounds:?}")).unwrap_or_else(|error| error.to_string())
        };
        assert_eq!(members("-", "+"), "Members(Some((Unbounded, Unbounded)))");
        assert_eq!(members("[a", "("), "Members(Some((Included([97]), Excluded([]))))");
        assert_eq!((members("+", "-"), members("+", "+"), members("-", "-")).0, "Members(None)");
        for wrong in ["", "a", "--", "+a", "inf"] {
            assert_eq!(members(wrong, "+"), "ERR min or max not valid string range item");
            assert_eq!(members("-", wrong), "ERR min or max not valid string range item");
        }
    }

    #[test]
    fn counts_ranks_from_either_end() {
        for (first, last, ranks) in [
            (0, -1, 0..5),
            (1, 2, 1..3),
            (-2, -1, 3..5),
            (-100, 0, 0..1),
            (3, 100, 3..5),
            (2, 1, 0..0),
            (5, 9, 0..0),
            (0, -6, 0..0),
            (i64::MIN, i64::MAX, 0..5),
        ] {
            assert_eq!(ranks_of(first, last, 5), ranks, "{first} {last}");
        }
        assert_eq!(ranks_of(0, -1, 0), 0..0);
    }
}
