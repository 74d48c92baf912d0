//! Values out of every form up to RDB version 12. Each form is taken apart into the effects that build the value, and the type's own
//! mutators carry them out. Streams are `rdb/stream`'s.

use crate::base::float::parse_f64;
use crate::base::limits::BULK_BYTES_MAX;
use crate::store::collection::{Change, Collection, EncodingLimits};
use crate::store::effect::{Effect, End, Journal};
use crate::store::hash::Hash;
use crate::store::intset::Intset;
use crate::store::list::List;
use crate::store::listpack::{Item, Listpack};
use crate::store::object::Value;
use crate::store::rdb::wire::Input;
use crate::store::rdb::write::{NODE_PACKED, NODE_PLAIN};
use crate::store::rdb::{BadData, VisitField, form, legacy, stream};
use crate::store::set::Set;
use crate::store::sorted_set::SortedSet;

/// Takes one value of this form.
pub fn value(form: u8, input: &mut Input<'_>, limits: &EncodingLimits) -> Result<Value, BadData> {
    match form {
        form::STRING => {
            let string = input.string()?;
            if string.len() > BULK_BYTES_MAX { Err(BadData) } else { Ok(Value::String(string.into_owned())) }
        }
        form::LIST | form::LIST_ZIPLIST | form::LIST_QUICKLIST | form::LIST_QUICKLIST_2 => {
            build::<List>(limits, |build| list(form, input, &mut |element| build(push(element))))
        }
        form::SET | form::SET_INTSET | form::SET_LISTPACK => build::<Set>(limits, |build| {
            set(form, input, &mut |member| build(Effect::SetAdd { key: b"", member }))
        }),
        form::SORTED_SET | form::SORTED_SET_2 | form::SORTED_SET_ZIPLIST | form::SORTED_SET_LISTPACK => {
            build::<SortedSet>(limits, |build| {
                sorted_set(form, input, &mut |member, score| {
                    build(Effect::SortedSetAdd { key: b"", member, score });
                })
            })
        }
        form::HASH
        | form::HASH_ZIPMAP
        | form::HASH_ZIPLIST
        | form::HASH_LISTPACK
        | form::HASH_EXPIRING_PRE
        | form::HASH_LISTPACK_EXPIRING_PRE
        | form::HASH_EXPIRING
        | form::HASH_LISTPACK_EXPIRING => build::<Hash>(limits, |build| {
            hash(form, input, &mut |field, value, expire_at_ms| {
                build(Effect::HashSet { key: b"", field, value, expire_at_ms });
            })
        }),
        form::STREAM_LISTPACKS | form::STREAM_LISTPACKS_2 | form::STREAM_LISTPACKS_3 => {
            let stream = grow(limits, |build| stream::read(form, input, build))?;
            Ok(Value::Stream(Box::new(stream)))
        }
        _ => Err(BadData),
    }
}

fn push(element: &[u8]) -> Effect<'_> {
    Effect::ListPush { key: b"", end: End::Right, element }
}

