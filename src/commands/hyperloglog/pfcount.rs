//! PFCOUNT key [key ...] — about how many distinct elements a HyperLogLog has seen, or several together. Missing keys have seen none.
//! Counting one key keeps the result in its header, which is a change of the string.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::commands::gather::{Decided, Decision, Gather, Next, Part};
use crate::commands::hyperloglog::{NOT_HYPERLOGLOG, hyperloglog};
use crate::resp::write::Writer;
use crate::store::hyperloglog::{HllRef, REGISTERS, Registers, cached_bytes, count};
use crate::store::object::{StringRef, Value};

pub const GATHER: Gather = Gather { reads_key_alone: true, read, decide, reads_undeclared: false };

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    if args.len() == 2 {
        return count_one(cx, args);
    }
    let mut registers: Registers = [0; REGISTERS];
    for i in 1..args.len() {
        let (key, touch) = (cx.key(args, i), cx.touch());
        if let Some(string) = cx.keys.string(cx.db, &key, cx.now_ms, touch)? {
            hyperloglog(string)?.merge_into(&mut registers)?;
        }
    }
    cx.reply.integer(count(&registers) as i64);
    Ok(())
}

fn count_one(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (key, touch, clock) = (cx.key(args, 1), cx.touch(), cx.clock());
    let Some(string) = cx.keys.string(cx.db, &key, cx.now_ms, touch)? else {
        cx.reply.integer(0);
        return Ok(());
    };
    let hll = hyperloglog(string)?;
    let cardinality = match hll.cached() {
        Some(cardinality) => cardinality,
        None => {
            let cardinality = hll.count()?;
            let (at, bytes) = cached_bytes(cardinality);
            cx.keys.set_range(cx.db, &key, at, &bytes, cx.now_ms, clock)?;
            cardinality
        }
    };
    cx.reply.integer(cardinality as i64);
    Ok(())
}

/// A copy of the string at a key.
pub fn read(cx: &mut Cx<'_>, args: &Args<'_>, i: usize) -> Part {
    let (key, touch) = (cx.key(args, i), cx.touch());
    match cx.keys.string(cx.db, &key, cx.now_ms, touch) {
        Ok(None) => Part::Absent,
        Ok(Some(value)) => Part::Value { value: Value::String(StringRef::to_vec(value)), expire_at_ms: None },
        Err(_) => Part::WrongType,
    }
}

/// The HyperLogLog that `read` found at a key, if there is the key.
pub fn part(part: &Part) -> Result<Option<HllRef<'_>>, CommandError> {
    match part {
        Part::Absent => Ok(None),
        Part::Value { value: Value::String(bytes), .. } => {
            HllRef::new(bytes).map(Some).ok_or(NOT_HYPERLOGLOG)
        }
        _ => Err(CommandError::WrongType),
    }
}

fn decide(_: Decision, _: &Args<'_>, parts: &mut [Part], reply: &mut Writer<'_>) -> Decided {
    let mut registers: Registers = [0; REGISTERS];
    for found in parts.iter() {
        if let Some(hll) = part(found)? {
            hll.merge_into(&mut registers)?;
        }
    }
    reply.integer(count(&registers) as i64);
    Ok(Next::Write(Vec::new()))
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, check};
    use crate::store::effect::decode_all;

    #[test]
    fn counts_one_or_the_union() {
        check("PFCOUNT k | PFCOUNT k l", "0 | 0");
        check(
            "PFADD a x y z | PFADD b z w | PFCOUNT a | PFCOUNT a b | PFCOUNT a b none a",
            "1 | 1 | 3 | 4 | 4",
        );
        check("PFADD a x | PFADD b x y | PFDEBUG TODENSE b | PFCOUNT a b | PFCOUNT b", "1 | 1 | 1 | 2 | 2");
    }

    #[test]
    fn keeps_the_cardinality_in_the_header() {
        let mut bench = Bench::default();
        bench.run("PFADD k a b");
        assert_eq!(bench.run("GETRANGE k 15 15 | GETRANGE k 8 8").as_bytes(), "\u{fffd} | \0".as_bytes());
        bench.keys.take_effects();
        assert_eq!(bench.run("PFCOUNT k | PFCOUNT k"), "2 | 2");
        assert_eq!(decode_all(&bench.keys.take_effects()).count(), 1, "the second count read it");
        assert_eq!(bench.run("GETRANGE k 15 15 | GETRANGE k 8 8"), "\0 | \u{2}");
    }

    #[test]
    fn refuses_what_is_none() {
        let none = "WRONGTYPE Key is not a valid HyperLogLog string value.";
        check("SET k x | PFCOUNT k | PFCOUNT missing k", &format!("OK | {none} | {none}"));
        let corrupted = "INVALIDOBJ Corrupted HLL object detected";
        check(
            "PFADD k a | SETRANGE k 16 \"\\x3f\\x3f\" | PFCOUNT k | PFCOUNT k j",
            &format!("1 | 21 | {corrupted} | {corrupted}"),
        );
    }
}
