//! Commands on strings as rows of bits, and their rows. Bit 0 is the most significant bit of the first byte.
//! Owns how their arguments name bits; `bits` does the work on bytes.

mod bitcount;
mod bitfield;
mod bitop;
mod bitpos;
mod bits;
mod getbit;
mod overflow;
mod setbit;

use std::ops::RangeInclusive;

use crate::base::args::Args;
use crate::base::number::parse_i64;
use crate::commands::error::CommandError;
use crate::commands::table::Flag::{DenyOom, Fast, ReadOnly, Write};
use crate::commands::table::{Command, Flag, Group, Keys, ONE_KEY, Spread, row};

const B: Group = Group::Bitmap;
const CREATE: &[Flag] = &[Write, DenyOom];
const READ_FAST: &[Flag] = &[ReadOnly, Fast];
/// The destination and the sources follow the operator.
const BEHIND_OPERATOR: Keys = Keys::At { first: 2, last: -1, step: 1 };

#[rustfmt::skip]
pub(super) const ROWS: &[Command] = &[
    row(B, "bitcount",    bitcount::run,      -2, ONE_KEY,         &[ReadOnly], Spread::Key,                    "2.6.0", "O(N)", "Counts the number of set bits (population counting) in a string."),
    row(B, "bitfield",    bitfield::run,      -2, ONE_KEY,         CREATE,      Spread::Key,                    "3.2.0", "O(1) for each subcommand specified", "Performs arbitrary bitfield integer operations on strings."),
    row(B, "bitfield_ro", bitfield::run_read, -2, ONE_KEY,         READ_FAST,   Spread::Key,                    "6.0.0", "O(1) for each subcommand specified", "Performs arbitrary read-only bitfield integer operations on strings."),
    row(B, "bitop",       bitop::run,         -4, BEHIND_OPERATOR, CREATE,      Spread::Gather(&bitop::GATHER), "2.6.0", "O(N)", "Performs bitwise operations on multiple strings, and stores the result."),
    row(B, "bitpos",      bitpos::run,        -3, ONE_KEY,         &[ReadOnly], Spread::Key,                    "2.8.7", "O(N)", "Finds the first set (1) or clear (0) bit in a string."),
    row(B, "getbit",      getbit::run,        3,  ONE_KEY,         READ_FAST,   Spread::Key,                    "2.2.0", "O(1)", "Returns a bit value by offset."),
    row(B, "setbit",      setbit::run,        4,  ONE_KEY,         CREATE,      Spread::Key,                    "2.2.0", "O(1)", "Sets or clears the bit at offset of the string value. Creates the key if it doesn't exist."),
];

/// What is wrong with an offset that `bit_offset` does not accept.
const BIT_OFFSET: CommandError = CommandError::Text("ERR bit offset is not an integer or out of range");

/// The number of a bit in a string of at most `bytes_max` bytes.
fn bit_offset(word: &[u8], bytes_max: usize) -> Option<u64> {
    let offset = u64::try_from(parse_i64(word)?).ok()?;
    (offset / 8 < bytes_max as u64).then_some(offset)
}

/// What the ends of a range count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Byte,
    Bit,
}

impl Unit {
    fn parse(args: &Args<'_>, i: usize) -> Result<Unit, CommandError> {
        if args.is(i, "BIT") {
            Ok(Unit::Bit)
        } else if args.is(i, "BYTE") {
            Ok(Unit::Byte)
        } else {
            Err(CommandError::Syntax)
        }
    }

    /// The bits from `start` to `end` of a string of `length` bytes. Negative ends count from its end, and what lies outside is cut
    /// off; nothing may be left.
    fn bits(self, start: i64, end: i64, length: usize) -> Option<RangeInclusive<u64>> {
        let total = if self == Unit::Bit { 8 * length as i64 } else { length as i64 };
        let from_front = |at: i64| if at < 0 { (total + at).max(0) } else { at };
        let (start, end) = (from_front(start), from_front(end).min(total - 1));
        if start > end {
            return None;
        }
        let (start, end) = (start as u64, end as u64);
        Some(if self == Unit::Bit { start..=end } else { 8 * start..=8 * end + 7 })
    }
}
