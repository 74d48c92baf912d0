//! Replies and the log, the disk being played by hand: who waits for what under `appendfsync always`, and what failures do.

use std::io;

use super::*;
use crate::config::persistence::Fsync;
use crate::metrics::persistence::Persistence;
use crate::persist::control::{FromKeeper, SaveFiles};
use crate::persist::disk::Handle;
use crate::persist::keeper;
use crate::persist::log::{DiskDone, NextSegment};
use crate::persist::segment::SegmentHeader;
use crate::store::keyspace::Keyspace;

/// Shards that log, and what they want written.
struct Disk {
    rig: Rig,
    ops: Vec<(usize, DiskSlot, DiskOp)>,
    segments: u64,
}

fn segment(shard: u16, shards: u16, number: u64) -> NextSegment {
    let header = SegmentHeader { shards, shard, generation: 1, number, first_seq: 1, created_ms: 0, seed: 7 };
    NextSegment { file: Arc::new(Handle::simulated(number << 16 | u64::from(shard), "segment")), header }
}

impl Disk {
    fn new(shards: u16, fsync: Fsync) -> Disk {
        let config = Config { append_only: true, append_fsync: fsync, ..Config::default() };
        let start = crate::config::Start { keeps: true, ..config.start.clone() };
        let config = Config { start, ..config };
        let process = Process { persistence: Persistence::new(shards), ..Process::default() };
        let (process, ledger) = (Arc::new(process), Arc::new(Ledger::new(shards)));
        process.persistence.set_logging(true);
        let made = (0..shards).map(|n| {
            let keys = Keyspace::new(slots_of(n, shards));
            let (process, ledger) = (Arc::clone(&process), Arc::clone(&ledger));
            let mut shard = Shard::with_keyspace(n, shards, process, config.clone(), 1, keys, ledger);
            shard.begin_log(segment(n, shards, 1), 0, START_MS);
            shard
        });
        let rig = Rig { shards: made.collect(), now_ms: START_MS, last_id: 0 };
        Disk { rig, ops: Vec::new(), segments: 1 }
    }

    /// All shards end their turns, and messages are carried.
    fn settle(&mut self) {
        let now_ms = self.rig.now_ms;
        loop {
            for (n, shard) in self.rig.shards.iter_mut().enumerate() {
                shard.end_turn(now_ms);
                while shard.take_touched().is_some() {}
                while let Some((slot, op)) = shard.take_disk_op(now_ms) {
                    self.ops.push((n, slot, op));
                }
            }
            if self.rig.carry() == 0 {
                return;
            }
        }
    }

    /// Everything that `shard` wants of the disk ends so, and what that leads to.
    fn complete(&mut self, shard: usize, how: impl Fn() -> Result<(), io::Error>) {
        while let Some(at) = self.ops.iter().position(|(of, ..)| *of == shard) {
            let (_, slot, op) = self.ops.remove(at);
            let done = match op {
                DiskOp::Write { bytes, from, .. } => {
                    DiskDone::Written { result: how().map(|()| bytes.len() - from), bytes }
                }
                DiskOp::Sync { .. } => DiskDone::Synced { result: how() },
            };
            self.rig.shards[shard].disk_done(slot, done, self.rig.now_ms);
            self.settle();
        }
    }

    fn tell(&mut self, peer: Peer, commands: &str) {
        self.rig.send(peer, commands);
        self.rig.carry();
        self.settle();
    }

    /// The replies that may leave.
    fn heard(&mut self, peer: Peer) -> String {
        self.settle();
        if self.rig.wants(peer).send { self.rig.replies(peer) } else { String::new() }
    }

