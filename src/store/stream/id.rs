//! Ids of a stream's entries: a time and a number among those of the same time. Owns their order, their neighbours and their text
//! as clients see it; never reads text, which is the commands' business.

use std::fmt::{Display, Formatter, Result};

use crate::store::effect::EntryId;

/// The id of an entry; 0-0 is the id of none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// Unix milliseconds, if clients left it to the server.
    pub ms: u64,
    /// The number among the entries of that time.
    pub seq: u64,
}

impl StreamId {
    /// Before all entries.
    pub const MIN: StreamId = StreamId { ms: 0, seq: 0 };
    /// The largest id.
    pub const MAX: StreamId = StreamId { ms: u64::MAX, seq: u64::MAX };

    /// An id of these parts.
    pub const fn new(ms: u64, seq: u64) -> StreamId {
        StreamId { ms, seq }
    }

    /// Whether it is 0-0.
    #[inline]
    pub fn is_zero(self) -> bool {
        self == StreamId::MIN
    }

    /// The id that follows; none after the largest.
    #[inline]
    pub fn next(self) -> Option<StreamId> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(StreamId { ms: self.ms, seq }),
            None => self.ms.checked_add(1).map(|ms| StreamId { ms, seq: 0 }),
        }
    }

    /// The id before; none before 0-0.
    #[inline]
    pub fn previous(self) -> Option<StreamId> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(StreamId { ms: self.ms, seq }),
            None => self.ms.checked_sub(1).map(|ms| StreamId { ms, seq: u64::MAX }),
        }
    }

    /// The id as effects carry it.
    #[inline]
    pub fn parts(self) -> EntryId {
        (self.ms, self.seq)
    }
}

impl From<EntryId> for StreamId {
    fn from((ms, seq): EntryId) -> StreamId {
        StreamId { ms, seq }
    }
}

impl Display for StreamId {
    fn fmt(&self, to: &mut Formatter<'_>) -> Result {
        write!(to, "{}-{}", self.ms, self.seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_neighbours() {
        assert_eq!(StreamId::MIN.previous(), None);
        assert_eq!(StreamId::MAX.next(), None);
        for (id, next) in [((0, 0), (0, 1)), ((4, u64::MAX), (5, 0)), ((u64::MAX, 3), (u64::MAX, 4))] {
            assert_eq!(StreamId::from(id).next(), Some(next.into()));
            assert_eq!(StreamId::from(next).previous(), Some(id.into()));
        }
        assert_eq!(StreamId::new(12, 3).to_string(), "12-3");
    }
}
