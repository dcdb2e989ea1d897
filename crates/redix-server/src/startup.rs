//! Startup: from the command line to a configuration: the file with its includes, flags, the
//! working directory.
//!
//! An error ends the process before anything is started; it goes to standard error in the format of
//! the real servers, since scripts and suites match it.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use redix_core::config::{self, ByteString, CommandLine, Config, ConfigFile, Loaded, quote};

use crate::audit;
use crate::sys;
use crate::tools::TOOLS;

/// The version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What the command line asks for.
pub enum Wish {
    /// Print this text and exit successfully.
    Print(String),
    /// Run a server.
    Run(Box<Startup>),
}

/// The parameters of a server.
pub struct Startup {
    /// Its configuration; `dir` is absolute and is the working directory already.
    pub config: Config,
    /// Directives that were set but have no effect, each with the reason.
    pub ignored: Vec<(&'static str, &'static str)>,
    /// The absolute path of the configuration file.
    pub file: Option<PathBuf>,
}

/// Parses the arguments after the program's name, reads the configuration and changes to its
/// working directory. The error is the complete text for standard error.
pub fn prepare(args: &[Vec<u8>]) -> Result<Wish, String> {
    let (path, stdin, flags) = match CommandLine::parse(args) {
        CommandLine::Version => return Ok(Wish::Print(version_line())),
        CommandLine::Help => return Ok(Wish::Print(help_text())),
        CommandLine::Run { file, stdin, flags } => (file, stdin, flags),
    };
    let mut files = Vec::new();
    let mut file = None;
    if let Some(path) = &path {
        let path = Path::new(OsStr::from_bytes(path));
        files.push(read_file(path)?);
        file = Some(std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
    }
    if stdin {
        files.push(read_stdin()?);
    }
    let Loaded { mut config, ignored } =
        config::load(&files, &flags, &mut includes).map_err(|error| error.to_string())?;
    enter_dir(&mut config)?;
    check_log_file(&config)?;
    audit::check(&config.audit_log_file).map_err(|error| {
        let reason = format!("Can't open the audit log: {}", sys::error_text(&error));
        refusal("audit-log-file", &config.audit_log_file, &reason)
    })?;
    Ok(Wish::Run(Box::new(Startup { config, ignored, file })))
}

fn version_line() -> String {
    format!("Redix server v={VERSION} bits={}\n", usize::BITS)
}

fn help_text() -> String {
    let mut text = String::from(
        "Usage: redix [CONFIG_FILE] [--DIRECTIVE VALUE ...] [-]\n\n\
         Starts a server. With - the configuration, or what goes on behind the file, is read from\n\
         standard input. Every directive of the configuration is also a flag, --directive value or\n\
         --directive=value, and wins over both.\n\n",
    );
    for (option, meaning) in [
        ("--port 8000", "listen on this TCP port (6379)"),
        ("--dir ./data", "keep snapshots here (the working directory)"),
        ("--filename dump.rdb", "name of the snapshot; the same as --dbfilename"),
        ("--worker-threads 4", "threads that serve clients (one for each core)"),
        ("-v, --version", "print the version"),
        ("-h, --help", "print this"),
    ] {
        writeln!(text, "  {option:<22}{meaning}").expect("a string takes everything");
    }
    text.push_str(
        "\nTools; the checks of files also when called by a link such as redis-check-rdb:\n\n",
    );
    for tool in &TOOLS {
        let first = tool.usage.lines().next().unwrap_or_default();
        writeln!(text, "  redix {} {first}", tool.name).expect("a string takes everything");
    }
    text
}

fn read_stdin() -> Result<ConfigFile, String> {
    let mut text = Vec::new();
    io::stdin().lock().read_to_end(&mut text).map_err(|error| {
        format!("Fatal error, can't read standard input: {}\n", sys::error_text(&error))
    })?;
    Ok(ConfigFile { path: "standard input".into(), text })
}

fn read_file(path: &Path) -> Result<ConfigFile, String> {
    let shown = ByteString::from(path).to_string();
    match std::fs::read(path) {
        Ok(text) => Ok(ConfigFile { path: shown, text }),
        Err(error) => Err(format!(
            "Fatal error, can't open config file '{shown}': {}\n",
            sys::error_text(&error)
        )),
    }
}

/// The files of an `include` line: those that match a pattern, or the one that is named.
fn includes(pattern: &[u8]) -> Result<Vec<ConfigFile>, String> {
    let paths = if pattern.iter().any(|byte| b"*?[".contains(byte)) {
        sys::glob(pattern)
    } else {
        vec![PathBuf::from(OsStr::from_bytes(pattern))]
    };
    paths.iter().map(|path| read_file(path).map_err(|text| text.trim_end().to_owned())).collect()
}

fn enter_dir(config: &mut Config) -> Result<(), String> {
    let fail = |error: &io::Error| refusal("dir", &config.dir, &sys::error_text(error));
    std::env::set_current_dir(&config.dir).map_err(|error| fail(&error))?;
    let dir = std::env::current_dir().map_err(|error| fail(&error))?;
    config.dir = dir.as_path().into();
    Ok(())
}

fn check_log_file(config: &Config) -> Result<(), String> {
    if config.logfile.is_empty() {
        return Ok(());
    }
    let opened = std::fs::OpenOptions::new().create(true).append(true).open(&config.logfile);
    opened.map(drop).map_err(|error| {
        let reason = format!("Can't open the log file: {}", sys::error_text(&error));
        refusal("logfile", &config.logfile, &reason)
    })
}

/// The error report for a directive whose value turned out to be unusable.
fn refusal(name: &str, value: &[u8], reason: &str) -> String {
    let value = quote(value);
    format!("\n*** FATAL CONFIG FILE ERROR (Redix {VERSION}) ***\n>>> '{name} {value}'\n{reason}\n")
}
