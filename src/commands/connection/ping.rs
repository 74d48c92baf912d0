//! PING [message] — PONG, or the message.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    match args.len() {
        1 => cx.reply.simple("PONG"),
        2 => cx.reply.bulk(args.get(1)),
        _ => return Err(CommandError::Arity("ping".into())),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn answers() {
        check("PING | ping hi", "PONG | hi");
        check("PING a b", "ERR wrong number of arguments for 'ping' command");
    }
}
