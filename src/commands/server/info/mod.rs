//! INFO [section ...] — what the server counts and knows, in sections of `field:value` lines.
//! Each shard replies its own numbers (`totals`); the merge adds them up and writes the text (`sections`). A field whose value
//! nothing here knows is left out: no number is made up.

mod sections;
mod totals;

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::commands::merge::Parts;
use crate::resp::read;
use crate::resp::write::Writer;
use sections::Section;
use totals::Totals;

/// Replies this shard's numbers, in a form for the merge alone.
pub fn run(cx: &mut Cx<'_>, _: &Args<'_>) -> Outcome {
    let totals = Totals::of_shard(cx);
    cx.reply.bulk(totals.encode().as_bytes());
    Ok(())
}

/// Adds up the shards' numbers and writes the sections asked for.
pub fn merge_shards(parts: &Parts<'_>, reply: &mut Writer<'_>) {
    let mut totals = Totals::default();
    for text in parts.replies.iter().filter_map(|part| std::str::from_utf8(read::bulk(part)?).ok()) {
        totals.add(text);
    }
    let texts: Vec<String> = asked(&parts.args).map(|section| section.text(&totals)).collect();
    reply.verbatim(&texts.join("\r\n"));
}

/// The sections that the words after INFO name, each once and in one order; the default ones if there is no word.
fn asked<'a>(args: &Args<'a>) -> impl Iterator<Item = &'static Section> + use<'a> {
    let args = *args;
    let names = move |word: &str| (1..args.len()).any(|i| args.is(i, word));
    let has_default = args.len() == 1 || names("default");
    let has_all = names("all") || names("everything");
    sections::SECTIONS
        .iter()
        .filter(move |section| has_all || (has_default && section.is_default) || names(section.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::args::OwnedArgs;
    use crate::commands::session::ProcessUsage;
    use crate::commands::testing::{Bench, START_MS, check};
    use crate::metrics::persistence::{Persistence, Purpose};
    use std::sync::Arc;

    fn titles(line: &str) -> String {
        let text = Bench::default().run(line);
        let titles: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# ")).collect();
        titles.join(" ")
    }

    #[test]
    fn sections_are_chosen_by_name() {
        let default =
            "Server Clients Memory Persistence Stats Replication CPU Modules Errorstats Cluster Keyspace";
        assert_eq!(titles("INFO"), default);
        assert_eq!(titles("INFO default"), default);
        let all = "Server Clients Memory Persistence Stats Replication CPU Modules Commandstats Errorstats Cluster Keyspace Shards";
        assert_eq!(titles("INFO everything"), all);
        assert_eq!(titles("INFO ALL server"), all);
        assert_eq!(titles("INFO keyspace Clients nosuch"), "Clients Keyspace");
        check("INFO nosuch", r#""""#);
        check("INFO cluster modules", "# Modules\r\n\r\n# Cluster\r\ncluster_enabled:0\r\n");
    }

    #[test]
    fn counts_keys_of_every_database() {
        check(
            "MSET a 1 b 2 | SELECT 3 | SET c 3 | INFO keyspace",
            "OK | OK | OK | # Keyspace\r\ndb0:keys=2,expires=0,avg_ttl=0\r\ndb3:keys=1,expires=0,avg_ttl=0\r\n",
        );
    }

    #[test]
    fn counts_commands_and_errors() {
        let mut bench = Bench::default();
        let get = bench.table.find(b"get").expect("a command");
        let stats = &mut bench.server.stats;
        let counts = &mut stats.per_command[usize::from(get)];
        (counts.calls, counts.failed, counts.rejected) = (5, 1, 2);
        stats.count_error("WRONGTYPE x");
        assert_eq!(
            bench.run("INFO commandstats errorstats"),
            "# Commandstats\r\ncmdstat_get:calls=5,rejected_calls=2,failed_calls=1\r\n\r\n\
             # Errorstats\r\nerrorstat_WRONGTYPE:count=1\r\n"
        );
    }

    #[test]
    fn leaves_out_what_nobody_has_measured() {
        let mut bench = Bench::default();
        let unknown = bench.run("INFO");
        for field in [
            "used_memory_rss",
            "used_cpu_sys",
            "total_system_memory",
            "executable",
            "instantaneous_ops_per_sec",
        ] {
            assert!(!unknown.contains(field), "{field}");
        }
        let process = Arc::get_mut(&mut bench.server.process).expect("nobody else has it");
        process.usage = || ProcessUsage {
            rss_bytes: 2048,
            peak_rss_bytes: 4096,
            cpu_user_seconds: 1.5,
            cpu_sys_seconds: 0.25,
        };
        let known = bench.run("INFO memory cpu");
        for line in
            ["used_memory_rss:2048\r\n", "used_memory_rss_human:2.00K\r\n", "used_cpu_user:1.500000\r\n"]
        {
            assert!(known.contains(line), "{line} is missing in {known}");
        }
    }

    #[test]
    fn tells_of_saves_and_the_log() {
        let mut bench = Bench::default();
        let fresh = bench.run("SET k v | INFO persistence");
        for line in [
            "rdb_changes_since_last_save:1\r\n",
            "rdb_last_save_time:1700000000\r\n",
            "rdb_last_bgsave_status:ok\r\n",
            "rdb_last_bgsave_time_sec:-1\r\n",
            "aof_enabled:0\r\n",
        ] {
            assert!(fresh.contains(line), "{line} is missing in {fresh}");
        }
        assert!(!fresh.contains("aof_current_size"), "{fresh}");
        let process = Arc::get_mut(&mut bench.server.process).expect("nobody else has it");
        process.persistence = Persistence::new(1);
        let persistence = &process.persistence;
        persistence.set_logging(true);
        persistence.begin_save(Purpose::Snapshot, START_MS).expect("none runs");
        persistence.note_cut(1);
        persistence.end_save(Ok(1000), START_MS + 2500);
        persistence.begin_save(Purpose::Rewrite, START_MS + 3000).expect("none runs");
        persistence.set_log_error(0, Some("no space".into()), false);
        persistence.shard(0).log_bytes.set(24);
        persistence.shard(0).tables_left.set(7);
        let text = bench.run("@9s | SET k w | INFO persistence");
        for line in [
            "rdb_changes_since_last_save:1\r\n",
            "rdb_last_save_time:1700000002\r\n",
            "rdb_last_bgsave_time_sec:2\r\n",
            "rdb_current_bgsave_time_sec:-1\r\n",
            "rdb_saves:1\r\n",
            "aof_enabled:1\r\n",
            "aof_rewrite_in_progress:1\r\n",
            "aof_current_rewrite_time_sec:6\r\n",
            "aof_last_write_status:err\r\n",
            "aof_current_size:1024\r\n",
            "aof_base_size:1000\r\n",
            "restore_tables_left:7\r\n",
        ] {
            assert!(text.contains(line), "{line} is missing in {text}");
        }
    }

    #[test]
    fn shards_add_up() {
        let args = OwnedArgs::new(["INFO", "clients", "keyspace", "shards"]);
        let parts = [
            "+clients 2\n=clients_max 10\n+db.0.keys 1\n=shard.00001 keys=1\n",
            "+clients 3\n+db.0.keys 4\n=shard.00000 keys=4\n",
        ]
        .map(|text| format!("${}\r\n{text}\r\n", text.len()));
        let mut out = Vec::new();
        let replies: Vec<&[u8]> = parts.iter().map(String::as_bytes).collect();
        merge_shards(
            &Parts { args: args.args(), replies: &replies, order: &[], seed: 0 },
            &mut Writer::new(&mut out, Default::default()),
        );
        let text = String::from_utf8_lossy(read::bulk(&out).expect("a text")).into_owned();
        assert!(text.contains("connected_clients:5\r\n") && text.contains("maxclients:10\r\n"), "{text}");
        assert!(text.contains("db0:keys=5,"), "{text}");
        assert!(text.ends_with("# Shards\r\nshard0:keys=4\r\nshard1:keys=1\r\n"), "{text}");
    }
}
