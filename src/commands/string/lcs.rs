//! LCS key1 key2 [LEN | IDX] [MINMATCHLEN n] [WITHMATCHLEN] — the longest common subsequence of two strings.
//! Replies with the subsequence, with its length (LEN), or with the ranges that match, last first, and the length (IDX).
//! Missing keys are empty strings.
//!
//! The textbook table of all pairs of prefixes (Wagner and Fischer 1974), whose size `proto-max-bulk-len` bounds, as in Redis.

use crate::base::args::Args;
use crate::commands::cx::{Cx, integer};
use crate::commands::error::{CommandError, Outcome};
use crate::commands::gather::{Decided, Decision, Gather, Next, Part, run_here};
use crate::commands::table::TWO_KEYS;
use crate::resp::write::Writer;
use crate::store::object::{StringRef, Value};

pub const GATHER: Gather = Gather { reads_key_alone: false, read, decide, reads_undeclared: false };

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    run_here(cx, args, TWO_KEYS.indices(args), &GATHER)
}

fn read(cx: &mut Cx<'_>, args: &Args<'_>, i: usize) -> Part {
    let (key, touch) = (cx.key(args, i), cx.touch());
    match cx.keys.string(cx.db, &key, cx.now_ms, touch) {
        Ok(None) => Part::Absent,
        Ok(Some(value)) => Part::Value { value: Value::String(StringRef::to_vec(value)), expire_at_ms: None },
        Err(_) => Part::WrongType,
    }
}

fn decide(at: Decision, args: &Args<'_>, parts: &mut [Part], reply: &mut Writer<'_>) -> Decided {
    let strings: Vec<&[u8]> = parts.iter().map(string).collect::<Result<_, _>>()?;
    let (a, b) = (strings[0], strings[1]);
    let options = Options::parse(args)?;
    let table = Table::new(a, b, at.bulk_bytes_max)?;
    let length = table.length(a.len(), b.len());
    if options.wants_ranges {
        let mut ranges = Vec::new();
        table.matches(a, b, |range| ranges.push(range));
        ranges.retain(|range| range.length as i64 >= options.match_length_min);
        reply.map(2);
        reply.bulk(b"matches");
        reply.array(ranges.len());
        ranges.iter().for_each(|range| range.write(options.wants_match_lengths, reply));
        reply.bulk(b"len");
        reply.count(length);
    } else if options.wants_length {
        reply.count(length);
    } else {
        let mut common = Vec::with_capacity(length);
        table.matches(a, b, |range| common.extend(a[range.in_a..][..range.length].iter().rev()));
        common.reverse();
        reply.bulk(&common);
    }
    Ok(Next::Write(Vec::new()))
}

fn string(part: &Part) -> Result<&[u8], CommandError> {
    match part {
        Part::Absent => Ok(b""),
        Part::Value { value: Value::String(bytes), .. } => Ok(bytes),
        _ => Err(CommandError::Text("ERR The specified keys must contain string values")),
    }
}

#[derive(Default)]
struct Options {
    wants_length: bool,
    wants_ranges: bool,
    wants_match_lengths: bool,
    match_length_min: i64,
}

impl Options {
    fn parse(args: &Args<'_>) -> Result<Options, CommandError> {
        let mut options = Options::default();
        let mut i = 3;
        while i < args.len() {
            if args.is(i, "IDX") {
                options.wants_ranges = true;
            } else if args.is(i, "LEN") {
                options.wants_length = true;
            } else if args.is(i, "WITHMATCHLEN") {
                options.wants_match_lengths = true;
            } else if args.is(i, "MINMATCHLEN") && i + 1 < args.len() {
                options.match_length_min = integer(args, i + 1)?;
                i += 1;
            } else {
                return Err(CommandError::Syntax);
            }
            i += 1;
        }
        if options.wants_ranges && options.wants_length {
            return Err(CommandError::Text(
                "ERR If you want both the length and indexes, please just use IDX.",
            ));
        }
        Ok(options)
    }
}

/// A run of bytes that both strings share.
struct Match {
    in_a: usize,
    in_b: usize,
    length: usize,
}

impl Match {
    fn write(&self, with_length: bool, reply: &mut Writer<'_>) {
        reply.array(if with_length { 3 } else { 2 });
        for start in [self.in_a, self.in_b] {
            reply.array(2);
            reply.count(start);
            reply.count(start + self.length - 1);
        }
        if with_length {
            reply.count(self.length);
        }
    }
}

