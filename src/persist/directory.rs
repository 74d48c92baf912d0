//! Owns the names of files in the data directory: what ours are called, and whose a name found there is. Never touches a file.

use std::fmt;

/// The file whose lock says that a process uses the directory; holds its process id.
pub const LOCK: &str = "LOCK";
/// The list of what belongs to the data.
pub const MANIFEST: &str = "MANIFEST";
/// The manifest that is about to replace the other.
pub const MANIFEST_TEMPORARY: &str = "MANIFEST.tmp";

/// Digits of a snapshot's id and of a generation in names, so that they sort by age.
const ID_DIGITS: usize = 16;
/// Digits of a segment's number in names.
const NUMBER_DIGITS: usize = 8;

/// A file of ours, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// The lock.
    Lock,
    /// The manifest.
    Manifest,
    /// The manifest's next version, not yet in force.
    ManifestTemporary,
    /// A snapshot.
    Snapshot {
        /// Its id.
        id: u64,
    },
    /// A snapshot that is being written.
    SnapshotTemporary {
        /// Its id.
        id: u64,
    },
    /// A segment of the append-only file.
    Segment(SegmentName),
}

/// What tells a segment from the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentName {
    /// The start of the process that wrote it.
    pub generation: u64,
    /// The shard that wrote it.
    pub shard: u16,
    /// Its place in the shard's stream, from 1.
    pub number: u64,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Lock => f.write_str(LOCK),
            Name::Manifest => f.write_str(MANIFEST),
            Name::ManifestTemporary => f.write_str(MANIFEST_TEMPORARY),
            Name::Snapshot { id } => write!(f, "snapshot-{id:0ID_DIGITS$}.cvs"),
            Name::SnapshotTemporary { id } => write!(f, "snapshot-{id:0ID_DIGITS$}.cvs.tmp"),
            Name::Segment(segment) => segment.fmt(f),
        }
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SegmentName { generation, shard, number } = self;
        write!(f, "aof-{generation:0ID_DIGITS$}-{shard}-{number:0NUMBER_DIGITS$}.cvl")
    }
}

impl Name {
    /// The file of ours that has this name; none for a name we would not have given.
    pub fn parse(name: &str) -> Option<Name> {
        let found = match name {
            LOCK => Name::Lock,
            MANIFEST => Name::Manifest,
            MANIFEST_TEMPORARY => Name::ManifestTemporary,
            _ => Name::parse_numbered(name)?,
        };
        // Other spellings of a number would let two files be the same one of ours.
        (found.to_string() == name).then_some(found)
    }

    fn parse_numbered(name: &str) -> Option<Name> {
        if let Some(rest) = name.strip_prefix("snapshot-") {
            return Some(match rest.strip_suffix(".tmp") {
                Some(rest) => Name::SnapshotTemporary { id: number(rest.strip_suffix(".cvs")?)? },
                None => Name::Snapshot { id: number(rest.strip_suffix(".cvs")?)? },
            });
        }
        let mut parts = name.strip_prefix("aof-")?.strip_suffix(".cvl")?.split('-');
        let generation = number(parts.next()?)?;
        let shard = u16::try_from(number(parts.next()?)?).ok()?;
        let segment = SegmentName { generation, shard, number: number(parts.next()?)? };
        parts.next().is_none().then_some(Name::Segment(segment))
    }
}

fn number(digits: &str) -> Option<u64> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// The directory that files go to which are not restored and not deleted either.
pub fn set_aside(now_ms: i64) -> String {
    format!("set-aside-{now_ms}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_the_file_is() {
        let segment = SegmentName { generation: 3, shard: 12, number: 7 };
        for (name, text) in [
            (Name::Lock, "LOCK"),
            (Name::Manifest, "MANIFEST"),
            (Name::ManifestTemporary, "MANIFEST.tmp"),
            (Name::Snapshot { id: 5 }, "snapshot-0000000000000005.cvs"),
            (Name::SnapshotTemporary { id: 5 }, "snapshot-0000000000000005.cvs.tmp"),
            (Name::Segment(segment), "aof-0000000000000003-12-00000007.cvl"),
            (Name::Snapshot { id: u64::MAX }, "snapshot-18446744073709551615.cvs"),
        ] {
            assert_eq!(name.to_string(), text);
            assert_eq!(Name::parse(text), Some(name));
        }
    }

    #[test]
    fn other_names_are_not_ours() {
        for text in [
            "",
            "lock",
            "dump.rdb",
            "set-aside-17",
            "snapshot-5.cvs",
            "snapshot-+000000000000005.cvs",
            "snapshot-0000000000000005.cvs.bak",
            "snapshot-.cvs",
            "aof-0000000000000003-12-00000007.cvl.bak",
            "aof-0000000000000003-99999-00000007.cvl",
            "aof-0000000000000003-012-00000007.cvl",
            "aof-0000000000000003-12-7.cvl",
            "aof-0000000000000003-12-00000007-1.cvl",
            "aof-0000000000000003-12.cvl",
        ] {
            assert_eq!(Name::parse(text), None, "{text}");
        }
    }
}
