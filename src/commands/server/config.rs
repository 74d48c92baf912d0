//! CONFIG GET pattern [pattern ...], SET parameter value [parameter value ...], RESETSTAT, REWRITE — the parameters in force and
//! the counters. SET changes all of its parameters or none, on every shard alike. What parameters there are is
//! `config::parameters`'s business.

use crate::base::args::Args;
use crate::commands::container;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::commands::session::Request;
use crate::config::parameters::{SetError, matching, set_all};
use crate::metrics::Stats;

pub fn get(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let patterns: Vec<&[u8]> = args.iter_from(2).collect();
    let found = matching(&patterns);
    cx.reply.map(found.len());
    for parameter in found {
        cx.reply.bulk(parameter.name.as_bytes());
        cx.reply.bulk(parameter.get(&cx.server.config).as_bytes());
    }
    Ok(())
}

pub fn set(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    if !args.len().is_multiple_of(2) {
        return Err(CommandError::Syntax);
    }
    let pairs: Vec<(&[u8], &[u8])> =
        (2..args.len()).step_by(2).map(|i| (args.get(i), args.get(i + 1))).collect();
    let was_append_only = cx.server.config.append_only;
    set_all(&mut cx.server.config, &pairs).map_err(|error| {
        CommandError::Detailed(match error {
            SetError::Unknown(name) => {
                let name = String::from_utf8_lossy(name);
                format!("ERR Unknown option or number of arguments for CONFIG SET - '{name}'")
            }
            SetError::Refused(name, why) => {
                let name = String::from_utf8_lossy(name);
                format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {why}")
            }
        })
    })?;
    cx.keys.encoding = cx.server.config.encoding;
    let append_only = cx.server.config.append_only;
    // Every shard runs this; one asks.
    if append_only != was_append_only && cx.caller.session.is_some() {
        cx.server.requests.push(Request::AppendOnly(append_only));
    }
    cx.reply.ok();
    Ok(())
}

pub fn reset(cx: &mut Cx<'_>, _: &Args<'_>) -> Outcome {
    let counts = cx.keys.counts;
    cx.server.stats = Stats {
        hits_base: counts.hits,
        misses_base: counts.misses,
        expired_base: counts.expired,
        ..Stats::new(cx.table.rows().len())
    };
    cx.reply.ok();
    Ok(())
}

pub fn rewrite(_: &mut Cx<'_>, _: &Args<'_>) -> Outcome {
    Err(CommandError::Text("ERR The server is running without a config file"))
}

pub fn help(cx: &mut Cx<'_>, _: &Args<'_>) -> Outcome {
    const LINES: &[&str] = &[
        "GET <pattern>",
        "    Return parameters matching the glob-like <pattern> and their values.",
        "SET <directive> <value>",
        "    Set the configuration <directive> to <value>.",
        "RESETSTAT",
        "    Reset statistics reported by the INFO command.",
        "REWRITE",
        "    Rewrite the configuration file.",
    ];
    container::help(cx, "CONFIG", LINES)
}

#[cfg(test)]
mod tests {
    use crate::commands::session::Request;
    use crate::commands::testing::{Bench, check};

    #[test]
    fn gets_by_patterns() {
        check(
            "CONFIG GET timeout | CONFIG GET TIMEOUT max*s timeout",
            "[timeout, 0] | [maxclients, 10000, timeout, 0, maxmemory-clients, 0]",
        );
        let mut bench = Bench::default();
        bench.run("HELLO 3");
        assert_eq!(bench.run("CONFIG GET save appendonly"), r#"{appendonly: no, save: ""}"#);
        check("CONFIG GET nosuch", "[]");
    }

    #[test]
    fn sets_all_or_nothing() {
        check(
            "CONFIG SET timeout 7 maxclients 50 | CONFIG GET timeout maxclients",
            "OK | [maxclients, 50, timeout, 7]",
        );
        check(
            "CONFIG SET timeout 7 maxclients x | CONFIG GET timeout",
            "ERR CONFIG SET failed (possibly related to argument 'maxclients') - argument couldn't be parsed into an integer | [timeout, 0]",
        );
        check(
            "CONFIG SET timeout 7 nosuch 1 | CONFIG GET timeout",
            "ERR Unknown option or number of arguments for CONFIG SET - 'nosuch' | [timeout, 0]",
        );
    }

    #[test]
    fn refuses_what_redis_refuses() {
        check(
            "CONFIG SET a | CONFIG GET",
            "ERR wrong number of arguments for 'config|set' command | ERR wrong number of arguments for 'config|get' command",
        );
        check("CONFIG SET a b c", "ERR syntax error");
        check(
            "CONFIG SET timeout 1 TIMEOUT 2",
            "ERR CONFIG SET failed (possibly related to argument 'TIMEOUT') - duplicate parameter",
        );
        check(
            "CONFIG SET databases 3",
            "ERR CONFIG SET failed (possibly related to argument 'databases') - can't set immutable config",
        );
        check("CONFIG REWRITE", "ERR The server is running without a config file");
    }

    #[test]
    fn the_shard_is_told_when_the_log_is_turned_on_or_off() {
        let mut bench = Bench::default();
        bench.server.config.start.keeps = true;
        assert_eq!(bench.run("CONFIG SET appendonly no appendfsync always"), "OK");
        assert_eq!(bench.server.requests, []);
        assert_eq!(
            bench.run("CONFIG SET appendonly yes | CONFIG SET appendonly yes | CONFIG SET appendonly no"),
            "OK | OK | OK"
        );
        assert_eq!(bench.server.requests, [Request::AppendOnly(true), Request::AppendOnly(false)]);
    }

    #[test]
    fn resets_counters() {
        let mut bench = Bench::default();
        bench.run("GET missing");
        bench.server.stats.bytes_in = 7;
        assert_eq!(bench.run("CONFIG RESETSTAT"), "OK");
        assert_eq!((bench.server.stats.bytes_in, bench.server.stats.misses_base), (0, 1));
        assert_eq!(bench.server.stats.per_command.len(), bench.table.rows().len());
    }
}
