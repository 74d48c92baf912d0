//! Sorted-set commands and their rows, and how members with scores look in a reply.

mod add;
mod bounds;
mod combine;
mod count;
#[cfg(test)]
mod gathered;
mod pop;
mod randmember;
mod range;
mod rangestore;
mod rank;
mod remove;
mod scan;
mod score;

use crate::commands::item::reply_item;
use crate::commands::table::Flag::{DenyOom, Fast, ReadOnly, Write};
use crate::commands::table::{Command, Flag, Group, Keys, ONE_KEY, Spread, TWO_KEYS, row};
use crate::resp::write::{Protocol, Writer};
use crate::store::listpack::Item;

use pop::ZMPOP;
pub(in crate::commands) use pop::{Query as PopQuery, Which, decide_popped, pop_many, pop_one, read_popped};

const Z: Group = Group::SortedSet;
const READ: &[Flag] = &[ReadOnly];
const READ_FAST: &[Flag] = &[ReadOnly, Fast];
const CHANGE: &[Flag] = &[Write];
const CHANGE_FAST: &[Flag] = &[Write, Fast];
const CREATE: &[Flag] = &[Write, DenyOom];
const CREATE_FAST: &[Flag] = &[Write, DenyOom, Fast];
/// `numkeys key [key ...]` behind the name.
const COUNTED: Keys = Keys::Counted { count: 1, also: 0 };
/// `destination numkeys key [key ...]` behind the name.
const COUNTED_STORE: Keys = Keys::Counted { count: 2, also: 1 };

