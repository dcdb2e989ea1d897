//! Value structures.
