//! List commands and their rows.

mod lindex;
mod linsert;
mod llen;
mod lpos;
mod lrange;
mod lrem;
mod lset;
mod ltrim;
pub(in crate::commands) mod moving;
pub(in crate::commands) mod mpop;
pub(in crate::commands) mod pop;
mod push;

use std::ops::Range;

use crate::base::args::Args;
use crate::commands::error::CommandError;
use crate::commands::table::Flag::{DenyOom, Fast, ReadOnly, Write};
use crate::commands::table::{Command, Flag, Group, Keys, ONE_KEY, Spread, TWO_KEYS, row};
use crate::store::effect::End;

const L: Group = Group::List;
const CREATE: &[Flag] = &[Write, DenyOom];
const CREATE_FAST: &[Flag] = &[Write, DenyOom, Fast];

#[rustfmt::skip]
pub(super) const ROWS: &[Command] = &[
    row(L, "lindex",    lindex::run,       3,  ONE_KEY,  &[ReadOnly],       Spread::Key,                    "1.0.0", "O(N) where N is the number of elements to traverse to get to the element at index. This makes asking for the first or the last element of the list O(1).", "Returns an element from a list by its index."),
    row(L, "linsert",   linsert::run,      5,  ONE_KEY,  CREATE,            Spread::Key,                    "2.2.0", "O(N) where N is the number of elements to traverse before seeing the value pivot. This means that inserting somewhere on the left end on the list (head) can be considered O(1) and inserting somewhere on the right end (tail) is O(N).", "Inserts an element before or after another element in a list."),
    row(L, "llen",      llen::run,         2,  ONE_KEY,  &[ReadOnly, Fast], Spread::Key,                    "1.0.0", "O(1)", "Returns the length of a list."),
    row(L, "lmove",     moving::lmove,     5,  TWO_KEYS, CREATE,            Spread::Gather(&moving::GATHER), "6.2.0", "O(1)", "Returns an element after popping it from one list and pushing it to another. Deletes the list if the last element was moved."),
    row(L, "lmpop",     mpop::run,         -4, COUNTED,  &[Write],          Spread::Gather(&mpop::GATHER),  "7.0.0", "O(N+M) where N is the number of provided keys and M is the number of elements returned.", "Returns multiple elements from a list after removing them. Deletes the list if the last element was popped."),
    row(L, "lpop",      pop::lpop,         -2, ONE_KEY,  &[Write, Fast],    Spread::Key,                    "1.0.0", "O(N) where N is the number of elements returned", "Returns the first elements in a list after removing it. Deletes the list if the last element was popped."),
    row(L, "lpos",      lpos::run,         -3, ONE_KEY,  &[ReadOnly],       Spread::Key,                    "6.0.6", "O(N) where N is the number of elements in the list, for the average case. When searching for elements near the head or the tail of the list, or when the MAXLEN option is provided, the command may run in constant time.", "Returns the index of matching elements in a list."),
    row(L, "lpush",     push::lpush,       -3, ONE_KEY,  CREATE_FAST,       Spread::Key,                    "1.0.0", "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments.", "Prepends one or more elements to a list. Creates the key if it doesn't exist."),
    row(L, "lpushx",    push::lpushx,      -3, ONE_KEY,  CREATE_FAST,       Spread::Key,                    "2.2.0", "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments.", "Prepends one or more elements to a list only when the list exists."),
    row(L, "lrange",    lrange::run,       4,  ONE_KEY,  &[ReadOnly],       Spread::Key,                    "1.0.0", "O(S+N) where S is the distance of start offset from HEAD for small lists, from nearest end (HEAD or TAIL) for large lists; and N is the number of elements in the specified range.", "Returns a range of elements from a list."),
    row(L, "lrem",      lrem::run,         4,  ONE_KEY,  &[Write],          Spread::Key,                    "1.0.0", "O(N+M) where N is the length of the list and M is the number of elements removed.", "Removes elements from a list. Deletes the list if the last element was removed."),
    row(L, "lset",      lset::run,         4,  ONE_KEY,  CREATE,            Spread::Key,                    "1.0.0", "O(N) where N is the length of the list. Setting either the first or the last element of the list is O(1).", "Sets the value of an element in a list by its index."),
    row(L, "ltrim",     ltrim::run,        4,  ONE_KEY,  &[Write],          Spread::Key,                    "1.0.0", "O(N) where N is the number of elements to be removed by the operation.", "Removes elements from both ends a list. Deletes the list if all elements were trimmed."),
    row(L, "rpop",      pop::rpop,         -2, ONE_KEY,  &[Write, Fast],    Spread::Key,                    "1.0.0", "O(N) where N is the number of elements returned", "Returns and removes the last elements of a list. Deletes the list if the last element was popped."),
    row(L, "rpoplpush", moving::rpoplpush, 3,  TWO_KEYS, CREATE,            Spread::Gather(&moving::GATHER), "1.2.0", "O(1)", "Returns the last element of a list after removing and pushing it to another list. Deletes the list if the last element was popped."),
    row(L, "rpush",     push::rpush,       -3, ONE_KEY,  CREATE_FAST,       Spread::Key,                    "1.0.0", "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments.", "Appends one or more elements to a list. Creates the key if it doesn't exist."),
    row(L, "rpushx",    push::rpushx,      -3, ONE_KEY,  CREATE_FAST,       Spread::Key,                    "2.2.0", "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments.", "Appends an element to a list only when the list exists."),
];

const COUNTED: Keys = Keys::Counted { count: 1, also: 0 };

/// Word `i` as an end of a list.
pub(in crate::commands) fn end(args: &Args<'_>, i: usize) -> Result<End, CommandError> {
    if args.is(i, "LEFT") {
        Ok(End::Left)
    } else if args.is(i, "RIGHT") {
        Ok(End::Right)
    } else {
        Err(CommandError::Syntax)
    }
}

/// The indices from `start` to `stop`, both of which belong to it and count from the tail if negative, that a list of this length has.
fn range(len: usize, start: i64, stop: i64) -> Range<usize> {
    let len = len as i64;
    let from_head = |index: i64| if index < 0 { len + index } else { index };
    let (start, end) = (from_head(start).max(0), from_head(stop).min(len - 1) + 1);
    if start < end { start as usize..end as usize } else { 0..0 }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, check};

    /// As `check`, and once more with each command on several keys going the way it goes where they have several shards.
    #[track_caller]
    pub fn check_gathered(script: &str, expected: &str) {
        check(script, expected);
        check_gathered_only(script, expected);
    }

    /// As `check`, but each command on several keys goes the way it goes where they have several shards.
    #[track_caller]
    pub fn check_gathered_only(script: &str, expected: &str) {
        let mut bench = Bench::default();
        assert_eq!(bench.run_gathered(script), expected, "\n  script: {script}");
        bench.check_journal();
    }
}
