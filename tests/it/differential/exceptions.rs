//! Where replies may differ, and why: the whole list. What is not here must be equal to the last byte.

use super::replies::is_same_double;
use crate::wire::content;

/// How two replies are compared.
#[derive(Clone, Copy)]
pub enum Comparison {
    /// Byte for byte.
    Exact,
    /// Both are numbers, and close.
    Near(i64),
    /// Both are arrays of the same elements, in any order.
    Unordered,
    /// Both are of the same kind: number, bulk string, array.
    Kind,
    /// Both are lines about a client, of which `CLIENT_FIELDS` are equal.
    Client,
    /// Both are arrays or maps of the same pairs, in any order.
    Pairs,
    /// Both have as many parts, or are both null.
    Length,
    /// Equal but for how doubles are written.
    Doubles,
    /// Entries of XPENDING, equal but for the times.
    Pending,
    /// Fields of XINFO, as `STREAM_FIELDS_*` say.
    StreamFields,
    /// Names of encodings, which must be equal or a pair of `ENCODINGS`.
    Encoding,
}

/// Encodings that differ, ours first, for the type.
#[rustfmt::skip]
const ENCODINGS: &[(&str, &str, &str, &str)] = &[
    ("set", "listpack", "hashtable", "7.2 keeps small sets packed, 7.0 only those of integers"),
    ("list", "listpack", "quicklist", "7.2 keeps a small list in one listpack"),
    ("hash", "hashtable", "listpack", "7.2 looks at the number of fields given in one command before it knows which are new"),
    ("zset", "skiplist", "listpack", "as hash"),
    ("sorted zset", "listpack", "skiplist", "SORT of Redis unpacks the sorted set that it reads"),
    ("string", "int", "embstr", "in Redis it depends on how the value came about too"),
    ("string", "int", "raw", "as above"),
    ("string", "embstr", "raw", "as above"),
    ("string", "raw", "embstr", "as above"),
];

/// Whether encodings of a value count as equal; without the type, whether they do for any.
pub fn are_equal_encodings(kind: Option<&[u8]>, ours: &[u8], theirs: &[u8]) -> bool {
    let (ours, theirs) = (content(ours), content(theirs));
    ours == theirs
        || ENCODINGS.iter().any(|(name, our, their, _)| {
            kind.is_none_or(|kind| kind == name.as_bytes())
                && ours == our.as_bytes()
                && theirs == their.as_bytes()
        })
}

/// Fields of XINFO that only 7.2 has: when a consumer last got something, beside when it last tried to.
pub const STREAM_FIELDS_NEW: &[&str] = &["inactive", "active-time"];
/// Fields that are times; the clocks are read at different moments.
pub const STREAM_FIELDS_NEAR: &[&str] = &["idle", "seen-time"];
/// Fields about the inside of a server.
pub const STREAM_FIELDS_OPEN: &[&str] = &["radix-tree-keys", "radix-tree-nodes"];

/// The first word of a command, whether it is one that 7.0 cannot be asked, and why.
type Newer = (&'static str, fn(&[Vec<u8>]) -> bool, &'static str);

/// Commands that are not sent.
#[rustfmt::skip]
const NEWER: &[Newer] = &[
    ("RESTORE", |words| words.iter().any(|word| word == b"9223372036854775807"), "a time to live that overflows in Redis"),
    ("SCAN", has_nul, "a number ends at a NUL for Redis"),
    ("SSCAN", has_nul, "as SCAN"),
    ("HSCAN", has_nul, "as SCAN"),
    ("ZSCAN", has_nul, "as SCAN"),
    ("ZRANK", |words| words.len() > 3, "WITHSCORE came with 7.2"),
    ("ZREVRANK", |words| words.len() > 3, "as ZRANK"),
    ("LPOS", |words| words.iter().any(|word| word == b"-9223372036854775808"), "7.2 refuses it as a RANK, which 7.0 negates"),
];

fn has_nul(words: &[Vec<u8>]) -> bool {
    words[1..].iter().any(|word| word.contains(&0))
}

/// Whether a command means something to 7.2 that 7.0 does not know, or Redis takes for another.
pub fn is_newer(words: &[Vec<u8>]) -> bool {
    let is_it =
        |(name, is_newer, _): &&Newer| words[0].eq_ignore_ascii_case(name.as_bytes()) && is_newer(words);
    NEWER.iter().find(is_it).is_some()
}

