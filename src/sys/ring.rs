//! Owns a shard's io_uring: what may be submitted, the buffers that are in flight, and completions as values.
//! Knows descriptors and tokens; never knows a connection, a command or a shard.
//!
//! Everything the kernel reads or writes is owned here until its completion: receive buffers by `ReceiveBuffers`, replies
//! being sent by `sends`, what goes to files by `writes`. So safe code above cannot free what the kernel still uses.
//!
//! Sources: `io_uring_setup(2)`, `io_uring_enter(2)`, `io_uring_multishot(7)`.

use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use io_uring::types::{Fd, FsyncFlags, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};

use crate::sys::buffers::ReceiveBuffers;

const GROUP: u16 = 0;
/// Bytes of a file written with one request: a longer write is a short one.
const WRITE_BYTES_MAX: usize = 1 << 30;

/// Names a connection in completions: its index, and a generation that tells its users apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// Index of the connection.
    pub index: u32,
    /// The low 24 bits of its generation.
    pub generation: u32,
}

/// How large a ring is.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Submission queue entries.
    pub entries: u32,
    /// Completion queue entries.
    pub completions: u32,
    /// Receive buffers, a power of two.
    pub buffers: u16,
    /// Bytes of one.
    pub buffer_bytes: usize,
}

/// Something the kernel has finished.
#[derive(Debug)]
pub enum Event {
    /// A connection was accepted by the listener with this index; an error ends or interrupts accepting.
    Accepted { listener: u32, result: io::Result<OwnedFd>, is_armed: bool },
    /// Bytes have come, or the stream ended (`Ok(0)`), or receiving failed. `is_armed`: more will come.
    Received { token: Token, result: io::Result<usize>, buffer: Option<Received>, is_armed: bool },
    /// A send has ended; the buffer comes back.
    Sent { token: Token, result: io::Result<usize>, buffer: Vec<u8> },
    /// A write to a file has ended; the bytes come back.
    Written { operation: u32, result: io::Result<usize>, bytes: Vec<u8> },
    /// A sync of a file has ended.
    Synced { operation: u32, result: io::Result<()> },
    /// Another shard woke this one.
    Woken,
}

/// A receive buffer that is ours until `Ring::recycle` takes it back: it can be neither read after that nor given back twice.
#[derive(Debug)]
pub struct Received {
    id: u16,
    length: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Op {
    Accept = 1,
    Receive = 2,
    Send = 3,
    Wake = 4,
    Cancel = 5,
    Write = 6,
    Sync = 7,
}

fn pack(op: Op, token: Token) -> u64 {
    (op as u64) << 56 | u64::from(token.generation & 0xff_ffff) << 32 | u64::from(token.index)
}

fn unpack(user_data: u64) -> (u8, Token) {
    let token = Token { index: user_data as u32, generation: (user_data >> 32) as u32 & 0xff_ffff };
    ((user_data >> 56) as u8, token)
}

/// A ring with its receive buffers.
pub struct Ring {
    /// Closed by hand, and the buffers never freed: closing does not wait for requests in flight, which may still write to them.
    ring: ManuallyDrop<IoUring>,
    buffers: ManuallyDrop<ReceiveBuffers>,
    /// Replies the kernel is sending, by connection index: one send in flight each.
    sends: Vec<Option<Vec<u8>>>,
    /// What the kernel is writing to files, by operation.
    writes: Vec<Option<Vec<u8>>>,
    /// Completions taken from the queue and not yet handed out, the next one last.
    taken: Vec<(u64, i32, u32)>,
    /// Completions that had to be taken while submitting.
    early: Vec<(u64, i32, u32)>,
}

/// The ring's builder with the flags every shard uses.
pub fn builder(completions: u32) -> io_uring::Builder {
    let mut builder = IoUring::builder();
    builder
        .setup_cqsize(completions)
        .setup_submit_all()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_coop_taskrun()
        // Without it the kernel could not tell us that completions wait to be run.
        .setup_taskrun_flag()
        .dontfork();
    builder
}

impl Ring {
    /// A ring for the calling thread: only it may submit (`SINGLE_ISSUER`).
    pub fn new(sizes: Sizes) -> io::Result<Ring> {
        let ring = builder(sizes.completions).build(sizes.entries)?;
        let buffers = ReceiveBuffers::register(&ring, GROUP, sizes.buffers, sizes.buffer_bytes)?;
        Ok(Ring {
            ring: ManuallyDrop::new(ring),
            buffers: ManuallyDrop::new(buffers),
            sends: Vec::new(),
            writes: Vec::new(),
            taken: Vec::new(),
            early: Vec::new(),
        })
    }

