//! The plugin boundary: a C header and a Rust SDK over it. Depends on nothing of the server.
//!
//! Empty for now: the boundary arrives with the plugin loader.
