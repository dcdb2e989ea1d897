//! TLS: the configuration made into what rustls needs, and kept until it is replaced.
//!
//! A connection is made with what is in use when it is accepted. CONFIG SET and changed files
//! replace it whole ([`Contexts`]); what can't be loaded is refused, and the old stays. Clients'
//! connections are in [`stream`], those that this server makes in [`outgoing`].
//!
//! **Invariants.** Keys and passwords are neither logged nor kept beyond what signs with them.
//!
//! Source: Valkey 9.1 and Redis 7.0, `tls.c`, for what is configured and refused.

pub mod ciphers;
mod material;
pub mod outgoing;
pub mod reload;
pub mod session;
mod sessions;
pub mod stream;
mod trust;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use redix_core::config::{Config, TlsAuthClients, TlsAuthClientsUser};
use redix_core::engine::Engine;
use redix_core::tls::Certificates;
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::server::NoServerSessionStorage;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, ServerConfig, SupportedProtocolVersion};

use crate::{log, sys};
use material::Material;
use outgoing::{Outgoing, Socket};
use sessions::SessionCache;
use trust::{Presence, Trusted};

/// The directives from which [`Contexts`] are made.
pub const DIRECTIVES: &[&str] = &[
    "tls-cert-file",
    "tls-key-file",
    "tls-key-file-pass",
    "tls-client-cert-file",
    "tls-client-key-file",
    "tls-client-key-file-pass",
    "tls-dh-params-file",
    "tls-ca-cert-file",
    "tls-ca-cert-dir",
    "tls-auth-clients",
    "tls-replication",
    "tls-cluster",
    "tls-protocols",
    "tls-ciphers",
    "tls-ciphersuites",
    "tls-prefer-server-ciphers",
    "tls-session-caching",
    "tls-session-cache-size",
    "tls-session-cache-timeout",
    "tls-port",
];

/// What connections are made with.
pub struct Contexts {
    /// Those of clients.
    pub server: Arc<ServerConfig>,
    /// Those to other servers; `None` without authorities to trust.
    pub client: Option<Arc<ClientConfig>>,
    /// What INFO shows.
    pub certificates: Certificates,
    /// That of the files: see [`Material::print`].
    print: u64,
}

/// What is in use, if any connection uses TLS.
#[derive(Default)]
pub struct Tls {
    current: Mutex<Option<Arc<Contexts>>>,
}

impl Tls {
    /// What new connections are made with.
    pub fn contexts(&self) -> Option<Arc<Contexts>> {
        self.current.lock().clone()
    }

    /// Makes a TLS connection to another server of a socket that is connected, or being so.
    pub fn outgoing<S: Socket>(&self, socket: S) -> io::Result<Outgoing<S>> {
        let contexts = self.contexts();
        match contexts.as_ref().and_then(|contexts| contexts.client.as_ref()) {
            Some(config) => Outgoing::tls(socket, config),
            None => Err(io::Error::other("TLS is not configured")),
        }
    }

    /// Replaces it, also in INFO.
    pub fn replace(&self, contexts: Option<Contexts>, engine: &Engine) {
        let shown = contexts.as_ref().map(|new| new.certificates.clone()).unwrap_or_default();
        let mut current = self.current.lock();
        *current = contexts.map(Arc::new);
        *engine.certificates.lock() = shown;
    }

    /// Replaces `old` if it is still in use, also in INFO. Returns whether it was.
    fn replace_if(&self, old: &Arc<Contexts>, new: Contexts, engine: &Engine) -> bool {
        let mut current = self.current.lock();
        let is_used = current.as_ref().is_some_and(|used| Arc::ptr_eq(used, old));
        if is_used {
            *engine.certificates.lock() = new.certificates.clone();
            *current = Some(Arc::new(new));
        }
        is_used
    }
}

impl Contexts {
    /// Makes them. What is accepted without effect is logged. The error is for the log.
    pub fn load(config: &Config) -> Result<Self, String> {
        Self::build(config, &Material::read(config)?)
    }

    fn build(config: &Config, material: &Material) -> Result<Self, String> {
        let now_s = now_s();
        let needs_trust = config.tls_auth_clients != TlsAuthClients::No
            || config.tls_cluster
            || config.tls_replication;
        let has_trust = !config.tls_ca_cert_file.is_empty() || !config.tls_ca_cert_dir.is_empty();
        if needs_trust && !has_trust {
            return Err("Either tls-ca-cert-file or tls-ca-cert-dir must be specified when \
                        tls-cluster, tls-replication or tls-auth-clients are enabled!"
                .into());
        }
        let (provider, versions) = algorithms(config)?;
        let own =
            material.own().certified("Server", &config.tls_key_file_pass, &provider, now_s)?;
        let own = Arc::new(SingleCertAndKey::from(own));
        let other = match material.outgoing() {
            None => Arc::clone(&own),
            Some(pair) => {
                let password = &config.tls_client_key_file_pass;
                Arc::new(pair.certified("Client", password, &provider, now_s)?.into())
            }
        };
        let authorities = material.authorities(now_s)?;
        let certificates = Certificates {
            server: material.own().shown(),
            client: material.outgoing().and_then(material::Pair::shown),
            authority: authorities
                .iter()
                .filter_map(material::shown)
                .min_by_key(|shown| shown.expires_s),
        };
        let trusted = Trusted::new(authorities)
            .map_err(|error| format!("Failed to configure CA certificate(s): {error}"))?;
        check_dh_params(config)?;
        let server = server_config(config, &provider, &versions, &trusted, own)?;
        let client = has_trust
            .then(|| client_config(&provider, &versions, &trusted, other))
            .transpose()?
            .map(Arc::new);
        let server = Arc::new(server);
        Ok(Self { server, client, certificates, print: material.print() })
    }
}

