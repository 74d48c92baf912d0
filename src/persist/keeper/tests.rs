//! The keeper's steps: what a restart finds after each, after a failure of each operation, and after a crash between any two.

use std::io;

use super::*;
use crate::persist::recovery::{Options, Recovered, recover};
use crate::persist::testing::{MemoryDisk, Writer};

fn found(disk: &mut MemoryDisk) -> Recovered {
    let options = Options { restore_aof: true, restore_snapshot: true, now_ms: 5 };
    recover(disk, options).unwrap_or_else(|error| panic!("{error}"))
}

fn start(disk: &mut MemoryDisk, shards: u16) -> (Keeper, Vec<Writer>) {
    let manifest = found(disk).manifest;
    let (keeper, segments) = Keeper::start(disk, manifest, shards, true, 5, 5).expect("it starts");
    (keeper, segments.into_iter().map(Writer::new).collect())
}

/// Snapshot id, and what all streams hold, one after the other.
fn state(disk: &mut MemoryDisk) -> (Option<u64>, String) {
    let found = found(disk);
    let segments = found.generations.iter().flat_map(|generation| &generation.streams).flatten();
    let groups =
        segments.flat_map(|segment| segment.groups().map(|group| group.expect("whole").payload.into_owned()));
    let text = groups.map(|payload| String::from_utf8(payload).expect("text")).collect::<Vec<_>>().join(" ");
    (found.snapshot.map(|snapshot| snapshot.header().id), text)
}

/// Prepares, cuts and publishes; where it fails, gives up. Whether it succeeded.
fn save(keeper: &mut Keeper, writers: &mut [Writer], disk: &mut MemoryDisk, log: Log) -> bool {
    let Ok(prepared) = keeper.prepare_save(disk, log, 6) else { return false };
    let mut first_seqs = Vec::new();
    for (writer, segment) in writers.iter_mut().zip(prepared.segments) {
        writer.switch(segment);
        first_seqs.push(writer.next_seq());
    }
    let saved = Saved { archives: &[], end: ARCHIVES_AT, cut_ms: 6, first_seqs: &first_seqs };
    let is_published = keeper.publish(disk, saved).is_ok();
    if !is_published {
        let _ = keeper.abandon(disk, true);
    }
    is_published
}

#[test]
fn a_log_that_begins_counts_only_once_it_is_published() {
    let mut disk = MemoryDisk::default();
    let (mut keeper, mut writers) = start(&mut disk, 1);
    writers[0].write(&mut disk, "old");
    let prepared = keeper.prepare_save(&mut disk, Log::Begins, 6).expect("prepared");
    // Something that was never logged happens here.
    let mut writer = Writer::new(prepared.segments.into_iter().next().expect("one"));
    writer.write(&mut disk, "new");
    writer.sync(&mut disk);
    disk.settle();
    let mut crashed = disk.clone();
    assert_eq!(state(&mut crashed), (None, "old".into()));
    keeper
        .publish(&mut disk, Saved { archives: &[], end: ARCHIVES_AT, cut_ms: 6, first_seqs: &[1] })
        .expect("published");
    assert_eq!(state(&mut disk), (Some(1), "new".into()));
}

#[test]
fn a_save_without_a_log_leaves_no_log() {
    let mut disk = MemoryDisk::default();
    let (mut keeper, mut writers) = start(&mut disk, 1);
    writers[0].write(&mut disk, "old");
    assert!(save(&mut keeper, &mut [], &mut disk, Log::Off));
    assert_eq!(state(&mut disk), (Some(1), String::new()));
    assert_eq!(disk.names_in(ROOT), ["MANIFEST", "snapshot-0000000000000001.cvs"]);
}

#[test]
fn a_save_that_is_given_up_leaves_everything_as_it_was() {
    let mut disk = MemoryDisk::default();
    let (mut keeper, mut writers) = start(&mut disk, 2);
    writers[0].write(&mut disk, "a");
    let names = disk.names_in(ROOT);
    for log in [Log::Off, Log::Begins, Log::Continues] {
        keeper.prepare_save(&mut disk, log, 6).expect("prepared");
        keeper.abandon(&mut disk, false).expect("given up");
        assert_eq!(disk.names_in(ROOT), names, "{log:?}");
    }
    let prepared = keeper.prepare_save(&mut disk, Log::Continues, 6).expect("prepared");
    for (writer, segment) in writers.iter_mut().zip(prepared.segments) {
        writer.switch(segment);
    }
    writers[0].write(&mut disk, "b");
    keeper.abandon(&mut disk, true).expect("given up");
    assert!(save(&mut keeper, &mut writers, &mut disk.clone(), Log::Continues));
    assert_eq!(state(&mut disk), (None, "a b".into()));
}

