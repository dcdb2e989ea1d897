//! Parsing of the configuration: the file with its includes, then the command line.
//!
//! Files, names and values are bytes in any encoding. Included files are read by a callback, at
//! most [`INCLUDE_DEPTH_MAX`] levels deep.

use std::fmt;

use super::bytes::Shown;
use super::directive::Standing;
use super::syntax::{quote, split_args};
use super::table::Config;
use super::user::UserLine;
use super::{DIRECTIVES, find};

/// How deep files may include one another.
const INCLUDE_DEPTH_MAX: usize = 16;
/// How many files may be included in all, which bounds files that include one another repeatedly.
const INCLUDE_COUNT_MAX: usize = 1000;

/// One file of configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFile {
    /// Its path, for messages.
    pub path: String,
    /// Its content.
    pub text: Vec<u8>,
}

/// Reads the files that an `include` line names: all files that match a pattern, in order (none is
/// no error), or the one file. The error is the reason why a file cannot be read.
pub type Includes<'a> = dyn FnMut(&[u8]) -> Result<Vec<ConfigFile>, String> + 'a;

/// The result of parsing.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// Directives without effect that were set to something else than the default, and why that is
    /// harmless. For the log.
    pub ignored: Vec<(&'static str, &'static str)>,
}

/// A line of the configuration that prevents the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file, or the command line.
    pub path: String,
    /// The line's number, from 1.
    pub line: usize,
    /// The line.
    pub text: String,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = env!("CARGO_PKG_VERSION");
        writeln!(f, "\n*** FATAL CONFIG FILE ERROR (Redix {version}) ***")?;
        writeln!(f, "Reading the configuration file, at line {} of {}", self.line, self.path)?;
        writeln!(f, ">>> '{}'", self.text)?;
        writeln!(f, "{}", self.reason)
    }
}

impl std::error::Error for ConfigError {}

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandLine {
    /// Start the server.
    Run {
        /// The path of the configuration file, if one is named.
        file: Option<Vec<u8>>,
        /// Whether standard input is read after the file.
        stdin: bool,
        /// The flags as lines of a configuration file, for [`load`].
        flags: Vec<Vec<u8>>,
    },
    /// Print the version and exit.
    Version,
    /// Print a summary of usage and exit.
    Help,
}

impl CommandLine {
    /// Reads the arguments after the program's name: an optional file, then `--name value …` or
    /// `--name=value` for any directive. An argument that begins with `--` starts the next
    /// directive unless it is the first value of one; only `--save` may do without a value, and
    /// then means no save points. `-` as the last argument, or as the first where no file is named,
    /// stands for standard input; anywhere else it is a value.
    #[must_use]
    pub fn parse(args: &[Vec<u8>]) -> Self {
        match args.first().map(Vec::as_slice) {
            Some(b"-v" | b"--version") => return Self::Version,
            Some(b"-h" | b"--help") => return Self::Help,
            _ => {}
        }
        let (file, rest) = match args.split_first() {
            Some((first, rest)) if !first.starts_with(b"-") => (Some(first.clone()), rest),
            _ => (None, args),
        };
        let (stdin, rest) = match rest {
            [rest @ .., last] if last == b"-" => (true, rest),
            [first, rest @ ..] if file.is_none() && first == b"-" => (true, rest),
            _ => (false, rest),
        };
        Self::Run { file, stdin, flags: flag_lines(rest) }
    }
}

/// Converts flags to lines of a configuration file.
fn flag_lines(args: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = Vec::new();
    // Whether the last line is a name that still needs its first value.
    let mut wants_value = false;
    for arg in args {
        let flag = arg.strip_prefix(b"--").filter(|name| !name.is_empty());
        let save_without_value = wants_value && lines.last().is_some_and(|line| line == b"save");
        match flag {
            Some(flag) if !wants_value || save_without_value => {
                if save_without_value && let Some(line) = lines.last_mut() {
                    line.extend_from_slice(b" \"\"");
                }
                let (line, complete) = flag_line(flag);
                lines.push(line);
                wants_value = !complete;
            }
            _ => {
                let value = quote(arg).into_bytes();
                match lines.last_mut() {
                    Some(line) => {
                        line.push(b' ');
                        line.extend_from_slice(&value);
                    }
                    None => lines.push(value),
                }
                wants_value = false;
            }
        }
    }
    lines
}

/// The line that the flag `--flag` begins, and whether it already has a value.
fn flag_line(flag: &[u8]) -> (Vec<u8>, bool) {
    let canonical = |name: &[u8]| match name.eq_ignore_ascii_case(b"filename") {
        true => b"dbfilename".to_vec(),
        false => name.to_vec(),
    };
    if let Some(equals) = flag.iter().position(|byte| *byte == b'=') {
        let name = canonical(&flag[..equals]);
        if find(&name).is_some() {
            return ([&name, &b" "[..], quote(&flag[equals + 1..]).as_bytes()].concat(), true);
        }
    }
    // Name and value may be one argument: `--port 6380` in quotes.
    let has_value = split_args(flag).is_some_and(|words| words.len() > 1);
    (canonical(flag), has_value)
}

