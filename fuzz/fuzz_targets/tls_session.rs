//! The server's side of a TLS session on bytes from a stranger, and from a client that goes wrong
//! at some point: it neither panics nor hangs, hands on no more plain text than it was sent, and
//! takes no more than its limit before the handshake has ended.
//!
//! The first byte of an input chooses the length of reads and, by its top bits, what is done with
//! the rest: it is all that the stranger sends; or pairs of a distance and a byte, which are
//! combined with what a real client sends in its handshake, or after it.
#![no_main]

use std::io::Write as _;
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use redix_server::tls::session::{HANDSHAKE_BYTES_MAX, Session};
use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig};

/// Both sides trust one authority; the client presents a certificate.
static CONFIGS: LazyLock<(Arc<ServerConfig>, Arc<ClientConfig>)> = LazyLock::new(configs);

fn configs() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = params.self_signed(&authority_key).unwrap();
    let issuer = rcgen::Issuer::new(params, authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let chain = vec![params.signed_by(&key, &issuer).unwrap().der().clone()];
    let key = || rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let roots = Arc::new(roots);
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider));
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.allow_unauthenticated().build().unwrap())
        .with_single_cert(chain.clone(), key())
        .unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key())
        .unwrap();
    (Arc::new(server), Arc::new(client))
}

/// The server's side, with the count of what went through it.
struct Server {
    session: Session,
    read_len: usize,
    received: usize,
    plain: usize,
    /// What it has to send.
    sent: Vec<u8>,
}

impl Server {
    /// Feeds bytes; false once the session can't go on.
    fn feed(&mut self, bytes: &[u8]) -> bool {
        for chunk in bytes.chunks(self.read_len) {
            self.received += chunk.len();
            let counted = self.plain;
            let plain = &mut self.plain;
            let taken = self.session.receive(chunk, |text| *plain += text.len());
            assert!(self.plain <= self.received);
            if self.session.is_handshaking() && taken.is_ok() {
                assert!(self.received <= HANDSHAKE_BYTES_MAX);
                assert_eq!(self.plain, counted, "plain text before the handshake has ended");
            }
            self.session.send(&mut self.sent).unwrap();
            if taken.is_err() || self.session.has_ended() {
                return false;
            }
        }
        true
    }
}

/// Combines bytes with those that pairs of a distance and a value are for.
fn distort(bytes: &mut [u8], edits: &mut impl Iterator<Item = (usize, u8)>, at: &mut usize) {
    let end = *at + bytes.len();
    for (distance, value) in edits {
        let place = *at + distance;
        if place >= end {
            break;
        }
        bytes[place + bytes.len() - end] ^= value;
        *at = place;
    }
    *at = end;
}

/// What the client has to send.
fn output(client: &mut ClientConnection) -> Vec<u8> {
    let mut bytes = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut bytes).unwrap();
    }
    bytes
}

fuzz_target!(|data: &[u8]| {
    let Some((&choice, rest)) = data.split_first() else { return };
    let (server_config, client_config) = &*CONFIGS;
    let read_len = usize::from(choice & 0x3f) * 64 + 1;
    let session = Session::new(Arc::clone(server_config)).unwrap();
    let mut server = Server { session, read_len, received: 0, plain: 0, sent: Vec::new() };
    if choice & 0xc0 == 0 {
        server.feed(rest);
        return;
    }
    let in_handshake = choice & 0x80 != 0;
    let pairs = rest.as_chunks::<2>().0;
    let mut edits = pairs.iter().map(|[distance, value]| (usize::from(*distance) * 4, *value));
    let mut at = 0;
    let name = "localhost".try_into().unwrap();
    let mut client = ClientConnection::new(Arc::clone(client_config), name).unwrap();
    let mut rounds = 0;
    while client.is_handshaking() && rounds < 8 {
        rounds += 1;
        let mut bytes = output(&mut client);
        if in_handshake {
            distort(&mut bytes, &mut edits, &mut at);
        }
        if !server.feed(&bytes) {
            return;
        }
        return_to(&mut client, &mut server);
    }
    for text in rest.chunks(64) {
        if client.writer().write_all(text).is_err() {
            return;
        }
        let mut bytes = output(&mut client);
        if !in_handshake {
            distort(&mut bytes, &mut edits, &mut at);
        }
        if !server.feed(&bytes) {
            return;
        }
    }
});

/// Gives the client what the server has to send.
fn return_to(client: &mut ClientConnection, server: &mut Server) {
    let bytes = std::mem::take(&mut server.sent);
    let mut rest = &bytes[..];
    while !rest.is_empty() && client.read_tls(&mut rest).is_ok_and(|count| count > 0) {
        if client.process_new_packets().is_err() {
            break;
        }
    }
}
