//! Commands about the server, and their rows.

mod command;
mod config;
mod dbsize;
mod debug;
mod flush;
mod info;
mod lolwut;
mod memory;
mod save;
mod shutdown;
mod swapdb;
mod time;

use crate::commands::table::Flag::{
    Admin, AllowBusy, Dangerous, Fast, Keyspace, Loading, NoAsyncLoading, NoMulti, NoScript, Operator,
    ReadOnly, Stale, Write,
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
const DEBUG: &[Flag] = OPERATE;
const POPULATE: &[Flag] = &[Write, Admin, NoScript, Loading, Stale, Dangerous];
/// The key of `MEMORY USAGE key`.
const KEY_AT_2: Keys = Keys::At { first: 2, last: 2, step: 1 };
/// The keys of `DEBUG DIGEST-VALUE key ...`.
const KEYS_FROM_2: Keys = Keys::At { first: 2, last: -1, step: 1 };
const SAVE: &[Flag] = &[Admin, NoScript, NoAsyncLoading, Dangerous];
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
    // The same in the plural.
    row(S, "commands",                details::all,     -1, NO_KEY, ABOUT,   HOME,     "2.8.13", "O(N) where N is the total number of Redis commands", "Returns detailed information about all commands."),
    row(S, "commands|count",          list::count,      2,  NO_KEY, ABOUT,   HOME,     "2.8.13", "O(1)", "Returns a count of commands."),
    row(S, "commands|docs",           docs::run,        -2, NO_KEY, ABOUT,   HOME,     "7.0.0",  "O(N) where N is the number of commands to look up", "Returns documentary information about one, multiple or all commands."),
    row(S, "commands|getkeys",        keys::names,      -3, NO_KEY, ABOUT,   HOME,     "2.8.13", "O(N) where N is the number of arguments to the command", "Extracts the key names from an arbitrary command."),
    row(S, "commands|getkeysandflags", keys::with_flags, -3, NO_KEY, ABOUT,   HOME,     "7.0.0",  "O(N) where N is the number of arguments to the command", "Extracts the key names and access flags for an arbitrary command."),
    row(S, "commands|help",           command::help,    2,  NO_KEY, ABOUT,   HOME,     "5.0.0",  "O(1)", "Returns helpful text about the different subcommands."),
    row(S, "commands|info",           details::some,    -2, NO_KEY, ABOUT,   HOME,     "2.8.13", "O(N) where N is the number of commands to look up", "Returns information about one, multiple or all commands."),
    row(S, "commands|list",           list::run,        -2, NO_KEY, ABOUT,   HOME,     "7.0.0",  "O(N) where N is the total number of Redis commands", "Returns a list of command names."),
    row(S, "config",                  container::run,   -2, NO_KEY, &[],     HOME,     "2.0.0",  "Depends on subcommand.", "A container for server configuration commands."),
    row(S, "config|get",              config::get,      -3, NO_KEY, OPERATE, HOME,     "2.0.0",  "O(N) when N is the number of configuration parameters provided", "Returns the effective values of configuration parameters."),
    row(S, "config|help",             config::help,     2,  NO_KEY, ABOUT,   HOME,     "5.0.0",  "O(1)", "Returns helpful text about the different subcommands."),
    row(S, "config|resetstat",        config::reset,    2,  NO_KEY, OPERATE, SETTINGS, "2.0.0",  "O(1)", "Resets the server's statistics."),
    row(S, "config|rewrite",          config::rewrite,  2,  NO_KEY, OPERATE, HOME,     "2.8.0",  "O(1)", "Persists the effective configuration to file."),
    row(S, "config|set",              config::set,      -4, NO_KEY, OPERATE, SETTINGS, "2.0.0",  "O(N) when N is the number of configuration parameters provided", "Sets configuration parameters in-flight."),
    row(S, "debug",                   container::run,       -2, NO_KEY, DEBUG, HOME, "1.0.0", "Depends on subcommand.", "A container for debugging commands."),
    row(S, "debug|digest",            debug::digest,        2,  NO_KEY, DEBUG, Spread::Shards(Reach::Keyspace, debug::merge_digests), "1.0.0", "O(N) where N is the number of elements in all keys", "Returns a digest of all keys."),
    row(S, "debug|digest-value",      debug::digest_value,  -3, KEYS_FROM_2, DEBUG, Spread::Keys(merge::by_key), "5.0.0", "O(N) where N is the number of elements of the values", "Returns digests of the values of keys."),
    row(S, "debug|error",             debug::error,         3,  NO_KEY, DEBUG, HOME, "2.6.0", "O(1)", "Returns an error."),
    row(S, "debug|help",              debug::help,          2,  NO_KEY, ABOUT, HOME, "5.0.0", "O(1)", "Returns helpful text about the different subcommands."),
    row(S, "debug|object",            debug::object,        3,  KEY_AT_2, DEBUG, Spread::Key, "1.0.0", "O(N) where N is the number of elements of the value", "Shows how a value is kept."),
    row(S, "debug|populate",          debug::populate,      -3, NO_KEY, POPULATE, ALL_KEYS, "2.6.0", "O(N) where N is the number of keys", "Creates many string keys."),
    row(S, "debug|quicklist-packed-threshold", debug::accepted, 3,  NO_KEY, DEBUG, HOME, "7.0.0", "O(1)", "Accepted without effect."),
    row(S, "debug|set-active-expire", debug::accepted,      3,  NO_KEY, DEBUG, HOME, "2.8.0", "O(1)", "Accepted without effect."),
    row(S, "debug|sleep",             debug::sleep,         3,  NO_KEY, DEBUG, SETTINGS, "2.6.0", "O(1)", "Pauses all clients for a number of seconds."),
    row(S, "debug|stringmatch-len",   debug::string_match,  4,  NO_KEY, DEBUG, HOME, "6.0.0", "O(N) where N is the length of the string", "Tells whether a pattern matches."),
    row(S, "memory",                  container::run,       -2, NO_KEY, &[], HOME, "4.0.0", "Depends on subcommand.", "A container for memory diagnostics commands."),
    row(S, "memory|doctor",           memory::numbers,      2,  NO_KEY, &[], Spread::Shards(Reach::Nothing, memory::merge_report), "4.0.0", "O(1)", "Outputs a memory problems report."),
    row(S, "memory|help",             memory::help,         2,  NO_KEY, ABOUT, HOME, "4.0.0", "O(1)", "Returns helpful text about the different subcommands."),
    row(S, "memory|malloc-stats",     memory::malloc_stats, 2,  NO_KEY, &[], HOME, "4.0.0", "Depends on how much memory is allocated, could be slow", "Returns the allocator statistics."),
    row(S, "memory|purge",            memory::purge,        2,  NO_KEY, &[], HOME, "4.0.0", "Depends on how much memory is allocated, could be slow", "Asks the allocator to release memory."),
    row(S, "memory|stats",            memory::numbers,      2,  NO_KEY, &[], Spread::Shards(Reach::Nothing, memory::merge_stats), "4.0.0", "O(1)", "Returns details about memory usage."),
    row(S, "memory|usage",            memory::usage,        -3, KEY_AT_2, &[ReadOnly], Spread::Key, "4.0.0", "O(N) where N is the number of samples.", "Estimates the memory usage of a key."),
    row(S, "info",                    info::run,        -1, NO_KEY, &[Loading, Stale, Dangerous], Spread::Shards(Reach::Nothing, info::merge_shards), "1.0.0", "O(1)", "Returns information and statistics about the server."),
    row(S, "dbsize",                  dbsize::run,      1,  NO_KEY, &[ReadOnly, Fast, Keyspace], Spread::Shards(Reach::Keyspace, merge::sum), "1.0.0", "O(1)", "Returns the number of keys in the database."),
    row(S, "time",                    time::run,        1,  NO_KEY, &[Loading, Stale, Fast], HOME, "2.6.0", "O(1)", "Returns the server time."),
    row(S, "lolwut",                  lolwut::run,      -1, NO_KEY, &[ReadOnly, Fast], HOME, "5.0.0", "", "Displays computer art and the Redis version."),
    row(S, "flushdb",                 flush::db,        -1, NO_KEY, FLUSH,   ALL_KEYS, "1.0.0",  "O(N) where N is the number of keys in the selected database", "Removes all keys from the current database."),
    row(S, "flushall",                flush::all,       -1, NO_KEY, FLUSH,   ALL_KEYS, "1.0.0",  "O(N) where N is the total number of keys in all databases", "Removes all keys from all databases."),
    row(S, "swapdb",                  swapdb::run,      3,  NO_KEY, &[Write, Fast, Keyspace, Dangerous], ALL_KEYS, "4.0.0", "O(N) where N is the count of clients watching or blocking on keys from both databases.", "Swaps two Redis databases."),
    row(S, "save",                    save::save,       1,  NO_KEY, &[Admin, NoScript, NoAsyncLoading, NoMulti, Dangerous], Spread::Disk, "1.0.0", "O(N) where N is the total number of keys in all databases", "Synchronously saves the database(s) to disk."),
    row(S, "bgsave",                  save::bgsave,     -1, NO_KEY, SAVE,    HOME,     "1.0.0",  "O(1)", "Asynchronously saves the database(s) to disk."),
    row(S, "bgrewriteaof",            save::rewrite_aof, 1, NO_KEY, SAVE,    HOME,     "1.0.0",  "O(1)", "Asynchronously rewrites the append-only file to disk."),
    // The same, shorter.
    row(S, "rewriteaof",              save::rewrite_aof, 1, NO_KEY, SAVE,    HOME,     "1.0.0",  "O(1)", "Asynchronously rewrites the append-only file to disk."),
    row(S, "lastsave",                save::lastsave,   1,  NO_KEY, &[Loading, Stale, Fast, Operator, Dangerous], HOME, "1.0.0", "O(1)", "Returns the Unix timestamp of the last successful save to disk."),
    row(S, "shutdown",                shutdown::run,    -1, NO_KEY, &[Admin, NoScript, Loading, Stale, NoMulti, AllowBusy, Dangerous], Spread::Disk, "1.0.0", "O(N) when saving, where N is the total number of keys in all databases when saving data, otherwise O(1)", "Synchronously saves the database(s) to disk and shuts down the Redis server."),
];
