//! COMMAND DOCS [name ...] — what each command is for, since when, and at what cost. A name that is no command is left out.
//! Redis's description of arguments is left out too: the table does not have it.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::commands::server::command::named;
use crate::commands::table::{Command, Table};
use crate::resp::write::Writer;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let rows: Vec<&Command> = named(cx.table, args, 2).into_iter().flatten().collect();
    cx.reply.map(rows.len());
    for row in rows {
        write_row(&mut cx.reply, cx.table, row);
    }
    Ok(())
}

fn write_row(reply: &mut Writer<'_>, table: &Table, row: &Command) {
    let subcommands: Vec<&Command> = table.subcommands(row).collect();
    let facts = [
        ("summary", row.summary),
        ("since", row.since),
        ("group", row.group.name()),
        ("complexity", row.complexity),
    ];
    let facts = facts.iter().filter(|(_, text)| !text.is_empty());
    reply.bulk(row.name.as_bytes());
    reply.map(facts.clone().count() + usize::from(!subcommands.is_empty()));
    for (name, text) in facts {
        reply.bulk(name.as_bytes());
        reply.bulk(text.as_bytes());
    }
    if !subcommands.is_empty() {
        reply.bulk(b"subcommands");
        reply.map(subcommands.len());
        for subcommand in subcommands {
            write_row(reply, table, subcommand);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, check};

    #[test]
    fn describes_commands() {
        check(
            "COMMAND DOCS get nosuch",
            "[get, [summary, Returns the string value of a key., since, 1.0.0, group, string, complexity, O(1)]]",
        );
        check("COMMAND DOCS nosuch", "[]");
        check(
            "COMMAND DOCS config|get",
            "[config|get, [summary, Returns the effective values of configuration parameters., since, 2.0.0, group, server, \
             complexity, O(N) when N is the number of configuration parameters provided]]",
        );
    }

    #[test]
    fn containers_describe_their_subcommands() {
        let docs = Bench::default().run("COMMAND DOCS client");
        assert!(
            docs.contains("subcommands, [client|getname, [summary, Returns the name of the connection."),
            "{docs}"
        );
    }
}
