//! XAUTOCLAIM key group consumer min-idle start [COUNT n] [JUSTID] — take over what is pending from `start` on and idle for long
//! enough. Returns where to go on, the entries or their ids, and the ids of entries that were deleted and are no longer pending.

use crate::base::args::Args;
use crate::base::number::parse_i64;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::commands::stream::{id, no_group, write_entry};
use crate::store::collection::Change;
use crate::store::stream::{Pending, Stream, StreamId};

const COUNT_DEFAULT: u64 = 100;
/// Redis's bound: the ids of that many entries fit its memory.
const COUNT_MAX: u64 = i64::MAX as u64 / 16;
/// Pending entries looked at for each one that may be returned.
const LOOKS: u64 = 10;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let options = Options::parse(args)?;
    let (key, name, consumer) = (cx.key(args, 1), args.get(2), args.get(3));
    let (clock, now_ms) = (cx.clock(), cx.now_ms);
    let reply = &mut cx.reply;
    let is_there = cx.keys.change(cx.db, &key, now_ms, clock, |stream: &mut Change<'_, Stream>| {
        if stream.view().group(name).is_none() {
            return false;
        }
        stream.see_consumer(name, consumer, now_ms);
        let Found { claimed, deleted, next } = options.find(stream.view(), name, now_ms);
        for &id in &deleted {
            stream.acknowledge(name, id);
        }
        for (id, before) in &claimed {
            let deliveries = before.deliveries.saturating_add(u64::from(!options.wants_ids));
            stream.set_pending(name, *id, consumer, now_ms, deliveries);
        }
        if !claimed.is_empty() {
            stream.set_consumer(name, consumer, now_ms, Some(now_ms));
        }
        reply.array(3);
        id::write(reply, next);
        reply.array(claimed.len());
        for (id, _) in claimed {
            match stream.view().entry(id) {
                Some(entry) if !options.wants_ids => write_entry(reply, entry),
                _ => id::write(reply, id),
            }
        }
        reply.array(deleted.len());
        deleted.into_iter().for_each(|id| id::write(reply, id));
        true
    })?;
    if is_there == Some(true) { Ok(()) } else { Err(no_group(key.bytes, name, "")) }
}

struct Options {
    idle_ms_min: i64,
    start: StreamId,
    count: u64,
    wants_ids: bool,
}

/// What a look at the pending entries found.
struct Found {
    claimed: Vec<(StreamId, Pending)>,
    deleted: Vec<StreamId>,
    /// The pending entry behind them; 0-0 if there is none.
    next: StreamId,
}

impl Options {
    fn parse(args: &Args<'_>) -> Result<Options, CommandError> {
        let idle_ms_min = parse_i64(args.get(4))
            .ok_or(CommandError::Text("ERR Invalid min-idle-time argument for XAUTOCLAIM"))?
            .max(0);
        let start = id::range_start(args.get(5))?;
        let mut options = Options { idle_ms_min, start, count: COUNT_DEFAULT, wants_ids: false };
        let mut i = 6;
        while i < args.len() {
            if args.is(i, "COUNT") && i + 1 < args.len() {
                let count = parse_i64(args.get(i + 1)).and_then(|count| u64::try_from(count).ok());
                options.count = count
                    .filter(|count| (1..=COUNT_MAX).contains(count))
                    .ok_or(CommandError::Text("ERR COUNT must be > 0"))?;
                i += 1;
            } else if args.is(i, "JUSTID") {
                options.wants_ids = true;
            } else {
                return Err(CommandError::Syntax);
            }
            i += 1;
        }
        Ok(options)
    }

