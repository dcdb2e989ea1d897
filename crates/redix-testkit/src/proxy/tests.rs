#![allow(clippy::unwrap_used)]

use super::*;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Both ends of a connection that the proxy serves.
fn through(target: &TcpListener, proxy: &Proxy) -> (TcpStream, TcpStream) {
    let mut near = TcpStream::connect(proxy.addr()).unwrap();
    let (mut far, _) = target.accept().unwrap();
    for end in [&near, &far] {
        end.set_read_timeout(Some(TIMEOUT)).unwrap();
    }
    far.write_all(b"!").unwrap();
    assert_eq!(receive(&mut near), b"!");
    (near, far)
}

fn setup() -> (TcpListener, Proxy) {
    let target = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let proxy = Proxy::to(target.local_addr().unwrap()).unwrap();
    (target, proxy)
}

fn receive(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = vec![0; 100];
    let count = stream.read(&mut bytes).unwrap();
    bytes.truncate(count);
    bytes
}

#[test]
fn bytes_pass_both_ways() {
    let (target, proxy) = setup();
    let (mut near, mut far) = through(&target, &proxy);
    near.write_all(b"ask").unwrap();
    assert_eq!(receive(&mut far), b"ask");
    far.write_all(b"answer").unwrap();
    assert_eq!(receive(&mut near), b"answer");
    assert_eq!(proxy.accepted(), 1);
    drop(near);
    assert_eq!(receive(&mut far), b"", "an end is passed on");
}

#[test]
fn a_stalled_direction_passes_nothing_and_the_other_still_does() {
    let (target, proxy) = setup();
    let (mut near, mut far) = through(&target, &proxy);
    proxy.stall(Way::ToServer);
    near.write_all(b"late").unwrap();
    far.write_all(b"answer").unwrap();
    assert_eq!(receive(&mut near), b"answer");
    assert_eq!(proxy.passed(Way::ToServer), 0);
    proxy.resume(Way::ToServer);
    assert_eq!(receive(&mut far), b"late");
}

#[test]
fn a_delayed_direction_is_late() {
    let (target, proxy) = setup();
    let (mut near, mut far) = through(&target, &proxy);
    let delay = Duration::from_millis(30);
    proxy.delay(Way::ToServer, delay);
    let sent = Instant::now();
    near.write_all(b"late").unwrap();
    assert_eq!(receive(&mut far), b"late");
    assert!(sent.elapsed() >= delay);
}

#[test]
fn a_cut_ends_both_sides_even_while_stalled() {
    let (target, proxy) = setup();
    let (mut near, mut far) = through(&target, &proxy);
    proxy.stall(Way::ToServer);
    near.write_all(b"lost").unwrap();
    proxy.cut();
    assert_eq!(proxy.open(), 0);
    assert_eq!(receive(&mut near), b"");
    assert_eq!(receive(&mut far), b"");
    proxy.resume(Way::ToServer);
    let (mut near, mut far) = through(&target, &proxy);
    near.write_all(b"again").unwrap();
    assert_eq!(receive(&mut far), b"again");
}

#[test]
fn a_severed_proxy_refuses_until_it_is_restored() {
    let (target, proxy) = setup();
    let (mut near, _far) = through(&target, &proxy);
    proxy.sever();
    assert_eq!(receive(&mut near), b"");
    let mut refused = TcpStream::connect(proxy.addr()).unwrap();
    refused.set_read_timeout(Some(TIMEOUT)).unwrap();
    assert!(refused.read(&mut [0; 1]).is_ok_and(|count| count == 0));
    assert_eq!(proxy.accepted(), 1);
    proxy.restore();
    let (mut near, mut far) = through(&target, &proxy);
    near.write_all(b"again").unwrap();
    assert_eq!(receive(&mut far), b"again");
}
