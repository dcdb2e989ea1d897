//! Request bytes, made before the clock starts: sending a batch is one `write` of a slice.
//!
//! **Invariant.** All requests of a stream have one length. Either the reply to request `i` is
//! known in full, since a value is a function of its key, or its number of lines.

use redix_testkit::Rng;

/// Length of every key: `key:` and twelve digits.
pub(crate) const KEY_LEN: usize = 16;

/// The command of a stream's requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Get,
    Set,
    /// SET with a distant expiry.
    SetTtl,
}

impl Op {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Op::Get => "GET",
            Op::Set => "SET",
            Op::SetTtl => "SET EX",
        }
    }
}

/// An endless stream of requests of one kind: it starts over when all were sent.
pub(crate) struct Requests {
    bytes: Vec<u8>,
    request_len: usize,
    replies: Replies,
    count: usize,
    next: usize,
}

enum Replies {
    /// Every reply is this.
    Same(&'static [u8]),
    /// The value of each request's key, as bulk strings one after another.
    Each { bytes: Vec<u8>, reply_len: usize },
    /// Every reply has so many lines.
    Lines(usize),
}

impl Requests {
    /// Requests for these keys, in this order, with values of `value_len` bytes.
    pub(crate) fn new(op: Op, keys: impl Iterator<Item = usize>, value_len: usize) -> Requests {
        let mut bytes = Vec::new();
        let mut replies = Vec::new();
        let (mut count, mut request_len, mut reply_len) = (0, 0, 0);
        for key in keys {
            let (request_start, reply_start) = (bytes.len(), replies.len());
            push_request(&mut bytes, op, key, value_len);
            if op == Op::Get {
                push_bulk(&mut replies, &value(key, value_len));
            }
            request_len = bytes.len() - request_start;
            reply_len = replies.len() - reply_start;
            count += 1;
        }
        assert!(count > 0, "a stream needs a request");
        assert_eq!(bytes.len(), count * request_len, "requests of one length");
        let replies = match op {
            Op::Get => Replies::Each { bytes: replies, reply_len },
            Op::Set | Op::SetTtl => Replies::Same(b"+OK\r\n"),
        };
        Requests { bytes, request_len, replies, count, next: 0 }
    }

    /// `count` requests, each of which `make` appends, with replies of `lines` lines.
    pub(crate) fn made(
        count: usize,
        lines: usize,
        mut make: impl FnMut(&mut Rng, usize, &mut Vec<u8>),
    ) -> Requests {
        assert!(count > 0, "a stream needs a request");
        let (mut rng, mut bytes) = (Rng::new(0x5eed), Vec::new());
        for number in 0..count {
            make(&mut rng, number, &mut bytes);
        }
        let request_len = bytes.len() / count;
        assert_eq!(bytes.len(), count * request_len, "requests of one length");
        Requests { bytes, request_len, replies: Replies::Lines(lines), count, next: 0 }
    }

    /// `draws` independent uniform draws from `keys` keys.
    pub(crate) fn uniform(op: Op, keys: usize, draws: usize, value_len: usize) -> Requests {
        let mut rng = Rng::new(0x5eed);
        Requests::new(op, (0..draws).map(|_| rng.below(keys)), value_len)
    }

    /// Every key once, in random order.
    pub(crate) fn each_once(op: Op, keys: usize, value_len: usize) -> Requests {
        let mut order: Vec<usize> = (0..keys).collect();
        Rng::new(0x10ad).shuffle(&mut order);
        Requests::new(op, order.into_iter(), value_len)
    }

    /// How many there are before the stream repeats.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The length of each reply; 0 where only its lines are known.
    pub(crate) fn reply_len(&self) -> usize {
        match &self.replies {
            Replies::Same(reply) => reply.len(),
            Replies::Each { reply_len, .. } => *reply_len,
            Replies::Lines(_) => 0,
        }
    }

    /// The lines of each reply, where no more is known.
    pub(crate) fn reply_lines(&self) -> Option<usize> {
        match &self.replies {
            Replies::Lines(lines) => Some(*lines),
            _ => None,
        }
    }

    /// Takes the next `depth` requests; the number of the first one.
    pub(crate) fn take(&mut self, depth: usize) -> usize {
        if self.next + depth > self.count {
            self.next = 0;
        }
        let first = self.next;
        self.next += depth;
        first
    }

    /// The bytes of `depth` requests beginning with number `first`.
    pub(crate) fn bytes(&self, first: usize, depth: usize) -> &[u8] {
        &self.bytes[first * self.request_len..(first + depth) * self.request_len]
    }

    /// Whether these bytes are the replies to the `depth` requests beginning with number `first`.
    pub(crate) fn replies_match(&self, first: usize, depth: usize, replies: &[u8]) -> bool {
        match &self.replies {
            Replies::Same(reply) => replies.chunks_exact(reply.len()).all(|r| r == *reply),
            Replies::Each { bytes, reply_len } => {
                bytes[first * reply_len..(first + depth) * reply_len] == *replies
            }
            Replies::Lines(lines) => memchr::memchr_iter(b'\n', replies).count() == lines * depth,
        }
    }
}

fn push_request(bytes: &mut Vec<u8>, op: Op, key: usize, value_len: usize) {
    let key_text = format!("key:{key:012}");
    let (count, name): (&[u8], &[u8]) = match op {
        Op::Get => (b"*2\r\n", b"GET"),
        Op::Set => (b"*3\r\n", b"SET"),
        Op::SetTtl => (b"*5\r\n", b"SET"),
    };
    bytes.extend_from_slice(count);
    push_bulk(bytes, name);
    push_bulk(bytes, key_text.as_bytes());
    if op != Op::Get {
        push_bulk(bytes, &value(key, value_len));
    }
    if op == Op::SetTtl {
        push_bulk(bytes, b"EX");
        push_bulk(bytes, b"1000000");
    }
}

/// Appends a request with these arguments.
pub(crate) fn push_words<W: AsRef<[u8]>>(bytes: &mut Vec<u8>, words: &[W]) {
    bytes.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    words.iter().for_each(|word| push_bulk(bytes, word.as_ref()));
}

fn push_bulk(bytes: &mut Vec<u8>, text: &[u8]) {
    bytes.extend_from_slice(format!("${}\r\n", text.len()).as_bytes());
    bytes.extend_from_slice(text);
    bytes.extend_from_slice(b"\r\n");
}

/// Printable, incompressible, and not a number: a server must not store it as an integer.
fn value(key: usize, len: usize) -> Vec<u8> {
    let mut value = Rng::new(key as u64).printable(len);
    if let Some(first) = value.first_mut() {
        *first = b'v';
    }
    value
}

#[cfg(test)]
mod tests;
