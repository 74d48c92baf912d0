//! RENAME key newkey, RENAMENX key newkey — move a key with its value and expiry to another name.
//! RENAME replaces what is there; RENAMENX returns 1, or 0 where something is. A missing key is an error. A key renamed to
//! itself stays as it is.

use std::mem::take;

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::commands::gather::{self, Change, Decided, Decision, Gather, Next, Part, Write};
use crate::resp::write::Writer;

pub const RENAME: Gather =
    Gather { reads_key_alone: false, read, decide: decide_rename, reads_undeclared: false };
pub const RENAMENX: Gather =
    Gather { reads_key_alone: false, read, decide: decide_renamenx, reads_undeclared: false };

pub fn rename(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (from, to) = (cx.key(args, 1), cx.key(args, 2));
    if !cx.keys.exists(cx.db, &from, cx.now_ms) {
        return Err(CommandError::NoSuchKey);
    }
    if from.bytes != to.bytes {
        cx.keys.rename((cx.db, &from), (cx.db, &to), cx.now_ms);
    }
    cx.reply.ok();
    Ok(())
}

pub fn renamenx(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (from, to) = (cx.key(args, 1), cx.key(args, 2));
    if !cx.keys.exists(cx.db, &from, cx.now_ms) {
        return Err(CommandError::NoSuchKey);
    }
    let is_free = !cx.keys.exists(cx.db, &to, cx.now_ms);
    if is_free {
        cx.keys.rename((cx.db, &from), (cx.db, &to), cx.now_ms);
    }
    cx.reply.integer(i64::from(is_free));
    Ok(())
}

// Across shards. The names differ there: one key has one shard.

fn read(cx: &mut Cx<'_>, args: &Args<'_>, i: usize) -> Part {
    if i == 1 { gather::read_value(cx, args, i) } else { gather::read_presence(cx, args, i) }
}

fn decide_rename(at: Decision, args: &Args<'_>, parts: &mut [Part], reply: &mut Writer<'_>) -> Decided {
    let moved = moved(at, args, parts)?;
    reply.ok();
    Ok(moved)
}

fn decide_renamenx(at: Decision, args: &Args<'_>, parts: &mut [Part], reply: &mut Writer<'_>) -> Decided {
    let is_free = parts[1] == Part::Absent;
    let moved = moved(at, args, parts)?;
    reply.integer(i64::from(is_free));
    Ok(if is_free { moved } else { Next::Write(Vec::new()) })
}

fn moved(at: Decision, args: &Args<'_>, parts: &mut [Part]) -> Decided {
    match take(&mut parts[0]) {
        Part::Value { value, expire_at_ms } => Ok(Next::Write(vec![
            Write { db: at.db, key: args.get(2).to_vec(), change: Change::Put { value, expire_at_ms } },
            Write { db: at.db, key: args.get(1).to_vec(), change: Change::Delete },
        ])),
        _ => Err(CommandError::NoSuchKey),
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, check};

    #[test]
    fn moves_value_and_expiry() {
        check("SET a v EX 10 | RENAME a b | EXISTS a | GET b | TTL b", "OK | OK | 0 | v | 10");
        check("SET a v | SET b w EX 10 | RENAME a b | GET b | TTL b", "OK | OK | OK | v | -1");
        check(
            "SET a 12 | RENAMENX a b | INCR b | SET a 1 | RENAMENX a b | MGET a b",
            "OK | 1 | 13 | OK | 0 | [1, 13]",
        );
        check("SET a v | SET b w PX 5 | @5ms | RENAMENX a b | GET b | TTL b", "OK | OK | 1 | v | -1");
    }

    #[test]
    fn moves_a_long_string() {
        let mut bench = Bench::default();
        let long = "x".repeat(10_000);
        assert_eq!(
            bench.run(&format!("SET a {long} EX 5 | RENAME a b | GET b | TTL b")),
            format!("OK | OK | {long} | 5")
        );
        bench.check_journal();
    }

    #[test]
    fn a_key_renamed_to_itself_stays() {
        check("SET a v EX 10 | RENAME a a | RENAMENX a a | GET a | TTL a", "OK | OK | 0 | v | 10");
    }

    #[test]
    fn wants_a_key() {
        check("RENAME a b", "ERR no such key");
        check("RENAMENX a a", "ERR no such key");
        check("SET a v PX 5 | @5ms | RENAME a b | EXISTS b", "OK | ERR no such key | 0");
    }
}
