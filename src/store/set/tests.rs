//! Sets against an ordered set of byte strings, with small limits so that every form and every change of form is met.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::base::rng::Rng;
use crate::store::effect::{Journal, decode_all};

const LIMITS: EncodingLimits = EncodingLimits {
    set_integers_max: 8,
    set_entries_max: 6,
    set_value_bytes_max: 5,
    hash_entries_max: 0,
    hash_value_bytes_max: 0,
    list_node_size: 0,
    sorted_set_entries_max: 0,
    sorted_set_value_bytes_max: 0,
    stream_node_bytes_max: 0,
    stream_node_entries_max: 0,
    hll_sparse_bytes_max: 0,
};

type Oracle = BTreeSet<Vec<u8>>;

/// Runs `work` on a set as the keyspace would, and replays what it recorded on `replica`.
fn change<R>(set: &mut Set, replica: &mut Set, work: impl FnOnce(&mut Change<'_, Set>) -> R) -> R {
    let mut journal = Journal { recorded: Some(Vec::new()), ..Journal::default() };
    let result = {
        let journal = &mut journal;
        work(&mut Change { value: set, key: b"k", encoding: &LIMITS, db: 0, journal, changes: 0 })
    };
    let mut unheard = Journal::default();
    let journal_of_replica = &mut unheard;
    let mut change = Change {
        value: replica,
        key: b"k",
        encoding: &EncodingLimits::default(),
        db: 0,
        journal: journal_of_replica,
        changes: 0,
    };
    for effect in decode_all(&journal.recorded.expect("it records")) {
        let (_, effect) = effect.expect("an effect");
        Set::replay(&mut change, &effect);
    }
    result
}

fn texts<'a>(members: impl IntoIterator<Item = Member<'a>>) -> Oracle {
    let mut all = Oracle::new();
    for member in members {
        assert!(all.insert(member.to_vec()), "{member:?} is there twice");
    }
    all
}

fn set_of(members: &Oracle) -> Set {
    Set::of(members.iter().map(|member| Member::Bytes(member)), &LIMITS)
}

/// Members that meet often: small integers, short texts, a few too long for a listpack.
fn member() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => (-3..12i32).prop_map(|integer| integer.to_string().into_bytes()),
        1 => Just(b"1234567".to_vec()),
        1 => Just(b"007".to_vec()),
        3 => prop::sample::select(vec!["", "a", "b", "long text"]).prop_map(|text| text.as_bytes().to_vec()),
    ]
}

proptest! {
    #[test]
    fn behaves_as_a_set(steps in vec((0u8..10, member()), 0..120), seed in any::<u64>()) {
        let (mut set, mut replica, mut oracle) = (Set::default(), Set::default(), Oracle::new());
        let mut rng = Rng::new(seed);
        for (what, member) in steps {
            match what {
                0..6 => {
                    let is_new = change(&mut set, &mut replica, |set| set.add(&member));
                    prop_assert_eq!(is_new, oracle.insert(member.clone()));
                }
                6..8 => {
                    let was_there = change(&mut set, &mut replica, |set| set.remove(&member));
                    prop_assert_eq!(was_there, oracle.remove(&member));
                }
                8 => {
                    let mut taken = None;
                    change(&mut set, &mut replica, |set| set.pop(&mut rng, |member| taken = Some(member.to_vec())));
                    prop_assert_eq!(taken.is_some(), !oracle.is_empty());
                    prop_assert!(taken.is_none_or(|taken| oracle.remove(&taken)));
                }
                _ if !oracle.is_empty() => {
                    let found = set.view().random(&mut rng).expect("it has members");
                    prop_assert!(oracle.contains(&found.to_vec()));
                }
                _ => prop_assert_eq!(set.view().random(&mut rng), None),
            }
            // As the keyspace does: an emptied set goes with its key, and the next one begins anew.
            if set.is_empty() {
                (set, replica) = (Set::default(), Set::default());
            }
            let view = set.view();
            prop_assert_eq!((view.len(), view.is_empty()), (oracle.len(), oracle.is_empty()));
            prop_assert_eq!(&texts(view.iter()), &oracle);
            prop_assert_eq!(view.contains(&member), oracle.contains(&member));
            prop_assert_eq!(&replica, &set);
            prop_assert_eq!(&set.clone(), &set);
            let mut scanned = Vec::new();
            let mut cursor = 0;
            loop {
                cursor = view.scan(cursor, 2, |member| scanned.push(member));
                if cursor == 0 {
                    break;
                }
            }
            prop_assert_eq!(&texts(scanned), &oracle);
            match &set {
                Set::Integers(_) => prop_assert!(oracle.len() <= LIMITS.set_integers_max),
                Set::Packed(_) => {
                    prop_assert!(oracle.len() <= LIMITS.set_entries_max);
                    prop_assert!(oracle.iter().all(|member| member.len() <= LIMITS.set_value_bytes_max));
                }
                Set::Empty | Set::Table(_) => {}
            }
            if let Some((packing, bytes)) = set.as_packed() {
                prop_assert_eq!(Set::from_packed(packing, bytes.to_vec()), set.clone());
                prop_assert_eq!(texts(Set::view_packed(packing, bytes).iter()), oracle.clone());
            }
        }
    }

    #[test]
    fn computes_as_ordered_sets_do(
        all in vec(prop::option::of(prop::collection::btree_set(member(), 1..12)), 1..6), most in 0usize..6,
    ) {
        let sets: Vec<Option<Set>> = all.iter().map(|members| members.as_ref().map(set_of)).collect();
        let views: Vec<Option<SetRef<'_>>> = sets.iter().map(|set| set.as_ref().map(Set::view)).collect();
        let all: Vec<Oracle> = all.into_iter().map(Option::unwrap_or_default).collect();
        let shared: Oracle =
            all[0].iter().filter(|member| all.iter().all(|set| set.contains(*member))).cloned().collect();
        prop_assert_eq!(&texts(intersection(&views, usize::MAX)), &shared);
        let some = texts(intersection(&views, most));
        prop_assert!(some.is_subset(&shared) && some.len() == most.min(shared.len()));
        prop_assert_eq!(texts(union(&views)), all.iter().flatten().cloned().collect::<Oracle>());
        let rest: Oracle =
            all[0].iter().filter(|member| !all[1..].iter().any(|set| set.contains(*member))).cloned().collect();
        prop_assert_eq!(texts(difference(&views)), rest);
    }
}

