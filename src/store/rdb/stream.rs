//! Streams in RDB's forms, both ways: entries in listpacks, what the stream remembers, and its groups with what is pending.
//!
//! ```text
//! stream:    nodes | count u | last id | [2: first id | largest deleted id | entries added] | groups
//! node:      string of 16 bytes: its first id, high first | string: listpack
//! listpack:  count | deleted | n | field ... | 0 | entry ...              the master entry: fields that others may share
//! entry:     flags | ms and number, less those of the node's id | value ... or n | field value ... | elements before this one
//! group:     name | last id | [2: entries read] | pending | consumers
//! pending:   id, 16 bytes | time of delivery | deliveries                 of a consumer: only ids
//! consumer:  name | seen | [3: active] | pending
//! ```
//!
//! Form 2 came with RDB 10, form 3 with 11; form 2 is written. Source: `src/rdb.c` and the head of `src/t_stream.c` of Redis 7.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::limits::BULK_BYTES_MAX;
use crate::store::collection::Collection;
use crate::store::effect::{Effect, EntryId};
use crate::store::listpack::{self, Item};
use crate::store::rdb::read::listpack;
use crate::store::rdb::wire::{Input, Output};
use crate::store::rdb::{BadData, form};
use crate::store::stream::Stream;

/// Entries and bytes of one node: Redis's defaults (`stream-node-max-entries`, `stream-node-max-bytes`).
const NODE_ENTRIES: usize = 100;
const NODE_BYTES: usize = 4096;

const DELETED: i64 = 1;
const SAME_FIELDS: i64 = 2;
/// An unknown count of entries read: -1 in Redis.
const UNKNOWN: u64 = u64::MAX;

// ----------------------------------------------------------------------------------------------------------
// Writing
// ----------------------------------------------------------------------------------------------------------

/// What the effects of a stream say, put together by group.
#[derive(Default)]
struct Parts {
    nodes: Vec<Node>,
    entries: u64,
    first_id: EntryId,
    last_id: EntryId,
    entries_added: u64,
    max_deleted_id: EntryId,
    groups: BTreeMap<Vec<u8>, Group>,
}

struct Node {
    id: EntryId,
    fields: Vec<Vec<u8>>,
    entries: usize,
    /// Master entry and entries.
    pack: Vec<u8>,
}

#[derive(Default)]
struct Group {
    last_id: EntryId,
    entries_read: Option<u64>,
    /// Time of delivery and deliveries.
    pending: BTreeMap<EntryId, (i64, u64)>,
    consumers: BTreeMap<Vec<u8>, Consumer>,
}

#[derive(Default)]
struct Consumer {
    seen_ms: i64,
    pending: BTreeSet<EntryId>,
}

/// Appends form and value.
pub fn write(stream: &Stream, out: &mut Output) {
    let mut parts = Parts::default();
    Stream::effects(stream, b"", &mut |effect| parts.take(&effect));
    out.bytes.push(form::STREAM_LISTPACKS_2);
    out.count(parts.nodes.len());
    for node in &parts.nodes {
        out.string(&raw(node.id));
        out.string(&node.finished());
    }
    out.length(parts.entries);
    for id in [parts.last_id, parts.first_id, parts.max_deleted_id] {
        write_id(id, out);
    }
    out.length(parts.entries_added);
    out.count(parts.groups.len());
    for (name, group) in &parts.groups {
        out.string(name);
        write_id(group.last_id, out);
        out.length(group.entries_read.unwrap_or(UNKNOWN));
        out.count(group.pending.len());
        for (&id, &(delivered_ms, deliveries)) in &group.pending {
            out.bytes.extend(raw(id));
            out.time_ms(delivered_ms);
            out.length(deliveries);
        }
        out.count(group.consumers.len());
        for (name, consumer) in &group.consumers {
            out.string(name);
            out.time_ms(consumer.seen_ms);
            out.count(consumer.pending.len());
            out.bytes.extend(consumer.pending.iter().flat_map(|&id| raw(id)));
        }
    }
}

