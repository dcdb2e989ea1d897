//! TLS as clients, operators and other servers meet it. Certificates are made for each test.

mod abuse;
mod certificates;
mod client;
mod clients;
mod identity;
mod materials;
mod servers;

use redix_testkit::{Launch, Server};

use crate::{connect, program};
use certificates::Authority;
use client::TlsClient;

/// A server with a plain and a TLS port, and the authority that it and its clients trust.
struct Secure {
    authority: Authority,
    server: Server,
    port: u16,
}

impl Secure {
    /// Starts it with these arguments besides the certificates.
    fn start(args: &[&str]) -> Self {
        let authority = Authority::new();
        let server = launch(&Launch::redix(program()), &authority, args);
        Self::around(authority, server)
    }

    /// Of a server whose TLS port was chosen by [`launch`].
    fn around(authority: Authority, server: Server) -> Self {
        let reply = connect(&server).must(&["CONFIG", "GET", "tls-port"]).unwrap().pretty();
        let port = reply.split('"').nth(3).unwrap().parse().unwrap();
        Self { authority, server, port }
    }

    /// A client that presents the certificate called `client`.
    fn client(&self) -> TlsClient {
        self.client_as("client")
    }

    fn client_as(&self, name: &str) -> TlsClient {
        TlsClient::connect(self.port, &self.authority.client_config(Some(name))).unwrap()
    }

    /// Sends CONFIG SET over the plain port and returns the reply.
    fn config_set(&self, name: &str, value: &str) -> String {
        connect(&self.server).cmd(&["CONFIG", "SET", name, value]).unwrap().pretty()
    }
}

/// Starts a server with certificates of an authority and a free TLS port.
fn launch(launch: &Launch, authority: &Authority, args: &[&str]) -> Server {
    // Another process may take the port between choosing and binding it.
    for _ in 0..8 {
        let port = redix_testkit::server::free_port().unwrap().to_string();
        let mut all: Vec<String> = authority.server_args().to_vec();
        all.extend(["--tls-port", &port].map(str::to_owned));
        all.extend(args.iter().map(|arg| (*arg).to_owned()));
        match launch.clone().args(&all).start() {
            Err(error) if error.to_string().contains("Failed listening") => {}
            other => return other.unwrap(),
        }
    }
    panic!("no free port")
}
