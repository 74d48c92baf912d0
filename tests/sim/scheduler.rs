//! Decides which event happens next, by the seed alone. Time passes at random while there is work, and jumps to the next tick
//! when there is none.

use corevault::base::rng::Rng;

use crate::cluster::{Cluster, READ_BYTES_MAX};

/// More events than any simulation needs: past them, something goes round in circles.
const EVENTS_MAX: usize = 400_000;

/// How long a simulation may take by its own clock: longer than any pause or stall in a workload.
const DURATION_MS_MAX: i64 = 1_000_000;

/// What one run is inclined to. Each run has its own habits: choices that are even everywhere seldom pile anything up.
struct Habits {
    /// The most bytes of a read or a send; none for every size.
    portion_bytes_max: Option<u64>,
    /// How often input, sends and messages go ahead when they could, in quarters.
    eagerness: [u64; 3],
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Input(usize),
    EndOfInput(usize),
    Send(usize),
    Message(usize, usize),
    Turn(usize),
    Time,
}

/// Runs the cluster until nothing can happen any more, not even by waiting. `after_event` looks at it after each event, and
/// may also make clients connect.
pub fn run(
    cluster: &mut Cluster,
    rng: &mut Rng,
    mut after_event: impl FnMut(&mut Cluster, &mut Rng) -> Result<(), String>,
) -> Result<(), String> {
    let started_ms = cluster.now_ms;
    let habits = Habits::new(rng);
    let mut events = Vec::new();
    for _ in 0..EVENTS_MAX {
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
            _ => habits.choose(rng, &events),
        };
        happen(cluster, rng, &habits, event);
        after_event(cluster, rng)?;
    }
    Err(format!("still busy after {EVENTS_MAX} events"))
}

impl Habits {
    fn new(rng: &mut Rng) -> Habits {
        let portion_bytes_max = [None, Some(100), Some(1000), Some(100_000)][rng.below(4) as usize];
        Habits { portion_bytes_max, eagerness: [(); 3].map(|()| 1 + rng.below(4)) }
    }

    fn choose(&self, rng: &mut Rng, events: &[Event]) -> Event {
        loop {
            let event = events[rng.below(events.len() as u64) as usize];
            let eagerness = match event {
                Event::Input(_) | Event::EndOfInput(_) => self.eagerness[0],
                Event::Send(_) => self.eagerness[1],
                Event::Message(..) => self.eagerness[2],
                Event::Turn(_) | Event::Time => 4,
            };
            if rng.below(4) < eagerness {
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
        Event::Turn(shard) => return cluster.carry_out(shard),
        Event::Time => {
            cluster.now_ms += rng.below(20) as i64;
            return tick_all(cluster);
        }
    };
    // A turn often takes several events before it carries anything out.
    if rng.below(2) == 0 {
        cluster.carry_out(shard);
    }
}

fn tick_all(cluster: &mut Cluster) {
    for shard in 0..cluster.shards.len() {
        if cluster.now_ms >= cluster.shards[shard].next_tick_ms() {
            cluster.tick(shard);
        }
    }
}