    /// Plays the keeper until the save that has been begun is over.
    fn save(&mut self, is_published: bool) {
        let now_ms = self.rig.now_ms;
        let shards = self.rig.shards.len() as u16;
        let Some(ToKeeper::Prepare { save, log }) = self.rig.shards[0].take_to_keeper() else {
            panic!("no save was begun");
        };
        self.segments += 1;
        let (snapshot, place) = (Arc::new(Handle::simulated(9, "snapshot")), Arc::default());
        for n in (0..shards).rev() {
            let files = SaveFiles {
                snapshot: Arc::clone(&snapshot),
                place: Arc::clone(&place),
                next: Some(segment(n, shards, self.segments)),
                is_fresh: log == keeper::Log::Begins,
            };
            self.rig.shards[usize::from(n)]
                .keeper_says(FromKeeper::Prepared { save, result: Ok(files) }, now_ms);
        }
        self.settle();
        let mut reported = 0;
        while reported < shards {
            for n in 0..usize::from(shards) {
                self.rig.shards[n].work(now_ms);
                self.settle();
                self.complete(n, || Ok(()));
                while let Some(ToKeeper::Archived { result, .. }) = self.rig.shards[n].take_to_keeper() {
                    result.expect("archived");
                    reported += 1;
                }
            }
        }
        for n in (0..usize::from(shards)).rev() {
            let result = if is_published { Ok(100) } else { Err("no space".to_owned()) };
            self.rig.shards[n].keeper_says(FromKeeper::Concluded { save, result }, now_ms);
        }
        self.settle();
    }
}

#[test]
fn nobody_hears_of_a_change_before_it_is_durable() {
    let mut disk = Disk::new(1, Fsync::Always);
    let (writer, reader) = (disk.rig.connect(0), disk.rig.connect(0));
    disk.tell(reader, "GET b");
    assert_eq!(disk.heard(reader), "nil", "nothing has changed");
    disk.tell(writer, "SET b 1");
    disk.tell(reader, "GET b");
    assert_eq!((disk.heard(writer), disk.heard(reader)), (String::new(), String::new()));
    disk.complete(0, || Ok(()));
    assert_eq!((disk.heard(writer), disk.heard(reader)), ("OK".into(), "1".into()));
    disk.tell(reader, "GET b | GET b");
    assert_eq!(disk.heard(reader), "1 | 1");
}

#[test]
fn what_comes_while_replies_wait_waits_behind_them() {
    let mut disk = Disk::new(1, Fsync::Always);
    let peer = disk.rig.connect(0);
    disk.tell(peer, "SET b 1");
    disk.tell(peer, "SET b 2 | GET b");
    disk.ops.retain(|(_, slot, _)| *slot == DiskSlot::Log);
    assert_eq!(disk.ops.len(), 1, "one write at a time");
    let ops = disk.ops.len();
    let (_, slot, op) = disk.ops.remove(ops - 1);
    let DiskOp::Write { bytes, is_durable: true, .. } = op else { panic!("{op:?}") };
    let done = DiskDone::Written { result: Ok(bytes.len()), bytes };
    disk.rig.shards[0].disk_done(slot, done, START_MS);
    assert_eq!(disk.heard(peer), "OK");
    disk.complete(0, || Ok(()));
    assert_eq!(disk.heard(peer), "OK | 2");
}

#[test]
fn a_change_on_another_shard_waits_for_that_shards_log() {
    let mut disk = Disk::new(2, Fsync::Always);
    let peer = disk.rig.connect(0);
    disk.tell(peer, "SET a 1");
    disk.complete(0, || Ok(()));
    assert_eq!(disk.heard(peer), "");
    disk.complete(1, || Ok(()));
    assert_eq!(disk.heard(peer), "OK");
}

#[test]
fn a_transaction_waits_for_all_its_parts_and_so_does_what_follows_it() {
    for commands in
        ["MSET a 1 b 1", "MULTI | SET a 1 | SET b 1 | EXEC", "SET a 1 | RENAME a b | MSET a 1 b 1"]
    {
        let mut disk = Disk::new(2, Fsync::Always);
        let (peer, other) = (disk.rig.connect(0), disk.rig.connect(0));
        disk.tell(peer, commands);
        disk.tell(other, "SET c 1");
        disk.complete(0, || Ok(()));
        disk.complete(0, || Ok(()));
        assert_eq!((disk.heard(peer), disk.heard(other)), (String::new(), String::new()), "{commands}");
        for _ in 0..3 {
            disk.complete(1, || Ok(()));
            disk.complete(0, || Ok(()));
        }
        assert_eq!(disk.heard(other), "OK", "{commands}");
        assert!(disk.heard(peer).contains("OK"), "{commands}");
    }
}

