//! The search for members in an area, for all commands that search: on one shard, or where source and destination are on two.
//! Owns what is found, its order, and how it is shown or stored.

use std::cmp::Ordering;
use std::mem::take;
use std::ops::Bound;

use crate::base::args::Args;
use crate::base::geohash::{Area, Place};
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::commands::gather::{Change, Decided, Decision, Next, Part, Write};
use crate::commands::geo::query::{Form, Order, Query};
use crate::commands::geo::{write_distance, write_place};
use crate::resp::write::Writer;
use crate::store::collection::{Collection, EncodingLimits};
use crate::store::listpack::Item;
use crate::store::object::Value;
use crate::store::sorted_set::{SortedSet, SortedSetRef};

/// A member in the area.
#[derive(Clone, Copy, Debug)]
struct Found<'a> {
    member: Item<'a>,
    score: f64,
    place: Place,
    distance_meters: f64,
}

/// Runs a search whose keys are all on this shard.
pub fn run(cx: &mut Cx<'_>, args: &Args<'_>, form: Form) -> Outcome {
    let (source, touch, clock) = (cx.key(args, form.source()), cx.touch(), cx.clock());
    cx.keys.settle(cx.db, &source, cx.now_ms, touch);
    let set = cx.keys.settled_view::<SortedSet>(cx.db, &source)?;
    let query = Query::parse(args, form, set)?;
    let found = find(set, &query);
    let Some(destination) = query.destination else {
        show(&found, &query, &mut cx.reply);
        return Ok(());
    };
    let results = stored(&found, &query, &cx.keys.encoding);
    cx.reply.count(found.len());
    let destination = cx.key(args, destination);
    if results.is_empty() {
        cx.keys.remove(cx.db, &destination, cx.now_ms);
    } else {
        cx.keys.put(cx.db, &destination, results.into_value(), None, clock);
    }
    Ok(())
}

/// On the shard of a key: the results to store, or why there are none. The destination's shard has nothing to say.
pub fn read(cx: &mut Cx<'_>, args: &Args<'_>, i: usize, form: Form) -> Part {
    if i != form.source() {
        return Part::Absent;
    }
    match results(cx, args, form) {
        Ok(set) if set.is_empty() => Part::Absent,
        Ok(set) => Part::Value { value: set.into_value(), expire_at_ms: None },
        Err(error) => Part::Reply(error.to_string().into_bytes()),
    }
}

fn results(cx: &mut Cx<'_>, args: &Args<'_>, form: Form) -> Result<SortedSet, CommandError> {
    let (source, touch) = (cx.key(args, form.source()), cx.touch());
    cx.keys.settle(cx.db, &source, cx.now_ms, touch);
    let set = cx.keys.settled_view::<SortedSet>(cx.db, &source)?;
    let query = Query::parse(args, form, set)?;
    Ok(stored(&find(set, &query), &query, &cx.keys.encoding))
}

/// The destination gets what was found on the source's shard. `source` and `destination` are the part of one and the word of the other.
pub fn decide(at: Decision, source: &mut Part, destination: &[u8], reply: &mut Writer<'_>) -> Decided {
    let change = match take(source) {
        Part::Reply(error) => {
            return Err(CommandError::Detailed(String::from_utf8_lossy(&error).into_owned()));
        }
        Part::Value { value: Value::SortedSet(set), .. } => {
            reply.count(set.view().len());
            Change::Put { value: Value::SortedSet(set), expire_at_ms: None }
        }
        _ => {
            reply.integer(0);
            Change::Delete
        }
    };
    Ok(Next::Write(vec![Write { db: at.db, key: destination.to_vec(), change }]))
}

/// The members in the area. Those that are not put in order come cell by cell, and in a cell by score.
fn find<'a>(set: Option<SortedSetRef<'a>>, query: &Query) -> Vec<Found<'a>> {
    let (Some(set), Some(area)) = (set, query.area) else { return Vec::new() };
    let limit = if query.takes_any { query.count } else { None }.unwrap_or(usize::MAX);
    let mut found = Vec::new();
    for cell in area.cells() {
        if found.len() >= limit {
            break;
        }
        let (first, end) = cell.scores();
        let ranks = set.ranks_by_score(Bound::Included(first), Bound::Excluded(end));
        let members = set.range(ranks).filter_map(|(member, score)| located(&area, member, score));
        found.extend(members.take(limit - found.len()));
    }
    let by_distance: fn(&Found<'_>, &Found<'_>) -> Ordering = match query.order {
        Some(Order::Ascending) => |a, b| a.distance_meters.total_cmp(&b.distance_meters),
        Some(Order::Descending) => |a, b| b.distance_meters.total_cmp(&a.distance_meters),
        None => |_, _| Ordering::Equal,
    };
    let count = query.count.unwrap_or(usize::MAX);
    if query.order.is_some() {
        if count < found.len() {
            // What is not wanted need not be sorted. Which of several at one distance are wanted is not defined.
            found.select_nth_unstable_by(count, by_distance);
            found.truncate(count);
        }
        found.sort_by(by_distance);
    }
    found.truncate(count);
    found
}

fn located<'a>(area: &Area, member: Item<'a>, score: f64) -> Option<Found<'a>> {
    let place = Place::of_score(score);
    let distance_meters = area.distance_meters(place)?;
    Some(Found { member, score, place, distance_meters })
}

/// Writes the members found, each with what was asked for.
fn show(found: &[Found<'_>], query: &Query, reply: &mut Writer<'_>) {
    let shown = [query.shows_distance, query.shows_hash, query.shows_place];
    let details = shown.into_iter().filter(|is_shown| *is_shown).count();
    reply.array(found.len());
    for Found { member, score, place, distance_meters } in found {
        if details > 0 {
            reply.array(details + 1);
        }
        member.with_bytes(|bytes| reply.bulk(bytes));
        if query.shows_distance {
            write_distance(distance_meters / query.unit_meters, reply);
        }
        if query.shows_hash {
            reply.integer(*score as i64);
        }
        if query.shows_place {
            write_place(*place, reply);
        }
    }
}

/// The members found as a sorted set, with their geohashes or their distances as scores.
fn stored(found: &[Found<'_>], query: &Query, limits: &EncodingLimits) -> SortedSet {
    let score = |found: &Found<'_>| {
        if query.stores_distance { found.distance_meters / query.unit_meters } else { found.score }
    };
    SortedSet::collect(limits, found.iter().map(|found| (found.member, score(found))))
}
