//! Every command: one table (`table`), one file per command or per group that shares a body, and what they run against (`cx`).
//! A command is a synchronous function of the keyspace, its arguments, the time and the seed it is handed. It never waits, does
//! I/O, reads a clock or talks to another shard: `Spread` in its row says how shards take part, `merge` and `gather` how
//! their parts become one reply.

pub mod cx;
pub mod error;
pub mod gather;
pub mod merge;
pub mod session;
pub mod table;

#[cfg(test)]
mod replay_tests;
#[cfg(test)]
mod saving_tests;
#[cfg(test)]
pub mod testing;

mod bitmap;
pub mod blocking;
mod connection;
mod container;
mod geo;
mod hash;
mod hyperloglog;
mod item;
mod keys;
mod list;
mod scan_options;
mod server;
mod set;
mod sorted_set;
mod stream;
mod string;
pub mod transactions;
