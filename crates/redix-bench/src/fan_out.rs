//! Loads in which one connection's request is another's message: BLPOP served by LPUSH, PUBLISH to
//! subscribers.
//!
//! Both proceed in steps: everybody sends, then everybody receives. One thread does it with
//! blocking sockets, whose timeouts end it if a message is missing.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::requests::push_words;

const SILENCE_LIMIT: Duration = Duration::from_secs(20);
const ELEMENT: &str = "element:12345678";

fn connect(addr: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(addr).context("connecting")?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SILENCE_LIMIT))?;
    Ok(stream)
}

fn expect(stream: &mut TcpStream, expected: &[u8], buffer: &mut Vec<u8>) -> Result<()> {
    buffer.resize(expected.len(), 0);
    stream.read_exact(buffer).context("receiving")?;
    ensure!(buffer == expected, "not the expected reply: {:?}", String::from_utf8_lossy(buffer));
    Ok(())
}

/// Connections blocked in BLPOP, and one that pushes an element for each.
pub(crate) struct HandOver {
    pusher: TcpStream,
    waiters: Vec<TcpStream>,
    pushes: Vec<u8>,
    pushed: Vec<u8>,
}

impl HandOver {
    pub(crate) fn connect(addr: SocketAddr, waiters: usize) -> Result<HandOver> {
        let mut pushes = Vec::new();
        (0..waiters).for_each(|_| push_words(&mut pushes, &["LPUSH", "queue", ELEMENT]));
        let waiters: Vec<_> = (0..waiters).map(|_| connect(addr)).collect::<Result<_>>()?;
        let pushed = b":1\r\n".repeat(waiters.len());
        Ok(HandOver { pusher: connect(addr)?, waiters, pushes, pushed })
    }

    /// At least `ops` hand-overs; returns how many.
    pub(crate) fn run(&mut self, ops: usize) -> Result<usize> {
        let (mut wait, mut buffer) = (Vec::new(), Vec::new());
        push_words(&mut wait, &["BLPOP", "queue", "0"]);
        let served = format!("*2\r\n$5\r\nqueue\r\n${}\r\n{ELEMENT}\r\n", ELEMENT.len());
        let mut done = 0;
        while done < ops {
            for waiter in &mut self.waiters {
                waiter.write_all(&wait)?;
            }
            // Earlier commands are executed first: then all are blocked.
            self.pusher.write_all(b"PING\r\n")?;
            expect(&mut self.pusher, b"+PONG\r\n", &mut buffer)?;
            self.pusher.write_all(&self.pushes)?;
            expect(&mut self.pusher, &self.pushed, &mut buffer)?;
            for waiter in &mut self.waiters {
                expect(waiter, served.as_bytes(), &mut buffer)?;
            }
            done += self.waiters.len();
        }
        Ok(done)
    }
}

/// Subscribers of one channel, and a connection that publishes to it.
pub(crate) struct Publish {
    publisher: TcpStream,
    subscribers: Vec<TcpStream>,
    batch: Vec<u8>,
    depth: usize,
}

impl Publish {
    pub(crate) fn connect(addr: SocketAddr, subscribers: usize, depth: usize) -> Result<Publish> {
        let mut subscribe = Vec::new();
        push_words(&mut subscribe, &["SUBSCRIBE", "channel"]);
        let subscribed = b"*3\r\n$9\r\nsubscribe\r\n$7\r\nchannel\r\n:1\r\n";
        let mut buffer = Vec::new();
        let subscribers = (0..subscribers).map(|_| {
            let mut stream = connect(addr)?;
            stream.write_all(&subscribe)?;
            expect(&mut stream, subscribed, &mut buffer)?;
            Ok(stream)
        });
        let subscribers = subscribers.collect::<Result<_>>()?;
        let mut batch = Vec::new();
        (0..depth).for_each(|_| push_words(&mut batch, &["PUBLISH", "channel", ELEMENT]));
        Ok(Publish { publisher: connect(addr)?, subscribers, batch, depth })
    }

    /// At least `ops` messages to every subscriber; returns how many.
    pub(crate) fn run(&mut self, ops: usize) -> Result<usize> {
        let published = format!(":{}\r\n", self.subscribers.len()).repeat(self.depth);
        let message =
            format!("*3\r\n$7\r\nmessage\r\n$7\r\nchannel\r\n${}\r\n{ELEMENT}\r\n", ELEMENT.len());
        let messages = message.repeat(self.depth);
        let (mut done, mut buffer) = (0, Vec::new());
        while done < ops {
            self.publisher.write_all(&self.batch)?;
            expect(&mut self.publisher, published.as_bytes(), &mut buffer)?;
            for subscriber in &mut self.subscribers {
                expect(subscriber, messages.as_bytes(), &mut buffer)?;
            }
            done += self.depth;
        }
        Ok(done)
    }
}
