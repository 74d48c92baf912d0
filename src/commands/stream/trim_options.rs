//! The options before the id of XADD and behind the key of XTRIM: NOMKSTREAM, MAXLEN | MINID [= | ~] threshold [LIMIT count].
//! Owns their grammar and the order of its errors; never trims.

use crate::base::args::Args;
use crate::commands::cx::integer;
use crate::commands::error::CommandError;
use crate::commands::stream::id::{self, NewId};
use crate::store::stream::{Trim, TrimTo};

/// Nodes whose entries an approximate trim removes at most, unless LIMIT says otherwise.
const NODES_TRIMMED_MAX: usize = 100;
/// Entries removed so at most where the entries of a node are not bounded.
const ENTRIES_TRIMMED: usize = 10_000;
/// Entries removed so at most however large a node may be.
const ENTRIES_TRIMMED_MAX: usize = 1_000_000;

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What to cut off, if anything.
    pub trim: Option<Trim>,
    /// XADD: a missing stream is not made.
    pub needs_stream: bool,
    /// XADD: the id of the new entry.
    pub id: NewId,
    /// Index of the word behind the options: the id, for XADD.
    pub end: usize,
}

impl Options {
    /// Reads the words from the third on. `node_entries_max` is the parameter in force; 0 is no bound.
    pub fn parse(args: &Args<'_>, is_xadd: bool, node_entries_max: usize) -> Result<Options, CommandError> {
        let (mut to, mut is_exact, mut limit) = (None, true, None);
        let mut options = Options { trim: None, needs_stream: false, id: NewId::Auto, end: args.len() };
        let mut i = 2;
        while i < args.len() {
            let more = args.len() - 1 - i;
            if is_xadd && args.get(i) == b"*" {
                options.end = i;
                break;
            } else if more > 0 && (args.is(i, "MAXLEN") || args.is(i, "MINID")) {
                if to.is_some() {
                    return Err(CommandError::Text(
                        "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
                    ));
                }
                let is_length = args.is(i, "MAXLEN");
                if more > 1 && matches!(args.get(i + 1), b"~" | b"=") {
                    is_exact = args.get(i + 1) == b"=";
                    i += 1;
                }
                i += 1;
                to = Some(if is_length { length(args, i)? } else { TrimTo::Id(id::strict(args.get(i), 0)?) });
            } else if more > 0 && args.is(i, "LIMIT") {
                i += 1;
                let entries = u64::try_from(integer(args, i)?)
                    .map_err(|_| CommandError::Text("ERR The LIMIT argument must be >= 0."))?;
                limit = Some(entries);
            } else if is_xadd && args.is(i, "NOMKSTREAM") {
                options.needs_stream = true;
            } else if is_xadd {
                options.id = id::new_id(args.get(i))?;
                options.end = i;
                break;
            } else {
                return Err(CommandError::Syntax);
            }
            i += 1;
        }
        if to.is_none() && limit.is_some_and(|entries| entries > 0) {
            return Err(CommandError::Text(
                "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
            ));
        }
        if to.is_none() && !is_xadd {
            return Err(CommandError::Text(
                "ERR syntax error, XTRIM must be called with a trimming strategy",
            ));
        }
        if limit.is_some() && is_exact {
            return Err(CommandError::Text(
                "ERR syntax error, LIMIT cannot be used without the special ~ option",
            ));
        }
        let limit = match limit {
            _ if is_exact => None,
            Some(0) => None,
            Some(entries) => Some(entries),
            None if node_entries_max == 0 => Some(ENTRIES_TRIMMED as u64),
            None => Some(node_entries_max.saturating_mul(NODES_TRIMMED_MAX).min(ENTRIES_TRIMMED_MAX) as u64),
        };
        options.trim = to.map(|to| Trim { to, is_exact, limit });
        Ok(options)
    }
}

fn length(args: &Args<'_>, i: usize) -> Result<TrimTo, CommandError> {
    let length = u64::try_from(integer(args, i)?)
        .map_err(|_| CommandError::Text("ERR The MAXLEN argument must be >= 0."))?;
    Ok(TrimTo::Length(length))
}
