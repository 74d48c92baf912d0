//! COMMAND GETKEYS and GETKEYSANDFLAGS command [argument ...] — which words of a call are keys, and what happens to them.

use crate::base::args::{Args, OwnedArgs};
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::commands::server::command::details::{access, write_names};
use crate::commands::table::{Command, Table};

pub fn names(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (_, keys) = keys_of(cx.table, args)?;
    cx.reply.array(keys.len());
    for key in keys {
        cx.reply.bulk(args.get(key));
    }
    Ok(())
}

pub fn with_flags(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (row, keys) = keys_of(cx.table, args)?;
    cx.reply.array(keys.len());
    for key in keys {
        cx.reply.array(2);
        cx.reply.bulk(args.get(key));
        write_names(&mut cx.reply, &access(row));
    }
    Ok(())
}

/// The row of the call that begins at word 2, and which words of `args` are its keys.
fn keys_of<'t>(table: &'t Table, args: &Args<'_>) -> Result<(&'t Command, Vec<usize>), CommandError> {
    let call = OwnedArgs::new(args.iter_from(2));
    let call = call.args();
    let row = match table.resolve(&call) {
        Ok(index) => table.row(index),
        Err(CommandError::Arity(name)) => {
            let index = table.find(name.as_bytes()).expect("the arity was compared with a row's");
            table.row(index)
        }
        Err(_) => return Err(CommandError::Text("ERR Invalid command specified")),
    };
    if row.keys.is_none() {
        return Err(CommandError::Text("ERR The command has no key arguments"));
    }
    if !row.accepts(call.len()) {
        return Err(CommandError::Text("ERR Invalid number of arguments specified for command"));
    }
    Ok((row, row.keys.indices(&call).map(|key| key + 2).collect()))
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn finds_the_keys_of_a_call() {
        check("COMMAND GETKEYS mset a 1 b 2 | COMMAND GETKEYS get k", "[a, b] | [k]");
        check("COMMAND GETKEYSANDFLAGS MGET a b", "[[a, [RO, access]], [b, [RO, access]]]");
        check("COMMAND GETKEYSANDFLAGS MSET a b", "[[a, [RW, update]]]");
    }

    #[test]
    fn refuses_what_redis_refuses() {
        check("COMMAND GETKEYS foo a b", "ERR Invalid command specified");
        check("COMMAND GETKEYS client foo", "ERR Invalid command specified");
        check("COMMAND GETKEYS ping x", "ERR The command has no key arguments");
        check("COMMAND GETKEYS client id", "ERR The command has no key arguments");
        check("COMMAND GETKEYS mset a", "ERR Invalid number of arguments specified for command");
        check("COMMAND GETKEYS", "ERR wrong number of arguments for 'command|getkeys' command");
    }
}
