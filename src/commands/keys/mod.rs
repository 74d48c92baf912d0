//! Commands on keys of any type, and their rows.

mod copy;
mod del;
mod dump;
mod exists;
mod expire;
mod keys_matching;
mod kind;
mod move_key;
mod object;
mod persist;
mod randomkey;
mod rename;
mod restore;
mod scan;
mod sort;
mod ttl;

use crate::commands::table::Flag::{Dangerous, DenyOom, Fast, Loading, ReadOnly, Stale, Write};
use crate::commands::table::{ALL_KEYS, Command, Flag, Group, Keys, ONE_KEY, Reach, Spread, TWO_KEYS, row};
use crate::commands::{container, merge};

const G: Group = Group::Generic;
const READ_FAST: &[Flag] = &[ReadOnly, Fast];
const WRITE_FAST: &[Flag] = &[Write, Fast];
/// The key of `OBJECT ENCODING key`.
const KEY_AT_2: Keys = Keys::At { first: 2, last: 2, step: 1 };
const SORT_KEYS: Keys = Keys::Found { first: 1, find: sort::keys };
const SORT_RO_KEYS: Keys = Keys::Found { first: 1, find: |_| vec![1] };

#[rustfmt::skip]
pub(super) const ROWS: &[Command] = &[
    row(G, "copy",            copy::run,          -3, TWO_KEYS,   &[Write, DenyOom],       Spread::Gather(&copy::GATHER),     "6.2.0", "O(N) worst case for collections, where N is the number of nested items. O(1) for string values.", "Copies the value of a key to a new key."),
    row(G, "del",             del::run,           -2, ALL_KEYS,   &[Write],                Spread::Keys(merge::sum),          "1.0.0", "O(N) where N is the number of keys that will be removed. When a key to remove holds a value other than a string, the individual complexity for this key is O(M) where M is the number of elements in the list, set, sorted set or hash. Removing a single key that holds a string value is O(1).", "Deletes one or more keys."),
    row(G, "dump",           dump::run,         2,  ONE_KEY,    &[ReadOnly],             Spread::Key,                       "2.6.0", "O(1) to access the key and additional O(N*M) to serialize it, where N is the number of Redis objects composing the value and M their average size. For small string values the time complexity is thus O(1)+O(1*M) where M is small, so simply O(1).", "Returns a serialized representation of the value stored at a key."),
    row(G, "exists",          exists::exists,     -2, ALL_KEYS,   READ_FAST,               Spread::Keys(merge::sum),          "1.0.0", "O(N) where N is the number of keys to check.", "Determines whether one or more keys exist."),
    row(G, "expire",          expire::expire,     -3, ONE_KEY,    WRITE_FAST,              Spread::Key,                       "1.0.0", "O(1)", "Sets the expiration time of a key in seconds."),
    row(G, "expireat",        expire::expireat,   -3, ONE_KEY,    WRITE_FAST,              Spread::Key,                       "1.2.0", "O(1)", "Sets the expiration time of a key to a Unix timestamp."),
    row(G, "expiretime",      ttl::expiretime,    2,  ONE_KEY,    READ_FAST,               Spread::Key,                       "7.0.0", "O(1)", "Returns the expiration time of a key as a Unix timestamp."),
    row(G, "keys",            keys_matching::run, 2,  Keys::None, &[ReadOnly, Dangerous],  Spread::Shards(Reach::Keyspace, merge::concatenate), "1.0.0", "O(N) with N being the number of keys in the database, under the assumption that the key names in the database and the given pattern have limited length.", "Returns all key names that match a pattern."),
    row(G, "move",            move_key::run,      3,  ONE_KEY,    WRITE_FAST,              Spread::Key,                       "1.0.0", "O(1)", "Moves a key to another database."),
    row(G, "object",          container::run,     -2, Keys::None, &[],                     Spread::Home,                      "2.2.3", "Depends on subcommand.", "A container for object introspection commands."),
    row(G, "object|encoding", object::encoding,   3,  KEY_AT_2,   &[ReadOnly],             Spread::Key,                       "2.2.3", "O(1)", "Returns the internal encoding of a Redis object."),
    row(G, "object|freq",     object::freq,       3,  KEY_AT_2,   &[ReadOnly],             Spread::Key,                       "4.0.0", "O(1)", "Returns the logarithmic access frequency counter of a Redis object."),
    row(G, "object|help",     object::help,       2,  Keys::None, &[Loading, Stale],       Spread::Home,                      "6.2.0", "O(1)", "Returns helpful text about the different subcommands."),
    row(G, "object|idletime", object::idletime,   3,  KEY_AT_2,   &[ReadOnly],             Spread::Key,                       "2.2.3", "O(1)", "Returns the time since the last access to a Redis object."),
    row(G, "object|refcount", object::refcount,   3,  KEY_AT_2,   &[ReadOnly],             Spread::Key,                       "2.2.3", "O(1)", "Returns the reference count of a value of a key."),
    row(G, "objectfreq",     object::freq_of_key,2,  ONE_KEY,    &[ReadOnly],             Spread::Key,                       "4.0.0", "O(1)", "Returns the logarithmic access frequency counter of a Redis object, as OBJECT FREQ."),
    row(G, "objectidletime", object::idletime_of_key,2,  ONE_KEY,    &[ReadOnly],             Spread::Key,                       "2.2.3", "O(1)", "Returns the time since the last access to a Redis object, as OBJECT IDLETIME."),
    row(G, "persist",         persist::run,       2,  ONE_KEY,    WRITE_FAST,              Spread::Key,                       "2.2.0", "O(1)", "Removes the expiration time of a key."),
    row(G, "pexpire",         expire::pexpire,    -3, ONE_KEY,    WRITE_FAST,              Spread::Key,                       "2.6.0", "O(1)", "Sets the expiration time of a key in milliseconds."),
    row(G, "pexpireat",       expire::pexpireat,  -3, ONE_KEY,    WRITE_FAST,              Spread::Key,                       "2.6.0", "O(1)", "Sets the expiration time of a key to a Unix milliseconds timestamp."),
    row(G, "pexpiretime",     ttl::pexpiretime,   2,  ONE_KEY,    READ_FAST,               Spread::Key,                       "7.0.0", "O(1)", "Returns the expiration time of a key as a Unix milliseconds timestamp."),
    row(G, "pttl",            ttl::pttl,          2,  ONE_KEY,    READ_FAST,               Spread::Key,                       "2.6.0", "O(1)", "Returns the expiration time in milliseconds of a key."),
    row(G, "randomkey",       randomkey::run,     1,  Keys::None, &[ReadOnly],             Spread::Shards(Reach::Keyspace, randomkey::pick),   "1.0.0", "O(1)", "Returns a random key name from the database."),
    row(G, "rename",          rename::rename,     3,  TWO_KEYS,   &[Write],                Spread::Gather(&rename::RENAME),   "1.0.0", "O(1)", "Renames a key and overwrites the destination."),
    row(G, "renamenx",        rename::renamenx,   3,  TWO_KEYS,   WRITE_FAST,              Spread::Gather(&rename::RENAMENX), "1.0.0", "O(1)", "Renames a key only when the target key name doesn't exist."),
    row(G, "restore",        restore::run,      -4, ONE_KEY,    &[Write, DenyOom, Dangerous],Spread::Key,                       "2.6.0", "O(1) to create the new key and additional O(N*M) to reconstruct the serialized value, where N is the number of Redis objects composing the value and M their average size. For small string values the time complexity is thus O(1)+O(1*M) where M is small, so simply O(1). However for sorted set values the complexity is O(N*M*log(N)) because inserting values into sorted sets is O(log(N)).", "Creates a key from the serialized representation of a value."),
    row(G, "scan",            scan::run,          -2, Keys::None, &[ReadOnly],             Spread::Cursor,                    "2.8.0", "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection.", "Iterates over the key names in the database."),
    row(G, "sort",           sort::sort,        -2, SORT_KEYS,  &[Write, DenyOom, Dangerous],Spread::Gather(&sort::SORT),       "1.0.0", "O(N+M*log(M)) where N is the number of elements in the list or set to sort, and M the number of returned elements. When the elements are not sorted, complexity is O(N).", "Sorts the elements in a list, a set, or a sorted set, optionally storing the result."),
    row(G, "sort_ro",        sort::sort_ro,     -2, SORT_RO_KEYS,&[ReadOnly, Dangerous],  Spread::Gather(&sort::SORT_RO),    "7.0.0", "O(N+M*log(M)) where N is the number of elements in the list or set to sort, and M the number of returned elements. When the elements are not sorted, complexity is O(N).", "Returns the sorted elements of a list, a set, or a sorted set."),
    row(G, "touch",           exists::touch,      -2, ALL_KEYS,   READ_FAST,               Spread::Keys(merge::sum),          "3.2.1", "O(N) where N is the number of keys that will be touched.", "Returns the number of existing keys out of those specified after updating the time they were last accessed."),
    row(G, "ttl",             ttl::ttl,           2,  ONE_KEY,    READ_FAST,               Spread::Key,                       "1.0.0", "O(1)", "Returns the expiration time in seconds of a key."),
    row(G, "type",            kind::run,          2,  ONE_KEY,    READ_FAST,               Spread::Key,                       "1.0.0", "O(1)", "Determines the type of value stored at a key."),
    row(G, "unlink",          del::run,           -2, ALL_KEYS,   WRITE_FAST,              Spread::Keys(merge::sum),          "4.0.0", "O(1) for each key removed regardless of its size. Then the command does O(N) work in a different thread in order to reclaim memory, where N is the number of allocations the deleted objects where composed of.", "Asynchronously deletes one or more keys."),
];
