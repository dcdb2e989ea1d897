//! `cargo xtask docs`: writes COMPAT.md, the parts of Valkey's interface that Redix has, from what
//! the two servers report. `--check` only checks that the page is up to date. Commands that exist
//! only to be refused are listed as such, after checking that they still are.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::process::{self, no_more, root, run, take_flag, take_option, target_dir};
use crate::server::Server;
use crate::setup;

/// Limits on a server's replies, so that a broken one fails the chore, not the machine.
const BULK_LEN_MAX: usize = 1 << 20;
const DEPTH_MAX: usize = 16;
/// More arguments than any command needs before its error is about something else than arity.
const WORDS_MAX: usize = 8;

/// Commands that are always refused, by name or by the container's, each with the reason.
const REFUSED: &[(&str, &str)] = &[
    ("CLUSTER", "there is no cluster mode, as each of them answers"),
    ("MODULE LOAD", "modules cannot be loaded"),
    ("MODULE LOADEX", "modules cannot be loaded"),
    ("MODULE UNLOAD", "no module is ever loaded"),
];

fn is_refused(name: &str) -> bool {
    let container = name.split(' ').next().unwrap_or(name);
    REFUSED.iter().any(|(refused, _)| *refused == name || *refused == container)
}

pub(crate) fn main(args: &[String]) -> Result<()> {
    let mut args = args.to_vec();
    let check = take_flag(&mut args, "--check");
    let program = take_option(&mut args, "--server")?.map(PathBuf::from);
    no_more(&args)?;
    let peers = setup::ensure()?;
    let Some(valkey) = peers.get("REDIX_VALKEY") else {
        if check {
            println!("COMPAT.md is not checked: Valkey is missing, see cargo xtask setup");
            return Ok(());
        }
        bail!("Valkey is missing: see cargo xtask setup");
    };
    let program = match program {
        Some(program) => program,
        None => {
            run(&mut process::command("cargo", &["build", "-p", "redix-server"]))?;
            target_dir().join("debug/redix")
        }
    };
    let ours = Surface::of(&program)?;
    ours.ask_refused(&program)?;
    let page = page(&ours, &Surface::of(valkey)?);
    let file = root().join("COMPAT.md");
    if check {
        if fs::read_to_string(&file).unwrap_or_default() != page {
            bail!("COMPAT.md is not up to date: run cargo xtask docs");
        }
        return Ok(());
    }
    fs::write(&file, page).context("cannot write COMPAT.md")
}

/// The interface of a server.
struct Surface {
    version: String,
    /// Names of commands, subcommands as `CLIENT LIST`, by group.
    commands: BTreeMap<String, BTreeSet<String>>,
    directives: BTreeSet<String>,
}

impl Surface {
    fn of(program: &Path) -> Result<Self> {
        let server = Server::start(program, &[], &target_dir().join("docs.log"))?;
        let stream = server.connect()?;
        let mut client = Client { reader: BufReader::new(stream.try_clone()?), stream };
        let info = client.call(&["INFO", "server"])?.text();
        let field = |name: &str| {
            let line = info.lines().find_map(|line| line.strip_prefix(name));
            line.map(|value| value.trim_start_matches(':').to_owned())
        };
        let version = field("valkey_version").or_else(|| field("redix_version"));
        let config = client.call(&["CONFIG", "GET", "*"])?.pairs();
        let directives = config.into_iter().map(|(name, _)| name).collect();
        let mut commands = BTreeMap::new();
        for (name, doc) in client.call(&["COMMAND", "DOCS"])?.pairs() {
            collect(&mut commands, &name, doc);
        }
        Ok(Self { version: version.unwrap_or_default(), commands, directives })
    }

    /// Checks that the commands listed as refused still are. A container only replies with its
    /// arity error.
    fn ask_refused(&self, program: &Path) -> Result<()> {
        let server = Server::start(program, &[], &target_dir().join("docs.log"))?;
        let stream = server.connect()?;
        let mut client = Client { reader: BufReader::new(stream.try_clone()?), stream };
        for name in self.commands.values().flatten().filter(|name| is_refused(name)) {
            let mut words: Vec<&str> = name.split(' ').collect();
            while words.len() < WORDS_MAX {
                match client.call(&words) {
                    Err(error) if format!("{error:#}").contains("wrong number of arguments") => {}
                    Err(_) => break,
                    Ok(_) => bail!("{} is listed as refused and is not", words.join(" ")),
                }
                words.push("1");
            }
        }
        Ok(())
    }

