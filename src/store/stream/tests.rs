//! Streams against a naive oracle: a map of entries, and groups that are maps too.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::store::collection::EncodingLimits;
use crate::store::effect::{Journal, decode_all, encode};

type Fields2 = Vec<(String, String)>;

#[derive(Clone, Debug, Default, PartialEq)]
struct NaiveGroup {
    last_id: StreamId,
    entries_read: Option<u64>,
    consumers: BTreeMap<String, (i64, Option<i64>)>,
    pending: BTreeMap<StreamId, (String, i64, u64)>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Naive {
    entries: BTreeMap<StreamId, Fields2>,
    metadata: Metadata,
    groups: BTreeMap<String, NaiveGroup>,
}

impl Naive {
    fn of(stream: &Stream) -> Naive {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        let all = StreamId::MIN..=StreamId::MAX;
        let entries = stream.range(StreamId::MIN, StreamId::MAX).map(|entry| {
            (
                entry.id,
                entry.fields.map(|(name, value)| (text(&name.to_vec()), text(&value.to_vec()))).collect(),
            )
        });
        let groups = stream.groups().map(|(name, group)| {
            let consumers = group.consumers().map(|c| (text(c.name()), (c.seen_ms, c.active_ms))).collect();
            let pending: BTreeMap<_, _> = group
                .pending_in(all.clone())
                .map(|(id, p)| (id, (text(group.owner(p).name()), p.delivered_ms, p.deliveries)))
                .collect();
            for consumer in group.consumers() {
                let its: Vec<StreamId> = group.pending_of(consumer, all.clone()).map(|(id, _)| id).collect();
                let name = text(consumer.name());
                let expected: Vec<StreamId> =
                    pending.iter().filter(|(_, (owner, ..))| *owner == name).map(|(&id, _)| id).collect();
                assert_eq!(its, expected, "what is pending for {name}");
                assert_eq!(its.len(), consumer.pending_len());
            }
            assert_eq!(pending.len(), group.pending_len());
            let naive =
                NaiveGroup { last_id: group.last_id, entries_read: group.entries_read, consumers, pending };
            (text(name), naive)
        });
        Naive { entries: entries.collect(), metadata: stream.metadata(), groups: groups.collect() }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Add { gap: u64, seq: u64, fields: Fields2 },
    Delete(usize),
    TrimLength { length: usize, is_exact: bool, limit: Option<u64> },
    TrimId { index: usize, is_exact: bool },
    SetId { gap: u64, added: u64 },
    Group { name: usize, index: usize, read: Option<u64> },
    RemoveGroup(usize),
    Deliver { group: usize, consumer: usize, count: usize, needs_no_ack: bool },
    Pending { group: usize, consumer: usize, index: usize },
    RemoveConsumer { group: usize, consumer: usize },
    Acknowledge { group: usize, index: usize },
}

const GROUPS: [&str; 3] = ["g", "h", "12"];
const CONSUMERS: [&str; 3] = ["alice", "bob", "-5"];

fn any_fields() -> impl Strategy<Value = Fields2> {
    let name = prop_oneof![3 => Just("a".to_owned()), 1 => Just("b".to_owned()), 1 => Just("7".to_owned())];
    let value = prop_oneof![
        Just("v".to_owned()),
        Just("-129".to_owned()),
        (0usize..5000).prop_map(|length| "x".repeat(length % 97 * (length % 3 + 1))),
    ];
    proptest::collection::vec((name, value), 1..4)
}

fn any_step() -> impl Strategy<Value = Step> {
    let index = 0usize..60;
    prop_oneof![
        12 => (0u64..3, 0u64..200, any_fields()).prop_map(|(gap, seq, fields)| Step::Add { gap, seq, fields }),
        4 => index.clone().prop_map(Step::Delete),
        1 => (0usize..40, any::<bool>(), proptest::option::of(0u64..9))
            .prop_map(|(length, is_exact, limit)| Step::TrimLength { length, is_exact, limit }),
        1 => (index.clone(), any::<bool>()).prop_map(|(index, is_exact)| Step::TrimId { index, is_exact }),
        1 => (0u64..3, 0u64..100).prop_map(|(gap, added)| Step::SetId { gap, added }),
        2 => (0usize..3, index.clone(), proptest::option::of(0u64..9))
            .prop_map(|(name, index, read)| Step::Group { name, index, read }),
        1 => (0usize..3).prop_map(Step::RemoveGroup),
        4 => (0usize..3, 0usize..3, 0usize..9, any::<bool>()).prop_map(|(group, consumer, count, needs_no_ack)| {
            Step::Deliver { group, consumer, count, needs_no_ack }
        }),
        2 => (0usize..3, 0usize..3, index.clone())
            .prop_map(|(group, consumer, index)| Step::Pending { group, consumer, index }),
        1 => (0usize..3, 0usize..3).prop_map(|(group, consumer)| Step::RemoveConsumer { group, consumer }),
        2 => (0usize..3, index).prop_map(|(group, index)| Step::Acknowledge { group, index }),
    ]
}

/// A stream with its oracle and its journal.
#[derive(Default)]
struct Pair {
    stream: Stream,
    naive: Naive,
    journal: Journal,
    encoding: EncodingLimits,
    now_ms: i64,
}

impl Pair {
    fn new(node_entries: usize, node_bytes: usize) -> Pair {
        let encoding = EncodingLimits {
            stream_node_entries_max: node_entries,
            stream_node_bytes_max: node_bytes,
            ..EncodingLimits::default()
        };
        let journal = Journal { recorded: Some(Vec::new()), ..Journal::default() };
        Pair { encoding, journal, ..Pair::default() }
    }

