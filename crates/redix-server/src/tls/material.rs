//! The files of certificates and keys: read, parsed and looked into.
//!
//! Source of what is refused: Valkey 9.1, `tls.c`: certificates that are not valid now, the
//! server's and those of authorities, and files without any.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use pkcs8::{EncryptedPrivateKeyInfo, SecretDocument};
use redix_core::config::{ByteString, Config};
use redix_core::tls::Certificate as Shown;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SigningKey};
use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode, Tag, Tagged};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::sys;

/// The longest common name that can name a user. Source: Valkey, `tlsGetPeerUser`.
const COMMON_NAME_MAX: usize = 255;
/// The attribute type of common names.
const COMMON_NAME: pkcs8::ObjectIdentifier = pkcs8::ObjectIdentifier::new_unwrap("2.5.4.3");

/// The content of the files that a configuration names.
#[derive(Hash)]
pub(super) struct Material {
    own: Pair,
    /// For outgoing connections, where they are others.
    outgoing: Option<Pair>,
    authorities: Option<Vec<u8>>,
    /// The files of the directory of authorities, by name.
    directory: Vec<NamedFile>,
}

/// The name and the content of a file.
type NamedFile = (Vec<u8>, Vec<u8>);

/// The files of a certificate, with those that it is signed by, and its key.
#[derive(Hash)]
pub(super) struct Pair {
    chain: Vec<u8>,
    key: Vec<u8>,
}

fn read(path: &ByteString, what: &str) -> Result<Vec<u8>, String> {
    fs::read(AsRef::<Path>::as_ref(path))
        .map_err(|error| format!("Failed to load {what}: {path}: {}", sys::error_text(&error)))
}

impl Material {
    /// Reads the files. The error is for the log.
    pub(super) fn read(config: &Config) -> Result<Self, String> {
        if config.tls_cert_file.is_empty() {
            return Err("No tls-cert-file configured!".into());
        }
        if config.tls_key_file.is_empty() {
            return Err("No tls-key-file configured!".into());
        }
        let pair = |cert: &ByteString, key: &ByteString| {
            let (chain, key) = (read(cert, "certificate")?, read(key, "private key")?);
            Ok::<_, String>(Pair { chain, key })
        };
        let own = pair(&config.tls_cert_file, &config.tls_key_file)?;
        let (cert, key) = (&config.tls_client_cert_file, &config.tls_client_key_file);
        let has_other = !cert.is_empty() && !key.is_empty();
        let file = &config.tls_ca_cert_file;
        Ok(Self {
            own,
            outgoing: has_other.then(|| pair(cert, key)).transpose()?,
            authorities: match file.is_empty() {
                true => None,
                false => Some(read(file, "CA certificate(s)")?),
            },
            directory: read_directory(&config.tls_ca_cert_dir)?,
        })
    }

    /// A value that differs if any of the files has changed.
    pub(super) fn print(&self) -> u64 {
        // Its fixed key is enough: whoever can write these files needs no collisions.
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }

    /// The server's certificate.
    pub(super) fn own(&self) -> &Pair {
        &self.own
    }

    /// The certificate for outgoing connections, where it is another.
    pub(super) fn outgoing(&self) -> Option<&Pair> {
        self.outgoing.as_ref()
    }

    /// The trusted certificates. Errors: a file or the directory has none, or one is not valid now.
    pub(super) fn authorities(&self, now_s: u64) -> Result<Vec<CertificateDer<'static>>, String> {
        let mut found: Vec<CertificateDer<'static>> = Vec::new();
        if let Some(bytes) = &self.authorities {
            found = certificates(bytes)
                .ok_or("Failed to configure CA certificate(s) file: it has no certificates")?;
        }
        for (_, bytes) in &self.directory {
            // It may have other files too, and links to the same ones.
            for certificate in certificates(bytes).unwrap_or_default() {
                if !found.contains(&certificate) {
                    found.push(certificate);
                }
            }
        }
        if !found.iter().all(|one| is_valid_at(one, now_s)) {
            return Err("One or more loaded CA certificates are invalid. Aborting TLS \
                        configuration."
                .into());
        }
        Ok(found)
    }
}

fn read_directory(path: &ByteString) -> Result<Vec<NamedFile>, String> {
    if path.is_empty() {
        return Ok(Vec::new());
    }
    let failed = |error: std::io::Error| {
        let why = sys::error_text(&error);
        format!("Failed to open CA certificate directory: {path}: {why}")
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(AsRef::<Path>::as_ref(path)).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        // What can't be read, such as a folder, is no certificate.
        let bytes = fs::read(entry.path()).unwrap_or_default();
        files.push((entry.file_name().into_encoded_bytes(), bytes));
    }
    files.sort_unstable();
    Ok(files)
}

/// The certificates in PEM text; `None` if there are none, or one can't be read.
fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    found.ok().filter(|found| !found.is_empty())
}

