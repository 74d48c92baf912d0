//! A shard's append-only file while the shard runs: which records are made, which wait to be written, and how far they are durable.
//! Performs nothing: it says what is to be written and synced, and is told how that went. Never looks at a key.
//!
//! # From effects to durable records
//!
//! `append` puts a group of effects behind those that wait. At most one write is under way; all that waits goes into the next one, so
//! however many clients wrote meanwhile, they share it: group commit. Under `always` a write is durable when it completes (one request
//! instead of two), under `everysec` and `no` it is delayed a little, so that a quiet server does not make a request for each command, and
//! files are synced each second, or by the kernel alone.
//!
//! # Space made ahead
//!
//! A durable write that makes a file longer has the file system commit its journal; one over bytes that are there already does not, and
//! takes half the time or less (`docs/decisions.md`). So under `always` the file is filled with zeros some way ahead (`take_fill`), which
//! recovery takes for the end. No record is written where zeros may still be on their way.
//!
//! # Segments
//!
//! A *cut* (`begin_segment`) ends the segment and goes on in the next file. The old one stays at hand until all of it is durable: a
//! sequence number is durable only if all before it are.
//!
//! # Failures
//!
//! A disk that is full is tried again: nothing of what could not be written is lost, it waits here. After any other failure, that of a sync
//! above all, nobody knows what the file holds. The log is then *broken*: nothing more is written until a cut begins another file. That
//! file alone is worth nothing, so nothing more counts as durable until the base that the cut was made for has been published
//! (`base_published`). A log that is turned on begins in the same way.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use crate::base::limits::{
    LOG_BUFFER_BYTES_MAX, LOG_BUFFER_KEPT_BYTES_MAX, LOG_FILL_BYTES, LOG_RETRY_MS, LOG_SYNC_INTERVAL_MS,
    LOG_UNSYNCED_BYTES_MAX, LOG_WRITE_BYTES_MIN, LOG_WRITE_DELAY_MS,
};
use crate::config::persistence::Fsync;
use crate::persist::disk::Handle;
use crate::persist::record::{self, Kind};
use crate::persist::segment::SegmentHeader;

/// A file that is open for a shard to write: the handle is closed when nobody needs it any more.
pub type OpenFile = Arc<Handle>;

/// Something to be done with a file.
#[derive(Debug)]
pub enum DiskOp {
    /// Write `bytes[from..]` at `at`; the data is durable on completion if `is_durable`.
    Write {
        /// Where to.
        file: OpenFile,
        /// Offset in the file.
        at: u64,
        /// The bytes; they come back with the completion.
        bytes: Vec<u8>,
        /// How many of them are written already.
        from: usize,
        /// As with `RWF_DSYNC`.
        is_durable: bool,
    },
    /// Make everything written so far durable.
    Sync {
        /// Which file.
        file: OpenFile,
    },
}

/// How an operation went.
#[derive(Debug)]
pub enum DiskDone {
    /// A write: bytes written, which may be fewer than asked for.
    Written {
        /// How many, or why none.
        result: io::Result<usize>,
        /// The bytes of the request.
        bytes: Vec<u8>,
    },
    /// A sync.
    Synced {
        /// Whether it worked.
        result: io::Result<()>,
    },
}

impl DiskDone {
    /// Whether the disk refused.
    pub fn is_failure(&self) -> bool {
        match self {
            DiskDone::Written { result, .. } => !matches!(result, Ok(written) if *written > 0),
            DiskDone::Synced { result } => result.is_err(),
        }
    }
}

/// What a segment that was made ready needs.
#[derive(Clone, Debug)]
pub struct NextSegment {
    /// The file, empty.
    pub file: OpenFile,
    /// What its header says, but for the first sequence number.
    pub header: SegmentHeader,
}

/// A segment being written, or waiting to become durable.
#[derive(Debug)]
struct Segment {
    file: OpenFile,
    seed: u32,
    number: u64,
    /// Bytes handed out for writing; where the next write goes.
    length: u64,
    /// Last sequence number that a completed write covers.
    written: u64,
    /// Last one that a completed sync covers.
    synced: u64,
    /// Bytes written since that sync began.
    unsynced_bytes: usize,
    /// Where the zeros written ahead end; 0 if there are none.
    filled: u64,
}

