//! Histories of clients that share keys, and the proof that they are strictly serialisable: what clients do (`workloads`), what they
//! saw (`history`), what one store without concurrency would say (`model`), and whether one order explains it all (`checker`).
//! Knows no transport and nothing of the server: whoever includes it carries the bytes and tells the times.

pub mod checker;
pub mod history;
pub mod model;
pub mod rehearsal;
pub mod workloads;
