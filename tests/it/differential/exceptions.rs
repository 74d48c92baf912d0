//! Where replies may differ, and why: the whole list. What is not here must be equal to the last byte.

/// How two replies are compared.
#[derive(Clone, Copy)]
pub enum Comparison {
    /// Byte for byte.
    Exact,
    /// Both are numbers, and close.
    Near(i64),
    /// Both are arrays of the same elements, in any order.
    Unordered,
    /// Both are equal, or both are of these bulk strings.
    Among(&'static [&'static str]),
    /// Both are of the same kind: number, bulk string, array.
    Kind,
    /// Both are lines about a client, of which `CLIENT_FIELDS` are equal.
    Client,
}

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
    ("KEYS", Comparison::Unordered, "the order is that of the hash table"),
    ("SCAN", Comparison::Kind, "as KEYS; whole iterations are compared as sets"),
    ("RANDOMKEY", Comparison::Kind, "it is random"),
    ("OBJECT ENCODING", Comparison::Among(&["int", "embstr", "raw"]), "in Redis it depends on how the value came about too"),
    ("OBJECT REFCOUNT", Comparison::Kind, "Redis shares small integers; here nothing is shared"),
    ("OBJECT IDLETIME", SECONDS, "as TTL"),
    ("HELLO", Comparison::Kind, "names the server, its version and the connection"),
    ("COMMAND GETKEYS", Comparison::Exact, "unlike COMMAND alone"),
    ("COMMAND INFO nosuch", Comparison::Exact, "as COMMAND GETKEYS: no server has this command"),
    ("COMMAND", Comparison::Kind, "lists the commands that there are"),
    ("CLIENT ID", Comparison::Kind, "names the connection"),
    ("CLIENT INFO", Comparison::Client, "has addresses, ids, times and sizes"),
    ("CLIENT LIST", Comparison::Kind, "as CLIENT ID"),
];

/// How the replies to a command are compared.
pub fn comparison(words: &[Vec<u8>]) -> Comparison {
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
    ours == theirs || (ours[0] == theirs[0] && !words.iter().all(is_text))
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
