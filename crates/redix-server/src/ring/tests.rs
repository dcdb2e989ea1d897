//! Batches beside what single calls do. Where the kernel refuses the ring, they say so and pass: CI
//! may run there, and the server then has no use for it.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use super::{ENTRIES, Receive, Ring, Send};

fn ring() -> Option<Ring> {
    match Ring::new() {
        Ok(ring) => Some(ring),
        Err(error) => {
            eprintln!("not tested: io_uring is refused: {error}");
            None
        }
    }
}

/// Both ends of so many connections, of both families in turn.
fn pairs(count: usize) -> Vec<(Box<dyn End>, Box<dyn End>)> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    (0..count)
        .map(|at| -> (Box<dyn End>, Box<dyn End>) {
            if at % 2 == 0 {
                let (near, far) = UnixStream::pair().unwrap();
                return (Box::new(near), Box::new(far));
            }
            let far = TcpStream::connect(addr).unwrap();
            (Box::new(listener.accept().unwrap().0), Box::new(far))
        })
        .collect()
}

trait End: Read + Write + AsRawFd {}
impl<T: Read + Write + AsRawFd> End for T {}

fn receive(ring: &mut Ring, fds: &[i32], space: usize) -> Vec<Result<Vec<u8>, ErrorKind>> {
    let mut buffers = vec![vec![0; space]; fds.len()];
    let mut batch: Vec<_> = buffers
        .iter_mut()
        .zip(fds)
        .enumerate()
        .map(|(tag, (buffer, fd))| Receive::new(tag, *fd, buffer))
        .collect();
    ring.receive(&mut batch);
    let outcomes: Vec<_> = batch.into_iter().map(|receive| receive.outcome).collect();
    let received = |(outcome, mut buffer): (std::io::Result<usize>, Vec<u8>)| {
        let count = outcome.map_err(|error| error.kind())?;
        assert!(buffer[count..].iter().all(|byte| *byte == 0), "more was written than received");
        buffer.truncate(count);
        Ok(buffer)
    };
    outcomes.into_iter().zip(buffers).map(received).collect()
}

#[test]
fn each_transfer_of_a_batch_reaches_its_own_socket_and_memory() {
    let Some(mut ring) = ring() else { return };
    // More than fit into one call, and a part.
    let mut pairs = pairs(2 * ENTRIES + 7);
    let texts: Vec<String> = (0..pairs.len()).map(|at| format!("to {at}")).collect();
    let mut sends: Vec<_> = pairs
        .iter()
        .zip(&texts)
        .enumerate()
        .map(|(tag, ((near, _), text))| Send::new(tag, near.as_raw_fd(), text.as_bytes()))
        .collect();
    ring.send(&mut sends);
    for (send, text) in sends.into_iter().zip(&texts) {
        assert_eq!(send.outcome.unwrap(), text.len(), "{text}");
    }
    for ((_, far), text) in pairs.iter_mut().zip(&texts) {
        let mut read = vec![0; text.len()];
        far.read_exact(&mut read).unwrap();
        assert_eq!(read, text.as_bytes());
        far.write_all(text.as_bytes()).unwrap();
    }
    let fds: Vec<_> = pairs.iter().map(|(near, _)| near.as_raw_fd()).collect();
    let received = receive(&mut ring, &fds, 64);
    for (received, text) in received.into_iter().zip(&texts) {
        assert_eq!(received.unwrap(), text.as_bytes());
    }
}

#[test]
fn a_socket_without_data_is_not_waited_for_and_its_memory_not_used_later() {
    let Some(mut ring) = ring() else { return };
    let mut pairs = pairs(4);
    let fds: Vec<_> = pairs.iter().map(|(near, _)| near.as_raw_fd()).collect();
    let mut buffers = [[0; 16]; 4];
    // The sockets are blocking: that they are not waited for is the ring's doing.
    for (tag, (buffer, fd)) in buffers.iter_mut().zip(&fds).enumerate() {
        let mut batch = [Receive::new(tag, *fd, buffer)];
        ring.receive(&mut batch);
        let [Receive { outcome, .. }] = batch;
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::WouldBlock);
    }
    pairs.iter_mut().for_each(|(_, far)| far.write_all(b"late").unwrap());
    // What was under way would be completed by now, with the next batch.
    for received in receive(&mut ring, &fds, 16) {
        assert_eq!(received.unwrap(), b"late");
    }
    assert_eq!(buffers, [[0; 16]; 4]);
}

#[test]
fn a_full_socket_takes_a_part_then_nothing() {
    let Some(mut ring) = ring() else { return };
    for (near, mut far) in pairs(2) {
        let bytes: Vec<u8> = (0..64 << 20).map(|at: u32| (at >> 8) as u8).collect();
        let mut sent = 0;
        loop {
            let mut batch = [Send::new(0, near.as_raw_fd(), &bytes[sent..])];
            ring.send(&mut batch);
            let [Send { outcome, .. }] = batch;
            match outcome {
                Ok(count) => sent += count,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    break;
                }
            }
        }
        assert!(sent > 0 && sent < bytes.len(), "{sent} bytes");
        drop(near);
        let mut read = Vec::new();
        far.read_to_end(&mut read).unwrap();
        assert!(read == bytes[..sent], "{} of {sent} bytes", read.len());
    }
}

#[test]
fn failures_are_those_of_single_calls() {
    let Some(mut ring) = ring() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let near = listener.accept().unwrap().0;
    far.shutdown(Shutdown::Write).unwrap();
    let (unix, other) = UnixStream::pair().unwrap();
    drop(other);
    let fds = [near.as_raw_fd(), unix.as_raw_fd(), -1];
    let ended = receive(&mut ring, &fds, 8);
    assert_eq!(ended[0], Ok(Vec::new()), "the end");
    assert_eq!(ended[1], Ok(Vec::new()), "the end");
    assert!(ended[2].is_err(), "no socket");
    // In the middle of a batch, a failure ends neither it nor the process.
    let mut sends: Vec<_> =
        [fds[0], fds[1], -1, fds[0]].iter().map(|fd| Send::new(0, *fd, b"x")).collect();
    ring.send(&mut sends);
    let kinds: Vec<_> =
        sends.into_iter().map(|send| send.outcome.map_err(|error| error.kind())).collect();
    assert_eq!(kinds[0], Ok(1));
    assert_eq!(kinds[1], Err(ErrorKind::BrokenPipe));
    assert!(kinds[2].is_err());
    assert_eq!(kinds[3], Ok(1));
}

#[test]
fn transfers_are_made_in_order() {
    let Some(mut ring) = ring() else { return };
    let (near, mut far) = UnixStream::pair().unwrap();
    let texts: Vec<String> = (0..ENTRIES + 3).map(|at| format!("{at},")).collect();
    let mut sends: Vec<_> =
        texts.iter().map(|text| Send::new(0, near.as_raw_fd(), text.as_bytes())).collect();
    ring.send(&mut sends);
    drop(near);
    let mut read = String::new();
    far.read_to_string(&mut read).unwrap();
    assert_eq!(read, texts.concat());
}
