//! Snapshots put together and taken apart, the bytes that version 1 has, and files that are refused.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::base::slot::key_slot;
use crate::store::archive;
use crate::store::effect::{Effect, encode};
use crate::store::object::{Entry, string_payload};

const HEADER: SnapshotHeader = SnapshotHeader { id: 7, created_ms: 1_700_000_000_000, shards: 2 };
const LOGS: [LogAt; 2] =
    [LogAt { generation: 3, shard: 0, segment: 11 }, LogAt { generation: 3, shard: 1, segment: 9 }];

/// A snapshot being put together as shards do it, but one archive after the other.
struct Writer {
    bytes: Vec<u8>,
    archives: Vec<ArchiveAt>,
}

impl Writer {
    fn new() -> Writer {
        Writer { bytes: HEADER.encode().to_vec(), archives: Vec::new() }
    }

    fn add(&mut self, db: u16, slot: u16, archive: &mut archive::Archive) {
        let (keys, volatile) = (archive.keys(), archive.volatile());
        let bytes = archive.finish();
        let offset = self.bytes.len() as u64;
        let (length, crc) = (bytes.len() as u32, checksum(&bytes));
        self.archives.push(ArchiveAt { db, slot, offset, length, crc, keys, volatile });
        self.bytes.extend(&bytes);
        self.bytes.resize((offset + reserved_bytes(bytes.len())) as usize, 0);
    }

    /// An archive with these strings, all of one slot.
    fn add_strings(&mut self, db: u16, strings: &[(&str, &str, Option<i64>)]) {
        let mut archive = archive::Archive::new();
        for (key, value, expire_at_ms) in strings {
            let entry = Entry::new(0, key.as_bytes(), string_payload(value.as_bytes()), *expire_at_ms, 0);
            assert!(archive.push_entry(&entry));
        }
        self.add(db, slot_of(strings[0].0), &mut archive);
    }

    /// A run of effects that put these members into a set, in an archive of its own.
    fn add_members(&mut self, key: &str, members: &[&str], is_first: bool, is_last: bool) {
        let (mut effects, key) = (Vec::new(), key.as_bytes());
        for member in members {
            encode(0, &Effect::SetAdd { key, member: member.as_bytes() }, &mut effects);
        }
        let mut archive = archive::Archive::new();
        archive.push_effects(key, None, 0, is_first, is_last, &effects);
        self.add(0, key_slot(key).index() as u16, &mut archive);
    }

    fn finish(mut self) -> Vec<u8> {
        let at = self.bytes.len() as u64;
        self.bytes.extend(ending(&HEADER, &self.archives, &LOGS, at));
        self.bytes
    }
}

fn slot_of(key: &str) -> u16 {
    key_slot(key.as_bytes()).index() as u16
}

/// Two databases, a slot with three archives that do not stand together, keys that expire.
fn example() -> Vec<u8> {
    let mut writer = Writer::new();
    writer.add_strings(1, &[("{a}1", "one", None), ("{a}2", "2", Some(5)), ("{a}3", "three", Some(6))]);
    writer.add_members("big", &["m", "n"], true, false);
    writer.add_strings(0, &[("{a}1", "value", None)]);
    writer.add_members("big", &["o"], false, false);
    writer.add_strings(0, &[("{b}1", "", Some(-1))]);
    writer.add_members("big", &[], false, true);
    writer.finish()
}

fn open(bytes: Vec<u8>) -> Result<Snapshot, BadSnapshot> {
    Snapshot::open(bytes)
}

