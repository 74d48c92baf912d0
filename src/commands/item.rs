//! How an item of a packed collection looks in a reply. Never copies its bytes.

use crate::resp::write::Writer;
use crate::store::listpack::Item;

/// Replies with an element, a field, a value or a member from where it lies.
#[inline]
pub fn reply_item(reply: &mut Writer<'_>, item: Item<'_>) {
    match item {
        Item::Bytes(bytes) => reply.bulk(bytes),
        Item::Integer(number) => reply.bulk_integer(number),
    }
}
