//! The io_uring driver of one shard: one long-lived glommio task that carries events to the shard and its wishes to the kernel.
//! Owns sockets, listeners and the parking protocol. Never runs a command itself and never waits for another shard.
//!
//! # One turn
//!
//! 1. Take the completions, and announce their keys to the shard, so that memory is fetched for all of them at once.
//! 2. Give the bytes to the shard, which executes them at once; then the inbox, then the tick if it is due.
//! 3. One send for each client with replies, one delivery for each target with messages.
//! 4. One `enter`, which submits all of it and waits for more.
//!
//! So the number of system calls does not depend on the number of clients that were served.
//!
//! # Waiting
//!
//! With work at hand the shard never waits. Otherwise it first waits in its ring, for several reads if many are on their way (`pace`), up
//! to `RING_WAIT`, since that costs one system call; only if nothing comes does it park in glommio on the ring's eventfd, so that
//! background tasks run and an idle server uses no CPU. Before it parks it looks again at the inbox, the completions and the kernel's
//! deferred work: the eventfd signals only once for a batch of them.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use futures_lite::future;
use glommio::io::BufferedFile;
use rustix::net::{Shutdown, shutdown};

use crate::base::limits::{
    ACCEPT_PAUSE_MS, INBOX_BATCH, INLINE_SEND_BYTES_MAX, RECV_BUFFER_BYTES, RECV_BUFFERS,
    REPLY_BYTES_KEPT_MAX, RING_COMPLETIONS, RING_ENTRIES, SEND_BYTES_MAX, SPARE_REPLY_BUFFERS_MAX,
};
use crate::net::clock::now_ms;
use crate::net::connection::{Connection, Receiving, addresses, token};
use crate::net::disk::Operations;
use crate::net::listen;
use crate::net::mesh::{Mesh, Parcel, Undelivered};
use crate::net::pace::{PATIENCE, Pace};
use crate::persist::control::ToKeeper;
use crate::shard::{Arrival, ClientRef, Shard};
use crate::sys::eventfd;
use crate::sys::ring::{Event, Received, Ring, Sizes, Token};

/// How long a shard waits in its ring before it parks in glommio.
const RING_WAIT: Duration = Duration::from_millis(1);
/// How long a busy shard keeps other tasks of its executor waiting.
const YIELD_INTERVAL: Duration = Duration::from_millis(1);
/// How long shards that stop wait for each other.
const STOP_QUIET: Duration = Duration::from_secs(2);
/// How long the last of the log may take to be written when the server stops.
const STOP_LOG: Duration = Duration::from_secs(30);
/// Threads of the kernel that write and sync files for one shard: a sync must not keep a write waiting.
const DISK_WORKERS: u32 = 3;
/// How long replies of a stopping server may take to leave.
const STOP_FLUSH: Duration = Duration::from_millis(200);

/// What the drivers of all shards share.
pub struct Shared {
    /// The channels between them.
    pub mesh: Mesh,
    /// The last client id given.
    pub last_client_id: AtomicU64,
    /// Shards that stop and have nothing under way.
    pub quiet: AtomicU64,
    /// Where the Unix socket is, if there is one.
    pub unix_path: Option<String>,
    /// Called when the process shall end: a client has sent `SHUTDOWN`, or `Parcel::ShutDown` was carried out.
    pub on_shutdown: fn(),
    /// Called when a shard cannot go on, with the reason.
    pub on_damage: fn(String),
    /// To whoever has the data directory, if there is one.
    pub keeper: Option<Sender<ToKeeper>>,
}

/// A listening socket.
struct Listener {
    socket: OwnedFd,
    is_unix: bool,
    is_armed: bool,
}

/// The eventfd on which a parked shard waits in glommio.
///
/// A read that is dropped is cancelled only some time later, and until then it can swallow the one signal that the next read waits
/// for. So a read that a timer overtook is kept, and is the one that the next park waits for.
struct Bridge {
    file: Rc<BufferedFile>,
    reading: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

impl Bridge {
    fn new(file: BufferedFile) -> Bridge {
        Bridge { file: Rc::new(file), reading: None }
    }

