//! That the simulated disk does what it is for: nothing synced is ever lost, and everything that may be lost is, for some seed.

use std::collections::HashSet;

use corevault::persist::disk::{Disk, DiskError, Handle, ROOT};

use super::{Ending, Operation, SimDisk, Ticket};

const SEEDS: u64 = 400;

/// A disk with a file of that name and contents, both durable.
fn disk_with(seed: u64, name: &str, contents: &[u8]) -> (SimDisk, Handle) {
    let mut disk = SimDisk::new(seed);
    let file = disk.create(name).unwrap();
    disk.write_at(&file, contents, 0).unwrap();
    disk.sync(&file).unwrap();
    disk.sync_directory(ROOT).unwrap();
    (disk, file)
}

fn restart(disk: &SimDisk, ending: Ending) {
    disk.medium().restart(ending);
}

fn read(disk: &mut SimDisk, name: &str) -> Vec<u8> {
    disk.read(name).unwrap().to_vec()
}

fn reason<T: std::fmt::Debug>(done: Result<T, DiskError>) -> i32 {
    done.unwrap_err().cause.raw_os_error().expect("an error of the system")
}

/// What the file's contents are after the power was lost, for many seeds.
fn contents_after(name: &str, before: &[u8], act: impl Fn(&mut SimDisk, &Handle)) -> HashSet<Vec<u8>> {
    let after = |seed| {
        let (mut disk, file) = disk_with(seed, name, before);
        act(&mut disk, &file);
        restart(&disk, Ending::PowerLost);
        read(&mut disk, name)
    };
    (0..SEEDS).map(after).collect()
}

#[test]
fn what_is_synced_is_there_afterwards() {
    let after = contents_after("f", b"old", |disk, file| {
        disk.write_at(file, b"newer", 1).unwrap();
        disk.truncate(file, 5).unwrap();
        disk.sync(file).unwrap();
    });
    assert_eq!(after, HashSet::from([b"onewe".to_vec()]));
}

#[test]
fn a_write_that_is_not_synced_is_there_or_not_or_in_part() {
    let (old, new) = (vec![b'o'; 2048], vec![b'n'; 2048]);
    let after = contents_after("f", &old, |disk, file| {
        disk.write_at(file, &new, 0).unwrap();
        assert_eq!(read(disk, "f"), new, "a reader sees it at once");
    });
    assert!(after.contains(&old) && after.contains(&new), "all of it is lost, and all of it is kept");
    let is_whole =
        |contents: &Vec<u8>, unit| contents.chunks(unit).all(|part| part.iter().all(|&b| b == part[0]));
    assert!(after.iter().all(|contents| contents.len() == 2048 && is_whole(contents, 8)), "a word is whole");
    let sectors = after.iter().filter(|contents| is_whole(contents, 512)).count();
    assert!(sectors > 4 && after.len() - sectors > 4, "it is torn between sectors, and between words");
}

#[test]
fn writes_that_are_not_synced_fare_independently() {
    let after = contents_after("f", &[0; 1024], |disk, file| {
        disk.write_at(file, &[1; 8], 0).unwrap();
        disk.write_at(file, &[2; 8], 512).unwrap();
    });
    let kept: HashSet<(u8, u8)> = after.iter().map(|contents| (contents[0], contents[512])).collect();
    assert_eq!(kept, HashSet::from([(0, 0), (1, 0), (0, 2), (1, 2)]));
}

#[test]
fn what_a_file_grew_by_may_be_zeros_or_stale_or_not_there() {
    let grow = |disk: &mut SimDisk, file: &Handle| {
        let other = disk.create("other").unwrap();
        disk.write_at(&other, &[7; 16], 0).unwrap();
        disk.remove("other").unwrap();
        disk.write_at(file, &[2; 8], 8).unwrap();
    };
    let tail = |contents: &Vec<u8>| contents[8..].to_vec();
    let tails: HashSet<_> = contents_after("f", &[1; 8], grow).iter().map(tail).collect();
    assert_eq!(tails, HashSet::from([vec![], vec![0; 8], vec![2; 8]]));
    let after = contents_after("f", &[1; 8], |disk, file| {
        disk.medium().faults().shows_stale = true;
        grow(disk, file);
    });
    let tails: HashSet<_> = after.iter().map(tail).collect();
    assert_eq!(tails, HashSet::from([vec![], vec![7; 8], vec![2; 8]]));
}

