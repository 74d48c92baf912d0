//! RESET — make the connection as if it were new: RESP2, database 0, no name, every option off, nothing queued or watched. Its id,
//! addresses and library name stay.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::commands::session::ReplyMode;
use crate::resp::write::Protocol;

pub fn run(cx: &mut Cx<'_>, _: &Args<'_>) -> Outcome {
    let session = cx.session();
    session.db = 0;
    session.protocol = Protocol::Resp2;
    session.name.clear();
    session.reply_mode = ReplyMode::On;
    session.no_evict = false;
    session.no_touch = false;
    session.queued = None;
    cx.reply.simple("RESET");
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn forgets_what_the_client_chose() {
        check(
            "CLIENT SETNAME me | SELECT 3 | SET k v | RESET | CLIENT GETNAME | GET k",
            "OK | OK | OK | RESET | nil | nil",
        );
    }
}
