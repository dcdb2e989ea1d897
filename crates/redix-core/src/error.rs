//! Error replies: the only place with their wire text.
//!
//! Source: the replies of Valkey 9.1 and Redis 7.0 to the same commands.

use std::borrow::Cow;
use std::fmt;

use redix_resp::reply::Reply;

/// The most bytes of an argument that an error repeats.
const SHOWN_MAX: usize = 128;

/// An error reply of a handler. Small, and without allocation on common paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplyError {
    /// The key holds another type.
    WrongType,
    /// A syntax error in the options.
    Syntax,
    /// An argument should have been a 64-bit integer.
    NotInteger,
    /// An argument should have been a number.
    NotFloat,
    /// The key does not exist, where the command requires it.
    NoSuchKey,
    /// Wrong number of arguments; the command's name as shown in the error (`config|get`).
    WrongArity(Cow<'static, str>),
    /// An unknown subcommand.
    UnknownSubcommand {
        /// The name that the client sent, shortened for the message.
        sent: Vec<u8>,
        /// The container in upper case.
        container: String,
    },
    /// An expiry time that cannot be represented; the command's name.
    InvalidExpire(Cow<'static, str>),
    /// The value would exceed `proto-max-bulk-len`.
    StringTooLong,
    /// An allocation failed.
    Oom,
    /// The client is not authenticated.
    NoAuth,
    /// Any other error with its code, for example `ERR no such db`.
    Static(&'static str),
    /// An error whose text depends on the request, with its code.
    Text(Vec<u8>),
}

/// The outcome of a handler: it has written its reply, or it reports an error.
pub type CommandResult = Result<(), ReplyError>;

impl ReplyError {
    /// The data set is being loaded.
    pub const LOADING: Self = Self::Static("LOADING Redis is loading the dataset in memory");

    /// The limit of the database is exceeded.
    pub const OOM_DATABASE: Self =
        Self::Static("OOM command not allowed when used memory of the database > 'db-maxmemory'.");

    /// The limit of the user is exceeded.
    pub const OOM_USER: Self =
        Self::Static("OOM command not allowed when used memory of the user > '%mem'.");

    /// An error of code `ERR` with a text made for this request.
    pub fn err(text: impl AsRef<str>) -> Self {
        Self::Text(format!("ERR {}", text.as_ref()).into())
    }

    /// An error of code `ERR` that repeats an argument of the request, up to a zero byte in it.
    pub fn quoting(before: &str, word: &[u8], after: &str) -> Self {
        Self::Text([b"ERR ", before.as_bytes(), until_zero(word), after.as_bytes()].concat())
    }

    /// That the primary is elsewhere.
    pub fn redirect(host: &impl fmt::Display, port: u16) -> Self {
        Self::Text(format!("REDIRECT {host}:{port}").into())
    }

    /// An error, with its code, of parts of which some are words of the request: each ends at a
    /// zero byte in it.
    pub fn of_parts(parts: &[&[u8]]) -> Self {
        Self::Text(parts.iter().flat_map(|part| until_zero(part)).copied().collect())
    }

    /// A name that `container` has no subcommand for.
    pub fn unknown_subcommand(sent: &[u8], container: &str) -> Self {
        let sent = until_zero(&sent[..sent.len().min(SHOWN_MAX)]).to_vec();
        Self::UnknownSubcommand { sent, container: container.to_ascii_uppercase() }
    }

    /// The error for an unknown command, with its arguments.
    pub fn unknown_command(name: &[u8], words: impl Iterator<Item = impl AsRef<[u8]>>) -> Self {
        let mut rest = Vec::new();
        for word in words {
            if rest.len() >= SHOWN_MAX {
                break;
            }
            let word = word.as_ref();
            let word = until_zero(&word[..word.len().min(SHOWN_MAX - rest.len())]);
            rest.extend_from_slice(&[b"'", word, b"' "].concat());
        }
        let name = until_zero(&name[..name.len().min(SHOWN_MAX)]);
        let start = &b"ERR unknown command '"[..];
        Self::Text([start, name, b"', with args beginning with: ", &rest].concat())
    }

    /// The text on the wire, without the leading `-` and the line end.
    pub fn text(&self) -> Cow<'static, [u8]> {
        let fixed = match self {
            Self::WrongType => "WRONGTYPE Operation against a key holding the wrong kind of value",
            Self::Syntax => "ERR syntax error",
            Self::NotInteger => "ERR value is not an integer or out of range",
            Self::NotFloat => "ERR value is not a valid float",
            Self::NoSuchKey => "ERR no such key",
            Self::StringTooLong => "ERR string exceeds maximum allowed size (proto-max-bulk-len)",
            Self::Oom => "OOM command not allowed when used memory > 'maxmemory'.",
            Self::NoAuth => "NOAUTH Authentication required.",
            Self::Static(text) => text,
            Self::WrongArity(name) => {
                let text = format!("ERR wrong number of arguments for '{name}' command");
                return text.into_bytes().into();
            }
            Self::UnknownSubcommand { sent, container } => {
                let start = &b"ERR unknown subcommand '"[..];
                let text = [start, sent, b"'. Try ", container.as_bytes(), b" HELP."];
                return text.concat().into();
            }
            Self::InvalidExpire(name) => {
                let text = format!("ERR invalid expire time in '{name}' command");
                return text.into_bytes().into();
            }
            Self::Text(text) => return text.clone().into(),
        };
        Cow::Borrowed(fixed.as_bytes())
    }

    /// The error code, under which `INFO errorstats` counts it.
    pub fn code(&self) -> String {
        let text = self.text();
        let code = text.split(|byte| *byte == b' ').next().unwrap_or(b"ERR");
        String::from_utf8_lossy(code).into_owned()
    }

    /// Writes the error as a reply.
    pub fn write_to(&self, reply: &mut Reply) {
        reply.error(self.text());
    }
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.text()))
    }
}

/// An argument up to a zero byte: the real servers' format strings end there.
pub(crate) fn until_zero(word: &[u8]) -> &[u8] {
    word.split(|byte| *byte == 0).next().unwrap_or(word)
}

#[cfg(test)]
mod tests;
