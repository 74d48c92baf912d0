//! The parameters by name: one row each, which says how it is shown, what it may be set to, and how.
//! `CONFIG GET` and `CONFIG SET` know nothing but this table.

use crate::base::glob::glob_match_nocase;
use crate::base::limits::{BULK_BYTES_MAX, DATABASES, QUERY_BYTES_MAX};
use crate::base::number::parse_i64;
use crate::config::bytes::parse_bytes;
use crate::config::persistence::{parse_yes_or_no, yes_or_no};
use crate::config::{Config, output_limit, persistence};

/// The most that any buffer of a client may be allowed to hold, bytes: positions in buffers have 32 bits.
pub const BUFFER_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;

const _: () = assert!(
    BUFFER_BYTES_MAX + (BULK_BYTES_MAX as u64) < u32::MAX as u64,
    "one value past the limit still has positions"
);
const _: () = assert!(QUERY_BYTES_MAX as u64 <= BUFFER_BYTES_MAX);

const MB: u64 = 1024 * 1024;
const SECONDS_MAX: u64 = i32::MAX as u64;
const INT_MIN: i64 = i32::MIN as i64;
const INT_MAX: i64 = i32::MAX as i64;
const SIZE_MAX: u64 = i64::MAX as u64;

/// One parameter.
pub struct Parameter {
    /// As `CONFIG GET` shows it.
    pub name: &'static str,
    kind: Kind,
}

