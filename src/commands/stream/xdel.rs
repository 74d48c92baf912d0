//! XDEL key id [id ...] — remove entries. Returns how many there were. The stream stays, be it empty.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::commands::stream::ids;
use crate::store::collection::Change;
use crate::store::stream::Stream;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (key, clock) = (cx.key(args, 1), cx.clock());
    if cx.keys.peek_view::<Stream>(cx.db, &key, cx.now_ms)?.is_none() {
        cx.reply.integer(0);
        return Ok(());
    }
    let ids = ids(args, 2)?;
    let removed = cx.keys.change(cx.db, &key, cx.now_ms, clock, |stream: &mut Change<'_, Stream>| {
        ids.iter().filter(|&&id| stream.delete(id)).count()
    })?;
    cx.reply.count(removed.unwrap_or(0));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn removes_entries() {
        check(
            "XADD s 1 a b | XADD s 2 a b | XADD s 3 a b | XDEL s 2 4 2 | XRANGE s - + | XDEL s 1 3 | EXISTS s | XADD s 3 a b",
            "1-0 | 2-0 | 3-0 | 1 | [[1-0, [a, b]], [3-0, [a, b]]] | 2 | 1 | ERR The ID specified in XADD is equal or \
             smaller than the target stream top item",
        );
        check("XDEL missing x", "0");
    }

    #[test]
    fn reads_all_ids_first() {
        check(
            "XADD s 1 a b | XDEL s 1 x | XDEL s - | XLEN s",
            "1-0 | ERR Invalid stream ID specified as stream command argument | ERR Invalid stream ID specified as stream \
             command argument | 1",
        );
        check("SET k v | XDEL k x", "OK | WRONGTYPE Operation against a key holding the wrong kind of value");
    }
}
