//! The command table: one row per command, in families, and the lookup from a name to its row.
//! Routing, arity errors, `COMMAND`, documentation and tests all read these rows. Never runs a command.

use std::iter::StepBy;
use std::ops::Range;
use std::vec;

use crate::base::args::Args;
use crate::base::number::parse_i64;
use crate::commands::blocking::Blocking;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::commands::gather::Gather;
use crate::commands::merge::Merge;
use crate::commands::{
    bitmap, blocking, connection, geo, hash, hyperloglog, keys, list, server, set, sorted_set, stream,
    string, transactions,
};

/// One command.
#[derive(Clone, Copy)]
pub struct Command {
    /// Lower case; a subcommand is `container|subcommand`.
    pub name: &'static str,
    /// What it does on one shard.
    pub run: Run,
    /// Words, the name (and subcommand) included: exactly so many, or at least `-arity`.
    pub arity: i16,
    /// Where its keys stand.
    pub keys: Keys,
    /// What it may do, as `COMMAND` shows it.
    pub flags: &'static [Flag],
    /// How the shards take part.
    pub spread: Spread,
    /// Redis's group, which decides the ACL category of its kind.
    pub group: Group,
    /// First Redis version that had it.
    pub since: &'static str,
    /// Time complexity, in Redis's words.
    pub complexity: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Whether its flags say that it changes data.
    pub is_write: bool,
    /// Whether it has subcommands; the table finds out.
    pub is_container: bool,
}

/// What a command does on one shard.
pub type Run = fn(&mut Cx<'_>, &Args<'_>) -> Outcome;

/// A row, in the order of a family's columns.
#[allow(clippy::too_many_arguments)] // One argument a column: the families read as tables.
pub(super) const fn row(
    group: Group,
    name: &'static str,
    run: Run,
    arity: i16,
    keys: Keys,
    flags: &'static [Flag],
    spread: Spread,
    since: &'static str,
    complexity: &'static str,
    summary: &'static str,
) -> Command {
    let (mut is_write, mut i) = (false, 0);
    while i < flags.len() {
        is_write |= matches!(flags[i], Flag::Write);
        i += 1;
    }
    let is_container = false;
    Command {
        name,
        run,
        arity,
        keys,
        flags,
        spread,
        group,
        since,
        complexity,
        summary,
        is_write,
        is_container,
    }
}

/// The key words of a command.
#[derive(Clone, Copy, Debug)]
pub enum Keys {
    /// No key.
    None,
    /// Words `first`, `first + step`, ... up to `last`; a negative `last` counts from the end.
    At {
        /// Index of the first key word.
        first: u16,
        /// Index of the last key word; -1 is the last word.
        last: i16,
        /// Distance between key words.
        step: u16,
    },
    /// One word says how many keys follow it.
    Counted {
        /// Index of that word.
        count: u16,
        /// Index of one more key word, such as a destination; 0 is none.
        also: u16,
    },
    /// A grammar of its own.
    Found {
        /// Index of the key word that is always there; 0 is none.
        first: u16,
        /// The indices of all key words, that one first; none if the words follow no such grammar, which `run` reports.
        find: fn(&Args<'_>) -> Vec<usize>,
    },
}

/// One key, the first argument.
pub const ONE_KEY: Keys = Keys::At { first: 1, last: 1, step: 1 };
/// Two keys, the first two arguments.
pub const TWO_KEYS: Keys = Keys::At { first: 1, last: 2, step: 1 };
/// Every argument is a key.
pub const ALL_KEYS: Keys = Keys::At { first: 1, last: -1, step: 1 };
/// Keys and values in turn.
pub const KEY_VALUES: Keys = Keys::At { first: 1, last: -1, step: 2 };

impl Keys {
    /// Whether there is no key.
    pub fn is_none(self) -> bool {
        matches!(self, Keys::None)
    }

    /// Whether the key words depend on others: Redis's `movablekeys`.
    pub fn are_movable(self) -> bool {
        matches!(self, Keys::Counted { .. } | Keys::Found { .. })
    }

