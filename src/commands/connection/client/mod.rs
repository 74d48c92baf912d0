//! CLIENT: what a connection may ask about itself and about others.

pub mod attributes;
pub mod describe;
pub mod filter;
pub mod help;
pub mod kill;
pub mod list;
pub mod pause;
pub mod reply;
pub mod switches;
pub mod unblock;
