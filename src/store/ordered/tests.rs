//! The set against a sorted vector, step by step, and what it costs to hold.

use std::cmp::Ordering;
use std::ops::Bound;

use proptest::prelude::*;

use super::*;
use crate::base::rng::Rng;

/// What the set must behave as.
#[derive(Default)]
struct Oracle(Vec<(f64, Vec<u8>)>);

fn compare(one: &(f64, Vec<u8>), other: &(f64, Vec<u8>)) -> Ordering {
    one.0.partial_cmp(&other.0).expect("no NaN").then_with(|| one.1.cmp(&other.1))
}

impl Oracle {
    fn insert(&mut self, member: &[u8], score: f64) -> Option<f64> {
        let old = self.score(member);
        if old.is_none_or(|old| old != score) {
            self.remove(member);
            let new = (score, member.to_vec());
            let at = self.0.partition_point(|other| compare(other, &new).is_lt());
            self.0.insert(at, new);
        }
        old
    }

    fn rank(&self, member: &[u8]) -> Option<usize> {
        self.0.iter().position(|(_, other)| other == member)
    }

    fn score(&self, member: &[u8]) -> Option<f64> {
        self.rank(member).map(|rank| self.0[rank].0)
    }

    fn remove(&mut self, member: &[u8]) -> Option<f64> {
        self.rank(member).map(|rank| self.0.remove(rank).0)
    }
}

impl Ordered {
    /// Panics unless all parts agree and every sum is right.
    fn check(&self) {
        let entries = self.tree.check();
        let key = |entry: &Entry| (entry.score, self.members.bytes(entry.id).to_vec());
        assert!(entries.windows(2).all(|pair| compare(&key(&pair[0]), &key(&pair[1])).is_lt()));
        assert_eq!(entries.len(), self.members.len());
        for entry in &entries {
            assert_eq!(self.members.score(entry.id).to_bits(), entry.score.to_bits());
            let bytes = self.members.bytes(entry.id);
            assert_eq!(self.find(hash_key(bytes), bytes), Some(entry.id));
        }
        self.members.check();
        self.index.check(|id| hash_key(self.members.bytes(id)));
    }
}

fn bits(entry: (&[u8], f64)) -> (Vec<u8>, u64) {
    (entry.0.to_vec(), entry.1.to_bits())
}

fn expected(oracle: &[(f64, Vec<u8>)]) -> Vec<(Vec<u8>, u64)> {
    oracle.iter().map(|(score, member)| (member.clone(), score.to_bits())).collect()
}

fn holds<B: PartialOrd>(value: &B, min: &Bound<B>, max: &Bound<B>) -> bool {
    let above = match min {
        Bound::Included(min) => value >= min,
        Bound::Excluded(min) => value > min,
        Bound::Unbounded => true,
    };
    let below = match max {
        Bound::Included(max) => value <= max,
        Bound::Excluded(max) => value < max,
        Bound::Unbounded => true,
    };
    above && below
}

/// The ranks that a range of the oracle has; any empty range equals another.
fn agrees(found: Range<usize>, is_in: impl Fn(usize) -> bool, len: usize) -> bool {
    found.end <= len && (0..len).all(|rank| is_in(rank) == found.contains(&rank))
}

/// Short and long members, so that both ways of keeping them mix.
fn member(number: u16) -> Vec<u8> {
    match number % 5 {
        0 => format!("a member that is long enough for its own allocation {number}").into_bytes(),
        1 => format!("{number:014}").into_bytes(),
        2 => format!("{number:015}").into_bytes(),
        _ => number.to_le_bytes()[..if number < 256 { 1 } else { 2 }].to_vec(),
    }
}

const SCORES: [f64; 9] = [f64::NEG_INFINITY, -1.5, -0.0, 0.0, 5e-324, 1.0, 1.0, 2.0, f64::INFINITY];

fn any_score() -> impl Strategy<Value = f64> {
    prop_oneof![
        6 => (0..SCORES.len()).prop_map(|at| SCORES[at]),
        3 => (-40i32..40).prop_map(f64::from),
        1 => any::<f64>().prop_filter("NaN never enters", |score| !score.is_nan()),
    ]
}

