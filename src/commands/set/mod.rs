//! To come.

use crate::commands::table::Command;

pub(super) const ROWS: &[Command] = &[];
