//! Sets: members without an order, each there once. Owns the choice among their three forms, and every change of one.
//! Never looks a key up.
//!
//! Redis 7.2's forms and rules, since clients see them in `OBJECT ENCODING`: integers alone are an `intset`, a few short members a
//! `listpack`, everything else a `hashtable`. A set that grew out of a form never returns to it.

mod algebra;
mod members;
#[cfg(test)]
mod tests;

use algebra::Distinct;
pub use algebra::{difference, intersection, union};
use members::Members;

use crate::base::number::{INTEGER_TEXT_BYTES_MAX, format_i64, parse_i64};
use crate::base::rng::Rng;
use crate::store::collection::{Change, Collection, EncodingLimits};
use crate::store::effect::Effect;
use crate::store::intset::{self, Intset};
use crate::store::listpack::{self, Item, Listpack};
use crate::store::object::{Kind, Packing, Value, ValueRef};

/// A sample of more than one in so many walks the set; a smaller one is drawn.
const SAMPLE_WALK_PART: usize = 3;

/// A member, borrowed: some forms keep integers as integers.
pub type Member<'a> = Item<'a>;

/// A set.
#[derive(Clone, Debug, Default)]
pub enum Set {
    /// Nothing yet: the first member decides the form.
    #[default]
    Empty,
    /// Integers alone, an intset.
    Integers(Vec<u8>),
    /// Few short members, a listpack.
    Packed(Vec<u8>),
    /// Anything.
    Table(Box<Members>),
}

