//! The channels between shards and who is awake: bounded inboxes, and wake-ups sent only to sleepers.
//! Never blocks and never spins. A full inbox hands the parcel back; its owner says later that there is room again.
//!
//! # Parking
//!
//! A shard that has nothing to do sets its state to asleep, looks at its inbox once more, and only then waits. A sender puts its
//! parcel into the inbox, then looks at the state. Both sides use sequentially consistent operations, so either the sender
//! sees the sleeper or the sleeper sees the parcel: no wake-up is lost, and an awake shard is never disturbed.

use std::os::fd::{OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicUsize, Ordering, fence};

use crossbeam_channel::{Receiver, Sender, TrySendError};

use crate::base::limits::INBOX_MESSAGES;
use crate::persist::control::FromKeeper;
use crate::shard::mesh::ShardMessage;
use crate::sys::eventfd;

/// What travels to a shard.
#[derive(Debug)]
pub enum Parcel {
    /// From another shard.
    Shard(ShardMessage),
    /// A connection that this shard shall serve.
    Adopt {
        /// The socket.
        socket: OwnedFd,
        /// The client's id.
        id: u64,
        /// Through the Unix socket.
        is_unix: bool,
    },
    /// From whoever has the data directory.
    Keeper(FromKeeper),
    /// The process shall end as `SHUTDOWN` ends it: to the first shard.
    ShutDown,
    /// The server stops.
    Stop,
}

/// Runs: nobody needs to wake it.
const AWAKE: u8 = 0;
/// Waits in its ring: a ring message wakes it.
const IN_RING: u8 = 1;
/// Waits in glommio on its eventfd: a ring message or the eventfd wakes it.
const PARKED: u8 = 2;

/// What others may know of a shard. Padded: every shard writes its own.
#[repr(align(128))]
struct Peer {
    state: AtomicU8,
    /// Somebody found the inbox full since it was last emptied.
    is_awaited: AtomicBool,
    ring: AtomicI32,
    clients: AtomicUsize,
    inbox: Sender<Parcel>,
    eventfd: OwnedFd,
}

/// The mesh of one process.
pub struct Mesh {
    peers: Vec<Peer>,
}

/// How a parcel can fail to be delivered.
#[derive(Debug)]
pub enum Undelivered {
    /// The inbox is full; the parcel comes back.
    Full(Parcel),
    /// The shard is gone, which only happens while the process ends.
    Gone,
}

impl Mesh {
    /// Inboxes for `shards` shards.
    pub fn new(shards: u16) -> std::io::Result<(Mesh, Vec<Receiver<Parcel>>)> {
        let mut peers = Vec::new();
        let mut inboxes = Vec::new();
        for _ in 0..shards {
            let (sender, receiver) = crossbeam_channel::bounded(INBOX_MESSAGES);
            peers.push(Peer {
                state: AtomicU8::new(AWAKE),
                is_awaited: AtomicBool::new(false),
                ring: AtomicI32::new(-1),
                clients: AtomicUsize::new(0),
                inbox: sender,
                eventfd: eventfd::new()?,
            });
            inboxes.push(receiver);
        }
        Ok((Mesh { peers }, inboxes))
    }

    /// How many shards there are.
    pub fn shards(&self) -> u16 {
        self.peers.len() as u16
    }

    /// A shard has made its ring.
    pub fn publish_ring(&self, shard: u16, ring: RawFd) {
        self.peer(shard).ring.store(ring, Ordering::Release);
    }

    /// The eventfd that wakes a parked shard.
    pub fn eventfd(&self, shard: u16) -> &OwnedFd {
        &self.peer(shard).eventfd
    }

    // Sending -----------------------------------------------------------------------------------------------------

    /// Puts a parcel into a shard's inbox, without waking it.
    pub fn deliver(&self, shard: u16, parcel: Parcel) -> Result<(), Undelivered> {
        let peer = self.peer(shard);
        match peer.inbox.try_send(parcel) {
            Ok(()) => Ok(()),
            Err(TrySendError::Disconnected(_)) => Err(Undelivered::Gone),
            Err(TrySendError::Full(parcel)) => {
                peer.is_awaited.store(true, Ordering::SeqCst);
                // The owner may have emptied the inbox just before it could see the mark.
                match peer.inbox.try_send(parcel) {
                    Ok(()) => Ok(()),
                    Err(TrySendError::Disconnected(_)) => Err(Undelivered::Gone),
                    Err(TrySendError::Full(parcel)) => Err(Undelivered::Full(parcel)),
                }
            }
        }
    }

