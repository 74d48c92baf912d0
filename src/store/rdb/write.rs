//! Values in the forms of RDB version 10: lists node by node, all else out of the effects that would build it. Small collections are
//! written packed, as Redis writes those that lie packed in its memory. Streams are `rdb/stream`'s.

use crate::base::double::format_double;
use crate::store::collection::Collection;
use crate::store::effect::Effect;
use crate::store::hash::Hash;
use crate::store::intset;
use crate::store::list::{ListRef, Node};
use crate::store::listpack::{self, Item};
use crate::store::object::ValueRef;
use crate::store::rdb::wire::Output;
use crate::store::rdb::{VisitField, form, stream};
use crate::store::set::Set;
use crate::store::sorted_set::SortedSet;

/// A node of a list that is a listpack.
pub const NODE_PACKED: u64 = 2;
/// A node of a list that is one element as it is.
pub const NODE_PLAIN: u64 = 1;

/// Appends form and value; whether the form needs a later version of the format than the others.
pub fn value(value: ValueRef<'_>, out: &mut Output) -> bool {
    match value {
        ValueRef::String(string) => {
            out.bytes.push(form::STRING);
            string.with_bytes(|bytes| out.string(bytes));
        }
        ValueRef::List(list) => self::list(list, out),
        ValueRef::Hash(hash) => return self::hash(hash, out),
        ValueRef::Set(set) => self::set(set, out),
        ValueRef::SortedSet(set) => sorted_set(set, out),
        ValueRef::Stream(stream) => stream::write(stream, out),
    }
    false
}

fn list(list: ListRef<'_>, out: &mut Output) {
    out.bytes.push(form::LIST_QUICKLIST_2);
    out.count(list.node_count());
    for node in list.nodes() {
        let (container, bytes) = match node {
            Node::Packed(bytes) => (NODE_PACKED, bytes),
            Node::Plain(bytes) => (NODE_PLAIN, bytes),
        };
        out.length(container);
        out.string(bytes);
    }
}

fn set(set: <Set as Collection>::View<'_>, out: &mut Output) {
    let each = |visit: &mut dyn FnMut(&[u8])| {
        Set::effects(set, b"", &mut |effect| {
            if let Effect::SetAdd { member, .. } = effect {
                visit(member);
            }
        });
    };
    if Set::encoding(set) == "intset" {
        let mut packed = intset::empty();
        each(&mut |member| {
            intset::insert(
                &mut packed,
                Item::Bytes(member).integer().expect("members of an intset are integers"),
            );
        });
        out.bytes.push(form::SET_INTSET);
        return out.string(&packed);
    }
    let mut count = 0;
    each(&mut |_| count += 1);
    // Packed ones too: version 10 has no listpack of members.
    out.bytes.push(form::SET);
    out.count(count);
    each(&mut |member| out.string(member));
}

fn sorted_set(set: <SortedSet as Collection>::View<'_>, out: &mut Output) {
    let mut members: Vec<(Vec<u8>, f64)> = Vec::new();
    SortedSet::effects(set, b"", &mut |effect| {
        if let Effect::SortedSetAdd { member, score, .. } = effect {
            members.push((member.to_vec(), score));
        }
    });
    members.sort_unstable_by(|(a, a_score), (b, b_score)| a_score.total_cmp(b_score).then(a.cmp(b)));
    if SortedSet::encoding(set) == "listpack" {
        let mut pack = listpack::empty();
        for (member, score) in &members {
            push(&mut pack, member);
            push(&mut pack, format_double(*score).as_bytes());
        }
        out.bytes.push(form::SORTED_SET_LISTPACK);
        return out.string(&pack);
    }
    out.bytes.push(form::SORTED_SET_2);
    out.count(members.len());
    // The last first, as in Redis, which is quicker in reading them so.
    for (member, score) in members.iter().rev() {
        out.string(member);
        out.double(*score);
    }
}

/// Whether the hash has fields that expire, for which there is a form since version 12.
fn hash(hash: <Hash as Collection>::View<'_>, out: &mut Output) -> bool {
    let each = |visit: &mut VisitField<'_>| {
        Hash::effects(hash, b"", &mut |effect| {
            if let Effect::HashSet { field, value, expire_at_ms, .. } = effect {
                visit(field, value, expire_at_ms);
            }
        });
    };
    let (mut count, mut first_ms) = (0, None::<i64>);
    each(&mut |_, _, expire_at_ms| {
        count += 1;
        first_ms = first_ms.into_iter().chain(expire_at_ms).min();
    });
    if let Some(first_ms) = first_ms {
        out.bytes.push(form::HASH_EXPIRING);
        out.time_ms(first_ms);
        out.count(count);
        each(&mut |field, value, expire_at_ms| {
            // Relative to the first, so that it is small; 0 for a field that stays.
            out.length(expire_at_ms.map_or(0, |at_ms| at_ms.abs_diff(first_ms) + 1));
            out.string(field);
            out.string(value);
        });
        return true;
    }
    if Hash::encoding(hash) == "listpack" {
        let mut pack = listpack::empty();
        each(&mut |field, value, _| {
            push(&mut pack, field);
            push(&mut pack, value);
        });
        out.bytes.push(form::HASH_LISTPACK);
        out.string(&pack);
        return false;
    }
    out.bytes.push(form::HASH);
    out.count(count);
    each(&mut |field, value, _| {
        out.string(field);
        out.string(value);
    });
    false
}

fn push(pack: &mut Vec<u8>, string: &[u8]) {
    listpack::push_back(pack, Item::Bytes(string));
}
