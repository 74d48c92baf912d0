//! One node of a stream: a run of entries in one listpack, exactly as Redis lays it out. Reads and changes the bytes of one node;
//! never knows which other nodes there are.
//!
//! ```text
//! node:   live | deleted | names | name ... | 0 | entry ...
//! entry:  flags | ms | seq | fields | (name | value) ... | elements      elements: how many stand before it in the entry
//!         flags | ms | seq | value ... | elements                        with SAME_FIELDS: the names are those at the node's head
//! ```
//!
//! The id of an entry is the node's, the *master id*, plus `ms` and `seq`, each wrapping. A deleted entry stays where it is with a
//! flag. `live` and `deleted` count the entries; a node without live ones is removed as a whole. The number at the end of an entry, and
//! the 0 at the end of the head, are for reading backwards.
//! Source: `src/t_stream.c` of Redis 7.2, the comments of `streamAppendItem`.
//!
//! Live entries are in order of their ids. Deleted ones need not be: `XSETID` may bring the last id back below them.

use crate::store::listpack::{self, Item, Iter, Listpack};
use crate::store::stream::id::StreamId;

const DELETED: i64 = 1;
const SAME_FIELDS: i64 = 2;
/// Elements of an entry before its fields: flags, milliseconds, number.
const ENTRY_HEAD: usize = 3;
/// Elements of a node before its field names: two counts and how many names there are.
const NODE_HEAD: usize = 3;

/// One entry: its id and what it holds.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// Its id.
    pub id: StreamId,
    /// Its fields and values in turn, in the order in which they were given.
    pub fields: Fields<'a>,
}

/// The fields of an entry with their values, in order. A field may be there more than once.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    /// Where the names stand if not beside the values.
    names: Option<Iter<'a>>,
    items: Iter<'a>,
    left: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = (Item<'a>, Item<'a>);

    #[inline]
    fn next(&mut self) -> Option<(Item<'a>, Item<'a>)> {
        self.left = self.left.checked_sub(1)?;
        let name = match &mut self.names {
            Some(names) => names.next(),
            None => self.items.next(),
        };
        Some((name?, self.items.next()?))
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Fields<'_> {}

/// A node, borrowed.
#[derive(Clone, Debug)]
pub struct Node<'a> {
    master: StreamId,
    pack: Listpack<'a>,
    /// Entries that are not deleted.
    live: u64,
    /// Entries that are deleted.
    deleted: u64,
    name_count: usize,
    names: Iter<'a>,
    /// The elements behind the head.
    entries: Iter<'a>,
}

/// An entry where it stands, deleted or not.
struct Raw<'a> {
    entry: Entry<'a>,
    is_deleted: bool,
    /// How many elements it has.
    elements: usize,
}

impl<'a> Node<'a> {
    /// The node in bytes that are known to be one.
    #[inline]
    pub fn new(master: StreamId, bytes: &'a [u8]) -> Node<'a> {
        let pack = Listpack::new(bytes);
        let mut items = pack.iter();
        let live = next_integer(&mut items) as u64;
        let deleted = next_integer(&mut items) as u64;
        let name_count = next_integer(&mut items) as usize;
        let names = items.clone();
        skip(&mut items, name_count + 1);
        Node { master, pack, live, deleted, name_count, names, entries: items }
    }

    /// Entries that are not deleted.
    #[inline]
    pub fn live(&self) -> u64 {
        self.live
    }

    /// Entries, deleted ones included.
    #[inline]
    pub fn total(&self) -> u64 {
        self.live + self.deleted
    }

    /// Its live entries, the first one first.
    #[inline]
    pub fn entries(self) -> NodeEntries<'a> {
        NodeEntries { left: self.entries.clone(), node: self }
    }

