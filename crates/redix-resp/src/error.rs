//! Protocol errors in requests.
//!
//! A protocol error is replied once, after the replies to the commands before it, and then the
//! connection is closed: nothing after it can be trusted to start at a command.

use std::borrow::Cow;
use std::fmt;

use crate::reply::Reply;

/// Why a request cannot be parsed. The wire text of each is in [`ProtocolError::text`] only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProtocolError {
    /// The number after `*` is not a number, or is over the limit.
    InvalidMultibulkLength,
    /// The number after `$` is not a number, is negative or over the limit, or the command would
    /// exceed [`COMMAND_LEN_MAX`](crate::request::COMMAND_LEN_MAX).
    InvalidBulkLength,
    /// An argument of a multibulk command begins with this byte instead of `$`.
    ExpectedDollar(u8),
    /// An argument is not followed by CR LF.
    InvalidCrlf,
    /// The line of a `*` count is longer than the inline limit.
    TooBigMultibulkCount,
    /// The line of a `$` length is longer than the inline limit.
    TooBigBulkCount,
    /// An inline command is longer than the inline limit.
    TooBigInline,
    /// Unbalanced quotes in an inline command, or a closing quote that touches the next argument.
    UnbalancedQuotes,
    /// More arguments than an unauthenticated client may send.
    UnauthenticatedMultibulkLength,
    /// A longer argument than an unauthenticated client may send.
    UnauthenticatedBulkLength,
}

impl ProtocolError {
    /// The text of the error reply, without the leading `-ERR ` and the line end. It may hold one
    /// byte of the request, which need not be text.
    pub fn text(&self) -> Cow<'static, [u8]> {
        let text: &'static str = match self {
            Self::InvalidMultibulkLength => "Protocol error: invalid multibulk length",
            Self::InvalidBulkLength => "Protocol error: invalid bulk length",
            Self::ExpectedDollar(byte) => {
                let mut text = b"Protocol error: expected '$', got '".to_vec();
                text.extend_from_slice(&[*byte, b'\'']);
                return Cow::Owned(text);
            }
            Self::InvalidCrlf => "Protocol error: invalid CRLF in request",
            Self::TooBigMultibulkCount => "Protocol error: too big mbulk count string",
            Self::TooBigBulkCount => "Protocol error: too big bulk count string",
            Self::TooBigInline => "Protocol error: too big inline request",
            Self::UnbalancedQuotes => "Protocol error: unbalanced quotes in request",
            Self::UnauthenticatedMultibulkLength => {
                "Protocol error: unauthenticated multibulk length"
            }
            Self::UnauthenticatedBulkLength => "Protocol error: unauthenticated bulk length",
        };
        Cow::Borrowed(text.as_bytes())
    }

    /// Appends the whole error reply, `-ERR ` included.
    pub fn write_to(&self, reply: &mut Reply) {
        let mut text = b"ERR ".to_vec();
        text.extend_from_slice(&self.text());
        reply.error(text);
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.text()))
    }
}

impl std::error::Error for ProtocolError {}
