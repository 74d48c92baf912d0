//! The longest pause of an insert while a store grows: our keyspace beside one hash table of the same entries.
//! No criterion here: what counts is the single worst insert, which averages hide.
//!
//! `INSERT_PAUSE_KEYS` and `INSERT_PAUSE_ROUNDS` change the defaults. A round fills each store twice, every time in a process
//! of its own: with memory fresh from the kernel, which shows what the store takes but adds the machine's page faults to the
//! pauses, and with memory that the allocator already has, where the pauses are those of the store.
//!
//! Every insert is timed by itself; what two readings of the clock add is printed as `clock`. `wall` is the worst insert as a
//! client would see it. The other times leave out how long the thread was ready but had no CPU, as the kernel counts it:
//! other programs on the machine are no property of a store. What a hypervisor takes away, no guest can leave out.

use std::env;
use std::fs::{self, File};
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};
use std::time::Instant;

use corevault::base::slot::SLOTS;
use corevault::store::keyspace::{Key, Keyspace};
use corevault::store::table::hash_key;
use hashbrown::HashTable;

use common::{KEY_BYTES, VALUE_BYTES, key, sized, value};

mod common;

/// Set in the processes that fill one store: which one.
const STORE: &str = "INSERT_PAUSE_STORE";
const KEYS: &str = "INSERT_PAUSE_KEYS";
/// Set where memory is touched before the store is filled.
const TOUCHED: &str = "INSERT_PAUSE_TOUCHED";
const ROUNDS: &str = "INSERT_PAUSE_ROUNDS";

/// What our entries have before the key.
const HEADER_BYTES: usize = 16;
const RECORD_BYTES: usize = HEADER_BYTES + KEY_BYTES + VALUE_BYTES;

/// A store that grows.
trait Store {
    fn insert(&mut self, key: &[u8; KEY_BYTES], value: &[u8; VALUE_BYTES]);
    fn holds(&mut self, key: &[u8; KEY_BYTES], value: &[u8; VALUE_BYTES]) -> bool;
    fn len(&self) -> usize;
}

impl Store for Keyspace {
    fn insert(&mut self, key: &[u8; KEY_BYTES], value: &[u8; VALUE_BYTES]) {
        self.set_string(0, &Key::new(key), value, None, 0);
    }

    fn holds(&mut self, key: &[u8; KEY_BYTES], value: &[u8; VALUE_BYTES]) -> bool {
        let found = self.string(0, &Key::new(key), 0, None);
        found.is_ok_and(|found| found.is_some_and(|found| found.to_vec() == value))
    }

    fn len(&self) -> usize {
        Keyspace::len(self, 0)
    }
}

/// One table of allocations that are laid out as ours, and no smaller or larger: header, key, value.
#[derive(Default)]
struct OneTable(HashTable<Box<[u8; RECORD_BYTES]>>);

fn key_of(record: &[u8; RECORD_BYTES]) -> &[u8] {
    &record[HEADER_BYTES..][..KEY_BYTES]
}

impl Store for OneTable {
    fn insert(&mut self, key: &[u8; KEY_BYTES], value: &[u8; VALUE_BYTES]) {
        let hash = hash_key(key);
        if let Some(record) = self.0.find_mut(hash, |record| key_of(record) == key) {
            record[HEADER_BYTES + KEY_BYTES..].copy_from_slice(value);
            return;
        }
        let mut record = Box::new([0; RECORD_BYTES]);
        record[HEADER_BYTES..][..KEY_BYTES].copy_from_slice(key);
        record[HEADER_BYTES + KEY_BYTES..].copy_from_slice(value);
        self.0.insert_unique(hash, record, |record| hash_key(key_of(record)));
    }