    /// Waits until the eventfd was signalled since the last signal that was seen. May be dropped at any time.
    async fn signalled(&mut self) {
        let file = &self.file;
        let reading = self.reading.get_or_insert_with(|| {
            let file = Rc::clone(file);
            Box::pin(async move {
                // The count does not matter, nor does an error: the turn that follows looks at everything.
                let _ = file.read_at(0, 8).await;
            })
        });
        reading.await;
        self.reading = None;
    }
}

struct Driver {
    shard: Shard,
    number: u16,
    shared: Arc<Shared>,
    ring: Ring,
    inbox: Receiver<Parcel>,
    connections: Vec<Option<Connection>>,
    listeners: Vec<Listener>,
    accept_again_ms: Option<i64>,
    /// Parcels for shards whose inbox was full, by target.
    undelivered: Vec<VecDeque<Parcel>>,
    undelivered_count: usize,
    /// Shards that got parcels in this turn.
    delivered: Vec<u16>,
    /// Reply buffers that are free.
    spare_buffers: Vec<Vec<u8>>,
    /// Sends submitted in this turn that should complete with the submission.
    inline_sends: usize,
    pace: Pace,
    /// Whether it may wait for several reads: the kernel can, and there is no other shard whose messages would have to wait too.
    is_patient: bool,
    operations: Operations,
    is_stopping: bool,
    /// When the wait for other shards ends.
    end_by: Option<Instant>,
    /// This shard has told the others that it is quiet.
    is_counted: bool,
}

/// Makes the ring of shard `number` on the calling thread, says so through `ready`, and serves until the server stops.
/// `listeners` are (socket, is Unix); the shard that has them hands connections to all shards.
pub async fn run_shard(
    shard: Shard,
    number: u16,
    shared: Arc<Shared>,
    inbox: Receiver<Parcel>,
    listeners: Vec<(OwnedFd, bool)>,
    ready: impl FnOnce(io::Result<()>),
) {
    let sizes = Sizes {
        entries: RING_ENTRIES,
        completions: RING_COMPLETIONS,
        buffers: RECV_BUFFERS,
        buffer_bytes: RECV_BUFFER_BYTES,
    };
    let made = Ring::new(sizes).and_then(|mut ring| {
        ring.register_eventfd(shared.mesh.eventfd(number).as_fd())?;
        ring.set_eventfd_signals(false);
        ring.limit_workers(DISK_WORKERS, 1)?;
        let bridge = Bridge::new(eventfd::glommio_file(shared.mesh.eventfd(number))?);
        Ok((ring, bridge))
    });
    let (ring, mut bridge) = match made {
        Ok(made) => made,
        Err(error) => return ready(Err(error)),
    };
    shared.mesh.publish_ring(number, ring.descriptor());
    ready(Ok(()));
    let shards = usize::from(shared.mesh.shards());
    let listeners = listeners
        .into_iter()
        .map(|(socket, is_unix)| Listener { socket, is_unix, is_armed: false })
        .collect();
    let is_patient = shards == 1 && ring.is_patient();
    let mut driver = Driver {
        shard,
        number,
        shared,
        ring,
        inbox,
        connections: Vec::new(),
        listeners,
        accept_again_ms: None,
        undelivered: (0..shards).map(|_| VecDeque::new()).collect(),
        undelivered_count: 0,
        delivered: Vec::new(),
        spare_buffers: Vec::new(),
        inline_sends: 0,
        pace: Pace::default(),
        is_patient,
        operations: Operations::default(),
        is_stopping: false,
        end_by: None,
        is_counted: false,
    };
    driver.arm_listeners();
    driver.serve(&mut bridge).await;
}

impl Driver {
    async fn serve(&mut self, bridge: &mut Bridge) {
        let mut yielded = Instant::now();
        while !self.is_stopping || !self.may_end() {
            let now = now_ms();
            let worked = self.turn(now);
            // A busy shard saves and restores too, a little in each turn.
            let has_more = self.shard.has_work() && self.shard.work(now);
            if self.shard.has_work() {
                self.carry_out(now);
            }
            if has_more {
                // What arrives comes first, but nothing is waited for.
                self.inline_sends = 0;
                self.enter(0, Duration::ZERO, Duration::ZERO);
                if yielded.elapsed() >= YIELD_INTERVAL {
                    glommio::executor().yield_now().await;
                    yielded = Instant::now();
                }
            } else if worked {
                // One `enter` hands over all sends and takes what has arrived meanwhile. It waits: whatever arrives ends it.
                self.wait_in_ring(now);
                if yielded.elapsed() >= YIELD_INTERVAL {
                    glommio::executor().yield_now().await;
                    yielded = Instant::now();
                }
            } else if !self.wait_in_ring(now) && !self.is_stopping {
                self.park(bridge).await;
                yielded = Instant::now();
            }
        }
        self.flush_and_end();
    }