#[test]
fn what_was_saved_is_found_by_slot() {
    let snapshot = open(example()).expect("a snapshot");
    assert_eq!(*snapshot.header(), HEADER);
    assert_eq!(snapshot.logs(), LOGS);
    assert_eq!((snapshot.keys(), snapshot.volatile()), (6, 3));
    let tables: Vec<TableAt> = snapshot.tables().collect();
    let of = |db, key: &str| tables.iter().find(|table| (table.db, table.slot) == (db, slot_of(key)));
    assert_eq!(tables.len(), 4);
    for table in &tables {
        assert_eq!(snapshot.archives_of(table.db, table.slot), table.archives);
    }
    let big = of(0, "big").expect("a table");
    assert_eq!((big.archives.len(), big.keys, big.volatile), (3, 1, 0));
    let parts = &snapshot.archives()[big.archives.clone()];
    assert!(parts.is_sorted_by_key(|part| part.offset), "parts stay in the order in which they were added");
    let other = of(1, "{a}1").expect("a table");
    assert_eq!((other.archives.len(), other.keys, other.volatile), (1, 3, 2));
    assert_eq!(snapshot.archives_of(2, slot_of("big")).len(), 0);
    let archive = &snapshot.archives()[other.archives.start];
    let bytes = snapshot.bytes_of(archive).expect("an archive");
    assert_eq!(archive::read(bytes).expect("three entries").len(), 3);
}

#[test]
fn a_snapshot_of_nothing_can_be_opened() {
    let snapshot = open(Writer::new().finish()).expect("a snapshot");
    assert_eq!((snapshot.tables().count(), snapshot.keys()), (0, 0));
    assert!(check_snapshot(&snapshot).is_whole());
}

/// The bytes of version 1. A change here is a new version.
#[test]
fn the_bytes_of_version_1_stay() {
    let mut hex: String = String::new();
    for (n, byte) in example().iter().enumerate() {
        hex += &format!("{byte:02x}{}", if n % 32 == 31 { "\n" } else { "" });
    }
    assert_eq!(hex.trim(), include_str!("version_1.hex").trim());
}

#[track_caller]
fn check_refused(bytes: Vec<u8>, expected: &str) {
    let found = open(bytes).err().expect("it is refused").to_string();
    assert!(found.contains(expected), "{found}");
}

/// The same bytes with another one at `at`, counted from the end if negative.
fn with_byte(bytes: &[u8], at: i64, byte: u8) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let at = if at < 0 { bytes.len() as i64 + at } else { at };
    assert_ne!(bytes[at as usize], byte);
    bytes[at as usize] = byte;
    bytes
}

#[test]
fn other_files_are_told_from_damaged_ones() {
    let whole = example();
    let length = whole.len();
    check_refused(b"REDIS0010 and so on".to_vec(), "at byte 0: no snapshot of Corevault: \"REDIS001\"");
    check_refused(vec![], "at byte 0: the file ends here");
    check_refused(whole[..40].to_vec(), "at byte 40: the file ends here");
    check_refused(whole[..64].to_vec(), "at byte 64: the file ends here");
    check_refused(whole[..length - 1].to_vec(), &format!("at byte {}: the file ends here", length - 1));
    check_refused([&whole[..], &[0; 16]].concat(), "the file ends here");
    check_refused(with_byte(&whole, 16, 1), "at byte 0: the header has another checksum");
    let trailer_at = length - SNAPSHOT_TRAILER_BYTES;
    check_refused(
        with_byte(&whole, -30, 1),
        &format!("at byte {trailer_at}: the trailer has another checksum"),
    );
    check_refused(with_byte(&whole, -70, 1), "the directory has another checksum");
    let other = SnapshotHeader { id: 8, ..HEADER }.encode();
    check_refused([&other[..], &whole[64..]].concat(), "the trailer is that of another snapshot");
    let none = SnapshotHeader { shards: 0, ..HEADER }.encode();
    check_refused([&none[..], &whole[64..]].concat(), "a number of shards that cannot be");
    let mut later = HEADER.encode();
    later[8] = 2;
    let crc = checksum(&later[..CHECKED_BYTES]);
    later[CHECKED_BYTES..].copy_from_slice(&crc.to_le_bytes());
    check_refused([&later[..], &whole[64..]].concat(), "at byte 8: a snapshot in format 2, and this version");
    // A trailer further down says another place for the directory than the one in front of it.
    let (before, trailer) = whole.split_at(trailer_at);
    check_refused([before, &[0; 16], trailer].concat(), "where it cannot be");
}

