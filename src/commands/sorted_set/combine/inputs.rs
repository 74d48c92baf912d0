//! Union, intersection and difference of sorted sets and sets, whose members count as having score 1. Owns the order in which scores are
//! added up, which is Redis's: smaller sets first, since sums of doubles depend on it. Never looks a key up or writes a reply.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::ops::ControlFlow;

use crate::commands::error::CommandError;
use crate::commands::sorted_set::combine::options::Aggregate;
use crate::store::listpack::Item;
use crate::store::object::ValueRef;
use crate::store::set::SetRef;
use crate::store::sorted_set::SortedSetRef;

/// One of the sets.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// The set.
    pub source: Source<'a>,
    /// What its scores are multiplied by.
    pub weight: f64,
}

/// A set of either type.
#[derive(Clone, Copy)]
pub enum Source<'a> {
    /// There is none.
    Missing,
    /// Members without scores.
    Set(SetRef<'a>),
    /// Members with scores.
    SortedSet(SortedSetRef<'a>),
}

impl<'a> Source<'a> {
    /// What a key holds; other types are refused.
    pub fn of(value: Option<ValueRef<'a>>) -> Result<Source<'a>, CommandError> {
        match value {
            None => Ok(Source::Missing),
            Some(ValueRef::Set(set)) => Ok(Source::Set(set)),
            Some(ValueRef::SortedSet(set)) => Ok(Source::SortedSet(set)),
            Some(_) => Err(CommandError::WrongType),
        }
    }

    fn len(self) -> usize {
        match self {
            Source::Missing => 0,
            Source::Set(set) => set.len(),
            Source::SortedSet(set) => set.len(),
        }
    }

    fn score(self, member: Item<'_>) -> Option<f64> {
        match self {
            Source::Missing => None,
            Source::Set(set) => set.contains_member(member).then_some(1.0),
            Source::SortedSet(set) => member.with_bytes(|member| set.score(member)),
        }
    }

    fn visit(self, mut visit: impl FnMut(Item<'a>, f64) -> ControlFlow<()>) {
        // That it ended early is no news to whoever said so.
        let _ = match self {
            Source::Missing => ControlFlow::Continue(()),
            Source::Set(set) => set.iter().try_for_each(|member| visit(member, 1.0)),
            Source::SortedSet(set) => set.iter().try_for_each(|(member, score)| visit(member, score)),
        };
    }
}

/// A product; infinity times 0 is 0.
fn weighed(score: f64, weight: f64) -> f64 {
    let product = score * weight;
    if product.is_nan() { 0.0 } else { product }
}

/// Members that are in any of the sets, in no order.
pub fn union<'a>(inputs: &mut [Input<'a>], aggregate: Aggregate) -> Vec<(Item<'a>, f64)> {
    inputs.sort_by_key(|input| input.source.len());
    let largest = inputs.last().map_or(0, |input| input.source.len());
    let mut scores: HashMap<Name<'a>, f64, foldhash::fast::RandomState> =
        HashMap::with_capacity_and_hasher(largest, foldhash::fast::RandomState::default());
    for Input { source, weight } in inputs.iter() {
        source.visit(|member, score| {
            let score = weighed(score, *weight);
            scores
                .entry(Name::of(member))
                .and_modify(|sum| *sum = aggregate.of(*sum, score))
                .or_insert(score);
            ControlFlow::Continue(())
        });
    }
    scores.into_iter().map(|(name, score)| (name.0, score)).collect()
}

/// Members that are in all of the sets, in no order; at most `count_max` if that is not 0.
pub fn intersection<'a>(
    inputs: &mut [Input<'a>],
    aggregate: Aggregate,
    count_max: usize,
) -> Vec<(Item<'a>, f64)> {
    inputs.sort_by_key(|input| input.source.len());
    let mut found = Vec::new();
    let Some((first, others)) = inputs.split_first() else { return found };
    first.source.visit(|member, score| {
        let sum = others.iter().try_fold(weighed(score, first.weight), |sum, other| {
            other.source.score(member).map(|score| aggregate.of(sum, score * other.weight))
        });
        found.extend(sum.map(|sum| (member, sum)));
        if count_max > 0 && found.len() == count_max {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    found
}

/// Members of the first set that are in none of the others, in no order.
pub fn difference<'a>(inputs: &[Input<'a>]) -> Vec<(Item<'a>, f64)> {
    let mut found = Vec::new();
    let Some((first, others)) = inputs.split_first() else { return found };
    first.source.visit(|member, score| {
        if others.iter().all(|other| other.source.score(member).is_none()) {
            found.push((member, score));
        }
        ControlFlow::Continue(())
    });
    found
}

/// Puts members into the order of a sorted set.
pub fn sort(members: &mut [(Item<'_>, f64)]) {
    members.sort_unstable_by(|one, other| {
        // No score is NaN, and zeros are equal.
        let by_score = one.1.partial_cmp(&other.1).unwrap_or(Ordering::Equal);
        by_score.then_with(|| one.0.with_bytes(|one| other.0.with_bytes(|other| one.cmp(other))))
    });
}

/// A member as the key of a map: the same bytes are the same member, whichever form their sets have.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Name<'a>(Item<'a>);

impl<'a> Name<'a> {
    fn of(member: Item<'a>) -> Name<'a> {
        Name(member.integer().map_or(member, Item::Integer))
    }
}

impl Hash for Name<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.0 {
            Item::Integer(number) => number.hash(state),
            Item::Bytes(bytes) => bytes.hash(state),
        }
    }
}
