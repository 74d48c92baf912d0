//! The words behind the cursor that the SCAN family shares: `[MATCH pattern] [COUNT n]`, in any order, the last of each counting.
//! Never looks at what is scanned.

use crate::base::args::Args;
use crate::base::glob::glob_match;
use crate::commands::cx::integer;
use crate::commands::error::CommandError;

/// Elements that a call looks at if nothing else is asked for.
const COUNT_DEFAULT: usize = 10;

/// What a call asks for.
#[derive(Debug, PartialEq)]
pub struct ScanOptions<'a> {
    /// How many elements to look at, at least 1.
    pub count: usize,
    pattern: Option<&'a [u8]>,
}

impl<'a> ScanOptions<'a> {
    /// Reads the words from `i` on. The index of any other word goes to `other`, which says how many words it takes, or nothing if
    /// they make no sense.
    pub fn parse(
        args: &Args<'a>,
        mut i: usize,
        mut other: impl FnMut(usize) -> Option<usize>,
    ) -> Result<ScanOptions<'a>, CommandError> {
        let mut options = ScanOptions { count: COUNT_DEFAULT, pattern: None };
        while i < args.len() {
            let has_value = i + 1 < args.len();
            i += if has_value && args.is(i, "COUNT") {
                options.count = usize::try_from(integer(args, i + 1)?)
                    .ok()
                    .filter(|count| *count > 0)
                    .ok_or(CommandError::Syntax)?;
                2
            } else if has_value && args.is(i, "MATCH") {
                // A lone `*` matches everything, the empty string too, for which the glob has another opinion.
                options.pattern = Some(args.get(i + 1)).filter(|pattern| pattern != b"*");
                2
            } else {
                other(i).ok_or(CommandError::Syntax)?
            };
        }
        Ok(options)
    }

    /// Whether the pattern, if there is one, matches.
    #[inline]
    pub fn accepts(&self, text: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| glob_match(pattern, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::args::OwnedArgs;

    /// What words come to; `FLAG` takes one word, `PAIR` two.
    fn parse(words: &str) -> Result<(usize, Option<String>), String> {
        let words = OwnedArgs::new(words.split_ascii_whitespace());
        let args = words.args();
        let other = |i| match () {
            () if args.is(i, "FLAG") => Some(1),
            () if args.is(i, "PAIR") && i + 1 < args.len() => Some(2),
            () => None,
        };
        let options = ScanOptions::parse(&args, 1, other).map_err(|refusal| refusal.to_string())?;
        Ok((options.count, options.pattern.map(|pattern| String::from_utf8_lossy(pattern).into_owned())))
    }

    #[test]
    fn words_come_in_any_order_and_the_last_counts() {
        let is = |count, pattern: &str| Ok((count, (!pattern.is_empty()).then(|| pattern.to_owned())));
        for (words, expected) in [
            ("x", is(10, "")),
            ("x count 1 match a*", is(1, "a*")),
            ("x MATCH a MATCH b COUNT 1 COUNT 2", is(2, "b")),
            ("x MATCH a MATCH *", is(10, "")),
            ("x FLAG MATCH FLAG PAIR COUNT COUNT 3 flag", is(3, "FLAG")),
        ] {
            assert_eq!(parse(words), expected, "{words}");
        }
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        for words in
            ["x y", "x COUNT", "x MATCH", "x COUNT 0", "x COUNT -1", "x PAIR", "x FLAG 1", "x COUNT 1 MATCH"]
        {
            assert_eq!(parse(words), Err("ERR syntax error".to_owned()), "{words}");
        }
        assert_eq!(parse("x COUNT y FOO"), Err("ERR value is not an integer or out of range".to_owned()));
    }

    #[test]
    fn a_lone_star_accepts_the_empty_string() {
        let words = OwnedArgs::new(["x", "MATCH", "*"]);
        let options = ScanOptions::parse(&words.args(), 1, |_| None).expect("it is right");
        assert!(options.accepts(b""));
    }
}
