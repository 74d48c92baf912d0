//! PFADD key [element ...] — let a HyperLogLog see elements, creating it if it is missing. Returns 1 if anything changed, a new key
//! included, else 0.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::commands::hyperloglog::{hyperloglog, replace};
use crate::store::hyperloglog::{Corrupted, Hll, Mark, stale_byte};
use crate::store::keyspace::Key;
use crate::store::object::{StringRef, Value};

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (key, clock) = (cx.key(args, 1), cx.clock());
    let sparse_bytes_max = cx.keys.encoding.hll_sparse_bytes_max;
    let marks = args.iter_from(2).map(Mark::of);
    let has_changed = match cx.keys.peek_string(cx.db, &key, cx.now_ms)? {
        None => {
            let mut hll = Hll::empty();
            raise_all(&mut hll, marks, sparse_bytes_max)?;
            hll.forget_cardinality();
            cx.keys.put(cx.db, &key, Value::String(hll.into_bytes()), None, clock);
            true
        }
        Some(string) => {
            let hll = hyperloglog(string)?;
            if hll.is_dense() {
                let lacking: Vec<Mark> = marks.filter(|mark| hll.lacks(*mark)).collect();
                raise_in_place(cx, &key, &lacking)?;
                !lacking.is_empty()
            } else {
                let mut hll = Hll::of(hll);
                let has_changed = raise_all(&mut hll, marks, sparse_bytes_max)?;
                if has_changed {
                    hll.forget_cardinality();
                    replace(cx, &key, &hll.into_bytes())?;
                }
                has_changed
            }
        }
    };
    cx.reply.integer(i64::from(has_changed));
    Ok(())
}

/// Lets `hll` see elements; whether that changed any register.
fn raise_all(
    hll: &mut Hll,
    marks: impl Iterator<Item = Mark>,
    sparse_bytes_max: usize,
) -> Result<bool, Corrupted> {
    let mut has_changed = false;
    for mark in marks {
        has_changed |= hll.raise(mark, sparse_bytes_max)?;
    }
    Ok(has_changed)
}

/// Raises dense registers, two bytes at a time: the string is long, and few elements change anything.
fn raise_in_place(cx: &mut Cx<'_>, key: &Key<'_>, lacking: &[Mark]) -> Outcome {
    if lacking.is_empty() {
        return Ok(());
    }
    let clock = cx.clock();
    for mark in lacking {
        let hll = hyperloglog(string(cx, key)?)?;
        // The same register may have been named twice.
        if hll.lacks(*mark) {
            let (at, bytes) = hll.dense_bytes(*mark);
            cx.keys.set_range(cx.db, key, at, &bytes, cx.now_ms, clock)?;
        }
    }
    if let Some((at, byte)) = string(cx, key)?.with_bytes(stale_byte) {
        cx.keys.set_range(cx.db, key, at, &[byte], cx.now_ms, clock)?;
    }
    Ok(())
}

fn string<'a>(cx: &'a mut Cx<'_>, key: &Key<'_>) -> Result<StringRef<'a>, CommandError> {
    Ok(cx.keys.peek_string(cx.db, key, cx.now_ms)?.expect("the key was found before"))
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, check};
    use crate::store::effect::decode_all;

    #[test]
    fn says_whether_anything_changed() {
        check("PFADD k a b c | PFADD k a | PFADD k d | PFCOUNT k", "1 | 0 | 1 | 4");
        check("PFADD k | PFADD k | PFCOUNT k | STRLEN k | TYPE k", "1 | 0 | 0 | 18 | string");
        check("PFADD k a | EXPIRE k 10 | PFADD k b | TTL k", "1 | 1 | 1 | 10");
        check("PFADD k a | PEXPIRE k 5 | @5ms | PFADD k b | PFCOUNT k | TTL k", "1 | 1 | 1 | 1 | -1");
    }

    #[test]
    fn grows_from_sparse_to_dense() {
        let mut bench = Bench::default();
        let mut encodings = Vec::new();
        for i in 0..3000 {
            bench.run(&format!("PFADD k {i}"));
            let encoding = bench.run("PFDEBUG ENCODING k");
            if encodings.last() != Some(&encoding) {
                encodings.push(encoding);
            }
        }
        assert_eq!(encodings, ["sparse", "dense"]);
        assert_eq!(
            bench.run("STRLEN k | PFCOUNT k | PFADD k 17 x17 | PFADD k 17 x17"),
            "12304 | 3004 | 1 | 0"
        );
        bench.check_journal();
    }

    #[test]
    fn the_bound_of_sparse_registers_can_be_set() {
        let mut bench = Bench::default();
        bench.keys.encoding.hll_sparse_bytes_max = 19;
        assert_eq!(bench.run("PFADD k a | PFDEBUG ENCODING k | PFADD k b | PFCOUNT k"), "1 | dense | 1 | 2");
    }

    #[test]
    fn journals_what_changed_alone() {
        let mut bench = Bench::default();
        bench.run("PFADD k a | PFDEBUG TODENSE k");
        bench.check_journal();
        bench.run("PFCOUNT k");
        bench.keys.take_effects();
        bench.run("PFADD k b c b");
        let effects = bench.keys.take_effects();
        assert_eq!(
            decode_all(&effects).count(),
            3,
            "two registers, and the cardinality no longer holds: {effects:?}"
        );
    }

    #[test]
    fn refuses_what_is_none() {
        let none = "WRONGTYPE Key is not a valid HyperLogLog string value.";
        for value in
            ["x", "12", "HYLL", "\"HYLL\\x02aaaaaaaaaaaaaaaaaaaa\"", "\"HYLL\\x00aaaaaaaaaaaaaaaaaaaa\""]
        {
            check(&format!("SET k {value} | PFADD k a"), &format!("OK | {none}"));
        }
        let corrupted = "INVALIDOBJ Corrupted HLL object detected";
        check("PFADD k a | SETRANGE k 16 \"\\x3f\\x3f\" | PFADD k b", &format!("1 | 21 | {corrupted}"));
    }
}
