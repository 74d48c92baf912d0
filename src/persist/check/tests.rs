//! `check-aof`: what it says of whole, torn and damaged files, and that a start takes what it has repaired.

use super::*;
use crate::persist::directory::SegmentName;
use crate::persist::keeper::{ARCHIVES_AT, Keeper, Log, Saved};
use crate::persist::recovery::{Options, Recovered, RecoveredSegment, recover};
use crate::persist::testing::{MemoryDisk, Writer};

const ALL: Options = Options { restore_aof: true, restore_snapshot: true, now_ms: 5 };

fn start(disk: &mut MemoryDisk, shards: u16) -> (Keeper, Vec<Writer>) {
    let found = recover(disk, ALL).unwrap_or_else(|error| panic!("{error}"));
    let (keeper, segments) = Keeper::start(disk, found.manifest, shards, true, 5, 5).expect("it starts");
    (keeper, segments.into_iter().map(Writer::new).collect())
}

/// What a start restores, one text for each stream.
fn restored(disk: &mut MemoryDisk) -> Vec<String> {
    let found: Recovered = recover(disk, ALL).unwrap_or_else(|error| panic!("{error}"));
    let streams = found.generations.iter().flat_map(|generation| &generation.streams);
    streams
        .map(|segments| {
            let groups = segments.iter().flat_map(RecoveredSegment::groups);
            let text = |payload: &[u8]| String::from_utf8_lossy(payload).into_owned();
            groups.map(|group| text(&group.expect("whole").payload)).collect::<Vec<_>>().join(" ")
        })
        .collect()
}

fn segment(generation: u64, shard: u16, number: u64) -> String {
    Name::Segment(SegmentName { generation, shard, number }).to_string()
}

#[track_caller]
fn assert_says(outcome: &Outcome, is_damaged: bool, words: &[&str]) {
    let text = outcome.lines.join("\n");
    assert_eq!(outcome.is_damaged, is_damaged, "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in:\n{text}");
    }
}

/// Two shards; the first has three durable records, the second two of which one is a transaction with the first's last.
fn example() -> MemoryDisk {
    let mut disk = MemoryDisk::default();
    let (_, mut writers) = start(&mut disk, 2);
    for text in ["one", "two"] {
        writers[0].write(&mut disk, text);
        writers[0].sync(&mut disk);
    }
    writers[1].write(&mut disk, "other");
    for writer in &mut writers {
        writer.write_part(&mut disk, 1, &[0, 1], "both");
        writer.sync(&mut disk);
    }
    disk
}

#[test]
fn a_whole_directory_is_listed() {
    let mut disk = example();
    let before = disk.operations;
    let outcome = check_directory(&mut disk, None).expect("checked");
    assert_says(&outcome, false, &["MANIFEST: whole: generation 1, 2 segments"]);
    assert_says(&outcome, false, &[&format!("{}: whole: 3 groups", segment(1, 0, 1)), "up to record 3"]);
    assert_eq!(outcome.lines.len(), 3);
    let one = check_directory(&mut disk, Some(&segment(1, 1, 1))).expect("checked");
    assert_eq!(one.lines.len(), 1);
    assert_eq!(disk.operations, before, "a check changes nothing");
}

#[test]
fn a_torn_file_is_no_damage() {
    let mut disk = example();
    let name = segment(1, 0, 1);
    disk.bytes(&name).pop();
    let outcome = check_directory(&mut disk, None).expect("checked");
    assert_says(&outcome, false, &["torn at byte 128", "a start cuts it there and keeps 2 groups"]);
    assert_says(&outcome, false, &[&segment(1, 1, 1), "a part of a transaction that other shards lack"]);
}