    /// Its live entries, the last one first.
    #[inline]
    pub fn entries_back(self) -> NodeEntriesBack<'a> {
        NodeEntriesBack { at: self.pack.last(), node: self }
    }

    /// The id of the last entry, be it deleted.
    pub fn last_id(&self) -> StreamId {
        let start = self.pack.last().and_then(|count_at| self.start_of(count_at));
        let entry = start.and_then(|start| self.read(&mut self.pack.iter_from(start)));
        entry.map_or(self.master, |raw| raw.entry.id)
    }

    /// Reads the entry that begins with the next item, and goes on behind it.
    #[inline]
    fn read(&self, items: &mut Iter<'a>) -> Option<Raw<'a>> {
        let flags = integer(items.next()?);
        let ms = next_integer(items) as u64;
        let seq = next_integer(items) as u64;
        let id = StreamId { ms: self.master.ms.wrapping_add(ms), seq: self.master.seq.wrapping_add(seq) };
        let (names, left) = if flags & SAME_FIELDS != 0 {
            (Some(self.names.clone()), self.name_count)
        } else {
            (None, next_integer(items) as usize)
        };
        let (head, words) = if names.is_some() { (ENTRY_HEAD, left) } else { (ENTRY_HEAD + 1, 2 * left) };
        let fields = Fields { names, items: items.clone(), left };
        skip(items, words + 1);
        let is_deleted = flags & DELETED != 0;
        Some(Raw { entry: Entry { id, fields }, is_deleted, elements: head + words + 1 })
    }

    /// The position where the entry begins whose last element is at `count_at`; none for the node's head.
    #[inline]
    fn start_of(&self, count_at: usize) -> Option<usize> {
        let elements = integer(self.pack.item(count_at));
        if elements == 0 {
            return None;
        }
        (0..elements).try_fold(count_at, |at, _| self.pack.previous(at))
    }

    /// The positions of the live entries up to the first that `until` picks, not included.
    fn live_positions(&self, mut until: impl FnMut(StreamId) -> bool) -> Vec<usize> {
        let mut positions = Vec::new();
        let mut at = self.pack.seek((NODE_HEAD + self.name_count + 1) as i64);
        while let Some(start) = at {
            let Some(raw) = self.read(&mut self.pack.iter_from(start)) else { break };
            if !raw.is_deleted {
                if until(raw.entry.id) {
                    break;
                }
                positions.push(start);
            }
            at = (0..raw.elements).try_fold(start, |at, _| self.pack.next(at));
        }
        positions
    }
}

/// Live entries of a node, in order.
#[derive(Clone, Debug)]
pub struct NodeEntries<'a> {
    node: Node<'a>,
    left: Iter<'a>,
}

impl<'a> Iterator for NodeEntries<'a> {
    type Item = Entry<'a>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            let raw = self.node.read(&mut self.left)?;
            if !raw.is_deleted {
                return Some(raw.entry);
            }
        }
    }
}

/// Live entries of a node, the last one first.
#[derive(Clone, Debug)]
pub struct NodeEntriesBack<'a> {
    node: Node<'a>,
    /// The last element of the next entry, or of the node's head.
    at: Option<usize>,
}

impl<'a> Iterator for NodeEntriesBack<'a> {
    type Item = Entry<'a>;

    #[inline]
    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            let start = self.node.start_of(self.at?)?;
            self.at = self.node.pack.previous(start);
            let raw = self.node.read(&mut self.node.pack.iter_from(start))?;
            if !raw.is_deleted {
                return Some(raw.entry);
            }
        }
    }
}

// ----------------------------------------------------------------------------------------------------------
// Changing
// ----------------------------------------------------------------------------------------------------------

/// A node that begins with this entry. `fields` are fields and values in turn.
pub fn create(id: StreamId, fields: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64 + fields.iter().map(|word| word.len() + 6).sum::<usize>());
    bytes.extend_from_slice(&listpack::empty());
    for head in [0, 0, fields.len() as i64 / 2] {
        listpack::push_back(&mut bytes, Item::Integer(head));
    }
    for name in fields.iter().step_by(2) {
        listpack::push_back(&mut bytes, Item::Bytes(name));
    }
    listpack::push_back(&mut bytes, Item::Integer(0));
    push(&mut bytes, id, id, fields);
    bytes.shrink_to_fit();
    bytes
}

/// Adds an entry behind all others.
pub fn push(bytes: &mut Vec<u8>, master: StreamId, id: StreamId, fields: &[&[u8]]) {
    let node = Node::new(master, bytes);
    let names = fields.iter().step_by(2);
    let has_same_names = node.name_count == fields.len() / 2
        && node.names.clone().zip(names).all(|(name, &new)| name.with_bytes(|name| name == new));
    let live = node.live as i64;

    // Made on its own first: the node then grows once.
    let sum: usize = fields.iter().map(|word| word.len() + 10).sum();
    let mut entry = Vec::with_capacity(64 + sum);
    entry.extend_from_slice(&listpack::empty());
    let push_integer = |entry: &mut Vec<u8>, number: i64| {
        listpack::push_back(entry, Item::Integer(number));
    };
    push_integer(&mut entry, if has_same_names { SAME_FIELDS } else { 0 });
    push_integer(&mut entry, id.ms.wrapping_sub(master.ms) as i64);
    push_integer(&mut entry, id.seq.wrapping_sub(master.seq) as i64);
    let elements = if has_same_names {
        fields.iter().skip(1).step_by(2).for_each(|value| {
            listpack::push_back(&mut entry, Item::Bytes(value));
        });
        ENTRY_HEAD + fields.len() / 2
    } else {
        push_integer(&mut entry, fields.len() as i64 / 2);
        fields.iter().for_each(|word| {
            listpack::push_back(&mut entry, Item::Bytes(word));
        });
        ENTRY_HEAD + 1 + fields.len()
    };
    push_integer(&mut entry, elements as i64);
    listpack::append(bytes, Listpack::new(&entry));
    set_integer(bytes, 0, live + 1);
}