#[rustfmt::skip]
pub(super) const ROWS: &[Command] = &[
    row(Z, "zadd",             add::zadd,                -4, ONE_KEY,       CREATE_FAST, Spread::Key,                               "1.2.0", "O(log(N)) for each item added, where N is the number of elements in the sorted set.", "Adds one or more members to a sorted set, or updates their scores. Creates the key if it doesn't exist."),
    row(Z, "zcard",            count::zcard,             2,  ONE_KEY,       READ_FAST,   Spread::Key,                               "1.2.0", "O(1)", "Returns the number of members in a sorted set."),
    row(Z, "zcount",           count::zcount,            4,  ONE_KEY,       READ_FAST,   Spread::Key,                               "2.0.0", "O(log(N)) with N being the number of elements in the sorted set.", "Returns the count of members in a sorted set that have scores within a range."),
    row(Z, "zdiff",            combine::zdiff,           -3, COUNTED,       READ,        Spread::Gather(&combine::ZDIFF),           "6.2.0", "O(L + (N-K)log(N)) worst case where L is the total number of elements in all the sets, N is the size of the first set, and K is the size of the result set.", "Returns the difference between multiple sorted sets."),
    row(Z, "zdiffstore",       combine::zdiffstore,      -4, COUNTED_STORE, CREATE,      Spread::Gather(&combine::ZDIFFSTORE),      "6.2.0", "O(L + (N-K)log(N)) worst case where L is the total number of elements in all the sets, N is the size of the first set, and K is the size of the result set.", "Stores the difference of multiple sorted sets in a key."),
    row(Z, "zincrby",          add::zincrby,             4,  ONE_KEY,       CREATE_FAST, Spread::Key,                               "1.2.0", "O(log(N)) where N is the number of elements in the sorted set.", "Increments the score of a member in a sorted set."),
    row(Z, "zinter",           combine::zinter,          -3, COUNTED,       READ,        Spread::Gather(&combine::ZINTER),          "6.2.0", "O(N*K)+O(M*log(M)) worst case with N being the smallest input sorted set, K being the number of input sorted sets and M being the number of elements in the resulting sorted set.", "Returns the intersect of multiple sorted sets."),
    row(Z, "zintercard",       combine::zintercard,      -3, COUNTED,       READ,        Spread::Gather(&combine::ZINTERCARD),      "7.0.0", "O(N*K) worst case with N being the smallest input sorted set, K being the number of input sorted sets.", "Returns the number of members of the intersect of multiple sorted sets."),
    row(Z, "zinterstore",      combine::zinterstore,     -4, COUNTED_STORE, CREATE,      Spread::Gather(&combine::ZINTERSTORE),     "2.0.0", "O(N*K)+O(M*log(M)) worst case with N being the smallest input sorted set, K being the number of input sorted sets and M being the number of elements in the resulting sorted set.", "Stores the intersect of multiple sorted sets in a key."),
    row(Z, "zlexcount",        count::zlexcount,         4,  ONE_KEY,       READ_FAST,   Spread::Key,                               "2.8.9", "O(log(N)) with N being the number of elements in the sorted set.", "Returns the number of members in a sorted set within a lexicographical range."),
    row(Z, "zmpop",            pop::zmpop,               -4, COUNTED,       CHANGE,      Spread::Gather(&ZMPOP),               "7.0.0", "O(K) + O(M*log(N)) where K is the number of provided keys, N being the number of elements in the sorted set, and M being the number of elements popped.", "Returns the highest- or lowest-scoring members from one or more sorted sets after removing them. Deletes the sorted set if the last member was popped."),
    row(Z, "zmscore",          score::zmscore,           -3, ONE_KEY,       READ_FAST,   Spread::Key,                               "6.2.0", "O(N) where N is the number of members being requested.", "Returns the score of one or more members in a sorted set."),
    row(Z, "zpopmax",          pop::zpopmax,             -2, ONE_KEY,       CHANGE_FAST, Spread::Key,                               "5.0.0", "O(log(N)*M) with N being the number of elements in the sorted set, and M being the number of elements popped.", "Returns the highest-scoring members from a sorted set after removing them. Deletes the sorted set if the last member was popped."),
    row(Z, "zpopmin",          pop::zpopmin,             -2, ONE_KEY,       CHANGE_FAST, Spread::Key,                               "5.0.0", "O(log(N)*M) with N being the number of elements in the sorted set, and M being the number of elements popped.", "Returns the lowest-scoring members from a sorted set after removing them. Deletes the sorted set if the last member was popped."),
    row(Z, "zrandmember",      randmember::run,          -2, ONE_KEY,       READ,        Spread::Key,                               "6.2.0", "O(N) where N is the number of members returned", "Returns one or more random members from a sorted set."),
    row(Z, "zrange",           range::zrange,            -4, ONE_KEY,       READ,        Spread::Key,                               "1.2.0", "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements returned.", "Returns members in a sorted set within a range of indexes."),
    row(Z, "zrangebylex",      range::zrangebylex,       -4, ONE_KEY,       READ,        Spread::Key,                               "2.8.9", "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned. If M is constant (e.g. always asking for the first 10 elements with LIMIT), you can consider it O(log(N)).", "Returns members in a sorted set within a lexicographical range."),
    row(Z, "zrangebyscore",    range::zrangebyscore,     -4, ONE_KEY,       READ,        Spread::Key,                               "1.0.5", "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned. If M is constant (e.g. always asking for the first 10 elements with LIMIT), you can consider it O(log(N)).", "Returns members in a sorted set within a range of scores."),
    row(Z, "zrangestore",      rangestore::run,          -5, TWO_KEYS,      CREATE,      Spread::Gather(&rangestore::GATHER),       "6.2.0", "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements stored into the destination key.", "Stores a range of members from sorted set in a key."),
    row(Z, "zrank",            rank::zrank,              -3, ONE_KEY,       READ_FAST,   Spread::Key,                               "2.0.0", "O(log(N))", "Returns the index of a member in a sorted set ordered by ascending scores."),
    row(Z, "zrem",             remove::zrem,             -3, ONE_KEY,       CHANGE_FAST, Spread::Key,                               "1.2.0", "O(M*log(N)) with N being the number of elements in the sorted set and M the number of elements to be removed.", "Removes one or more members from a sorted set. Deletes the sorted set if all members were removed."),
    row(Z, "zremrangebylex",   remove::zremrangebylex,   4,  ONE_KEY,       CHANGE,      Spread::Key,                               "2.8.9", "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements removed by the operation.", "Removes members in a sorted set within a lexicographical range. Deletes the sorted set if all members were removed."),
    row(Z, "zremrangebyrank",  remove::zremrangebyrank,  4,  ONE_KEY,       CHANGE,      Spread::Key,                               "2.0.0", "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements removed by the operation.", "Removes members in a sorted set within a range of indexes. Deletes the sorted set if all members were removed."),
    row(Z, "zremrangebyscore", remove::zremrangebyscore, 4,  ONE_KEY,       CHANGE,      Spread::Key,                               "1.2.0", "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements removed by the operation.", "Removes members in a sorted set within a range of scores. Deletes the sorted set if all members were removed."),
    row(Z, "zrevrange",        range::zrevrange,         -4, ONE_KEY,       READ,        Spread::Key,                               "1.2.0", "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements returned.", "Returns members in a sorted set within a range of indexes in reverse order."),
    row(Z, "zrevrangebylex",   range::zrevrangebylex,    -4, ONE_KEY,       READ,        Spread::Key,                               "2.8.9", "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned. If M is constant (e.g. always asking for the first 10 elements with LIMIT), you can consider it O(log(N)).", "Returns members in a sorted set within a lexicographical range in reverse order."),
    row(Z, "zrevrangebyscore", range::zrevrangebyscore,  -4, ONE_KEY,       READ,        Spread::Key,                               "2.2.0", "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned. If M is constant (e.g. always asking for the first 10 elements with LIMIT), you can consider it O(log(N)).", "Returns members in a sorted set within a range of scores in reverse order."),
    row(Z, "zrevrank",         rank::zrevrank,           -3, ONE_KEY,       READ_FAST,   Spread::Key,                               "2.0.0", "O(log(N))", "Returns the index of a member in a sorted set ordered by descending scores."),
    row(Z, "zscan",            scan::run,                -3, ONE_KEY,       READ,        Spread::Key,                               "2.8.0", "O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to return back to 0. N is the number of elements inside the collection.", "Iterates over members and scores of a sorted set."),
    row(Z, "zscore",           score::zscore,            3,  ONE_KEY,       READ_FAST,   Spread::Key,                               "1.2.0", "O(1)", "Returns the score of a member in a sorted set."),
    row(Z, "zunion",           combine::zunion,          -3, COUNTED,       READ,        Spread::Gather(&combine::ZUNION),          "6.2.0", "O(N)+O(M*log(M)) with N being the sum of the sizes of the input sorted sets, and M being the number of elements in the resulting sorted set.", "Returns the union of multiple sorted sets."),
    row(Z, "zunionstore",      combine::zunionstore,     -4, COUNTED_STORE, CREATE,      Spread::Gather(&combine::ZUNIONSTORE),     "2.0.0", "O(N)+O(M log(M)) with N being the sum of the sizes of the input sorted sets, and M being the number of elements in the resulting sorted set.", "Stores the union of multiple sorted sets in a key."),
];

/// The head of an array of this many members. With scores it has twice as many elements in RESP2, and pairs in RESP3.
#[inline]
fn reply_members_head(reply: &mut Writer<'_>, members: usize, with_scores: bool) {
    let is_flat = with_scores && reply.protocol() == Protocol::Resp2;
    reply.array(if is_flat { 2 * members } else { members });
}

/// One member of such an array.
#[inline]
fn reply_entry(reply: &mut Writer<'_>, (member, score): (Item<'_>, f64), with_score: bool) {
    if with_score && reply.protocol() == Protocol::Resp3 {
        reply.array(2);
    }
    reply_item(reply, member);
    if with_score {
        reply.double(score);
    }
}

/// Replies with members in an array, with or without their scores.
fn reply_members<'a>(
    reply: &mut Writer<'_>,
    members: impl ExactSizeIterator<Item = (Item<'a>, f64)>,
    with_scores: bool,
) {
    reply_members_head(reply, members.len(), with_scores);
    members.for_each(|entry| reply_entry(reply, entry, with_scores));
}
