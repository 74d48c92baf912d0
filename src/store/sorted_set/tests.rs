//! The set against a sorted vector in both forms, its effects replayed, and the listpack it makes.

use std::cmp::Ordering;
use std::ops::Bound;

use proptest::prelude::*;

use super::*;
use crate::store::effect::{Journal, decode_all};

/// So few that a set changes its form in the middle of most runs.
fn small_limits() -> EncodingLimits {
    EncodingLimits { sorted_set_entries_max: 12, sorted_set_value_bytes_max: 16, ..EncodingLimits::default() }
}

/// What the set must behave as.
#[derive(Default)]
struct Oracle(Vec<(f64, Vec<u8>)>);

fn compare(one: &(f64, Vec<u8>), other: &(f64, Vec<u8>)) -> Ordering {
    one.0.partial_cmp(&other.0).expect("no NaN").then_with(|| one.1.cmp(&other.1))
}

impl Oracle {
    fn rank(&self, member: &[u8]) -> Option<usize> {
        self.0.iter().position(|(_, other)| other == member)
    }

    fn set(&mut self, member: &[u8], score: f64) {
        self.0.retain(|(_, other)| other != member);
        self.0.push((score, member.to_vec()));
        self.0.sort_by(compare);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Set(u8, f64),
    /// Add to the score of a member that is there.
    Increment(u8, f64),
    Remove(u8),
    RemoveRange(u8, u8),
    PopFirst(u8),
    PopLast(u8),
}

/// Members that look like integers, short and long ones.
fn member(number: u8) -> Vec<u8> {
    match number % 4 {
        0 => format!("{number}").into_bytes(),
        1 => format!("-{number}00000").into_bytes(),
        2 => vec![number],
        _ if number > 220 => format!("a member longer than the limit {number}").into_bytes(),
        _ => format!("member {number}").into_bytes(),
    }
}

const SCORES: [f64; 11] = [
    f64::NEG_INFINITY,
    -1.5,
    -0.0,
    0.0,
    5e-324,
    0.1,
    1.0,
    2.0,
    4_611_686_018_427_387_904.0,
    6.5e18,
    f64::INFINITY,
];

fn any_score() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => (0..SCORES.len()).prop_map(|at| SCORES[at]),
        3 => (-9i32..9).prop_map(f64::from),
        2 => any::<f64>().prop_filter("NaN never enters", |score| !score.is_nan()),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => (any::<u8>(), any_score()).prop_map(|(member, score)| Step::Set(member % 32, score)),
        2 => (any::<u8>(), any_score()).prop_map(|(member, score)| Step::Set(member, score)),
        3 => (any::<u8>(), any_score()).prop_map(|(member, score)| Step::Increment(member % 32, score)),
        6 => any::<u8>().prop_map(|member| Step::Remove(member % 32)),
        1 => (0u8..20, 0u8..5).prop_map(|(from, count)| Step::RemoveRange(from, count)),
        1 => (0u8..4).prop_map(Step::PopFirst),
        1 => (0u8..4).prop_map(Step::PopLast),
    ]
}