/// Beginnings of errors that differ from those of 7.0, ours first.
#[rustfmt::skip]
const ERRORS: &[(&str, &str, &str)] = &[
    ("ERR The ID specified in XSETID is smaller than current max_deleted_entry_id",
     "ERR The ID specified in XSETID is smaller than the target stream top item", "7.2 looks at both, at this first"),
    ("ERR Unbalanced 'xread", "ERR Unbalanced XREAD list", "7.2 names the command, and the sign that it takes"),
    ("ERR timeout is out of range", "ERR timeout is negative", "7.0 lets the number overflow"),
];

/// What CLIENT INFO and LIST say that is the same on two servers: no addresses, ids, times or sizes.
const CLIENT_FIELDS: &[&str] =
    &["name", "flags", "db", "sub", "psub", "multi", "cmd", "user", "redir", "resp"];

/// The letters of `flags` that are: in a transaction, and a watched key was changed. How a client is connected is not, and RESET
/// leaves `e` (no eviction) in Redis 7.0.
const CLIENT_FLAGS: &[char] = &['x', 'd'];

/// Clocks are read at different moments. A wide margin: the machine may be busy, and times to live are days at least.
const SECONDS: Comparison = Comparison::Near(60);
const MS: Comparison = Comparison::Near(60_000);

/// The first words of a command and how its successful replies are compared.
#[rustfmt::skip]
const COMPARISONS: &[(&str, Comparison, &str)] = &[
    ("TTL", SECONDS, "the servers read their clocks at different moments"),
    ("PTTL", MS, "as TTL"),
    ("EXPIRETIME", SECONDS, "as TTL, where the time to live was given in relation to now"),
    ("PEXPIRETIME", MS, "as EXPIRETIME"),
    ("LASTSAVE", SECONDS, "the servers start at different moments"),
    ("KEYS", Comparison::Unordered, "the order is that of the hash table"),
    ("SCAN", Comparison::Kind, "as KEYS; whole iterations are compared as sets"),
    ("RANDOMKEY", Comparison::Kind, "it is random"),
    ("OBJECT ENCODING", Comparison::Encoding, "see `ENCODINGS`"),
    ("OBJECT REFCOUNT", Comparison::Kind, "Redis shares small integers; here nothing is shared"),
    ("OBJECT IDLETIME", Comparison::Kind, "a command that is refused after it has looked at its key touches it in Redis alone"),
    ("HELLO", Comparison::Kind, "names the server, its version and the connection"),
    ("COMMAND GETKEYS", Comparison::Exact, "unlike COMMAND alone"),
    ("COMMAND INFO nosuch", Comparison::Exact, "as COMMAND GETKEYS: no server has this command"),
    ("COMMAND", Comparison::Kind, "lists the commands that there are"),
    ("CLIENT ID", Comparison::Kind, "names the connection"),
    ("CLIENT INFO", Comparison::Client, "has addresses, ids, times and sizes"),
    ("CLIENT LIST", Comparison::Kind, "as CLIENT ID"),
    ("DUMP", Comparison::Length, "has the version, and may choose among forms; what it restores to is compared"),
    ("SMEMBERS", Comparison::Unordered, "the order is that of the hash table, or of insertion"),
    ("SINTER", Comparison::Unordered, "as SMEMBERS"),
    ("SUNION", Comparison::Unordered, "as SMEMBERS"),
    ("SDIFF", Comparison::Unordered, "as SMEMBERS"),
    ("SPOP", Comparison::Unordered, "where all is popped; else it is random, and put right"),
    ("SRANDMEMBER", Comparison::Length, "it is random; whole steps compare what it chose from"),
    ("HRANDFIELD", Comparison::Length, "as SRANDMEMBER"),
    ("ZRANDMEMBER", Comparison::Length, "as SRANDMEMBER"),
    ("SSCAN", Comparison::Kind, "cursors are the server's own; whole iterations are compared as sets"),
    ("HSCAN", Comparison::Kind, "as SSCAN"),
    ("ZSCAN", Comparison::Kind, "as SSCAN"),
    ("HGETALL", Comparison::Pairs, "the order is that of the hash table; packed ones are compared in order where they are inspected"),
    ("HKEYS", Comparison::Unordered, "as HGETALL"),
    ("HVALS", Comparison::Unordered, "as HGETALL"),
    ("XPENDING", Comparison::Pending, "the clocks are read at different moments"),
    ("XINFO", Comparison::StreamFields, "has times, and fields that 7.0 lacks"),
    ("ZSCORE", Comparison::Doubles, "7.0 writes 17 digits, 7.2 as few as say the same"),
    ("ZMSCORE", Comparison::Doubles, "as ZSCORE"),
    ("ZADD", Comparison::Doubles, "as ZSCORE"),
    ("ZINCRBY", Comparison::Doubles, "as ZSCORE"),
    ("ZRANGE", Comparison::Doubles, "as ZSCORE"),
    ("ZREVRANGE", Comparison::Doubles, "as ZSCORE"),
    ("ZRANGEBYSCORE", Comparison::Doubles, "as ZSCORE"),
    ("ZREVRANGEBYSCORE", Comparison::Doubles, "as ZSCORE"),
    ("ZPOPMIN", Comparison::Doubles, "as ZSCORE"),
    ("ZPOPMAX", Comparison::Doubles, "as ZSCORE"),
    ("ZMPOP", Comparison::Doubles, "as ZSCORE"),
    ("BZPOPMIN", Comparison::Doubles, "as ZSCORE"),
    ("BZPOPMAX", Comparison::Doubles, "as ZSCORE"),
    ("BZMPOP", Comparison::Doubles, "as ZSCORE"),
    ("ZUNION", Comparison::Doubles, "as ZSCORE"),
    ("ZINTER", Comparison::Doubles, "as ZSCORE"),
    ("ZDIFF", Comparison::Doubles, "as ZSCORE"),
];

