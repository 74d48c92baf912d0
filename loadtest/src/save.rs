//! `loadtest save`: has a server save, again and again, and says how long each save took and how much memory. A row of CSV each.
//! Puts no load on the server: that is another `loadtest` beside it.

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;

use crate::cli::{SaveArgs, SaveCommand};
use crate::interrupt::Interrupt;
use crate::procstat::{Cpu, forget_peak, peak_resident_bytes, resident_bytes};
use crate::reply::Reply;
use crate::report::csv_text;
use crate::server_process::info_field;
use crate::target::Talk;

/// Between two looks at whether a save has ended: a measured time may be too long by so much.
const POLL: Duration = Duration::from_millis(5);
/// A save that blocks its client blocks it for as long as it takes.
const TIMEOUT: Duration = Duration::from_secs(600);

/// One save.
#[derive(Debug, Serialize)]
struct Saved {
    command: &'static str,
    /// Since this program began to ask.
    begun_ms: f64,
    wall_ms: f64,
    /// utime + stime of the server meanwhile, all threads; of a forked child nothing.
    cpu_ms: f64,
    rss_before_bytes: u64,
    /// At the worst moment of the save.
    rss_peak_bytes: u64,
    /// What a forked child had to copy, as the server reports it; nothing where none is forked.
    copied_bytes: u64,
}

pub fn run(args: &SaveArgs, interrupt: &Interrupt) -> Result<ExitCode> {
    let target = args.server.target()?;
    let mut talk = target.talk(TIMEOUT)?;
    let pid = info_field(&talk.info("server")?, "process_id").and_then(|pid| pid.parse::<u32>().ok());
    let pid = pid.context("INFO server does not say which process it is")?;
    let begun = Instant::now();
    let count_max = args.count.unwrap_or(if args.duration.is_some() { u64::MAX } else { 1 });
    let mut rows = Vec::new();
    while (rows.len() as u64) < count_max && args.duration.is_none_or(|duration| begun.elapsed() < duration) {
        interrupt.check()?;
        rows.push(save(&mut talk, pid, args.command, begun, interrupt)?);
    }
    print!("{}", csv_text(&rows)?);
    Ok(ExitCode::SUCCESS)
}

fn save(
    talk: &mut Talk,
    pid: u32,
    command: SaveCommand,
    begun: Instant,
    interrupt: &Interrupt,
) -> Result<Saved> {
    wait_until_idle(talk, interrupt)?;
    forget_peak(pid)?;
    let rss_before_bytes = resident_bytes(pid)?;
    let before = Cpu::of(pid)?;
    let asked = Instant::now();
    let name = match command {
        SaveCommand::Save => "SAVE",
        SaveCommand::Bgsave => "BGSAVE",
        SaveCommand::Bgrewriteaof => "BGREWRITEAOF",
    };
    talk.ask(&[name], |reply| match reply {
        Reply::Status(_) => Ok(()),
        reply => bail!("{name} is answered {reply:?}"),
    })??;
    if command != SaveCommand::Save {
        wait_until_idle(talk, interrupt)?;
    }
    let wall_ms = asked.elapsed().as_secs_f64() * 1000.0;
    let cpu = Cpu::of(pid)?.since(before);
    let info = talk.info("persistence")?;
    let (status, copied) = match command {
        SaveCommand::Bgrewriteaof => ("aof_last_bgrewrite_status", "aof_last_cow_size"),
        _ => ("rdb_last_bgsave_status", "rdb_last_cow_size"),
    };
    let status = info_field(&info, status);
    ensure!(status == Some("ok"), "{name} failed: the status is {status:?}");
    let is_forked = command != SaveCommand::Save;
    let copied_bytes = info_field(&info, copied).filter(|_| is_forked).and_then(|bytes| bytes.parse().ok());
    Ok(Saved {
        command: name,
        begun_ms: (asked - begun).as_secs_f64() * 1000.0,
        wall_ms,
        cpu_ms: cpu.ticks_us as f64 / 1000.0,
        rss_before_bytes,
        rss_peak_bytes: peak_resident_bytes(pid)?,
        copied_bytes: copied_bytes.unwrap_or(0),
    })
}

/// Waits until the server is busy with no save and no rewrite.
fn wait_until_idle(talk: &mut Talk, interrupt: &Interrupt) -> Result<()> {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let info = talk.info("persistence")?;
        let is_idle = |name| info_field(&info, name).is_none_or(|value| value == "0");
        if is_idle("rdb_bgsave_in_progress") && is_idle("aof_rewrite_in_progress") {
            return Ok(());
        }
        interrupt.check()?;
        ensure!(Instant::now() < deadline, "a save has not ended in {TIMEOUT:?}");
        thread::sleep(POLL);
    }
}
