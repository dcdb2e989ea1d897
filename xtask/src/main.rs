//! The project's chores, as `cargo xtask NAME`: one small module each, so that a developer, a git
//! hook and CI run the same code. Only std and anyhow, so that it builds in seconds on a fresh
//! machine.
#![forbid(unsafe_code)]
// This program talks to a person at a terminal.
#![allow(clippy::print_stdout)]

mod accept;
mod bench;
mod docs;
mod process;
mod server;
mod setup;
mod test;
mod tidy;
mod upstream;

use std::process::ExitCode;

use anyhow::Result;

/// A chore: its name, its help text, and the function that gets the arguments after the name.
struct Chore(&'static str, &'static str, fn(&[String]) -> Result<()>);

const CHORES: &[Chore] = &[
    Chore("setup", "find or install the real servers and the test suites", setup::main),
    Chore("test", "[--quick] [FILTER]: everything a change must pass", test::main),
    Chore("tidy", "[--update [--accept]]: the rules of style a compiler does not know", tidy::main),
    Chore("docs", "[--check]: write COMPAT.md", docs::main),
    Chore("accept", "[NAME]: the long checks, resumable", accept::main),
    Chore("upstream", "[FILE…] [--all] [--update] …: the Tcl suite of Valkey", upstream::main),
    Chore("bench", "[latency] [OPTIONS]: Redix against the real servers; --help", bench::main),
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some(chore) = args.first().and_then(|name| CHORES.iter().find(|c| c.0 == name.as_str()))
    else {
        println!("usage: cargo xtask CHORE [ARGUMENTS]");
        for Chore(name, about, _) in CHORES {
            println!("  {name:<9} {about}");
        }
        return ExitCode::from(2);
    };
    match (chore.2)(&args[1..]) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("xtask {}: {error:#}", chore.0);
            ExitCode::FAILURE
        }
    }
}
