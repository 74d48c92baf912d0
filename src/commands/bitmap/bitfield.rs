//! BITFIELD key [GET type offset | [OVERFLOW WRAP | SAT | FAIL] SET type offset value | INCRBY type offset n ...], BITFIELD_RO key
//! [GET type offset ...] — read and write integers of any width at any bit of a string, which grows to hold what is written.
//! Replies with one element for each operation: the value (GET), the old value (SET), the sum (INCRBY), or nil where the
//! operation did not fit under `OVERFLOW FAIL`.

use crate::base::args::Args;
use crate::commands::bitmap::bits::{FIELD_BYTES_MAX, Field};
use crate::commands::bitmap::overflow::{IntegerType, Overflow};
use crate::commands::bitmap::{BIT_OFFSET, bit_offset};
use crate::commands::cx::{Cx, integer};
use crate::commands::error::{CommandError, Outcome};
use crate::store::keyspace::{Key, WrongType};
use crate::store::object::StringRef;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let operations = parse(args, cx.server.config.bulk_bytes_max)?;
    let written = operations.iter().filter(|operation| operation.action != Action::Get);
    match written.map(|operation| operation.field.first_byte() + operation.field.bytes()).max() {
        None => read(cx, args, &operations),
        Some(length) => write(cx, args, &operations, length),
    }
}

pub fn run_read(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let operations = parse(args, cx.server.config.bulk_bytes_max)?;
    if operations.iter().any(|operation| operation.action != Action::Get) {
        return Err(CommandError::Text("ERR BITFIELD_RO only supports the GET subcommand"));
    }
    read(cx, args, &operations)
}

/// All operations are GETs.
fn read(cx: &mut Cx<'_>, args: &Args<'_>, operations: &[Operation]) -> Outcome {
    let (key, touch) = (cx.key(args, 1), cx.touch());
    let string = cx.keys.string(cx.db, &key, cx.now_ms, touch)?;
    cx.reply.array(operations.len());
    let mut reply_all = |bytes: &[u8]| {
        for Operation { field, integer, .. } in operations {
            cx.reply.integer(integer.value(field.get(&field.window(bytes))));
        }
    };
    match string {
        None => reply_all(b""),
        Some(string) => string.with_bytes(reply_all),
    }
    Ok(())
}

/// The string has at least `length` bytes afterwards, even if no operation fits.
fn write(cx: &mut Cx<'_>, args: &Args<'_>, operations: &[Operation], length: usize) -> Outcome {
    let (key, clock) = (cx.key(args, 1), cx.clock());
    let old_length = cx.keys.peek_string(cx.db, &key, cx.now_ms)?.map_or(0, StringRef::len);
    if old_length < length {
        cx.keys.set_range(cx.db, &key, length - 1, &[0], cx.now_ms, clock)?;
    }
    cx.reply.array(operations.len());
    for Operation { field, integer, action, overflow } in operations {
        let mut window = window(cx, &key, *field)?;
        let old = field.get(&window);
        let new = match *action {
            Action::Get => Some(old),
            Action::Set(number) => integer.set(number, *overflow),
            Action::Add(increment) => integer.add(old, increment, *overflow),
        };
        let Some(new) = new else {
            cx.reply.null();
            continue;
        };
        if new != old {
            field.set(&mut window, new);
            let bytes = &window[..field.bytes()];
            cx.keys.set_range(cx.db, &key, field.first_byte(), bytes, cx.now_ms, clock)?;
        }
        let shown = if let Action::Set(_) = action { old } else { new };
        cx.reply.integer(integer.value(shown));
    }
    Ok(())
}

/// The bytes that a field touches in the string at a key.
fn window(cx: &mut Cx<'_>, key: &Key<'_>, field: Field) -> Result<[u8; FIELD_BYTES_MAX], WrongType> {
    Ok(match cx.keys.peek_string(cx.db, key, cx.now_ms)? {
        None => [0; FIELD_BYTES_MAX],
        Some(string) => string.with_bytes(|bytes| field.window(bytes)),
    })
}

#[derive(Clone, Copy, Debug)]
struct Operation {
    field: Field,
    integer: IntegerType,
    action: Action,
    overflow: Overflow,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Get,
    Set(i64),
    Add(i64),
}

fn parse(args: &Args<'_>, bytes_max: usize) -> Result<Vec<Operation>, CommandError> {
    let mut operations = Vec::new();
    let mut overflow = Overflow::Wrap;
    let mut i = 2;
    while i < args.len() {
        let rest = args.len() - i - 1;
        if args.is(i, "OVERFLOW") && rest >= 1 {
            overflow = parse_overflow(args, i + 1)?;
            i += 2;
            continue;
        }
        let new_action: Option<fn(i64) -> Action> = match () {
            () if args.is(i, "GET") && rest >= 2 => None,
            () if args.is(i, "SET") && rest >= 3 => Some(Action::Set),
            () if args.is(i, "INCRBY") && rest >= 3 => Some(Action::Add),
            () => return Err(CommandError::Syntax),
        };
        let integer_type = IntegerType::parse(args.get(i + 1)).ok_or(CommandError::Text(
            "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
        ))?;
        let bits = integer_type.bits;
        let offset = field_offset(args.get(i + 2), bits, bytes_max).ok_or(BIT_OFFSET)?;
        let action = match new_action {
            None => Action::Get,
            Some(new_action) => new_action(integer(args, i + 3)?),
        };
        let field = Field { offset, bits };
        operations.push(Operation { field, integer: integer_type, action, overflow });
        i += if action == Action::Get { 3 } else { 4 };
    }
    Ok(operations)
}

