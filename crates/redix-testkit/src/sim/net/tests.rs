#![allow(clippy::unwrap_used)]

use super::*;

/// Two nodes and a connection between them.
fn pair() -> (Net, u64) {
    let mut net = Net::new(2, 1);
    net.set_up(1, true);
    let id = net.connect(0, 1).unwrap();
    assert_eq!(net.accept(1), Some((id, 0)));
    (net, id)
}

fn read_all(net: &mut Net, id: u64, end: End) -> Vec<u8> {
    let mut all = Vec::new();
    let mut part = [0; 100];
    while let Ok(count @ 1..) = net.read(id, end, &mut part) {
        all.extend_from_slice(&part[..count]);
    }
    all
}

fn kind(outcome: io::Result<usize>) -> ErrorKind {
    outcome.unwrap_err().kind()
}

#[test]
fn bytes_arrive_in_order_after_the_delay() {
    let (mut net, id) = pair();
    *net.route(0, 1) = Route { delay_us: 10, jitter_us: 5, ..Route::default() };
    for part in [&b"one "[..], b"two ", b"three"] {
        assert_eq!(net.write(id, End::Near, part).unwrap(), part.len());
    }
    net.now_us = 9;
    assert_eq!(read_all(&mut net, id, End::Far), b"");
    net.now_us = 30;
    assert_eq!(read_all(&mut net, id, End::Far), b"one two three");
    assert_eq!(kind(net.read(id, End::Near, &mut [0; 9])), ErrorKind::WouldBlock);
}

#[test]
fn a_full_pipe_takes_nothing() {
    let (mut net, id) = pair();
    assert_eq!(net.write(id, End::Far, &[0; PIPE_BYTES + 1]).unwrap(), PIPE_BYTES);
    assert_eq!(kind(net.write(id, End::Far, &[0])), ErrorKind::WouldBlock);
    assert_eq!(read_all(&mut net, id, End::Near).len(), PIPE_BYTES);
    assert_eq!(net.write(id, End::Far, &[0]).unwrap(), 1);
}

#[test]
fn a_silent_route_delivers_later() {
    let (mut net, id) = pair();
    net.write(id, End::Near, b"late").unwrap();
    net.route(0, 1).silent = true;
    assert_eq!(read_all(&mut net, id, End::Far), b"");
    net.route(0, 1).silent = false;
    assert_eq!(read_all(&mut net, id, End::Far), b"late");
}

#[test]
fn closing_lets_the_rest_arrive_and_cutting_does_not() {
    let (mut net, id) = pair();
    net.write(id, End::Near, b"rest").unwrap();
    net.close(id, End::Near);
    assert_eq!(read_all(&mut net, id, End::Far), b"rest");
    assert_eq!(net.read(id, End::Far, &mut [0; 9]).unwrap(), 0);
    let (mut net, id) = pair();
    net.write(id, End::Near, b"lost").unwrap();
    net.cut(1, 0);
    assert_eq!(kind(net.read(id, End::Far, &mut [0; 9])), ErrorKind::ConnectionReset);
}

#[test]
fn who_does_not_listen_refuses() {
    let mut net = Net::new(2, 1);
    assert!(net.connect(0, 1).is_err());
    net.set_up(1, true);
    net.route(0, 1).severed = true;
    assert!(net.connect(0, 1).is_err());
    net.route(0, 1).severed = false;
    let id = net.connect(0, 1).unwrap();
    net.set_up(1, false);
    assert!(net.connected(id).is_err());
    assert_eq!(net.accept(1), None);
}
