//! How many reads a shard waits for when it has nothing to do, and for how long. Knows counts and times alone.
//!
//! Falling asleep and waking up cost a shard more than a read does. With one or two clients every read is worth it. With many, the next
//! ones are only microseconds away, so a shard that waits for several of them at once sleeps less often and works longer each time, with
//! fewer system calls. The reads of the last millisecond tell how many will come while it waits.

use std::time::Duration;

/// The longest time a read waits for others. Only a shard with nothing to do waits at all.
pub const PATIENCE: Duration = Duration::from_micros(80);
/// Reads of one millisecond for each read that is waited for: as many as come within `PATIENCE`.
const READS_EACH: usize = 12;
/// Clients that must be active for each read that is waited for: of few clients, those that wait may be all there are.
const CLIENTS_EACH: usize = 8;

/// The reads of this millisecond and of the one before.
#[derive(Debug, Default)]
pub struct Pace {
    now_ms: i64,
    reads: usize,
    clients: usize,
    /// How many reads to wait for, by what the millisecond before was like.
    wanted: usize,
}

impl Pace {
    /// The time is now this one, Unix milliseconds.
    #[inline]
    pub fn advance(&mut self, now_ms: i64) {
        if now_ms != self.now_ms {
            // A millisecond without a read says nothing about the next one.
            let is_next = now_ms == self.now_ms + 1;
            self.wanted =
                if is_next { (self.reads / READS_EACH).min(self.clients / CLIENTS_EACH) } else { 0 };
            (self.now_ms, self.reads, self.clients) = (now_ms, 0, 0);
        }
    }

    /// A read has come from a client whose last one was at `last_ms`.
    #[inline]
    pub fn note(&mut self, last_ms: i64) {
        self.reads += 1;
        self.clients += usize::from(last_ms != self.now_ms);
    }

    /// How many reads to wait for: 1 unless many more are on their way.
    #[inline]
    pub fn wanted(&self) -> usize {
        self.wanted.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a shard waits for after milliseconds with these reads from so many clients in turn.
    fn wanted(milliseconds: &[(usize, usize)]) -> usize {
        let mut pace = Pace::default();
        let mut last_ms = [0; 100];
        for (n, &(reads, clients)) in milliseconds.iter().enumerate() {
            let now_ms = 1000 + n as i64;
            pace.advance(now_ms);
            for read in 0..reads {
                pace.note(std::mem::replace(&mut last_ms[read % clients], now_ms));
            }
        }
        pace.advance(1000 + milliseconds.len() as i64);
        pace.wanted()
    }

    #[test]
    fn waits_for_several_only_where_many_come_from_many() {
        assert_eq!(wanted(&[]), 1);
        assert_eq!(wanted(&[(90, 50)]), 6);
        assert_eq!(wanted(&[(90, 20)]), 2, "of twenty clients, two");
        assert_eq!(wanted(&[(90, 8)]), 1);
        assert_eq!(wanted(&[(90, 1)]), 1);
        assert_eq!(wanted(&[(20, 20)]), 1);
        assert_eq!(wanted(&[(90, 50), (3, 3)]), 1, "only the last millisecond counts");
        let mut pace = Pace::default();
        pace.advance(1);
        (0..90).for_each(|_| pace.note(0));
        pace.advance(5);
        assert_eq!(pace.wanted(), 1, "a pause ends it");
    }
}
