//! Tests of the engine through its interface. The scripts beside this folder are data.

mod host;
mod interface;
mod nasty;
mod plain;
mod random;
mod valkey;
