//! Stream commands and their rows.

mod id;
mod trim_options;
mod xack;
mod xadd;
mod xautoclaim;
mod xclaim;
mod xdel;
mod xgroup;
mod xinfo;
mod xlen;
mod xpending;
mod xrange;
mod xread;
mod xsetid;
mod xtrim;

use crate::base::args::Args;
use crate::commands::container;
use crate::commands::error::CommandError;
use crate::commands::table::Flag::{Blocking as Waits, DenyOom, Fast, Loading, ReadOnly, Stale, Write};
use crate::commands::table::{Command, Flag, Group, Keys, ONE_KEY, Spread, row};
use crate::resp::write::Writer;
use crate::store::stream::{Entry, StreamId};

const X: Group = Group::Stream;
const WRITE_FAST: &[Flag] = &[Write, Fast];
/// The key of `XINFO STREAM key`.
const KEY_AT_2: Keys = Keys::At { first: 2, last: 2, step: 1 };
/// The keys behind `STREAMS`.
const STREAM_KEYS: Keys = Keys::Found { first: 0, find: xread::find_keys };

#[rustfmt::skip]
pub(super) const ROWS: &[Command] = &[
    row(X, "xack",                  xack::run,              -4, ONE_KEY,     WRITE_FAST,             Spread::Key, "5.0.0", "O(1) for each message ID processed.", "Returns the number of messages that were successfully acknowledged by the consumer group member of a stream."),
    row(X, "xadd",                  xadd::run,              -5, ONE_KEY,     &[Write, DenyOom, Fast], Spread::Key, "5.0.0", "O(1) when adding a new entry, O(N) when trimming where N being the number of entries evicted.", "Appends a new message to a stream. Creates the key if it doesn't exist."),
    row(X, "xautoclaim",            xautoclaim::run,        -6, ONE_KEY,     WRITE_FAST,             Spread::Key, "6.2.0", "O(1) if COUNT is small.", "Changes, or acquires, ownership of messages in a consumer group, as if the messages were delivered to as consumer group member."),
    row(X, "xclaim",                xclaim::run,            -6, ONE_KEY,     WRITE_FAST,             Spread::Key, "5.0.0", "O(log N) with N being the number of messages in the PEL of the consumer group.", "Changes, or acquires, ownership of a message in a consumer group, as if the message was delivered a consumer group member."),
    row(X, "xdel",                  xdel::run,              -3, ONE_KEY,     WRITE_FAST,             Spread::Key, "5.0.0", "O(1) for each single item to delete in the stream, regardless of the stream size.", "Returns the number of messages after removing them from a stream."),
    row(X, "xgroup",                container::run,         -2, Keys::None,  &[],                    Spread::Home, "5.0.0", "Depends on subcommand.", "A container for consumer groups commands."),
    row(X, "xgroup|create",         xgroup::create,         -5, KEY_AT_2,    &[Write, DenyOom],      Spread::Key, "5.0.0", "O(1)", "Creates a consumer group."),
    row(X, "xgroup|createconsumer", xgroup::createconsumer, 5,  KEY_AT_2,    &[Write, DenyOom],      Spread::Key, "6.2.0", "O(1)", "Creates a consumer in a consumer group."),
    row(X, "xgroup|delconsumer",    xgroup::delconsumer,    5,  KEY_AT_2,    &[Write],               Spread::Key, "5.0.0", "O(1)", "Deletes a consumer from a consumer group."),
    row(X, "xgroup|destroy",        xgroup::destroy,        4,  KEY_AT_2,    &[Write],               Spread::Key, "5.0.0", "O(N) where N is the number of entries in the group's pending entries list (PEL).", "Destroys a consumer group."),
    row(X, "xgroup|help",           xgroup::help,           2,  Keys::None,  &[Loading, Stale],      Spread::Home, "5.0.0", "O(1)", "Returns helpful text about the different subcommands."),
    row(X, "xgroup|setid",          xgroup::setid,          -5, KEY_AT_2,    &[Write],               Spread::Key, "5.0.0", "O(1)", "Sets the last-delivered ID of a consumer group."),
    row(X, "xinfo",                 container::run,         -2, Keys::None,  &[],                    Spread::Home, "5.0.0", "Depends on subcommand.", "A container for stream introspection commands."),
    row(X, "xinfo|consumers",       xinfo::consumers,       4,  KEY_AT_2,    &[ReadOnly],            Spread::Key, "5.0.0", "O(1)", "Returns a list of the consumers in a consumer group."),
    row(X, "xinfo|groups",          xinfo::groups,          3,  KEY_AT_2,    &[ReadOnly],            Spread::Key, "5.0.0", "O(1)", "Returns a list of the consumer groups of a stream."),
    row(X, "xinfo|help",            xinfo::help,            2,  Keys::None,  &[Loading, Stale],      Spread::Home, "5.0.0", "O(1)", "Returns helpful text about the different subcommands."),
    row(X, "xinfo|stream",          xinfo::stream,          -3, KEY_AT_2,    &[ReadOnly],            Spread::Key, "5.0.0", "O(1)", "Returns information about a stream."),
    row(X, "xlen",                  xlen::run,              2,  ONE_KEY,     &[ReadOnly, Fast],      Spread::Key, "5.0.0", "O(1)", "Return the number of messages in a stream."),
    row(X, "xpending",              xpending::run,          -3, ONE_KEY,     &[ReadOnly],            Spread::Key, "5.0.0", "O(N) with N being the number of elements returned, so asking for a small fixed number of entries per call is O(1). O(M), where M is the total number of entries scanned when used with the IDLE filter. When the command returns just the summary and the list of consumers is small, it runs in O(1) time; otherwise, an additional O(N) time for iterating every consumer.", "Returns the information and entries from a stream consumer group's pending entries list."),
    row(X, "xrange",                xrange::xrange,         -4, ONE_KEY,     &[ReadOnly],            Spread::Key, "5.0.0", "O(N) with N being the number of elements being returned. If N is constant (e.g. always asking for the first 10 elements with COUNT), you can consider it O(1).", "Returns the messages from a stream within a range of IDs."),
    row(X, "xread",                 xread::run,             -4, STREAM_KEYS, &[ReadOnly, Waits],     Spread::Block(&xread::XREAD), "5.0.0", "For each stream mentioned: O(N) with N being the number of elements being returned, it means that XREAD-ing with a fixed COUNT is O(1). Note that when the BLOCK option is used, XADD will pay O(M) time in order to serve the M clients blocked on the stream getting new data.", "Returns messages from multiple streams with IDs greater than the ones requested. Blocks until a message is available otherwise."),
    row(X, "xreadgroup",            xread::run,             -7, STREAM_KEYS, &[Write, Waits],        Spread::Block(&xread::XREADGROUP), "5.0.0", "For each stream mentioned: O(M) with M being the number of elements returned. If M is constant (e.g. always asking for the first 10 elements with COUNT), you can consider it O(1). On the other side when XREADGROUP blocks, XADD will pay the O(N) time in order to serve the N clients blocked on the stream getting new data.", "Returns new or historical messages from a stream for a consumer in a group. Blocks until a message is available otherwise."),
    row(X, "xrevrange",             xrange::xrevrange,      -4, ONE_KEY,     &[ReadOnly],            Spread::Key, "5.0.0", "O(N) with N being the number of elements returned. If N is constant (e.g. always asking for the first 10 elements with COUNT), you can consider it O(1).", "Returns the messages from a stream within a range of IDs in reverse order."),
    row(X, "xsetid",                xsetid::run,            -3, ONE_KEY,     &[Write, DenyOom, Fast], Spread::Key, "5.0.0", "O(1)", "An internal command for replicating stream values."),
    row(X, "xtrim",                 xtrim::run,             -4, ONE_KEY,     &[Write],               Spread::Key, "5.0.0", "O(N), with N being the number of evicted entries. Constant times are very small however, since entries are organized in macro nodes containing multiple entries that can be released with a single deallocation.", "Deletes messages from the beginning of a stream."),
];

