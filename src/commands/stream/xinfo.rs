//! XINFO STREAM key [FULL [COUNT n]], XINFO GROUPS key, XINFO CONSUMERS key group — what a stream, its groups and their consumers are
//! like. FULL shows n entries (10; 0 is all) and as many pending ones of each group and consumer.

use crate::base::args::Args;
use crate::commands::container;
use crate::commands::cx::{Cx, integer};
use crate::commands::error::{CommandError, Outcome};
use crate::commands::stream::{id, no_group_of_key, write_entries, write_entry};
use crate::resp::write::Writer;
use crate::store::stream::{Consumer, Entry, Group, Stream, StreamId};

const COUNT_DEFAULT: usize = 10;

pub fn stream(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (key, touch) = (cx.key(args, 2), cx.touch());
    let stream = cx.keys.view::<Stream>(cx.db, &key, cx.now_ms, touch)?.ok_or(CommandError::NoSuchKey)?;
    let full = full_limit(args)?;
    let reply = &mut cx.reply;
    reply.map(if full.is_some() { 9 } else { 10 });
    let metadata = stream.metadata();
    number(reply, "length", stream.length() as i64);
    number(reply, "radix-tree-keys", stream.nodes().len() as i64);
    number(reply, "radix-tree-nodes", stream.radix_tree_nodes() as i64);
    named_id(reply, "last-generated-id", metadata.last_id);
    named_id(reply, "max-deleted-entry-id", metadata.max_deleted_id);
    number(reply, "entries-added", metadata.entries_added as i64);
    named_id(reply, "recorded-first-entry-id", stream.first_id());
    let Some(limit) = full else {
        number(reply, "groups", stream.groups().len() as i64);
        name(reply, "first-entry");
        write_edge(reply, stream.range(StreamId::MIN, StreamId::MAX).next());
        name(reply, "last-entry");
        write_edge(reply, stream.range_back(StreamId::MIN, StreamId::MAX).next());
        return Ok(());
    };
    name(reply, "entries");
    write_entries(reply, stream.range(StreamId::MIN, StreamId::MAX), limit);
    name(reply, "groups");
    reply.array(stream.groups().len());
    for (group_name, group) in stream.groups() {
        write_full_group(reply, stream, group_name, group, limit);
    }
    Ok(())
}

pub fn groups(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (key, touch) = (cx.key(args, 2), cx.touch());
    let stream = cx.keys.view::<Stream>(cx.db, &key, cx.now_ms, touch)?.ok_or(CommandError::NoSuchKey)?;
    let reply = &mut cx.reply;
    reply.array(stream.groups().len());
    for (group_name, group) in stream.groups() {
        reply.map(6);
        text(reply, "name", group_name);
        number(reply, "consumers", group.consumers().len() as i64);
        number(reply, "pending", group.pending_len() as i64);
        write_position(reply, stream, group);
    }
    Ok(())
}

pub fn consumers(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (key, touch, now_ms) = (cx.key(args, 2), cx.touch(), cx.now_ms);
    let stream = cx.keys.view::<Stream>(cx.db, &key, now_ms, touch)?.ok_or(CommandError::NoSuchKey)?;
    let group = stream.group(args.get(3)).ok_or_else(|| no_group_of_key(key.bytes, args.get(3)))?;
    let reply = &mut cx.reply;
    reply.array(group.consumers().len());
    for consumer in group.consumers() {
        reply.map(4);
        text(reply, "name", consumer.name());
        number(reply, "pending", consumer.pending_len() as i64);
        number(reply, "idle", now_ms.saturating_sub(consumer.seen_ms).max(0));
        number(
            reply,
            "inactive",
            consumer.active_ms.map_or(-1, |active_ms| now_ms.saturating_sub(active_ms)),
        );
    }
    Ok(())
}

pub fn help(cx: &mut Cx<'_>, _: &Args<'_>) -> Outcome {
    container::help(
        cx,
        "XINFO",
        &[
            "CONSUMERS <key> <groupname>",
            "    Show consumers of <groupname>.",
            "GROUPS <key>",
            "    Show the stream consumer groups.",
            "STREAM <key> [FULL [COUNT <count>]",
            "    Show information about the stream.",
        ],
    )
}

