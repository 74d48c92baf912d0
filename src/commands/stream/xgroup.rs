//! XGROUP CREATE | SETID | DESTROY key group ..., XGROUP CREATECONSUMER | DELCONSUMER key group consumer — make and remove groups of
//! consumers, and say from where they read.

use crate::base::args::Args;
use crate::commands::container;
use crate::commands::cx::{Cx, integer};
use crate::commands::error::{CommandError, Outcome};
use crate::commands::stream::{id, no_group_of_key};
use crate::store::collection::Change;
use crate::store::stream::Stream;

pub fn create(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let options = Options::parse(args, true)?;
    let (key, group, clock) = (cx.key(args, 2), args.get(3), cx.clock());
    let stream = cx.keys.peek_view::<Stream>(cx.db, &key, cx.now_ms)?;
    if stream.is_none() && !options.makes_stream {
        return Err(NO_KEY);
    }
    let last_id = stream.map(Stream::last_id).unwrap_or_default();
    if args.len() > 8 {
        return Err(wrong_syntax(args));
    }
    let start = if args.get(4) == b"$" { last_id } else { id::strict(args.get(4), 0)? };
    cx.keys.change_or_create(cx.db, &key, cx.now_ms, clock, |stream: &mut Change<'_, Stream>| {
        if stream.view().group(group).is_some() {
            return Err(CommandError::Text("BUSYGROUP Consumer Group name already exists"));
        }
        stream.set_group(group, start, options.entries_read);
        Ok(())
    })??;
    cx.reply.ok();
    Ok(())
}

pub fn setid(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let options = Options::parse(args, false)?;
    change_group(cx, args, |stream, group| {
        if !matches!(args.len(), 5 | 7) {
            return Err(wrong_syntax(args));
        }
        let start = if args.get(4) == b"$" { stream.view().last_id() } else { id::lenient(args.get(4), 0)? };
        stream.set_group(group, start, options.entries_read);
        Ok(())
    })?;
    // Entries that were delivered may be there for those who wait.
    cx.keys.awaited().touch(cx.db, args.get(2));
    cx.reply.ok();
    Ok(())
}

pub fn destroy(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (key, clock) = (cx.key(args, 2), cx.clock());
    let is_gone = cx.keys.change(cx.db, &key, cx.now_ms, clock, |stream: &mut Change<'_, Stream>| {
        stream.remove_group(args.get(3))
    })?;
    cx.reply.integer(i64::from(is_gone.ok_or(NO_KEY)?));
    Ok(())
}

pub fn createconsumer(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (consumer, now_ms) = (args.get(4), cx.now_ms);
    let is_new = change_group(cx, args, |stream, group| {
        let is_new = stream.view().group(group).is_some_and(|group| group.consumer(consumer).is_none());
        if is_new {
            stream.see_consumer(group, consumer, now_ms);
        }
        Ok(is_new)
    })?;
    cx.reply.integer(i64::from(is_new));
    Ok(())
}

pub fn delconsumer(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let pending = change_group(cx, args, |stream, group| Ok(stream.remove_consumer(group, args.get(4))))?;
    cx.reply.count(pending.unwrap_or(0));
    Ok(())
}

pub fn help(cx: &mut Cx<'_>, _: &Args<'_>) -> Outcome {
    container::help(
        cx,
        "XGROUP",
        &[
            "CREATE <key> <groupname> <id|$> [option]",
            "    Create a new consumer group. Options are:",
            "    * MKSTREAM",
            "      Create the empty stream if it does not exist.",
            "    * ENTRIESREAD entries_read",
            "      Set the group's entries_read counter (internal use).",
            "CREATECONSUMER <key> <groupname> <consumer>",
            "    Create a new consumer in the specified group.",
            "DELCONSUMER <key> <groupname> <consumer>",
            "    Remove the specified consumer.",
            "DESTROY <key> <groupname>",
            "    Remove the specified group.",
            "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
            "    Set the current group ID and entries_read counter.",
        ],
    )
}

const NO_KEY: CommandError = CommandError::Text(
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option \
     to create an empty stream automatically.",
);

/// Runs `work` on the stream, given the name of its group, which must be there.
fn change_group<R>(
    cx: &mut Cx<'_>,
    args: &Args<'_>,
    work: impl FnOnce(&mut Change<'_, Stream>, &[u8]) -> Result<R, CommandError>,
) -> Result<R, CommandError> {
    let (key, group, clock) = (cx.key(args, 2), args.get(3), cx.clock());
    cx.keys
        .change(cx.db, &key, cx.now_ms, clock, |stream: &mut Change<'_, Stream>| {
            if stream.view().group(group).is_none() {
                return Err(no_group_of_key(key.bytes, group));
            }
            work(stream, group)
        })?
        .ok_or(NO_KEY)?
}

fn wrong_syntax(args: &Args<'_>) -> CommandError {
    let subcommand = String::from_utf8_lossy(args.get(1)).into_owned();
    CommandError::SubcommandSyntax { subcommand, container: "XGROUP" }
}

struct Options {
    makes_stream: bool,
    entries_read: Option<u64>,
}

