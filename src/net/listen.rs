//! Opens the listening sockets, and says in words why one cannot be opened.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, TcpKeepalive, Type};

/// Connections that may wait to be accepted: as many as the kernel allows (`net.core.somaxconn`).
const BACKLOG: i32 = 65_535;

/// How long an address in use is tried again. A server that was killed leaves its listener to the kernel, which closes it only when
/// it has torn down the ring that accepted on it: a moment after the process is gone.
const PREDECESSOR_WAIT: Duration = Duration::from_secs(1);

/// Why a listener cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another process listens there.
    #[error(
        "cannot listen on {0}: the address is in use\n  Another process listens there (see `ss -ltnp`). Stop it, or choose another one with --port or --bind-addr."
    )]
    InUse(String),
    /// The port is privileged.
    #[error(
        "cannot listen on {0}: permission denied\n  Ports below 1024 need CAP_NET_BIND_SERVICE. Choose a higher one with --port."
    )]
    Denied(String),
    /// The address is not one of this machine.
    #[error(
        "cannot listen on {0}: this machine has no such address\n  `ip addr` lists its addresses; --bind-addr 0.0.0.0 means all of them."
    )]
    NoSuchAddress(String),
    /// The path exists and is no socket.
    #[error(
        "cannot listen on the Unix socket {0}: a file of another kind is there\n  Remove it, or choose another path with --unix-socket."
    )]
    NotASocket(String),
    /// A path longer than the kernel takes.
    #[error("cannot listen on the Unix socket {0}: the path is longer than the 107 bytes the kernel takes")]
    PathTooLong(String),
    /// Anything else.
    #[error("cannot listen on {0}: {1}")]
    Other(String, io::Error),
}

fn named(place: String, error: io::Error) -> ListenError {
    match error.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse(place),
        io::ErrorKind::PermissionDenied => ListenError::Denied(place),
        io::ErrorKind::AddrNotAvailable => ListenError::NoSuchAddress(place),
        _ => ListenError::Other(place, error),
    }
}

/// Listens on a TCP address; port 0 takes a free one. Accepted sockets inherit `TCP_NODELAY`.
pub fn tcp(address: IpAddr, port: u16) -> Result<(OwnedFd, u16), ListenError> {
    let place = SocketAddr::new(address, port);
    let open = || -> io::Result<(OwnedFd, u16)> {
        let socket = Socket::new(Domain::for_address(place), Type::STREAM.cloexec(), Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_tcp_nodelay(true)?;
        socket.bind(&SockAddr::from(place))?;
        socket.listen(BACKLOG)?;
        let port = socket.local_addr()?.as_socket().map_or(port, |bound| bound.port());
        Ok((OwnedFd::from(socket), port))
    };
    let deadline = Instant::now() + PREDECESSOR_WAIT;
    loop {
        match open() {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(20));
            }
            outcome => return outcome.map_err(|error| named(place.to_string(), error)),
        }
    }
}

/// Probes a silent peer after so many seconds, as Redis does; 0 never. A socket that takes no such option goes without.
pub fn keep_alive(socket: &OwnedFd, seconds: u64) {
    if seconds > 0 {
        let idle = Duration::from_secs(seconds);
        let between = Duration::from_secs((seconds / 3).max(1));
        let probes = TcpKeepalive::new().with_time(idle).with_interval(between).with_retries(3);
        let _ = SockRef::from(socket).set_tcp_keepalive(&probes);
    }
}

/// Listens on a Unix socket. A socket that a stopped server left behind is replaced; one that answers is in use.
pub fn unix(path: &Path) -> Result<OwnedFd, ListenError> {
    let shown = path.display().to_string();
    let address = SockAddr::unix(path).map_err(|_| ListenError::PathTooLong(shown.clone()))?;
    if let Ok(existing) = fs::symlink_metadata(path) {
        if !existing.file_type().is_socket() {
            return Err(ListenError::NotASocket(shown));
        }
        if UnixStream::connect(path).is_ok() {
            return Err(ListenError::InUse(shown));
        }
        fs::remove_file(path).map_err(|error| named(shown.clone(), error))?;
    }
    let open = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM.cloexec(), None)?;
        socket.bind(&address)?;
        socket.listen(BACKLOG)?;
        Ok(OwnedFd::from(socket))
    };
    open().map_err(|error| named(shown, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_is_wrong() {
        let localhost = IpAddr::from([127, 0, 0, 1]);
        let (_kept, port) = tcp(localhost, 0).expect("a free port");
        assert!(
            matches!(tcp(localhost, port), Err(ListenError::InUse(place)) if place.ends_with(&port.to_string()))
        );
        let foreign = IpAddr::from([192, 0, 2, 1]);
        assert!(matches!(tcp(foreign, 0), Err(ListenError::NoSuchAddress(_))));
    }

    #[test]
    fn replaces_a_socket_nobody_listens_on_and_nothing_else() {
        let dir = std::env::temp_dir().join(format!("corevault-listen-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory");
        let path = dir.join("s");
        drop(unix(&path).expect("a socket"));
        let kept = unix(&path).expect("a stale socket is replaced");
        assert!(matches!(unix(&path), Err(ListenError::InUse(_))));
        drop(kept);
        fs::write(dir.join("f"), "text").expect("a file");
        assert!(matches!(unix(&dir.join("f")), Err(ListenError::NotASocket(_))));
        assert!(matches!(unix(&dir.join("x".repeat(200))), Err(ListenError::PathTooLong(_))));
        fs::remove_dir_all(&dir).expect("cleaned up");
    }
}
