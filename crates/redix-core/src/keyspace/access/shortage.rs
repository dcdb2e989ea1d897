//! Which limit of memory is exceeded, so that commands that may add data are refused.

use crate::error::ReplyError;

/// Why commands that may add data are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shortage {
    /// They are not.
    #[default]
    None,
    /// `maxmemory` is exceeded.
    Server,
    /// The limit of the database is.
    Database,
    /// The limit of the user is.
    User,
}

impl Shortage {
    /// Whether they are refused.
    #[inline]
    pub fn is_any(self) -> bool {
        self != Self::None
    }

    /// The error that they get.
    pub fn error(self) -> ReplyError {
        match self {
            Self::None | Self::Server => ReplyError::Oom,
            Self::Database => ReplyError::OOM_DATABASE,
            Self::User => ReplyError::OOM_USER,
        }
    }
}
