//! Sorted sets: members with scores, in order of score and then bytes. Owns which of two forms a set has and how a change keeps both
//! the form and the journal right. Knows nothing of commands or replies.
//!
//! ```text
//! Packed   a listpack of members and scores, in order        few and short members; beside its key while it is small
//! Large    store/ordered: slab, index and counted B+-tree     everything else
//! ```
//!
//! A set that has become large stays so, as in Redis; a set built anew (`collect`) begins small. NaN is no score: whoever
//! computes one sees to that before it comes here.

mod packed;
#[cfg(test)]
mod tests;
mod view;

use std::ops::Range;

pub use view::{Iter, SortedSetRef};

use crate::store::collection::{Change, Collection, EncodingLimits};
use crate::store::effect::Effect;
use crate::store::listpack::{self, Item, Listpack};
use crate::store::object::{Kind, Packing, Value, ValueRef};
use crate::store::ordered::Ordered;

pub use crate::store::ordered::MEMBERS_MAX;

/// A sorted set.
#[derive(Clone, Debug)]
pub enum SortedSet {
    /// A listpack of members and scores, in order.
    Packed(Vec<u8>),
    /// The large form.
    Large(Box<Ordered>),
}

/// What `update` did with one member.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Updated {
    /// The score it had, if it was there.
    pub old: Option<f64>,
    /// The score that was decided, if any.
    pub new: Option<f64>,
}

impl Updated {
    /// Whether the member is new.
    pub fn is_added(self) -> bool {
        self.old.is_none() && self.new.is_some()
    }

    /// Whether the member was there and its score is another one now.
    pub fn is_moved(self) -> bool {
        self.old.is_some() && self.new.is_some_and(|new| self.old != Some(new))
    }
}