/// For each pair of prefixes, the length of their longest common subsequence.
struct Table {
    lengths: Vec<u32>,
    width: usize,
}

impl Table {
    fn new(a: &[u8], b: &[u8], bytes_max: usize) -> Result<Table, CommandError> {
        let width = b.len() + 1;
        let cells = width.saturating_mul(a.len() + 1);
        if cells.saturating_mul(size_of::<u32>()) > bytes_max {
            return Err(CommandError::Text(
                "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
            ));
        }
        let mut lengths: Vec<u32> = Vec::new();
        lengths.try_reserve_exact(cells).map_err(|_| {
            CommandError::Text("ERR Insufficient memory, failed allocating transient memory for LCS")
        })?;
        lengths.resize(cells, 0);
        for (i, byte) in a.iter().enumerate() {
            let (above, row) = lengths[i * width..].split_at_mut(width);
            for (j, other) in b.iter().enumerate() {
                row[j + 1] = if byte == other { above[j] + 1 } else { above[j + 1].max(row[j]) };
            }
        }
        Ok(Table { lengths, width })
    }

    fn length(&self, a_bytes: usize, b_bytes: usize) -> usize {
        self.lengths[a_bytes * self.width + b_bytes] as usize
    }

    /// Walks back from the ends of both strings and gives each run of matching bytes to `visit`. Where both ways are as long,
    /// the second string is shortened: Redis's choice, which decides among subsequences of one length.
    fn matches(&self, a: &[u8], b: &[u8], mut visit: impl FnMut(Match)) {
        let (mut i, mut j, mut length) = (a.len(), b.len(), 0);
        while i > 0 && j > 0 {
            if a[i - 1] == b[j - 1] {
                (i, j, length) = (i - 1, j - 1, length + 1);
                continue;
            }
            if length > 0 {
                visit(Match { in_a: i, in_b: j, length });
                length = 0;
            }
            if self.length(i - 1, j) > self.length(i, j - 1) {
                i -= 1;
            } else {
                j -= 1;
            }
        }
        if length > 0 {
            visit(Match { in_a: i, in_b: j, length });
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, check};
    use crate::resp::write::Protocol;

    #[test]
    fn finds_the_subsequence() {
        check("MSET a ohmytext b mynewtext | LCS a b | LCS a b LEN", "OK | mytext | 6");
        check("SET a abc | LCS a missing | LCS missing a LEN | LCS a a", "OK | \"\" | 0 | abc");
        check("MSET a 12345 b 2245 | LCS a b", "OK | 245");
        check("MSET a abcbdab b bdcaba | LCS a b", "OK | bdab");
    }

    #[test]
    fn shows_the_ranges() {
        let set = "MSET a ohmytext b mynewtext | LCS a b";
        check(&format!("{set} IDX"), "OK | [matches, [[[4, 7], [5, 8]], [[2, 3], [0, 1]]], len, 6]");
        check(&format!("{set} IDX MINMATCHLEN 4"), "OK | [matches, [[[4, 7], [5, 8]]], len, 6]");
        check(
            &format!("{set} IDX MINMATCHLEN -1 WITHMATCHLEN"),
            "OK | [matches, [[[4, 7], [5, 8], 4], [[2, 3], [0, 1], 2]], len, 6]",
        );
        check(&format!("{set} MINMATCHLEN 4 WITHMATCHLEN"), "OK | mytext");
        check("LCS a b IDX", "[matches, [], len, 0]");
    }

    #[test]
    fn is_a_map_in_resp3() {
        let mut bench = Bench::default();
        bench.server.sessions.get_mut(0).expect("a client").protocol = Protocol::Resp3;
        assert_eq!(bench.run("MSET a xa b a | LCS a b IDX"), "OK | {matches: [[[1, 1], [0, 0]]], len: 1}");
    }

    #[test]
    fn refuses_bad_options() {
        check("LCS a b IDX LEN", "ERR If you want both the length and indexes, please just use IDX.");
        check("LCS a b FOO", "ERR syntax error");
        check("LCS a b MINMATCHLEN", "ERR syntax error");
        check("LCS a b MINMATCHLEN x", "ERR value is not an integer or out of range");
        check("LCS a", "ERR wrong number of arguments for 'lcs' command");
    }

    #[test]
    fn bounds_its_memory() {
        let mut bench = Bench::default();
        bench.server.config.bulk_bytes_max = 4 * 4 * 5;
        let error = "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len";
        assert_eq!(bench.run("MSET a abc b abcd c abcde | LCS a b | LCS a c"), format!("OK | abc | {error}"));
    }
}
