//! What is kept on disk: the formats of the append-only file and of snapshots, what a running server does with them, and what a restart
//! makes of them. Never a thread, a ring or a clock; files only through `disk`. `docs/formats.md` has the layouts.
//!
//! | file | owns |
//! |---|---|
//! | `record` | one record of the append-only file: its bytes, and what is wrong with others |
//! | `segment` | one file of records: its header, how far it is valid, its groups |
//! | `whole` | which transactions over several shards are there as a whole |
//! | `log` | a shard's append-only file while the shard runs: what is to be written and synced, and how far it is durable |
//! | `ledger` | how far the logs of all shards may be relied on |
//! | `snapshot` | the layout of a snapshot |
//! | `control` | what shards and the keeper say to each other |
//! | `clerk` | what becomes of the shards' messages about saves |
//! | `keeper` | the steps that change which files belong to the data |
//! | `directory` | the names of files |
//! | `disk` | the way to the files, and what their failures say |
//! | `manifest` | the list of what belongs to the data |
//! | `survey` | what the listed files hold and what is wrong with them |
//! | `recovery` | what a start makes of them |
//! | `restore` | which archives and effects make up each shard's tables |
//! | `check` | `corevault check-aof`: report and repair |
//! | `rebuild` | a manifest made again from the files |

pub mod check;
pub mod clerk;
pub mod control;
pub mod directory;
pub mod disk;
pub mod keeper;
pub mod ledger;
pub mod log;
pub mod manifest;
pub mod rebuild;
pub mod record;
pub mod recovery;
pub mod restore;
pub mod segment;
pub mod snapshot;
pub mod survey;
#[cfg(test)]
mod testing;
pub mod whole;