impl Options {
    fn parse(args: &Args<'_>, is_create: bool) -> Result<Options, CommandError> {
        let mut options = Options { makes_stream: false, entries_read: None };
        let mut i = 5;
        while i < args.len() {
            if is_create && args.is(i, "MKSTREAM") {
                options.makes_stream = true;
            } else if args.is(i, "ENTRIESREAD") && i + 1 < args.len() {
                let read = integer(args, i + 1)?;
                if read < -1 {
                    return Err(CommandError::Text("ERR value for ENTRIESREAD must be positive or -1"));
                }
                options.entries_read = u64::try_from(read).ok();
                i += 1;
            } else {
                return Err(wrong_syntax(args));
            }
            i += 1;
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    const NO_KEY: &str = "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use \
         the MKSTREAM option to create an empty stream automatically.";

    #[test]
    fn makes_groups() {
        check(
            "XADD s 1 a b | XGROUP CREATE s g $ | XGROUP CREATE s h 0 ENTRIESREAD 5 | XGROUP CREATE s g 0 | XINFO GROUPS s",
            "1-0 | OK | OK | BUSYGROUP Consumer Group name already exists | [[name, g, consumers, 0, pending, 0, \
             last-delivered-id, 1-0, entries-read, nil, lag, 0], [name, h, consumers, 0, pending, 0, last-delivered-id, 0-0, \
             entries-read, 5, lag, -4]]",
        );
        check(
            "XGROUP CREATE s g $ mkstream | TYPE s | XLEN s | XGROUP CREATE s h 5-5 MKSTREAM MKSTREAM",
            "OK | stream | 0 | OK",
        );
        check(
            "XGROUP CREATE s g 0 | XGROUP CREATE s g x MKSTREAM | EXISTS s",
            &format!(
                "{NO_KEY} | ERR Invalid \
             stream ID specified as stream command argument | 0"
            ),
        );
    }

    #[test]
    fn sets_where_groups_stand() {
        check(
            "XADD s 1 a b | XADD s 2 a b | XGROUP CREATE s g 0 | XGROUP SETID s g $ | XGROUP SETID s g + ENTRIESREAD 3 | \
             XINFO GROUPS s | XGROUP SETID s g - | XINFO GROUPS s",
            "1-0 | 2-0 | OK | OK | OK | [[name, g, consumers, 0, pending, 0, last-delivered-id, \
             18446744073709551615-18446744073709551615, entries-read, 3, lag, -1]] | OK | [[name, g, consumers, 0, pending, \
             0, last-delivered-id, 0-0, entries-read, nil, lag, 2]]",
        );
    }

    #[test]
    fn makes_and_removes_consumers() {
        check(
            "XADD s 1 a b | XGROUP CREATE s g 0 | XGROUP CREATECONSUMER s g c | XGROUP CREATECONSUMER s g c | \
             XREADGROUP GROUP g c STREAMS s > | XGROUP DELCONSUMER s g c | XGROUP DELCONSUMER s g c | XPENDING s g",
            "1-0 | OK | 1 | 0 | [[s, [[1-0, [a, b]]]]] | 1 | 0 | [0, nil, nil, nil]",
        );
        check(
            "XGROUP CREATE s g 0 MKSTREAM | XGROUP DESTROY s g | XGROUP DESTROY s g | EXISTS s",
            "OK | 1 | 0 | 1",
        );
    }

    #[test]
    fn checks_in_order() {
        let wrong = "ERR unknown subcommand or wrong number of arguments for";
        let wrong_type = "WRONGTYPE Operation against a key holding the wrong kind of value";
        check(
            "XGROUP CREATE s g 0 FOO | XGROUP SetId s g 0 MKSTREAM | XGROUP CREATE s g 0 ENTRIESREAD",
            &format!(
                "{wrong} 'CREATE'. Try XGROUP HELP. | {wrong} 'SetId'. Try XGROUP HELP. | {wrong} 'CREATE'. Try XGROUP HELP."
            ),
        );
        check(
            "XGROUP CREATE s g 0 ENTRIESREAD -2 | XGROUP CREATE s g 0 ENTRIESREAD x",
            "ERR value for ENTRIESREAD must be \
            positive or -1 | ERR value is not an integer or out of range",
        );
        check("XGROUP CREATE s g 0 ENTRIESREAD 1 ENTRIESREAD 1", NO_KEY);
        check(
            "XADD s 1 a b | XGROUP CREATE s g 0 ENTRIESREAD 1 ENTRIESREAD 1 | XGROUP SETID s g 0",
            &format!(
                "1-0 | {wrong} 'CREATE'. Try XGROUP HELP. | NOGROUP No such consumer group 'g' for key name 's'"
            ),
        );
        check(
            "XADD s 1 a b | XGROUP CREATECONSUMER s g c | XGROUP DELCONSUMER s g c | XGROUP DESTROY s g",
            "1-0 | NOGROUP No such consumer group 'g' for key name 's' | NOGROUP No such consumer group 'g' for key name 's' | 0",
        );
        check("XGROUP DESTROY s g | XGROUP CREATECONSUMER s g c", &format!("{NO_KEY} | {NO_KEY}"));
        check(
            "SET k v | XGROUP CREATE k g x | XGROUP DESTROY k g | XGROUP SETID k g 0",
            &format!(
                "OK | {wrong_type} | \
            {wrong_type} | {wrong_type}"
            ),
        );
        check(
            "XGROUP | XGROUP FOO | XGROUP CREATE s g",
            "ERR wrong number of arguments for 'xgroup' command | ERR unknown \
            subcommand 'FOO'. Try XGROUP HELP. | ERR wrong number of arguments for 'xgroup|create' command",
        );
    }
}