    /// Indices of the key words of a call. None for a call whose count of keys is wrong, which `run` reports.
    #[inline]
    pub fn indices(self, args: &Args<'_>) -> KeyWords {
        let words = args.len();
        match self {
            Keys::None => KeyWords::Every { also: None, rest: (0..0).step_by(1) },
            Keys::At { first, last, step } => {
                let end = if last < 0 {
                    words.saturating_sub(last.unsigned_abs() as usize - 1)
                } else {
                    last as usize + 1
                };
                let rest = (usize::from(first)..end.min(words)).step_by(usize::from(step));
                KeyWords::Every { also: None, rest }
            }
            Keys::Counted { count, also } => {
                let first = usize::from(count) + 1;
                let keys = (first <= words).then(|| parse_i64(args.get(first - 1))).flatten();
                match keys.and_then(|keys| usize::try_from(keys).ok()) {
                    Some(keys) if 0 < keys && keys <= words - first => {
                        let also = (also > 0).then_some(usize::from(also));
                        KeyWords::Every { also, rest: (first..first + keys).step_by(1) }
                    }
                    _ => KeyWords::Every { also: None, rest: (0..0).step_by(1) },
                }
            }
            Keys::Found { find, .. } => KeyWords::Found(find(args).into_iter()),
        }
    }

    /// The index of the first key word of a call.
    #[inline]
    pub fn first(self, args: &Args<'_>) -> Option<usize> {
        match self {
            Keys::None => None,
            Keys::At { first, .. } => Some(usize::from(first)),
            _ => self.indices(args).next(),
        }
    }
}

/// The indices of a call's key words.
#[derive(Clone, Debug)]
pub enum KeyWords {
    /// Words at equal distances, behind one more if there is one.
    Every { also: Option<usize>, rest: StepBy<Range<usize>> },
    /// Words that a grammar found.
    Found(vec::IntoIter<usize>),
}

impl Iterator for KeyWords {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        match self {
            KeyWords::Every { also, rest } => also.take().or_else(|| rest.next()),
            KeyWords::Found(found) => found.next(),
        }
    }
}

/// How the shards take part in a command.
#[derive(Clone, Copy)]
pub enum Spread {
    /// Runs on the connection's shard: needs its session, or no data at all.
    Home,
    /// As `Home`; the client may have to wait for the disk, and has no reply until then, so nothing else of its may be under way.
    Disk,
    /// As `Home`, and the shard does what the verb says.
    Connection(Verb),
    /// Runs on the shard of its one key.
    Key,
    /// Every shard runs it on the keys it owns; the parts are merged.
    Keys(Merge),
    /// All keys are read, then a decision is made and carried out. Where all keys share a shard, it runs there.
    Gather(&'static Gather),
    /// As `Gather`; where it finds nothing, the client waits.
    Block(&'static Blocking),
    /// Every shard runs it; the parts are merged.
    Shards(Reach, Merge),
    /// Runs on the shard whose slots the cursor (word 1) has reached.
    Cursor,
}

/// What a command without keys looks at or changes on every shard: what it must be isolated from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Nothing that others would notice.
    Nothing,
    /// Configuration, pauses, counters: all shards run such commands in one order.
    Settings,
    /// All keys.
    Keyspace,
}

/// What a command does to the connection itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Queue what follows.
    Multi,
    /// Run what was queued.
    Exec,
    /// Forget what was queued.
    Discard,
    /// Make the next `EXEC` depend on keys; runs on the shards of the keys.
    Watch,
    /// Make it depend on none.
    Unwatch,
    /// Make it as if it were new.
    Reset,
    /// End it.
    Quit,
}

/// What a command may do. The names are those of `COMMAND INFO`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// Changes data.
    Write,
    /// Reads data only.
    ReadOnly,
    /// May need more memory, so it is refused when memory is short.
    DenyOom,
    /// Constant or logarithmic time.
    Fast,
    /// For operators.
    Admin,
    /// Dangerous in the wrong hands.
    Dangerous,
    /// For operators too, though its flags do not say so.
    Operator,
    /// Touches keys although its group is not one of keys.
    Keyspace,
    /// Allowed while the data set is being loaded.
    Loading,
    /// Allowed on a replica with stale data.
    Stale,
    /// Allowed before authentication.
    NoAuth,
    /// Not allowed in a script.
    NoScript,
    /// Not allowed while a replica loads data beside those it serves.
    NoAsyncLoading,
    /// Allowed while the server is busy with a script.
    AllowBusy,
    /// Not allowed in a transaction.
    NoMulti,
    /// Never in the slow log.
    SkipSlowlog,
    /// May make the client wait.
    Blocking,
}