    /// Whether no shard needs this one any more: all have carried their transactions to the end. A log that ended earlier would lack parts
    /// that others have.
    fn may_end(&mut self) -> bool {
        if !self.is_counted && self.shard.is_quiet() && self.undelivered_count == 0 {
            self.is_counted = true;
            self.shared.quiet.fetch_add(1, Ordering::SeqCst);
        }
        self.shared.quiet.load(Ordering::SeqCst) >= u64::from(self.shared.mesh.shards())
            || self.end_by.is_some_and(|at| at < Instant::now())
    }

    /// Carries everything at hand one step further; whether there was anything.
    fn turn(&mut self, now: i64) -> bool {
        let completions = self.ring.take_completions();
        self.pace.advance(now);
        if completions > 1 {
            self.announce(completions);
        }
        while let Some(event) = self.ring.next_event() {
            self.handle(event, now);
        }
        let mut parcels = 0;
        while parcels < INBOX_BATCH {
            let Ok(parcel) = self.inbox.try_recv() else { break };
            parcels += 1;
            self.open(parcel, now);
        }
        if parcels > 0 && self.shared.mesh.made_room(self.number) {
            for shard in 0..self.shared.mesh.shards() {
                self.wake(shard);
            }
        }
        if now >= self.shard.next_tick_ms() {
            self.shard.tick(now);
        }
        if self.accept_again_ms.is_some_and(|at| at <= now) {
            self.accept_again_ms = None;
            self.arm_listeners();
        }
        self.carry_out(now);
        completions > 0 || parcels > 0
    }

    /// Tells the shard what it is about to receive, so that the keys of all clients are fetched at once.
    fn announce(&mut self, completions: usize) {
        for n in 0..completions {
            let Some((token, data)) = self.ring.peek_received(n) else { continue };
            if let Some(Some(connection)) = self.connections.get(token.index as usize)
                && connection.is_named(token)
            {
                self.shard.announce(connection.client, data);
            }
        }
        self.shard.end_of_announcements();
    }

    /// Submits, and waits for a completion up to `RING_WAIT` or the next tick; whether anything may have happened.
    fn wait_in_ring(&mut self, now: i64) -> bool {
        let timeout = match self.next_deadline_ms() {
            i64::MAX => RING_WAIT,
            at => RING_WAIT.min(Duration::from_millis((at - now).max(0) as u64)),
        };
        self.shared.mesh.sleep_in_ring(self.number);
        let has_parcels = !self.inbox.is_empty();
        let sends = std::mem::take(&mut self.inline_sends);
        let wanted = self.pace.wanted();
        if has_parcels {
            self.enter(0, Duration::ZERO, Duration::ZERO);
        } else if wanted == 1 || !self.is_patient {
            self.enter(sends + 1, timeout, Duration::ZERO);
        } else {
            // What is there already is worth a turn. Only who would fall asleep waits for more.
            self.enter(sends, timeout, Duration::ZERO);
            if self.ring.completions() <= sends {
                self.enter(sends + wanted, timeout, PATIENCE);
            }
        }
        self.shared.mesh.wake_up(self.number);
        has_parcels || timeout.is_zero() || self.ring.has_completions() || self.undelivered_count > 0
    }

    fn enter(&mut self, want: usize, timeout: Duration, patience: Duration) {
        self.ring.enter(want, timeout, patience).expect("the ring accepts what it accepted at start");
    }