fn take(change: &mut Change<'_, SortedSet>, oracle: &mut Oracle, step: &Step) {
    match *step {
        Step::Set(number, score) => {
            let member = member(number);
            let old = oracle.rank(&member).map(|rank| oracle.0[rank].0);
            let updated = change.set(&member, score);
            assert_eq!(updated, Updated { old, new: Some(score) });
            assert_eq!(updated.is_added(), old.is_none());
            if old != Some(score) {
                oracle.set(&member, score);
            }
        }
        Step::Increment(number, by) => {
            let member = member(number);
            let old = oracle.rank(&member).map(|rank| oracle.0[rank].0);
            let sum = old.map(|old| old + by).filter(|sum| !sum.is_nan());
            let updated = change.update(&member, |old| old.map(|old| old + by).filter(|sum| !sum.is_nan()));
            assert_eq!(updated, Updated { old, new: sum });
            if let Some(sum) = sum
                && old != Some(sum)
            {
                oracle.set(&member, sum);
            }
        }
        Step::Remove(number) => {
            let rank = oracle.rank(&member(number));
            assert_eq!(change.remove(&member(number)), rank.is_some());
            rank.map(|rank| oracle.0.remove(rank));
        }
        Step::RemoveRange(from, count) => {
            let end = usize::from(from.saturating_add(count)).min(oracle.0.len());
            let gone = oracle.0.drain(usize::from(from).min(end)..end).count();
            assert_eq!(change.remove_range(usize::from(from)..usize::from(from) + usize::from(count)), gone);
        }
        Step::PopFirst(count) => {
            let gone = oracle.0.drain(..usize::from(count).min(oracle.0.len())).count();
            assert_eq!(change.pop_first(count.into()), gone);
        }
        Step::PopLast(count) => {
            let from = oracle.0.len().saturating_sub(count.into());
            let gone = oracle.0.drain(from..).count();
            assert_eq!(change.pop_last(count.into()), gone);
        }
    }
}

