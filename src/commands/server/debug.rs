//! DEBUG subcommand ... — what tests of servers and clients ask for: digests of values, how a value is kept, many keys at once.
//! Subcommands of Redis that look into its own structures, or break it on purpose, do not exist here.
//!
//! Digests are Redis's, so that equal data has equal digests in both: SHA-1, xored where order means nothing, fed back into itself where it
//! does (`src/debug.c`, `xorObjectDigest`). A key that has expired counts as gone.

use sha1_smol::Sha1;

use crate::base::args::Args;
use crate::base::double::format_double;
use crate::base::float::LongDouble;
use crate::base::limits::DATABASES;
use crate::commands::container;
use crate::commands::cx::{Cx, count_from};
use crate::commands::error::{CommandError, Outcome};
use crate::commands::merge::Parts;
use crate::commands::session::Pause;
use crate::resp::read;
use crate::resp::write::Writer;
use crate::store::effect::Effect;
use crate::store::keyspace::{Key, is_expired};
use crate::store::list::{ListRef, Node};
use crate::store::object::{self, Entry, Kind, ValueRef};
use crate::store::rdb;

/// 40 hexadecimal digits.
type Digest = [u8; 20];

pub fn object(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (key, clock) = (cx.key(args, 2), cx.clock());
    let entry = cx.keys.peek(cx.db, &key, cx.now_ms).ok_or(CommandError::NoSuchKey)?;
    let value = ValueRef::of(entry);
    let line = format!(
        "Value at:{:p} refcount:1 encoding:{} serializedlength:{} lru:{} lru_seconds_idle:{}",
        entry,
        object::encoding(entry),
        rdb::value_bytes(&rdb::encode(value)),
        // Redis keeps 24 bits of it.
        entry.clock() & 0xFF_FFFF,
        clock.saturating_sub(entry.clock())
    );
    let nodes = match value {
        ValueRef::List(list) if object::encoding(entry) == "quicklist" => {
            shown_nodes(list, cx.server.config.encoding.list_node_size)
        }
        _ => String::new(),
    };
    cx.reply.simple(&(line + &nodes));
    Ok(())
}

/// What Redis adds for a list of several nodes.
fn shown_nodes(list: ListRef<'_>, node_size: i64) -> String {
    let (mut count, mut bytes) = (0, 0);
    for node in list.nodes() {
        count += 1;
        bytes += match node {
            Node::Packed(bytes) | Node::Plain(bytes) => bytes.len(),
        };
    }
    format!(
        " ql_nodes:{count} ql_avg_node:{:.2} ql_listpack_max:{node_size} ql_compressed:0 ql_uncompressed_size:{bytes}",
        list.len() as f64 / f64::from(count)
    )
}

/// One shard's part of DIGEST: for each database nothing, or the digests of its keys xored.
pub fn digest(cx: &mut Cx<'_>, _: &Args<'_>) -> Outcome {
    cx.reply.array(DATABASES);
    for db in 0..DATABASES as u16 {
        cx.keys.hydrate_db(db);
        let entries = cx.keys.tables(db).flat_map(|(_, table)| table.iter());
        let mut all = None;
        for entry in entries.filter(|entry| !is_expired(entry, cx.now_ms)) {
            let mut digest = Digest::default();
            mix(&mut digest, entry.key());
            add_value(&mut digest, entry, cx.now_ms);
            xor(all.get_or_insert_default(), &digest);
        }
        cx.reply.bulk(all.as_ref().map_or(&[], |digest| &digest[..]));
    }
    Ok(())
}

/// The digest of all databases, out of what all shards said.
pub fn merge_digests(parts: &Parts<'_>, reply: &mut Writer<'_>) {
    let mut rests: Vec<&[u8]> =
        parts.replies.iter().map(|part| read::elements(part).expect("a part is an array").1).collect();
    let mut digest = Digest::default();
    for db in 0..DATABASES as u32 {
        let mut all = None;
        for rest in &mut rests {
            let length = read::reply_len(rest).expect("a part has an element for each database");
            let (element, behind) = rest.split_at(length);
            *rest = behind;
            let keys = read::bulk(element).expect("an element is a string");
            if !keys.is_empty() {
                xor_bytes(all.get_or_insert_default(), keys);
            }
        }
        if let Some(all) = all {
            mix(&mut digest, &db.to_be_bytes());
            xor_bytes(&mut digest, &all);
        }
    }
    reply.simple(&hexadecimal(&digest));
}