    /// Parks in glommio until the ring or another thread signals, or the next tick is due.
    async fn park(&mut self, bridge: &mut Bridge) {
        self.ring.set_eventfd_signals(true);
        self.shared.mesh.park(self.number);
        if self.inbox.is_empty() && !self.ring.has_completions() {
            match self.next_deadline_ms() {
                i64::MAX => bridge.signalled().await,
                at => {
                    let wait = Duration::from_millis((at - now_ms()).max(0) as u64);
                    let due = async {
                        glommio::timer::Timer::new(wait).await;
                    };
                    future::or(bridge.signalled(), due).await;
                }
            }
        }
        self.shared.mesh.wake_up(self.number);
        self.ring.set_eventfd_signals(false);
        // The kernel's deferred work runs only in an `enter`.
        self.enter(0, Duration::ZERO, Duration::ZERO);
    }

    fn next_deadline_ms(&self) -> i64 {
        self.shard.next_tick_ms().min(self.accept_again_ms.unwrap_or(i64::MAX))
    }

    // Events ------------------------------------------------------------------------------------------------------

    fn handle(&mut self, event: Event, now: i64) {
        match event {
            Event::Received { token, result, buffer, is_armed } => {
                self.received(token, result, buffer, is_armed, now);
            }
            Event::Sent { token, result, buffer } => self.sent(token, result, buffer, now),
            Event::Accepted { listener, result, is_armed } => self.accepted(listener, result, is_armed, now),
            Event::Written { operation, result, bytes } => {
                let (slot, done) = self.operations.written(operation, result, bytes);
                self.shard.disk_done(slot, done, now);
            }
            Event::Synced { operation, result } => {
                let (slot, done) = self.operations.synced(operation, result);
                self.shard.disk_done(slot, done, now);
            }
            Event::Woken => {}
        }
    }

    fn received(
        &mut self,
        token: Token,
        result: io::Result<usize>,
        buffer: Option<Received>,
        is_armed: bool,
        now: i64,
    ) {
        let connection = self.connections.get_mut(token.index as usize).and_then(Option::as_mut);
        let Some(connection) = connection.filter(|connection| connection.is_named(token)) else {
            if let Some(buffer) = buffer {
                self.ring.recycle(buffer);
            }
            return;
        };
        let client = connection.client;
        self.pace.note(std::mem::replace(&mut connection.read_ms, now));
        if !is_armed {
            connection.receiving = Receiving::Off;
        }
        match result {
            Ok(length) if length > 0 => {
                if let Some(received) = &buffer
                    && !connection.is_closing
                {
                    self.shard.receive(client, self.ring.bytes(received), now);
                }
            }
            Ok(_) => {
                connection.is_ended = true;
                self.shard.end_of_input(client, now);
            }
            // Out of buffers, or told to stop: `carry_out` begins again if more is wanted.
            Err(error)
                if matches!(error.raw_os_error(), Some(libc::ENOBUFS | libc::ECANCELED | libc::EINTR)) => {}
            Err(_) => {
                connection.is_ended = true;
                self.shard.disconnected(client, now);
            }
        }
        // Returned before the next `enter`, so the buffers can run out only within one batch of completions.
        if let Some(received) = buffer {
            self.ring.recycle(received);
        }
        if !is_armed {
            // Settled with the turn: what was done in it is no record yet.
            self.shard.touched(client);
        }
    }

    fn sent(&mut self, token: Token, result: io::Result<usize>, mut buffer: Vec<u8>, now: i64) {
        let connection = self.connections.get_mut(token.index as usize).and_then(Option::as_mut);
        let Some(connection) = connection.filter(|connection| connection.is_named(token)) else { return };
        let client = connection.client;
        let before = connection.sending.take().expect("a send that ends was begun");
        match result {
            Ok(length) => {
                let done = before + length;
                if done < buffer.len() && length > 0 {
                    connection.sending = Some(done);
                    self.ring.send(connection.socket.as_fd(), token, buffer, done, SEND_BYTES_MAX);
                } else {
                    buffer.clear();
                    if buffer.capacity() <= REPLY_BYTES_KEPT_MAX
                        && self.spare_buffers.len() < SPARE_REPLY_BUFFERS_MAX
                    {
                        self.spare_buffers.push(buffer);
                    }
                }
                self.shard.sent(client, length, now);
            }
            Err(_) => self.shard.disconnected(client, now),
        }
        self.shard.touched(client);
    }