/// Reads `files` in order, then the lines of the command line, over the defaults.
///
/// Errors: the first line that is malformed, unknown or refused.
pub fn load(
    files: &[ConfigFile],
    flags: &[Vec<u8>],
    includes: &mut Includes<'_>,
) -> Result<Loaded, ConfigError> {
    let mut reader =
        Reader { config: Config::default(), given: Vec::new(), includes, included_count: 0 };
    for file in files {
        reader.read(file, 0)?;
    }
    let command_line = ConfigFile { path: "the command line".into(), text: flags.join(&b'\n') };
    reader.read(&command_line, 0)?;
    reader.finish()
}

struct Reader<'a, 'b> {
    config: Config,
    /// The directives seen so far, by name.
    given: Vec<&'static str>,
    includes: &'a mut Includes<'b>,
    included_count: usize,
}

impl Reader<'_, '_> {
    fn read(&mut self, file: &ConfigFile, depth: usize) -> Result<(), ConfigError> {
        for (index, line) in file.text.split(|b| *b == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() || line[0] == b'#' {
                continue;
            }
            let error = |reason| ConfigError {
                path: file.path.clone(),
                line: index + 1,
                text: Shown(line).to_string(),
                reason,
            };
            self.read_line(line, depth, &error).map_err(|stop| match stop {
                Stop::Here(reason) => error(reason),
                Stop::Included(error) => error,
            })?;
        }
        Ok(())
    }

    fn read_line(
        &mut self,
        line: &[u8],
        depth: usize,
        error: &dyn Fn(String) -> ConfigError,
    ) -> Result<(), Stop> {
        let args = split_args(line).ok_or("Unbalanced quotes in configuration line")?;
        let Some((name, args)) = args.split_first() else { return Ok(()) };
        if let Some(directive) = find(name) {
            let mut args = args.to_vec();
            if directive.name == "save" && args.is_empty() {
                // Alone it means no save points.
                args.push(Vec::new());
            }
            if directive.is_cumulative && self.given.contains(&directive.name) && !is_reset(&args) {
                args = join_lines(directive.text(&self.config), args);
            }
            if !self.given.contains(&directive.name) {
                self.given.push(directive.name);
            }
            return directive.apply(&mut self.config, &args).map_err(Stop::Here);
        }
        match (name.to_ascii_lowercase().as_slice(), args) {
            (b"include", [pattern]) => self.include(pattern, depth),
            (b"rename-command", [from, to]) => {
                self.config.rename_command.push((from.as_slice().into(), to.as_slice().into()));
                Ok(())
            }
            (b"user", [name, rules @ ..]) => {
                let line = UserLine::new(name, rules, error(String::new()));
                self.add_user(line).map_err(Stop::Here)
            }
            (b"loadmodule", [_, ..]) => Err("Redix does not load modules".into()),
            (b"list-max-ziplist-entries" | b"list-max-ziplist-value", [_])
            | (b"lua-replicate-commands", [_]) => Ok(()),
            _ => Err("Bad directive or wrong number of arguments".into()),
        }
    }

    fn add_user(&mut self, line: UserLine) -> Result<(), String> {
        if line.name.contains(&b' ') || line.name.contains(&0) {
            return Err("Spaces not allowed in ACL usernames".into());
        }
        if self.config.users.iter().any(|known| known.name == line.name) {
            let reason = "Duplicate user found. A user can only be defined once in config files";
            return Err(line.refused(reason).reason);
        }
        self.config.users.push(line);
        Ok(())
    }

    fn include(&mut self, pattern: &[u8], depth: usize) -> Result<(), Stop> {
        if depth == INCLUDE_DEPTH_MAX {
            return Err("files include one another too deeply".into());
        }
        for file in (self.includes)(pattern).map_err(Stop::Here)? {
            self.included_count += 1;
            if self.included_count > INCLUDE_COUNT_MAX {
                return Err("too many files are included".into());
            }
            self.read(&file, depth + 1).map_err(Stop::Included)?;
        }
        Ok(())
    }

    fn finish(self) -> Result<Loaded, ConfigError> {
        if let (Some(user), false) = (self.config.users.first(), self.config.aclfile.is_empty()) {
            let reason = "users are defined both here and in the file that 'aclfile' names";
            return Err(user.refused(reason));
        }
        let default = Config::default();
        let ignored = DIRECTIVES
            .iter()
            .filter(|d| d.text(&self.config) != d.text(&default))
            .filter_map(|d| match d.standing {
                Standing::Ignored(why) => Some((d.name, why)),
                _ => None,
            })
            .collect();
        Ok(Loaded { config: self.config, ignored })
    }
}

/// Whether the arguments of a cumulative directive clear it.
fn is_reset(args: &[Vec<u8>]) -> bool {
    args.iter().all(Vec::is_empty)
}

/// The arguments of a further line, appended to the value of the lines before.
fn join_lines(before: Vec<u8>, args: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    if before.is_empty() { args } else { vec![[before, args.join(&b' ')].join(&b' ')] }
}

/// Why parsing stopped.
enum Stop {
    /// An error in the present line.
    Here(String),
    /// An error in an included file.
    Included(ConfigError),
}

impl From<&str> for Stop {
    fn from(reason: &str) -> Self {
        Self::Here(reason.into())
    }
}