#[test]
fn a_name_is_durable_with_its_directory_only() {
    let mut found = HashSet::new();
    for seed in 0..SEEDS {
        let mut disk = SimDisk::new(seed);
        let file = disk.create("f").unwrap();
        disk.write_at(&file, b"contents", 0).unwrap();
        disk.sync(&file).unwrap();
        let synced = seed % 2 == 0;
        if synced {
            disk.sync_directory(ROOT).unwrap();
        }
        restart(&disk, Ending::PowerLost);
        found.insert((synced, disk.read("f").is_ok_and(|contents| *contents == *b"contents")));
        assert_eq!(disk.list().unwrap().len(), usize::from(disk.read("f").is_ok()));
    }
    assert_eq!(found, HashSet::from([(true, true), (false, true), (false, false)]));
}

#[test]
fn a_renaming_is_done_or_not() {
    let mut found = HashSet::new();
    for seed in 0..SEEDS {
        let (mut disk, _) = disk_with(seed, "f", b"old");
        let file = disk.create("f.tmp").unwrap();
        disk.write_at(&file, b"new", 0).unwrap();
        disk.sync(&file).unwrap();
        disk.sync_directory(ROOT).unwrap();
        disk.rename("f.tmp", "f").unwrap();
        restart(&disk, Ending::PowerLost);
        found.insert((read(&mut disk, "f"), disk.list().unwrap().join(" ")));
    }
    let (old, new) = ((b"old".to_vec(), "f f.tmp".to_owned()), (b"new".to_vec(), "f".to_owned()));
    assert_eq!(found, HashSet::from([old, new]));
}

#[test]
fn operations_on_names_fare_independently() {
    let mut found = HashSet::new();
    for seed in 0..SEEDS {
        let (mut disk, _) = disk_with(seed, "a", b"a");
        disk.create("b").unwrap();
        disk.remove("a").unwrap();
        restart(&disk, Ending::PowerLost);
        found.insert(disk.list().unwrap().join(" "));
    }
    assert_eq!(found, HashSet::from(["", "a", "b", "a b"].map(str::to_owned)));
}

#[test]
fn a_directory_is_synced_for_itself() {
    let mut found = HashSet::new();
    for seed in 0..SEEDS {
        let (mut disk, _) = disk_with(seed, "f", b"kept");
        disk.create_directory("aside").unwrap();
        disk.sync_directory(ROOT).unwrap();
        disk.rename("f", "aside/f").unwrap();
        if seed % 2 == 0 {
            disk.sync_directory("aside").unwrap();
        }
        restart(&disk, Ending::PowerLost);
        assert!(disk.list().unwrap().contains(&"aside".to_owned()));
        let place = (disk.read("f").is_ok(), disk.read("aside/f").is_ok());
        assert!(place.0 != place.1, "it is in one of the two");
        found.insert((seed % 2 == 0, place.1));
    }
    assert_eq!(found, HashSet::from([(true, true), (false, true), (false, false)]));
    let mut disk = SimDisk::new(0);
    assert_eq!(reason(disk.create("nowhere/f")), libc::ENOENT);
    assert_eq!(reason(disk.sync_directory("nowhere")), libc::ENOENT);
}

#[test]
fn a_killed_process_leaves_what_it_wrote_but_not_durable() {
    let mut found = HashSet::new();
    for seed in 0..SEEDS {
        let (mut disk, file) = disk_with(seed, "f", b"old");
        disk.write_at(&file, b"new", 0).unwrap();
        restart(&disk, Ending::Killed);
        assert_eq!(read(&mut disk, "f"), b"new");
        assert_eq!(disk.medium().durable("f").unwrap(), b"old");
        restart(&disk, Ending::PowerLost);
        found.insert(read(&mut disk, "f"));
    }
    assert!(found.contains(&b"old"[..]) && found.contains(&b"new"[..]));
}

