//! MSETNX key value [key value ...] — set several keys if none of them exists: all or nothing. Returns 1 or 0.
//! A key that is named twice gets its last value.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::commands::gather::{self, Change, Decided, Decision, Gather, Next, Part, Write};
use crate::commands::string::mset::set_all;
use crate::resp::write::Writer;
use crate::store::object::Value;

pub const GATHER: Gather =
    Gather { reads_key_alone: true, read: gather::read_presence, decide, reads_undeclared: false };

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    check_pairs(args)?;
    let mut is_any_present = false;
    cx.for_each_key(args, (1..args.len()).step_by(2), |cx, _, key| {
        is_any_present |= cx.keys.exists(cx.db, key, cx.now_ms);
    });
    if !is_any_present {
        set_all(cx, args);
    }
    cx.reply.integer(i64::from(!is_any_present));
    Ok(())
}

fn decide(at: Decision, args: &Args<'_>, parts: &mut [Part], reply: &mut Writer<'_>) -> Decided {
    check_pairs(args)?;
    if parts.contains(&Part::Present) {
        reply.integer(0);
        return Ok(Next::Write(Vec::new()));
    }
    reply.integer(1);
    let put = |word: usize| Write {
        db: at.db,
        key: args.get(word).to_vec(),
        change: Change::Put { value: Value::String(args.get(word + 1).to_vec()), expire_at_ms: None },
    };
    Ok(Next::Write((1..args.len()).step_by(2).map(put).collect()))
}

fn check_pairs(args: &Args<'_>) -> Result<(), CommandError> {
    if args.len().is_multiple_of(2) { Err(CommandError::Arity("msetnx".into())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn sets_all_or_nothing() {
        check("MSETNX a 1 b 2 | MSETNX b 3 c 4 | MGET a b c", "1 | 0 | [1, 2, nil]");
        check("MSETNX a 1 a 2 | GET a", "1 | 2");
        check("SET a 1 PX 5 | @5ms | MSETNX a 2 | GET a | TTL a", "OK | 1 | 2 | -1");
    }

    #[test]
    fn wants_pairs() {
        check("MSETNX a 1 b", "ERR wrong number of arguments for 'msetnx' command");
        check("MSETNX a", "ERR wrong number of arguments for 'msetnx' command");
    }
}
