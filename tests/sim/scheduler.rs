//! Decides which event happens next, by the seed alone. Time passes at random while there is work, and jumps to the next tick
//! when there is none.

use corevault::base::rng::Rng;

use crate::cluster::{Cluster, READ_BYTES_MAX};
use crate::disk::Ticket;

/// More events than any simulation needs: past them, something goes round in circles.
const EVENTS_MAX: usize = 400_000;

/// How long a simulation may take by its own clock: longer than any pause or stall in a workload.
const DURATION_MS_MAX: i64 = 1_000_000;

/// How often an event goes ahead although the run's temper is against it: one time in so many.
const AGAINST_TEMPER: u64 = 64;

/// What one run is inclined to. Each run has its own habits: choices that are even everywhere seldom pile anything up.
struct Habits {
    temper: Temper,
    /// The most bytes of a read or a send; none for every size.
    portion_bytes_max: Option<u64>,
    /// How often input, sends and messages, and with a disk the ends of requests, the keeper and what is not urgent, go ahead when they
    /// could, in quarters.
    eagerness: [u64; 6],
}

/// Whether anybody is treated worse than others, which is how orders come about that chance alone hardly ever makes.
enum Temper {
    /// Nobody.
    Even,
    /// A shard or a channel is left aside, until it is another's turn.
    Starving(Victim),
    /// Everything has a rank, drawn by lot, and what ranks first goes first; now and then the lots are drawn again. (After Burckhardt
    /// et al. 2010: a bug that takes few changes of rank is found with a good probability.)
    Ranking(u64),
}

#[derive(Clone, Copy)]
enum Victim {
    Shard(usize),
    Channel(usize, usize),
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Input(usize),
    EndOfInput(usize),
    Send(usize),
    Message(usize, usize),
    Disk(Ticket),
    /// The keeper reads.
    Keeper,
    /// A shard hears from the keeper.
    FromKeeper(usize),
    Work(usize),
    Turn(usize),
    Time,
}

/// Runs the cluster until its process ends, or nothing can happen any more, not even by waiting. `after_event` looks at it after each
/// event, and may also make clients connect.
pub fn run(
    cluster: &mut Cluster,
    rng: &mut Rng,
    mut after_event: impl FnMut(&mut Cluster, &mut Rng) -> Result<(), String>,
) -> Result<(), String> {
    let started_ms = cluster.now_ms;
    let mut habits = Habits::new(rng, cluster);
    let mut events = Vec::new();
    for _ in 0..EVENTS_MAX {
        if cluster.has_ended() {
            return Ok(());
        }
        list(cluster, &mut events);
        if events.is_empty() {
            // Wishes that no turn has carried out yet may make new events; only after that does time decide.
            (0..cluster.shards.len()).for_each(|shard| cluster.carry_out(shard));
            list(cluster, &mut events);
        }
        if events.is_empty() {
            let next_ms = cluster.next_tick_ms();
            if next_ms == i64::MAX {
                after_event(cluster, rng)?;
                list(cluster, &mut events);
                if events.is_empty() {
                    return Ok(());
                }
                continue;
            }
            cluster.now_ms = cluster.now_ms.max(next_ms);
            if cluster.now_ms - started_ms > DURATION_MS_MAX {
                return Err("time passes and nothing happens".into());
            }
            tick_all(cluster);
            continue;
        }
        let event = match rng.below(8) {
            0 => Event::Turn(rng.below(cluster.shards.len() as u64) as usize),
            1 if rng.below(4) == 0 => Event::Time,
            _ => habits.choose(cluster, rng, &events),
        };
        happen(cluster, rng, &habits, event);
        after_event(cluster, rng)?;
    }
    Err(format!("still busy after {EVENTS_MAX} events"))
}

impl Habits {
    fn new(rng: &mut Rng, cluster: &Cluster) -> Habits {
        let shards = cluster.shards.len();
        let portion_bytes_max = [None, Some(100), Some(1000), Some(100_000)][rng.below(4) as usize];
        let mut eagerness = [4; 6];
        let kinds = if cluster.storage.is_some() { 6 } else { 3 };
        eagerness[..kinds].iter_mut().for_each(|eagerness| *eagerness = 1 + rng.below(4));
        let temper = match rng.below(3) {
            0 => Temper::Even,
            1 => Temper::Starving(Victim::any(rng, shards)),
            _ => Temper::Ranking(rng.next_u64()),
        };
        Habits { temper, portion_bytes_max, eagerness }
    }

    fn choose(&mut self, cluster: &Cluster, rng: &mut Rng, events: &[Event]) -> Event {
        match &mut self.temper {
            Temper::Starving(victim) if rng.below(150) == 0 => {
                *victim = Victim::any(rng, cluster.shards.len());
            }
            Temper::Ranking(lots) => {
                if rng.below(40) == 0 {
                    *lots = rng.next_u64();
                }
                let first = events.iter().min_by_key(|event| event.rank(*lots)).expect("there are events");
                if rng.below(AGAINST_TEMPER) > 0 {
                    return *first;
                }
            }
            _ => {}
        }
        loop {
            let event = events[rng.below(events.len() as u64) as usize];
            let eagerness = match event {
                Event::Input(_) | Event::EndOfInput(_) => self.eagerness[0],
                Event::Send(_) => self.eagerness[1],
                Event::Message(..) => self.eagerness[2],
                Event::Disk(_) => self.eagerness[3],
                Event::Keeper | Event::FromKeeper(_) => self.eagerness[4],
                Event::Work(_) => self.eagerness[5],
                Event::Turn(_) | Event::Time => 4,
            };
            let is_starved = match &self.temper {
                Temper::Starving(victim) => victim.has(cluster, event) && rng.below(AGAINST_TEMPER) > 0,
                _ => false,
            };
            if !is_starved && rng.below(4) < eagerness {
                return event;
            }
        }
    }

