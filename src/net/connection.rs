//! One socket of a shard and what the kernel is doing with it. Owns the descriptor and the order of closing.
//!
//! # Closing
//!
//! Closing a descriptor does not end requests in flight, and the peer sees no end until they do. So: shut the socket down, which
//! ends them; wait until both have reported; close; only then is the index free for another client.

use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::{Shutdown, SocketAddrAny, shutdown};

use crate::shard::ClientRef;
use crate::sys::ring::{Ring, Token};

/// What the kernel does about receiving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receiving {
    /// Nothing.
    Off,
    /// It delivers what arrives.
    Armed,
    /// It was told to stop; what arrived before may still be delivered.
    Stopping,
}

/// A socket.
pub(super) struct Connection {
    pub socket: OwnedFd,
    pub client: ClientRef,
    pub receiving: Receiving,
    /// The peer has closed its side, or the stream broke.
    pub is_ended: bool,
    /// A send is in flight; how much of its buffer went out before.
    pub sending: Option<usize>,
    pub is_closing: bool,
    /// When something was last received, Unix milliseconds.
    pub read_ms: i64,
}

impl Connection {
    pub fn new(socket: OwnedFd, client: ClientRef) -> Connection {
        Connection {
            socket,
            client,
            receiving: Receiving::Off,
            is_ended: false,
            sending: None,
            is_closing: false,
            read_ms: 0,
        }
    }

    /// The connection's name in the ring.
    pub fn token(&self) -> Token {
        token(self.client)
    }

    /// Whether a completion with `token` is this connection's, and not one of an earlier user of its index.
    pub fn is_named(&self, token: Token) -> bool {
        self.token() == token
    }

    /// Begins or ends receiving, as `wanted`.
    pub fn set_receiving(&mut self, wanted: bool, ring: &mut Ring) {
        match self.receiving {
            Receiving::Off if wanted && !self.is_ended && !self.is_closing => {
                ring.receive(self.socket.as_fd(), self.token());
                self.receiving = Receiving::Armed;
            }
            Receiving::Armed if !wanted && !self.is_closing => {
                ring.cancel_receive(self.token());
                self.receiving = Receiving::Stopping;
            }
            _ => {}
        }
    }

    /// Begins to close.
    pub fn close(&mut self) {
        if !self.is_closing {
            self.is_closing = true;
            // An error means that the peer is gone already, and then there is nothing to end.
            let _ = shutdown(&self.socket, Shutdown::Both);
        }
    }

    /// Whether nothing is in flight any more and the descriptor may go.
    pub fn is_finished(&self) -> bool {
        self.is_closing && self.receiving == Receiving::Off && self.sending.is_none()
    }
}

/// A client's name in the ring: its generation is cut to the bits that a completion carries.
pub(super) fn token(client: ClientRef) -> Token {
    Token { index: client.index, generation: client.generation & 0xff_ffff }
}

/// The peer's and our own address, as `CLIENT LIST` shows them.
pub(super) fn addresses(socket: &OwnedFd, unix_path: Option<&str>) -> (String, String) {
    if let Some(path) = unix_path {
        return (format!("{path}:0"), format!("{path}:0"));
    }
    let text = |address: rustix::io::Result<SocketAddrAny>| {
        let address = address.ok().and_then(|any| SocketAddr::try_from(any).ok());
        address.map_or_else(|| "?:0".to_owned(), |address| address.to_string())
    };
    let peer = rustix::net::getpeername(socket)
        .map(|peer| peer.unwrap_or_else(|| SocketAddrAny::from(unspecified())));
    (text(peer), text(rustix::net::getsockname(socket)))
}

fn unspecified() -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], 0))
}