pub fn digest_value(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    cx.reply.array(args.len() - 2);
    for i in 2..args.len() {
        let key = cx.key(args, i);
        let mut digest = Digest::default();
        if let Some(entry) = cx.keys.peek(cx.db, &key, cx.now_ms) {
            add_value(&mut digest, entry, cx.now_ms);
        }
        cx.reply.simple(&hexadecimal(&digest));
    }
    Ok(())
}

/// Adds type, value and whether it expires. When it does is left out, as in Redis; so are fields of a hash whose time has come.
fn add_value(digest: &mut Digest, entry: &Entry, now_ms: i64) {
    let value = ValueRef::of(entry);
    mix(digest, &type_number(value.kind()).to_be_bytes());
    value.effects(b"", &mut |effect| match effect {
        Effect::HashSet { expire_at_ms: Some(at_ms), .. } if at_ms <= now_ms => {}
        effect => add_element(digest, &effect),
    });
    if entry.expire_at_ms().is_some() {
        xor(digest, b"!!expire!!");
    }
}

fn add_element(digest: &mut Digest, effect: &Effect<'_>) {
    let mut element = Digest::default();
    match effect {
        Effect::SetString { value, .. } => mix(digest, value),
        Effect::ListPush { element, .. } => mix(digest, element),
        Effect::SetAdd { member, .. } => xor(digest, member),
        Effect::SortedSetAdd { member, score, .. } => {
            mix(&mut element, member);
            mix(&mut element, format_double(*score).as_bytes());
            xor(digest, &element);
        }
        Effect::HashSet { field, value, expire_at_ms, .. } => {
            mix(&mut element, field);
            mix(&mut element, value);
            if expire_at_ms.is_some() {
                xor(&mut element, b"!!hexpire!!");
            }
            xor(digest, &element);
        }
        Effect::StreamAdd { id, fields, .. } => {
            mix(digest, format!("{}.{}", id.0, id.1).as_bytes());
            fields.iter().for_each(|string| mix(digest, string));
        }
        // What else there is of a stream does not count.
        _ => {}
    }
}

/// Redis's numbers of types; 5 is that of modules.
fn type_number(kind: Kind) -> u32 {
    match kind {
        Kind::String => 0,
        Kind::List => 1,
        Kind::Set => 2,
        Kind::SortedSet => 3,
        Kind::Hash => 4,
        Kind::Stream => 6,
    }
}

/// Adds bytes whose order among others means nothing.
fn xor(digest: &mut Digest, bytes: &[u8]) {
    xor_bytes(digest, &Sha1::from(bytes).digest().bytes());
}

/// Adds bytes that must come exactly here.
fn mix(digest: &mut Digest, bytes: &[u8]) {
    xor(digest, bytes);
    *digest = Sha1::from(&digest[..]).digest().bytes();
}

fn xor_bytes(digest: &mut Digest, other: &[u8]) {
    digest.iter_mut().zip(other).for_each(|(byte, other)| *byte ^= other);
}

fn hexadecimal(digest: &Digest) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// DEBUG POPULATE count [prefix] [bytes]: keys `prefix:0` and so on, each on its shard, with `value:0` and so on in them, cut or filled
/// up with zero bytes. Keys that are there stay as they are.
pub fn populate(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let count = positive(args, 2)?;
    let prefix = if args.len() > 3 { args.get(3) } else { b"key" };
    let bytes = if args.len() > 4 { positive(args, 4)? } else { 0 };
    if bytes > cx.server.config.bulk_bytes_max {
        return Err(CommandError::StringTooLong);
    }
    if args.len() > 5 {
        let subcommand = String::from_utf8_lossy(args.get(1)).into_owned();
        return Err(CommandError::SubcommandSyntax { subcommand, container: "DEBUG" });
    }
    let (slots, clock) = (cx.keys.slots(), cx.clock());
    for i in 0..count {
        let name = [prefix, format!(":{i}").as_bytes()].concat();
        let key = Key::new(&name);
        if slots.contains(&key.slot.index()) && !cx.keys.exists(cx.db, &key, cx.now_ms) {
            let mut value = format!("value:{i}").into_bytes();
            if bytes > 0 {
                value.resize(bytes, 0);
            }
            cx.keys.set_string(cx.db, &key, &value, None, clock);
        }
    }
    cx.reply.ok();
    Ok(())
}

