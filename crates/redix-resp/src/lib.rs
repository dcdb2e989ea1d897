//! The bytes of RESP2 and RESP3: what clients send, what servers answer.
//!
//! - [`request`]: incremental parser of commands (multibulk and inline), and their encoder.
//! - [`reply`]: encoder of replies into a connection's output buffer.
//! - [`mod@decode`]: decoder of replies, for links to other servers and for tests.
//! - [`error`]: what the parser refuses, with the text that goes on the wire.
//!
//! # Invariants
//! - No input makes this crate panic, loop, or reserve memory on the word of a length it was sent.
//! - Parsing a whole command and encoding a reply allocate nothing beyond the caller's buffers.
//! - It knows nothing of commands, connections, sockets or clocks.
//!
//! Sources: the RESP specification at redis.io, and the observed answers of Redis 7.0.15,
//! Redis 8.2.3 and Valkey 9.1.2; where they differ Valkey leads unless a module says why not.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod decode;
pub mod error;
pub mod reply;
pub mod request;

pub use decode::{DecodeError, ReplyDecoder, Value, decode};
pub use error::ProtocolError;
pub use reply::{DeferredLen, Proto, Reply};
pub use request::{Limits, Parsed, RequestParser, Span, encode_command};
