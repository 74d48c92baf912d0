//! OBJECT ENCODING | FREQ | IDLETIME | REFCOUNT key — how a value is kept. Nil for a missing key. Never counts as an access.
//! OBJECTFREQ key and OBJECTIDLETIME key are the same in one word.

use crate::base::args::Args;
use crate::commands::container;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::store::object;

pub fn encoding(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let key = cx.key(args, 2);
    match cx.keys.read(cx.db, &key, cx.now_ms, None) {
        Some(entry) => cx.reply.bulk(object::encoding(entry).as_bytes()),
        None => cx.reply.null(),
    }
    Ok(())
}

pub fn freq(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    freq_of(cx, args, 2)
}

pub fn freq_of_key(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    freq_of(cx, args, 1)
}

fn freq_of(cx: &mut Cx<'_>, args: &Args<'_>, i: usize) -> Outcome {
    let key = cx.key(args, i);
    if cx.keys.read(cx.db, &key, cx.now_ms, None).is_some() {
        return Err(CommandError::Text(
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching \
             between policies at runtime LRU and LFU data will take some time to adjust.",
        ));
    }
    cx.reply.null();
    Ok(())
}

pub fn idletime(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    idletime_of(cx, args, 2)
}

pub fn idletime_of_key(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    idletime_of(cx, args, 1)
}

fn idletime_of(cx: &mut Cx<'_>, args: &Args<'_>, i: usize) -> Outcome {
    let (key, clock) = (cx.key(args, i), cx.clock());
    match cx.keys.read(cx.db, &key, cx.now_ms, None) {
        Some(entry) => cx.reply.integer(i64::from(clock.saturating_sub(entry.clock()))),
        None => cx.reply.null(),
    }
    Ok(())
}

pub fn refcount(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let key = cx.key(args, 2);
    // No value is shared.
    match cx.keys.read(cx.db, &key, cx.now_ms, None) {
        Some(_) => cx.reply.integer(1),
        None => cx.reply.null(),
    }
    Ok(())
}

pub fn help(cx: &mut Cx<'_>, _: &Args<'_>) -> Outcome {
    container::help(
        cx,
        "OBJECT",
        &[
            "ENCODING <key>",
            "    Return the kind of internal representation used in order to store the value",
            "    associated with a <key>.",
            "FREQ <key>",
            "    Return the access frequency index of the <key>. The returned integer is",
            "    proportional to the logarithm of the recent access frequency of the key.",
            "IDLETIME <key>",
            "    Return the idle time of the <key>, that is the approximated number of",
            "    seconds elapsed since the last access to the key.",
            "REFCOUNT <key>",
            "    Return the number of references of the value associated with the specified",
            "    <key>.",
        ],
    )
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, check};

    #[test]
    fn names_the_encoding() {
        check("SET k 12 | OBJECT ENCODING k | SET k 012 | OBJECT ENCODING k", "OK | int | OK | embstr");
        check("SET k abc | object encoding k | OBJECT ENCODING missing", "OK | embstr | nil");
        let bytes = "x".repeat(44);
        check(&format!("SET k {bytes} | OBJECT ENCODING k"), "OK | embstr");
        check(&format!("SET k {bytes}y | OBJECT ENCODING k"), "OK | raw");
        check("APPEND k 12 | OBJECT ENCODING k", "2 | int");
    }

    #[test]
    fn tells_idle_time_without_touching() {
        check(
            "SET k v | @60s | OBJECT IDLETIME k | OBJECT IDLETIME k | GET k | OBJECT IDLETIME k",
            "OK | 60 | 60 | v | 0",
        );
        check("OBJECT IDLETIME missing", "nil");
        let mut bench = Bench::default();
        bench.server.sessions.get_mut(0).expect("a client").no_touch = true;
        assert_eq!(bench.run("SET k v | @60s | GET k | OBJECT IDLETIME k"), "OK | v | 60");
    }

    #[test]
    fn has_short_names() {
        check(
            "SET k v | @60s | OBJECTIDLETIME k | OBJECTIDLETIME missing | OBJECTFREQ missing",
            "OK | 60 | nil | nil",
        );
        check("OBJECTFREQ", "ERR wrong number of arguments for 'objectfreq' command");
    }

    #[test]
    fn counts_one_reference() {
        check("SET k v | OBJECT REFCOUNT k | OBJECT REFCOUNT missing", "OK | 1 | nil");
    }

    #[test]
    fn has_no_frequencies() {
        check("OBJECT FREQ missing", "nil");
        check(
            "SET k v | OBJECT FREQ k",
            "OK | ERR An LFU maxmemory policy is not selected, access frequency not \
            tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.",
        );
    }

    #[test]
    fn knows_its_subcommands() {
        check("OBJECT", "ERR wrong number of arguments for 'object' command");
        check("OBJECT FOO k", "ERR unknown subcommand 'FOO'. Try OBJECT HELP.");
        check("OBJECT ENCODING", "ERR wrong number of arguments for 'object|encoding' command");
        check("OBJECT HELP x", "ERR wrong number of arguments for 'object|help' command");
        let mut bench = Bench::default();
        let help = bench.run("OBJECT HELP");
        assert!(help.starts_with(
            "[OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:, ENCODING <key>,"
        ));
        assert!(help.ends_with("HELP,     Prints this help.]"));
    }
}
