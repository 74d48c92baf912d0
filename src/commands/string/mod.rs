//! String commands and their rows.

mod get;
mod mget;
mod mset;
mod set;

use crate::commands::merge;
use crate::commands::table::Flag::{DenyOom, Fast, ReadOnly, Write};
use crate::commands::table::{ALL_KEYS, Command, Group, KEY_VALUES, ONE_KEY, Spread, row};

const S: Group = Group::String;

#[rustfmt::skip]
pub(super) const ROWS: &[Command] = &[
    row(S, "get",  get::run,  2,  ONE_KEY,    &[ReadOnly, Fast],  Spread::Key,                 "1.0.0", "O(1)", "Returns the string value of a key."),
    row(S, "set",  set::run,  -3, ONE_KEY,    &[Write, DenyOom],  Spread::Key,                 "1.0.0", "O(1)", "Sets the string value of a key, ignoring its type. The key is created if it doesn't exist."),
    row(S, "mget", mget::run, -2, ALL_KEYS,   &[ReadOnly, Fast],  Spread::Keys(merge::by_key), "1.0.0", "O(N) where N is the number of keys to retrieve.", "Atomically returns the string values of one or more keys."),
    row(S, "mset", mset::run, -3, KEY_VALUES, &[Write, DenyOom],  Spread::Keys(merge::same),   "1.0.1", "O(N) where N is the number of keys to set.", "Atomically creates or modifies the string values of one or more keys."),
];
