//! The server's side of one TLS session, without a socket: bytes in, plain text and bytes out.
//!
//! **Invariants.** All plain text is handed on as soon as it is decrypted: rustls holds none.
//! Before its handshake has ended a session takes at most [`HANDSHAKE_BYTES_MAX`] bytes, which
//! bounds the memory that rustls needs for it.

use std::io::{self, BufRead, Write};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{Error, ServerConfig, ServerConnection};

/// The most bytes that a client may send before its handshake has ended: enough for certificates of
/// several authorities.
pub const HANDSHAKE_BYTES_MAX: usize = 32 * 1024;
/// The most bytes that wait, encrypted, for the socket to accept them.
pub const ENCRYPTED_MAX: usize = 64 * 1024;
/// The first byte of a record of a handshake, with which every session begins. Source: RFC 8446,
/// section 5.1.
const HANDSHAKE_RECORD: u8 = 22;

/// Why a session can't go on.
#[derive(Debug)]
pub enum Failure {
    /// What the peer has sent is wrong, or it is not trusted.
    Protocol(Error),
    /// The handshake is too long.
    TooLong,
    /// What the peer speaks is not TLS. It is told nothing: it would not understand.
    NotTls,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Protocol(error) => error.fmt(f),
            Self::NotTls => f.write_str("it does not begin with a TLS handshake"),
            Self::TooLong => write!(f, "the handshake is longer than {HANDSHAKE_BYTES_MAX} bytes"),
        }
    }
}

/// One session.
pub struct Session {
    tls: ServerConnection,
    handshake_bytes: usize,
    /// The peer has said that it sends no more.
    ended: bool,
}

impl Session {
    /// A session before its handshake.
    pub fn new(config: Arc<ServerConfig>) -> Result<Self, Error> {
        let mut tls = ServerConnection::new(config)?;
        tls.set_buffer_limit(Some(ENCRYPTED_MAX));
        Ok(Self { tls, handshake_bytes: 0, ended: false })
    }

    /// Whether the handshake is under way.
    pub fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    /// Whether the peer has said that it sends no more.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// The certificate that the client has presented, which is trusted.
    pub fn client_certificate(&self) -> Option<&CertificateDer<'static>> {
        self.tls.peer_certificates().and_then(<[CertificateDer<'_>]>::first)
    }

    /// Takes bytes that were received, and gives the plain text in them to `out`. Returns the
    /// number of its bytes. What follows the peer's last words is ignored.
    ///
    /// Errors: the session can't go on; what is left to be sent says why.
    pub fn receive(&mut self, bytes: &[u8], mut out: impl FnMut(&[u8])) -> Result<usize, Failure> {
        if self.handshake_bytes == 0
            && bytes.first().is_some_and(|first| *first != HANDSHAKE_RECORD)
        {
            return Err(Failure::NotTls);
        }
        let mut rest = bytes;
        let mut total = 0;
        while !rest.is_empty() && !self.ended {
            let handshaking = self.tls.is_handshaking();
            // It can't fail: its source is a slice, and no plain text is waiting.
            let count = self.tls.read_tls(&mut rest).unwrap_or(0);
            if handshaking {
                self.handshake_bytes += count;
                if self.handshake_bytes > HANDSHAKE_BYTES_MAX {
                    return Err(Failure::TooLong);
                }
            }
            let state = self.tls.process_new_packets().map_err(Failure::Protocol)?;
            if state.plaintext_bytes_to_read() > 0 {
                total += self.hand_on(&mut out);
            }
            self.ended = state.peer_has_closed();
            if count == 0 {
                break;
            }
        }
        Ok(total)
    }

    fn hand_on(&mut self, out: &mut impl FnMut(&[u8])) -> usize {
        let mut total = 0;
        let mut reader = self.tls.reader();
        // It fails where nothing is left.
        while let Ok(chunk) = reader.fill_buf() {
            if chunk.is_empty() {
                break;
            }
            out(chunk);
            let count = chunk.len();
            reader.consume(count);
            total += count;
        }
        total
    }

    /// Encrypts the beginning of `plain`, as far as there is room. Returns the number of bytes.
    pub fn encrypt(&mut self, plain: &[u8]) -> usize {
        // It can't fail: it writes to memory.
        self.tls.writer().write(plain).unwrap_or(0)
    }

    /// Whether encrypted bytes wait to be sent.
    pub fn has_output(&self) -> bool {
        self.tls.wants_write()
    }

    /// Sends encrypted bytes until none wait. Errors are those of `socket`.
    pub fn send(&mut self, socket: &mut dyn Write) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(socket) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Says that this side sends no more.
    pub fn close(&mut self) {
        self.tls.send_close_notify();
    }
}