/// Zeros on their way.
#[derive(Debug)]
struct Filling {
    segment: u64,
    from: u64,
    to: u64,
    written: usize,
}

/// Records for one file that wait to be written.
#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// Last sequence number among them.
    last: u64,
}

#[derive(Debug)]
struct Writing {
    /// Number of the segment.
    segment: u64,
    at: u64,
    length: usize,
    from: usize,
    last: u64,
    is_durable: bool,
}

/// Why the log does not go on by itself.
#[derive(Debug)]
enum Trouble {
    /// The write that could not be made, and when it is tried again.
    Full { file: OpenFile, bytes: Vec<u8>, retry_ms: i64, cause: String },
    /// See the module.
    Broken { cause: String },
}

/// What a log was given, for tests that compare it with what a restart finds.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub enum Given {
    /// A segment begins.
    Segment { number: u64, first_seq: u64 },
    /// A group, with the sequence number of its last record.
    Group { last_seq: u64, kind: Kind, payload: Vec<u8> },
}

/// See the module.
pub struct Log {
    strategy: Fsync,
    /// The one being written last; those before it are not durable yet. None: nothing is logged.
    segments: VecDeque<Segment>,
    /// What waits for each of `segments`, in the same order.
    waiting: VecDeque<Waiting>,
    next_seq: u64,
    durable: u64,
    writing: Option<Writing>,
    /// The segment being synced, up to which sequence number, and how many bytes that covers.
    syncing: Option<(u64, u64, usize)>,
    trouble: Option<Trouble>,
    /// First sequence number of a segment that means nothing without a base that has not been published yet.
    unpublished: Option<u64>,
    /// When the records that wait are due to be written.
    write_ms: Option<i64>,
    /// When the last sync began.
    synced_ms: i64,
    syncs_delayed: u64,
    /// Bytes of the segments since the base.
    bytes: u64,
    spare: Vec<u8>,
    filling: Option<Filling>,
    /// The disk did not take zeros: records are appended as they come.
    fills_not: bool,
    /// Nothing more is appended.
    is_finishing: bool,
    /// The record that says so has been made.
    is_ended: bool,
    /// What it was given so far, where a test listens.
    witness: Option<Vec<Given>>,
}

impl Log {
    /// A log that keeps nothing.
    pub fn off() -> Log {
        Log {
            strategy: Fsync::EverySecond,
            segments: VecDeque::new(),
            waiting: VecDeque::new(),
            next_seq: 1,
            durable: 0,
            writing: None,
            syncing: None,
            trouble: None,
            unpublished: None,
            write_ms: None,
            synced_ms: 0,
            syncs_delayed: 0,
            bytes: 0,
            spare: Vec::new(),
            filling: None,
            fills_not: false,
            is_finishing: false,
            is_ended: false,
            witness: None,
        }
    }

    /// Remembers what it is given, in a debug build, which `witnessed` tells.
    #[doc(hidden)]
    pub fn listen(&mut self) {
        self.witness = Some(Vec::new());
    }

    /// What it was given since `listen`.
    #[doc(hidden)]
    pub fn witnessed(&self) -> &[Given] {
        self.witness.as_deref().unwrap_or_default()
    }

    #[inline]
    fn witness(&mut self, given: impl FnOnce() -> Given) {
        if cfg!(debug_assertions)
            && let Some(witness) = &mut self.witness
        {
            witness.push(given());
        }
    }

    /// Whether effects are logged.
    #[inline]
    pub fn is_on(&self) -> bool {
        !self.segments.is_empty()
    }

    /// Whether what is appended is kept.
    #[inline]
    pub fn is_recording(&self) -> bool {
        self.is_on() && !self.is_finishing
    }

    /// Whether replies must wait until what was done before them is durable.
    #[inline]
    pub fn holds_replies(&self) -> bool {
        self.is_on() && self.strategy == Fsync::Always
    }