#[test]
fn what_a_failed_sync_lost_stays_lost() {
    let (mut seen, mut found) = (HashSet::new(), HashSet::new());
    for seed in 0..SEEDS {
        let (mut disk, file) = disk_with(seed, "f", &[0; 512]);
        disk.write_at(&file, &[1; 8], 0).unwrap();
        disk.medium().fail_once(Operation::Sync, 0, libc::EIO);
        assert_eq!(reason(disk.sync(&file)), libc::EIO);
        seen.insert(read(&mut disk, "f")[0]);
        disk.write_at(&file, &[2; 8], 16).unwrap();
        disk.sync(&file).unwrap();
        restart(&disk, Ending::PowerLost);
        let contents = read(&mut disk, "f");
        assert_eq!(contents[16], 2, "what came after the failure can be synced");
        found.insert(contents[0]);
    }
    assert_eq!((seen, found), ([0, 1].into(), [0, 1].into()));
}

#[test]
fn a_failed_sync_of_a_directory_may_lose_names() {
    let mut found = HashSet::new();
    for seed in 0..SEEDS {
        let (mut disk, _) = disk_with(seed, "f", b"");
        disk.create("g").unwrap();
        disk.medium().fail_once(Operation::SyncDirectory, 0, libc::EIO);
        assert_eq!(reason(disk.sync_directory(ROOT)), libc::EIO);
        disk.sync_directory(ROOT).unwrap();
        restart(&disk, Ending::PowerLost);
        found.insert(disk.list().unwrap().join(" "));
    }
    assert_eq!(found, HashSet::from(["f", "f g"].map(str::to_owned)));
}

#[test]
fn a_full_disk_takes_what_fits() {
    let (mut disk, file) = disk_with(0, "f", &[1; 100]);
    disk.medium().faults().capacity_bytes = Some(160);
    assert_eq!(reason(disk.write_at(&file, &[2; 100], 90)), libc::ENOSPC);
    assert_eq!(disk.length("f").unwrap(), 160);
    disk.write_at(&file, &[3; 160], 0).unwrap();
    let other = disk.create("other").unwrap();
    assert_eq!(reason(disk.allocate(&other, 10)), libc::ENOSPC);
    assert_eq!(disk.length("other").unwrap(), 0);
    disk.remove("f").unwrap();
    disk.allocate(&other, 10).unwrap();
    assert_eq!(read(&mut disk, "other"), [0; 10]);
    disk.allocate(&other, 5).unwrap();
    assert_eq!(disk.length("other").unwrap(), 10, "allocating never cuts");
}

#[test]
fn a_disk_that_is_read_only_can_be_read() {
    let (mut disk, file) = disk_with(0, "f", b"old");
    disk.medium().faults().is_read_only = true;
    assert_eq!(reason(disk.create("g")), libc::EROFS);
    assert_eq!(reason(disk.write_at(&file, b"x", 0)), libc::EROFS);
    assert_eq!(reason(disk.truncate(&file, 0)), libc::EROFS);
    assert_eq!(reason(disk.rename("f", "g")), libc::EROFS);
    assert_eq!(reason(disk.remove("f")), libc::EROFS);
    assert_eq!(read(&mut disk, "f"), b"old");
}

#[test]
fn a_write_that_fails_may_have_written_any_part() {
    let mut lengths = HashSet::new();
    for seed in 0..SEEDS {
        let (mut disk, file) = disk_with(seed, "f", b"");
        disk.medium().fail_once(Operation::Write, 1, libc::EIO);
        disk.write_at(&file, b"whole", 0).unwrap();
        assert!(disk.medium().has_planned_failure());
        assert_eq!(reason(disk.write_at(&file, b"part", 5)), libc::EIO);
        assert!(!disk.medium().has_planned_failure());
        lengths.insert(disk.length("f").unwrap());
    }
    assert_eq!(lengths, HashSet::from([5, 6, 7, 8, 9]));
}

