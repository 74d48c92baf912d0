//! Commands about the server, and their rows.
use crate::commands::table::Command;
pub(super) const ROWS: &[Command] = &[];
