//! The append-only file: what its files are and how their bytes are read.
//!
//! A data set is a *base* (an RDB file, or commands) and the *increments* recorded since, in a
//! directory of their own; [`manifest`] lists them, [`scan`] reads commands.
//!
//! **Invariants.** Nothing here opens a file: bytes come in, and data comes out. Every length is
//! bounded before it is believed.

pub mod commands;
pub mod manifest;
pub mod scan;