#[test]
fn failures_happen_by_chance_too() {
    let (mut disk, file) = disk_with(0, "f", b"");
    disk.medium().faults().write_errors = 4;
    let failures = (0..SEEDS).filter(|_| disk.write_at(&file, b"x", 0).is_err()).count() as u64;
    assert!((SEEDS / 8..SEEDS / 2).contains(&failures), "{failures} of {SEEDS}");
    disk.medium().faults().write_errors = 0;
    disk.medium().faults().sync_errors = 4;
    let failures = (0..SEEDS).filter(|_| disk.sync(&file).is_err()).count() as u64;
    assert!((SEEDS / 8..SEEDS / 2).contains(&failures), "{failures} of {SEEDS}");
}

#[test]
fn it_can_be_stopped_at_any_operation() {
    for stop in 0..4 {
        let mut outcomes = HashSet::new();
        for seed in 0..SEEDS {
            let (mut disk, file) = disk_with(seed, "f", b"old");
            disk.medium().stop_after(stop);
            let done = [
                disk.write_at(&file, b"new", 0).is_ok(),
                disk.sync(&file).is_ok(),
                disk.rename("f", "g").is_ok(),
                disk.sync_directory(ROOT).is_ok(),
            ];
            assert_eq!(done, [0, 1, 2, 3].map(|n| n < stop));
            assert!(disk.medium().is_stopped() && disk.create("h").is_err());
            let before = disk.medium().operations();
            restart(&disk, Ending::PowerLost);
            let name = disk.list().unwrap().join(" ");
            outcomes.insert((name.clone(), read(&mut disk, &name)));
            assert_eq!(disk.medium().operations(), before + 2);
        }
        let has = |name: &str, contents: &[u8]| outcomes.contains(&(name.to_owned(), contents.to_vec()));
        assert_eq!([has("f", b"old"), has("f", b"new")], [stop < 2, true], "stopped at {stop}");
        assert_eq!([has("g", b"old"), has("g", b"new")], [false, stop >= 2], "stopped at {stop}");
    }
}

#[test]
fn a_failure_can_be_read_in_the_trace() {
    let (mut disk, file) = disk_with(0, "f", b"old");
    disk.medium().fail_once(Operation::Sync, 0, libc::EIO);
    disk.sync(&file).unwrap_err();
    restart(&disk, Ending::Killed);
    let trace = disk.medium().trace();
    assert!(
        trace.starts_with("1 Create f\n2 Write 2 0+3\n3 Sync 2\n4 SyncDirectory \n5 Sync 2\n"),
        "{trace}"
    );
    assert!(trace.ends_with("  fails: Input/output error (os error 5)\nKilled\n"), "{trace}");
}

#[test]
fn names_are_as_on_any_disk() {
    let (mut disk, file) = disk_with(0, "f", b"f");
    assert_eq!(reason(disk.create("f")), libc::EEXIST);
    assert_eq!(reason(disk.open("g")), libc::ENOENT);
    assert_eq!(reason(disk.rename("g", "h")), libc::ENOENT);
    assert_eq!(reason(disk.remove("g")), libc::ENOENT);
    assert_eq!(disk.open("f").unwrap().name(), "f");
    disk.remove("f").unwrap();
    disk.write_at(&file, b"g", 0).unwrap();
    disk.sync(&file).unwrap();
    assert!(disk.list().unwrap().is_empty(), "who has it open keeps it");
    let error = disk.read("f").err().expect("it fails").to_string();
    assert_eq!(error, "cannot read disk/f: No such file or directory (os error 2)");
}

#[test]
fn damage_needs_no_process() {
    let (mut disk, _) = disk_with(0, "f", b"old");
    disk.medium().damage("f", |contents| contents[0] ^= 1);
    restart(&disk, Ending::PowerLost);
    assert_eq!(read(&mut disk, "f"), b"nld");
}

