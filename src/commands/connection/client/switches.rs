//! CLIENT NO-EVICT and CLIENT NO-TOUCH <ON | OFF> — exempt the connection from eviction, and its reads from being noted as use.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};

pub fn no_evict(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    cx.session().no_evict = is_on(args)?;
    cx.reply.ok();
    Ok(())
}

pub fn no_touch(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    cx.session().no_touch = is_on(args)?;
    cx.reply.ok();
    Ok(())
}

fn is_on(args: &Args<'_>) -> Result<bool, CommandError> {
    if args.is(2, "ON") || args.is(2, "OFF") { Ok(args.is(2, "ON")) } else { Err(CommandError::Syntax) }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn switches_are_on_or_off() {
        check("CLIENT NO-EVICT on | CLIENT NO-EVICT OFF | CLIENT NO-EVICT x", "OK | OK | ERR syntax error");
        check("CLIENT NO-TOUCH on | CLIENT NO-TOUCH OFF | CLIENT NO-TOUCH x", "OK | OK | ERR syntax error");
    }
}
