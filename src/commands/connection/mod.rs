//! Commands about the connection, and their rows.
use crate::commands::table::Command;
pub(super) const ROWS: &[Command] = &[];
