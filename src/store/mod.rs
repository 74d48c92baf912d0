//! The keyspace of one shard: slots, tables, entries, values, expiry, and the effects that changes leave in the journal.
//! Synchronous and deterministic: no I/O, no clock, no thread, no text of the wire protocol.

pub mod archive;
pub mod awaited;
pub mod cells;
pub mod collection;
pub mod effect;
pub mod hash;
pub mod hyperloglog;
pub mod intset;
pub mod keyspace;
pub mod list;
pub mod listpack;
pub mod object;
pub mod ordered;
pub mod rdb;
pub mod scan;
pub mod set;
pub mod sorted_set;
pub mod stream;
pub mod table;
pub mod watch;
