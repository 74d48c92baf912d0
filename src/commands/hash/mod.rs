//! Hash commands and their rows, those of Redis 7.4 for fields that expire among them.

mod fields;
mod hdel;
mod hexists;
mod hexpire;
mod hget;
mod hgetall;
mod hincrby;
mod hincrbyfloat;
mod hlen;
mod hmget;
mod hpersist;
mod hrandfield;
mod hscan;
mod hset;
mod hsetnx;
mod hstrlen;
mod httl;

use crate::commands::item::reply_item;
use crate::commands::table::Flag::{DenyOom, Fast, ReadOnly, Write};
use crate::commands::table::{Command, Flag, Group, ONE_KEY, Spread, row};
use crate::resp::write::Writer;
use crate::store::listpack::Item;

const H: Group = Group::Hash;
const K: Spread = Spread::Key;
const READ: &[Flag] = &[ReadOnly];
const READ_FAST: &[Flag] = &[ReadOnly, Fast];
const WRITE_FAST: &[Flag] = &[Write, Fast];
const CREATE_FAST: &[Flag] = &[Write, DenyOom, Fast];

#[rustfmt::skip]
pub(super) const ROWS: &[Command] = &[
    row(H, "hdel",         hdel::run,           -3, ONE_KEY, WRITE_FAST,  K, "2.0.0", "O(N) where N is the number of fields to be removed.", "Deletes one or more fields and their values from a hash. Deletes the hash if no fields remain."),
    row(H, "hexists",      hexists::run,        3,  ONE_KEY, READ_FAST,   K, "2.0.0", "O(1)", "Determines whether a field exists in a hash."),
    row(H, "hexpire",      hexpire::hexpire,    -6, ONE_KEY, CREATE_FAST, K, "7.4.0", "O(N) where N is the number of specified fields", "Set expiry for hash field using relative time to expire (seconds)."),
    row(H, "hexpireat",    hexpire::hexpireat,  -6, ONE_KEY, CREATE_FAST, K, "7.4.0", "O(N) where N is the number of specified fields", "Set expiry for hash field using an absolute Unix timestamp (seconds)."),
    row(H, "hexpiretime",  httl::hexpiretime,   -5, ONE_KEY, READ_FAST,   K, "7.4.0", "O(N) where N is the number of specified fields", "Returns the expiration time of a hash field as a Unix timestamp, in seconds."),
    row(H, "hget",         hget::run,           3,  ONE_KEY, READ_FAST,   K, "2.0.0", "O(1)", "Returns the value of a field in a hash."),
    row(H, "hgetall",      hgetall::hgetall,    2,  ONE_KEY, READ,        K, "2.0.0", "O(N) where N is the size of the hash.", "Returns all fields and values in a hash."),
    row(H, "hincrby",      hincrby::run,        4,  ONE_KEY, CREATE_FAST, K, "2.0.0", "O(1)", "Increments the integer value of a field in a hash by a number. Uses 0 as initial value if the field doesn't exist."),
    row(H, "hincrbyfloat", hincrbyfloat::run,   4,  ONE_KEY, CREATE_FAST, K, "2.6.0", "O(1)", "Increments the floating point value of a field by a number. Uses 0 as initial value if the field doesn't exist."),
    row(H, "hkeys",        hgetall::hkeys,      2,  ONE_KEY, READ,        K, "2.0.0", "O(N) where N is the size of the hash.", "Returns all fields in a hash."),
    row(H, "hlen",         hlen::run,           2,  ONE_KEY, READ_FAST,   K, "2.0.0", "O(1)", "Returns the number of fields in a hash."),
    row(H, "hmget",        hmget::run,          -3, ONE_KEY, READ_FAST,   K, "2.0.0", "O(N) where N is the number of fields being requested.", "Returns the values of all fields in a hash."),
    row(H, "hmset",        hset::hmset,         -4, ONE_KEY, CREATE_FAST, K, "2.0.0", "O(N) where N is the number of fields being set.", "Sets the values of multiple fields."),
    row(H, "hpersist",     hpersist::run,       -5, ONE_KEY, WRITE_FAST,  K, "7.4.0", "O(N) where N is the number of specified fields", "Removes the expiration time for each specified field."),
    row(H, "hpexpire",     hexpire::hpexpire,   -6, ONE_KEY, CREATE_FAST, K, "7.4.0", "O(N) where N is the number of specified fields", "Set expiry for hash field using relative time to expire (milliseconds)."),
    row(H, "hpexpireat",   hexpire::hpexpireat, -6, ONE_KEY, CREATE_FAST, K, "7.4.0", "O(N) where N is the number of specified fields", "Set expiry for hash field using an absolute Unix timestamp (milliseconds)."),
    row(H, "hpexpiretime", httl::hpexpiretime,  -5, ONE_KEY, READ_FAST,   K, "7.4.0", "O(N) where N is the number of specified fields", "Returns the expiration time of a hash field as a Unix timestamp, in msec."),
    row(H, "hpttl",        httl::hpttl,         -5, ONE_KEY, READ_FAST,   K, "7.4.0", "O(N) where N is the number of specified fields", "Returns the TTL in milliseconds of a hash field."),
    row(H, "hrandfield",   hrandfield::run,     -2, ONE_KEY, READ,        K, "6.2.0", "O(N) where N is the number of fields returned", "Returns one or more random fields from a hash."),
    row(H, "hscan",        hscan::run,          -3, ONE_KEY, READ,        K, "2.8.0", "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection.", "Iterates over fields and values of a hash."),
    row(H, "hset",         hset::hset,          -4, ONE_KEY, CREATE_FAST, K, "2.0.0", "O(1) for each field/value pair added, so O(N) to add N field/value pairs when the command is called with multiple field/value pairs.", "Creates or modifies the value of a field in a hash."),
    row(H, "hsetnx",       hsetnx::run,         4,  ONE_KEY, CREATE_FAST, K, "2.0.0", "O(1)", "Sets the value of a field in a hash only when the field doesn't exist."),
    row(H, "hstrlen",      hstrlen::run,        3,  ONE_KEY, READ_FAST,   K, "3.2.0", "O(1)", "Returns the length of the value of a field."),
    row(H, "httl",         httl::httl,          -5, ONE_KEY, READ_FAST,   K, "7.4.0", "O(N) where N is the number of specified fields", "Returns the TTL in seconds of a hash field."),
    row(H, "hvals",        hgetall::hvals,      2,  ONE_KEY, READ,        K, "2.0.0", "O(N) where N is the size of the hash.", "Returns all values in a hash."),
];

/// The same, or nil.
#[inline]
fn reply_value(reply: &mut Writer<'_>, value: Option<Item<'_>>) {
    match value {
        Some(item) => reply_item(reply, item),
        None => reply.null(),
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::Bench;
    use crate::resp::write::Protocol;

    pub const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";

    /// As `check`, for a client that speaks RESP3.
    #[track_caller]
    pub fn check3(script: &str, expected: &str) {
        let mut bench = Bench::default();
        bench.server.sessions.get_mut(0).expect("the client is there").protocol = Protocol::Resp3;
        assert_eq!(bench.run(script), expected, "\n  script: {script}");
        bench.check_journal();
    }
}
