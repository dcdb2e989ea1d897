//! A client's TLS connection: a socket and a session.
//!
//! It is driven as a plain socket is, with two differences. A step of its handshake is made only
//! when the worker grants it ([`TlsStream::grant`]), because signing takes as long as hundreds of
//! commands. And what the socket does not accept is kept encrypted, up to a limit: such a
//! connection has output even where the client's is empty ([`TlsStream::has_output`]).

use std::cell::RefCell;
use std::io::{self, Read};
use std::sync::Arc;

use mio::net::TcpStream;
use redix_core::client::Client;
use redix_core::config::TlsAuthClientsUser;
use rustls::ServerConfig;

use super::session::Session;
use super::user_names;
use crate::conn::{ReadOutcome, WriteOutcome};

/// The most that is read at a time before the handshake has ended.
const HANDSHAKE_READ_MAX: usize = 4 * 1024;
/// The most that is read at a time after it.
const READ_MAX: usize = 32 * 1024;

thread_local! {
    /// What was read from a socket and is not decrypted yet: never kept between two reads.
    static RECEIVED: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_MAX].into());
}

/// One connection.
pub struct TlsStream {
    socket: TcpStream,
    session: Session,
    /// The next step of the handshake may be made.
    granted: bool,
    /// The handshake has ended, and the worker has not been told yet.
    completed: bool,
    /// Why the handshake has failed.
    failure: Option<String>,
}

impl TlsStream {
    /// Takes over a socket that was accepted, and is non-blocking.
    pub fn new(socket: TcpStream, config: &Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        let session = Session::new(Arc::clone(config))?;
        Ok(Self { socket, session, granted: false, completed: false, failure: None })
    }

    /// The socket.
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// The socket.
    pub fn socket_mut(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    /// Permits one step of the handshake.
    pub fn grant(&mut self) {
        self.granted = true;
    }

    /// Whether the handshake is under way.
    pub fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    /// Whether the handshake has ended since the last call.
    pub fn take_completed(&mut self) -> bool {
        std::mem::take(&mut self.completed)
    }

    /// Why the handshake has failed, if it has.
    pub fn take_failure(&mut self) -> Option<String> {
        self.failure.take()
    }

    /// The users that the client's certificate names.
    pub fn user_names(&self, field: TlsAuthClientsUser) -> Vec<Vec<u8>> {
        let certificate = self.session.client_certificate();
        certificate.map_or_else(Vec::new, |certificate| user_names(certificate, field))
    }

    /// Whether output waits for the socket.
    pub fn has_output(&self) -> bool {
        self.session.has_output()
    }

    /// Reads once, and decrypts what was read into the client's input.
    pub fn read(&mut self, client: &mut Client) -> ReadOutcome {
        if self.session.has_ended() {
            return ReadOutcome::Ended;
        }
        let handshaking = self.session.is_handshaking();
        if handshaking && !std::mem::take(&mut self.granted) {
            return ReadOutcome::Handshake;
        }
        let most = if handshaking { HANDSHAKE_READ_MAX } else { READ_MAX };
        RECEIVED.with_borrow_mut(|buffer| {
            let buffer = &mut buffer[..most];
            loop {
                return match self.socket.read(buffer) {
                    Ok(0) => self.end(handshaking),
                    Ok(count) => self.take_in(&buffer[..count], count == most, client),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        ReadOutcome::Drained(0)
                    }
                    Err(_) => ReadOutcome::Broken,
                };
            }
        })
    }

    /// The end of what the peer sends. Whole commands before it are executed, even where it has not
    /// said goodbye: what was cut off is incomplete, and is not.
    fn end(&mut self, handshaking: bool) -> ReadOutcome {
        if handshaking {
            self.failure = Some("the peer has closed the connection".into());
            return ReadOutcome::Broken;
        }
        ReadOutcome::Ended
    }

    fn take_in(&mut self, bytes: &[u8], filled: bool, client: &mut Client) -> ReadOutcome {
        let handshaking = self.session.is_handshaking();
        let received = self.session.receive(bytes, |plain| client.input.push(plain));
        // Replies of the protocol, and what tells the peer why it is refused.
        let sent = self.send();
        let count = match (received, sent) {
            (Ok(count), Ok(_)) => count,
            (Err(failure), _) => {
                self.failure = handshaking.then(|| failure.to_string());
                return ReadOutcome::Broken;
            }
            (_, Err(_)) => return ReadOutcome::Broken,
        };
        self.completed = handshaking && !self.session.is_handshaking();
        match self.session.has_ended() {
            true if count == 0 => ReadOutcome::Ended,
            // Its end is found by another read.
            true => ReadOutcome::Filled(count),
            false if filled || self.completed => ReadOutcome::Filled(count),
            false => ReadOutcome::Drained(count),
        }
    }

    /// Sends what is encrypted. Returns whether nothing is left.
    fn send(&mut self) -> io::Result<bool> {
        match self.session.send(&mut self.socket) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Encrypts and sends the client's output. What the socket does not accept is set aside.
    pub fn flush(&mut self, client: &mut Client) -> WriteOutcome {
        let mut total = 0;
        loop {
            match self.send() {
                Err(_) => return WriteOutcome::Broken,
                Ok(true) if client.unsent().is_empty() => return WriteOutcome::All(total),
                Ok(true) if !self.session.is_handshaking() => {}
                Ok(_) => {
                    client.set_unsent_aside();
                    return WriteOutcome::Part(total);
                }
            }
            let count = self.session.encrypt(client.unsent());
            if count == 0 {
                return WriteOutcome::Broken;
            }
            client.note_sent(count);
            total += count;
        }
    }
}

impl Drop for TlsStream {
    /// Says goodbye, as far as the socket accepts it at once.
    fn drop(&mut self) {
        if !self.session.is_handshaking() {
            self.session.close();
            // Ignored: nobody is left to be told.
            self.send().ok();
        }
    }
}
