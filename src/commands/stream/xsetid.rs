//! XSETID key last-id [ENTRIESADDED n] [MAXDELETEDID id] — set what a stream remembers besides its entries.

use crate::base::args::Args;
use crate::commands::cx::{Cx, integer};
use crate::commands::error::{CommandError, Outcome};
use crate::commands::stream::id;
use crate::store::collection::Change;
use crate::store::stream::{Metadata, Stream, StreamId};

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let last_id = id::strict(args.get(2), 0)?;
    let (mut entries_added, mut max_deleted_id) = (None, StreamId::MIN);
    for i in (3..args.len()).step_by(2) {
        if i + 1 == args.len() {
            return Err(CommandError::Syntax);
        } else if args.is(i, "ENTRIESADDED") {
            let added = u64::try_from(integer(args, i + 1)?)
                .map_err(|_| CommandError::Text("ERR entries_added must be positive"))?;
            entries_added = Some(added);
        } else if args.is(i, "MAXDELETEDID") {
            max_deleted_id = id::strict(args.get(i + 1), 0)?;
            if last_id < max_deleted_id {
                return Err(CommandError::Text(
                    "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
                ));
            }
        } else {
            return Err(CommandError::Syntax);
        }
    }
    let (key, clock) = (cx.key(args, 1), cx.clock());
    let set = |stream: &mut Change<'_, Stream>| -> Outcome {
        let mut metadata = checked(stream.view(), last_id, entries_added)?;
        if !max_deleted_id.is_zero() {
            metadata.max_deleted_id = max_deleted_id;
        }
        stream.set_metadata(metadata);
        Ok(())
    };
    cx.keys.change(cx.db, &key, cx.now_ms, clock, set)?.ok_or(CommandError::NoSuchKey)??;
    cx.reply.ok();
    Ok(())
}

/// What the stream remembers afterwards, apart from a new largest deletion.
fn checked(stream: &Stream, last_id: StreamId, entries_added: Option<u64>) -> Result<Metadata, CommandError> {
    let before = stream.metadata();
    if last_id < before.max_deleted_id {
        return Err(CommandError::Text(
            "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id",
        ));
    }
    if stream.last_entry_id().is_some_and(|last_entry| last_id < last_entry) {
        return Err(CommandError::Text(
            "ERR The ID specified in XSETID is smaller than the target stream top item",
        ));
    }
    if entries_added.is_some_and(|added| added < stream.length()) {
        return Err(CommandError::Text(
            "ERR The entries_added specified in XSETID is smaller than the target stream length",
        ));
    }
    Ok(Metadata { last_id, entries_added: entries_added.unwrap_or(before.entries_added), ..before })
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn sets_what_is_remembered() {
        check(
            "XADD s 1 a b | XSETID s 5 | XADD s 4 a b | XADD s 5-* a b",
            "1-0 | OK | ERR The ID specified in XADD is equal or smaller than the target stream top item | 5-1",
        );
        check(
            "XGROUP CREATE s g 0 MKSTREAM | XSETID s 200-0 ENTRIESADDED 12 MAXDELETEDID 100-0 | XINFO STREAM s",
            "OK | OK | [length, 0, radix-tree-keys, 0, radix-tree-nodes, 1, last-generated-id, 200-0, max-deleted-entry-id, 100-0, \
             entries-added, 12, recorded-first-entry-id, 0-0, groups, 1, first-entry, nil, last-entry, nil]",
        );
    }

    #[test]
    fn checks_in_order() {
        check(
            "XSETID s x | XSETID s 1 FOO | XSETID s 1 FOO 1",
            "ERR Invalid stream ID specified as stream command argument | \
            ERR syntax error | ERR syntax error",
        );
        check(
            "XSETID s 1 ENTRIESADDED -1 | XSETID s 1 ENTRIESADDED x",
            "ERR entries_added must be positive | \
            ERR value is not an integer or out of range",
        );
        check(
            "XSETID s 1 MAXDELETEDID 2",
            "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id",
        );
        check(
            "XSETID s 1 | SET k v | XSETID k 1",
            "ERR no such key | OK | WRONGTYPE Operation against a key holding the \
            wrong kind of value",
        );
        check(
            "XADD s 5 a b | XADD s 6 a b | XDEL s 6 | XSETID s 5-5 | XSETID s 6 ENTRIESADDED 0",
            "5-0 | 6-0 | 1 | ERR The ID specified in XSETID is smaller than current max_deleted_entry_id | ERR The \
            entries_added specified in XSETID is smaller than the target stream length",
        );
        check(
            "XADD s 5 a b | XSETID s 4",
            "5-0 | ERR The ID specified in XSETID is smaller than the target stream top item",
        );
    }
}
