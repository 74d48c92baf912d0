//! Commands on keys of any type, and their rows.
use crate::commands::table::Command;
pub(super) const ROWS: &[Command] = &[];