/// A set, borrowed.
#[derive(Clone, Copy, Debug)]
pub enum SetRef<'a> {
    /// Integers alone.
    Integers(Intset<'a>),
    /// Few short members.
    Packed(Listpack<'a>),
    /// Anything.
    Table(&'a Members),
}

impl Collection for Set {
    const KIND: Kind = Kind::Set;
    type View<'a> = SetRef<'a>;

    #[inline]
    fn view(&self) -> SetRef<'_> {
        match self {
            Set::Empty => SetRef::Integers(Intset::new(&[2, 0, 0, 0, 0, 0, 0, 0])),
            Set::Integers(bytes) => SetRef::Integers(Intset::new(bytes)),
            Set::Packed(bytes) => SetRef::Packed(Listpack::new(bytes)),
            Set::Table(members) => SetRef::Table(members),
        }
    }

    #[inline]
    fn view_packed(packing: Packing, bytes: &[u8]) -> SetRef<'_> {
        match packing {
            Packing::IntegerSet => SetRef::Integers(Intset::new(bytes)),
            _ => SetRef::Packed(Listpack::new(bytes)),
        }
    }

    #[inline]
    fn view_of(value: ValueRef<'_>) -> Option<SetRef<'_>> {
        match value {
            ValueRef::Set(set) => Some(set),
            _ => None,
        }
    }

    #[inline]
    fn from_packed(packing: Packing, bytes: Vec<u8>) -> Set {
        match packing {
            Packing::IntegerSet => Set::Integers(bytes),
            _ => Set::Packed(bytes),
        }
    }

    #[inline]
    fn as_packed(&self) -> Option<(Packing, &[u8])> {
        match self {
            Set::Integers(bytes) => Some((Packing::IntegerSet, bytes)),
            Set::Packed(bytes) => Some((Packing::Set, bytes)),
            Set::Empty | Set::Table(_) => None,
        }
    }

    #[inline]
    fn into_packed(self) -> Option<Vec<u8>> {
        match self {
            Set::Integers(bytes) | Set::Packed(bytes) => Some(bytes),
            Set::Empty | Set::Table(_) => None,
        }
    }

    fn of_mut(value: &mut Value) -> Option<&mut Set> {
        match value {
            Value::Set(set) => Some(set),
            _ => None,
        }
    }

    fn into_value(self) -> Value {
        Value::Set(self)
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.view().is_empty()
    }

    fn allocated_bytes(&self) -> usize {
        match self {
            Set::Empty => 0,
            Set::Integers(bytes) | Set::Packed(bytes) => bytes.capacity(),
            Set::Table(members) => size_of::<Members>() + members.allocated_bytes(),
        }
    }

    fn encoding(set: SetRef<'_>) -> &'static str {
        match set {
            SetRef::Integers(_) => "intset",
            SetRef::Packed(_) => "listpack",
            SetRef::Table(_) => "hashtable",
        }
    }

    fn effects_part(
        set: SetRef<'_>,
        key: &[u8],
        from: u64,
        elements: usize,
        emit: &mut dyn FnMut(Effect<'_>),
    ) -> Option<u64> {
        let next = set.scan(from, elements, |member| {
            member.with_bytes(|member| emit(Effect::SetAdd { key, member }));
        });
        (next != 0).then_some(next)
    }

    fn free_part(&mut self, elements: usize) -> bool {
        match self {
            Set::Table(members) => members.free_part(elements),
            small => {
                *small = Set::Empty;
                false
            }
        }
    }

    fn replay(change: &mut Change<'_, Set>, effect: &Effect<'_>) {
        match effect {
            Effect::SetAdd { member, .. } => change.add(member),
            Effect::SetRemove { member, .. } => change.remove(member),
            other => unreachable!("{other:?} is no effect on a set"),
        };
    }
}

/// Sets are equal when they have the same members, in whatever form.
impl PartialEq for Set {
    fn eq(&self, other: &Set) -> bool {
        let (set, other) = (self.view(), other.view());
        set.len() == other.len() && set.iter().all(|member| other.contains_member(member))
    }
}

// ----------------------------------------------------------------------------------------------------------
// Reading
// ----------------------------------------------------------------------------------------------------------

impl<'a> SetRef<'a> {
    /// How many members there are.
    #[inline]
    pub fn len(self) -> usize {
        match self {
            SetRef::Integers(set) => set.len(),
            SetRef::Packed(pack) => pack.len(),
            SetRef::Table(members) => members.len(),
        }
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Whether this is a member.
    #[inline]
    pub fn contains(self, member: &[u8]) -> bool {
        match self {
            SetRef::Integers(set) => parse_i64(member).is_some_and(|integer| set.contains(integer)),
            SetRef::Packed(pack) => position(pack, member).is_some(),
            SetRef::Table(members) => members.contains(member),
        }
    }

    /// Whether this member of another set is one of this.
    #[inline]
    pub fn contains_member(self, member: Member<'_>) -> bool {
        match (self, member) {
            (SetRef::Integers(set), Member::Integer(integer)) => set.contains(integer),
            (set, member) => member.with_bytes(|member| set.contains(member)),
        }
    }

    /// All members, in no particular order.
    pub fn iter(self) -> impl Iterator<Item = Member<'a>> + use<'a> {
        let (integers, pack, members) = match self {
            SetRef::Integers(set) => (Some(set.iter()), None, None),
            SetRef::Packed(pack) => (None, Some(pack.iter()), None),
            SetRef::Table(members) => (None, None, Some(members.iter())),
        };
        let integers = integers.into_iter().flatten().map(Member::Integer);
        let members = members.into_iter().flatten().map(Member::Bytes);
        integers.chain(pack.into_iter().flatten()).chain(members)
    }

    /// A member, any of them with the same probability.
    pub fn random(self, rng: &mut Rng) -> Option<Member<'a>> {
        if self.is_empty() {
            return None;
        }
        match self {
            SetRef::Integers(set) => set.get(random_index(set.len(), rng)).map(Member::Integer),
            SetRef::Packed(pack) => pack.get(random_index(pack.len(), rng) as i64),
            SetRef::Table(members) => members.random(rng).map(Member::Bytes),
        }
    }

    /// Visits so many different members, or all if there are not so many, any such choice with the same probability.
    pub fn sample(self, count: usize, rng: &mut Rng, mut visit: impl FnMut(Member<'a>)) {
        let len = self.len();
        if matches!(self, SetRef::Table(_)) && count.saturating_mul(SAMPLE_WALK_PART) < len {
            // Few of many: repeats are rare.
            let mut chosen = Distinct::default();
            while chosen.len() < count {
                let member = self.random(rng).expect("it has more members than are wanted");
                if chosen.insert(member) {
                    visit(member);
                }
            }
            return;
        }
        // Each is chosen with the share that the rest still needs (selection sampling, Fan et al. 1962).
        let (mut wanted, mut left) = (count.min(len), len);
        for member in self.iter() {
            if rng.below(left as u64) < wanted as u64 {
                visit(member);
                wanted -= 1;
            }
            left -= 1;
        }
    }

    /// Visits members from a cursor on until at least `wanted` were seen: 0 is the first cursor, and comes back at the end. Small sets are
    /// visited whole, whatever the cursor. A member that is there from the first call to the last is visited once or more.
    pub fn scan(self, cursor: u64, wanted: usize, mut visit: impl FnMut(Member<'a>)) -> u64 {
        match self {
            SetRef::Table(members) => {
                members.scan(cursor, wanted, |member| visit(Member::Bytes(member))).unwrap_or(0)
            }
            small => {
                small.iter().for_each(visit);
                0
            }
        }
    }
}

fn random_index(len: usize, rng: &mut Rng) -> usize {
    rng.below(len as u64) as usize
}

#[inline]
fn position(pack: Listpack<'_>, member: &[u8]) -> Option<usize> {
    pack.find(pack.first()?, member, 1)
}

// ----------------------------------------------------------------------------------------------------------
// Changing
// ----------------------------------------------------------------------------------------------------------

impl Change<'_, Set> {
    /// Prepares for adding `count` members, of which `first` is one: what is going to be large becomes so at once.
    pub fn expect(&mut self, first: &[u8], count: usize) {
        self.value.expect(first, count, self.encoding);
    }

    /// Adds a member. Returns whether it was not there before.
    #[inline]
    pub fn add(&mut self, member: &[u8]) -> bool {
        let is_new = self.value.add(member, self.encoding);
        if is_new {
            self.record(Effect::SetAdd { key: self.key, member });
        }
        is_new
    }

    /// Removes a member. Returns whether it was there.
    #[inline]
    pub fn remove(&mut self, member: &[u8]) -> bool {
        let was_there = self.value.remove(member);
        if was_there {
            self.record(Effect::SetRemove { key: self.key, member });
        }
        was_there
    }

    /// Removes a member, any of them with the same probability, and shows it to `take`. Returns whether there was one.
    pub fn pop(&mut self, rng: &mut Rng, take: impl FnOnce(Member<'_>)) -> bool {
        if let Set::Table(members) = &mut *self.value {
            let Some(taken) = members.take_random(rng) else { return false };
            take(Member::Bytes(taken.key()));
            self.record(Effect::SetRemove { key: self.key, member: taken.key() });
            return true;
        }
        let Some(member) = self.value.view().random(rng) else { return false };
        take(member);
        // A small set's member is inside what changes.
        let member = member.to_vec();
        self.remove(&member)
    }
}

impl Set {
    /// The set of these members, each as often as it likes.
    pub fn of<'a>(members: impl Iterator<Item = Member<'a>>, limits: &EncodingLimits) -> Set {
        let mut set = Set::default();
        members.for_each(|member| {
            member.with_bytes(|member| set.add(member, limits));
        });
        set
    }

    fn expect(&mut self, first: &[u8], count: usize, limits: &EncodingLimits) {
        match self {
            Set::Empty if parse_i64(first).is_some() && count <= limits.set_integers_max => {
                *self = Set::Integers(intset::empty());
            }
            Set::Empty if count <= limits.set_entries_max => *self = Set::Packed(listpack::empty()),
            Set::Empty => *self = Set::Table(Box::default()),
            Set::Integers(_) if count > limits.set_integers_max => drop(self.make_table()),
            Set::Packed(_) if count > limits.set_entries_max => drop(self.make_table()),
            _ => {}
        }
    }

    fn add(&mut self, member: &[u8], limits: &EncodingLimits) -> bool {
        if matches!(self, Set::Empty) {
            self.expect(member, 1, limits);
        }
        match self {
            Set::Empty => unreachable!("a set that expects members has a form"),
            Set::Integers(bytes) => match parse_i64(member) {
                Some(integer) => {
                    let is_new = intset::insert(bytes, integer);
                    if Intset::new(bytes).len() > limits.set_integers_max {
                        self.make_table();
                    }
                    is_new
                }
                None => {
                    let set = Intset::new(bytes);
                    if can_pack(set, limits) && fits(member, set.len(), limits) {
                        let mut pack = listpack::empty();
                        for integer in set.iter() {
                            listpack::push_back(&mut pack, Item::Integer(integer));
                        }
                        listpack::push_back(&mut pack, Item::Bytes(member));
                        *self = Set::Packed(pack);
                        return true;
                    }
                    self.make_table().insert(member)
                }
            },
            Set::Packed(bytes) => {
                let pack = Listpack::new(bytes);
                if position(pack, member).is_some() {
                    return false;
                }
                if fits(member, pack.len(), limits) && pack.has_room_for(member.len()) {
                    listpack::push_back(bytes, Item::Bytes(member));
                    return true;
                }
                self.make_table().insert(member)
            }
            Set::Table(members) => members.insert(member),
        }
    }

    fn remove(&mut self, member: &[u8]) -> bool {
        match self {
            Set::Empty => false,
            Set::Integers(bytes) => parse_i64(member).is_some_and(|integer| intset::remove(bytes, integer)),
            Set::Packed(bytes) => match position(Listpack::new(bytes), member) {
                Some(at) => {
                    listpack::remove(bytes, at);
                    true
                }
                None => false,
            },
            Set::Table(members) => members.remove(member),
        }
    }

    /// Gives the set the form for everything.
    #[cold]
    fn make_table(&mut self) -> &mut Members {
        let mut table = Members::default();
        for member in self.view().iter() {
            member.with_bytes(|member| table.insert(member));
        }
        *self = Set::Table(Box::new(table));
        match self {
            Set::Table(members) => members,
            _ => unreachable!("it has just become one"),
        }
    }
}

/// Whether a member may join a listpack of `len` others.
#[inline]
fn fits(member: &[u8], len: usize, limits: &EncodingLimits) -> bool {
    len < limits.set_entries_max && member.len() <= limits.set_value_bytes_max
}

/// Whether each of the integers is short enough for a listpack: the longest is the first or the last.
fn can_pack(set: Intset<'_>, limits: &EncodingLimits) -> bool {
    let ends = [set.iter().next(), set.iter().next_back()];
    let text_bytes = |integer| format_i64(integer, &mut [0; INTEGER_TEXT_BYTES_MAX]).len();
    ends.into_iter().flatten().all(|integer| text_bytes(integer) <= limits.set_value_bytes_max)
}
