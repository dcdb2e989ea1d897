//! The libraries.
pub(crate) struct Settings;