#[test]
fn a_repair_cuts_the_damage_and_what_builds_on_it() {
    let mut disk = example();
    let (_, mut writers) = start(&mut disk, 1);
    writers[0].write(&mut disk, "later");
    disk.settle();
    let (name, other, later) = (segment(1, 0, 1), segment(1, 1, 1), segment(2, 0, 1));
    disk.bytes(&name)[100] ^= 1;
    let damaged = disk.bytes(&name).clone();
    let checked = check_directory(&mut disk, None).expect("checked");
    assert_says(&checked, true, &[&format!("{name}: DAMAGED at byte 96"), "--repair"]);
    let not_that_one = repair_directory(&mut disk, Some(&other), 7).expect("checked");
    assert_says(&not_that_one, false, &[&other]);
    assert!(recover(&mut disk.clone(), ALL).is_err());

    let mut named = disk.clone();
    for (mut disk, only) in [(disk, None), (named.clone(), Some(name.as_str()))] {
        let outcome = repair_directory(&mut disk, only, 7).expect("repaired");
        assert_says(
            &outcome,
            false,
            &["cut at byte 96, behind record 1", &format!("{name}.bak"), "generation 2: set aside"],
        );
        assert_eq!(*disk.bytes(&format!("{name}.bak")), damaged);
        assert!(disk.names_in("set-aside-7").contains(&later));
        assert_eq!(restored(&mut disk), ["one", "other"]);
    }
    // A copy from an earlier repair stays.
    named.put(&format!("{name}.bak"), b"precious");
    repair_directory(&mut named, None, 7).expect("repaired");
    assert_eq!(named.bytes(&format!("{name}.bak")), b"precious");
    assert_eq!(*named.bytes(&format!("{name}.bak-7")), damaged);
}

#[test]
fn a_missing_segment_can_be_given_up() {
    let mut disk = example();
    disk.remove(&segment(1, 0, 1)).expect("removed");
    assert_says(&check_directory(&mut disk, None).expect("checked"), true, &["the file is missing"]);
    assert_says(&repair_directory(&mut disk, None, 7).expect("repaired"), false, &["made an empty file"]);
    assert_eq!(restored(&mut disk), ["", "other"]);
}

#[test]
fn a_foreign_segment_is_beyond_repair() {
    let mut disk = example();
    let bytes = disk.bytes(&segment(1, 1, 1)).clone();
    *disk.bytes(&segment(1, 0, 1)) = bytes;
    let before = disk.operations;
    let error = repair_directory(&mut disk, None, 7).expect_err("refused").to_string();
    assert!(error.contains("another segment") && error.contains("Put the right file there"), "{error}");
    assert_eq!(disk.operations, before);
}

#[test]
fn a_repair_survives_a_crash_between_any_two_steps() {
    let mut disk = example();
    let (_, mut writers) = start(&mut disk, 1);
    writers[0].write(&mut disk, "later");
    disk.bytes(&segment(1, 0, 1))[100] ^= 1;
    disk.settle();
    disk.moments = Some(Vec::new());
    repair_directory(&mut disk, None, 7).expect("repaired");
    for (at, moment) in disk.moments.take().expect("remembered").into_iter().enumerate() {
        for keeps_all in [false, true] {
            let mut disk = moment.clone();
            disk.crash(keeps_all);
            repair_directory(&mut disk, None, 8).unwrap_or_else(|error| panic!("{at}: {error}"));
            assert_eq!(
                restored(&mut disk),
                ["one", "other"],
                "stopped before operation {at}, all kept: {keeps_all}"
            );
        }
    }
}

#[test]
fn a_manifest_is_made_again() {
    let mut disk = example();
    let (mut keeper, mut writers) = start(&mut disk, 2);
    writers[0].write(&mut disk, "saved");
    let prepared = keeper.prepare_save(&mut disk, Log::Continues, 6).expect("prepared");
    let old = disk.clone();
    let mut first_seqs = Vec::new();
    for (writer, segment) in writers.iter_mut().zip(prepared.segments) {
        writer.end(&mut disk);
        writer.switch(segment);
        first_seqs.push(writer.next_seq());
    }
    let saved = Saved { archives: &[], end: ARCHIVES_AT, cut_ms: 6, first_seqs: &first_seqs };
    keeper.publish(&mut disk, saved).expect("published");
    writers[1].write(&mut disk, "after");
    let (_, mut writers) = start(&mut disk, 1);
    writers[0].write(&mut disk, "later");
    disk.settle();
    // A file that a crash has left.
    let mut left = old;
    let bytes = left.bytes(&segment(1, 0, 1)).clone();
    disk.put(&segment(1, 0, 1), &bytes);
    for damage in [None, Some(20)] {
        let mut disk = disk.clone();
        match damage {
            Some(at) => disk.bytes(MANIFEST)[at] ^= 1,
            None => disk.remove(MANIFEST).expect("removed"),
        }
        assert_says(
            &check_directory(&mut disk, None).expect("checked"),
            true,
            &["MANIFEST", "--repair makes it again"],
        );
        let outcome = repair_directory(&mut disk, None, 7).expect("repaired");
        assert_says(&outcome, false, &["made again", "snapshot 1, 3 segments"]);
        assert_eq!(restored(&mut disk), ["", "after", "later"]);
    }
    // Without the snapshot nobody knows what the log goes on from.
    disk.remove("snapshot-0000000000000001.cvs").expect("removed");
    disk.remove(MANIFEST).expect("removed");
    let error = repair_directory(&mut disk, None, 7).expect_err("refused").to_string();
    assert!(error.contains("is missing") && error.contains("Put back a copy"), "{error}");
}

