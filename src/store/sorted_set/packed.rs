//! The small form of a sorted set: a listpack of member, score, member, score, in order, as Redis keeps it. Owns how a score is an
//! element of it and where a member belongs; never decides that a set is small.
//!
//! A score that is an integer of at most 2^62 in magnitude is an integer element, any other one its shortest digits. So -0.0 becomes
//! 0 here, as in Redis 7.2.

use std::cmp::Ordering;
use std::ops::{Bound, Range};

use crate::base::double::format_double;
use crate::base::float::parse_f64;
use crate::store::listpack::{self, Item, Listpack};

/// Integers up to this in magnitude are integer elements.
const INTEGER_MAX: f64 = (1u64 << 62) as f64;

/// How many members there are.
#[inline]
pub fn len(pack: Listpack<'_>) -> usize {
    pack.len() / 2
}

/// The position of a member.
#[inline]
pub fn find(pack: Listpack<'_>, member: &[u8]) -> Option<usize> {
    pack.find(pack.first()?, member, 2)
}

/// The score of the member at a position.
#[inline]
pub fn score_at(pack: Listpack<'_>, at: usize) -> f64 {
    pack.next(at).map_or(0.0, |at| score_of(pack.item(at)))
}

/// The rank of the member at a position.
pub fn rank_of(pack: Listpack<'_>, at: usize) -> usize {
    let mut position = pack.first();
    let mut rank = 0;
    while position.is_some_and(|position| position < at) {
        position = position.and_then(|at| pack.next(at)).and_then(|at| pack.next(at));
        rank += 1;
    }
    rank
}

/// The ranks of the scores in a range.
pub fn ranks_by_score(pack: Listpack<'_>, min: Bound<f64>, max: Bound<f64>) -> Range<usize> {
    let is_below = |score: f64| match min {
        Bound::Included(min) => score < min,
        Bound::Excluded(min) => score <= min,
        Bound::Unbounded => false,
    };
    let is_within = |score: f64| match max {
        Bound::Included(max) => score <= max,
        Bound::Excluded(max) => score < max,
        Bound::Unbounded => true,
    };
    let mut scores = Iter::all(pack).map(|(_, score)| score).peekable();
    let mut start = 0;
    while scores.next_if(|score| is_below(*score)).is_some() {
        start += 1;
    }
    start..start + scores.take_while(|score| is_within(*score)).count()
}

/// The ranks of the members in a range, if all scores are equal. If they are not: from the first member that is not below the range
/// up to the next one above it, which is what Redis finds.
pub fn ranks_by_member(pack: Listpack<'_>, min: Bound<&[u8]>, max: Bound<&[u8]>) -> Range<usize> {
    let is_below = |member: Item<'_>| match min {
        Bound::Included(min) => compare(member, min).is_lt(),
        Bound::Excluded(min) => compare(member, min).is_le(),
        Bound::Unbounded => false,
    };
    let is_within = |member: Item<'_>| match max {
        Bound::Included(max) => compare(member, max).is_le(),
        Bound::Excluded(max) => compare(member, max).is_lt(),
        Bound::Unbounded => true,
    };
    let mut members = Iter::all(pack).map(|(member, _)| member).peekable();
    let mut start = 0;
    while members.next_if(|member| is_below(*member)).is_some() {
        start += 1;
    }
    start..start + members.take_while(|member| is_within(*member)).count()
}

/// Adds a member that is not there yet.
pub fn insert(bytes: &mut Vec<u8>, member: &[u8], score: f64) {
    let pack = Listpack::new(bytes);
    let mut at = end(pack);
    // Members that come in order are not compared with all those before them.
    if pack.last().is_some_and(|last| score_of(pack.item(last)) >= score)
        && let Some(first) = pack.first()
    {
        at = place(pack, first, at, (score, member));
    }
    listpack::insert_before(bytes, at, Item::Bytes(member));
    with_item(score, |item| listpack::insert_after(bytes, at, item));
}