fn parse_overflow(args: &Args<'_>, i: usize) -> Result<Overflow, CommandError> {
    let names = [("WRAP", Overflow::Wrap), ("SAT", Overflow::Saturate), ("FAIL", Overflow::Fail)];
    let found = names.into_iter().find(|(name, _)| args.is(i, name));
    found.map(|(_, overflow)| overflow).ok_or(CommandError::Text("ERR Invalid OVERFLOW type specified"))
}

/// The first bit of a field: `#3` is that of the fourth of fields side by side.
fn field_offset(word: &[u8], bits: u32, bytes_max: usize) -> Option<u64> {
    let Some(number) = word.strip_prefix(b"#") else { return bit_offset(word, bytes_max) };
    let limit = 8 * bytes_max as u64;
    let number = bit_offset(number, bytes_max)?;
    number.checked_mul(u64::from(bits)).filter(|offset| *offset < limit)
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, check};
    use crate::store::effect::decode_all;

    #[test]
    fn reads_and_writes_integers() {
        check(
            "BITFIELD k SET i8 0 100 SET u8 #1 255 GET i8 8 GET u4 4 GET i5 100 | STRLEN k",
            "[0, 0, -1, 4, 0] | 2",
        );
        check(
            "BITFIELD k INCRBY i5 100 1 GET u4 0 | STRLEN k | BITFIELD_RO k GET i5 100 GET u63 1",
            "[1, 0] | 14 | [1, 0]",
        );
        check("SET k 1 EX 10 | BITFIELD k SET u8 0 50 | GET k | TTL k", "OK | [49] | 2 | 10");
        check("BITFIELD k SET i64 3 -2 INCRBY i64 3 1 GET i64 3 GET u1 66 GET u1 67", "[0, -1, -1, 1, 0]");
        check("SET n 7 | BITFIELD n GET u8 0 | OBJECT ENCODING n", "OK | [55] | int");
        check("BITFIELD k | BITFIELD k GET u8 0 | EXISTS k | BITFIELD_RO k", "[] | [0] | 0 | []");
    }

    #[test]
    fn overflow_is_decided_for_what_follows() {
        let both = "INCRBY u2 100 1 OVERFLOW SAT INCRBY u2 102 1";
        check(
            &format!("BITFIELD k {both} | BITFIELD k {both} | BITFIELD k {both} | BITFIELD k {both}"),
            "[1, 1] | [2, 2] | [3, 3] | [0, 3]",
        );
        check("BITFIELD k OVERFLOW FAIL SET u2 0 4 SET u2 0 3 INCRBY u2 0 1", "[nil, 0, nil]");
        check("BITFIELD k overflow fail set u2 30 4 | STRLEN k", "[nil] | 4");
        check("BITFIELD k SET u8 0 -1 GET u8 0 OVERFLOW SAT SET i8 0 -300 GET i8 0", "[0, 255, -1, -128]");
    }

    #[test]
    fn what_stays_the_same_is_no_change() {
        let mut bench = Bench::default();
        bench.run("SET k abcd | BITFIELD k SET u8 0 97 INCRBY i8 8 0 GET u8 0");
        assert_eq!(decode_all(&bench.keys.take_effects()).count(), 1);
    }

    #[test]
    fn refuses_bad_arguments() {
        let offset = "ERR bit offset is not an integer or out of range";
        let integer_type = "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.";
        check("BITFIELD k GET u8", "ERR syntax error");
        check("BITFIELD k SET u8 0", "ERR syntax error");
        check("BITFIELD k SET u8 0 1 FOO", "ERR syntax error");
        check("BITFIELD k OVERFLOW", "ERR syntax error");
        check("BITFIELD k OVERFLOW foo GET x y", "ERR Invalid OVERFLOW type specified");
        check("BITFIELD k GET u64 0", integer_type);
        check("BITFIELD k GET i65 x", integer_type);
        for bad in ["x", "-1", "#-1", "#x", "4294967296", "#536870912", "#9223372036854775807", "##1"] {
            check(&format!("BITFIELD k GET u8 {bad}"), offset);
        }
        check("BITFIELD k SET u8 0 x | EXISTS k", "ERR value is not an integer or out of range | 0");
        check("BITFIELD_RO k SET u8 0 1", "ERR BITFIELD_RO only supports the GET subcommand");
        check("BITFIELD_RO k SET u8 0 x", "ERR value is not an integer or out of range");
    }
}
