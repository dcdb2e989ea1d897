//! The thread with the socket to the primary; the protocol is in [`redix_core::upstream`].
//!
//! **Invariants.** The socket never blocks. The thread sleeps only in its poll, from which
//! REPLICAOF wakes it.

mod ahead;

use std::io::{self, Read as _};
use std::net::{Shutdown, SocketAddr, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Registry, Token, Waker};
use redix_core::engine::{Engine, Rest};
use redix_core::env::Wake;
use redix_core::repl::status::LinkThread;
use redix_core::upstream::ahead::{Portions, ReadAhead};
use redix_core::upstream::{Transport, Upstream};
use socket2::{Domain, Protocol, Socket, Type};

use self::ahead::{QUEUED_MAX, Reader};
use crate::log;
use crate::tls::Tls;
use crate::tls::outgoing::Outgoing;

const WAKE: Token = Token(0);
const SOCKET: Token = Token(1);

/// Once this many bytes were read in a row, and more are available, the stream lags enough for a
/// read-ahead thread to be worthwhile.
const BEHIND_BYTES: usize = 256 * 1024;

/// The thread, as others reach it.
struct Handle {
    waker: Arc<Waker>,
    stream: Arc<Mutex<Weak<PrimaryStream>>>,
}

/// The connection to the primary.
type PrimaryStream = Outgoing<TcpStream>;

impl Wake for Handle {
    fn wake(&self) {
        // The only failure is a full event counter, and then the thread is being woken anyway.
        self.waker.wake().ok();
    }
}

impl LinkThread for Handle {
    fn cut(&self) {
        if let Some(stream) = locked(&self.stream).upgrade() {
            stream.socket().shutdown(Shutdown::Both).ok();
        }
    }
}

fn locked(stream: &Mutex<Weak<PrimaryStream>>) -> MutexGuard<'_, Weak<PrimaryStream>> {
    // A pointer is whole whenever a panic leaves it.
    stream.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts the thread. It connects once the engine is a replica and has loaded its data.
pub fn start(engine: &Arc<Engine>, tls: &Arc<Tls>) -> Result<(), String> {
    let fail = |error: io::Error| format!("Can't make an event loop: {error}");
    let poll = Poll::new().map_err(fail)?;
    let waker = Arc::new(Waker::new(poll.registry(), WAKE).map_err(fail)?);
    let current = Arc::new(Mutex::new(Weak::new()));
    let handle = Handle { waker: Arc::clone(&waker), stream: Arc::clone(&current) };
    engine.repl.upstream.set_thread(Box::new(handle));
    let registry = || poll.registry().try_clone().map_err(fail);
    let maker = (Arc::clone(engine), Arc::clone(tls));
    let beside = LinkSocket {
        registry: registry()?,
        stream: None,
        current: Arc::default(),
        reader: None,
        beside: None,
        maker: maker.clone(),
    };
    let socket = LinkSocket {
        registry: registry()?,
        stream: None,
        current,
        reader: Reader::start(waker, QUEUED_MAX)?,
        beside: Some(Box::new(beside)),
        maker,
    };
    let engine = Arc::clone(engine);
    thread::Builder::new()
        .name("link".into())
        .spawn(move || run(&engine, poll, socket))
        .map(drop)
        .map_err(|error| format!("Can't start a thread: {error}"))
}

fn run(engine: &Arc<Engine>, mut poll: Poll, mut socket: LinkSocket) {
    let mut events = Events::with_capacity(4);
    let mut upstream = Upstream::new(Arc::clone(engine));
    loop {
        let step = catch_unwind(AssertUnwindSafe(|| upstream.step(&mut socket)));
        let rest = step.unwrap_or_else(|_| {
            log::warning("A command of the primary panicked.");
            upstream.recover(&mut socket)
        });
        let Rest::Until(due_ns) = rest else { continue };
        let nap_ns = due_ns.saturating_sub(engine.env.clock.mono_ns());
        match poll.poll(&mut events, Some(Duration::from_nanos(nap_ns))) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                // Without its poll it checks periodically.
                log::warning(&format!("The link to the primary can't wait: {error}"));
                thread::sleep(Duration::from_millis(100));
            }
        }
    }
}

