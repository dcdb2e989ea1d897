//! Connections from this server to others, plain or TLS: to a primary, and to targets of MIGRATE.
//!
//! **Invariants.** Two threads may read and write: the session is locked while it decrypts or
//! encrypts, and while its socket is used, which does not block or has a timeout. Decrypted bytes
//! that wait for a reader are those of one read of the socket and one record before it.

use std::io::{self, BufRead, Read, Write};
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::pki_types::{IpAddr, Ipv4Addr, ServerName};
use rustls::{ClientConfig, ClientConnection};

/// The most that is read from the socket at a time.
const READ_MAX: usize = 16 * 1024;

/// A stream socket that can be used through a shared reference.
pub trait Socket {
    /// As [`Read::read`].
    fn receive(&self, out: &mut [u8]) -> io::Result<usize>;
    /// As [`Write::write`].
    fn send(&self, bytes: &[u8]) -> io::Result<usize>;
}

impl Socket for mio::net::TcpStream {
    fn receive(&self, out: &mut [u8]) -> io::Result<usize> {
        (&*self).read(out)
    }

    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }
}

impl Socket for std::net::TcpStream {
    fn receive(&self, out: &mut [u8]) -> io::Result<usize> {
        (&*self).read(out)
    }

    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }
}

/// A connection.
pub struct Outgoing<S> {
    socket: S,
    session: Option<Mutex<Session>>,
}

struct Session {
    tls: ClientConnection,
    /// Decrypted bytes; those before `taken` have been read.
    plain: Vec<u8>,
    taken: usize,
}

fn failed(error: &rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}

impl<S: Socket> Outgoing<S> {
    /// A plain connection.
    pub fn plain(socket: S) -> Self {
        Self { socket, session: None }
    }

    /// A TLS connection, before its handshake.
    pub fn tls(socket: S, config: &Arc<ClientConfig>) -> io::Result<Self> {
        // It is neither sent nor compared with the certificate.
        let nameless = ServerName::IpAddress(IpAddr::V4(Ipv4Addr::from([0; 4])));
        let tls =
            ClientConnection::new(Arc::clone(config), nameless).map_err(|error| failed(&error))?;
        let session = Session { tls, plain: Vec::new(), taken: 0 };
        Ok(Self { socket, session: Some(Mutex::new(session)) })
    }

    /// The socket.
    pub fn socket(&self) -> &S {
        &self.socket
    }

    /// Makes a step of the handshake. Returns whether it has ended.
    ///
    /// Errors: those of the socket; the server is not trusted, or refuses.
    pub fn shake_hands(&self) -> io::Result<bool> {
        let Some(session) = &self.session else { return Ok(true) };
        let mut session = session.lock();
        session.send(&self.socket)?;
        if session.tls.is_handshaking() {
            session.receive(&self.socket)?;
            session.send(&self.socket)?;
        }
        Ok(!session.tls.is_handshaking())
    }

    /// Reads from the socket at most once; 0 at the end, with or without the peer's goodbye. `None`
    /// where what was read had no plain text in it. Errors: those of the socket.
    pub fn read_once(&self, out: &mut [u8]) -> io::Result<Option<usize>> {
        let Some(session) = &self.session else { return self.socket.receive(out).map(Some) };
        let mut session = session.lock();
        if session.plain.is_empty() {
            match session.receive(&self.socket) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Some(0)),
                Err(error) => return Err(error),
            }
            // Ignored: it is tried again, and fails where the connection has.
            session.send(&self.socket).ok();
        }
        let count = session.take(out);
        Ok((count > 0).then_some(count))
    }

    /// Writes as far as the socket accepts it. What was encrypted and not accepted is sent before
    /// the next bytes.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let Some(session) = &self.session else { return self.socket.send(bytes) };
        let mut session = session.lock();
        session.send(&self.socket)?;
        let count = session.tls.writer().write(bytes)?;
        match session.send(&self.socket) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(count),
        }
    }
}

impl Session {
    /// Reads from the socket once and decrypts. `UnexpectedEof` at the end.
    fn receive(&mut self, socket: &impl Socket) -> io::Result<()> {
        let mut buffer = [0; READ_MAX];
        let count = socket.receive(&mut buffer)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut rest = &buffer[..count];
        while !rest.is_empty() {
            if self.tls.read_tls(&mut rest)? == 0 {
                // The peer has said goodbye.
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let state = match self.tls.process_new_packets() {
                Ok(state) => state,
                Err(error) => {
                    // Ignored: it tells the peer why, if that is possible.
                    self.send(socket).ok();
                    return Err(failed(&error));
                }
            };
            let mut reader = self.tls.reader();
            let mut left = state.plaintext_bytes_to_read();
            while left > 0 {
                let chunk = reader.fill_buf()?;
                self.plain.extend_from_slice(chunk);
                let count = chunk.len();
                reader.consume(count);
                left = left.saturating_sub(count.max(1));
            }
        }
        Ok(())
    }

    fn take(&mut self, out: &mut [u8]) -> usize {
        let rest = &self.plain[self.taken..];
        let count = rest.len().min(out.len());
        out[..count].copy_from_slice(&rest[..count]);
        self.taken += count;
        if self.taken == self.plain.len() {
            self.plain.clear();
            self.taken = 0;
        }
        count
    }

    fn send(&mut self, socket: &impl Socket) -> io::Result<()> {
        struct Out<'a, S>(&'a S);
        impl<S: Socket> Write for Out<'_, S> {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.send(bytes)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut Out(socket)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Read for &Outgoing<mio::net::TcpStream> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(count) = self.read_once(out)? {
                return Ok(count);
            }
        }
    }
}
