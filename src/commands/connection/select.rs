//! SELECT index — choose the database of the connection.

use crate::base::args::Args;
use crate::commands::cx::{Cx, db_index};
use crate::commands::error::Outcome;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    cx.session().db = db_index(args, 1)?;
    cx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn each_database_has_its_own_keys() {
        check("SET k v | SELECT 1 | GET k | SELECT 0 | GET k", "OK | OK | nil | OK | v");
        check("SELECT 16 | SELECT -1", "ERR DB index is out of range | ERR DB index is out of range");
        check("SELECT x", "ERR value is not an integer or out of range");
    }
}
