//! Set commands and their rows.

mod combine;
mod sadd;
mod scard;
mod sintercard;
mod sismember;
mod smembers;
mod smove;
mod spop;
mod srandmember;
mod srem;
mod sscan;

use crate::commands::table::Flag::{DenyOom, Fast, ReadOnly, Write};
use crate::commands::table::{ALL_KEYS, Command, Group, Keys, ONE_KEY, Spread, TWO_KEYS, row};
use crate::resp::write::Writer;
use crate::store::set::Member;

const S: Group = Group::Set;
const COUNTED: Keys = Keys::Counted { count: 1, also: 0 };

#[rustfmt::skip]
pub(super) const ROWS: &[Command] = &[
    row(S, "sadd",        sadd::run,                   -3, ONE_KEY,  &[Write, DenyOom, Fast], Spread::Key,                                  "1.0.0", "O(1) for each element added, so O(N) to add N elements when the command is called with multiple arguments.", "Adds one or more members to a set. Creates the key if it doesn't exist."),
    row(S, "scard",       scard::run,                  2,  ONE_KEY,  &[ReadOnly, Fast],       Spread::Key,                                  "1.0.0", "O(1)", "Returns the number of members in a set."),
    row(S, "sdiff",       combine::sdiff,              -2, ALL_KEYS, &[ReadOnly],             Spread::Gather(&combine::SDIFF),              "1.0.0", "O(N) where N is the total number of elements in all given sets.", "Returns the difference of multiple sets."),
    row(S, "sdiffstore",  combine::sdiffstore,         -3, ALL_KEYS, &[Write, DenyOom],       Spread::Gather(&combine::SDIFFSTORE),         "1.0.0", "O(N) where N is the total number of elements in all given sets.", "Stores the difference of multiple sets in a key."),
    row(S, "sinter",      combine::sinter,             -2, ALL_KEYS, &[ReadOnly],             Spread::Gather(&combine::SINTER),             "1.0.0", "O(N*M) worst case where N is the cardinality of the smallest set and M is the number of sets.", "Returns the intersect of multiple sets."),
    row(S, "sintercard",  sintercard::run,             -3, COUNTED,  &[ReadOnly],             Spread::Gather(&sintercard::GATHER),          "7.0.0", "O(N*M) worst case where N is the cardinality of the smallest set and M is the number of sets.", "Returns the number of members of the intersect of multiple sets."),
    row(S, "sinterstore", combine::sinterstore,        -3, ALL_KEYS, &[Write, DenyOom],       Spread::Gather(&combine::SINTERSTORE),        "1.0.0", "O(N*M) worst case where N is the cardinality of the smallest set and M is the number of sets.", "Stores the intersect of multiple sets in a key."),
    row(S, "sismember",   sismember::sismember,        3,  ONE_KEY,  &[ReadOnly, Fast],       Spread::Key,                                  "1.0.0", "O(1)", "Determines whether a member belongs to a set."),
    row(S, "smembers",    smembers::run,               2,  ONE_KEY,  &[ReadOnly],             Spread::Key,                                  "1.0.0", "O(N) where N is the set cardinality.", "Returns all members of a set."),
    row(S, "smismember",  sismember::smismember,       -3, ONE_KEY,  &[ReadOnly, Fast],       Spread::Key,                                  "6.2.0", "O(N) where N is the number of elements being checked for membership", "Determines whether multiple members belong to a set."),
    row(S, "smove",       smove::run,                  4,  TWO_KEYS, &[Write, Fast],          Spread::Gather(&smove::GATHER),               "1.0.0", "O(1)", "Moves a member from one set to another."),
    row(S, "spop",        spop::run,                   -2, ONE_KEY,  &[Write, Fast],          Spread::Key,                                  "1.0.0", "Without the count argument O(1), otherwise O(N) where N is the value of the passed count.", "Returns one or more random members from a set after removing them. Deletes the set if the last member was popped."),
    row(S, "srandmember", srandmember::run,            -2, ONE_KEY,  &[ReadOnly],             Spread::Key,                                  "1.0.0", "Without the count argument O(1), otherwise O(N) where N is the absolute value of the passed count.", "Get one or multiple random members from a set."),
    row(S, "srem",        srem::run,                   -3, ONE_KEY,  &[Write, Fast],          Spread::Key,                                  "1.0.0", "O(N) where N is the number of members to be removed.", "Removes one or more members from a set. Deletes the set if the last member was removed."),
    row(S, "sscan",       sscan::run,                  -3, ONE_KEY,  &[ReadOnly],             Spread::Key,                                  "2.8.0", "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection.", "Iterates over members of a set."),
    row(S, "sunion",      combine::sunion,             -2, ALL_KEYS, &[ReadOnly],             Spread::Gather(&combine::SUNION),             "1.0.0", "O(N) where N is the total number of elements in all given sets.", "Returns the union of multiple sets."),
    row(S, "sunionstore", combine::sunionstore,        -3, ALL_KEYS, &[Write, DenyOom],       Spread::Gather(&combine::SUNIONSTORE),        "1.0.0", "O(N) where N is the total number of elements in all given sets.", "Stores the union of multiple sets in a key."),
];

/// Replies with one member.
#[inline]
fn reply_member(reply: &mut Writer<'_>, member: Member<'_>) {
    match member {
        Member::Bytes(bytes) => reply.bulk(bytes),
        Member::Integer(integer) => reply.bulk_integer(integer),
    }
}
