//! XPENDING key group [[IDLE min-idle] start end count [consumer]] — what was delivered and not acknowledged: a summary, or entries
//! with their consumer, the milliseconds since their last delivery, and how often they were delivered.

use crate::base::args::Args;
use crate::commands::cx::{Cx, integer};
use crate::commands::error::{CommandError, Outcome};
use crate::commands::stream::{id, no_group};
use crate::resp::write::Writer;
use crate::store::stream::{Group, Pending, Stream, StreamId};

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    if args.len() != 3 && !(6..=9).contains(&args.len()) {
        return Err(CommandError::Syntax);
    }
    let filter = if args.len() == 3 { None } else { Some(Filter::parse(args)?) };
    let (key, name, touch) = (cx.key(args, 1), args.get(2), cx.touch());
    let stream = cx.keys.view::<Stream>(cx.db, &key, cx.now_ms, touch)?;
    let group = stream.and_then(|stream| stream.group(name)).ok_or_else(|| no_group(key.bytes, name, ""))?;
    match filter {
        None => summary(&mut cx.reply, group),
        Some(filter) => entries(&mut cx.reply, group, &filter, cx.now_ms),
    }
    Ok(())
}

struct Filter<'a> {
    idle_ms: i64,
    start: StreamId,
    end: StreamId,
    count: usize,
    consumer: Option<&'a [u8]>,
}

impl<'a> Filter<'a> {
    fn parse(args: &Args<'a>) -> Result<Filter<'a>, CommandError> {
        let (mut idle_ms, mut at) = (0, 3);
        if args.is(3, "IDLE") {
            idle_ms = integer(args, 4)?;
            if args.len() < 8 {
                return Err(CommandError::Syntax);
            }
            at = 5;
        }
        let count = integer(args, at + 2)?.max(0) as usize;
        let start = id::range_start(args.get(at))?;
        let end = id::range_end(args.get(at + 1))?;
        let consumer = (at + 3 < args.len()).then(|| args.get(at + 3));
        Ok(Filter { idle_ms, start, end, count, consumer })
    }
}

fn summary(reply: &mut Writer<'_>, group: &Group) {
    reply.array(4);
    reply.count(group.pending_len());
    let mut pending = group.pending_in(StreamId::MIN..=StreamId::MAX).map(|(id, _)| id);
    let Some(first) = pending.next() else {
        reply.null();
        reply.null();
        reply.null_array();
        return;
    };
    id::write(reply, first);
    id::write(reply, pending.next_back().unwrap_or(first));
    let consumers = || group.consumers().filter(|consumer| consumer.pending_len() > 0);
    reply.array(consumers().count());
    for consumer in consumers() {
        reply.array(2);
        reply.bulk(consumer.name());
        reply.bulk_integer(consumer.pending_len() as i64);
    }
}

fn entries(reply: &mut Writer<'_>, group: &Group, filter: &Filter<'_>, now_ms: i64) {
    let ids = filter.start..=filter.end;
    // As in Redis, even a negative bound compares.
    let is_idle = |pending: &Pending| {
        filter.idle_ms == 0 || now_ms.saturating_sub(pending.delivered_ms) >= filter.idle_ms
    };
    let is_wanted = |(_, pending): &(StreamId, &Pending)| is_idle(pending);
    let found: Vec<(StreamId, &Pending)> = match filter.consumer {
        None => group.pending_in(ids).filter(is_wanted).take(filter.count).collect(),
        Some(name) => match group.consumer(name) {
            None => Vec::new(),
            Some(consumer) => group.pending_of(consumer, ids).filter(is_wanted).take(filter.count).collect(),
        },
    };
    reply.array(found.len());
    for (id, pending) in found {
        reply.array(4);
        id::write(reply, id);
        reply.bulk(group.owner(pending).name());
        reply.integer(now_ms.saturating_sub(pending.delivered_ms).max(0));
        reply.integer(pending.deliveries as i64);
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, check};

    #[test]
    fn shows_what_is_pending() {
        let mut bench = Bench::default();
        bench.run("XADD s 1 a b | XADD s 2 a b | XADD s 3 a b | XGROUP CREATE s g 0");
        bench.run("XREADGROUP GROUP g c COUNT 1 STREAMS s > | @1s | XREADGROUP GROUP g d STREAMS s > | @3s");
        for (call, expected) in [
            ("XPENDING s g", "[3, 1-0, 3-0, [[c, 1], [d, 2]]]"),
            ("XPENDING s g - + 10", "[[1-0, c, 3000, 1], [2-0, d, 2000, 1], [3-0, d, 2000, 1]]"),
            ("XPENDING s g (1 (3-0 10", "[[2-0, d, 2000, 1]]"),
            ("XPENDING s g - + 1 d", "[[2-0, d, 2000, 1]]"),
            ("XPENDING s g - + 10 nobody", "[]"),
            ("XPENDING s g idle 2001 - + 10", "[[1-0, c, 3000, 1]]"),
            ("XPENDING s g IDLE 2001 - + 10 d", "[]"),
            ("XPENDING s g + - 10", "[]"),
            ("XPENDING s g - + -1", "[]"),
        ] {
            assert_eq!(bench.run(call), expected, "{call}");
        }
    }

    #[test]
    fn checks_in_order() {
        let invalid = "ERR Invalid stream ID specified as stream command argument";
        let syntax = "ERR syntax error";
        check("XPENDING s g - | XPENDING s g - + | XPENDING s g - + 1 c d e f", &[syntax; 3].join(" | "));
        check(
            "XPENDING s g IDLE 1 - + | XPENDING s g IDLE x - +",
            &format!("{syntax} | ERR value is not an integer or out of range"),
        );
        check("XPENDING s g x y z", "ERR value is not an integer or out of range");
        check("XPENDING s g x + 1 | XPENDING s g - y 1", &format!("{invalid} | {invalid}"));
        check(
            "XPENDING s g | XADD s 1 a b | XPENDING s g - + 1",
            "NOGROUP No such key 's' or consumer group 'g' | 1-0 | \
            NOGROUP No such key 's' or consumer group 'g'",
        );
        check(
            "SET k v | XPENDING k g",
            "OK | WRONGTYPE Operation against a key holding the wrong kind of value",
        );
    }
}
