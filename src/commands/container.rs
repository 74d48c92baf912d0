//! What commands with subcommands share: the row that only holds them, and `HELP`.
//! Never knows which subcommands there are: the table finds them by name.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};

/// The row of the container itself. The table resolves `CLIENT ID` to the row `client|id` and refuses all else, so a call that
/// gets here has no subcommand.
pub fn run(_: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    Err(CommandError::Arity(String::from_utf8_lossy(args.get(0)).to_ascii_lowercase()))
}

/// Writes the reply of `<container> HELP`; `lines` describe the subcommands, their explanations indented by four spaces.
pub fn help(cx: &mut Cx<'_>, container: &str, lines: &[&str]) -> Outcome {
    cx.reply.array(lines.len() + 3);
    cx.reply.simple(&format!("{container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    for line in lines {
        cx.reply.simple(line);
    }
    cx.reply.simple("HELP");
    cx.reply.simple("    Prints this help.");
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn subcommands_are_required_and_known() {
        check(
            "CLIENT | client",
            "ERR wrong number of arguments for 'client' command | ERR wrong number of arguments for 'client' command",
        );
        check("CONFIG FOO", "ERR unknown subcommand 'FOO'. Try CONFIG HELP.");
        check("CLIENT ID x", "ERR wrong number of arguments for 'client|id' command");
    }
}
