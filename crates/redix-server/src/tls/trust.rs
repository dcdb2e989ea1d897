//! Whom this server trusts: the certificates of clients, and of the servers that it connects to.
//!
//! rustls checks chains. Two things are as in the real servers and differ from rustls' own
//! verifiers: the name of a server is not compared with its certificate, since primaries are known
//! by addresses that Sentinels and replicas hand on; and a certificate that is itself listed among
//! the trusted ones needs no authority above it, as a self-signed one has none.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};

use super::material;

/// The trusted certificates.
#[derive(Debug, Clone)]
pub(super) struct Trusted {
    roots: Arc<RootCertStore>,
    listed: Vec<CertificateDer<'static>>,
}

impl Trusted {
    /// Errors: one of them is no certificate of an authority that chains can end at.
    pub(super) fn new(certificates: Vec<CertificateDer<'static>>) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        for certificate in &certificates {
            roots.add(certificate.clone())?;
        }
        Ok(Self { roots: Arc::new(roots), listed: certificates })
    }

    /// Whether the certificate itself is listed, and valid at this time.
    fn lists(&self, certificate: &CertificateDer<'_>, now: UnixTime) -> bool {
        self.listed.iter().any(|known| **known == **certificate)
            && material::is_valid_at(certificate, now.as_secs())
    }

    /// The verifier of clients' certificates, which must be presented if `mandatory`.
    pub(super) fn of_clients(
        &self,
        provider: &Arc<CryptoProvider>,
        presence: Presence,
    ) -> Result<Arc<dyn ClientCertVerifier>, String> {
        let roots = Arc::clone(&self.roots);
        let mut builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider))
            .clear_root_hint_subjects();
        if presence == Presence::Optional {
            builder = builder.allow_unauthenticated();
        }
        let chains = builder.build().map_err(|error| error.to_string())?;
        Ok(Arc::new(Clients { trusted: self.clone(), chains }))
    }

    /// The verifier of servers' certificates.
    pub(super) fn of_servers(&self, provider: &CryptoProvider) -> Arc<dyn ServerCertVerifier> {
        let algorithms = provider.signature_verification_algorithms;
        Arc::new(Servers { trusted: self.clone(), algorithms })
    }
}

/// Whether a client must present a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// It must.
    Mandatory,
    /// It may.
    Optional,
}

#[derive(Debug)]
struct Clients {
    trusted: Trusted,
    chains: Arc<dyn ClientCertVerifier>,
}

impl ClientCertVerifier for Clients {
    fn offer_client_auth(&self) -> bool {
        self.chains.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.chains.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chains.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.chains.verify_client_cert(end_entity, intermediates, now).or_else(|error| {
            let listed = self.trusted.lists(end_entity, now);
            if listed { Ok(ClientCertVerified::assertion()) } else { Err(error) }
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls12_signature(message, cert, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls13_signature(message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.supported_verify_schemes()
    }
}

#[derive(Debug)]
struct Servers {
    trusted: Trusted,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Servers {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(end_entity)?;
        let roots = &self.trusted.roots;
        let all = self.algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, roots, intermediates, now, all)
            .or_else(
                |error| {
                    if self.trusted.lists(end_entity, now) { Ok(()) } else { Err(error) }
                },
            )?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
