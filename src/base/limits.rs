//! Every bound of the server in one place, with the proofs that they fit together.
//! A bound that an operator may change is only the default here; `config` holds the value in force.

/// Databases, as in Redis's default configuration (`databases 16`).
pub const DATABASES: usize = 16;

/// One bulk string, bytes: Redis's `proto-max-bulk-len`.
pub const BULK_BYTES_MAX: usize = 512 * 1024 * 1024;
/// One inline command line or one length line, bytes: Redis's `PROTO_INLINE_MAX_SIZE`.
pub const INLINE_BYTES_MAX: usize = 64 * 1024;
/// Elements of one command: Redis's cap on a multibulk count.
pub const ARGS_MAX: i64 = i32::MAX as i64;
/// Unparsed input kept for one client, bytes: Redis's `client-query-buffer-limit`.
pub const QUERY_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// Replies waiting for one client at which its commands are no longer executed, bytes.
pub const REPLY_BYTES_PAUSE: usize = 64 * 1024 * 1024;
/// Replies waiting for one client at which it is disconnected, bytes.
pub const REPLY_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// Bytes handed to the kernel in one send: what it takes of a large reply is seen piece by piece, so a slow reader that does read
/// is told from one that does not. One that takes less than this within the stall time counts as not reading.
pub const SEND_BYTES_MAX: usize = 1024 * 1024;
/// How long a client may stay paused without reading before it is disconnected, seconds.
pub const REPLY_STALL_SECONDS_MAX: u64 = 60;
/// Input accepted from a client whose commands are not executed at the moment, bytes; past it the socket is no longer read.
pub const HELD_QUERY_BYTES_MAX: usize = 64 * 1024;

/// An argument of which more than this is missing gets its whole space at once, bytes.
pub const BIG_ARGUMENT_BYTES: usize = 32 * 1024;
/// A query buffer larger than this is given back when it is empty, bytes.
pub const QUERY_BYTES_KEPT_MAX: usize = 64 * 1024;
/// A reply buffer larger than this is given back when its replies are sent, bytes.
pub const REPLY_BYTES_KEPT_MAX: usize = 64 * 1024;
/// Free reply buffers that a shard keeps.
pub const SPARE_REPLY_BUFFERS_MAX: usize = 1024;
/// A send up to this size is expected to complete as it is submitted: it fits the socket's buffer, bytes.
pub const INLINE_SEND_BYTES_MAX: usize = 16 * 1024;
/// Pause before accepting again when the process has no descriptors left, milliseconds.
pub const ACCEPT_PAUSE_MS: i64 = 100;

/// Commands that are looked up together before any of them runs (see `docs/ARCHITECTURE.md`, prefetch).
pub const PREFETCH_BATCH: usize = 32;
/// A read longer than this holds a pipeline, which has a prefetch of its own, bytes.
pub const ANNOUNCED_BYTES_MAX: usize = 512;
/// Keys looked at for expired ones near one that was met by chance.
pub const EXPIRED_STEP: usize = 1000;
/// Even choices of a random key that may fall on expired ones before the next live key is taken.
pub const RANDOM_CHOICES_MAX: usize = 4;
/// What a table costs to free at least, in entries: most slots of a small database are empty, and there are many.
pub const TABLE_COST: usize = 16;
/// Words of a batch for which space is kept.
pub const BATCH_SPANS_KEPT_MAX: usize = 16 * 1024;
/// Entries of a flushed database freed between two looks at the sockets.
pub const DISCARD_STEP: usize = 2000;
/// Commands of one client that may be under way on other shards at once.
pub const FLIGHT_CALLS_MAX: usize = 1024;

/// Free message objects that a shard keeps, and the most bytes that one of them may hold.
pub const SPARE_CALLS_MAX: usize = 64;
/// See `SPARE_CALLS_MAX`.
pub const SPARE_CALLS_BYTES_MAX: usize = 256 * 1024;

/// Messages an inbox holds. A sender that finds it full keeps its message and stops reading the clients concerned.
pub const INBOX_MESSAGES: usize = 1024;
/// Messages a shard takes from its inbox before it looks at its sockets again.
pub const INBOX_BATCH: usize = 256;

/// One provided receive buffer, bytes. A power of two is not needed; a page multiple is.
pub const RECV_BUFFER_BYTES: usize = 16 * 1024;
/// Provided receive buffers of a shard. Must be a power of two (kernel rule).
pub const RECV_BUFFERS: u16 = 256;
/// Submission queue entries of a shard's ring.
pub const RING_ENTRIES: u32 = 1024;
/// Completion queue entries of a shard's ring: an overflow would end multishot requests.
pub const RING_COMPLETIONS: u32 = 8192;

/// Entries of one table of a slot; one more splits it. Tables stay below 2,048 buckets, so the 16 hash bits of a cell
/// are enough to place it and growing never touches an entry.
pub const TABLE_ENTRIES_MAX: usize = 1792;
/// A string longer than this lives in its own allocation, so that appending to it is amortised, bytes.
pub const INLINE_STRING_BYTES_MAX: usize = 4096;
/// A packed collection longer than this lives in its own allocation: changing a shorter one copies it out and back, bytes.
pub const INLINE_PACKED_BYTES_MAX: usize = 512;

