//! Certificates that are made for a test, and the files of them.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType,
};
use redix_testkit::server::TempDir;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// An authority, with a folder for what it has issued: `NAME.crt` and `NAME.key`. Its own
/// certificate is `ca.crt`; a certificate for a server and one for a client are there.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: Certificate,
    dir: TempDir,
}

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Authority of a test");
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let dir = TempDir::new("certificates").unwrap();
        fs::write(dir.path().join("ca.crt"), certificate.pem()).unwrap();
        let this = Self { issuer: Issuer::new(params, key), certificate, dir };
        this.issue("server", |_| {});
        this.issue("client", |_| {});
        this
    }

    /// Issues a certificate for 127.0.0.1 with the common name `name`, changed by `edit`.
    pub(super) fn issue(&self, name: &str, edit: impl FnOnce(&mut CertificateParams)) {
        let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        edit(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(self.file(&format!("{name}.crt")), certificate.pem()).unwrap();
        fs::write(self.file(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    /// Where one of its files is.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn path(&self, name: &str) -> String {
        self.file(name).to_str().unwrap().to_owned()
    }

    /// The arguments of a server that presents `server` and trusts this authority.
    pub(super) fn server_args(&self) -> [String; 6] {
        [
            "--tls-cert-file".to_owned(),
            self.path("server.crt"),
            "--tls-key-file".to_owned(),
            self.path("server.key"),
            "--tls-ca-cert-file".to_owned(),
            self.path("ca.crt"),
        ]
    }

    /// The arguments of redis-cli.
    pub(super) fn cli_args(&self) -> [String; 7] {
        let [cacert, cert, key] =
            ["ca.crt", "client.crt", "client.key"].map(|name| self.path(name));
        ["--tls".to_owned(), "--cacert".to_owned(), cacert, "--cert".to_owned(), cert]
            .into_iter()
            .chain(["--key".to_owned(), key])
            .collect::<Vec<_>>()
            .try_into()
            .unwrap()
    }

    /// What a client is made with that trusts this authority and presents a certificate, or none.
    pub(super) fn client_config(&self, name: Option<&str>) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let Some(name) = name else { return Arc::new(builder.with_no_client_auth()) };
        let chain = vec![CertificateDer::from_pem_file(self.file(&format!("{name}.crt"))).unwrap()];
        let key = PrivateKeyDer::from_pem_file(self.file(&format!("{name}.key"))).unwrap();
        Arc::new(builder.with_client_auth_cert(chain, key).unwrap())
    }
}

/// An alternative name that is a URI.
pub(super) fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}
