//! String commands and their rows.

mod append;
mod deadline;
mod get;
mod getdel;
mod getex;
mod getrange;
mod getset;
mod incr;
mod incrbyfloat;
mod lcs;
mod mget;
mod mset;
mod msetnx;
mod set;
mod setex;
mod setnx;
mod setrange;
mod strlen;

use crate::commands::merge;
use crate::commands::table::Flag::{DenyOom, Fast, ReadOnly, Write};
use crate::commands::table::{ALL_KEYS, Command, Flag, Group, KEY_VALUES, ONE_KEY, Spread, TWO_KEYS, row};
use crate::resp::write::Writer;
use crate::store::object::StringRef;

const S: Group = Group::String;
const CREATE: &[Flag] = &[Write, DenyOom];
const CREATE_FAST: &[Flag] = &[Write, DenyOom, Fast];

#[rustfmt::skip]
pub(super) const ROWS: &[Command] = &[
    row(S, "append",      append::run,        3,  ONE_KEY,    CREATE_FAST,       Spread::Key,                    "2.0.0", "O(1). The amortized time complexity is O(1) assuming the appended value is small and the already present value is of any size, since the dynamic string library used by Redis will double the free space available on every reallocation.", "Appends a string to the value of a key. Creates the key if it doesn't exist."),
    row(S, "decr",        incr::decr,         2,  ONE_KEY,    CREATE_FAST,       Spread::Key,                    "1.0.0", "O(1)", "Decrements the integer value of a key by one. Uses 0 as initial value if the key doesn't exist."),
    row(S, "decrby",      incr::decrby,       3,  ONE_KEY,    CREATE_FAST,       Spread::Key,                    "1.0.0", "O(1)", "Decrements a number from the integer value of a key. Uses 0 as initial value if the key doesn't exist."),
    row(S, "get",         get::run,           2,  ONE_KEY,    &[ReadOnly, Fast], Spread::Key,                    "1.0.0", "O(1)", "Returns the string value of a key."),
    row(S, "getdel",      getdel::run,        2,  ONE_KEY,    &[Write, Fast],    Spread::Key,                    "6.2.0", "O(1)", "Returns the string value of a key after deleting the key."),
    row(S, "getex",       getex::run,         -2, ONE_KEY,    &[Write, Fast],    Spread::Key,                    "6.2.0", "O(1)", "Returns the string value of a key after setting its expiration time."),
    row(S, "getrange",    getrange::run,      4,  ONE_KEY,    &[ReadOnly],       Spread::Key,                    "2.4.0", "O(N) where N is the length of the returned string. The complexity is ultimately determined by the returned length, but because creating a substring from an existing string is very cheap, it can be considered O(1) for small strings.", "Returns a substring of the string stored at a key."),
    row(S, "getset",      getset::run,        3,  ONE_KEY,    CREATE_FAST,       Spread::Key,                    "1.0.0", "O(1)", "Returns the previous string value of a key after setting it to a new value."),
    row(S, "incr",        incr::incr,         2,  ONE_KEY,    CREATE_FAST,       Spread::Key,                    "1.0.0", "O(1)", "Increments the integer value of a key by one. Uses 0 as initial value if the key doesn't exist."),
    row(S, "incrby",      incr::incrby,       3,  ONE_KEY,    CREATE_FAST,       Spread::Key,                    "1.0.0", "O(1)", "Increments the integer value of a key by a number. Uses 0 as initial value if the key doesn't exist."),
    row(S, "incrbyfloat", incrbyfloat::run,   3,  ONE_KEY,    CREATE_FAST,       Spread::Key,                    "2.6.0", "O(1)", "Increment the floating point value of a key by a number. Uses 0 as initial value if the key doesn't exist."),
    row(S, "lcs",         lcs::run,           -3, TWO_KEYS,   &[ReadOnly],       Spread::Gather(&lcs::GATHER),   "7.0.0", "O(N*M) where N and M are the lengths of s1 and s2, respectively", "Finds the longest common substring."),
    row(S, "mget",        mget::run,          -2, ALL_KEYS,   &[ReadOnly, Fast], Spread::Keys(merge::by_key),    "1.0.0", "O(N) where N is the number of keys to retrieve.", "Atomically returns the string values of one or more keys."),
    row(S, "mset",        mset::run,          -3, KEY_VALUES, CREATE,            Spread::Keys(merge::same),      "1.0.1", "O(N) where N is the number of keys to set.", "Atomically creates or modifies the string values of one or more keys."),
    row(S, "msetnx",      msetnx::run,        -3, KEY_VALUES, CREATE,            Spread::Gather(&msetnx::GATHER), "1.0.1", "O(N) where N is the number of keys to set.", "Atomically modifies the string values of one or more keys only when all keys don't exist."),
    row(S, "psetex",      setex::psetex,      4,  ONE_KEY,    CREATE,            Spread::Key,                    "2.6.0", "O(1)", "Sets both string value and expiration time in milliseconds of a key. The key is created if it doesn't exist."),
    row(S, "set",         set::run,           -3, ONE_KEY,    CREATE,            Spread::Key,                    "1.0.0", "O(1)", "Sets the string value of a key, ignoring its type. The key is created if it doesn't exist."),
    row(S, "setex",       setex::setex,       4,  ONE_KEY,    CREATE,            Spread::Key,                    "2.0.0", "O(1)", "Sets the string value and expiration time of a key. Creates the key if it doesn't exist."),
    row(S, "setnx",       setnx::run,         3,  ONE_KEY,    CREATE_FAST,       Spread::Key,                    "1.0.0", "O(1)", "Set the string value of a key only when the key doesn't exist."),
    row(S, "setrange",    setrange::run,      4,  ONE_KEY,    CREATE,            Spread::Key,                    "2.2.0", "O(1), not counting the time taken to copy the new string in place. Usually, this string is very small so the amortized complexity is O(1). Otherwise, complexity is O(M) with M being the length of the value argument.", "Overwrites a part of a string value with another by an offset. Creates the key if it doesn't exist."),
    row(S, "strlen",      strlen::run,        2,  ONE_KEY,    &[ReadOnly, Fast], Spread::Key,                    "2.2.0", "O(1)", "Returns the length of a string value."),
    row(S, "substr",      getrange::run,      4,  ONE_KEY,    &[ReadOnly],       Spread::Key,                    "1.0.0", "O(N) where N is the length of the returned string. The complexity is ultimately determined by the returned length, but because creating a substring from an existing string is very cheap, it can be considered O(1) for small strings.", "Returns a substring from a string value."),
];

/// Replies with a string, or nil.
#[inline]
fn reply_string(reply: &mut Writer<'_>, value: Option<StringRef<'_>>) {
    match value {
        Some(StringRef::Bytes(bytes)) => reply.bulk(bytes),
        Some(StringRef::Integer(number)) => reply.bulk_integer(number),
        None => reply.null(),
    }
}
