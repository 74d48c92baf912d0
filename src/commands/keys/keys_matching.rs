//! KEYS pattern — return the keys of the database that match a glob, in no particular order. Reads every key.

use crate::base::args::Args;
use crate::base::glob::glob_match;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::store::keyspace::is_expired;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (pattern, now_ms) = (args.get(1), cx.now_ms);
    cx.keys.hydrate_db(cx.db);
    let entries = cx.keys.tables(cx.db).flat_map(|(_, table)| table.iter());
    let keys: Vec<&[u8]> = entries
        .filter(|entry| !is_expired(entry, now_ms) && (pattern == b"*" || glob_match(pattern, entry.key())))
        .map(crate::sys::cell::Cell::key)
        .collect();
    cx.reply.array(keys.len());
    keys.into_iter().for_each(|key| cx.reply.bulk(key));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, check};

    #[test]
    fn matches_globs() {
        check(
            "MSET hello 1 hillo 2 world 3 | KEYS w* | KEYS h?xlo | KEYS wor[l]d",
            "OK | [world] | [] | [world]",
        );
        check("SET \"\" v | KEYS * | KEYS ?", "OK | [\"\"] | []");
        check("SET a 1 PX 5 | SET b 2 | @5ms | KEYS *", "OK | OK | [b]");
    }

    #[test]
    fn finds_all_keys() {
        let mut bench = Bench::default();
        (0..1000).for_each(|i| drop(bench.call(["SET".into(), format!("key:{i}"), "v".into()])));
        let found = bench.run("KEYS key:*");
        let mut found: Vec<&str> = found.trim_matches(['[', ']']).split(", ").collect();
        found.sort_unstable();
        found.dedup();
        assert_eq!(found.len(), 1000);
    }
}
