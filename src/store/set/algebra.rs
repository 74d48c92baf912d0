//! Intersections, unions and differences of sets. Reads views and lists members; changes nothing and knows no key.
//!
//! A set that is `None` belongs to a missing key: it is empty.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::store::set::{Member, SetRef};
use crate::store::table::hash_key;

/// The members that all sets share, at most `most` of them. There must be a set.
pub fn intersection<'a>(sets: &[Option<SetRef<'a>>], most: usize) -> Vec<Member<'a>> {
    let Some(mut sets) = sets.iter().copied().collect::<Option<Vec<SetRef<'a>>>>() else {
        return Vec::new();
    };
    // Whatever is in all is in the smallest, and the next smallest is the likeliest to lack a member.
    sets.sort_by_key(|set| set.len());
    let (smallest, others) = sets.split_first().expect("there is a set");
    let is_in_all = |member: &Member<'a>| others.iter().all(|set| set.contains_member(*member));
    smallest.iter().filter(is_in_all).take(most).collect()
}

/// The members of any of the sets, each once.
pub fn union<'a>(sets: &[Option<SetRef<'a>>]) -> Vec<Member<'a>> {
    let sets: Vec<SetRef<'a>> = sets.iter().flatten().copied().collect();
    match sets[..] {
        [] => Vec::new(),
        [set] => set.iter().collect(),
        _ => {
            let mut distinct = Distinct::default();
            distinct.insert_all(&sets);
            distinct.members.into_iter().map(|(_, member)| member).collect()
        }
    }
}

/// The members of the first set that no other has. There must be a set.
pub fn difference<'a>(sets: &[Option<SetRef<'a>>]) -> Vec<Member<'a>> {
    let Some(first) = sets[0] else { return Vec::new() };
    let mut others: Vec<SetRef<'a>> = sets[1..].iter().flatten().copied().collect();
    // The largest is the likeliest to have a member.
    others.sort_by_key(|set| std::cmp::Reverse(set.len()));
    let in_others: usize = others.iter().map(|set| set.len()).sum();
    // Looking up each of the first set's members in every other, or those of all others once: which is less?
    if others.len() > 1 && first.len() * (others.len() - 1) > in_others {
        let mut distinct = Distinct::default();
        distinct.insert_all(&others);
        return first.iter().filter(|member| !distinct.contains(*member)).collect();
    }
    first.iter().filter(|member| !others.iter().any(|set| set.contains_member(*member))).collect()
}

/// Members of several sets, each once, with their hashes.
#[derive(Default)]
pub(super) struct Distinct<'a> {
    members: HashTable<(u64, Member<'a>)>,
}

impl<'a> Distinct<'a> {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// Adds a member. Returns whether it was not there before.
    pub(super) fn insert(&mut self, member: Member<'a>) -> bool {
        let hash = member.with_bytes(hash_key);
        let is_it = |other: &(u64, Member<'a>)| is_same(other.1, member);
        match self.members.entry(hash, is_it, |(hash, _)| *hash) {
            Entry::Vacant(place) => {
                place.insert((hash, member));
                true
            }
            Entry::Occupied(_) => false,
        }
    }

    fn insert_all(&mut self, sets: &[SetRef<'a>]) {
        for member in sets.iter().flat_map(|set| set.iter()) {
            self.insert(member);
        }
    }

    fn contains(&self, member: Member<'_>) -> bool {
        self.members.find(member.with_bytes(hash_key), |other| is_same(other.1, member)).is_some()
    }
}

/// Whether two members are the same to clients: one form may keep as an integer what another keeps as text.
fn is_same(a: Member<'_>, b: Member<'_>) -> bool {
    match (a, b) {
        (Member::Integer(a), Member::Integer(b)) => a == b,
        (Member::Bytes(a), Member::Bytes(b)) => a == b,
        _ => a.with_bytes(|a| b.with_bytes(|b| a == b)),
    }
}
