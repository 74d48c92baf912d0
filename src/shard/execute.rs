//! The one place that runs a command: run → turn a refusal into its text and count it. Also the prefetch over a batch, and the
//! calls that other shards send. Never parses and never decides where a command belongs.
//!
//! # Prefetch
//!
//! With millions of keys a random lookup waits on memory: for the head of the slot's table, the table's group, the entry. Before
//! a batch runs, a first pass fetches the heads of all its tables, and a second finds every entry by its 16 hash bits, without
//! touching it, and fetches it. The misses of one batch overlap instead of following each other.

use crate::base::args::{Args, Span};
use crate::base::limits::PREFETCH_BATCH;
use crate::base::slot::Slot;
use crate::commands::cx::{Caller, Cx};
use crate::commands::gather::{self, Part};
use crate::commands::session::Server;
use crate::commands::table::{Keys, Spread, Table};
use crate::resp::write::Writer;
use crate::shard::mesh::{Call, Calls, Message, Stage, words_of};
use crate::shard::{Shard, flight};
use crate::store::keyspace::{Key, Keyspace};

/// What commands run against: everything of a shard but its clients.
pub(super) struct Core {
    pub table: Table,
    pub keys: Keyspace,
    pub server: Server,
    /// For each slot, the shard that owns it.
    pub owners: Vec<u16>,
}

impl Core {
    /// The shard that owns a slot.
    #[inline]
    pub fn owner(&self, slot: Slot) -> u16 {
        self.owners[slot.index()]
    }

    #[inline]
    fn cx<'a>(&'a mut self, call: &Call, out: &'a mut Vec<u8>, caller: Caller, now_ms: i64) -> Cx<'a> {
        let located = match self.table.row(call.row).keys {
            Keys::None => None,
            Keys::At { first, .. } => Slot::new(call.slot).map(|slot| (usize::from(first), slot, call.hash)),
        };
        let bytes_max = self.server.config.reply_bytes_max;
        Cx {
            table: &self.table,
            keys: &mut self.keys,
            server: &mut self.server,
            reply: Writer::new(out, call.protocol).bounded(bytes_max),
            db: call.db,
            now_ms,
            caller,
            located,
        }
    }
}

/// Runs one command and appends its reply, which is an error if it refused. Whether the reply stays within the hard limit; if
/// not, it is cut and must not be sent.
#[inline]
pub(super) fn run(
    core: &mut Core,
    call: &Call,
    args: &Args<'_>,
    out: &mut Vec<u8>,
    caller: Caller,
    now_ms: i64,
) -> bool {
    let before = out.len();
    let run = core.table.row(call.row).run;
    let mut cx = core.cx(call, out, caller, now_ms);
    let outcome = run(&mut cx, args);
    let fits = !cx.reply.is_over();
    if let Err(error) = outcome {
        let text = error.to_string();
        // A command that every shard runs fails on all of them; it is one command with one reply.
        let is_counted = match core.table.row(call.row).spread {
            Spread::Shards(_) => caller.session.is_some(),
            Spread::Ordered(_) => core.server.shard == 0,
            _ => true,
        };
        if is_counted {
            core.server.stats.count_failure(call.row, &text);
        }
        out.truncate(before);
        Writer::new(out, call.protocol).error(&text);
    }
    fits
}

/// Reads one key of a gathering command.
pub(super) fn read_part(core: &mut Core, call: &Call, args: &Args<'_>, word: usize, now_ms: i64) -> Part {
    let Spread::Gather(gather) = core.table.row(call.row).spread else {
        unreachable!("only gathering commands read parts")
    };
    let mut no_reply = Vec::new();
    (gather.read)(&mut core.cx(call, &mut no_reply, Caller::default(), now_ms), args, word)
}

/// Carries out one change of a gathering command.
pub(super) fn apply(core: &mut Core, call: &Call, write: &gather::Write, now_ms: i64) {
    let mut no_reply = Vec::new();
    gather::apply(&mut core.cx(call, &mut no_reply, Caller::default(), now_ms), write);
}

/// Where a call's first key is, if it is one to prefetch.
#[inline]
fn located<'a>(core: &Core, buffer: &'a [u8], spans: &'a [Span], call: &Call) -> Option<Key<'a>> {
    let Keys::At { first, .. } = core.table.row(call.row).keys else { return None };
    let slot = Slot::new(call.slot)?;
    Some(Key { bytes: words_of(buffer, spans, call).get(usize::from(first)), slot, hash: call.hash })
}

/// Fetches what `calls`, all of keys of this shard, will touch.
pub(super) fn prefetch<'c>(
    core: &Core,
    buffer: &[u8],
    spans: &[Span],
    calls: impl Iterator<Item = &'c Call> + Clone,
) {
    for call in calls.clone() {
        if let Some(key) = located(core, buffer, spans, call) {
            core.keys.prefetch_table(call.db, &key);
        }
    }
    for call in calls {
        if let Some(key) = located(core, buffer, spans, call) {
            core.keys.prefetch_entry(call.db, &key);
        }
    }
}

/// Runs the calls of another shard's client and sends the object back with the replies.
pub(super) fn run_calls(shard: &mut Shard, mut calls: Box<Calls>, now_ms: i64) {
    let Shard { core, outbox, spare_calls, .. } = &mut *shard;
    let client_id = calls.client_id;
    let Calls {
        home,
        client,
        buffer,
        spans,
        calls: list,
        writes,
        replies,
        ends,
        parts,
        done,
        is_over_limit,
        ..
    } = &mut *calls;
    let (pause, limit) = (core.server.config.reply_bytes_pause, core.server.config.reply_bytes_max);
    'batches: for batch in list[*done..].chunks(PREFETCH_BATCH) {
        if batch.len() > 1 {
            prefetch(core, buffer, spans, batch.iter());
        }
        for call in batch {
            let args = words_of(buffer, spans, call);
            *done += 1;
            match call.stage {
                Stage::Run | Stage::FanOut => {
                    if call.stage == Stage::FanOut {
                        for target in 1..core.server.shards {
                            let mut copy = spare_calls.pop().unwrap_or_default();
                            copy.address(*home, target, *client, client_id);
                            copy.push(Call { stage: Stage::Run, ..*call }, args.iter_from(0));
                            outbox.push_back((target, Message::Calls(copy)));
                        }
                    }
                    let caller = Caller { id: client_id, session: None, no_touch: call.no_touch };
                    let fits = run(core, call, &args, replies, caller, now_ms);
                    ends.push(replies.len() as u32);
                    if !fits || replies.len() > pause.min(limit) {
                        *is_over_limit = !fits || replies.len() > limit;
                        break 'batches;
                    }
                }
                Stage::Read(word) => parts.push(read_part(core, call, &args, word as usize, now_ms)),
                Stage::Apply(index) => apply(core, call, &writes[index as usize], now_ms),
            }
        }
    }
    if calls.home == shard.core.server.shard {
        // A command of our own client that came by way of the first shard.
        flight::arrive(shard, calls, now_ms);
    } else {
        shard.outbox.push_back((calls.home, Message::Replies(calls)));
    }
}
