//! Certificates and keys: what is loaded, refused, replaced and shown.

use std::fs;
use std::process::Command;

use redix_testkit::Launch;

use super::certificates::Authority;
use super::{Secure, launch};
use crate::{connect, eventually, program};

fn info(secure: &Secure, field: &str) -> String {
    let text = connect(&secure.server).cmd(&["INFO", "tls"]).unwrap().pretty();
    let line = text.split("\\r\\n").find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {field} in {text}")).to_owned()
}

#[test]
fn a_server_without_what_it_needs_does_not_start() {
    let authority = Authority::new();
    let [cert, key] = ["server.crt", "server.key"].map(|name| authority.path(name));
    let cases: [(&[&str], &str); 4] = [
        (&[], "No tls-cert-file configured!"),
        (&["--tls-cert-file", &cert], "No tls-key-file configured!"),
        (&["--tls-cert-file", &cert, "--tls-key-file", &key], "Either tls-ca-cert-file or"),
        (&["--tls-cert-file", "/none", "--tls-key-file", &key], "Failed to load certificate"),
    ];
    for (args, reason) in cases {
        let error = Launch::redix(program()).args(&["--tls-port", "1"]).args(args).start();
        let text = format!("{:#}", error.err().expect("it does not start"));
        assert!(text.contains(reason) && text.contains("Failed to configure TLS."), "{text}");
    }
}

