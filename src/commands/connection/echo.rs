//! ECHO message — the message.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    cx.reply.bulk(args.get(1));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn repeats() {
        check(r#"ECHO "a b" | ECHO """#, r#"a b | """#);
    }
}