    fn has(&self, command: &str) -> bool {
        self.commands.values().any(|names| names.contains(command))
    }
}

fn collect(commands: &mut BTreeMap<String, BTreeSet<String>>, name: &str, doc: Reply) {
    let mut group = String::new();
    let mut nested = Vec::new();
    for (field, value) in doc.pairs() {
        match field.as_str() {
            "group" => group = value.text(),
            "subcommands" => nested = value.pairs(),
            _ => {}
        }
    }
    commands.entry(group).or_default().insert(name.replace('|', " ").to_uppercase());
    for (name, doc) in nested {
        collect(commands, &name, doc);
    }
}

fn page(ours: &Surface, theirs: &Surface) -> String {
    let mut page = format!(
        "# Compatibility\n\nWritten by `cargo xtask docs` from what Redix and Valkey {} say of \
         themselves.\n\n## Commands\n\n| group | there | refused | missing |\n|---|---|---|---|\n",
        theirs.version
    );
    let list = |names: Vec<&String>| {
        names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" ")
    };
    for (group, names) in &theirs.commands {
        let (known, missing): (Vec<_>, Vec<_>) = names.iter().partition(|name| ours.has(name));
        let (refused, there): (Vec<_>, Vec<_>) =
            known.into_iter().partition(|name| is_refused(name));
        let (there, refused, missing) = (list(there), list(refused), list(missing));
        page.push_str(&format!("| {group} | {there} | {refused} | {missing} |\n"));
    }
    page.push_str("\nRefused:\n\n");
    for (name, reason) in REFUSED {
        page.push_str(&format!("- `{name}`: {reason}.\n"));
    }
    let own: Vec<&String> =
        ours.commands.values().flatten().filter(|name| !theirs.has(name)).collect();
    if !own.is_empty() {
        page.push_str(&format!(
            "\nOnly in Redix, those that Redis has since 8.4 by its documentation, since no server \
             that has them could be asked: {}\n",
            list(own)
        ));
    }
    let missing = theirs.directives.difference(&ours.directives).collect();
    let own = ours.directives.difference(&theirs.directives).collect();
    page.push_str(&format!(
        "\n## Directives\n\nMissing: {}\n\nOnly in Redix: {}\n",
        list(missing),
        list(own)
    ));
    page
}

/// A RESP2 reply; numbers and statuses are text too.
enum Reply {
    Text(String),
    Array(Vec<Reply>),
}

impl Reply {
    fn text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Array(_) => String::new(),
        }
    }

    /// A flat array of names and values.
    fn pairs(self) -> Vec<(String, Reply)> {
        let Self::Array(items) = self else { return Vec::new() };
        let mut items = items.into_iter();
        let mut pairs = Vec::new();
        while let (Some(name), Some(value)) = (items.next(), items.next()) {
            pairs.push((name.text(), value));
        }
        pairs
    }
}

struct Client<S> {
    stream: S,
    reader: BufReader<S>,
}

impl<S: Read + Write> Client<S> {
    fn call(&mut self, words: &[&str]) -> Result<Reply> {
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        self.stream.write_all(request.as_bytes())?;
        read_reply(&mut self.reader, 0).with_context(|| words.join(" "))
    }
}

fn read_reply(reader: &mut impl BufRead, depth: usize) -> Result<Reply> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let line = line.trim_end();
    let Some((kind, rest)) = line.split_at_checked(1) else { bail!("no reply") };
    match kind {
        "+" | ":" => Ok(Reply::Text(rest.to_owned())),
        "-" => bail!("{rest}"),
        "$" if rest == "-1" => Ok(Reply::Text(String::new())),
        "$" => {
            let len: usize = rest.parse()?;
            if len > BULK_LEN_MAX {
                bail!("a string of {len} bytes");
            }
            let mut bytes = vec![0; len + 2];
            reader.read_exact(&mut bytes)?;
            bytes.truncate(len);
            Ok(Reply::Text(String::from_utf8_lossy(&bytes).into_owned()))
        }
        "*" if depth < DEPTH_MAX => {
            let len: i64 = rest.parse()?;
            let items = (0..len).map(|_| read_reply(reader, depth + 1));
            Ok(Reply::Array(items.collect::<Result<_>>()?))
        }
        _ => bail!("not a RESP2 reply: {line}"),
    }
}
