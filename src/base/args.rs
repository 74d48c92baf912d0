//! The words of a command as positions in a buffer: what the parser produces, commands read and the mesh carries.
//! Never owns the bytes and never copies them.

/// A run of bytes in a buffer: 32-bit positions, so that a command of many words stays small.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The run from `start` up to `end`. Positions come from buffers bounded by `limits::QUERY_BYTES_MAX`.
    #[inline]
    pub fn new(start: usize, end: usize) -> Span {
        debug_assert!(start <= end && end <= u32::MAX as usize);
        Span { start: start as u32, end: end as u32 }
    }

    /// Bytes in the run.
    #[inline]
    pub fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether the run has no bytes.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// The same run after the buffer's content moved `by` bytes to the front.
    #[inline]
    pub fn shifted_down(self, by: usize) -> Span {
        Span { start: self.start - by as u32, end: self.end - by as u32 }
    }
}

/// A command and its arguments. Word 0 is the command's name.
#[derive(Clone, Copy, Debug)]
pub struct Args<'a> {
    buffer: &'a [u8],
    spans: &'a [Span],
}

impl<'a> Args<'a> {
    /// The words at `spans` in `buffer`.
    #[inline]
    pub fn new(buffer: &'a [u8], spans: &'a [Span]) -> Args<'a> {
        Args { buffer, spans }
    }

    /// How many words, the name included.
    #[inline]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is no word at all; never so for a command that runs.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Word `i`. The arity check has made sure that a command's fixed words exist.
    #[inline]
    pub fn get(&self, i: usize) -> &'a [u8] {
        let span = self.spans[i];
        &self.buffer[span.start as usize..span.end as usize]
    }

    /// Whether word `i` is `keyword`, in any case.
    #[inline]
    pub fn is(&self, i: usize, keyword: &str) -> bool {
        self.get(i).eq_ignore_ascii_case(keyword.as_bytes())
    }

    /// Appends the words to another buffer in one piece, with whatever stands between them, and their positions there.
    #[inline]
    pub fn copy_to(&self, buffer: &mut Vec<u8>, spans: &mut Vec<Span>) {
        let (Some(first), Some(last)) = (self.spans.first(), self.spans.last()) else { return };
        let (from, to) = (first.start, buffer.len() as u32);
        buffer.extend_from_slice(&self.buffer[from as usize..last.end as usize]);
        // Words stand in the order in which they were read.
        let moved = |span: &Span| Span { start: span.start - from + to, end: span.end - from + to };
        spans.extend(self.spans.iter().map(moved));
    }

    /// The words from `from` to the end.
    pub fn iter_from(&self, from: usize) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let buffer = self.buffer;
        self.spans[from.min(self.spans.len())..]
            .iter()
            .map(move |s| &buffer[s.start as usize..s.end as usize])
    }
}

/// Owned words, for a command that outlives its read buffer (and for tests).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnedArgs {
    buffer: Vec<u8>,
    spans: Vec<Span>,
}

impl OwnedArgs {
    /// A copy of `words`.
    pub fn new<W: AsRef<[u8]>>(words: impl IntoIterator<Item = W>) -> OwnedArgs {
        let mut owned = OwnedArgs::default();
        for word in words {
            owned.push(word.as_ref());
        }
        owned
    }

    /// Appends one word.
    pub fn push(&mut self, word: &[u8]) {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(word);
        self.spans.push(Span::new(start, self.buffer.len()));
    }

    /// The words, borrowed.
    pub fn args(&self) -> Args<'_> {
        Args::new(&self.buffer, &self.spans)
    }
}
