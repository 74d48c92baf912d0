//! How many nodes the radix tree has in which Redis keeps a stream's master ids. Only tells; nothing here is such a tree.

use crate::store::stream::id::StreamId;

/// Bytes of an id as a key of the tree.
const ID_BYTES: usize = 16;

/// The number of nodes of a compressed radix tree with these ids, which are in order, as big-endian keys: each place where keys part
/// is a node, so is each stretch of bytes on the way to one, and so is the end of each key. Source: the head of Redis's `src/rax.c`.
pub fn radix_tree_nodes(ids: impl Iterator<Item = StreamId>) -> usize {
    let keys: Vec<[u8; ID_BYTES]> =
        ids.map(|id| ((u128::from(id.ms) << 64) | u128::from(id.seq)).to_be_bytes()).collect();
    // An empty tree has its root.
    if keys.is_empty() { 1 } else { nodes_below(&keys, 0) }
}

/// The nodes for keys that agree on their first `depth` bytes.
fn nodes_below(keys: &[[u8; ID_BYTES]], depth: usize) -> usize {
    let (first, last) = (keys[0], keys[keys.len() - 1]);
    let parts_at = (depth..ID_BYTES).find(|&at| first[at] != last[at]).unwrap_or(ID_BYTES);
    let stretch = usize::from(parts_at > depth);
    if parts_at == ID_BYTES {
        return stretch + 1;
    }
    let branches = keys.chunk_by(|one, other| one[parts_at] == other[parts_at]);
    stretch + 1 + branches.map(|branch| nodes_below(branch, parts_at + 1)).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_places_stretches_and_ends() {
        let count = |ids: &[(u64, u64)]| radix_tree_nodes(ids.iter().map(|&id| id.into()));
        assert_eq!(count(&[]), 1);
        assert_eq!(count(&[(5, 0)]), 2);
        // Seven bytes alike, then a place, then eight bytes and an end for each.
        assert_eq!(count(&[(1, 0), (2, 0)]), 1 + 1 + 2 * 2);
        // The last byte differs: no stretch behind it.
        assert_eq!(count(&[(1, 1), (1, 2), (1, 3)]), 1 + 1 + 3);
        assert_eq!(count(&[(0, 1), (1 << 63, 1)]), 1 + 2 * 2);
    }
}