#[test]
fn everysec_holds_no_reply_and_syncs_once_a_second() {
    let mut disk = Disk::new(1, Fsync::EverySecond);
    let peer = disk.rig.connect(0);
    disk.settle();
    disk.complete(0, || Ok(()));
    disk.tell(peer, "SET b 1");
    assert_eq!(disk.heard(peer), "OK");
    assert!(disk.ops.is_empty(), "it waits for others");
    disk.rig.tick_at(5);
    disk.settle();
    assert!(matches!(&disk.ops[..], [(0, DiskSlot::Log, DiskOp::Write { is_durable: false, .. })]));
    disk.complete(0, || Ok(()));
    disk.tell(peer, "WAITAOF 1 0 0");
    assert_eq!(disk.heard(peer), "");
    disk.rig.tick_at(1500);
    disk.settle();
    disk.complete(0, || Ok(()));
    disk.rig.tick_at(1600);
    assert_eq!(disk.heard(peer), "[1, 0]");
    assert_eq!(
        disk.rig.shards[0].next_tick_ms().min(START_MS + 100_000),
        START_MS + 100_000,
        "nothing to do"
    );
}

#[test]
fn a_full_disk_is_tried_again_and_loses_nothing() {
    let mut disk = Disk::new(1, Fsync::Always);
    let peer = disk.rig.connect(0);
    disk.tell(peer, "SET b 1");
    let (_, slot, op) = disk.ops.pop().expect("a write");
    let DiskOp::Write { bytes, .. } = op else { panic!("{op:?}") };
    let full = io::Error::from_raw_os_error(libc::ENOSPC);
    disk.rig.shards[0].disk_done(slot, DiskDone::Written { result: Err(full), bytes }, START_MS);
    disk.tell(peer, "SET c 1");
    assert_eq!(disk.heard(peer), "");
    let other = disk.rig.connect(0);
    disk.tell(other, "SET c 1 | MULTI | SET c 1 | EXEC");
    disk.rig.tick_at(200);
    disk.settle();
    disk.complete(0, || Ok(()));
    assert_eq!(disk.heard(peer).lines().next().map(|line| line.starts_with("OK | MISCONF")), Some(true));
    let refused = disk.heard(other);
    assert!(refused.starts_with("MISCONF") && refused.contains("EXECABORT"), "{refused}");
    disk.tell(peer, "SET c 2");
    disk.complete(0, || Ok(()));
    assert_eq!(disk.heard(peer), "OK");
}

#[test]
fn after_a_failed_write_or_sync_only_a_new_base_lets_writes_go_on() {
    let mut disk = Disk::new(2, Fsync::Always);
    let (peer, reader) = (disk.rig.connect(0), disk.rig.connect(0));
    disk.tell(peer, "SET b 1");
    disk.complete(0, || Err(io::Error::from_raw_os_error(libc::EIO)));
    assert_eq!(disk.heard(peer), "", "nobody knows whether it is durable");
    disk.tell(reader, "SET a 1");
    disk.complete(1, || Ok(()));
    assert!(
        disk.heard(reader)
            .starts_with("MISCONF Errors writing to the AOF file: cannot write segment at byte 0: ")
    );
    // A save that fails mends nothing; the next one does, and brings what was not durable with it.
    disk.rig.tick_at(1);
    disk.settle();
    disk.save(false);
    disk.tell(reader, "SET a 1");
    assert!(disk.heard(reader).starts_with("MISCONF"));
    disk.rig.tick_at(60_000);
    disk.settle();
    disk.save(true);
    disk.complete(0, || Ok(()));
    assert_eq!(disk.heard(peer), "OK");
    disk.tell(reader, "SET a 2");
    disk.complete(1, || Ok(()));
    assert_eq!(disk.heard(reader), "OK");
}

#[test]
fn a_client_in_save_waits_for_its_end() {
    let mut disk = Disk::new(2, Fsync::EverySecond);
    let (peer, other) = (disk.rig.connect(1), disk.rig.connect(0));
    disk.tell(other, "MSET a 1 b 2 c 3");
    disk.tell(peer, "SAVE | GET a");
    disk.tell(other, "BGSAVE");
    assert_eq!(disk.heard(other), "OK | ERR Background save already in progress");
    assert_eq!(disk.heard(peer), "");
    disk.save(true);
    assert_eq!(disk.heard(peer), "OK | 1");
}
