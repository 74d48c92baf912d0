//! Archives of a snapshot: writing those of many small strings, with their checksums, and reading them into entries again.
//! And opening a snapshot of many archives. What was written is read and compared before anything is measured.

use corevault::base::slot::SLOTS;
use corevault::persist::snapshot::{ArchiveAt, Snapshot, SnapshotHeader, checksum, ending, reserved_bytes};
use corevault::store::archive::{Archive, read};
use corevault::store::object::Entry;
use corevault::sys::cell::Payload;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

use common::{key, sized, value};

mod common;

/// Keys of one archive: those of one slot where 5 million keys share 16,384.
const ARCHIVE_KEYS: usize = 305;

fn archives(c: &mut Criterion) {
    let keys = sized(5_000_000, 3 * ARCHIVE_KEYS);
    let mut entries = shuffled_entries(keys);
    let written = write(&entries);
    let back = read_all(&written);
    assert_eq!(back.len(), keys);
    for (entry, back) in entries.iter().zip(&back) {
        assert_eq!((entry.key(), format!("{:?}", entry.held())), (back.key(), format!("{:?}", back.held())));
    }
    drop(back);

    let mut group = c.benchmark_group("archive");
    group.throughput(Throughput::Elements(keys as u64)).sample_size(10);
    group.bench_function("write", |b| b.iter_batched(|| (), |()| write(&entries), BatchSize::PerIteration));
    entries.clear();
    group.bench_function("check", |b| {
        b.iter(|| written.iter().map(|(bytes, crc)| checked(bytes, *crc).len()).sum::<usize>());
    });
    group.bench_function("read", |b| {
        b.iter_batched(|| (), |()| read_all(&written), BatchSize::PerIteration);
    });
    group.finish();
}

fn write(entries: &[Entry]) -> Vec<(Vec<u8>, u32)> {
    let mut archive = Archive::new();
    let mut one = |entries: &[Entry]| {
        entries.iter().for_each(|entry| assert!(archive.push_entry(entry)));
        let bytes = archive.finish();
        let crc = checksum(&bytes);
        (bytes, crc)
    };
    entries.chunks(ARCHIVE_KEYS).map(&mut one).collect()
}

fn checked(bytes: &[u8], crc: u32) -> corevault::store::archive::Items<'_> {
    assert_eq!(checksum(bytes), crc);
    read(bytes).expect("what was written can be read")
}

fn read_all(written: &[(Vec<u8>, u32)]) -> Vec<Entry> {
    let mut entries = Vec::with_capacity(written.len() * ARCHIVE_KEYS);
    for (bytes, crc) in written {
        entries.extend(checked(bytes, *crc).map(|item| {
            let payload = item.payload().expect("no effects were written");
            Entry::new(0, item.key, payload, item.expire_at_ms, item.clock)
        }));
    }
    entries
}

/// Entries whose allocations lie in another order than they themselves, as those of a table do.
fn shuffled_entries(keys: usize) -> Vec<Entry> {
    let new = |n| Entry::new(0, &key(n), Payload::Bytes(&value(n)), None, 0);
    let mut entries: Vec<Option<Entry>> = (0..keys).map(|n| Some(new(n))).collect();
    // A step that shares no factor with the number of keys visits each once.
    let step = (keys / 3..).find(|step| gcd(*step, keys) == 1).expect("there is a prime");
    (0..keys).map(|n| entries[n * step % keys].take().expect("each once")).collect()
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// What a restart waits for: the directory of a snapshot that has an archive for each slot.
fn open(c: &mut Criterion) {
    let header = SnapshotHeader { id: 1, created_ms: 0, shards: 1 };
    let mut bytes = header.encode().to_vec();
    let (archive, crc) = write(&shuffled_entries(1)).remove(0);
    let length = archive.len() as u32;
    let at = |slot| {
        let offset = bytes.len() as u64;
        bytes.extend(&archive);
        bytes.resize((offset + reserved_bytes(archive.len())) as usize, 0);
        ArchiveAt { db: 0, slot, offset, length, crc, keys: 1, volatile: 0 }
    };
    let archives: Vec<ArchiveAt> = (0..SLOTS as u16).map(at).collect();
    bytes.extend(ending(&header, &archives, &[], bytes.len() as u64));
    assert_eq!(Snapshot::open(bytes.clone()).expect("a snapshot").archives(), archives);
    c.bench_function("snapshot/open", |b| {
        b.iter_batched(
            || bytes.clone(),
            |bytes| Snapshot::open(bytes).map(|it| it.keys()),
            BatchSize::PerIteration,
        );
    });
}

criterion_group!(benches, archives, open);
criterion_main!(benches);
