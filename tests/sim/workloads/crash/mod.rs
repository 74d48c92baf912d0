//! A process that keeps its data on a simulated disk is ended at a random operation, and another one, with another number of shards,
//! restores what is left; several times over. Here is the map:
//!
//! - `clients`: who sends what: clients with databases of their own, clients that share keys, and one who has the data saved
//! - `record`: what each shard put into its log, and how much of it a restart found
//! - `told`: whether what clients were told is still so
//! - here: one life after the other, and how each ends
//!
//! Whatever the strategy, what is restored must be what each shard did up to some place, with every transaction as a whole; a crash alone
//! must never look like damage; and under `always`, what a client has been told, be it of its own change or of another's, is there.

mod clients;
mod record;
mod told;

use corevault::base::rng::Rng;
use corevault::config::persistence::Fsync;
use corevault::shard::{Fault, Shard};

use crate::cluster::{Cluster, START_MS};
use crate::disk::{Ending, SimDisk};
use crate::process::{self, Found};
use crate::scheduler;
use crate::seeds::Verdict;

use clients::{Clients, Habits};
use record::{Life, Past};

/// How long the disk fails at most: a save that fails is tried again after seconds, which pass in one event.
const FAULTS_MS_MAX: i64 = 60_000;

/// What is broken on purpose, to see that it is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// In the shards.
    Shard(Fault),
    /// Writes that should be durable when they end are not.
    LyingDisk,
}

pub fn run(seed: u64, planted: Option<Planted>) -> Verdict {
    let mut rng = Rng::new(seed);
    let disk = SimDisk::new(rng.next_u64());
    let strategy = [Fsync::Always, Fsync::Always, Fsync::EverySecond, Fsync::No][rng.below(4) as usize];
    let habits = Habits::any(&mut rng);
    let mut world = World {
        disk,
        strategy,
        habits,
        planted,
        now_ms: START_MS,
        past: Past::default(),
        last: None,
        clients_ever: 0,
    };
    let lives = 2 + rng.below(4);
    for life in 0..lives {
        world.live(&mut rng).map_err(|wrong| world.explain(life, &wrong))?;
    }
    world.find(&mut rng).map(|_| ()).map_err(|wrong| world.explain(lives, &wrong))
}

struct World {
    disk: SimDisk,
    strategy: Fsync,
    habits: Habits,
    planted: Option<Planted>,
    now_ms: i64,
    /// What lives that have ended have left for certain.
    past: Past,
    /// The last life, until a restart has found what is left of it.
    last: Option<Life>,
    clients_ever: u64,
}

impl World {
    fn explain(&self, life: u64, wrong: &str) -> String {
        let trace = self.disk.medium().trace();
        format!(
            "life {life}, {:?}, {:?}: {wrong}\nthe disk's last operations:\n{trace}",
            self.strategy, self.habits
        )
    }

