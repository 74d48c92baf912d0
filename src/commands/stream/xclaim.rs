//! XCLAIM key group consumer min-idle id [id ...] [IDLE ms | TIME unix-ms] [RETRYCOUNT n] [FORCE] [JUSTID] [LASTID id] — take pending
//! entries over from whoever has them. Returns them, or their ids. An entry that was deleted is no longer pending.

use crate::base::args::Args;
use crate::base::number::parse_i64;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::commands::stream::{id, no_group, write_entry};
use crate::store::collection::Change;
use crate::store::stream::{Stream, StreamId};

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (key, group, clock, now_ms) = (cx.key(args, 1), args.get(2), cx.clock(), cx.now_ms);
    let stream = cx.keys.peek_view::<Stream>(cx.db, &key, now_ms)?;
    if stream.and_then(|stream| stream.group(group)).is_none() {
        return Err(no_group(key.bytes, group, ""));
    }
    let claim = Claim::parse(args, now_ms)?;
    let reply = &mut cx.reply;
    cx.keys.change(cx.db, &key, now_ms, clock, |stream: &mut Change<'_, Stream>| {
        let claimed = claim.carry_out(stream, now_ms);
        reply.array(claimed.len());
        for id in claimed {
            match stream.view().entry(id) {
                Some(entry) if !claim.wants_ids => write_entry(reply, entry),
                _ => id::write(reply, id),
            }
        }
    })?;
    Ok(())
}

struct Claim<'a> {
    group: &'a [u8],
    consumer: &'a [u8],
    idle_ms_min: i64,
    ids: Vec<StreamId>,
    delivered_ms: i64,
    deliveries: Option<u64>,
    is_forced: bool,
    wants_ids: bool,
    last_id: StreamId,
}