impl Flag {
    /// The name clients see; `Dangerous`, `Operator` and `Keyspace` are ACL categories only.
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            Flag::Write => "write",
            Flag::ReadOnly => "readonly",
            Flag::DenyOom => "denyoom",
            Flag::Fast => "fast",
            Flag::Admin => "admin",
            Flag::Loading => "loading",
            Flag::Stale => "stale",
            Flag::NoAuth => "no_auth",
            Flag::NoScript => "noscript",
            Flag::NoAsyncLoading => "no_async_loading",
            Flag::AllowBusy => "allow_busy",
            Flag::NoMulti => "no_multi",
            Flag::SkipSlowlog => "skip_slowlog",
            Flag::Blocking => "blocking",
            Flag::Dangerous | Flag::Operator | Flag::Keyspace => return None,
        })
    }
}

/// Redis's groups of commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// About the connection.
    Connection,
    /// About keys of any type.
    Generic,
    /// About the server.
    Server,
    /// About strings.
    String,
    /// About several commands at once.
    Transactions,
    /// About strings as rows of bits.
    Bitmap,
    /// About HyperLogLogs.
    HyperLogLog,
    /// About lists.
    List,
    /// About hashes.
    Hash,
    /// About sets.
    Set,
    /// About sorted sets.
    SortedSet,
    /// About places on the earth, kept in sorted sets.
    Geo,
    /// About streams.
    Stream,
}

impl Group {
    /// The name clients see.
    pub fn name(self) -> &'static str {
        match self {
            Group::Connection => "connection",
            Group::Generic => "generic",
            Group::Server => "server",
            Group::String => "string",
            Group::Transactions => "transactions",
            Group::Bitmap => "bitmap",
            Group::HyperLogLog => "hyperloglog",
            Group::List => "list",
            Group::Hash => "hash",
            Group::Set => "set",
            Group::SortedSet => "sorted-set",
            Group::Geo => "geo",
            Group::Stream => "stream",
        }
    }
}

impl Command {
    /// Whether it has a flag.
    #[inline]
    pub fn has(&self, flag: Flag) -> bool {
        self.flags.contains(&flag)
    }

    /// Whether a call with `words` words has the right number of them.
    #[inline]
    pub fn accepts(&self, words: usize) -> bool {
        if self.arity >= 0 {
            words == self.arity as usize
        } else {
            words >= self.arity.unsigned_abs() as usize
        }
    }

    /// ACL categories, in the order in which `COMMAND INFO` shows them.
    pub fn categories(&self) -> Vec<&'static str> {
        let is_fast = self.has(Flag::Fast);
        let all = [
            (self.group == Group::Generic || self.has(Flag::Keyspace), "@keyspace"),
            (self.has(Flag::ReadOnly), "@read"),
            (self.has(Flag::Write), "@write"),
            (self.group == Group::Set, "@set"),
            (self.group == Group::SortedSet, "@sortedset"),
            (self.group == Group::List, "@list"),
            (self.group == Group::Hash, "@hash"),
            (self.group == Group::String, "@string"),
            (self.group == Group::Bitmap, "@bitmap"),
            (self.group == Group::HyperLogLog, "@hyperloglog"),
            (self.group == Group::Geo, "@geo"),
            (self.group == Group::Stream, "@stream"),
            (self.has(Flag::Admin) || self.has(Flag::Operator), "@admin"),
            (is_fast, "@fast"),
            (!is_fast, "@slow"),
            (self.has(Flag::Blocking), "@blocking"),
            (self.has(Flag::Dangerous), "@dangerous"),
            (self.group == Group::Connection, "@connection"),
            (self.group == Group::Transactions, "@transaction"),
        ];
        all.into_iter().filter_map(|(applies, category)| applies.then_some(category)).collect()
    }

    /// The container's name of a subcommand, and the subcommand's own.
    pub fn split_name(&self) -> Option<(&'static str, &'static str)> {
        self.name.split_once('|')
    }
}

/// Longest name of a row, subcommands included; a word longer than this is no command.
const NAME_BYTES_MAX: usize = 40;
const BUCKETS: usize = 1024;

