//! The one place that runs a command: run → turn a refusal into its text and count it. Also the prefetch over a batch, and the
//! calls that other shards send. Never parses and never decides where a command belongs.
//!
//! # Prefetch
//!
//! With millions of keys a random lookup waits on memory: for the head of the slot's table, the table's group, the entry. Before
//! a batch runs, a first pass fetches the heads of all its tables, and a second finds every entry by its 16 hash bits, without
//! touching it, and fetches it. The misses of one batch overlap instead of following each other.

use std::mem::take;

use crate::base::args::{Args, OwnedArgs, Span};
use crate::base::limits::PREFETCH_BATCH;
use crate::base::slot::Slot;
use crate::commands::blocking::Wait;
use crate::commands::cx::{Caller, Cx};
use crate::commands::gather::{self, Part};
use crate::commands::session::Server;
use crate::commands::table::{Keys, Reach, Spread, Table};
use crate::resp::write::Writer;
use crate::shard::Fault;
use crate::shard::logging::{Extent, Logging};
use crate::shard::mesh::{Call, Calls, Stage, words_of};
use crate::shard::queue::Queue;
use crate::shard::saving::Save;
use crate::shard::waiters::Waiters;
use crate::store::keyspace::{Key, Keyspace};

/// What commands run against: everything of a shard but its clients.
pub(super) struct Core {
    pub table: Table,
    pub keys: Keyspace,
    pub server: Server,
    /// For each slot, the shard that owns it.
    pub owners: Vec<u16>,
    /// Transactions that have a claim on this shard's keys.
    pub queue: Queue,
    /// Clients of any shard that wait for this shard's keys.
    pub waiters: Waiters,
    /// Those of them that have tried in vain: who stands behind them is to be looked at.
    pub passed_over: Vec<u64>,
    /// What commands leave in the log.
    pub logging: Logging,
    /// The save under way.
    pub save: Option<Save>,
    /// What a test has broken.
    pub fault: Option<Fault>,
}

impl Core {
    /// The shard that owns a slot.
    #[inline]
    pub fn owner(&self, slot: Slot) -> u16 {
        self.owners[slot.index()]
    }

    /// Whether a test has broken this; never in a release build.
    #[inline]
    pub fn has_fault(&self, fault: Fault) -> bool {
        cfg!(debug_assertions) && self.fault == Some(fault)
    }