fn owned((member, score): (Item<'_>, f64)) -> (f64, Vec<u8>) {
    (score, member.to_vec())
}

fn holds(bound: (Bound<f64>, Bound<f64>), score: f64) -> bool {
    use std::ops::RangeBounds;
    bound.contains(&score)
}

fn compare_all(set: &SortedSet, oracle: &Oracle) {
    let (view, all) = (set.view(), &oracle.0);
    assert_eq!((view.len(), view.is_empty()), (all.len(), all.is_empty()));
    assert_eq!(view.iter().map(owned).collect::<Vec<_>>(), *all);
    assert!(view.iter().rev().map(owned).eq(all.iter().rev().cloned()));
    assert_eq!(
        (view.first().map(owned).as_ref(), view.last().map(owned).as_ref()),
        (all.first(), all.last())
    );
    for (rank, (score, member)) in all.iter().enumerate() {
        assert_eq!(view.score(member), Some(*score));
        assert_eq!(view.rank(member), Some(rank));
        assert_eq!(view.reverse_rank(member), Some(all.len() - 1 - rank));
        assert_eq!(view.at(rank).map(owned), Some(all[rank].clone()));
        for other in [*score, score + 1.0, 0.0] {
            for (min, max) in [
                (Bound::Included(*score), Bound::Included(other)),
                (Bound::Excluded(*score), Bound::Excluded(other)),
                (Bound::Unbounded, Bound::Excluded(other)),
                (Bound::Included(other), Bound::Unbounded),
            ] {
                let found = view.ranks_by_score(min, max);
                assert!(found.end <= all.len().max(found.start));
                assert!((0..all.len()).all(|rank| holds((min, max), all[rank].0) == found.contains(&rank)));
            }
        }
    }
    assert!(view.at(all.len()).is_none() && view.rank(b"nobody").is_none() && view.score(b"").is_none());
    for (from, to) in [(0, 3), (1, 4), (all.len() / 2, all.len() + 5), (5, 2)] {
        let end = to.min(all.len());
        let expected = &all[from.min(end)..end];
        assert!(view.range(from..to).map(owned).eq(expected.iter().cloned()));
        assert!(view.range(from..to).rev().map(owned).eq(expected.iter().rev().cloned()));
        let mut both = view.range(from..to);
        let met = std::iter::from_fn(|| both.next().map(|front| (front, both.next_back()))).count();
        assert_eq!((met, both.len()), (expected.len().div_ceil(2), 0));
    }
    let (mut cursor, mut seen) = (0, Vec::new());
    loop {
        cursor = view.scan(cursor, 3, |member, score| seen.push(owned((member, score))));
        if cursor == 0 {
            break;
        }
    }
    seen.sort_by(compare);
    assert_eq!(seen, *all);
}

proptest! {
    #[test]
    fn behaves_as_a_sorted_vector(steps in proptest::collection::vec(any_step(), 0..80)) {
        let (limits, mut set, mut oracle) = (small_limits(), SortedSet::default(), Oracle::default());
        let mut journal = Journal { recorded: Some(Vec::new()), ..Journal::default() };
        for step in &steps {
            let mut change = Change {
                value: &mut set, key: b"key", encoding: &limits, db: 0, journal: &mut journal, changes: 0,
            };
            take(&mut change, &mut oracle, step);
            if let SortedSet::Packed(bytes) = &set {
                prop_assert!(Listpack::checked(bytes).is_ok());
                prop_assert!(set.view().len() <= limits.sorted_set_entries_max);
                // The form does not tell zeros apart.
                oracle.0.iter_mut().for_each(|(score, _)| *score += 0.0);
            }
        }
        compare_all(&set, &oracle);
        let mut replayed = SortedSet::default();
        let mut nowhere = Journal::default();
        for effect in decode_all(&journal.recorded.take().expect("it records")) {
            let (_, effect) = effect.expect("an effect");
            let mut change = Change {
                value: &mut replayed, key: b"key", encoding: &limits, db: 0, journal: &mut nowhere, changes: 0,
            };
            SortedSet::replay(&mut change, &effect);
        }
        prop_assert_eq!(&replayed, &set);
        prop_assert_eq!(replayed.view().encoding(), set.view().encoding());
        prop_assert_eq!(&SortedSet::collect(&limits, set.view().iter()), &set);
        prop_assert_eq!(&set.clone(), &set);
    }

    #[test]
    fn finds_ranges_of_members(numbers in proptest::collection::btree_set(any::<u8>(), 0..30), min in any::<u8>(), max in any::<u8>()) {
        let mut members: Vec<Vec<u8>> = numbers.into_iter().map(member).collect();
        members.sort();
        let (min, max) = (member(min), member(max));
        for limits in [small_limits(), EncodingLimits::default()] {
            let all = members.iter().map(|member| (Item::Bytes(member), 7.0));
            let set = SortedSet::collect(&limits, all);
            let found = set.view().ranks_by_member(Bound::Excluded(&min), Bound::Included(&max));
            let expected = (0..members.len()).filter(|rank| members[*rank] > min && members[*rank] <= max);
            prop_assert!(found.eq(expected));
        }
    }
}

#[test]
fn becomes_large_by_count_and_by_length() {
    let limits = small_limits();
    let mut set = SortedSet::default();
    for number in 0..12 {
        set.insert(&limits, &[number], f64::from(number));
    }
    assert_eq!(set.view().encoding(), "listpack");
    let mut longer = set.clone();
    set.insert(&limits, b"x", 1.0);
    assert_eq!(set.view().encoding(), "skiplist");
    longer.remove(b"\0");
    longer.insert(&limits, &[b'x'; 16], 1.0);
    assert_eq!(longer.view().encoding(), "listpack");
    longer.remove(b"\x01");
    longer.insert(&limits, &[b'x'; 17], 1.0);
    assert_eq!(longer.view().encoding(), "skiplist");
    assert!(longer.as_packed().is_none() && longer.allocated_bytes() > size_of::<Ordered>());
}

#[test]
fn packs_scores_as_redis_does() {
    let mut set = SortedSet::default();
    for (member, score) in [("b", 1.0), ("a", 1.0), ("half", 0.5), ("zero", -0.0), ("7", f64::INFINITY)] {
        set.insert(&EncodingLimits::default(), member.as_bytes(), score);
    }
    let SortedSet::Packed(bytes) = &set else { panic!("it is small") };
    let (bytes_of, number) = (Item::Bytes, Item::Integer);
    let expected = [
        bytes_of(b"zero"),
        number(0),
        bytes_of(b"half"),
        bytes_of(b"0.5"),
        bytes_of(b"a"),
        number(1),
        bytes_of(b"b"),
        number(1),
        number(7),
        bytes_of(b"inf"),
    ];
    assert_eq!(Listpack::new(bytes).iter().collect::<Vec<_>>(), expected);
}

#[test]
#[should_panic(expected = "NaN")]
fn nan_never_enters() {
    SortedSet::default().insert(&EncodingLimits::default(), b"a", f64::NAN);
}