/// How a parameter is shown and set.
enum Kind {
    /// A plain number from `min` to `max`.
    Number { min: u64, max: u64, get: fn(&Config) -> u64, set: fn(&mut Config, u64) },
    /// A plain number from `min` to `max`, which may be negative.
    Signed { min: i64, max: i64, get: fn(&Config) -> i64, set: fn(&mut Config, i64) },
    /// An amount of memory from `min` to `max`, shown in bytes.
    Bytes { min: u64, max: u64, get: fn(&Config) -> u64, set: fn(&mut Config, u64) },
    /// Has a grammar of its own.
    Own { get: fn(&Config) -> String, set: fn(&mut Config, &[u8]) -> Result<(), Refusal> },
    /// Decided when the process started.
    Start(fn(&Config) -> String),
    /// Belongs to a feature of Redis that does not exist here yet: always the value that says so. Setting it to that value is
    /// fine, since scripts do so to be sure; another value is refused rather than ignored.
    Absent(&'static str),
}

/// Why a value was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not a number.
    #[error("argument couldn't be parsed into an integer")]
    NotInteger,
    /// Not an amount of memory.
    #[error("argument must be a memory value")]
    NotMemory,
    /// A number, but too small or too large.
    #[error("argument must be between {min} and {max} inclusive")]
    OutOfBounds { min: i64, max: i64 },
    /// Cannot be set while the server runs.
    #[error("can't set immutable config")]
    Immutable,
    /// Named twice in one call.
    #[error("duplicate parameter")]
    Duplicate,
    /// The feature does not exist yet; only this value is true.
    #[error("this feature is not supported yet, the value can only be '{0}'")]
    NotSupported(&'static str),
    /// What one parameter's grammar says.
    #[error("{0}")]
    Text(&'static str),
}

/// Why nothing was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetError<'a> {
    /// There is no such parameter.
    Unknown(&'a [u8]),
    /// The parameter does not take the value.
    Refused(&'a [u8], Refusal),
}

const fn number(
    name: &'static str,
    min: u64,
    max: u64,
    get: fn(&Config) -> u64,
    set: fn(&mut Config, u64),
) -> Parameter {
    Parameter { name, kind: Kind::Number { min, max, get, set } }
}

const fn signed(
    name: &'static str,
    min: i64,
    max: i64,
    get: fn(&Config) -> i64,
    set: fn(&mut Config, i64),
) -> Parameter {
    Parameter { name, kind: Kind::Signed { min, max, get, set } }
}

const fn bytes(
    name: &'static str,
    min: u64,
    max: u64,
    get: fn(&Config) -> u64,
    set: fn(&mut Config, u64),
) -> Parameter {
    Parameter { name, kind: Kind::Bytes { min, max, get, set } }
}

const fn own(
    name: &'static str,
    get: fn(&Config) -> String,
    set: fn(&mut Config, &[u8]) -> Result<(), Refusal>,
) -> Parameter {
    Parameter { name, kind: Kind::Own { get, set } }
}

const fn start(name: &'static str, get: fn(&Config) -> String) -> Parameter {
    Parameter { name, kind: Kind::Start(get) }
}

const fn absent(name: &'static str, value: &'static str) -> Parameter {
    Parameter { name, kind: Kind::Absent(value) }
}

/// All parameters, in the order in which `CONFIG GET` shows them.
#[rustfmt::skip]
pub const PARAMETERS: &[Parameter] = &[
    number("maxclients",                1,  u32::MAX as u64,        |c| c.clients_max as u64,     |c, v| c.clients_max = v as usize),
    number("timeout",                   0,  SECONDS_MAX,            |c| c.idle_seconds_max,       |c, v| c.idle_seconds_max = v),
    number("tcp-keepalive",             0,  SECONDS_MAX,            |c| c.keepalive_seconds,      |c, v| c.keepalive_seconds = v),
    bytes("proto-max-bulk-len",         MB, BULK_BYTES_MAX as u64,  |c| c.bulk_bytes_max as u64,  |c, v| c.bulk_bytes_max = v as usize),
    bytes("client-query-buffer-limit",  MB, BUFFER_BYTES_MAX,       |c| c.query_bytes_max as u64, |c, v| c.query_bytes_max = v as usize),
    own("client-output-buffer-limit", output_limit::get, output_limit::set),

    // Those of two names are one parameter: the second is that of Redis before 7.0.
    number("hash-max-listpack-entries", 0, SIZE_MAX, |c| c.encoding.hash_entries_max as u64, |c, v| c.encoding.hash_entries_max = v as usize),
    number("hash-max-ziplist-entries",  0, SIZE_MAX, |c| c.encoding.hash_entries_max as u64, |c, v| c.encoding.hash_entries_max = v as usize),
    bytes("hash-max-listpack-value",   0, SIZE_MAX, |c| c.encoding.hash_value_bytes_max as u64, |c, v| c.encoding.hash_value_bytes_max = v as usize),
    bytes("hash-max-ziplist-value",    0, SIZE_MAX, |c| c.encoding.hash_value_bytes_max as u64, |c, v| c.encoding.hash_value_bytes_max = v as usize),
    signed("list-max-listpack-size",    INT_MIN, INT_MAX, |c| c.encoding.list_node_size, |c, v| c.encoding.list_node_size = v),
    signed("list-max-ziplist-size",     INT_MIN, INT_MAX, |c| c.encoding.list_node_size, |c, v| c.encoding.list_node_size = v),
    number("list-compress-depth",       0, INT_MAX as u64, |c| c.list_compress_depth, |c, v| c.list_compress_depth = v),
    number("set-max-intset-entries",    0, SIZE_MAX, |c| c.encoding.set_integers_max as u64, |c, v| c.encoding.set_integers_max = v as usize),
    number("set-max-listpack-entries",  0, SIZE_MAX, |c| c.encoding.set_entries_max as u64, |c, v| c.encoding.set_entries_max = v as usize),
    bytes("set-max-listpack-value",    0, SIZE_MAX, |c| c.encoding.set_value_bytes_max as u64, |c, v| c.encoding.set_value_bytes_max = v as usize),
    number("zset-max-listpack-entries", 0, SIZE_MAX, |c| c.encoding.sorted_set_entries_max as u64, |c, v| c.encoding.sorted_set_entries_max = v as usize),
    number("zset-max-ziplist-entries",  0, SIZE_MAX, |c| c.encoding.sorted_set_entries_max as u64, |c, v| c.encoding.sorted_set_entries_max = v as usize),
    bytes("zset-max-listpack-value",   0, SIZE_MAX, |c| c.encoding.sorted_set_value_bytes_max as u64, |c, v| c.encoding.sorted_set_value_bytes_max = v as usize),
    bytes("zset-max-ziplist-value",    0, SIZE_MAX, |c| c.encoding.sorted_set_value_bytes_max as u64, |c, v| c.encoding.sorted_set_value_bytes_max = v as usize),
    bytes("stream-node-max-bytes",     0, SIZE_MAX, |c| c.encoding.stream_node_bytes_max as u64, |c, v| c.encoding.stream_node_bytes_max = v as usize),
    number("stream-node-max-entries",   0, SIZE_MAX, |c| c.encoding.stream_node_entries_max as u64, |c, v| c.encoding.stream_node_entries_max = v as usize),
    bytes("hll-sparse-max-bytes",      0, SIZE_MAX, |c| c.encoding.hll_sparse_bytes_max as u64, |c, v| c.encoding.hll_sparse_bytes_max = v as usize),

    own("appendonly",  persistence::get_append_only, persistence::set_append_only),
    own("appendfsync", persistence::get_fsync,       persistence::set_fsync),
    own("save",        persistence::get_save,        persistence::set_save),
    number("auto-aof-rewrite-percentage", 0, INT_MAX as u64, |c| c.rewrite_growth_percent, |c, v| c.rewrite_growth_percent = v),
    bytes("auto-aof-rewrite-min-size",   0, SIZE_MAX, |c| c.rewrite_bytes_min, |c, v| c.rewrite_bytes_min = v),
    own("stop-writes-on-bgsave-error", |c| yes_or_no(c.stops_writes_on_save_error), |c, v| parse_yes_or_no(v).map(|is| c.stops_writes_on_save_error = is)),

    start("bind",       |c| c.start.bind.clone()),
    start("port",       |c| c.start.port.to_string()),
    start("unixsocket", |c| c.start.unix_socket.clone()),
    start("io-threads", |c| c.start.threads.to_string()),
    start("loglevel",   |c| c.start.log_level.clone()),
    start("dir",        |c| c.start.directory.clone()),
    start("databases",  |_| DATABASES.to_string()),

    absent("tls-port",                "0"),
    absent("requirepass",             ""),
    absent("no-appendfsync-on-rewrite", "no"),
    absent("aof-load-truncated",      "yes"),
    absent("rdbcompression",          "no"),
    absent("rdbchecksum",             "yes"),
    absent("maxmemory",               "0"),
    absent("maxmemory-policy",        "noeviction"),
    absent("maxmemory-clients",       "0"),
    absent("notify-keyspace-events",  ""),
    absent("replicaof",               ""),
    absent("cluster-enabled",         "no"),
    absent("slowlog-log-slower-than", "-1"),
    absent("latency-tracking",        "no"),
    absent("activedefrag",            "no"),
];

impl Parameter {
    /// The value in force, as clients see it.
    pub fn get(&self, config: &Config) -> String {
        match &self.kind {
            Kind::Number { get, .. } | Kind::Bytes { get, .. } => get(config).to_string(),
            Kind::Signed { get, .. } => get(config).to_string(),
            Kind::Own { get, .. } | Kind::Start(get) => get(config),
            Kind::Absent(value) => (*value).to_owned(),
        }
    }

    /// Sets it to what `value` says.
    pub fn set(&self, config: &mut Config, value: &[u8]) -> Result<(), Refusal> {
        match &self.kind {
            Kind::Number { min, max, set, .. } => {
                let number = parse_i64(value).ok_or(Refusal::NotInteger)?;
                let number = u64::try_from(number).ok().filter(|number| (*min..=*max).contains(number));
                set(config, number.ok_or_else(|| out_of_bounds(*min, *max))?);
            }
            Kind::Signed { min, max, set, .. } => {
                let number = parse_i64(value).ok_or(Refusal::NotInteger)?;
                if !(*min..=*max).contains(&number) {
                    return Err(Refusal::OutOfBounds { min: *min, max: *max });
                }
                set(config, number);
            }
            Kind::Bytes { min, max, set, .. } => {
                let bytes = parse_bytes(value).ok_or(Refusal::NotMemory)?;
                if !(*min..=*max).contains(&bytes) {
                    return Err(out_of_bounds(*min, *max));
                }
                set(config, bytes);
            }
            Kind::Own { set, .. } => set(config, value)?,
            Kind::Start(_) => return Err(Refusal::Immutable),
            Kind::Absent(only) => {
                let is_same_amount = !value.is_empty() && parse_bytes(value) == Some(0) && *only == "0";
                if !is_same_amount && !value.eq_ignore_ascii_case(only.as_bytes()) {
                    return Err(Refusal::NotSupported(only));
                }
            }
        }
        Ok(())
    }
}

/// The refusal of a number outside of these bounds, which are never beyond what 64 bits hold with a sign.
pub(super) fn out_of_bounds(min: u64, max: u64) -> Refusal {
    Refusal::OutOfBounds { min: min as i64, max: max as i64 }
}

/// The parameters whose names match any of `patterns`, in any case, each once.
pub fn matching(patterns: &[&[u8]]) -> Vec<&'static Parameter> {
    let is_asked = |name: &str| patterns.iter().any(|pattern| glob_match_nocase(pattern, name.as_bytes()));
    PARAMETERS.iter().filter(|parameter| is_asked(parameter.name)).collect()
}

/// Sets every parameter of `pairs` (name, value), or none of them.
pub fn set_all<'a>(config: &mut Config, pairs: &[(&'a [u8], &'a [u8])]) -> Result<(), SetError<'a>> {
    let mut named: Vec<&Parameter> = Vec::new();
    for (name, _) in pairs {
        let is_named = |parameter: &&Parameter| parameter.name.as_bytes().eq_ignore_ascii_case(name);
        let parameter = PARAMETERS.iter().find(is_named).ok_or(SetError::Unknown(name))?;
        if let Kind::Start(_) = parameter.kind {
            return Err(SetError::Refused(name, Refusal::Immutable));
        }
        if named.iter().any(|earlier| earlier.name == parameter.name) {
            return Err(SetError::Refused(name, Refusal::Duplicate));
        }
        named.push(parameter);
    }
    let mut changed = config.clone();
    for (parameter, (_, value)) in named.iter().zip(pairs) {
        parameter
            .set(&mut changed, value)
            .map_err(|why| SetError::Refused(parameter.name.as_bytes(), why))?;
    }
    *config = changed;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, value: &str) -> Result<String, String> {
        let mut config = Config::default();
        match set_all(&mut config, &[(name.as_bytes(), value.as_bytes())]) {
            Ok(()) => Ok(matching(&[name.as_bytes()])[0].get(&config)),
            Err(SetError::Unknown(_)) => Err("unknown".into()),
            Err(SetError::Refused(_, why)) => Err(why.to_string()),
        }
    }

    #[test]
    fn every_settable_parameter_takes_back_what_it_shows() {
        let config = Config::default();
        for (i, parameter) in PARAMETERS.iter().enumerate() {
            assert!(
                PARAMETERS[..i].iter().all(|other| other.name != parameter.name),
                "two of {}",
                parameter.name
            );
            let mut changed = config.clone();
            match parameter.set(&mut changed, parameter.get(&config).as_bytes()) {
                Ok(()) => assert_eq!(changed, config, "{}", parameter.name),
                Err(why) => assert_eq!(why, Refusal::Immutable, "{}", parameter.name),
            }
        }
    }

    #[test]
    fn bounds_and_units_are_checked() {
        assert_eq!(set("timeout", "7"), Ok("7".into()));
        assert_eq!(set("timeout", "7s"), Err("argument couldn't be parsed into an integer".into()));
        assert_eq!(set("TIMEOUT", "-1"), Err("argument must be between 0 and 2147483647 inclusive".into()));
        assert_eq!(set("proto-max-bulk-len", "2mb"), Ok("2097152".into()));
        assert_eq!(
            set("proto-max-bulk-len", "5"),
            Err("argument must be between 1048576 and 536870912 inclusive".into())
        );
        assert_eq!(set("proto-max-bulk-len", "x"), Err("argument must be a memory value".into()));
        assert_eq!(set("databases", "16"), Err("can't set immutable config".into()));
        assert_eq!(set("nosuch", "1"), Err("unknown".into()));
    }

    #[test]
    fn old_names_are_the_same_parameter() {
        let mut config = Config::default();
        let get = |config: &Config, name: &str| matching(&[name.as_bytes()])[0].get(config);
        for (name, value, other) in [
            ("hash-max-ziplist-entries", "7", "hash-max-listpack-entries"),
            ("hash-max-listpack-value", "8", "hash-max-ziplist-value"),
            ("zset-max-ziplist-entries", "9", "zset-max-listpack-entries"),
            ("zset-max-ziplist-value", "10", "zset-max-listpack-value"),
            ("list-max-ziplist-size", "-5", "list-max-listpack-size"),
        ] {
            assert_eq!(set_all(&mut config, &[(name.as_bytes(), value.as_bytes())]), Ok(()));
            assert_eq!((get(&config, name), get(&config, other)), (value.into(), value.into()));
        }
        assert_eq!(matching(&[b"hash-max-*"]).len(), 4);
        assert_eq!(
            set("list-max-listpack-size", "-2147483649"),
            Err("argument must be between -2147483648 and 2147483647 inclusive".into())
        );
        assert_eq!(set("stream-node-max-bytes", "4kb"), Ok("4096".into()));
        assert_eq!(
            set("set-max-intset-entries", "-1"),
            Err("argument must be between 0 and 9223372036854775807 inclusive".into())
        );
    }

    #[test]
    fn what_does_not_exist_stays_off() {
        assert_eq!(set("activedefrag", "NO"), Ok("no".into()));
        assert_eq!(set("maxmemory", "0mb"), Ok("0".into()));
        let refused = "this feature is not supported yet, the value can only be 'no'";
        assert_eq!(set("activedefrag", "yes"), Err(refused.into()));
        assert!(set("maxmemory", "1gb").is_err());
    }

    #[test]
    fn output_limits_have_classes() {
        let set = |value| set("client-output-buffer-limit", value);
        assert_eq!(set("normal 10mb 2mb 5"), Ok("normal 10485760 2097152 5 slave 0 0 0 pubsub 0 0 0".into()));
        assert_eq!(
            set("normal 0 0 0 replica 0 0 0"),
            Ok("normal 2147483648 2147483648 4294967295 slave 0 0 0 pubsub 0 0 0".into())
        );
        let wrong_count = "Wrong number of arguments in buffer limit configuration.";
        assert_eq!(set("normal 1 2"), Err(wrong_count.into()));
        assert_eq!(set(""), Err(wrong_count.into()));
        assert_eq!(
            set("master 1 2 3"),
            Err("Invalid client class specified in buffer limit configuration.".into())
        );
        assert_eq!(
            set("normal 1mb 2 x"),
            Err("Error in hard, soft or soft_seconds setting in buffer limit configuration.".into())
        );
        assert!(set("pubsub 1mb 1mb 1").is_err());
        assert!(set("normal 3gb 1 1").is_err());
    }
}
