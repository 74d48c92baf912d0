//! WATCH key [key ...], UNWATCH — make the next EXEC depend on keys: it does nothing if one of them was changed, or has expired, in
//! between. EXEC, DISCARD, UNWATCH and the end of the connection end it. Both reply OK.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;

/// What `WATCH` replies while commands are queued.
pub const INSIDE_MULTI: &str = "ERR WATCH inside MULTI is not allowed";

pub fn watch(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    cx.for_each_key(args, 1..args.len(), |cx, _, key| {
        cx.keys.watch(cx.db, key, cx.caller.id, cx.now_ms);
    });
    cx.reply.ok();
    Ok(())
}

/// What is watched is known to the connection's shard, which forgets it.
pub fn unwatch(cx: &mut Cx<'_>, _: &Args<'_>) -> Outcome {
    cx.reply.ok();
    Ok(())
}
