//! The sorting itself: elements of a value and weights in, a reply or a list to store out. Never looks a key up.

use std::cmp::Ordering;
use std::ops::ControlFlow;

use crate::base::args::OwnedArgs;
use crate::base::float::parse_f64_normal_or_exact;
use crate::base::limits::BULK_BYTES_MAX;
use crate::commands::error::CommandError;
use crate::commands::gather::{Change, Write};
use crate::commands::keys::sort::options::{Options, Pattern};
use crate::resp::write::Writer;
use crate::store::effect::Effect;
use crate::store::object::ValueRef;

/// What stands where a GET looks; see [`Sorting::finish`].
pub type LookUp<'f> = dyn FnMut(usize, usize, &[u8]) -> Option<Vec<u8>> + 'f;

pub struct Sorting<'o> {
    options: &'o Options<'o>,
    /// In their order in the value, in that of the result once sorted.
    elements: Vec<Vec<u8>>,
    /// What the options come to for this value.
    is_unsorted: bool,
    is_alpha: bool,
    by: Option<Pattern<'o>>,
}

impl<'o> Sorting<'o> {
    pub fn new(options: &'o Options<'o>, source: Option<ValueRef<'_>>) -> Result<Sorting<'o>, CommandError> {
        let mut elements = Vec::new();
        let mut is_set = false;
        if let Some(source) = source {
            match source {
                ValueRef::Set(_) => is_set = true,
                ValueRef::List(_) | ValueRef::SortedSet(_) => {}
                _ => return Err(CommandError::WrongType),
            }
            source.effects(b"", &mut |effect| match effect {
                Effect::ListPush { element, .. } => elements.push(element.to_vec()),
                Effect::SetAdd { member, .. } | Effect::SortedSetAdd { member, .. } => {
                    elements.push(member.to_vec());
                }
                _ => {}
            });
        }
        let mut sorting = Sorting {
            options,
            elements,
            is_unsorted: options.is_unsorted,
            is_alpha: options.is_alpha,
            by: options.by,
        };
        if options.is_unsorted && is_set && options.destination.is_some() {
            // A set has no order that could be kept: the list to be stored must not depend on chance.
            (sorting.is_unsorted, sorting.is_alpha, sorting.by) = (false, true, None);
        }
        if sorting.is_unsorted && options.is_descending && !is_set {
            sorting.elements.reverse();
        }
        Ok(sorting)
    }

    /// The keys of what is sorted by, one for each element; none if the elements themselves are, or nothing is.
    pub fn weight_keys(&self) -> Vec<Vec<u8>> {
        match &self.by {
            Some(pattern) if !self.is_unsorted => {
                self.elements.iter().map(|element| pattern.key(element)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Puts the elements in order, given what stands at the `weight_keys`, and drops those outside of the limit.
    pub fn sort(&mut self, weights: Vec<Option<Vec<u8>>>) -> Result<(), CommandError> {
        if !self.is_unsorted {
            let elements = std::mem::take(&mut self.elements);
            self.elements = match (self.is_alpha, self.by.is_some()) {
                (true, false) => {
                    self.ordered(elements.into_iter().map(|element| ((), element)), |_, _| Ordering::Equal)
                }
                (true, true) => {
                    let mut pairs: Vec<_> = weights.into_iter().zip(elements).collect();
                    pairs.sort_by(|(a, _), (b, _)| self.directed(a.cmp(b)));
                    pairs.into_iter().map(|(_, element)| element).collect()
                }
                (false, is_by) => {
                    let mut numbers = Vec::with_capacity(elements.len());
                    for (i, element) in elements.iter().enumerate() {
                        let text = if is_by { weights[i].as_deref() } else { Some(&element[..]) };
                        numbers.push(text.map_or(Ok(0.0), weight)?);
                    }
                    self.ordered(numbers.into_iter().zip(elements), f64::total_cmp)
                }
            };
        }
        let range = self.options.range(self.elements.len());
        self.elements.truncate(range.end);
        self.elements.drain(..range.start);
        Ok(())
    }

    /// The elements in the order of their weights, those of equal weight in that of their bytes.
    fn ordered<W>(
        &self,
        pairs: impl Iterator<Item = (W, Vec<u8>)>,
        compare: impl Fn(&W, &W) -> Ordering,
    ) -> Vec<Vec<u8>> {
        let mut pairs: Vec<(W, Vec<u8>)> = pairs.collect();
        pairs.sort_by(|(a, a_element), (b, b_element)| {
            self.directed(compare(a, b).then_with(|| a_element.cmp(b_element)))
        });
        pairs.into_iter().map(|(_, element)| element).collect()
    }

    fn directed(&self, ordering: Ordering) -> Ordering {
        if self.options.is_descending { ordering.reverse() } else { ordering }
    }

    /// The keys of what a pattern adds to the result, one for each element in it; none if it looks at no key.
    pub fn result_keys(&self, pattern: &Pattern<'_>) -> Vec<Vec<u8>> {
        if !pattern.is_key {
            return Vec::new();
        }
        self.elements.iter().map(|element| pattern.key(element)).collect()
    }

    /// Writes the reply; what is to be stored is returned. `look_up` says what a GET that looks at a key finds there, given the number
    /// of its pattern, and number and bytes of the element.
    pub fn finish(
        self,
        look_up: &mut LookUp<'_>,
        destination: Option<&[u8]>,
        db: u16,
        reply: &mut Writer<'_>,
    ) -> Vec<Write> {
        let count = self.elements.len() * self.options.gets.len().max(1);
        let Some(key) = destination else {
            reply.array(count);
            self.each(look_up, &mut |result| {
                match result {
                    Some(result) => reply.bulk(result),
                    None => reply.null(),
                }
                // Clients may ask for more than any reply may hold.
                if reply.is_over() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            return Vec::new();
        };
        reply.count(count);
        let write = |change| Write { db, key: key.to_vec(), change };
        let mut writes = vec![write(Change::Delete)];
        if count > 0 {
            let new_push = || OwnedArgs::new([&b"RPUSH"[..], key]);
            let (mut push, mut bytes) = (new_push(), 0);
            self.each(look_up, &mut |result| {
                let result = result.unwrap_or_default();
                if bytes > BULK_BYTES_MAX {
                    // Positions in a call have 32 bits.
                    writes.push(write(Change::Call(std::mem::replace(&mut push, new_push()))));
                    bytes = 0;
                }
                bytes += result.len();
                push.push(result);
                ControlFlow::Continue(())
            });
            writes.push(write(Change::Call(push)));
        }
        writes
    }

    /// Hands over the result, element by element, until `visit` has enough.
    fn each(&self, look_up: &mut LookUp<'_>, visit: &mut dyn FnMut(Option<&[u8]>) -> ControlFlow<()>) {
        for (i, element) in self.elements.iter().enumerate() {
            let gets = &self.options.gets;
            let mut flow = if gets.is_empty() { visit(Some(element)) } else { ControlFlow::Continue(()) };
            for (number, pattern) in gets.iter().enumerate() {
                flow = match () {
                    () if pattern.is_element => visit(Some(element)),
                    () if pattern.is_key => visit(look_up(number, i, element).as_deref()),
                    () => visit(None),
                };
                if flow.is_break() {
                    break;
                }
            }
            if flow.is_break() {
                return;
            }
        }
    }
}

/// A weight as C's `strtod` reads it: white space may stand before it, nothing at all is 0, and a zero byte ends it. What it reports as out
/// of range is refused, large or small.
fn weight(text: &[u8]) -> Result<f64, CommandError> {
    let text = &text[..memchr::memchr(0, text).unwrap_or(text.len())];
    let is_space = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0B;
    let spaces = text.iter().take_while(|byte| is_space(byte)).count();
    let number = if text.is_empty() { Some(0.0) } else { parse_f64_normal_or_exact(&text[spaces..]) };
    // Zeros are equal whatever their sign.
    number
        .map(|number| number + 0.0)
        .ok_or(CommandError::Text("ERR One or more scores can't be converted into double"))
}
