//! The wire protocol: requests in (`parse`), replies out (`write`), and replies read back (`read`) for merging and tests.
//! Bytes and numbers only: nothing here knows a key, a client or a socket.

pub mod parse;
pub mod read;
pub mod write;