impl SortedSet {
    /// A set of these members, all different; a NaN must not be among the scores. Takes least time where they come in order.
    pub fn collect<'a, I>(limits: &EncodingLimits, members: I) -> SortedSet
    where
        I: IntoIterator<Item = (Item<'a>, f64), IntoIter: ExactSizeIterator + Clone>,
    {
        let members = members.into_iter();
        let is_short =
            |member: Item<'_>| member.with_bytes(|member| member.len() <= limits.sorted_set_value_bytes_max);
        let fits = members.len() <= limits.sorted_set_entries_max
            && members.clone().all(|(member, _)| is_short(member));
        // What will be large is so at once. As in Redis, such a set then knows which zeros are negative.
        let mut set = if fits { SortedSet::default() } else { SortedSet::Large(Box::default()) };
        for (member, score) in members {
            member.with_bytes(|member| set.insert(limits, member, score));
        }
        set
    }

    /// Gives a member of a set that stands under no key a score. The score is not NaN.
    pub fn insert(&mut self, limits: &EncodingLimits, member: &[u8], score: f64) -> Updated {
        self.update(limits, member, |_| Some(score))
    }

    fn update(
        &mut self,
        limits: &EncodingLimits,
        member: &[u8],
        decide: impl FnOnce(Option<f64>) -> Option<f64>,
    ) -> Updated {
        let bytes = match self {
            SortedSet::Large(set) => {
                let (old, new) = set.update(member, decide);
                return Updated { old, new };
            }
            SortedSet::Packed(bytes) => bytes,
        };
        let pack = Listpack::new(bytes);
        let found = packed::find(pack, member);
        let old = found.map(|at| packed::score_at(pack, at));
        let new = decide(old);
        assert!(new.is_none_or(|new| !new.is_nan()), "NaN has no place in the order");
        match (found, old, new) {
            (_, _, None) => {}
            (Some(at), Some(old), Some(new)) => {
                if old != new {
                    packed::set_score(bytes, at, member, old, new);
                }
            }
            (_, _, Some(new)) => {
                let fits = packed::len(pack) < limits.sorted_set_entries_max
                    && member.len() <= limits.sorted_set_value_bytes_max
                    && pack.has_room_for(member.len());
                if fits {
                    packed::insert(bytes, member, new);
                } else {
                    self.make_large().insert(member, new);
                }
            }
        }
        Updated { old, new }
    }

    fn remove(&mut self, member: &[u8]) -> bool {
        match self {
            SortedSet::Packed(bytes) => {
                let found = packed::find(Listpack::new(bytes), member);
                found.inspect(|at| packed::remove(bytes, *at)).is_some()
            }
            SortedSet::Large(set) => set.remove(member).is_some(),
        }
    }

    /// Removes the members of these ranks, which exist.
    fn remove_range(&mut self, ranks: Range<usize>) {
        match self {
            SortedSet::Packed(bytes) => packed::remove_range(bytes, ranks),
            SortedSet::Large(set) => {
                set.remove_range(ranks, |_, _| ());
            }
        }
    }

    fn expect(&mut self, count: usize, limits: &EncodingLimits) {
        if count > limits.sorted_set_entries_max {
            self.make_large();
        }
    }

    fn make_large(&mut self) -> &mut Ordered {
        if let SortedSet::Packed(bytes) = self {
            let mut large = Box::new(Ordered::new());
            for (member, score) in packed::Iter::all(Listpack::new(bytes)) {
                member.with_bytes(|member| large.insert(member, score));
            }
            *self = SortedSet::Large(large);
        }
        match self {
            SortedSet::Large(set) => set,
            SortedSet::Packed(_) => unreachable!("it was made large"),
        }
    }
}

impl Default for SortedSet {
    fn default() -> SortedSet {
        SortedSet::Packed(listpack::empty())
    }
}

/// Whether both have the same members with the same scores, whatever their forms.
impl PartialEq for SortedSet {
    fn eq(&self, other: &SortedSet) -> bool {
        let same =
            |one: Item<'_>, other: Item<'_>| other.with_bytes(|other| packed::compare(one, other).is_eq());
        let (one, other) = (self.view(), other.view());
        one.len() == other.len()
            && one.iter().zip(other.iter()).all(|(one, other)| one.1 == other.1 && same(one.0, other.0))
    }
}

impl Collection for SortedSet {
    const KIND: Kind = Kind::SortedSet;
    type View<'a> = SortedSetRef<'a>;

    #[inline]
    fn view(&self) -> SortedSetRef<'_> {
        match self {
            SortedSet::Packed(bytes) => SortedSetRef::Packed(Listpack::new(bytes)),
            SortedSet::Large(set) => SortedSetRef::Large(set),
        }
    }

