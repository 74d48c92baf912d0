//! Commands about the server, and their rows.

mod command;
mod config;
mod dbsize;
mod flush;
mod info;
mod lolwut;
mod shutdown;
mod swapdb;
mod time;

use crate::commands::table::Flag::{
    Admin, AllowBusy, Dangerous, Fast, Keyspace, Loading, NoMulti, NoScript, ReadOnly, Stale, Write,
};
use crate::commands::table::{Command, Flag, Group, Keys, Reach, Spread, row};
use crate::commands::{container, merge};

use command::{details, docs, keys, list};

const S: Group = Group::Server;
const NO_KEY: Keys = Keys::None;
const HOME: Spread = Spread::Home;
/// Changes what all shards have a copy of.
const SETTINGS: Spread = Spread::Shards(Reach::Settings, merge::same);
/// Changes keys of all shards.
const ALL_KEYS: Spread = Spread::Shards(Reach::Keyspace, merge::same);

const ABOUT: &[Flag] = &[Loading, Stale];
const OPERATE: &[Flag] = &[Admin, NoScript, Loading, Stale, Dangerous];
const FLUSH: &[Flag] = &[Write, Keyspace, Dangerous];

#[rustfmt::skip]
pub(super) const ROWS: &[Command] = &[
    row(S, "command",                 details::all,     -1, NO_KEY, ABOUT,   HOME,     "2.8.13", "O(N) where N is the total number of Redis commands", "Returns detailed information about all commands."),
    row(S, "command|count",           list::count,      2,  NO_KEY, ABOUT,   HOME,     "2.8.13", "O(1)", "Returns a count of commands."),
    row(S, "command|docs",            docs::run,        -2, NO_KEY, ABOUT,   HOME,     "7.0.0",  "O(N) where N is the number of commands to look up", "Returns documentary information about one, multiple or all commands."),
    row(S, "command|getkeys",         keys::names,      -3, NO_KEY, ABOUT,   HOME,     "2.8.13", "O(N) where N is the number of arguments to the command", "Extracts the key names from an arbitrary command."),
    row(S, "command|getkeysandflags", keys::with_flags, -3, NO_KEY, ABOUT,   HOME,     "7.0.0",  "O(N) where N is the number of arguments to the command", "Extracts the key names and access flags for an arbitrary command."),
    row(S, "command|help",            command::help,    2,  NO_KEY, ABOUT,   HOME,     "5.0.0",  "O(1)", "Returns helpful text about the different subcommands."),
    row(S, "command|info",            details::some,    -2, NO_KEY, ABOUT,   HOME,     "2.8.13", "O(N) where N is the number of commands to look up", "Returns information about one, multiple or all commands."),
    row(S, "command|list",            list::run,        -2, NO_KEY, ABOUT,   HOME,     "7.0.0",  "O(N) where N is the total number of Redis commands", "Returns a list of command names."),
    row(S, "config",                  container::run,   -2, NO_KEY, &[],     HOME,     "2.0.0",  "Depends on subcommand.", "A container for server configuration commands."),
    row(S, "config|get",              config::get,      -3, NO_KEY, OPERATE, HOME,     "2.0.0",  "O(N) when N is the number of configuration parameters provided", "Returns the effective values of configuration parameters."),
    row(S, "config|help",             config::help,     2,  NO_KEY, ABOUT,   HOME,     "5.0.0",  "O(1)", "Returns helpful text about the different subcommands."),
    row(S, "config|resetstat",        config::reset,    2,  NO_KEY, OPERATE, SETTINGS, "2.0.0",  "O(1)", "Resets the server's statistics."),
    row(S, "config|rewrite",          config::rewrite,  2,  NO_KEY, OPERATE, HOME,     "2.8.0",  "O(1)", "Persists the effective configuration to file."),
    row(S, "config|set",              config::set,      -4, NO_KEY, OPERATE, SETTINGS, "2.0.0",  "O(N) when N is the number of configuration parameters provided", "Sets configuration parameters in-flight."),
    row(S, "info",                    info::run,        -1, NO_KEY, &[Loading, Stale, Dangerous], Spread::Shards(Reach::Nothing, info::merge_shards), "1.0.0", "O(1)", "Returns information and statistics about the server."),
    row(S, "dbsize",                  dbsize::run,      1,  NO_KEY, &[ReadOnly, Fast, Keyspace], Spread::Shards(Reach::Keyspace, merge::sum), "1.0.0", "O(1)", "Returns the number of keys in the database."),
    row(S, "time",                    time::run,        1,  NO_KEY, &[Loading, Stale, Fast], HOME, "2.6.0", "O(1)", "Returns the server time."),
    row(S, "lolwut",                  lolwut::run,      -1, NO_KEY, &[ReadOnly, Fast], HOME, "5.0.0", "", "Displays computer art and the Redis version."),
    row(S, "flushdb",                 flush::db,        -1, NO_KEY, FLUSH,   ALL_KEYS, "1.0.0",  "O(N) where N is the number of keys in the selected database", "Removes all keys from the current database."),
    row(S, "flushall",                flush::all,       -1, NO_KEY, FLUSH,   ALL_KEYS, "1.0.0",  "O(N) where N is the total number of keys in all databases", "Removes all keys from all databases."),
    row(S, "swapdb",                  swapdb::run,      3,  NO_KEY, &[Write, Fast, Keyspace, Dangerous], ALL_KEYS, "4.0.0", "O(N) where N is the count of clients watching or blocking on keys from both databases.", "Swaps two Redis databases."),
    row(S, "shutdown",                shutdown::run,    -1, NO_KEY, &[Admin, NoScript, Loading, Stale, NoMulti, AllowBusy, Dangerous], HOME, "1.0.0", "O(N) when saving, where N is the total number of keys in all databases when saving data, otherwise O(1)", "Synchronously saves the database(s) to disk and shuts down the Redis server."),
];
