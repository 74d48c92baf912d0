//! `FIELDS numfields field [field ...]`, which the commands on fields that expire end with. Checks the words; never looks a field up.

use crate::base::args::Args;
use crate::base::number::parse_i64;
use crate::commands::error::CommandError;
use crate::resp::write::Writer;

/// What a field is answered with that is not there, as is every field of a missing key.
pub const NO_FIELD: i64 = -2;
/// What a field is answered with that does not expire.
pub const NO_EXPIRY: i64 = -1;

/// The index of the first of the fields behind the word `FIELDS`, which is expected at index `at`; a number follows it (the arity has made
/// sure), and at least one field. `bad_count` is the refusal of a count that is no positive number.
pub fn parse(args: &Args<'_>, at: usize, bad_count: &'static str) -> Result<usize, CommandError> {
    if !args.is(at, "FIELDS") {
        return Err(CommandError::Text(
            "ERR Mandatory argument FIELDS is missing or not at the right position",
        ));
    }
    let count =
        parse_i64(args.get(at + 1)).filter(|count| *count > 0).ok_or(CommandError::Text(bad_count))?;
    let first = at + 2;
    if count != (args.len() - first) as i64 {
        return Err(CommandError::Text("ERR The `numfields` parameter must match the number of arguments"));
    }
    Ok(first)
}

/// Replies with what `answer` says of each word from `first` on.
pub fn reply_each(
    reply: &mut Writer<'_>,
    args: &Args<'_>,
    first: usize,
    mut answer: impl FnMut(&[u8]) -> i64,
) {
    let fields = args.iter_from(first);
    reply.array(fields.len());
    fields.for_each(|field| reply.integer(answer(field)));
}
