#![allow(clippy::unwrap_used)]

use redix_testkit::rng::Rng;

use super::*;
use crate::persist::sim::Sim;

fn payload() -> Arc<Payload> {
    Payload::new(&*Sim::default().env(1).entropy)
}

#[test]
fn every_reader_gets_the_framed_bytes_at_its_own_pace() {
    let (payload, mut rng) = (payload(), Rng::new(7));
    let readers = [payload.reader(), payload.reader(), payload.reader()];
    let mut taken = vec![Vec::new(); readers.len()];
    let mut written = Vec::new();
    for round in 0..200u8 {
        let chunk = vec![round; rng.below(5000)];
        payload.write(&chunk).unwrap();
        written.extend_from_slice(&chunk);
        for (reader, out) in readers.iter().zip(&mut taken) {
            reader.read(rng.below(6000), out);
        }
        payload.full().unwrap();
    }
    payload.finish();
    let mark = payload.mark;
    let framed = [b"$EOF:", &mark[..], b"\r\n", &written, &mark].concat();
    for (reader, out) in readers.iter().zip(&mut taken) {
        while reader.read(1000, out) != Progress::Ended {}
        assert!(*out == framed, "{} bytes of {}", out.len(), framed.len());
    }
}

#[test]
fn the_slowest_live_reader_fills_the_window() {
    let payload = payload();
    let (slow, fast) = (payload.reader(), payload.reader());
    let mut out = Vec::new();
    payload.write(&vec![1; WINDOW_BYTES as usize]).unwrap();
    fast.read(usize::MAX, &mut out);
    assert!(payload.full().unwrap());
    slow.read(100, &mut out);
    assert!(payload.full().unwrap());
    drop(slow);
    assert!(!payload.full().unwrap());
    assert_eq!(lock(&payload.window).chunks.len(), 0);
}

#[test]
fn without_readers_it_has_no_purpose() {
    let payload = payload();
    drop(payload.reader());
    assert!(matches!(payload.full(), Err(SaveError::NoReceiver)));
}

#[test]
fn a_failed_one_never_ends() {
    let payload = payload();
    let reader = payload.reader();
    payload.write(b"half").unwrap();
    payload.fail();
    assert_eq!(reader.read(10, &mut Vec::new()), Progress::Failed);
}