    fn holds(&mut self, key: &[u8; KEY_BYTES], value: &[u8; VALUE_BYTES]) -> bool {
        let found = self.0.find(hash_key(key), |record| key_of(record) == key);
        found.is_some_and(|record| record[HEADER_BYTES + KEY_BYTES..] == value[..])
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

fn main() {
    let keys = number_from(KEYS).unwrap_or_else(|| sized(5_000_000, 20_000));
    if env::var_os(TOUCHED).is_some() {
        touch_memory(keys);
    }
    match env::var(STORE).as_deref() {
        Ok("keyspace") => println!("{}", fill(Keyspace::new(0..SLOTS), keys).to_line()),
        Ok("table") => println!("{}", fill(OneTable::default(), keys).to_line()),
        _ => compare(keys, number_from(ROUNDS).unwrap_or_else(|| sized(3, 1))),
    }
}

fn compare(keys: usize, rounds: usize) {
    let clock = clock_ns();
    println!(
        "{keys} keys of {KEY_BYTES} bytes, values of {VALUE_BYTES}; times in microseconds; clock {clock} ns"
    );
    println!(
        "round memory  store          wall    worst  at key 2nd worst p99.9999   p99.99 >1ms >5ms  bytes/key over payload"
    );
    for round in 1..=rounds {
        for memory in ["fresh", "touched"] {
            let [ours, table] = ["keyspace", "table"].map(|store| {
                let filled = fill_in_process(store, memory == "touched", keys);
                println!("{round:>5} {memory:<7} {store:<8} {}", filled.to_row(keys));
                filled.worst_ns[0] as f64
            });
            println!("{round:>5} {memory:<7} worst(keyspace) / worst(table) = {:.5}", ours / table);
        }
    }
}

/// What filling one store has shown.
struct Filled {
    /// The worst insert with the time that the thread had no CPU.
    wall_ns: u64,
    /// The worst insert, the second worst, and the 99.9999th and 99.99th percentile.
    worst_ns: [u64; 4],
    /// Number of the key whose insert was the worst.
    worst_key: u64,
    above_1_ms: u64,
    above_5_ms: u64,
    /// Memory that the store has made resident.
    resident_bytes: u64,
}

impl Filled {
    fn to_row(&self, keys: usize) -> String {
        let Filled { wall_ns, worst_ns, worst_key, above_1_ms, above_5_ms, resident_bytes } = self;
        let wall = *wall_ns as f64 / 1000.0;
        let [worst, second, p99_9999, p99_99] = worst_ns.map(|ns| ns as f64 / 1000.0);
        let over = match resident_bytes {
            0 => "-".to_owned(),
            bytes => format!("{:.1}", *bytes as f64 / keys as f64 - (KEY_BYTES + VALUE_BYTES) as f64),
        };
        format!(
            "{wall:>10.1} {worst:>8.1} {worst_key:>7} {second:>9.1} {p99_9999:>8.1} {p99_99:>8.1} \
             {above_1_ms:>4} {above_5_ms:>4} {over:>23}"
        )
    }

    fn to_line(&self) -> String {
        let Filled { wall_ns, worst_ns: [a, b, c, d], worst_key, above_1_ms, above_5_ms, resident_bytes } =
            self;
        format!("{wall_ns} {a} {b} {c} {d} {worst_key} {above_1_ms} {above_5_ms} {resident_bytes}")
    }

    fn from_line(line: &str) -> Option<Filled> {
        let numbers: Vec<u64> = line.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
        let [wall_ns, a, b, c, d, worst_key, above_1_ms, above_5_ms, resident_bytes] =
            numbers.try_into().ok()?;
        Some(Filled { wall_ns, worst_ns: [a, b, c, d], worst_key, above_1_ms, above_5_ms, resident_bytes })
    }
}

/// Runs this program again for one store.
fn fill_in_process(store: &str, is_touched: bool, keys: usize) -> Filled {
    let mut command = Command::new(env::current_exe().expect("the path of this program"));
    command.env(STORE, store).env(KEYS, keys.to_string()).stderr(Stdio::inherit());
    if is_touched {
        // The allocator must not give the touched memory back.
        command.env(TOUCHED, "1").env("MIMALLOC_PURGE_DELAY", "-1");
    }
    let output = command.output().expect("this program starts a second time");
    assert!(output.status.success(), "filling the {store} failed: {}", output.status);
    Filled::from_line(&String::from_utf8_lossy(&output.stdout)).expect("the line that `to_line` wrote")
}

/// Leaves the allocator with more memory than either store needs, every page of it touched.
fn touch_memory(keys: usize) {
    const PIECE_BYTES: usize = 1 << 20;
    let pieces = (keys * 2 * RECORD_BYTES).div_ceil(PIECE_BYTES);
    black_box((0..pieces).map(|_| vec![1u8; PIECE_BYTES]).collect::<Vec<_>>());
}

/// Inserts every key, timing each insert, and checks that all are there.
fn fill(mut store: impl Store, keys: usize) -> Filled {
    // Written once, so that neither their pages nor their faults count as the store's.
    let (mut walls_ns, mut times_ns) = (vec![u64::MAX; keys], vec![u64::MAX; keys]);
    let mut waits = Waits::new();
    let resident_before = resident_bytes();
    for n in 0..keys {
        let (key, value) = (key(n), value(n));
        let start = Instant::now();
        store.insert(&key, &value);
        walls_ns[n] = start.elapsed().as_nanos() as u64;
        times_ns[n] = walls_ns[n].saturating_sub(waits.since_last_ns());
    }
    let resident_bytes = resident_bytes().saturating_sub(resident_before);

    assert_eq!(store.len(), keys);
    for n in 0..keys {
        assert!(store.holds(&key(n), &value(n)), "key {n} is lost");
    }

    let wall_ns = walls_ns.iter().copied().max().expect("there are keys");
    let worst_key = (0..keys).max_by_key(|&n| times_ns[n]).expect("there are keys") as u64;
    let above = |limit_ns| times_ns.iter().filter(|time_ns| **time_ns > limit_ns).count() as u64;
    let (above_1_ms, above_5_ms) = (above(1_000_000), above(5_000_000));
    times_ns.sort_unstable();
    let worst_ns = [0, 1, keys / 1_000_000, keys / 10_000].map(|rank| times_ns[keys - 1 - rank]);
    // Touched memory was resident before.
    let resident_bytes = if env::var_os(TOUCHED).is_some() { 0 } else { resident_bytes };
    Filled { wall_ns, worst_ns, worst_key, above_1_ms, above_5_ms, resident_bytes }
}

/// How long this thread was ready to run and had no CPU: the second number of its `schedstat`, see the kernel's
/// sched-stats.rst.
struct Waits {
    schedstat: File,
    last_ns: u64,
}

impl Waits {
    fn new() -> Waits {
        let schedstat = File::open("/proc/thread-self/schedstat").expect("Linux has /proc");
        let mut waits = Waits { schedstat, last_ns: 0 };
        waits.since_last_ns();
        waits
    }

    fn since_last_ns(&mut self) -> u64 {
        let mut text = [0; 64];
        let length = self.schedstat.read_at(&mut text, 0).expect("the file stays readable");
        let total_ns = number_at(&text[..length], 1).expect("a time in nanoseconds");
        total_ns - std::mem::replace(&mut self.last_ns, total_ns)
    }
}

/// Memory of this process that is resident: the second number of `statm`, see proc_pid_statm(5).
fn resident_bytes() -> u64 {
    let statm = fs::read("/proc/self/statm").expect("Linux has /proc");
    number_at(&statm, 1).expect("a number of pages") * rustix::param::page_size() as u64
}

/// Median of what two readings of the clock measure with nothing between them.
fn clock_ns() -> u128 {
    let mut times: Vec<u128> = (0..10_001).map(|_| Instant::now().elapsed().as_nanos()).collect();
    times.sort_unstable();
    times[times.len() / 2]
}

/// Word `i` of a line, as a number.
fn number_at(line: &[u8], i: usize) -> Option<u64> {
    str::from_utf8(line).ok()?.split_whitespace().nth(i)?.parse().ok()
}

fn number_from(name: &str) -> Option<usize> {
    let text = env::var(name).ok()?;
    let number = text.parse().ok().filter(|number| *number > 0);
    Some(number.unwrap_or_else(|| panic!("{name}={text} is no number from 1 up")))
}
