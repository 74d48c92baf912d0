//! COMMAND and COMMAND INFO [name ...] — the ten facts by which clients route: name, arity, flags, first key, last key, step,
//! ACL categories, tips, key specifications and subcommands. Nil for a name that is no command.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::commands::server::command::named;
use crate::commands::table::{Command, Flag, Keys, Table};
use crate::resp::write::Writer;

pub fn all(cx: &mut Cx<'_>, _: &Args<'_>) -> Outcome {
    write_all(&mut cx.reply, cx.table, &named(cx.table, &Args::new(b"", &[]), 0));
    Ok(())
}

pub fn some(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    write_all(&mut cx.reply, cx.table, &named(cx.table, args, 2));
    Ok(())
}

fn write_all(reply: &mut Writer<'_>, table: &Table, rows: &[Option<&Command>]) {
    reply.array(rows.len());
    for row in rows {
        match row {
            Some(row) => write_row(reply, table, row),
            None => reply.null(),
        }
    }
}

fn write_row(reply: &mut Writer<'_>, table: &Table, row: &Command) {
    reply.array(10);
    reply.bulk(row.name.as_bytes());
    reply.integer(i64::from(row.arity));
    write_names(reply, &flag_names(row));
    let (first, last, step) = match row.keys {
        Keys::None | Keys::Counted { also: 0, .. } | Keys::Found { first: 0, .. } => (0, 0, 0),
        Keys::Counted { also: first, .. } | Keys::Found { first, .. } => {
            (i64::from(first), i64::from(first), 1)
        }
        Keys::At { first, last, step } => (i64::from(first), i64::from(last), i64::from(step)),
    };
    for number in [first, last, step] {
        reply.integer(number);
    }
    write_names(reply, &row.categories());
    reply.set(0);
    write_key_specification(reply, row);
    let subcommands: Vec<&Command> = table.subcommands(row).collect();
    // Redis's types, which differ: an empty set, but an array of subcommands.
    if subcommands.is_empty() {
        return reply.set(0);
    }
    reply.array(subcommands.len());
    for subcommand in subcommands {
        write_row(reply, table, subcommand);
    }
}

/// The names of a row's flags, in Redis's order.
fn flag_names(row: &Command) -> Vec<&'static str> {
    const ORDER: [Flag; 11] = [
        Flag::Write,
        Flag::ReadOnly,
        Flag::DenyOom,
        Flag::Admin,
        Flag::NoScript,
        Flag::Loading,
        Flag::Stale,
        Flag::Blocking,
        Flag::Fast,
        Flag::NoAuth,
        Flag::AllowBusy,
    ];
    let named = ORDER.into_iter().filter(|flag| row.has(*flag)).filter_map(Flag::name);
    named.chain(row.keys.are_movable().then_some("movablekeys")).collect()
}

/// What a command does with its keys, as far as its row knows.
pub fn access(row: &Command) -> [&'static str; 2] {
    ACCESS[usize::from(row.is_write)]
}

const ACCESS: [[&str; 2]; 2] = [["RO", "access"], ["RW", "update"]];

/// Redis describes keys twice: as three numbers, and as rules for finding them, with what the command does to them.
fn write_key_specification(reply: &mut Writer<'_>, row: &Command) {
    let (first, last, step) = match row.keys {
        Keys::None => return reply.set(0),
        Keys::At { first, last, step } => (first, last, step),
        Keys::Counted { count, also } => return write_counted_keys(reply, row, count, also),
        Keys::Found { first, .. } => return write_found_keys(reply, row, first),
    };
    reply.set(1);
    reply.map(3);
    reply.bulk(b"flags");
    write_names(reply, &access(row));
    reply.bulk(b"begin_search");
    write_rule(reply, "index", &[("index", i64::from(first))]);
    reply.bulk(b"find_keys");
    // A last key counted from the end stays so; another one counts from the first key.
    let last = if last < 0 { i64::from(last) } else { i64::from(last) - i64::from(first) };
    write_rule(reply, "range", &[("lastkey", last), ("keystep", i64::from(step)), ("limit", 0)]);
}

/// A destination perhaps, and the keys behind their number.
fn write_counted_keys(reply: &mut Writer<'_>, row: &Command, count: u16, also: u16) {
    reply.set(1 + usize::from(also > 0));
    if also > 0 {
        write_one_key(reply, &["OW", "update"], also);
    }
    reply.map(3);
    reply.bulk(b"flags");
    write_names(reply, if also > 0 { &["RO", "access"] } else { &ACCESS[usize::from(row.is_write)] });
    reply.bulk(b"begin_search");
    write_rule(reply, "index", &[("index", i64::from(count))]);
    reply.bulk(b"find_keys");
    write_rule(reply, "keynum", &[("keynumidx", 0), ("firstkey", 1), ("keystep", 1)]);
}

