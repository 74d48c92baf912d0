//! TIME — the time of the command's batch: seconds and microseconds. The clock is read in milliseconds, once for a batch.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;

pub fn run(cx: &mut Cx<'_>, _: &Args<'_>) -> Outcome {
    let now_ms = cx.now_ms;
    cx.reply.array(2);
    cx.reply.bulk_integer(now_ms / 1000);
    cx.reply.bulk_integer(now_ms % 1000 * 1000);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn splits_the_time() {
        check("TIME | @1012ms | TIME", "[1700000000, 0] | [1700000001, 12000]");
    }
}