/// All rows, with an index by name.
pub struct Table {
    rows: Vec<Command>,
    /// Open addressing over the names' hashes; `u16::MAX` is free.
    buckets: [u16; BUCKETS],
}

impl Default for Table {
    fn default() -> Table {
        Table::new()
    }
}

impl Table {
    /// The built-in commands.
    pub fn new() -> Table {
        let families = [
            string::ROWS,
            bitmap::ROWS,
            hyperloglog::ROWS,
            list::ROWS,
            hash::ROWS,
            set::ROWS,
            sorted_set::ROWS,
            geo::ROWS,
            stream::ROWS,
            blocking::ROWS,
            keys::ROWS,
            transactions::ROWS,
            connection::ROWS,
            server::ROWS,
        ];
        let mut rows: Vec<Command> = families.concat();
        #[cfg(test)]
        rows.push(crate::commands::testing::FOLLOW);
        assert!(rows.len() * 2 < BUCKETS, "the index stays half empty");
        let mut buckets = [u16::MAX; BUCKETS];
        for (i, row) in rows.iter().enumerate() {
            let mut at = bucket(row.name.as_bytes());
            while buckets[at] != u16::MAX {
                assert_ne!(rows[usize::from(buckets[at])].name, row.name, "two rows of one name");
                at = (at + 1) % BUCKETS;
            }
            buckets[at] = i as u16;
        }
        let containers: Vec<&str> =
            rows.iter().filter_map(Command::split_name).map(|(container, _)| container).collect();
        for row in &mut rows {
            row.is_container = containers.contains(&row.name);
        }
        Table { rows, buckets }
    }

    /// All rows.
    pub fn rows(&self) -> &[Command] {
        &self.rows
    }

    /// The row with an index that `resolve` gave.
    #[inline]
    pub fn row(&self, index: u16) -> &Command {
        &self.rows[usize::from(index)]
    }

    /// The index of the row named `name`, in any case.
    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<u16> {
        if name.len() > NAME_BYTES_MAX {
            return None;
        }
        let mut at = bucket(name);
        loop {
            let index = self.buckets[at];
            if index == u16::MAX {
                return None;
            }
            if self.rows[usize::from(index)].name.as_bytes().eq_ignore_ascii_case(name) {
                return Some(index);
            }
            at = (at + 1) % BUCKETS;
        }
    }

    /// The row that a call means, subcommand included, with its arity checked.
    #[inline]
    pub fn resolve(&self, args: &Args<'_>) -> Result<u16, CommandError> {
        let name = args.get(0);
        let index = self.find(name).filter(|_| !name.contains(&b'|')).ok_or_else(|| unknown(args))?;
        let row = self.row(index);
        let index =
            if row.is_container && args.len() > 1 { self.subcommand(row, args.get(1))? } else { index };
        self.check_arity(index, args)
    }

    #[inline]
    fn check_arity(&self, index: u16, args: &Args<'_>) -> Result<u16, CommandError> {
        let row = self.row(index);
        if row.accepts(args.len()) { Ok(index) } else { Err(CommandError::Arity(row.name.to_owned())) }
    }

    /// The row of a subcommand.
    fn subcommand(&self, container: &Command, word: &[u8]) -> Result<u16, CommandError> {
        let name = [container.name.as_bytes(), b"|", word].concat();
        self.find(&name).ok_or_else(|| CommandError::UnknownSubcommand {
            subcommand: printable(word, 128),
            container: container.name.to_ascii_uppercase(),
        })
    }

    /// The subcommands of a row.
    pub fn subcommands<'a>(&'a self, row: &Command) -> impl Iterator<Item = &'a Command> {
        let name = row.name;
        self.rows
            .iter()
            .filter(move |other| other.split_name().is_some_and(|(container, _)| container == name))
    }
}

/// Redis's text for a name that is no command: at most 128 bytes of it and of its arguments.
fn unknown(args: &Args<'_>) -> CommandError {
    let mut arguments = String::new();
    for word in args.iter_from(1) {
        if arguments.len() >= 128 {
            break;
        }
        arguments.push_str(&format!("'{}' ", printable(word, 128 - arguments.len())));
    }
    CommandError::Detailed(format!(
        "ERR unknown command '{}', with args beginning with: {arguments}",
        printable(args.get(0), 128)
    ))
}

