#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};
use redix_core::client::{Input, READ_MAX};
use redix_core::config::Config;
use redix_core::engine::Engine;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);
const VALUE: usize = 1000;
const LIMIT: u64 = 256 * 1024;

/// A reader, and the waker of the link.
struct Rig {
    engine: Arc<Engine>,
    poll: Poll,
    reader: Option<Reader>,
}

impl Rig {
    fn new() -> Self {
        let engine = Engine::new(crate::env::system("epoll"), Config::default(), 1).unwrap();
        let poll = Poll::new().unwrap();
        let waker = Waker::new(poll.registry(), Token(0)).unwrap();
        let reader = Reader::start(Arc::new(waker), LIMIT).unwrap();
        Self { engine: Arc::new(engine), poll, reader }
    }

    /// Reads ahead from a connection; `None` on a machine without read-ahead.
    fn begin(&self, near: std::net::TcpStream) -> Option<(Box<dyn Portions>, Arc<PrimaryStream>)> {
        let stream = Arc::new(PrimaryStream::plain(mio::net::TcpStream::from_std(near)));
        let ahead = ReadAhead::new(Arc::clone(&self.engine), Input::default());
        let Ok(portions) = self.reader.as_ref()?.begin(Box::new(ahead), &stream) else {
            panic!("the thread is there")
        };
        Some((portions, stream))
    }

    /// The next portion, or the end; waits as the link does.
    fn next(&mut self, portions: &mut dyn Portions) -> Next {
        let started = Instant::now();
        loop {
            match portions.next() {
                Next::Nothing => {
                    let mut events = Events::with_capacity(4);
                    self.poll.poll(&mut events, Some(PATIENCE)).unwrap();
                    assert!(started.elapsed() < PATIENCE, "nobody wakes the link");
                }
                next => return next,
            }
        }
    }
}

/// A connection whose buffers are full: the near end, the far end, the number of bytes.
fn full() -> (std::net::TcpStream, std::net::TcpStream, u64) {
    let (near, mut far) = pair();
    far.set_nonblocking(true).unwrap();
    let mut command = Vec::new();
    redix_resp::encode_command(&mut command, &[&b"SET"[..], b"key", &[b'v'; VALUE]]);
    let mut written = 0;
    while let Ok(count) = far.write(&command[written as usize % command.len()..]) {
        written += count as u64;
    }
    (near, far, written)
}

fn pair() -> (std::net::TcpStream, std::net::TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    near.set_nonblocking(true).unwrap();
    (near, listener.accept().unwrap().0)
}

/// Waits for another thread.
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "not {what}");
        thread::yield_now();
    }
}

#[test]
fn everything_is_read_and_not_too_far_ahead() {
    let mut rig = Rig::new();
    let (near, far, total) = full();
    assert!(total > 2 * LIMIT, "{total} bytes are not enough to see a limit");
    let Some((mut portions, _stream)) = rig.begin(near) else { return };
    wait_until("full", || portions.waiting_bytes() >= LIMIT);
    drop(far);
    let mut taken = 0;
    let rest = loop {
        let waiting = portions.waiting_bytes();
        assert!(waiting <= LIMIT + 2 * READ_MAX as u64, "{waiting} bytes are waiting");
        match rig.next(&mut *portions) {
            Next::Portion(portion) => taken += portion.len(),
            Next::Ended(rest, why) => {
                assert_eq!(why.kind(), io::ErrorKind::UnexpectedEof);
                break rest.len();
            }
            Next::Nothing => unreachable!("it was waited for"),
        }
    };
    assert!(rest < VALUE as u64 + 100, "whole commands were left");
    assert_eq!(taken + rest, total);
}

#[test]
fn it_ends_where_there_is_nothing_to_be_read() {
    let mut rig = Rig::new();
    let (near, mut far) = pair();
    let command = b"*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n";
    far.write_all(command).unwrap();
    far.write_all(b"*2\r\n$3\r\nDEL").unwrap();
    let Some((mut portions, stream)) = rig.begin(near) else { return };
    let Next::Portion(portion) = rig.next(&mut *portions) else { panic!("there is a command") };
    assert_eq!(portion.len(), command.len() as u64);
    portions.give_back(Portion::default());
    let Next::Ended(rest, why) = rig.next(&mut *portions) else { panic!("there is no more") };
    assert_eq!((rest.len(), why.kind()), (11, io::ErrorKind::WouldBlock));
    wait_until("let go of", || Arc::strong_count(&stream) == 1);
}

#[test]
fn who_is_abandoned_lets_go_of_the_connection() {
    let mut rig = Rig::new();
    for _ in 0..3 {
        let (near, _far, _) = full();
        let Some((mut portions, stream)) = rig.begin(near) else { return };
        wait_until("full", || portions.waiting_bytes() >= LIMIT);
        assert!(matches!(rig.next(&mut *portions), Next::Portion(_)));
        drop(portions);
        wait_until("let go of", || Arc::strong_count(&stream) == 1);
    }
}
