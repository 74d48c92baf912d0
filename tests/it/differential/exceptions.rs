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
}

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
    ("CLIENT INFO", Comparison::Kind, "as CLIENT ID"),
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