fn printable(word: &[u8], bytes_max: usize) -> String {
    String::from_utf8_lossy(&word[..word.len().min(bytes_max)]).into_owned()
}

/// A name's home in the index: its length and first eight letters without case, multiplied and folded.
#[inline]
fn bucket(name: &[u8]) -> usize {
    let mut word = [0u8; 8];
    let head = name.len().min(8);
    word[..head].copy_from_slice(&name[..head]);
    let tail = name.last().copied().unwrap_or(0) | 0x20;
    let letters =
        (u64::from_le_bytes(word) | 0x2020_2020_2020_2020) ^ (u64::from(tail) << 32) ^ name.len() as u64;
    (letters.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 54) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::args::OwnedArgs;

    fn resolve(line: &str) -> Result<&'static str, String> {
        let table = Table::new();
        let args = OwnedArgs::new(line.split(' '));
        table.resolve(&args.args()).map(|index| table.row(index).name).map_err(|error| error.to_string())
    }

    #[test]
    fn resolves_names_in_any_case_and_checks_arity() {
        assert_eq!(resolve("GeT k"), Ok("get"));
        assert_eq!(resolve("GET"), Err("ERR wrong number of arguments for 'get' command".into()));
        assert_eq!(resolve("GET a b"), Err("ERR wrong number of arguments for 'get' command".into()));
        assert_eq!(
            resolve("NOPE a b"),
            Err("ERR unknown command 'NOPE', with args beginning with: 'a' 'b' ".into())
        );
        assert_eq!(
            resolve("client|id"),
            Err("ERR unknown command 'client|id', with args beginning with: ".into())
        );
        assert!(resolve(&"x".repeat(500)).is_err());
    }

    #[test]
    fn every_row_is_well_formed() {
        let table = Table::new();
        for row in table.rows() {
            assert_eq!(row.name, row.name.to_ascii_lowercase());
            assert!(row.name.len() <= NAME_BYTES_MAX);
            assert_ne!(row.arity, 0, "{}", row.name);
            assert!(row.summary.ends_with('.'), "{} needs a sentence", row.name);
            assert!(!(row.is_write && row.has(Flag::ReadOnly)), "{}", row.name);
            assert_eq!(
                table.find(row.name.to_ascii_uppercase().as_bytes()).map(|i| table.row(i).name),
                Some(row.name)
            );
            let has_keys = !row.keys.is_none();
            match row.spread {
                Spread::Key
                | Spread::Keys(_)
                | Spread::Gather(_)
                | Spread::Block(_)
                | Spread::Connection(Verb::Watch) => {
                    assert!(has_keys, "{} has no key to route by", row.name);
                }
                Spread::Home | Spread::Disk | Spread::Connection(_) | Spread::Shards(..) | Spread::Cursor => {
                    assert!(!has_keys, "{} ignores its keys", row.name);
                }
            }
            if let Some((container, _)) = row.split_name() {
                assert!(table.find(container.as_bytes()).is_some(), "{} has no container", row.name);
            }
        }
    }

    #[test]
    fn counts_key_words() {
        let indices = |keys: Keys, line: &str| -> Vec<usize> {
            let words = OwnedArgs::new(line.split(' '));
            assert_eq!(keys.first(&words.args()), keys.indices(&words.args()).next());
            keys.indices(&words.args()).collect()
        };
        assert_eq!(indices(ONE_KEY, "get k v"), [1]);
        assert_eq!(indices(ALL_KEYS, "del a b c"), [1, 2, 3]);
        assert_eq!(indices(KEY_VALUES, "mset a 1 b 2"), [1, 3]);
        assert_eq!(indices(Keys::None, "ping a b").len(), 0);
        let counted = Keys::Counted { count: 1, also: 0 };
        assert_eq!(indices(counted, "sintercard 2 a b LIMIT 1"), [2, 3]);
        for wrong in ["sintercard 0 a", "sintercard -1 a", "sintercard x a", "sintercard 2 a"] {
            assert_eq!(indices(counted, wrong), Vec::<usize>::new());
        }
        assert_eq!(indices(Keys::Counted { count: 2, also: 1 }, "zunionstore to 1 a WEIGHTS 1"), [1, 3]);
    }
}