    fn accepted(&mut self, listener: u32, result: io::Result<OwnedFd>, is_armed: bool, now: i64) {
        let listener = &mut self.listeners[listener as usize];
        listener.is_armed = is_armed;
        let is_unix = listener.is_unix;
        match result {
            Ok(socket) => self.place(socket, is_unix, now),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection; trying again in {ACCEPT_PAUSE_MS} ms");
                self.accept_again_ms = Some(now + ACCEPT_PAUSE_MS);
                return;
            }
        }
        if !is_armed && self.accept_again_ms.is_none() {
            self.arm_listeners();
        }
    }

    /// Gives a new connection to the shard with the fewest.
    fn place(&mut self, socket: OwnedFd, is_unix: bool, now: i64) {
        let shared = Arc::clone(&self.shared);
        if shared.mesh.clients() >= self.shard.server().config.clients_max {
            self.shard.server().stats.rejected_connections += 1;
            // One attempt, as Redis does: a client that cannot take it is not owed an explanation.
            let _ = rustix::net::send(
                &socket,
                b"-ERR max number of clients reached\r\n",
                rustix::net::SendFlags::DONTWAIT,
            );
            return;
        }
        let id = shared.last_client_id.fetch_add(1, Ordering::Relaxed) + 1;
        let shard = shared.mesh.place_client();
        if shard == self.number {
            self.adopt(socket, id, is_unix, now);
        } else {
            self.deliver(shard, Parcel::Adopt { socket, id, is_unix });
        }
    }

    fn adopt(&mut self, socket: OwnedFd, id: u64, is_unix: bool, now: i64) {
        use std::os::fd::AsRawFd;
        if !is_unix {
            listen::keep_alive(&socket, self.shard.server().config.keepalive_seconds);
        }
        let unix_path = self.shared.unix_path.as_deref().filter(|_| is_unix);
        let (address, local_address) = addresses(&socket, unix_path);
        let arrival = Arrival { id, address, local_address, descriptor: socket.as_raw_fd(), is_unix };
        let client = self.shard.connect(arrival, now);
        let index = client.index as usize;
        if self.connections.len() <= index {
            self.connections.resize_with(index + 1, || None);
        }
        let mut connection = Connection::new(socket, client);
        connection.set_receiving(true, &mut self.ring);
        self.connections[index] = Some(connection);
    }

    fn open(&mut self, parcel: Parcel, now: i64) {
        match parcel {
            Parcel::Shard(message) => self.shard.message(message, now),
            Parcel::Adopt { socket, id, is_unix } => self.adopt(socket, id, is_unix, now),
            Parcel::Keeper(message) => self.shard.keeper_says(message, now),
            Parcel::ShutDown => self.shard.shut_down(None, None, true, now),
            Parcel::Stop => {
                self.is_stopping = true;
                self.end_by = Some(Instant::now() + STOP_QUIET);
                self.shard.begin_end();
            }
        }
    }

    // Wishes ------------------------------------------------------------------------------------------------------

    /// Does what the shard wants: sends, closings, messages, and the wake-ups they need.
    fn carry_out(&mut self, now: i64) {
        self.shard.end_turn(now);
        if let Some(damage) = self.shard.take_damage() {
            // Nothing may be answered that was made of it.
            (self.shared.on_damage)(damage);
        }
        // First, so that the disk works while replies leave.
        self.submit_disk_ops(now);
        while let Some(client) = self.shard.take_touched() {
            self.settle(client);
        }
        for target in 0..self.undelivered.len() {
            while let Some(parcel) = self.undelivered[target].pop_front() {
                self.undelivered_count -= 1;
                if !self.try_deliver(target as u16, parcel) {
                    break;
                }
            }
        }
        while let Some((target, message)) = self.shard.take_message() {
            self.deliver(target, Parcel::Shard(message));
        }
        while let Some(target) = self.delivered.pop() {
            self.wake(target);
        }
        while let Some(message) = self.shard.take_to_keeper() {
            let keeper = self.shared.keeper.as_ref().expect("who saves has a keeper");
            // It is gone only when the process ends.
            let _ = keeper.send(message);
        }
        if self.shard.take_shutdown() {
            (self.shared.on_shutdown)();
        }
    }

    /// Queues what the shard wants done with files.
    fn submit_disk_ops(&mut self, now: i64) {
        while let Some((slot, op)) = self.shard.take_disk_op(now) {
            self.operations.submit(&mut self.ring, slot, op);
        }
    }

