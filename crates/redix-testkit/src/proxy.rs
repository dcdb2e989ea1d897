//! A TCP proxy on loopback that delays, stalls and cuts connections on command.
//!
//! It stands between two servers, so that a test controls their connection. Each connection has one
//! thread for each direction, which reads, waits as the proxy's settings require, and forwards. A
//! stalled direction is not read either, so that its sender experiences a full network.
//!
//! **Invariants.** [`Proxy::cut`] returns when no connection is left: bytes that were read and not
//! forwarded are lost, at any boundary. Settings apply to present and future connections alike. All
//! threads end with the proxy.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// The most bytes buffered inside the proxy, for each connection and direction.
const CHUNK_BYTES: usize = 16 * 1024;

/// The direction of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the client to the server behind the proxy.
    ToServer,
    /// From the server behind the proxy to the client.
    ToClient,
}

/// The settings of one direction.
#[derive(Clone, Copy, Default)]
struct Gate {
    stalled: bool,
    delay: Duration,
    passed: u64,
}

#[derive(Default)]
struct State {
    to_server: Gate,
    to_client: Gate,
    /// New connections are closed at once.
    refusing: bool,
    ending: bool,
    accepted: u64,
    next_id: u64,
    open: BTreeMap<u64, Link>,
}

/// One connection.
struct Link {
    client: TcpStream,
    server: TcpStream,
    /// Its threads must end even while they wait.
    cut: bool,
    /// Number of its threads that still run.
    threads: usize,
}

impl Link {
    /// Makes its threads end.
    fn cut(&mut self) {
        self.cut = true;
        // Ignored: a socket that cannot be shut down is closed already.
        let _ = (self.client.shutdown(Shutdown::Both), self.server.shutdown(Shutdown::Both));
    }
}

impl State {
    fn gate(&mut self, way: Way) -> &mut Gate {
        match way {
            Way::ToServer => &mut self.to_server,
            Way::ToClient => &mut self.to_client,
        }
    }

    /// One of a connection's threads has ended, so the other must.
    fn end_thread(&mut self, id: u64) {
        let Some(link) = self.open.get_mut(&id) else { return };
        link.cut();
        link.threads -= 1;
        if link.threads == 0 {
            self.open.remove(&id);
        }
    }
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, f: impl FnOnce(&mut State)) {
        f(&mut self.state());
        self.changed.notify_all();
    }
}

/// A running proxy.
pub struct Proxy {
    addr: SocketAddr,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

impl Proxy {
    /// A proxy on a free port before the server at `target`.
    pub fn to(target: SocketAddr) -> Result<Proxy> {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("binding the proxy")?;
        let addr = socket.local_addr()?;
        let shared = Arc::new(Shared::default());
        let seen = Arc::clone(&shared);
        let listener = std::thread::spawn(move || listen(&socket, target, &seen));
        Ok(Proxy { addr, shared, listener: Some(listener) })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.addr.port()
    }

    /// Closes all connections; returns when they are closed. New ones are served.
    pub fn cut(&self) {
        let mut state = self.shared.state();
        let ids: Vec<u64> = state.open.keys().copied().collect();
        state.open.values_mut().for_each(Link::cut);
        self.shared.changed.notify_all();
        while ids.iter().any(|id| state.open.contains_key(id)) {
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Closes all connections, and new ones at once, until [`Proxy::restore`].
    pub fn sever(&self) {
        self.shared.change(|state| state.refusing = true);
        self.cut();
    }

    /// Serves new connections again.
    pub fn restore(&self) {
        self.shared.change(|state| state.refusing = false);
    }

    /// Stops forwarding in one direction until [`Proxy::resume`].
    pub fn stall(&self, way: Way) {
        self.shared.change(|state| state.gate(way).stalled = true);
    }

    /// Resumes forwarding.
    pub fn resume(&self, way: Way) {
        self.shared.change(|state| state.gate(way).stalled = false);
    }

    /// Delays bytes in one direction, 16 KiB at a time: a link with latency and low bandwidth.
    pub fn delay(&self, way: Way, delay: Duration) {
        self.shared.change(|state| state.gate(way).delay = delay);
    }

    /// Bytes forwarded so far in one direction.
    pub fn passed(&self, way: Way) -> u64 {
        self.shared.state().gate(way).passed
    }

    /// Connections accepted so far and not refused.
    pub fn accepted(&self) -> u64 {
        self.shared.state().accepted
    }

    /// Connections that are open.
    pub fn open(&self) -> usize {
        self.shared.state().open.len()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.change(|state| state.ending = true);
        self.cut();
        // One more connection ends the accept loop.
        let _ = TcpStream::connect(self.addr);
        if let Some(listener) = self.listener.take() {
            // Ignored: the thread returns nothing.
            let _ = listener.join();
        }
        self.cut();
    }
}

fn listen(socket: &TcpListener, target: SocketAddr, shared: &Arc<Shared>) {
    for client in socket.incoming() {
        let state = shared.state();
        let (ending, refusing) = (state.ending, state.refusing);
        drop(state);
        if ending {
            return;
        }
        let Ok(client) = client else { continue };
        if refusing {
            continue;
        }
        // A server that cannot be reached looks like a connection that is closed at once.
        let Ok(server) = TcpStream::connect(target) else { continue };
        // Ignored: a connection that fails here is closed by being dropped.
        let _ = open(client, server, shared);
    }
}

fn open(client: TcpStream, server: TcpStream, shared: &Arc<Shared>) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let pairs = [
        (client.try_clone()?, server.try_clone()?, Way::ToServer),
        (server.try_clone()?, client.try_clone()?, Way::ToClient),
    ];
    let mut state = shared.state();
    if state.refusing || state.ending {
        return Ok(());
    }
    let id = state.next_id;
    state.next_id += 1;
    state.accepted += 1;
    state.open.insert(id, Link { client, server, cut: false, threads: pairs.len() });
    drop(state);
    for (from, to, way) in pairs {
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            pump(from, to, way, id, &shared);
            shared.change(|state| state.end_thread(id));
        });
    }
    Ok(())
}

/// Forwards bytes until one side ends.
fn pump(mut from: TcpStream, mut to: TcpStream, way: Way, id: u64, shared: &Shared) {
    let mut chunk = vec![0; CHUNK_BYTES];
    while let Ok(count @ 1..) = from.read(&mut chunk) {
        if !wait_to_pass(way, id, shared) || to.write_all(&chunk[..count]).is_err() {
            return;
        }
        shared.state().gate(way).passed += count as u64;
    }
}

/// Waits as the settings require; false if the connection was cut meanwhile.
fn wait_to_pass(way: Way, id: u64, shared: &Shared) -> bool {
    let read_at = Instant::now();
    let mut state = shared.state();
    loop {
        if state.open.get(&id).is_none_or(|link| link.cut) {
            return false;
        }
        let Gate { stalled, delay, .. } = *state.gate(way);
        let left = delay.saturating_sub(read_at.elapsed());
        if !stalled && left.is_zero() {
            return true;
        }
        state = if stalled {
            shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
        } else {
            let waited = shared.changed.wait_timeout(state, left);
            waited.unwrap_or_else(PoisonError::into_inner).0
        };
    }
}

#[cfg(test)]
mod tests;
