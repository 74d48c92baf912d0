//! Comparing elements with a string. Knows that an element may be stored as a number; never searches.

use crate::base::number::parse_i64;
use crate::store::listpack::Item;

/// A string to compare elements with.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    bytes: &'a [u8],
    integer: Option<i64>,
}

impl<'a> Wanted<'a> {
    /// Elements that are these bytes.
    pub fn new(bytes: &'a [u8]) -> Wanted<'a> {
        Wanted { bytes, integer: parse_i64(bytes) }
    }

    /// Whether an element is it.
    #[inline]
    pub fn is(self, item: Item<'_>) -> bool {
        match item {
            Item::Integer(number) => self.integer == Some(number),
            Item::Bytes(bytes) => bytes == self.bytes,
        }
    }
}