/// Payload of one record of the append-only file, bytes: what is larger becomes a group of several records.
pub const RECORD_PAYLOAD_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Effects that become a record before the turn ends, bytes; one command's are never split.
pub const LOG_GROUP_BYTES: usize = 64 * 1024;
/// Records that wait to be written are written at once when they are as many, bytes; otherwise after `LOG_WRITE_DELAY_MS`.
pub const LOG_WRITE_BYTES_MIN: usize = 64 * 1024;
/// How long a record waits for others before it is written, unless replies wait for it, milliseconds.
pub const LOG_WRITE_DELAY_MS: i64 = 2;
/// Records that wait to be written at which clients that write have to wait, bytes.
pub const LOG_BUFFER_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Records that are not known to be durable at which clients that write have to wait, bytes.
pub const LOG_UNSYNCED_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// A buffer for records larger than this is given back, bytes.
pub const LOG_BUFFER_KEPT_BYTES_MAX: usize = 1024 * 1024;
/// Zeros written ahead in a segment at a time, under `always`, bytes.
pub const LOG_FILL_BYTES: u64 = 4 * 1024 * 1024;
/// Time between two syncs under `everysec`, milliseconds.
pub const LOG_SYNC_INTERVAL_MS: i64 = 1000;
/// Time between two tries to write to a disk that is full, milliseconds.
pub const LOG_RETRY_MS: i64 = 100;
/// Time between two looks whether clients that write have to wait any longer, milliseconds.
pub const BEHIND_CHECK_MS: i64 = 2;
/// Time between two looks whether logs are durable for which a client waits, milliseconds.
pub const LOG_WAIT_CHECK_MS: i64 = 5;

/// Bytes of keys and values that a save archives between two looks at the sockets.
pub const SAVE_STEP_BYTES: usize = 32 * 1024;
/// An archive of a snapshot is closed once it is this long, bytes; one entry may take it past that. Little in unit tests, as are the
/// next two, so that they meet it.
pub const ARCHIVE_BYTES: usize = if cfg!(test) { 512 } else { 128 * 1024 };
/// A collection larger than this is not archived with its table at once: a cheap copy of it is, in steps, bytes.
pub const ARCHIVED_VALUE_BYTES_MAX: usize = if cfg!(test) { 1024 } else { 64 * 1024 };
/// A string longer than this is archived in pieces, from a copy, bytes.
pub const ARCHIVED_STRING_BYTES_MAX: usize = if cfg!(test) { 5000 } else { 1024 * 1024 };
/// Elements of a large value that are archived, or freed, between two looks at how much was done.
pub const VALUE_STEP: usize = if cfg!(test) { 8 } else { 256 };
/// A collection larger than this is freed in steps, bytes.
pub const FREED_AT_ONCE_BYTES_MAX: usize = if cfg!(test) { 1024 } else { 64 * 1024 };
/// Collections that may wait to be freed in steps; one more is freed at once.
pub const DISCARDED_VALUES_MAX: usize = 64;
/// Archives written together, bytes.
pub const SAVE_CHUNK_BYTES: usize = 256 * 1024;
/// Bytes of a snapshot after which what was written is synced, while more is archived.
pub const SAVE_SYNC_BYTES: usize = 16 * 1024 * 1024;
/// Writes of a save under way at once, of one shard.
pub const SAVE_WRITES_MAX: usize = 2;
/// Archives that wait to be written at which clients that write have to wait, bytes.
pub const SAVE_BUFFER_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Time between two looks whether a save is due while there are changes, milliseconds.
pub const SAVE_CHECK_MS: i64 = 100;
/// Time after a save that failed before one begins by itself, milliseconds.
pub const SAVE_RETRY_MS: i64 = 5000;
/// Keys restored between two looks at the sockets.
pub const RESTORE_STEP_KEYS: usize = 300;

/// Shards of one process.
pub const SHARDS_MAX: usize = 1024;

const _: () = assert!(REPLY_BYTES_MAX > BULK_BYTES_MAX, "one value must fit a reply buffer");
const _: () = assert!(REPLY_BYTES_PAUSE < REPLY_BYTES_MAX);
const _: () = assert!(QUERY_BYTES_MAX > BULK_BYTES_MAX, "one value must fit a query buffer");
const _: () = assert!(QUERY_BYTES_MAX <= u32::MAX as usize, "spans hold 32-bit positions");
const _: () = assert!(RECV_BUFFERS.is_power_of_two());
const _: () = assert!(RING_COMPLETIONS >= 4 * RING_ENTRIES);
const _: () = assert!(TABLE_ENTRIES_MAX * 8 / 7 <= 2048);
const _: () = assert!(SHARDS_MAX <= u16::MAX as usize);
const _: () = assert!(RECORD_PAYLOAD_BYTES_MAX.is_multiple_of(8), "records are padded to multiples of 8");
const _: () = assert!(RECORD_PAYLOAD_BYTES_MAX > 16 + 3 * SHARDS_MAX, "the head of a part fits one record");
const _: () = assert!(SAVE_BUFFER_BYTES_MAX > SAVE_CHUNK_BYTES * SAVE_WRITES_MAX);