fn positive(args: &Args<'_>, i: usize) -> Result<usize, CommandError> {
    count_from(args, i, 0, "ERR value is out of range, must be positive")
}

/// DEBUG SLEEP seconds: nobody's commands run for that time, on any shard. A shard cannot wait, so this is a pause of all clients, as
/// `CLIENT PAUSE` makes one, and the reply comes at once. It replaces such a pause, unless one of all clients lasts longer.
pub fn sleep(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let until_ms = cx.now_ms.saturating_add(sleep_ms(args.get(2)));
    let until_ms = match cx.server.pause {
        Some(pause) if !pause.writes_only => pause.until_ms.max(until_ms),
        _ => until_ms,
    };
    if until_ms > cx.now_ms {
        cx.server.pause = Some(Pause { until_ms, writes_only: false });
    }
    cx.reply.ok();
    Ok(())
}

/// Milliseconds, rounded up. As in Redis, what is no number, negative or not within 64 bits of microseconds is no time at all.
fn sleep_ms(seconds: &[u8]) -> i64 {
    let us = LongDouble::parse(seconds).map_or(0, |seconds| seconds.times_rounded_up(1_000_000));
    if us == i64::MAX { 0 } else { us.max(0).unsigned_abs().div_ceil(1000).cast_signed() }
}

/// DEBUG ERROR text: the text as an error.
pub fn error(_: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let text = String::from_utf8_lossy(args.get(2)).replace(['\r', '\n'], " ");
    Err(CommandError::Detailed(text))
}

/// DEBUG STRINGMATCH-LEN pattern text: whether the glob matches.
pub fn string_match(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    cx.reply.integer(crate::base::glob::glob_match(args.get(2), args.get(3)).into());
    Ok(())
}

/// Switches of things that do not exist here: keys expire when they are met, and nodes of lists have the size that CONFIG gives.
pub fn accepted(cx: &mut Cx<'_>, _: &Args<'_>) -> Outcome {
    cx.reply.ok();
    Ok(())
}

