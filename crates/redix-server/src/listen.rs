//! Listening sockets: the configured addresses, and opening them.
//!
//! **Invariants.** A Unix socket has its permissions before anybody can connect to it. Opening is
//! all or nothing: if one address fails, none stays open, except for addresses marked as optional
//! and for address families that the machine does not have.
//!
//! Source: `bind`, `port`, `tls-port`, `tcp-backlog`, `unixsocket` as Redis 7 and Valkey 8 treat
//! them.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use mio::event::Source;
use mio::net::{TcpListener, UnixListener};
use mio::{Interest, Registry, Token};
use redix_core::config::{Config, Shown};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::{log, sys};

/// A socket that clients connect to.
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
    /// TLS over TCP.
    Tls(TcpListener),
}

impl Listener {
    fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Tcp(listener) | Self::Tls(listener) => listener,
            Self::Unix(listener) => listener,
        }
    }

    /// Registers the socket with a poll.
    pub fn register(&mut self, registry: &Registry, token: usize) -> io::Result<()> {
        registry.register(self.source(), Token(token), Interest::READABLE)
    }

    /// Deregisters the socket.
    pub fn deregister(&mut self, registry: &Registry) {
        // Ignored: closing it deregisters it too.
        registry.deregister(self.source()).ok();
    }
}

/// Opens the plain TCP sockets of a configuration; none if its port is 0. Failures are logged.
pub fn open_tcp(config: &Config) -> io::Result<Vec<Listener>> {
    Ok(open_port(config, config.port)?.into_iter().map(Listener::Tcp).collect())
}

/// Opens the TLS sockets of a configuration; none if their port is 0. Failures are logged.
pub fn open_tls(config: &Config) -> io::Result<Vec<Listener>> {
    Ok(open_port(config, config.tls_port)?.into_iter().map(Listener::Tls).collect())
}

fn open_port(config: &Config, port: u16) -> io::Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    if port == 0 {
        return Ok(listeners);
    }
    for word in &config.bind {
        let (name, optional) = match word.strip_prefix(b"-") {
            Some(rest) => (rest, true),
            None => (word.as_bytes(), false),
        };
        match open_address(name, port, config) {
            Ok(found) => listeners.extend(found),
            Err(failure) => {
                log::warning(&format!(
                    "Warning: Could not create server TCP listening socket {}:{port}: {}",
                    Shown(name),
                    failure.text
                ));
                if failure.is_bearable(optional) {
                    continue;
                }
                return Err(failure.error);
            }
        }
    }
    Ok(listeners)
}

/// Why an address could not be listened on.
struct Failure {
    text: String,
    error: io::Error,
}

impl Failure {
    fn at(step: &str, error: io::Error) -> Self {
        Self { text: format!("{step}: {}", sys::error_text(&error)), error }
    }

    /// Whether startup continues without the address.
    fn is_bearable(&self, optional: bool) -> bool {
        match self.error.raw_os_error() {
            Some(libc::EADDRNOTAVAIL) => optional,
            Some(
                libc::ENOPROTOOPT
                | libc::EPROTONOSUPPORT
                | libc::ESOCKTNOSUPPORT
                | libc::EPFNOSUPPORT
                | libc::EAFNOSUPPORT,
            ) => true,
            _ => false,
        }
    }
}

fn open_address(name: &[u8], port: u16, config: &Config) -> Result<Option<TcpListener>, Failure> {
    // A name with several addresses is served by the first that can be bound.
    let mut last = None;
    let name = str::from_utf8(name).map_err(|_| {
        let error = io::Error::other("it is not UTF-8");
        Failure { text: error.to_string(), error }
    })?;
    for addr in resolve(name, port)? {
        match open_socket(addr, config) {
            Ok(listener) => return Ok(Some(listener)),
            Err(failure) => last = Some(failure),
        }
    }
    last.map_or(Ok(None), Err)
}

fn resolve(name: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
    match name {
        "*" => return Ok(vec![SocketAddr::from(([0, 0, 0, 0], port))]),
        "::*" => return Ok(vec![SocketAddr::from(([0; 8], port))]),
        _ => {}
    }
    let wants_v6 = name.contains(':');
    let found = (name, port).to_socket_addrs().map_err(|error| {
        // The resolver's own text follows a prefix of the standard library.
        let text = error.to_string();
        let text = text.rsplit(": ").next().unwrap_or(&text).to_owned();
        Failure { text, error }
    })?;
    Ok(found.filter(|addr| addr.is_ipv6() == wants_v6).collect())
}

fn open_socket(addr: SocketAddr, config: &Config) -> Result<TcpListener, Failure> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)
        .map_err(|error| Failure::at("socket", error))?;
    if addr.is_ipv6() {
        socket.set_only_v6(true).map_err(|error| Failure::at("setsockopt", error))?;
    }
    socket
        .set_reuse_address(true)
        .map_err(|error| Failure::at("setsockopt SO_REUSEADDR", error))?;
    socket.set_nonblocking(true).map_err(|error| Failure::at("fcntl", error))?;
    socket.bind(&addr.into()).map_err(|error| Failure::at("bind", error))?;
    socket.listen(backlog(config)).map_err(|error| Failure::at("listen", error))?;
    Ok(TcpListener::from_std(socket.into()))
}

fn backlog(config: &Config) -> i32 {
    i32::try_from(config.tcp_backlog).unwrap_or(i32::MAX)
}

/// Opens the Unix socket of a configuration, if it names one. An existing file is replaced. The
/// error is the reason, for the log.
pub fn open_unix(config: &Config) -> Result<Option<Listener>, String> {
    if config.unixsocket.is_empty() {
        return Ok(None);
    }
    let at =
        |step: &'static str| move |error: io::Error| format!("{step}: {}", sys::error_text(&error));
    let path = Path::new(&config.unixsocket);
    // Ignored: if the old file cannot be removed, binding the new one fails.
    std::fs::remove_file(path).ok();
    let addr = SockAddr::unix(path).map_err(at("bind"))?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(at("socket"))?;
    socket.set_nonblocking(true).map_err(at("fcntl"))?;
    socket.bind(&addr).map_err(at("bind"))?;
    if config.unixsocketperm != 0 {
        let permissions = std::fs::Permissions::from_mode(config.unixsocketperm);
        std::fs::set_permissions(path, permissions).map_err(at("chmod"))?;
    }
    socket.listen(backlog(config)).map_err(at("listen"))?;
    Ok(Some(Listener::Unix(UnixListener::from_std(socket.into()))))
}