#[test]
fn a_second_start_of_the_keeper_never_uses_a_name_again() {
    let mut disk = MemoryDisk::default();
    let (mut keeper, mut writers) = start(&mut disk, 1);
    assert!(save(&mut keeper, &mut writers, &mut disk, Log::Continues));
    assert!(save(&mut keeper, &mut writers, &mut disk, Log::Continues));
    let (keeper, _) = start(&mut disk, 1);
    assert_eq!(keeper.manifest().generation, 2);
    assert_eq!(keeper.manifest().snapshot, Some(2));
}

/// A server's life: writes, a save, writes, another save, a write. What was durable when each step was over, and where the steps end.
fn life(disk: &mut MemoryDisk, mut reached: impl FnMut(&mut MemoryDisk, (Option<u64>, &str))) {
    let (mut keeper, mut writers) = start(disk, 2);
    reached(disk, (None, ""));
    writers[0].write(disk, "a");
    writers[1].write(disk, "b");
    writers.iter_mut().for_each(|writer| writer.sync(disk));
    reached(disk, (None, "a b"));
    assert!(save(&mut keeper, &mut writers, disk, Log::Continues));
    reached(disk, (Some(1), ""));
    writers[0].write(disk, "c");
    writers[0].sync(disk);
    reached(disk, (Some(1), "c"));
    assert!(save(&mut keeper, &mut writers, disk, Log::Begins));
    reached(disk, (Some(2), ""));
}

#[test]
fn a_crash_between_any_two_operations_leaves_a_state_that_was_durable() {
    let mut steps = Vec::new();
    let mut disk = MemoryDisk::default();
    disk.moments = Some(Vec::new());
    life(&mut disk, |disk, (id, text)| steps.push((disk.operations, (id, text.to_owned()))));
    for (at, moment) in disk.moments.take().expect("remembered").into_iter().enumerate() {
        for keeps_all in [false, true] {
            let mut disk = moment.clone();
            disk.crash(keeps_all);
            let next = steps.iter().position(|(operations, _)| *operations > at).expect("a later step");
            let mut allowed = vec![steps[next].1.clone()];
            if next > 0 {
                allowed.push(steps[next - 1].1.clone());
            }
            // What a shard has synced before the others, or what was there although it was not synced.
            allowed.extend([(None, "a".to_owned()), (None, "b".to_owned())]);
            if keeps_all {
                allowed.push((Some(1), "c".to_owned()));
            }
            if allowed[0] == (None, String::new()) {
                allowed.push((None, String::new()));
            }
            let state = state(&mut disk);
            assert!(
                allowed.contains(&state),
                "stopped before {at}, all kept: {keeps_all}: {state:?}, not in {allowed:?}"
            );
            // And the server can go on from there.
            start(&mut disk, 1);
        }
    }
}

#[test]
fn a_failed_operation_loses_nothing_and_the_next_save_cleans_up() {
    for (log, lasts) in
        [(Log::Continues, false), (Log::Continues, true), (Log::Begins, false), (Log::Begins, true)]
    {
        for failing in 0.. {
            let mut disk = MemoryDisk::default();
            let (mut keeper, mut writers) = start(&mut disk, 2);
            writers[0].write(&mut disk, "a");
            writers[0].end(&mut disk);
            let failing = disk.operations + failing;
            let until = if lasts { usize::MAX } else { failing + 1 };
            disk.fails = Some((failing..until, io::ErrorKind::StorageFull));
            let is_saved = save(&mut keeper, &mut writers, &mut disk, log);
            if is_saved && disk.operations <= failing {
                break;
            }
            disk.fails = None;
            for keeps_all in [false, true] {
                let mut crashed = disk.clone();
                crashed.crash(keeps_all);
                let state = state(&mut crashed);
                let was_saved = (Some(1), String::new());
                assert!(
                    state == was_saved || (!is_saved && state == (None, "a".into())),
                    "{log:?} {failing}: {state:?}"
                );
            }
            assert!(save(&mut keeper, &mut writers, &mut disk, Log::Begins), "{log:?}: fails at {failing}");
            let snapshot = keeper.manifest().snapshot.expect("saved");
            let names = disk.names_in(ROOT);
            assert_eq!(names.len(), 4, "{names:?}");
            assert_eq!(state(&mut disk), (Some(snapshot), String::new()));
        }
    }
}