/// How much FULL shows; nothing without FULL.
fn full_limit(args: &Args<'_>) -> Result<Option<usize>, CommandError> {
    let is_full = matches!(args.len(), 4 | 6) && args.is(3, "FULL");
    match args.len() {
        3 => return Ok(None),
        4 if is_full => return Ok(Some(COUNT_DEFAULT)),
        6 if is_full && args.is(4, "COUNT") => {}
        _ => {
            let subcommand = String::from_utf8_lossy(args.get(1)).into_owned();
            return Err(CommandError::SubcommandSyntax { subcommand, container: "XINFO" });
        }
    }
    Ok(Some(match integer(args, 5)? {
        0 => usize::MAX,
        count => usize::try_from(count).unwrap_or(COUNT_DEFAULT),
    }))
}

fn write_full_group(reply: &mut Writer<'_>, stream: &Stream, group_name: &[u8], group: &Group, limit: usize) {
    let all = StreamId::MIN..=StreamId::MAX;
    reply.map(7);
    text(reply, "name", group_name);
    write_position(reply, stream, group);
    number(reply, "pel-count", group.pending_len() as i64);
    name(reply, "pending");
    reply.array(group.pending_len().min(limit));
    for (id, pending) in group.pending_in(all).take(limit) {
        reply.array(4);
        id::write(reply, id);
        reply.bulk(group.owner(pending).name());
        reply.integer(pending.delivered_ms);
        reply.integer(pending.deliveries as i64);
    }
    name(reply, "consumers");
    reply.array(group.consumers().len());
    for consumer in group.consumers() {
        write_full_consumer(reply, group, consumer, limit);
    }
}

fn write_full_consumer(reply: &mut Writer<'_>, group: &Group, consumer: &Consumer, limit: usize) {
    reply.map(5);
    text(reply, "name", consumer.name());
    number(reply, "seen-time", consumer.seen_ms);
    number(reply, "active-time", consumer.active_ms.unwrap_or(-1));
    number(reply, "pel-count", consumer.pending_len() as i64);
    name(reply, "pending");
    reply.array(consumer.pending_len().min(limit));
    for (id, pending) in group.pending_of(consumer, StreamId::MIN..=StreamId::MAX).take(limit) {
        reply.array(3);
        id::write(reply, id);
        reply.integer(pending.delivered_ms);
        reply.integer(pending.deliveries as i64);
    }
}

/// How far the group is.
fn write_position(reply: &mut Writer<'_>, stream: &Stream, group: &Group) {
    named_id(reply, "last-delivered-id", group.last_id);
    known(reply, "entries-read", group.entries_read.map(|read| read as i64));
    known(reply, "lag", stream.lag(group));
}

fn write_edge(reply: &mut Writer<'_>, entry: Option<Entry<'_>>) {
    match entry {
        Some(entry) => write_entry(reply, entry),
        None => reply.null(),
    }
}

fn name(reply: &mut Writer<'_>, name: &str) {
    reply.bulk(name.as_bytes());
}

fn text(reply: &mut Writer<'_>, key: &str, value: &[u8]) {
    name(reply, key);
    reply.bulk(value);
}

fn number(reply: &mut Writer<'_>, key: &str, value: i64) {
    name(reply, key);
    reply.integer(value);
}

fn named_id(reply: &mut Writer<'_>, key: &str, value: StreamId) {
    name(reply, key);
    id::write(reply, value);
}

