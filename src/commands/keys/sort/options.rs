//! What the words of SORT ask for, and where its patterns lead. Never looks a key up.

use std::ops::Range;

use crate::base::args::Args;
use crate::commands::cx::integer;
use crate::commands::error::CommandError;

#[derive(Default)]
pub struct Options<'a> {
    pub is_descending: bool,
    pub is_alpha: bool,
    offset: i64,
    /// Negative: no limit.
    count: Option<i64>,
    /// A pattern without `*` is none, and says that nothing is sorted.
    pub by: Option<Pattern<'a>>,
    pub is_unsorted: bool,
    pub gets: Vec<Pattern<'a>>,
    /// Index of the word.
    pub destination: Option<usize>,
}

impl<'a> Options<'a> {
    pub fn parse(args: &Args<'a>, may_store: bool) -> Result<Options<'a>, CommandError> {
        let mut options = Options::default();
        let mut i = 2;
        while i < args.len() {
            let left = args.len() - i - 1;
            if args.is(i, "ASC") {
                options.is_descending = false;
            } else if args.is(i, "DESC") {
                options.is_descending = true;
            } else if args.is(i, "ALPHA") {
                options.is_alpha = true;
            } else if args.is(i, "LIMIT") && left >= 2 {
                options.offset = integer(args, i + 1)?;
                options.count = Some(integer(args, i + 2)?);
                i += 2;
            } else if may_store && args.is(i, "STORE") && left >= 1 {
                options.destination = Some(i + 1);
                i += 1;
            } else if args.is(i, "BY") && left >= 1 {
                // Once said, it stays: Redis sorts by no later pattern either.
                let pattern = Pattern::new(args.get(i + 1));
                options.is_unsorted |= !pattern.is_key;
                options.by = Some(pattern).filter(|pattern| pattern.is_key);
                i += 1;
            } else if args.is(i, "GET") && left >= 1 {
                options.gets.push(Pattern::new(args.get(i + 1)));
                i += 1;
            } else {
                return Err(CommandError::Syntax);
            }
            i += 1;
        }
        Ok(options)
    }

    /// The places, of `len`, that the limit leaves.
    pub fn range(&self, len: usize) -> Range<usize> {
        let from = usize::try_from(self.offset).unwrap_or(0).min(len);
        let count = self.count.and_then(|count| usize::try_from(count).ok()).unwrap_or(len);
        from..from.saturating_add(count).min(len)
    }
}

/// Where to find something about an element.
#[derive(Clone, Copy, Default)]
pub struct Pattern<'a> {
    /// `#`: the element itself.
    pub is_element: bool,
    /// There is a `*`. Without one, a pattern leads nowhere.
    pub is_key: bool,
    before: &'a [u8],
    after: &'a [u8],
    /// What stands behind `->`, if anything does: a field of the hash at the key.
    pub field: Option<&'a [u8]>,
}

impl<'a> Pattern<'a> {
    pub fn new(text: &'a [u8]) -> Pattern<'a> {
        let Some(star) = memchr::memchr(b'*', text) else {
            return Pattern { is_element: text == b"#", ..Pattern::default() };
        };
        let (before, rest) = (&text[..star], &text[star + 1..]);
        let arrow = rest.windows(2).position(|two| two == b"->").filter(|arrow| arrow + 2 < rest.len());
        let (after, field) = match arrow {
            Some(arrow) => (&rest[..arrow], Some(&rest[arrow + 2..])),
            None => (rest, None),
        };
        Pattern { is_element: false, is_key: true, before, after, field }
    }

    pub fn key(&self, element: &[u8]) -> Vec<u8> {
        [self.before, element, self.after].concat()
    }
}
