//! SET key value — placeholder
use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (key, clock) = (cx.key(args, 1), cx.clock());
    cx.keys.set_string(cx.db, &key, args.get(2), None, clock);
    cx.reply.ok();
    Ok(())
}
