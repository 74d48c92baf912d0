//! For tests: runs a command of several keys as if they were on several shards. Its reply must be the one of a single shard.

use crate::base::args::OwnedArgs;
use crate::commands::cx::{Caller, Cx};
use crate::commands::gather::run_here;
use crate::commands::table::Spread;
use crate::commands::testing::{Bench, shown};
use crate::resp::write::{Protocol, Writer};

/// Runs the first command of `script` behind `setup` on one shard, and again with its parts gathered; the rest follows.
#[track_caller]
pub fn check_both(setup: &str, script: &str, expected: &str) {
    let mut bench = Bench::default();
    bench.run(setup);
    assert_eq!(bench.run(script), expected, "{script}");
    bench.check_journal();
    assert_eq!(gathered(setup, script), expected, "{script}, gathered");
}

fn gathered(setup: &str, script: &str) -> String {
    let mut bench = Bench::default();
    bench.run(setup);
    let (first, rest) = script.split_once(" | ").unwrap_or((script, ""));
    let words = OwnedArgs::new(first.split(' '));
    let args = words.args();
    let row = *bench.table.row(bench.table.resolve(&args).expect("a command"));
    let Spread::Gather(gather) = row.spread else { panic!("it gathers") };
    let mut out = Vec::new();
    let mut cx = Cx {
        table: &bench.table,
        keys: &mut bench.keys,
        server: &mut bench.server,
        reply: Writer::new(&mut out, Protocol::Resp2),
        db: 0,
        now_ms: bench.now_ms,
        caller: Caller::default(),
        located: None,
    };
    let mut replies = match run_here(&mut cx, &args, row.keys.indices(&args), gather) {
        Ok(()) => shown(&out).0,
        Err(error) => error.to_string(),
    };
    if !rest.is_empty() {
        replies = format!("{replies} | {}", bench.run(rest));
    }
    bench.check_journal();
    replies
}
