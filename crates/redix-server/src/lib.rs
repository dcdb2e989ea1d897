//! The server process: the only crate with threads, sockets, files and signals.
//!
//! Reading order: [`startup`] (arguments to configuration), [`server`] (the process and its main
//! thread), [`worker`] (the event loop of one thread), [`conn`] (one connection's socket), [`link`]
//! (the socket to a primary), [`shutdown`] and [`crash`], [`mod@env`] (the engine's environment),
//! [`tools`] (what the program does besides serving).

pub mod alloc;
pub mod aof;
pub mod audit;
mod backend;
pub mod conn;
pub mod crash;
mod crew;
pub mod env;
pub mod link;
pub mod listen;
pub mod log;
mod migrator;
pub mod oom;
pub mod process;
pub mod ring;
pub mod saver;
pub mod server;
pub mod shutdown;
pub mod spiller;
pub mod startup;
pub mod sys;
pub mod tls;
pub mod tools;
pub mod worker;

use std::backtrace::Backtrace;
use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::process::ExitCode;

use startup::Wish;

/// The process: a command line in, an exit code out.
pub fn main() -> ExitCode {
    report_panics();
    let mut args = std::env::args_os().map(OsString::into_vec);
    let program = args.next().unwrap_or_default();
    let args: Vec<Vec<u8>> = args.collect();
    if let Some(code) = tools::run(&program, &args) {
        return code;
    }
    let startup = match startup::prepare(&args) {
        Ok(Wish::Print(text)) => {
            // Ignored: standard output may be closed.
            std::io::stdout().write_all(text.as_bytes()).ok();
            return ExitCode::SUCCESS;
        }
        Ok(Wish::Run(startup)) => startup,
        Err(text) => {
            std::io::stderr().write_all(text.as_bytes()).ok();
            return ExitCode::FAILURE;
        }
    };
    if let Err(reason) = server::run(*startup) {
        log::warning(&reason);
    }
    ExitCode::FAILURE
}

/// Makes every panic log its message and a backtrace.
fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("?");
        let trace = Backtrace::force_capture();
        log::warning(&format!("=== REDIX BUG REPORT: thread '{name}' panicked ==="));
        log::write_raw(&format!("{panic}\n{trace}\n"));
        log::warning("=== END OF REDIX BUG REPORT ===");
    }));
}
