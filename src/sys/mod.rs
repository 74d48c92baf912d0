//! All `unsafe` of the server lives here (and at the plugin boundary): raw allocations, rings, shared buffers, process facts.
//! Each module wraps one foreign contract in an interface that safe code cannot misuse. Nothing here knows a command.

pub mod allocator;
pub mod buffers;
pub mod cell;
pub mod cpus;
pub mod eventfd;
pub mod mapping;
pub mod pair;
pub mod process;
pub mod ring;
pub mod shared;