#[test]
fn requests_end_in_any_order() {
    let (mut disk, file) = disk_with(0, "f", &[0; 4]);
    let first = disk.medium().submit_write(file.id(), 0, vec![1; 4]);
    let second = disk.medium().submit_write(file.id(), 2, vec![2; 4]);
    assert_eq!(disk.medium().in_flight(), [first, second]);
    assert_eq!(read(&mut disk, "f"), [0; 4]);
    for (ticket, seen) in [(second, &[0, 0, 2, 2, 2, 2]), (first, &[1, 1, 1, 1, 2, 2])] {
        let completion = disk.medium().complete(ticket);
        assert_eq!((completion.ticket, completion.outcome.unwrap(), completion.bytes.len()), (ticket, 4, 4));
        assert_eq!(read(&mut disk, "f"), seen);
    }
    assert!(disk.medium().in_flight().is_empty());
}

#[test]
fn a_request_to_sync_is_sure_of_what_ended_before() {
    let mut found = HashSet::new();
    for seed in 0..SEEDS {
        let (mut disk, file) = disk_with(seed, "f", &[0; 3]);
        let write = |n: u8| disk.medium().submit_write(file.id(), usize::from(n) - 1, vec![n]);
        let (first, second) = (write(1), write(2));
        disk.medium().complete(first).outcome.unwrap();
        let sync = disk.medium().submit_sync(file.id());
        disk.medium().complete(second).outcome.unwrap();
        disk.medium().complete(sync).outcome.unwrap();
        found.insert(disk.medium().durable("f").unwrap());
        restart(&disk, Ending::PowerLost);
        assert_eq!(read(&mut disk, "f")[0], 1);
    }
    assert_eq!(found, HashSet::from([vec![1, 0, 0], vec![1, 2, 0]]));
}

#[test]
fn a_request_to_write_may_be_short_or_fail() {
    let mut lengths = HashSet::new();
    for seed in 0..SEEDS {
        let (mut disk, file) = disk_with(seed, "f", b"");
        disk.medium().faults().short_writes = 2;
        let ticket = disk.medium().submit_write(file.id(), 0, b"four".to_vec());
        let written = disk.medium().complete(ticket).outcome.unwrap();
        assert_eq!(read(&mut disk, "f"), b"four"[..written]);
        lengths.insert(written);
    }
    assert_eq!(lengths, HashSet::from([1, 2, 3, 4]));

    let (disk, file) = disk_with(0, "f", b"");
    let end = |ticket: Ticket| {
        let outcome = disk.medium().complete(ticket).outcome;
        outcome.map_err(|error| error.raw_os_error().expect("an error of the system"))
    };
    disk.medium().faults().capacity_bytes = Some(3);
    let ticket = disk.medium().submit_write(file.id(), 0, b"four".to_vec());
    assert_eq!(end(ticket), Ok(3), "what fits is written");
    let ticket = disk.medium().submit_write(file.id(), 3, b"r".to_vec());
    assert_eq!(end(ticket), Err(libc::ENOSPC));
    disk.medium().fail_once(Operation::Sync, 0, libc::EIO);
    let ticket = disk.medium().submit_sync(file.id());
    assert_eq!(end(ticket), Err(libc::EIO));
}

#[test]
fn requests_in_flight_when_it_ends_are_done_or_not() {
    for ending in [Ending::Killed, Ending::PowerLost] {
        let mut found = HashSet::new();
        for seed in 0..SEEDS {
            let (mut disk, file) = disk_with(seed, "f", b"");
            disk.medium().submit_write(file.id(), 0, vec![1; 16]);
            disk.medium().submit_sync(file.id());
            restart(&disk, ending);
            assert!(disk.medium().in_flight().is_empty());
            found.insert(disk.length("f").unwrap());
        }
        assert!(found.contains(&0) && found.contains(&16) && found.len() > 2, "{ending:?}: {found:?}");
    }
}