fn known(reply: &mut Writer<'_>, key: &str, value: Option<i64>) {
    name(reply, key);
    match value {
        Some(value) => reply.integer(value),
        None => reply.null(),
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, check};

    #[test]
    fn shows_a_stream() {
        check(
            "XADD s 1 a b | XADD s 2 c d | XADD s 3 e f | XDEL s 1 | XGROUP CREATE s g 0 | XINFO STREAM s",
            "1-0 | 2-0 | 3-0 | 1 | OK | [length, 2, radix-tree-keys, 1, radix-tree-nodes, 2, last-generated-id, 3-0, \
             max-deleted-entry-id, 1-0, entries-added, 3, recorded-first-entry-id, 2-0, groups, 1, first-entry, [2-0, [c, d]], \
             last-entry, [3-0, [e, f]]]",
        );
    }

    #[test]
    fn shows_everything() {
        let mut bench = Bench::default();
        bench.run(
            "XADD s 1 a b | XADD s 2 c d | XGROUP CREATE s g 0 | XREADGROUP GROUP g c STREAMS s > | @1s",
        );
        bench.run("XGROUP CREATECONSUMER s g d");
        let head = "length, 2, radix-tree-keys, 1, radix-tree-nodes, 2, last-generated-id, 2-0, max-deleted-entry-id, 0-0, \
            entries-added, 2, recorded-first-entry-id, 1-0, entries";
        let group =
            "groups, [[name, g, last-delivered-id, 2-0, entries-read, 2, lag, 0, pel-count, 2, pending";
        let c = "consumers, [[name, c, seen-time, 1700000000000, active-time, 1700000000000, pel-count, 2, pending";
        let d = "[name, d, seen-time, 1700000001000, active-time, -1, pel-count, 0, pending, []]";
        let (one, two) = ("[1-0, c, 1700000000000, 1]", "[2-0, c, 1700000000000, 1]");
        assert_eq!(
            bench.run("XINFO STREAM s full COUNT 1"),
            format!("[{head}, [[1-0, [a, b]]], {group}, [{one}], {c}, [[1-0, 1700000000000, 1]]], {d}]]]]")
        );
        let all = format!(
            "[{head}, [[1-0, [a, b]], [2-0, [c, d]]], {group}, [{one}, {two}], {c}, [[1-0, 1700000000000, 1], \
            [2-0, 1700000000000, 1]]], {d}]]]]"
        );
        for call in ["XINFO STREAM s FULL", "XINFO STREAM s FULL COUNT 0", "XINFO STREAM s FULL COUNT -3"] {
            assert_eq!(bench.run(call), all);
        }
    }

    #[test]
    fn shows_groups_and_consumers() {
        check(
            "XGROUP CREATE s h 0 MKSTREAM | XGROUP CREATE s g 5 | XADD s 6 a b | XREADGROUP GROUP g c STREAMS s > | @2s | \
             XREADGROUP GROUP g c STREAMS s > | @5s | XINFO GROUPS s | XINFO CONSUMERS s g",
            "OK | OK | 6-0 | [[s, [[6-0, [a, b]]]]] | nil | [[name, g, consumers, 1, pending, 1, last-delivered-id, 6-0, \
             entries-read, 1, lag, 0], [name, h, consumers, 0, pending, 0, last-delivered-id, 0-0, entries-read, nil, lag, 1]] | \
             [[name, c, pending, 1, idle, 3000, inactive, 5000]]",
        );
    }

    #[test]
    fn checks_in_order() {
        let wrong = "ERR unknown subcommand or wrong number of arguments for 'STREAM'. Try XINFO HELP.";
        check("XINFO STREAM s x | XINFO GROUPS s | XINFO CONSUMERS s g", &["ERR no such key"; 3].join(" | "));
        check(
            "SET k v | XINFO STREAM k x",
            "OK | WRONGTYPE Operation against a key holding the wrong kind of value",
        );
        check(
            "XADD s 1 a b | XINFO STREAM s x | XINFO STREAM s FULL COUNT | XINFO STREAM s FULL FOO 1 | XINFO STREAM s FULL COUNT x",
            &format!("1-0 | {wrong} | {wrong} | {wrong} | ERR value is not an integer or out of range"),
        );
        check(
            "XADD s 1 a b | XINFO CONSUMERS s g",
            "1-0 | NOGROUP No such consumer group 'g' for key name 's'",
        );
    }
}