fn write_id((ms, number): EntryId, out: &mut Output) {
    out.length(ms);
    out.length(number);
}

fn raw((ms, number): EntryId) -> [u8; 16] {
    (u128::from(ms) << 64 | u128::from(number)).to_be_bytes()
}

impl Parts {
    fn take(&mut self, effect: &Effect<'_>) {
        match effect {
            Effect::StreamAdd { id, fields, .. } => self.add(*id, fields),
            Effect::StreamSetId { last_id, entries_added, max_deleted_id, .. } => {
                (self.last_id, self.entries_added) = (*last_id, *entries_added);
                self.max_deleted_id = *max_deleted_id;
            }
            Effect::StreamGroup { group, last_id, entries_read, .. } => {
                let group = self.groups.entry(group.to_vec()).or_default();
                (group.last_id, group.entries_read) = (*last_id, *entries_read);
            }
            Effect::StreamConsumer { group, consumer, seen_ms, .. } => {
                self.consumer(group, consumer).seen_ms = *seen_ms;
            }
            Effect::StreamPending { group, id, consumer, delivered_ms, deliveries, .. } => {
                self.consumer(group, consumer).pending.insert(*id);
                let pending = &mut self.groups.entry(group.to_vec()).or_default().pending;
                pending.insert(*id, (*delivered_ms, *deliveries));
            }
            _ => unreachable!("no other effect builds a stream"),
        }
    }

    fn consumer(&mut self, group: &[u8], consumer: &[u8]) -> &mut Consumer {
        self.groups.entry(group.to_vec()).or_default().consumers.entry(consumer.to_vec()).or_default()
    }

    fn add(&mut self, id: EntryId, fields: &[&[u8]]) {
        if self.entries == 0 {
            self.first_id = id;
        }
        self.entries += 1;
        let is_full = |node: &Node| node.entries >= NODE_ENTRIES || node.pack.len() >= NODE_BYTES;
        if self.nodes.last().is_none_or(is_full) {
            self.nodes.push(Node::new(id, fields));
        }
        self.nodes.last_mut().expect("one was made if there was none").add(id, fields);
    }
}

impl Node {
    fn new(id: EntryId, fields: &[&[u8]]) -> Node {
        let fields: Vec<Vec<u8>> = fields.iter().step_by(2).map(|field| field.to_vec()).collect();
        let mut pack = listpack::empty();
        // How many entries there are is known in the end.
        push(&mut pack, [0, 0, fields.len() as i64]);
        fields.iter().for_each(|field| {
            listpack::push_back(&mut pack, Item::Bytes(field));
        });
        push(&mut pack, [0]);
        Node { id, fields, entries: 0, pack }
    }

    fn add(&mut self, id: EntryId, fields: &[&[u8]]) {
        let is_same = fields.len() == 2 * self.fields.len()
            && fields.iter().step_by(2).zip(&self.fields).all(|(field, master)| field == master);
        let distance = [id.0.wrapping_sub(self.id.0) as i64, id.1.wrapping_sub(self.id.1) as i64];
        push(&mut self.pack, [if is_same { SAME_FIELDS } else { 0 }, distance[0], distance[1]]);
        let (skipped, step) = if is_same { (1, 2) } else { (0, 1) };
        if !is_same {
            push(&mut self.pack, [fields.len() as i64 / 2]);
        }
        let mut elements = 3 + i64::from(!is_same);
        for string in fields.iter().skip(skipped).step_by(step) {
            listpack::push_back(&mut self.pack, Item::Bytes(string));
            elements += 1;
        }
        push(&mut self.pack, [elements]);
        self.entries += 1;
    }

