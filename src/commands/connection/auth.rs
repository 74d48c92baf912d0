//! AUTH [username] password — prove who one is. There is one user, `default`, who needs no password, as in a fresh Redis.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    match args.len() {
        2 => Err(CommandError::Text(
            "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
        )),
        3 => {
            authenticate(args.get(1))?;
            cx.reply.ok();
            Ok(())
        }
        _ => Err(CommandError::Syntax),
    }
}

/// Whether `user` may come in. The default user may with any password.
pub fn authenticate(user: &[u8]) -> Result<(), CommandError> {
    if user == b"default" { Ok(()) } else { Err(CommandError::WrongPassword) }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn lets_in_the_default_user_alone() {
        check("AUTH default anything", "OK");
        check("AUTH bob secret", "WRONGPASS invalid username-password pair or user is disabled.");
        check("AUTH a b c", "ERR syntax error");
        check(
            "AUTH secret",
            "ERR AUTH <password> called without any password configured for the default user. \
             Are you sure your configuration is correct?",
        );
    }
}
