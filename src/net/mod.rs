//! The production driver: sockets, the ring, the clock and the channels between shards. Performs what the sans-IO shard asks for.
//! Never parses a command and never touches a key.

pub mod clock;
mod connection;
mod disk;
mod driver;
pub mod keeper;
pub mod listen;
pub mod mesh;
mod pace;
pub mod preflight;

pub use driver::{Shared, run_shard};
