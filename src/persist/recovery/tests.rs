//! What a start makes of directories: after clean ends, after crashes, and after things that must never happen.

use std::io;

mod crashes;

use super::*;
use crate::persist::keeper::{Keeper, Log, Published, Saved};
use crate::persist::testing::{MemoryDisk, Writer};

const ALL: Options = Options { restore_aof: true, restore_snapshot: true, now_ms: 1000 };

/// A server that logs on so many shards.
struct Server {
    keeper: Keeper,
    writers: Vec<Writer>,
}

impl Server {
    /// Recovers and starts; fails as a start would.
    fn start(disk: &mut MemoryDisk, shards: u16) -> Server {
        let found = recover(disk, ALL).expect("it starts");
        Server::go_on(disk, found, shards)
    }

    fn go_on(disk: &mut MemoryDisk, found: Recovered, shards: u16) -> Server {
        let seed = disk.operations as u64;
        let started = Keeper::start(disk, found.manifest, shards, true, 1000, seed);
        let (keeper, segments) = started.expect("it starts");
        Server { keeper, writers: segments.into_iter().map(Writer::new).collect() }
    }

    fn write(&mut self, disk: &mut MemoryDisk, shard: usize, text: &str) {
        self.writers[shard].write(disk, text);
    }

    fn sync(&mut self, disk: &mut MemoryDisk) {
        self.writers.iter_mut().for_each(|writer| writer.sync(disk));
    }

    /// Saves an empty snapshot while the log goes on.
    fn save(&mut self, disk: &mut MemoryDisk) -> Published {
        let prepared = self.keeper.prepare_save(disk, Log::Continues, 2000).expect("it prepares");
        let end = crate::persist::keeper::ARCHIVES_AT;
        let mut first_seqs = Vec::new();
        for (writer, segment) in self.writers.iter_mut().zip(prepared.segments) {
            writer.end(disk);
            writer.switch(segment);
            first_seqs.push(writer.next_seq());
        }
        let saved = Saved { archives: &[], end, cut_ms: 2000, first_seqs: &first_seqs };
        self.keeper.publish(disk, saved).expect("it publishes")
    }
}

/// The payloads of each stream of each generation.
fn logged(found: &Recovered) -> Vec<Vec<String>> {
    let streams = found.generations.iter().flat_map(|generation| &generation.streams);
    streams
        .map(|segments| {
            let groups = segments.iter().flat_map(RecoveredSegment::groups);
            groups
                .map(|group| String::from_utf8(group.expect("whole").payload.into_owned()).expect("text"))
                .collect()
        })
        .collect()
}

fn found(disk: &mut MemoryDisk) -> Recovered {
    recover(disk, ALL).expect("it starts")
}

fn refused(disk: &mut MemoryDisk) -> String {
    let before = disk.operations;
    let message = recover(disk, ALL).err().expect("it refuses").to_string();
    assert_eq!(disk.operations, before, "a start that refuses changes nothing");
    message
}

#[track_caller]
fn assert_says(message: &str, words: &[&str]) {
    for word in words {
        assert!(message.contains(word), "{word:?} is not in: {message}");
    }
}

fn segment(generation: u64, shard: u16, number: u64) -> String {
    Name::Segment(SegmentName { generation, shard, number }).to_string()
}

#[test]
fn an_empty_directory_is_a_fresh_start() {
    let mut disk = MemoryDisk::default();
    let found = found(&mut disk);
    assert_eq!(found.manifest, Manifest::default());
    assert!(found.snapshot.is_none() && found.generations.is_empty() && found.report.is_empty());
    assert_eq!(disk.operations, 0);
}

#[test]
fn what_was_logged_comes_back_generation_after_generation() {
    let mut disk = MemoryDisk::default();
    let mut server = Server::start(&mut disk, 2);
    server.write(&mut disk, 0, "a");
    server.write(&mut disk, 1, "b");
    server.write(&mut disk, 0, "c");
    let mut server = Server::start(&mut disk, 1);
    server.write(&mut disk, 0, "d");
    server.writers[0].end(&mut disk);
    let found = found(&mut disk);
    assert_eq!(logged(&found), [vec!["a", "c"], vec!["b"], vec!["d"]]);
    assert_eq!(
        found.generations.iter().map(|one| (one.generation, one.shards)).collect::<Vec<_>>(),
        [(1, 2), (2, 1)]
    );
    assert_eq!(found.totals.groups, 4);
    assert_eq!(found.totals.segments, 3);
    assert!(found.report.is_empty(), "{:?}", found.report);
}

