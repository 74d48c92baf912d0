//! Which transactions over several shards are there as a whole, and how far each shard's stream may therefore be used. One pure function
//! over sequence numbers, for recovery and for a running server; never looks at bytes.
//!
//! A transaction leaves a part in the stream of each of its shards. After a crash each stream ends somewhere. If one of them lacks
//! its part, the others' must go; and with a part goes all that follows it in its stream, since that was done to data which the part
//! had changed. That may be a part of another transaction, and so on. [`whole`] finds what remains: the most that is consistent. It
//! is unique, since of two consistent choices the longer of each stream's prefixes are consistent again.
//!
//! # Recovery
//!
//! A [`Stream`] for each shard of a generation, `kept` where its records end; then [`whole`], once. A base never lies within a transaction,
//! so either all parts of one are in the segments that are left, or none.
//!
//! # A running server
//!
//! What a client is told of must be there after any crash. So a shard's reply may leave when its sequence number is at most `kept`, with
//! `kept` made from what is durable on all shards: not from what is durable on its own. Whoever watches has all streams before it and
//! appends each part before the stream's durable end passes it. Each time it sets `kept` to the durable ends, calls [`whole`], reads
//! `kept`, and calls [`forget`]. What it knows of the others may be old: it then says less than is true, never more, because more
//! durable records never take anything away.
//!
//! Forgetting loses nothing. A part that is kept has all its fellows kept, so all of them are forgotten in the same call. A fellow that is
//! not in its stream's list is therefore always one that is missing yet.

/// One shard's part of a transaction, where its stream has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartAt {
    /// Sequence number of the record that completes the part.
    pub seq: u64,
    /// The transaction.
    pub id: u64,
    /// All shards that have a part, ascending.
    pub shards: Vec<u16>,
}

/// One shard's stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stream {
    /// The largest sequence number that is there, or may be used: groups whose last record is at most this one.
    pub kept: u64,
    /// The parts in it by sequence number, those behind `kept` included or not.
    pub parts: Vec<PartAt>,
}

/// Lowers `kept` where a part would be kept without one of its fellows. Streams are indexed by shard; a shard without a stream has nothing.
///
/// A stream that has two parts of one transaction, which nobody writes, has its part if it has the first.
pub fn whole(streams: &mut [Stream]) {
    let mut state = State::new(streams);
    for (shard, stream) in streams.iter().enumerate() {
        let kept = &stream.parts[..state.lengths[shard]];
        let lacks = |part: &PartAt| part.shards.iter().any(|&fellow| !state.has(fellow.into(), part.id));
        if let Some(index) = kept.iter().position(lacks) {
            state.cut(shard, index);
        }
    }
    state.settle(streams);
    for (stream, length) in streams.iter_mut().zip(state.lengths) {
        if let Some(first) = stream.parts.get(length) {
            stream.kept = stream.kept.min(first.seq.saturating_sub(1));
        }
    }
}

/// Drops the parts that are kept, of all streams at once: see the head of this file.
pub fn forget(streams: &mut [Stream]) {
    for stream in streams {
        let kept = stream.parts.partition_point(|part| part.seq <= stream.kept);
        stream.parts.drain(..kept);
    }
}

/// What is kept as yet.
struct State {
    /// How many parts of each stream.
    lengths: Vec<usize>,
    /// Transaction, stream and position of each part, sorted.
    places: Vec<(u64, u32, u32)>,
    /// Parts that have been cut off and whose fellows have not been told: stream and position.
    untold: Vec<(usize, usize)>,
}

impl State {
    fn new(streams: &[Stream]) -> State {
        let mut places = Vec::with_capacity(streams.iter().map(|stream| stream.parts.len()).sum());
        let mut lengths = Vec::with_capacity(streams.len());
        for (shard, stream) in streams.iter().enumerate() {
            debug_assert!(stream.parts.is_sorted_by(|a, b| a.seq < b.seq), "parts out of order");
            let length = stream.parts.partition_point(|part| part.seq <= stream.kept);
            lengths.push(length);
            places.extend((0..length).map(|index| (stream.parts[index].id, shard as u32, index as u32)));
        }
        places.sort_unstable();
        State { lengths, places, untold: Vec::new() }
    }

    /// Where the kept parts of this transaction were at first.
    fn places(&self, id: u64) -> &[(u64, u32, u32)] {
        let start = self.places.partition_point(|place| place.0 < id);
        let length = self.places[start..].partition_point(|place| place.0 == id);
        &self.places[start..start + length]
    }

    /// Whether the stream of this shard has, as yet, a part of this transaction.
    fn has(&self, shard: usize, id: u64) -> bool {
        let first = self.places(id).iter().find(|place| place.1 as usize == shard);
        first.is_some_and(|place| (place.2 as usize) < self.lengths[shard])
    }

