//! COMMAND: what the command table says, for clients that route by it, complete by it or generate themselves from it.

pub mod details;
pub mod docs;
pub mod keys;
pub mod list;

use crate::base::args::Args;
use crate::commands::container;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::commands::table::{Command, Table};

pub fn help(cx: &mut Cx<'_>, _: &Args<'_>) -> Outcome {
    const LINES: &[&str] = &[
        "(no subcommand)",
        "    Return details about all Redis commands.",
        "COUNT",
        "    Return the total number of commands in this Redis server.",
        "LIST",
        "    Return a list of all commands in this Redis server.",
        "INFO [<command-name> ...]",
        "    Return details about multiple Redis commands.",
        "    If no command names are given, documentation details for all",
        "    commands are returned.",
        "DOCS [<command-name> ...]",
        "    Return documentation details about multiple Redis commands.",
        "    If no command names are given, documentation details for all",
        "    commands are returned.",
        "GETKEYS <full-command>",
        "    Return the keys from a full Redis command.",
        "GETKEYSANDFLAGS <full-command>",
        "    Return the keys and the access flags from a full Redis command.",
    ];
    container::help(cx, "COMMAND", LINES)
}

/// The rows that are commands of their own, not subcommands.
fn top_level(table: &Table) -> impl Iterator<Item = &Command> {
    table.rows().iter().filter(|row| row.split_name().is_none())
}

/// The rows that the words from `first` on name, `None` for a name that is no row; all commands if there is no word.
fn named<'t>(table: &'t Table, args: &Args<'_>, first: usize) -> Vec<Option<&'t Command>> {
    if args.len() <= first {
        return top_level(table).map(Some).collect();
    }
    args.iter_from(first).map(|name| table.find(name).map(|index| table.row(index))).collect()
}
