//! QUIT — close the connection once everything so far is answered. Commands sent after it are not run.

use crate::base::args::Args;
use crate::commands::connection::client::kill::disconnect;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;

pub fn run(cx: &mut Cx<'_>, _: &Args<'_>) -> Outcome {
    let index = cx.caller.session.expect("the command runs at home");
    disconnect(cx, index);
    cx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::session::Request;
    use crate::commands::testing::Bench;

    #[test]
    fn closes_after_the_reply() {
        let mut bench = Bench::default();
        assert_eq!(bench.run("QUIT"), "OK");
        assert!(bench.server.sessions.get(0).is_some_and(|session| session.is_closing));
        assert_eq!(bench.server.requests, [Request::Leave(0)]);
    }
}
