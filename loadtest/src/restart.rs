//! `loadtest restart`: starts a server on data that is there, and says how long after that it gave the first right answer and had
//! restored everything. A row of CSV for each round. Every answer in between must be right too.

use std::fs;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::Serialize;

use crate::affinity;
use crate::cli::RestartArgs;
use crate::interrupt::Interrupt;
use crate::limits::RESTART_MAX;
use crate::procstat::{Cpu, resident_bytes};
use crate::reply::Reply;
use crate::report::csv_text;
use crate::server_process::{Recipe, Server, info_field};
use crate::target::Talk;
use crate::workload::KeySpace;

/// Between two attempts, and between two GETs while the server goes on restoring.
const POLL: Duration = Duration::from_millis(1);
/// GETs to one look at INFO.
const GETS_PER_LOOK: u32 = 10;
/// GETs once everything is there.
const GETS_AFTER: u32 = 10_000;
/// Between two rounds: the server before has let go of its files and its memory.
const SETTLE: Duration = Duration::from_millis(500);
const TIMEOUT: Duration = Duration::from_secs(60);

/// One start. Times run from the moment the program was executed.
#[derive(Debug, Serialize)]
struct Restarted {
    round: usize,
    server: String,
    /// Until a GET of some key brought its value.
    first_answer_ms: f64,
    /// Until INFO persistence said that nothing is left to restore.
    restored_ms: f64,
    /// CPU time of the server until then.
    restored_cpu_ms: f64,
    /// GETs of random keys until then, all of them right, and the slowest.
    gets_meanwhile: u64,
    get_max_ms: f64,
    rss_bytes: u64,
}

pub fn run(args: &RestartArgs, interrupt: &Interrupt) -> Result<ExitCode> {
    affinity::pin(&args.load_cpus)?;
    let recipe = Recipe::from_template(&args.server, "")?;
    let keys = args.data.key_space()?;
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(args.data.seed);
    let mut rows = Vec::new();
    for round in 1..=args.rounds {
        interrupt.sleep_until(Instant::now() + SETTLE);
        interrupt.check()?;
        if args.cold {
            forget_files()?;
        }
        let (server, row) = restart(args, &recipe, &keys, round, &mut rng, interrupt)?;
        eprintln!(
            "round {round}/{} {}: first answer after {:.1} ms, restored after {:.1} ms",
            args.rounds, row.server, row.first_answer_ms, row.restored_ms
        );
        rows.push(row);
        if args.kill {
            server.kill()?;
        }
    }
    print!("{}", csv_text(&rows)?);
    Ok(ExitCode::SUCCESS)
}

fn restart(
    args: &RestartArgs,
    recipe: &Recipe,
    keys: &KeySpace,
    round: usize,
    rng: &mut Xoshiro256PlusPlus,
    interrupt: &Interrupt,
) -> Result<(Server, Restarted)> {
    let executed = Instant::now();
    let mut server = Server::spawn(recipe, &args.server_cpus)?;
    let mut asker = Asker { keys: *keys, value_size: args.data.value_size, rng };
    let mut talk = loop {
        if let Ok(mut talk) = server.target.talk(TIMEOUT)
            && asker.gets_right(&mut talk)? == Answer::Right
        {
            break talk;
        }
        interrupt.check()?;
        server.check_alive()?;
        ensure!(
            executed.elapsed() < RESTART_MAX,
            "no right answer in {RESTART_MAX:?}: {}",
            server.log_tail()
        );
        thread::sleep(POLL);
    };
    let first_answer = executed.elapsed();
    let (mut gets_meanwhile, mut get_max) = (0, Duration::ZERO);
    loop {
        if is_restored(&talk.info("persistence")?) {
            break;
        }
        for _ in 0..GETS_PER_LOOK {
            let asked = Instant::now();
            asker.must_get_right(&mut talk)?;
            get_max = get_max.max(asked.elapsed());
            gets_meanwhile += 1;
            thread::sleep(POLL);
        }
        interrupt.check()?;
        ensure!(executed.elapsed() < RESTART_MAX, "not restored in {RESTART_MAX:?}: {}", server.log_tail());
    }
    let restored = executed.elapsed();
    let cpu = Cpu::of(server.pid())?;
    for _ in 0..GETS_AFTER {
        asker.must_get_right(&mut talk)?;
    }
    let row = Restarted {
        round,
        server: recipe.name.clone(),
        first_answer_ms: first_answer.as_secs_f64() * 1000.0,
        restored_ms: restored.as_secs_f64() * 1000.0,
        restored_cpu_ms: cpu.ticks_us as f64 / 1000.0,
        gets_meanwhile,
        get_max_ms: get_max.as_secs_f64() * 1000.0,
        rss_bytes: resident_bytes(server.pid())?,
    };
    Ok((server, row))
}

/// Redis says that it loads; a server that answers while it restores says how much is left.
fn is_restored(info: &str) -> bool {
    let is_none = |name| info_field(info, name).is_none_or(|left| left == "0");
    is_none("loading") && is_none("restore_tables_left")
}

#[derive(Debug, PartialEq)]
enum Answer {
    Right,
    /// It says that it is not ready.
    NotYet,
}

struct Asker<'a> {
    keys: KeySpace,
    value_size: usize,
    rng: &'a mut Xoshiro256PlusPlus,
}

impl Asker<'_> {
    /// Asks for some key; a wrong answer is an error, a connection that breaks is none yet.
    fn gets_right(&mut self, talk: &mut Talk) -> Result<Answer> {
        let key = self.rng.random_range(0..self.keys.count);
        let name = self.keys.name(key);
        let (keys, value_size) = (self.keys, self.value_size);
        let judged = talk.ask(&["GET", &name], |reply| match reply {
            Reply::Bulk(value) if value.len() == value_size && is_of(&keys, key, value) => Ok(Answer::Right),
            Reply::Error(text) if text.starts_with(b"LOADING") => Ok(Answer::NotYet),
            reply => bail!("GET {name} is answered {reply:?}"),
        });
        judged.unwrap_or(Ok(Answer::NotYet))
    }

    fn must_get_right(&mut self, talk: &mut Talk) -> Result<()> {
        ensure!(self.gets_right(talk)? == Answer::Right, "the server stopped answering");
        Ok(())
    }
}

fn is_of(keys: &KeySpace, key: u64, value: &[u8]) -> bool {
    value.len() < keys.size || keys.begins_with(key, value)
}

fn forget_files() -> Result<()> {
    rustix::fs::sync();
    let path = "/proc/sys/vm/drop_caches";
    fs::write(path, "3").with_context(|| format!("--cold: cannot write {path}: run as root"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_when_everything_is_there() {
        for (info, expected) in [
            ("loading:1\r\n", false),
            ("loading:0\r\nasync_loading:0\r\n", true),
            ("loading:0\r\nrestore_tables_left:7\r\n", false),
            ("loading:0\r\nrestore_tables_total:9\r\nrestore_tables_left:0\r\n", true),
        ] {
            assert_eq!(is_restored(info), expected, "{info}");
        }
    }
}
