//! Corevault: a RESP-compatible in-memory data store for Linux, one pinned executor and one io_uring per core.
//!
//! `docs/ARCHITECTURE.md` has the map. Layers, from the top: `server` → `net` → `shard` → `commands`, `persist` → `store` →
//! `resp`, `metrics`, `config` → `base`, `sys`. A module imports only from layers below its own; `tests/tidy.rs` checks it.

#![deny(unsafe_op_in_unsafe_fn)]

pub mod base;
pub mod commands;
pub mod config;
pub mod metrics;
pub mod net;
pub mod persist;
pub mod resp;
pub mod server;
pub mod shard;
pub mod store;
pub mod sys;
