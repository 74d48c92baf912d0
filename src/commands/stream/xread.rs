//! XREAD [COUNT n] [BLOCK ms] STREAMS key [key ...] id [id ...], XREADGROUP GROUP group consumer [COUNT n] [BLOCK ms] [NOACK] STREAMS
//! key [key ...] id [id ...] — entries behind an id, of several streams. `$` is the last id there is; `>`, for groups, what no
//! consumer was given yet. Any other id asks a group for what is pending for the consumer. Nil if no stream has anything.
//!
//! Everything is checked before anything is delivered. Where the keys live on several shards, each of them first shows what the call
//! would get there. Only if none refuses does each key's shard run the call for that key, at the same time and behind the same claim,
//! so that it delivers what was shown.
//!
//! With BLOCK, a call that finds nothing waits, and is tried again when a stream changes. What it then says has `$` settled, and no
//! timeout. For a group it says BLOCK twice, by which a try knows that it is not the first: one in vain must leave no trace, for the
//! trace would be a change of the stream, and so the reason for yet another try.

use crate::base::args::{Args, OwnedArgs};
use crate::base::number::parse_i64;
use crate::commands::blocking::Blocking;
use crate::commands::cx::{Cx, integer};
use crate::commands::error::{CommandError, Outcome};
use crate::commands::gather::{self, Decided, Decision, Gather, Next, Part, Write};
use crate::commands::stream::{STREAM_KEYS, id, no_group, write_entries, write_entry};
use crate::resp::write::{Protocol, Writer};
use crate::store::collection::Change;
use crate::store::keyspace::{Key, Keyspace};
use crate::store::object::Kind;
use crate::store::stream::{Stream, StreamId};

pub static XREAD: Blocking = Blocking {
    kind: Kind::Stream,
    waits_for: STREAM_KEYS,
    timeout_ms,
    consumes: false,
    minds_loss: false,
    gather: Gather { reads_key_alone: false, read, decide, reads_undeclared: false },
};
/// A group's entries go to one consumer, and one that waits hears that its group is gone.
pub static XREADGROUP: Blocking = Blocking { consumes: true, minds_loss: true, ..XREAD };

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let call = Call::parse(args, cx.now_ms)?;
    let at = At::of(cx);
    let wanted: Vec<Wanted> =
        call.keys().map(|i| call.check(cx.keys, &at, args, i)).collect::<Result<_, _>>()?;
    let is_served = if let &[wanted] = &wanted[..] {
        let head = |reply: &mut Writer<'_>| write_head(reply, 1);
        call.serve(cx.keys, &at, args, call.first_key, wanted, &mut cx.reply, head)?
    } else {
        let (mut bodies, mut served) = (Vec::new(), 0);
        for (i, &wanted) in call.keys().zip(&wanted) {
            let mut body = Writer::new(&mut bodies, cx.reply.protocol());
            served += usize::from(call.serve(cx.keys, &at, args, i, wanted, &mut body, |_| ())?);
        }
        write_all(&mut cx.reply, served, [&bodies[..]])
    };
    if !is_served {
        cx.reply.null_array();
        if call.block_ms.is_some() {
            let mut last_ids = call.keys().zip(wanted).map(|(i, wanted)| match wanted {
                Wanted::AfterLast => Some(call.last_id(cx.keys, &at, args, i)),
                _ => None,
            });
            let words = call.words_to_wait(args, |_| last_ids.next().flatten());
            cx.wait(Some(words));
        }
    }
    Ok(())
}

/// The indices of the key words, if the words follow the grammar so far.
pub fn find_keys(args: &Args<'_>) -> Vec<usize> {
    let mut i = 1;
    while i < args.len() {
        i += if args.is(i, "STREAMS") {
            let words = args.len() - i - 1;
            return if words.is_multiple_of(2) { (i + 1..i + 1 + words / 2).collect() } else { Vec::new() };
        } else if args.is(i, "BLOCK") || args.is(i, "COUNT") {
            2
        } else if args.is(i, "GROUP") {
            3
        } else if args.is(i, "NOACK") {
            1
        } else {
            break;
        };
    }
    Vec::new()
}

fn timeout_ms(args: &Args<'_>) -> Result<Option<u64>, CommandError> {
    Ok(Call::parse(args, 0)?.block_ms.map(i64::cast_unsigned))
}

// Several shards ---------------------------------------------------------------------------------------------------

