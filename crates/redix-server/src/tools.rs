//! The tools: `redix check-rdb` and `redix check-aof`, which are also run when the program is
//! called through a link with such a name (`redis-check-rdb`, `valkey-check-aof`), and
//! `redix restore`.
//!
//! They need no server and no configuration. Output, exit codes and repairs of the checks are those
//! of the real tools of Valkey 9.1.2 as far as scripts depend on them: a report on standard output,
//! 0 if the file is sound or was repaired, 1 otherwise.

mod check_aof;
mod check_rdb;
mod restore;

use std::io::{self, BufRead, Write};
use std::process::ExitCode;

use crate::startup::VERSION;

/// A tool.
pub struct Tool {
    /// Its name as the first argument; the name of a link has it behind a `-`.
    pub name: &'static str,
    /// Its arguments.
    pub usage: &'static str,
    run: fn(&[Vec<u8>], &mut Console<'_>) -> Result<(), Failure>,
}

/// The tools.
pub const TOOLS: [Tool; 3] = [
    Tool { name: "check-rdb", usage: check_rdb::USAGE, run: check_rdb::run },
    Tool { name: "check-aof", usage: check_aof::USAGE, run: check_aof::run },
    Tool { name: "restore", usage: restore::USAGE, run: restore::run },
];

/// What a tool reads and writes besides files.
struct Console<'a> {
    input: &'a mut dyn BufRead,
    out: &'a mut dyn Write,
}

/// Why a tool ends without success.
enum Failure {
    /// The arguments are not understood.
    Usage,
    /// What was found was reported.
    Reported,
    /// The report could not be written.
    Output,
}

impl Console<'_> {
    /// Reports why the tool ends.
    fn fail<T>(&mut self, text: &str) -> Result<T, Failure> {
        writeln!(self.out, "{text}")?;
        Err(Failure::Reported)
    }
}

impl From<io::Error> for Failure {
    /// For errors of the console; those of files are reported.
    fn from(_: io::Error) -> Self {
        Self::Output
    }
}

/// Runs the tool that the command line names: by the name of the program, or by the first
/// argument. `None` if it names none.
pub fn run(program: &[u8], args: &[Vec<u8>]) -> Option<ExitCode> {
    let called = String::from_utf8_lossy(program);
    let name = called.rsplit('/').next().unwrap_or(&called);
    let linked = |tool: &&Tool| name.contains(&format!("-{}", tool.name));
    let (tool, called, args) = match TOOLS.iter().find(linked) {
        Some(tool) => (tool, called.into_owned(), args),
        None => {
            let (first, args) = args.split_first()?;
            let tool = TOOLS.iter().find(|tool| tool.name.as_bytes() == first.as_slice())?;
            (tool, format!("{called} {}", tool.name), args)
        }
    };
    let (stdin, stdout) = (io::stdin(), io::stdout());
    let mut console = Console { input: &mut stdin.lock(), out: &mut stdout.lock() };
    let done = match args {
        [only] if matches!(only.as_slice(), b"-v" | b"--version") => {
            writeln!(console.out, "redix-{} v={VERSION}", tool.name).map_err(Failure::from)
        }
        _ => (tool.run)(args, &mut console),
    };
    let flushed = console.out.flush().map_err(Failure::from);
    Some(match done.and(flushed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Failure::Usage = failure {
                // Ignored: the exit code says it too.
                writeln!(io::stderr(), "Usage: {called} {}", tool.usage).ok();
            }
            ExitCode::FAILURE
        }
    })
}