/// The form after adding to an empty set, with Redis's own limits.
fn form(members: &[&str]) -> &'static str {
    let set =
        Set::of(members.iter().map(|member| Member::Bytes(member.as_bytes())), &EncodingLimits::default());
    Set::encoding(set.view())
}

#[test]
fn takes_the_forms_that_redis_takes() {
    let integers = |count: usize| (0..count).map(|i| i.to_string()).collect::<Vec<_>>();
    let texts = |count: usize| (0..count).map(|i| format!("m{i}")).collect::<Vec<_>>();
    let (long, short) = ("x".repeat(65), "x".repeat(64));
    for (members, last, expected) in [
        (integers(512), None, "intset"),
        (integers(513), None, "hashtable"),
        (integers(127), Some("a"), "listpack"),
        (integers(128), Some("a"), "hashtable"),
        (integers(1), Some(&*short), "listpack"),
        (integers(1), Some(&*long), "hashtable"),
        (integers(1), Some("01"), "listpack"),
        (texts(128), None, "listpack"),
        (texts(128), Some("1"), "hashtable"),
        (texts(1), Some(&*long), "hashtable"),
    ] {
        let members: Vec<&str> = members.iter().map(String::as_str).chain(last).collect();
        assert_eq!(form(&members), expected, "{} members and {last:?}", members.len());
    }
}

#[test]
fn expects_what_it_is_told() {
    let limits = EncodingLimits::default();
    for (first, count, expected) in
        [("1", 512, "intset"), ("1", 513, "hashtable"), ("a", 128, "listpack"), ("a", 129, "hashtable")]
    {
        let mut set = Set::default();
        set.expect(first.as_bytes(), count, &limits);
        assert_eq!(Set::encoding(set.view()), expected, "{count} members like {first}");
        let mut set = Set::of([Member::Bytes(first.as_bytes())].into_iter(), &limits);
        set.expect(first.as_bytes(), count, &limits);
        assert_eq!(Set::encoding(set.view()), expected, "{count} more members like {first}");
        assert_eq!(set.view().len(), 1);
    }
}

#[test]
fn many_members_take_little_memory() {
    const MEMBERS: usize = 20_000;
    let name = |i: usize| format!("member:{i:012}").into_bytes();
    let mut set = Set::default();
    for i in 0..MEMBERS {
        assert!(set.add(&name(i), &LIMITS));
    }
    let bytes = set.allocated_bytes();
    assert!(bytes <= MEMBERS * 46, "{bytes} bytes for {MEMBERS} members of 19 bytes");
    for i in 0..MEMBERS {
        assert!(set.remove(&name(i)));
    }
    assert_eq!(set.allocated_bytes(), size_of::<Members>());
}

#[test]
fn a_sample_favours_nobody() {
    let mut rng = Rng::new(2);
    for (len, prefix) in [(6, ""), (6, "m"), (8, "a longer "), (1000, "a longer ")] {
        let members: Oracle = (0..len).map(|i| format!("{prefix}{i}").into_bytes()).collect();
        let set = set_of(&members);
        for count in [1, len / 4, len / 2, len - 1] {
            let rounds = 40_000 / count;
            let mut found = std::collections::BTreeMap::new();
            for _ in 0..rounds {
                let mut sample = Vec::new();
                set.view().sample(count, &mut rng, |member| sample.push(member));
                assert_eq!(sample.len(), count);
                texts(sample).into_iter().for_each(|member| *found.entry(member).or_insert(0) += 1);
            }
            let expected = (rounds * count / len) as i64;
            let slack = 6 * (expected as f64).sqrt() as i64 + 2;
            assert!(
                members.iter().all(|member| (expected - found.get(member).unwrap_or(&0)).abs() <= slack),
                "{count} of {len}: {expected} expected, {found:?}"
            );
        }
    }
}