fn any_bound<T: std::fmt::Debug>(of: impl Strategy<Value = T>) -> impl Strategy<Value = Bound<T>> {
    (0u8..5, of).prop_map(|(which, value)| match which {
        0 | 1 => Bound::Included(value),
        2 | 3 => Bound::Excluded(value),
        _ => Bound::Unbounded,
    })
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u16, f64),
    /// Many at once, with scores in steps of this.
    Fill(u16, u16, f64),
    Remove(u16),
    RemoveRange(u16, u16),
    PopFirst,
    PopLast,
    Ranks(Bound<f64>, Bound<f64>),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0u16..1200, any_score()).prop_map(|(member, score)| Step::Insert(member, score)),
        2 => (0u16..1000, 0u16..200, -1i32..2).prop_map(|(from, count, by)| Step::Fill(from, count, f64::from(by))),
        4 => (0u16..1200).prop_map(Step::Remove),
        1 => (0u16..1000, 0u16..300).prop_map(|(from, count)| Step::RemoveRange(from, count)),
        1 => Just(Step::PopFirst),
        1 => Just(Step::PopLast),
        3 => (any_bound(any_score()), any_bound(any_score())).prop_map(|(min, max)| Step::Ranks(min, max)),
    ]
}

fn pop(set: &mut Ordered, rank: usize) -> Option<(Vec<u8>, u64)> {
    let mut popped = None;
    set.remove_range(rank..rank + 1, |member, score| popped = Some(bits((member, score))));
    popped
}

fn take(set: &mut Ordered, oracle: &mut Oracle, step: Step) {
    let same = |one: Option<f64>, other: Option<f64>| {
        assert_eq!(one.map(f64::to_bits), other.map(f64::to_bits));
    };
    match step {
        Step::Insert(number, score) => {
            same(set.insert(&member(number), score), oracle.insert(&member(number), score));
        }
        Step::Fill(from, count, by) => {
            for i in 0..count {
                let (member, score) = (member(from + i), by * f64::from(i));
                same(set.insert(&member, score), oracle.insert(&member, score));
            }
        }
        Step::Remove(number) => same(set.remove(&member(number)), oracle.remove(&member(number))),
        Step::RemoveRange(from, count) => {
            let mut shown = Vec::new();
            let (from, to) = (usize::from(from), usize::from(from) + usize::from(count));
            let removed = set.remove_range(from..to, |member, score| shown.push(bits((member, score))));
            let to = to.min(oracle.0.len());
            let gone: Vec<_> = oracle.0.drain(from.min(to)..to).collect();
            assert_eq!((removed, shown), (gone.len(), expected(&gone)));
        }
        Step::PopFirst => {
            let gone = (!oracle.0.is_empty()).then(|| oracle.0.remove(0));
            let popped = pop(set, 0);
            assert_eq!(popped.as_slice(), expected(gone.as_slice()));
        }
        Step::PopLast => {
            let popped = pop(set, set.len().saturating_sub(1));
            assert_eq!(popped.as_slice(), expected(oracle.0.pop().as_slice()));
        }
        Step::Ranks(min, max) => {
            let is_in = |rank: usize| holds(&oracle.0[rank].0, &min, &max);
            assert!(agrees(set.ranks_by_score(min, max), is_in, oracle.0.len()));
        }
    }
    assert_eq!(set.len(), oracle.0.len());
}

fn compare_all(set: &Ordered, oracle: &Oracle) {
    set.check();
    let all = expected(&oracle.0);
    assert!(set.iter().map(bits).eq(all.iter().cloned()));
    assert!(set.iter().rev().map(bits).eq(all.iter().rev().cloned()));
    assert_eq!(set.first().map(bits).as_ref(), all.first());
    assert_eq!(set.last().map(bits).as_ref(), all.last());
    for (rank, (score, member)) in oracle.0.iter().enumerate().step_by(7) {
        assert_eq!(set.rank(member), Some(rank));
        assert_eq!(set.reverse_rank(member), Some(all.len() - 1 - rank));
        assert_eq!(set.score(member).map(f64::to_bits), Some(score.to_bits()));
        assert_eq!(set.at(rank).map(bits), Some(all[rank].clone()));
    }
    assert!(set.rank(b"nobody").is_none() && set.score(b"").is_none());
    for (from, to) in [(0, 3), (all.len() / 3, all.len() / 2), (all.len().saturating_sub(2), all.len() + 5)] {
        let end = to.min(all.len());
        assert_eq!(set.range(from..to).len(), end - from.min(end));
        assert!(set.range(from..to).map(bits).eq(all[from.min(end)..end].iter().cloned()));
        assert!(set.range(from..to).rev().map(bits).eq(all[from.min(end)..end].iter().rev().cloned()));
    }
    let mut both = set.iter();
    let (mut front, mut back) = (0, all.len());
    while let Some(entry) = both.next() {
        assert_eq!(bits(entry), all[front]);
        front += 1;
        if let Some(entry) = both.next_back() {
            back -= 1;
            assert_eq!(bits(entry), all[back]);
        }
    }
    assert_eq!(front, back, "the ends meet");
}