    #[inline]
    fn cx<'a>(&'a mut self, call: &Call, out: &'a mut Vec<u8>, caller: Caller, now_ms: i64) -> Cx<'a> {
        let located = match self.table.row(call.row).keys {
            // Where the words stand depends on others; a key is located again where it is used.
            Keys::None | Keys::Counted { .. } | Keys::Found { .. } => None,
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
            Spread::Shards(Reach::Nothing, _) => caller.session.is_some(),
            Spread::Shards(..) => core.server.shard == 0,
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
    let gather = match core.table.row(call.row).spread {
        Spread::Gather(gather) => gather,
        Spread::Block(blocking) => &blocking.gather,
        _ => unreachable!("only gathering commands read parts"),
    };
    let mut no_reply = Vec::new();
    (gather.read)(&mut core.cx(call, &mut no_reply, Caller::default(), now_ms), args, word)
}

/// Carries out one change of a gathering command.
pub(super) fn apply(core: &mut Core, call: &Call, write: gather::Write, now_ms: i64) {
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

/// Runs the calls of one message and leaves their replies in it, and their effects in the log.
pub(super) fn run_calls(core: &mut Core, calls: &mut Calls, now_ms: i64) {
    if calls.extent == Extent::Whole {
        run_list(core, calls, now_ms);
        return core.commit_if_large(now_ms);
    }
    core.commit(now_ms);
    run_list(core, calls, now_ms);
    core.log_step(calls, now_ms);
}

fn run_list(core: &mut Core, calls: &mut Calls, now_ms: i64) {
    let limit = core.server.config.reply_bytes_max;
    let now_ms = if calls.turn.now_ms == 0 { now_ms } else { calls.turn.now_ms };
    // Some commands for every shard want to know which one is the client's.
    let session = calls.client.filter(|_| calls.home == core.server.shard).map(|client| client.index);
    if calls.ticket != 0 {
        return run_waiting(core, calls, now_ms);
    }
    let Calls {
        client_id,
        buffer,
        spans,
        calls: list,
        writes,
        replies,
        ends,
        parts,
        done,
        is_whole,
        is_over_limit,
        is_dirty,
        ..
    } = calls;
    let pause = if *is_whole { limit } else { core.server.config.reply_bytes_pause.min(limit) };
    for batch in list[*done..].chunks(PREFETCH_BATCH) {
        if batch.len() > 1 {
            prefetch(core, buffer, spans, batch.iter());
        }
        for call in batch {
            let args = words_of(buffer, spans, call);
            *done += 1;
            match call.stage {
                Stage::Run => {
                    let caller = Caller { id: *client_id, session, no_touch: call.no_touch, is_exec: false };
                    let fits = run(core, call, &args, replies, caller, now_ms);
                    ends.push(replies.len() as u32);
                    *is_over_limit |= !fits || replies.len() > limit;
                    if !fits || replies.len() > pause {
                        if !*is_whole {
                            return;
                        }
                        // Nobody will read them, but what changes is changed as a whole.
                        ends.iter_mut().for_each(|end| *end = 0);
                        replies.clear();
                    }
                }
                Stage::Read(word) => parts.push(read_part(core, call, &args, word as usize, now_ms)),
                Stage::Apply(index) => {
                    let write = take(&mut writes[index as usize]);
                    apply(core, call, write, now_ms);
                }
                Stage::Await => unreachable!("such calls have a ticket"),
                Stage::Cut => {
                    let id = args.get(0).try_into().expect("the word is the number of the save");
                    core.cut(u64::from_le_bytes(id), now_ms);
                }
                Stage::CheckWatched => {
                    if core.keys.end_watch(*client_id, now_ms) {
                        *is_dirty = true;
                        return;
                    }
                }
            }
        }
    }
}

/// Runs the calls of a message that are one command which may wait, or a step of it.
fn run_waiting(core: &mut Core, calls: &mut Calls, now_ms: i64) {
    let limit = core.server.config.reply_bytes_max;
    let client = calls.client.expect("who may wait is a client");
    let Calls { ticket, home, client_id, buffer, spans, calls: list, writes, replies, .. } = calls;
    calls.done = list.len();
    for call in list.iter() {
        let args = words_of(buffer, spans, call);
        match call.stage {
            Stage::Run => {
                if calls.is_again && !core.waiters.contains_key(ticket) {
                    // It has left meanwhile.
                    calls.is_waiting = true;
                    calls.ends.push(0);
                    return;
                }
                let caller =
                    Caller { id: *client_id, session: None, no_touch: call.no_touch, is_exec: false };
                core.server.wait = None;
                let mut fits = true;
                if calls.is_again || !core.is_any_promised(call, &args) {
                    fits = run(core, call, &args, replies, caller, now_ms);
                } else {
                    core.server.wait = Some(Wait::default());
                }
                let outcome = core.server.wait.take();
                if calls.is_again && calls.turn.transaction != 0 && core.blocking(call.row).consumes {
                    // It had to wait for its turn, and nobody behind it was looked at meanwhile.
                    match outcome {
                        Some(_) => core.passed_over.push(*ticket),
                        None => core.touch_waiter(*ticket),
                    }
                }
                match outcome {
                    Some(wait) => {
                        replies.clear();
                        calls.is_waiting = true;
                        if calls.is_again {
                            core.waiters.get_mut(ticket).expect("it was found").is_called = false;
                        } else {
                            let words = wait.words.unwrap_or_else(|| OwnedArgs::new(args.iter_from(0)));
                            core.enter_waiter(*ticket, *home, client, *client_id, call, words, true);
                        }
                    }
                    None => {
                        core.remove_waiter(*ticket);
                        calls.is_over_limit |= !fits || replies.len() > limit;
                    }
                }
                calls.ends.push(replies.len() as u32);
            }
            Stage::Read(word) => {
                let is_new = !core.waiters.contains_key(ticket);
                // Of a key that it does not wait for, the decision must know what is there.
                let is_waited_for = |core: &Core| {
                    core.blocking(call.row)
                        .waits_for
                        .indices(&args)
                        .any(|waited_for| waited_for == word as usize)
                };
                let part = if is_new && core.is_promised(call, args.get(word as usize)) && is_waited_for(core)
                {
                    calls.is_withheld = true;
                    Part::Absent
                } else {
                    read_part(core, call, &args, word as usize, now_ms)
                };
                calls.parts.push(part);
            }
            Stage::Apply(index) => apply(core, call, take(&mut writes[index as usize]), now_ms),
            Stage::Await => {
                let words = OwnedArgs::new(args.iter_from(0));
                core.enter_waiter(*ticket, *home, client, *client_id, call, words, false);
                if calls.is_withheld {
                    // Those to whom it was promised may be gone, and have left it.
                    core.touch_waiter(*ticket);
                }
            }
            Stage::CheckWatched | Stage::Cut => {
                unreachable!("a command that may wait is in no transaction of others")
            }
        }
    }
}
