//! Leaves every layer may use: limits, numbers, globs, hash slots, random numbers.
//! Nothing here knows a type of the layers above, does I/O or reads a clock.

pub mod args;
pub mod double;
pub mod float;
pub mod geohash;
pub mod glob;
pub mod limits;
pub mod number;
pub mod rng;
pub mod slot;