    /// Brings one connection in line with what its client wants.
    fn settle(&mut self, client: ClientRef) {
        let Some(connection) = self.connections.get_mut(client.index as usize).and_then(Option::as_mut)
        else {
            return;
        };
        if connection.client != client {
            return;
        }
        let wants = self.shard.wants(client);
        if wants.send && connection.sending.is_none() && !connection.is_closing {
            let empty = self.spare_buffers.pop().unwrap_or_default();
            let replies = self.shard.take_replies(client, empty);
            self.inline_sends += usize::from(replies.len() <= INLINE_SEND_BYTES_MAX);
            connection.sending = Some(0);
            self.ring.send(connection.socket.as_fd(), token(client), replies, 0, SEND_BYTES_MAX);
        }
        if wants.close {
            connection.close();
        } else {
            connection.set_receiving(!wants.stop_reading, &mut self.ring);
        }
        if connection.is_finished() {
            self.connections[client.index as usize] = None;
            self.shard.closed(client);
            self.shared.mesh.release_client(self.number);
        }
    }

    fn deliver(&mut self, target: u16, parcel: Parcel) {
        if self.undelivered[usize::from(target)].is_empty() {
            self.try_deliver(target, parcel);
        } else {
            // Behind those that wait already: order within a channel is kept.
            self.undelivered[usize::from(target)].push_back(parcel);
            self.undelivered_count += 1;
        }
    }

    /// Delivers a parcel, or puts it at the front of those that wait; whether it went.
    fn try_deliver(&mut self, target: u16, parcel: Parcel) -> bool {
        match self.shared.mesh.deliver(target, parcel) {
            Ok(()) => {
                if self.delivered.last() != Some(&target) {
                    self.delivered.push(target);
                }
                true
            }
            Err(Undelivered::Full(parcel)) => {
                self.shard.server().stats.mesh_waits += 1;
                self.undelivered[usize::from(target)].push_front(parcel);
                self.undelivered_count += 1;
                false
            }
            Err(Undelivered::Gone) => true,
        }
    }

    fn wake(&mut self, target: u16) {
        if let Some(ring) = self.shared.mesh.sleeper(target) {
            self.ring.wake(ring as RawFd);
        }
    }

    fn arm_listeners(&mut self) {
        for (index, listener) in self.listeners.iter_mut().enumerate() {
            if !listener.is_armed {
                self.ring.accept(listener.socket.as_fd(), index as u32);
                listener.is_armed = true;
            }
        }
    }

    /// Writes what the log still lacks. Replies that wait for it leave afterwards.
    fn finish_log(&mut self) {
        let deadline = Instant::now() + STOP_LOG;
        self.shard.finish_log(now_ms());
        loop {
            self.carry_out(now_ms());
            if (self.shard.is_settled() && self.operations.count() == 0) || Instant::now() > deadline {
                break;
            }
            if self.ring.enter(1, Duration::from_millis(10), Duration::ZERO).is_err() {
                return;
            }
            self.ring.take_completions();
            while let Some(event) = self.ring.next_event() {
                if matches!(event, Event::Written { .. } | Event::Synced { .. } | Event::Sent { .. }) {
                    self.handle(event, now_ms());
                }
            }
        }
        if !self.shard.is_settled() {
            tracing::error!("the end of the append-only file could not be written within {STOP_LOG:?}");
        }
    }

    /// Lets replies under way leave, for a moment, before the process ends.
    fn flush_and_end(&mut self) {
        self.finish_log();
        let deadline = Instant::now() + STOP_FLUSH;
        // An accept under way keeps its socket until the kernel has torn down the ring, which may be after the process has ended.
        // Shut down, the socket listens no more: a server that starts next finds its port free.
        for listener in self.listeners.drain(..) {
            let _ = shutdown(&listener.socket, Shutdown::Both);
        }
        while self.connections.iter().flatten().any(|connection| connection.sending.is_some())
            && Instant::now() < deadline
        {
            if self.ring.enter(1, Duration::from_millis(10), Duration::ZERO).is_err() {
                return;
            }
            self.ring.take_completions();
            while let Some(event) = self.ring.next_event() {
                if let Event::Sent { token, result, buffer } = event {
                    self.sent(token, result, buffer, now_ms());
                }
            }
            self.carry_out(now_ms());
        }
    }
}