    /// Keeps the parts before this one only.
    fn cut(&mut self, shard: usize, index: usize) {
        let length = self.lengths[shard];
        self.untold.extend((index..length).map(|index| (shard, index)));
        self.lengths[shard] = length.min(index);
    }

    /// Cuts off what lacks a fellow because of earlier cuts.
    fn settle(&mut self, streams: &[Stream]) {
        while let Some((shard, index)) = self.untold.pop() {
            let id = streams[shard].parts[index].id;
            if self.has(shard, id) {
                continue;
            }
            let lacking: Vec<(usize, usize)> = (self.places(id).iter())
                .map(|place| (place.1 as usize, place.2 as usize))
                .filter(|&(fellow, at)| streams[fellow].parts[at].shards.contains(&(shard as u16)))
                .collect();
            for (fellow, at) in lacking {
                self.cut(fellow, at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn stream(kept: u64, parts: &[(u64, u64, &[u16])]) -> Stream {
        let parts =
            parts.iter().map(|&(seq, id, shards)| PartAt { seq, id, shards: shards.to_vec() }).collect();
        Stream { kept, parts }
    }

    fn kept(mut streams: Vec<Stream>) -> Vec<u64> {
        whole(&mut streams);
        streams.iter().map(|stream| stream.kept).collect()
    }

    #[test]
    fn streams_without_transactions_stay() {
        assert_eq!(kept(vec![stream(7, &[]), stream(0, &[])]), [7, 0]);
        assert_eq!(kept(Vec::new()), [0; 0]);
    }

    #[test]
    fn a_transaction_that_is_there_stays() {
        let (a, b) = (stream(7, &[(5, 1, &[0, 1])]), stream(3, &[(3, 1, &[0, 1])]));
        assert_eq!(kept(vec![a, b]), [7, 3]);
    }

    #[test]
    fn a_part_without_its_fellow_goes_and_what_follows_it() {
        let (a, b) = (stream(7, &[(5, 1, &[0, 1])]), stream(2, &[(3, 1, &[0, 1])]));
        assert_eq!(kept(vec![a.clone(), b]), [4, 2], "cut off there");
        assert_eq!(kept(vec![a.clone(), stream(9, &[])]), [4, 9], "never written there");
        assert_eq!(kept(vec![a]), [4], "no such stream");
    }

    #[test]
    fn what_goes_takes_others_along() {
        // Shard 2 lacks transaction 3; with it shard 1 loses transaction 2, and with that shard 0 everything from 4 on.
        let a = stream(9, &[(2, 1, &[0, 1]), (4, 2, &[0, 1]), (8, 4, &[0])]);
        let b = stream(9, &[(1, 1, &[0, 1]), (5, 3, &[1, 2]), (6, 2, &[0, 1])]);
        let c = stream(9, &[]);
        assert_eq!(kept(vec![a, b, c]), [3, 4, 9]);
    }

    #[test]
    fn transactions_in_another_order_on_another_shard_stay_or_go_together() {
        let a = stream(9, &[(2, 1, &[0, 1]), (4, 2, &[0, 1])]);
        let b = stream(9, &[(3, 2, &[0, 1]), (5, 1, &[0, 1])]);
        assert_eq!(kept(vec![a.clone(), b.clone()]), [9, 9]);
        assert_eq!(kept(vec![a, Stream { kept: 4, ..b }]), [1, 2]);
    }

    #[test]
    fn a_running_server_forgets_what_is_kept() {
        let mut streams = vec![
            stream(4, &[(2, 1, &[0, 1]), (4, 2, &[0, 1])]),
            stream(3, &[(3, 1, &[0, 1]), (5, 2, &[0, 1])]),
        ];
        whole(&mut streams);
        forget(&mut streams);
        assert_eq!(streams, [stream(3, &[(4, 2, &[0, 1])]), stream(3, &[(5, 2, &[0, 1])])]);
        (streams[0].kept, streams[1].kept) = (6, 5);
        whole(&mut streams);
        forget(&mut streams);
        assert_eq!(streams, [stream(6, &[]), stream(5, &[])]);
    }

    /// The rule as it is said, again and again until nothing changes.
    fn naive(streams: &mut [Stream]) {
        loop {
            let has = |shard: u16, id: u64| {
                let stream = streams.get(usize::from(shard));
                stream.is_some_and(|s| s.parts.iter().any(|part| part.id == id && part.seq <= s.kept))
            };
            let lower = (0..streams.len()).find_map(|shard| {
                let lacks = |part: &&PartAt| part.shards.iter().any(|&fellow| !has(fellow, part.id));
                let kept = streams[shard].kept;
                let part = streams[shard].parts.iter().filter(|part| part.seq <= kept).find(lacks)?;
                Some((shard, part.seq - 1))
            });
            let Some((shard, kept)) = lower else { return };
            streams[shard].kept = kept;
        }
    }

    /// Any streams at all: parts that name shards at will, even none, and ids that are there twice.
    fn any_streams() -> impl Strategy<Value = Vec<Stream>> {
        let part = (1..3u64, 0..8u64, vec(0..5u16, 0..4));
        let stream = (0..20u64, vec(part, 0..8)).prop_map(|(kept, parts)| {
            let mut seq = 0;
            let parts = parts.into_iter().map(|(step, id, mut shards)| {
                seq += step;
                shards.sort_unstable();
                shards.dedup();
                PartAt { seq, id, shards }
            });
            Stream { parts: parts.collect(), kept }
        });
        vec(stream, 0..5)
    }

    /// Streams as shards write them: each transaction has its parts, though in orders that differ.
    fn written_streams() -> impl Strategy<Value = Vec<Stream>> {
        let transaction = (vec(0..4u16, 1..4), vec(1..4u64, 4), any::<bool>());
        (vec(transaction, 0..12), vec(0..4u64, 4)).prop_map(|(transactions, behind)| {
            let mut streams = vec![Stream::default(); 4];
            for (id, (mut shards, steps, swaps)) in transactions.into_iter().enumerate() {
                shards.sort_unstable();
                shards.dedup();
                for &shard in &shards {
                    let stream = &mut streams[usize::from(shard)];
                    stream.kept += steps[usize::from(shard)];
                    stream.parts.push(PartAt { seq: stream.kept, id: id as u64, shards: shards.clone() });
                    // One that has nothing in common with its neighbour on another shard may be before it on this one.
                    if let [.., a, b] = &mut stream.parts[..]
                        && swaps
                        && shard == 0
                    {
                        (a.id, b.id) = (b.id, a.id);
                        std::mem::swap(&mut a.shards, &mut b.shards);
                    }
                }
            }
            for (stream, behind) in streams.iter_mut().zip(behind) {
                stream.kept += behind;
            }
            streams
        })
    }

    proptest! {
        #[test]
        fn agrees_with_the_naive_rule(streams in prop_oneof![any_streams(), written_streams()], ends in vec(0..30u64, 5)) {
            let mut ours = streams;
            for (stream, end) in ours.iter_mut().zip(ends) {
                stream.kept = stream.kept.min(end);
            }
            let mut oracle = ours.clone();
            whole(&mut ours);
            naive(&mut oracle);
            prop_assert_eq!(ours, oracle);
        }

        #[test]
        fn finds_the_most_that_is_consistent(streams in any_streams()) {
            let mut ours = streams.clone();
            whole(&mut ours);
            // All choices of three streams, at places where something can change.
            let mut choices = vec![streams.clone()];
            for shard in 0..streams.len().min(3) {
                choices = choices.into_iter().flat_map(|choice| {
                    let cuts: Vec<u64> = choice[shard].parts.iter().map(|part| part.seq - 1).collect();
                    cuts.into_iter().chain([u64::MAX]).map(move |cut| {
                        let mut choice = choice.clone();
                        choice[shard].kept = choice[shard].kept.min(cut);
                        choice
                    })
                }).collect();
            }
            for choice in choices {
                let mut checked = choice.clone();
                naive(&mut checked);
                if checked == choice {
                    for (ours, other) in ours.iter().zip(&choice) {
                        prop_assert!(ours.kept >= other.kept, "{:?} is consistent too", choice);
                    }
                }
            }
        }

        #[test]
        fn forgetting_changes_nothing_however_the_ends_advance(
            streams in written_streams(),
            advances in vec((0..4usize, 1..6u64), 0..40),
        ) {
            let mut durable = [0; 4];
            let mut watched = vec![Stream::default(); 4];
            let mut known = [0; 4];
            for (shard, by) in advances {
                durable[shard] = streams[shard].kept.min(durable[shard] + by);
                // The parts that this end passes are told before.
                let more = &streams[shard].parts[known[shard]..];
                let count = more.partition_point(|part| part.seq <= durable[shard]);
                watched[shard].parts.extend_from_slice(&more[..count]);
                known[shard] += count;
                for (stream, durable) in watched.iter_mut().zip(durable) {
                    stream.kept = durable;
                }
                whole(&mut watched);
                forget(&mut watched);

                let mut all_at_once = streams.clone();
                for (stream, durable) in all_at_once.iter_mut().zip(durable) {
                    stream.kept = durable;
                }
                whole(&mut all_at_once);
                for (watched, all) in watched.iter().zip(&all_at_once) {
                    prop_assert_eq!(watched.kept, all.kept);
                }
            }
        }
    }
}
