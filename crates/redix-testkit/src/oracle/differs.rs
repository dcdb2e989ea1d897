//! `golden/DIFFERS.txt`: where Redix answers as another real server than the leading one does.
//!
//! One difference a line, six fields between `|`; `#` begins a comment:
//!
//! ```text
//! redis7 7.0.15 | SET k v ; OBJECT FREQ k | OBJECT FREQ * | -ERR An LFU* | -ERR no* | reason
//! ```
//!
//! the server and version that answers as Redix does, commands that show it on an empty server,
//! which commands of a stream it covers, Redix' reply, the leader's reply (both as
//! `redix_resp::Value::pretty` shows them; `*` and `?` as in golden scripts), and why.
//!
//! **Invariant.** No line excuses anything by itself: [`Difference::verify`] runs its commands on
//! Redix, on the server it names and on the leader, and fails when it has become stale.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use redix_resp::Value;

use crate::client::Client;
use crate::peer::Peer;
use crate::quoting::{parse_args, quote_args};
use crate::script::{Command, text_matches};
use crate::server::Server;

/// Bound on the number of accepted differences.
pub const LINES_MAX: usize = 20;

/// A line of the file.
#[derive(Clone, Debug)]
pub struct Difference {
    line: usize,
    server: Peer,
    version: String,
    show: Vec<Command>,
    command: String,
    ours: String,
    leaders: String,
}

/// Reads the file; a missing file has no lines.
pub fn load(path: &Path) -> Result<Vec<Difference>> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.with_context(|| path.display().to_string())?,
    };
    parse(&text).with_context(|| path.display().to_string())
}

fn parse(text: &str) -> Result<Vec<Difference>> {
    let lines = text.lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    let differences = lines
        .map(|(at, line)| parse_line(at + 1, line).with_context(|| format!("line {}", at + 1)))
        .collect::<Result<Vec<_>>>()?;
    ensure!(differences.len() <= LINES_MAX, "more than {LINES_MAX} differences");
    Ok(differences)
}

fn parse_line(line: usize, text: &str) -> Result<Difference> {
    let fields: Vec<&str> = text.split(" | ").map(str::trim).collect();
    let [server, show, command, ours, leaders, reason] = fields.as_slice() else {
        anyhow::bail!("six fields between ` | ` are needed, not {}", fields.len());
    };
    let (name, version) = server.split_once(' ').context("a server and its version")?;
    ensure!(!reason.is_empty(), "a reason is needed");
    let show = show.split(" ; ").map(parse_args).collect::<Result<Vec<_>>>()?;
    ensure!(show.iter().all(|command| !command.is_empty()), "an empty command");
    Ok(Difference {
        line,
        server: Peer::from_name(name).with_context(|| name.to_owned())?,
        version: version.to_owned(),
        show,
        command: (*command).to_owned(),
        ours: (*ours).to_owned(),
        leaders: (*leaders).to_owned(),
    })
}

/// Verifies every line against Redix, starting the real servers that are installed.
pub fn verify_all(differences: &[Difference], redix: SocketAddr) -> Result<()> {
    if differences.is_empty() || !Peer::Valkey.available_or_skip() {
        return Ok(());
    }
    let leader = super::start(Peer::Valkey)?;
    for difference in differences {
        let named = difference.server.available_or_skip().then(|| super::start(difference.server));
        let named = named.transpose()?;
        difference.verify(redix, leader.addr(), named.as_ref().map(Server::addr))?;
    }
    Ok(())
}

impl Difference {
    /// Whether it covers these replies to this command.
    pub fn covers(&self, args: &[Vec<u8>], ours: &Value, leaders: &Value) -> bool {
        text_matches(&self.command.to_lowercase(), &quote_args(args).to_lowercase())
            && text_matches(&self.ours, &ours.pretty())
            && text_matches(&self.leaders, &leaders.pretty())
    }

    /// Verifies that it still holds: on Redix and the leader, and on the server that it names if
    /// that is installed in that version. Empties all of them.
    pub fn verify(
        &self,
        redix: SocketAddr,
        leader: SocketAddr,
        named: Option<SocketAddr>,
    ) -> Result<()> {
        let ours = self.run(redix)?;
        let leaders = self.run(leader)?;
        let line = self.line;
        ensure!(text_matches(&self.ours, &ours), "line {line} is stale: Redix answers {ours}");
        let unlike = text_matches(&self.leaders, &leaders) && leaders != ours;
        ensure!(unlike, "line {line} is stale: the leader answers {leaders}");
        if self.server.version().as_deref() == Some(self.version.as_str())
            && let Some(named) = named
        {
            let theirs = self.run(named)?;
            let name = self.server.name();
            ensure!(theirs == ours, "line {line} is wrong: {name} answers {theirs}");
        }
        Ok(())
    }

    fn run(&self, addr: SocketAddr) -> Result<String> {
        let mut client = Client::connect(addr)?;
        client.must(&["FLUSHALL"])?;
        let mut last = String::new();
        for command in &self.show {
            last = client.cmd(command)?.pretty();
        }
        Ok(last)
    }
}

#[cfg(test)]
mod tests;
