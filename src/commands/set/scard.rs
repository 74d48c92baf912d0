//! SCARD key — how many members a set has; 0 for a missing key.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::store::set::{Set, SetRef};

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (key, touch) = (cx.key(args, 1), cx.touch());
    let set = cx.keys.view::<Set>(cx.db, &key, cx.now_ms, touch)?;
    cx.reply.count(set.map_or(0, SetRef::len));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn counts_members() {
        check("SCARD s | SADD s a b 1 | SCARD s", "0 | 3 | 3");
        let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
        check("SET k v | SCARD k", &format!("OK | {wrong}"));
    }
}
