//! PFMERGE destination [source ...] — let the destination have seen what it and the sources have seen. It is created if it is
//! missing, keeps its expiry, and has dense registers if any of them has.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::commands::gather::{Change, Decided, Decision, Gather, Next, Part, Write};
use crate::commands::hyperloglog::{NOT_HYPERLOGLOG, hyperloglog, pfcount, replace};
use crate::resp::write::Writer;
use crate::store::hyperloglog::{Corrupted, Hll, HllRef, Mark, REGISTERS, Registers};
use crate::store::object::{Entry, StringRef, Value};

pub const GATHER: Gather = Gather { reads_key_alone: false, read, decide, reads_undeclared: false };

/// The word of the destination, which is a source too.
const DESTINATION: usize = 1;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let mut union = Union::default();
    for i in DESTINATION..args.len() {
        let (key, touch) = (cx.key(args, i), cx.touch());
        if let Some(string) = cx.keys.string(cx.db, &key, cx.now_ms, touch)? {
            union.take(hyperloglog(string)?)?;
        }
    }
    let (key, clock, sparse_bytes_max) =
        (cx.key(args, DESTINATION), cx.clock(), cx.keys.encoding.hll_sparse_bytes_max);
    match cx.keys.peek_string(cx.db, &key, cx.now_ms)? {
        None => {
            let hll = union.written_to(Hll::empty(), sparse_bytes_max)?;
            cx.keys.put(cx.db, &key, Value::String(hll.into_bytes()), None, clock);
        }
        Some(string) => {
            let old = Hll::of(hyperloglog(string)?);
            let hll = union.written_to(old, sparse_bytes_max)?;
            replace(cx, &key, &hll.into_bytes())?;
        }
    }
    cx.reply.ok();
    Ok(())
}

/// What the destination's shard knows: the bound of sparse registers, the expiry, and the string if there is one.
type Destination<'a> = (usize, Option<i64>, Option<&'a [u8]>);

fn read(cx: &mut Cx<'_>, args: &Args<'_>, i: usize) -> Part {
    if i != DESTINATION {
        return pfcount::read(cx, args, i);
    }
    let key = cx.key(args, i);
    let sparse_bytes_max = cx.keys.encoding.hll_sparse_bytes_max;
    let expire_at_ms = cx.keys.peek(cx.db, &key, cx.now_ms).and_then(Entry::expire_at_ms);
    let Ok(string) = cx.keys.peek_string(cx.db, &key, cx.now_ms) else { return Part::WrongType };
    let bytes = string.map(StringRef::to_vec);
    let destination: Destination<'_> = (sparse_bytes_max, expire_at_ms, bytes.as_deref());
    Part::Reply(postcard::to_stdvec(&destination).expect("plain data"))
}

fn decide(at: Decision, args: &Args<'_>, parts: &mut [Part], reply: &mut Writer<'_>) -> Decided {
    let Part::Reply(destination) = &parts[0] else { return Err(CommandError::WrongType) };
    let (sparse_bytes_max, expire_at_ms, bytes): Destination<'_> =
        postcard::from_bytes(destination).expect("made by `read`");
    let mut union = Union::default();
    let old = match bytes {
        None => None,
        Some(bytes) => Some(HllRef::new(bytes).ok_or(NOT_HYPERLOGLOG)?),
    };
    if let Some(old) = old {
        union.take(old)?;
    }
    for found in &parts[1..] {
        if let Some(hll) = pfcount::part(found)? {
            union.take(hll)?;
        }
    }
    let hll = union.written_to(old.map_or_else(Hll::empty, Hll::of), sparse_bytes_max)?;
    reply.ok();
    let change = Change::Put { value: Value::String(hll.into_bytes()), expire_at_ms };
    Ok(Next::Write(vec![Write { db: at.db, key: args.get(DESTINATION).to_vec(), change }]))
}

/// The highest value of each register among those of several HyperLogLogs.
struct Union {
    registers: Registers,
    is_dense: bool,
}

impl Default for Union {
    fn default() -> Union {
        Union { registers: [0; REGISTERS], is_dense: false }
    }
}

impl Union {
    fn take(&mut self, hll: HllRef<'_>) -> Result<(), Corrupted> {
        self.is_dense |= hll.is_dense();
        hll.merge_into(&mut self.registers)
    }

    fn written_to(&self, mut hll: Hll, sparse_bytes_max: usize) -> Result<Hll, Corrupted> {
        if self.is_dense {
            hll.make_dense()?;
        }
        for (register, rank) in self.registers.iter().copied().enumerate().filter(|(_, rank)| *rank > 0) {
            hll.raise(Mark { register, rank }, sparse_bytes_max)?;
        }
        hll.forget_cardinality();
        Ok(hll)
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, check};

    #[test]
    fn merges() {
        check("PFADD a x y | PFADD b y z | PFMERGE d a b | PFCOUNT d | PFADD d x y z", "1 | 1 | OK | 3 | 0");
        check(
            "PFADD d w | EXPIRE d 9 | PFADD a x | PFMERGE d a | PFCOUNT d | TTL d",
            "1 | 1 | 1 | OK | 2 | 9",
        );
        check("PFMERGE d | PFCOUNT d | STRLEN d | PFMERGE d a b | STRLEN d", "OK | 0 | 18 | OK | 18");
        check("PFADD a x | PFMERGE a a | PFCOUNT a", "1 | OK | 1");
    }

    #[test]
    fn is_dense_if_any_source_is() {
        check(
            "PFADD a x | PFADD b y | PFDEBUG TODENSE b | PFMERGE d a b | PFDEBUG ENCODING d | PFCOUNT d",
            "1 | 1 | 1 | OK | dense | 2",
        );
        let mut bench = Bench::default();
        bench.keys.encoding.hll_sparse_bytes_max = 19;
        assert_eq!(bench.run("PFADD a x | PFMERGE d a | PFDEBUG ENCODING d"), "1 | OK | dense");
    }

    #[test]
    fn refuses_what_is_none() {
        let none = "WRONGTYPE Key is not a valid HyperLogLog string value.";
        check("SET k x | PFMERGE d k | PFMERGE k d | EXISTS d", &format!("OK | {none} | {none} | 0"));
        let corrupted = "INVALIDOBJ Corrupted HLL object detected";
        check(
            "PFADD k a | SETRANGE k 16 \"\\x3f\\x3f\" | PFMERGE d k | PFMERGE k d | EXISTS d",
            &format!("1 | 21 | {corrupted} | {corrupted} | 0"),
        );
    }
}
