//! What the types of collections have in common: a packed form that sits beside its key while it is small, a view for reading, and
//! changes that leave their effects in the journal. Never looks a key up.

pub use crate::config::encoding::EncodingLimits;
use crate::store::effect::{Effect, Journal};
use crate::store::object::{Kind, Packing, Value, ValueRef};

/// A type of collection.
pub trait Collection: Default {
    /// Its type.
    const KIND: Kind;
    /// Whether a key may hold an empty one. Of all types, only streams do.
    const MAY_BE_EMPTY: bool = false;
    /// A borrowed one, whatever its form: what reads use.
    type View<'a>: Copy;

    /// The collection to read.
    fn view(&self) -> Self::View<'_>;
    /// The same for packed bytes that stand beside a key. `packing` is one of this type's.
    fn view_packed(packing: Packing, bytes: &[u8]) -> Self::View<'_>;
    /// The view, if `value` has this type.
    fn view_of(value: ValueRef<'_>) -> Option<Self::View<'_>>;
    /// A collection out of packed bytes. `packing` is one of this type's.
    fn from_packed(packing: Packing, bytes: Vec<u8>) -> Self;
    /// Its bytes, while it has a packed form.
    fn as_packed(&self) -> Option<(Packing, &[u8])>;
    /// The buffer of its packed form.
    fn into_packed(self) -> Option<Vec<u8>>;
    /// The collection in `value`, if it has this type.
    fn of_mut(value: &mut Value) -> Option<&mut Self>;
    /// The collection as a value of any type.
    fn into_value(self) -> Value;
    /// Whether it has no element.
    fn is_empty(&self) -> bool;
    /// Bytes it takes outside itself, as the allocator was asked for them. Takes constant time.
    fn allocated_bytes(&self) -> usize;
    /// The name that `OBJECT ENCODING` gives.
    fn encoding(view: Self::View<'_>) -> &'static str;
    /// The effects that build it from nothing at `key`, elements of a list in order. They depend on what is in it alone, never on its
    /// form, for digests are made of them.
    fn effects(view: Self::View<'_>, key: &[u8], emit: &mut dyn FnMut(Effect<'_>)) {
        Self::effects_part(view, key, 0, usize::MAX, emit);
    }
    /// Those effects for about `elements` elements from a place on, 0 being the start. Returns the place where to go on, and nothing at the
    /// end. Places are good until the collection changes. The time it takes depends on `elements` and not on the place.
    fn effects_part(
        view: Self::View<'_>,
        key: &[u8],
        from: u64,
        elements: usize,
        emit: &mut dyn FnMut(Effect<'_>),
    ) -> Option<u64>;
    /// Frees about `elements` elements, or parts that are as cheap to free; whether there are more. What is left is good for nothing but
    /// being freed.
    fn free_part(&mut self, elements: usize) -> bool;
    /// Repeats a recorded change through the type's own mutators.
    fn replay(change: &mut Change<'_, Self>, effect: &Effect<'_>);
}

/// A collection being changed. The mutators of each type are methods of this, and each records what it changed: there is no other way
/// to change one.
pub struct Change<'a, T> {
    pub(in crate::store) value: &'a mut T,
    pub(in crate::store) key: &'a [u8],
    pub(in crate::store) encoding: &'a EncodingLimits,
    pub(in crate::store) db: u16,
    pub(in crate::store) journal: &'a mut Journal,
    /// Effects so far.
    pub(in crate::store) changes: u64,
}

impl<'a, T: Collection> Change<'a, T> {
    /// The collection as it is now.
    #[inline]
    pub fn view(&self) -> T::View<'_> {
        self.value.view()
    }

    /// Whether effects go anywhere: what is costly to prepare can be left out otherwise, but then `count` must be told.
    #[inline]
    pub(in crate::store) fn is_recorded(&self) -> bool {
        self.journal.is_on()
    }

    /// Takes the effect of a change that was made. Every change must come here.
    #[inline]
    pub(in crate::store) fn record(&mut self, effect: Effect<'_>) {
        self.changes += 1;
        self.journal.record(self.db, effect);
    }

    /// Notes `changes` whose effects nobody wants (`is_recorded`).
    #[inline]
    pub(in crate::store) fn count(&mut self, changes: u64) {
        debug_assert!(!self.journal.is_on());
        self.changes += changes;
    }
}