/// A key that is always there perhaps, and others that only the command's own grammar finds.
fn write_found_keys(reply: &mut Writer<'_>, row: &Command, first: u16) {
    reply.set(1 + usize::from(first > 0));
    if first > 0 {
        write_one_key(reply, &["RO", "access"], first);
    }
    reply.map(3);
    reply.bulk(b"flags");
    write_names(reply, &access(row));
    reply.bulk(b"begin_search");
    write_rule(reply, "unknown", &[]);
    reply.bulk(b"find_keys");
    write_rule(reply, "unknown", &[]);
}

fn write_one_key(reply: &mut Writer<'_>, flags: &[&str], index: u16) {
    reply.map(3);
    reply.bulk(b"flags");
    write_names(reply, flags);
    reply.bulk(b"begin_search");
    write_rule(reply, "index", &[("index", i64::from(index))]);
    reply.bulk(b"find_keys");
    write_rule(reply, "range", &[("lastkey", 0), ("keystep", 1), ("limit", 0)]);
}

fn write_rule(reply: &mut Writer<'_>, kind: &str, numbers: &[(&str, i64)]) {
    reply.map(2);
    reply.bulk(b"type");
    reply.bulk(kind.as_bytes());
    reply.bulk(b"spec");
    reply.map(numbers.len());
    for (name, number) in numbers {
        reply.bulk(name.as_bytes());
        reply.integer(*number);
    }
}

/// A set of words.
pub fn write_names(reply: &mut Writer<'_>, names: &[&str]) {
    reply.set(names.len());
    for name in names {
        reply.simple(name);
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::table::Table;
    use crate::commands::testing::{Bench, check};

    #[test]
    fn shows_ten_facts() {
        check(
            "COMMAND INFO get nosuch",
            "[[get, 2, [readonly, fast], 1, 1, 1, [@read, @string, @fast], [], \
             [[flags, [RO, access], begin_search, [type, index, spec, [index, 1]], \
             find_keys, [type, range, spec, [lastkey, 0, keystep, 1, limit, 0]]]], []], nil]",
        );
        check(
            "COMMAND INFO client|id Client|Kill",
            "[[client|id, 2, [noscript, loading, stale], 0, 0, 0, [@slow, @connection], [], [], []], \
             [client|kill, -3, [admin, noscript, loading, stale], 0, 0, 0, [@admin, @slow, @dangerous, @connection], [], [], []]]",
        );
        check(
            "COMMAND INFO flushall mset",
            "[[flushall, -1, [write], 0, 0, 0, [@keyspace, @write, @slow, @dangerous], [], [], []], \
             [mset, -3, [write, denyoom], 1, -1, 2, [@write, @string, @slow], [], \
             [[flags, [RW, update], begin_search, [type, index, spec, [index, 1]], \
             find_keys, [type, range, spec, [lastkey, -1, keystep, 2, limit, 0]]]], []]]",
        );
    }

    #[test]
    fn an_unknown_name_is_a_null_and_no_null_array() {
        let mut bench = Bench::default();
        assert_eq!(bench.call(["COMMAND", "INFO", "nosuch"]), b"*1\r\n$-1\r\n");
        bench.call(["HELLO", "3"]);
        assert_eq!(bench.call(["COMMAND", "INFO", "nosuch"]), b"*1\r\n_\r\n");
    }

    #[test]
    fn without_names_every_command_is_shown_once() {
        let mut bench = Bench::default();
        let all = bench.call(["COMMAND"]);
        assert_eq!(all, bench.call(["COMMAND", "INFO"]));
        let count = Table::new().rows().iter().filter(|row| row.split_name().is_none()).count();
        assert!(all.starts_with(format!("*{count}\r\n*10\r\n").as_bytes()));
        assert_eq!(bench.run("COMMAND COUNT"), count.to_string());
    }

    #[test]
    fn containers_hold_their_subcommands() {
        let config = Bench::default().run("COMMAND INFO config");
        for subcommand in ["config|get", "config|set", "config|resetstat", "config|rewrite", "config|help"] {
            assert!(config.contains(subcommand), "{subcommand} is missing in {config}");
        }
    }
}