    fn finished(&self) -> Vec<u8> {
        let mut pack = self.pack.clone();
        let count = listpack::Listpack::new(&pack).first().expect("a node begins with its count");
        listpack::replace(&mut pack, count, Item::Integer(self.entries as i64));
        pack
    }
}

fn push<const N: usize>(pack: &mut Vec<u8>, numbers: [i64; N]) {
    for number in numbers {
        listpack::push_back(pack, Item::Integer(number));
    }
}

// ----------------------------------------------------------------------------------------------------------
// Reading
// ----------------------------------------------------------------------------------------------------------

/// Takes a stream and hands over the effects that build it.
pub fn read(form: u8, input: &mut Input<'_>, build: &mut dyn FnMut(Effect<'_>)) -> Result<(), BadData> {
    let mut entries = Entries::default();
    for _ in 0..input.count(2)? {
        let id = input.string()?;
        let id = id_of(<[u8; 16]>::try_from(&*id).map_err(|_| BadData)?);
        let bytes = input.string()?;
        let pack = listpack(&bytes)?;
        entries.read(id, &mut Items { items: pack.iter(), left: pack.len() }, build)?;
    }
    let count = input.length()?;
    let last_id = read_id(input)?;
    if count != entries.count || last_id < entries.last_id.unwrap_or_default() {
        return Err(BadData);
    }
    let (mut entries_added, mut max_deleted_id) = (count, (0, 0));
    if form != form::STREAM_LISTPACKS {
        // The first id is that of the first entry.
        read_id(input)?;
        max_deleted_id = read_id(input)?;
        entries_added = input.length()?;
    }
    build(Effect::StreamSetId { key: b"", last_id, entries_added, max_deleted_id });
    let mut names = BTreeSet::new();
    for _ in 0..input.count(5)? {
        let name = input.string()?.into_owned();
        read_group(form, &name, input, &entries, (count, last_id), build)?;
        if !names.insert(name) {
            return Err(BadData);
        }
    }
    Ok(())
}

/// What was read of the entries.
#[derive(Default)]
struct Entries {
    count: u64,
    first_id: Option<EntryId>,
    last_id: Option<EntryId>,
    /// Bytes of fields that entries share with their master entry: each entry gets a copy.
    shared_bytes: usize,
}

/// The elements of a node, one after the other.
struct Items<'a> {
    items: listpack::Iter<'a>,
    left: usize,
}

impl<'a> Items<'a> {
    fn item(&mut self) -> Result<Item<'a>, BadData> {
        let item = self.items.next().ok_or(BadData)?;
        self.left -= 1;
        Ok(item)
    }

    fn number(&mut self) -> Result<i64, BadData> {
        self.item()?.integer().ok_or(BadData)
    }

    /// How many elements, or pairs of them, follow.
    fn count(&mut self) -> Result<usize, BadData> {
        usize::try_from(self.number()?).ok().filter(|&count| count <= self.left).ok_or(BadData)
    }
}

