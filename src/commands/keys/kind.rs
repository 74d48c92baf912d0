//! TYPE key — return the type of a value, `none` for a missing key. Does not count as an access.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::store::object;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let key = cx.key(args, 1);
    let entry = cx.keys.read(cx.db, &key, cx.now_ms, None);
    cx.reply.simple(entry.map_or("none", |entry| object::kind(entry).name()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn names_the_type() {
        check("SET a x | SET n 1 | TYPE a | TYPE n | TYPE missing", "OK | OK | string | string | none");
        check("SET a 1 PX 5 | @5ms | TYPE a", "OK | none");
    }
}
