//! COPY source destination [DB n] [REPLACE] — copy a key with its expiry. Returns 1, or 0 where the source is missing or, without
//! REPLACE, the destination is there.

use std::mem::take;

use crate::base::args::Args;
use crate::commands::cx::{Cx, db_index};
use crate::commands::error::{CommandError, Outcome};
use crate::commands::gather::{Change, Decided, Decision, Gather, Next, Part, Write, run_here};
use crate::commands::table::TWO_KEYS;
use crate::resp::write::Writer;
use crate::store::object::Value;

pub const GATHER: Gather = Gather { reads_key_alone: false, read, decide, reads_undeclared: false };

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    // Refused before anything is read: a copy onto itself would read a value for nothing.
    Options::parse(cx.db, args)?;
    run_here(cx, args, TWO_KEYS.indices(args), &GATHER)
}

fn read(cx: &mut Cx<'_>, args: &Args<'_>, i: usize) -> Part {
    // The decision reports what is wrong with the options.
    let Ok(options) = Options::parse(cx.db, args) else { return Part::Absent };
    let (key, touch) = (cx.key(args, i), cx.touch());
    if i == 2 {
        return if cx.keys.exists(options.db, &key, cx.now_ms) { Part::Present } else { Part::Absent };
    }
    match cx.keys.read(cx.db, &key, cx.now_ms, touch) {
        None => Part::Absent,
        Some(entry) => Part::Value { value: Value::of(entry), expire_at_ms: entry.expire_at_ms() },
    }
}

fn decide(at: Decision, args: &Args<'_>, parts: &mut [Part], reply: &mut Writer<'_>) -> Decided {
    let options = Options::parse(at.db, args)?;
    let is_free = options.replaces || parts[1] == Part::Absent;
    let writes = match take(&mut parts[0]) {
        Part::Value { value, expire_at_ms } if is_free => {
            let change = Change::Put { value, expire_at_ms };
            vec![Write { db: options.db, key: args.get(2).to_vec(), change }]
        }
        _ => Vec::new(),
    };
    reply.count(writes.len());
    Ok(Next::Write(writes))
}

struct Options {
    db: u16,
    replaces: bool,
}

impl Options {
    fn parse(db: u16, args: &Args<'_>) -> Result<Options, CommandError> {
        let mut options = Options { db, replaces: false };
        let mut i = 3;
        while i < args.len() {
            if args.is(i, "REPLACE") {
                options.replaces = true;
            } else if args.is(i, "DB") && i + 1 < args.len() {
                options.db = db_index(args, i + 1)?;
                i += 1;
            } else {
                return Err(CommandError::Syntax);
            }
            i += 1;
        }
        if options.db == db && args.get(1) == args.get(2) {
            return Err(CommandError::SameObject);
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn copies_value_and_expiry() {
        check("SET a v EX 10 | COPY a b | GET b | TTL b | GET a | TTL a", "OK | 1 | v | 10 | v | 10");
        check("SET a 5 | COPY a b | INCR a | GET b", "OK | 1 | 6 | 5");
        check("COPY a b", "0");
    }

    #[test]
    fn replaces_only_when_told() {
        check(
            "SET a v | SET b w EX 10 | COPY a b | GET b | COPY a b REPLACE | GET b | TTL b",
            "OK | OK | 0 | w | 1 | v | -1",
        );
        check("SET a v | SET b w PX 5 | @5ms | COPY a b | GET b | TTL b", "OK | OK | 1 | v | -1");
    }

    #[test]
    fn copies_to_another_database() {
        check(
            "SET a v | COPY a a DB 1 | COPY a a DB 1 | COPY a a replace db 1 | MOVE a 1",
            "OK | 1 | 0 | 1 | 0",
        );
        check("SET a v | COPY a a DB 1 DB 2 | COPY a a DB 1", "OK | 1 | 1");
    }

    #[test]
    fn refuses_bad_options() {
        let same = "ERR source and destination objects are the same";
        check("COPY a a | COPY a a DB 0 | COPY a a REPLACE", &format!("{same} | {same} | {same}"));
        check("COPY a b DB 16", "ERR DB index is out of range");
        check("COPY a b DB -1", "ERR DB index is out of range");
        check("COPY a b DB x", "ERR value is not an integer or out of range");
        check(
            "COPY a b DB 2147483648",
            "ERR value is out of range, value must between -2147483648 and 2147483647",
        );
        check("COPY a b DB", "ERR syntax error");
        check("COPY a b FOO", "ERR syntax error");
    }
}