/// The ids from word `from` on, all of them read before anything is done.
fn ids(args: &Args<'_>, from: usize) -> Result<Vec<StreamId>, CommandError> {
    args.iter_from(from).map(|word| id::strict(word, 0)).collect()
}

/// Writes an entry: its id, then fields and values in turn.
fn write_entry(reply: &mut Writer<'_>, entry: Entry<'_>) {
    reply.array(2);
    id::write(reply, entry.id);
    reply.array(2 * entry.fields.len());
    for (name, value) in entry.fields {
        name.with_bytes(|name| reply.bulk(name));
        value.with_bytes(|value| reply.bulk(value));
    }
}

/// Writes an array of `limit` entries, or as many as there are. Walks them twice: the length comes first.
fn write_entries<'a>(reply: &mut Writer<'_>, entries: impl Iterator<Item = Entry<'a>> + Clone, limit: usize) {
    reply.array(entries.clone().take(limit).count());
    entries.take(limit).for_each(|entry| write_entry(reply, entry));
}

/// The error for a group that is not there, or whose key is not.
fn no_group(key: &[u8], group: &[u8], suffix: &str) -> CommandError {
    let (key, group) = (String::from_utf8_lossy(key), String::from_utf8_lossy(group));
    CommandError::Detailed(format!("NOGROUP No such key '{key}' or consumer group '{group}'{suffix}"))
}

/// The error for a group that a key does not have.
fn no_group_of_key(key: &[u8], group: &[u8]) -> CommandError {
    let (key, group) = (String::from_utf8_lossy(key), String::from_utf8_lossy(group));
    CommandError::Detailed(format!("NOGROUP No such consumer group '{group}' for key name '{key}'"))
}
