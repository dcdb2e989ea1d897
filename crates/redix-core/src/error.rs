//! Errors that clients see: the only place with their wire text.
//!
//! Source: the replies of Valkey 9.1 and Redis 7.0 to the same commands.

use std::borrow::Cow;

use redix_resp::reply::Reply;

/// What a handler answers instead of a reply. Small, and without allocation on common paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplyError {
    /// The key holds another type.
    WrongType,
    /// The options do not fit together.
    Syntax,
    /// An argument should have been a 64-bit integer.
    NotInteger,
    /// An argument should have been a number.
    NotFloat,
    /// The key does not exist, where the command demands one.
    NoSuchKey,
    /// Too few or too many arguments; the name as the client's `ERR` shows it (`config|get`).
    WrongArity(Cow<'static, str>),
    /// A subcommand that its container does not have.
    UnknownSubcommand {
        /// What the client sent, shortened for the message.
        sent: String,
        /// The container in upper case.
        container: String,
    },
    /// An expiry time that cannot be represented; the command's name.
    InvalidExpire(Cow<'static, str>),
    /// The value would pass `proto-max-bulk-len`.
    StringTooLong,
    /// A memory reservation was refused.
    Oom,
    /// Authentication is required first.
    NoAuth,
    /// Any other error with its code as first word, for example `ERR no such db`.
    Static(&'static str),
    /// An error whose text depends on the request.
    Text(String),
}

/// The outcome of a handler: it has written its reply, or it reports an error.
pub type CommandResult = Result<(), ReplyError>;

impl ReplyError {
    /// An error of code `ERR` with a text made for this request.
    pub fn err(text: impl AsRef<str>) -> Self {
        Self::Text(format!("ERR {}", text.as_ref()))
    }

    /// The text on the wire, without the leading `-` and the line end.
    pub fn text(&self) -> Cow<'static, str> {
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
                return format!("ERR wrong number of arguments for '{name}' command").into();
            }
            Self::UnknownSubcommand { sent, container } => {
                return format!("ERR unknown subcommand '{sent}'. Try {container} HELP.").into();
            }
            Self::InvalidExpire(name) => {
                return format!("ERR invalid expire time in '{name}' command").into();
            }
            Self::Text(text) => return text.clone().into(),
        };
        Cow::Borrowed(fixed)
    }

    /// The first word, under which `INFO errorstats` counts it.
    pub fn code(&self) -> String {
        self.text().split(' ').next().unwrap_or("ERR").to_owned()
    }

    /// Writes the error as a reply.
    pub fn write_to(&self, reply: &mut Reply) {
        reply.error(self.text().as_bytes());
    }
}
