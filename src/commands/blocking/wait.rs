//! WAIT replicas timeout and WAITAOF local replicas timeout — how many replicas, and whether this server's own append-only file, have the
//! client's writes. There is neither here yet, so the answer is known at once: none.

use crate::base::args::Args;
use crate::base::number::parse_i64;
use crate::commands::cx::{Cx, integer};
use crate::commands::error::{CommandError, Outcome};

pub fn wait(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    integer(args, 1)?;
    check_timeout(args.get(2))?;
    cx.reply.integer(0);
    Ok(())
}

pub fn waitaof(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    const RANGE: CommandError = CommandError::Text("ERR value is out of range, value must between 0 and 1");
    let local = integer(args, 1)?;
    if !(0..=1).contains(&local) {
        return Err(RANGE);
    }
    if integer(args, 2)? < 0 {
        return Err(CommandError::Text("ERR value is out of range, must be positive"));
    }
    check_timeout(args.get(3))?;
    if local > 0 {
        return Err(CommandError::Text(
            "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.",
        ));
    }
    cx.reply.array(2);
    cx.reply.integer(0);
    cx.reply.integer(0);
    Ok(())
}

fn check_timeout(word: &[u8]) -> Outcome {
    let timeout =
        parse_i64(word).ok_or(CommandError::Text("ERR timeout is not an integer or out of range"))?;
    if timeout < 0 { Err(CommandError::Text("ERR timeout is negative")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn nobody_else_has_the_writes() {
        check("WAIT 0 0 | WAIT 1 0 | WAITAOF 0 0 0 | WAITAOF 0 1 100", "0 | 0 | [0, 0] | [0, 0]");
    }

    #[test]
    fn refuses_bad_words() {
        check(
            "WAIT x 0 | WAIT 1 x | WAIT 1 -1",
            "ERR value is not an integer or out of range | ERR timeout is not an integer or out of range | ERR timeout is negative",
        );
        check(
            "WAITAOF 2 0 0 | WAITAOF 0 -1 0 | WAITAOF 1 0 0",
            "ERR value is out of range, value must between 0 and 1 | ERR value is out of range, must be positive | \
             ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.",
        );
    }
}