    fn change(&mut self) -> Change<'_, Stream> {
        Change {
            value: &mut self.stream,
            key: b"key",
            encoding: &self.encoding,
            db: 0,
            journal: &mut self.journal,
            changes: 0,
        }
    }

    /// An id that is an entry's, if there are so many, and one that is not, otherwise.
    fn id(&self, index: usize) -> StreamId {
        let last = self.naive.metadata.last_id;
        self.naive.entries.keys().nth(index).copied().unwrap_or(StreamId { ms: last.ms / 2, seq: 1 })
    }

    fn step(&mut self, step: &Step) {
        self.now_ms += 1;
        let now_ms = self.now_ms;
        match step {
            Step::Add { gap, seq, fields } => {
                let last = self.naive.metadata.last_id;
                // Numbers may also be smaller than the node's.
                let id = if *gap == 0 {
                    last.next().expect("ids are left")
                } else {
                    StreamId { ms: last.ms + gap, seq: *seq }
                };
                let words: Vec<&[u8]> =
                    fields.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]).collect();
                self.change().add(id, &words);
                self.naive.entries.insert(id, fields.clone());
                self.naive.metadata.last_id = id;
                self.naive.metadata.entries_added += 1;
            }
            Step::Delete(index) => {
                let id = self.id(*index);
                let was_there = self.naive.entries.remove(&id).is_some();
                assert_eq!(self.change().delete(id), was_there);
                if was_there {
                    let max = &mut self.naive.metadata.max_deleted_id;
                    *max = id.max(*max);
                }
            }
            &Step::TrimLength { length, is_exact, limit } => {
                let limit = limit.filter(|_| !is_exact);
                let trim = Trim { to: TrimTo::Length(length as u64), is_exact, limit };
                let excess = self.naive.entries.len().saturating_sub(length);
                self.trim(&trim, excess);
            }
            &Step::TrimId { index, is_exact } => {
                let id = self.id(index);
                let excess = self.naive.entries.range(..id).count();
                self.trim(&Trim { to: TrimTo::Id(id), is_exact, limit: None }, excess);
            }
            &Step::SetId { gap, added } => {
                let metadata = &mut self.naive.metadata;
                metadata.last_id.ms += gap;
                metadata.entries_added = self.naive.entries.len() as u64 + added;
                if gap == 2 {
                    metadata.max_deleted_id = StreamId::MIN;
                }
                let metadata = *metadata;
                self.change().set_metadata(metadata);
            }
            &Step::Group { name, index, read } => {
                let last_id = self.id(index);
                self.change().set_group(GROUPS[name].as_bytes(), last_id, read);
                let group = self.naive.groups.entry(GROUPS[name].into()).or_default();
                (group.last_id, group.entries_read) = (last_id, read);
            }
            &Step::RemoveGroup(name) => {
                let was_there = self.naive.groups.remove(GROUPS[name]).is_some();
                assert_eq!(self.change().remove_group(GROUPS[name].as_bytes()), was_there);
            }
            &Step::Deliver { group, consumer, count, needs_no_ack } => {
                self.deliver(GROUPS[group], CONSUMERS[consumer], count, needs_no_ack);
            }
            &Step::Pending { group, consumer, index } => {
                let (id, name, consumer) = (self.id(index), GROUPS[group], CONSUMERS[consumer]);
                let Some(group) = self.naive.groups.get_mut(name) else { return };
                if !group.consumers.contains_key(consumer) {
                    return;
                }
                group.pending.insert(id, (consumer.into(), now_ms, 7));
                self.change().set_pending(name.as_bytes(), id, consumer.as_bytes(), now_ms, 7);
            }
            &Step::RemoveConsumer { group, consumer } => {
                let (name, consumer) = (GROUPS[group], CONSUMERS[consumer]);
                let Some(group) = self.naive.groups.get_mut(name) else { return };
                let before = group.pending.len();
                group.pending.retain(|_, (owner, ..)| owner != consumer);
                let removed = before - group.pending.len();
                let expected = group.consumers.remove(consumer).map(|_| removed);
                assert_eq!(self.change().remove_consumer(name.as_bytes(), consumer.as_bytes()), expected);
            }
            &Step::Acknowledge { group, index } => {
                let (id, name) = (self.id(index), GROUPS[group]);
                let Some(group) = self.naive.groups.get_mut(name) else { return };
                let was_pending = group.pending.remove(&id).is_some();
                assert_eq!(self.change().acknowledge(name.as_bytes(), id), was_pending);
            }
        }
    }

    fn trim(&mut self, trim: &Trim, excess: usize) {
        let removed = self.change().trim(trim) as usize;
        if trim.is_exact {
            assert_eq!(removed, excess);
        } else {
            assert!(removed <= excess.min(trim.limit.map_or(usize::MAX, |limit| limit as usize)));
        }
        (0..removed).for_each(|_| drop(self.naive.entries.pop_first()));
    }

    fn deliver(&mut self, name: &str, consumer: &str, count: usize, needs_no_ack: bool) {
        let now_ms = self.now_ms;
        let Some(group) = self.naive.groups.get_mut(name) else { return };
        let ids: Vec<StreamId> =
            self.naive.entries.keys().copied().filter(|&id| id > group.last_id).take(count).collect();
        let active_ms = group.consumers.get(consumer).and_then(|&(_, active_ms)| active_ms);
        let is_active = !needs_no_ack && !ids.is_empty();
        group.consumers.insert(consumer.into(), (now_ms, if is_active { Some(now_ms) } else { active_ms }));
        group.last_id = ids.last().copied().unwrap_or(group.last_id);
        if !needs_no_ack {
            group.pending.extend(ids.iter().map(|&id| (id, (consumer.to_owned(), now_ms, 1))));
        }
        let mut change = self.change();
        change.see_consumer(name.as_bytes(), consumer.as_bytes(), now_ms);
        change.deliver(name.as_bytes(), consumer.as_bytes(), &ids, now_ms, needs_no_ack);
        // The count has tests of its own.
        let read = self.stream.group(name.as_bytes()).and_then(|group| group.entries_read);
        self.naive.groups.get_mut(name).expect("it is there").entries_read = read;
    }

    fn check(&mut self) {
        let (stream, naive) = (&self.stream, &self.naive);
        assert_eq!(Naive::of(stream), *naive);
        assert_eq!(stream.length(), naive.entries.len() as u64);
        assert_eq!(stream.first_id(), naive.entries.keys().next().copied().unwrap_or_default());
        assert_eq!(stream.last_entry_id(), naive.entries.keys().next_back().copied());
        // Nodes are such as Redis takes, and count for the memory.
        let nodes: Vec<(StreamId, Vec<u8>)> =
            stream.nodes().map(|(master, bytes)| (master, bytes.to_vec())).collect();
        assert_eq!(stream.nodes.allocated_bytes(), stream.nodes.counted_bytes());
        assert_eq!(stream.group_bytes, stream.groups().map(|(name, group)| group.bytes(name)).sum::<usize>());
        let mut copy = Stream::from_nodes(nodes, stream.metadata()).expect("its own nodes are sound");
        for (name, group) in stream.groups() {
            copy.insert_group(name, Group::from_parts(parts(group)).expect("sound"))
                .expect("one of this name");
        }
        assert_eq!(copy, *stream);
        assert_eq!(copy.first_id(), stream.first_id());
        assert_eq!(copy.group_bytes, stream.group_bytes);
        // Both the journal and the effects of the whole build the same.
        assert_eq!(replayed(self.journal.recorded.as_ref().expect("it records")), *stream);
        let mut whole = Vec::new();
        Stream::effects(stream, b"key", &mut |effect| encode(0, &effect, &mut whole));
        assert_eq!(replayed(&whole), *stream);
    }
}