    #[inline]
    fn view_packed(_: Packing, bytes: &[u8]) -> SortedSetRef<'_> {
        SortedSetRef::Packed(Listpack::new(bytes))
    }

    #[inline]
    fn view_of(value: ValueRef<'_>) -> Option<SortedSetRef<'_>> {
        if let ValueRef::SortedSet(set) = value { Some(set) } else { None }
    }

    #[inline]
    fn from_packed(_: Packing, bytes: Vec<u8>) -> SortedSet {
        SortedSet::Packed(bytes)
    }

    #[inline]
    fn as_packed(&self) -> Option<(Packing, &[u8])> {
        match self {
            SortedSet::Packed(bytes) => Some((Packing::SortedSet, bytes)),
            SortedSet::Large(_) => None,
        }
    }

    #[inline]
    fn into_packed(self) -> Option<Vec<u8>> {
        match self {
            SortedSet::Packed(bytes) => Some(bytes),
            SortedSet::Large(_) => None,
        }
    }

    #[inline]
    fn of_mut(value: &mut Value) -> Option<&mut SortedSet> {
        if let Value::SortedSet(set) = value { Some(set) } else { None }
    }

    fn into_value(self) -> Value {
        Value::SortedSet(self)
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.view().is_empty()
    }

    #[inline]
    fn allocated_bytes(&self) -> usize {
        match self {
            SortedSet::Packed(bytes) => bytes.capacity(),
            SortedSet::Large(set) => size_of::<Ordered>() + set.allocated_bytes(),
        }
    }

    fn encoding(view: SortedSetRef<'_>) -> &'static str {
        view.encoding()
    }

    /// Places are ranks: a set that is filled in order takes least time and space.
    fn effects_part(
        view: SortedSetRef<'_>,
        key: &[u8],
        from: u64,
        elements: usize,
        emit: &mut dyn FnMut(Effect<'_>),
    ) -> Option<u64> {
        let end = (from as usize).saturating_add(elements.max(1));
        for (member, score) in view.range(from as usize..end) {
            // Only the large form tells -0 from 0, so the sum, which is 0 for both, is what is in the set.
            member.with_bytes(|member| emit(Effect::SortedSetAdd { key, member, score: score + 0.0 }));
        }
        (end < view.len()).then_some(end as u64)
    }

    fn free_part(&mut self, elements: usize) -> bool {
        match self {
            SortedSet::Packed(bytes) => {
                *bytes = Vec::new();
                false
            }
            SortedSet::Large(set) => set.free_part(elements),
        }
    }

    fn replay(change: &mut Change<'_, SortedSet>, effect: &Effect<'_>) {
        match *effect {
            Effect::SortedSetAdd { member, score, .. } => {
                change.set(member, score);
            }
            Effect::SortedSetRemove { member, .. } => {
                change.remove(member);
            }
            _ => unreachable!("sorted sets have no other effects"),
        }
    }
}

impl Change<'_, SortedSet> {
    /// Prepares for up to `count` members: what is going to be large becomes so at once. The set stays as it was where none is added.
    #[inline]
    pub fn expect(&mut self, count: usize) {
        self.value.expect(count, self.encoding);
    }

    /// Gives a member a score, which is not NaN.
    #[inline]
    pub fn set(&mut self, member: &[u8], score: f64) -> Updated {
        self.update(member, |_| Some(score))
    }

    /// Gives a member the score that `decide` makes of the one it has, if it is there; `None` leaves everything as it is. What it makes is
    /// never NaN. The member is looked for once.
    #[inline]
    pub fn update(&mut self, member: &[u8], decide: impl FnOnce(Option<f64>) -> Option<f64>) -> Updated {
        let updated = self.value.update(self.encoding, member, decide);
        if let Some(score) = updated.new
            && updated.old != Some(score)
        {
            self.record(Effect::SortedSetAdd { key: self.key, member, score });
        }
        updated
    }

    /// Removes a member; whether it was there.
    #[inline]
    pub fn remove(&mut self, member: &[u8]) -> bool {
        let was_there = self.value.remove(member);
        if was_there {
            self.record(Effect::SortedSetRemove { key: self.key, member });
        }
        was_there
    }

    /// Removes the first `count` members, or all, and returns how many. What they are is for `view` to show before.
    pub fn pop_first(&mut self, count: usize) -> usize {
        self.remove_range(0..count)
    }

    /// Removes the last `count` members, or all, and returns how many.
    pub fn pop_last(&mut self, count: usize) -> usize {
        let len = self.value.view().len();
        self.remove_range(len.saturating_sub(count)..len)
    }

    /// Removes the members of these ranks, as far as there are any, and returns how many.
    pub fn remove_range(&mut self, ranks: Range<usize>) -> usize {
        let end = ranks.end.min(self.value.view().len());
        let ranks = ranks.start.min(end)..end;
        if ranks.is_empty() {
            return 0;
        }
        if self.is_recorded() {
            // Not by `record`: the members are borrowed from the value.
            self.changes += ranks.len() as u64;
            let (db, key) = (self.db, self.key);
            for (member, _) in self.value.view().range(ranks.clone()) {
                member.with_bytes(|member| {
                    self.journal.record(db, Effect::SortedSetRemove { key, member });
                });
            }
        } else {
            self.count(ranks.len() as u64);
        }
        self.value.remove_range(ranks.clone());
        ranks.len()
    }
}