/// How a part begins that is an error.
const ERROR: &[u8] = b"-";
/// How a part begins that is the stream's last id, behind which there is nothing. Others are a key with its entries.
const LAST_ID: &[u8] = b"=";

/// What the call would get of one key, or why it is refused. Nothing changes. `Part::Present` has nothing for the call; `Part::Absent`
/// was not looked at.
fn read(cx: &mut Cx<'_>, args: &Args<'_>, i: usize) -> Part {
    // The decision reports what is wrong with the options.
    let Ok(call) = Call::parse(args, cx.now_ms) else { return Part::Absent };
    let at = At::of(cx);
    let mut body = Vec::new();
    let mut reply = Writer::new(&mut body, cx.reply.protocol());
    let shown = call
        .check(cx.keys, &at, args, i)
        .and_then(|wanted| Ok((wanted, call.show(cx.keys, &at, args, i, wanted, &mut reply)?)));
    match shown {
        Ok((_, true)) => Part::Reply(body),
        Ok((Wanted::AfterLast, false)) => {
            let last_id = call.last_id(cx.keys, &at, args, i);
            Part::Reply([LAST_ID, last_id.to_string().as_bytes()].concat())
        }
        Ok((_, false)) => Part::Present,
        Err(refusal) => Part::Reply(format!("-{refusal}").into_bytes()),
    }
}

fn decide(at: Decision, args: &Args<'_>, parts: &mut [Part], reply: &mut Writer<'_>) -> Decided {
    let call = Call::parse(args, at.now_ms)?;
    if let Some(refusal) = parts.iter().find_map(|part| told(part)?.strip_prefix(ERROR)) {
        return Err(CommandError::Detailed(String::from_utf8_lossy(refusal).into_owned()));
    }
    let bodies = || parts.iter().filter_map(told).filter(|told| !told.starts_with(LAST_ID));
    let is_served = write_all(reply, bodies().count(), bodies());
    let writes = call.writes(at.db, args, parts);
    if is_served {
        return Ok(Next::Write(writes));
    }
    reply.null_array();
    if call.block_ms.is_none() {
        return Ok(Next::Write(writes));
    }
    let last_id = |key: usize| {
        let text = told(parts.get(key)?)?.strip_prefix(LAST_ID)?;
        id::strict(text, 0).ok()
    };
    Ok(Next::Wait { words: Some(call.words_to_wait(args, last_id)), writes })
}

fn told(part: &Part) -> Option<&[u8]> {
    match part {
        Part::Reply(told) => Some(told),
        _ => None,
    }
}

/// Writes what was found for `served` keys. Returns whether there was any.
fn write_all<'a>(reply: &mut Writer<'_>, served: usize, bodies: impl IntoIterator<Item = &'a [u8]>) -> bool {
    if served > 0 {
        write_head(reply, served);
        bodies.into_iter().for_each(|body| reply.raw(body));
    }
    served > 0
}

/// A map from keys to entries in RESP3, an array of pairs in RESP2.
fn write_head(reply: &mut Writer<'_>, served: usize) {
    match reply.protocol() {
        Protocol::Resp2 => reply.array(served),
        Protocol::Resp3 => reply.map(served),
    }
}

// One call ---------------------------------------------------------------------------------------------------------

/// Where and when a call runs.
struct At {
    db: u16,
    now_ms: i64,
    clock: u32,
    touch: Option<u32>,
}

impl At {
    fn of(cx: &Cx<'_>) -> At {
        At { db: cx.db, now_ms: cx.now_ms, clock: cx.clock(), touch: cx.touch() }
    }
}

/// What is wanted of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// Entries behind this id; for a group, those pending for the consumer.
    After(StreamId),
    /// Entries behind the last id there is: none.
    AfterLast,
    /// What the group has given to nobody yet.
    New,
}

/// The words of a call, read.
struct Call<'a> {
    /// Group and consumer; none for XREAD.
    group: Option<(&'a [u8], &'a [u8])>,
    limit: usize,
    block_ms: Option<i64>,
    /// It has been tried before, in vain.
    is_again: bool,
    needs_no_ack: bool,
    first_key: usize,
    streams: usize,
}

