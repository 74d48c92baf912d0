//! Any bytes are refused as a snapshot or can be used: as an archive, as a directory with checksums that hold, and as a whole file.
//! The first byte says which. What can be read is made into entries and effects, as a restart does it.

#![no_main]

use corevault::persist::snapshot::{
    ArchiveAt, SNAPSHOT_TRAILER_BYTES, Snapshot, SnapshotHeader, check_snapshot, checksum, ending,
};
use corevault::store::archive::{Content, read};
use corevault::store::effect::decode_all;
use corevault::store::object::{Entry, ValueRef};
use libfuzzer_sys::fuzz_target;

const HEADER: SnapshotHeader = SnapshotHeader { id: 1, created_ms: 0, shards: 1 };

fn use_archive(bytes: &[u8]) {
    let Ok(items) = read(bytes) else { return };
    for item in items {
        match item.payload() {
            Some(payload) => {
                let entry = Entry::new(0, item.key, payload, item.expire_at_ms, item.clock);
                ValueRef::of(&entry).effects(item.key, &mut |effect| assert_eq!(effect.key(), Some(item.key)));
            }
            None => {
                let Content::Effects { bytes, .. } = item.content else { panic!("only effects have no payload") };
                assert!(decode_all(bytes).all(|effect| effect.is_ok()));
            }
        }
    }
}

fn use_snapshot(bytes: Vec<u8>) {
    if let Ok(snapshot) = Snapshot::open(bytes) {
        for table in snapshot.tables() {
            assert_eq!(snapshot.archives_of(table.db, table.slot), table.archives);
        }
        let _ = check_snapshot(&snapshot).to_string();
    }
}

/// A file whose one archive is `archive`.
fn with_archive(archive: &[u8]) -> Vec<u8> {
    let (length, crc) = (archive.len() as u32, checksum(archive));
    let at = ArchiveAt { db: 0, slot: 0, offset: 64, length, crc, keys: 0, volatile: 0 };
    let mut bytes = [&HEADER.encode()[..], archive].concat();
    bytes.extend(ending(&HEADER, &[at], &[], bytes.len() as u64));
    bytes
}

/// A file whose directory is `directory`, which is to begin with the totals that the trailer says; checksums hold.
fn with_directory(totals: [u8; 2], directory: &[u8]) -> Vec<u8> {
    let mut bytes = HEADER.encode().to_vec();
    bytes.resize(1024, 0);
    // The end of a snapshot of nothing, with another directory and what the trailer says about it.
    let ending = ending(&HEADER, &[], &[], 1024);
    let mut trailer = ending[ending.len() - SNAPSHOT_TRAILER_BYTES..].to_vec();
    bytes.extend(directory);
    bytes.resize(bytes.len().next_multiple_of(16), 0);
    trailer[24] = totals[0];
    trailer[32] = totals[1];
    trailer[16..24].copy_from_slice(&(directory.len() as u64).to_le_bytes());
    trailer[56..60].copy_from_slice(&checksum(directory).to_le_bytes());
    let crc = checksum(&trailer[..60]);
    trailer[60..].copy_from_slice(&crc.to_le_bytes());
    bytes.extend(trailer);
    bytes
}

fuzz_target!(|data: &[u8]| {
    let Some((&which, input)) = data.split_first() else { return };
    match which % 3 {
        0 => {
            use_archive(input);
            use_snapshot(with_archive(input));
        }
        1 => {
            if let Some((&totals, directory)) = input.split_first_chunk() {
                use_snapshot(with_directory(totals, directory));
            }
        }
        _ => use_snapshot(input.to_vec()),
    }
});