/// How the replies to a command are compared.
pub fn comparison(words: &[Vec<u8>]) -> Comparison {
    let has = |name: &str| words[1..].iter().any(|word| word.eq_ignore_ascii_case(name.as_bytes()));
    // What has the same weight as a text comes in any order.
    if words[0].eq_ignore_ascii_case(b"SORT") && has("BY") && has("ALPHA") {
        return Comparison::Unordered;
    }
    let is_begun_by = |names: &str| {
        let mut names = names.split(' ').enumerate();
        names.all(|(i, name)| words.get(i).is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes())))
    };
    let found = COMPARISONS.iter().find(|(names, ..)| is_begun_by(names));
    found.map_or(Comparison::Exact, |(_, comparison, _)| *comparison)
}

/// Whether two error replies to a command count as equal. Exactly equal, unless they may repeat a word that is no text: Redis ends
/// such a word at a NUL, as C does, and sends bytes that are not UTF-8 as they are; Corevault's errors are UTF-8.
pub fn are_equal_errors(words: &[Vec<u8>], ours: &[u8], theirs: &[u8]) -> bool {
    let is_text = |word: &Vec<u8>| std::str::from_utf8(word).is_ok() && !word.contains(&0);
    let is_known = |ours: &[u8], theirs: &[u8]| {
        ERRORS
            .iter()
            .any(|(our, their, _)| ours.starts_with(our.as_bytes()) && theirs.starts_with(their.as_bytes()))
    };
    ours == theirs
        || (ours[0] == theirs[0] && !words.iter().all(is_text))
        || is_known(&ours[1..], &theirs[1..])
}

/// One field of a line about a client: `multi=-1`.
pub fn client_field(line: &str, name: &str) -> Option<String> {
    let value = raw_field(line, name)?;
    let value = match name {
        "flags" => value.chars().filter(|letter| CLIENT_FLAGS.contains(letter)).collect(),
        _ => value.to_owned(),
    };
    Some(format!("{name}={value}"))
}

/// Whether two lines about a client count as equal. Redis marks a client as soon as a watched key was changed (`d` in `flags`), and from
/// then on keeps no more commands; Corevault finds out at EXEC, since the key may be another shard's, and keeps them until then.
pub fn are_equal_clients(ours: &[u8], theirs: &[u8]) -> bool {
    let (ours, theirs) = (String::from_utf8_lossy(ours), String::from_utf8_lossy(theirs));
    let is_marked = raw_field(&theirs, "flags").is_some_and(|flags| flags.contains('d'));
    let unmarked = |line: &str| client_field(line, "flags").map(|flags| flags.replace('d', ""));
    CLIENT_FIELDS.iter().all(|name| match *name {
        "multi" if is_marked => true,
        "flags" => unmarked(&ours) == unmarked(&theirs),
        _ => client_field(&ours, name) == client_field(&theirs, name),
    })
}

fn raw_field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split_whitespace().find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
}

/// Whether what SSCAN, HSCAN or ZSCAN found with a member counts as equal: a score as a double, whatever else to the last byte.
pub fn are_equal_scanned(name: &[u8], ours: &[u8], theirs: &[u8]) -> bool {
    let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
    ours == theirs || (name.eq_ignore_ascii_case(b"ZSCAN") && is_same_double(text(ours), text(theirs)))
}