impl<'a> Call<'a> {
    fn parse(args: &Args<'a>, now_ms: i64) -> Result<Call<'a>, CommandError> {
        let is_group = args.is(0, "XREADGROUP");
        let mut call = Call {
            group: None,
            limit: usize::MAX,
            block_ms: None,
            is_again: false,
            needs_no_ack: false,
            first_key: 0,
            streams: 0,
        };
        let mut i = 1;
        while i < args.len() && call.first_key == 0 {
            let more = args.len() - 1 - i;
            if more > 0 && args.is(i, "BLOCK") {
                i += 1;
                call.is_again = call.block_ms.is_some();
                call.block_ms = Some(timeout(args, i, now_ms)?);
            } else if more > 0 && args.is(i, "COUNT") {
                i += 1;
                let count = integer(args, i)?;
                call.limit = if count > 0 { count as usize } else { usize::MAX };
            } else if more > 0 && args.is(i, "STREAMS") {
                if more % 2 == 1 {
                    return Err(unbalanced(is_group));
                }
                call.first_key = i + 1;
                call.streams = more / 2;
            } else if more > 1 && args.is(i, "GROUP") {
                if !is_group {
                    return Err(CommandError::Text(
                        "ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.",
                    ));
                }
                call.group = Some((args.get(i + 1), args.get(i + 2)));
                i += 2;
            } else if args.is(i, "NOACK") {
                if !is_group {
                    return Err(CommandError::Text(
                        "ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.",
                    ));
                }
                call.needs_no_ack = true;
            } else {
                return Err(CommandError::Syntax);
            }
            i += 1;
        }
        if call.first_key == 0 {
            return Err(CommandError::Syntax);
        }
        if is_group && call.group.is_none() {
            return Err(CommandError::Text("ERR Missing GROUP option for XREADGROUP"));
        }
        Ok(call)
    }

    fn keys(&self) -> impl Iterator<Item = usize> + use<> {
        self.first_key..self.first_key + self.streams
    }

    /// What the id of the key at word `i` asks for.
    fn wanted(&self, args: &Args<'_>, i: usize) -> Result<Wanted, CommandError> {
        match (args.get(i + self.streams), self.group.is_some()) {
            (b"$", false) => Ok(Wanted::AfterLast),
            (b"$", true) => Err(CommandError::Text(
                "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by \
                 specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set.",
            )),
            (b">", true) => Ok(Wanted::New),
            (b">", false) => Err(CommandError::Text(
                "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
            )),
            (word, is_group) => Ok(match id::strict(word, 0)? {
                // As in Redis, where `>` is kept as the largest id.
                StreamId::MAX if is_group => Wanted::New,
                after => Wanted::After(after),
            }),
        }
    }

    /// The checks that Redis makes for one key before it reads any.
    fn check(&self, keys: &mut Keyspace, at: &At, args: &Args<'_>, i: usize) -> Result<Wanted, CommandError> {
        let key = Key::new(args.get(i));
        let stream = keys.peek_view::<Stream>(at.db, &key, at.now_ms)?;
        if let Some((group, _)) = self.group
            && stream.and_then(|stream| stream.group(group)).is_none()
        {
            return Err(no_group(key.bytes, group, " in XREADGROUP with GROUP option"));
        }
        self.wanted(args, i)
    }

    /// The last id of the stream at the key at word `i`, which was checked.
    fn last_id(&self, keys: &mut Keyspace, at: &At, args: &Args<'_>, i: usize) -> StreamId {
        let stream = keys.peek_view::<Stream>(at.db, &Key::new(args.get(i)), at.now_ms).ok().flatten();
        stream.map(Stream::last_id).unwrap_or_default()
    }

    /// The words with which the call is tried again; `last_id` tells what takes the place of the `$` of each key, by its number.
    fn words_to_wait(
        &self,
        args: &Args<'_>,
        mut last_id: impl FnMut(usize) -> Option<StreamId>,
    ) -> OwnedArgs {
        let mut words = OwnedArgs::new([args.get(0)]);
        if self.group.is_some() && !self.is_again {
            words.push(b"BLOCK");
            words.push(b"0");
        }
        let first_id = self.first_key + self.streams;
        let mut i = 1;
        while i < first_id {
            // A timeout that was right when the wait began is not looked at again. A group or a consumer may have any name.
            let length = match () {
                () if i >= self.first_key => 1,
                () if args.is(i, "BLOCK") || args.is(i, "COUNT") => 2,
                () if args.is(i, "GROUP") => 3,
                () => 1,
            };
            let is_timeout = length == 2 && args.is(i, "BLOCK");
            for word in i..i + length {
                words.push(if is_timeout && word > i { b"0" } else { args.get(word) });
            }
            i += length;
        }
        for key in 0..self.streams {
            match last_id(key) {
                Some(id) => words.push(id.to_string().as_bytes()),
                None => words.push(args.get(first_id + key)),
            }
        }
        words
    }

    /// What is left to do for a group's call over several shards when all of its keys have shown what they have: the same for each key
    /// alone. Also where there is nothing for the consumer, which has asked nevertheless, unless this is a later try.
    fn writes(&self, db: u16, args: &Args<'_>, parts: &[Part]) -> Vec<Write> {
        let Some((group, consumer)) = self.group else { return Vec::new() };
        let call = |i: usize| {
            let mut words = OwnedArgs::new([args.get(0), b"GROUP", group, consumer]);
            if self.limit != usize::MAX {
                words.push(b"COUNT");
                words.push(self.limit.to_string().as_bytes());
            }
            if self.needs_no_ack {
                words.push(b"NOACK");
            }
            [b"STREAMS", args.get(i), args.get(i + self.streams)].iter().for_each(|word| words.push(word));
            Write { db, key: args.get(i).to_vec(), change: gather::Change::Call(words) }
        };
        let is_for = |part: &Part| match part {
            Part::Reply(_) => true,
            Part::Present => !self.is_again,
            _ => false,
        };
        self.keys().zip(parts).filter(|(_, part)| is_for(part)).map(|(i, _)| call(i)).collect()
    }

    /// Writes `head`, the key and its entries, if there are any, and does what a delivery to a group's consumer does. Returns
    /// whether it wrote anything.
    #[allow(clippy::too_many_arguments)] // Parts of the context that must be borrowed apart.
    fn serve(
        &self,
        keys: &mut Keyspace,
        at: &At,
        args: &Args<'_>,
        i: usize,
        wanted: Wanted,
        reply: &mut Writer<'_>,
        head: impl FnOnce(&mut Writer<'_>),
    ) -> Result<bool, CommandError> {
        let key = Key::new(args.get(i));
        let Some((name, consumer)) = self.group else {
            return self.write_behind(keys, at, &key, wanted, reply, head);
        };
        let is_served =
            keys.change(at.db, &key, at.now_ms, at.clock, |stream: &mut Change<'_, Stream>| {
                let view = stream.view();
                let read_to = view.group(name).expect("it was checked").last_id;
                let given = self.write_given(view, read_to, key.bytes, wanted, reply, head);
                if given.is_some() || !self.is_again {
                    stream.see_consumer(name, consumer, at.now_ms);
                }
                match (&given, wanted) {
                    (None, _) => {}
                    (Some(ids), Wanted::After(_)) => {
                        for &id in ids {
                            let group = stream.view().group(name).expect("it was checked");
                            let deliveries = group.pending(id).expect("it was found").deliveries;
                            stream.set_pending(name, id, consumer, at.now_ms, deliveries.saturating_add(1));
                        }
                    }
                    (Some(ids), _) => stream.deliver(name, consumer, ids, at.now_ms, self.needs_no_ack),
                }
                given.is_some()
            })?;
        Ok(is_served.unwrap_or(false))
    }

    /// Writes what `serve` would write for the key, which was checked, if everything before it in the list were served. For a group,
    /// nothing changes.
    fn show(
        &self,
        keys: &mut Keyspace,
        at: &At,
        args: &Args<'_>,
        i: usize,
        wanted: Wanted,
        reply: &mut Writer<'_>,
    ) -> Result<bool, CommandError> {
        let key = Key::new(args.get(i));
        let Some((name, _)) = self.group else {
            return self.write_behind(keys, at, &key, wanted, reply, |_| ());
        };
        let stream = keys.peek_view::<Stream>(at.db, &key, at.now_ms)?.expect("it was checked");
        let last_id = stream.group(name).expect("it was checked").last_id;
        let read_to = self.read_to(stream, last_id, args, i);
        Ok(self.write_given(stream, read_to, key.bytes, wanted, reply, |_| ()).is_some())
    }

    /// How far the group, now at `last_id`, has read when it is the turn of the key at word `i`: the same key may stand before it.
    fn read_to(&self, stream: &Stream, last_id: StreamId, args: &Args<'_>, i: usize) -> StreamId {
        let is_before =
            |&j: &usize| args.get(j) == args.get(i) && matches!(self.wanted(args, j), Ok(Wanted::New));
        let times = (self.first_key..i).filter(is_before).count();
        let Some(start) = last_id.next().filter(|_| times > 0) else { return last_id };
        let entries = stream.range(start, StreamId::MAX).take(self.limit.saturating_mul(times));
        entries.last().map_or(last_id, |entry| entry.id)
    }

    /// Without a group: writes `head`, the key and the entries behind an id, if there are any. Returns whether there are.
    fn write_behind(
        &self,
        keys: &mut Keyspace,
        at: &At,
        key: &Key<'_>,
        wanted: Wanted,
        reply: &mut Writer<'_>,
        head: impl FnOnce(&mut Writer<'_>),
    ) -> Result<bool, CommandError> {
        match (keys.view::<Stream>(at.db, key, at.now_ms, at.touch)?, wanted) {
            (Some(stream), Wanted::After(after)) if stream.last_entry_id() > Some(after) => {
                head(reply);
                write_key(reply, key.bytes);
                let start = after.next().expect("there is an entry behind it");
                write_entries(reply, stream.range(start, StreamId::MAX), self.limit);
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Writes `head`, the key and what the group's consumer gets, when the group has been read up to `read_to`. Returns the ids of
    /// entries that are there; nothing if it wrote nothing.
    fn write_given(
        &self,
        stream: &Stream,
        read_to: StreamId,
        key: &[u8],
        wanted: Wanted,
        reply: &mut Writer<'_>,
        head: impl FnOnce(&mut Writer<'_>),
    ) -> Option<Vec<StreamId>> {
        if let Wanted::After(after) = wanted {
            head(reply);
            write_key(reply, key);
            return Some(self.write_history(stream, read_to, after, reply));
        }
        if stream.last_entry_id() <= Some(read_to) {
            return None;
        }
        head(reply);
        write_key(reply, key);
        let start = read_to.next().expect("there is an entry behind it");
        let entries = stream.range(start, StreamId::MAX);
        let ids: Vec<StreamId> = entries.clone().take(self.limit).map(|entry| entry.id).collect();
        reply.array(ids.len());
        entries.take(ids.len()).for_each(|entry| write_entry(reply, entry));
        Some(ids)
    }

    /// Writes entries that the consumer was given before, nil for deleted ones. Returns the ids of the others. What the group gave
    /// away from its last id up to `read_to`, it gave to this consumer.
    fn write_history(
        &self,
        stream: &Stream,
        read_to: StreamId,
        after: StreamId,
        reply: &mut Writer<'_>,
    ) -> Vec<StreamId> {
        let (name, consumer) = self.group.expect("a group has a history");
        let group = stream.group(name).expect("it was checked");
        let start = after.next().expect("the largest id asks for new entries");
        let pending = group.consumer(consumer).into_iter();
        let pending = pending.flat_map(|consumer| group.pending_of(consumer, start..=StreamId::MAX));
        let mut ids: Vec<StreamId> = pending.take(self.limit).map(|(id, _)| id).collect();
        if read_to > group.last_id && !self.needs_no_ack {
            let start = start.max(group.last_id.next().expect("there is one behind it"));
            ids.extend(stream.range(start, read_to).take(self.limit).map(|entry| entry.id));
            ids.sort_unstable();
            ids.dedup();
            ids.truncate(self.limit);
        }
        reply.array(ids.len());
        ids.retain(|&id| match stream.entry(id) {
            Some(entry) => {
                write_entry(reply, entry);
                true
            }
            None => {
                reply.array(2);
                id::write(reply, id);
                reply.null_array();
                false
            }
        });
        ids
    }
}

/// Writes a key, which its entries follow.
fn write_key(reply: &mut Writer<'_>, key: &[u8]) {
    if reply.protocol() == Protocol::Resp2 {
        reply.array(2);
    }
    reply.bulk(key);
}

fn unbalanced(is_group: bool) -> CommandError {
    CommandError::Text(if is_group {
        "ERR Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' must be specified."
    } else {
        "ERR Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be specified."
    })
}

fn timeout(args: &Args<'_>, i: usize, now_ms: i64) -> Result<i64, CommandError> {
    let timeout_ms =
        parse_i64(args.get(i)).ok_or(CommandError::Text("ERR timeout is not an integer or out of range"))?;
    if timeout_ms < 0 {
        Err(CommandError::Text("ERR timeout is negative"))
    } else if timeout_ms > i64::MAX - now_ms {
        Err(CommandError::Text("ERR timeout is out of range"))
    } else {
        Ok(timeout_ms)
    }
}

#[cfg(test)]
mod tests;
