//! PFDEBUG GETREG | DECODE | ENCODING | TODENSE key — look into a HyperLogLog: all registers (which become dense), the opcodes of
//! sparse ones, the name of the encoding; or make the registers dense, which returns 1 if they were not.

use std::fmt::Write;

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::commands::hyperloglog::{hyperloglog, replace};
use crate::store::hyperloglog::{Hll, HllRef, Opcode, REGISTERS};

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let key = cx.key(args, 2);
    let Some(string) = cx.keys.peek_string(cx.db, &key, cx.now_ms)? else {
        return Err(CommandError::Text("ERR The specified key does not exist"));
    };
    let hll = hyperloglog(string)?;
    if args.is(1, "DECODE") {
        if hll.is_dense() {
            return Err(CommandError::Text("ERR HLL encoding is not sparse"));
        }
        cx.reply.bulk(decoded(hll).as_bytes());
        return Ok(());
    }
    if args.is(1, "ENCODING") {
        cx.reply.simple(if hll.is_dense() { "dense" } else { "sparse" });
        return Ok(());
    }
    let wants_registers = args.is(1, "GETREG");
    if !wants_registers && !args.is(1, "TODENSE") {
        let subcommand = String::from_utf8_lossy(args.get(1));
        return Err(CommandError::Detailed(format!("ERR Unknown PFDEBUG subcommand '{subcommand}'")));
    }
    let (was_dense, mut dense) = (hll.is_dense(), Hll::of(hll));
    dense.make_dense()?;
    if wants_registers {
        let mut registers = [0; REGISTERS];
        dense.as_ref().merge_into(&mut registers)?;
        cx.reply.array(REGISTERS);
        registers.iter().for_each(|value| cx.reply.integer(i64::from(*value)));
    } else {
        cx.reply.integer(i64::from(!was_dense));
    }
    replace(cx, &key, &dense.into_bytes())
}

/// The opcodes as text: `z` and `Z` for zeros in one byte and in two, `v:value,length` for values.
fn decoded(hll: HllRef<'_>) -> String {
    let mut text = String::new();
    for opcode in hll.opcodes() {
        let separator = if text.is_empty() { "" } else { " " };
        match opcode {
            Opcode::Zeros(length) => write!(text, "{separator}z:{length}"),
            Opcode::ManyZeros(length) => write!(text, "{separator}Z:{length}"),
            Opcode::Values { value, length } => write!(text, "{separator}v:{value},{length}"),
        }
        .expect("a string takes all");
    }
    text
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn looks_inside() {
        check("PFADD k | PFDEBUG DECODE k | PFDEBUG encoding k", "1 | Z:16384 | sparse");
        check("PFADD k a b c | PFDEBUG DECODE k", "1 | Z:8436 v:1,1 Z:4274 v:2,1 Z:3068 v:1,1 Z:603");
        check(
            "PFADD k a | PFDEBUG TODENSE k | PFDEBUG TODENSE k | PFDEBUG DECODE k | STRLEN k",
            "1 | 1 | 0 | ERR HLL encoding is not sparse | 12304",
        );
    }

    #[test]
    fn shows_all_registers() {
        let registers = vec!["0"; 16384].join(", ");
        check("PFADD k | PFDEBUG GETREG k | PFDEBUG ENCODING k", &format!("1 | [{registers}] | dense"));
    }

    #[test]
    fn refuses() {
        check("PFDEBUG ENCODING k", "ERR The specified key does not exist");
        check("PFADD k | PFDEBUG FOO k", "1 | ERR Unknown PFDEBUG subcommand 'FOO'");
        check("SET k x | PFDEBUG FOO k", "OK | WRONGTYPE Key is not a valid HyperLogLog string value.");
    }
}