    /// A part of `whole` bytes, at least one.
    fn portion(&self, rng: &mut Rng, whole: usize) -> usize {
        let bound = match (self.portion_bytes_max, rng.below(4)) {
            (Some(bytes_max), _) => bytes_max,
            (None, 0) => 1,
            (None, 1) => 30,
            (None, 2) => 500,
            (None, _) => return whole,
        };
        1 + rng.below(bound.min(whole as u64)) as usize
    }
}

impl Victim {
    fn any(rng: &mut Rng, shards: usize) -> Victim {
        let mut shard = || rng.below(shards as u64) as usize;
        let (a, b) = (shard(), shard());
        if a == b { Victim::Shard(a) } else { Victim::Channel(a, b) }
    }

    /// Whether the event would do something for the victim.
    fn has(self, cluster: &Cluster, event: Event) -> bool {
        let of_shard = match event {
            Event::Input(n) | Event::EndOfInput(n) | Event::Send(n) => cluster.sockets[n].shard,
            Event::Message(_, shard) | Event::Turn(shard) => shard,
            Event::Work(shard) | Event::FromKeeper(shard) => shard,
            Event::Disk(ticket) => cluster.shard_of(ticket),
            Event::Time | Event::Keeper => return false,
        };
        match (self, event) {
            (Victim::Shard(shard), _) => shard == of_shard,
            (Victim::Channel(from, to), Event::Message(a, b)) => (from, to) == (a, b),
            (Victim::Channel(..), _) => false,
        }
    }
}

impl Event {
    /// The place of what the event belongs to, a socket's direction or a channel, in the order that the lots give.
    fn rank(self, lots: u64) -> u64 {
        let (kind, a, b) = match self {
            Event::Input(n) | Event::EndOfInput(n) => (0, n, 0),
            Event::Send(n) => (1, n, 0),
            Event::Message(from, to) => (2, from, to),
            Event::Turn(shard) => (3, shard, 0),
            Event::Time => (4, 0, 0),
            Event::Disk(ticket) => (5, ticket.0 as usize % 64, 0),
            Event::Keeper => (6, 0, 0),
            Event::FromKeeper(shard) => (7, shard, 0),
            Event::Work(shard) => (8, shard, 0),
        };
        Rng::new(lots ^ (kind << 40 | (a as u64) << 20 | b as u64)).next_u64()
    }
}

/// Everything that could happen now, apart from turns and time.
fn list(cluster: &Cluster, events: &mut Vec<Event>) {
    events.clear();
    events.extend(cluster.ready_channels().map(|(from, to)| Event::Message(from, to)));
    if cluster.has_undelivered() {
        events.extend((0..cluster.shards.len()).map(Event::Turn));
    }
    for (n, socket) in cluster.sockets.iter().enumerate().filter(|(_, socket)| !socket.is_closed) {
        if socket.deliverable() > 0 {
            events.push(Event::Input(n));
        }
        if socket.can_end() {
            events.push(Event::EndOfInput(n));
        }
        if socket.can_send() {
            events.push(Event::Send(n));
        }
    }
    if let Some(storage) = &cluster.storage {
        events.extend(storage.under_way().map(Event::Disk));
        events.extend(storage.keeper_has_work().then_some(Event::Keeper));
        let told = (0..cluster.shards.len()).filter(|&shard| storage.sent_to(shard).is_some());
        events.extend(told.map(Event::FromKeeper));
        events.extend(cluster.workers().map(Event::Work));
    }
}

fn happen(cluster: &mut Cluster, rng: &mut Rng, habits: &Habits, event: Event) {
    let shard = match event {
        Event::Input(n) => {
            let bytes = habits.portion(rng, cluster.sockets[n].deliverable().min(READ_BYTES_MAX));
            cluster.deliver_input(n, bytes);
            cluster.sockets[n].shard
        }
        Event::EndOfInput(n) => {
            let is_broken = cluster.sockets[n].has_vanished() && rng.below(2) == 0;
            cluster.end_input(n, is_broken);
            cluster.sockets[n].shard
        }
        Event::Send(n) => {
            let (replies, gone) = cluster.sockets[n].sending.as_ref().expect("a send is in flight");
            let bytes = habits.portion(rng, replies.len() - gone);
            cluster.report_send(n, bytes);
            cluster.sockets[n].shard
        }
        Event::Message(from, to) => {
            cluster.deliver_message(from, to);
            to
        }
        Event::Disk(ticket) => {
            let shard = cluster.shard_of(ticket);
            cluster.complete(ticket);
            shard
        }
        Event::Keeper => return cluster.keep(),
        Event::FromKeeper(shard) => {
            cluster.hear_keeper(shard);
            shard
        }
        Event::Work(shard) => {
            cluster.work(shard);
            return cluster.carry_out(shard);
        }
        Event::Turn(shard) => return cluster.carry_out(shard),
        Event::Time => {
            cluster.now_ms += rng.below(20) as i64;
            return tick_all(cluster);
        }
    };
    cluster.rouse(shard);
    // A turn often takes several events before it carries anything out.
    if rng.below(2) == 0 {
        cluster.carry_out(shard);
    }
}

fn tick_all(cluster: &mut Cluster) {
    for shard in 0..cluster.shards.len() {
        if cluster.now_ms >= cluster.shards[shard].next_tick_ms() {
            cluster.tick(shard);
            cluster.rouse(shard);
        }
    }
}