    /// Whether they must, or would have to if `always` were chosen next.
    #[inline]
    pub fn may_hold_replies(&self) -> bool {
        self.is_on() && self.strategy != Fsync::No
    }

    /// The last sequence number made.
    #[inline]
    pub fn appended(&self) -> u64 {
        self.next_seq - 1
    }

    /// The last sequence number that is durable with all before it; all of them where nothing is logged.
    #[inline]
    pub fn durable(&self) -> u64 {
        if self.is_on() { self.durable } else { self.appended() }
    }

    /// Bytes of the segments since the last base.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of records that are not written yet.
    pub fn buffer_bytes(&self) -> usize {
        let under_way = self.writing.as_ref().map_or(0, |writing| writing.length);
        under_way + self.waiting.iter().map(|waiting| waiting.bytes.len()).sum::<usize>()
    }

    /// Bytes of records that are not known to be durable.
    pub fn unsynced_bytes(&self) -> usize {
        self.buffer_bytes() + self.segments.iter().map(|segment| segment.unsynced_bytes).sum::<usize>()
    }

    /// Syncs that took so long that the next one was due.
    pub fn syncs_delayed(&self) -> u64 {
        self.syncs_delayed
    }

    /// Segments of earlier generations, of so many bytes, that the base has not replaced yet.
    pub fn add_earlier(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// Whether a sync is under way.
    pub fn is_syncing(&self) -> bool {
        self.syncing.is_some()
    }

    /// Whether no client may add to it until it has been written.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.is_on()
            && (self.buffer_bytes() > LOG_BUFFER_BYTES_MAX || self.unsynced_bytes() > LOG_UNSYNCED_BYTES_MAX)
    }

    /// Why the log cannot be written, if it cannot.
    pub fn error(&self) -> Option<&str> {
        match &self.trouble {
            None => None,
            Some(Trouble::Full { cause, .. } | Trouble::Broken { cause }) => Some(cause),
        }
    }

    /// Whether nothing more becomes durable until a base has been published.
    pub fn needs_base(&self) -> bool {
        self.is_broken() || self.unpublished.is_some()
    }

    /// Whether it has failed so that only a new base can mend it.
    pub fn is_broken(&self) -> bool {
        matches!(self.trouble, Some(Trouble::Broken { .. }))
    }

    /// Whether nothing is left to be written or synced: after `finish`, that the process may end.
    pub fn is_settled(&self) -> bool {
        self.is_broken()
            || (self.writing.is_none()
                && self.filling.is_none()
                && self.syncing.is_none()
                && self.waiting.iter().all(|waiting| waiting.bytes.is_empty())
                && self.segments.iter().all(|segment| segment.synced == segment.written)
                && (!self.is_on() || self.is_ended || self.needs_base()))
    }

    /// Number of the segment that records go to; nothing where nothing is logged.
    pub fn segment(&self) -> Option<u64> {
        self.segments.back().map(|segment| segment.number)
    }

    // Changes -----------------------------------------------------------------------------------------------------

    /// How durable records are to be from now on.
    pub fn set_strategy(&mut self, strategy: Fsync) {
        self.strategy = strategy;
    }

    /// Appends a group: all of it takes effect after a crash, or nothing. `payload` is its parts, one after the other.
    #[inline]
    pub fn append(&mut self, kind: Kind, payload: &[&[u8]], now_ms: i64) {
        let (Some(segment), Some(waiting)) = (self.segments.back(), self.waiting.back_mut()) else { return };
        if self.is_finishing {
            return;
        }
        let before = waiting.bytes.len();
        record::append_group(
            &mut waiting.bytes,
            segment.seed,
            &mut self.next_seq,
            self.durable,
            kind,
            payload,
        );
        self.bytes += (waiting.bytes.len() - before) as u64;
        waiting.last = self.next_seq - 1;
        if self.write_ms.is_none() {
            self.write_ms = Some(now_ms + LOG_WRITE_DELAY_MS);
        }
        let last_seq = self.next_seq - 1;
        self.witness(|| Given::Group { last_seq, kind, payload: payload.concat() });
    }