proptest! {
    #[test]
    fn behaves_as_a_sorted_vector(steps in proptest::collection::vec(any_step(), 0..120)) {
        let (mut set, mut oracle) = (Ordered::new(), Oracle::default());
        let mut copies = Vec::new();
        for (i, step) in steps.into_iter().enumerate() {
            take(&mut set, &mut oracle, step);
            if i % 16 == 0 {
                set.check();
                copies.push((set.clone(), Oracle(oracle.0.clone())));
            }
        }
        compare_all(&set, &oracle);
        for (copy, oracle) in &copies {
            compare_all(copy, oracle);
        }
        let mut copy = set.clone();
        compare_all(&copy, &oracle);
        while let Some((member, _)) = pop(&mut copy, 0) {
            prop_assert_eq!(oracle.0.remove(0).1, member);
        }
        prop_assert_eq!(copy.allocated_bytes(), 0);
    }

    #[test]
    fn finds_ranges_of_members_where_all_scores_are_equal(
        numbers in proptest::collection::btree_set(0u16..1000, 0..400),
        bounds in proptest::collection::vec((any_bound(0u16..1000), any_bound(0u16..1000)), 1..20),
    ) {
        let (mut set, mut oracle) = (Ordered::new(), Oracle::default());
        for number in numbers {
            set.insert(&member(number), 7.0);
            oracle.0.push((7.0, member(number)));
        }
        oracle.0.sort_by(compare);
        for (min, max) in bounds {
            let (min, max) = (min.map(member), max.map(member));
            let found = set.ranks_by_member(min.as_ref().map(Vec::as_slice), max.as_ref().map(Vec::as_slice));
            prop_assert!(agrees(found, |rank| holds(&oracle.0[rank].1, &min, &max), oracle.0.len()));
        }
    }

    /// With unequal scores a range of members means nothing, but it must still be one.
    #[test]
    fn survives_ranges_of_members_where_scores_differ(
        scores in proptest::collection::vec(any_score(), 0..300), min in 0u16..300, max in 0u16..300,
    ) {
        let mut set = Ordered::new();
        for (number, score) in (0..).zip(&scores) {
            set.insert(&member(number), *score);
        }
        let found = set.ranks_by_member(Bound::Excluded(&member(min)), Bound::Included(&member(max)));
        prop_assert!(found.start <= found.end);
        prop_assert!(set.range(found).count() <= set.len());
    }
}

#[test]
fn zeros_are_equal_and_the_first_stays() {
    let mut set = Ordered::new();
    set.insert(b"b", -0.0);
    set.insert(b"a", 0.0);
    assert_eq!(set.insert(b"b", 0.0).map(f64::to_bits), Some((-0.0f64).to_bits()));
    assert_eq!(set.iter().map(|(member, _)| member).collect::<Vec<_>>(), [b"a", b"b"]);
    assert_eq!(set.score(b"b").map(f64::to_bits), Some((-0.0f64).to_bits()));
    assert_eq!(set.ranks_by_score(Bound::Included(-0.0), Bound::Included(0.0)), 0..2);
    assert_eq!(set.ranks_by_score(Bound::Excluded(-0.0), Bound::Unbounded), 2..2);
}

#[test]
#[should_panic(expected = "NaN")]
fn nan_never_enters() {
    Ordered::new().insert(b"a", f64::NAN);
}