    /// The ring's descriptor, by which other rings wake it.
    pub fn descriptor(&self) -> RawFd {
        self.ring.as_raw_fd()
    }

    /// Has completions signalled on `eventfd` while signals are enabled.
    pub fn register_eventfd(&self, eventfd: BorrowedFd<'_>) -> io::Result<()> {
        self.ring.submitter().register_eventfd(eventfd.as_raw_fd())
    }

    /// Enables or disables signals on the registered eventfd.
    pub fn set_eventfd_signals(&mut self, enabled: bool) {
        let completions = self.ring.completion();
        if enabled { completions.enable_eventfd() } else { completions.disable_eventfd() }
    }

    /// Limits the kernel's worker threads for this ring: they would run on other shards' CPUs.
    pub fn limit_workers(&self, bounded: u32, unbounded: u32) -> io::Result<()> {
        self.ring.submitter().register_iowq_max_workers(&mut [bounded, unbounded])
    }

    // Submissions -------------------------------------------------------------------------------------------------

    /// Accepts connections on `listener` until an error ends it.
    pub fn accept(&mut self, listener: BorrowedFd<'_>, index: u32) {
        let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        let entry = opcode::AcceptMulti::new(Fd(listener.as_raw_fd())).flags(flags).build();
        self.push(entry.user_data(pack(Op::Accept, Token { index, generation: 0 })));
    }

    /// Receives into the shared buffers until an error, the end of the stream or a lack of buffers ends it.
    pub fn receive(&mut self, socket: BorrowedFd<'_>, token: Token) {
        let entry = opcode::RecvMulti::new(Fd(socket.as_raw_fd()), GROUP).build();
        self.push(entry.user_data(pack(Op::Receive, token)));
    }

    /// Ends `receive`; its last event may still carry bytes.
    pub fn cancel_receive(&mut self, token: Token) {
        let entry = opcode::AsyncCancel::new(pack(Op::Receive, token)).build();
        self.push(entry.user_data(pack(Op::Cancel, token)));
    }

    /// Sends up to `bytes_max` bytes of `buffer` from byte `from` on. A connection has at most one send in flight.
    pub fn send(
        &mut self,
        socket: BorrowedFd<'_>,
        token: Token,
        buffer: Vec<u8>,
        from: usize,
        bytes_max: usize,
    ) {
        let index = token.index as usize;
        if self.sends.len() <= index {
            self.sends.resize_with(index + 1, || None);
        }
        let bytes = &buffer[from..];
        let length = bytes.len().min(bytes_max).min(i32::MAX as usize) as u32;
        // With WAITALL the kernel itself goes on after a short write.
        let flags = libc::MSG_WAITALL | libc::MSG_NOSIGNAL;
        let entry = opcode::Send::new(Fd(socket.as_raw_fd()), bytes.as_ptr(), length).flags(flags).build();
        let before = self.sends[index].replace(buffer);
        assert!(before.is_none(), "one send in flight a connection");
        self.push(entry.user_data(pack(Op::Send, token)));
    }

