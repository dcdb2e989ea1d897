#![allow(clippy::unwrap_used)]
use super::*;
use crate::{Peer, Server};

fn server() -> Option<Server> {
    let peer = Peer::ORACLES.into_iter().find(|peer| peer.available_or_skip())?;
    Some(Server::start::<&str>(peer, &[]).unwrap())
}

#[test]
fn replies_come_in_order_and_pushes_apart() {
    let Some(server) = server() else { return };
    let mut client = Client::connect(server.addr()).unwrap();
    client.hello(3).unwrap();
    let replies = client.pipeline(&[vec!["SET", "k", "\r\n"], vec!["GET", "k"]]).unwrap();
    assert_eq!(replies, [Value::Simple(b"OK".to_vec()), Value::Bulk(b"\r\n".to_vec())]);
    client.send(&["SUBSCRIBE", "news"]).unwrap();
    client.send(&["PUBLISH", "news", "x"]).unwrap();
    assert_eq!(client.reply().unwrap(), Value::Int(1));
    let mut texts = Vec::new();
    while texts.len() < 2 {
        texts.push(client.push(Duration::from_secs(5)).unwrap().unwrap().pretty());
    }
    assert!(texts.iter().any(|text| text.contains("\"message\"")), "{texts:?}");
    assert!(client.must(&["NOSUCH"]).is_err());
}

#[test]
fn a_close_is_seen_after_the_last_bytes() {
    let Some(server) = server() else { return };
    let mut client = Client::connect(server.addr()).unwrap();
    client.send_raw(b"*-x\r\n").unwrap();
    let bytes = client.recv_raw(usize::MAX).unwrap();
    assert!(bytes.starts_with(b"-ERR Protocol error"), "{}", bytes.escape_ascii());
    assert!(client.is_closed_by_peer().unwrap());
}