#[test]
fn starts_without_writes_leave_nothing_behind() {
    let mut disk = MemoryDisk::default();
    for shards in [2, 3, 1] {
        let mut server = Server::start(&mut disk, shards);
        server.writers[0].end(&mut disk);
    }
    let found = found(&mut disk);
    assert!(found.generations.is_empty() && found.manifest.segments.is_empty());
    assert_eq!(found.manifest.generation, 3);
    assert_eq!(disk.names_in(ROOT), ["MANIFEST"]);
}

#[test]
fn a_snapshot_takes_the_place_of_what_it_holds() {
    let mut disk = MemoryDisk::default();
    let mut server = Server::start(&mut disk, 2);
    server.write(&mut disk, 0, "before");
    let published = server.save(&mut disk);
    assert!(published.leftover.is_none());
    server.write(&mut disk, 0, "after");
    assert_eq!(disk.bytes("snapshot-0000000000000001.cvs").len() as u64, published.bytes);
    let found = found(&mut disk);
    assert_eq!(logged(&found), [vec!["after".to_owned()], vec![]]);
    let snapshot = found.snapshot.expect("a snapshot");
    assert_eq!((snapshot.header().id, snapshot.header().shards), (1, 2));
    let names = disk.names_in(ROOT);
    assert_eq!(names, ["MANIFEST", &segment(1, 0, 2), &segment(1, 1, 2), "snapshot-0000000000000001.cvs"]);
}

#[test]
fn a_torn_tail_is_cut_off_and_reported() {
    let mut disk = MemoryDisk::default();
    let mut server = Server::start(&mut disk, 1);
    server.write(&mut disk, 0, "kept");
    server.sync(&mut disk);
    server.write(&mut disk, 0, "torn");
    let name = server.writers[0].file_name();
    let whole = disk.bytes(&name).len();
    disk.bytes(&name)[whole - 8] ^= 1;
    let found = found(&mut disk);
    assert_eq!(logged(&found), [["kept"]]);
    assert_eq!(disk.bytes(&name).len(), whole - 32);
    assert_eq!(found.report.len(), 1);
    assert_says(&found.report[0], &["cut /data/aof-", "at byte 96: 32 bytes", "checksum"]);
    // It is finished now: the same again is no crash.
    Server::go_on(&mut disk, found, 1);
    disk.bytes(&name)[70] ^= 1;
    assert_says(
        &refused(&mut disk),
        &["/data/aof-", "damaged at byte 64", "finished", "check-aof", "--restore-aof no"],
    );
}

#[test]
fn reserved_space_is_given_back_without_a_word() {
    let mut disk = MemoryDisk::default();
    let mut server = Server::start(&mut disk, 1);
    server.write(&mut disk, 0, "kept");
    let name = server.writers[0].file_name();
    disk.bytes(&name).resize(4096, 0);
    let found = found(&mut disk);
    assert_eq!(disk.bytes(&name).len(), 96);
    assert!(found.report.is_empty(), "{:?}", found.report);
}

#[test]
fn a_bad_record_that_was_durable_refuses_the_start() {
    let mut disk = MemoryDisk::default();
    let mut server = Server::start(&mut disk, 1);
    for text in ["one", "two", "three"] {
        server.write(&mut disk, 0, text);
        server.sync(&mut disk);
    }
    let name = server.writers[0].file_name();
    disk.bytes(&name)[100] ^= 1;
    let message = refused(&mut disk);
    assert_says(
        &message,
        &[&name, "damaged at byte 96", "record 3 at byte 128 knows that record 2 was durable"],
    );
    assert_says(&message, &["--repair", "--restore-aof no"]);
}

#[test]
fn every_flipped_bit_of_a_durable_record_is_noticed_or_harmless() {
    let mut disk = MemoryDisk::default();
    let mut server = Server::start(&mut disk, 1);
    for text in ["one", "two", "three"] {
        server.write(&mut disk, 0, text);
        server.sync(&mut disk);
    }
    let name = server.writers[0].file_name();
    let last = disk.bytes(&name).len() - 32;
    for at in 0..last {
        let mut disk = disk.clone();
        disk.bytes(&name)[at] ^= 1 << (at % 8);
        match recover(&mut disk, ALL) {
            Ok(found) => assert_eq!(logged(&found), [["one", "two", "three"]], "byte {at}"),
            Err(error) => assert_says(&error.to_string(), &["aof-", "byte", "--restore-aof no"]),
        }
    }
}