#[test]
fn a_directory_that_says_what_cannot_be_is_refused() {
    let whole = ArchiveAt { db: 0, slot: 5, offset: 64, length: 10, crc: 0, keys: 1, volatile: 0 };
    let ended = |archive: ArchiveAt| {
        let mut bytes = [&HEADER.encode()[..], &[0; 32]].concat();
        bytes.extend(ending(&HEADER, &[archive], &[], 96));
        bytes
    };
    assert!(open(ended(whole)).is_ok());
    for (archive, why) in [
        (ArchiveAt { offset: 48, ..whole }, "a place for an archive"),
        (ArchiveAt { offset: 72, ..whole }, "a place for an archive"),
        (ArchiveAt { length: 33, ..whole }, "a place for an archive"),
        (ArchiveAt { offset: u64::MAX - 15, length: u32::MAX, ..whole }, "a place for an archive"),
        (ArchiveAt { db: 16, ..whole }, "a database or a slot that does not exist"),
        (ArchiveAt { slot: 16384, ..whole }, "a database or a slot that does not exist"),
        (ArchiveAt { volatile: 2, ..whole }, "more keys expire than there are"),
    ] {
        check_refused(ended(archive), why);
    }
}

#[test]
fn an_archive_that_has_changed_says_where_and_what_to_do() {
    let bytes = example();
    let archive = open(bytes.clone()).expect("a snapshot").archives()[0];
    let snapshot = open(with_byte(&bytes, archive.offset as i64 + 3, b'X')).expect("it can be opened");
    let error = snapshot.bytes_of(&archive).expect_err("its bytes have changed").to_string();
    assert!(error.contains(&format!(
        "at byte {}: the archive of slot {} of database 0",
        archive.offset, archive.slot
    )));
    assert!(error.contains("--restore-snapshot no"), "{error}");
    assert!(snapshot.bytes_of(&snapshot.archives()[1]).is_ok());
}

#[test]
fn a_check_counts_what_is_there() {
    let report = check_snapshot(&open(example()).expect("a snapshot"));
    assert!(report.is_whole(), "{report}");
    assert_eq!((report.tables, report.archives, report.volatile, report.logs), (4, 6, 3, 2));
    assert_eq!(report.keys, [(0, 3), (1, 3)].into());
    assert_eq!(report.kinds, [("set", 1), ("string", 5)].into());
    let text = report.to_string();
    assert!(
        text.contains("6 keys in 4 tables, 3 of them expire\n  database 0: 3\n  database 1: 3\n"),
        "{text}"
    );
    assert!(text.ends_with("an append-only file of 2 streams goes on from it\nwhole"), "{text}");
}

#[test]
fn a_check_reads_the_file_itself() {
    let path = std::env::temp_dir().join(format!("corevault-check-{}.cvs", std::process::id()));
    let missing = check(&path).expect_err("there is no file yet").to_string();
    assert!(missing.starts_with("cannot be read: "), "{missing}");
    std::fs::write(&path, example()).expect("room for it");
    assert!(check(&path).expect("a snapshot").is_whole());
    std::fs::write(&path, &example()[..100]).expect("room for it");
    let cut_off = check(&path).expect_err("it was cut off").to_string();
    assert!(cut_off.starts_with("at byte 100: the file ends here"), "{cut_off}");
    std::fs::remove_file(&path).expect("it is there");
}

#[track_caller]
fn check_odd(writer: Writer, expected: &str) {
    let report = check_snapshot(&open(writer.finish()).expect("it can be opened"));
    let damage = report.damage.join("\n");
    assert!(damage.contains(expected), "{damage}");
    assert!(report.to_string().contains("DAMAGED"));
}