/// A collection out of the effects that `feed` hands over.
fn grow<T: Collection>(
    limits: &EncodingLimits,
    feed: impl FnOnce(&mut dyn FnMut(Effect<'_>)) -> Result<(), BadData>,
) -> Result<T, BadData> {
    let (mut collection, mut journal) = (T::default(), Journal::default());
    let mut change = Change {
        value: &mut collection,
        key: b"",
        encoding: limits,
        db: 0,
        journal: &mut journal,
        changes: 0,
    };
    feed(&mut |effect| T::replay(&mut change, &effect))?;
    Ok(collection)
}

/// As `grow`, for a collection that takes one effect for each element: refused if it is empty, or if an element came twice.
fn build<T: Collection>(
    limits: &EncodingLimits,
    feed: impl FnOnce(&mut dyn FnMut(Effect<'_>)) -> Result<(), BadData>,
) -> Result<Value, BadData> {
    let mut fed = 0u64;
    let collection: T = grow(limits, |build| {
        feed(&mut |effect| {
            fed += 1;
            build(effect);
        })
    })?;
    let mut held = 0;
    T::effects(collection.view(), b"", &mut |_| held += 1);
    if fed == 0 || fed != held { Err(BadData) } else { Ok(collection.into_value()) }
}

fn list(form: u8, input: &mut Input<'_>, push: &mut dyn FnMut(&[u8])) -> Result<(), BadData> {
    match form {
        form::LIST => {
            for _ in 0..input.count(1)? {
                push(&input.string()?);
            }
        }
        form::LIST_ZIPLIST => each(legacy::ziplist(&input.string()?)?.into_iter(), push),
        form::LIST_QUICKLIST => {
            for _ in 0..input.count(1)? {
                each(legacy::ziplist(&input.string()?)?.into_iter(), push);
            }
        }
        _ => {
            for _ in 0..input.count(2)? {
                let container = input.length()?;
                let node = input.string()?;
                match container {
                    NODE_PLAIN => push(&node),
                    NODE_PACKED => each(listpack(&node)?.iter(), push),
                    _ => return Err(BadData),
                }
            }
        }
    }
    Ok(())
}

fn set(form: u8, input: &mut Input<'_>, add: &mut dyn FnMut(&[u8])) -> Result<(), BadData> {
    match form {
        form::SET => {
            for _ in 0..input.count(1)? {
                add(&input.string()?);
            }
        }
        form::SET_INTSET => {
            let bytes = input.string()?;
            let numbers = Intset::checked(&bytes).map_err(|_| BadData)?;
            numbers.iter().for_each(|number| Item::Integer(number).with_bytes(&mut *add));
        }
        _ => each(listpack(&input.string()?)?.iter(), add),
    }
    Ok(())
}

fn sorted_set(form: u8, input: &mut Input<'_>, add: &mut dyn FnMut(&[u8], f64)) -> Result<(), BadData> {
    let mut each = |[member, score]: [Item<'_>; 2]| {
        let score = match score {
            Item::Integer(number) => number as f64,
            Item::Bytes(text) => parse_f64(text).ok_or(BadData)?,
        };
        member.with_bytes(|member| add(member, score));
        Ok(())
    };
    match form {
        form::SORTED_SET | form::SORTED_SET_2 => {
            for _ in 0..input.count(2)? {
                let member = input.string()?;
                let score = if form == form::SORTED_SET { input.text_double()? } else { input.double()? };
                add(&member, score);
            }
            Ok(())
        }
        form::SORTED_SET_ZIPLIST => tuples(legacy::ziplist(&input.string()?)?.into_iter(), &mut each),
        _ => tuples(listpack(&input.string()?)?.iter(), &mut each),
    }
}

fn hash(form: u8, input: &mut Input<'_>, set: &mut VisitField<'_>) -> Result<(), BadData> {
    match form {
        form::HASH => {
            for _ in 0..input.count(2)? {
                let (field, value) = (input.string()?, input.string()?);
                set(&field, &value, None);
            }
        }
        form::HASH_EXPIRING | form::HASH_EXPIRING_PRE => {
            // Times are relative to the first, or absolute where it is not given; 0 says that there is none.
            let base_ms = if form == form::HASH_EXPIRING { input.time_ms()?.checked_sub(1) } else { Some(0) };
            let base_ms = base_ms.ok_or(BadData)?;
            for _ in 0..input.count(3)? {
                let time = i64::try_from(input.length()?).map_err(|_| BadData)?;
                let expire_at_ms = time.checked_add(base_ms).ok_or(BadData)?;
                let (field, value) = (input.string()?, input.string()?);
                set(&field, &value, expiry(time, expire_at_ms)?);
            }
        }
        form::HASH_LISTPACK_EXPIRING | form::HASH_LISTPACK_EXPIRING_PRE => {
            if form == form::HASH_LISTPACK_EXPIRING {
                // The first time, which its field has too.
                input.time_ms()?;
            }
            tuples(listpack(&input.string()?)?.iter(), &mut |[field, value, time]| {
                let time = time.integer().ok_or(BadData)?;
                let expire_at_ms = expiry(time, time)?;
                field.with_bytes(|field| value.with_bytes(|value| set(field, value, expire_at_ms)));
                Ok(())
            })?;
        }
        _ => {
            let bytes = input.string()?;
            let mut each = |[field, value]: [Item<'_>; 2]| {
                field.with_bytes(|field| value.with_bytes(|value| set(field, value, None)));
                Ok(())
            };
            match form {
                form::HASH_ZIPMAP => tuples(legacy::zipmap(&bytes)?.into_iter(), &mut each)?,
                form::HASH_ZIPLIST => tuples(legacy::ziplist(&bytes)?.into_iter(), &mut each)?,
                _ => tuples(listpack(&bytes)?.iter(), &mut each)?,
            }
        }
    }
    Ok(())
}

/// The time in force, none if `time` as it stands is 0; refused if it has more than the 48 bits that Redis keeps.
fn expiry(time: i64, expire_at_ms: i64) -> Result<Option<i64>, BadData> {
    match time {
        0 => Ok(None),
        _ if expire_at_ms >> 48 != 0 => Err(BadData),
        _ => Ok(Some(expire_at_ms)),
    }
}

/// A listpack from elsewhere. Its elements are read where they lie: a list of them would take a dozen times their bytes.
pub fn listpack(bytes: &[u8]) -> Result<Listpack<'_>, BadData> {
    Listpack::checked(bytes).map_err(|_| BadData)
}

/// Visits the items in groups of `N`; refused if some are left over.
fn tuples<'a, const N: usize>(
    mut items: impl Iterator<Item = Item<'a>>,
    visit: &mut dyn FnMut([Item<'a>; N]) -> Result<(), BadData>,
) -> Result<(), BadData> {
    while let Some(first) = items.next() {
        let mut tuple = [first; N];
        for item in &mut tuple[1..] {
            *item = items.next().ok_or(BadData)?;
        }
        visit(tuple)?;
    }
    Ok(())
}

fn each<'a>(items: impl Iterator<Item = Item<'a>>, visit: &mut dyn FnMut(&[u8])) {
    items.for_each(|item| item.with_bytes(&mut *visit));
}
