//! DBSIZE — how many keys the selected database has, those that have expired unnoticed included, as in Redis.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;

pub fn run(cx: &mut Cx<'_>, _: &Args<'_>) -> Outcome {
    cx.keys.settle_counts(cx.db);
    cx.reply.count(cx.keys.len(cx.db));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn counts_the_selected_database() {
        check("DBSIZE | MSET a 1 b 2 | DBSIZE | SELECT 1 | DBSIZE", "0 | OK | 2 | OK | 0");
    }
}