impl Entries {
    fn read(
        &mut self,
        id: EntryId,
        items: &mut Items<'_>,
        build: &mut dyn FnMut(Effect<'_>),
    ) -> Result<(), BadData> {
        let (count, deleted, fields) = (items.count()?, items.count()?, items.count()?);
        let master: Vec<Item<'_>> = (0..fields).map(|_| items.item()).collect::<Result<_, _>>()?;
        let master_bytes: usize = master.iter().map(|field| field.with_bytes(<[u8]>::len)).sum();
        if items.number()? != 0 {
            return Err(BadData);
        }
        let (mut live, mut gone) = (0, 0);
        while items.left > 0 {
            let flags = items.number()?;
            let (ms, number) = (items.number()?, items.number()?);
            let mut elements = 3;
            let mut strings: Vec<Vec<u8>> = Vec::new();
            if flags & SAME_FIELDS != 0 {
                // A long name that thousands of entries share would take a thousand times the bytes at hand.
                self.shared_bytes += master_bytes;
                if self.shared_bytes > BULK_BYTES_MAX {
                    return Err(BadData);
                }
                for field in &master {
                    strings.extend([field.to_vec(), items.item()?.to_vec()]);
                }
                elements += master.len();
            } else {
                let pairs = items.count()?;
                for _ in 0..2 * pairs {
                    strings.push(items.item()?.to_vec());
                }
                elements += 1 + 2 * pairs;
            }
            if usize::try_from(items.number()?) != Ok(elements) {
                return Err(BadData);
            }
            if flags & DELETED != 0 {
                gone += 1;
                continue;
            }
            live += 1;
            let id = (id.0.wrapping_add(ms as u64), id.1.wrapping_add(number as u64));
            if strings.is_empty() || id == (0, 0) || self.last_id.is_some_and(|last_id| id <= last_id) {
                return Err(BadData);
            }
            self.first_id.get_or_insert(id);
            self.last_id = Some(id);
            build(Effect::StreamAdd { key: b"", id, fields: strings.iter().map(Vec::as_slice).collect() });
        }
        self.count += live as u64;
        if (live, gone) == (count, deleted) { Ok(()) } else { Err(BadData) }
    }

    /// How many entries a group that stands at `id` has read, where forms before 2 do not say so: what is certain of a stream of which
    /// nobody knows whether entries were deleted.
    fn read_up_to(&self, id: EntryId, count: u64, last_id: EntryId) -> Option<u64> {
        let Some(first_id) = self.first_id else { return (id <= last_id).then_some(count) };
        match id {
            _ if id == last_id => Some(count),
            _ if id > last_id => None,
            _ if id < first_id => Some(0),
            _ => (id == first_id).then_some(1),
        }
    }
}

fn read_group(
    form: u8,
    group: &[u8],
    input: &mut Input<'_>,
    entries: &Entries,
    (count, stream_last_id): (u64, EntryId),
    build: &mut dyn FnMut(Effect<'_>),
) -> Result<(), BadData> {
    let last_id = read_id(input)?;
    let entries_read = match form {
        form::STREAM_LISTPACKS => entries.read_up_to(last_id, count, stream_last_id),
        _ => Some(input.length()?).filter(|&read| read != UNKNOWN),
    };
    build(Effect::StreamGroup { key: b"", group, last_id, entries_read });
    let mut pending = BTreeMap::new();
    for _ in 0..input.count(16 + 8 + 1)? {
        let id = id_of(input.array()?);
        if pending.insert(id, (input.time_ms()?, input.length()?)).is_some() {
            return Err(BadData);
        }
    }
    let mut consumers = BTreeSet::new();
    for _ in 0..input.count(1 + 8 + 1)? {
        let consumer = input.string()?.into_owned();
        let seen_ms = input.time_ms()?;
        // Where it is not told when it was active, it was so when it was seen.
        let active_ms = if form == form::STREAM_LISTPACKS_3 { input.time_ms()? } else { seen_ms };
        let active_ms = (active_ms >= 0).then_some(active_ms);
        build(Effect::StreamConsumer { key: b"", group, consumer: &consumer, seen_ms, active_ms });
        for _ in 0..input.count(16)? {
            let id = id_of(input.array()?);
            // Whatever is pending is so for one consumer.
            let (delivered_ms, deliveries) = pending.remove(&id).ok_or(BadData)?;
            let consumer = &consumer;
            build(Effect::StreamPending { key: b"", group, id, consumer, delivered_ms, deliveries });
        }
        if !consumers.insert(consumer) {
            return Err(BadData);
        }
    }
    if pending.is_empty() { Ok(()) } else { Err(BadData) }
}

fn read_id(input: &mut Input<'_>) -> Result<EntryId, BadData> {
    Ok((input.length()?, input.length()?))
}

fn id_of(raw: [u8; 16]) -> EntryId {
    let id = u128::from_be_bytes(raw);
    ((id >> 64) as u64, id as u64)
}