/// Gives the member at a position, which has the score `old`, another one, and moves both to their place.
pub fn set_score(bytes: &mut Vec<u8>, at: usize, member: &[u8], old: f64, score: f64) {
    let pack = Listpack::new(bytes);
    let behind = pair_behind(pack, at);
    let mut at = at;
    if score > old {
        let to = place(pack, behind, end(pack), (score, member));
        bytes[at..to].rotate_left(behind - at);
        at += to - behind;
    } else if let Some(first) = pack.first() {
        let to = place(pack, first, at, (score, member));
        bytes[to..behind].rotate_right(behind - at);
        at = to;
    }
    let score_at = Listpack::new(bytes).next(at).expect("a score follows each member");
    with_item(score, |item| listpack::replace(bytes, score_at, item));
}

/// Removes the member at a position and its score.
pub fn remove(bytes: &mut Vec<u8>, at: usize) {
    listpack::remove_range(bytes, at, 2);
}

/// Removes the members of these ranks, which exist.
pub fn remove_range(bytes: &mut Vec<u8>, ranks: Range<usize>) {
    if let Some(at) = Listpack::new(bytes).seek(2 * ranks.start as i64) {
        listpack::remove_range(bytes, at, 2 * ranks.len());
    }
}

/// How a member compares with bytes.
#[inline]
pub fn compare(member: Item<'_>, bytes: &[u8]) -> Ordering {
    member.with_bytes(|member| member.cmp(bytes))
}

/// The first position from `from` on, and at most `to`, whose score and member do not come before these.
fn place(pack: Listpack<'_>, from: usize, to: usize, (score, member): (f64, &[u8])) -> usize {
    let mut at = from;
    while at < to {
        let score_at = pack.next(at).expect("a score follows each member");
        let other = score_of(pack.item(score_at));
        if other > score || (other == score && compare(pack.item(at), member).is_ge()) {
            break;
        }
        at = pack.next(score_at).unwrap_or_else(|| end(pack));
    }
    at
}

fn pair_behind(pack: Listpack<'_>, at: usize) -> usize {
    pack.next(at).and_then(|at| pack.next(at)).unwrap_or_else(|| end(pack))
}

/// The position behind the last element.
#[inline]
fn end(pack: Listpack<'_>) -> usize {
    pack.bytes().len() - 1
}

/// The score that an element holds. What is no number, which only bytes from elsewhere can hold, counts as 0.
#[inline]
fn score_of(item: Item<'_>) -> f64 {
    match item {
        Item::Integer(number) => number as f64,
        Item::Bytes(text) => parse_f64(text).unwrap_or(0.0),
    }
}

/// Hands the element for a score to `store`.
#[inline]
fn with_item(score: f64, store: impl FnOnce(Item<'_>) -> usize) {
    if score.abs() <= INTEGER_MAX && score.trunc() == score {
        store(Item::Integer(score as i64));
    } else {
        store(Item::Bytes(format_double(score).as_bytes()));
    }
}

/// Members and scores in order, from either end. Each end is looked for when it is first asked.
#[derive(Clone)]
pub struct Iter<'a> {
    pack: Listpack<'a>,
    /// Those not yet seen.
    ranks: Range<usize>,
    front: Option<listpack::Iter<'a>>,
    back: Option<listpack::Iter<'a>>,
}

impl<'a> Iter<'a> {
    /// All of them.
    pub fn all(pack: Listpack<'a>) -> Iter<'a> {
        Iter { pack, ranks: 0..len(pack), front: Some(pack.iter()), back: Some(pack.iter()) }
    }

    /// Those of these ranks, which exist.
    pub fn new(pack: Listpack<'a>, ranks: Range<usize>) -> Iter<'a> {
        Iter { pack, ranks, front: None, back: None }
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = (Item<'a>, f64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let rank = self.ranks.next()?;
        if self.front.is_none() {
            self.front = Some(self.pack.iter_from(self.pack.seek(2 * rank as i64)?));
        }
        let front = self.front.as_mut()?;
        Some((front.next()?, score_of(front.next()?)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.ranks.size_hint()
    }
}

impl DoubleEndedIterator for Iter<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        let rank = self.ranks.next_back()?;
        if self.back.is_none() {
            self.back = Some(self.pack.iter_through(self.pack.seek(2 * rank as i64 + 1)?));
        }
        let back = self.back.as_mut()?;
        let score = score_of(back.next_back()?);
        Some((back.next_back()?, score))
    }
}