pub fn help(cx: &mut Cx<'_>, _: &Args<'_>) -> Outcome {
    container::help(
        cx,
        "DEBUG",
        &[
            "DIGEST",
            "    Output a hex signature representing the current DB content.",
            "DIGEST-VALUE <key> [<key> ...]",
            "    Output a hex signature of the values of all the specified keys.",
            "ERROR <string>",
            "    Return a Redis protocol error with <string> as message. Useful for clients",
            "    unit tests to simulate Redis errors.",
            "OBJECT <key>",
            "    Show low level info about `key` and associated value.",
            "POPULATE <count> [<prefix>] [<size>]",
            "    Create <count> string keys named key:<num>. If <prefix> is specified then",
            "    it is used instead of the 'key' prefix.",
            "QUICKLIST-PACKED-THRESHOLD <size>",
            "    Accepted without effect: CONFIG SET list-max-listpack-size sizes the nodes.",
            "SET-ACTIVE-EXPIRE <0|1>",
            "    Accepted without effect: keys expire when they are accessed.",
            "SLEEP <seconds>",
            "    Pause all clients for <seconds>. Decimals allowed.",
            "STRINGMATCH-LEN <pattern> <string>",
            "    Tell whether the glob-style pattern matches the string.",
        ],
    )
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, START_MS, check};

    /// Digests of Redis 7.0.15 for the same commands.
    #[test]
    fn digests_are_those_of_redis() {
        check("DEBUG DIGEST", &"0".repeat(40));
        check("DEBUG DIGEST-VALUE missing", &format!("[{}]", "0".repeat(40)));
        check(
            "SET k v | SET n 10 EX 100 | DEBUG DIGEST-VALUE k n",
            "OK | OK | [d79ee9fe5d5ad902d7f6620efc3b07b75ddd742f, d79f35663055c5a8f1279d5fc2867763c3bbc76f]",
        );
        check(
            "SET k v | SET n 10 EX 100 | SELECT 3 | SET k v | DEBUG DIGEST",
            "OK | OK | OK | OK | 3883d8cd25318399c71118f28b68854a10de9d85",
        );
    }

    #[test]
    fn expired_keys_have_no_digest() {
        check("SET k v PX 5 | @5ms | DEBUG DIGEST", &format!("OK | {}", "0".repeat(40)));
    }

    #[test]
    fn shows_how_a_value_is_kept() {
        let mut bench = Bench::default();
        let line = bench.run("SET k hello | @60s | DEBUG OBJECT k");
        let line = line.strip_prefix("OK | Value at:0x").expect("an address");
        let (_, rest) = line.split_once(' ').expect("more fields");
        assert_eq!(rest, "refcount:1 encoding:embstr serializedlength:6 lru:5501184 lru_seconds_idle:60");
        let mut bench = Bench::default();
        bench.run("CONFIG SET list-max-listpack-size 2 | RPUSH l a b c");
        let line = bench.run("DEBUG OBJECT l");
        assert!(line.contains(" encoding:quicklist serializedlength:28 "), "{line}");
        assert!(
            line.ends_with(
                " ql_nodes:2 ql_avg_node:1.50 ql_listpack_max:2 ql_compressed:0 ql_uncompressed_size:23"
            ),
            "{line}"
        );
        check("DEBUG OBJECT missing", "ERR no such key");
    }

    #[test]
    fn populates() {
        check(
            "SET key:1 x | DEBUG POPULATE 3 | MGET key:0 key:1 key:2 | DBSIZE",
            "OK | OK | [value:0, x, value:2] | 3",
        );
        check("DEBUG POPULATE 1 p 3 | GET p:0 | DEBUG POPULATE 1 q 9 | STRLEN q:0", "OK | val | OK | 9");
        check("DEBUG POPULATE x", "ERR value is out of range, must be positive");
        check("DEBUG POPULATE 1 p -3", "ERR value is out of range, must be positive");
    }

    #[test]
    fn sleeping_is_a_pause_of_all_clients() {
        let mut bench = Bench::default();
        let mut sleep = |script: &str| {
            assert!(bench.run(script).ends_with("OK"));
            bench.server.pause.map(|pause| (pause.until_ms - START_MS, pause.writes_only))
        };
        for none in ["0", "-1", "x", "nan", "inf", "1e300", "\"\""] {
            assert_eq!(sleep(&format!("DEBUG SLEEP {none}")), None, "{none}");
        }
        assert_eq!(sleep("DEBUG SLEEP 0.0001"), Some((1, false)));
        assert_eq!(sleep("CLIENT PAUSE 50 WRITE | DEBUG SLEEP 0"), Some((50, false)));
        assert_eq!(sleep("@60ms | CLIENT PAUSE 50 WRITE | DEBUG SLEEP 0"), Some((110, true)));
        assert_eq!(sleep("DEBUG SLEEP 1.5"), Some((1560, false)));
        assert_eq!(sleep("DEBUG SLEEP 0.5"), Some((1560, false)));
    }

    #[test]
    fn knows_its_subcommands() {
        check("DEBUG ERROR \"ERR as asked\"", "ERR as asked");
        check("DEBUG STRINGMATCH-LEN a*c abc | DEBUG STRINGMATCH-LEN a?c ac", "1 | 0");
        check("DEBUG SET-ACTIVE-EXPIRE 0 | DEBUG QUICKLIST-PACKED-THRESHOLD 1b", "OK | OK");
        check("DEBUG SEGFAULT", "ERR unknown subcommand 'SEGFAULT'. Try DEBUG HELP.");
        let mut bench = Bench::default();
        assert!(bench.run("DEBUG HELP").starts_with("[DEBUG <subcommand>"));
    }
}