/// Marks the entry with this id as deleted. Returns whether there was one. The last live entry is not deleted so: its node goes.
pub fn delete(bytes: &mut Vec<u8>, master: StreamId, id: StreamId) -> bool {
    let node = Node::new(master, bytes);
    // The position of the last one that is not behind it.
    match node.live_positions(|other| other > id).pop() {
        Some(at) if node.read(&mut node.pack.iter_from(at)).is_some_and(|raw| raw.entry.id == id) => {
            mark_deleted(bytes, master, &[at]);
            true
        }
        _ => false,
    }
}

/// Marks the live entries up to the first that `until` picks as deleted, and returns how many those were.
pub fn delete_until(bytes: &mut Vec<u8>, master: StreamId, until: impl FnMut(StreamId) -> bool) -> u64 {
    let positions = Node::new(master, bytes).live_positions(until);
    mark_deleted(bytes, master, &positions);
    positions.len() as u64
}

fn mark_deleted(bytes: &mut Vec<u8>, master: StreamId, positions: &[usize]) {
    // From the last one on: a flag that changes its width moves what is behind it.
    for &at in positions.iter().rev() {
        let flags = integer(Listpack::new(bytes).item(at));
        replace(bytes, at, flags | DELETED);
    }
    let node = Node::new(master, bytes);
    let (live, deleted, count) = (node.live as i64, node.deleted as i64, positions.len() as i64);
    set_integer(bytes, 1, deleted + count);
    set_integer(bytes, 0, live - count);
}

/// Puts another number into the element with this index.
fn set_integer(bytes: &mut Vec<u8>, index: i64, number: i64) {
    let at = Listpack::new(bytes).seek(index).expect("a node has a head");
    replace(bytes, at, number);
}

fn replace(bytes: &mut Vec<u8>, at: usize, number: i64) {
    // Both fit one byte nearly always, and then nothing moves.
    if bytes[at] < 0x80 && (0..0x80).contains(&number) {
        bytes[at] = number as u8;
    } else {
        listpack::replace(bytes, at, Item::Integer(number));
    }
}

#[inline]
fn integer(item: Item<'_>) -> i64 {
    item.integer().expect("a node's own elements are numbers")
}

#[inline]
fn next_integer(items: &mut Iter<'_>) -> i64 {
    integer(items.next().expect("a node's entries are whole"))
}

#[inline]
fn skip(items: &mut Iter<'_>, count: usize) {
    for _ in 0..count {
        items.next();
    }
}

// ----------------------------------------------------------------------------------------------------------
// Bytes from elsewhere
// ----------------------------------------------------------------------------------------------------------

/// Looks at every byte of a node that everything above relies on, or says what is wrong. `after` is the id that all of its live
/// entries must follow. Returns how many live entries there are, and the id of the last of them.
pub fn check(
    master: StreamId,
    bytes: &[u8],
    after: Option<StreamId>,
) -> Result<(u64, Option<StreamId>), &'static str> {
    const CUT: &str = "stream node that ends too early";
    let pack = Listpack::checked(bytes)?;
    let total = pack.len();
    let mut items = pack.iter();
    let number = |items: &mut Iter<'_>| {
        let item = items.next().ok_or(CUT)?;
        item.integer().ok_or("stream node with a string where a number belongs")
    };
    let count = |number: i64| {
        let count = usize::try_from(number).ok().filter(|&count| count <= total);
        count.ok_or("stream node with an impossible count")
    };
    let live = count(number(&mut items)?)?;
    let deleted = count(number(&mut items)?)?;
    let names = count(number(&mut items)?)?;
    skip(&mut items, names);
    if number(&mut items)? != 0 {
        return Err("stream node whose head does not end with 0");
    }
    let (mut live_found, mut deleted_found, mut last) = (0, 0, after);
    for _ in 0..live + deleted {
        let flags = number(&mut items)?;
        let (ms, seq) = (number(&mut items)? as u64, number(&mut items)? as u64);
        let id = StreamId { ms: master.ms.wrapping_add(ms), seq: master.seq.wrapping_add(seq) };
        let elements = if flags & SAME_FIELDS != 0 {
            ENTRY_HEAD + names
        } else {
            ENTRY_HEAD + 1 + 2 * count(number(&mut items)?)?
        };
        let read = if flags & SAME_FIELDS != 0 { ENTRY_HEAD } else { ENTRY_HEAD + 1 };
        skip(&mut items, elements - read);
        if number(&mut items)? != elements as i64 {
            return Err("stream entry with a wrong number of elements");
        }
        if flags & DELETED != 0 {
            deleted_found += 1;
        } else if id < master || last.is_some_and(|last| id <= last) {
            return Err("stream entries out of order");
        } else {
            live_found += 1;
            last = Some(id);
        }
    }
    if live_found != live || deleted_found != deleted || items.next().is_some() {
        return Err("stream node with other entries than it counts");
    }
    Ok((live as u64, last))
}