    /// A process starts, serves clients, and ends.
    fn live(&mut self, rng: &mut Rng) -> Verdict {
        let stops = rng.below(6);
        if stops < 2 {
            let operations = [20, 100, 400, 1500][rng.below(4) as usize];
            self.disk.medium().stop_after(rng.below(operations));
        }
        let (mut cluster, generation) = self.start(rng)?;
        let mut clients =
            Clients::enter(&mut cluster, rng, self.habits, &mut self.past, &mut self.clients_ever)?;
        let is_faulty = self.habits.is_faulty && rng.below(3) > 0;
        let (mut events, mut fault_events) = (0, if is_faulty { rng.below(4000) } else { 0 });
        let events_max = [300, 3000, 10_000][rng.below(3) as usize];
        let end_at = if stops == 2 || stops >= 4 { rng.below(events_max) } else { u64::MAX };
        // Nothing that is under way on one shard ends for a while before the end: others go far ahead of it.
        let stall_at = if stops >= 4 { end_at.saturating_sub(rng.below(400)) } else { u64::MAX };
        if is_faulty {
            let mut medium = self.disk.medium();
            let faults = medium.faults();
            faults.write_errors = [0, 30, 200][rng.below(3) as usize];
            faults.sync_errors = [0, 30, 200][rng.below(3) as usize];
        }
        self.disk.medium().faults().short_writes = [0, 0, 4][rng.below(3) as usize];
        let (disk, started_ms) = (self.disk.clone(), cluster.now_ms);
        scheduler::run(&mut cluster, rng, |cluster, rng| {
            events += 1;
            let storage = cluster.storage.as_mut().expect("there is a disk");
            if events == stall_at {
                storage.stalled = Some(rng.below(cluster.shards.len() as u64) as usize);
            }
            storage.is_halted |= events == end_at;
            if fault_events > 0 {
                let is_over = cluster.now_ms > started_ms + FAULTS_MS_MAX;
                fault_events = if is_over { 0 } else { fault_events - 1 };
                let mut medium = disk.medium();
                match rng.below(300) {
                    _ if fault_events == 0 => *medium.faults() = Default::default(),
                    0 => medium.faults().capacity_bytes = Some(rng.below(20_000)),
                    1..=9 => medium.faults().capacity_bytes = None,
                    _ => {}
                }
            }
            clients.listen(cluster, rng)
        })
        .map_err(|wrong| match clients.all_answered(&cluster) {
            Ok(()) => wrong,
            Err(who) => format!("{wrong}; {who}"),
        })?;
        *self.disk.medium().faults() = Default::default();
        let mut is_clean = false;
        let storage = cluster.storage.as_mut().expect("there is a disk");
        storage.is_halted |= storage.stalled.is_some();
        if !cluster.has_ended() {
            clients.all_answered(&cluster)?;
            self.past.agree_with(&mut cluster)?;
            if rng.below(3) == 0 {
                let now_ms = cluster.now_ms;
                cluster.shards.iter_mut().for_each(|shard| shard.finish_log(now_ms));
                scheduler::run(&mut cluster, rng, |_, _| Ok(()))?;
                is_clean = !cluster.has_ended() && !is_faulty;
                if is_clean && !cluster.shards.iter().all(Shard::is_settled) {
                    return Err("the log does not end".into());
                }
            }
        }
        clients.conclude(&cluster)?;
        let mut medium = self.disk.medium();
        // A machine that has failed to write what it holds in memory does not know it any more: restarting the process alone would take
        // for durable what only memory has.
        let ending = if is_faulty || rng.below(2) == 0 { Ending::PowerLost } else { Ending::Killed };
        medium.restart(ending);
        drop(medium);
        self.now_ms = cluster.now_ms + 1 + rng.below(10_000) as i64;
        let holds = self.strategy == Fsync::Always || is_clean;
        self.last = Some(Life::new(generation, &mut cluster, clients, holds, is_clean));
        Ok(())
    }

    /// Starts a process, again while it is ended at once.
    fn start(&mut self, rng: &mut Rng) -> Result<(Cluster, u64), String> {
        loop {
            let found = self.find(rng)?;
            let shards = 1 + rng.below(4) as u16;
            let mut config = process::config(self.strategy);
            config.rewrite_bytes_min = self.habits.rewrite_bytes_min;
            match found.start(&self.disk, shards, &config, self.now_ms, rng) {
                Ok((mut cluster, generation)) => {
                    cluster.storage.as_mut().expect("there is a disk").fills = self.habits.fills;
                    match self.planted {
                        Some(Planted::Shard(fault)) => {
                            cluster.shards.iter_mut().for_each(|shard| shard.plant(fault));
                        }
                        Some(Planted::LyingDisk) => {
                            cluster.storage.as_mut().expect("there is a disk").lies = true;
                        }
                        None => {}
                    }
                    return Ok((cluster, generation));
                }
                Err(error) => self.restart_if_stopped(rng, &error)?,
            }
        }
    }

    /// What a start finds, compared with what the last life left.
    fn find(&mut self, rng: &mut Rng) -> Result<Found, String> {
        loop {
            let recovered = match process::open(&self.disk, self.now_ms) {
                Ok(recovered) => recovered,
                Err(error) => {
                    self.restart_if_stopped(rng, &error)?;
                    continue;
                }
            };
            let before = self.past.clone();
            let last = self.last.take();
            if let Some(life) = &last {
                self.past.settle(life, &recovered)?;
            }
            let found = Found::new(&self.disk, recovered);
            self.past.compare(&found, rng)?;
            if let Some(life) = &last {
                told::check(&before, life, &found)?;
            }
            return Ok(found);
        }
    }

    fn restart_if_stopped(&self, rng: &mut Rng, error: &str) -> Verdict {
        let mut medium = self.disk.medium();
        if !medium.is_stopped() {
            return Err(format!("the process does not start: {error}"));
        }
        medium.restart(if rng.below(2) == 0 { Ending::PowerLost } else { Ending::Killed });
        if rng.below(2) == 0 {
            medium.stop_after(rng.below(60));
        }
        Ok(())
    }
}