/// Some 100,000 members come, move and go; the order is compared with a map that keeps it by other means.
#[test]
fn a_large_set_stays_right_while_it_grows_moves_and_shrinks() {
    const MEMBERS: u64 = 100_000;
    let name = |i: u64| format!("member:{i}").into_bytes();
    let mut rng = Rng::new(20_261_121);
    let mut set = Ordered::new();
    let mut scores: Vec<Option<u64>> = vec![None; MEMBERS as usize];
    // A share of inserts for each phase: mostly growing, balanced, mostly shrinking.
    for (steps, inserts) in [(160_000, 95), (100_000, 60), (300_000, 10), (50_000, 80)] {
        for _ in 0..steps {
            let i = rng.below(MEMBERS);
            let held = &mut scores[i as usize];
            let old = held.map(|score| score as f64);
            if rng.below(100) < inserts {
                // A third of all have one of ten scores.
                let score = if rng.below(3) == 0 { rng.below(10) } else { rng.below(1 << 40) };
                assert_eq!(set.insert(&name(i), score as f64), old);
                *held = Some(score);
            } else {
                assert_eq!(set.remove(&name(i)), old);
                *held = None;
            }
        }
        let mut sorted: Vec<(u64, Vec<u8>)> =
            (0..).zip(&scores).filter_map(|(i, score)| Some(((*score)?, name(i)))).collect();
        sorted.sort();
        set.check();
        assert!(set.iter().eq(sorted.iter().map(|(score, member)| (&member[..], *score as f64))));
        for rank in (0..sorted.len()).step_by(97) {
            let (score, member) = &sorted[rank];
            assert_eq!(set.rank(member), Some(rank));
            let found = set.ranks_by_score(Bound::Included(*score as f64), Bound::Excluded(1e6));
            let start = sorted.partition_point(|other| other.0 < *score);
            let end = sorted.partition_point(|other| other.0 < 1_000_000);
            assert_eq!(found, start..end.max(start));
        }
    }
    let len = set.len();
    let third = len / 3;
    let kept: Vec<Vec<u8>> =
        set.range(0..third).chain(set.range(2 * third..len)).map(|e| e.0.to_vec()).collect();
    assert_eq!(set.remove_range(third..2 * third, |_, _| ()), third);
    set.check();
    assert!(set.iter().map(|(member, _)| member).eq(kept.iter().map(Vec::as_slice)));
}

#[test]
fn is_compact_however_it_was_filled_and_shrinks_with_its_members() {
    const MEMBERS: u64 = 50_000;
    let mut rng = Rng::new(3);
    for (what, per_member_max) in [("ascending", 52), ("descending", 52), ("shuffled", 60), ("equal", 60)] {
        let mut set = Ordered::new();
        for i in 0..MEMBERS {
            let score = match what {
                "ascending" => i as f64,
                "descending" => -(i as f64),
                "shuffled" => rng.next_u64() as f64,
                _ => 1.0,
            };
            set.insert(format!("m{:09}", i.wrapping_mul(7919) % MEMBERS).as_bytes(), score);
        }
        set.check();
        let per_member = set.allocated_bytes() as u64 / MEMBERS;
        assert!(per_member <= per_member_max, "{what}: {per_member} bytes a member");
        while set.len() > 200 {
            let rank = rng.below(set.len() as u64) as usize;
            set.remove_range(rank..rank + 1, |_, _| ());
            let (bytes, members) = (set.allocated_bytes(), set.len());
            assert!(bytes <= members * 110 + 18_000, "{what}: {bytes} bytes for {members} members left");
        }
        set.check();
    }
}

/// A scan shows whoever stays, whatever comes, goes, moves and is moved meanwhile.
#[test]
fn a_scan_misses_nobody_who_stays() {
    let name = |i: u64| format!("m{i}").into_bytes();
    for seed in 0..20 {
        let mut rng = Rng::new(seed);
        let mut set = Ordered::new();
        for i in 0..3000 {
            set.insert(&name(i), 0.0);
        }
        let (mut seen, mut cursor) = (std::collections::BTreeSet::new(), 0);
        loop {
            cursor = set.scan(cursor, 10, |member, _| {
                seen.insert(member.to_vec());
            });
            if cursor == 0 {
                break;
            }
            for _ in 0..20 {
                // Every tenth stays.
                let i = rng.below(3000);
                if i.is_multiple_of(10) {
                    set.insert(&name(i), rng.below(100) as f64);
                } else if rng.below(20) == 0 {
                    set.insert(&name(i), 1.0);
                } else {
                    set.remove(&name(i));
                }
            }
        }
        assert!((0..3000).step_by(10).all(|i| seen.contains(&name(i))), "seed {seed}");
    }
}
