//! Up to where small values have their packed forms, and how large the parts of large ones are: Redis's parameters, with its defaults.
//! Plain numbers; what they bound is in `store`.

/// The bounds in force. Every shard has a copy beside its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodingLimits {
    /// `hash-max-listpack-entries`.
    pub hash_entries_max: usize,
    /// `hash-max-listpack-value`, bytes.
    pub hash_value_bytes_max: usize,
    /// `list-max-listpack-size`: elements of one node, or one of five sizes in bytes if negative.
    pub list_node_size: i64,
    /// `set-max-intset-entries`.
    pub set_integers_max: usize,
    /// `set-max-listpack-entries`.
    pub set_entries_max: usize,
    /// `set-max-listpack-value`, bytes.
    pub set_value_bytes_max: usize,
    /// `zset-max-listpack-entries`.
    pub sorted_set_entries_max: usize,
    /// `zset-max-listpack-value`, bytes.
    pub sorted_set_value_bytes_max: usize,
    /// `stream-node-max-bytes`; 0 is no bound.
    pub stream_node_bytes_max: usize,
    /// `stream-node-max-entries`; 0 is no bound.
    pub stream_node_entries_max: usize,
    /// `hll-sparse-max-bytes`.
    pub hll_sparse_bytes_max: usize,
}

impl Default for EncodingLimits {
    fn default() -> EncodingLimits {
        EncodingLimits {
            hash_entries_max: 512,
            hash_value_bytes_max: 64,
            list_node_size: -2,
            set_integers_max: 512,
            set_entries_max: 128,
            set_value_bytes_max: 64,
            sorted_set_entries_max: 128,
            sorted_set_value_bytes_max: 64,
            stream_node_bytes_max: 4096,
            stream_node_entries_max: 100,
            hll_sparse_bytes_max: 3000,
        }
    }
}
