//! What the engine knows of TLS: the certificates in use, for INFO.

/// What INFO shows of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Its serial number, hexadecimal, in upper case.
    pub serial: String,
    /// Unix time in seconds at which it expires.
    pub expires_s: i64,
}

/// The certificates in use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Certificates {
    /// The server's.
    pub server: Option<Certificate>,
    /// That of outgoing connections, where it is another.
    pub client: Option<Certificate>,
    /// The trusted authority that expires first.
    pub authority: Option<Certificate>,
}