    /// After parcels were delivered to a shard: the ring to send a wake-up to, if it sleeps.
    #[inline]
    pub fn sleeper(&self, shard: u16) -> Option<RawFd> {
        let peer = self.peer(shard);
        fence(Ordering::SeqCst);
        if peer.state.load(Ordering::SeqCst) == AWAKE || peer.state.swap(AWAKE, Ordering::SeqCst) == AWAKE {
            return None;
        }
        Some(peer.ring.load(Ordering::Acquire))
    }

    /// Wakes a shard from a thread without a ring. One that waits in its ring looks up within a millisecond by itself.
    pub fn wake_from_outside(&self, shard: u16) {
        let peer = self.peer(shard);
        fence(Ordering::SeqCst);
        if peer.state.load(Ordering::SeqCst) == PARKED {
            eventfd::signal(&peer.eventfd);
        }
    }

    /// Delivers a parcel from a thread without a ring, again until there is room; the shards are emptying their inboxes.
    pub fn deliver_from_outside(&self, shard: u16, mut parcel: Parcel) {
        loop {
            match self.deliver(shard, parcel) {
                Ok(()) => return self.wake_from_outside(shard),
                Err(Undelivered::Gone) => return,
                Err(Undelivered::Full(back)) => {
                    parcel = back;
                    self.wake_from_outside(shard);
                    std::thread::sleep(std::time::Duration::from_millis(1));
                }
            }
        }
    }

    // Receiving ---------------------------------------------------------------------------------------------------

    /// A shard took parcels from its inbox: whether somebody waited for room, and should be woken.
    #[inline]
    pub fn made_room(&self, shard: u16) -> bool {
        let peer = self.peer(shard);
        peer.is_awaited.load(Ordering::Relaxed) && peer.is_awaited.swap(false, Ordering::SeqCst)
    }

    /// The shard is about to wait in its ring. It must look at its inbox after this.
    pub fn sleep_in_ring(&self, shard: u16) {
        self.peer(shard).state.swap(IN_RING, Ordering::SeqCst);
    }

    /// The shard is about to wait in glommio. It must look at its inbox and ring after this.
    pub fn park(&self, shard: u16) {
        self.peer(shard).state.swap(PARKED, Ordering::SeqCst);
    }

    /// The shard runs again.
    pub fn wake_up(&self, shard: u16) {
        self.peer(shard).state.store(AWAKE, Ordering::SeqCst);
    }

    // Placing connections -----------------------------------------------------------------------------------------

    /// Clients of all shards.
    pub fn clients(&self) -> usize {
        self.peers.iter().map(|peer| peer.clients.load(Ordering::Relaxed)).sum()
    }

    /// Takes a place for a connection on the shard with the fewest; the first of equals.
    pub fn place_client(&self) -> u16 {
        let shard = (0..self.shards()).min_by_key(|&shard| self.peer(shard).clients.load(Ordering::Relaxed));
        let shard = shard.expect("there is a shard");
        self.peer(shard).clients.fetch_add(1, Ordering::Relaxed);
        shard
    }

    /// Gives a place back.
    pub fn release_client(&self, shard: u16) {
        self.peer(shard).clients.fetch_sub(1, Ordering::Relaxed);
    }

    fn peer(&self, shard: u16) -> &Peer {
        &self.peers[usize::from(shard)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hands_a_parcel_back_when_the_inbox_is_full_and_says_when_there_is_room() {
        let (mesh, inboxes) = Mesh::new(2).expect("a mesh");
        for _ in 0..INBOX_MESSAGES {
            mesh.deliver(1, Parcel::Stop).expect("room");
        }
        assert!(matches!(mesh.deliver(1, Parcel::Stop), Err(Undelivered::Full(Parcel::Stop))));
        assert!(!mesh.made_room(0));
        inboxes[1].try_recv().expect("a parcel");
        assert!(mesh.made_room(1));
        assert!(!mesh.made_room(1));
        mesh.deliver(1, Parcel::Stop).expect("room again");
    }

    #[test]
    fn only_sleepers_are_woken_and_only_once() {
        let (mesh, _inboxes) = Mesh::new(1).expect("a mesh");
        mesh.publish_ring(0, 77);
        assert_eq!(mesh.sleeper(0), None);
        mesh.sleep_in_ring(0);
        assert_eq!(mesh.sleeper(0), Some(77));
        assert_eq!(mesh.sleeper(0), None);
    }

    #[test]
    fn spreads_few_connections_evenly() {
        let (mesh, _inboxes) = Mesh::new(3).expect("a mesh");
        let placed: Vec<u16> = (0..6).map(|_| mesh.place_client()).collect();
        assert_eq!(placed, [0, 1, 2, 0, 1, 2]);
        mesh.release_client(1);
        assert_eq!(mesh.place_client(), 1);
        assert_eq!(mesh.clients(), 6);
    }
}
