//! Who a client is by its certificate.

use redix_testkit::Launch;

use super::certificates::{Authority, uri};
use super::client::TlsClient;
use super::{Secure, launch};
use crate::{connect, eventually, program};

fn info(secure: &Secure, field: &str) -> String {
    let text = connect(&secure.server).cmd(&["INFO", "everything"]).unwrap().pretty();
    let line = text.split("\\r\\n").find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {field}")).to_owned()
}

#[test]
fn clients_without_a_trusted_certificate_are_refused_where_one_is_required() {
    let secure = Secure::start(&[]);
    let nobody = secure.authority.client_config(None);
    let ping = |config| {
        let mut client = TlsClient::connect(secure.port, config)?;
        client.cmd(&["PING"])
    };
    assert!(ping(&nobody).is_err());
    // It trusts the server, but has a certificate that somebody else has issued.
    let stranger = Authority::new();
    for file in ["client.crt", "client.key"] {
        std::fs::copy(stranger.file(file), secure.authority.file(file)).unwrap();
    }
    let strange = secure.authority.client_config(Some("client"));
    assert!(ping(&strange).is_err());
    assert_eq!(secure.config_set("tls-auth-clients", "optional"), "+OK");
    assert!(ping(&nobody).is_ok());
    assert!(ping(&strange).is_err(), "what is presented is checked");
    assert_eq!(secure.config_set("tls-auth-clients", "no"), "+OK");
    assert!(ping(&nobody).is_ok());
    assert!(ping(&strange).is_ok(), "it is not asked for");
}

#[test]
fn a_common_name_is_a_user() {
    let secure = Secure::start(&["--tls-auth-clients-user", "CN"]);
    let mut plain = connect(&secure.server);
    assert_eq!(secure.client().ask("ACL WHOAMI"), "\"default\"");
    plain.must(&["ACL", "SETUSER", "client", "on", "+@all", "~*"]).unwrap();
    let mut client = secure.client();
    assert_eq!(client.ask("ACL WHOAMI"), "\"client\"");
    assert!(client.ask("CLIENT INFO").contains("user=client"));
    plain.must(&["ACL", "SETUSER", "client", "off"]).unwrap();
    assert_eq!(secure.client().ask("ACL WHOAMI"), "\"default\"");
    assert_eq!(info(&secure, "acl_access_denied_tls_cert"), "2");
    let log = plain.must(&["ACL", "LOG"]).unwrap().pretty();
    assert!(log.contains("tls-cert") && log.contains("\"client\""), "{log}");
}

#[test]
fn a_common_name_with_a_zero_byte_is_nobody() {
    let secure = Secure::start(&["--tls-auth-clients-user", "CN"]);
    connect(&secure.server).must(&["ACL", "SETUSER", "admin", "on", "+@all", "~*"]).unwrap();
    secure.authority.issue("evil", |params| {
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, "admin\0evil");
    });
    assert_eq!(secure.client_as("evil").ask("ACL WHOAMI"), "\"default\"");
    assert_eq!(info(&secure, "acl_access_denied_tls_cert"), "1");
}

#[test]
fn the_first_uri_that_names_a_user_counts() {
    let secure = Secure::start(&["--tls-auth-clients-user", "URI"]);
    let mut plain = connect(&secure.server);
    secure.authority.issue("service", |params| {
        params.subject_alt_names.extend(["urn:a", "urn:b"].map(uri));
    });
    let who = || secure.client_as("service").ask("ACL WHOAMI");
    assert_eq!(who(), "\"default\"");
    for user in ["urn:a", "urn:b"] {
        plain.must(&["ACL", "SETUSER", user, "on", "+@all"]).unwrap();
    }
    assert_eq!(who(), "\"urn:a\"");
    plain.must(&["ACL", "SETUSER", "urn:a", "off"]).unwrap();
    assert_eq!(who(), "\"urn:b\"");
    // A certificate without URIs names nobody, which is no failure.
    let before = info(&secure, "acl_access_denied_tls_cert");
    assert_eq!(secure.client().ask("ACL WHOAMI"), "\"default\"");
    assert_eq!(info(&secure, "acl_access_denied_tls_cert"), before);
}

#[test]
fn a_certificate_lets_in_where_the_default_user_needs_a_password() {
    let secure =
        Secure::start(&["--tls-auth-clients-user", "CN", "--user", "client", "on", "+@all", "~*"]);
    connect(&secure.server).must(&["CONFIG", "SET", "requirepass", "secret"]).unwrap();
    assert_eq!(secure.client().ask("SET k v"), "+OK");
    secure.authority.issue("other", |_| {});
    assert!(secure.client_as("other").ask("SET k v").contains("NOAUTH"));
}

#[test]
fn authentications_by_certificate_are_recorded() {
    let authority = Authority::new();
    let file = authority.path("audit");
    let args = ["--tls-auth-clients-user", "CN", "--audit-log-file", &file];
    let args = [&args[..], &["--user", "client", "on", "+@all", "~*"]].concat();
    let server = launch(&Launch::redix(program()), &authority, &args);
    let secure = Secure::around(authority, server);
    secure.authority.issue("nobody", |_| {});
    secure.client().ask("PING");
    secure.client_as("nobody").ask("PING");
    let seen = |event: &str, user: &str| {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        text.lines().any(|line| {
            line.contains(&format!("\"event\":\"{event}\",\"reason\":\"tls-cert\""))
                && line.contains(&format!("\"user\":\"{user}\""))
        })
    };
    eventually("both are recorded", || seen("auth", "client") && seen("auth-failed", "nobody"));
}