#[test]
fn a_later_segment_may_know_what_was_durable() {
    let mut disk = MemoryDisk::default();
    let mut server = Server::start(&mut disk, 1);
    server.write(&mut disk, 0, "one");
    server.write(&mut disk, 0, "two");
    let first = server.writers[0].file_name();
    let prepared = server.keeper.prepare_save(&mut disk, Log::Continues, 0).expect("prepared");
    let mut segments = prepared.segments;
    let durable = disk.clone();
    // Nobody had synced the first segment when the second was written: what is lost there ends the stream.
    server.writers[0].switch(segments.remove(0));
    server.write(&mut disk, 0, "three");
    let cut = |disk: &mut MemoryDisk| disk.bytes(&first).truncate(96);
    let mut torn = disk.clone();
    cut(&mut torn);
    let result = found(&mut torn);
    assert_eq!(logged(&result), [["one"]]);
    assert_says(&result.report[0], &["at byte 96: 0 bytes, and 1 later segments", "goes on with record 3"]);
    assert_eq!(result.manifest.segments.len(), 1);
    // Once somebody had, it is damage.
    server.sync(&mut disk);
    server.write(&mut disk, 0, "four");
    assert_eq!(logged(&found(&mut disk.clone())), [["one", "two", "three", "four"]]);
    cut(&mut disk);
    assert_says(&refused(&mut disk), &[&first, "byte 96", "knows that record 2 was durable"]);
    // A segment that was listed and never used changes nothing.
    let mut unused = durable;
    assert_eq!(logged(&found(&mut unused)), [["one", "two"]]);
}

#[test]
fn transactions_come_back_whole_or_not_at_all() {
    let mut disk = MemoryDisk::default();
    let mut server = Server::start(&mut disk, 3);
    for shard in 0..2 {
        server.writers[shard].write_part(&mut disk, 1, &[0, 1], "first");
        server.write(&mut disk, shard, "between");
    }
    server.writers[0].write_part(&mut disk, 2, &[0, 2], "second");
    server.write(&mut disk, 0, "built on it");
    server.write(&mut disk, 2, "alone");
    let mut result = found(&mut disk);
    assert_eq!(logged(&result), [vec!["first", "between"], vec!["first", "between"], vec!["alone"]]);
    assert_says(
        &result.report[0],
        &[&segment(1, 0, 1), "2 changes: parts of transactions that other shards lack"],
    );
    // And again after the cut.
    let mut server = Server::go_on(&mut disk, result, 2);
    server.write(&mut disk, 1, "later");
    result = found(&mut disk);
    assert_eq!(
        logged(&result),
        [vec!["first", "between"], vec!["first", "between"], vec!["alone"], vec![], vec!["later"]]
    );
}

#[test]
fn a_transaction_cut_reaches_back_into_an_earlier_segment() {
    let mut disk = MemoryDisk::default();
    let mut server = Server::start(&mut disk, 2);
    server.write(&mut disk, 0, "kept");
    server.writers[0].write_part(&mut disk, 1, &[0, 1], "lost");
    let prepared = server.keeper.prepare_save(&mut disk, Log::Continues, 0).expect("prepared");
    for (writer, segment) in server.writers.iter_mut().zip(prepared.segments) {
        writer.end(&mut disk);
        writer.switch(segment);
    }
    server.write(&mut disk, 0, "lost too");
    server.write(&mut disk, 1, "of the other");
    let found = found(&mut disk);
    assert_eq!(logged(&found), [["kept"], ["of the other"]]);
    assert_says(&found.report[0], &["2 changes", "1 later segments"]);
    assert_eq!(disk.names_in(ROOT), ["MANIFEST", &segment(1, 0, 1), &segment(1, 1, 1), &segment(1, 1, 2)]);
    assert_eq!(logged(&recover(&mut disk, ALL).expect("again")), [["kept"], ["of the other"]]);
}

#[test]
fn a_missing_segment_refuses_the_start() {
    let mut disk = MemoryDisk::default();
    let mut server = Server::start(&mut disk, 2);
    server.write(&mut disk, 0, "a");
    server.write(&mut disk, 1, "b");
    disk.remove(&segment(1, 1, 1)).expect("removed");
    assert_says(&refused(&mut disk), &[&segment(1, 1, 1), "the file is missing", "Put back a copy"]);
}