impl<'a> Claim<'a> {
    fn parse(args: &Args<'a>, now_ms: i64) -> Result<Claim<'a>, CommandError> {
        let number = |i: usize, error: &'static str| parse_i64(args.get(i)).ok_or(CommandError::Text(error));
        let idle_ms_min = number(4, "ERR Invalid min-idle-time argument for XCLAIM")?.max(0);
        // What is no id begins the options.
        let ids: Vec<StreamId> = args.iter_from(5).map_while(|word| id::strict(word, 0).ok()).collect();
        let mut i = 5 + ids.len();
        let (group, consumer) = (args.get(2), args.get(3));
        let mut claim = Claim {
            group,
            consumer,
            idle_ms_min,
            ids,
            delivered_ms: now_ms,
            deliveries: None,
            is_forced: false,
            wants_ids: false,
            last_id: StreamId::MIN,
        };
        while i < args.len() {
            let has_more = i + 1 < args.len();
            if args.is(i, "FORCE") {
                claim.is_forced = true;
            } else if args.is(i, "JUSTID") {
                claim.wants_ids = true;
            } else if has_more && args.is(i, "IDLE") {
                i += 1;
                let idle_ms = number(i, "ERR Invalid IDLE option argument for XCLAIM")?;
                claim.delivered_ms = now_ms.wrapping_sub(idle_ms);
            } else if has_more && args.is(i, "TIME") {
                i += 1;
                claim.delivered_ms = number(i, "ERR Invalid TIME option argument for XCLAIM")?;
            } else if has_more && args.is(i, "RETRYCOUNT") {
                i += 1;
                let deliveries = number(i, "ERR Invalid RETRYCOUNT option argument for XCLAIM")?;
                claim.deliveries = u64::try_from(deliveries).ok();
            } else if has_more && args.is(i, "LASTID") {
                i += 1;
                claim.last_id = id::strict(args.get(i), 0)?;
            } else {
                let option = String::from_utf8_lossy(args.get(i));
                return Err(CommandError::Detailed(format!("ERR Unrecognized XCLAIM option '{option}'")));
            }
            i += 1;
        }
        // Times that cannot be are no error: a client may have reckoned with a clock of its own.
        if !(0..=now_ms).contains(&claim.delivered_ms) {
            claim.delivered_ms = now_ms;
        }
        Ok(claim)
    }

    /// Takes the entries over and returns their ids.
    fn carry_out(&self, stream: &mut Change<'_, Stream>, now_ms: i64) -> Vec<StreamId> {
        let &Claim { group: name, consumer, .. } = self;
        let group = stream.view().group(name).expect("it is there");
        if self.last_id > group.last_id {
            let entries_read = group.entries_read;
            stream.set_group(name, self.last_id, entries_read);
        }
        stream.see_consumer(name, consumer, now_ms);
        let mut claimed = Vec::new();
        for &id in &self.ids {
            if stream.view().entry(id).is_none() {
                stream.acknowledge(name, id);
                continue;
            }
            let pending = stream.view().group(name).and_then(|group| group.pending(id)).copied();
            let before = match pending {
                Some(pending) if now_ms.saturating_sub(pending.delivered_ms) >= self.idle_ms_min => {
                    pending.deliveries
                }
                Some(pending) if self.idle_ms_min == 0 => pending.deliveries,
                // As in Redis, a new one counts as delivered already.
                None if self.is_forced => 1,
                _ => continue,
            };
            let deliveries =
                self.deliveries.unwrap_or(if self.wants_ids { before } else { before.saturating_add(1) });
            stream.set_pending(name, id, consumer, self.delivered_ms, deliveries);
            claimed.push(id);
        }
        if !claimed.is_empty() {
            stream.set_consumer(name, consumer, now_ms, Some(now_ms));
        }
        claimed
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, check};

    fn bench() -> Bench {
        let mut bench = Bench::default();
        bench.run("XADD s 1 a b | XADD s 2 a b | XADD s 3 a b | XGROUP CREATE s g 0");
        bench.run("XREADGROUP GROUP g c COUNT 2 STREAMS s > | @5s");
        bench
    }

    #[test]
    fn takes_over() {
        let mut bench = bench();
        assert_eq!(bench.run("XCLAIM s g d 5001 1 2 | XCLAIM s g d 5000 1 3"), "[] | [[1-0, [a, b]]]");
        assert_eq!(bench.run("XPENDING s g - + 9"), "[[1-0, d, 0, 2], [2-0, c, 5000, 1]]");
        assert_eq!(
            bench.run("XCLAIM s g d 0 2 JUSTID | XCLAIM s g c 0 1 RETRYCOUNT 7 IDLE 40"),
            "[2-0] | [[1-0, [a, b]]]"
        );
        assert_eq!(bench.run("XPENDING s g - + 9"), "[[1-0, c, 40, 7], [2-0, d, 0, 1]]");
        assert_eq!(
            bench.run("XCLAIM s g d 0 3 | XCLAIM s g d 0 3 9 FORCE | XCLAIM s g d 0 1 TIME 1"),
            "[] | [[3-0, [a, b]]] | [[1-0, [a, b]]]"
        );
        assert_eq!(
            bench.run("XPENDING s g - + 9"),
            "[[1-0, d, 1700000004999, 8], [2-0, d, 0, 1], [3-0, d, 0, 2]]"
        );
        bench.check_journal();
    }

    #[test]
    fn forgets_deleted_entries() {
        let mut bench = bench();
        assert_eq!(
            bench.run("XDEL s 1 | XCLAIM s g d 99999 1 2 | XPENDING s g"),
            "1 | [] | [1, 2-0, 2-0, [[c, 1]]]"
        );
        assert_eq!(
            bench.run("XINFO CONSUMERS s g"),
            "[[name, c, pending, 1, idle, 5000, inactive, 5000], [name, d, pending, 0, idle, 0, inactive, -1]]"
        );
        bench.check_journal();
    }

    #[test]
    fn moves_the_group_on() {
        let mut bench = bench();
        assert_eq!(
            bench.run("XCLAIM s g d 0 9 LASTID 1-5 | XCLAIM s g d 0 9 LASTID 9-5 | XINFO GROUPS s"),
            "[] | [] | [[name, g, consumers, 2, pending, 2, last-delivered-id, 9-5, entries-read, 2, lag, 1]]"
        );
        bench.check_journal();
    }

    #[test]
    fn checks_in_order() {
        check("XCLAIM s g c x 1", "NOGROUP No such key 's' or consumer group 'g'");
        check(
            "SET k v | XCLAIM k g c x 1",
            "OK | WRONGTYPE Operation against a key holding the wrong kind of value",
        );
        for (words, error) in [
            ("x 1 FOO", "ERR Invalid min-idle-time argument for XCLAIM"),
            ("-1 1 FOO", "ERR Unrecognized XCLAIM option 'FOO'"),
            ("0 1 IDLE", "ERR Unrecognized XCLAIM option 'IDLE'"),
            ("0 1 IDLE x", "ERR Invalid IDLE option argument for XCLAIM"),
            ("0 1 TIME x", "ERR Invalid TIME option argument for XCLAIM"),
            ("0 1 RETRYCOUNT x", "ERR Invalid RETRYCOUNT option argument for XCLAIM"),
            ("0 1 LASTID x", "ERR Invalid stream ID specified as stream command argument"),
            ("0 1 JUSTID 2", "ERR Unrecognized XCLAIM option '2'"),
        ] {
            check(&format!("XGROUP CREATE s g 0 MKSTREAM | XCLAIM s g c {words}"), &format!("OK | {error}"));
        }
    }
}