/// The socket to the primary, as the engine sees it.
struct LinkSocket {
    registry: Registry,
    stream: Option<Arc<PrimaryStream>>,
    /// The same, for those who cut it.
    current: Arc<Mutex<Weak<PrimaryStream>>>,
    reader: Option<Reader>,
    /// For a data set that has a connection of its own.
    beside: Option<Box<LinkSocket>>,
    /// From where it is known whether to use TLS, and how.
    maker: (Arc<Engine>, Arc<Tls>),
}

impl LinkSocket {
    fn stream(&self) -> io::Result<&PrimaryStream> {
        self.stream.as_deref().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Makes a connection of a socket, with TLS if that is configured.
    fn wrap(&self, socket: TcpStream) -> io::Result<PrimaryStream> {
        let (engine, tls) = &self.maker;
        if engine.config().tls_replication {
            tls.outgoing(socket)
        } else {
            Ok(Outgoing::plain(socket))
        }
    }
}

impl Transport for LinkSocket {
    fn beside(&mut self) -> Option<&mut dyn Transport> {
        let beside = self.beside.as_deref_mut()?;
        Some(beside)
    }

    fn connect(&mut self, host: &str, port: u16, from: &str) -> io::Result<()> {
        self.close();
        let mut last = io::Error::other("the name has no address");
        for addr in (host, port).to_socket_addrs()? {
            match open(addr, from) {
                Ok(mut stream) => {
                    let interest = Interest::READABLE | Interest::WRITABLE;
                    self.registry.register(&mut stream, SOCKET, interest)?;
                    stream.set_nodelay(true).ok();
                    let stream = Arc::new(self.wrap(stream)?);
                    *locked(&self.current) = Arc::downgrade(&stream);
                    self.stream = Some(stream);
                    return Ok(());
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn connected(&mut self) -> io::Result<bool> {
        let stream = self.stream()?;
        if let Some(error) = stream.socket().take_error()? {
            return Err(error);
        }
        match stream.socket().peer_addr() {
            Ok(_) => shake_hands(stream),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn names(&self) -> (String, String) {
        let name = |addr: Option<io::Result<SocketAddr>>| match addr {
            Some(Ok(addr)) => addr.to_string(),
            _ => "?:0".into(),
        };
        let socket = self.stream.as_deref().map(Outgoing::socket);
        (name(socket.map(TcpStream::peer_addr)), name(socket.map(TcpStream::local_addr)))
    }

    fn fd(&self) -> i32 {
        self.stream.as_deref().map_or(-1, |stream| stream.socket().as_raw_fd())
    }

    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.stream()?.read(out)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream()?.write(bytes)
    }

    fn read_ahead(
        &mut self,
        read: usize,
        ahead: Box<ReadAhead>,
    ) -> Result<Box<dyn Portions>, Box<ReadAhead>> {
        match (&self.reader, &self.stream) {
            (Some(reader), Some(stream)) if read >= BEHIND_BYTES => reader.begin(ahead, stream),
            _ => Err(ahead),
        }
    }

    fn close(&mut self) {
        let Some(stream) = self.stream.take() else { return };
        // The read-ahead thread may still hold it for a moment. The last owner closes it, which
        // deregisters it.
        stream.socket().shutdown(Shutdown::Both).ok();
    }
}

/// Goes on with a handshake as far as the socket lets it. Returns whether it has ended.
fn shake_hands(stream: &PrimaryStream) -> io::Result<bool> {
    loop {
        match stream.shake_hands() {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}

/// Begins to connect to `addr`, from the local address `from` unless it is empty.
fn open(addr: SocketAddr, from: &str) -> io::Result<TcpStream> {
    if from.is_empty() {
        return TcpStream::connect(addr);
    }
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    let source = (from, 0).to_socket_addrs()?.find(|source| source.is_ipv4() == addr.is_ipv4());
    let source = source.ok_or_else(|| io::Error::other("bind-source-addr is of another family"))?;
    socket.bind(&source.into())?;
    match socket.connect(&addr.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(TcpStream::from_std(socket.into())),
    }
}