    /// The record that ends a segment, once all before it is durable.
    fn append_end(&mut self) {
        let (Some(segment), Some(waiting)) = (self.segments.back(), self.waiting.back_mut()) else { return };
        let before = waiting.bytes.len();
        record::append(&mut waiting.bytes, segment.seed, self.next_seq, self.durable, Kind::End, &[]);
        self.bytes += (waiting.bytes.len() - before) as u64;
        waiting.last = self.next_seq;
        self.next_seq += 1;
        self.write_ms = Some(0);
        self.is_ended = true;
    }

    /// A cut: records from here on go to another file. Returns the first sequence number there. `is_fresh`: what is in that file means
    /// nothing without the base of this cut.
    pub fn begin_segment(&mut self, next: NextSegment, is_fresh: bool, now_ms: i64) -> u64 {
        let is_broken = self.is_broken();
        if is_broken {
            // What follows the failure is in the base that this cut is made for.
            self.waiting.clear();
            self.segments.clear();
        }
        if is_broken || is_fresh {
            // A number is left out: whatever becomes of the manifest, this segment never looks as if it followed the one before.
            self.next_seq += 1;
            self.unpublished = Some(self.next_seq);
        }
        (self.is_finishing, self.is_ended) = (false, false);
        let NextSegment { file, header } = next;
        let header = SegmentHeader { first_seq: self.next_seq, ..header };
        let last = self.next_seq - 1;
        self.segments.push_back(Segment {
            file,
            seed: header.seed,
            number: header.number,
            length: 0,
            written: last,
            synced: last,
            unsynced_bytes: 0,
            filled: 0,
        });
        let mut waiting = Waiting { bytes: std::mem::take(&mut self.spare), last };
        waiting.bytes.extend_from_slice(&header.encode());
        self.bytes += waiting.bytes.len() as u64;
        self.waiting.push_back(waiting);
        self.write_ms.get_or_insert(now_ms);
        let (number, first_seq) = (header.number, header.first_seq);
        self.witness(|| Given::Segment { number, first_seq });
        self.synced_ms = now_ms;
        self.next_seq
    }

    /// A base with everything before `first_seq`, with which this segment begins, has been published; those before it are gone.
    pub fn base_published(&mut self, first_seq: u64, segment: u64) {
        self.bytes = self
            .segments
            .iter()
            .zip(&self.waiting)
            .filter(|(of, _)| of.number >= segment)
            .map(|(of, waiting)| of.length + waiting.bytes.len() as u64)
            .sum();
        // What the files before it hold matters to nobody any more.
        while self.segments.front().is_some_and(|of| of.number < segment) {
            self.segments.pop_front();
            self.waiting.pop_front();
        }
        if self.writing.as_ref().is_some_and(|writing| writing.segment < segment) && self.gives_up_retry() {
            self.trouble = None;
        }
        if self.unpublished.take_if(|unpublished| *unpublished <= first_seq).is_some() && self.is_broken() {
            self.trouble = None;
        }
        self.durable = self.durable.max(first_seq - 1);
        self.advance();
    }

    /// The base of the last cut could not be published: what was logged since that cut means nothing.
    pub fn base_failed(&mut self) {
        if self.unpublished.is_some() {
            self.break_down("its base could not be written".into());
        }
    }

    /// Nothing is logged from here on, and what was not written yet is given up.
    pub fn turn_off(&mut self) {
        let spare = std::mem::take(&mut self.spare);
        *self = Log { next_seq: self.next_seq, strategy: self.strategy, spare, ..Log::off() };
    }

    /// Nothing is logged from here on: the log ends cleanly. What was made so far is written and synced whatever the strategy.
    pub fn finish(&mut self, now_ms: i64) {
        if self.is_recording() {
            self.is_finishing = true;
            self.write_ms = self.write_ms.map(|_| now_ms);
        }
    }

    // What is to be done ------------------------------------------------------------------------------------------

