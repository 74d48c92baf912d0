//! LOLWUT [VERSION version] — a small picture, and the version that clients look for in the last line. Every VERSION has the
//! same picture.

use crate::base::args::Args;
use crate::commands::cx::{Cx, integer};
use crate::commands::error::Outcome;
use crate::config::REDIS_VERSION;

const VAULT: &str = r"
      ________________________
     /                       /|
    /_______________________/ |
    |   ________________   |  |
    |  |    .-=====-.   |  |  |
    |  |   /  \ | /  \  |  |  |
    |  |  |  --(o)--  | |==|  |
    |  |   \  / | \  /  |  |  |
    |  |    '-=====-'   |  |  |
    |  |________________|  | /
    |______________________|/

";

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    if args.len() >= 3 && args.is(1, "VERSION") {
        integer(args, 2)?;
    }
    cx.reply.verbatim(&format!("{VAULT}Redis ver. {REDIS_VERSION}\n"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, check};

    #[test]
    fn ends_with_the_version() {
        for line in ["LOLWUT", "LOLWUT VERSION 5", "LOLWUT 1 2"] {
            assert!(Bench::default().run(line).ends_with("\nRedis ver. 7.2.0\n"), "{line}");
        }
        check("LOLWUT VERSION x", "ERR value is not an integer or out of range");
    }
}
