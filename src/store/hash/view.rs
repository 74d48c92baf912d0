//! A hash to read, whatever its form. Values are shown where they lie: nothing is copied, and whoever writes an integer formats it.
//! Never changes a hash, and relies on expired fields being gone.

use std::collections::HashSet;
use std::ops::ControlFlow;

use crate::base::rng::Rng;
use crate::store::hash::fields::Fields;
use crate::store::listpack::{self, Item, Listpack};
use crate::sys::pair::Pair;

/// A hash, borrowed.
#[derive(Clone, Copy)]
pub struct HashRef<'a>(Form<'a>);

#[derive(Clone, Copy)]
enum Form<'a> {
    Packed(Listpack<'a>),
    Table(&'a Fields),
}

/// One field with what belongs to it.
#[derive(Clone, Copy, Debug)]
pub struct Element<'a> {
    /// The field's name.
    pub field: Item<'a>,
    /// Its value.
    pub value: Item<'a>,
    /// When it expires, Unix milliseconds.
    pub expire_at_ms: Option<i64>,
}

impl<'a> Element<'a> {
    fn of(pair: &'a Pair) -> Element<'a> {
        Element {
            field: Item::Bytes(pair.key()),
            value: Item::Bytes(pair.value()),
            expire_at_ms: pair.expire_at_ms(),
        }
    }
}

impl<'a> HashRef<'a> {
    #[inline]
    pub(super) fn packed(bytes: &'a [u8]) -> HashRef<'a> {
        HashRef(Form::Packed(Listpack::new(bytes)))
    }

    #[inline]
    pub(super) fn table(fields: &'a Fields) -> HashRef<'a> {
        HashRef(Form::Table(fields))
    }

    /// Whether it has the small form.
    pub fn is_packed(self) -> bool {
        matches!(self.0, Form::Packed(_))
    }

    /// How many fields there are.
    #[inline]
    pub fn len(self) -> usize {
        match self.0 {
            Form::Packed(pack) => pack.len() / 2,
            Form::Table(fields) => fields.len(),
        }
    }

    /// Whether there is none; no key holds such a hash.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The value of a field.
    #[inline]
    pub fn get(self, field: &[u8]) -> Option<Item<'a>> {
        match self.0 {
            Form::Packed(pack) => {
                let at = pack.find(pack.first()?, field, 2)?;
                Some(pack.item(pack.next(at).expect("a field has a value")))
            }
            Form::Table(fields) => fields.find(field).map(|pair| Item::Bytes(pair.value())),
        }
    }

    /// Whether the field is there.
    #[inline]
    pub fn contains(self, field: &[u8]) -> bool {
        self.get(field).is_some()
    }

    /// The length of a field's value, bytes.
    pub fn value_len(self, field: &[u8]) -> Option<usize> {
        self.get(field).map(|value| value.with_bytes(<[u8]>::len))
    }

    /// When a field expires, Unix milliseconds, if it does; nothing at all if it is not there.
    pub fn expire_at_ms(self, field: &[u8]) -> Option<Option<i64>> {
        match self.0 {
            Form::Packed(_) => self.contains(field).then_some(None),
            Form::Table(fields) => fields.find(field).map(Pair::expire_at_ms),
        }
    }

    /// A field with its value and expiry.
    pub fn element(self, field: &[u8]) -> Option<Element<'a>> {
        match self.0 {
            Form::Packed(pack) => {
                let at = pack.find(pack.first()?, field, 2)?;
                PackedElements(pack.iter_from(at)).next()
            }
            Form::Table(fields) => fields.find(field).map(Element::of),
        }
    }

    /// All fields: as they came in the small form, in no particular order in the large one. `for_each` is its fastest use.
    pub fn iter(self) -> impl Iterator<Item = Element<'a>> + use<'a> {
        let (packed, table) = match self.0 {
            Form::Packed(pack) => (Some(PackedElements(pack.iter())), None),
            Form::Table(fields) => (None, Some(fields.iter().map(Element::of))),
        };
        packed.into_iter().flatten().chain(table.into_iter().flatten())
    }

    /// Visits fields from `position` on, 0 being the start, until at least `wanted` were seen. Returns where to go on, or nothing at
    /// the end. The small form is visited as a whole, from any position. A field that stays is seen whatever comes and goes between
    /// the calls.
    pub fn scan(self, position: u64, wanted: usize, mut visit: impl FnMut(Element<'a>)) -> Option<u64> {
        match self.0 {
            Form::Packed(_) => {
                self.iter().for_each(visit);
                None
            }
            Form::Table(fields) => fields.scan(position, wanted, |pair| visit(Element::of(pair))),
        }
    }

    /// A field chosen evenly. The hash is not empty.
    pub fn random(self, rng: &mut Rng) -> Element<'a> {
        match self.0 {
            Form::Packed(pack) => {
                let index = rng.below(self.len() as u64) as i64;
                let at = pack.seek(2 * index).expect("the index is below the length");
                PackedElements(pack.iter_from(at)).next().expect("a field stands there")
            }
            Form::Table(fields) => Element::of(fields.random(rng).expect("a hash is not empty")),
        }
    }

    /// Visits `count` fields, each chosen evenly, whatever the others are, until `visit` has enough. The hash is not empty.
    pub fn random_many(
        self,
        count: usize,
        rng: &mut Rng,
        mut visit: impl FnMut(Element<'a>) -> ControlFlow<()>,
    ) {
        // A choice walks over half of a small hash on average, so it is walked over once and its places are kept.
        let elements: Vec<Element<'a>> =
            if self.is_packed() && count > 2 { self.iter().collect() } else { Vec::new() };
        for _ in 0..count {
            let element = match elements.len() {
                0 => self.random(rng),
                len => elements[rng.below(len as u64) as usize],
            };
            if visit(element).is_break() {
                return;
            }
        }
    }

    /// Visits `count` fields, or all if there are no more, each at most once, every such choice being as likely. Their order tells
    /// nothing.
    pub fn sample(self, count: usize, rng: &mut Rng, mut visit: impl FnMut(Element<'a>)) {
        let len = self.len();
        if count >= len {
            return self.iter().for_each(visit);
        }
        match self.0 {
            Form::Table(fields) if count <= len / CHOICE_COST => {
                // Few of many: one is seldom chosen twice.
                let mut chosen = HashSet::with_capacity(count);
                while chosen.len() < count {
                    let pair = fields.random(rng).expect("a hash is not empty");
                    if chosen.insert(pair.key()) {
                        visit(Element::of(pair));
                    }
                }
            }
            _ => {
                let (mut left, mut wanted) = (len as u64, count as u64);
                for element in self.iter() {
                    // With as many left as wanted, each is taken; so `wanted` is 0 before `left` is.
                    if wanted == 0 {
                        break;
                    }
                    if rng.below(left) < wanted {
                        wanted -= 1;
                        visit(element);
                    }
                    left -= 1;
                }
            }
        }
    }
}

/// Fields that a walk passes in about the time of one choice at random.
const CHOICE_COST: usize = 8;

/// Fields and values in turn.
#[derive(Clone)]
struct PackedElements<'a>(listpack::Iter<'a>);

impl<'a> Iterator for PackedElements<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        let field = self.0.next()?;
        let value = self.0.next().expect("a field has a value");
        Some(Element { field, value, expire_at_ms: None })
    }
}