    /// When `take_op` may have something that only waits for time to pass.
    pub fn next_tick_ms(&self) -> i64 {
        match &self.trouble {
            Some(Trouble::Full { retry_ms, .. }) => return *retry_ms,
            Some(Trouble::Broken { .. }) if self.unpublished.is_none() => return i64::MAX,
            _ => {}
        }
        let write = if self.writing.is_some() { None } else { self.write_ms };
        let is_dirty = self.segments.iter().any(|segment| segment.synced < segment.written);
        let syncs = self.strategy == Fsync::EverySecond && self.syncing.is_none() && is_dirty;
        let sync = syncs.then_some(self.synced_ms + LOG_SYNC_INTERVAL_MS);
        write.unwrap_or(i64::MAX).min(sync.unwrap_or(i64::MAX))
    }

    /// The next thing to do with a file.
    pub fn take_op(&mut self, now_ms: i64) -> Option<DiskOp> {
        if (self.is_broken() && self.unpublished.is_none()) || !self.is_on() {
            return None;
        }
        if self.is_finishing && !self.is_ended && !self.needs_base() && self.durable == self.appended() {
            self.append_end();
        }
        if let Some(op) = self.retry(now_ms) {
            return Some(op);
        }
        self.take_write(now_ms).or_else(|| self.take_sync(now_ms))
    }

    fn retry(&mut self, now_ms: i64) -> Option<DiskOp> {
        let Some(Trouble::Full { retry_ms, file, bytes, .. }) = &mut self.trouble else { return None };
        let writing = self.writing.as_ref().expect("what was full waits to be tried again");
        if *retry_ms > now_ms {
            return None;
        }
        // Until it has gone well, nothing counts as mended.
        *retry_ms = i64::MAX;
        let Writing { at, from, is_durable, .. } = *writing;
        let (file, bytes) = (Arc::clone(file), std::mem::take(bytes));
        Some(DiskOp::Write { file, at: at + from as u64, bytes, from, is_durable })
    }

    fn take_write(&mut self, now_ms: i64) -> Option<DiskOp> {
        if self.writing.is_some() {
            return None;
        }
        let index = self.waiting.iter().position(|waiting| !waiting.bytes.is_empty())?;
        let is_last = index + 1 == self.waiting.len();
        let is_durable = self.strategy == Fsync::Always;
        let is_due = self.write_ms.is_some_and(|at| at <= now_ms)
            || self.waiting[index].bytes.len() >= LOG_WRITE_BYTES_MIN;
        if is_last && !is_durable && !is_due {
            return None;
        }
        let segment = &mut self.segments[index];
        let end = segment.length + self.waiting[index].bytes.len() as u64;
        if self
            .filling
            .as_ref()
            .is_some_and(|filling| filling.segment == segment.number && end > filling.from)
        {
            // Zeros must not overtake records.
            return None;
        }
        let Waiting { bytes, last } = std::mem::replace(
            &mut self.waiting[index],
            Waiting { bytes: std::mem::take(&mut self.spare), last: 0 },
        );
        self.write_ms = self.waiting.iter().any(|waiting| !waiting.bytes.is_empty()).then_some(now_ms);
        let at = segment.length;
        segment.length += bytes.len() as u64;
        self.writing =
            Some(Writing { segment: segment.number, at, length: bytes.len(), from: 0, last, is_durable });
        Some(DiskOp::Write { file: Arc::clone(&segment.file), at, bytes, from: 0, is_durable })
    }

    /// Zeros to be written ahead, or what was written of them to be synced. At most one such operation at a time; it ends in `fill_done`.
    pub fn take_fill(&mut self) -> Option<DiskOp> {
        if self.strategy != Fsync::Always
            || self.fills_not
            || self.filling.is_some()
            || self.trouble.is_some()
        {
            return None;
        }
        let waiting = self.waiting.back()?.bytes.len() as u64;
        let segment = self.segments.back_mut().filter(|_| !self.is_finishing)?;
        let end = segment.length + waiting;
        if segment.filled >= end + LOG_FILL_BYTES / 2 {
            return None;
        }
        let from = segment.filled.max(end).next_multiple_of(4096);
        let to = from + LOG_FILL_BYTES;
        self.filling = Some(Filling { segment: segment.number, from, to, written: 0 });
        let file = Arc::clone(&segment.file);
        Some(DiskOp::Write {
            file,
            at: from,
            bytes: vec![0; LOG_FILL_BYTES as usize],
            from: 0,
            is_durable: false,
        })
    }

