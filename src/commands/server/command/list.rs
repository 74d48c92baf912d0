//! COMMAND COUNT — how many commands there are; COMMAND LIST [FILTERBY <MODULE name | ACLCAT category | PATTERN glob>] — their
//! names, subcommands included.

use crate::base::args::Args;
use crate::base::glob::glob_match_nocase;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::commands::server::command::top_level;
use crate::commands::table::Command;

pub fn count(cx: &mut Cx<'_>, _: &Args<'_>) -> Outcome {
    cx.reply.count(top_level(cx.table).count());
    Ok(())
}

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let filter = Filter::parse(args)?;
    let rows = cx.table.rows().iter();
    let names: Vec<&str> = rows.filter(|row| filter.admits(row)).map(|row| row.name).collect();
    cx.reply.array(names.len());
    for name in names {
        cx.reply.bulk(name.as_bytes());
    }
    Ok(())
}

enum Filter<'a> {
    All,
    /// Commands of a module: there are none.
    Module,
    Category(&'a [u8]),
    Pattern(&'a [u8]),
}

impl<'a> Filter<'a> {
    fn parse(args: &Args<'a>) -> Result<Filter<'a>, CommandError> {
        match args.len() {
            2 => Ok(Filter::All),
            5 if args.is(2, "FILTERBY") && args.is(3, "MODULE") => Ok(Filter::Module),
            5 if args.is(2, "FILTERBY") && args.is(3, "ACLCAT") => Ok(Filter::Category(args.get(4))),
            5 if args.is(2, "FILTERBY") && args.is(3, "PATTERN") => Ok(Filter::Pattern(args.get(4))),
            _ => Err(CommandError::Syntax),
        }
    }

    fn admits(&self, row: &Command) -> bool {
        match self {
            Filter::All => true,
            Filter::Module => false,
            Filter::Category(name) => {
                row.categories().iter().any(|category| category.as_bytes()[1..].eq_ignore_ascii_case(name))
            }
            Filter::Pattern(pattern) => glob_match_nocase(pattern, row.name.as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::table::Table;
    use crate::commands::testing::{Bench, check};

    #[test]
    fn filters_names() {
        check("COMMAND LIST FILTERBY PATTERN *GET|*", "[]");
        check("COMMAND LIST FILTERBY PATTERN flush*", "[flushdb, flushall]");
        check("COMMAND LIST FILTERBY MODULE json", "[]");
        check("COMMAND LIST FILTERBY aclcat nosuch", "[]");
        assert!(Bench::default().run("COMMAND LIST FILTERBY ACLCAT Dangerous").contains("swapdb"));
        let all = Bench::default().run("COMMAND LIST");
        assert_eq!(all.split(", ").count(), Table::new().rows().len());
    }

    #[test]
    fn refuses_other_words() {
        for words in ["FILTERBY", "FILTERBY x y", "FOO a b", "FILTERBY PATTERN a b"] {
            check(&format!("COMMAND LIST {words}"), "ERR syntax error");
        }
    }
}
