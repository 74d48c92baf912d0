//! Every way a command can refuse, and the one place where a refusal becomes the text clients know.
//! The texts are Redis 7.2's, byte for byte.

use crate::store::keyspace::{AddError, WrongType};

/// Why a command did nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The key holds another type.
    #[error("WRONGTYPE Operation against a key holding the wrong kind of value")]
    WrongType,
    /// An option is unknown, misplaced or contradicts another.
    #[error("ERR syntax error")]
    Syntax,
    /// An argument or a value is not a 64-bit number.
    #[error("ERR value is not an integer or out of range")]
    NotInteger,
    /// An argument is a 64-bit number, but one that needs 32 bits.
    #[error("ERR value is out of range, value must between -2147483648 and 2147483647")]
    NotInt32,
    /// A sum would not fit 64 bits.
    #[error("ERR increment or decrement would overflow")]
    Overflow,
    /// A string would pass the configured bound.
    #[error("ERR string exceeds maximum allowed size (proto-max-bulk-len)")]
    StringTooLong,
    /// An argument or a value is not a float.
    #[error("ERR value is not a valid float")]
    NotFloat,
    /// A key that must exist does not.
    #[error("ERR no such key")]
    NoSuchKey,
    /// A key would be copied or moved onto itself.
    #[error("ERR source and destination objects are the same")]
    SameObject,
    /// The number of arguments does not fit the command.
    #[error("ERR wrong number of arguments for '{0}' command")]
    Arity(String),
    /// A database index outside the configured ones.
    #[error("ERR DB index is out of range")]
    DbOutOfRange,
    /// An expiry that is not positive, or overflows.
    #[error("ERR invalid expire time in '{0}' command")]
    InvalidExpire(&'static str),
    /// A container command without such a subcommand; `container` is in capitals.
    #[error("ERR unknown subcommand '{subcommand}'. Try {container} HELP.")]
    UnknownSubcommand { subcommand: String, container: String },
    /// A subcommand with too many arguments, or one of them wrong; `container` is in capitals.
    #[error("ERR unknown subcommand or wrong number of arguments for '{subcommand}'. Try {container} HELP.")]
    SubcommandSyntax { subcommand: String, container: &'static str },
    /// The user is unknown, or the password is wrong.
    #[error("WRONGPASS invalid username-password pair or user is disabled.")]
    WrongPassword,
    /// Something would have to be written to disk, and nothing is kept there.
    #[error("ERR this server keeps nothing, it was started with --in-memory")]
    KeepsNothing,
    /// A write, while the last save has failed.
    #[error(
        "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may modify \
         the data set are disabled, because this instance is configured to report errors during writes if RDB snapshotting fails \
         (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error."
    )]
    SaveFails,
    /// A write, while the log cannot be written or made durable, for this reason.
    #[error("MISCONF Errors writing to the AOF file: {0}")]
    LogFails(String),
    /// A text of one command alone, its code included.
    #[error("{0}")]
    Text(&'static str),
    /// A text with details of the call, its code included.
    #[error("{0}")]
    Detailed(String),
}

impl From<WrongType> for CommandError {
    fn from(_: WrongType) -> CommandError {
        CommandError::WrongType
    }
}

impl From<AddError> for CommandError {
    fn from(error: AddError) -> CommandError {
        match error {
            AddError::WrongType => CommandError::WrongType,
            AddError::NotInteger => CommandError::NotInteger,
            AddError::Overflow => CommandError::Overflow,
        }
    }
}

/// A command has written its reply, or says why it did nothing.
pub type Outcome = Result<(), CommandError>;
