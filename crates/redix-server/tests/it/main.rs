//! The process from outside: started, spoken to over TCP, stopped.

#![allow(clippy::unwrap_used)]

mod golden;
mod transactions;
