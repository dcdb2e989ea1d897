//! RESP bytes.
#![forbid(unsafe_code)]
