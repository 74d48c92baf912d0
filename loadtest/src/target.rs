//! Knows where the server is and how to reach it. Never speaks to it, but for one blocking command at a time.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::limits::{CONNECT_TIMEOUT, INPUT_BYTES_INITIAL, REPLY_BYTES_MAX};
use crate::reply::{self, Reply};

#[derive(Debug, Clone)]
pub enum Target {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Target {
    pub fn tcp(host: &str, port: u16) -> Result<Self> {
        let mut addresses =
            (host, port).to_socket_addrs().with_context(|| format!("no such host: {host}"))?;
        addresses.next().map(Self::Tcp).with_context(|| format!("{host} has no address"))
    }

    pub fn connect(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(address) => {
                let stream = TcpStream::connect_timeout(address, CONNECT_TIMEOUT)?;
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
            Self::Unix(path) => Ok(Stream::Unix(UnixStream::connect(path)?)),
        }
    }

    /// Sends one command over its own connection and hands its reply to `read`.
    pub fn ask<T>(&self, words: &[&str], timeout: Duration, read: impl FnOnce(Reply<'_>) -> T) -> Result<T> {
        self.talk(timeout)?.ask(words, read)
    }

    /// A connection for one command after the other.
    pub fn talk(&self, timeout: Duration) -> Result<Talk> {
        let stream = self.connect().with_context(|| format!("cannot connect to {self}"))?;
        stream.set_timeouts(timeout)?;
        Ok(Talk { stream, input: vec![0; INPUT_BYTES_INITIAL] })
    }

    pub fn answers_ping(&self, timeout: Duration) -> bool {
        self.ask(&["PING"], timeout, |reply| reply == Reply::Status(b"PONG")).unwrap_or(false)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(out, "{address}"),
            Self::Unix(path) => write!(out, "{}", path.display()),
        }
    }
}

pub fn encode(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len());
    for word in words {
        bytes.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    bytes.into_bytes()
}

/// A connection that has at most one command under way.
pub struct Talk {
    stream: Stream,
    input: Vec<u8>,
}

impl Talk {
    /// Sends one command and hands its reply to `read`.
    pub fn ask<T>(&mut self, words: &[&str], read: impl FnOnce(Reply<'_>) -> T) -> Result<T> {
        self.stream.write_all(&encode(words))?;
        let mut length = 0;
        loop {
            if let Some((reply, _)) = reply::parse(&self.input[..length])? {
                return Ok(read(reply));
            }
            if length == self.input.len() {
                self.input.resize((length * 2).min(REPLY_BYTES_MAX), 0);
            }
            match self.stream.read(&mut self.input[length..])? {
                0 => bail!("the server closed the connection"),
                count => length += count,
            }
        }
    }

    /// What INFO says of a section.
    pub fn info(&mut self, section: &str) -> Result<String> {
        self.ask(&["INFO", section], |reply| match reply {
            Reply::Bulk(text) => Ok(String::from_utf8_lossy(text).into_owned()),
            reply => bail!("no answer to INFO {section}: {reply:?}"),
        })?
    }
}

pub enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    pub fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_nonblocking(true),
            Self::Unix(stream) => stream.set_nonblocking(true),
        }
    }

    pub fn set_timeouts(&self, timeout: Duration) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => {
                stream.set_read_timeout(Some(timeout))?;
                stream.set_write_timeout(Some(timeout))
            }
            Self::Unix(stream) => {
                stream.set_read_timeout(Some(timeout))?;
                stream.set_write_timeout(Some(timeout))
            }
        }
    }
}

impl Read for Stream {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}
