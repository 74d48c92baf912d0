//! BITOP AND | OR | XOR | NOT destination key [key ...] — combine strings bit by bit, store the result, and return its length.
//! Shorter strings and missing keys count as followed by zeros; an empty result removes the destination.

use crate::base::args::Args;
use crate::commands::bitmap::bits;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::commands::gather::{Change, Decided, Decision, Gather, Next, Part, Write};
use crate::resp::write::Writer;
use crate::store::object::{StringRef, Value};

pub const GATHER: Gather = Gather { reads_key_alone: false, read, decide, reads_undeclared: false };

/// The word of the destination; the sources follow it.
const DESTINATION: usize = 2;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let operator = Operator::parse(args)?;
    let mut result: Option<Vec<u8>> = None;
    for i in DESTINATION + 1..args.len() {
        let (key, touch) = (cx.key(args, i), cx.touch());
        match cx.keys.string(cx.db, &key, cx.now_ms, touch)? {
            None => operator.take(&mut result, b""),
            Some(string) => string.with_bytes(|bytes| operator.take(&mut result, bytes)),
        }
    }
    let (destination, clock) = (cx.key(args, DESTINATION), cx.clock());
    let result = result.expect("the arity leaves a source");
    cx.reply.count(result.len());
    if result.is_empty() {
        cx.keys.remove(cx.db, &destination, cx.now_ms);
    } else {
        cx.keys.put(cx.db, &destination, Value::String(result), None, clock);
    }
    Ok(())
}

fn read(cx: &mut Cx<'_>, args: &Args<'_>, i: usize) -> Part {
    if i == DESTINATION {
        return Part::Absent;
    }
    let (key, touch) = (cx.key(args, i), cx.touch());
    match cx.keys.string(cx.db, &key, cx.now_ms, touch) {
        Ok(None) => Part::Absent,
        Ok(Some(value)) => Part::Value { value: Value::String(StringRef::to_vec(value)), expire_at_ms: None },
        Err(_) => Part::WrongType,
    }
}

fn decide(at: Decision, args: &Args<'_>, parts: &mut [Part], reply: &mut Writer<'_>) -> Decided {
    let operator = Operator::parse(args)?;
    let mut result: Option<Vec<u8>> = None;
    for part in &parts[1..] {
        match part {
            Part::Value { value: Value::String(bytes), .. } => operator.take(&mut result, bytes),
            Part::Absent => operator.take(&mut result, b""),
            _ => return Err(CommandError::WrongType),
        }
    }
    let result = result.expect("the arity leaves a source");
    reply.count(result.len());
    let change = if result.is_empty() {
        Change::Delete
    } else {
        Change::Put { value: Value::String(result), expire_at_ms: None }
    };
    Ok(Next::Write(vec![Write { db: at.db, key: args.get(DESTINATION).to_vec(), change }]))
}

/// How bits are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    And,
    Or,
    Xor,
    Not,
}

impl Operator {
    fn parse(args: &Args<'_>) -> Result<Operator, CommandError> {
        let names =
            [("AND", Operator::And), ("OR", Operator::Or), ("XOR", Operator::Xor), ("NOT", Operator::Not)];
        let found = names.into_iter().find(|(name, _)| args.is(1, name));
        let (_, operator) = found.ok_or(CommandError::Syntax)?;
        if operator == Operator::Not && args.len() != DESTINATION + 2 {
            return Err(CommandError::Text("ERR BITOP NOT must be called with a single source key."));
        }
        Ok(operator)
    }

    /// Takes one more string into the result: the first as it is, or inverted.
    fn take(self, result: &mut Option<Vec<u8>>, bytes: &[u8]) {
        match result {
            Some(result) => bits::combine(result, self, bytes),
            None if self == Operator::Not => *result = Some(bytes.iter().map(|byte| !byte).collect()),
            None => *result = Some(bytes.to_vec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn combines() {
        let set = "MSET a abc b ab c \"\"";
        check(&format!("{set} | BITOP AND d a b | GET d"), "OK | 3 | ab\0");
        check(&format!("{set} | BITOP or d b a b | GET d"), "OK | 3 | abc");
        check(&format!("{set} | BITOP XOR d a b | GET d"), "OK | 3 | \0\0c");
        check(&format!("{set} | BITOP AND d a missing | STRLEN d | BITCOUNT d"), "OK | 3 | 3 | 0");
        check("SET n 9 | BITOP AND d n n | INCR d", "OK | 1 | 10");
        check("SETBIT k 3 1 | BITOP NOT k k | BITCOUNT k | BITOP NOT k k | BITPOS k 1", "0 | 1 | 7 | 1 | 3");
    }

    #[test]
    fn the_destination_is_replaced_or_removed() {
        check("SET a x | SET d y EX 10 | BITOP OR d a | GET d | TTL d", "OK | OK | 1 | x | -1");
        check(
            "SET a \"\" | SET d y | BITOP OR d a missing | EXISTS d | BITOP NOT d d",
            "OK | OK | 0 | 0 | 0",
        );
    }

    #[test]
    fn refuses_bad_arguments() {
        check("BITOP FOO d a", "ERR syntax error");
        check("BITOP NOT d a b", "ERR BITOP NOT must be called with a single source key.");
        check("BITOP AND d", "ERR wrong number of arguments for 'bitop' command");
    }
}
