//! CLIENT REPLY <ON | OFF | SKIP> — whether the connection wants replies. Only ON is itself answered; SKIP leaves out the reply
//! of the next command, and does nothing while replies are off.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::commands::session::ReplyMode;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    if args.is(2, "ON") {
        cx.session().reply_mode = ReplyMode::On;
        cx.reply.ok();
    } else if args.is(2, "OFF") {
        cx.session().reply_mode = ReplyMode::Off;
    } else if args.is(2, "SKIP") {
        let session = cx.session();
        if session.reply_mode != ReplyMode::Off {
            session.reply_mode = ReplyMode::SkipNext;
        }
    } else {
        return Err(CommandError::Syntax);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::Bench;

    #[test]
    fn only_on_is_answered() {
        let mut bench = Bench::default();
        for (word, reply, mode) in [
            ("SKIP", "", ReplyMode::SkipNext),
            ("OFF", "", ReplyMode::Off),
            ("SKIP", "", ReplyMode::Off),
            ("on", "+OK\r\n", ReplyMode::On),
            ("maybe", "-ERR syntax error\r\n", ReplyMode::On),
        ] {
            assert_eq!(bench.call(["CLIENT", "REPLY", word]), reply.as_bytes());
            assert_eq!(bench.server.sessions.get(0).map(|session| session.reply_mode), Some(mode));
        }
    }
}