#[test]
fn segments_of_others_refuse_the_start() {
    let mut disk = MemoryDisk::default();
    let mut server = Server::start(&mut disk, 2);
    server.write(&mut disk, 0, "a");
    server.write(&mut disk, 1, "b");
    let mut other = MemoryDisk::default();
    other.operations = 77;
    let mut server = Server::start(&mut other, 2);
    server.write(&mut other, 0, "x");
    let (first, second) = (segment(1, 0, 1), segment(1, 1, 1));
    let mut swapped = disk.clone();
    let bytes = swapped.bytes(&second).clone();
    *swapped.bytes(&first) = bytes;
    assert_says(&refused(&mut swapped), &[&first, "that of another segment: generation 1, shard 1 of 2"]);
    let bytes = other.bytes(&first).clone();
    *disk.bytes(&first) = bytes;
    assert_says(&refused(&mut disk), &[&first, "a segment of other data: seed"]);
}

#[test]
fn a_manifest_that_is_damaged_or_missing_refuses_the_start() {
    let mut disk = MemoryDisk::default();
    let mut server = Server::start(&mut disk, 2);
    server.write(&mut disk, 0, "a");
    let mut damaged = disk.clone();
    damaged.bytes(MANIFEST)[30] ^= 1;
    assert_says(
        &refused(&mut damaged),
        &["/data/MANIFEST is damaged: line", "CRC", "check-aof", "--restore-snapshot no"],
    );
    disk.remove(MANIFEST).expect("removed");
    disk.settle();
    assert_says(&refused(&mut disk), &[&segment(1, 0, 1), "no MANIFEST", "Put back a copy"]);
    // Both are set aside when nothing is wanted, and nothing is lost.
    for mut disk in [damaged, disk] {
        let nothing = Options { restore_aof: false, restore_snapshot: false, ..ALL };
        let found = recover(&mut disk, nothing).expect("it starts");
        assert!(found.generations.is_empty());
        assert_eq!(found.manifest.generation, 1);
        assert!(disk.names_in("set-aside-1000").contains(&segment(1, 0, 1)));
        assert_eq!(disk.names_in(ROOT), ["MANIFEST"]);
        Server::go_on(&mut disk, found, 2);
    }
}

#[test]
fn a_snapshot_that_is_missing_cut_off_or_foreign_refuses_the_start() {
    let mut disk = MemoryDisk::default();
    let mut server = Server::start(&mut disk, 2);
    server.save(&mut disk);
    let name = "snapshot-0000000000000001.cvs";
    let mut missing = disk.clone();
    missing.remove(name).expect("removed");
    assert_says(&refused(&mut missing), &[name, "is missing", "Put back a copy"]);
    let mut cut_off = disk.clone();
    cut_off.bytes(name).pop();
    assert_says(&refused(&mut cut_off), &[name, "cannot be restored: at byte", "--restore-snapshot no"]);
    let mut foreign = disk.clone();
    *foreign.bytes(name) = b"REDIS0010".to_vec();
    assert_says(&refused(&mut foreign), &[name, "no snapshot of Corevault"]);
    let mut later = disk.clone();
    server.save(&mut later);
    let mut mixed = later.clone();
    let bytes = disk.bytes(name).clone();
    *mixed.bytes("snapshot-0000000000000002.cvs") = bytes;
    assert_says(&refused(&mut mixed), &["does not belong to this MANIFEST", "snapshot 1"]);
}