#[test]
fn a_check_finds_what_is_odd() {
    let writer = Writer::new;
    let mut twice = writer();
    twice.add_strings(0, &[("{a}1", "one", None), ("{a}1", "two", None)]);
    check_odd(twice, "a key for the second time (key \"{a}1\")");
    let mut strange = writer();
    strange.add_strings(0, &[("{a}1", "one", None), ("{b}1", "two", None)]);
    check_odd(strange, "a key of another slot (key \"{b}1\")");
    let mut endless = writer();
    endless.add_members("big", &["m"], true, false);
    check_odd(endless, "the end of 1 large values is missing");
    let mut headless = writer();
    headless.add_members("big", &["m"], false, true);
    check_odd(headless, "whose beginning is missing");
    let mut empty = writer();
    empty.add_members("big", &[], true, true);
    check_odd(empty, "a value that nothing builds");
    let mut miscounted = writer();
    miscounted.add_strings(0, &[("{a}1", "one", Some(1))]);
    miscounted.archives[0].keys = 2;
    check_odd(miscounted, "1 keys of which 1 expire, and the directory says 2 and 1");
    let mut changed = writer();
    changed.add_strings(0, &[("{a}1", "one", None)]);
    changed.bytes[70] ^= 1;
    check_odd(changed, "at byte 64: the archive of slot");
    let mut doubled = writer();
    doubled.add_strings(0, &[("{a}1", "one", None)]);
    doubled.archives.push(ArchiveAt { db: 1, ..doubled.archives[0] });
    check_odd(doubled, "at byte 64: an archive begins here inside the one at byte 64");
    let mut garbled = writer();
    garbled.bytes.extend([0xFF; 64]);
    let crc = checksum(&[0xFF; 64]);
    garbled.archives.push(ArchiveAt { db: 0, slot: 1, offset: 64, length: 64, crc, keys: 0, volatile: 0 });
    check_odd(garbled, "says what cannot be: at byte 0 of the archive: the bytes are no archive");
}

proptest! {
    /// Whatever happens to the bytes: opening says so, or the check does, or all keys are there.
    #[test]
    fn no_damage_goes_unnoticed(
        changes in vec((any::<prop::sample::Index>(), 1..=255u8), 1..4),
        kept in any::<prop::sample::Index>(),
        cuts in prop::bool::weighted(0.2),
    ) {
        let whole = example();
        let mut bytes = whole.clone();
        for (at, change) in changes {
            *at.get_mut(&mut bytes) ^= change;
        }
        if cuts {
            bytes.truncate(kept.index(bytes.len()));
        }
        // Zeros between archives belong to nobody.
        let gaps = gaps(&whole);
        let is_same = bytes.len() == whole.len()
            && (0..whole.len()).all(|at| bytes[at] == whole[at] || gaps.contains(&at));
        let is_found = match open(bytes) {
            Ok(snapshot) => !check_snapshot(&snapshot).is_whole(),
            Err(_) => true,
        };
        prop_assert_eq!(is_found, !is_same);
    }

    #[test]
    fn any_bytes_are_refused_or_opened(bytes in vec(any::<u8>(), 0..300), header: bool) {
        let bytes = if header { [&HEADER.encode()[..], &bytes].concat() } else { bytes };
        prop_assert!(open(bytes).is_err());
    }
}

/// Where no archive is, nor header, directory or trailer.
fn gaps(bytes: &[u8]) -> Vec<usize> {
    let snapshot = open(bytes.to_vec()).expect("a snapshot");
    let trailer: &[u8; 64] = bytes.last_chunk().expect("a trailer");
    let at = u64::from_le_bytes(field(trailer, 8)) as usize;
    let directory = at..at + u64::from_le_bytes(field(trailer, 16)) as usize;
    let is_used = |at: &usize| {
        *at < 64
            || *at >= bytes.len() - 64
            || directory.contains(at)
            || snapshot.archives().iter().any(|archive| range_of(archive).contains(at))
    };
    (0..bytes.len()).filter(|at| !is_used(at)).collect()
}
