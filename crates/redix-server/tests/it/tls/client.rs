//! A blocking client over TLS.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use redix_resp::{ReplyDecoder, Value, encode_command};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, StreamOwned};

/// One connection.
pub(super) struct TlsClient {
    pub(super) stream: StreamOwned<ClientConnection, TcpStream>,
    decoder: ReplyDecoder,
}

impl TlsClient {
    /// Connects; the handshake is made with the first command.
    pub(super) fn connect(port: u16, config: &Arc<ClientConfig>) -> Result<Self> {
        Self::connect_to(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), config)
    }

    /// The same to another address of this machine.
    pub(super) fn connect_to(addr: SocketAddr, config: &Arc<ClientConfig>) -> Result<Self> {
        let socket = TcpStream::connect(addr)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(Duration::from_secs(20)))?;
        let session = ClientConnection::new(Arc::clone(config), "localhost".try_into()?)?;
        let stream = StreamOwned::new(session, socket);
        Ok(Self { stream, decoder: ReplyDecoder::default() })
    }

    pub(super) fn send(&mut self, words: &[&str]) -> Result<()> {
        let mut bytes = Vec::new();
        encode_command(&mut bytes, words);
        self.stream.write_all(&bytes)?;
        Ok(self.stream.flush()?)
    }

    pub(super) fn reply(&mut self) -> Result<Value> {
        let mut chunk = vec![0; 64 * 1024];
        loop {
            if let Some(value) = self.decoder.next_reply()? {
                return Ok(value);
            }
            match self.stream.read(&mut chunk).context("receiving")? {
                0 => bail!("the server closed the connection"),
                count => self.decoder.feed(&chunk[..count]),
            }
        }
    }

    /// Sends a command and waits for its reply.
    pub(super) fn cmd(&mut self, words: &[&str]) -> Result<Value> {
        self.send(words)?;
        self.reply()
    }

    /// A reply as text; `line` is split at blanks.
    pub(super) fn ask(&mut self, line: &str) -> String {
        self.cmd(&line.split(' ').collect::<Vec<_>>()).unwrap().pretty()
    }

    /// Says goodbye and closes the sending side; replies still arrive.
    pub(super) fn finish_sending(&mut self) {
        self.stream.conn.send_close_notify();
        self.stream.flush().unwrap();
        self.stream.sock.shutdown(Shutdown::Write).unwrap();
    }

    /// Whether its handshake was a full one, or resumed a session.
    pub(super) fn handshake(&self) -> Option<HandshakeKind> {
        self.stream.conn.handshake_kind()
    }

    /// The address as the server sees it.
    pub(super) fn addr(&self) -> String {
        self.stream.sock.local_addr().unwrap().to_string()
    }
}
