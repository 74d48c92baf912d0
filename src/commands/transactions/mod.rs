//! Several commands as one: their rows, and what each of these commands does by itself. Queueing, and running what was queued, is
//! the work of `shard/multi`, since it takes all the shards.

mod multi;
mod watch;

use crate::commands::table::Flag::{AllowBusy, Fast, Loading, NoScript, SkipSlowlog, Stale};
use crate::commands::table::{ALL_KEYS, Command, Flag, Group, Keys, Spread, Verb, row};

pub use crate::commands::transactions::multi::{ABORTED, ABORTED_BECAUSE};
pub use crate::commands::transactions::watch::INSIDE_MULTI;

const T: Group = Group::Transactions;
const PLAIN: &[Flag] = &[NoScript, Loading, Stale, Fast, AllowBusy];
const NO_KEY: Keys = Keys::None;

#[rustfmt::skip]
pub(super) const ROWS: &[Command] = &[
    row(T, "discard", multi::discard, 1,  NO_KEY,   PLAIN, Spread::Connection(Verb::Discard), "2.0.0", "O(N), when N is the number of queued commands", "Discards a transaction."),
    row(T, "exec",    multi::exec,    1,  NO_KEY,   &[NoScript, Loading, Stale, SkipSlowlog], Spread::Connection(Verb::Exec), "1.2.0", "Depends on commands in the transaction", "Executes all commands in a transaction."),
    row(T, "multi",   multi::multi,   1,  NO_KEY,   PLAIN, Spread::Connection(Verb::Multi),   "1.2.0", "O(1)", "Starts a transaction."),
    row(T, "unwatch", watch::unwatch, 1,  NO_KEY,   PLAIN, Spread::Connection(Verb::Unwatch), "2.2.0", "O(1)", "Forgets about watched keys of a transaction."),
    row(T, "watch",   watch::watch,   -2, ALL_KEYS, PLAIN, Spread::Connection(Verb::Watch),   "2.2.0", "O(1) for every key.", "Monitors changes to keys to determine the execution of a transaction."),
];
