//! The open loop's schedule: which request is due when, and on which connection. Latency is counted from the
//! moment a request was due, whether or not it could be sent then; a stall therefore shows in every request that
//! was due meanwhile, not only in the one that met it ("coordinated omission").
//! Pure: it is told the time and never reads a clock, and knows nothing of sockets.

/// The evenly spaced moments of one thread's share of the rate. The threads' shares interleave.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    pub rate: u64,
    pub threads: u64,
    pub thread: u64,
}

impl Schedule {
    /// When this thread's request number `index` is due, in nanoseconds after the start.
    pub fn due_ns(&self, index: u64) -> u64 {
        let global = u128::from(index) * u128::from(self.threads) + u128::from(self.thread);
        (global * 1_000_000_000 / u128::from(self.rate)) as u64
    }
}

/// Deals a schedule out to connections ("lanes") in turn: lane `l` of `n` gets requests l, l+n, l+2n, ...
pub struct Pacer {
    schedule: Schedule,
    depth_max: u64,
    ends_ns: u64,
    next: u64,
    owed_total: u64,
    lanes: Vec<Lane>,
}

/// How many of a lane's requests are due, sent, and answered.
#[derive(Debug, Default, Clone, Copy)]
struct Lane {
    due: u64,
    sent: u64,
    answered: u64,
}

impl Pacer {
    /// Nothing is due from `ends_ns` on. At most `depth_max` requests are unanswered on one lane; more wait, late.
    pub fn new(schedule: Schedule, lanes: usize, depth_max: usize, ends_ns: u64) -> Self {
        let lanes = vec![Lane::default(); lanes];
        Self { schedule, depth_max: depth_max as u64, ends_ns, next: 0, owed_total: 0, lanes }
    }

    /// When the next request is due; `None` after the last one.
    pub fn next_due_ns(&self) -> Option<u64> {
        Some(self.schedule.due_ns(self.next)).filter(|due_ns| *due_ns < self.ends_ns)
    }

    /// Counts everything that is due by now and adds the lanes it fell to, once per request, to `touched`.
    pub fn advance(&mut self, now_ns: u64, touched: &mut Vec<usize>) {
        while self.next_due_ns().is_some_and(|due_ns| due_ns <= now_ns) {
            let lane = (self.next % self.lanes.len() as u64) as usize;
            self.lanes[lane].due += 1;
            self.owed_total += 1;
            self.next += 1;
            touched.push(lane);
        }
    }

    /// How many requests may go out on a lane now; they count as sent.
    pub fn take(&mut self, lane: usize) -> usize {
        let lane = &mut self.lanes[lane];
        let count = (lane.due - lane.sent).min(self.depth_max - (lane.sent - lane.answered));
        lane.sent += count;
        count as usize
    }

    /// Counts `count` answers on a lane, in order, and tells for each when it had been due.
    pub fn answered(&mut self, lane: usize, count: usize, mut each_due_ns: impl FnMut(u64)) {
        let lanes = self.lanes.len() as u64;
        let state = &mut self.lanes[lane];
        for turn in state.answered..state.answered + count as u64 {
            each_due_ns(self.schedule.due_ns(turn * lanes + lane as u64));
        }
        state.answered += count as u64;
        self.owed_total -= count as u64;
        debug_assert!(state.answered <= state.sent);
    }

    /// Requests that are due and have no answer, on all lanes.
    pub fn owed_total(&self) -> u64 {
        self.owed_total
    }

    /// Forgets what is due on a lane whose connection broke, and says how many requests that was.
    pub fn abandon(&mut self, lane: usize) -> u64 {
        let lane = &mut self.lanes[lane];
        let owed = lane.due - lane.answered;
        (lane.sent, lane.answered) = (lane.due, lane.due);
        self.owed_total -= owed;
        owed
    }

    /// Ends the schedule early.
    pub fn end_at(&mut self, now_ns: u64) {
        self.ends_ns = self.ends_ns.min(now_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::Recorder;

    const MS: u64 = 1_000_000;

    #[test]
    fn threads_interleave_into_one_even_rate() {
        let due = |thread, index| Schedule { rate: 1000, threads: 2, thread }.due_ns(index);
        assert_eq!([due(0, 0), due(1, 0), due(0, 1), due(1, 1)], [0, MS, 2 * MS, 3 * MS]);
        // No drift: the millionth request of 3 per second is due to the nanosecond.
        assert_eq!(Schedule { rate: 3, threads: 1, thread: 0 }.due_ns(3_000_000), 1_000_000_000_000_000);
    }

    #[test]
    fn depth_holds_back_but_the_due_time_stays() {
        let mut pacer = Pacer::new(Schedule { rate: 1000, threads: 1, thread: 0 }, 2, 1, 5 * MS);
        let mut touched = Vec::new();
        pacer.advance(10 * MS, &mut touched);
        assert_eq!(touched, [0, 1, 0, 1, 0], "five requests, dealt in turn, and none after the end");
        assert_eq!(pacer.next_due_ns(), None);
        assert_eq!((pacer.take(0), pacer.take(0), pacer.take(1)), (1, 0, 1));
        let mut due = Vec::new();
        pacer.answered(0, 1, |due_ns| due.push(due_ns));
        assert_eq!(pacer.take(0), 1);
        pacer.answered(0, 1, |due_ns| due.push(due_ns));
        assert_eq!(due, [0, 2 * MS]);
        assert_eq!(pacer.owed_total(), 3);
        assert_eq!((pacer.abandon(1), pacer.abandon(1)), (2, 0), "a broken connection owes nothing twice");
        assert_eq!((pacer.owed_total(), pacer.take(1)), (1, 0));
    }

    /// A server that answers at once but stalls from 500 ms to 600 ms, under a clock that steps by 100 us.
    #[test]
    fn a_stall_shows_in_every_request_that_was_due_meanwhile() {
        const RATE: u64 = 10_000;
        let mut pacer = Pacer::new(Schedule { rate: RATE, threads: 1, thread: 0 }, 4, 1, 1000 * MS);
        let mut recorder = Recorder::new();
        let mut closed_loop_would_see = 0;
        let mut unanswered = [0; 4];
        let mut now_ns = 0;
        while pacer.next_due_ns().is_some() || pacer.owed_total() > 0 {
            pacer.advance(now_ns, &mut Vec::new());
            let stalled = (500 * MS..600 * MS).contains(&now_ns);
            for (lane, unanswered) in unanswered.iter_mut().enumerate() {
                let in_flight = pacer.take(lane);
                closed_loop_would_see += usize::from(stalled) * in_flight;
                *unanswered += in_flight;
                // What was sent into the stall is answered after it; then the backlog follows, one by one.
                while !stalled && *unanswered > 0 {
                    pacer.answered(lane, 1, |due_ns| recorder.latency(now_ns - due_ns, 1));
                    *unanswered = pacer.take(lane);
                }
            }
            now_ns += MS / 10;
        }
        assert_eq!(recorder.latencies(), RATE);
        assert_eq!(closed_loop_would_see, 4, "one per connection");
        // 1000 of 10,000 requests were due during the stall; their latencies are spread evenly over 0-100 ms.
        let ms = |quantile: f64| recorder.quantile_us(quantile) / 1000.0;
        assert!(ms(0.5) < 0.2, "{}", ms(0.5));
        assert!((45.0..55.0).contains(&ms(0.95)), "{}", ms(0.95));
        assert!((85.0..95.0).contains(&ms(0.99)), "{}", ms(0.99));
        assert!((98.0..=101.0).contains(&ms(0.999)), "{}", ms(0.999));
    }
}