fn parts(group: &Group) -> GroupParts {
    let all = StreamId::MIN..=StreamId::MAX;
    let consumers = group.consumers().map(|consumer| ConsumerParts {
        name: consumer.name().to_vec(),
        seen_ms: consumer.seen_ms,
        active_ms: consumer.active_ms,
        pending: group.pending_of(consumer, all.clone()).map(|(id, _)| id).collect(),
    });
    GroupParts {
        last_id: group.last_id,
        entries_read: group.entries_read,
        pending: group.pending_in(all.clone()).map(|(id, p)| (id, p.delivered_ms, p.deliveries)).collect(),
        consumers: consumers.collect(),
    }
}

fn replayed(effects: &[u8]) -> Stream {
    let mut pair = Pair::new(3, 4096);
    for effect in decode_all(effects) {
        Stream::replay(&mut pair.change(), &effect.expect("an effect").1);
    }
    pair.stream
}

proptest! {
    #[test]
    fn behaves_as_maps_do(
        steps in proptest::collection::vec(any_step(), 0..80),
        node_entries in prop_oneof![Just(0usize), 1usize..12, Just(100)],
        node_bytes in prop_oneof![Just(0usize), 40usize..400, Just(4096)],
    ) {
        let mut pair = Pair::new(node_entries, node_bytes);
        let mut copies = Vec::new();
        for (i, step) in steps.iter().enumerate() {
            pair.step(step);
            if i % 8 == 0 {
                copies.push((pair.stream.clone(), pair.naive.clone()));
            }
        }
        pair.check();
        // What became of the stream did not become of its copies.
        for (copy, naive) in copies {
            prop_assert_eq!(Naive::of(&copy), naive);
            prop_assert_eq!(copy.nodes.allocated_bytes(), copy.nodes.counted_bytes());
        }
    }

    #[test]
    fn ranges_are_those_of_a_map(
        steps in proptest::collection::vec(any_step(), 0..80),
        ends in proptest::collection::vec((0u64..60, 0u64..200, 0u64..60, 0u64..200), 1..12),
        node_entries in 1usize..12,
    ) {
        let mut pair = Pair::new(node_entries, 0);
        steps.iter().for_each(|step| pair.step(step));
        let (stream, naive) = (&pair.stream, &pair.naive);
        for (start_ms, start_seq, end_ms, end_seq) in ends {
            let (start, end) = (StreamId::new(start_ms, start_seq), StreamId::new(end_ms, end_seq));
            let expected: Vec<StreamId> =
                naive.entries.keys().copied().filter(|id| (start..=end).contains(id)).collect();
            let ids: Vec<StreamId> = stream.range(start, end).map(|entry| entry.id).collect();
            prop_assert_eq!(&ids, &expected);
            let mut back: Vec<StreamId> = stream.range_back(start, end).map(|entry| entry.id).collect();
            back.reverse();
            prop_assert_eq!(&back, &expected);
            let entry = stream.entry(start).map(|entry| entry.fields.count());
            prop_assert_eq!(entry, naive.entries.get(&start).map(Vec::len));
        }
    }

    #[test]
    fn damaged_nodes_are_refused_or_harmless(
        steps in proptest::collection::vec(any_step(), 1..40),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut pair = Pair::new(8, 0);
        steps.iter().for_each(|step| pair.step(step));
        let mut nodes: Vec<(StreamId, Vec<u8>)> =
            pair.stream.nodes().map(|(master, bytes)| (master, bytes.to_vec())).collect();
        for (at, byte) in damage {
            if let Some((_, bytes)) = nodes.last_mut() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        // What is taken can be read and changed without a panic.
        if let Ok(stream) = Stream::from_nodes(nodes, pair.stream.metadata()) {
            let ids: Vec<StreamId> = stream.range(StreamId::MIN, StreamId::MAX).map(|entry| entry.id).collect();
            let back = stream.range_back(StreamId::MIN, StreamId::MAX).count();
            prop_assert_eq!((ids.len() as u64, back), (stream.length(), ids.len()));
            let mut damaged = Pair::new(8, 0);
            damaged.stream = stream;
            for id in ids {
                prop_assert!(damaged.change().delete(id));
            }
            prop_assert_eq!(damaged.stream.nodes.len(), 0);
            prop_assert_eq!(damaged.stream.nodes.allocated_bytes(), damaged.stream.nodes.counted_bytes());
        }
    }
}

#[test]
fn nodes_are_redis_s_bytes() {
    // XADD s 1-1 a 1, XADD s 1-5 a xy, XADD s 2-0 b z, XDEL s 1-5 in Redis 7.0.15: the listpack of DUMP.
    let mut pair = Pair::new(100, 4096);
    let mut change = pair.change();
    change.add(StreamId::new(1, 1), &[b"a", b"1"]);
    change.add(StreamId::new(1, 5), &[b"a", b"xy"]);
    change.add(StreamId::new(2, 0), &[b"b", b"z"]);
    assert!(change.delete(StreamId::new(1, 5)));
    let (master, bytes) = pair.stream.nodes().next().expect("a node");
    assert_eq!(master, StreamId::new(1, 1));
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, REDIS_NODE);
}