#[test]
fn a_segment_alone_is_checked_by_what_it_says_itself() {
    let mut disk = example();
    let bytes = disk.bytes(&segment(1, 0, 1)).clone();
    disk.put("copy", &bytes);
    assert_says(
        &check_alone(&mut disk, "copy", true, 7).expect("checked"),
        false,
        &["copy: whole: 3 groups"],
    );
    disk.bytes("copy")[100] ^= 1;
    let found = check_alone(&mut disk, "copy", false, 7).expect("checked");
    assert_says(&found, true, &["copy: DAMAGED at byte 96", "record 3 at byte 128"]);
    let repaired = check_alone(&mut disk, "copy", true, 7).expect("checked");
    assert_says(&repaired, false, &["copy.bak"]);
    assert_says(
        &check_alone(&mut disk, "copy", false, 7).expect("checked"),
        false,
        &["whole: 1 groups, 96 bytes"],
    );
    disk.put("other", b"something else");
    assert_says(
        &check_alone(&mut disk, "other", true, 7).expect("checked"),
        true,
        &["other: DAMAGED at byte 0"],
    );
}

#[test]
fn paths_lead_to_directories_and_files() {
    let path = std::env::temp_dir().join(format!("corevault-check-{}", std::process::id()));
    let mut disk = RealDisk::open(&path).expect("made");
    let found = recover(&mut disk, ALL).expect("empty");
    let (_, segments) = Keeper::start(&mut disk, found.manifest, 1, true, 5, 5).expect("it starts");
    let mut writer = Writer::new(segments.into_iter().next().expect("one"));
    for text in ["one", "two"] {
        writer.write(&mut disk, text);
        writer.sync(&mut disk);
    }
    let file = path.join(writer.file_name());
    // A server that runs does not mind a look, but no repair.
    for path in [&path, &file] {
        assert_says(&check_aof(path, false, 7).expect("checked"), false, &["whole: 2 groups"]);
        let error = check_aof(path, true, 7).expect_err("in use").to_string();
        assert!(error.contains("in use by process"), "{error}");
    }
    drop(disk);
    let mut bytes = std::fs::read(&file).expect("there");
    bytes[70] ^= 1;
    std::fs::write(&file, &bytes).expect("written");
    assert_says(&check_aof(&file, false, 7).expect("checked"), true, &["DAMAGED at byte 64"]);
    assert_says(&check_aof(&file, true, 7).expect("repaired"), false, &["cut at byte 64", ".bak"]);
    assert_says(&check_aof(&path, false, 7).expect("checked"), false, &["whole"]);
    // Elsewhere it is only a file, and nobody's directory.
    let elsewhere = path.join("elsewhere");
    std::fs::create_dir(&elsewhere).expect("made");
    std::fs::write(elsewhere.join("copy"), &bytes).expect("written");
    assert_says(&check_aof(&elsewhere.join("copy"), true, 7).expect("repaired"), false, &["repaired"]);
    assert!(!elsewhere.join("LOCK").exists());
    let error = check_aof(&path.join("none"), false, 7).expect_err("none").to_string();
    assert!(error.contains("neither a file nor a directory"), "{error}");
    std::fs::remove_dir_all(&path).expect("removed");
}