/// The provider with the configured suites, and the protocol versions.
fn algorithms(
    config: &Config,
) -> Result<(Arc<CryptoProvider>, Vec<&'static SupportedProtocolVersion>), String> {
    let text = |value: &redix_core::config::ByteString| {
        String::from_utf8_lossy(value.as_bytes()).into_owned()
    };
    let versions = ciphers::protocols(&text(&config.tls_protocols))?;
    let old = ciphers::tls12(&text(&config.tls_ciphers))
        .map_err(|reason| format!("Failed to configure ciphers: {reason}"))?;
    let new = ciphers::tls13(&text(&config.tls_ciphersuites))
        .map_err(|reason| format!("Failed to configure ciphersuites: {reason}"))?;
    for (name, lacking) in [
        ("tls-protocols", &versions.lacking),
        ("tls-ciphers", &old.lacking),
        ("tls-ciphersuites", &new.lacking),
    ] {
        if !lacking.is_empty() {
            log::notice(&format!("{name}: not offered by this server: {}", lacking.join(", ")));
        }
    }
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites = new.offered;
    provider.cipher_suites.extend(old.offered);
    Ok((Arc::new(provider), versions.offered))
}

/// The file of Diffie-Hellman parameters is not used, but must be there, as in the real servers.
fn check_dh_params(config: &Config) -> Result<(), String> {
    let file = &config.tls_dh_params_file;
    if file.is_empty() {
        return Ok(());
    }
    std::fs::File::open(AsRef::<Path>::as_ref(file))
        .map_err(|error| format!("Failed to load {file}: {}", sys::error_text(&error)))?;
    log::notice("tls-dh-params-file has no effect: keys are exchanged over elliptic curves only.");
    Ok(())
}

fn server_config(
    config: &Config,
    provider: &Arc<CryptoProvider>,
    versions: &[&'static SupportedProtocolVersion],
    trusted: &Trusted,
    own: Arc<SingleCertAndKey>,
) -> Result<ServerConfig, String> {
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(versions)
        .map_err(|error| error.to_string())?;
    let presence = match config.tls_auth_clients {
        TlsAuthClients::No => None,
        TlsAuthClients::Optional => Some(Presence::Optional),
        TlsAuthClients::Yes => Some(Presence::Mandatory),
    };
    let builder = match presence {
        None => builder.with_no_client_auth(),
        Some(presence) => {
            builder.with_client_cert_verifier(trusted.of_clients(provider, presence)?)
        }
    };
    let mut made = builder.with_cert_resolver(own);
    made.ignore_client_order = config.tls_prefer_server_ciphers;
    if config.tls_session_caching {
        let (size, keep_s) = (config.tls_session_cache_size, config.tls_session_cache_timeout);
        made.session_storage = Arc::new(SessionCache::new(size, keep_s));
        // One is enough: who resumes it gets another.
        made.send_tls13_tickets = 1;
    } else {
        made.session_storage = Arc::new(NoServerSessionStorage {});
        made.send_tls13_tickets = 0;
    }
    Ok(made)
}

fn client_config(
    provider: &Arc<CryptoProvider>,
    versions: &[&'static SupportedProtocolVersion],
    trusted: &Trusted,
    own: Arc<SingleCertAndKey>,
) -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(versions)
        .map_err(|error| error.to_string())?;
    let mut made = builder
        .dangerous()
        .with_custom_certificate_verifier(trusted.of_servers(provider))
        .with_client_cert_resolver(own);
    // As the real servers, which connect to addresses.
    made.enable_sni = false;
    made.resumption = Resumption::disabled();
    Ok(made)
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// The names of users that a client's certificate stands for.
pub fn user_names(certificate: &CertificateDer<'_>, field: TlsAuthClientsUser) -> Vec<Vec<u8>> {
    match field {
        TlsAuthClientsUser::Off => Vec::new(),
        TlsAuthClientsUser::CommonName => material::common_name(certificate).into_iter().collect(),
        TlsAuthClientsUser::Uri => material::uris(certificate),
    }
}