#[test]
fn what_is_not_wanted_is_set_aside_and_can_be_put_back() {
    let mut disk = MemoryDisk::default();
    let mut server = Server::start(&mut disk, 1);
    server.save(&mut disk);
    server.write(&mut disk, 0, "after");
    let without_log = Options { restore_aof: false, ..ALL };
    let without_snapshot = Options { restore_snapshot: false, ..ALL };
    let error = recover(&mut disk, without_snapshot).err().expect("refused");
    assert_says(&error.to_string(), &["cannot be restored without it", "--restore-aof no"]);

    let mut aside = disk.clone();
    let found = recover(&mut aside, without_log).expect("it starts");
    assert!(found.snapshot.is_some() && found.generations.is_empty());
    assert_says(&found.report.join("\n"), &["set aside what is not to be restored", &segment(1, 0, 2)]);
    assert_eq!(aside.names_in(ROOT), ["MANIFEST", "snapshot-0000000000000001.cvs"]);
    assert_eq!(aside.names_in("set-aside-1000"), ["MANIFEST", &segment(1, 0, 2)]);
    // Next time it is the same without the flag.
    assert!(recover(&mut aside, ALL).expect("it starts").generations.is_empty());
    // Whoever wants the log after all moves both back.
    for name in ["MANIFEST", &segment(1, 0, 2)] {
        aside.rename(&format!("set-aside-1000/{name}"), name).expect("moved");
    }
    assert_eq!(logged(&recover(&mut aside, ALL).expect("it starts")), [["after"]]);

    let nothing = Options { restore_snapshot: false, ..without_log };
    let found = recover(&mut disk, nothing).expect("it starts");
    assert!(found.snapshot.is_none() && found.generations.is_empty());
    assert_eq!(disk.names_in(ROOT), ["MANIFEST"]);
    assert_eq!(disk.names_in("set-aside-1000").len(), 3);
}

#[test]
fn setting_aside_survives_a_crash_between_any_two_steps() {
    let mut disk = MemoryDisk::default();
    let mut server = Server::start(&mut disk, 2);
    server.save(&mut disk);
    server.write(&mut disk, 0, "after");
    disk.settle();
    let without_log = Options { restore_aof: false, ..ALL };
    let before = disk.operations;
    let mut whole = disk.clone();
    recover(&mut whole, without_log).expect("it starts");
    for at in before..whole.operations {
        for keeps_all in [false, true] {
            let mut disk = disk.clone();
            disk.fails = Some((at..usize::MAX, io::ErrorKind::Other));
            assert!(recover(&mut disk, without_log).is_err());
            disk.crash(keeps_all);
            let found = recover(&mut disk, ALL).expect("it starts");
            let log = segment(1, 0, 2);
            let is_restored = logged(&found) == [vec!["after".to_owned()], vec![]];
            let is_aside = disk.names_in("set-aside-1000").contains(&log) && found.generations.is_empty();
            assert!(is_restored != is_aside, "stopped before operation {at}, all kept: {keeps_all}");
        }
    }
}

#[test]
fn leftovers_are_removed_and_what_may_be_wanted_is_set_aside() {
    let mut disk = MemoryDisk::default();
    let mut server = Server::start(&mut disk, 1);
    server.save(&mut disk);
    server.save(&mut disk);
    for (name, bytes) in [
        ("MANIFEST.tmp", &b"half"[..]),
        ("snapshot-0000000000000003.cvs.tmp", b"half"),
        ("snapshot-0000000000000001.cvs", b"older"),
        ("snapshot-0000000000000009.cvs", b"somebody's"),
        (&segment(1, 0, 1), b"older"),
        (&segment(2, 0, 1), b""),
        (&segment(7, 0, 1), b"somebody's"),
        ("notes.txt", b"not ours"),
    ] {
        disk.put(name, bytes);
    }
    let found = found(&mut disk);
    assert_eq!(disk.names_in(ROOT), ["MANIFEST", "notes.txt", "snapshot-0000000000000002.cvs"]);
    assert_eq!(disk.names_in("set-aside-1000"), [&segment(7, 0, 1), "snapshot-0000000000000009.cvs"]);
    assert_eq!(found.report.len(), 2, "{:?}", found.report);
}

#[test]
fn a_recovery_survives_a_crash_between_any_two_steps() {
    let mut disk = MemoryDisk::default();
    let mut server = Server::start(&mut disk, 2);
    server.write(&mut disk, 0, "kept");
    server.writers[0].write_part(&mut disk, 1, &[0, 1], "lost");
    server.write(&mut disk, 1, "torn");
    let name = server.writers[1].file_name();
    disk.bytes(&name).pop();
    disk.settle();
    let before = disk.operations;
    let mut whole = disk.clone();
    let expected = logged(&found(&mut whole));
    assert_eq!(expected, [vec!["kept".to_owned()], vec![]]);
    for at in before..whole.operations {
        for keeps_all in [false, true] {
            let mut disk = disk.clone();
            disk.fails = Some((at..usize::MAX, io::ErrorKind::Other));
            assert!(recover(&mut disk, ALL).is_err());
            disk.crash(keeps_all);
            assert_eq!(
                logged(&found(&mut disk)),
                expected,
                "stopped before operation {at}, all kept: {keeps_all}"
            );
        }
    }
}