/// Bytes from `DUMP`, behind the master id.
const REDIS_NODE: &str = "39000000160002010101010181610200010201000100010101040103010001040182787903040100010101dfff020101816202817a020601ff";

#[test]
fn says_where_counts_are_known() {
    let mut pair = Pair::new(100, 4096);
    assert_eq!(pair.stream.entries_read_at(StreamId::new(5, 0)), Some(0));
    (1..=4).for_each(|ms| pair.change().add(StreamId::new(ms, 0), &[b"a", b"b"]));
    let at = |pair: &Pair, ms: u64| pair.stream.entries_read_at(StreamId::new(ms, 0));
    assert_eq!([0, 1, 2, 4, 5].map(|ms| at(&pair, ms)), [Some(0), Some(1), None, Some(4), None]);
    pair.change().delete(StreamId::new(1, 0));
    // The deletion is before what is there now.
    assert_eq!([0, 1, 2, 3, 4].map(|ms| at(&pair, ms)), [Some(1), Some(1), Some(2), None, Some(4)]);
    pair.change().delete(StreamId::new(3, 0));
    assert_eq!([0, 2, 3, 4].map(|ms| at(&pair, ms)), [None, None, None, Some(4)]);
    pair.change().trim(&Trim { to: TrimTo::Length(0), is_exact: true, limit: None });
    assert_eq!([0, 3, 4, 5].map(|ms| at(&pair, ms)), [Some(4), Some(4), Some(4), None]);
}

#[test]
fn refuses_groups_that_do_not_fit() {
    let (id, other) = (StreamId::new(1, 0), StreamId::new(2, 0));
    let consumer = |name: &str, pending: Vec<StreamId>| ConsumerParts {
        name: name.into(),
        pending,
        ..ConsumerParts::default()
    };
    let group = |pending: Vec<StreamId>, consumers: Vec<ConsumerParts>| {
        let pending = pending.into_iter().map(|id| (id, 0, 1)).collect();
        Group::from_parts(GroupParts { pending, consumers, ..GroupParts::default() })
    };
    assert!(group(vec![id], vec![consumer("a", vec![id])]).is_ok());
    for wrong in [
        group(vec![id, id], vec![consumer("a", vec![id])]),
        group(vec![id], vec![]),
        group(vec![id], vec![consumer("a", vec![other])]),
        group(vec![id], vec![consumer("a", vec![id]), consumer("b", vec![id])]),
        group(vec![id], vec![consumer("a", vec![id]), consumer("a", vec![])]),
    ] {
        assert!(wrong.is_err());
    }
}
