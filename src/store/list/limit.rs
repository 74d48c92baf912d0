//! How much one node of a list may hold: what `list-max-listpack-size` means. Pure arithmetic.
//! Source: `quicklistNodeLimit` and `_quicklistNodeAllowInsert` in `src/quicklist.c` of Redis 7.2.

/// Bytes of a node where the parameter counts elements: such a node is bounded too.
const SAFETY_BYTES_MAX: usize = 8192;
/// Bytes of a node for -1, -2 and so on; what lies beyond means the last.
const LEVELS: [usize; 5] = [4096, 8192, 16_384, 32_768, 65_536];
/// What an element is taken to need besides its own bytes.
const OVERHEAD: usize = 8;
/// Bytes of a listpack that two merged ones have once.
const SHARED_BYTES: usize = 7;

/// The bounds of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    bytes: usize,
    len: usize,
    /// Bytes from which on a list that shrinks stays a chain of nodes: none where the parameter counts elements.
    shrunk_bytes: usize,
}

impl Limit {
    /// What a value of the parameter means: `-n` one of five sizes in bytes, `n` a number of elements, at least one.
    pub fn of(list_node_size: i64) -> Limit {
        if list_node_size < 0 {
            let level = (list_node_size.unsigned_abs() - 1).min(LEVELS.len() as u64 - 1);
            let bytes = LEVELS[level as usize];
            Limit { bytes, len: usize::MAX, shrunk_bytes: bytes / 2 }
        } else {
            let len = (list_node_size as usize).max(1);
            Limit { bytes: SAFETY_BYTES_MAX, len, shrunk_bytes: usize::MAX }
        }
    }

    /// Whether a node of so many bytes and elements is within the bounds.
    #[inline]
    pub fn allows(self, bytes: usize, len: usize) -> bool {
        bytes <= self.bytes && len <= self.len
    }

    /// Whether a node of so many bytes and elements may take one more element, of `added` bytes.
    #[inline]
    pub fn allows_one_more(self, bytes: usize, len: usize, added: usize) -> bool {
        self.allows(bytes + added + OVERHEAD, len + 1)
    }

    /// Whether two nodes of so many bytes and elements together may become one.
    pub fn allows_merge(self, bytes: usize, len: usize) -> bool {
        self.allows(bytes - SHARED_BYTES, len)
    }

    /// Whether an element of so many bytes is a node by itself.
    #[inline]
    pub fn is_plain(self, bytes: usize) -> bool {
        bytes > self.bytes
    }

    /// Whether a chain of one node is short enough to be one listpack again, after something was removed from it: at half of the
    /// bounds, so that a list near them does not go back and forth.
    pub fn allows_return(self, bytes: usize, len: usize) -> bool {
        bytes <= self.shrunk_bytes && (self.len == usize::MAX || len <= self.len / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_parameter() {
        for (size, bytes) in [(-1, 4096), (-2, 8192), (-5, 65_536), (-6, 65_536), (i64::MIN, 65_536)] {
            let limit = Limit::of(size);
            assert!(limit.allows(bytes, 1_000_000) && !limit.allows(bytes + 1, 1));
            assert!(limit.allows_return(bytes / 2, 1_000_000) && !limit.allows_return(bytes / 2 + 1, 1));
            assert!(limit.is_plain(bytes + 1) && !limit.is_plain(bytes));
        }
        for (size, len) in [(0, 1), (1, 1), (128, 128)] {
            let limit = Limit::of(size);
            assert!(limit.allows(8192, len) && !limit.allows(8193, 1) && !limit.allows(7, len + 1));
            assert!(limit.allows_return(1 << 20, len / 2) && !limit.allows_return(7, len / 2 + 1));
        }
    }
}