impl Pair {
    /// Makes what rustls signs with. `name` is that of the certificate's role, for the log.
    pub(super) fn certified(
        &self,
        role: &str,
        password: &[u8],
        provider: &rustls::crypto::CryptoProvider,
        now_s: u64,
    ) -> Result<CertifiedKey, String> {
        let chain = certificates(&self.chain)
            .ok_or_else(|| format!("Failed to load certificate: {role} file has none"))?;
        if !is_valid_at(&chain[0], now_s) {
            return Err(format!("{role} TLS certificate is invalid. Aborting TLS configuration."));
        }
        let key = private_key(&self.key, password)
            .and_then(|key| {
                provider.key_provider.load_private_key(key).map_err(|error| error.to_string())
            })
            .map_err(|reason| format!("Failed to load private key: {role} file: {reason}"))?;
        if !belong_together(&chain[0], &*key) {
            return Err(format!("{role} private key does not match the certificate public key"));
        }
        Ok(CertifiedKey::new(chain, key))
    }

    /// What INFO shows of its certificate.
    pub(super) fn shown(&self) -> Option<Shown> {
        certificates(&self.chain).and_then(|chain| shown(&chain[0]))
    }
}

/// A key in PEM text, encrypted or not.
fn private_key(pem: &[u8], password: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    let text = String::from_utf8_lossy(pem);
    if text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err("it is encrypted in the traditional format; convert it by `openssl pkcs8 \
                    -topk8`"
            .into());
    }
    let Some(start) = text.find("-----BEGIN ENCRYPTED PRIVATE KEY-----") else {
        return PrivateKeyDer::from_pem_slice(pem).map_err(|error| error.to_string());
    };
    let (_, document) =
        SecretDocument::from_pem(&text[start..]).map_err(|error| error.to_string())?;
    let encrypted = EncryptedPrivateKeyInfo::try_from(document.as_bytes())
        .map_err(|error| error.to_string())?;
    let key = encrypted
        .decrypt(password)
        .map_err(|_| "its password is wrong or missing, or its encryption is not supported")?;
    Ok(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec()).into())
}

/// Whether a certificate is that of a key. A key that can't tell is believed.
fn belong_together(certificate: &CertificateDer<'_>, key: &dyn SigningKey) -> bool {
    let (Some(parsed), Some(known)) = (parse(certificate), key.public_key()) else {
        return key.public_key().is_none();
    };
    let certified = parsed.tbs_certificate.subject_public_key_info.to_der();
    certified.is_ok_and(|certified| certified == *known)
}

fn parse(certificate: &CertificateDer<'_>) -> Option<Certificate> {
    Certificate::from_der(certificate).ok()
}

/// Whether a certificate is valid at a Unix time in seconds.
pub(super) fn is_valid_at(certificate: &CertificateDer<'_>, now_s: u64) -> bool {
    parse(certificate).is_some_and(|parsed| {
        let validity = &parsed.tbs_certificate.validity;
        let (from, until) = (&validity.not_before, &validity.not_after);
        (from.to_unix_duration().as_secs()..=until.to_unix_duration().as_secs()).contains(&now_s)
    })
}

/// What INFO shows of a certificate.
pub(super) fn shown(certificate: &CertificateDer<'_>) -> Option<Shown> {
    let parsed = parse(certificate)?;
    let bytes = parsed.tbs_certificate.serial_number.as_bytes();
    // The sign of a positive number with its top bit set is a byte of its own.
    let bytes = if bytes.len() > 1 && bytes[0] == 0 { &bytes[1..] } else { bytes };
    let until = parsed.tbs_certificate.validity.not_after.to_unix_duration().as_secs();
    Some(Shown {
        serial: bytes.iter().map(|byte| format!("{byte:02X}")).collect(),
        expires_s: i64::try_from(until).unwrap_or(i64::MAX),
    })
}

/// The first common name of a certificate's subject, if it can name a user.
pub(super) fn common_name(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let parsed = parse(certificate)?;
    let mut parts = parsed.tbs_certificate.subject.0.iter().flat_map(|part| part.0.iter());
    let name = parts.find(|part| part.oid == COMMON_NAME)?;
    let is_text = !matches!(name.value.tag(), Tag::BmpString);
    let bytes = name.value.value();
    (is_text && bytes.len() <= COMMON_NAME_MAX).then(|| bytes.to_vec())
}

/// The URIs among a certificate's alternative names.
pub(super) fn uris(certificate: &CertificateDer<'_>) -> Vec<Vec<u8>> {
    let Some(parsed) = parse(certificate) else { return Vec::new() };
    let Ok(Some((_, names))) = parsed.tbs_certificate.get::<SubjectAltName>() else {
        return Vec::new();
    };
    let uri = |name: GeneralName| match name {
        GeneralName::UniformResourceIdentifier(uri) => Some(uri.as_str().as_bytes().to_vec()),
        _ => None,
    };
    names.0.into_iter().filter_map(uri).filter(|uri| !uri.is_empty() && !uri.contains(&0)).collect()
}