    fn find(&self, stream: &Stream, group: &[u8], now_ms: i64) -> Found {
        let group = stream.group(group).expect("it is there");
        let mut found = Found { claimed: Vec::new(), deleted: Vec::new(), next: StreamId::MIN };
        let (mut count, mut looks) = (self.count, self.count.saturating_mul(LOOKS));
        for (id, pending) in group.pending_in(self.start..=StreamId::MAX) {
            if count == 0 || looks == 0 {
                found.next = id;
                break;
            }
            looks -= 1;
            if stream.entry(id).is_none() {
                found.deleted.push(id);
            } else if self.idle_ms_min == 0 || now_ms.saturating_sub(pending.delivered_ms) >= self.idle_ms_min
            {
                found.claimed.push((id, *pending));
            } else {
                continue;
            }
            count -= 1;
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, check};

    fn bench() -> Bench {
        let mut bench = Bench::default();
        bench.run("XADD s 1 a b | XADD s 2 a b | XADD s 3 a b | XADD s 4 a b | XGROUP CREATE s g 0");
        bench.run("XREADGROUP GROUP g c STREAMS s > | @5s");
        bench
    }

    #[test]
    fn takes_over_step_by_step() {
        let mut bench = bench();
        assert_eq!(bench.run("XAUTOCLAIM s g d 5001 -"), "[0-0, [], []]");
        assert_eq!(bench.run("XAUTOCLAIM s g d 0 - COUNT 2"), "[3-0, [[1-0, [a, b]], [2-0, [a, b]]], []]");
        assert_eq!(bench.run("XAUTOCLAIM s g d 1000 0 COUNT 1 JUSTID"), "[4-0, [3-0], []]");
        assert_eq!(bench.run("XAUTOCLAIM s g d 1000 (3 JUSTID"), "[0-0, [4-0], []]");
        assert_eq!(
            bench.run("XPENDING s g - + 9 d"),
            "[[1-0, d, 0, 2], [2-0, d, 0, 2], [3-0, d, 0, 1], [4-0, d, 0, 1]]"
        );
        bench.check_journal();
    }

    #[test]
    fn forgets_deleted_entries() {
        let mut bench = bench();
        assert_eq!(bench.run("XDEL s 1 3 | XAUTOCLAIM s g d 99999 - COUNT 1"), "2 | [2-0, [], [1-0]]");
        assert_eq!(
            bench.run("XAUTOCLAIM s g d 0 2 | XPENDING s g"),
            "[0-0, [[2-0, [a, b]], [4-0, [a, b]]], [3-0]] | [2, 2-0, 4-0, [[d, 2]]]"
        );
        bench.check_journal();
    }

    #[test]
    fn looks_at_ten_times_as_many() {
        let mut bench = Bench::default();
        bench.run("XGROUP CREATE s g 0 MKSTREAM");
        (1..=12).for_each(|i| drop(bench.run(&format!("XADD s {i} a b"))));
        bench.run("XREADGROUP GROUP g c STREAMS s >");
        assert_eq!(bench.run("XAUTOCLAIM s g d 5 - COUNT 1"), "[11-0, [], []]");
    }

    #[test]
    fn checks_in_order() {
        for (words, error) in [
            ("x x FOO", "ERR Invalid min-idle-time argument for XAUTOCLAIM"),
            ("0 x FOO", "ERR Invalid stream ID specified as stream command argument"),
            ("0 (18446744073709551615-18446744073709551615", "ERR invalid start ID for the interval"),
            ("0 0 FOO", "ERR syntax error"),
            ("0 0 COUNT", "ERR syntax error"),
            ("0 0 COUNT 0", "ERR COUNT must be > 0"),
            ("0 0 COUNT x", "ERR COUNT must be > 0"),
            ("0 0 COUNT 576460752303423488", "ERR COUNT must be > 0"),
            ("0 0", "NOGROUP No such key 's' or consumer group 'g'"),
        ] {
            check(&format!("XAUTOCLAIM s g c {words}"), error);
            check(&format!("XADD s 1 a b | XAUTOCLAIM s g c {words}"), &format!("1-0 | {error}"));
        }
        check(
            "SET k v | XAUTOCLAIM k g c 0 0",
            "OK | WRONGTYPE Operation against a key holding the wrong kind of value",
        );
    }
}