    /// Writes `bytes[from..]` to a file at `offset`; on completion the data is durable if `is_durable`. No other write that is under way
    /// has this number.
    pub fn write(
        &mut self,
        file: BorrowedFd<'_>,
        operation: u32,
        bytes: Vec<u8>,
        from: usize,
        offset: u64,
        is_durable: bool,
    ) {
        let index = operation as usize;
        if self.writes.len() <= index {
            self.writes.resize_with(index + 1, || None);
        }
        let part = &bytes[from..];
        let length = part.len().min(WRITE_BYTES_MAX) as u32;
        let flags = if is_durable { libc::RWF_DSYNC } else { 0 };
        let entry = opcode::Write::new(Fd(file.as_raw_fd()), part.as_ptr(), length)
            .offset(offset)
            .rw_flags(flags)
            .build();
        let before = self.writes[index].replace(bytes);
        assert!(before.is_none(), "one write under way for each number");
        self.push(entry.user_data(pack(Op::Write, Token { index: operation, generation: 0 })));
    }

    /// Makes what was written to a file durable (`fdatasync(2)`).
    pub fn sync(&mut self, file: BorrowedFd<'_>, operation: u32) {
        let entry = opcode::Fsync::new(Fd(file.as_raw_fd())).flags(FsyncFlags::DATASYNC).build();
        self.push(entry.user_data(pack(Op::Sync, Token { index: operation, generation: 0 })));
    }

    /// Wakes the ring with descriptor `ring`, at the next `enter`.
    pub fn wake(&mut self, ring: RawFd) {
        let wake = pack(Op::Wake, Token { index: 0, generation: 0 });
        let entry = opcode::MsgRingData::new(Fd(ring), 0, wake, None).build();
        // Nobody waits for the outcome: a ring that is gone needs no waking.
        self.push(entry.user_data(wake).flags(squeue::Flags::SKIP_SUCCESS));
    }

    fn push(&mut self, entry: squeue::Entry) {
        loop {
            // SAFETY: descriptors and buffers of entries made above stay valid: a send's buffer is in `sends`, received bytes go to
            // `buffers`, and a descriptor closed too early fails the request without touching memory.
            if unsafe { self.ring.submission().push(&entry) }.is_ok() {
                return;
            }
            // The queue is full: hand over what is in it. Nothing is waited for; completions are taken to make room for more.
            match self.ring.submitter().submit() {
                Ok(_) => {}
                Err(error) if is_passing(&error) => {
                    let taken = self
                        .ring
                        .completion()
                        .map(|entry| (entry.user_data(), entry.result(), entry.flags()));
                    self.early.extend(taken);
                }
                Err(error) => panic!("a full submission queue cannot be handed over: {error}"),
            }
        }
    }

    // Waiting -----------------------------------------------------------------------------------------------------