    /// What `take_fill` gave has ended. Returns what is to follow.
    pub fn fill_done(&mut self, done: DiskDone) -> Option<DiskOp> {
        let filling = self.filling.as_mut()?;
        let segment = self.segments.iter_mut().find(|segment| segment.number == filling.segment);
        let file = segment.as_ref().map(|segment| Arc::clone(&segment.file));
        match (done, file) {
            (DiskDone::Written { result: Ok(written), bytes }, Some(file)) if written > 0 => {
                filling.written += written;
                if filling.written == bytes.len() {
                    return Some(DiskOp::Sync { file });
                }
                let (at, from) = (filling.from + filling.written as u64, filling.written);
                return Some(DiskOp::Write { file, at, bytes, from, is_durable: false });
            }
            (DiskDone::Synced { result: Ok(()) }, _) => {
                if let Some(segment) = segment {
                    segment.filled = filling.to;
                }
            }
            (DiskDone::Synced { result: Err(error) }, Some(file)) => {
                // It may have been about records too.
                self.break_down(format!("cannot sync {}: {error}", file.name()));
            }
            // Space that cannot be had ahead may still come for records.
            _ => self.fills_not = true,
        }
        self.filling = None;
        None
    }

    fn take_sync(&mut self, now_ms: i64) -> Option<DiskOp> {
        if self.syncing.is_some() {
            return None;
        }
        let segment = self.segments.iter().position(|segment| segment.synced < segment.written)?;
        let is_old = segment + 1 < self.segments.len() && self.waiting[segment].bytes.is_empty();
        let is_due = match self.strategy {
            // What was written before `always` was chosen.
            Fsync::Always => true,
            Fsync::EverySecond => now_ms >= self.synced_ms + LOG_SYNC_INTERVAL_MS,
            Fsync::No => false,
        };
        let is_finished =
            self.is_finishing && self.writing.is_none() && self.waiting.iter().all(|w| w.bytes.is_empty());
        if !is_old && !is_due && !is_finished {
            return None;
        }
        let segment = &self.segments[segment];
        self.syncing = Some((segment.number, segment.written, segment.unsynced_bytes));
        self.synced_ms = now_ms;
        Some(DiskOp::Sync { file: Arc::clone(&segment.file) })
    }

    // How it went -------------------------------------------------------------------------------------------------

    /// An operation has ended. Returns what of a short write is still to be done.
    pub fn done(&mut self, done: DiskDone, now_ms: i64) -> Option<DiskOp> {
        match done {
            DiskDone::Written { result, bytes } => self.written(result, bytes, now_ms),
            DiskDone::Synced { result } => {
                self.syncs_delayed += u64::from(now_ms - self.synced_ms > LOG_SYNC_INTERVAL_MS);
                self.synced(result);
                None
            }
        }
    }