#[test]
fn what_cannot_be_loaded_is_refused_and_the_old_stays() {
    let secure = Secure::start(&[]);
    let authority = &secure.authority;
    authority.issue("expired", |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    authority.issue("future", |params| params.not_before = rcgen::date_time_ymd(3000, 1, 1));
    fs::write(authority.file("text"), "no certificate").unwrap();
    let refused = "Unable to update TLS configuration. Check server logs.";
    let values = [
        ("tls-cert-file", authority.path("expired.crt")),
        ("tls-cert-file", authority.path("future.crt")),
        ("tls-cert-file", authority.path("client.crt")),
        ("tls-cert-file", authority.path("text")),
        ("tls-key-file", authority.path("client.key")),
        ("tls-key-file", authority.path("text")),
        ("tls-ca-cert-file", authority.path("text")),
        ("tls-ca-cert-file", authority.path("expired.crt")),
        ("tls-ca-cert-dir", "/none".to_owned()),
        ("tls-protocols", "TLSv1".to_owned()),
        ("tls-ciphers", "AES128-SHA".to_owned()),
        ("tls-ciphersuites", "TLS_AES_128_CCM_SHA256".to_owned()),
        ("tls-dh-params-file", "/none".to_owned()),
    ];
    for (name, value) in values {
        let reply = secure.config_set(name, &value);
        assert!(reply.contains(refused), "{name} {value}: {reply}");
        assert_eq!(secure.client().ask("PING"), "+PONG");
    }
    // A pair is replaced at once.
    let [cert, key] = ["client.crt", "client.key"].map(|name| authority.path(name));
    let words = ["CONFIG", "SET", "tls-cert-file", &cert, "tls-key-file", &key];
    assert_eq!(connect(&secure.server).cmd(&words).unwrap().pretty(), "+OK");
    assert_eq!(secure.client().ask("PING"), "+PONG");
}

#[test]
fn without_tls_anything_is_stored() {
    let server = crate::start(&[]);
    let mut client = connect(&server);
    assert_eq!(client.cmd(&["CONFIG", "SET", "tls-cert-file", "/none"]).unwrap().pretty(), "+OK");
    let reply = client.cmd(&["CONFIG", "SET", "tls-replication", "yes"]).unwrap().pretty();
    assert!(reply.contains("Unable to update TLS configuration"), "{reply}");
}

#[test]
fn protocols_and_ciphers_are_those_configured() {
    let secure = Secure::start(&[]);
    let suite = || {
        let mut client = secure.client();
        client.ask("PING");
        format!("{:?}", client.stream.conn.negotiated_cipher_suite().unwrap().suite())
    };
    assert_eq!(secure.config_set("tls-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"), "+OK");
    assert_eq!(suite(), "TLS13_CHACHA20_POLY1305_SHA256");
    assert_eq!(secure.config_set("tls-protocols", "TLSv1.1 TLSv1.2"), "+OK");
    assert_eq!(secure.config_set("tls-prefer-server-ciphers", "yes"), "+OK");
    assert_eq!(secure.config_set("tls-ciphers", "AES128-SHA:ECDHE+AES128:ALL"), "+OK");
    assert_eq!(suite(), "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
    let log = secure.server.log();
    assert!(log.contains("tls-ciphers: not offered by this server: AES128-SHA"), "{log}");
    assert!(log.contains("tls-protocols: not offered by this server: TLSv1.1"), "{log}");
}

#[test]
fn a_key_with_a_password_needs_it() {
    let secure = Secure::start(&[]);
    let encrypted = secure.authority.path("encrypted.key");
    let made = Command::new("openssl")
        .args(["pkcs8", "-topk8", "-v2", "aes-256-cbc", "-passout", "pass:1234"])
        .args(["-in", &secure.authority.path("server.key"), "-out", &encrypted])
        .status();
    if made.is_err() {
        assert!(std::env::var("CI").is_err(), "openssl is not installed");
        return;
    }
    assert!(secure.config_set("tls-key-file", &encrypted).contains("Unable to update TLS"));
    assert_eq!(secure.config_set("tls-key-file-pass", "wrong"), "+OK");
    assert!(secure.config_set("tls-key-file", &encrypted).contains("Unable to update TLS"));
    assert_eq!(secure.config_set("tls-key-file-pass", "1234"), "+OK");
    assert_eq!(secure.config_set("tls-key-file", &encrypted), "+OK");
    assert_eq!(secure.client().ask("PING"), "+PONG");
    assert!(!secure.server.log().contains("1234"), "the password is logged");
}

#[test]
fn authorities_in_a_directory_are_trusted() {
    let secure = Secure::start(&[]);
    let dir = secure.authority.path("authorities");
    fs::create_dir(&dir).unwrap();
    fs::copy(secure.authority.file("ca.crt"), format!("{dir}/ca.pem")).unwrap();
    fs::write(format!("{dir}/README"), "not a certificate").unwrap();
    let words = ["CONFIG", "SET", "tls-ca-cert-dir", &dir, "tls-ca-cert-file", ""];
    assert_eq!(connect(&secure.server).cmd(&words).unwrap().pretty(), "+OK");
    assert_eq!(secure.client().ask("PING"), "+PONG");
    assert_ne!(info(&secure, "tls_ca_cert_serial"), "none");
}

#[test]
fn a_self_signed_certificate_is_trusted_if_it_is_listed() {
    let secure = Secure::start(&[]);
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-subj", "/CN=self", "-days", "2", "-keyout", &secure.authority.path("self.key")])
        .args(["-out", &secure.authority.path("self.crt")])
        .output();
    if made.is_err() {
        assert!(std::env::var("CI").is_err(), "openssl is not installed");
        return;
    }
    assert!(
        super::TlsClient::connect(secure.port, &secure.authority.client_config(Some("self")))
            .unwrap()
            .cmd(&["PING"])
            .is_err()
    );
    assert_eq!(secure.config_set("tls-ca-cert-file", &secure.authority.path("self.crt")), "+OK");
    assert_eq!(secure.client_as("self").ask("PING"), "+PONG");
}

#[test]
fn changed_files_are_loaded_and_bad_ones_are_not() {
    let authority = Authority::new();
    let server = launch(
        &Launch::redix(program()),
        &authority,
        &["--tls-auto-reload-interval", "1", "--loglevel", "debug"],
    );
    let secure = Secure::around(authority, server);
    let logged = |text: &str| secure.server.log().contains(text);
    eventually("it looks", || logged("materials unchanged"));
    let serial = info(&secure, "tls_server_cert_serial");
    secure.authority.issue("new", |_| {});
    // A certificate before its key is not loaded, and not given up.
    fs::copy(secure.authority.file("new.crt"), secure.authority.file("server.crt")).unwrap();
    eventually("it is refused", || logged("Background TLS reload failed"));
    assert_eq!(info(&secure, "tls_server_cert_serial"), serial);
    assert_eq!(secure.client().ask("PING"), "+PONG");
    fs::copy(secure.authority.file("new.key"), secure.authority.file("server.key")).unwrap();
    eventually("it is loaded", || logged("TLS materials reloaded successfully"));
    assert_ne!(info(&secure, "tls_server_cert_serial"), serial);
    assert_eq!(secure.client().ask("PING"), "+PONG");
}

#[test]
fn info_shows_serials_and_expiry() {
    let secure = Secure::start(&[]);
    secure.authority.issue("dated", |params| {
        params.serial_number = Some(rcgen::SerialNumber::from_slice(&[0x8a, 0x0b, 0x3c]));
        params.not_after = rcgen::date_time_ymd(2500, 1, 1);
    });
    let [cert, key] = ["dated.crt", "dated.key"].map(|name| secure.authority.path(name));
    let words = ["CONFIG", "SET", "tls-client-cert-file", &cert, "tls-client-key-file", &key];
    assert_eq!(connect(&secure.server).cmd(&words).unwrap().pretty(), "+OK");
    assert_eq!(info(&secure, "tls_client_cert_serial"), "8A0B3C");
    let left: i64 = info(&secure, "tls_client_cert_expires_in_seconds").parse().unwrap();
    // More than four centuries, and less than five.
    assert!((400..500).contains(&(left / 31_556_952)), "{left}");
    assert_eq!(secure.config_set("tls-port", "0"), "+OK");
    for name in ["server", "client", "ca"] {
        assert_eq!(info(&secure, &format!("tls_{name}_cert_serial")), "none");
        assert_eq!(info(&secure, &format!("tls_{name}_cert_expires_in_seconds")), "0");
    }
}