    /// Submits what is queued, runs completions, and waits until at least `want` are there or `timeout` has passed. A shortage of
    /// memory or of room for completions is no error: the caller takes completions and comes again.
    ///
    /// Once `patience` has passed, one completion is enough. Kernels before 6.12 cannot do that; there it must be zero (`is_patient`).
    pub fn enter(&mut self, want: usize, timeout: Duration, patience: Duration) -> io::Result<()> {
        let timespec = Timespec::from(timeout);
        let args = SubmitArgs::new().min_wait_usec(patience.as_micros() as u32).timespec(&timespec);
        match self.ring.submitter().submit_with_args(want, &args) {
            Ok(_) => Ok(()),
            Err(error) if is_passing(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whether the kernel can wait for several completions for a while, and then for one.
    pub fn is_patient(&self) -> bool {
        self.ring.params().is_feature_min_timeout()
    }

    /// Completions that are there.
    pub fn completions(&mut self) -> usize {
        self.early.len() + self.ring.completion().len()
    }

    /// Whether completions are there, or wait for an `enter` to run them.
    pub fn has_completions(&mut self) -> bool {
        let submissions = self.ring.submission();
        let waiting = submissions.taskrun() || submissions.cq_overflow();
        drop(submissions);
        waiting || !self.early.is_empty() || !self.ring.completion().is_empty()
    }

    /// Takes the completions that are there now; `next_event` hands them out.
    pub fn take_completions(&mut self) -> usize {
        debug_assert!(self.taken.is_empty());
        self.taken.append(&mut self.early);
        self.taken
            .extend(self.ring.completion().map(|entry| (entry.user_data(), entry.result(), entry.flags())));
        self.taken.reverse();
        self.taken.len()
    }

    /// The bytes that the `n`th of the completions taken brought, and for which connection; nothing if it brought none.
    pub fn peek_received(&mut self, n: usize) -> Option<(Token, &mut [u8])> {
        let &(user_data, result, flags) = self.taken.iter().rev().nth(n)?;
        let (op, token) = unpack(user_data);
        let buffer = cqueue::buffer_select(flags).filter(|_| op == Op::Receive as u8 && result > 0)?;
        Some((token, self.buffers.filled(buffer, result as usize)))
    }

    /// The next of the completions taken, in their order.
    pub fn next_event(&mut self) -> Option<Event> {
        loop {
            let (user_data, result, flags) = self.taken.pop()?;
            let (op, token) = unpack(user_data);
            let outcome =
                || if result < 0 { Err(io::Error::from_raw_os_error(-result)) } else { Ok(result as usize) };
            let is_armed = cqueue::more(flags);
            if op == Op::Receive as u8 {
                let length = result.max(0) as usize;
                let buffer = cqueue::buffer_select(flags).map(|id| Received { id, length });
                return Some(Event::Received { token, result: outcome(), buffer, is_armed });
            } else if op == Op::Send as u8 {
                let buffer = self.sends[token.index as usize].take().expect("a send that ends was begun");
                return Some(Event::Sent { token, result: outcome(), buffer });
            } else if op == Op::Accept as u8 {
                // SAFETY: a successful accept gives a new descriptor that nobody else owns.
                let accepted = outcome().map(|fd| unsafe { OwnedFd::from_raw_fd(fd as RawFd) });
                return Some(Event::Accepted { listener: token.index, result: accepted, is_armed });
            } else if op == Op::Write as u8 {
                let bytes = self.writes[token.index as usize].take().expect("a write that ends was begun");
                return Some(Event::Written { operation: token.index, result: outcome(), bytes });
            } else if op == Op::Sync as u8 {
                return Some(Event::Synced { operation: token.index, result: outcome().map(|_| ()) });
            } else if op == Op::Wake as u8 {
                return Some(Event::Woken);
            }
            // A cancel needs no event of its own: what it cancelled reports its end.
        }
    }

    /// The bytes in a receive buffer.
    pub fn bytes(&mut self, received: &Received) -> &mut [u8] {
        self.buffers.filled(received.id, received.length)
    }

    /// Gives a receive buffer back to the kernel.
    pub fn recycle(&mut self, received: Received) {
        self.buffers.recycle(received.id);
    }
}

/// Whether a failed `enter` may succeed later: it was interrupted, its time was up, completions must be taken first, or memory was
/// short. A lost completion (`EBADR`) is not among them: what it belonged to would wait for ever.
fn is_passing(error: &io::Error) -> bool {
    let passing = [libc::ETIME, libc::EINTR, libc::EBUSY, libc::EAGAIN, libc::ENOMEM];
    error.raw_os_error().is_some_and(|code| passing.contains(&code))
}

impl Drop for Ring {
    fn drop(&mut self) {
        // Closing the ring does not wait for what is in flight, so replies the kernel may still be reading are left to the process's end.
        for buffer in self.sends.drain(..).chain(self.writes.drain(..)).flatten() {
            buffer.leak();
        }
        // SAFETY: dropped once, here, and not used afterwards. The receive buffers are never freed: a request in flight may
        // still write to them, and a ring lives as long as its process.
        unsafe { ManuallyDrop::drop(&mut self.ring) };
    }
}