    fn written(&mut self, result: io::Result<usize>, mut bytes: Vec<u8>, now_ms: i64) -> Option<DiskOp> {
        let Some(writing) = self.writing.as_mut() else {
            // The log was turned off, or a base has made it needless.
            self.keep(bytes);
            return None;
        };
        let segment = self.segments.iter_mut().find(|segment| segment.number == writing.segment);
        let Some(segment) = segment else {
            // A base has been published meanwhile that holds all of it.
            self.writing = None;
            self.trouble.take_if(|trouble| matches!(trouble, Trouble::Full { .. }));
            self.keep(bytes);
            return None;
        };
        match result {
            Ok(written) if written > 0 && writing.from + written < writing.length => {
                writing.from += written;
                let (at, from, is_durable) =
                    (writing.at + writing.from as u64, writing.from, writing.is_durable);
                return Some(DiskOp::Write { file: Arc::clone(&segment.file), at, bytes, from, is_durable });
            }
            Ok(written) if written > 0 => {
                if matches!(self.trouble, Some(Trouble::Full { .. })) {
                    self.trouble = None;
                }
                segment.written = writing.last;
                if writing.is_durable && segment.unsynced_bytes == 0 {
                    segment.synced = writing.last;
                } else {
                    segment.unsynced_bytes += writing.length;
                }
                self.writing = None;
                bytes.clear();
                self.keep(bytes);
                self.advance();
            }
            _ if matches!(self.trouble, Some(Trouble::Broken { .. })) && !matches!(result, Ok(1..)) => {
                // It has failed before; only a base mends that.
                self.writing = None;
            }
            Ok(_) => self.out_of_space(bytes, "the file system takes no more bytes".into(), now_ms),
            Err(error) if is_lack_of_space(&error) => {
                let (name, at) = (segment.file.name(), writing.at);
                let cause = format!("cannot write {name} at byte {at}: {error}");
                self.out_of_space(bytes, cause, now_ms);
            }
            Err(error) => {
                let (name, at) = (segment.file.name(), writing.at);
                let cause = format!("cannot write {name} at byte {at}: {error}");
                self.writing = None;
                self.break_down(cause);
            }
        }
        None
    }

    fn out_of_space(&mut self, bytes: Vec<u8>, cause: String, now_ms: i64) {
        let writing = self.writing.as_ref().expect("a write has failed");
        let segment = self.segments.iter().find(|segment| segment.number == writing.segment);
        let file = Arc::clone(&segment.expect("it was found").file);
        self.trouble = Some(Trouble::Full { file, bytes, retry_ms: now_ms + LOG_RETRY_MS, cause });
    }

    fn synced(&mut self, result: io::Result<()>) {
        let Some((number, last, bytes)) = self.syncing.take() else { return };
        let Some(segment) = self.segments.iter_mut().find(|segment| segment.number == number) else { return };
        match result {
            Ok(()) => {
                segment.synced = segment.synced.max(last);
                segment.unsynced_bytes -= bytes;
                self.advance();
            }
            Err(error) => {
                let cause = format!("cannot sync {}: {error}", segment.file.name());
                self.break_down(cause);
            }
        }
    }

    /// Forgets the write that waits to be tried again, if there is one.
    fn gives_up_retry(&mut self) -> bool {
        // While it is being tried, its end is still to come.
        let waits = matches!(self.trouble, Some(Trouble::Full { retry_ms, .. }) if retry_ms < i64::MAX);
        if waits {
            self.writing = None;
        }
        waits
    }

    fn break_down(&mut self, cause: String) {
        self.gives_up_retry();
        // Of several failures the first one tells most.
        if !self.is_broken() {
            self.trouble = Some(Trouble::Broken { cause });
        }
        self.unpublished = None;
    }

    /// Looks how far everything is durable, and lets go of segments that are whole.
    fn advance(&mut self) {
        if self.needs_base() {
            return;
        }
        while let (Some(segment), Some(waiting)) = (self.segments.front(), self.waiting.front()) {
            self.durable = self.durable.max(segment.synced);
            let is_written = waiting.bytes.is_empty()
                && self.writing.as_ref().is_none_or(|writing| writing.segment != segment.number);
            if !is_written || segment.synced < segment.written || self.segments.len() == 1 {
                break;
            }
            self.segments.pop_front();
            self.waiting.pop_front();
        }
    }

    fn keep(&mut self, mut bytes: Vec<u8>) {
        bytes.clear();
        if bytes.capacity() <= LOG_BUFFER_KEPT_BYTES_MAX && bytes.capacity() > self.spare.capacity() {
            self.spare = bytes;
        }
    }
}

/// Whether more space would make a write possible that failed so.
fn is_lack_of_space(error: &io::Error) -> bool {
    let lacks = [libc::ENOSPC, libc::EDQUOT, libc::EFBIG];
    error.raw_os_error().is_some_and(|code| lacks.contains(&code))
}
